# SPDX-License-Identifier: ISC
"""What an inner server is told of the client and of us: XCLIENT, XFORWARD,
and a login of the gateway's own."""

import os
import ssl

import harness
from case import TestCase, main, needs_root
from certs import certificates
from client import b64, plain_message
from inner import StandIn
from postfix import Postfix
from submission import SmtpScript, Submission, sasl_lines

XCLIENT = "XCLIENT NAME ADDR PROTO HELO REVERSE_NAME PORT LOGIN DESTADDR " \
          "DESTPORT"
XFORWARD = "XFORWARD NAME ADDR PROTO HELO SOURCE PORT IDENT"


class Dialogue(Submission):
    """A stand-in tells in which order, word by word."""

    script = SmtpScript(keywords=("PIPELINING", XCLIENT, XFORWARD))

    def heard(self):
        return [line.decode() for line in self.inner.lines]

    def begin(self, name="client.example.net"):
        """The inner server hears MAIL; what it heard, the lessons not."""
        c = self.tls(source="127.0.0.9")
        c.ehlo(name)
        self.assertReply(c.login(), 235)
        self.inner.lines.clear()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.port = c.sock.getsockname()[1]
        return c

    def test_xclient(self):
        self.begin()
        self.assertEqual(self.heard(), [
            "EHLO gw.example.org",
            "XCLIENT NAME=[UNAVAILABLE] PORT=%d PROTO=ESMTP "
            "HELO=client.example.net LOGIN=alice@example.org "
            "DESTADDR=127.0.0.1 DESTPORT=%d ADDR=127.0.0.9" % (
                self.port, self.relais.ssl),
            "EHLO client.example.net",
            "MAIL FROM:<a@example.org>"])

    def test_split(self):
        """A name of 255 octets that is xtext of more."""
        name = "=" * 160
        self.begin(name)
        told = self.told("XCLIENT")
        self.assertEqual(len(told), 3)
        self.assertEqual(told[1], "XCLIENT HELO=" + "+3D" * 160)
        self.assertRegex(told[2], "^XCLIENT LOGIN=.* ADDR=127.0.0.9$")
        self.assertEqual(self.told("EHLO")[-1], "EHLO " + name)

    def test_strange_name(self):
        """One that the inner server does not take: then it is ours."""
        self.inner.script = Picky(keywords=self.script.keywords)
        self.begin("strange_name")
        self.assertEqual(self.told("EHLO"), [
            "EHLO gw.example.org", "EHLO strange_name",
            "EHLO gw.example.org"])

    def test_refused(self):
        """Not fatal: XFORWARD is next, once for each message."""
        mark = self.relais.mark()
        self.inner.script = SmtpScript(
            keywords=self.script.keywords,
            replies={"XCLIENT": "550 5.7.0 not you"})
        c = self.begin()
        forward = (
            "XFORWARD NAME=[UNAVAILABLE] PORT=%d PROTO=ESMTP "
            "HELO=client.example.net SOURCE=REMOTE ADDR=127.0.0.9" %
            self.port)
        self.assertEqual(self.heard()[2:],
                         [forward, "MAIL FROM:<a@example.org>"])
        self.relais.wait_log(r"inner server 127\.0\.0\.1: XCLIENT refused: "
                             r"550 5\.7\.0 not you", mark)
        self.assertReply(c.cmd("RSET"), 250)
        self.assertReply(c.cmd("MAIL FROM:<b@example.org>"), 250)
        self.assertEqual(self.heard()[-2:],
                         [forward, "MAIL FROM:<b@example.org>"])

    def test_xforward_refused(self):
        """Once is enough."""
        mark = self.relais.mark()
        self.inner.script = SmtpScript(
            keywords=(XFORWARD,), replies={"XFORWARD": "550 5.7.0 not you"})
        c = self.begin()
        self.assertReply(c.cmd("RSET"), 250)
        self.assertReply(c.cmd("MAIL FROM:<b@example.org>"), 250)
        self.assertEqual(len(self.told("XFORWARD")), 1)
        self.relais.wait_log("XFORWARD refused: 550 5.7.0 not you", mark)

    def test_lost(self):
        """421, or an end, or nonsense: no MAIL without an inner server."""
        for verb in "XCLIENT", "XFORWARD":
            for reply in "421 4.3.2 bye", "334 what", lambda *_: None:
                with self.subTest(verb, reply=reply):
                    self.inner.script = SmtpScript(
                        keywords=(verb + " ADDR",), replies={verb: reply})
                    c = self.user()
                    self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 451,
                                     "4.4.1")
                    self.assertReply(c.cmd("NOOP"), 250)


