# SPDX-License-Identifier: ISC
"""A worker that was taken over, and whose connections it serves: it cannot
lie about them, keep what they count, nor go where it likes."""

import contextlib
import os
import signal
import socket
import struct
import time

import harness
from case import StandInCase, main, not_sanitized, timed
from harness import wait_for
from hostile import (VERDICT, Hostile, admit, connect, many, message,
                     outcome, release)
from inner import Script, StandIn

HERE, VICTIM = "127.0.0.1", "127.0.0.9"


class Captive(StandInCase):
    """One of two workers is hostile, anew for each test."""

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def setUp(self):
        super().setUp()
        self.relais = Hostile(self, self.inner.port, *self.lines)
        self.bad = self.relais.captured[0]
        self.good = self.relais.pids("worker")[1]
        self.doors = self.bad.listeners()
        for door in self.doors:
            self.addCleanup(door.close)

    def client(self, source=HERE):
        """A client that the hostile worker has accepted: both ends."""
        os.kill(self.good, signal.SIGSTOP)
        try:
            ours = socket.create_connection((HERE, self.relais.plain), 5,
                                            (source, 0))
            self.addCleanup(ours.close)
            door = next(d for d in self.doors
                        if d.getsockname()[1] == self.relais.plain)
            theirs = wait_for(lambda: self.try_accept(door), 5, "the client")
        finally:
            os.kill(self.good, signal.SIGCONT)
        self.addCleanup(theirs.close)
        return ours, theirs

    @staticmethod
    def try_accept(door):
        try:
            return door.accept()[0]
        except BlockingIOError:
            return None

    def admit(self, session, fd, waits=True):
        """The verdict."""
        self.bad.broker.send(admit(session, waits), fd)
        _, fields, _ = self.bad.broker.await_type("ADMIT_REPLY")
        number, verdict = struct.unpack(">IB", fields[:5])
        self.assertEqual(number, session)
        return verdict

    def admitted(self, session=1, source=HERE):
        _, theirs = self.client(source)
        self.assertEqual(self.admit(session, theirs.fileno()),
                         VERDICT["ADMIT_OK"])
        return theirs

    def server(self, session):
        """The inner server's descriptor; None: there is none for it."""
        self.bad.broker.send(connect(session))
        _, fields, fds = self.bad.broker.await_type("CONNECT_REPLY")
        self.assertEqual(len(fds), fields[4])
        return fds[0] if fds else None

    def assertReplaced(self):
        wait_for(lambda: not self.bad.is_alive(), 10, "its end")
        self.bad.close()
        wait_for(lambda: len(self.relais.pids("worker")) == 2, 10,
                 "a new worker")

    def assertServes(self, source=HERE):
        with self.connect(self.relais.ssl, True, source=source) as c:
            self.assertOK(c.login())


