# SPDX-License-Identifier: ISC
"""10,000 IMAP sessions that fail, each in its way."""

import harness
from case import main
from leak import Inner, LeakCase


class ImapInner(Inner):
    async def dialogue(self, reader, writer):
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


class Leak(LeakCase):
    daemon = harness.IMAPSD
    inner_type = ImapInner
    in_login = {
        "wrong": 900,       # refused, so answered after a delay
        "leave": 600,       # the client leaves while that is held back
        "close": 1300,      # the inner server closes in mid-login
        "garbage": 1300,
        "bad": 1000,
        "big": 100,         # a line of 1 MB
        "stall": 300,
        "good": 500,        # cut by the client behind the login
    }
    before_login = {
        "hangup": 900,      # the client goes away after the greeting
        "silent": 600,      # without waiting for it
        "handshake": 300,   # in the middle of the TLS handshake
        "tls": 300,         # refused login over TLS, left at once
    }
    in_greeting = {"close": 700, "garbage": 700, "down": 500}

    async def login(self, kind, reader, writer):
        writer.write(b"a LOGIN %s x\r\n" % kind.encode())
        if kind in self.leaves:
            await writer.drain()
            return None
        while True:
            line = await reader.readuntil(b"\r\n")
            if line.startswith(b"a "):
                return line.split()[1].decode()

    def test_10000(self):
        self.check_all()


if __name__ == "__main__":
    main()
