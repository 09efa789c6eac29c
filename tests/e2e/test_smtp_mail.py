# SPDX-License-Identifier: ISC
"""A mail transaction through smtpsd: what the inner server is told, what the
client hears of it, and what becomes of both when one of them fails."""

import re
import time

import harness
from case import main
from inner import StandIn
from submission import SmtpScript, Submission, sasl_lines


class Mail(Submission):
    def test_whole(self):
        mark = self.relais.mark()
        c = self.user()
        c.begin("b@example.net", "c@example.net",
                params=" SIZE=100 BODY=8BITMIME")
        self.assertEqual(c.message(b"Message-ID: <1@x>\r\n\r\nhello\r\n"),
                         (250, ["2.0.0 Ok: queued as 4711"]))
        self.assertReply(c.cmd("QUIT"), 221)
        m, = self.inner.messages
        self.assertEqual(m.sender, "MAIL FROM:<a@example.org> SIZE=100 "
                         "BODY=8BITMIME")
        self.assertEqual(m.recipients, ["RCPT TO:<b@example.net>",
                                        "RCPT TO:<c@example.net>"])
        self.assertEqual(self.without_received(m.octets),
                         b"Message-ID: <1@x>\r\n\r\nhello\r\n")
        harness.wait_for(lambda: self.told("QUIT"), what="QUIT")
        name = self.relais.wait_log(
            r"([0-9A-F]{18}): message-id=<1@x>", mark).group(1)
        self.relais.wait_log(
            name + r": client=unknown\[127\.0\.0\.1\], "
            r"sasl_method=PLAIN, sasl_username=alice@example\.org", mark)
        self.relais.wait_log(name + r": from=<a@example\.org>, size=28, "
                             r"nrcpt=2 \(queue active\)", mark)
        for who in "bc":
            self.relais.wait_log(
                name + r": to=<%s@example\.net>, relay=127\.0\.0\.1"
                r"\[127\.0\.0\.1\]:%d, delay=\S+, delays=\S+, dsn=2\.0\.0, "
                r"status=sent \(250 2\.0\.0 Ok: queued as 4711\)" % (
                    who, self.inner.port), mark)
        self.relais.wait_log(name + ": removed", mark)

    def test_several(self):
        """One inner connection serves them all."""
        before = self.inner.connections
        c = self.user()
        for i in range(3):
            c.begin("b%d@example.net" % i)
            self.assertReply(c.message(b"%d\r\n" % i), 250)
        self.assertEqual(len(self.inner.messages), 3)
        self.assertEqual(self.inner.connections, before + 1)

    def test_null_sender_and_rset(self):
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<>"), 250)
        self.assertReply(c.cmd("RSET"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 503, "5.5.1")
        self.assertEqual(self.told("MAIL"), ["MAIL FROM:<>"])
        self.assertEqual(self.told("RSET"), ["RSET"])

    def test_ehlo_within(self):
        """It ends the transaction, and the inner server hears of that."""
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        c.ehlo()
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 503)
        self.assertReply(c.cmd("MAIL FROM:<c@example.org>"), 250)
        self.assertEqual([l.split()[0] for l in map(
            bytes.decode, self.inner.lines) if l[:4] not in ("EHLO", "XCLI")],
            ["MAIL", "RSET", "MAIL"])

    def test_nested(self):
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("MAIL FROM:<b@example.org>"), 503, "5.5.1")
        self.assertReply(c.cmd("DATA"), 554, "5.5.1")

    def test_syntax(self):
        c = self.user()
        for line, code, status in (
                ("MAIL", 501, "5.1.7"), ("MAIL a@b", 501, "5.1.7"),
                ("MAIL FROM:<a@b", 501, "5.1.7"),
                ("MAIL FROM:<a@b> SIZE=x", 501, "5.5.4"),
                ("MAIL FROM:<a@b> SIZE=99999999", 552, "5.3.4"),
                ("MAIL FROM:<a@b> =", 501, "5.5.4"),
                ("MAIL FROM:<a@b> X=1", 555, "5.5.4"),
                ("MAIL FROM:<\u00e9@example.org>", 553, "5.6.7")):
            with self.subTest(line):
                self.assertReply(c.cmd(line), code, status)
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("RCPT TO:<>"), 501, "5.1.3")
        self.assertReply(c.cmd("RCPT TO:<b@example.net> SIZE=1"), 555)
        self.assertEqual(len(self.told("MAIL")), 1)
        self.assertEqual(self.told("RCPT"), [])

    def test_parameters(self):
        """Verbatim, but for AUTH."""
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<\u00e9@example.org> SMTPUTF8 "
                               "RET=HDRS  AUTH=<> ENVID=q+2B"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net> NOTIFY=NEVER "
                               "ORCPT=rfc822;b@example.net"), 250)
        self.assertEqual(self.told("MAIL"), [
            "MAIL FROM:<\u00e9@example.org> SMTPUTF8 RET=HDRS ENVID=q+2B"])
        self.assertEqual(self.told("RCPT"), [
            "RCPT TO:<b@example.net> NOTIFY=NEVER "
            "ORCPT=rfc822;b@example.net"])

    def test_pipelining(self):
        """Replies come in the order of the commands, whoever gives them."""
        self.inner.script = SmtpScript(replies={
            "RCPT": lambda _, line: "550 5.1.1 no such" if "bad" in line
            else "250 2.1.5 Ok"})
        c = self.user()
        c.send("MAIL FROM:<a@example.org>\r\n"
               "RCPT TO:<1@example.net>\r\n"
               "RCPT TO:<bad@example.net>\r\n"
               "RCPT TO:\r\n"
               "RCPT TO:<2@example.net>\r\n"
               "NOOP\r\n"
               "DATA\r\n")
        self.assertEqual([c.reply()[0] for _ in range(7)],
                         [250, 250, 550, 501, 250, 250, 354])
        self.assertReply(c.message(b"x\r\n"), 250)
        self.assertEqual(self.inner.messages[0].recipients, [
            "RCPT TO:<1@example.net>", "RCPT TO:<2@example.net>"])

    def test_behind_the_end(self):
        """What follows the final dot in the same segment is a command."""
        c = self.user()
        c.begin()
        c.send(b"1\r\n.\r\nMAIL FROM:<2@example.org>\r\n"
               b"RCPT TO:<b@example.net>\r\nQUIT\r\n")
        self.assertEqual([c.reply()[0] for _ in range(4)],
                         [250, 250, 250, 221])

    def test_many_lines(self):
        self.inner.script = SmtpScript(replies={
            ".": "250-2.0.0 one\r\n250-2.0.0 two\r\n250 2.0.0 three"})
        c = self.user()
        c.begin()
        self.assertEqual(c.message(b"x\r\n"), (250, [
            "2.0.0 one", "2.0.0 two", "2.0.0 three"]))

    def test_refusals(self):
        """Of the inner server, at each step, verbatim; the session goes on."""
        mark = self.relais.mark()
        c = self.user()
        for verb, steps in (("MAIL", 1), ("RCPT", 2), ("DATA", 3)):
            for code in "451", "550":
                self.inner.script = SmtpScript(replies={
                    verb: code + " 0.7.7 just so"})
                c.cmd("QUIT")
                c = self.user()
                lines = ("MAIL FROM:<a@example.org>",
                         "RCPT TO:<b@example.net>", "DATA")
                for line in lines[:steps - 1]:
                    self.assertReply(c.cmd(line), 250)
                self.assertEqual(c.cmd(lines[steps - 1]),
                                 (int(code), ["0.7.7 just so"]))
                self.inner.script = self.script
                self.assertReply(c.cmd("RSET"), 250)
        self.relais.wait_log(r"NOQUEUE: reject: RCPT from unknown"
                             r"\[127\.0\.0\.1\]: 550 <b@example\.net>: 0\.7\.7 "
                             r"just so; from=<a@example\.org> "
                             r"to=<b@example\.net> proto=ESMTP", mark)

    def test_refused_message(self):
        for code, status in (("451", "deferred"), ("554", "bounced")):
            mark = self.relais.mark()
            self.inner.script = SmtpScript(replies={
                ".": code + " %s.7.1 not that" % code[0]})
            c = self.user()
            c.begin()
            self.assertReply(c.message(b"x\r\n"), int(code))
            self.relais.wait_log(
                r"to=<b@example\.net>.* dsn=%s\.7\.1, status=%s \(%s" % (
                    code[0], status, code), mark)
            c.begin()       # the session goes on
            self.inner.script = self.script

    def test_unasked_reply(self):
        """That inner connection ends, the client keeps its session."""
        self.inner.script = SmtpScript(replies={
            ".": "250 2.0.0 Ok\r\n250 2.0.0 once more"})
        c = self.user()
        before = self.inner.connections
        for _ in range(3):
            c.begin()
            self.assertEqual(c.message(b"x\r\n"), (250, ["2.0.0 Ok"]))
            time.sleep(0.1)
        self.assertReply(c.cmd("NOOP"), 250)
        self.assertEqual(self.inner.connections, before + 3)

    def test_closed_between(self):
        """An inner server that does not like to wait is asked anew."""
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"1\r\n"), 250)
        self.inner.stop()
        self.inner.start()
        c.begin()
        self.assertReply(c.message(b"2\r\n"), 250)
        self.assertEqual(len(self.inner.messages), 2)

    def test_down(self):
        c = self.user()
        mark = self.relais.mark()
        self.inner.stop()
        try:
            self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 451, "4.4.1")
            self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 451, "4.4.1")
            self.assertReply(c.cmd("DATA"), 451, "4.4.1")
            self.assertReply(c.cmd("RSET"), 250)
            self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 503)
        finally:
            self.inner.start()
        self.relais.wait_log(r"NOQUEUE: reject: MAIL from .*: 451 4\.4\.1 ",
                             mark)
        c.begin()
        self.assertReply(c.message(b"1\r\n"), 250)

    def test_unwilling(self):
        for greeting in "421 4.3.2 no", "554 5.3.2 never", "garbage":
            with self.subTest(greeting):
                self.inner.script = SmtpScript(greeting=greeting)
                c = self.user()
                self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 451,
                                 "4.4.1")
                self.inner.script = self.script
                c.begin()
                self.assertReply(c.message(b"1\r\n"), 250)

    def test_lost_at_each_step(self):
        def vanish(*_):
            return None

        c = self.user()
        for verb, steps in (("RCPT", 2), ("DATA", 3)):
            with self.subTest(verb):
                self.inner.script = SmtpScript(replies={verb: vanish})
                c.cmd("QUIT")
                c = self.user()
                lines = ("MAIL FROM:<a@example.org>",
                         "RCPT TO:<b@example.net>", "DATA")
                for line in lines[:steps - 1]:
                    self.assertReply(c.cmd(line), 250)
                self.assertReply(c.cmd(lines[steps - 1]), 451, "4.4.2")
                self.assertReply(c.cmd("RCPT TO:<c@example.net>"), 451)
                self.inner.script = self.script
                c.begin()
                self.assertReply(c.message(b"1\r\n"), 250)

    def test_says_421(self):
        """As a reply to RCPT: its farewell is not ours."""
        self.inner.script = SmtpScript(replies={"RCPT": "421 4.3.2 bye"})
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 451, "4.4.2")
        self.assertReply(c.cmd("NOOP"), 250)

    def test_says_nonsense(self):
        for reply in "350 go on?", "no code at all", "250-one\r\n251 two":
            with self.subTest(reply):
                self.inner.script = SmtpScript(replies={"RCPT": reply})
                c = self.user()
                self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
                self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 451,
                                 "4.4.2")

    def test_client_leaves(self):
        """In the middle of a transaction: the inner server is let go."""
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        c.close()
        harness.wait_for(lambda: not self.inner.peers(),
                         what="the inner connection's end")

    def test_half_closed(self):
        """A client that has said all it has to say hears all answers."""
        c = self.connect(self.relais.plain)
        self.assertReply(c.login(), 235)
        c.send("MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
               "RSET\r\nNOOP\r\n")
        c.sock.shutdown(1)
        self.assertEqual(re.findall(r"^\d+", c.rest(), re.M),
                         ["250", "250", "250", "250"])


