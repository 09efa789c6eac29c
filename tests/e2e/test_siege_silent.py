# SPDX-License-Identifier: ISC
"""A small siege of silent connections (siege_silent.py); its times are those
of a machine with other things to do, hence the slack."""

import unittest

from case import TestCase, main, not_sanitized
from siege_silent import Siege, show


@not_sanitized
class Besieged(TestCase):
    def test_small(self):
        try:
            f = Siege(self, 2000, 7, workers=2, quiet=5).run()
        except PermissionError:
            raise unittest.SkipTest("needs root") from None
        show(f)
        self.assertEqual((f.connections, f.refused, f.left), (2000, 0, 0))
        self.assertEqual(f.failed, [])
        self.assertLess(f.memory, 4096)
        self.assertLess(max(f.standing, f.leaving), 2 * f.before + 0.25)
        self.assertLess(f.seconds, 12)      # the last one's time, and a bit

    def test_more_than_there_are_places(self):
        """The silent give way, and no honest client has to come again."""
        places, workers = 450, 2
        try:
            siege = Siege(self, 2400, 20, workers=workers, quiet=4,
                          places=places, arrivals=150)
        except PermissionError:
            raise unittest.SkipTest("needs root") from None
        f = siege.run()
        show(f)
        self.assertEqual((f.refused, f.left, f.failed), (0, 0, []))
        self.assertLess(max(f.arriving, f.standing, f.leaving),
                        2 * f.before + 0.25)
        log = siege.relais.log()
        gone = [l for l in log if "no login so far, and others wait" in l]
        self.assertGreater(len(gone), 1000)
        self.assertEqual([l for l in log if "all places are taken" in l], [])


if __name__ == "__main__":
    main()
