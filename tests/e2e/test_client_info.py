# SPDX-License-Identifier: ISC
"""What an inner IMAP or POP3 server is told of the client, by ID and XCLIENT;
what a client says of itself and does not get through; and rings of relays.
SMTP's XCLIENT is test_smtp_introduce's."""

import os

import harness
from case import Pop3Case, StandInCase, TestCase, main
from certs import gateway_pair
from client import Client, Pop3Client
from harness import Relais, free_port
from inner import Dovecot, Pop3Script, Script
from submission import SmtpClient, Submission, sasl_lines

CLIENT = "127.0.0.9"
FORGED = ('ID ("x-originating-ip" "192.0.2.66" "x-originating-port" "1" '
          '"x-connected-ip" "192.0.2.67" "x-connected-port" "2" '
          '"x-session-id" "forged" "x-forward-user" "root" '
          '"X-Originating-IP" "192.0.2.68")')


class RealImap(TestCase):
    """Dovecot's log has the client, by ID."""

    daemon = harness.IMAPSD
    kind = Client
    word = "imap"
    trusted = "login_trusted_networks = 127.0.0.1"
    seen_as = CLIENT

    @classmethod
    def setUpClass(cls):
        cls.dovecot = Dovecot(cls, more=cls.trusted)
        port = cls.dovecot.port if cls.word == "imap" else \
            cls.dovecot.pop3_port
        cls.relais = harness.Gateway(cls, port, daemon=cls.daemon)

    def forge(self, c):
        self.assertOK(c.cmd(FORGED))

    def login(self, c):
        self.assertOK(c.login("bob", "hunter2"))

    def test_log(self):
        c = self.connect(self.relais.ssl, True, source=CLIENT)
        self.forge(c)
        self.login(c)
        found = harness.wait_for(
            lambda: [line for line in self.dovecot.story().splitlines()
                     if self.word + "-login: Info: Login: user=<bob>" in line],
            what="Dovecot's line")
        for line in found:
            self.assertIn("rip=%s," % self.seen_as, line)
        self.assertNotIn("192.0.2.6", self.dovecot.story())
        self.assertNotIn("forged", self.dovecot.story())


class RealImapThatTrustsNobody(RealImap):
    """It is told, and does not believe it."""

    trusted = ""
    seen_as = "127.0.0.1"


class RealPop3(RealImap):
    """By XCLIENT."""

    daemon = harness.POP3SD
    kind = Pop3Client
    word = "pop3"

    def forge(self, c):
        self.assertRegex(c.cmd("XCLIENT ADDR=192.0.2.66 PORT=1"), "^-ERR")

    def login(self, c):
        self.assertRegex(c.login("bob", "hunter2"), r"^\+OK")


class RealPop3ThatTrustsNobody(RealPop3):
    trusted = ""
    seen_as = "127.0.0.1"


class ImapDialogue(StandInCase):
    """A stand-in tells in which order."""

    script = Script(capability=Script.capability + " ID")

    def heard(self):
        return [line.decode() for line in self.inner.lines
                if not line.endswith((b"CAPABILITY", b"LOGOUT"))]

    def user(self):
        c = self.connect(self.relais.ssl, True, source=CLIENT)
        self.inner.lines.clear()
        return c

    def id_line(self, c, ttl=4):
        return ('r1 ID ("x-originating-ip" "%s" "x-originating-port" "%d" '
                '"x-connected-ip" "127.0.0.1" "x-connected-port" "%d" '
                '"x-proxy-ttl" "%d")' % (CLIENT, c.sock.getsockname()[1],
                                         self.relais.ssl, ttl))

    def test_order(self):
        c = self.user()
        self.assertOK(c.cmd(FORGED))
        self.assertOK(c.login())
        self.assertEqual(self.heard(), [
            self.id_line(c), 'r2 LOGIN "alice" "secret"'])

    def test_refused(self):
        """With NO or BAD: the login goes on, and the log tells."""
        for status in "NO", "BAD":
            mark = self.relais.mark()
            self.inner.script = Refuses(capability=self.script.capability)
            self.inner.script.status = status
            self.assertOK(self.user().login())
            self.relais.wait_log(r"inner server 127\.0\.0\.1: ID refused: "
                                 "not you", mark)

    def test_answered(self):
        """By a list that is nobody's business."""
        self.inner.script = Tells(capability=self.script.capability)
        c = self.user()
        reply = c.login()
        self.assertOK(reply)
        self.assertEqual(reply.untagged, [])

    def test_not_offered(self):
        self.inner.script = Script()
        self.assertOK(self.user().login())
        self.assertEqual(self.heard(), ['r1 LOGIN "alice" "secret"'])

    def test_hops(self):
        """Fewer than ours are taken from anybody, more from nobody."""
        for said, told in ("2", 1), ("5", 4), ("9", 4), ("-1", 4), (
                "99999999999999999999", 4):
            c = self.user()
            self.assertOK(c.cmd('ID ("X-Proxy-TTL" "%s")' % said))
            self.assertOK(c.login())
            self.assertEqual(self.heard()[0], self.id_line(c, told))
        for said in "1", "0":
            mark = self.relais.mark()
            c = self.user()
            self.assertOK(c.cmd('ID ("x-proxy-ttl" "%s")' % said))
            self.assertNO(c.login(), "UNAVAILABLE")
            self.assertEqual(self.heard(), [])
            self.relais.wait_log("failed: Too many hops", mark)


    def test_hops_in_clear(self):
        """What came before STARTTLS may be anybody's, and is forgotten."""
        c = self.connect(self.relais.starttls)
        self.assertOK(c.cmd('ID ("x-proxy-ttl" "1")'))
        c.starttls()
        self.inner.lines.clear()
        self.assertOK(c.login())
        self.assertIn('"x-proxy-ttl" "4")', self.heard()[0])


