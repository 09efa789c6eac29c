# SPDX-License-Identifier: ISC
"""A small load over some reloads; reload_load.py by hand is the whole one."""

from case import TestCase, main
from reload_load import Load


class Reloads(TestCase):
    def test_under_load(self):
        Load(self, 60, 5, 10).run()


if __name__ == "__main__":
    main()
