# SPDX-License-Identifier: ISC
"""STLS (RFC 2595 4): what was said before it counts for nothing behind it,
and no credentials are taken before it."""

import ssl

import harness
from case import Pop3Case, main, timed
from certs import gateway_pair
from client import plain_message
from harness import free_port
from inner import Pop3Script, StandIn


class Stls(Pop3Case):
    def start(self, behind=""):
        """A client after STLS, with this behind it in the same segment."""
        c = self.connect(self.relais.starttls)
        c.send("STLS\r\n" + behind)
        self.assertYes(c.line())
        c.start_tls()
        return c

    def assertFresh(self, c):
        """Its first command gets the first answer, and there is no other."""
        c.send("XYZ\r\nQUIT\r\n")
        self.assertNo(c.line())
        self.assertRegex(c.rest(), r"\A\+OK[^\r\n]*\r\n\Z")
        self.assertEqual(self.inner.logins, [])

    def test_works(self):
        c = self.start()
        self.assertYes(c.login())
        self.assertEqual(self.seen(), ("alice", "secret"))

    def test_no_greeting_behind_it(self):
        self.assertFresh(self.start())

    def test_what_is_injected_behind_it_is_thrown_away(self):
        for behind in ("CAPA\r\n", "QUIT\r\n", "USER ali", "\r\n", "\n",
                       "\0", "x" * 3000,
                       "USER alice\r\nPASS secret\r\nQUIT\r\n",
                       "USER alice\r\nPASS secret\r\nDELE 1\r\nQUIT\r\n",
                       "AUTH PLAIN %s\r\n" % plain_message("alice", "secret"),
                       "STLS\r\n", "CAPA\r\n" * 600):
            with self.subTest(behind=behind[:50]):
                self.assertFresh(self.start(behind))

    def test_an_injected_name_is_forgotten(self):
        c = self.start("USER mallory\r\n")
        self.assertNo(c.cmd("PASS secret"))
        self.assertEqual(self.inner.logins, [])

    def test_half_a_command_is_forgotten(self):
        c = self.start("USER mal")
        self.assertNo(c.cmd("lory"))
        self.assertNo(c.cmd("PASS secret"))
        self.assertEqual(self.inner.logins, [])

    def test_more_than_is_read_at_once(self):
        """Thrown away, or taken for a handshake that fails; never done."""
        c = self.connect(self.relais.starttls)
        try:
            c.send("STLS\r\n" + "USER alice\r\nPASS secret\r\n" * 20000)
            self.assertYes(c.line())
            c.start_tls()
            self.assertFresh(c)
        except (EOFError, OSError):
            pass
        self.assertEqual(self.inner.logins, [])

    def test_clear_text_in_place_of_a_handshake(self):
        c = self.connect(self.relais.starttls)
        self.assertYes(c.cmd("STLS"))
        c.send("USER alice\r\nPASS secret\r\nQUIT\r\n")
        self.assertNotIn("+OK", c.rest())
        self.assertEqual(self.inner.logins, [])

    def test_octet_by_octet(self):
        c = self.connect(self.relais.starttls)
        for octet in "STLS\r\n":
            c.send(octet)
        self.assertYes(c.line())
        c.start_tls()
        self.assertFresh(c)

    def test_twice(self):
        c = self.start()
        self.assertNo(c.cmd("STLS"))
        self.assertYes(c.login())

    def test_where_it_is_not_offered(self):
        for c in (self.tls(), self.connect(self.relais.plain)):
            self.assertNo(c.cmd("STLS"))
            self.assertYes(c.login())

    def test_with_an_argument(self):
        c = self.connect(self.relais.starttls)
        self.assertNo(c.cmd("STLS now"))
        c.starttls()
        self.assertYes(c.login())

    def test_a_handshake_that_fails(self):
        c = self.connect(self.relais.starttls)
        self.assertYes(c.cmd("STLS"))
        with self.assertRaises(ssl.SSLCertVerificationError):
            c.start_tls(name="wrong.test")
        self.assertYes(self.start().login())


class Clear(Pop3Case):
    """Credentials before TLS."""
    SECRETS = ("USER alice", "PASS secret", "AUTH PLAIN", "AUTH LOGIN",
               "AUTH PLAIN " + plain_message("alice", "secret"),
               "AUTH LOGIN YWxpY2U=", "user alice", "auth plain")

    def test_refused(self):
        c = self.connect(self.relais.starttls)
        for command in self.SECRETS:
            with self.subTest(command=command):
                reply, seconds = timed(c.cmd, command)
                self.assertNo(reply)
                self.assertLess(seconds, 1.5 * harness.SLOW)
        self.assertEqual(self.inner.logins, [])
        c.starttls()
        self.assertYes(c.login())

    def test_no_mechanism_is_listed(self):
        c = self.connect(self.relais.starttls)
        first, lines = c.multi("AUTH")
        self.assertEqual(lines, [], first)
        c.starttls()
        self.assertYes(c.login())

    def test_on_the_plain_listener(self):
        c = self.connect(self.relais.plain)
        self.assertYes(c.login())


class ClearAllowed(Pop3Case):
    """An administrator who lets them pass: then STLS has a past to forget."""
    script = Pop3Script(capability=("USER", "SASL PLAIN", "UTF8", "LANG"))

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.port, pair = free_port(), gateway_pair()
        cls.relais = harness.Relais(cls, "\n".join((
            "bind_address 127.0.0.1", "listen_port %d" % cls.port,
            "ssl_mode tls_listen", "plaintext_login",
            "outgoing_server 127.0.0.1:%d" % cls.inner.port,
            "ssl_cert_file " + pair.cert,
            "ssl_key_file " + pair.key)) + "\n",
            ports=(cls.port,), daemon=cls.daemon)

    def test_login(self):
        c = self.connect(self.port)
        lines = c.capability()
        for line in "STLS", "USER", "SASL PLAIN LOGIN":
            self.assertIn(line, lines)
        self.assertYes(c.login())

    def test_a_name_before_it_is_forgotten(self):
        c = self.connect(self.port)
        self.assertYes(c.cmd("USER alice"))
        c.starttls()
        self.assertNo(c.cmd("PASS secret"))
        self.assertEqual(self.inner.logins, [])
        self.assertYes(c.login())

    def test_a_name_in_the_same_segment_is_forgotten(self):
        c = self.connect(self.port)
        c.send("USER alice\r\nSTLS\r\nPASS secret\r\n")
        self.assertYes(c.line())
        self.assertYes(c.line())
        c.start_tls()
        self.assertNo(c.cmd("PASS secret"))
        self.assertEqual(self.inner.logins, [])

    def test_utf8_and_lang_before_it_are_forgotten(self):
        """Whoever sat on the wire may have said that (RFC 2595 4)."""
        c = self.connect(self.port)
        c.cmd("UTF8")
        c.cmd("LANG xx")
        if c.cmd("STLS").startswith("-ERR"):
            return              # RFC 6856 2.1: it may be refused
        c.start_tls()
        self.assertYes(c.login())
        self.assertFalse([l for l in self.inner.lines
                          if l.startswith((b"UTF8", b"LANG"))])

    def test_stls_is_no_response(self):
        c = self.connect(self.port)
        self.assertEqual(c.cmd("AUTH PLAIN"), "+ ")
        self.assertNo(c.cmd("STLS"))
        c.starttls()
        self.assertYes(c.login())


if __name__ == "__main__":
    main()
