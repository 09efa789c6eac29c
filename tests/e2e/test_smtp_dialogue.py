# SPDX-License-Identifier: ISC
"""smtpsd's dialogue with a client: greeting, EHLO, STARTTLS, AUTH, what is
refused, and in which words."""

import smtplib
import time

from case import main
from client import b64, plain_message, tls_context
from submission import SmtpScript, Submission


class Dialogue(Submission):
    def test_greeting(self):
        self.assertReply(self.tls().greeting, 220)
        self.assertEqual(self.tls().greeting[1][0], "gw.example.org ESMTP")

    def test_ehlo_inside_tls(self):
        self.assertEqual(
            set(self.tls().ehlo()),
            {"PIPELINING", "SIZE 10240000", "8BITMIME", "SMTPUTF8", "DSN",
             "CHUNKING", "BINARYMIME", "ENHANCEDSTATUSCODES",
             "LIMITS RCPTMAX=1000", "AUTH PLAIN LOGIN"})

    def test_ehlo_in_one_record(self):
        c = self.tls()
        c.send("EHLO client.example.net\r\n")
        # Octets of one record at most, whatever has come.
        reply = c.sock.recv(65536).decode()
        self.assertRegex(reply, r"^250-gw\.example\.org\r\n(250-.*\r\n)+"
                                r"250 .*\r\n$")

    def test_ehlo_before_starttls(self):
        c = self.connect(self.relais.starttls)
        words = c.ehlo()
        self.assertIn("STARTTLS", words)
        self.assertFalse([w for w in words if w.startswith("AUTH")], words)
        c.starttls()
        words = c.ehlo()
        self.assertNotIn("STARTTLS", words)
        self.assertIn("AUTH PLAIN LOGIN", words)
        self.assertReply(c.login(), 235, "2.7.0")

    def test_plain_listener(self):
        """It was configured to take credentials in the clear."""
        c = self.connect(self.relais.plain)
        words = c.ehlo()
        self.assertIn("AUTH PLAIN LOGIN", words)
        self.assertNotIn("STARTTLS", words)
        self.assertReply(c.login(), 235, "2.7.0")
        self.assertReply(c.cmd("STARTTLS"), 502, "5.5.1")

    def test_auth_before_starttls(self):
        c = self.connect(self.relais.starttls)
        c.ehlo()
        self.assertReply(c.login(), 530, "5.7.0")
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 530, "5.7.0")

    def test_starttls_twice(self):
        c = self.connect(self.relais.starttls)
        c.starttls()
        self.assertReply(c.cmd("STARTTLS"), 554, "5.5.1")
        self.assertReply(self.tls().cmd("STARTTLS"), 554, "5.5.1")

    def test_starttls_forgets(self):
        """What was said before TLS is not known after it."""
        c = self.connect(self.relais.starttls)
        c.ehlo("before.example.net")
        c.starttls()
        self.assertReply(c.login(), 235)
        c.begin()
        self.assertReply(c.message(b"\r\n"), 250)
        self.assertNotIn(b"before", self.inner.messages[0].octets)

    def test_behind_starttls(self):
        mark = self.relais.mark()
        c = self.connect(self.relais.starttls)
        c.send("STARTTLS\r\nEHLO injected.example.net\r\n")
        self.assertReply(c.reply(), 554, "5.5.0")
        self.assertEqual(c.rest(), "")
        self.relais.wait_log(r"improper command pipelining after STARTTLS "
                             r"from unknown\[127\.0\.0\.1\]", mark)

    def test_commands(self):
        c = self.user()
        for line, code, status in (
                ("NOOP", 250, "2.0.0"), ("NOOP ignored", 250, "2.0.0"),
                ("RSET", 250, "2.0.0"), ("RSET x", 501, "5.5.4"),
                ("VRFY a", 252, "2.0.0"), ("VRFY", 501, "5.5.4"),
                ("EXPN list", 500, "5.5.2"), ("TURN", 500, "5.5.2"),
                ("ETRN example.org", 554, "5.7.1"),
                ("XCLIENT ADDR=192.0.2.1", 550, "5.7.0"),
                ("XFORWARD ADDR=192.0.2.1", 550, "5.7.0"),
                ("BURL imap://x LAST", 500, "5.5.2"),
                ("what is this", 500, "5.5.2"), ("", 500, "5.5.2"),
                ("EHLO", 501, "5.5.4"), ("HELO", 501, "5.5.4"),
                ("RCPT TO:<a@example.org>", 503, "5.5.1"),
                ("DATA", 503, "5.5.1"), ("DATA now", 501, "5.5.4"),
                ("AUTH PLAIN " + plain_message("a", "b"), 503, "5.5.1")):
            with self.subTest(line):
                self.assertReply(c.cmd(line), code, status)
        self.assertReply(c.cmd("QUIT"), 221, "2.0.0")
        self.assertEqual(c.rest(), "")
        self.assertEqual(self.told("X"), [])

    def test_helo(self):
        c = self.tls()
        self.assertEqual(c.cmd("HELO me"), (250, ["gw.example.org"]))

    def test_not_smtp(self):
        for line in "GET / HTTP/1.1", "POST / HTTP/1.1", "CONNECT x:25":
            c = self.tls()
            self.assertReply(c.cmd(line), 221, "2.7.0")
            self.assertEqual(c.rest(), "")

    def test_too_many_errors(self):
        mark = self.relais.mark()
        c = self.tls()
        for _ in range(20):
            self.assertReply(c.cmd("nonsense"), 500, "5.5.2")
        self.assertReply(c.cmd("NOOP"), 421, "4.7.0")
        self.assertEqual(c.rest(), "")
        self.relais.wait_log(r"too many errors after UNKNOWN from", mark)
        self.relais.wait_log(r"disconnect from unknown\[127\.0\.0\.1\] "
                             r"unknown=0/20 commands=0/20", mark)

    def test_long_lines(self):
        c = self.tls()
        self.assertReply(c.cmd("NOOP " + "x" * 3000), 500, "5.5.2")
        self.assertReply(c.cmd("NOOP"), 250)
        c.send("NOOP " + "x" * 20000)
        self.assertReply(c.reply(), 500, "5.5.2")
        self.assertEqual(c.rest(), "")

    def test_bare_line_ends(self):
        for octets in b"NOOP\nNOOP\r\n", b"NOOP\rNOOP\r\n", b"NO\0OP\r\n":
            with self.subTest(octets):
                c = self.tls()
                c.send(octets)
                self.assertReply(c.reply(), 500, "5.5.2")
                self.assertEqual(c.rest(), "")

    def test_smtp_library(self):
        """Python's own client, on both ports."""
        with smtplib.SMTP_SSL("127.0.0.1", self.relais.ssl, timeout=20,
                              context=tls_context_for_address()) as c:
            c.login("alice", "secret")
            c.sendmail("a@example.org", ["b@example.net"], "Subject: 1\n\n1")
        with smtplib.SMTP("127.0.0.1", self.relais.starttls, timeout=20) as c:
            c.starttls(context=tls_context_for_address())
            c.login("bob", "hunter2")
            c.sendmail("a@example.org", ["b@example.net"], "Subject: 2\n\n2")
        self.assertEqual(len(self.inner.messages), 2)


