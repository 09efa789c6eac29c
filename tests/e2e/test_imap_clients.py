# SPDX-License-Identifier: ISC
"""Real clients do a full job through imapsd, and see the very octets that
they see without it; big messages; IDLE."""

import hashlib
import imaplib
import os
import re
import shutil
import subprocess
import time

import harness
from case import StandInCase, TestCase, main
from certs import certificates
from client import tls_context
from harness import folder
from inner import Dovecot

USER, PASSWORD = "alice", "secret"
CA = certificates().ca.cert


def message(n, body):
    return (b"From: sender%d@example.test\r\nTo: alice@example.test\r\n"
            b"Message-ID: <%d.relais@example.test>\r\nSubject: message %d\r\n"
            b"Date: Mon, 02 Mar 2026 09:%02d:00 +0000\r\n\r\n"
            % (n, n, n, n)) + body


BODIES = (
    b"short\r\n",
    b"",
    b".\r\n..\r\n.leading dots\r\n",
    b"a {17} literal? * OK [ALERT] a9 LOGOUT\r\n" * 30,
    "d\u00e9j\u00e0 vu \u20ac\r\n".encode() * 500,
    bytes(range(1, 10)) + bytes(range(14, 256)) + b"\r\n",
    b"x" * 70000 + b"\r\n",
    b"line of some length, again and again\r\n" * 20000,
    b"no end of line",
)
MESSAGES = [message(n, body) for n, body in enumerate(BODIES, 1)]
# fetchmail spoils lines that are longer than its buffer: they are elsewhere
INBOX = [m for m in MESSAGES if b"x" * 70000 not in m]
ARCHIVE = [m for m in MESSAGES if m not in INBOX] + MESSAGES[:3]


class Clients(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dovecot = Dovecot(cls, users={USER: PASSWORD, "bob": "hunter2"})
        for m in INBOX:
            cls.dovecot.deliver(USER, m)
        for m in ARCHIVE:
            cls.dovecot.deliver(USER, m, ".Archive")
        cls.relais = harness.Gateway(cls, cls.dovecot.port)

    def command(self, *argv, good=(0,), **kw):
        done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=120 * harness.SLOW, **kw)
        self.assertIn(done.returncode, good,
                      "%s: %s" % (argv, done.stderr.decode(errors="replace")))
        return done.stdout


class Curl(Clients):
    def curl(self, url, *options, user=USER, password=PASSWORD):
        return self.command("curl", "-sS", "--cacert", CA, "-u",
                            "%s:%s" % (user, password), *options, url)

    def ways(self):
        """The direct one, then those through imapsd."""
        yield "imap://127.0.0.1:%d" % self.dovecot.port, ()
        yield "imaps://127.0.0.1:%d" % self.relais.ssl, ()
        yield "imap://127.0.0.1:%d" % self.relais.starttls, ("--ssl-reqd",)

    def test_list_and_fetch(self):
        results = []
        for base, options in self.ways():
            got = [self.curl(base + "/", *options)]
            got += [self.curl("%s/%s;UID=%d" % (base, name, uid), *options)
                    for name, messages in (("INBOX", INBOX),
                                           ("Archive", ARCHIVE))
                    for uid in range(1, len(messages) + 1)]
            results.append(got)
        self.assertIn(b"Archive", results[0][0])
        # each message came, whatever order the mailbox has them in
        self.assertEqual(sorted(results[0][1:]), sorted(INBOX + ARCHIVE))
        self.assertEqual(results[1], results[0])
        self.assertEqual(results[2], results[0])

    def test_each_mechanism(self):
        base = "imaps://127.0.0.1:%d/" % self.relais.ssl
        for option in ("AUTH=PLAIN", "AUTH=LOGIN"):
            self.assertIn(b"INBOX", self.curl(base, "--login-options",
                                              option))
        self.assertIn(b"INBOX", self.curl(base, "--sasl-ir"))

    def test_upload(self):
        path = os.path.join(folder(self), "m")
        with open(path, "wb") as f:
            f.write(MESSAGES[4])
        for base, options in self.ways():
            self.curl(base + "/INBOX", "-T", path, *options, user="bob",
                      password="hunter2")
        self.assertEqual(self.dovecot.messages("bob"), [MESSAGES[4]] * 3)


