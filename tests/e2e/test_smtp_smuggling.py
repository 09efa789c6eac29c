# SPDX-License-Identifier: ISC
"""SMTP smuggling: all that some server has been found to take for the end of
a message, or might, with a second message behind it.  Behind smtpsd there is
one message or none, never two; the stand-in sees to it that not even a bare
CR, LF or NUL gets there."""

import itertools
import time

import harness
from case import main, needs_root
from postfix import Postfix
from submission import Submission, sasl_lines

# What might be taken for the line end before the dot, and behind it.
BREAKS = (b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r\n", b"\n\r", b"\r\n\n",
          b"\0\n", b"\r\n\0", b"\r\0\n", b"\r\n\x0b", b"\xe2\x80\xa8")
ENDS = [a + b"." + b for a, b in itertools.product(BREAKS, BREAKS)
        if not (a.endswith(b"\r\n") and b.startswith(b"\r\n"))] + [
    b"\r\n.\x00\r\n", b"\r\n.\r\x00\n", b"\r\n. \r\n", b"\r\n.\t\r\n",
    b"\r\n.\x0b\r\n\n.\n", b"\r\n.\x1a\r\n", b"\n.\n\r\n.\n",
    b"\r\n.\xc2\x85", b"\n..\n", b"\n..\r\n", b"\r\n..\n", b"\r\n.\n.\r"]
# Not one octet of a line break in them that is not CRLF: plain text.
HARMLESS = [end for end in ENDS if b"\0" not in end and
            not set(end.replace(b"\r\n", b"")) & set(b"\r\n")]
SECOND = (b"MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.net>\r\n"
          b"DATA\r\nsecond\r\n")


class Case(Submission):
    def good(self, c):
        """The session goes on, and what went wrong in it is forgiven."""
        c.begin()
        self.assertReply(c.message(b"good\r\n"), 250)


class Smuggling(Case):
    """Refused."""

    refused = [end for end in ENDS if end not in HARMLESS]

    def clients(self):
        """Over TLS in records of the test's, and in segments of it."""
        c = self.connect(self.relais.plain)
        self.assertReply(c.login(), 235)
        return self.user(), c

    def pieces(self, c, *pieces):
        """A message sent so; what the client and the inner server have of
        it."""
        self.inner.messages.clear()
        c.begin()
        for piece in pieces[:-1]:
            c.send(piece)
            time.sleep(0.001)
        c.send(pieces[-1])
        code, texts = c.reply()
        taken = list(self.inner.messages)
        self.good(c)
        if code == 550:
            self.assertTrue(texts[0].startswith("5.6.11 "), texts)
            self.assertEqual(taken, [])
        else:
            self.assertEqual(code, 250)
            message, = taken
            self.assertIn(b"second\r\n", message.octets)
        return code

    def expected(self, end):
        return 550 if end in self.refused else 250

    def test_ends(self):
        for c in self.clients():
            for end in ENDS:
                with self.subTest(end):
                    self.assertEqual(
                        self.pieces(c, b"first" + end + SECOND + b".\r\n"),
                        self.expected(end))
        self.assertEqual([l for l in self.told("MAIL") if "evil" in l], [])

    def test_first(self):
        """The same where the message begins."""
        c = self.user()
        for end in ENDS:
            for octets in end, end.lstrip(b"\r\n\0"):
                if octets.startswith((b".\r\n", b"\r\n.\r\n")):
                    continue    # that one is an end
                with self.subTest(octets):
                    self.assertIn(self.pieces(c, octets + SECOND + b".\r\n"),
                                  (self.expected(end), 250))

    def test_split(self):
        """At each octet boundary, the last of them behind the true end."""
        for c in self.clients():
            for end in ENDS[::5] + ENDS[-12:]:
                whole = b"1" + end + SECOND + b".\r\n"
                for i in (*range(1, len(end) + 2), -2, -1):
                    with self.subTest(end=end, at=i):
                        self.assertEqual(
                            self.pieces(c, whole[:i], whole[i:]),
                            self.expected(end))

    def test_octet_by_octet(self):
        for c in self.clients():
            for end in ENDS[::12] + ENDS[-12:]:
                with self.subTest(end):
                    whole = b"1" + end + b"second\r\n.\r\n"
                    self.assertEqual(
                        self.pieces(c, *(whole[i:i + 1]
                                         for i in range(len(whole)))),
                        self.expected(end))


class Normalized(Smuggling):
    """Made lines; NUL cannot be."""

    lines = ("bare_newline normalize",)
    refused = [end for end in ENDS if b"\0" in end]


@needs_root
class BehindPostfix(Case):
    """One that takes a bare LF for a line end, as it comes."""

    lines = ("bare_newline normalize",)

    @classmethod
    def setUpClass(cls):
        cls.postfix = Postfix(cls)
        cls.relais = harness.Gateway(
            cls, cls.postfix.port, *sasl_lines(cls), *cls.lines,
            daemon=harness.SMTPSD)

    def setUp(self):
        pass

    def tearDown(self):
        pass

    def test_count(self):
        """As many as were answered with 250, by DATA and by BDAT."""
        c = self.user()
        taken = 0
        for end in ENDS:
            octets = b"first" + end + SECOND
            c.begin()
            taken += c.message(octets)[0] == 250
            self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
            self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 250)
            c.send(b"BDAT %d LAST\r\n" % len(octets) + octets)
            taken += c.reply()[0] == 250
            self.good(c)
        taken += len(ENDS)
        self.assertReply(c.cmd("QUIT"), 221)
        self.assertGreater(taken, len(ENDS) * 3 // 2)
        harness.wait_for(lambda: len(self.postfix.messages()) >= taken, 20,
                         "all messages to arrive")
        time.sleep(0.3)
        self.assertEqual(len(self.postfix.messages()), taken)
        self.assertNotIn("evil", self.postfix.log())


if __name__ == "__main__":
    main()
