# SPDX-License-Identifier: ISC
"""All places of the workers are taken: the oldest client without a login gives
way, or the newest is told; nobody waits in silence."""

import os
import signal
import time

import harness
from case import Pop3Case, StandInCase, TestCase, main, timed
from harness import SLOW, wait_for
from inner import Script, StandIn
from reloading import reload
from submission import Submission, sasl_lines

PLACES = 4
YOUNG = 3               # seconds: younger ones do not give way
ALERT = "\x15\x03\x03\0\2\2P"      # internal_error, in clear


class Full:
    """What holds for all three daemons; they have one worker."""

    @classmethod
    def setUpClass(cls):        # each test has a daemon of its own
        cls.inner = StandIn(cls, cls.script)

    told = r"^\* BYE "          # what a client is told
    gone = 'reason="no login so far, and others wait"'
    refused = 'reason="all places are taken"'

    def gateway(self, *lines, workers=1):
        relais = harness.Gateway(
            self, self.inner.port, *self.lines,
            "worker_connections %d" % PLACES, *lines, daemon=self.daemon,
            workers=workers)
        time.sleep(0.2)         # those that looked whether it serves are gone
        return relais

    def logged_in(self, relais):
        c = self.raw(relais.ssl)
        c.start_tls()
        c.greet()
        if hasattr(c, "ehlo"):
            c.ehlo()
        self.assertRegex(str(c.login()), r"OK|235")
        return c

    def assertLogged(self, relais, mark, text, n):
        """So many lines, and who it was in each."""
        def lines():
            return [l for l in relais.log(mark) if text in l]

        wait_for(lambda: len(lines()) >= n, 5, "lines with " + text)
        self.assertEqual(len(lines()), n)
        for line in lines():
            self.assertIn("127.0.0.1", line)

    def assertTold(self, c):
        text, seconds = timed(c.rest)
        self.assertRegex(text, self.told)
        self.assertLess(seconds, 1 * SLOW)

    def test_silent_ones_give_way(self):
        """The oldest first, and each hears so where it can."""
        relais = self.gateway()
        mark = relais.mark()
        silent = [self.raw(relais.ssl)]
        silent += [self.connect(relais.starttls)]
        silent += [self.raw(relais.ssl)]
        silent[2].send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        silent += [self.connect(relais.ssl, True)]
        time.sleep(YOUNG + 1)
        honest = []
        for n, c in enumerate(silent):
            honest.append(self.logged_in(relais))
            if n in (0, 2):
                self.assertEqual(c.rest(), ALERT)
            else:
                self.assertTold(c)
            for other in silent[n + 1:]:        # they are still there
                other.sock.setblocking(False)
                self.assertRaises(Exception, other.sock.recv, 1)
                other.sock.setblocking(True)
        self.assertLogged(relais, mark, self.gone, len(silent))
        self.assertLogged(relais, mark, self.refused, 0)

    def test_none_gives_way(self):
        """Who has logged in stays, and the newest is told at once."""
        relais = self.gateway()
        inside = [self.logged_in(relais) for _ in range(PLACES)]
        mark = relais.mark()
        for port in relais.plain, relais.starttls:
            self.assertTold(self.raw(port))
        for octets in b"", b"\x16\x03\x01\x02\x00\x01":
            c = self.raw(relais.ssl)
            c.send(octets)
            text, seconds = timed(c.rest)
            self.assertEqual(text, ALERT)
            self.assertLess(seconds, 1 * SLOW)
        self.assertLogged(relais, mark, self.refused, 4)
        self.assertLogged(relais, mark, self.gone, 0)
        for c in inside:        # nor has it cost them anything
            self.assertTrue(c.cmd("NOOP"))
        inside[1].close()
        time.sleep(0.3)
        self.logged_in(relais)


class Imap(Full, StandInCase):
    def test_young_ones_stay(self):
        """They may be about to log in; a moment later they have had it."""
        relais = self.gateway()
        young = [self.connect(relais.plain) for _ in range(PLACES)]
        self.assertTold(self.raw(relais.plain))
        time.sleep(YOUNG + 1)
        self.assertOK(young[-1].login())
        self.logged_in(relais)
        self.assertTold(young[0])

    def test_whose_password_is_looked_at_stays(self):
        class Slow(Script):
            def login(self, peer, *rest):
                time.sleep(YOUNG + 3)
                return super().login(peer, *rest)

        self.inner.script = Slow()
        relais = self.gateway()
        busy = [self.connect(relais.plain) for _ in range(PLACES)]
        for c in busy:
            c.send("a LOGIN alice secret\r\n")
        time.sleep(YOUNG + 1)
        self.assertTold(self.raw(relais.plain))
        for c in busy:
            self.assertOK(c.answer("a"))

    def test_amid_something(self):
        """In a literal, an exchange, or STARTTLS; and the worker goes on."""
        relais = self.gateway()
        worker = relais.pids("worker")
        amid = [self.connect(relais.plain) for _ in range(2)]
        amid += [self.connect(relais.starttls) for _ in range(2)]
        amid[0].send("a LOGIN {5}\r\nali")
        amid[1].send("a AUTHENTICATE PLAIN\r\n")
        amid[2].send("a STARTTLS\r\n")
        amid[3].send("a STARTTLS\r\n\x16\x03\x01")
        time.sleep(YOUNG + 1)
        inside = [self.logged_in(relais) for _ in range(PLACES)]
        self.assertIn("* BYE no login", amid[0].rest())
        self.assertRegex(amid[1].rest(), r"^\+ [^\n]*\n\* BYE no login")
        for c in amid[2:]:
            self.assertRegex(c.rest(), r"^a OK [^\n]*\n")
        self.assertEqual(relais.pids("worker"), worker)
        self.assertEqual(len(inside), PLACES)

    def test_flood_of_those_that_are_told(self):
        """Their last words take no place."""
        relais = self.gateway()
        inside = [self.logged_in(relais) for _ in range(PLACES)]
        told = [self.raw(relais.plain) for _ in range(200)]
        for c in told:
            self.assertTold(c)
        inside[0].close()
        time.sleep(0.3)
        self.logged_in(relais)


