# SPDX-License-Identifier: ISC
"""worker_connections 1: a process of its own for each client, made ahead of
need and gone with the client."""

import contextlib
import os
import re
import resource
import signal
import ssl

import harness
from case import StandInCase, TestCase, main, needs_root
from client import Client, tls_context
from harness import children, descriptors, wait_for
from inner import StandIn
from reloading import all_old_gone, reload

SPARES = 3
STORM = 200
NURSERIES = 2           # they change during the storm


class Single(StandInCase):
    lines = ("worker_connections 1",)

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.relais = harness.Gateway(cls, cls.inner.port, *cls.lines,
                                     workers=SPARES)

    def setUp(self):
        super().setUp()
        self.settle()
        self.mark = self.relais.mark()

    def workers(self):
        return set(self.relais.pids("worker"))

    def settle(self):
        """Nobody is served: just the spares are there."""
        wait_for(lambda: len(self.workers()) == SPARES, 10,
                 "the spares and no more")

    def spares(self):
        """Those that have served nobody: who leaves is a worker, too."""
        used = re.findall(r"\[(\d+)\]: Connect:",
                          "\n".join(self.relais.log()))
        return self.workers() - {int(pid) for pid in used}

    def worker_of(self, client):
        """The process that serves a client: it logged the connection."""
        m = self.relais.wait_log(
            r"\[(\d+)\]: Connect:  127\.0\.0\.1:%d->"
            % client.sock.getsockname()[1])
        return int(m.group(1))

    def logged_in(self, **kw):
        c = self.connect(self.relais.ssl, True, **kw)
        self.assertOK(c.login())
        return c

    def assertNoComplaint(self):
        """No worker ended in another way than it should."""
        odd = [l for l in self.relais.log(self.mark)
               if re.search(r"exited|killed by|sent a", l)]
        self.assertEqual(odd, [])


class Clients(Single):
    def test_a_worker_for_each(self):
        clients = [self.logged_in() for _ in range(4)]
        serving = [self.worker_of(c) for c in clients]
        self.assertEqual(len(set(serving)), 4)
        self.assertLessEqual(set(serving), self.workers())
        wait_for(lambda: len(self.workers()) == 4 + SPARES, 5, "new spares")
        for c in clients:
            self.assertOK(c.cmd("XONE"))

    def test_it_goes_with_its_client(self):
        """Whatever the end was like."""
        def leave(c):
            c.close()

        def logout(c):
            self.assertOK(c.cmd("LOGOUT"))
            c.rest()

        def server_ends(_):
            self.inner.stop()
            self.inner.start()

        gone = set()
        for login in (False, True):
            for how in (leave, logout, server_ends):
                if how is server_ends and not login:
                    continue
                with self.subTest(how.__name__, login=login):
                    c = self.connect(self.relais.ssl, True)
                    pid = self.worker_of(c)
                    self.assertNotIn(pid, gone, "it served before")
                    self.assertIn(pid, self.workers())
                    if login:
                        self.assertOK(c.login())
                    how(c)
                    wait_for(lambda: pid not in self.workers(), 5,
                             "the worker to go")
                    gone.add(pid)
                    self.settle()
        self.assertNoComplaint()

    def test_silent_ones_leave_no_worker(self):
        """A connection that says nothing takes a process, but no longer than
        it lasts."""
        for _ in range(SPARES + 2):
            c = Client(self.relais.ssl)
            pid = self.worker_of(c)
            c.close()
            wait_for(lambda: pid not in self.workers(), 5,
                     "the worker to go")
        self.settle()
        self.assertNoComplaint()

    def test_30_at_a_time(self):
        clients = [self.raw(self.relais.ssl) for _ in range(30)]
        for c in clients:       # all there before the first is served
            c.start_tls()
            c.greet()
            self.assertOK(c.login())
        serving = {self.worker_of(c) for c in clients}
        self.assertEqual(len(serving), 30)
        for n, c in enumerate(clients):
            self.assertEqual(c.cmd("X%d" % n).untagged, ["* HEARD X%d" % n])
        for c in clients:
            c.close()
        self.settle()
        self.assertFalse(serving & self.workers())
        self.assertNoComplaint()

    def test_resumption(self):
        """The ticket of one process is good for all that come after it, TLS
        1.2 and 1.3."""
        for version in ("TLSv1_2", "TLSv1_3"):
            with self.subTest(version):
                context = tls_context(
                    version=getattr(ssl.TLSVersion, version))
                first = self.logged_in(context=context)
                session, pid = first.sock.session, self.worker_of(first)
                first.close()
                wait_for(lambda: pid not in self.workers(), 5, "its end")
                for _ in range(SPARES + 1):
                    c = self.logged_in(context=context, session=session)
                    self.assertTrue(c.sock.session_reused)
                    self.assertNotEqual(self.worker_of(c), pid)
                    c.close()


class Burst(Single):
    def test_spares_are_there_before_the_clients(self):
        """As many clients as there are spares wait for no process to be made:
        the master, which makes them, is stopped meanwhile.  The one behind
        them does wait."""
        wait_for(lambda: len(self.spares()) == SPARES, 10, "the spares")
        spares = self.spares()
        os.kill(self.relais.pid, signal.SIGSTOP)
        try:
            clients = [self.logged_in() for _ in range(SPARES)]
            late = self.raw(self.relais.plain)
            late.sock.settimeout(0.5)
            with self.assertRaises(TimeoutError):
                late.sock.recv(1)
        finally:
            os.kill(self.relais.pid, signal.SIGCONT)
        late.sock.settimeout(20 * harness.SLOW)
        late.greet()
        self.assertOK(late.login())
        self.assertEqual({self.worker_of(c) for c in clients}, spares)
        self.assertNotIn(self.worker_of(late), spares)


