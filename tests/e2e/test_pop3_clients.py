# SPDX-License-Identifier: ISC
"""Real clients do a full job through pop3sd, and see the very octets that they
see without it: 200 messages of many shapes, one of them of 50 MB."""

import contextlib
import hashlib
import os
import poplib
import shutil
import subprocess

import harness
from case import TestCase, main
from certs import certificates
from client import Pop3Client, plain_message, tls_context
from harness import folder
from inner import Dovecot

USER, PASSWORD = "alice", "secret"
NARROW = "bob"          # whose messages have no line that a client might cut
CA = certificates().ca.cert
COUNT = 200
BIG = 50 * 1024 * 1024

# Bodies by the number of their message, so that no two are the same.
SHAPES = (
    lambda n: b"short\r\n",
    lambda n: b"",
    lambda n: b".\r\n..\r\n...\r\n.leading dots %d\r\n" % n,
    lambda n: b".\r\n" * (n * 97),
    lambda n: b"\r\n" * n,
    lambda n: b"no end of line",
    lambda n: b"no end of line\r\n.",
    lambda n: b"+OK\r\n-ERR [AUTH] no\r\n.QUIT\r\n+ \r\n" * n,
    lambda n: "d\u00e9j\u00e0 vu \u20ac\r\n".encode() * (n * 20),
    lambda n: bytes(range(1, 10)) + bytes(range(14, 256)) + b"\r\n",
    lambda n: b".".ljust(n, b".") + b"\r\n",
    lambda n: (b"x" * 996 + b"\r\n") * 20,      # RFC 5322 2.1.1
    lambda n: (b"y" * 500 + b"\r\n.y\r\n") * n,
    lambda n: b"line of some length, again and again\r\n" * (n * 40),
)
WIDE = SHAPES + (
    lambda n: b"." * 70000 + b"\r\n",
    # at the end of a TLS record, and of the largest read
    lambda n: b"x" * (16384 - n) + b"\r\n.\r\n.",
    lambda n: b"x" * (65536 + n) + b"\r\n.\r\n",
)


def message(n, body):
    return (b"From: sender%d@example.test\r\nTo: alice@example.test\r\n"
            b"Message-ID: <%d.relais@example.test>\r\nSubject: message %d\r\n"
            b"Date: Mon, 02 Mar 2026 09:00:%02d +0000\r\n\r\n"
            % (n, n, n, n % 60)) + body


def messages(shapes, count):
    return [message(n, shapes[n % len(shapes)](n))
            for n in range(1, count + 1)]


def big():
    block = hashlib.sha256(b"relais").hexdigest().encode() + b"\r\n.\r\n"
    return message(COUNT, block * (BIG // len(block)))


def whole(one):
    """As POP3 has it: the last line has an end (RFC 1939 3)."""
    return one if one.endswith(b"\r\n") else one + b"\r\n"


def digests(found):
    """What can be compared, and be told about when it differs."""
    return [(len(one), hashlib.sha256(one).hexdigest()) for one in found]


class Clients(TestCase):
    kind = Pop3Client
    boxes = ()                  # whose mailboxes are filled

    @classmethod
    def setUpClass(cls):
        cls.dovecot = Dovecot(cls, users={
            USER: PASSWORD, NARROW: PASSWORD, "carol": PASSWORD})
        cls.sent = {}
        for user in cls.boxes:
            cls.sent[user] = (messages(WIDE, COUNT - 1) + [big()]
                              if user == USER else messages(SHAPES, COUNT))
            for one in cls.sent[user]:
                cls.dovecot.deliver(user, one)
        cls.relais = harness.Gateway(cls, cls.dovecot.pop3_port,
                                     daemon=harness.POP3SD)

    def expect(self, user, found, end=b"\r\n"):
        """All that was sent has come, whatever its order."""
        self.assertEqual(sorted(digests(found)), sorted(digests(
            whole(one).replace(b"\r\n", end) for one in self.sent[user])))

    def three_to_delete(self):
        """In carol's mailbox, which must be empty again."""
        self.assertEqual(self.dovecot.messages("carol"), [])
        for one in messages(SHAPES, 3):
            self.dovecot.deliver("carol", one)

    def command(self, *argv, **kw):
        """One program; both its outputs."""
        done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120 * harness.SLOW, **kw)
        said = done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, 0, "%s: %s" % (argv, said))
        return done.stdout, said


