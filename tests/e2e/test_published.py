# SPDX-License-Identifier: ISC
"""Published attacks on mail servers that a relay can be led into, for each
daemon: STARTTLS injection of commands and of responses (NO STARTTLS, 2021),
cross-protocol attacks (ALPACA, 2021).  SMTP smuggling (2023) is in
test_smtp_smuggling.py."""

import ssl
import time

import harness
from case import TestCase, main
from certs import gateway_pair
from client import Client, Connection, Pop3Client, plain_message, tls_context
from inner import Pop3Script, Script, StandIn
from submission import SmtpClient, SmtpScript, sasl_lines

MARK = "<script>alert(1)</script>"
REQUEST = ("%s /" + MARK + " %s\r\nHost: gw.example.org:993\r\n"
           "X: " + MARK + "\r\n\r\n" + MARK + " %s\r\n" + MARK + "\r\n")


def server_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*gateway_pair())
    return context


class Daemon:
    """What the cases below have in common, of one daemon."""

    def setUp(self):
        self.inner = StandIn(self, self.script())
        self.inner.messages = []
        self.relais = harness.Gateway(
            self, self.inner.port, *self.lines(), daemon=self.daemon)

    def lines(self):
        return ()

    def ports(self):
        return ((self.relais.ssl, True), (self.relais.starttls, False),
                (self.relais.plain, False))

    def test_requests_of_a_browser(self):
        """Not answered, but for one line that repeats nothing; what stands
        behind the request, a login perhaps, is not done."""
        for port, tls in self.ports():
            for method in "GET", "POST", "PUT", "OPTIONS":
                for version in "HTTP/1.1", "HTTP/1.0", "http/1.1":
                    with self.subTest(port=port, method=method):
                        c = Connection(port, tls)
                        c.line()
                        c.send(REQUEST % (method, version, self.attack))
                        said = c.rest()
                        c.close()
                        self.assertLessEqual(said.count("\r\n"), 2, said)
                        for word in MARK, "script", method + " ", "alert":
                            self.assertNotIn(word, said)
        self.assertEqual(self.inner.logins, [])

    def test_request_in_pieces(self):
        c = Connection(self.relais.ssl, True)
        c.line()
        for part in "GET /", MARK, " HTTP/", "1.1\r", "\n":
            c.send(part)
            time.sleep(0.02)
        self.assertNotIn("script", c.rest())
        c.close()

    def test_another_protocol_s_name(self):
        """ALPN: TLS for a web server is no TLS for us (RFC 7301 3.2)."""
        others = {"http/1.1", "h2", "imap", "pop3", "smtp", "ftp",
                  "managesieve"} - {self.alpn}
        for name in sorted(others):
            with self.subTest(name):
                with self.assertRaises((ssl.SSLError, ConnectionError)) as e:
                    Connection(self.relais.ssl,
                               context=tls_context(alpn=[name]))
                self.assertRegex(str(e.exception), "(?i)no.application")
        for offer in [self.alpn], ["http/1.1", self.alpn], None:
            c = Connection(self.relais.ssl, context=tls_context(alpn=offer))
            self.assertEqual(c.sock.selected_alpn_protocol(),
                             offer and self.alpn)
            c.close()

    def test_injected_command(self):
        """What came in clear behind STARTTLS is not done within TLS."""
        for injected in self.injected, self.injected[:3], self.injected * 999:
            c = self.kind(self.relais.starttls)
            c.greet()
            c.send(self.starttls + "\r\n" + injected)
            try:
                c.line()
                c.buffer.clear()
                c.start_tls()
                c.sock.settimeout(0.3)
                with self.assertRaises((TimeoutError, EOFError)):
                    c.line()        # nothing that nobody within TLS asked
            except (OSError, EOFError):
                pass                # the end is as good an answer
            c.close()
        self.assertEqual(self.inner.logins, [])

    def test_injected_response(self):
        """What an inner server's neighbour puts behind the word for
        STARTTLS is not taken for what was said within TLS."""
        inner = StandIn(self, self.injects())
        inner.messages = []
        relais = harness.Gateway(
            self, inner.port, *self.lines(), "ssl_mode tls_outgoing_force",
            "ssl_ca_file " + tls_ca(), daemon=self.daemon)
        c = self.kind(relais.ssl, True)
        c.greet()
        self.try_it(c)
        c.close()
        self.assertEqual(inner.logins, [])
        self.assertEqual(inner.messages, [])
        inner.faults.clear()


def tls_ca():
    from certs import certificates
    return certificates().ca.cert


class Imap(Daemon, TestCase):
    daemon, kind, alpn, script = harness.IMAPSD, Client, "imap", Script
    starttls = "a STARTTLS"
    injected = "b LOGIN alice secret\r\n"
    attack = "LOGIN alice secret"

    def injects(self):
        class Injects(Script):
            def command(self, peer, tag, word, text):
                if word != "STARTTLS":
                    return super().command(peer, tag, word, text)
                peer.send(tag + " OK now\r\n* PREAUTH in\r\n* CAPABILITY "
                          "IMAP4rev1\r\n")
                peer.starttls(self.starttls)
                return True
        return Injects(capability="IMAP4rev1 STARTTLS",
                       starttls=server_context())

    def try_it(self, c):
        self.assertNO(c.login())


class Pop3(Daemon, TestCase):
    daemon, kind, alpn, script = (harness.POP3SD, Pop3Client, "pop3",
                                  Pop3Script)
    starttls = "STLS"
    injected = "AUTH PLAIN " + plain_message("alice", "secret") + "\r\n"
    attack = "x\r\nUSER alice\r\nPASS secret"

    def injects(self):
        class Injects(Pop3Script):
            def command(self, peer, verb, args):
                if verb != "STLS":
                    return super().command(peer, verb, args)
                peer.send("+OK now\r\n+OK\r\n+OK in\r\n")
                peer.starttls(self.starttls)
                return True
        return Injects(capability=("USER", "STLS"), starttls=server_context())

    def try_it(self, c):
        self.assertRegex(c.login(), "^-ERR")


class Smtp(Daemon, TestCase):
    daemon, kind, alpn, script = (harness.SMTPSD, SmtpClient, "smtp",
                                  SmtpScript)
    starttls = "STARTTLS"
    injected = "EHLO x\r\nMAIL FROM:<a@example.org>\r\n"
    attack = "x\r\nEHLO x\r\nAUTH PLAIN " + plain_message("alice", "secret")

    def lines(self):
        return sasl_lines(self)

    def injects(self):
        class Injects(SmtpScript):
            def run(self, peer, verb, line):
                if verb != "STARTTLS":
                    return super().run(peer, verb, line)
                return "220 2.0.0 now\r\n250-inner\r\n250 DSN\r\n250 2.1.0 Ok"
        return Injects(starttls=server_context())

    def try_it(self, c):
        c.ehlo()
        self.assertEqual(c.login()[0], 235)
        replies = [c.cmd("MAIL FROM:<a@example.org>")]
        if replies[0][0] == 250:
            replies.append(c.cmd("RCPT TO:<b@example.net>"))
        self.assertGreaterEqual(replies[-1][0], 400)


if __name__ == "__main__":
    main()
