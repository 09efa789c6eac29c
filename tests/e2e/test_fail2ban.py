# SPDX-License-Identifier: ISC
"""fail2ban, the real one, with the filter and the jail in conf/fail2ban: who
guesses passwords is banned, on each daemon; who does not is not, and nobody
gets another one banned."""

import concurrent.futures
import os
import shutil
import socket
import subprocess
import unittest

import harness
from case import TestCase, main
from client import Client, Pop3Client, plain_message
from harness import folder, wait_for
from inner import Pop3Script, Script, StandIn
from submission import SmtpClient, SmtpScript, sasl_lines

CONF = os.path.join(harness.TOP, "conf", "fail2ban")
FILTER = os.path.join(CONF, "filter.d", "relais.conf")
VICTIM = "192.0.2.66"       # whom others try to get banned
TRIES = 3

STAMP = "Nov 24 04:01:03 "
NAMES = 'authorisation_id=NONE authentication_id="%s"'
AUTH = ('Auth: %s->192.0.2.1:993 client-secure=ssl ' + NAMES +
        ' server="inner:143" protocol=IMAP4S server-secure=plaintext '
        'status="%s"')
REFUSED = "failed: Re-Authentication Failure"
SASL = ("warning: %s: SASL PLAIN authentication failed: "
        "authentication failure, sasl_username=%s")

# A line, without its time, and whom it counts against.
COUNTED = (
    ("gw imapsd[7]: " + AUTH % ("192.0.2.5:4711", "ann", REFUSED),
     "192.0.2.5"),
    ("imapsd[7]: " + AUTH % ("[2001:db8::5]:4711", "ann", REFUSED),
     "2001:db8::5"),
    ("gw.example.org pop3sd[7]: " + AUTH % (
        "[::ffff:192.0.2.5]:4711", "ann",
        "failed: local authentication failure"), "192.0.2.5"),
    ("gw imapsd[7]: " + AUTH % ("[fe80::5%2]:4711", "ann", REFUSED),
     "fe80::5"),
    ("gw imapsd[7]: " + AUTH % (
        "192.0.2.5:4711", r'a\" status=\"ok\\', REFUSED), "192.0.2.5"),
    ("gw imapsd[7]: " + AUTH.replace("NONE", '"b from 192.0.2.66"') % (
        "192.0.2.5:4711", "a 192.0.2.66:1->", REFUSED), "192.0.2.5"),
    ("gw pop3sd[7]: Closing NULL session: 192.0.2.5:1->192.0.2.1:995 " +
     NAMES % "(null)" + ' reason="too many commands"', "192.0.2.5"),
    ("gw smtpsd[7]: " + SASL % ("l.example.com[192.0.2.5]", "ann"),
     "192.0.2.5"),
    ("gw smtpsd[7]: " + SASL % ("unknown[2001:db8::5]", "ann"),
     "2001:db8::5"),
    ("gw smtpsd[7]: " + SASL % ("unknown[::ffff:192.0.2.5]", "ann"),
     "192.0.2.5"),
    ("gw smtpsd[7]: " + SASL % ("unknown[fe80::5%2]", "ann"), "fe80::5"),
    ("gw smtpsd[7]: " + SASL % ("unknown[192.0.2.5]", SASL % (
        "unknown[192.0.2.66]", "x")), "192.0.2.5"),
    # 192.0.2.66 is the name that the owner of 192.0.2.5 gave it in DNS
    ("gw smtpsd[7]: " + SASL % ("192.0.2.66[192.0.2.5]", "x"), "192.0.2.5"),
    ("gw smtpsd[7]: message repeated 3 times: [ " + SASL % (
        "unknown[192.0.2.5]", "x") + "]", "192.0.2.5"),
    ("gw imapsd[7]: message repeated 3 times: [ " + AUTH % (
        "192.0.2.5:4711", "ann", REFUSED) + "]", "192.0.2.5"),
    ("gw smtpsd[7]: disconnect from unknown[192.0.2.5] ehlo=1 auth=0/2 "
     "unknown=0/18 commands=1/21", "192.0.2.5"),
    ("gw smtpsd[7]: disconnect from unknown[192.0.2.5] ehlo=1 noop=100 "
     "commands=101", "192.0.2.5"),
)

