# SPDX-License-Identifier: ISC
"""A process that was taken over speaks to the others as it likes.

The test takes a channel out of a live process (pidfd_getfd(2)) and sends on
it what no process of ours would: the process behind the channel is replaced,
and nobody else suffers.  The messages' form is told in common/msg.h."""

import ctypes
import os
import re
import socket
import struct
import time
import unittest

import harness
from case import StandInCase, main, needs_root
from client import Client
from harness import wait_for
from inner import StandIn

# enum msg_type, in its order
(READY, LOG, EVENT, ACCUSE, BUSY, STOP, PEER, TICKET_KEY, ADMIT, ADMIT_REPLY,
 RELEASE, HELD, CONNECT, CONNECT_REPLY, OUTCOME, LEARN, CAPABILITY,
 CAPABILITY_SET, SIGN, SIGN_REPLY, AUTH, AUTH_REPLY, SUBMIT, SUBMIT_REPLY,
 POOL, SASL_MECHS, EXCHANGE, STEP, BROKEN, SASL_START, SASL_STEP, SASL_CHECK,
 SASL_CANCEL, SASL_REPLY, RECORD, ALIVE, ALIVE_REPLY,
 MANY, DRAIN, SETTLED, BIRTH, BORN, LOGGED_IN, STATS) = range(1, 45)
MAX = 13312                     # octets of a message

# A worker's descriptors (common/role.h, common/worker.c); that to the master
# is every role's.
MASTER, BROKER, KEEPER = 3, 6, 7

MALFORMED, FORBIDDEN = "a malformed message", "a forbidden message"


def u8(*n):
    return bytes(n)


def u16(n):
    return struct.pack(">H", n)


def u32(n):
    return struct.pack(">I", n)


def text(octets):
    return u32(len(octets)) + octets


def message(kind, *fields):
    return u16(kind) + u32(0) + b"".join(fields)


WORKER, AUTHENTICATOR = 3, 4     # enum role


def accuse(number, serial, role=WORKER):
    return message(ACCUSE, u8(role), u16(number), u32(serial))


def admit(session, client=u8(0)):
    """client: who a proxy said it is; else nobody did."""
    return message(ADMIT, u32(session), u8(1), client)


def sign(key=0, scheme=0x0403, content=0, data=32 * b"d"):
    return message(SIGN, u16(key), u16(scheme), u8(content), text(data))


# what it is, the octets, how many descriptors ride along, what is logged
ANYWHERE = (
    ("empty", b"", 0, MALFORMED),
    ("empty with a descriptor", b"", 1, MALFORMED),
    ("half a header", message(RELEASE)[:5], 0, MALFORMED),
    ("longer than any", message(LOG) + bytes(MAX), 0, MALFORMED),
    ("unknown type", message(STATS + 1), 0, FORBIDDEN),
    ("type 0", message(0), 0, FORBIDDEN),
    ("the master's word", message(STOP), 0, FORBIDDEN),
    ("the master's question", message(ALIVE), 0, FORBIDDEN),
    ("a page to read", message(STATS, u8(3, 0)), 0, FORBIDDEN),
)

TO_MASTER = ANYWHERE + (
    ("cut", message(LOG, u8(6), text(b"line"))[:-1], 0, MALFORMED),
    ("left over", message(LOG, u8(6), text(b"line"), b"\0"), 0, MALFORMED),
    ("bad length", message(LOG, u8(6), u32(0xffffffff)), 0, MALFORMED),
    ("no such priority", message(LOG, u8(8), text(b"line")), 0, MALFORMED),
    ("no such event", message(EVENT, u8(4), bytes(64)), 0, MALFORMED),
    ("of another protocol", message(RECORD, bytes(5)), 0, MALFORMED),
    ("ready a second time", message(READY, u32(0)), 0, MALFORMED),
    ("busy with something", message(BUSY, u8(1)), 0, MALFORMED),
    ("not asked", message(ALIVE_REPLY), 0, MALFORMED),
    ("a descriptor", message(LOG, u8(6), text(b"line")), 1, FORBIDDEN),
    ("descriptors", message(LOG, u8(6), text(b"line")), 3, MALFORMED),
    ("an accusation", accuse(0, 1), 0, FORBIDDEN),
    ("for the broker", message(RELEASE, u32(1)), 0, FORBIDDEN),
    ("a bigger pool", message(POOL, u16(1)), 0, FORBIDDEN),
)

