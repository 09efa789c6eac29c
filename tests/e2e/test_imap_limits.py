# SPDX-License-Identifier: ISC
"""Limits: on clients in all and per address, on time before and after the
login; and the daemon that is told to connect to itself."""

import socket
import time

import harness
from case import StandInCase, TestCase, main
from client import Client
from harness import free_port, wait_for
from inner import Script, StandIn


class Connections(TestCase):
    def gateway(self, *lines):
        return harness.Gateway(self, StandIn(self).port, *lines)

    def greeted(self, relais, source=None, tls=False):
        """A client if it is served, None if it is turned away."""
        c = Client(relais.ssl if tls else relais.plain, source=source)
        self.addCleanup(c.close)
        try:
            if tls:
                c.start_tls()
            if c.greet().startswith("* OK"):
                return c
        except (EOFError, OSError):
            return None
        self.assertTrue(c.greeting.startswith("* BYE"), c.greeting)
        self.assertEqual(c.rest(), "")
        return None

    def served_again(self, relais, source=None):
        return wait_for(lambda: self.greeted(relais, source), 5,
                        "a place to be free")

    def test_in_all(self):
        relais = self.gateway("connection_limit 6")
        wait_for(lambda: relais.worker_sessions(), what="workers")
        clients = [self.served_again(relais, "127.0.2.%d" % (n + 1))
                   for n in range(6)]
        for c in clients:       # or they would give way
            self.assertOK(c.login())
        self.assertIsNone(self.greeted(relais))
        self.assertIsNone(self.greeted(relais, tls=True))
        # nor is that one left without a word: internal_error (RFC 8446 6.2)
        c = self.raw(relais.ssl)
        c.send(b"\x16\x03\x01\x02\x00\x01")
        self.assertEqual(c.rest(), "\x15\x03\x03\0\2\2P")
        for c in clients:       # those who are there do not suffer
            self.assertTrue(c.cmd("XONE").untagged)
        clients[3].close()
        self.served_again(relais)
        self.assertIsNone(self.greeted(relais))

    def test_per_address(self):
        relais = self.gateway("connection_limit_address 3")
        clients = [self.served_again(relais, "127.0.3.1") for _ in range(3)]
        self.assertIsNone(self.greeted(relais, "127.0.3.1"))
        self.assertIsNotNone(self.greeted(relais, "127.0.3.2"))
        clients[0].close()
        self.served_again(relais, "127.0.3.1")

    def test_silent_ones_count(self):
        """A connection that never shakes hands holds a place."""
        relais = self.gateway("connection_limit_address 2")
        silent = [self.raw(relais.ssl, source="127.0.4.1") for _ in range(2)]
        wait_for(lambda: self.greeted(relais, "127.0.4.1") is None, 5,
                 "the limit to hold")
        del silent


class BeforeLogin(StandInCase):
    lines = ("authenticate_timeout 2",)

    def ended(self, c, least=1.5):
        """What c still gets until its end, which comes in time."""
        began = time.monotonic()
        rest = c.rest()
        seconds = time.monotonic() - began
        self.assertGreater(seconds, least)
        self.assertLess(seconds, 3 + 2 * harness.SLOW)
        return rest

    def test_silent(self):
        self.assertRegex(self.ended(self.connect(self.relais.plain)),
                         r"^\* BYE")

    def test_silent_over_tls(self):
        self.assertRegex(self.ended(self.tls()), r"^\* BYE")

    def test_no_handshake(self):
        self.ended(self.raw(self.relais.ssl))

    def test_half_a_handshake(self):
        c = self.raw(self.relais.ssl)
        c.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        self.ended(c)

    def test_no_handshake_after_starttls(self):
        c = self.connect(self.relais.starttls)
        self.assertOK(c.cmd("STARTTLS"))
        self.ended(c)

    def test_half_a_command(self):
        for octets in ("a LOGIN alice ", "a LOGIN {6+}\r\nali",
                       "a AUTHENTICATE PLAIN\r\n"):
            c = self.connect(self.relais.plain)
            c.send(octets)
            self.ended(c)

    def test_activity_does_not_prolong_it(self):
        c = self.connect(self.relais.plain)
        began = time.monotonic()
        try:
            while time.monotonic() - began < 10:
                c.cmd("NOOP")
                time.sleep(0.1)
        except (EOFError, OSError):
            pass
        self.assertLess(time.monotonic() - began, 3 + 2 * harness.SLOW)

    def test_over_after_login(self):
        c = self.tls()
        self.assertOK(c.login())
        time.sleep(3)           # longer than the limit before login
        self.assertOK(c.cmd("XONE"))


