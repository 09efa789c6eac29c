# SPDX-License-Identifier: ISC
"""2,000 POP3 sessions that fail, each in its way."""

import harness
from case import main
from client import plain_message
from leak import Inner, LeakCase


class Pop3Inner(Inner):
    LIST = b"+OK\r\nUSER\r\nTOP\r\nSASL PLAIN\r\n.\r\n"
    garbage = b"* OK IMAP4rev1 inner\r\n"

    # What the password is answered with; nothing, for the rest.
    ANSWERS = {
        "wrong": b"-ERR [AUTH] no\r\n",
        "leave": b"-ERR [AUTH] no\r\n",
        "tls": b"-ERR [AUTH] no\r\n",
        "garbage": b"\0\1\2\r\n",
        "inuse": b"-ERR [IN-USE] no\r\n",
        "big": b"+OK " + b"x" * 1000000 + b"\r\n",
        "good": b"+OK in\r\n",
        "last": b"+OK in\r\n",
    }

    async def dialogue(self, reader, writer):
        writer.write(b"+OK <1.2@inner>\r\n")
        while True:
            line = (await reader.readuntil(b"\r\n")).decode()
            verb, _, user = line.strip().partition(" ")
            if verb == "CAPA":
                writer.write(self.LIST)
            elif verb == "USER":
                if not await self.name(user, reader, writer):
                    return
            elif verb == "AUTH":
                writer.write(b"+ \r\n")
                await reader.readuntil(b"\r\n")
                writer.write(b"garbage\r\n")
            else:
                return

    async def name(self, user, reader, writer):
        """False: that was the end."""
        if user == "who":
            writer.write(b"-ERR [AUTH] no\r\n")
            return True
        if user == "endless":
            while True:
                writer.write(b"x" * 10000)
                await writer.drain()
        if user != "early":
            writer.write(b"+OK\r\n")
            await reader.readuntil(b"\r\n")
            writer.write(self.ANSWERS.get(user, b""))
        if user not in ("close", "early"):
            await reader.read()     # until the other side has gone
        return False


class Leak(LeakCase):
    daemon = harness.POP3SD
    inner_type = Pop3Inner
    yes, no = "+OK", "-ERR"
    in_login = {
        "wrong": 150,       # refused, so answered after a delay
        "who": 50,          # the same, at the name
        "leave": 100,       # the client leaves while that is held back
        "inuse": 150,       # answered at once
        "close": 200,       # the inner server closes in mid-login
        "early": 50,        # at the name
        "garbage": 200,
        "big": 30,          # a line of 1 MB
        "endless": 20,      # one without an end
        "stall": 50,
        "plain": 100,       # AUTH PLAIN, and garbage for an answer
        "good": 150,        # cut by the client behind the login
    }
    before_login = {
        "hangup": 120,      # the client goes away after the greeting
        "silent": 100,      # without waiting for it
        "handshake": 50,    # in the middle of the TLS handshake
        "tls": 80,          # refused login over TLS, left at once
        "stls": 50,         # left in the middle of STLS's handshake
        "half": 50,         # in the middle of an exchange
    }
    in_greeting = {"close": 100, "garbage": 100, "down": 100}
    leaves = LeakCase.leaves + ("stls", "half")

    def port_of(self, kind):
        return (self.relais.starttls if kind == "stls"
                else super().port_of(kind))

    async def login(self, kind, reader, writer):
        writer.write(self.words(kind))
        if kind in self.leaves:
            await writer.drain()
            return None
        line = await reader.readuntil(b"\r\n")
        if kind != "plain":     # that was the answer to USER
            line = await reader.readuntil(b"\r\n")
        return line.split()[0].decode()

    def words(self, kind):
        if kind == "stls":
            return b"STLS\r\n\x16\x03\x01\x02\x00\x01\x00"
        if kind == "half":
            return b"AUTH LOGIN\r\nYWxp"
        if kind == "plain":
            return b"AUTH PLAIN %s\r\n" % plain_message(
                kind, "x", "carol").encode()
        return b"USER %s\r\nPASS x\r\n" % kind.encode()

    def test_2000(self):
        self.check_all()


if __name__ == "__main__":
    main()
