# SPDX-License-Identifier: ISC
"""A hostile inner server harms only the session that it serves: whatever it
does there, another session of the same worker is answered at once."""

import socket
import struct
import threading
import time

import harness
from case import StandInCase, main, timed
from harness import SLOW, wait_for
from inner import Script, StandIn

CHUNK = b"x" * 65536


def forever(peer, octets, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        peer.send(octets)


def reset(peer, _):
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                         struct.pack("ii", 1, 0))
    peer.sock.close()
    raise EOFError


def drip(peer, _):
    for octet in b"* OK [CAPABILITY IMAP4rev1" * 100:
        peer.send(bytes((octet,)))
        time.sleep(0.05)


def hundred_megabytes(peer, tag):
    """As the answer to CAPABILITY, in lines that are as long as they may."""
    line = b"* CAPABILITY IMAP4rev1 " + b"X-A " * 1900 + b"\r\n"
    for _ in range(100_000_000 // len(line)):
        peer.send(line)
    peer.send(tag.encode() + b" OK done\r\n")


# Where it happens, and what does: with the greeting, at CAPABILITY, at the
# login, after the login.
DEEDS = {
    "an endless greeting": ("greet", lambda p, _: forever(p, CHUNK)),
    "endless lines for a greeting": (
        "greet", lambda p, _: forever(p, b"* OK wait\r\n" * 1000)),
    "a dripped greeting": ("greet", drip),
    "a reset": ("greet", reset),
    "garbage like TLS": ("greet", lambda p, _: forever(
        p, b"\x16\x03\x03\x40\x00" + bytes(range(256)) * 64)),
    "100 MB of capabilities": ("capability", hundred_megabytes),
    "an endless line": ("capability", lambda p, _: forever(
        p, b"* CAPABILITY " + CHUNK)),
    "a gigantic literal": ("login", lambda p, _: (
        p.send(b"* OK {9999999999}\r\n"), forever(p, CHUNK))),
    "an answer without an end": ("login", lambda p, tag: (
        p.send(tag.encode() + b" OK "), forever(p, CHUNK))),
    "a reset in the login": ("login", reset),
    "a flood of mail": ("session", lambda p, _: forever(p, CHUNK)),
    "a reset in the session": ("session", reset),
}


class Hostile(Script):
    """Does one of these to mallory, and is good to all others: where it does
    not know yet who comes, to the connections that are marked."""

    def __init__(self, place, deed):
        super().__init__(greeting="* OK hello\r\n",
                         users={"alice": "secret", "mallory": "secret"})
        self.place, self.deed = place, deed
        self.marked = threading.Event()     # the next one that comes
        self.done = threading.Event()

    def do(self, peer, tag):
        self.done.set()
        self.deed(peer, tag)

    def greet(self, peer):
        peer.bad = self.marked.is_set()
        self.marked.clear()
        if peer.bad and self.place == "greet":
            self.do(peer, "*")
        super().greet(peer)

    def command(self, peer, tag, word, text):
        if peer.bad and word == "CAPABILITY" and self.place == "capability":
            self.do(peer, tag)
        return super().command(peer, tag, word, text)

    def login(self, peer, tag, *rest):
        if peer.bad and self.place == "login":
            self.do(peer, tag)
        return super().login(peer, tag, *rest)

    def session(self, peer):
        if peer.bad and self.place == "session":
            self.do(peer, "*")
        super().session(peer)


class Inner(StandInCase):
    lines = ("outgoing_timeout 2", "capability_refresh 3600")

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, Script())
        # all are one worker's
        cls.relais = harness.Gateway(cls, cls.inner.port, *cls.lines,
                                     workers=1)

    def user(self):
        c = self.tls()
        self.assertOK(c.login())
        return c

    def mallory(self, script, ended):
        """Who is served by it.  He does not read all of it, either."""
        script.marked.set()
        c = self.tls()
        c.sock.settimeout(2.5 * SLOW)
        try:
            c.send("a LOGIN mallory secret\r\n")
            c.line()
            while not ended.is_set():
                c.sock.recv(65536)
                time.sleep(0.01)
        except (OSError, EOFError):
            pass
        c.close()

    def test_each(self):
        user = self.user()
        before = self.relais.processes()
        for name, (place, deed) in DEEDS.items():
            with self.subTest(name):
                script = self.inner.script = Hostile(place, deed)
                ended = threading.Event()
                thread = threading.Thread(target=self.mallory,
                                          args=(script, ended))
                thread.start()
                try:
                    wait_for(script.done.is_set, 5, "the deed")
                    for _ in range(10):
                        reply, seconds = timed(user.cmd, "XONE")
                        self.assertOK(reply)
                        self.assertLess(seconds, 0.5 * SLOW)
                        time.sleep(0.1)
                    with self.tls() as other:
                        reply, seconds = timed(other.login)
                        self.assertOK(reply)
                        self.assertLess(seconds, 1 * SLOW)
                finally:
                    ended.set()
                    thread.join()
        self.assertEqual(self.relais.processes(), before)
        self.assertLess(resident(self.relais.pids("worker")[0]), 60000)


def resident(pid):
    """KiB that it has had at most."""
    return int(harness.proc_status(pid)["VmHWM"].split()[0])


if __name__ == "__main__":
    main()
