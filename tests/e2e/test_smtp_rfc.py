# SPDX-License-Identifier: ISC
"""What the RFCs ask of smtpsd beyond the usual dialogue: forms of commands,
status codes, lengths, the order of what is pipelined; and what a server behind
it may say against them, of which no client is to hear."""

import random
import threading
import time

import harness
from case import main, not_sanitized
from client import b64, plain_message
from submission import SmtpScript, Submission


class Forms(Submission):
    def test_status_codes(self):
        """RFC 2034 4: all 2yz, 4yz and 5yz have one, of their own class, but
        for EHLO's and HELO's."""
        lines = ("NOOP", "RSET", "RSET x", "VRFY", "VRFY x", "EXPN x", "TURN",
                 "ETRN x", "XCLIENT", "XFORWARD", "BURL", "HELP", "HELO",
                 "EHLO", "STARTTLS x", "AUTH", "AUTH x y z", "MAIL", "RCPT",
                 "DATA", "DATA x", "\u00e9", "x\ty", "x" * 3000)
        for user in False, True:
            for line in lines:
                c = self.user() if user else self.tls()
                code, texts = c.cmd(line)
                c.close()
                self.assertIn(code // 100, (2, 4, 5))
                for text in texts:
                    self.assertRegex(text, r"^%d\.\d{1,3}\.\d{1,3} \S" % (
                        code // 100), line)

    def test_letters_and_blanks(self):
        """Verbs in any case (RFC 5321 2.4), blanks at the end (4.1.1)."""
        c = self.user()
        for line in ("nOOp", "NOOP ", "ehlo x", "EHLO x  ", "helo x",
                     "mail from:<a@example.org>", "RsEt",
                     "MAIL FROM:<a@example.org> ",
                     "rcpt to:<b@example.net>", "rset "):
            self.assertReply(c.cmd(line), 250)
        self.assertReply(c.cmd("quit "), 221)

    def test_ehlo_names(self):
        c = self.tls()
        for name in ("client.example.net", "[192.0.2.1]", "[IPv6:2001:db8::1]",
                     "localhost", "x" * 255):
            self.assertReply(c.cmd("EHLO " + name), 250)
            self.assertEqual(c.cmd("HELO " + name), (250, ["gw.example.org"]))
        for name in "\u00e9.example.org", "x" * 256:
            self.assertGreaterEqual(c.cmd("EHLO " + name)[0], 500)
            self.assertGreaterEqual(c.cmd("HELO " + name)[0], 500)

    def test_after_helo(self):
        """Mail of a client that knows no EHLO (RFC 3848: "with SMTP")."""
        c = self.tls()
        self.assertReply(c.cmd("HELO old.example.net"), 250)
        self.assertReply(c.login(), 235)
        c.begin()
        self.assertReply(c.message(b"\r\nx\r\n"), 250)
        self.assertIn(b" with SMTP id ", self.inner.messages[0].octets)

    def test_paths(self):
        c = self.user()
        for path in ("<b@example.net>", "<Postmaster>", '<"a b"@example.net>',
                     '<"a\\"b"@example.net>', "<b@[192.0.2.1]>",
                     "<b@[IPv6:2001:db8::1]>", "<%s@example.net>" % ("x" * 64),
                     "<b+c=d@example.net>"):
            with self.subTest(path):
                self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
                self.assertReply(c.cmd("RCPT TO:" + path), 250)
                self.assertReply(c.cmd("RSET"), 250)
                self.assertEqual(self.told("RCPT")[-1], "RCPT TO:" + path)
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("RCPT TO:<@r.example.net,@s.example.net:"
                               "b@example.net>"), 250)
        self.assertEqual(self.told("RCPT")[-1], "RCPT TO:<b@example.net>")

    def test_no_paths(self):
        for path in ("", "b@example.net", "<b@example.net", "<>", "<@>",
                     "<b@>", "<b@-x.net>", "<b@x..net>", "<b c@example.net>",
                     "<b@example.net> <c@example.net>", "<<b@example.net>>",
                     '<"b@example.net>', "<b@[300.0.0.1]>", "<b@[x]>",
                     "<b@example.net>x", "<%s@example.net>" % ("x" * 65),
                     "<b@%s>" % ".".join(["x" * 60] * 5)):
            with self.subTest(path):
                c = self.user()
                self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
                self.assertReply(c.cmd("RCPT TO:" + path), 501)
                c.close()
        self.assertEqual(self.told("RCPT"), [])

    def test_lengths(self):
        """RFC 5321 4.5.3.1.4, and what extensions add to it."""
        c = self.user()
        for length, code in (510, 250), (511, 250), (2046, 250), (2047, 500):
            self.assertReply(c.cmd("NOOP " + "x" * (length - 5)), code)
        self.assertReply(c.cmd("NOOP"), 250)

    def test_starttls_forms(self):
        c = self.connect(self.relais.starttls)
        self.assertReply(c.cmd("STARTTLS now"), 501, "5.5.4")
        self.assertReply(c.cmd("starttls "), 220, "2.0.0")

    def test_starttls_in_pieces(self):
        """Its end and a command in one segment, its beginning before."""
        c = self.connect(self.relais.starttls)
        c.send("STARTTLS\r")
        time.sleep(0.05)
        c.send("\nNOOP\r\n")
        self.assertReply(c.reply(), 554, "5.5.0")
        self.assertEqual(c.rest(), "")

    def test_vrfy_in_a_transaction(self):
        """It and NOOP change nothing (RFC 5321 4.1.4)."""
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("VRFY b"), 252, "2.0.0")
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 250)
        self.assertReply(c.cmd("NOOP"), 250)
        self.assertReply(c.cmd("EXPN b"), 500)
        self.assertReply(c.cmd("DATA"), 354)
        self.assertReply(c.message(b"\r\nx\r\n"), 250)

    def test_parameters_once(self):
        """Said twice, two servers might each believe another one."""
        for params in (" SIZE=1 SIZE=2", " BODY=8BITMIME BODY=BINARYMIME",
                       " BODY=BINARYMIME body=7BIT", " SMTPUTF8 SMTPUTF8"):
            with self.subTest(params):
                c = self.user()
                self.assertReply(c.cmd("MAIL FROM:<a@example.org>" + params),
                                 501, "5.5.4")
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org> BODY=7BIT SIZE=0 "
                               "RET=FULL"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net> NOTIFY=NEVER "
                               "NOTIFY=FAILURE"), 501, "5.5.4")

    def test_parameters_misplaced(self):
        c = self.user()
        for line in ("MAIL FROM:<a@example.org> NOTIFY=NEVER",
                     "MAIL FROM:<a@example.org> XVERP",
                     "MAIL FROM:<a@example.org> AUTHX=<>"):
            self.assertReply(c.cmd(line), 555, "5.5.4")
        self.assertReply(c.cmd("MAIL FROM:<a@example.org> AUTH=x+40y"), 250)
        self.assertEqual(self.told("MAIL"), ["MAIL FROM:<a@example.org>"])
        for params in " RET=FULL", " AUTH=<>", " BODY=7BIT":
            self.assertReply(c.cmd("RCPT TO:<b@example.net>" + params), 555)

    def test_counts(self):
        """What is no count of BDAT (RFC 3030 2): nobody knows what follows."""
        for args in ("", "-1", "+1", "0x1", "1 2", "1 LAST x", "1LAST",
                     "99999999999999999999 LAST", "LAST", "1,5"):
            with self.subTest(args):
                c = self.user()
                self.assertReply(c.cmd("BDAT " + args), 501, "5.5.4")
                self.assertEqual(c.rest(), "")