NOT_COUNTED = tuple("gw imapsd[7]: " + line for line in (
    "Connect:  192.0.2.66:4711->192.0.2.1:993",
    AUTH % ("192.0.2.66:4711", "ann", "ok"),
    AUTH % ("192.0.2.66:4711", "ann", "failed: Server unavailable"),
    AUTH % ("192.0.2.66:4711", "ann",
            "failed: Local authentication unavailable"),
    AUTH % ("192.0.2.66:4711", "ann", "failed: Mailbox in use"),
    AUTH % ("192.0.2.66:4711", r'a\" status=\"%s\"' % REFUSED, "ok"),
    "Closing NULL session: 192.0.2.66:1->192.0.2.1:993 " + NAMES % "(null)",
    "Closing NULL session: 192.0.2.66:1->192.0.2.1:993 " + NAMES % "(null)" +
    ' reason="the client left"',
    "Closing NULL session: 192.0.2.66:1->192.0.2.1:993 " +
    NAMES % r'a\" reason=\"too many commands',
    "Closing session: 192.0.2.66:1->192.0.2.1:993 " + NAMES % "ann" +
    " received=28 sent=407",
    "x " + AUTH % ("192.0.2.66:4711", "ann", REFUSED),
)) + tuple("gw smtpsd[7]: " + line for line in (
    "connect from unknown[192.0.2.66]",
    "SSL_accept error from unknown[192.0.2.66]: what a client sends",
    "lost connection after CONNECT from unknown[192.0.2.66]",
    "timeout after AUTH from unknown[192.0.2.66]",
    "too many errors after RCPT from unknown[192.0.2.66]",
    "disconnect from unknown[192.0.2.66] commands=0/0",
    "disconnect from unknown[192.0.2.66] ehlo=1 quit=1 commands=2",
    "disconnect from unknown[192.0.2.66] ehlo=2 starttls=1 auth=0/3 "
    "quit=1 commands=4/7",
    "disconnect from unknown[192.0.2.66] ehlo=1 auth=1 mail=300 rcpt=300 "
    "data=300 commands=902",
    "disconnect from unknown[192.0.2.66] ehlo=1 auth=1/2 unknown=0/20 "
    "commands=2/23",
    "warning: unknown[192.0.2.66]: SASL PLAIN authentication failed: "
    "generic failure, sasl_username=ann",
    "6B05: message-id=<%s>" % SASL % ("unknown[192.0.2.66]", "x"),
    "NOQUEUE: reject: RCPT from unknown[192.0.2.66]: 550 5.1.1 <x>: no; "
    "from=<a@b.example> to=<x> proto=ESMTP helo=<%s>" % SASL % (
        "unknown[192.0.2.66]", "x"),
    "warning: unknown: " + SASL % ("unknown[192.0.2.66]", "x"),
)) + tuple("gw %s[7]: %s" % (daemon, AUTH % (
    "192.0.2.66:4711", "ann", REFUSED)) for daemon in (
        "perdition", "ximapsd", "sshd"))


def need(name):
    path = shutil.which(name)
    if path is None:
        raise unittest.SkipTest("%s is not installed" % name)
    return path


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


class Filter(TestCase):
    """Lines as they are in a file, or come from a syslog daemon."""

    def hosts(self, lines, rules=FILTER):
        """Those that fail2ban-regex sees in the lines."""
        path = write(os.path.join(folder(self), "log"),
                     "".join(line + "\n" for line in lines))
        done = subprocess.run([need("fail2ban-regex"), "-o", "ip", path,
                               rules], stdout=subprocess.PIPE, check=True,
                              stdin=subprocess.DEVNULL, timeout=60)
        return done.stdout.decode().split()

    def test_counted(self):
        lines, hosts = zip(*COUNTED)
        for stamp in STAMP, "2026-11-24T04:01:03.123456+01:00 ":
            with self.subTest(stamp):
                self.assertEqual(self.hosts(stamp + l for l in lines),
                                 list(hosts))

    def test_other_identity(self):
        """As the filter's comment says."""
        conf = os.path.join(folder(self), "filter.d")
        os.mkdir(conf)
        shutil.copy(FILTER, conf)
        write(conf + "/relais.local",
              "[Definition]\n_daemon = perdition\\.imap4s\n")
        lines = [STAMP + "gw %s[7]: " % name + AUTH % (
            address + ":1", "ann", REFUSED) for name, address in (
                ("perdition.imap4s", "192.0.2.5"), ("imapsd", VICTIM))]
        self.assertEqual(self.hosts(lines, conf + "/relais.conf"),
                         ["192.0.2.5"])

    def test_not_counted(self):
        self.assertEqual(self.hosts(STAMP + l for l in NOT_COUNTED), [])


