# SPDX-License-Identifier: ISC
"""What smtpsd holds in memory: little of a message, and a password nowhere
once it has been checked.  And who waits for a silent saslauthd."""

import base64
import hashlib
import hmac
import os
import re

import harness
from case import main, needs_root, not_sanitized, timed
from client import b64, plain_message
from inner import StandIn
from saslauthd import Mux, folder_in
from submission import SmtpScript, Submission, make_user

MIB = 1 << 20
LARGE = 1 << 30                 # octets of the large message
CHUNK = b"".join(b"%075d\r\n" % i for i in range(MIB // 77))


class Sink(SmtpScript):
    """Counts and hashes what follows the first empty line."""

    keywords = ("SIZE 0", "8BITMIME")

    def data(self, peer, reply):
        peer.send(reply + "\r\n")
        while b"\r\n\r\n" not in peer.buffer:
            peer.buffer += peer.sock.recv(65536)
        octets = bytes(peer.buffer).partition(b"\r\n\r\n")[2]
        peer.buffer.clear()
        digest, count, tail = hashlib.sha256(), 0, b""
        while True:
            octets = tail + octets
            if octets.endswith(b"\r\n.\r\n"):
                break
            tail = octets[-5:]
            digest.update(octets[:-5])
            count += len(octets[:-5])
            octets = peer.sock.recv(MIB)
            if not octets:
                raise EOFError
        digest.update(octets[:-3])
        peer.server.messages.append(
            (count + len(octets) - 3, digest.hexdigest()))
        return "250 2.0.0 Ok: queued as 4711"


@needs_root
@not_sanitized
class Large(Submission):
    """Constant memory whatever the message's size."""

    script = Sink()
    lines = ("message_size_limit 0",)

    def private(self):
        """Octets that the workers have to themselves."""
        return sum(1024 * int(n) for pid in self.relais.pids("worker")
                   for n in re.findall(r"Private_Dirty: +(\d+) kB",
                                       harness.proc_read(
                                           pid, "smaps_rollup")))

    def test_large(self):
        c = self.user(timeout=60)
        c.begin()
        c.send(b"Subject: large\r\n\r\n" + CHUNK)
        before, most = self.private(), 0
        digest = hashlib.sha256(CHUNK)
        count = LARGE // len(CHUNK)
        for i in range(1, count):
            c.send(CHUNK)
            digest.update(CHUNK)
            if i % 64 == 0:
                most = max(most, self.private())
        self.assertReply(c.message(b""), 250)
        self.assertEqual(self.inner.messages,
                         [(count * len(CHUNK), digest.hexdigest())])
        self.assertLess(most - before, MIB)


class Checked(Submission):
    """PLAIN and LOGIN are checked by saslauthd, CRAM-MD5 by a sasldb."""

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.inner.messages = []
        path = harness.folder(cls)
        with open(os.path.join(path, "smtpd.conf"), "w") as f:
            f.write("pwcheck_method: saslauthd\nauxprop_plugin: sasldb\n"
                    "mech_list: PLAIN LOGIN CRAM-MD5\n")
        db = os.path.join(path, "sasldb2")
        make_user(db, "alice", "secret")
        cls.relais = harness.Gateway(
            cls, cls.inner.port, "hostname gw.example.org",
            "sasl_config_path " + path, "sasldb_path " + db,
            "sasl_local_domain example.org", daemon=harness.SMTPSD)

    def setUp(self):
        super().setUp()
        self.mux = Mux(self, folder_in(self.relais.spool),
                       {"alice": "secret"}, silent=("hang",))

    def hang(self, password, *lines):
        """A client whose password is being checked, without end."""
        c = self.tls()
        c.ehlo()
        *first, last = lines or ("AUTH PLAIN " + plain_message(
            "hang", password),)
        for line in first:
            self.assertReply(c.cmd(line), 334)
        c.send(last + "\r\n")
        return c

    def held(self, count):
        harness.wait_for(lambda: len(self.mux.held) == count, 5,
                         "%d held checks" % count)


@needs_root
class Silent(Checked):
    def cram(self):
        """A login by CRAM-MD5 (RFC 2195)."""
        c = self.tls()
        c.ehlo()
        code, (text,) = c.cmd("AUTH CRAM-MD5")
        self.assertEqual(code, 334)
        proof = hmac.new(b"secret", base64.b64decode(text), "md5")
        self.assertReply(c.cmd(b64("alice " + proof.hexdigest())), 235)

    def test_others_are_not_delayed(self):
        for _ in range(3):
            self.hang("secret")
        self.held(3)
        for _ in range(5):
            self.assertLess(timed(self.cram)[1], 1 * harness.SLOW)
            _, seconds = timed(self.user)
            self.assertLess(seconds, 1 * harness.SLOW)


@needs_root
@not_sanitized
class Password(Checked):
    """It is where it must be while it is checked, and then nowhere."""

    def holders(self, password):
        """{role} of the processes in which it is, in any of its forms."""
        forms = [password.encode(), b64(password).encode(),
                 plain_message("hang", password).encode()]
        return {role for pid, (role, _) in self.relais.processes().items()
                for part in harness.memory(pid)
                if any(form in part for form in forms)}

    def check(self, password, verdict, code, *lines):
        c = self.hang(password, *lines)
        self.held(1)
        self.assertLessEqual(self.holders(password),
                             {"worker", "authenticator"})
        self.assertIn("authenticator", self.holders(password))
        with self.mux.held.pop() as asked:
            asked.sendall(verdict)
        self.assertReply(c.reply(), code)
        self.assertEqual(self.holders(password), set())

    def test_password(self):
        for name, verdict, code in (("right", b"\0\2OK", 235),
                                    ("wrong", b"\0\2NO", 535)):
            password = "Only-%s-once-" % name + os.urandom(4).hex()
            for how, lines in (
                    ("plain initial", ()),
                    ("plain", ("AUTH PLAIN",
                               plain_message("hang", password))),
                    ("login", ("AUTH LOGIN", b64("hang"), b64(password))),
                    ("login initial", ("AUTH LOGIN " + b64("hang"),
                                       b64(password)))):
                with self.subTest(how, password=name):
                    self.check(password, verdict, code, *lines)


if __name__ == "__main__":
    main()