class Picky(SmtpScript):
    def run(self, peer, verb, line):
        if verb == "EHLO" and "_" in line:
            return "501 5.5.4 no such name"
        return super().run(peer, verb, line)


class Silent(Submission):
    lines = ("outgoing_client_info no",)
    script = SmtpScript(keywords=(XCLIENT, XFORWARD))

    def test_off(self):
        self.assertReply(self.user().cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertEqual(self.told("X"), [])


class Login(SmtpScript):
    """AUTH, with what the mechanism asks for.  heard: what it was told."""

    answer_to_login = "235 2.7.0 yes"
    heard = ()

    def run(self, peer, verb, line):
        if verb != "AUTH":
            return super().run(peer, verb, line)
        self.heard = [line]
        for prompt in {"AUTH PLAIN": [""], "AUTH LOGIN": [
                "VXNlcm5hbWU6", "UGFzc3dvcmQ6"]}[line]:
            peer.send("334 %s\r\n" % prompt)
            self.heard.append(peer.line())
        return self.answer_to_login


def secret(case, text="sesame and more\nbehind it\n"):
    path = os.path.join(harness.folder(case), "password")
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)
    return path


class OwnLogin(Submission):
    script = Login(keywords=("AUTH CRAM-MD5 LOGIN PLAIN",))

    @classmethod
    def setUpClass(cls):
        cls.lines = ("outgoing_user gateway",
                     "outgoing_password_file " + secret(cls))
        super().setUpClass()

    def mail(self):
        c = self.user()
        self.inner.lines.clear()
        return c.cmd("MAIL FROM:<a@example.org>")

    def test_plain(self):
        self.assertReply(self.mail(), 250)
        self.assertEqual(self.inner.script.heard, [
            "AUTH PLAIN", plain_message("gateway", "sesame and more")])
        self.assertEqual(len(self.told("EHLO")), 1)

    def test_login(self):
        for entry in "AUTH LOGIN CRAM-MD5", "AUTH=LOGIN":
            self.inner.script = Login(keywords=(entry,))
            self.assertReply(self.mail(), 250)
            self.assertEqual(self.inner.script.heard, [
                "AUTH LOGIN", b64("gateway"), b64("sesame and more")])

    def test_refused(self):
        mark = self.relais.mark()
        for reply in ("535 5.7.8 who are you", "454 4.7.0 not now",
                      "334 more"):
            self.inner.script = Login(keywords=self.script.keywords,
                                      answer_to_login=reply)
            self.assertReply(self.mail(), 451, "4.4.1")
            self.assertEqual(self.told("MAIL"), [])
        self.relais.wait_log(r"inner server 127\.0\.0\.1: outgoing_user "
                             r"refused: 535 5\.7\.8 who are you", mark)
        self.assertNotIn("sesame", self.relais.story())

    def test_not_offered(self):
        mark = self.relais.mark()
        self.inner.script = SmtpScript(keywords=("AUTH CRAM-MD5",))
        self.assertReply(self.mail(), 451, "4.4.1")
        self.relais.wait_log("no AUTH PLAIN or LOGIN offered", mark)

    def test_behind_xclient(self):
        """Where the user's login is known, ours is not said."""
        for names, login in ("ADDR", True), ("ADDR LOGIN", False):
            self.inner.script = Login(
                keywords=("AUTH PLAIN", "XCLIENT " + names))
            self.assertReply(self.mail(), 250)
            # without EHLO: a worker may learn the new list beside it
            self.assertEqual(
                [l.split(b" ")[0] for l in self.inner.lines
                 if l[:4] not in (b"EHLO", b"QUIT")],
                [b"XCLIENT"] + [
                    b"AUTH", plain_message(
                        "gateway", "sesame and more").encode()] * login +
                [b"MAIL"])


class BehindTls(Submission):
    """Nothing of it is said before TLS is up."""

    @classmethod
    def setUpClass(cls):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificates().make("127.0.0.1"))
        cls.script = Login(keywords=("AUTH LOGIN", "XCLIENT ADDR"),
                           starttls=context)
        cls.lines = ("outgoing_user gateway", "ssl_mode tls_outgoing_force",
                     "ssl_ca_file " + certificates().ca.cert,
                     "outgoing_password_file " + secret(cls))
        super().setUpClass()

    def test_order(self):
        c = self.user()
        self.inner.lines.clear()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertEqual(
            [line.decode().split(" ")[0] for line in self.inner.lines],
            ["EHLO", "STARTTLS", "EHLO", "XCLIENT", "EHLO", "AUTH",
             b64("gateway"), b64("sesame and more"), "MAIL"])