class Curl(Clients):
    boxes = (USER,)

    def ways(self):
        """The direct one, then those through pop3sd."""
        yield "pop3://127.0.0.1:%d/" % self.dovecot.pop3_port, ()
        yield "pop3s://127.0.0.1:%d/" % self.relais.ssl, ()
        yield "pop3://127.0.0.1:%d/" % self.relais.starttls, ("--ssl-reqd",)

    def curl(self, url, *options, user=USER):
        return self.command("curl", "-sS", "--cacert", CA, "-u",
                            "%s:%s" % (user, PASSWORD), *options, url)

    def fetch(self, base, options):
        """All messages, by number, in one session."""
        path = folder(self)
        self.curl("%s[1-%d]" % (base, COUNT), "-o", path + "/#1", *options)
        found = []
        for n in range(1, COUNT + 1):
            with open("%s/%d" % (path, n), "rb") as f:
                found.append(f.read())
        shutil.rmtree(path)
        return found

    def test_fetch(self):
        direct, *others = [self.fetch(*way) for way in self.ways()]
        self.expect(USER, direct)
        for other in others:
            self.assertEqual(digests(other), digests(direct))

    def test_lists(self):
        for options in ((), ("-X", "UIDL"), ("-X", "TOP 3 1")):
            direct, *others = [self.curl(base, *how, *options)[0]
                               for base, how in self.ways()]
            self.assertTrue(direct)
            self.assertEqual(others, [direct] * 2)

    def test_each_mechanism(self):
        for base, how in self.ways():
            for option in ("PLAIN", "LOGIN"):
                found, said = self.curl(base, *how, "-v", "--login-options",
                                        "AUTH=" + option)
                self.assertEqual(len(found.splitlines()), COUNT)
                self.assertIn("> AUTH " + option, said)

    def test_initial_response(self):
        base = "pop3s://127.0.0.1:%d/" % self.relais.ssl
        found, said = self.curl(base, "--sasl-ir", "-v")
        self.assertEqual(len(found.splitlines()), COUNT)
        self.assertIn("> AUTH PLAIN " + plain_message(USER, PASSWORD), said)

    def test_delete(self):
        for base, how in self.ways():
            self.three_to_delete()
            for _ in range(3):
                self.curl(base + "1", *how, "-X", "DELE", "--head",
                          user="carol")
            self.assertEqual(self.dovecot.messages("carol"), [])