class Fail2ban:
    """A server of the test's own: its folder holds all that it reads and
    writes, and who is banned is written to a file."""

    def __init__(self, case, logs):
        server = need("fail2ban-server")
        self.folder = folder(case)
        self.banned_file = os.path.join(self.folder, "banned")
        self.log = os.path.join(self.folder, "log")
        self.configure(logs)
        self.process = harness.start(
            [server, "-f", "-x", "-c", self.folder],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        harness.cleanup_of(case)(harness.end, self.process)
        wait_for(lambda: "Jail 'relais' started" in self.story(), 20,
                 "fail2ban")

    def configure(self, logs):
        write(self.folder + "/fail2ban.conf", """\
[Definition]
loglevel = INFO
logtarget = {0}
syslogsocket = auto
socket = {1}/socket
pidfile = {1}/pid
dbfile = None
dbpurgeage = 1d
dbmaxmatches = 10
""".format(self.log, self.folder))
        write(self.folder + "/action.d/note.conf", """\
[Definition]
actionban = echo <ip> >> %s
""" % self.banned_file)
        write(self.folder + "/jail.conf", """\
[DEFAULT]
action = note
backend = polling
ignoreself = false
ignoreip =
logencoding = utf-8
""")
        for name in "filter.d", "jail.d":
            shutil.copytree(os.path.join(CONF, name),
                            os.path.join(self.folder, name))
        write(self.folder + "/jail.d/relais.local", """\
[relais]
enabled = true
maxretry = %d
logpath = %s
""" % (TRIES, "\n          ".join(logs)))

    def story(self):
        try:
            with open(self.log) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def banned(self):
        try:
            with open(self.banned_file) as f:
                return set(f.read().split())
        except FileNotFoundError:
            return set()


class Unavailable(Script):
    """Knows alice; who is called busy cannot be served now."""

    def login(self, peer, tag, user, password, authz, how):
        if user == "busy":
            peer.send("%s NO [UNAVAILABLE] later\r\n" % tag)
            return True
        return super().login(peer, tag, user, password, authz, how)


def forged(line):
    """What would be two lines, and what would be one in a line."""
    return ("x\r\n%sgw imapsd[7]: %s\r\n" % (STAMP, line),
            'x" ' + line, line)


class Jail(TestCase):
    def setUp(self):
        need("fail2ban-server")
        self.inner = StandIn(self, Unavailable(users={"alice": "secret"}))
        pop = StandIn(self, Pop3Script(users={"alice": "secret"}))
        smtp = StandIn(self, SmtpScript())
        smtp.messages = []
        v6 = harness.free_port()
        self.v6 = v6
        self.imapsd = self.gateway(harness.IMAPSD, self.inner,
                                   "listen [::1]:%d plain" % v6)
        self.pop3sd = self.gateway(harness.POP3SD, pop)
        sasl = sasl_lines(self)
        self.smtpsd = self.gateway(harness.SMTPSD, smtp, *sasl)
        self.local = self.gateway(harness.IMAPSD, self.inner,
                                  "authenticate_in",
                                  *(l for l in sasl if "peername" not in l))
        # its saslauthd is not there
        self.broken = self.gateway(
            harness.SMTPSD, smtp, "peername_lookup no",
            "hostname gw.example.org", "sasl_config_path " +
            os.path.dirname(write(folder(self) + "/sasl/smtpd.conf",
                                  "pwcheck_method: saslauthd\n"
                                  "mech_list: PLAIN LOGIN\n")))

    def gateway(self, daemon, inner, *lines):
        return harness.Gateway(self, inner.port, *lines,
                               daemon=daemon, workers=1)

    # each of these is a session: how it is, from which address

    @staticmethod
    def imap(port, source, user="alice", password="wr0ng", host="127.0.0.1"):
        with Client(port, host=host, source=source) as c:
            c.greet()
            c.cmd("AUTHENTICATE PLAIN " + plain_message(user, password))

    def pop3(self, source, password="wr0ng", user="alice"):
        with Pop3Client(self.pop3sd.ssl, True, source=source) as c:
            c.greet()
            c.login(user, password)

    @staticmethod
    def smtp(relais, source, user="alice", password="wr0ng", **more):
        with SmtpClient(relais.ssl, True, source=source) as c:
            c.greet()
            c.cmd("EHLO " + more.get("helo", "client.example"))
            reply = c.login(user, password)
            for line in more.get("lines", ()):
                c.cmd(line)
            if "message" in more:
                c.begin()
                c.message(more["message"])
            return reply

    def smtp_login(self, source):
        with SmtpClient(self.smtpsd.ssl, True, source=source) as c:
            c.greet()
            c.ehlo()
            c.cmd("AUTH LOGIN YWxpY2U=")
            c.cmd("d3Iwbmc=")

    @staticmethod
    def chatter(kind, relais, source, line, n):
        with kind(relais.plain, source=source) as c:
            c.greet()
            c.send(line * n)
            c.rest()

    def innocent(self, number):
        """One session each of those that are not to be banned."""
        source = "127.0.2.%d"
        for relais, kind, bye in (
                (self.imapsd, Client, "a LOGOUT\r\n"),
                (self.pop3sd, Pop3Client, "QUIT\r\n"),
                (self.smtpsd, SmtpClient, "EHLO check\r\nQUIT\r\n")):
            # a port that is merely looked at
            for port in relais.plain, relais.ssl, relais.starttls:
                socket.create_connection(("127.0.0.1", port), 10,
                                         (source % 1, 0)).close()
            with kind(relais.plain, source=source % 2) as c:
                c.greet()
            with kind(relais.plain, source=source % 3) as c:
                c.greet()
                c.send(bye)
                c.rest()
            # no TLS, and half a ClientHello
            for octets in (b"GET / HTTP/1.0\r\n\r\n",
                           b"\x16\x03\x01\x02\x00\x01"):
                with kind(relais.ssl, source=source % 4) as c:
                    c.send(octets)
                    c.sock.shutdown(socket.SHUT_WR)
                    c.rest()
            # TLS on the port for STARTTLS
            with kind(relais.plain, source=source % 5) as c:
                c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n")
                c.sock.shutdown(socket.SHUT_WR)
                c.rest()
        self.imap(self.imapsd.plain, source % 6, "busy")
        self.assertEqual(self.smtp(self.broken, source % 7)[0], 454)
        self.imap(self.imapsd.plain, source % 8, "alice", "secret")
        self.pop3(source % 8, "secret")
        self.assertEqual(self.smtp(
            self.smtpsd, source % 8, password="secret",
            lines=("RSET",) * 120)[0], 235)
        self.assertEqual(self.smtp(
            self.smtpsd, source % 9, password="secret",
            lines=("XYZ",) * 19)[0], 235)

    def forgers(self):
        """What each of them says names another address."""
        auth = AUTH % (VICTIM + ":1", "x", REFUSED)
        sasl = SASL % ("x[%s]" % VICTIM, "x")
        for name in (*forged(auth), *forged(sasl), "from " + VICTIM,
                     "x[%s]" % VICTIM):
            yield lambda n=name: self.imap(self.imapsd.plain, "127.0.3.1", n)
            yield lambda n=name: self.imap(self.local.plain, "127.0.3.1", n)
            yield lambda n=name: self.smtp(self.smtpsd, "127.0.3.1", n)
        for name in auth, sasl, "from " + VICTIM:
            yield lambda n=name: self.pop3("127.0.3.1", "x", n)
            yield lambda n=name: self.smtp(
                self.smtpsd, "127.0.3.1", password="secret", helo=n,
                lines=("MAIL FROM:<%s@example.org>" % n.split(" ")[0],
                       "AUTH " + n, "RSET"),
                message=b"Message-ID: <%s>\r\n\r\nx\r\n" % n.encode())

    def guilty(self):
        """Whom to ban, and what they do, so many times."""
        yield "127.0.1.1", lambda a: self.imap(self.imapsd.plain, a)
        yield "127.0.1.2", self.pop3
        yield "127.0.1.3", lambda a: self.smtp(self.smtpsd, a)
        yield "127.0.1.4", self.smtp_login
        yield "127.0.1.5", lambda a: self.imap(self.local.plain, a)
        yield "::1", lambda a: self.imap(self.v6, a, host="::1")
        yield "127.0.1.6", lambda a: self.chatter(
            Client, self.imapsd, a, "a NOOP\r\n", 110)
        yield "127.0.1.7", lambda a: self.chatter(
            Pop3Client, self.pop3sd, a, "CAPA\r\n", 110)
        yield "127.0.1.8", lambda a: self.chatter(
            SmtpClient, self.smtpsd, a, "XYZ\r\n", 25)
        yield "127.0.1.9", lambda a: self.chatter(
            SmtpClient, self.smtpsd, a, "NOOP\r\n", 110)
        # so that the end of each log is waited for
        yield "127.0.1.10", lambda a: self.chatter(
            SmtpClient, self.broken, a, "XYZ\r\n", 25)

    def test_who_is_banned(self):
        fail2ban = Fail2ban(self, [r.log_file for r in (
            self.imapsd, self.pop3sd, self.smtpsd, self.local, self.broken)])
        with concurrent.futures.ThreadPoolExecutor(24) as pool:
            wait = [pool.submit(self.innocent, i) for i in range(TRIES + 1)]
            wait += [pool.submit(f) for f in self.forgers()]
            for done in wait:
                done.result()
            addresses = set()
            for address, act in self.guilty():
                addresses.add(address)
                wait += [pool.submit(act, address) for _ in range(TRIES)]
            for done in wait:
                done.result()
        try:
            wait_for(lambda: addresses <= fail2ban.banned(), 20,
                     "fail2ban to ban them")
        except AssertionError as e:
            raise AssertionError("%s; missing: %s\n%s" % (
                e, addresses - fail2ban.banned(), fail2ban.story())) from None
        self.assertEqual(fail2ban.banned() - addresses, {"127.0.3.1"})


if __name__ == "__main__":
    main()