class Auth(Submission):
    def test_empty_response(self):
        """Said as an equals sign (RFC 4954 4); no good one for PLAIN."""
        c = self.tls()
        self.assertReply(c.cmd("AUTH PLAIN ="), 535)
        self.assertEqual(c.cmd("AUTH LOGIN ="), (334, ["UGFzc3dvcmQ6"]))
        self.assertReply(c.cmd("*"), 501, "5.7.0")
        self.assertReply(c.login(), 235)

    def test_bad_base64(self):
        good = plain_message("alice", "secret")
        for response in ("x", good[:-1], good + "=", "=" + good,
                         good[:8] + "=" + good[9:], good.replace("A", "-"),
                         good[:-1] + "\u00e9", "*" + good):
            with self.subTest(response):
                c = self.tls()
                self.assertIn(c.cmd("AUTH PLAIN " + response)[0], (500, 535))
                self.assertReply(c.cmd("AUTH PLAIN"), 334)
                self.assertReply(c.cmd(response), 535, "5.7.8")
                self.assertReply(c.login(), 235)

    def test_lengths(self):
        """12288 octets with CRLF, and not one more (RFC 4954 4)."""
        for length, code in (12286, 535), (12287, 500):
            c = self.tls()
            self.assertReply(c.cmd("AUTH PLAIN"), 334)
            self.assertReply(c.cmd("!" * length), code)

    def test_response_behind_command(self):
        """The challenge was not waited for."""
        c = self.tls()
        c.send("AUTH PLAIN\r\n%s\r\n" % plain_message("alice", "secret"))
        self.assertReply(c.reply(), 554, "5.5.0")
        self.assertEqual(c.rest(), "")

    def test_behind_response(self):
        c = self.tls()
        self.assertReply(c.cmd("AUTH PLAIN"), 334)
        c.send(plain_message("alice", "secret") + "\r\nRSET\r\n")
        self.assertReply(c.reply(), 554, "5.5.0")
        self.assertEqual(c.rest(), "")

    def test_pipelined_before(self):
        """AUTH may end a group; nothing of what it refused comes back."""
        c = self.tls()
        c.send("EHLO x\r\nMAIL FROM:<a@example.org>\r\n"
               "RCPT TO:<b@example.net>\r\nAUTH PLAIN %s\r\n" %
               plain_message("alice", "secret"))
        self.assertEqual([c.reply()[0] for _ in range(4)],
                         [250, 530, 503, 235])
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 503, "5.5.1")
        self.assertReply(c.cmd("DATA"), 503, "5.5.1")
        self.assertEqual(self.told("MAIL"), [])

    def test_said_while_it_is_decided(self):
        """A command that has not waited has its turn behind AUTH."""
        c = self.tls()
        c.send("AUTH PLAIN %s\r\n" % plain_message("alice", "secret"))
        time.sleep(0.003)
        c.send("MAIL FROM:<a@example.org>\r\n")
        replies = [c.reply()[0]]
        if replies != [554]:    # both came at once
            replies.append(c.reply()[0])
            self.assertEqual(replies, [235, 250])

    def test_twenty_failures(self):
        """Of whatever kind: the last reply is 421."""
        lines = ("AUTH PLAIN !", "AUTH NONESUCH")
        c = self.tls()
        self.assertReply(c.login("alice", "wrong"), 535, "5.7.8")
        for i in range(19):
            self.assertReply(c.cmd(lines[i % 2]), 535, "5.7.8")
        self.assertReply(c.login(), 421, "4.7.0")
        self.assertEqual(c.rest(), "")

    def test_never_in_clear(self):
        """Nor is a password that was sent all the same looked at."""
        c = self.connect(self.relais.starttls)
        for line in ("AUTH PLAIN", "AUTH LOGIN", "AUTH PLAIN !",
                     "AUTH PLAIN " + plain_message("alice", "wrong"),
                     "AUTH PLAIN " + plain_message("alice", "secret")):
            self.assertReply(c.cmd(line), 530, "5.7.0")


