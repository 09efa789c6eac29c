# SPDX-License-Identifier: ISC
"""What the linker and the compiler were asked for is in the programs; and the
same sources give the same programs, wherever and whenever they are built."""

import os
import re
import shutil
import subprocess
import time
import unittest

import harness
from case import TestCase, main, not_sanitized
from harness import folder

PROGRAMS = (harness.IMAPSD, harness.POP3SD, harness.SMTPSD)
SOURCES = ("common", "imapsd", "pop3sd", "smtpsd", "Makefile")


def need(name):
    if shutil.which(name) is None:
        raise unittest.SkipTest("%s is not installed" % name)


def readelf(*args):
    need("readelf")
    return subprocess.run(["readelf", "-W", *args], check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout.decode()


@not_sanitized
class Hardened(TestCase):
    @staticmethod
    def each(*args):
        """What readelf says of each program."""
        for program in PROGRAMS:
            yield program + "\n" + readelf(*args, program)

    def test_segments(self):
        """Position independent; nothing is writable and executable, the stack
        least of all; code has pages of its own."""
        for said in self.each("-lh"):
            self.assertRegex(said, r"Type:\s+DYN")
            self.assertRegex(said, r"GNU_STACK .* RW ")
            self.assertIn("GNU_RELRO", said)
            loads = re.findall(r"LOAD .* 0x\S+ ([R ][W ][E ]) 0x", said)
            self.assertEqual(loads, ["R  ", "R E", "R  ", "RW "])

    def test_dynamic(self):
        """Bound at the start and read-only from then on; libraries are looked
        for in the system's places."""
        for said in self.each("-d"):
            self.assertRegex(said, r"FLAGS\)\s.*BIND_NOW")
            self.assertRegex(said, r"FLAGS_1\)\s.*NOW.* PIE")
            for tag in "RPATH", "RUNPATH", "TEXTREL":
                self.assertNotIn(tag, said)

    def test_functions(self):
        """A canary on the stack, and lengths that are checked."""
        for said in self.each("--dyn-syms"):
            self.assertIn(" __stack_chk_fail@", said)
            for name in "snprintf", "read":
                self.assertIn(" __%s_chk@" % name, said)
            for name in ("gets", "strcpy", "strcat", "sprintf", "vsprintf",
                         "scanf", "sscanf", "strtok", "mktemp", "tmpnam"):
                self.assertNotIn(" %s@" % name, said)

    @unittest.skipUnless(os.uname().machine == "x86_64", "is x86's")
    def test_jumps(self):
        """All that we compile can say where jumps may land.  (The programs say
        so, too, where the C library's start files do.)"""
        for said in re.split("^File: ", readelf(
                "-n", os.path.join(harness.BUILD, "libcommon.a")),
                             flags=re.MULTILINE)[1:]:
            self.assertIn("IBT, SHSTK", said)


def make(where, *words):
    # not the flags of a make that we are called by
    env = {name: value for name, value in os.environ.items()
           if name not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    return subprocess.run(["make", "-C", where, *words], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT,
                          timeout=300 * harness.SLOW).stdout.decode(
                              "utf-8", "replace")


@not_sanitized
class Reproducible(TestCase):
    def build(self, name, times):
        """The sources in a folder of another name and age, built: pop3sd,
        which has all of common in it."""
        where = os.path.join(folder(self), name)
        os.mkdir(where)
        for source in SOURCES:
            at = os.path.join(harness.TOP, source)
            copy = shutil.copytree if os.path.isdir(at) else shutil.copy2
            copy(at, os.path.join(where, source))
        for root, _, names in os.walk(where):
            for one in names:
                os.utime(os.path.join(root, one), (times, times))
        said = make(where, "-j2", "build/pop3sd")
        self.assertTrue(os.path.exists(where + "/build/pop3sd"), said)
        return where

    def test_two_builds(self):
        need("cc")
        now = time.time()
        one = self.build("one", now - 86400 * 300)
        other = self.build("another-one", now)
        for name in "build/libcommon.a", "build/pop3sd":
            with open(os.path.join(one, name), "rb") as f, \
                    open(os.path.join(other, name), "rb") as g:
                first, second = f.read(), g.read()
            self.assertTrue(first == second, name)
            self.assertNotIn(one.encode(), first)


if __name__ == "__main__":
    main()