class Limits(Submission):
    lines = ("recipient_limit 3", "timeout 2", "message_size_limit 1000")

    def test_recipients(self):
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        c.send("".join("RCPT TO:<%d@example.net>\r\n" % i
                       for i in range(5)))
        self.assertEqual([c.reply()[0] for _ in range(5)],
                         [250, 250, 250, 452, 452])
        self.assertIn("LIMITS RCPTMAX=3", self.tls().ehlo())

    def test_silence(self):
        mark = self.relais.mark()
        c = self.user()
        self.assertReply(c.reply(), 421, "4.4.2")
        self.assertEqual(c.rest(), "")
        self.relais.wait_log(r"timeout after AUTH from unknown", mark)

    def test_inner_server_thinks(self):
        """Its time is not the client's."""
        def slowly(*_):
            time.sleep(4)
            return "250 2.1.0 Ok"

        self.inner.script = SmtpScript(replies={"MAIL": slowly})
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)


class TwoServers(Submission):
    @classmethod
    def setUpClass(cls):
        cls.inner, cls.other = (StandIn(cls, cls.script) for _ in range(2))
        cls.inner.messages, cls.other.messages = [], []
        cls.relais = harness.Gateway(
            cls, [cls.inner.port, cls.other.port], *sasl_lines(cls),
            daemon=harness.SMTPSD)

    def test_next(self):
        """The one that goes away at MAIL is passed over; a refusal of the
        other is the client's answer."""
        bad = SmtpScript(replies={"MAIL": lambda *_: None})
        for a, b in ((self.inner, self.other), (self.other, self.inner)):
            a.script, b.script = bad, SmtpScript()
            for _ in range(2):      # whichever's turn it is
                c = self.user()
                c.begin()
                self.assertReply(c.message(b"x\r\n"), 250)
        self.inner.script = self.other.script = bad
        self.assertReply(self.user().cmd("MAIL FROM:<a@example.org>"), 451,
                         "4.4.1")
        self.other.script = SmtpScript()


