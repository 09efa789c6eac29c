# SPDX-License-Identifier: ISC
"""What pop3sd says and hears before the login, credentials aside."""

import harness
from case import Pop3Case, main, timed
from certs import NAME
from client import plain_message
from harness import wait_for
from inner import Pop3Script

EVERYTHING = ("CAPA", "TOP", "UIDL", "USER", "APOP", "STLS", "PIPELINING",
              "SASL CRAM-MD5 PLAIN SCRAM-SHA-256", "RESP-CODES",
              "AUTH-RESP-CODE", "EXPIRE 60", "LOGIN-DELAY 900", "UTF8 USER",
              "LANG", "IMPLEMENTATION Inner-3.141")
# What a client may have of it (RFC 2449 6, RFC 3206 6).
KEPT = ("TOP", "UIDL", "PIPELINING", "RESP-CODES", "AUTH-RESP-CODE",
        "EXPIRE 60", "LOGIN-DELAY 900")
# Valid in the TRANSACTION state only, or not through a relay (RFC 1939).
NOT_NOW = ("NOOP", "STAT", "LIST", "LIST 1", "RETR 1", "DELE 1", "RSET",
           "TOP 1 0", "UIDL", "XTND XMIT",
           "APOP alice c4c9334bac560ecc979e58001b3e22fb")
LOGINS = ("USER alice", "PASS secret", "AUTH PLAIN", "AUTH LOGIN",
          "AUTH PLAIN " + plain_message("alice", "secret"))


def verbs(lines):
    return [line.split()[0].upper() for line in lines]


class Greeting(Pop3Case):
    def test_each_listener(self):
        for port, tls in ((self.relais.ssl, True),
                          (self.relais.starttls, False),
                          (self.relais.plain, False)):
            with self.subTest(port=port):
                self.assertYes(self.connect(port, tls).greeting)

    def test_no_timestamp(self):
        """The inner banner's digest could not be relayed, nor is there one
        of our own: no "<...>" (RFC 1939 7)."""
        self.assertNotRegex(self.tls().greeting, "[<>@]")

    def test_says_nothing_of_the_hosts(self):
        greeting = self.tls().greeting
        self.assertNotIn(NAME, greeting)
        self.assertNotIn("stand-in", greeting)
        self.assertNotRegex(greeting, r"\d+\.\d+")

    def test_no_timestamp_in_the_answer_to_the_login(self):
        """Nor is the inner banner shown anywhere later."""
        c = self.tls()
        self.assertYes(c.login())
        c.send("QUIT\r\n")
        self.assertNotIn("1896.697170952", c.rest())

    def test_an_inner_server_that_is_down_does_not_matter(self):
        self.assertYes(self.tls().greeting)
        self.inner.stop()
        try:
            self.assertYes(self.tls().greeting)
        finally:
            self.inner.start()


class Capa(Pop3Case):
    script = Pop3Script(capability=EVERYTHING)

    def lines_of(self, client):
        lines = client.capability()
        words = verbs(lines)
        self.assertEqual(len(words), len(set(words)), lines)
        for line in KEPT:
            self.assertIn(line, lines)
        for word in ("APOP", "CAPA"):
            self.assertNotIn(word, words)
        self.assertNotIn("IMPLEMENTATION Inner-3.141", lines)
        self.assertFalse([l for l in lines if "CRAM" in l or "SCRAM" in l])
        return lines

    def with_login(self, client):
        lines = self.lines_of(client)
        self.assertIn("USER", lines)
        self.assertNotIn("STLS", lines)
        sasl = [l.split()[1:] for l in lines if l.startswith("SASL ")]
        self.assertEqual([sorted(words) for words in sasl],
                         [["LOGIN", "PLAIN"]])

    def test_over_tls(self):
        self.with_login(self.tls())

    def test_plain(self):
        self.with_login(self.connect(self.relais.plain))

    def test_before_and_after_stls(self):
        c = self.connect(self.relais.starttls)
        words = verbs(self.lines_of(c))
        self.assertIn("STLS", words)
        self.assertNotIn("SASL", words)     # RFC 5034 3: none, no tag
        self.assertNotIn("USER", words)
        c.starttls()
        self.with_login(c)

    def test_twice_the_same(self):
        c = self.tls()
        self.assertEqual(c.capability(), c.capability())

    def test_with_an_argument(self):
        c = self.tls()
        self.assertNo(c.cmd("CAPA now"))
        self.assertTrue(c.capability())

    def test_after_login_the_inner_server_answers(self):
        c = self.tls()
        self.assertYes(c.login())
        self.assertEqual(c.cmd("CAPA"), "+OK heard CAPA")

    def test_before_any_login_the_inner_server_is_not_bothered(self):
        """A list that is known is not asked for once more."""
        self.tls().capability()
        before = self.inner.connections
        for _ in range(5):
            self.tls().capability()
        self.assertEqual(self.inner.connections, before)


