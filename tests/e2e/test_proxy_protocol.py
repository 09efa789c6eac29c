# SPDX-License-Identifier: ISC
"""The PROXY protocol on both legs: a real HAProxy in front, a real Dovecot and
a real Postfix inside, and headers that are late, malformed or somebody
else's."""

import os
import signal
import ssl
import time

import harness
from case import StandInCase, TestCase, main, needs_root
from certs import NAME
from client import Client, Pop3Client, tls_context
from inner import Dovecot, StandIn
from postfix import Postfix
from proxies import Haproxy, v1, v2
from submission import SmtpClient, Submission, sasl_lines

CLIENT = "127.0.0.9"
PROXY = "127.0.0.2"
FROM = "proxy_protocol_from 192.0.2.0/24, %s/32" % PROXY

INNER = """\
haproxy_trusted_networks = 127.0.0.0/8
service imap-login {
  inet_listener imap {
    haproxy = yes
  }
  inet_listener imaps {
    haproxy = yes
  }
}
service pop3-login {
  inet_listener pop3 {
    haproxy = yes
  }
  inet_listener pop3s {
    haproxy = yes
  }
}
"""


class ThroughImap(TestCase):
    """HAProxy, imapsd and Dovecot: all three name the same client."""

    daemon = harness.IMAPSD
    kind = Client
    word = "imap"
    outgoing = "v2"

    @classmethod
    def inner_port(cls):
        return cls.dovecot.port

    @classmethod
    def setUpClass(cls):
        cls.dovecot = Dovecot(cls, more=INNER)
        cls.relais = harness.Gateway(
            cls, cls.inner_port(), FROM, "outgoing_client_info no",
            "outgoing_proxy_protocol " + cls.outgoing, daemon=cls.daemon)
        cls.haproxy = Haproxy(cls, (cls.relais.ssl, cls.relais.starttls))

    def login(self, c):
        self.assertOK(c.login())

    def user(self, port, implicit, source=CLIENT):
        c = self.connect(port, implicit, source=source)
        if not implicit:
            c.starttls()
        self.login(c)
        return c

    def logged_by_dovecot(self, port):
        """Since that is how it knows who comes, and whom to."""
        harness.wait_for(lambda: "%s-login: Info: Login: user=<alice>" %
                         self.word in self.dovecot.story() and
                         "rip=%s, lip=127.0.0.1" % CLIENT in
                         self.dovecot.story(), what="Dovecot's line")

    def test_each_way(self):
        for (port, _), own in self.haproxy.ways.items():
            mark = self.relais.mark()
            c = self.user(own, port == self.relais.ssl)
            here = c.sock.getsockname()[1]
            for line in "Connect: ", "Auth:":
                self.relais.wait_log("%s %s:%d->127.0.0.1:%d" % (
                    line, CLIENT, here, own), mark)
            c.close()
            self.relais.wait_log("Closing session: %s:%d" % (CLIENT, here),
                                 mark)
        self.logged_by_dovecot(own)
        self.assertNotRegex(self.dovecot.story(),
                            r"Login: .*rip=127\.0\.0\.1,")
        self.assertNotIn(PROXY, "\n".join(self.relais.log()))

    def test_direct(self):
        """Who does not come through the proxy is seen as ever."""
        mark = self.relais.mark()
        self.user(self.relais.ssl, True)
        self.relais.wait_log("Auth: %s:[0-9]+->127.0.0.1:%d .*ok" % (
            CLIENT, self.relais.ssl), mark)


class ThroughImapV1(ThroughImap):
    outgoing = "v1"


class ThroughImapTls(ThroughImap):
    """The header is in front of TLS on the inner leg, too."""

    @classmethod
    def inner_port(cls):
        return cls.dovecot.tls_port

    @classmethod
    def setUpClass(cls):
        cls.dovecot = Dovecot(cls, pair=harness.gateway_pair(), more=INNER)
        cls.relais = harness.Gateway(
            cls, cls.inner_port(), FROM, "ssl_mode ssl_outgoing",
            "ssl_no_cert_verify", "outgoing_proxy_protocol v2",
            daemon=cls.daemon)
        cls.haproxy = Haproxy(cls, (cls.relais.ssl, cls.relais.starttls))


class ThroughPop3(ThroughImap):
    daemon = harness.POP3SD
    kind = Pop3Client
    word = "pop3"

    @classmethod
    def inner_port(cls):
        return cls.dovecot.pop3_port

    def login(self, c):
        self.assertRegex(c.login(), r"^\+OK")


