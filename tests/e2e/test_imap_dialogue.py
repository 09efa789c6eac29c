# SPDX-License-Identifier: ISC
"""What imapsd says and hears before the login."""

import time

import harness
from case import StandInCase, main
from certs import NAME
from client import code_list, plain_message


class Greeting(StandInCase):
    def test_tls(self):
        c = self.tls()
        self.assertRegex(c.greeting, r"^\* OK \[CAPABILITY ")
        words = code_list(c.greeting)
        self.assertEqual(words[0], "IMAP4rev1")
        for word in ("AUTH=PLAIN", "SASL-IR"):
            self.assertIn(word, words)
        for word in ("STARTTLS", "LOGINDISABLED"):
            self.assertNotIn(word, words)
        self.assertEqual(c.capability(), words)

    def test_starttls(self):
        c = self.connect(self.relais.starttls)
        words = code_list(c.greeting)
        self.assertIn("STARTTLS", words)
        self.assertIn("LOGINDISABLED", words)
        self.assertFalse([w for w in words if w.startswith("AUTH=")], words)
        self.assertEqual(c.capability(), words)

    def test_plain(self):
        c = self.connect(self.relais.plain)
        words = code_list(c.greeting)
        self.assertIn("AUTH=PLAIN", words)
        self.assertNotIn("LOGINDISABLED", words)

    def test_says_nothing_of_the_host(self):
        greeting = self.tls().greeting
        self.assertNotIn(NAME, greeting)
        self.assertNotRegex(greeting, r"\d+\.\d+\.\d+")

    def test_a_word_appears_once(self):
        words = code_list(self.tls().greeting)
        self.assertEqual(len(words), len(set(words)), words)


class StartTLS(StandInCase):
    def test_works_and_the_list_changes(self):
        c = self.connect(self.relais.starttls)
        c.starttls()
        words = c.capability()
        self.assertNotIn("STARTTLS", words)
        self.assertNotIn("LOGINDISABLED", words)
        self.assertIn("AUTH=PLAIN", words)
        self.assertOK(c.login())
        self.assertEqual(self.seen(), ("alice", "secret"))

    def test_what_is_injected_behind_it_is_thrown_away(self):
        c = self.connect(self.relais.starttls)
        c.send("a STARTTLS\r\nb NOOP\r\nc LOGIN alice secret\r\n")
        self.assertOK(c.answer("a"))
        c.start_tls()
        c.send("d NOOP\r\n")
        self.assertRegex(c.line(), r"^d OK")
        self.assertIsNone(self.seen())

    def test_half_a_command_is_thrown_away_too(self):
        c = self.connect(self.relais.starttls)
        c.send("a STARTTLS\r\nb LOGIN alice ")
        self.assertOK(c.answer("a"))
        c.start_tls()
        self.assertOK(c.cmd("NOOP"))

    def test_twice(self):
        c = self.connect(self.relais.starttls)
        c.starttls()
        self.assertBAD(c.cmd("STARTTLS"))
        self.assertOK(c.cmd("NOOP"))

    def test_where_it_is_not_offered(self):
        for c in (self.tls(), self.connect(self.relais.plain)):
            self.assertBAD(c.cmd("STARTTLS"))
            self.assertOK(c.cmd("NOOP"))

    def test_with_an_argument(self):
        c = self.connect(self.relais.starttls)
        self.assertBAD(c.cmd("STARTTLS now"))
        self.assertOK(c.cmd("NOOP"))

    def test_clear_text_in_place_of_a_handshake(self):
        c = self.connect(self.relais.starttls)
        self.assertOK(c.cmd("STARTTLS"))
        c.send("b LOGIN alice secret\r\n")
        c.rest()                # ends
        self.assertIsNone(self.seen())

    def test_no_credentials_before_it(self):
        c = self.connect(self.relais.starttls)
        for command in ("LOGIN alice secret",
                        'LOGIN "alice" "secret"',
                        "AUTHENTICATE PLAIN " + plain_message("alice",
                                                              "secret"),
                        "AUTHENTICATE PLAIN",
                        "AUTHENTICATE LOGIN"):
            began = time.monotonic()
            self.assertNO(c.cmd(command), "PRIVACYREQUIRED")
            self.assertLess(time.monotonic() - began, 1.5 * harness.SLOW)
        self.assertIsNone(self.seen())


