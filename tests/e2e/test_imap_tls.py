# SPDX-License-Identifier: ISC
"""TLS with clients: certificates by name, ALPN, versions, ciphers, and the
resumption of sessions on any worker."""

import ssl
import subprocess

import harness
from case import TestCase, main
from certs import NAME, certificates, gateway_pair
from client import Client, tls_context
from inner import StandIn

TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
OTHER = "other.example.test"


def subject(sock):
    """The common name in the certificate that was shown."""
    return dict(e[0] for e in sock.getpeercert()["subject"])["commonName"]


class TLS(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls)
        other = certificates().make(OTHER, "*.wild.example.test")
        cls.relais = harness.Gateway(
            cls, cls.inner.port, "ssl_pair %s %s" % other)
        # the same name twice: ECDSA for who can, RSA for who cannot
        cls.both = harness.Gateway(
            cls, cls.inner.port, "ssl_pair %s %s" % gateway_pair("rsa"))
        cls.rsa = harness.Gateway(cls, cls.inner.port,
                                  pair=gateway_pair("rsa"))

    def session(self, relais=None, name=NAME, **kw):
        """A greeted client with this TLS."""
        relais = relais or self.relais
        context = kw.pop("context", None) or tls_context(**kw)
        return self.connect(relais.ssl, context=context, name=name)

    def refused(self, relais=None, **kw):
        relais = relais or self.relais
        with self.assertRaises((ssl.SSLError, ConnectionError, EOFError)):
            c = Client(relais.ssl, context=tls_context(**kw))
            try:
                c.greet()
            finally:
                c.close()

    def s_client(self, port, *options):
        """What openssl s_client tells of a session."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", "127.0.0.1:%d" % port,
             "-CAfile", certificates().ca.cert, "-servername", NAME,
             "-ign_eof", *options], input=b"a LOGOUT\r\n",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            timeout=20 * harness.SLOW)
        return done.stdout.decode("utf-8", "replace")


class Names(TLS):
    def test_first_pair(self):
        self.assertEqual(subject(self.session().sock), NAME)

    def test_second_pair(self):
        for version in (TLS12, TLS13):
            c = self.session(name=OTHER, version=version)
            self.assertEqual(subject(c.sock), OTHER)
            self.assertOK(c.login())

    def test_wildcard(self):
        self.assertEqual(subject(self.session(
            name="host.wild.example.test").sock), OTHER)

    def test_unknown_name_gets_the_first(self):
        context = tls_context()
        context.check_hostname = False
        for name in ("unknown.example.test", None):
            c = self.session(name=name, context=context)
            self.assertEqual(subject(c.sock), NAME)

    def test_with_starttls(self):
        c = self.connect(self.relais.starttls)
        self.assertOK(c.cmd("STARTTLS"))
        c.start_tls(tls_context(), name=OTHER)
        self.assertEqual(subject(c.sock), OTHER)


class Alpn(TLS):
    def test_imap(self):
        for offer in (["imap"], ["http/1.1", "imap"], ["imap", "pop3"]):
            c = self.session(alpn=offer)
            self.assertEqual(c.sock.selected_alpn_protocol(), "imap")
            self.assertOK(c.login())

    def test_none(self):
        self.assertIsNone(self.session().sock.selected_alpn_protocol())

    def test_others_are_refused(self):
        for offer in (["http/1.1"], ["h2", "http/1.1"], ["pop3"], ["imap4"]):
            for version in (TLS12, TLS13):
                with self.subTest(offer=offer, version=version):
                    self.refused(alpn=offer, version=version)


class Versions(TLS):
    def test_good(self):
        for relais in (self.relais, self.both, self.rsa):
            for version, name in ((TLS12, "TLSv1.2"), (TLS13, "TLSv1.3")):
                with self.subTest(version=name):
                    c = self.session(relais, version=version)
                    self.assertEqual(c.sock.version(), name)
                    self.assertOK(c.login())

    def test_old(self):
        for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            self.refused(version=version, ciphers="ALL:@SECLEVEL=0")

    def test_no_key_exchange_without_forward_secrecy(self):
        for ciphers in ("AES128-GCM-SHA256:AES256-GCM-SHA384:AES128-SHA",
                        "DHE-RSA-AES128-GCM-SHA256",
                        "ECDHE-RSA-AES128-SHA"):
            with self.subTest(ciphers):
                self.refused(self.rsa, version=TLS12,
                             ciphers=ciphers + ":@SECLEVEL=0")

    def test_no_chacha_with_clients_that_have_aes(self):
        for relais, kind in ((self.relais, "ECDSA"), (self.rsa, "RSA")):
            c = self.session(relais, version=TLS12, ciphers=(
                "ECDHE-%s-CHACHA20-POLY1305:ECDHE-%s-AES128-GCM-SHA256"
                % (kind, kind)))
            self.assertIn("AES128-GCM", c.sock.cipher()[0])
        text = self.s_client(
            self.relais.ssl, "-tls1_3", "-ciphersuites",
            "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256")
        self.assertIn("Cipher is TLS_AES_128_GCM_SHA256", text)

    def test_chacha_alone(self):
        c = self.session(version=TLS12,
                         ciphers="ECDHE-ECDSA-CHACHA20-POLY1305")
        self.assertIn("CHACHA20", c.sock.cipher()[0])

    def test_another_group_first(self):
        """A HelloRetryRequest, then all goes on."""
        for port in (self.relais.ssl, self.rsa.ssl):
            text = self.s_client(port, "-tls1_3", "-groups", "P-521:X25519")
            self.assertIn("* OK [CAPABILITY", text)
            self.assertIn("Verify return code: 0 (ok)", text)

    def test_each_kind_of_client_gets_a_certificate_it_can_use(self):
        for version in ("-tls1_2", "-tls1_3"):
            for algorithms, kind in (
                    ("RSA-PSS+SHA256:RSA+SHA256", "RSA"),
                    ("ECDSA+SHA256", "ECDSA")):
                with self.subTest(version=version, kind=kind):
                    text = self.s_client(self.both.ssl, version, "-sigalgs",
                                         algorithms)
                    self.assertRegex(text, "Peer signature type: %s" % kind)
                    self.assertIn("* OK [CAPABILITY", text)

    def test_no_client_certificate_is_asked_for(self):
        self.assertIn("No client certificate CA names sent",
                      self.s_client(self.relais.ssl))


class Resumption(TLS):
    def resume(self, relais, version):
        """Sessions that resume one ticket, on all workers; how many did."""
        context = tls_context(version=version)
        first = self.connect(relais.ssl, context=context)
        self.assertFalse(first.sock.session_reused)
        session = first.sock.session
        before = relais.worker_sessions()
        clients = [self.connect(relais.ssl, context=context, session=session)
                   for _ in range(12)]
        for pid, held in relais.worker_sessions().items():
            self.assertGreater(held, before[pid], "a worker serves none")
        self.assertOK(clients[-1].login())
        return [c.sock.session_reused for c in clients]

    def test_on_any_worker(self):
        for version in (TLS12, TLS13):
            for relais in (self.relais, self.rsa):
                with self.subTest(version=version):
                    self.assertEqual(self.resume(relais, version),
                                     [True] * 12)

    def test_a_ticket_of_another_daemon_is_not_taken(self):
        context = tls_context(version=TLS13)
        first = self.connect(self.relais.ssl, context=context)
        other = self.connect(self.both.ssl, context=context,
                             session=first.sock.session)
        self.assertFalse(other.sock.session_reused)


class Rubbish(TLS):
    def test_clear_text_to_the_tls_port(self):
        c = self.raw(self.relais.ssl)
        c.send("a LOGIN alice secret\r\n" * 20)
        self.assertNotIn("OK", c.rest())

    def test_a_client_that_does_not_trust_us(self):
        """Its alert ends the session, with one line in the log."""
        mark = self.relais.mark()
        with self.assertRaises(ssl.SSLCertVerificationError):
            Client(self.relais.ssl, context=tls_context(), name="wrong.test")
        self.relais.wait_log(r"Closing NULL session: ", mark)


if __name__ == "__main__":
    main()
