#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A siege: connections that say nothing, or an octet now and then, from 40
addresses, while honest users log in all the time.

    tests/e2e/siege_silent.py [CONNECTIONS HANDSHAKE_TIMEOUT]

By default 20000 and 40 (seconds).  It prints what came of it."""

import asyncio
import collections
import multiprocessing
import re
import resource
import selectors
import socket
import sys
import time
import unittest

import harness
from case import TestCase
from client import tls_context
from certs import NAME

ADDRESSES = ["127.1.%d.%d" % (i // 8, i % 8 + 1) for i in range(40)]
HONEST = 50                 # each logs in once a second
ARRIVALS = 1000             # a second
BESIEGERS = 4               # processes
DRIP = 3                    # seconds between two octets
QUIET = 10                  # seconds without and with the siege standing
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64)

Figures = collections.namedtuple(
    "Figures", "connections refused before arriving standing leaving failed "
               "memory left seconds")


# --- the inside, in a process of its own ------------------------------------

async def inner(reader, writer):
    try:
        writer.write(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] in\r\n")
        while line := await reader.readline():
            tag, verb = line.decode().split()[:2]
            if verb == "CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1\r\n")
            writer.write(("%s OK [CAPABILITY IMAP4rev1] done\r\n" %
                          tag).encode())
            if verb == "LOGOUT":
                break
    except ConnectionError:
        pass
    writer.close()


def run_inside(port):
    async def main():
        await asyncio.start_server(inner, "127.0.0.1", port, backlog=1000)
        await asyncio.Event().wait()
    asyncio.run(main())


# --- honest clients -----------------------------------------------------------

async def login(port, context):
    """The seconds from connecting to the login's OK."""
    began = time.monotonic()
    reader, writer = await asyncio.wait_for(asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=NAME), 30)
    await reader.readline()
    writer.write(b"a LOGIN alice secret\r\n")
    line = await asyncio.wait_for(reader.readline(), 30)
    seconds = time.monotonic() - began
    writer.write(b"b LOGOUT\r\n")
    await asyncio.wait_for(reader.read(), 30)
    writer.close()
    if not line.startswith(b"a OK"):
        raise ConnectionError(line)
    return seconds


async def honest(port, number, results, stop):
    context = tls_context()
    await asyncio.sleep(number / HONEST)
    while not stop.is_set():
        began = time.monotonic()
        try:
            results.put((began, await login(port, context)))
        except (OSError, EOFError, asyncio.TimeoutError) as e:
            results.put((began, repr(e)))
        await asyncio.sleep(max(0, began + 1 - time.monotonic()))


def run_honest(port, results, stop):
    async def main():
        await asyncio.gather(*(honest(port, n, results, stop)
                               for n in range(HONEST)))
    asyncio.run(main())


# --- those that besiege -------------------------------------------------------

class Besieger:
    """Some of the connections: half are silent, a quarter has sent half a
    ClientHello, a quarter drips one."""

    def __init__(self, port, count, part):
        self.port, self.count, self.part = port, count, part
        self.ready = selectors.DefaultSelector()
        self.dripping = collections.deque()     # (when, socket, octets sent)
        self.open = 0
        self.refused = 0

    def connect(self, n):
        s = socket.socket()
        try:
            s.bind((ADDRESSES[n % len(ADDRESSES)], 0))
            s.settimeout(30)
            s.connect(("127.0.0.1", self.port))
        except OSError:
            self.refused += 1
            s.close()
            return
        s.setblocking(False)
        kind = n // len(ADDRESSES) % 4
        if kind == 2:
            s.send(HELLO)
        elif kind == 3:
            self.dripping.append((time.monotonic() + DRIP, s, 0))
        self.ready.register(s, selectors.EVENT_READ)
        self.open += 1

    def drip(self):
        now = time.monotonic()
        while self.dripping and self.dripping[0][0] <= now:
            _, s, n = self.dripping.popleft()
            if s.fileno() == -1:
                continue
            try:
                s.send(HELLO[n:n + 1])
            except OSError:
                continue
            self.dripping.append((now + DRIP, s, n + 1))

    def hear(self, seconds):
        """Whoever is sent away says so by an end."""
        for key, _ in self.ready.select(seconds):
            try:
                if key.fileobj.recv(4096):
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            self.ready.unregister(key.fileobj)
            key.fileobj.close()
            self.open -= 1

    def run(self, began, until, arrivals, result):
        pace = arrivals / BESIEGERS
        for i in range(self.count):
            self.connect(i * BESIEGERS + self.part)
            left = began + (i + 1) / pace - time.monotonic()
            if left > 0 or i % 50 == 0:
                self.drip()
                self.hear(max(0, left))
            # one that is sent away makes nobody come sooner
            while (left := began + (i + 1) / pace - time.monotonic()) > 0:
                self.hear(left)
        result.put(("there", self.open, self.refused))
        while self.open and time.monotonic() < until:
            self.drip()
            self.hear(0.2)
        result.put(("left", self.open, time.monotonic()))