class CapaOfLess(Pop3Case):
    """An inner server that can do little: nothing is added to it but what
    pop3sd does itself."""
    script = Pop3Script(capability=("UIDL", "USER"))

    def test_only_what_it_has(self):
        words = verbs(self.tls().capability())
        self.assertEqual(set(words) - {"IMPLEMENTATION"},
                         {"UIDL", "USER", "SASL"})


class CapaOfNone(Pop3Case):
    """An inner server from before RFC 2449."""
    script = Pop3Script(capability=None)

    def test_there_is_a_list(self):
        words = verbs(self.tls().capability())
        self.assertIn("USER", words)
        for word in ("TOP", "PIPELINING", "UTF8", "LANG", "STLS", "APOP"):
            self.assertNotIn(word, words)

    def test_login(self):
        c = self.tls()
        self.assertYes(c.login())
        self.assertEqual(self.inner.logins[-1],
                         ("alice", "secret", "", "PASS"))


class Commands(Pop3Case):
    def test_not_before_login(self):
        for port, tls in ((self.relais.ssl, True),
                          (self.relais.starttls, False)):
            c = self.connect(port, tls)
            before = self.inner.connections
            for command in NOT_NOW:
                with self.subTest(command=command):
                    reply, seconds = timed(c.cmd, command)
                    self.assertNo(reply)
                    self.assertLess(seconds, 1.5 * harness.SLOW)
            self.assertTrue(c.capability())
            self.assertEqual(self.inner.connections, before)

    def test_unknown(self):
        c = self.tls()
        for command in ("X", "USERX alice", "HELO", "a LOGIN alice secret",
                        "GET / HTTP/1.0", "%s%n", "+OK", "."):
            with self.subTest(command=command):
                self.assertNo(c.cmd(command))
        self.assertYes(c.login())

    def test_a_line_without_a_command(self):
        c = self.tls()
        for line in ("", " ", "\t", " USER alice", " QUIT"):
            with self.subTest(line=line):
                self.assertNo(c.cmd(line))
        self.assertYes(c.login())

    def test_eight_bit_verb(self):
        c = self.tls()
        for verb in (b"\xff\xfe", b"US\xc9R alice", "\u00fcser x".encode(),
                     b"\x01", b"\x7f"):
            with self.subTest(verb=verb):
                c.send(verb + b"\r\n")
                self.assertNo(c.line())
        self.assertYes(c.login())

    def test_any_case(self):
        c = self.connect(self.relais.starttls)
        self.assertYes(c.multi("cApA")[0])
        self.assertYes(c.cmd("stls"))
        c.start_tls()
        self.assertYes(c.cmd("user alice"))
        self.assertYes(c.cmd("pAsS secret"))
        self.assertEqual(self.seen(), ("alice", "secret"))

    def test_quit(self):
        for port, tls in ((self.relais.ssl, True),
                          (self.relais.starttls, False)):
            for before in "", "USER alice\r\n", "XYZ\r\n":
                c = self.connect(port, tls)
                c.send(before + "QUIT\r\nCAPA\r\n")
                lines = c.rest().splitlines()
                self.assertEqual(len(lines), 2 if before else 1, lines)
                self.assertYes(lines[-1])
        self.assertEqual(self.inner.logins, [])

    def test_quit_with_an_argument(self):
        c = self.tls()
        self.assertNo(c.cmd("QUIT now"))
        self.assertYes(c.cmd("QUIT"))