TO_BROKER = ANYWHERE + (
    ("cut", message(RELEASE, u32(1))[:-1], 0, MALFORMED),
    ("left over", message(RELEASE, u32(1), b"\0"), 0, MALFORMED),
    ("bad length", message(HELD, u8(1), u16(2), text(4 * b"\0")), 0,
     MALFORMED),
    ("no such outcome", message(OUTCOME, u32(0), u16(0), u8(3)), 0,
     MALFORMED),
    ("no such server", message(CAPABILITY, u16(9), u8(1), text(b"IDLE\n")),
     0, MALFORMED),
    ("no such session", message(OUTCOME, u32(0xfffffff0), u16(0xffff), u8(0)),
     0, MALFORMED),
    ("one of many", message(MANY, text(message(RELEASE, u32(1))),
                            text(message(RELEASE, b"\0"))), 0, MALFORMED),
    ("many in many", message(MANY, text(message(MANY, text(b"")))), 0,
     FORBIDDEN),
    ("a descriptor", message(RELEASE, u32(1)), 1, FORBIDDEN),
    ("no descriptor", message(ADMIT, u32(0xfffffff0)), 0, FORBIDDEN),
    ("two descriptors", message(ADMIT, u32(0xfffffff0)), 2, MALFORMED),
    ("for the keeper", sign(), 0, FORBIDDEN),
    ("nobody authenticates here", message(AUTH, u32(1)), 0, MALFORMED),
    ("an authenticator's word", message(STEP, u32(1), u8(3)), 0, FORBIDDEN),
    ("mechanisms", message(SASL_MECHS, text(b"PLAIN")), 0, FORBIDDEN),
    ("a password", message(SASL_CHECK, u8(0), u16(0), text(b"a"),
                           text(b"b")), 0, FORBIDDEN),
    ("an accusation", accuse(0, 1), 0, FORBIDDEN),
)

TO_KEEPER = ANYWHERE + (
    ("cut", sign()[:-1], 0, MALFORMED),
    ("left over", sign() + b"\0", 0, MALFORMED),
    ("bad length", message(SIGN, u16(0), u16(0x0403), u8(0), u32(1 << 31)),
     0, MALFORMED),
    ("no such key", sign(key=1), 0, MALFORMED),
    ("neither content nor digest", sign(content=2), 0, MALFORMED),
    ("a digest that is none", sign(data=33 * b"d"), 0, MALFORMED),
    ("a content that is none", sign(content=1, data=130 * b"d"), 0,
     MALFORMED),
    ("a descriptor", sign(), 1, FORBIDDEN),
    ("descriptors", sign(), 200, MALFORMED),
    ("for the broker", message(RELEASE, u32(1)), 0, FORBIDDEN),
    ("an answer", message(SIGN_REPLY, u8(1), text(b"sig")), 0, FORBIDDEN),
)


PIDFD_GETFD = 438
_libc = ctypes.CDLL(None, use_errno=True)


def take(pid, fd):
    """A copy of a process's descriptor, as a socket.  Its O_NONBLOCK is that
    process's too, so leave timeouts alone."""
    pidfd = os.pidfd_open(pid)
    try:
        copy = _libc.syscall(PIDFD_GETFD, pidfd, fd, 0)
        if copy == -1:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
    finally:
        os.close(pidfd)
    return socket.socket(fileno=copy)


