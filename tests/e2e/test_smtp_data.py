# SPDX-License-Identifier: ISC
"""Messages through smtpsd: their dots, which one is refused, in chunks, large
ones, and those whose client or inner server goes away."""

import hashlib
import threading
import time

import harness
from case import main
from submission import SmtpScript, Submission


def octets_of(size, seed=b"x"):
    """Lines, CRLF behind each, size octets in all."""
    line = hashlib.sha256(seed).hexdigest().encode() + b"\r\n"
    return (line * (size // len(line) + 1))[:size - 2] + b"\r\n"


class Data(Submission):
    def deliver(self, c, octets):
        c.begin()
        reply = c.message(octets)
        self.assertReply(reply, 250)
        return self.without_received(self.inner.messages[-1].octets)

    def test_dots(self):
        """Stuffing is undone once, by the inner server."""
        c = self.user()
        for octets in (b"", b"..\r\n", b"..x\r\n....\r\n", b"a\r\n..\r\nb\r\n",
                       b"\r\n\r\n"):
            with self.subTest(octets):
                self.assertEqual(self.deliver(c, octets), octets.replace(
                    b"\r\n..", b"\r\n.")[octets[:2] == b"..":])

    def test_split_everywhere(self):
        c = self.user()
        octets = b"Subject: x\r\n\r\na\r\n..b\r\n"
        for i in range(1, len(octets) + 2):
            c.begin()
            whole = octets + b".\r\n"
            c.send(whole[:i])
            time.sleep(0.002)
            c.send(whole[i:])
            self.assertReply(c.reply(), 250)
        self.assertEqual({self.without_received(m.octets)
                          for m in self.inner.messages},
                         {octets.replace(b"..", b".")})

    def test_after_a_fault(self):
        """The session goes on, over another inner connection."""
        mark = self.relais.mark()
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"a\nb\r\n"), 550, "5.6.11")
        self.relais.wait_log(r"[0-9A-F]{18}: reject: END-OF-MESSAGE from "
                             r"unknown\[127\.0\.0\.1\]: 550 5\.6\.11 ", mark)
        self.assertEqual(self.deliver(c, b"good\r\n"), b"good\r\n")
        self.assertEqual(len(self.inner.messages), 1)

    def test_loop(self):
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"Received: x\r\n" * 60 + b"\r\n"), 554,
                         "5.4.6")

    def test_large(self):
        octets = octets_of(9000000)
        c = self.user()
        self.assertTrue(self.deliver(c, octets) == octets)

    def test_too_large(self):
        c = self.user()
        c.begin()
        self.assertReply(c.message(octets_of(11000000)), 552, "5.3.4")
        self.assertEqual(self.inner.messages, [])
        self.assertEqual(self.deliver(c, b"small\r\n"), b"small\r\n")

    def test_memory(self):
        """A message takes no memory with it while it passes."""
        pids = self.relais.pids("worker")
        c = self.user()
        self.deliver(c, octets_of(1000000))
        before = [harness.proc_status(p)["VmRSS"] for p in pids]
        self.deliver(c, octets_of(10000000))
        for old, new in zip(before, [harness.proc_status(p)["VmRSS"]
                                     for p in pids]):
            self.assertLess(int(new.split()[0]) - int(old.split()[0]), 1024)

    def test_refused_in_the_middle(self):
        """What the inner server says before its turn is not passed on."""
        def early(peer, _):
            peer.send("354 go on\r\n")
            peer.read(1000)
            peer.send("552 5.3.4 too much\r\n")
            peer.stall()

        self.inner.script = SmtpScript(replies={"DATA": early})
        c = self.user()
        c.begin()
        c.send(octets_of(5000))
        time.sleep(0.3)         # behind the dot it would be the last word
        self.assertReply(c.message(octets_of(500000)), 451, "4.4.2")
        self.inner.script = self.script
        self.assertEqual(self.deliver(c, b"again\r\n"), b"again\r\n")

    def test_inner_server_vanishes(self):
        def vanish(peer, _):
            peer.send("354 go on\r\n")
            peer.read(1000)

        self.inner.script = SmtpScript(replies={"DATA": vanish})
        c = self.user()
        c.begin()
        self.assertReply(c.message(octets_of(500000)), 451, "4.4.2")
        self.assertReply(c.cmd("NOOP"), 250)

    def test_inner_server_vanishes_behind_the_end(self):
        mark = self.relais.mark()
        self.inner.script = SmtpScript(replies={".": lambda *_: None})
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"x\r\n"), 451, "4.4.2")
        self.relais.wait_log(r"to=<b@example\.net>.* status=deferred "
                             r"\(lost connection", mark)

    def test_client_vanishes(self):
        mark = self.relais.mark()
        c = self.user()
        c.begin()
        c.send(b"half a message\r\n")
        c.close()
        self.relais.wait_log(r"lost connection after DATA \(\d+ bytes\) from "
                             r"unknown", mark)
        harness.wait_for(lambda: not self.inner.peers(),
                         what="the inner connection's end")
        self.assertEqual(self.inner.messages, [])

    def test_client_vanishes_behind_the_end(self):
        """The inner server's word is waited for, and goes to the log."""
        go = threading.Event()

        def slowly(*_):
            go.wait(10)
            return "250 2.0.0 Ok: late"

        for reset in False, True:
            with self.subTest(reset=reset):
                go.clear()
                mark = self.relais.mark()
                self.inner.script = SmtpScript(replies={".": slowly})
                c = self.user()
                c.begin()
                c.send(b"x\r\n.\r\n")
                self.relais.wait_log(r"\(queue active\)", mark)
                if reset:
                    c.sock.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
                c.close()
                time.sleep(0.2)
                go.set()
                self.relais.wait_log(r"status=sent \(250 2\.0\.0 Ok: late\)",
                                     mark)

    def another(self, *lines):
        """A gateway to be ended, and a client of it that has logged in."""
        relais = harness.Gateway(self, self.inner.port,
                                 *self.relais.text.splitlines()[6:], *lines,
                                 daemon=harness.SMTPSD)
        c = self.connect(relais.ssl, True)
        c.ehlo()
        self.assertReply(c.login(), 235)
        return relais, c

    def test_stop_waits(self):
        """SIGTERM behind the final dot: the word comes before the end."""
        relais, c = self.another()

        def slowly(*_):
            time.sleep(1)
            return "250 2.0.0 Ok: late"

        self.inner.script = SmtpScript(replies={".": slowly})
        c.begin()
        c.send(b"x\r\n.\r\n")
        time.sleep(0.3)
        relais.process.terminate()
        self.assertReply(c.reply(), 250)
        self.assertReply(c.reply(), 421, "4.3.2")
        relais.process.wait(10)
        relais.process = None

    def test_stop_within(self):
        """SIGTERM within a message: who sends it may finish, who does not
        is sent away at once, and the last to go ends the daemon."""
        relais, c = self.another()
        idle = self.connect(relais.ssl, True)
        c.begin()
        c.send(b"one\r\n")
        time.sleep(0.3)
        relais.process.terminate()
        start = time.monotonic()
        self.assertReply(idle.reply(), 421, "4.3.2")
        self.assertEqual(idle.rest(), "")
        self.assertLess(time.monotonic() - start, 2)
        for _ in range(12):     # longer than other daemons wait
            time.sleep(0.5)
            c.send(b"more\r\n")
        c.send(b".\r\nNOOP\r\n")
        self.assertReply(c.reply(), 250, "2.0.0")
        self.assertReply(c.reply(), 421, "4.3.2")
        self.assertEqual(c.rest(), "")
        self.assertEqual(relais.process.wait(3), 0)
        relais.process = None
        self.assertEqual(
            self.without_received(self.inner.messages[0].octets),
            b"one\r\n" + 12 * b"more\r\n")

    def test_stop_timeout(self):
        """Who does not finish is not waited for any longer."""
        relais, c = self.another("stop_timeout 1")
        c.begin()
        c.send(b"one\r\n")
        time.sleep(0.3)
        relais.process.terminate()
        self.assertEqual(relais.process.wait(3), 0)
        relais.process = None
        self.assertEqual(self.inner.messages, [])

    def test_sent_too_early(self):
        """A message in the same breath as DATA."""
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 250)
        c.send(b"DATA\r\nx\r\n.\r\n")
        self.assertReply(c.reply(), 554, "5.5.0")
        self.assertEqual(c.rest(), "")
        self.assertEqual(self.inner.messages, [])


