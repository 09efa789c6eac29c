# SPDX-License-Identifier: ISC
"""Faults of the machine: no descriptor, process or memory to be had, a disk
that is full, roles that stand still.  Each time those who are not concerned
are served, and all are when it is over, without anybody's help."""

import os
import signal
import socket
import subprocess
import tempfile
import threading
import time

import harness
from case import StandInCase, TestCase, main, needs_root, not_sanitized, timed
from client import Client
from faults import Cgroup, cpu_seconds, limit_files
from harness import SLOW, wait_for
from inner import Script, StandIn


class Machine(StandInCase):
    def setUp(self):
        super().setUp()
        wait_for(self.is_well, 15, "a login")

    def is_well(self, timeout=5):
        try:
            c = Client(self.relais.ssl, True, timeout=timeout)
        except OSError:
            return False
        with c:
            try:
                c.greet()
                return c.login().status == "OK"
            except (OSError, EOFError):
                return False

    def user(self):
        """A client that has logged in."""
        c = self.tls()
        self.assertOK(c.login())
        return c

    def recovers(self, within=15):
        """Logins succeed, in each worker: several in a row."""
        wait_for(lambda: all(self.is_well() for _ in range(6)), within,
                 "logins")


@needs_root
@not_sanitized
class Descriptors(Machine):
    lines = ("outgoing_timeout 4",)

    def starve(self, pid, limit):
        self.addCleanup(self.feed, pid)
        limit_files(pid, limit)

    @staticmethod
    def feed(pid):
        if harness.proc_status(pid):
            limit_files(pid)

    def test_workers(self):
        """Clients wait for one, nobody loses a session, and no worker goes
        round and round."""
        users = [self.user() for _ in range(6)]
        workers = self.relais.pids("worker")
        mark = self.relais.mark()
        for pid in workers:
            self.starve(pid, harness.descriptors(pid) and max(
                map(int, os.listdir("/proc/%d/fd" % pid))) + 1)
        waiting = []
        for _ in range(12):     # what is free below the limit, and more
            s = socket.create_connection(("127.0.0.1", self.relais.plain), 5)
            self.addCleanup(s.close)
            waiting.append(s)
        self.relais.wait_log("clients wait: none can be accepted: "
                             "Too many open files", mark)
        began = [cpu_seconds(pid) for pid in workers]
        time.sleep(2)
        used = sum(map(cpu_seconds, workers)) - sum(began)
        self.assertLess(used, 0.3)
        for c in users:
            self.assertOK(c.cmd("XONE"))
        for pid in workers:
            limit_files(pid)
        for s in waiting:
            s.settimeout(5 * SLOW)
            self.assertEqual(s.recv(4), b"* OK")
        self.recovers()
        self.assertEqual(self.relais.pids("worker"), workers)
        for c in users:
            self.assertOK(c.cmd("XTWO"))

    def test_inner_connections(self):
        """A worker that has none for the inner server's."""
        user = self.user()
        workers = self.relais.pids("worker")
        clients = [self.tls() for _ in range(4)]
        for pid in workers:
            self.starve(pid, 1)
        for c in clients:
            try:
                self.assertNO(c.login())
            except (OSError, EOFError):
                pass            # the worker lost its broker's word
        for pid in workers:
            limit_files(pid)
        self.recovers()
        self.assertEqual(self.relais.pids("worker"), workers)
        self.assertOK(user.cmd("XONE"))

    def test_broker(self):
        user, c = self.user(), self.tls()
        broker, = self.relais.pids("broker")
        workers = self.relais.pids("worker")
        self.starve(broker, 1)
        late = self.raw(self.relais.plain)
        self.assertRegex(late.rest(), r"\* BYE too many connections\r\n$")
        reply, seconds = timed(c.login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, 35 * SLOW)
        self.assertOK(user.cmd("XONE"))
        limit_files(broker)
        self.recovers()
        self.assertOK(user.cmd("XONE"))
        self.assertEqual(self.relais.pids("worker"), workers)

    def test_master(self):
        """A worker that dies meanwhile is replaced afterwards."""
        master = self.relais.pid
        mark = self.relais.mark()
        self.starve(master, 1)
        os.kill(self.relais.pids("worker")[0], signal.SIGKILL)
        self.relais.wait_log("cannot start a worker: it is tried again: "
                             "Too many open files", mark)
        # the other one serves
        wait_for(self.is_well, 5, "a login")
        limit_files(master)
        wait_for(lambda: len(self.relais.pids("worker")) == 2, 40,
                 "two workers")
        self.recovers()


@needs_root
@not_sanitized
class Processes(Machine):
    def test_none_to_be_had(self):
        """A worker that dies is replaced when there is one."""
        group = Cgroup(self, "pids")
        mark = self.relais.mark()
        group.take(self.relais.pid)
        group.limit(1)
        user = [self.user() for _ in range(8)]
        victim = self.relais.pids("worker")[0]
        os.kill(victim, signal.SIGKILL)
        self.relais.wait_log("cannot start a worker: it is tried again: "
                             "Resource temporarily unavailable", mark)
        wait_for(self.is_well, 5, "a login")
        mark = self.relais.mark()
        self.relais.process.send_signal(signal.SIGHUP)
        self.relais.wait_log("(?i)reload.*(fail|cannot|not)", mark, 10)
        alive = 0
        for c in user:
            try:
                alive += c.cmd("XONE").status == "OK"
            except (OSError, EOFError):
                pass
        self.assertGreater(alive, 0)
        group.limit("max")
        wait_for(lambda: len(self.relais.pids("worker")) == 2, 40,
                 "two workers")
        self.recovers()


