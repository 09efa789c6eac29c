#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Reloads under load: sessions that idle, sessions that talk, and new logins
all the while; no session may end, no connection be refused, no octet be lost.

    tests/e2e/reload_load.py [SESSIONS [RELOADS [LOGINS_A_SECOND]]]

By hand it is 500 sessions, 20 reloads, then an upgrade to a program that is
built anew with another version, and 20 logins a second.  test_reload_load.py
runs a small one."""

import contextlib
import itertools
import os
import random
import re
import selectors
import signal
import ssl
import subprocess
import sys
import threading
import time
import unittest

import client
import harness
from harness import children, wait_for
from inner import Script, StandIn

LINE = 4000                     # octets that a talker sends at a time


class IdleScript(Script):
    """IDLE too: as Dovecot does it."""

    def session(self, peer):
        while True:
            tag, _, text = peer.line().partition(" ")
            if text.upper() == "IDLE":
                peer.send("+ idling\r\n* 1 EXISTS\r\n")
                if peer.line().upper() != "DONE":
                    raise AssertionError("no DONE")
            elif text.upper() == "LOGOUT":
                peer.send("* BYE\r\n%s OK\r\n" % tag)
                return
            else:
                peer.send("* HEARD %s\r\n" % text)
            peer.send(tag + " OK done\r\n")


class Talkers:
    """Sessions in traffic, in one thread: each sends a line, wants to hear
    just that, and goes on."""

    def __init__(self, clients):
        self.clients = clients
        self.faults, self.octets, self.rounds = [], 0, 0
        self.stopping = False
        self.numbers = itertools.count()
        self.thread = threading.Thread(target=self.run, daemon=True)

    def say(self, c):
        n = next(self.numbers)
        c.word = "N%d-%s" % (n, random.choice("abcdefgh") * LINE)
        c.send("t%d %s\r\n" % (n, c.word))
        c.wanted = "* HEARD %s\r\nt%d OK done\r\n" % (c.word, n)
        c.heard = b""

    def hear(self, c):
        """What has come; true when the answer is whole."""
        while True:
            try:
                data = c.sock.recv(65536)
            except (ssl.SSLWantReadError, BlockingIOError):
                return False
            if not data:
                raise EOFError("the session has ended")
            c.heard += data
            self.octets += len(data)
            wanted = c.wanted.encode()
            if not wanted.startswith(c.heard):
                raise AssertionError("another octet than was sent")
            if len(c.heard) == len(wanted):
                return True

    def run(self):
        with selectors.DefaultSelector() as ready:
            for c in self.clients:
                c.sock.setblocking(False)
                self.say(c)
                ready.register(c.sock, selectors.EVENT_READ, c)
            waiting = len(self.clients)
            while waiting:
                for key, _ in ready.select(1):
                    c = key.data
                    try:
                        if not self.hear(c):
                            continue
                        self.rounds += 1
                        if self.stopping:
                            raise StopIteration
                        self.say(c)
                    except StopIteration:
                        waiting -= 1
                        ready.unregister(c.sock)
                    except Exception as e:
                        self.faults.append(e)
                        waiting -= 1
                        ready.unregister(c.sock)
                time.sleep(0.02)        # a load, not a benchmark

    def stop(self):
        self.stopping = True
        self.thread.join(60)
        if self.thread.is_alive():
            self.faults.append("some never got their answer")


class Logins:
    """New sessions, so many a second: connect, TLS, login, a command, out."""

    def __init__(self, port, each_second):
        self.port, self.rate = port, each_second
        self.faults, self.done = [], 0
        self.slowest = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,),
                                         daemon=True) for i in range(4)]

    def run(self, i):
        context = client.tls_context()
        next_at = time.monotonic() + i / self.rate
        while not self.stopping.wait(max(0, next_at - time.monotonic())):
            next_at = max(next_at + len(self.threads) / self.rate,
                          time.monotonic() - 1)
            began = time.monotonic()
            try:
                c = client.connect(self.port, context=context)
                try:
                    for reply in (c.login(), c.cmd("NOOP"), c.cmd("LOGOUT")):
                        if reply.status != "OK":
                            raise AssertionError(repr(reply))
                finally:
                    c.close()
                with self.lock:
                    self.done += 1
                    self.slowest = max(self.slowest,
                                       time.monotonic() - began)
            except Exception as e:
                self.faults.append(e)

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(60)


def resident(pid):
    """KiB of one process alone (Pss)."""
    try:
        return int(re.search(r"^Pss:\s+(\d+)", harness.proc_read(
            pid, "smaps_rollup"), re.M).group(1))
    except (AttributeError, PermissionError):
        return 0


class Load:
    def __init__(self, case, sessions, reloads, rate, program=None):
        self.case = case
        self.inner = StandIn(case, IdleScript())
        self.relais = harness.Gateway(case, self.inner.port,
                                      **({"daemon": program} if program
                                         else {}))
        self.reloads = reloads
        self.clients = []
        self.sessions = sessions
        self.rate = rate
        self.generation = 1

    def connect(self):
        c = client.connect(self.relais.ssl, True)
        self.case.addCleanup(c.close)
        self.case.assertEqual(c.login().status, "OK")
        return c

    def idler(self):
        c = self.connect()
        c.send("i IDLE\r\n")
        self.case.assertEqual(c.line(), "+ idling")
        self.case.assertEqual(c.line(), "* 1 EXISTS")
        return c

    def measure(self):
        pids = [self.relais.pid] + children(self.relais.pid)
        return len(pids), sum(map(resident, pids)), (
            harness.descriptors(self.relais.pid) if harness.ROOT else 0)

    def reload(self):
        mark, self.generation = self.relais.mark(), self.generation + 1
        os.kill(self.relais.pid, signal.SIGHUP)
        self.relais.wait_log("reloaded: generation %d serves"
                             % self.generation, mark, 30)

    def run(self, upgrade=None, pause=0.3):
        """Whether all was well; the figures as a line of text."""
        case = self.case
        self.reload()           # so that before and after are alike
        wait_for(lambda: not self.relais.pids("old"), 10)
        before = self.measure()
        master = resident(self.relais.pid)
        idlers = [self.idler() for _ in range(self.sessions // 2)]
        talkers = Talkers([self.connect()
                           for _ in range(self.sessions - len(idlers))])
        logins = Logins(self.relais.ssl, self.rate)
        talkers.thread.start()
        for t in logins.threads:
            t.start()
        began = time.monotonic()
        for n in range(self.reloads):
            self.reload()
            time.sleep(pause)
            if n % 5 == 4:      # some of each generation
                idlers.append(self.idler())
        if upgrade:
            upgrade()
            self.reload()
        most = self.measure()
        time.sleep(1)
        seconds = time.monotonic() - began
        logins.stop()
        talkers.stop()
        dropped = 0
        for c in idlers:
            try:
                c.send("DONE\r\n")
                case.assertEqual(c.line(), "i OK done")
                case.assertEqual(c.cmd("NOOP").status, "OK")
            except (OSError, EOFError):
                dropped += 1
        for c in idlers + talkers.clients:
            c.close()
        wait_for(lambda: not self.relais.pids("old"), 30,
                 "the old generations to go")
        self.reload()           # processes as new as those at first
        wait_for(lambda: not self.relais.pids("old"), 10)
        with contextlib.suppress(AssertionError):   # one may be exiting
            wait_for(lambda: self.measure()[0] == before[0], 5)
        after = self.measure()
        figures = (
            "%d sessions, %d reloads%s in %.1f s: %d idle ones dropped, "
            "%d faults in traffic (%d answers, %d octets compared), %d of "
            "%d new logins failed (slowest %.2f s); processes %d, then %d, "
            "now %d; memory %d KiB, then %d, now %d, the master's "
            "own %d, now %d; its descriptors %d, now %d" % (
                self.sessions, self.reloads, " and an upgrade" if upgrade
                else "", seconds, dropped, len(talkers.faults),
                talkers.rounds, talkers.octets, len(logins.faults),
                logins.done + len(logins.faults), logins.slowest, before[0],
                most[0], after[0], before[1], most[1], after[1], master,
                resident(self.relais.pid), before[2], after[2]))
        case.assertEqual(dropped, 0, figures)
        case.assertEqual(talkers.faults, [], figures)
        case.assertEqual(logins.faults, [], figures)
        case.assertEqual(after[0], before[0], figures)
        case.assertEqual(after[2], before[2], figures)
        case.assertGreater(talkers.rounds, len(talkers.clients), figures)
        case.assertGreater(logins.done, seconds * self.rate / 2, figures)
        case.assertLess(after[1], before[1] * 1.3 + 2000, figures)
        return figures


class ByHand(unittest.TestCase):
    sessions, reloads, rate = 500, 20, 20

    def build(self, version, where):
        """The same sources, another version, at the path in use."""
        subprocess.run(["make", "-s", "-j2", "-C", harness.TOP, "B=" + where,
                        "VERSION=" + version, where + "/imapsd"],
                       check=True, stdout=subprocess.DEVNULL)
        return where + "/imapsd"

    def test(self):
        path = harness.folder(self)
        program = os.path.join(path, "imapsd")
        newer = self.build("0.2", os.path.join(path, "build"))
        subprocess.run(["cp", harness.IMAPSD, program], check=True)
        load = Load(self, self.sessions, self.reloads, self.rate, program)

        def upgrade():
            os.rename(newer, program)

        print(load.run(upgrade))
        load.relais.wait_log(r"serves, version=0\.2 \(before: ")


if __name__ == "__main__":
    for name, word in zip(("sessions", "reloads", "rate"), sys.argv[1:]):
        setattr(ByHand, name, int(word))
    unittest.main(argv=sys.argv[:1], verbosity=2)