class Limits(Submission):
    """What is promised is what each of two inner servers can take, and kept
    fresh by the sessions that meet them."""

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, SmtpScript(
            keywords=("PIPELINING", "SIZE 20000000", "DSN")))
        cls.other = StandIn(cls, SmtpScript(
            keywords=("SIZE 10000000", "DSN", "LIMITS RCPTMAX=50")))
        cls.inner.messages, cls.other.messages = [], []
        cls.relais = harness.Gateway(
            cls, [cls.inner.port, cls.other.port], *sasl_lines(cls),
            daemon=harness.SMTPSD)

    def promised(self):
        c = self.tls()
        return set(c.ehlo()) - {"AUTH PLAIN LOGIN", "ENHANCEDSTATUSCODES"}

    def test_lower(self):
        room = 2048     # for a Received field
        harness.wait_for(lambda: self.promised() == {
            "PIPELINING", "DSN", "SIZE %d" % (10000000 - room),
            "LIMITS RCPTMAX=50"}, what="both servers' limits")
        self.inner.script = SmtpScript(keywords=("SIZE 3000000", "DSN"))
        for _ in range(2):      # whichever's turn it is
            c = self.user()
            c.begin()
            self.assertReply(c.message(b"x\r\n"), 250)
        harness.wait_for(lambda: "SIZE %d" % (3000000 - room) in
                         self.promised(), what="the new limit")