@not_sanitized
class Address(Captive):
    lines = ("connection_limit_address 4", "worker_connections 16")

    def test_as_the_kernel_says(self):
        _, theirs = self.client(VICTIM)
        self.bad.broker.send(admit(2, client=("192.0.2.1", 4)),
                             theirs.fileno())
        self.assertReplaced()

    def test_one_client_counts_once(self):
        """Else whoever was here once could be kept out for good."""
        theirs = self.admitted(1, VICTIM)
        self.bad.broker.send(admit(2), theirs.fileno())
        self.assertReplaced()
        for _ in range(3):
            self.assertServes(VICTIM)

    def test_a_copy_is_the_same_client(self):
        theirs = self.admitted(1, VICTIM)
        with theirs.dup() as copy:
            self.bad.broker.send(admit(2), copy.fileno())
        self.assertReplaced()

    def test_limits_hold(self):
        """Of its clients, too, and they are not evaded by saying nothing."""
        for i in range(4):
            self.admitted(i, VICTIM)
        _, theirs = self.client(VICTIM)
        self.assertEqual(self.admit(9, theirs.fileno()),
                         VERDICT["ADMIT_TOO_MANY_ADDRESS"])
        self.bad.broker.send(connect(9))
        self.bad.broker.send(connect(10))
        self.bad.broker.send(connect(1))
        _, fields, fds = self.bad.broker.await_type("CONNECT_REPLY")
        self.assertEqual(struct.unpack(">I", fields[:4])[0], 1)
        for fd in fds:
            os.close(fd)

    def test_no_more_than_its_share(self):
        for i in range(16):
            self.admitted(i, "127.0.1.%d" % (i // 3 + 1))
        _, theirs = self.client("127.0.1.99")
        self.bad.broker.send(admit(99), theirs.fileno())
        self.assertReplaced()
        self.assertServes()

    def test_what_it_held_is_free_again(self):
        for i in range(4):
            self.admitted(i, VICTIM)
        self.bad.broker.send(message(9999))
        self.assertReplaced()
        self.assertServes(VICTIM)

    def check_no_client(self, fd):
        self.bad.broker.send(admit(1), fd)
        self.assertReplaced()
        self.assertServes()

    def test_a_pipe(self):
        fds = os.pipe()
        self.addCleanup(os.close, fds[0])
        self.addCleanup(os.close, fds[1])
        self.check_no_client(fds[0])

    def test_a_file_by_its_path_alone(self):
        fd = os.open("/etc/passwd", os.O_PATH)
        self.addCleanup(os.close, fd)
        self.check_no_client(fd)

    def test_memory(self):
        fd = os.memfd_create("x")
        self.addCleanup(os.close, fd)
        self.check_no_client(fd)

    def test_a_socket_of_the_host(self):
        a, b = socket.socketpair()
        with a, b:
            self.check_no_client(a.fileno())

    def test_its_own_channel(self):
        self.check_no_client(self.bad.broker.sock.fileno())

    def test_datagrams(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.connect((VICTIM, 9))
            self.check_no_client(s.fileno())

    def test_a_listener(self):
        """It is nobody, and nobody is counted."""
        self.assertEqual(self.admit(1, self.doors[0].fileno()),
                         VERDICT["ADMIT_GONE"])
        self.bad.broker.send(connect(1))
        self.admitted(2)
        # but for what a worker learns of it
        self.assertEqual([l for l in self.inner.lines if not l.endswith(
            (b"CAPABILITY", b"LOGOUT"))], [])

    def test_an_inner_server(self):
        self.admitted(1)
        fd = self.server(1)
        self.addCleanup(os.close, fd)
        self.check_no_client(fd)


@not_sanitized
class Connect(Captive):
    lines = ("worker_connections 64",)

    def test_to_the_inner_servers_only(self):
        """What it may name is which of them not."""
        self.admitted(1)
        fd = self.server(1)
        with socket.socket(fileno=fd) as s:
            self.assertEqual(s.getpeername(), (HERE, self.inner.port))
        self.bad.broker.send(connect(1, tried=(1 << 64) - 1))
        _, fields, fds = self.bad.broker.await_type("CONNECT_REPLY")
        self.assertEqual((fields[4], fds), (0, []))

    def test_two_at_a_time(self):
        """One of a session is under way; it may not wait for another one."""
        self.admitted(1)
        self.bad.broker.send(many(connect(1), connect(1)))
        self.assertReplaced()

    def test_without_end(self):
        """As many as it likes: a session gets a few in a second, and others
        log in meanwhile."""
        self.assertServes()     # which knows the inner servers' list now
        self.admitted(1)
        began = time.monotonic()
        slowest = got = 0
        while time.monotonic() < began + 3:
            for _ in range(64):     # ... more than that, and it waits
                fd = self.server(1)
                if fd is not None:
                    got += 1
                    os.close(fd)
            slowest = max(slowest, timed(self.assertServes)[1])
        seconds = time.monotonic() - began + 1
        self.assertLessEqual(got, 65 * seconds + 65)
        self.assertLess(slowest, 1 * harness.SLOW)

    def test_never_taken(self):
        """Answers that are not read hold a few hundred descriptors, and no
        more; then its place is another's."""
        broker = self.relais.pids("broker")[0]
        for i in range(60):
            self.admitted(i, "127.0.2.%d" % (i + 1))
        most = 0
        end = time.monotonic() + 20
        while self.bad.is_alive() and time.monotonic() < end:
            try:
                for i in range(60):
                    self.bad.broker.send(connect(i))
            except OSError:
                break
            most = max(most, harness.descriptors(broker))
            time.sleep(0.05)
        self.assertReplaced()
        self.assertGreater(most, 100)
        self.assertLess(most, 500)
        wait_for(lambda: harness.descriptors(broker) < 60, 10,
                 "the broker to close them")
        self.assertServes()


@not_sanitized
class Outcome(Captive):
    """What it says of logins."""

    lines = ("worker_connections 16",)
    script = Script(users={"alice": "secret"})

    def delay(self, source):
        """Seconds that a refusal takes for this address."""
        c = self.connect(self.relais.ssl, True, source=source)
        reply, seconds = timed(c.login, "alice", "wrong")
        self.assertNO(reply)
        return seconds

    def test_of_others_sessions(self):
        for session in (0, 1, 2, 77):
            if not self.bad.is_alive():
                break
            with contextlib.suppress(OSError):  # it was noticed
                self.bad.broker.send(outcome(session, "OUTCOME_REFUSED"))
        self.assertReplaced()

    def test_more_than_there_were(self):
        """One for each connection to a server, or it counts for nothing."""
        self.admitted(1, VICTIM)
        for _ in range(50):
            self.bad.broker.send(outcome(1, "OUTCOME_REFUSED"))
        self.bad.broker.send(release(1))
        self.assertLess(self.delay(VICTIM), 2.4)

    def test_a_server_is_not_given_up(self):
        """By the word of one who has not asked for it."""
        self.admitted(1)
        mark = self.relais.mark()
        for _ in range(50):
            self.bad.broker.send(outcome(1, "OUTCOME_SERVER"))
        self.assertServes()
        self.assertFalse([l for l in self.relais.log(mark)
                          if "does not serve" in l])


if __name__ == "__main__":
    main()