def tls_context_for_address():
    """As the library is given an address, no name can be checked."""
    context = tls_context()
    context.check_hostname = False
    return context


class Auth(Submission):
    mechanisms = "PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256"

    def test_initial_response(self):
        self.assertReply(self.tls().login(), 235, "2.7.0")

    def test_plain_in_two_steps(self):
        c = self.tls()
        self.assertEqual(c.cmd("AUTH PLAIN"), (334, [""]))
        self.assertReply(c.cmd(plain_message("alice", "secret")), 235)

    def test_login(self):
        c = self.tls()
        self.assertEqual(c.cmd("auth login"), (334, ["VXNlcm5hbWU6"]))
        self.assertEqual(c.cmd(b64("alice")), (334, ["UGFzc3dvcmQ6"]))
        self.assertReply(c.cmd(b64("secret")), 235)
        c = self.tls()
        self.assertEqual(c.cmd("AUTH LOGIN " + b64("alice")),
                         (334, ["UGFzc3dvcmQ6"]))
        self.assertReply(c.cmd(b64("secret")), 235)

    def test_with_domain(self):
        self.assertReply(self.tls().login("alice@example.org"), 235)
        self.assertReply(self.tls().login("alice@example.net"), 535, "5.7.8")

    def test_challenge(self):
        with smtplib.SMTP_SSL("127.0.0.1", self.relais.ssl, timeout=20,
                              context=tls_context_for_address()) as c:
            c.ehlo()
            c.user, c.password = "alice", "secret"
            code, _ = c.auth("CRAM-MD5", c.auth_cram_md5)
            self.assertEqual(code, 235)

    def test_wrong_password(self):
        mark = self.relais.mark()
        c = self.tls()
        self.assertReply(c.login("alice", "wrong"), 535, "5.7.8")
        self.relais.wait_log(
            r"warning: unknown\[127\.0\.0\.1\]: SASL PLAIN authentication "
            r"failed: authentication failure, sasl_username=alice", mark)
        self.assertReply(c.login(), 235)
        c.cmd("QUIT")
        self.relais.wait_log(
            r"disconnect from unknown\[127\.0\.0\.1\] auth=1/2 quit=1 "
            r"commands=2/3", mark)

    def test_what_is_no_auth(self):
        for line, code, status in (
                ("AUTH", 501, "5.5.4"), ("AUTH PLAIN a b", 501, "5.5.4"),
                ("AUTH NONESUCH", 535, "5.7.8"),
                ("AUTH ANONYMOUS " + b64("me"), 535, "5.7.8"),
                ("AUTH PLAIN !!!", 535, "5.7.8"),
                ("AUTH " + "X" * 30, 535, "5.7.8"),
                ("AUTH LOGIN !!!", 535, "5.7.8")):
            with self.subTest(line):
                c = self.tls()
                self.assertReply(c.cmd(line), code, status)
                self.assertReply(c.login(), 235)

    def test_cancel(self):
        for mechanism in "PLAIN", "LOGIN", "CRAM-MD5":
            c = self.tls()
            self.assertReply(c.cmd("AUTH " + mechanism), 334)
            self.assertReply(c.cmd("*"), 501, "5.7.0")
            self.assertReply(c.login(), 235)

    def test_responses_of_any_length(self):
        c = self.tls()
        c.cmd("AUTH PLAIN")
        code, _ = c.cmd(b64("\0" + "u" * 6000 + "\0" + "p" * 2000))
        self.assertIn(code, (454, 535))     # as the library has it
        c.cmd("AUTH PLAIN")
        c.send("A" * 13000)
        self.assertReply(c.reply(), 500, "5.5.6")
        self.assertEqual(c.rest(), "")

    def test_twice(self):
        c = self.user()
        self.assertReply(c.login(), 503, "5.5.1")
        c.cmd("MAIL FROM:<a@example.org>")
        code, texts = c.login()
        self.assertEqual((code, texts), (503, [
            "5.5.1 Error: MAIL transaction in progress"]))

    def test_pipelined_behind_auth(self):
        c = self.tls()
        c.send("AUTH PLAIN %s\r\nMAIL FROM:<a@example.org>\r\n" %
               plain_message("alice", "secret"))
        self.assertReply(c.reply(), 554, "5.5.0")
        self.assertEqual(c.rest(), "")
        self.assertEqual(self.told("MAIL"), [])

    def test_many_failures(self):
        """Not before 10, and not after 20."""
        c = self.tls()
        began = time.monotonic()
        for _ in range(10):
            self.assertReply(c.cmd("AUTH PLAIN " + b64("x")), 535)
        self.assertReply(c.login(), 235)
        self.assertLess(time.monotonic() - began, 60)

    def test_no_mail_without(self):
        mark = self.relais.mark()
        c = self.tls()
        c.ehlo("me.example.net")
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 530, "5.7.0")
        self.assertReply(c.cmd("RCPT TO:<b@example.org>"), 503, "5.5.1")
        self.assertReply(c.cmd("DATA"), 503, "5.5.1")
        self.relais.wait_log(
            r"NOQUEUE: reject: MAIL from unknown\[127\.0\.0\.1\]: 530 5\.7\.0",
            mark)