class Chunks(Submission):
    def begin(self, c):
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 250)

    def test_large_and_pipelined(self):
        """Chunks need no turn of their own (RFC 3030 4.2)."""
        part = (b"x" * 98 + b"\r\n") * 1500
        c = self.user()
        for count in 1, 4, 12:
            self.begin(c)
            c.send((b"BDAT %d\r\n%s" % (len(part), part)) * count +
                   b"BDAT 0 LAST\r\nNOOP\r\n")
            self.assertEqual([c.reply()[0] for _ in range(count + 2)],
                             [250] * (count + 2))
            self.assertTrue(self.without_received(
                self.inner.messages[-1].octets) == part * count)

    def test_in_pieces(self):
        c = self.user()
        whole = b"BDAT 6\r\na\r\nb\r\nBDAT 3 LAST\r\nc\r\n"
        for i in range(1, len(whole)):
            self.begin(c)
            c.send(whole[:i])
            time.sleep(0.002)
            c.send(whole[i:])
            self.assertEqual([c.reply()[0] for _ in range(2)], [250, 250])
        self.assertEqual({self.without_received(m.octets)
                          for m in self.inner.messages}, {b"a\r\nb\r\nc\r\n"})

    def test_mail_behind_a_refused_chunk(self):
        """One reply to each command: RSET's is not taken for MAIL's."""
        self.inner.script = SmtpScript(replies={"BDAT": "452 4.3.1 full"})
        c = self.user()
        self.begin(c)
        self.assertReply(c.cmd("BDAT 0"), 452, "4.3.1")
        self.inner.script = self.script
        self.assertEqual(c.cmd("MAIL FROM:<2@example.org>"),
                         (250, ["2.1.0 Ok"]))
        self.assertEqual(c.cmd("RCPT TO:<2@example.net>"),
                         (250, ["2.1.5 Ok"]))
        c.send(b"BDAT 3 LAST\r\n2\r\n")
        self.assertReply(c.reply(), 250)
        self.assertReply(c.cmd("NOOP"), 250)
        self.assertEqual([(m.sender, m.recipients)
                          for m in self.inner.messages],
                         [("MAIL FROM:<2@example.org>",
                           ["RCPT TO:<2@example.net>"])])

    def test_refused_last(self):
        """RFC 3030 says of no reply that it ends the transaction there."""
        self.inner.script = SmtpScript(replies={"BDAT": "452 4.3.1 full"})
        c = self.user()
        self.begin(c)
        self.assertReply(c.cmd("BDAT 0 LAST"), 452, "4.3.1")
        self.assertReply(c.cmd("NOOP"), 250)
        self.assertEqual(self.told("RSET"), ["RSET"])