class AfterLogin(StandInCase):
    lines = ("timeout 2", "outgoing_timeout 20")

    def test_silence_of_both_sides(self):
        c = self.tls()
        mark = self.relais.mark()
        self.assertOK(c.login())
        began = time.monotonic()
        c.rest()
        seconds = time.monotonic() - began
        self.assertGreater(seconds, 1.5)
        self.assertLess(seconds, 3 + 2 * harness.SLOW)
        self.relais.wait_log("Closing session: ", mark)
        wait_for(lambda: not self.inner.peers(), 5, "the inner end")

    def test_the_server_alone_is_no_silence(self):
        class Talks(Script):
            def session(self, peer):
                for n in range(10):
                    time.sleep(0.5)
                    peer.send("* %d EXISTS\r\n" % n)
                super().session(peer)

        self.inner.script = Talks()
        c = self.tls()
        self.assertOK(c.login())
        for n in range(10):
            self.assertEqual(c.line(), "* %d EXISTS" % n)
        self.assertOK(c.cmd("XONE"))

    def test_the_client_alone_is_no_silence(self):
        class Deaf(Script):
            def session(self, peer):
                peer.stall()

        self.inner.script = Deaf()
        c = self.tls()
        self.assertOK(c.login())
        for _ in range(10):
            time.sleep(0.4)
            c.send("a NOOP\r\n")
        self.assertEqual(len(self.inner.peers()), 1)

    def test_a_slow_download_is_no_silence(self):
        """The kernel would take it all, and nothing would seem to go on."""
        size = 5 << 20

        class Sends(Script):
            def session(self, peer):
                peer.send(b"x" * size)
                peer.stall()

        self.inner.script = Sends()
        c = self.connect(self.relais.plain)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.assertOK(c.login())
        got, began = len(c.buffer), time.monotonic()
        while got < size:
            octets = c.sock.recv(65536)
            self.assertTrue(octets, "it was cut at %d" % got)
            got += len(octets)
            # some 400 KB/s: it takes several times the limit
            time.sleep(max(0, began + got / 400e3 - time.monotonic()))

    def test_a_slow_login_is_no_silence(self):
        class Slow(Script):
            def login(self, peer, *rest):
                time.sleep(3.5)
                return super().login(peer, *rest)

        self.inner.script = Slow()
        self.assertOK(self.tls().login())


class HalfClosed(StandInCase):
    def test_the_server_ends_and_its_last_words_arrive(self):
        class Ends(Script):
            def session(self, peer):
                peer.line()
                peer.send("* BYE " + "x" * 100000 + "\r\n")

        self.inner.script = Ends()
        c = self.tls()
        self.assertOK(c.login())
        c.send("a LOGOUT\r\n")
        self.assertEqual(len(c.rest()), 100000 + len("* BYE \r\n"))

    def test_the_client_ends(self):
        c = self.tls()
        self.assertOK(c.login())
        c.close()
        wait_for(lambda: not self.inner.peers(), 5, "the inner end")


class Loop(TestCase):
    def test_own_listener_by_name(self):
        """A name hides it from the check at start, not from the broker."""
        port = free_port()
        relais = harness.Relais(
            self, "listen 127.0.0.1:%d plain\noutgoing_server localhost:%d\n"
            "outgoing_timeout 5\n" % (port, port), ports=(port,))
        c = self.connect(port)
        reply = c.login()
        self.assertNO(reply)
        self.assertNotIn("AUTHENTICATIONFAILED", reply.text)
        # one client, a few connections of our own, and no avalanche
        self.assertLess(len([l for l in relais.log() if "Connect:" in l]), 8)

    def test_own_listener_by_number(self):
        port = free_port()
        path = harness.folder(self) + "/c"
        with open(path, "w") as f:
            f.write("listen 127.0.0.1:%d plain\n"
                    "outgoing_server 127.0.0.1:%d\n" % (port, port))
        status, text = harness.run_imapsd("-f", path, "--check_config")
        self.assertNotEqual(status, 0)
        self.assertRegex(text, r"(?i)itself")


if __name__ == "__main__":
    main()