class Pop3(Full, Pop3Case):
    told = r"^-ERR \[SYS/TEMP\] "


class Smtp(Full, Submission):
    daemon = harness.SMTPSD

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inner.messages = []
        cls.lines = sasl_lines(cls)

    told = r"^421 4\.3\.2 "
    gone = ": 421 4.3.2 no login so far, and others wait;"
    refused = ": 421 4.3.2 all places are taken;"


class Siblings(StandInCase):
    """Two workers."""

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def gateway(self, *lines):
        relais = harness.Gateway(
            self, self.inner.port, *self.lines,
            "worker_connections %d" % PLACES, *lines)
        time.sleep(0.2)
        return relais

    def logged_in(self, relais):
        c = self.connect(relais.plain)
        self.assertOK(c.login())
        return c

    def test_who_has_room_serves(self):
        relais = self.gateway()
        inside = [self.logged_in(relais) for _ in range(2 * PLACES)]
        for n in range(20):     # one place is free, in this one or that one
            inside.pop(n % len(inside)).close()
            time.sleep(0.2)
            inside.append(self.logged_in(relais))
        self.assertRegex(self.raw(relais.plain).rest(), r"^\* BYE ")
        relais.wait_log("all places are taken")
        told = [l for l in relais.log() if "all places are taken" in l]
        self.assertEqual(len(told), 1)

    def test_one_stands_still(self):
        """It has room, and takes nobody: the other one speaks up."""
        relais = self.gateway()
        stopped = relais.pids("worker")[0]
        os.kill(stopped, signal.SIGSTOP)
        try:
            inside = [self.logged_in(relais) for _ in range(PLACES)]
            text, seconds = timed(self.raw(relais.plain).rest)
            self.assertRegex(text, r"^\* BYE ")
            self.assertGreater(seconds, 0.9)
            self.assertLess(seconds, 1.5 * SLOW)
        finally:
            os.kill(stopped, signal.SIGCONT)
        for _ in range(PLACES):
            inside.append(self.logged_in(relais))


class Limit(TestCase):
    def test_silent_ones_give_way(self):
        """At connection_limit, too."""
        relais = harness.Gateway(self, StandIn(self).port,
                                 "connection_limit %d" % PLACES, workers=1)
        time.sleep(0.2)
        silent = [self.connect(relais.plain) for _ in range(PLACES)]
        self.assertRegex(self.raw(relais.plain).rest(), r"^\* BYE too many")
        time.sleep(YOUNG + 1)
        for c in silent:
            self.assertOK(self.connect(relais.ssl, True).login())
            self.assertRegex(c.rest(), r"^\* BYE no login so far")
        self.assertRegex(self.raw(relais.plain).rest(), r"^\* BYE too many")


class Single(StandInCase):
    """A process for each client."""

    LIMIT = 8
    SPARES = 2

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def gateway(self):
        relais = harness.Gateway(
            self, self.inner.port, "worker_connections 1",
            "connection_limit %d" % self.LIMIT, workers=self.SPARES)
        wait_for(lambda: len(relais.pids("worker")) == self.SPARES, 10,
                 "the spares and no more")
        return relais

    def test_silent_ones_give_way(self):
        relais = self.gateway()
        mark = relais.mark()
        silent = [self.connect(relais.plain) for _ in range(self.LIMIT)]
        self.assertRegex(self.raw(relais.plain).rest(), r"^\* BYE too many")
        time.sleep(YOUNG + 2)   # and one place is kept free
        for _ in range(self.LIMIT):
            time.sleep(0.3)
            self.assertOK(self.connect(relais.ssl, True).login())
        for c in silent:
            self.assertRegex(c.rest(), r"^\* BYE no login so far")
        self.assertRegex(self.raw(relais.plain).rest(), r"^\* BYE too many")
        wait_for(lambda: len([l for l in relais.log(mark)
                              if "no login so far" in l]) == self.LIMIT, 5,
                 "a line for each")
        bad = [l for l in relais.log(mark) if "exited" in l or "killed" in l]
        self.assertEqual(bad, [])

    def test_old_generation(self):
        """Its clients count: they are in the broker's book."""
        relais = self.gateway()
        inside = [self.connect(relais.ssl, True) for _ in range(5)]
        for c in inside:
            self.assertOK(c.login())
        reload(relais)
        silent = [self.connect(relais.plain)
                  for _ in range(self.LIMIT - len(inside))]
        time.sleep(YOUNG + 2)
        self.assertRegex(silent[0].rest(), r"^\* BYE no login so far")
        self.assertOK(self.connect(relais.ssl, True).login())
        for c in inside:
            self.assertOK(c.cmd("NOOP"))


if __name__ == "__main__":
    main()