class PlainAlone(Submission):
    mechanisms = "plain"

    def test_login_is_not_allowed(self):
        c = self.tls()
        self.assertIn("AUTH PLAIN", c.cmd("EHLO client.test")[1])
        self.assertReply(
            c.cmd("AUTH LOGIN " + b64("alice")), 535, "5.7.8")
        self.assertReply(c.login(), 235)


class Promise(Submission):
    """smtp_capability and broken_sasl_auth_clients."""

    lines = ('smtp_capability "8BITMIME, AUTH, SIZE 1000, X-OWN"',
             "broken_sasl_auth_clients")

    def test_order(self):
        self.assertEqual(self.tls().ehlo(), [
            "8BITMIME", "AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN", "SIZE 1000",
            "X-OWN"])


class Modest(Submission):
    """An inner server that can do little."""

    script = SmtpScript(keywords=("SIZE 5000", "HELP"))

    def test_less(self):
        self.assertEqual(set(self.tls().ehlo()), {
            "PIPELINING", "SIZE 2952", "LIMITS RCPTMAX=1000",
            "AUTH PLAIN LOGIN"})

    def test_parameters_refused(self):
        c = self.user()
        for params in " BODY=8BITMIME", " SMTPUTF8", " RET=FULL", " X=1":
            self.assertReply(c.cmd("MAIL FROM:<a@example.org>" + params),
                             555, "5.5.4")
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.org> NOTIFY=NEVER"), 555)


if __name__ == "__main__":
    main()