class Refuses(Script):
    status = "NO"

    def command(self, peer, tag, word, text):
        if word == "ID":
            peer.send("%s %s not you\r\n" % (tag, self.status))
            return True
        return super().command(peer, tag, word, text)


class Tells(Script):
    def command(self, peer, tag, word, text):
        if word == "ID":
            peer.send('* ID ("name" "stand-in")\r\n')
        return super().command(peer, tag, word, text)


class ImapSilent(ImapDialogue):
    """outgoing_client_info no"""

    lines = ("outgoing_client_info no",)
    test_order = test_refused = test_answered = None
    test_hops = test_hops_in_clear = None

    def test_not_offered(self):
        self.assertOK(self.user().login())
        self.assertEqual(self.heard(), ['r1 LOGIN "alice" "secret"'])


class Pop3Dialogue(Pop3Case):
    greeting = "+OK [XCLIENT] stand-in\r\n"
    script = Pop3Script(greeting=greeting)

    def user(self):
        c = self.connect(self.relais.ssl, True, source=CLIENT)
        self.inner.lines.clear()
        return c

    def heard(self):
        """But for a worker's lesson: a list that changed is asked twice."""
        lines = [line.decode() for line in self.inner.lines]
        while "QUIT" in lines[1:2]:
            del lines[:2]
        return lines

    def test_order(self):
        mark = self.relais.mark()
        c = self.user()
        self.assertNo(c.cmd("XCLIENT ADDR=192.0.2.66"))
        self.assertYes(c.login())
        told = "XCLIENT ADDR=%s PORT=%d TTL=4" % (
            CLIENT, c.sock.getsockname()[1])
        self.assertEqual(self.heard(), ["CAPA", told, "USER alice",
                                        "PASS secret"])
        # this stand-in knows no such thing, and the login has gone on
        self.relais.wait_log(r"inner server 127\.0\.0\.1: XCLIENT refused: "
                             "what", mark)

    def test_listed(self):
        self.inner.script = Pop3Script(
            capability=Pop3Script.capability + ("XCLIENT",))
        c = self.user()
        self.assertYes(c.login())
        self.assertRegex(self.heard()[1], "^XCLIENT ADDR=%s " % CLIENT)

    def test_not_offered(self):
        self.inner.script = Pop3Script()
        self.assertYes(self.user().login())
        self.assertEqual(self.heard(), ["CAPA", "USER alice", "PASS secret"])


class SmtpRefuses(Submission):
    def test_refused(self):
        for c in self.tls(), self.user():
            c.ehlo()
            for line in "XCLIENT ADDR=192.0.2.66", \
                    "XFORWARD ADDR=192.0.2.66 NAME=forged":
                self.assertEqual(c.cmd(line)[0] // 100, 5)
        self.assertEqual(self.told("X"), [])


class ImapRing(TestCase):
    """Two that are each other's inner server."""

    daemon = harness.IMAPSD
    kind = Client
    more = ()

    def setUp(self):
        ports = free_port(), free_port()
        pair = gateway_pair()
        self.ring = [Relais(
            self, "\n".join((
                "listen 127.0.0.1:%d plain" % own,
                "outgoing_server 127.0.0.1:%d" % other,
                "ssl_cert_file " + pair.cert, "ssl_key_file " + pair.key,
                *self.more, *self.sasl())) + "\n",
            daemon=self.daemon, ports=(own,), workers=1)
            for own, other in (ports, ports[::-1])]
        self.port = ports[0]

    def sasl(self):
        return ()

    def mail(self, c):
        self.assertNO(c.login(), "UNAVAILABLE")

    def attempts(self):
        return sum("Auth:" in line and "alice" in line
                   for r in self.ring for line in r.log())

    def test_ends(self):
        c = self.connect(self.port, source=CLIENT)
        self.mail(c)
        found = harness.wait_for(
            lambda: [line for r in self.ring for line in r.log()
                     if "do they lead in a ring?" in line],
            what="a word on it")
        self.assertEqual(len(found), 1)
        harness.wait_for(lambda: self.attempts() >= 5, what="all logins")
        self.assertEqual(self.attempts(), 5)


class Pop3Ring(ImapRing):
    """By the PROXY header: the clients are those that it names."""

    daemon = harness.POP3SD
    kind = Pop3Client
    more = ("outgoing_proxy_protocol v2", "proxy_protocol_from 127.0.0.1")

    def mail(self, c):
        self.assertRegex(c.login(), r"^-ERR \[SYS/TEMP\]")


class SmtpRing(ImapRing):
    """The same, where each is a user of the other."""

    daemon = harness.SMTPSD
    kind = SmtpClient
    more = ("outgoing_proxy_protocol v2", "proxy_protocol_from 127.0.0.1",
            "peername_lookup no", "outgoing_user alice")

    def sasl(self):
        path = os.path.join(harness.folder(self), "password")
        with open(path, "w") as f:
            f.write("secret\n")
        os.chmod(path, 0o600)
        return (*sasl_lines(self), "outgoing_password_file " + path)

    def mail(self, c):
        c.ehlo()
        self.assertEqual(c.login()[0], 235)
        code, texts = c.cmd("MAIL FROM:<a@example.org>")
        self.assertEqual((code, texts[0][:5]), (451, "4.4.1"))

    def attempts(self):
        return sum("connect from unknown[%s]" % CLIENT in line and
                   "disconnect" not in line
                   for r in self.ring for line in r.log())


if __name__ == "__main__":
    main()