class Lines(Pop3Case):
    """What is no line, or one too many."""

    def test_octet_by_octet(self):
        c = self.tls()
        for octet in "CAPA\r\nUSER alice\r\nPASS secret\r\nXONE\r\n":
            c.send(octet)
        self.assertYes(c.line())
        self.assertTrue(c.listing())
        self.assertYes(c.line())
        self.assertYes(c.line())
        self.assertEqual(c.line(), "+OK heard XONE")

    def test_pipelined(self):
        c = self.tls()
        c.send("NOOP\r\nCAPA\r\nUSER alice\r\nPASS secret\r\nXONE\r\nXT")
        self.assertNo(c.line())
        self.assertYes(c.line())
        self.assertTrue(c.listing())
        self.assertYes(c.line())
        self.assertYes(c.line())
        self.assertEqual(c.line(), "+OK heard XONE")
        c.send("WO\r\n")
        self.assertEqual(c.line(), "+OK heard XTWO")

    def test_bad_octets(self):
        """NUL, bare CR and bare LF neither end a line nor are passed on, and
        what comes with them is not executed."""
        for bad in (b"USER alice\nPASS secret\r\n",
                    b"USER alice\r\nPASS secret\nXONE\r\n",
                    b"USER alice\rPASS secret\r\n",
                    b"USER alice\r\nPASS sec\rret\r\n",
                    b"USER alice\r\nPASS secret\r\r\n",
                    b"USER al\0ice\r\nPASS secret\r\n",
                    b"USER alice\r\nPASS secret\0\r\n",
                    b"\0\r\nUSER alice\r\nPASS secret\r\n",
                    b"CAPA\nUSER alice\r\nPASS secret\r\n"):
            with self.subTest(bad=bad):
                c = self.connect(self.relais.plain)
                c.send(bad)
                c.send(b"QUIT\r\n")
                said = c.rest()
                self.assertNotIn("maildrop", said)
                self.assertRegex(said, "(?m)^-ERR ")
                self.assertEqual(self.inner.logins, [])

    def test_a_megabyte(self):
        for tls, port in ((True, self.relais.ssl),
                          (False, self.relais.starttls),
                          (False, self.relais.plain)):
            for start in "", "USER ", "PASS ", "AUTH PLAIN ":
                with self.subTest(tls=tls, start=start):
                    c = self.connect(port, tls)
                    try:
                        c.send(start)
                        for _ in range(100):
                            c.send(b"x" * 10000)
                        c.send("\r\nUSER alice\r\nPASS secret\r\n")
                    except OSError:
                        pass    # it has hung up on us already
                    self.assertNotIn("+OK", c.rest())
        self.assertEqual(self.inner.logins, [])

    def test_a_megabyte_as_a_response(self):
        c = self.tls()
        self.assertEqual(c.cmd("AUTH PLAIN"), "+ ")
        try:
            for _ in range(100):
                c.send(b"x" * 10000)
            c.send("\r\nUSER alice\r\nPASS secret\r\n")
        except OSError:
            pass
        self.assertNotIn("+OK", c.rest())
        self.assertEqual(self.inner.logins, [])

    def test_many_commands(self):
        """80 are nobody's fault; without end they are."""
        c = self.tls()
        c.send("NOOP\r\n" * 80)
        for _ in range(80):
            self.assertNo(c.line())
        try:
            for _ in range(50):
                c.send("NOOP\r\n" * 100)
        except OSError:
            pass
        lines = c.rest().splitlines()
        self.assertLess(len(lines), 200)
        for line in lines:
            self.assertNo(line)

    def test_many_lists(self):
        """An answer longer than its question, to a client that does not
        read: it ends by itself."""
        c = self.connect(self.relais.starttls)
        try:
            for _ in range(1000):
                c.send("CAPA\r\n" * 100)
        except OSError:
            pass
        self.assertLess(len(c.rest()), 1000000)


class Full(Pop3Case):
    lines = ("connection_limit_address 1",)

    def test_turned_away(self):
        """In place of a greeting (RFC 1939 4 has -ERR there, too)."""
        kept = wait_for(lambda: self.served("127.0.3.1"), what="a place")
        for port in self.relais.plain, self.relais.starttls:
            c = self.raw(port, source="127.0.3.1")
            self.assertRegex(c.rest(), r"\A-ERR \[SYS/TEMP\] [^\r\n]+\r\n\Z")
        self.assertYes(kept.login())

    def served(self, source):
        c = self.connect(self.relais.plain, source=source)
        return c if c.greeting.startswith("+OK") else None


class Disabled(Pop3Case):
    lines = ("login_disabled",)

    def test_nobody_gets_in(self):
        for port, tls in ((self.relais.ssl, True),
                          (self.relais.starttls, False),
                          (self.relais.plain, False)):
            with self.subTest(port=port):
                c = self.connect(port, tls)
                words = verbs(c.capability())
                self.assertNotIn("USER", words)
                self.assertNotIn("SASL", words)
                for command in LOGINS:
                    reply, seconds = timed(c.cmd, command)
                    self.assertNo(reply)
                    self.assertNotIn("[AUTH]", reply)
                    self.assertLess(seconds, 1.5 * harness.SLOW)
                self.assertEqual(c.multi("AUTH")[1], [])
                self.assertYes(c.cmd("QUIT"))
        self.assertEqual(self.inner.logins, [])