class Normalize(Submission):
    lines = ("bare_newline normalize",)

    def test_made_good(self):
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"a\nb\rc\r\n"), 250)
        self.assertEqual(self.without_received(
            self.inner.messages[0].octets), b"a\r\nb\r\nc\r\n")


class Chunks(Submission):
    def begin(self, c, params=""):
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>" + params), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 250)

    def chunk(self, c, octets, last=False):
        c.send(b"BDAT %d%s\r\n" % (len(octets), b" LAST" if last else b"") +
               octets)
        return c.reply()

    def test_chunks(self):
        c = self.user()
        for chunks in ([b"x\r\n"], [b"a\r\n", b"b\r\n"], [b"a\r", b"\n.\r\n"],
                       [b"", b"x\r\n"], [b"x\r\n", b""]):
            with self.subTest(chunks):
                self.begin(c)
                for i, octets in enumerate(chunks):
                    self.assertReply(self.chunk(
                        c, octets, i == len(chunks) - 1), 250)
                self.assertEqual(self.without_received(
                    self.inner.messages[-1].octets), b"".join(chunks))

    def test_pipelined(self):
        c = self.user()
        c.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
               b"BDAT 3\r\na\r\nBDAT 3 LAST\r\nb\r\nNOOP\r\n")
        self.assertEqual([c.reply()[0] for _ in range(5)], [250] * 5)

    def test_binary(self):
        c = self.user()
        self.begin(c, " BODY=BINARYMIME")
        self.assertReply(c.cmd("DATA"), 503, "5.5.1")
        octets = bytes(range(256))
        self.assertReply(self.chunk(c, octets, True), 250)
        self.assertEqual(self.without_received(
            self.inner.messages[0].octets), octets)

    def test_bare(self):
        for chunks in ([b"a\nb\r\n"], [b"a\r", b"b\r\n"], [b"a\0\r\n"],
                       [b"a\r"]):
            with self.subTest(chunks):
                c = self.user()
                self.begin(c)
                replies = [self.chunk(c, octets, i == len(chunks) - 1)
                           for i, octets in enumerate(chunks)]
                self.assertReply(replies[-1], 550, "5.6.11")
                self.assertReply(c.cmd("NOOP"), 250)
        self.assertEqual(self.inner.messages, [])

    def test_refused_chunks_are_swallowed(self):
        """Their octets are no commands."""
        c = self.user()
        self.assertReply(self.chunk(c, b"QUIT\r\n", True), 503, "5.5.1")
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(self.chunk(c, b"QUIT\r\n", True), 554, "5.5.1")
        self.assertReply(c.cmd("NOOP"), 250)
        self.assertEqual(self.told("QUIT"), [])

    def test_without_login(self):
        """It must not be one: nothing that was said comes to anything."""
        c = self.tls()
        c.send(b"BDAT 3 LAST\r\nx\r\nMAIL FROM:<a@example.org>\r\n"
               b"RCPT TO:<b@example.net>\r\n")
        self.assertReply(c.reply(), 530, "5.7.0")
        self.assertEqual(c.rest(), "")
        self.assertEqual(self.told("MAIL"), [])

    def test_inner_refusal(self):
        self.inner.script = SmtpScript(replies={"BDAT": "452 4.3.1 full"})
        c = self.user()
        self.begin(c)
        self.assertReply(self.chunk(c, b"a\r\n"), 452, "4.3.1")
        self.assertReply(self.chunk(c, b"QUIT\r\n"), 503)
        self.assertReply(self.chunk(c, b"b\r\n", True), 503)
        self.assertReply(c.cmd("RSET"), 250)

    def test_no_count(self):
        c = self.user()
        self.begin(c)
        self.assertReply(c.cmd("BDAT x"), 501, "5.5.4")
        self.assertEqual(c.rest(), "")

    def test_too_large(self):
        c = self.user()
        self.begin(c)
        self.assertReply(self.chunk(c, octets_of(11000000), True), 552,
                         "5.3.4")
        self.begin(c)
        self.assertReply(self.chunk(c, b"x\r\n", True), 250)


if __name__ == "__main__":
    main()
