# SPDX-License-Identifier: ISC
"""A worker that was taken over says what it may not, to each that it has a
channel to: that costs it its place, and nobody else anything."""

import os
import socket
import struct
import tempfile

import harness
from case import StandInCase, main, not_sanitized
from harness import wait_for
from hostile import (MSG, STEP, Hostile, addr, admit, capability, connect,
                     event, held, log, many, message, outcome, release, sign,
                     text)
from inner import StandIn

BYE = b"\0" * 6


def good():
    """{peer: messages of a good form, of each type that a worker may send}"""
    client = ("192.0.2.7", 4711)
    return {
        "master": {
            "READY": message("READY", bytes(4)),
            "LOG": log("words"),
            "EVENT": event("EVENT_CONNECT", client),
            "ALIVE_REPLY": message("ALIVE_REPLY"),
            "SETTLED": message("SETTLED"),
            "BUSY": message("BUSY"),
            "LOGGED_IN": message("LOGGED_IN"),
            "RECORD": message("RECORD", bytes(3) + addr() + addr()),
        },
        "broker": {
            "ADMIT": admit(1), "RELEASE": release(1), "HELD": held([]),
            "CONNECT": connect(1), "OUTCOME": outcome(1, "OUTCOME_OK"),
            "CAPABILITY": capability(["IMAP4rev1"]),
            "AUTH": message("AUTH", bytes(4)),
            "SUBMIT": message("SUBMIT", bytes(5) + text("u") + text("s")),
        },
        "keeper": {"SIGN": sign(0x0403, b" " * 64)},
    }


def bad():
    """(name, peer, octets, descriptors): each of them breaks a rule."""
    all_good = good()
    with_fd = {"ADMIT"}
    # good by their form, and yet nothing that this worker may say now
    untimely = {"READY", "SETTLED", "ALIVE_REPLY", "RECORD", "BUSY",
                "LOGGED_IN", "OUTCOME", "AUTH", "SUBMIT"}
    for peer, messages in all_good.items():
        for name, octets in messages.items():
            fds = 1 if name in with_fd else 0
            yield "%s, an octet more" % name, peer, octets + b"\0", fds
            if len(octets) > 6:
                yield "%s, an octet less" % name, peer, octets[:-1], fds
            yield "%s, descriptors" % name, peer, octets, 2
            yield "%s, wrong with descriptors" % name, peer, octets, 1 - fds
            if name in untimely:
                yield "%s, untimely" % name, peer, octets, fds
        for name, number in MSG.items():
            if name not in messages:
                yield "%s to the %s" % (name, peer), peer, \
                    message(number, b"\0" * 8), 0
        yield "an unknown type to the " + peer, peer, message(9999), 0
        yield "a header cut off, to the " + peer, peer, b"\0\2\0", 0
        yield "nothing at all, to the " + peer, peer, b"", 0
        yield "too much, to the " + peer, peer, log("x" * 20000), 0
        yield "many in many, to the " + peer, peer, many(many(BYE)), 0
        yield "many, cut off, to the " + peer, peer, \
            message("MANY", b"\0\0\0\x40abc"), 0
        yield "hundreds of descriptors to the " + peer, peer, BYE, 250
    yield "HELD of more than there may be", "broker", \
        held(range(3000)), 0
    yield "OUTCOME for a server that is none", "broker", \
        outcome(1, "OUTCOME_OK", 200), 0
    yield "CAPABILITY of a server that is none", "broker", \
        capability(["IMAP4rev1"], server=77), 0
    yield "CAPABILITY that is no text", "broker", \
        message("CAPABILITY", struct.pack(">HB", 0, 1) +
                text(b"IMAP4rev1\n\x01\n")), 0
    yield "SIGN with a key that is none", "keeper", \
        sign(0x0403, b" " * 64, key=9), 0


@not_sanitized
class Rules(StandInCase):
    """One captive for each of them."""

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    # of these that start at once
    PART = 40

    def check(self, cases):
        relais = Hostile(
            self, self.inner.port, workers=len(cases) + 1,
            captives=[("worker", n) for n in range(len(cases))])
        keepers, broker = relais.pids("keeper"), relais.pids("broker")
        captured = sorted(relais.captured, key=lambda c: c.number)
        before = {c.number: c.pid for c in captured}
        with tempfile.TemporaryFile() as f:
            for c, (name, peer, octets, fds) in zip(captured, cases):
                try:
                    getattr(c, peer).send(octets, *[f.fileno()] * fds)
                except (ConnectionError, OSError) as e:
                    self.fail("%s: %s" % (name, e))
        for c, (name, *_) in zip(captured, cases):
            with self.subTest(name):
                wait_for(lambda: not c.is_alive(), 10,
                         "its end: " + name)
        for c in captured:
            c.close()
        # others are in their places, and nobody else has died
        wait_for(lambda: len(relais.pids("worker")) == len(cases) + 1, 20,
                 "new workers")
        now = dict(enumerate(relais.pids("worker")))
        for number, pid in before.items():
            self.assertNotEqual(now[number], pid)
        self.assertEqual(relais.pids("keeper"), keepers)
        self.assertEqual(relais.pids("broker"), broker)
        for _ in range(8):
            c = self.connect(relais.ssl, True)
            self.assertOK(c.login())
            c.close()
        relais.stop()

    def test_each_costs_the_place(self):
        cases = list(bad())
        for i in range(0, len(cases), self.PART):
            self.check(cases[i:i + self.PART])

    def test_descriptors_do_not_pile_up(self):
        """Whoever gets one that it did not ask for closes it."""
        relais = Hostile(self, self.inner.port, workers=4,
                         captives=[("worker", n) for n in range(3)])
        peers = {"master": relais.pid, "broker": relais.pids("broker")[0],
                 "keeper": relais.pids("keeper")[0]}
        before = {n: harness.descriptors(p) for n, p in peers.items()}
        a, b = socket.socketpair()
        with a, b:
            for c, peer in zip(relais.captured, peers):
                for _ in range(20):
                    try:
                        getattr(c, peer).send(BYE, *[a.fileno()] * 200)
                    except (ConnectionError, OSError):
                        break
        for c in relais.captured:
            wait_for(lambda: not c.is_alive(), 10, "its end")
            c.close()
        wait_for(lambda: len(relais.pids("worker")) == 4, 10, "new workers")
        for name, pid in peers.items():
            wait_for(lambda: harness.descriptors(pid) <= before[name] + 2, 10,
                     "%s to close them" % name)


if __name__ == "__main__":
    main()