class Others(StandInCase):
    def test_noop(self):
        for port in (self.relais.starttls, self.relais.plain):
            self.assertEqual(self.connect(port).cmd("NOOP").status, "OK")
        self.assertOK(self.tls().cmd("noop"))

    def test_id(self):
        c = self.tls()
        for argument in ("NIL", '("name" "x" "version" NIL)', "()"):
            reply = self.assertOK(c.cmd("ID " + argument))
            self.assertEqual(len(reply.untagged), 1)
            self.assertTrue(reply.untagged[0].startswith("* ID "))

    def test_id_is_not_forwarded(self):
        c = self.tls()
        self.assertOK(c.cmd('ID ("x-originating-ip" "192.0.2.66")'))
        self.assertOK(c.login())
        self.assertFalse([l for l in self.inner.lines if b"192.0.2.66" in l])

    def test_id_malformed(self):
        c = self.tls()
        for argument in ("", " x", ' ("a")', ' ("a" "b"', " NIL NIL",
                         ' (("a" "b"))', ' ("%s" "b")' % ("k" * 31)):
            with self.subTest(argument=argument):
                self.assertBAD(c.cmd("ID" + argument))
        self.assertOK(c.cmd("NOOP"))

    def test_logout(self):
        c = self.tls()
        reply = self.assertOK(c.cmd("LOGOUT"))
        self.assertTrue(reply.untagged[0].startswith("* BYE"))
        self.assertEqual(c.rest(), "")

    def test_unknown(self):
        c = self.tls()
        began = time.monotonic()
        for command in ("SELECT INBOX", "X", "ENABLE", "LOGIN2 a b",
                        "UNAUTHENTICATE", "COMPRESS DEFLATE", "IDLE"):
            self.assertBAD(c.cmd(command))
        self.assertLess(time.monotonic() - began, 2 * harness.SLOW)
        self.assertOK(c.cmd("NOOP"))

    def test_no_command_at_all(self):
        c = self.tls()
        for text in ("\r\n", "a\r\n", " \r\n", "a \r\n", "+ NOOP\r\n",
                     "( NOOP\r\n"):
            c.send(text)
            self.assertRegex(c.line(), r"^\S+ BAD")
        self.assertOK(c.cmd("NOOP"))

    def test_arguments_that_do_not_belong(self):
        c = self.tls()
        for command in ("NOOP now", "CAPABILITY x", "LOGOUT x"):
            self.assertBAD(c.cmd(command))


class Limits(StandInCase):
    def test_endless_line(self):
        for port in (self.relais.plain, self.relais.starttls):
            c = self.connect(port)
            try:
                for _ in range(40):
                    c.send(b"x" * 10000)
            except OSError:
                pass            # it has hung up on us already
            self.assertNotIn(" OK", c.rest())

    def test_literal_too_big(self):
        c = self.tls()
        reply = c.cmd("LOGIN {1000000}")
        self.assertIn(reply.status, ("NO", "BAD"))
        self.assertOK(c.cmd("NOOP"))

    def test_literal_plus_too_big(self):
        """It is swallowed or the connection goes; it is never executed."""
        c = self.connect(self.relais.plain)
        trap = "\r\nb LOGIN alice secret\r\n" * 4000
        try:
            c.send("a LOGIN {%d+}\r\n%s secret\r\n" % (len(trap), trap))
            c.send("c LOGOUT\r\n")
        except OSError:
            pass
        self.assertNotIn("b OK", c.rest())
        self.assertIsNone(self.seen())

    def test_literal_plus_too_big_before_tls(self):
        c = self.connect(self.relais.starttls)
        trap = "\r\nb NOOP\r\n" * 2000
        try:
            c.send("a LOGIN {%d+}\r\n%s secret\r\nc LOGOUT\r\n" % (
                len(trap), trap))
        except OSError:
            pass
        self.assertNotIn("b OK", c.rest())

    def test_literal_where_none_belongs(self):
        """A literal behind a word that takes none is no command either."""
        for command in ("NOOP", "XYZ", "CAPABILITY", "SELECT"):
            with self.subTest(command=command):
                c = self.connect(self.relais.plain)
                c.send("a %s {18+}\r\nb LOGIN alice secr\r\nc LOGOUT\r\n"
                       % command)
                self.assertNotIn("b OK", c.rest())
                self.assertIsNone(self.seen())

    def test_bad_octets(self):
        for bad in (b"a NO\0OP\r\n", b"a NOOP\n", b"a NO\rOP\r\n"):
            with self.subTest(bad=bad):
                c = self.connect(self.relais.plain)
                c.send(bad + b"b LOGOUT\r\n")
                self.assertNotIn("a OK", c.rest())

    def test_many_commands(self):
        c = self.tls()
        c.send("a NOOP\r\n" * 90)     # 100 are the limit
        for _ in range(90):
            self.assertTrue(c.line().startswith("a OK"))


if __name__ == "__main__":
    main()