class ImapLib(Clients):
    def ways(self):
        yield imaplib.IMAP4("127.0.0.1", self.dovecot.port)
        yield imaplib.IMAP4_SSL("127.0.0.1", self.relais.ssl,
                                ssl_context=tls_context())
        m = imaplib.IMAP4("127.0.0.1", self.relais.starttls)
        m.starttls(tls_context())
        yield m

    def job(self, m):
        """A day's work; all that the server said."""
        said = [m.login(USER, PASSWORD)[0]]
        name = "Work%d" % time.monotonic_ns()
        steps = (
            lambda: m.list(),
            lambda: m.select("INBOX", readonly=True),
            lambda: m.fetch("1:*", "(UID RFC822.SIZE BODY.PEEK[])"),
            lambda: m.select("Archive", readonly=True),
            lambda: m.fetch("1:*", "(UID RFC822.SIZE BODY.PEEK[])"),
            lambda: m.select("INBOX", readonly=True),
            lambda: m.search(None, "SUBJECT", "message"),
            lambda: m.uid("FETCH", "1:3", "(BODY.PEEK[HEADER] ENVELOPE)"),
            lambda: m.create(name),
            lambda: m.append(name, r"\Seen", None, MESSAGES[5]),
            lambda: m.append(name, None, None, MESSAGES[7]),
            lambda: m.select(name),
            lambda: m.fetch("1:*", "(FLAGS BODY.PEEK[])"),
            lambda: m.copy("1", name),
            lambda: m.store("1", "+FLAGS", r"(\Deleted)"),
            lambda: m.expunge(),
            lambda: m.search(None, "ALL"),
            lambda: m.close(),
            lambda: m.delete(name),
        )
        for step in steps:
            said.append(step())
        self.assertEqual(m.logout()[0], "BYE")
        # what differs by nature: times, the mailbox's name and its number
        # whether Dovecot has looked into a mailbox yet
        said = re.sub(rb" \\+(Un)?[Mm]arked", b"", repr(said).encode())
        return re.sub(rb"Work\d+|APPENDUID \d+|COPYUID \d+|UIDVALIDITY \d+"
                      rb"|\(\d+\.\d+[\d.+ secs]*\)", b"-", said)

    def test_the_same_as_direct(self):
        direct, *others = [self.job(m) for m in self.ways()]
        self.assertGreater(len(direct), sum(map(len, MESSAGES)))
        for other in others:
            self.assertEqual(other, direct)

    def test_capability_is_asked_again_after_login(self):
        m = imaplib.IMAP4_SSL("127.0.0.1", self.relais.ssl,
                              ssl_context=tls_context())
        before = m.capabilities
        m.login(USER, PASSWORD)
        after = m.capability()[1][0].decode().split()
        m.logout()
        self.assertIn("AUTH=PLAIN", before)
        self.assertNotIn("MOVE", before)
        self.assertIn("MOVE", after)


class Mbsync(Clients):
    CONFIG = """\
IMAPAccount test
Host localhost
Port {port}
User {user}
Pass {password}
AuthMechs {mechanisms}
SSLType {ssl}
CertificateFile {ca}

IMAPStore far
Account test

MaildirStore near
Path {path}/mail/
Inbox {path}/inbox
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Near
Sync Pull
SyncState *
"""

    def pull(self, port, ssl, mechanisms):
        path = folder(self)
        os.mkdir(path + "/mail")
        with open(path + "/rc", "w") as f:
            f.write(self.CONFIG.format(
                port=port, user=USER, password=PASSWORD, ca=CA, ssl=ssl,
                path=path, mechanisms=mechanisms))
        self.command("mbsync", "-c", path + "/rc", "-a",
                     env={**os.environ, "HOME": path})
        found = []
        for top, _, files in os.walk(path):
            if os.path.basename(top) in ("new", "cur"):
                for name in files:
                    with open(os.path.join(top, name), "rb") as f:
                        # mbsync's own mark
                        found.append((os.path.relpath(top, path), re.sub(
                            rb"X-TUID: .*\n", b"", f.read())))
        return sorted(found)

    def test_pull(self):
        direct = self.pull(self.dovecot.port, "None", "LOGIN")
        self.assertEqual(len(direct), len(INBOX + ARCHIVE))
        for port, ssl, mechanisms in (
                (self.relais.ssl, "IMAPS", "LOGIN"),
                (self.relais.ssl, "IMAPS", "PLAIN"),
                (self.relais.starttls, "STARTTLS", "*")):
            with self.subTest(ssl=ssl, mechanisms=mechanisms):
                self.assertEqual(self.pull(port, ssl, mechanisms), direct)


