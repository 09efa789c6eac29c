#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The ledger: failures that three daemons count together, and that a start
does not forget; who is turned away, and who is not; what the administrator
sees of it, and has forgotten."""

import json
import os
import time

import client
import harness
from case import TestCase, main, needs_root
from client import Pop3Client
from inner import Pop3Script, Script, StandIn
from siege_guess import siege
from submission import SmtpClient, sasl_lines

STRANGER = "127.66.1.1"
NEIGHBOUR = "127.66.1.2"
HOME = "127.77.1.1"


@needs_root
class Ledger(TestCase):
    """Each test has its own; failures are few, so that tests are short."""

    lines = ('trusted_networks ""', "user_failure_limit 1",
             "address_failure_limit 3")

    def setUp(self):
        self.spool = os.path.join(harness.folder(self), "spool")
        self.inner = StandIn(self, Script())
        self.imap = self.gateway(self.inner.port)

    def gateway(self, port, *lines, **kw):
        return harness.Gateway(self, port, *self.lines, *lines,
                               spool=self.spool, workers=1, **kw)

    def login(self, word, source, user="alice", gateway=None):
        with client.connect((gateway or self.imap).plain,
                            source=source) as c:
            return c.cmd("LOGIN %s %s" % (user, word))

    def ledger(self, what=""):
        status, text = harness.run_imapsd(
            "--spool_directory", self.spool, "--json", "--ledger=" + what)
        self.assertEqual(status, 0, text)
        return {e["name"]: e for e in json.loads(text)}

    def forgive(self, what):
        status, text = harness.run_imapsd(
            "--spool_directory", self.spool, "--forgive", what)
        self.assertEqual(status, 0, text)
        return text

    def use_up(self, source=STRANGER):
        self.assertNO(self.login("wrong", source), "AUTHENTICATIONFAILED")
        self.inner.logins.clear()

    def test_strangers_and_who_is_at_home(self):
        self.assertOK(self.login("secret", HOME))
        self.use_up()
        mark = self.imap.mark()
        for source in STRANGER, "127.88.1.1":
            self.assertNO(self.login("secret", source), "UNAVAILABLE")
        self.assertEqual(self.inner.logins, [])
        self.imap.wait_log("failed: too many failed logins", mark)
        began = time.monotonic()
        self.assertOK(self.login("secret", HOME))
        self.assertLess(time.monotonic() - began, 1)
        self.forgive("alice")
        self.assertOK(self.login("secret", "127.88.1.1"))

    def test_a_start_does_not_forget(self):
        self.use_up()
        before = self.ledger()
        self.imap.stop()
        self.assertEqual(self.ledger().keys(), before.keys())
        self.imap.start()
        self.assertNO(self.login("secret", STRANGER), "UNAVAILABLE")
        self.assertEqual(self.inner.logins, [])

    def test_three_daemons_one_ledger(self):
        pop = self.gateway(StandIn(self, Pop3Script()).port,
                           daemon=harness.POP3SD)
        smtp = self.gateway(self.inner.port, *sasl_lines(self),
                            daemon=harness.SMTPSD)
        with Pop3Client(pop.plain, source=STRANGER) as c:
            c.greet()
            self.assertIn("+OK", c.cmd("USER alice"))
            self.assertRegex(c.cmd("PASS nonsense"), "^-ERR ")
        with SmtpClient(smtp.plain, source=STRANGER) as c:
            c.greet()
            c.ehlo()
            self.assertEqual(c.login()[0], 454)     # asked of nobody
        self.assertNO(self.login("secret", STRANGER), "UNAVAILABLE")
        self.assertEqual(self.inner.logins, [])
        entry = self.ledger(STRANGER)[STRANGER]
        self.assertAlmostEqual(entry["failed"], 1, delta=0.2)
        self.assertAlmostEqual(entry["turned_away"], 2, delta=0.2)

    def test_the_same_wrong_password(self):
        imap = self.gateway(self.inner.port, "user_failure_limit 2")
        for _ in range(3):
            self.assertNO(self.login("old", STRANGER, gateway=imap),
                          "AUTHENTICATIONFAILED")
        self.assertAlmostEqual(self.ledger()["alice"]["failed"], 1, delta=.2)
        self.assertOK(self.login("secret", STRANGER, gateway=imap))

    def test_see_and_forgive(self):
        self.use_up()
        names = self.ledger()
        self.assertEqual(set(names), {STRANGER, "127.66.1.0/24", "alice",
                                      "127.0.0.1", "127.0.0.0/24"})
        self.assertEqual(set(self.ledger("127.66.0.0/16")),
                         {STRANGER, "127.66.1.0/24"})
        self.assertEqual(set(self.ledger("Alice")), {"alice"})
        self.assertAlmostEqual(names["127.66.1.0/24"]["failed"], 1, delta=.2)
        self.forgive(STRANGER)
        names = self.ledger()
        self.assertEqual(names[STRANGER]["failed"], 0)
        self.assertLess(names["127.66.1.0/24"]["failed"], 0.2)
        self.assertAlmostEqual(names["alice"]["failed"], 1, delta=0.2)
        self.assertIn("nothing", self.forgive("nobody"))
        status, text = harness.run_imapsd(
            "--spool_directory", self.spool, "--ledger", "alice")
        self.assertEqual(status, 0)
        self.assertRegex(text, r"(?m)^user +alice +(1\.0|0\.9) ")
        status, text = harness.run_imapsd(
            "--spool_directory", self.spool + "/none", "--ledger")
        self.assertEqual(status, 1)

    def test_trusted(self):
        trusting = self.gateway(self.inner.port,
                                "trusted_networks 127.66.1.2")
        self.use_up()
        for i in range(2):
            self.assertNO(self.login("no%d" % i, NEIGHBOUR,
                                     gateway=trusting),
                          "AUTHENTICATIONFAILED")
        self.assertNotIn(NEIGHBOUR, self.ledger())
        self.assertOK(self.login("secret", NEIGHBOUR, gateway=trusting))

    def test_file(self):
        path = os.path.join(self.spool, "run", "ledger")
        st = os.stat(path)
        self.assertEqual((st.st_uid, st.st_mode & 0o777), (0, 0o600))
        self.imap.stop()
        for spoil in (lambda: os.truncate(path, st.st_size - 1),
                      lambda: os.truncate(path, 10),
                      lambda: os.chmod(path, 0o666)):
            spoil()
            mark = self.imap.mark()
            self.imap.start()
            self.imap.wait_log("no ledger of ours: it is made anew", mark)
            self.assertEqual(os.stat(path).st_size, st.st_size)
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            self.imap.stop()


@needs_root
class Rates(TestCase):
    def test_connections(self):
        inner = StandIn(self, Script())
        relais = harness.Gateway(
            self, inner.port, 'trusted_networks ""',
            "client_connection_rate_limit 20", workers=1)
        came = []
        for _ in range(22):
            with client.Client(relais.plain, source=STRANGER) as c:
                came.append(c.greet())
        self.assertTrue(all("OK" in line for line in came[:20]), came)
        self.assertTrue(all("BYE" in line for line in came[20:]), came[20:])
        with client.Client(relais.plain, source=HOME) as c:
            self.assertIn("OK", c.greet())


@needs_root
class Siege(TestCase):
    """A small one; see siege_guess.py."""

    def test_siege(self):
        figures, _ = siege(self, 130, 3, 1, 12, 2)
        self.assertEqual(figures.guesses, 390)
        self.assertLess(figures.reached, 390 * 0.05, figures)
        self.assertGreater(figures.honest, 20, figures)
        self.assertEqual(figures.wrong, 0, figures)
        self.assertLess(figures.slowest, harness.SLOW, figures)
        self.assertEqual(set(figures.phones), {"wrong"}, figures)


if __name__ == "__main__":
    main()