def say(pid, fd, octets, descriptors=0):
    """Send on a channel as the process that it belongs to."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
               struct.pack("%di" % descriptors, *[0] * descriptors))]
    with take(pid, fd) as channel:
        channel.sendmsg([octets], rights if descriptors else [])


def channels_of(pid):
    """The channels of a process but that to the master."""
    found = []
    for fd in map(int, os.listdir("/proc/%d/fd" % pid)):
        try:
            with take(pid, fd) as s:
                if (fd != MASTER and s.family == socket.AF_UNIX and
                        s.type & 0xf == socket.SOCK_SEQPACKET):
                    found.append(fd)
        except OSError:
            pass                # no socket, or closed meanwhile
    return found


def alive(client):
    """Does this logged-in session still work?"""
    try:
        return client.cmd("XALIVE").status == "OK"
    except (EOFError, OSError):
        return False


@needs_root
class Rules(StandInCase):
    """A daemon for each class: one that dies often waits for its next life."""

    workers = 4

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.relais = harness.Gateway(cls, cls.inner.port, *cls.lines,
                                     workers=cls.workers)
        try:
            take(cls.relais.pids("worker")[0], MASTER).close()
        except (AttributeError, OSError) as e:
            raise unittest.SkipTest("pidfd_getfd: %s" % e)
        cls.sessions = {}       # by the worker that serves it
        cls.addClassCleanup(cls.close_sessions)

    @classmethod
    def close_sessions(cls):
        for c in cls.sessions.values():
            c.close()

    def holder(self, client):
        """The worker that serves this client of the plain listener."""
        ours, theirs = (":%04X" % port for port in (
            client.sock.getsockname()[1], self.relais.plain))
        with open("/proc/net/tcp", encoding="ascii") as f:
            rows = [row.split() for row in f]
        inode = [r[9] for r in rows
                 if r[1].endswith(theirs) and r[2].endswith(ours)][0]
        for pid in self.relais.pids("worker"):
            for fd in os.listdir("/proc/%d/fd" % pid):
                try:
                    if os.readlink("/proc/%d/fd/%s" % (pid, fd)
                                   ) == "socket:[%s]" % inode:
                        return pid
                except FileNotFoundError:
                    pass
        raise AssertionError("nobody serves it")

    def one_on_each(self):
        """See to it that each worker serves a session."""
        more = []
        for pid in set(self.sessions) - set(self.relais.pids("worker")):
            self.sessions.pop(pid).close()
        while len(self.sessions) < self.workers:
            self.assertLess(len(more), 60, "a worker takes no client")
            c = Client(self.relais.plain)
            more.append(c)
            c.greet()
            self.assertOK(c.login())
            if self.sessions.setdefault(self.holder(c), c) is c:
                more.remove(c)
        for c in more:          # only now: a worker ahead of all is passed by
            c.close()

    def served(self):
        """New clients are served, whichever worker takes them."""
        for _ in range(3):
            for tls in True, False:
                with Client(self.relais.ssl if tls else self.relais.plain,
                            tls) as c:
                    c.greet()
                    self.assertOK(c.login())

    def served_soon(self):
        """The same where a process that all need is replaced."""
        def question():
            try:
                self.served()
                return True
            except (EOFError, OSError):
                return False    # it asked the old one

        wait_for(question, 5, "new clients to be served")

    def replaced(self, victim, others):
        """Wait until another has this process's place; the others live."""
        place = others.pop(victim)
        new = wait_for(lambda: next(
            (pid for pid, p in self.relais.processes().items()
             if p == place and pid != victim), None), 3, "a new %s %d" % place)
        self.assertFalse(os.path.exists("/proc/%d" % victim))
        self.assertEqual({pid: self.relais.processes().get(pid)
                          for pid in others}, others)
        return new

    def worker_replaced(self, culprit, others):
        """... and of the sessions only the culprit's has ended."""
        self.replaced(culprit, others)
        with self.sessions.pop(culprit) as c:
            c.rest()            # it comes to its end
        self.assertEqual([alive(c) for c in self.sessions.values()],
                         [True] * (self.workers - 1))
        self.served()