class PopLib(Clients):
    boxes = (USER,)

    def setUp(self):
        # the module's own limit on a line, which is the client's affair
        limit, poplib._MAXLINE = poplib._MAXLINE, 1 << 20
        self.addCleanup(setattr, poplib, "_MAXLINE", limit)

    def ways(self):
        yield poplib.POP3("127.0.0.1", self.dovecot.pop3_port)
        yield poplib.POP3_SSL("127.0.0.1", self.relais.ssl,
                              context=tls_context())
        m = poplib.POP3("127.0.0.1", self.relais.starttls)
        m.stls(tls_context())
        yield m

    def attempt(self, function, *args):
        try:
            return function(*args)
        except poplib.error_proto as e:
            return str(e)

    def job(self, m):
        """A day's work: all that the server said behind the login."""
        m.user(USER)
        said = [m.pass_(PASSWORD), m.stat(), m.list(), m.uidl()]
        numbers = range(1, COUNT + 1)
        self.assertEqual(m.stat()[0], COUNT)
        said += [m.top(n, n % 5) for n in numbers]
        # a big one's lines take their time; Curl has it as well
        said += [m.retr(n) for n in numbers
                 if int(m.list(n).split()[2]) < BIG // 2]
        for step in (
                lambda: m.list(7), lambda: m.uidl(7), lambda: m.noop(),
                lambda: m.retr(COUNT + 1), lambda: m.dele(0),
                lambda: m.dele(3), lambda: m.dele(3), lambda: m.retr(3),
                lambda: m.uidl(3), lambda: m.stat(), lambda: m.list(),
                lambda: m.rset(), lambda: m.stat(), lambda: m.quit()):
            said.append(self.attempt(step))
        return said

    def test_the_same_as_direct(self):
        direct, *others = [self.job(m) for m in self.ways()]
        for other in others:
            self.assertEqual(len(other), len(direct))
            for here, there in zip(other, direct):
                self.assertEqual(here, there)

    def test_delete(self):
        for m in self.ways():
            self.three_to_delete()
            m.user("carol")
            m.pass_(PASSWORD)
            for n in (3, 1, 2):
                m.dele(n)
            self.assertEqual(m.stat(), (0, 0))
            self.assertTrue(m.quit().startswith(b"+OK"))
            self.assertEqual(self.dovecot.messages("carol"), [])


class Fetchmail(Clients):
    boxes = (NARROW,)

    def ways(self):
        yield self.dovecot.pop3_port, "sslproto ''"
        yield self.relais.ssl, "ssl sslcertck sslcertfile " + CA
        yield (self.relais.starttls,
               "sslproto 'auto' sslcertck sslcertfile " + CA)

    def fetch(self, port, options, user=NARROW, keep="keep"):
        path = folder(self)
        rc = path + "/rc"
        with open(rc, "w") as f:
            f.write("set invisible\npoll localhost service %d protocol POP3\n"
                    "uidl auth password user %s password %s %s\n"
                    "fetchall %s no rewrite\n"
                    "mda \"/bin/sh -c 'cat >> %s/mail'\"\n"
                    % (port, user, PASSWORD, options, keep, path))
        os.chmod(rc, 0o600)
        self.command("fetchmail", "-f", rc, "--pidfile", path + "/pid",
                     env={**os.environ, "FETCHMAILHOME": path, "HOME": path})
        with open(path + "/mail", "rb") as f:
            return f.read()

    def test_fetch(self):
        direct, *others = [self.fetch(*way) for way in self.ways()]
        self.assertEqual(direct.count(b"Subject: message "), COUNT)
        for other in others:
            self.assertEqual(digests([other]), digests([direct]))

    def test_delete(self):
        for way in self.ways():
            self.three_to_delete()
            found = self.fetch(*way, user="carol", keep="no keep")
            self.assertEqual(found.count(b"Subject: message "), 3)
            self.assertEqual(self.dovecot.messages("carol"), [])


class Mpop(Clients):
    """It pipelines where the server says that it may."""

    boxes = (USER,)
    LOGINS = {"user": b"PASS ", "plain": b"AUTH PLAIN",
              "login": b"AUTH LOGIN"}
    CONFIG = """\
account default
host localhost
port {port}
user {user}
password {password}
auth {auth}
tls {tls}
tls_starttls {starttls}
tls_trust_file {ca}
keep {keep}
received_header off
uidls_file {path}/uidls
delivery maildir {path}/mail
"""

    def ways(self):
        """Port, TLS, STLS, mechanism."""
        yield self.dovecot.pop3_port, "off", "off", "user"
        yield self.relais.ssl, "on", "off", "user"
        yield self.relais.starttls, "on", "on", "plain"

    def fetch(self, port, tls, starttls, auth, *options, user=USER,
              keep="on"):
        """The messages, and what it remembers and says of them."""
        path = folder(self)
        for part in ("", "/tmp", "/new", "/cur"):
            os.mkdir(path + "/mail" + part)
        with open(path + "/rc", "w") as f:
            f.write(self.CONFIG.format(
                port=port, user=user, password=PASSWORD, auth=auth, tls=tls,
                starttls=starttls, ca=CA, keep=keep, path=path))
        os.chmod(path + "/rc", 0o600)
        said = self.command("mpop", "-C", path + "/rc", *options,
                            env={**os.environ, "HOME": path})[0]
        new = path + "/mail/new/"
        found = []
        for name in os.listdir(new):
            with open(new + name, "rb") as f:
                found.append(f.read())
        with open(path + "/uidls", "rb") as f:
            uidls = f.read()
        shutil.rmtree(path)
        return found, uidls, said

    def test_fetch(self):
        results = [self.fetch(*way, "--quiet") for way in self.ways()]
        for found, uidls, _ in results:
            self.expect(USER, found, b"\n")
            self.assertEqual(uidls, results[0][1])

    def test_each_mechanism(self):
        for auth, login in self.LOGINS.items():
            self.three_to_delete()
            found, _, said = self.fetch(self.relais.ssl, "on", "off", auth,
                                        "--debug", user="carol", keep="off")
            self.assertEqual(len(found), 3)
            self.assertIn(b"--> " + login, said)
            self.assertEqual(self.dovecot.messages("carol"), [])


class Pipelined(Clients):
    """All in one segment: what stands behind PASS is for the inner server,
    and no octet of it is lost or answered out of turn."""

    boxes = (NARROW,)
    COMMANDS = ("STAT", "UIDL 1", "LIST 2", "NOOP", "RETR 3", "TOP 14 2",
                "LIST", "XWRONG", "UIDL", "CAPA", "RETR 4", "QUIT")

    def logins(self):
        yield "USER %s\r\nPASS %s\r\n" % (NARROW, PASSWORD), 2
        yield "AUTH PLAIN %s\r\n" % plain_message(NARROW, PASSWORD), 1
        yield "CAPA\r\nUSER %s\r\nPASS %s\r\n" % (NARROW, PASSWORD), 3

    def one_by_one(self):
        """What Dovecot says to each command, without us."""
        c = self.connect(self.dovecot.pop3_port)
        self.assertTrue(c.login(NARROW, PASSWORD).startswith("+OK"))
        answers = []
        for command in self.COMMANDS:
            first = c.cmd(command)
            answers.append(first)
            if first.startswith("+OK") and (
                    command.split()[0] in ("RETR", "TOP", "CAPA") or
                    command in ("LIST", "UIDL")):
                answers += c.listing()
        self.assertEqual(c.rest(), "")
        return answers

    def all_at_once(self, port, tls, login, answers):
        c = self.connect(port, tls)
        c.send(login + "".join(w + "\r\n" for w in self.COMMANDS))
        for _ in range(answers):
            first = c.line()
            self.assertTrue(first.startswith("+OK"), first)
            if first == "+OK Capability list follows":
                c.listing()
        lines = c.rest().split("\r\n")
        self.assertEqual(lines.pop(), "")
        # dots that are stuffed and the ends of lists, which listing() took
        return [l[1:] if l.startswith(".") else l for l in lines if l != "."]

    def test_the_answers_in_order(self):
        expected = self.one_by_one()
        for port, tls in ((self.relais.ssl, True), (self.relais.plain,
                                                    False)):
            for login, answers in self.logins():
                self.assertEqual(
                    self.all_at_once(port, tls, login, answers), expected)

    def test_cut_anywhere(self):
        """The same in two segments, wherever the cut is."""
        login = "USER %s\r\nPASS %s\r\n" % (NARROW, PASSWORD)
        text = login + "STAT\r\nQUIT\r\n"
        for at in range(len(login) - 4, len(text)):
            with contextlib.closing(self.connect(self.relais.plain)) as c:
                c.send(text[:at])
                if at >= len(login):
                    self.assertTrue(c.line().startswith("+OK"))
                    self.assertTrue(c.line().startswith("+OK"))
                c.send(text[at:])
                lines = c.rest().split("\r\n")[-3:]
                self.assertRegex(lines[0], r"^\+OK %d \d+$" % COUNT)
                self.assertEqual(lines[1:], ["+OK Logging out.", ""])


class Programs(TestCase):
    def test_they_are_installed(self):
        for program in ("curl", "fetchmail", "mpop"):
            self.assertTrue(shutil.which(program), program)


if __name__ == "__main__":
    main()
