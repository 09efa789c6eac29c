#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A siege: passwords are guessed from many addresses at all three daemons,
while honest users log in all the time, some of them with a telephone that has
an old password.

    tests/e2e/siege_guess.py [ADDRESSES GUESSES ACCOUNTS HONEST PHONES]

GUESSES are those of one address; by default 1000 100 100 200 10.  It prints
what came of it.  A connection that is refused is a guess that was cut."""

import asyncio
import base64
import collections
import json
import multiprocessing
import os
import sys
import time
import unittest

import harness
from case import TestCase
from submission import sasl_lines

PROTOCOLS = ("imap", "pop3", "smtp")
TIMEOUT = 60

Figures = collections.namedtuple(
    "Figures", "guesses reached seen refused right honest wrong slowest "
               "late phones seconds")


def password(user):
    return "right-" + user


# --- the inside, in a process of its own ------------------------------------

class Inside:
    """An IMAP and a POP3 server that count the logins that they refuse."""

    def __init__(self, refused):
        self.refused = refused

    def answer(self, user, word):
        good = word == password(user)
        if not good:
            with self.refused.get_lock():
                self.refused.value += 1
        return good

    async def imap(self, reader, writer):
        writer.write(b"* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] in\r\n")
        while line := await reader.readline():
            tag, verb, *rest = line.decode().split()
            if verb == "AUTHENTICATE":
                _, user, word = base64.b64decode(rest[1]).decode().split("\0")
                good = self.answer(user, word)
            elif verb == "LOGIN":
                good = self.answer(rest[0].strip('"'), rest[1].strip('"'))
            else:
                good = True
                if verb == "CAPABILITY":
                    writer.write(b"* CAPABILITY IMAP4rev1\r\n")
            writer.write(("%s %s done\r\n" % (
                tag, "OK" if good else "NO")).encode())
        writer.close()

    async def pop3(self, reader, writer):
        user = ""
        writer.write(b"+OK in\r\n")
        while line := await reader.readline():
            verb, *rest = line.decode().split()
            good = True
            if verb == "CAPA":
                writer.write(b"+OK\r\nUSER\r\nPIPELINING\r\n.\r\n")
                continue
            if verb == "USER":
                user = rest[0]
            elif verb == "PASS":
                good = self.answer(user, rest[0])
            writer.write(b"+OK\r\n" if good else b"-ERR no\r\n")
        writer.close()


def run_inside(ports, refused):
    inside = Inside(refused)

    async def main():
        for serve, port in zip((inside.imap, inside.pop3), ports):
            await asyncio.start_server(quiet(serve), "127.0.0.1", port,
                                       backlog=2000)
        await asyncio.Event().wait()
    asyncio.run(main())


def quiet(serve):
    async def wrapped(reader, writer):
        try:
            await serve(reader, writer)
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            writer.close()
    return wrapped


# --- clients ----------------------------------------------------------------

async def say(reader, writer, text):
    writer.write(text.encode() + b"\r\n")
    line = await reader.readline()
    if not line:
        raise ConnectionError
    return line.decode()


async def reply_of(reader):
    """The last line of an SMTP reply."""
    while True:
        line = (await reader.readline()).decode()
        if not line or line[3:4] != "-":
            return line


async def imap(reader, writer, user, word):
    await reader.readline()
    line = await say(reader, writer, "a LOGIN %s %s" % (user, word))
    if " OK" in line[:5]:
        return "right"
    return "wrong" if "AUTHENTICATIONFAILED" in line else "turned"


async def pop3(reader, writer, user, word):
    await reader.readline()
    line = await say(reader, writer, "USER " + user)
    line = await say(reader, writer, "PASS " + word)
    if line.startswith("+OK"):
        return "right"
    return "turned" if "SYS/TEMP" in line else "wrong"


async def smtp(reader, writer, user, word):
    await reply_of(reader)
    writer.write(b"EHLO there\r\n")
    await reply_of(reader)
    code = base64.b64encode(("\0%s\0%s" % (user, word)).encode()).decode()
    line = await say(reader, writer, "AUTH PLAIN " + code)
    return {"2": "right", "5": "wrong"}.get(line[:1], "turned")


SPEAK = {"imap": imap, "pop3": pop3, "smtp": smtp}


async def try_login(ports, protocol, source, user, word):
    """right, wrong (somebody was asked), turned, refused"""
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", ports[protocol], local_addr=(source, 0))
    except OSError:
        return "refused"
    try:
        return await asyncio.wait_for(
            SPEAK[protocol](reader, writer, user, word), TIMEOUT)
    except (OSError, asyncio.TimeoutError):
        return "refused"
    finally:
        writer.close()


async def guess(ports, n, guesses, accounts, came):
    source = "127.%d.%d.%d" % (100 + n // 250, n % 250, 7)
    for i in range(guesses):
        user = "user%d" % ((n * 7 + i) % accounts)
        came[await try_login(ports, PROTOCOLS[(n + i) % 3], source, user,
                             "guess-%d-%d" % (n, i))] += 1


def run_guesses(ports, first, n, guesses, accounts, results):
    os.nice(10)         # in earnest they have machines of their own
    async def main():
        came = collections.Counter()
        await asyncio.gather(*(guess(ports, first + i, guesses, accounts,
                                     came) for i in range(n)))
        results.put(dict(came))
    asyncio.run(main())


def home(n):
    return "127.%d.%d.9" % (200 + n // 250, n % 250)


def run_honest(ports, honest, phones, done, results):
    """Each from home, with every protocol in turn, until it is done."""
    came, slowest, late = collections.Counter(), 0, 0
    old = collections.Counter()

    async def live(n):
        nonlocal slowest, late
        await asyncio.sleep(n * 4 / honest)
        turn = n
        while not done.is_set():
            began = time.monotonic()
            r = await try_login(ports, PROTOCOLS[turn % 3], home(n),
                                "user%d" % n, password("user%d" % n))
            slowest = max(slowest, time.monotonic() - began)
            late += time.monotonic() - began > 1
            came[r] += 1
            turn += 1
            await asyncio.sleep(4)

    async def phone(n):
        while not done.is_set():
            old[await try_login(ports, PROTOCOLS[n % 3], home(n),
                                "user%d" % n, "old-password")] += 1
            await asyncio.sleep(1)

    async def main():
        await asyncio.gather(*map(live, range(honest)),
                             *map(phone, range(phones)))
        results.put((dict(came), slowest, late, dict(old)))
    asyncio.run(main())


# --- the siege --------------------------------------------------------------

def daemons(case, spool, inner, accounts):
    """{protocol: (daemon, port)}; each user's password is the same."""
    users = {"user%d" % i: password("user%d" % i) for i in range(accounts)}
    lines = ('trusted_networks ""', "login_attempts 0")
    sasl = sasl_lines(case, users=users)
    return {
        name: harness.Gateway(case, inner[name], *lines,
                              *(sasl if name == "smtp" else ()),
                              daemon=program, spool=spool, workers=1)
        for name, program in zip(PROTOCOLS, (
            harness.IMAPSD, harness.POP3SD, harness.SMTPSD))}