class Overshoot(Submission):
    lines = ("recipient_limit 2",)

    def test_many_too_many(self):
        """452 is no fault of the client's (RFC 5321 4.5.3.1.10): what was
        taken is delivered."""
        c = self.user()
        c.send("MAIL FROM:<a@example.org>\r\n" + "".join(
            "RCPT TO:<%d@example.net>\r\n" % i for i in range(30)))
        self.assertEqual([c.reply()[0] for _ in range(31)],
                         [250] * 3 + [452] * 28)
        self.assertReply(c.cmd("DATA"), 354)
        self.assertReply(c.message(b"\r\nx\r\n"), 250)
        self.assertEqual(len(self.inner.messages[0].recipients), 2)


class Server(Submission):
    """A server behind us that keeps no protocol."""

    def replies(self, c, verb):
        """The codes of MAIL, RCPT, DATA as far as verb's."""
        codes = []
        for line in ("MAIL FROM:<a@example.org>", "RCPT TO:<b@example.net>",
                     "DATA"):
            codes.append(c.cmd(line)[0])
            if line.startswith(verb):
                return codes
        codes.append(c.message(b"\r\nx\r\n")[0])
        return codes

    def good(self, c):
        """The client's session has not suffered."""
        self.inner.script = self.script
        self.inner.messages.clear()
        self.assertReply(c.cmd("RSET"), 250)
        c.begin()
        self.assertReply(c.message(b"\r\nagain\r\n"), 250)
        self.assertEqual(len(self.inner.messages), 1)
        c.cmd("QUIT")
        self.assertEqual(c.rest(), "")

    def test_wrong_class(self):
        for verb, reply, codes in (
                ("MAIL", "354 go on", [451]),
                ("MAIL", "199 wait", [451]), ("MAIL", "600 no", [451]),
                ("RCPT", "354 go on", [250, 451]),
                ("DATA", "250 2.0.0 Ok", [250, 250, 451]),
                (".", "354 go on", [250, 250, 354, 451])):
            with self.subTest(verb=verb, reply=reply):
                self.inner.script = SmtpScript(replies={verb: reply})
                c = self.user()
                self.assertEqual(self.replies(c, verb), codes)
                self.good(c)

    def test_farewell_everywhere(self):
        for verb, codes in (("MAIL", [451]), ("RCPT", [250, 451]),
                            ("DATA", [250, 250, 451]),
                            (".", [250, 250, 354, 421])):
            with self.subTest(verb):
                self.inner.script = SmtpScript(
                    replies={verb: "421 4.3.2 bye"})
                c = self.user()
                self.assertEqual(self.replies(c, verb), codes)
                self.good(c)

    def test_endless(self):
        """Lines, and one line: given up long before they fill memory."""
        def lines(peer, _):
            while True:
                peer.send("250-x\r\n" * 100)

        def line(peer, _):
            peer.send("250 ")
            while True:
                peer.send("x" * 10000)

        for endless in lines, line:
            for verb, code in ("MAIL", 451), ("RCPT", 451), (".", 451):
                with self.subTest(verb=verb, how=endless.__name__):
                    self.inner.script = SmtpScript(replies={verb: endless})
                    c = self.user()
                    self.assertEqual(self.replies(c, verb)[-1], code)
                    self.good(c)

    def test_octet_by_octet(self):
        def slowly(peer, _):
            for octet in "250-2.1.0 a\r\n250 2.1.0 ":
                peer.send(octet)
                time.sleep(0.002)
            return "b"

        self.inner.script = SmtpScript(replies={"MAIL": slowly})
        c = self.user()
        self.assertEqual(c.cmd("MAIL FROM:<a@example.org>"),
                         (250, ["2.1.0 a", "2.1.0 b"]))

    def test_unasked_beginnings(self):
        """The rest of it does not join what is asked for next."""
        for octets in "250-evil\r\n", "25", "250 evil\r":
            with self.subTest(octets):
                def say(peer, _, octets=octets):
                    peer.send("250 2.0.0 Ok\r\n" + octets)
                    peer.stall()

                self.inner.script = SmtpScript(replies={".": say})
                c = self.user()
                before = self.inner.connections
                c.begin()
                self.assertEqual(c.message(b"\r\nx\r\n"),
                                 (250, ["2.0.0 Ok"]))
                time.sleep(0.1)
                self.inner.script = self.script
                self.assertEqual(c.cmd("MAIL FROM:<2@example.org>"),
                                 (250, ["2.1.0 Ok"]))
                self.assertEqual(self.inner.connections, before + 2)

    def test_rset_refused(self):
        """It always succeeds for a client (RFC 5321 4.1.1.5); who knows what
        that server still holds."""
        for reply in "550 5.5.1 no", "421 4.3.2 bye", "354 go on":
            with self.subTest(reply):
                self.inner.script = SmtpScript(replies={"RSET": reply})
                c = self.user()
                before = self.inner.connections
                self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
                self.assertReply(c.cmd("RSET"), 250)
                self.inner.script = self.script
                self.assertReply(c.cmd("MAIL FROM:<2@example.org>"), 250)
                self.assertEqual(self.inner.connections, before + 2)

    def test_message_without_354(self):
        """A message that did not wait for it is no list of commands, however
        the server says that it does not want it."""
        def vanish(*_):
            time.sleep(0.3)

        def refuse(*_):
            time.sleep(0.3)
            return "554 5.7.1 no"

        def nonsense(*_):
            time.sleep(0.3)
            return "250 2.0.0 Ok"

        for how, code in ((vanish, 451), (refuse, 554), (nonsense, 451)):
            with self.subTest(how.__name__):
                self.inner.script = SmtpScript(replies={"DATA": how})
                c = self.user()
                self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
                self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 250)
                c.send("DATA\r\n")
                time.sleep(0.1)
                c.send("RSET\r\nMAIL FROM:<evil@example.org>\r\n.\r\n")
                self.assertReply(c.reply(), code)
                self.assertReply(c.reply(), 554, "5.5.0")
                self.assertEqual(c.rest(), "")
        self.assertEqual([l for l in self.told("MAIL") if "evil" in l], [])

    def test_replies_that_are_text(self):
        """Octets that would do something to a terminal or a log."""
        for text in "x\0y", "x\x1b[2J", "x\x08":
            self.inner.script = SmtpScript(replies={"RCPT": "550 " + text})
            c = self.user()
            self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
            self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 451, "4.4.2")

    def test_greeting_and_ehlo(self):
        """Whatever it is, MAIL has an answer and the session lives."""
        def endless(peer):
            while True:
                peer.send("220-x\r\n" * 100)

        def early(peer):
            peer.send("220 x ESMTP\r\n250 x\r\n250 2.1.0 Ok\r\n"
                      "250 2.1.5 Ok\r\n354 go on\r\n250 2.0.0 Ok\r\n")
            peer.stall()

        for script in (endless, early,
                       SmtpScript(greeting="354 x"),
                       SmtpScript(greeting="220-x\r\n421 x"),
                       SmtpScript(keywords=["X%d" % i for i in range(200)])):
            self.inner.script = script
            c = self.user()
            codes = self.replies(c, "RCPT")
            self.assertEqual(set(codes), {451}, codes)
            self.good(c)