class Fetchmail(Clients):
    def fetch(self, port, options):
        path = folder(self)
        rc = path + "/rc"
        with open(rc, "w") as f:
            f.write("set invisible\npoll localhost service %d protocol IMAP\n"
                    "user %s password %s %s\nfetchall keep no rewrite\n"
                    "mda \"/bin/sh -c 'cat >> %s/mail'\"\n"
                    % (port, USER, PASSWORD, options, path))
        os.chmod(rc, 0o600)
        self.command("fetchmail", "-f", rc, "--pidfile", path + "/pid",
                     env={**os.environ, "FETCHMAILHOME": path, "HOME": path})
        with open(path + "/mail", "rb") as f:
            return f.read()

    def test_fetch(self):
        direct = self.fetch(self.dovecot.port, "sslproto ''")
        self.assertEqual(direct.count(b"Subject: message "), len(INBOX))
        self.assertEqual(self.fetch(
            self.relais.ssl, "ssl sslcertck sslcertfile " + CA), direct)
        self.assertEqual(self.fetch(
            self.relais.starttls, "sslproto 'auto' sslcertck sslcertfile "
            + CA), direct)


class Big(Clients):
    def test_50_megabytes_each_way(self):
        block = hashlib.sha256(b"relais").hexdigest().encode() + b"\r\n"
        big = message(50, block * (50 * 1024 * 1024 // len(block)))
        c = self.connect(self.relais.ssl, True, timeout=120)
        self.assertOK(c.login("bob", "hunter2"))
        self.assertOK(c.cmd("CREATE Big"))
        c.send("a APPEND Big {%d}\r\n" % len(big))
        self.assertTrue(c.line().startswith("+"))
        c.send(big)
        c.send("\r\n")
        self.assertOK(c.answer("a"))
        stored = self.dovecot.messages("bob", ".Big")
        self.assertEqual([len(m) for m in stored], [len(big)])
        self.assertTrue(stored[0] == big, "changed on the way in")
        self.assertOK(c.cmd("SELECT Big"))
        c.send("b FETCH 1 BODY.PEEK[]\r\n")
        while True:
            size = re.search(r"\{(\d+)\}$", c.line())
            if size:
                break
        self.assertTrue(c.read(int(size.group(1))) == big,
                        "changed on the way out")
        self.assertOK(c.answer("b"))

    def test_a_slow_reader(self):
        """Back-pressure: the daemon does not take the whole message in."""
        big = message(51, b"0123456789abcdef" * 1024 * 1024)
        self.dovecot.deliver("bob", big, ".Slow")
        c = self.connect(self.relais.ssl, True)
        self.assertOK(c.login("bob", "hunter2"))
        self.assertOK(c.cmd("SELECT Slow"))
        before = self.memory()
        c.send("b FETCH 1 BODY.PEEK[]\r\n")
        time.sleep(1)           # long enough to swallow 16 MB, if it did
        grown = self.memory() - before
        self.assertLess(grown, 4 * 1024 * harness.SLOW, "KiB")
        while True:
            size = re.search(r"\{(\d+)\}$", c.line())
            if size:
                break
        self.assertTrue(c.read(int(size.group(1))) == big)

    def memory(self):
        return sum(int(harness.proc_status(pid)["VmRSS"].split()[0])
                   for pid in self.relais.pids("worker"))


class Idle(Clients):
    def test_a_new_message_within_a_second(self):
        c = self.connect(self.relais.ssl, True)
        self.assertOK(c.login("bob", "hunter2"))
        self.assertOK(c.cmd("SELECT INBOX"))
        c.send("a IDLE\r\n")
        self.assertTrue(c.line().startswith("+"))
        # Dovecot gathers changes for half a second of its own
        c.sock.settimeout(1.0 * harness.SLOW)
        self.dovecot.deliver("bob", MESSAGES[0])
        while not re.match(r"\* \d+ EXISTS", c.line()):
            pass
        c.send("DONE\r\n")
        self.assertOK(c.answer("a"))


class IdleAtOnce(StandInCase):
    def test_no_delay_of_our_own(self):
        """What the inner server says by itself is there at once."""
        c = self.tls()
        self.assertOK(c.login())
        peers = self.inner.peers()
        self.assertEqual(len(peers), 1)
        began = time.monotonic()
        for n in range(20):
            peers[0].sendall(b"* %d EXISTS\r\n" % n)
            self.assertEqual(c.line(), "* %d EXISTS" % n)
        # 40 ms each would be two small writes that wait for each other
        self.assertLess(time.monotonic() - began, 0.4 * harness.SLOW)


class Programs(TestCase):
    def test_they_are_installed(self):
        for program in ("curl", "mbsync", "fetchmail"):
            self.assertTrue(shutil.which(program), program)


if __name__ == "__main__":
    main()
