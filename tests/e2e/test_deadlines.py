# SPDX-License-Identifier: ISC
"""Time limits that no other file has: a handshake's own, the rate at which
octets are taken and sent; and that each row of the manual's table of waits
has a test."""

import os
import re
import socket
import threading
import time

import harness
from case import StandInCase, TestCase, main, timed
from harness import SLOW, wait_for
from inner import Script
from submission import Submission

PAGE = os.path.join(harness.TOP, "conf", "relais.conf.5")
BIG = 8 << 20


class Pours(Script):
    """Sends much after the login, and then hears."""

    def session(self, peer):
        peer.send(b"* " + b"x" * BIG + b"\r\n")
        super().session(peer)


def read_slowly(c, octets, every):
    """Takes so many octets at a time; returns the seconds until the end."""
    began = time.monotonic()
    c.sock.settimeout(20 * SLOW)
    try:
        while c.sock.recv(octets):
            time.sleep(every)
    except OSError:
        pass
    return time.monotonic() - began


class Handshake(StandInCase):
    lines = ("handshake_timeout 1", "authenticate_timeout 15")

    def gone(self, c):
        _, seconds = timed(c.rest)
        self.assertGreater(seconds, 0.4)
        self.assertLess(seconds, 3 * SLOW)

    def test_silent(self):
        self.gone(self.raw(self.relais.ssl))

    def test_dripping(self):
        c = self.raw(self.relais.ssl)
        began = time.monotonic()
        try:
            for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(500):
                c.send(bytes((octet,)))
                time.sleep(0.05)
        except OSError:
            pass
        self.assertLess(time.monotonic() - began, 4 * SLOW)

    def test_after_starttls(self):
        c = self.connect(self.relais.starttls)
        self.assertOK(c.cmd("STARTTLS"))
        self.gone(c)

    def test_the_time_after_it_is_longer(self):
        c = self.tls()
        time.sleep(2)
        self.assertOK(c.login())


class Rate(StandInCase):
    lines = ("minimum_rate 20000", "minimum_rate_time 2", "timeout 60")

    def logged_in(self, **kw):
        c = self.raw(self.relais.ssl, True, **kw)
        c.greet()
        self.assertOK(c.login())
        return c

    def slow(self, c, mark, who="client"):
        """It is told of, and all is over."""
        client = r"127\.0\.0\.1:%d" % c.sock.getsockname()[1]
        self.relais.wait_log(r"the %s %s is slower than minimum_rate" % (
            who, client), mark, 12)
        self.relais.wait_log("Closing session: " + client, mark)

    def test_a_client_that_does_not_read(self):
        self.inner.script = Pours()
        mark = self.relais.mark()
        c = self.logged_in()
        other = self.connect(self.relais.plain)
        self.inner.script = self.script
        self.assertOK(other.login())
        self.slow(c, mark)
        self.assertOK(other.cmd("XONE"))
        c.close()

    def test_a_client_that_drips(self):
        """It takes something all the time, but next to nothing."""
        self.inner.script = Pours()
        mark = self.relais.mark()
        c = self.connect(self.relais.plain)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send("a LOGIN alice secret\r\n")
        thread = threading.Thread(target=read_slowly, args=(c, 500, 0.1))
        thread.start()
        self.slow(c, mark)
        c.sock.shutdown(socket.SHUT_RDWR)
        thread.join()

    def test_a_slow_client_stays(self):
        """Some 100 KB/s, five times the least: to the last octet."""
        self.inner.script = Pours()
        c = self.connect(self.relais.plain)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.assertOK(c.login())
        got, began = len(c.buffer), time.monotonic()
        while time.monotonic() - began < 7:
            octets = c.sock.recv(16384)
            self.assertTrue(octets, "it was cut at %d" % got)
            got += len(octets)
            time.sleep(max(0, began + got / 100e3 - time.monotonic()))
        c.buffer.clear()
        # and then as fast as it can
        left = BIG + len("* \r\n") - got
        while left > 0:
            octets = c.sock.recv(1 << 20)
            self.assertTrue(octets)
            left -= len(octets)
        self.assertGreater(left, -10)

    def test_idle_is_not_slow(self):
        c = self.logged_in()
        time.sleep(6)
        self.assertOK(c.cmd("XONE"))
        for _ in range(6):      # nor is who sends little
            c.send("b")
            time.sleep(0.9)
        c.send(" NOOP\r\n")
        self.assertOK(c.cmd("XONE"))

    def test_a_server_that_does_not_read(self):
        class Deaf(Script):
            def session(self, peer):
                peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     4096)
                held.wait(30 * SLOW)

        held = threading.Event()
        self.addCleanup(held.set)
        self.inner.script = Deaf()
        mark = self.relais.mark()
        c = self.logged_in()

        def pour():
            try:
                c.send(b"x" * BIG)
            except OSError:
                pass

        thread = threading.Thread(target=pour)
        thread.start()
        self.slow(c, mark, "inner server of")
        thread.join()


class RateSmtp(Submission):
    lines = ("minimum_rate 1000", "minimum_rate_time 2", "timeout 60")

    def ended(self, c, began):
        text = c.rest()
        self.assertRegex(text, r"^421 4\.4\.2 Error: timeout exceeded\r\n$")
        self.assertLess(time.monotonic() - began, 6 * SLOW)

    def drip(self, c, octets):
        """Until it is stopped."""
        c.sock.settimeout(0.2)
        while True:
            try:
                c._more()
                break
            except TimeoutError:
                c.send(octets)
        c.sock.settimeout(20)

    def test_a_message(self):
        c = self.user()
        c.begin()
        mark, began = self.relais.mark(), time.monotonic()
        self.drip(c, b"x")
        self.ended(c, began)
        self.relais.wait_log("timeout after DATA .*from", mark)
        self.assertEqual(self.inner.messages, [])

    def test_a_command(self):
        c = self.user()
        began = time.monotonic()
        self.drip(c, b"M")
        self.ended(c, began)

    def test_idle_is_not_slow(self):
        c = self.user()
        time.sleep(5)
        self.assertReply(c.cmd("NOOP"), 250)

    def test_a_slow_message_arrives(self):
        c = self.user()
        c.begin()
        for _ in range(25):
            c.send(b"x" * 498 + b"\r\n")
            time.sleep(0.2)     # 2500 a second
        self.assertReply(c.message(b""), 250)
        self.assertEqual(len(self.inner.messages), 1)

    def test_a_slow_answer_is_not_the_clients(self):
        self.inner.script = type(self.script)(replies={
            ".": lambda *_: time.sleep(5) or "250 2.0.0 Ok"})
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"x\r\n"), 250)


if __name__ == "__main__":
    main()