class NextServer(Submission):
    """One that refuses our login is passed over."""

    @classmethod
    def setUpClass(cls):
        cls.bad = StandIn(cls, Login(keywords=("AUTH PLAIN",),
                                     answer_to_login="535 5.7.8 no"))
        cls.inner = StandIn(cls, Login(keywords=("AUTH PLAIN",)))
        cls.script = cls.inner.script
        cls.inner.messages = []
        cls.relais = harness.Gateway(
            cls, [cls.bad.port, cls.inner.port], *sasl_lines(cls),
            "outgoing_user gateway", "outgoing_password_file " + secret(cls),
            daemon=harness.SMTPSD)

    def test_next(self):
        for _ in range(2):      # whichever's turn it is
            self.assertReply(self.user().cmd("MAIL FROM:<a@example.org>"),
                             250)
        self.assertFalse([l for l in self.bad.lines if b"MAIL" in l])


class Configuration(TestCase):
    CLEAR = "the password of outgoing_user goes to inner servers in clear"

    def check(self, *lines, server="192.0.2.1"):
        path = os.path.join(harness.folder(self), "smtpsd.conf")
        pair = harness.gateway_pair()
        with open(path, "w") as f:
            f.write("\n".join((
                "listen 127.0.0.1:%d ssl" % harness.free_port(),
                "outgoing_server " + server, "ssl_cert_file " + pair.cert,
                "ssl_key_file " + pair.key, *lines)) + "\n")
        return harness.run_smtpsd("-f", path, "--check_config", "-F", "+")

    def test_together(self):
        for line in "outgoing_user x", "outgoing_password_file /dev/null":
            status, text = self.check(line)
            self.assertNotEqual(status, 0)
            self.assertIn("go together", text)

    def test_file(self):
        for content, mode, word in (
                ("x\n", 0o644, "has mode 0644"), ("", 0o600, "is empty"),
                ("x\n", 0o600, self.CLEAR)):
            path = secret(self, content)
            os.chmod(path, mode)
            _, text = self.check("outgoing_user gateway",
                                 "outgoing_password_file " + path)
            self.assertIn(word, text)

    def test_safe(self):
        lines = ("outgoing_user gateway",
                 "outgoing_password_file " + secret(self))
        for server, mode in (("127.0.0.1", "ssl_listen"),
                             ("192.0.2.1", "ssl_outgoing"),
                             ("192.0.2.1", "tls_outgoing_force")):
            _, text = self.check(*lines, "ssl_mode " + mode, server=server)
            self.assertNotIn(self.CLEAR, text)

    def test_no_password(self):
        """An empty line is none, and smtpsd does not start."""
        path = secret(self, "\nx\n")
        with self.assertRaisesRegex(AssertionError, "first line is empty"):
            harness.Gateway(self, harness.free_port(), *sasl_lines(self),
                            "outgoing_user gateway",
                            "outgoing_password_file " + path,
                            daemon=harness.SMTPSD)


@needs_root
class RealPostfix(Submission):
    """Its log has the client, and its rules see the login."""

    more = """
smtpd_authorized_xclient_hosts = 127.0.0.0/8
smtpd_sasl_auth_enable = yes
smtpd_relay_restrictions = permit_sasl_authenticated, reject
"""
    logged = (r"client=unknown\[127\.0\.0\.9\], sasl_method=XCLIENT, "
              r"sasl_username=alice@example\.org")

    @classmethod
    def setUpClass(cls):
        cls.postfix = Postfix(cls, cls.more)
        cls.relais = harness.Gateway(cls, cls.postfix.port, *sasl_lines(cls),
                                     daemon=harness.SMTPSD)

    def setUp(self):
        pass

    def tearDown(self):
        pass

    def test_log(self):
        c = self.tls(source="127.0.0.9")
        c.ehlo("roaming.example.net")
        self.assertReply(c.login(), 235)
        c.begin("b@example.net")
        self.assertReply(c.message(b"Subject: x\r\n\r\n"), 250)
        harness.wait_for(self.postfix.messages, what="the message")
        self.assertRegex(self.postfix.log(), self.logged)


class RealPostfixForLog(RealPostfix):
    """XFORWARD."""

    more = "smtpd_authorized_xforward_hosts = 127.0.0.0/8"
    logged = (r"client=unknown\[127\.0\.0\.1\], "
              r"orig_client=unknown\[127\.0\.0\.9\]")


if __name__ == "__main__":
    main()