@needs_root
class ThroughSmtp(Submission):
    """HAProxy, smtpsd and Postfix, which is told by the header alone."""

    outgoing = "v2"

    @classmethod
    def setUpClass(cls):
        cls.postfix = Postfix(cls, "smtpd_upstream_proxy_protocol = haproxy\n"
                              "mynetworks = %s" % CLIENT)
        cls.relais = harness.Gateway(
            cls, cls.postfix.port, *sasl_lines(cls), FROM,
            "outgoing_client_info no",
            "outgoing_proxy_protocol " + cls.outgoing, daemon=harness.SMTPSD)
        cls.haproxy = Haproxy(cls, (cls.relais.ssl, cls.relais.starttls))

    def setUp(self):
        pass

    def tearDown(self):
        pass

    def test_each_way(self):
        for n, ((port, _), own) in enumerate(self.haproxy.ways.items(), 1):
            mark = self.relais.mark()
            c = self.connect(own, port == self.relais.ssl, source=CLIENT)
            c.ehlo()
            if port != self.relais.ssl:
                c.starttls()
                c.ehlo()
            self.assertReply(c.login(), 235)
            c.begin("b@example.net")
            self.assertReply(c.message(b"Subject: x\r\n\r\n"), 250)
            self.relais.wait_log(r"connect from \S*\[%s\]" % CLIENT, mark)
            self.relais.wait_log(r"client=\S*\[%s\]" % CLIENT, mark)
            harness.wait_for(lambda: len(self.postfix.messages()) == n,
                             what="the message")
        self.assertRegex(self.postfix.log(),
                         r"client=unknown\[%s\]" % CLIENT.replace(".", r"\."))
        self.assertNotRegex(self.postfix.log(), r"client=\S*\[127\.0\.0\.1\]")
        for message in self.postfix.messages():
            self.assertRegex(message, rb"\(\S+ \[127\.0\.0\.9\]\)")
            self.assertNotIn(PROXY.encode(), message)


class ThroughSmtpV1(ThroughSmtp):
    outgoing = "v1"