@needs_root
@not_sanitized
class Memory(Machine):
    """A worker that asks for more than there is, is ended by the kernel."""

    def test_of_a_worker(self):
        class Pours(Script):
            def session(self, peer):
                peer.send(b"x" * (4 << 20))
                peer.stall()

        group = Cgroup(self, "memory")
        users = [self.user() for _ in range(8)]
        victim = self.relais.pids("worker")[0]
        mark = self.relais.mark()
        group.take(victim)
        group.limit(512 << 10)  # of what is new
        self.inner.script = Pours()
        clients = []
        for _ in range(100):    # each has some waiting
            try:
                c = self.raw(self.relais.plain)
                c.send("a LOGIN alice secret\r\n")
                clients.append(c)
            except OSError:
                pass
        wait_for(lambda: victim not in self.relais.pids("worker"), 15,
                 "the kernel's end of it")
        self.relais.wait_log("worker 1 was killed by signal 9", mark)
        for c in clients:
            c.close()
        self.inner.script = self.script
        self.recovers()
        alive = 0
        for c in users:
            try:
                alive += c.cmd("XONE").status == "OK"
            except (OSError, EOFError):
                pass
        self.assertGreater(alive, 0)    # the other worker's
        self.assertLess(alive, len(users))


@needs_root
class Disk(TestCase):
    def test_full_under_the_log(self):
        """Clients do not notice; afterwards it is told what is missing."""
        place = tempfile.mkdtemp(prefix="relais-disk-")
        self.addCleanup(os.rmdir, place)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=755",
                        "relais-test", place], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", place], check=True)
        inner = StandIn(self)
        log = os.path.join(place, "log")
        relais = harness.Gateway(self, inner.port, args=(
            "--log_facility", log))
        filler = os.path.join(place, "filler")
        try:
            with open(filler, "wb", 0) as f:
                while True:
                    f.write(bytes(4096))
        except OSError:
            pass

        def login():
            with self.connect(relais.ssl, True) as c:
                return c.login()

        for _ in range(60):     # some lines fit into the last page
            reply, seconds = timed(login)
            self.assertOK(reply)
            self.assertLess(seconds, 1 * SLOW)
        os.unlink(filler)
        relais.log_file = log
        m = relais.wait_log(r"(\d+) log lines were lost", timeout=10)
        self.assertGreater(int(m.group(1)), 50)
        mark = relais.mark()
        self.assertOK(login())
        relais.wait_log('Auth: .*status="ok"$', mark)


class Stopped(Machine):
    lines = ("outgoing_timeout 3",)

    def stop(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(self.go_on, pid)

    @staticmethod
    def go_on(pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_broker(self):
        """Who is logged in goes on, who logs in is told so in time."""
        user, c = self.user(), self.tls()
        broker, = self.relais.pids("broker")
        self.stop(broker)
        self.assertOK(user.cmd("XONE"))
        late = self.raw(self.relais.plain)
        reply, seconds = timed(c.login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, 6 * SLOW)
        text, seconds = timed(late.rest)
        self.assertEqual(text, "* BYE not admitted in time\r\n")
        self.assertLess(seconds, 12 * SLOW)
        self.go_on(broker)
        self.recovers()
        self.assertOK(user.cmd("XONE"))

    def test_full_queues(self):
        """So many clients come meanwhile that nothing more goes into the
        channels.  At worst a worker and the broker lose each other."""
        broker, = self.relais.pids("broker")
        user = self.user()
        self.stop(broker)
        for n in range(1500):
            s = socket.create_connection(
                ("127.0.0.1", self.relais.plain), 10,
                source_address=("127.0.5.%d" % (n % 200 + 1), 0))
            s.close()
        self.assertOK(user.cmd("XONE"))
        self.go_on(broker)
        self.recovers(30)
        self.assertOK(user.cmd("XONE"))

    def test_keeper(self):
        """Handshakes wait for signatures; those that are there go on."""
        user = self.user()
        for pid in self.relais.pids("keeper"):
            self.stop(pid)
        began = time.monotonic()
        failed = []

        def shake():
            try:
                with Client(self.relais.ssl, True):
                    pass
            except OSError as e:
                failed.append(e)

        thread = threading.Thread(target=shake)
        thread.start()
        thread.join()
        self.assertEqual(len(failed), 1)
        self.assertLess(time.monotonic() - began, 9 * SLOW)
        self.assertOK(user.cmd("XONE"))
        for pid in self.relais.pids("keeper"):
            self.go_on(pid)
        self.recovers()

    def test_worker(self):
        """The other one takes those that come; nobody is sent away."""
        users = [self.user() for _ in range(6)]
        worker = self.relais.pids("worker")[0]
        self.stop(worker)
        for _ in range(10):
            self.assertTrue(self.is_well())
        self.go_on(worker)
        for c in users:
            self.assertOK(c.cmd("XONE"))
        self.recovers()


if __name__ == "__main__":
    main()