class Silence(Submission):
    """Whoever stands still in a message; nothing comes of it."""

    lines = ("timeout 2",)

    def test_server_takes_no_more(self):
        """The client's session outlives it, once its message is over."""
        def stop(peer, _):
            peer.send("354 go on\r\n")
            done.wait(20)

        done = threading.Event()
        self.addCleanup(done.set)
        self.inner.script = SmtpScript(replies={"DATA": stop})
        c = self.user()
        c.begin()
        self.assertReply(c.message((b"x" * 998 + b"\r\n") * 9000), 451,
                         "4.4.2")
        self.inner.script = self.script
        c.begin()
        self.assertReply(c.message(b"\r\nx\r\n"), 250)
        self.assertEqual(len(self.inner.messages), 1)

    def test_client_stops(self):
        for begin in b"DATA\r\n", b"BDAT 100 LAST\r\n":
            c = self.user()
            c.send(b"MAIL FROM:<a@example.org>\r\n"
                   b"RCPT TO:<b@example.net>\r\n" + begin)
            for _ in range(2 + begin.startswith(b"DATA")):
                c.reply()
            c.send(b"\r\nx")
            self.assertReply(c.reply(), 421, "4.4.2")
            self.assertEqual(c.rest(), "")
            harness.wait_for(lambda: not self.inner.peers(),
                             what="the inner connection's end")
        self.assertEqual(self.inner.messages, [])

    @not_sanitized
    def test_client_does_not_listen(self):
        """Replies that nobody takes have a bound, and so has the patience
        with it."""
        pids = self.relais.pids("worker")
        before = [harness.proc_status(p)["VmRSS"] for p in pids]
        c = self.user()
        c.sock.settimeout(5)
        with self.assertRaises(OSError):
            while True:
                c.send(b"VRFY x\r\n" * 4000)
        for old, new in zip(before, (harness.proc_status(p)["VmRSS"]
                                     for p in pids)):
            self.assertLess(int(new.split()[0]) - int(old.split()[0]), 4096)

    def test_lines_of_the_log(self):
        """What a client makes up stays within its own line."""
        mark = self.relais.mark()
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"Message-ID: <\x1b[2J\x08\x07\xff "
                                   b"status=sent (x)>\r\n\r\nx\r\n"), 250)
        line = self.relais.wait_log(r"message-id=.*", mark).group()
        self.assertRegex(line, r"\A[ -~]+\Z")


