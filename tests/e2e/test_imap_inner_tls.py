# SPDX-License-Identifier: ISC
"""TLS and STARTTLS towards the inner server: whom imapsd trusts."""

import functools
import ssl

import harness
from case import TestCase, main, timed
from certs import certificates
from inner import Dovecot, Script, StandIn

HOUR = 1 / 24


@functools.lru_cache(maxsize=None)
def pair(kind):
    """Certificates of inner servers, each with its merit or its fault."""
    make = certificates().make
    if kind == "good":
        return make("127.0.0.1", "localhost")
    if kind == "other name":
        return make("other.example.test", "192.0.2.1")
    if kind == "expired":
        return make("127.0.0.1", days=(-9, -HOUR))
    if kind == "not yet valid":
        return make("127.0.0.1", days=(1, 9))
    if kind == "self-signed":
        return make("127.0.0.1", own=True)
    raise KeyError(kind)


def server_context(kind):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair(kind))
    return context


class InnerTLS(TestCase):
    def gateway(self, inner, *lines, host="127.0.0.1", ca=True):
        port = harness.free_port()
        text = ["listen 127.0.0.1:%d plain" % port,
                "outgoing_server %s:%d" % (host, inner.port),
                "outgoing_timeout 5"] + list(lines)
        if ca:
            text.append("ssl_ca_file " + certificates().ca.cert)
        relais = harness.Relais(self, "\n".join(text) + "\n", ports=(port,))
        relais.plain = port
        return relais

    def attempt(self, relais):
        return self.connect(relais.plain).login()

    def trusted(self, relais, secure):
        self.assertOK(self.attempt(relais))
        relais.wait_log('server-secure=%s status="ok"' % secure)

    def refused(self, relais, inner):
        """No login gets there, and the client is told of no bad password."""
        mark = relais.mark()
        reply, seconds = timed(self.attempt, relais)
        self.assertNO(reply)
        self.assertNotIn("AUTHENTICATIONFAILED", reply.text)
        self.assertLess(seconds, 8 * harness.SLOW)
        self.assertEqual(inner.logins, [])
        relais.wait_log(r'status="failed: ', mark)


class Implicit(InnerTLS):
    # certificate, directives, host, with our CA, is it good?
    CASES = (
        ("good", (), "127.0.0.1", True, True),
        ("good", (), "localhost", True, True),
        ("good", (), "127.0.0.1", False, False),
        ("good", ("ssl_no_cert_verify",), "127.0.0.1", False, True),
        ("other name", (), "127.0.0.1", True, False),
        ("other name", (), "localhost", True, False),
        ("other name", ("ssl_no_cn_verify",), "127.0.0.1", True, True),
        ("other name", ("ssl_no_cert_verify",), "127.0.0.1", True, True),
        ("expired", (), "127.0.0.1", True, False),
        ("expired", ("ssl_cert_accept_expired",), "127.0.0.1", True, True),
        ("expired", ("ssl_cert_accept_not_yet_valid",), "127.0.0.1", True,
         False),
        ("not yet valid", (), "127.0.0.1", True, False),
        ("not yet valid", ("ssl_cert_accept_not_yet_valid",), "127.0.0.1",
         True, True),
        ("self-signed", (), "127.0.0.1", True, False),
        ("self-signed", ("ssl_cert_accept_self_signed",), "127.0.0.1", True,
         True),
    )

    def test_certificates(self):
        for kind, lines, host, ca, good in self.CASES:
            with self.subTest(kind=kind, lines=lines, host=host, ca=ca):
                inner = StandIn(self, tls=server_context(kind))
                relais = self.gateway(inner, "ssl_mode ssl_outgoing", *lines,
                                      host=host, ca=ca)
                if good:
                    self.trusted(relais, "ssl")
                else:
                    self.refused(relais, inner)
                relais.stop()
                inner.stop()

    def test_a_server_that_does_not_speak_tls(self):
        inner = StandIn(self)
        self.refused(self.gateway(inner, "ssl_mode ssl_outgoing"), inner)

    def test_a_server_that_stalls_in_the_handshake(self):
        inner = StandIn(self, lambda peer: peer.stall())
        self.refused(self.gateway(inner, "ssl_mode ssl_outgoing",
                                  "outgoing_timeout 2"), inner)

    def test_old_versions_are_refused(self):
        context = server_context("good")
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        inner = StandIn(self, tls=context)
        self.refused(self.gateway(inner, "ssl_mode ssl_outgoing"), inner)

    def test_dovecot(self):
        dovecot = Dovecot(self, pair=pair("good"))
        dovecot.port, port = dovecot.tls_port, dovecot.port
        self.trusted(self.gateway(dovecot, "ssl_mode ssl_outgoing"), "ssl")
        dovecot.port = port
        self.trusted(self.gateway(dovecot, "ssl_mode tls_outgoing"),
                     "starttls")


