# SPDX-License-Identifier: ISC
"""TLS and STLS towards the inner server.  Whom a certificate convinces is
common to the daemons, and test_imap_inner_tls.py is about that."""

import functools
import ssl

import harness
from case import TestCase, main, timed
from certs import certificates
from client import Pop3Client
from inner import Dovecot, Pop3Script, StandIn


@functools.lru_cache(maxsize=None)
def pair(name):
    return certificates().make(name)


def server_context(name="127.0.0.1"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair(name))
    return context


class InnerTLS(TestCase):
    kind = Pop3Client

    def gateway(self, port, mode):
        plain = harness.free_port()
        relais = harness.Relais(self, "\n".join((
            "listen 127.0.0.1:%d plain" % plain,
            "outgoing_server 127.0.0.1:%d" % port,
            "outgoing_timeout 5",
            "ssl_ca_file " + certificates().ca.cert,
            "ssl_mode " + mode)) + "\n", ports=(plain,),
            daemon=harness.POP3SD)
        relais.plain = plain
        return relais

    def trusted(self, relais, secure):
        c = self.connect(relais.plain)
        reply = c.login()
        self.assertTrue(reply.startswith("+OK"), reply)
        relais.wait_log('server-secure=%s status="ok"' % secure)
        return c

    def refused(self, relais, inner):
        """No name and no password gets there, and the client is told that
        the server is at fault (RFC 3206 4)."""
        mark = relais.mark()
        reply, seconds = timed(self.connect(relais.plain).login)
        self.assertRegex(reply, r"^-ERR \[SYS/(TEMP|PERM)\] ")
        self.assertLess(seconds, 8 * harness.SLOW)
        relais.wait_log(r'status="failed: ', mark)
        self.assertEqual(inner.logins, [])
        for line in inner.lines:
            self.assertNotIn(line[:4].upper(), (b"USER", b"PASS", b"AUTH"))


class RealServer(InnerTLS):
    @classmethod
    def setUpClass(cls):
        cls.dovecot = Dovecot(cls, pair=pair("127.0.0.1"))
        cls.dovecot.deliver("alice", b"Subject: one\r\n\r\nhello\r\n")

    def test_each_mode(self):
        for mode, port, secure in (
                ("ssl_outgoing", self.dovecot.pop3_tls_port, "ssl"),
                ("tls_outgoing", self.dovecot.pop3_port, "starttls"),
                ("tls_outgoing_force", self.dovecot.pop3_port, "starttls")):
            with self.subTest(mode):
                c = self.trusted(self.gateway(port, mode), secure)
                self.assertEqual(c.multi("TOP 1 1")[1][-1], "hello")
                self.assertTrue(c.cmd("QUIT").startswith("+OK"))
                self.assertEqual(c.rest(), "")

    def test_tls_at_the_port_without(self):
        """It speaks first, and not TLS."""
        relais = self.gateway(self.dovecot.pop3_port, "ssl_outgoing")
        reply = self.connect(relais.plain).login()
        self.assertTrue(reply.startswith("-ERR [SYS/TEMP] "), reply)


class Stls(InnerTLS):
    OFFER = Pop3Script.capability + ("STLS",)

    def server(self, script=Pop3Script, name="127.0.0.1", **changes):
        changes.setdefault("capability", self.OFFER)
        return StandIn(self, script(starttls=server_context(name), **changes))

    def test_the_order(self):
        """STLS, the list anew, and only then who it is."""
        for mode in ("tls_outgoing", "tls_outgoing_force"):
            inner = self.server()
            self.trusted(self.gateway(inner.port, mode), "starttls")
            words = [line.split()[0] for line in inner.lines]
            at = len(words) - words[::-1].index(b"STLS")
            self.assertEqual(words[at:at + 3], [b"CAPA", b"USER", b"PASS"])

    def test_not_offered(self):
        for capability in (Pop3Script.capability, None):
            inner = StandIn(self, Pop3Script(capability=capability))
            self.trusted(self.gateway(inner.port, "tls_outgoing"),
                         "plaintext")

    def test_not_offered_but_forced(self):
        for capability in (Pop3Script.capability, None):
            inner = StandIn(self, Pop3Script(capability=capability))
            self.refused(self.gateway(inner.port, "tls_outgoing_force"),
                         inner)

    def test_offered_and_refused(self):
        class Refuses(Pop3Script):
            def command(self, peer, verb, args):
                if verb == "STLS":
                    peer.send("-ERR not today\r\n")
                    return True
                return super().command(peer, verb, args)

        for mode in ("tls_outgoing", "tls_outgoing_force"):
            inner = self.server(Refuses)
            self.refused(self.gateway(inner.port, mode), inner)

    def test_another_name(self):
        inner = self.server(name="other.example.test")
        self.refused(self.gateway(inner.port, "tls_outgoing"), inner)

    def test_closed_behind_stls(self):
        class Closes(Pop3Script):
            def command(self, peer, verb, args):
                if verb == "STLS":
                    peer.send("+OK now\r\n")
                    return False
                return super().command(peer, verb, args)

        inner = self.server(Closes)
        self.refused(self.gateway(inner.port, "tls_outgoing"), inner)

    def test_injection(self):
        """Octets in clear behind the +OK to STLS end the login: they are
        from anybody."""
        class Injects(Pop3Script):
            injected = ""

            def command(self, peer, verb, args):
                if verb == "STLS":
                    peer.send("+OK now\r\n" + self.injected)
                    peer.starttls(self.starttls)
                    return True
                return super().command(peer, verb, args)

        for injected in ("+OK list\r\nTOP\r\nSASL PLAIN\r\n.\r\n",
                         "+OK list\r\n.\r\n+OK\r\n+OK in\r\n", "-", "\r\n"):
            with self.subTest(injected):
                inner = self.server(Injects)
                inner.script.injected = injected
                self.refused(self.gateway(inner.port, "tls_outgoing"), inner)
                inner.faults.clear()

    def test_the_list_in_clear_is_forgotten(self):
        """It may have come from anybody."""
        class Changes(Pop3Script):
            def command(self, peer, verb, args):
                if verb == "STLS":      # no word of a mechanism within TLS
                    self.capability = ("TOP",)
                return super().command(peer, verb, args)

        inner = StandIn(self, lambda peer: Changes(
            capability=("SASL PLAIN", "STLS"),
            starttls=server_context())(peer))
        self.trusted(self.gateway(inner.port, "tls_outgoing"), "starttls")
        self.assertEqual(inner.logins[-1].how, "PASS")


if __name__ == "__main__":
    main()