class FromWorker(Rules):
    """The wrong things that a worker can say on one of its channels."""

    channel = MASTER
    cases = ()

    def judge(self, number):
        """The process at the other end."""
        if self.channel == MASTER:
            return self.relais.pid
        if self.channel == BROKER:
            return self.relais.pids("broker")[0]
        keepers = self.relais.pids("keeper")
        return keepers[(number - 1) % len(keepers)]

    def wrong(self, culprit, octets, descriptors, complaint):
        self.one_on_each()
        others = self.relais.processes()
        number = others[culprit][1]
        mark = self.relais.mark()
        say(culprit, self.channel, octets, descriptors)
        self.worker_replaced(culprit, others)
        self.relais.wait_log(r"\[%d\]: (?:\w+ \d+: )?worker %d sent %s$" % (
            self.judge(number), number, re.escape(complaint)), mark)
        # the master ends it, unless it goes by itself without a master
        self.relais.wait_log(
            r"\[%d\]: worker %d (was killed by signal 9|exited with 1)" % (
                self.relais.pid, number), mark)

    def all_wrong(self):
        for i, (name, *case) in enumerate(self.cases):
            with self.subTest(name):
                # in turn, so that none dies too often in a row
                self.wrong(self.relais.pids("worker")[i % self.workers],
                           *case)

    def hang_up(self):
        """A worker without a channel is of no use to anybody, and whom it
        serves is no longer counted: it is replaced as well."""
        self.one_on_each()
        culprit = self.relais.pids("worker")[-1]
        others = self.relais.processes()
        with take(culprit, self.channel) as s:
            s.shutdown(socket.SHUT_WR)
        self.worker_replaced(culprit, others)


class ToMaster(FromWorker):
    channel, cases = MASTER, TO_MASTER

    def test_hung_up(self):
        self.hang_up()

    def test_right(self):
        """What a worker may say costs it nothing, whoever said it."""
        self.one_on_each()
        before = self.relais.processes()
        worker = self.relais.pids("worker")[0]
        mark = self.relais.mark()
        say(worker, BROKER, message(RELEASE, u32(0xfffffff0)))
        say(worker, MASTER, message(LOG, u8(6), text(b"Connect:\nforged")))
        line = self.relais.wait_log(r"\[(\d+)\]: worker \d+: Connect:.*forged", mark)
        self.assertEqual(int(line.group(1)), worker)    # not what it says
        self.served()
        self.assertEqual(self.relais.processes(), before)
        self.assertTrue(all(alive(c) for c in self.sessions.values()))

    def test_wrong(self):
        self.all_wrong()


class ToBroker(FromWorker):
    channel, cases = BROKER, TO_BROKER
    workers = 6                 # there are many cases

    def test_hung_up(self):
        self.hang_up()

    def test_not_admitted(self):
        """No inner server for a client that the broker did not admit."""
        self.one_on_each()
        before = self.relais.processes()
        count = self.inner.connections
        say(self.relais.pids("worker")[0], BROKER,
            message(CONNECT, u32(0xfffffff0), bytes(8), text(b"")))
        with Client(self.relais.plain) as c:    # by the same broker, later
            c.greet()
            self.assertOK(c.login())
        self.assertEqual(self.inner.connections, count + 1)
        self.assertEqual(self.relais.processes(), before)

    def test_wrong(self):
        self.all_wrong()


class ToKeeper(FromWorker):
    channel, cases = KEEPER, TO_KEEPER

    def test_hung_up(self):
        self.hang_up()

    def test_wrong(self):
        self.all_wrong()


class FromOthers(Rules):
    """Keeper and broker have power over workers, none over the rest."""

    # what it is, whose word, the octets, descriptors, what is logged
    CASES = (
        ("a worker's word", "keeper",
         message(EVENT, u8(0, 0, 0, 0), bytes(60)), 0, FORBIDDEN),
        ("a worker's word", "broker", message(BUSY), 0, FORBIDDEN),
        ("the master's word", "broker", message(STOP), 0, FORBIDDEN),
        ("a descriptor", "keeper", message(LOG, u8(6), text(b"line")), 1,
         FORBIDDEN),
        ("cut", "keeper", message(ACCUSE, u8(WORKER), u16(0)), 0,
         MALFORMED),
        ("nobody is accused", "broker", accuse(4, 1), 0, MALFORMED),
        ("no authenticator is there", "broker",
         accuse(0, 1, AUTHENTICATOR), 0, MALFORMED),
        ("authenticators are none of its business", "keeper",
         accuse(0, 1, AUTHENTICATOR), 0, MALFORMED),
        ("more than there may be", "broker", message(POOL, u16(1)), 0,
         MALFORMED),
        ("empty", "broker", b"", 0, MALFORMED),
    )

    def test_to_master(self):
        for name, role, *case in self.CASES:
            with self.subTest(name, role=role):
                self.to_master(role, *case)

    def to_master(self, role, octets, descriptors, complaint):
        self.one_on_each()
        culprit = self.relais.pids(role)[0]
        others = self.relais.processes()
        mark = self.relais.mark()
        say(culprit, MASTER, octets, descriptors)
        self.replaced(culprit, others)
        self.relais.wait_log(r"\[%d\]: %s 1 sent %s$" % (
            self.relais.pid, role, re.escape(complaint)), mark)
        self.assertTrue(all(alive(c) for c in self.sessions.values()))
        self.served_soon()

    def test_accusing_one_of_before(self):
        """A word about a worker that is gone does not hit the one that has
        its place now."""
        before = self.relais.processes()
        say(self.relais.pids("broker")[0], MASTER, accuse(0, 0xffffffff))
        self.served()
        self.assertEqual(self.relais.processes(), before)

    def test_to_workers(self):
        """Whatever they say to workers, clients are served again soon."""
        for role in "broker", "keeper":
            with self.subTest(role):
                for pid in self.relais.pids(role):
                    channels = channels_of(pid)
                    self.assertTrue(channels)
                    for fd in channels:
                        say(pid, fd, message(STOP))
                self.served_soon()