def siege(case, addresses, guesses, accounts, honest, phones):
    spool = os.path.join(harness.folder(case), "spool")
    inner = {name: harness.free_port() for name in PROTOCOLS}
    refused = multiprocessing.Value("i", 0)
    results, lives = multiprocessing.Queue(), multiprocessing.Queue()
    done = multiprocessing.Event()
    started = []

    def start(target, *args):
        p = multiprocessing.Process(target=target, args=args, daemon=True)
        p.start()
        started.append(p)

    try:
        start(run_inside, (inner["imap"], inner["pop3"]), refused)
        harness.wait_for(lambda: harness.accepts(inner["pop3"]))
        gateways = daemons(case, spool, inner, max(accounts, honest))
        ports = {name: g.plain for name, g in gateways.items()}
        start(run_honest, ports, honest, phones, done, lives)
        time.sleep(6)           # they have been at home before
        before = refused.value
        began = time.monotonic()
        half = addresses // 2
        for first, n in ((0, half), (half, addresses - half)):
            start(run_guesses, ports, first, n, guesses, accounts, results)
        came = collections.Counter()
        for _ in range(2):
            came.update(results.get(timeout=580))
        seconds = time.monotonic() - began
        done.set()
        right, slowest, late, old = lives.get(timeout=60)
        seen = refused.value - before
        total = sum(came.values())
        return Figures(
            total, came["wrong"], seen, came["refused"], came["right"],
            right.get("right", 0),
            sum(n for what, n in right.items() if what != "right"),
            slowest, late, old, seconds), gateways
    finally:
        for p in started:
            p.kill()
            p.join()


class Siege(TestCase):
    """The whole of it, when this file is run; numbers from argv."""

    sizes = (1000, 100, 100, 200, 10)

    @unittest.skipUnless(harness.ROOT, "one ledger needs root")
    def test_siege(self):
        figures, _ = siege(self, *self.sizes)
        print(json.dumps(figures._asdict(), indent=1), flush=True)
        self.assertEqual(figures.guesses, self.sizes[0] * self.sizes[1])
        self.assertLess(figures.reached, figures.guesses * 0.05)
        self.assertEqual(figures.wrong, 0)
        self.assertLess(figures.slowest, 1)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Siege.sizes = tuple(map(int, sys.argv[1:6]))
    unittest.main(argv=sys.argv[:1])
