# SPDX-License-Identifier: ISC
"""What is killed while a reload starts it is started again: the generation
before may not have long."""

import os
import signal
import time

from case import StandInCase, main
from harness import children, proc_read
from reloading import generation

TIMES = 4


class Killed(StandInCase):
    def kill_first(self, role, seconds=10):
        """The first of the new generation's."""
        old = set(children(self.relais.pid))
        os.kill(self.relais.pid, signal.SIGHUP)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for pid in set(children(self.relais.pid)) - old:
                if proc_read(pid, "cmdline").startswith("imapsd: " + role):
                    os.kill(pid, signal.SIGKILL)
                    return
        self.fail("there was no new %s" % role)

    def check(self, role):
        for _ in range(TIMES):
            mark, wanted = self.relais.mark(), generation(self.relais) + 1
            self.kill_first(role)
            self.relais.wait_log(
                "reloaded: generation %d serves" % wanted, mark, 20)
            self.assertOK(self.tls().login())
        self.assertNotIn("no new generation", "\n".join(self.relais.log()))

    def test_keeper(self):
        self.check("keeper")

    def test_broker(self):
        self.check("broker")

    def test_worker(self):
        self.check("worker")


if __name__ == "__main__":
    main()
