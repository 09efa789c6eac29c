# SPDX-License-Identifier: ISC
"""What the end-to-end tests inherit."""

import os
import sys
import time
import unittest

import client
import harness
from harness import Relais
from inner import Pop3Script, Script, StandIn

needs_root = unittest.skipUnless(harness.ROOT, "needs root")
not_sanitized = unittest.skipIf(harness.SANITIZE,
                                "means nothing in a sanitizer build")


class TestCase(unittest.TestCase):
    """A test that tells what the daemon said when it fails."""

    maxDiff = 4000

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            for relais in Relais.instances:
                print("=== %s in %s\n%s" % (
                    relais.name, self.id(), relais.last_log or relais.story()),
                    file=sys.stderr, flush=True)
        Relais.instances = [r for r in Relais.instances if r.process]
        return result

    kind = client.Client        # of the clients below

    def connect(self, port, tls=False, **kw):
        """A greeted client, closed at the test's end at the latest."""
        c = client.connect(port, tls, self.kind, **kw)
        self.addCleanup(c.close)
        return c

    def raw(self, port, tls=False, **kw):
        """The same without taking the greeting."""
        c = self.kind(port, tls, **kw)
        self.addCleanup(c.close)
        return c

    def assertOK(self, reply):
        self.assertEqual(reply.status, "OK", reply)
        return reply

    def assertNO(self, reply, code=None):
        """NO, with this response code where one is named."""
        self.assertEqual(reply.status, "NO", reply)
        if code:
            self.assertTrue(reply.text.startswith("[%s]" % code), reply)
        return reply

    def assertBAD(self, reply):
        self.assertEqual(reply.status, "BAD", reply)
        return reply


class StandInCase(TestCase):
    """A daemon in front of a stand-in that every login goes to."""

    daemon = harness.IMAPSD
    script = Script()
    lines = ()                  # further directives

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.relais = harness.Gateway(cls, cls.inner.port, *cls.lines,
                                     daemon=cls.daemon)

    def setUp(self):
        self.inner.script = self.script
        self.inner.logins.clear()
        self.inner.lines.clear()

    def tearDown(self):
        faults, self.inner.faults[:] = list(self.inner.faults), []
        self.assertEqual(faults, [], "the inner server was told nonsense")

    def tls(self):
        return self.connect(self.relais.ssl, True)

    def seen(self):
        """The last login at the inner server: user and password."""
        return self.inner.logins[-1][:2] if self.inner.logins else None


class Pop3Case(StandInCase):
    """pop3sd in front of a POP3 stand-in."""

    kind = client.Pop3Client
    daemon = harness.POP3SD
    script = Pop3Script()

    def assertYes(self, line):
        self.assertRegex(line, r"^\+OK( |$)")
        return line

    def assertNo(self, line, code=None):
        """-ERR, with this response code where one is named."""
        self.assertRegex(line, r"^-ERR( |$)")
        if code:
            self.assertTrue(line.startswith("-ERR [%s] " % code), line)
        return line


def timed(function, *args):
    """A function's result, and the seconds it took."""
    began = time.monotonic()
    return function(*args), time.monotonic() - began


def main():
    for daemon in harness.IMAPSD, harness.POP3SD, harness.SMTPSD:
        if not os.access(daemon, os.X_OK):
            sys.exit("%s is not there: run 'make' first" % daemon)
    unittest.main(verbosity=2)
