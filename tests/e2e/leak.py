# SPDX-License-Identifier: ISC
"""Many sessions that fail, each in its way, whatever the protocol: no
descriptor is lost, no process dies, no memory grows, and the next login is
served."""

import asyncio
import collections
import itertools

import harness
from case import TestCase
from certs import NAME
from client import tls_context
from harness import descriptors, free_port, proc_status, wait_for


class Inner:
    """A small inner server; what it does is in the user's name, or, for the
    greeting, in its attribute: "good", "garbage", else it closes."""

    garbage = b"220 mail ESMTP\r\n"

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
            if self.greeting == "garbage":
                writer.write(self.garbage)
                await reader.read()
            elif self.greeting == "good":
                await self.dialogue(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            self.serving -= 1
            writer.close()

    async def dialogue(self, reader, writer):
        """From the greeting on; a protocol's own."""
        raise NotImplementedError


class LeakCase(TestCase):
    """What a protocol brings: the daemon, its inner server, how many
    sessions of each kind (by whose name the inner server knows what to do),
    and the words of its clients."""

    daemon = None
    inner_type = None
    in_login = {}
    before_login = {}
    in_greeting = {}            # kinds of faulty greetings
    at_a_time = 300
    over_tls = ("tls",)
    leaves = ("leave", "tls")   # without waiting for the login's answer
    yes, no = "OK", "NO"        # the words of that answer

    @classmethod
    def setUpClass(cls):
        cls.inner = cls.inner_type()
        cls.relais = harness.Gateway(cls, cls.inner.port,
                                     "outgoing_timeout 2",
                                     "authenticate_timeout 30",
                                     daemon=cls.daemon)
        cls.addresses = itertools.cycle(
            ["127.0.5.%d" % n for n in range(1, 201)])
        cls.replies = collections.Counter()
        cls.context = tls_context()

    def port_of(self, kind):
        return (self.relais.ssl if kind in self.over_tls + ("handshake",)
                else self.relais.plain)

    async def session(self, kind):
        """One client; counts the kind and status of the answer."""
        tls = kind in self.over_tls
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port_of(kind),
            local_addr=(next(self.addresses), 0),
            **({"ssl": self.context, "server_hostname": NAME} if tls else {}))
        try:
            await self.talk(kind, reader, writer)
        finally:
            writer.close()

    async def talk(self, kind, reader, writer):
        if kind == "silent":    # away without waiting for the greeting
            return
        if kind == "handshake":     # in the middle of it
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            return
        await reader.readuntil(b"\r\n")
        if kind == "hangup":
            return
        status = await self.login(kind, reader, writer)
        if status:
            self.replies[kind, status] += 1

    async def login(self, kind, reader, writer):
        """The word that answers a login, None if that is not waited for."""
        raise NotImplementedError

    async def all_of(self, kinds):
        """Sessions of all these kinds, mixed, so many at a time."""
        queue = iter([kind for _, kind in sorted(
            (i / n, kind) for kind, n in kinds.items() for i in range(n))])

        async def some():
            for kind in queue:
                await asyncio.wait_for(self.session(kind),
                                       30 * harness.SLOW)

        await asyncio.gather(*(some() for _ in range(self.at_a_time)))

    async def everything(self):
        await self.inner.open()
        await self.all_of({**self.in_login, **self.before_login})
        for fault, count in self.in_greeting.items():
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

    def wanted(self):
        """How often each kind is answered, and how."""
        want = {(kind, self.yes if kind == "good" else self.no): n
                for kind, n in self.in_login.items()
                if kind not in self.leaves}
        want.update({("greeting-" + kind, self.no): n
                     for kind, n in self.in_greeting.items()})
        want["last", self.yes] = 1
        return want

    def check_all(self):
        pids = self.relais.processes()
        before = {pid: descriptors(pid) for pid in pids}
        memory = self.memory()

        asyncio.run(self.everything())

        self.assertEqual(dict(self.replies), self.wanted())
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