def run_besieger(port, count, part, began, until, arrivals, result):
    resource.setrlimit(resource.RLIMIT_NOFILE, (
        resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    Besieger(port, count, part).run(began, until, arrivals, result)


# --- all together -------------------------------------------------------------

def proportional_set(pid):
    """KiB of a process's memory, shared pages by their share."""
    m = re.search(r"^Pss:\s+(\d+) kB", harness.proc_read(pid, "smaps_rollup"),
                  re.M)
    return int(m.group(1)) if m else 0


def p99(times):
    times = sorted(times)
    return times[min(len(times) - 1, int(len(times) * 0.99))]


class Siege:
    def __init__(self, case, connections, limit, workers=4, quiet=QUIET,
                 places=None, arrivals=ARRIVALS):
        self.case, self.connections, self.limit = case, connections, limit
        self.quiet, self.arrivals = quiet, arrivals
        self.inside = harness.free_port()
        self.processes = []
        self.queue = multiprocessing.Queue()
        self.times = multiprocessing.Queue()
        self.stop = multiprocessing.Event()
        case.addCleanup(self.end)
        self.begin(run_inside, self.inside)
        harness.wait_for(lambda: harness.accepts(self.inside))
        # as an administrator does who wants so many: workers hold them
        self.relais = harness.Gateway(
            case, self.inside, "handshake_timeout %d" % limit,
            "authenticate_timeout %d" % max(60, limit),
            "worker_connections %d" % (
                places or connections // workers * 5 // 4 + 500),
            "connection_limit_address 2000", workers=workers)

    def begin(self, function, *args):
        p = multiprocessing.Process(target=function, args=args, daemon=True)
        p.start()
        self.processes.append(p)

    def end(self):
        for p in self.processes:
            p.kill()
            p.join()
        for q in self.queue, self.times:
            q.close()

    def memory(self):
        return sum(map(proportional_set, self.relais.processes()))

    def run(self):
        self.begin(run_honest, self.relais.ssl, self.times, self.stop)
        time.sleep(self.quiet)
        before = self.memory()
        began = time.monotonic()
        arrival = self.connections / self.arrivals
        for part in range(BESIEGERS):
            self.begin(run_besieger, self.relais.ssl,
                       self.connections // BESIEGERS, part, began,
                       began + arrival + self.limit + 10, self.arrivals,
                       self.queue)
        there = [self.queue.get(timeout=300) for _ in range(BESIEGERS)]
        standing = time.monotonic()
        memory = self.memory()
        left = [self.queue.get(timeout=300) for _ in range(BESIEGERS)]
        over = time.monotonic()
        self.stop.set()
        time.sleep(1.5)
        return self.figures(began, standing, over, there, left,
                            (memory - before) * 1024)

    def figures(self, began, standing, over, there, left, memory):
        good = collections.defaultdict(list)
        failed = []
        while not self.times.empty():
            at, took = self.times.get()
            if isinstance(took, str):
                failed.append(took)
            elif at < began:
                good["before"].append(took)
            elif at < standing:
                good["arriving"].append(took)
            elif at < began + self.limit:
                good["standing"].append(took)
            else:
                good["leaving"].append(took)
        count = sum(n for _, n, _ in there)
        return Figures(
            count, sum(n for _, _, n in there), p99(good["before"]),
            *(p99(good[k]) if good[k] else 0
              for k in ("arriving", "standing", "leaving")),
            failed, memory / max(1, count), sum(n for _, n, _ in left),
            over - standing)


def show(f):
    print("%d connections stood, %d were refused\n"
          "honest login, p99: %.1f ms undisturbed, %.1f ms while they come, "
          "%.1f ms while they stand, %.1f ms while they go; %d failed\n"
          "memory: %.0f octets for each connection\n"
          "%d were left %.1f s after the last had come" % (
              f.connections, f.refused, f.before * 1e3, f.arriving * 1e3,
              f.standing * 1e3, f.leaving * 1e3, len(f.failed), f.memory,
              f.left, f.seconds), flush=True)


class Besieged(TestCase):
    size, limit = 20000, 40

    def test(self):
        show(Siege(self, self.size, self.limit).run())


if __name__ == "__main__":
    if len(sys.argv) == 3:
        Besieged.size, Besieged.limit = map(int, sys.argv[1:])
    elif len(sys.argv) != 1:
        sys.exit(__doc__)
    unittest.main(argv=sys.argv[:1], verbosity=2)
