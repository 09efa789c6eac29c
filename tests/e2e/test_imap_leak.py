# SPDX-License-Identifier: ISC
"""10,000 sessions that fail, each in its way: no descriptor is lost, no
process dies, no memory grows, and the next login is served."""

import asyncio
import collections
import itertools

import harness
from case import TestCase, main
from certs import NAME
from client import tls_context
from harness import descriptors, free_port, proc_status, wait_for

# How many sessions of each kind; the name is that of the user who logs in,
# by which the inner server knows what to do.
IN_LOGIN = {
    "wrong": 900,       # refused, so answered after a delay
    "leave": 600,       # the client leaves while the refusal is held back
    "close": 1300,      # the inner server closes in mid-login
    "garbage": 1300,
    "bad": 1000,
    "big": 100,         # a line of 1 MB
    "stall": 300,
    "good": 500,        # cut by the client behind the login
}
BEFORE_LOGIN = {
    "hangup": 900,      # the client goes away after the greeting
    "silent": 600,      # without waiting for it
    "handshake": 300,   # in the middle of the TLS handshake
    "tls": 300,         # refused login over TLS, left at once
}
IN_GREETING = {
    "close": 700,
    "garbage": 700,
    "down": 500,
}
AT_A_TIME = 300


class Inner:
    """A small inner server; what it does is in the user's name, or, for the
    greeting, in its attribute."""

    def __init__(self):
        self.port = free_port()
        self.greeting = "good"
        self.server = None
        self.serving = 0

    async def open(self):
        self.server = await asyncio.start_server(
            self.serve, "127.0.0.1", self.port, backlog=512)

    def close(self):
        self.server.close()

    async def serve(self, reader, writer):
        self.serving += 1
        try:
            await self.dialogue(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            self.serving -= 1
            writer.close()

    async def dialogue(self, reader, writer):
        if self.greeting == "garbage":
            writer.write(b"220 mail ESMTP\r\n")
            await reader.read()
        if self.greeting != "good":
            return
        writer.write(b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] inner\r\n")
        while True:
            line = await self.command(reader, writer)
            tag, word = line.split()[:2]
            if word == b"CAPABILITY":
                writer.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"
                             + tag + b" OK done\r\n")
            elif word == b"LOGIN":
                await self.login(reader, writer, tag, line)
                return
            else:
                writer.write(tag + b" OK done\r\n")

    async def command(self, reader, writer):
        """A line, its literals taken in as if they were atoms."""
        line = await reader.readuntil(b"\r\n")
        while line.endswith(b"}\r\n"):
            line, _, size = line[:-3].rpartition(b"{")
            writer.write(b"+ go on\r\n")
            line += await reader.readexactly(int(size))
            line += await reader.readuntil(b"\r\n")
        return line

    async def login(self, reader, writer, tag, line):
        user = line.split()[2].strip(b'"').decode()
        if user in ("wrong", "leave", "tls"):
            writer.write(tag + b" NO no\r\n")
        elif user == "garbage":
            writer.write(b"\0\1\2\r\n")
        elif user == "bad":
            writer.write(tag + b" BAD what\r\n")
        elif user == "big":
            writer.write(b"* " + b"x" * 1000000 + b"\r\n")
        elif user in ("good", "last"):
            writer.write(tag + b" OK [CAPABILITY IMAP4rev1] in\r\n")
        if user != "close":
            await reader.read()     # until the other side has gone


class Leak(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.inner = Inner()
        cls.relais = harness.Gateway(cls, cls.inner.port,
                                     "outgoing_timeout 2",
                                     "authenticate_timeout 30")
        cls.addresses = itertools.cycle(
            ["127.0.5.%d" % n for n in range(1, 201)])
        cls.replies = collections.Counter()

    async def session(self, kind):
        """One client; counts the kind and status of the answer."""
        kw = {}
        if kind == "tls":
            kw = {"ssl": self.context, "server_hostname": NAME}
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.relais.ssl if kind in ("tls", "handshake")
            else self.relais.plain, local_addr=(next(self.addresses), 0),
            **kw)
        try:
            await self.talk(kind, reader, writer)
        finally:
            writer.close()

    async def talk(self, kind, reader, writer):
        if kind == "silent":
            return
        if kind == "handshake":
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            return
        await reader.readuntil(b"\r\n")
        if kind == "hangup":
            return
        writer.write(b"a LOGIN %s x\r\n" % kind.encode())
        if kind in ("leave", "tls"):
            await writer.drain()
            return
        while True:
            line = await reader.readuntil(b"\r\n")
            if line.startswith(b"a "):
                break
        self.replies[kind, line.split()[1].decode()] += 1

    async def all_of(self, kinds):
        """Sessions of all these kinds, mixed, so many at a time."""
        queue = iter([kind for _, kind in sorted(
            (i / n, kind) for kind, n in kinds.items() for i in range(n))])

        async def some():
            for kind in queue:
                await asyncio.wait_for(self.session(kind),
                                       30 * harness.SLOW)

        await asyncio.gather(*(some() for _ in range(AT_A_TIME)))

    async def everything(self):
        await self.inner.open()
        await self.all_of({**IN_LOGIN, **BEFORE_LOGIN})
        for fault, count in IN_GREETING.items():
            self.inner.greeting = fault
            if fault == "down":
                self.inner.close()
            await self.all_of({"greeting-" + fault: count})
        self.inner.greeting = "good"
        await self.inner.open()
        await self.session("last")
        # every client has gone: so must all inner connections
        for _ in range(100 * harness.SLOW):
            if self.inner.serving == 0:
                break
            await asyncio.sleep(0.1)
        self.assertEqual(self.inner.serving, 0)
        self.inner.close()

    def test_10000(self):
        self.context = tls_context()
        pids = self.relais.processes()
        before = {pid: descriptors(pid) for pid in pids}
        memory = self.memory()

        asyncio.run(self.everything())

        want = {(kind, "NO"): n for kind, n in IN_LOGIN.items()
                if kind not in ("leave", "good")}
        want.update({("greeting-" + kind, "NO"): n
                     for kind, n in IN_GREETING.items()})
        want["good", "OK"] = IN_LOGIN["good"]
        want["last", "OK"] = 1
        self.assertEqual(dict(self.replies), want)
        self.assertEqual(self.relais.processes(), pids)
        wait_for(lambda: all(descriptors(pid) <= n + 1
                             for pid, n in before.items()),
                 40, "descriptors to be closed; before: %s" % before)
        # buffers and tables that grew to their size may stay
        self.assertLess(self.memory() - memory, 24 * 1024 * harness.SLOW,
                        "KiB")

    def memory(self):
        return sum(int(proc_status(pid)["VmRSS"].split()[0])
                   for pid in self.relais.processes())


if __name__ == "__main__":
    main()
