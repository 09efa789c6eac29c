# SPDX-License-Identifier: ISC
"""The time of day jumps, by a day or by years, forward and back: no limit is
shorter or longer for it, no session ends, and who comes is served."""

import os
import re
import struct
import subprocess
import time
import unittest
from unittest import mock

import harness
from case import StandInCase, main, not_sanitized, timed
from harness import SLOW, folder
from inner import StandIn

DAY = 86400
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                      "clock_shift.c")


@not_sanitized                  # whose library wants to be the first
class Jumps(StandInCase):
    lines = ("authenticate_timeout 4", "timeout 300", "sasl_timeout 5",
             "client_connection_rate_limit 5000")

    @classmethod
    def setUpClass(cls):
        path = folder(cls)
        library = os.path.join(path, "clock_shift.so")
        try:
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library,
                            SOURCE], check=True)
        except FileNotFoundError:
            raise unittest.SkipTest("there is no compiler") from None
        cls.shift_file = os.path.join(path, "shift")
        cls.shift(0)
        cls.inner = StandIn(cls, cls.script)
        with mock.patch.dict(harness.ENVIRONMENT, LD_PRELOAD=library,
                             CLOCK_SHIFT=cls.shift_file):
            cls.relais = harness.Gateway(cls, cls.inner.port, *cls.lines)

    @classmethod
    def shift(cls, seconds):
        with open(cls.shift_file, "r+b" if os.path.exists(cls.shift_file)
                  else "wb", 0) as f:
            f.write(struct.pack("q", seconds))

    def test_there_and_back(self):
        users = []
        before = self.relais.processes()
        for seconds in (0, DAY, -DAY, 400 * DAY, -3000 * DAY, 20000 * DAY, 0,
                        -1, 3600):
            with self.subTest(seconds=seconds):
                silent = self.connect(self.relais.plain)
                time.sleep(1)
                self.shift(seconds)
                began = time.monotonic()
                c = self.tls()
                reply, took = timed(c.login)
                self.assertOK(reply)
                self.assertLess(took, 1 * SLOW)
                users.append(c)
                reply, took = timed(self.tls().login, "alice", "wrong")
                self.assertNO(reply)
                self.assertLess(took, 12 * SLOW)
                self.assertRegex(silent.rest(), r"^\* BYE")
                self.assertLess(time.monotonic() - began, 14 * SLOW)
                for user in users:
                    self.assertOK(user.cmd("XONE"))
        self.assertEqual(self.relais.processes(), before)

    def test_the_limit_is_as_long(self):
        """Neither ended by a jump, nor kept by one."""
        for seconds in 30 * DAY, -30 * DAY:
            c = self.connect(self.relais.plain)
            began = time.monotonic()
            time.sleep(1)
            self.shift(seconds)
            self.assertRegex(c.rest(), r"^\* BYE")
            took = time.monotonic() - began
            self.assertTrue(3 < took < 5.5 * SLOW, took)

    def test_the_log_tells_the_new_time(self):
        """Which also shows that the jump is one."""
        self.shift(40 * DAY)
        mark = self.relais.mark()
        self.assertOK(self.tls().login())
        line = self.relais.wait_log(r'^(\w+ +\d+) .*Auth: .*status="ok"$',
                                    mark)
        then = time.strftime("%b %e", time.localtime(time.time() + 40 * DAY))
        self.assertEqual(re.sub(" +", " ", line.group(1)),
                         re.sub(" +", " ", then))


if __name__ == "__main__":
    main()