class Chunks(Submission):
    """MAIL behind a chunk that the inner server refused: its answers are not
    taken one for the other."""

    script = SmtpScript(replies={"BDAT": "452 4.3.1 full"})

    def test_mail_again(self):
        c = self.user()
        for line in "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>":
            self.assertReply(c.cmd(line), 250)
        c.send("BDAT 3\r\nabc")
        self.assertReply(c.reply(), 452, "4.3.1")
        self.assertReply(c.cmd("MAIL FROM:<c@example.org>"), 250, "2.1.0")
        self.assertReply(c.cmd("RCPT TO:<d@example.net>"), 250, "2.1.5")
        self.assertReply(c.cmd("NOOP"), 250, "2.0.0")


class InOrder(Submission):
    """outgoing_in_order: the second inner server is there for when the first
    is not."""

    @classmethod
    def setUpClass(cls):
        cls.inner, cls.other = (StandIn(cls, cls.script) for _ in range(2))
        cls.inner.messages, cls.other.messages = [], []
        cls.relais = harness.Gateway(
            cls, [cls.inner.port, cls.other.port], "outgoing_in_order",
            *sasl_lines(cls), daemon=harness.SMTPSD)

    def send(self):
        """How many messages each has after one more."""
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"x\r\n"), 250)
        c.cmd("QUIT")
        return len(self.inner.messages), len(self.other.messages)

    def test_first_that_serves(self):
        self.assertEqual([self.send() for _ in range(3)],
                         [(1, 0), (2, 0), (3, 0)])
        self.inner.stop()
        self.assertEqual(self.send(), (3, 1))
        self.inner.start()
        harness.wait_for(lambda: self.send()[0] == 4, what="the first again")


if __name__ == "__main__":
    main()
