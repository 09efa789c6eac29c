#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Each fuzz target takes all inputs of its corpus, and some that are made of
them: the same ones each time.  `make fuzz` is for more."""

import os
import subprocess
import sys
import tempfile
import unittest

import fuzz

RUNS = 8000     # of each, those of the corpus included
SLOW = {"conf": 600, "session_smtp": 4000, "session_imap": 4000,
        "session_pop3": 4000, "reload_state": 3000}


class TestFuzz(unittest.TestCase):
    def fuzz(self, name):
        program = fuzz.program(name)
        if not os.path.exists(program):
            self.skipTest("clang's libFuzzer is not here (make deps)")
        files = len(os.listdir(fuzz.corpus(name)))
        with tempfile.TemporaryDirectory() as new:
            p = subprocess.run(
                [program, "-seed=1", "-artifact_prefix=" + new + "/",
                 "-runs=%d" % (files + SLOW.get(name, RUNS))] +
                fuzz.options(name) + [new, fuzz.corpus(name)],
                env=fuzz.environment(), stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                check=False)
        text = p.stdout.decode("utf-8", "replace")
        self.assertEqual(p.returncode, 0, text[-6000:])
        self.assertIn("Done ", text)

    def test_each_has_a_corpus(self):
        for name in fuzz.targets([]):
            self.assertTrue(os.listdir(fuzz.corpus(name)), name)
            self.assertIn(name, fuzz.PARSERS)


def add(name):
    setattr(TestFuzz, "test_" + name, lambda self: self.fuzz(name))


for target in fuzz.targets([]):
    add(target)

if __name__ == "__main__":
    sys.exit(unittest.main())
