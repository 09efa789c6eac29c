# SPDX-License-Identifier: ISC
"""The broker of an old generation dies, and no other comes in its place: who
needs one is sent away at once, and all others go on."""

import os
import signal
import time

import harness
from case import StandInCase, main
from harness import children, proc_read, wait_for
from reloading import reload
from submission import Submission, sasl_lines

SOON = 3                        # seconds


def kill_old_broker(relais):
    def found():    # it is called so when it has heard of the reload
        return [p for p in children(relais.pid)
                if ": old broker" in proc_read(p, "cmdline")]
    pid, = wait_for(found, 5, "an old broker")
    os.kill(pid, signal.SIGKILL)


class Imap(StandInCase):
    def test_old_broker(self):
        inside = self.tls()
        self.assertOK(inside.login())
        before = [self.tls() for _ in range(4)]
        reload(self.relais)
        began = time.monotonic()
        kill_old_broker(self.relais)
        for c in before:
            self.assertRegex(c.rest(), r"^\* BYE ")
        self.assertLess(time.monotonic() - began, SOON * harness.SLOW)
        self.assertOK(inside.cmd("XALIVE"))
        self.assertOK(self.tls().login())
        inside.close()
        wait_for(lambda: not self.relais.pids("old"), 10, "its end")


class Smtp(Submission):
    def test_old_broker(self):
        before, inside, within = self.tls(), self.user(), self.user()
        within.begin("b@example.net")
        reload(self.relais)
        began = time.monotonic()
        kill_old_broker(self.relais)
        for c in before, inside:
            self.assertRegex(c.rest(), r"^421 4\.3\.2 ")
        self.assertLess(time.monotonic() - began, SOON * harness.SLOW)
        # a message that is under way arrives
        self.assertReply(within.message(b"x\r\n"), 250)
        self.assertEqual(len(self.inner.messages), 1)
        within.rest()
        wait_for(lambda: not self.relais.pids("old"), 10, "its end")

    def test_in_single_workers(self):
        relais = harness.Gateway(self, self.inner.port, *sasl_lines(self),
                                 "worker_connections 1",
                                 daemon=harness.SMTPSD)
        c = self.connect(relais.ssl, True)
        reload(relais)
        kill_old_broker(relais)
        self.assertRegex(c.rest(), r"^421 4\.3\.2 ")


if __name__ == "__main__":
    main()
