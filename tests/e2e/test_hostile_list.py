# SPDX-License-Identifier: ISC
"""A worker that was taken over and the list of what inner servers can do: it
does not speak for the others."""

import time

import harness
from case import StandInCase, main, not_sanitized
from harness import wait_for
from hostile import Hostile, capability
from inner import Script, StandIn


@not_sanitized
class List(StandInCase):
    WORDS = "IMAP4rev1 IDLE NAMESPACE"

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def start(self, workers, captives):
        self.inner.script = Script(capability=self.WORDS)
        # honest ones learn the list first
        self.relais = Hostile(self, self.inner.port, workers=workers,
                              captives=())
        self.assertTrue(self.has("NAMESPACE"))
        return [self.relais.capture("worker", n) for n in range(captives)]

    def words(self):
        with self.connect(self.relais.ssl, True) as c:
            return c.capability()

    def has(self, word):
        return word in self.words()

    def test_one_lies(self):
        bad, = self.start(3, 1)
        for _ in range(30):
            bad.broker.send(capability(["IMAP4rev1", "X-LIE"]))
            time.sleep(0.1)
            self.assertFalse(self.has("X-LIE"))
        self.assertTrue(self.has("NAMESPACE"))
        self.assertTrue(bad.is_alive())

    def test_says_that_there_is_none(self):
        bad, = self.start(2, 1)
        for _ in range(20):
            bad.broker.send(capability([], known=False))
        time.sleep(0.5)
        self.assertTrue(self.has("NAMESPACE"))

    def test_the_truth_changes(self):
        """Two say so."""
        self.start(3, 0)
        self.inner.script = Script(capability="IMAP4rev1 X-NEW")
        with self.connect(self.relais.ssl, True) as c:
            self.assertOK(c.login())
        wait_for(lambda: self.has("X-NEW"), 3, "the new list")

    def test_the_truth_changes_and_there_is_one(self):
        self.start(1, 0)
        self.inner.script = Script(capability="IMAP4rev1 X-NEW")
        with self.connect(self.relais.ssl, True) as c:
            self.assertOK(c.login())
        wait_for(lambda: self.has("X-NEW"), 3, "the new list")


if __name__ == "__main__":
    main()