class Deaths(Single):
    def test_a_killed_worker_takes_one_session(self):
        clients = [self.logged_in() for _ in range(5)]
        victim = self.worker_of(clients[2])
        os.kill(victim, signal.SIGKILL)
        clients[2].rest()
        for c in clients[:2] + clients[3:]:
            self.assertOK(c.cmd("XONE"))
        self.relais.wait_log(r"worker \d+ was killed by signal 9", self.mark)
        self.logged_in()
        for c in clients:
            c.close()

    def test_killed_spares_are_replaced(self):
        for pid in self.workers():
            # the master may be quicker: the first takes its kin along
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.logged_in()


@needs_root             # others do not see what descriptors there are
class Storm(Single):
    def held(self):
        """How many descriptors each role holds, all its processes together:
        which keeper serves which spare changes."""
        return {role: sum(map(descriptors, self.relais.pids(role)))
                for role in ("master", "broker", "keeper")}

    def test_200_in_a_row(self):
        """Nothing is left of them in those who stay."""
        self.settle()       # a worker on its way in has no title yet
        stay = {pid for pid, (role, _) in
                self.relais.processes().items()
                if role not in ("worker", "nursery")}
        for _ in range(5):      # what is allocated once, is by now
            self.logged_in().close()
        self.settle()
        before = self.held()
        for n in range(STORM):
            c = self.logged_in() if n % 4 == 0 else \
                self.connect(self.relais.plain)
            c.close()
        self.settle()
        # a spare may be on its way in at either time
        wait_for(lambda: all(n <= before[role] + SPARES
                             for role, n in self.held().items()),
                 5, "descriptors to be closed; before: %s" % before)
        self.assertLessEqual(stay, set(self.relais.processes()))
        self.assertEqual(len(children(self.relais.pid)),
                         len(stay) - 1 + SPARES + NURSERIES)
        self.assertNoComplaint()


class Limit(TestCase):
    def test_above_connection_limit(self):
        """Told so where it can be, and let in when there is a place."""
        relais = harness.Gateway(self, StandIn(self).port,
                                 "worker_connections 1",
                                 "connection_limit 4", workers=2)

        def let_in():
            c = Client(relais.plain)
            self.addCleanup(c.close)
            return c.greet().startswith("* OK") and c

        # the places that looking whether it serves took are free by then
        clients = [wait_for(let_in, 5, "a place") for _ in range(4)]
        for c in clients:       # or they would give way
            self.assertOK(c.login())
        for _ in range(5):
            c = self.connect(relais.plain)
            self.assertRegex(c.greeting, r"^\* BYE ")
            self.assertEqual(c.rest(), "")
        clients[1].close()
        self.assertOK(wait_for(let_in, 5, "the place").login())
        self.assertRegex(self.connect(relais.plain).greeting, r"^\* BYE ")


class Stop(TestCase):
    def test_nothing_is_left(self):
        """Those who wait, those who serve, and those that were just made."""
        relais = harness.Gateway(self, StandIn(self).port,
                                 "worker_connections 1", workers=SPARES)
        inside = self.connect(relais.ssl, True)
        self.assertOK(inside.login())
        before = self.connect(relais.ssl, True)
        shaking = self.raw(relais.ssl)
        ours = set(relais.processes())
        self.assertGreaterEqual(len(ours), 3 + SPARES)
        mark = relais.mark()
        relais.stop()           # checks status and what is left
        self.assertRegex(before.rest(), r"^\* BYE")
        inside.rest()
        shaking.rest()
        self.assertEqual([p for p in ours if relais._is_ours(p)], [])
        self.assertFalse([l for l in relais.log(mark)
                          if re.search("exited|killed", l)])


class Descriptors(StandInCase):
    """The master has one for each process: it must not run out of them."""

    def limited(self, soft, hard):
        class Limited(harness.Gateway):
            def argv(self, *more):
                return ["/bin/sh", "-c",
                        'ulimit -Sn %d; ulimit -Hn %d; exec "$@"' % (
                            soft, hard), "sh", *super().argv(*more)]

        return Limited(self, self.inner.port, "worker_connections 1")

    def test_soft_limit(self):
        """It is what the hard one allows."""
        relais = self.limited(
            64, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        clients = [self.connect(relais.plain) for _ in range(60)]
        for c in clients[0], clients[-1]:
            self.assertOK(c.login())

    def test_hard_limit(self):
        """Who is one too many is told; reloads are possible."""
        relais = self.limited(190, 190)
        limit = int(relais.wait_log(
            r"connection_limit is (\d+): the limit of open files").group(1))
        self.settled(relais)
        clients = [self.connect(relais.plain) for _ in range(limit)]
        for c in clients:
            self.assertOK(c.login())
        self.assertRegex(self.raw(relais.plain).rest(), r"^\* BYE too many")
        reload(relais)
        self.assertRegex(self.raw(relais.plain).rest(), r"^\* BYE too many")
        for c in clients:
            c.close()
        all_old_gone(relais)    # their places, too
        self.settled(relais)
        self.assertOK(self.connect(relais.plain).login())
        self.assertEqual([l for l in relais.log() if "is reached" in l], [])

    @staticmethod
    def settled(relais):
        wait_for(lambda: len(relais.pids("worker")) == relais.workers, 10,
                 "the spares and no more")


if __name__ == "__main__":
    main()
