# SPDX-License-Identifier: ISC
"""Processes that die: who else suffers, and for how long."""

import os
import signal
import time

import harness
from case import StandInCase, TestCase, main
from client import Client, tls_context
from harness import children, wait_for
from inner import StandIn

SESSIONS = 200


def alive(client):
    """Does this logged-in session still work?"""
    try:
        return client.cmd("XALIVE").status == "OK"
    except (EOFError, OSError):
        return False


class Crash(StandInCase):
    def kill(self, pid, sig=signal.SIGKILL):
        os.kill(pid, sig)
        wait_for(lambda: pid not in self.relais.processes(), 5, "its end")

    def replaced(self, role, count, gone):
        """Wait until the role has all its processes again."""
        wait_for(lambda: len(set(self.relais.pids(role)) - {gone}) == count,
                 5, "a new " + role)

    def logged_in(self, count, tls=False):
        clients = []
        for _ in range(count):
            c = self.connect(self.relais.ssl if tls else self.relais.plain,
                             tls)
            self.assertOK(c.login())
            clients.append(c)
        return clients

    def served(self, within, tls=True):
        """New clients are served, each within so many seconds."""
        for _ in range(6):
            began = time.monotonic()
            with Client(self.relais.ssl if tls else self.relais.plain,
                        tls) as c:
                c.greet()
                self.assertOK(c.login())
            self.assertLess(time.monotonic() - began, within * harness.SLOW)


class Worker(Crash):
    def test_one_of_200_sessions(self):
        clients = self.logged_in(SESSIONS)
        before = self.relais.worker_sessions()
        victim = max(before, key=before.get)
        others = set(self.relais.processes()) - {victim}
        os.kill(victim, signal.SIGKILL)
        self.served(1)
        self.replaced("worker", 2, victim)
        states = [alive(c) for c in clients]
        # two sockets for each session, and a few of the worker's own
        self.assertAlmostEqual(states.count(False), before[victim] / 2,
                               delta=6)
        self.assertGreater(states.count(True), SESSIONS // 4)
        self.assertLessEqual(others, set(self.relais.processes()))

    def test_its_clients_do_not_count_any_more(self):
        relais = harness.Gateway(self, self.inner.port,
                                 "connection_limit_address 10")
        clients = []

        def another():
            c = Client(relais.plain)
            self.addCleanup(c.close)
            try:
                return c.greet().startswith("* OK") and c
            except (EOFError, OSError):
                return False

        for _ in range(10):
            clients.append(wait_for(another, 5, "a place"))
        self.assertFalse(another())
        for pid in relais.pids("worker"):
            os.kill(pid, signal.SIGKILL)
        for _ in range(8):
            wait_for(another, 5, "a place that is free again")

    def test_tickets_of_before(self):
        """They may be refused, but never disturb."""
        context = tls_context()
        c = self.connect(self.relais.ssl, context=context)
        session = c.sock.session
        victim = self.relais.pids("worker")[0]
        self.kill(victim)
        self.replaced("worker", 2, victim)
        for _ in range(6):
            d = self.connect(self.relais.ssl, context=context,
                             session=session)
            self.assertOK(d.login())

    def test_again_and_again(self):
        """One that keeps dying does not take the service along."""
        other = self.relais.pids("worker")[-1]
        for _ in range(6):
            for pid in self.relais.pids("worker"):
                if pid != other:
                    os.kill(pid, signal.SIGSEGV)
            self.served(1)
        wait_for(lambda: len(self.relais.pids("worker")) == 2, 30,
                 "the second worker")
        self.assertIn(other, self.relais.pids("worker"))


class Keeper(Crash):
    def test_it_is_replaced(self):
        clients = self.logged_in(6, True)
        keepers = self.relais.pids("keeper")
        others = set(self.relais.processes()) - set(keepers)
        for pid in keepers:
            self.kill(pid)
        wait_for(lambda: len(self.relais.pids("keeper")) == len(keepers), 5,
                 "new keepers")
        self.assertTrue(all(alive(c) for c in clients))

        def works():
            try:
                self.served(2)
                return True
            except OSError:
                return False    # a handshake that the old one left

        wait_for(works, 5, "handshakes to go well again")
        self.assertLessEqual(others, set(self.relais.processes()))


class Broker(Crash):
    def broker(self):
        return self.relais.pids("broker")[0]

    def test_it_is_replaced(self):
        clients = self.logged_in(10, True)
        waiting = [self.tls() for _ in range(4)]
        victim = self.broker()
        others = set(self.relais.processes()) - {victim}
        os.kill(victim, signal.SIGKILL)
        self.replaced("broker", 1, victim)
        self.assertTrue(all(alive(c) for c in clients))
        for c in waiting:       # greeted by the old, logged in by the new
            self.assertOK(c.login())
        self.served(2)
        self.assertLessEqual(others, set(self.relais.processes()))

    def test_counters_are_kept(self):
        relais = harness.Gateway(self, self.inner.port,
                                 "connection_limit_address 8")

        def another():
            c = Client(relais.plain)
            self.addCleanup(c.close)
            try:
                return c.greet().startswith("* OK") and c
            except (EOFError, OSError):
                return False

        clients = [wait_for(another, 5, "a place") for _ in range(8)]
        self.assertFalse(another())
        old = relais.pids("broker")
        os.kill(old[0], signal.SIGKILL)
        wait_for(lambda: relais.pids("broker") and
                 relais.pids("broker") != old, 5, "a new broker")
        for _ in range(4):
            self.assertFalse(another())
        for c in clients[:2]:
            c.close()
        clients += [wait_for(another, 5, "a place") for _ in range(2)]
        self.assertFalse(another())


class Master(TestCase):
    def test_its_death_ends_all(self):
        """No worker goes on unsupervised."""
        relais = harness.Gateway(self, StandIn(self).port)
        c = self.connect(relais.plain)
        self.assertOK(c.login())
        before = relais.kill()
        self.assertGreaterEqual(len(before), 4)
        wait_for(lambda: not any(relais._is_ours(p) for p in before), 5,
                 "its children to end")

    def test_sigterm(self):
        relais = harness.Gateway(self, StandIn(self).port)
        inside = self.connect(relais.plain)
        self.assertOK(inside.login())
        before = self.connect(relais.ssl, True)
        shaking = self.raw(relais.ssl)
        began = time.monotonic()
        relais.stop()           # checks status and what is left
        self.assertLess(time.monotonic() - began, 5 * harness.SLOW)
        self.assertRegex(before.rest(), r"^\* BYE")
        inside.rest()
        shaking.rest()
        self.assertFalse(harness.accepts(relais.ssl))

    def test_sigint(self):
        relais = harness.Gateway(self, StandIn(self).port)
        os.kill(relais.pid, signal.SIGINT)
        wait_for(lambda: not children(relais.pid), 5, "its children to end")
        self.assertEqual(relais.process.wait(10), 0)
        relais.process = None

    def test_started_again_at_once(self):
        """The ports are free for the next start, clients or not."""
        relais = harness.Gateway(self, StandIn(self).port)
        c = self.connect(relais.plain)
        self.assertOK(c.login())
        relais.stop()
        relais.start()
        self.assertOK(self.connect(relais.ssl, True).login())


if __name__ == "__main__":
    main()