class StartTLS(InnerTLS):
    OFFER = Script.capability + " STARTTLS"

    def server(self, kind="good", **changes):
        changes.setdefault("capability", self.OFFER)
        return StandIn(self, Script(starttls=server_context(kind),
                                    **changes))

    def test_offered(self):
        for mode in ("tls_outgoing", "tls_outgoing_force"):
            inner = self.server()
            self.trusted(self.gateway(inner, "ssl_mode " + mode), "starttls")
            words = [l.split()[1] for l in inner.lines if b" " in l]
            self.assertLess(words.index(b"STARTTLS"), words.index(b"LOGIN"))

    def test_not_offered(self):
        inner = StandIn(self)
        self.trusted(self.gateway(inner, "ssl_mode tls_outgoing"),
                     "plaintext")

    def test_not_offered_but_forced(self):
        inner = StandIn(self)
        self.refused(self.gateway(inner, "ssl_mode tls_outgoing_force"),
                     inner)

    def test_bad_certificate(self):
        for kind in ("other name", "expired", "self-signed"):
            with self.subTest(kind):
                inner = self.server(kind)
                self.refused(self.gateway(inner, "ssl_mode tls_outgoing"),
                             inner)

    def test_refused(self):
        class Refuses(Script):
            def command(self, peer, tag, word, text):
                if word == "STARTTLS":
                    peer.send(tag + " NO not today\r\n")
                    return True
                return super().command(peer, tag, word, text)

        inner = StandIn(self, Refuses(capability=self.OFFER))
        self.refused(self.gateway(inner, "ssl_mode tls_outgoing_force"),
                     inner)

    def test_response_injection(self):
        """Octets in clear behind the OK to STARTTLS are not believed."""
        class Injects(Script):
            def command(self, peer, tag, word, text):
                if word == "STARTTLS":
                    peer.send(tag + " OK now\r\n* CAPABILITY IMAP4rev1 "
                              "AUTH=PLAIN X-INJECTED\r\n")
                    peer.starttls(self.starttls)
                    return True
                return super().command(peer, tag, word, text)

        inner = StandIn(self, Injects(capability=self.OFFER,
                                      starttls=server_context("good")))
        self.refused(self.gateway(inner, "ssl_mode tls_outgoing"), inner)

    def test_list_before_tls_is_forgotten(self):
        """What was said in clear may have come from anybody."""
        class Changes(Script):
            def command(self, peer, tag, word, text):
                if word == "STARTTLS":
                    self.capability = "IMAP4rev1"
                return super().command(peer, tag, word, text)

        inner = StandIn(self, lambda peer: Changes(
            capability=self.OFFER, starttls=server_context("good"))(peer))
        relais = self.gateway(inner, "ssl_mode tls_outgoing")
        self.assertOK(self.attempt(relais))
        self.assertEqual(inner.logins[-1].how, "LOGIN")
        self.assertFalse([l for l in inner.lines if b"+}" in l])


if __name__ == "__main__":
    main()