class Utf8(Pop3Case):
    """UTF8 and LANG (RFC 6856) belong to the AUTHORIZATION state, in which
    the inner server is not there yet."""
    script = Pop3Script(capability=EVERYTHING)

    def told(self):
        """What the inner server heard in the last login, in order."""
        verb = [l.split()[0] for l in self.inner.lines if l]
        return [v for v in verb
                if v in (b"UTF8", b"LANG", b"USER", b"PASS", b"AUTH")]

    def test_offered(self):
        words = verbs(self.tls().capability())
        self.assertIn("UTF8", words)
        self.assertIn("LANG", words)

    def test_not_said_is_not_told(self):
        self.assertYes(self.tls().login())
        self.assertEqual(self.told(), [b"USER", b"PASS"])

    def test_utf8(self):
        c = self.tls()
        self.assertYes(c.cmd("UTF8"))
        self.assertYes(c.login())
        self.assertEqual(self.told(), [b"UTF8", b"USER", b"PASS"])
        self.assertEqual(c.cmd("XONE"), "+OK heard XONE")

    def test_lang(self):
        c = self.tls()
        self.assertYes(c.cmd("LANG fr"))
        self.assertYes(c.login())
        self.assertEqual(self.told(), [b"LANG", b"USER", b"PASS"])
        self.assertIn(b"LANG fr", self.inner.lines)

    def test_the_last_language_counts(self):
        c = self.tls()
        self.assertYes(c.cmd("LANG fr"))
        self.assertYes(c.cmd("LANG de"))
        self.assertYes(c.login())
        said = [l for l in self.inner.lines if l.startswith(b"LANG")]
        self.assertEqual(said[-1], b"LANG de")

    def test_both_before_any_name(self):
        for first, second in (("UTF8", "LANG fr"), ("LANG fr", "UTF8")):
            with self.subTest(first=first):
                self.inner.lines.clear()
                c = self.tls()
                self.assertYes(c.cmd(first))
                self.assertYes(c.cmd(second))
                self.assertYes(c.login())
                self.assertEqual(sorted(self.told()[:2]), [b"LANG", b"UTF8"])
                self.assertEqual(self.told()[2:], [b"USER", b"PASS"])

    def test_between_name_and_password(self):
        c = self.tls()
        self.assertYes(c.cmd("USER alice"))
        self.assertYes(c.cmd("UTF8"))
        if c.cmd("PASS secret").startswith("-ERR"):
            self.assertYes(c.login())
        self.assertEqual(self.told(), [b"UTF8", b"USER", b"PASS"])

    def test_with_auth(self):
        c = self.tls()
        self.assertYes(c.cmd("UTF8"))
        self.assertYes(c.cmd("AUTH PLAIN " + plain_message(
            "alice", "secret", "carol")))
        self.assertEqual(self.told(), [b"UTF8", b"AUTH"])

    def test_again_after_a_refusal(self):
        """A new inner server knows nothing of what the first was told."""
        c = self.tls()
        self.assertYes(c.cmd("UTF8"))
        self.assertNo(c.login("alice", "wrong"))
        self.inner.lines.clear()
        self.assertYes(c.login())
        self.assertEqual(self.told(), [b"UTF8", b"USER", b"PASS"])

    def test_eight_bit_names(self):
        user, password = "ren\u00e9", "p\u00e4ss\u20ac"
        self.inner.script = Pop3Script(capability=EVERYTHING,
                                       users={user: password})
        c = self.tls()
        self.assertYes(c.cmd("UTF8"))
        self.assertYes(c.login(user, password))
        self.assertEqual(self.seen(), (user, password))

    def test_malformed(self):
        """Nothing that could not stand in a command of its own."""
        c = self.tls()
        for command in ("UTF8 now", "LANG fr de", "LANG f\u00ef", "LANG \x07",
                        "LANG " + "x" * 300):
            with self.subTest(command=command):
                self.assertNo(c.cmd(command))
        self.assertYes(c.login())
        self.assertEqual(self.told(), [b"USER", b"PASS"])

    def test_refused_by_the_inner_server(self):
        """The login ends in a reply in time, and no password was wrong."""
        class Refuses(Pop3Script):
            def command(self, peer, verb, args):
                if verb in ("UTF8", "LANG"):
                    peer.send("-ERR not today\r\n")
                    return True
                return super().command(peer, verb, args)

        self.inner.script = Refuses(capability=EVERYTHING)
        for command in ("UTF8", "LANG xx"):
            with self.subTest(command=command):
                c = self.tls()
                self.assertYes(c.cmd(command))
                reply, seconds = timed(c.login)
                self.assertNotIn("[AUTH]", reply)
                self.assertLess(seconds, 1.5 * harness.SLOW)
                if reply.startswith("+OK"):
                    self.assertEqual(c.cmd("XONE"), "+OK heard XONE")


class NoUtf8(Pop3Case):
    """An inner server that has neither."""

    def test_not_offered_and_not_taken(self):
        c = self.tls()
        words = verbs(c.capability())
        for word in ("UTF8", "LANG"):
            self.assertNotIn(word, words)
            self.assertNo(c.cmd(word))
        self.assertNo(c.cmd("LANG fr"))
        self.assertYes(c.login())
        self.assertFalse([l for l in self.inner.lines
                          if l.startswith((b"UTF8", b"LANG"))])


if __name__ == "__main__":
    main()