class Chance(Submission):
    """Groups of commands as they come, to a server that may say anything."""

    COMMANDS = (b"NOOP\r\n", b"RSET\r\n", b"VRFY x\r\n", b"EHLO x\r\n",
                b"MAIL FROM:<a@example.org>\r\n",
                b"MAIL FROM:<a@example.org> BODY=8BITMIME\r\n",
                b"RCPT TO:<b@example.net>\r\n",
                b"RCPT TO:<c@example.net>\r\n", b"RCPT TO:<>\r\n",
                b"BDAT 3\r\na\r\n", b"BDAT 0\r\n", b"BDAT 3\r\na\nb",
                b"BDAT 3 LAST\r\nb\r\n", b"BDAT 0 LAST\r\n", b"DATA\r\n")
    LIKELY = COMMANDS[4:8] + COMMANDS[9:10] + COMMANDS[12:13] + COMMANDS[14:]

    def server(self, chance):
        def say(good):
            def reply(*_):
                n = chance.random()
                if n < 0.8:
                    return good
                return chance.choice((
                    "450 4.0.0 a", "550-5.0.0 b\r\n550 5.0.0 c", "421 4.0.0 d",
                    "nonsense", None, "354 e", "250 2.0.0 f\r\n250 2.0.0 g"))

            return reply

        return SmtpScript(replies={
            verb: say(text) for verb, text in SmtpScript.USUAL.items()})

    def group(self, c, chance):
        """Say some commands at once, in two pieces; DATA waits for its turn.
        How many messages were taken."""
        commands = [chance.choice(chance.choice((self.COMMANDS, self.LIKELY)))
                    for _ in range(chance.randrange(1, 7))]
        if b"DATA\r\n" in commands:
            del commands[commands.index(b"DATA\r\n") + 1:]
        octets = b"".join(commands)
        cut = chance.randrange(len(octets))
        c.send(octets[:cut])
        c.send(octets[cut:])
        codes = [c.reply()[0] for _ in commands]
        if codes[-1] == 354:
            c.send(b"\r\nx\r\n.\r\n")
            codes[-1] = c.reply()[0]
        return sum(code == 250 and (b" LAST" in command or b"DATA" in command)
                   for code, command in zip(codes, commands))

    def test_chance(self):
        """As many replies as commands, as many messages as were taken."""
        for seed in range(60):
            with self.subTest(seed=seed):
                chance = random.Random(seed)
                self.inner.script = self.server(chance)
                self.inner.messages.clear()
                c = self.user()
                taken = sum(self.group(c, chance) for _ in range(6))
                self.assertEqual(c.cmd("EHLO x")[1][0], "gw.example.org")
                self.assertEqual(len(self.inner.messages), taken)
                c.close()


if __name__ == "__main__":
    main()
