# SPDX-License-Identifier: ISC
"""A worker that was taken over and the others: it cannot wear out those who
serve them, cannot reach them, and does not keep its place."""

import os
import platform
import signal
import socket
import struct
import threading
import time
import unittest

import harness
from case import StandInCase, main, not_sanitized, timed
from harness import wait_for
from hostile import (FD_KEEPER, SYS, Hostile, capability, held, many, message, release,
                     sign)
from inner import StandIn


class Captive(StandInCase):
    lines = ()
    workers = 2

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def setUp(self):
        super().setUp()
        self.relais = Hostile(self, self.inner.port, *self.lines,
                              workers=self.workers)
        self.bad = self.relais.captured[0]

    def assertServes(self):
        with self.connect(self.relais.ssl, True) as c:
            self.assertOK(c.login())

    def warm_up(self):
        """The inner servers' list is known, as it is a moment after the
        start."""
        self.assertServes()

    def slowest_login(self, seconds=3):
        """Of those for so long."""
        end, slowest = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            slowest = max(slowest, timed(self.assertServes)[1])
        return slowest

    def assertReplaced(self, timeout=10):
        wait_for(lambda: not self.bad.is_alive(), timeout, "its end")
        self.bad.close()
        wait_for(lambda: len(self.relais.pids("worker")) == self.workers, 10,
                 "a new worker")


@not_sanitized
class Flood(Captive):
    """Messages of a good form, as many as can be sent."""

    def flood(self, channel, octets, seconds=3):
        """Threads of the test send until they may no more."""
        stop = time.monotonic() + seconds
        count = [0]

        def run():
            channel.sock.settimeout(0.5)
            while time.monotonic() < stop and self.bad.is_alive():
                try:
                    for _ in range(20):
                        channel.send(octets)
                        count[0] += 1
                except OSError:
                    continue
        thread = threading.Thread(target=run)
        thread.start()
        slowest = self.slowest_login(seconds)
        thread.join()
        return count[0], slowest

    def check(self, channel, octets):
        self.warm_up()
        others = [self.relais.pids(r) for r in ("broker", "keeper")]
        _, slowest = self.flood(channel, octets)
        self.assertLess(slowest, 1.5 * harness.SLOW)
        self.assertEqual(
            others, [self.relais.pids(r) for r in ("broker", "keeper")])
        self.assertServes()

    def test_broker_releases(self):
        self.check(self.bad.broker, many(*[release(5)] * 400))

    def test_broker_single(self):
        self.check(self.bad.broker, release(5))

    def test_broker_held(self):
        self.check(self.bad.broker, many(*[held(range(100))] * 20))

    def test_broker_lists(self):
        self.check(self.bad.broker, many(
            *[capability(["IMAP4rev1", "A" * 3000])] * 3))

    def test_keeper(self):
        """Of signatures that are refused, and nobody reads that."""
        self.check(self.bad.keeper, sign(0x0403, b"x" * 32, content=False))

    def test_master(self):
        self.check(self.bad.master, message("LOG", b"\7" + bytes(4)))


@not_sanitized
class Alone(Captive):
    """What it can do without a word."""

    lines = ("worker_connections 64",)

    def test_spins(self):
        self.warm_up()
        self.bad.spin()
        self.assertLess(self.slowest_login(), 1 * harness.SLOW)

    def test_ends_at_once_time_and_again(self):
        """A process that does not last is replaced with a growing delay,
        and the others serve."""
        self.warm_up()
        pids, began = set(), time.monotonic()
        slowest = 0
        while time.monotonic() < began + 6:
            running = self.relais.pids("worker")
            if len(running) == 2:
                pids.add(running[0])
                os.kill(running[0], signal.SIGKILL)
            slowest = max(slowest, timed(self.assertServes)[1])
            time.sleep(0.01)
        self.assertGreater(len(pids), 3)
        self.assertLess(len(pids), 12)
        self.assertLess(slowest, 2 * harness.SLOW)

    def test_each_end_costs_a_ticket_key(self):
        """Exit status 0 is no good end of a worker."""
        for status in 0, 1:
            with self.subTest(status):
                mark = self.relais.mark()
                try:
                    self.bad.call(231, status)      # exit_group
                except EOFError:
                    pass
                self.relais.wait_log(
                    "worker 1 exited with %d" % status, mark)
                self.assertReplaced()
                if status == 0:
                    self.bad = self.relais.capture("worker", 0)

    def test_memory_of_the_machine(self):
        """It gets no more than a worker may have."""
        got = self.bad.hog(1 << 10)
        self.assertLess(got, 256 + 32 + 1)
        self.assertServes()