class Greed(Rules):
    """Each message is in order, but no worker may take what is the others'."""

    workers = 2
    lines = ("worker_connections 50",)

    def test_clients_that_are_none(self):
        """It has room in the book for its own clients, and no more."""
        self.one_on_each()
        others = self.relais.processes()
        with socket.socket() as s:
            s.connect(("127.0.0.1", self.relais.plain))
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                       struct.pack("i", s.fileno()))]
            culprit = self.relais.pids("worker")[0]
            with take(culprit, BROKER) as channel:
                for n in range(100):
                    try:
                        channel.sendmsg([admit(9000000 + n)], rights)
                    except BlockingIOError:
                        time.sleep(0.01)
                    except OSError:
                        break   # it is found out
            self.worker_replaced(culprit, others)

    def test_an_address_that_no_proxy_told(self):
        """Whose client it is, the kernel knows."""
        mark = self.relais.mark()
        self.one_on_each()
        others = self.relais.processes()
        culprit = self.relais.pids("worker")[0]
        with socket.socket() as s:
            s.connect(("127.0.0.1", self.relais.plain))
            with take(culprit, BROKER) as channel:
                socket.send_fds(channel, [admit(
                    9000000, u8(4) + u16(4711) + u8(192, 0, 2, 7))],
                    [s.fileno()])
            self.worker_replaced(culprit, others)
        self.relais.wait_log("worker 1 sent " + MALFORMED, mark)

    def test_a_list_for_all(self):
        """What is no capability gets into no greeting."""
        entries = ("IMAP4rev1", "XGOOD", "IDLE LOGINDISABLED X", "X] forged")
        told = message(CAPABILITY, u16(0), u8(1),
                       text("".join(e + "\n" for e in entries).encode()))

        def greeting():
            with Client(self.relais.plain) as c:
                return c.greet()

        def forged():
            for pid in self.relais.pids("worker"):  # one alone is not believed
                say(pid, BROKER, told)
            return "XGOOD" in greeting()

        wait_for(forged, 5, "the list")
        for _ in range(6):
            line = greeting()
            self.assertNotIn("LOGINDISABLED", line)
            self.assertNotIn("forged", line)

    def test_lines_that_look_like_ours(self):
        mark = self.relais.mark()
        say(self.relais.pids("worker")[0], MASTER,
            message(LOG, u8(6), text(b"Auth: 192.0.2.1:1->192.0.2.2:993")))
        line = self.relais.wait_log("Auth: 192.0.2.1", mark).string
        self.assertRegex(line, r"\]: worker 1: Auth: ")

    def test_a_flood_of_lines(self):
        self.one_on_each()
        others = self.relais.processes()
        culprit = self.relais.pids("worker")[0]
        flood = message(LOG, u8(6), text(b"z" * 100))
        with take(culprit, MASTER) as channel:
            end = time.monotonic() + 20 * harness.SLOW
            while time.monotonic() < end:
                try:
                    channel.send(flood)
                except BlockingIOError:
                    time.sleep(0.0005)
                except OSError:
                    break
        self.worker_replaced(culprit, others)


if __name__ == "__main__":
    main()
