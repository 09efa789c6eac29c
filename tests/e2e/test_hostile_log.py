# SPDX-License-Identifier: ISC
"""A worker that was taken over and the log: whatever it says, each line is
one line, tells who has said it, and does not pass for another's."""

import re
import socket
import struct
import time

import harness
from case import StandInCase, main, needs_root, not_sanitized, timed
from harness import wait_for
from hostile import (EVENT, Hostile, addr, admit, event, log, many, message,
                     text)
from inner import StandIn

LINE = re.compile(r"^\w{3} [ \d]\d \d\d:\d\d:\d\d (\S+)\[(\d+)\]: (.*)$")
FAILED = "failed: Re-Authentication Failure"
VICTIM = ("192.0.2.77", 4711)


class Logged(StandInCase):
    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def setUp(self):
        super().setUp()
        self.relais = Hostile(self, self.inner.port)
        self.bad = self.relais.captured[0]

    def lines(self):
        """All of them, as (ident, pid, words); any other form is a fault."""
        with open(self.relais.log_file, "rb") as f:
            octets = f.read()
        self.assertNotRegex(octets, rb"[\0-\x09\x0b-\x1f\x7f]")
        found = []
        for line in octets.decode("ascii").rstrip("\n").split("\n"):
            m = LINE.match(line)
            self.assertIsNotNone(m, line)
            found.append(m.groups())
        return found

    def said(self, word):
        self.relais.wait_log(re.escape(word))
        return [l for l in self.lines() if word in l[2]]

    def assertServes(self):
        with self.connect(self.relais.ssl, True) as c:
            self.assertOK(c.login())


@not_sanitized
class Words(Logged):
    NASTY = ("one\nNov 24 00:00:00 imapsd[1]: Auth: two\r\n\0\x1b[2J\x7f"
             "\x85\u2028three")

    def test_free_words(self):
        """They say whose they are, and are one line."""
        self.bad.master.send(log("begin" + self.NASTY + "done"))
        (ident, pid, words), = self.said("done")
        self.assertEqual((ident, int(pid)), ("imapsd", self.bad.pid))
        self.assertTrue(words.startswith("worker 1: begin"), words)

    def test_a_line_of_ours(self):
        """fail2ban's and others' filters begin with what stands first."""
        for forged in ('Auth: 192.0.2.77:1->127.0.0.1:993 client-secure=ssl',
                       "Connect:  192.0.2.77:1->127.0.0.1:993", ""):
            self.bad.master.send(log(forged + "x"))
        for _, _, words in self.said("x"):
            if "192.0.2.77" in words:
                self.assertTrue(words.startswith("worker 1: "), words)

    def test_each_field_of_an_event(self):
        for i in range(4):
            values = {"status": "", "authn": "", "authz": ""}
            if i < 3:
                values[sorted(values)[i]] = (self.NASTY + '" server="')[:250]
            for kind in EVENT:
                if kind != "EVENT_TYPES":
                    self.bad.master.send(
                        event(kind, ("127.0.0.1", 5), **values))
        self.bad.master.send(log("the end of it"))
        self.said("the end of it")
        for ident, pid, words in self.lines():
            if int(pid) == self.bad.pid:
                self.assertEqual(ident, "imapsd")
                self.assertNotIn("\x1b", words)

    def test_as_long_as_can_be(self):
        self.bad.master.send(log("x" * 2048 + ""))
        self.bad.master.send(event(
            "EVENT_AUTH", ("127.0.0.1", 5), status="\n" * 256,
            authn="\n" * 1024, authz="\x7f" * 1024))
        self.bad.master.send(log("the end of it"))
        self.said("the end of it")
        self.assertLess(max(len(l[2]) for l in self.lines()), 4096)
        self.bad.master.send(log("x" * 2049))
        wait_for(lambda: not self.bad.is_alive(), 10, "its end")

    def test_urgent(self):
        """Emergencies are broadcast to terminals: none of those."""
        for priority in 0, 1, 2, 8, 255:
            if not self.bad.is_alive():
                break
            self.bad.master.send(log("urgent", priority))
            wait_for(lambda: not self.bad.is_alive(), 10, "its end")
        self.assertFalse([l for l in self.lines() if "urgent" in l[2]])


@not_sanitized
class Address(Logged):
    """Who failed to log in, by the log: fail2ban bans whom it names."""

    def counted(self, host):
        return [l for l in self.lines() if host in l[2] and
                re.match(r"Auth: |Closing NULL session: ", l[2])]

    def test_another_s_address(self):
        """It has never had a connection from there."""
        self.bad.master.send(event("EVENT_AUTH", VICTIM, FAILED, "alice"))
        self.bad.master.send(event("EVENT_CLOSE_NULL", VICTIM,
                                   "too many commands"))
        self.bad.master.send(log("the end of it"))
        self.said("the end of it")
        self.assertEqual(self.counted(VICTIM[0]), [])
        # what it said is there, as its words
        self.assertEqual(len([l for l in self.lines()
                              if VICTIM[0] in l[2] and
                              l[2].startswith("worker 1: ")]), 2)

    def test_an_address_that_others_serve(self):
        with self.connect(self.relais.ssl, True, source="127.0.0.5") as c:
            self.assertOK(c.cmd("NOOP"))
            self.bad.master.send(event("EVENT_AUTH", ("127.0.0.5", 4711),
                                       FAILED, "alice"))
            self.bad.master.send(log("the end of it"))
            self.said("the end of it")
        self.assertEqual(self.counted("127.0.0.5"), [])

    def test_honest_ones_are_as_ever(self):
        self.inner.script = type(self.script)(users={"alice": "secret"})
        with self.connect(self.relais.ssl, True, source="127.0.0.6") as c:
            self.assertNO(c.login("alice", "wrong"))
        self.relais.wait_log("Auth: 127.0.0.6.*failed: Re-Auth")
        with self.connect(self.relais.plain, source="127.0.0.8") as c:
            c.send(b"a NOOP\r\n" * 400)
            c.rest()
        self.relais.wait_log("Closing NULL session: 127.0.0.8.*too many")


@not_sanitized
class Flood(Logged):
    def test_lines(self):
        """So many that it is ended for them; others log in meanwhile, and
        their lines are there."""
        self.assertServes()
        slowest, lines = 0, 0
        began = time.monotonic()
        while self.bad.is_alive() and time.monotonic() < began + 20:
            try:
                for _ in range(30):
                    self.bad.master.send(many(*[log("flood")] * 400))
                    lines += 400
            except OSError:
                break
            slowest = max(slowest, timed(self.assertServes)[1])
        wait_for(lambda: not self.bad.is_alive(), 10, "its end")
        self.assertLess(slowest, 2 * harness.SLOW)
        self.relais.wait_log("worker 1 sent too many messages")
        mark = self.relais.mark()
        self.assertServes()
        self.relais.wait_log("Auth: .*status=\"ok\"", mark)


if __name__ == "__main__":
    main()