@not_sanitized
class Watchdog(Captive):
    def setUp(self):
        path = os.path.join(harness.folder(self), "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.bind(path)
        added = {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "4000000"}
        harness.ENVIRONMENT.update(added)
        self.addCleanup(lambda: [harness.ENVIRONMENT.pop(k) for k in added])
        super().setUp()

    def test_does_not_answer(self):
        """It hears nobody any more: its place is another's."""
        self.warm_up()
        self.relais.wait_log("worker 1 does not answer and is ended", 0, 15)
        self.assertReplaced()
        self.assertServes()

    def test_stopped(self):
        self.warm_up()
        os.kill(self.bad.pid, signal.SIGSTOP)
        self.relais.wait_log("worker 1 does not answer and is ended", 0, 15)
        self.assertReplaced()


@not_sanitized
@unittest.skipUnless(platform.machine() == "x86_64", "numbers of calls")
class Reach(Captive):
    """What it may ask of the kernel: the words of test_sandbox, said by a
    process in its place."""

    workers = 2
    INET = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(25),
                       socket.inet_aton("127.0.0.1"))

    def killed(self, name, *args):
        try:
            result = self.bad.call(SYS[name], *args)
        except EOFError:
            pass
        else:
            self.fail("%s: %r" % (name, result))
        wait_for(lambda: not self.bad.is_alive(), 5, "its end")
        self.relais.wait_log("worker 1 was killed by signal 31")

    def refused(self, name, *args):
        result, _ = self.bad.call(SYS[name], *args)
        self.assertLess(result, 0, name)

    def test_files(self):
        for path in b"/etc/passwd\0", b"/\0", b".\0", b"/proc/self/mem\0":
            self.refused("open", path, 0)
            self.refused("openat", -100, path, 0)
        self.refused("memfd_create", b"x\0", 0)
        self.refused("ftruncate", 3, 0)

    def test_new_file(self):
        self.killed("openat", -100, b"x\0", 0o102, 0o600)

    def test_no_file_more(self):
        self.killed("unlink", b"x\0")

    def test_another_worker_s_memory(self):
        other = self.relais.pids("worker")[1]
        vector = struct.pack("=QQ", 0, 8)
        self.killed("process_vm_readv", other, vector, 1, vector, 1, 0)

    def test_trace(self):
        self.killed("ptrace", 16, self.relais.pids("worker")[1], 0, 0)

    def test_pidfd(self):
        self.killed("pidfd_open", self.relais.pids("worker")[1], 0)

    def test_signals(self):
        self.killed("kill", self.relais.pids("worker")[1], 9)

    def test_socket(self):
        self.killed("socket", socket.AF_INET, socket.SOCK_STREAM, 0)

    def test_connect(self):
        """On a socket that it has."""
        self.killed("connect", 3, self.INET, 16)

    def test_fork(self):
        self.killed("fork")

    def test_execve(self):
        self.killed("execve", b"/bin/sh\0", 0, 0)

    def test_bind(self):
        self.killed("bind", 3, self.INET, 16)

    def test_the_listener_goes_on(self):
        """It is everybody's: nobody shuts it for the others."""
        for fd in self.bad.fds:
            for how in 0, 2:
                self.refused("shutdown", fd, how)
            self.bad.call(SYS["shutdown"], fd, 1) if fd > FD_KEEPER else None
        self.assertServes()
        self.assertServes()


if __name__ == "__main__":
    main()