class ByHand(StandInCase):
    """Headers as no proxy sends them, in front of a stand-in."""

    lines = (FROM, "connection_limit_address 2")

    def begin(self, port, *parts, source=PROXY):
        """Connected from there, these octets having been sent."""
        c = self.raw(port, source=source)
        for part in parts:
            c.send(part)
            time.sleep(0.002 if len(parts) > 1 else 0)
        return c

    def served(self, c, implicit=True):
        if implicit:
            c.start_tls()
        c.greet()
        self.assertOK(c.login())

    def refused(self, c, words, mark):
        """Cut, without a word but for what TLS and a dialogue have."""
        began = time.monotonic()
        c.rest()
        c.close()
        self.relais.wait_log(words, mark)
        return time.monotonic() - began

    def test_split(self):
        for header in v1("192.0.2.77"), v2("192.0.2.77"), \
                v2("2001:db8::77", "2001:db8::1", fields=b"\4\0\1x"):
            mark = self.relais.mark()
            c = self.begin(self.relais.ssl,
                           *(header[i:i + 1] for i in range(len(header))))
            self.served(c)
            self.relais.wait_log(r"Connect:  (192\.0\.2\.77|\[2001:db8::77\])"
                                 r":4711->", mark)
            c.close()

    def test_one_segment(self):
        """What is behind the header, in the same segment, is TLS's."""
        for header in v1("192.0.2.78"), v2("192.0.2.78"):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = tls_context().wrap_bio(incoming, outgoing,
                                         server_hostname=NAME)
            c = self.raw(self.relais.ssl, source=PROXY)
            first = header
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    c.sock.sendall(first + outgoing.read())
                    first = b""
                    incoming.write(c.sock.recv(65536))
            c.sock.sendall(outgoing.read())
            c.close()

    def test_one_segment_in_clear(self):
        c = self.begin(self.relais.plain, v1("192.0.2.79") + b"a NOOP\r\n")
        self.assertIn("OK", c.line())
        self.assertEqual(c.line(), "a OK NOOP completed")
        self.assertOK(c.login())

    def test_each_listener(self):
        for port in self.relais.ssl, self.relais.plain:
            self.served(self.begin(port, v2("192.0.2.80")),
                        port == self.relais.ssl)
        c = self.begin(self.relais.starttls, v2("192.0.2.83"))
        c.greet()
        c.starttls()
        self.assertOK(c.login())

    def test_for_itself(self):
        """LOCAL and UNKNOWN: a health check.  It is the proxy that comes."""
        for header in v2(), b"PROXY UNKNOWN\r\n":
            mark = self.relais.mark()
            c = self.begin(self.relais.ssl, header)
            self.served(c)
            self.relais.wait_log("Connect:  %s:" % PROXY, mark)
            c.close()
            self.relais.wait_log("Closing session: %s:" % PROXY, mark)

    def test_limits(self):
        """They are the client's, and the proxy has none."""
        clients = [self.begin(self.relais.plain, v1("192.0.2.%d" % (n // 2)))
                   for n in range(10)]
        for c in clients:
            self.assertIn("OK", c.greet())
            self.assertOK(c.login())
        c = self.begin(self.relais.plain, v1("192.0.2.1"))
        self.assertIn("too many connections from your address", c.rest())
        clients[2].close()
        harness.wait_for(lambda: "OK" in self.begin(
            self.relais.plain, v1("192.0.2.1")).greet(), what="a place")

    def test_none(self):
        """Who is listed and has no header, is cut; TLS and silence, too."""
        mark = self.relais.mark()
        where = r"%s:\d+ is one of proxy_protocol_from, and sent no " % PROXY
        for octets in b"a NOOP\r\n", b"\x16\3\1\0\x05\1\0\0\1\0", \
                b"PROXY TCP4 192.0.2.1 192.0.2.2 1 70000\r\n", \
                b"PROXY TCP4 127.0.0.1" + b" " * 200, \
                v2("192.0.2.1")[:12] + b"\x21\x11\0\x0b" + b"x" * 11:
            for port in self.relais.ssl, self.relais.plain:
                took = self.refused(
                    self.begin(port, octets),
                    where + "PROXY header, or a malformed one", mark)
                self.assertLess(took, 4)
                mark = self.relais.mark()
        began = time.monotonic()
        late = [self.begin(self.relais.ssl, octets) for octets in (
            b"", b"PROXY ", v2("192.0.2.1")[:-1])]
        for c in late:
            self.refused(c, where + "PROXY header in time", mark)
            self.assertGreater(time.monotonic() - began, 3)
            self.assertLess(time.monotonic() - began, 8 * harness.SLOW)
        # a line comes up to 10 ms after the end that it tells of
        harness.wait_for(lambda: sum("in time" in line for line in
                                     self.relais.log(mark)) == len(late), 5,
                         "a line for each")
        self.assertEqual(self.inner.logins, [])

    def test_knocks(self):
        """A health check that says nothing is worth no line."""
        mark = self.relais.mark()
        self.begin(self.relais.ssl).close()
        self.begin(self.relais.ssl, b"PROXY").close()
        self.relais.wait_log("left within its PROXY header", mark)
        self.assertEqual(sum(PROXY in line for line in
                             self.relais.log(mark)), 1)

    def test_not_listed(self):
        """Its header gets it nothing but the end."""
        for header in v1("192.0.2.66"), v2("192.0.2.66"), \
                b"PROXY UNKNOWN\r\n":
            for port in self.relais.ssl, self.relais.plain, \
                    self.relais.starttls:
                mark = self.relais.mark()
                c = self.begin(port, header, source=CLIENT)
                self.refused(c, r"Closing NULL session: %s:\d+->.*reason=\"a "
                             r"PROXY header, from an address that is not in "
                             r"proxy_protocol_from" % CLIENT, mark)
        self.assertNotIn("192.0.2.66", "\n".join(
            line for line in self.relais.log() if "Connect" in line))

    def test_not_listed_in_parts(self):
        """It is called what it is, wherever a segment ends."""
        for header, tells in (v1("192.0.2.66"), 9), (v2("192.0.2.66"), 12):
            parts = [(header[:n], header[n:]) for n in range(1, tells)]
            parts.append([header[i:i + 1] for i in range(tells)])
            for port in self.relais.ssl, self.relais.plain, \
                    self.relais.starttls:
                for some in parts:
                    with self.subTest(port=port, parts=some):
                        mark = self.relais.mark()
                        c = self.begin(port, *some, source=CLIENT)
                        self.refused(c, r"Closing NULL session: %s:\d+->.*"
                                     r"reason=\"a PROXY header," % CLIENT,
                                     mark)

    def test_empty_lines(self):
        """They begin a header of version 2, but are answered."""
        c = self.begin(self.relais.plain, source=CLIENT)
        c.greet()
        for _ in range(3):
            c.send("\r\n")
            self.assertIn("BAD", c.line())
        self.assertOK(c.login())

    def test_second(self):
        """One of the client's own, behind that of the proxy, in clear and
        within TLS."""
        for header in v1("192.0.2.66"), v2("192.0.2.66"):
            for port in self.relais.ssl, self.relais.plain:
                mark = self.relais.mark()
                c = self.begin(port, v1("192.0.2.67") + header)
                self.refused(c, r"Closing NULL session: 192\.0\.2\.67:4711->"
                             r".*a PROXY header", mark)
            mark = self.relais.mark()
            c = self.begin(self.relais.ssl, v1("192.0.2.67"))
            c.start_tls()
            c.greet()
            c.send(header)
            self.refused(c, r"Closing NULL session: 192\.0\.2\.67:4711->"
                         r".*a PROXY header", mark)

    def test_failures(self):
        """What fail2ban reads is the client's address."""
        mark = self.relais.mark()
        c = self.begin(self.relais.plain, v1("192.0.2.81"))
        c.greet()
        self.assertNO(c.login("alice", "wrong"))
        self.relais.wait_log(r"Auth: 192\.0\.2\.81:4711->127\.0\.0\.1:993 .*"
                             r"Re-Authentication Failure", mark)

    def test_broker(self):
        """A broker that is new has the client's address from the old one."""
        if not harness.ROOT:
            self.skipTest("needs root")
        keep = [self.begin(self.relais.plain, v1("192.0.2.82"))
                for _ in range(2)]
        for c in keep:
            c.greet()
        mark = self.relais.mark()
        os.kill(self.relais.pids("broker")[0], signal.SIGKILL)
        harness.wait_for(lambda: self.relais.pids("broker"),
                         what="another broker")
        c = self.begin(self.relais.plain, v1("192.0.2.82"))
        self.assertIn("too many connections from your address", c.rest())
        self.assertOK(keep[0].login())


class Single(StandInCase):
    """A process for each client reads the header as well."""

    lines = (FROM, "worker_connections 1")

    def test_served(self):
        for source, said, seen in (PROXY, v2("192.0.2.84"), "192.0.2.84"), \
                (CLIENT, b"", CLIENT):
            mark = self.relais.mark()
            c = self.raw(self.relais.ssl, source=source)
            c.send(said)
            c.start_tls()
            c.greet()
            self.assertOK(c.login())
            self.relais.wait_log("Connect:  %s:" % seen, mark)


class Outgoing(StandInCase):
    """What an inner server gets, octet by octet."""

    lines = ("outgoing_proxy_protocol v1", "outgoing_client_info no")

    class Script(type(StandInCase.script)):
        def greet(self, peer):
            peer.server.headers.append(peer.line())
            super().greet(peer)

    script = Script()

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.inner.headers = []
        cls.relais = harness.Gateway(cls, cls.inner.port, *cls.lines)

    def test_header(self):
        self.assertIn("PROXY UNKNOWN", self.inner.headers)  # the lessons'
        c = self.connect(self.relais.ssl, True, source=CLIENT)
        self.assertOK(c.login())
        self.assertEqual(
            self.inner.headers[-1], "PROXY TCP4 %s 127.0.0.1 %d %d" % (
                CLIENT, c.sock.getsockname()[1], self.relais.ssl))


class Configuration(TestCase):
    def check(self, *lines):
        path = os.path.join(harness.folder(self), "imapsd.conf")
        pair = harness.gateway_pair()
        with open(path, "w") as f:
            f.write("\n".join((
                "listen 127.0.0.1:%d ssl" % harness.free_port(),
                "outgoing_server 127.0.0.1:%d" % harness.free_port(),
                "ssl_cert_file " + pair.cert,
                "ssl_key_file " + pair.key, *lines)) + "\n")
        return harness.run_imapsd("-f", path, "--check_config", "-F", "+")

    def test_faults(self):
        for value in "proxy", "192.0.2.1/24", "192.0.2.0/33", "192.0.2.0/", \
                "192.0.2.1,,192.0.2.2", "::ffff:192.0.2.0/120", "2001:db8::/a":
            status, text = self.check("proxy_protocol_from " + value)
            self.assertNotEqual(status, 0, value)
            self.assertIn("takes addresses and networks", text)
        status, text = self.check("outgoing_proxy_protocol v3")
        self.assertNotEqual(status, 0)
        self.assertIn("takes no, v1 or v2", text)

    def test_all(self):
        _, text = self.check("proxy_protocol_from 0.0.0.0/0")
        self.assertIn("whoever connects can say", text)


if __name__ == "__main__":
    main()
