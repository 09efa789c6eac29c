# SPDX-License-Identifier: ISC
"""A broker and an authenticator that were taken over: as far as their rows of
the README's table promise."""

import os
import platform
import socket
import struct
import threading
import time
import unittest

import harness
from case import TestCase, StandInCase, main, needs_root, not_sanitized
from harness import wait_for
from hostile import (MSG, ROLE, STEP, SYS, Channel, Hostile, event, log,
                     message, text)
from inner import StandIn
from submission import SmtpClient, SmtpScript, sasl_lines

PASSWORD = "Only-here-4711"


def peer_of(fields):
    """(role, number, serial) of MSG_PEER."""
    return struct.unpack(">BHI", fields)


class Tables:
    """What a captive of any role is tried with."""

    def mine(self, relais, role):
        return next(c for c in relais.captured if c.role == role)

    def check_filter(self, bad, forbidden):
        """The last of these costs it its life."""
        for name, *args in forbidden[:-1]:
            self.assertLess(bad.call(SYS[name], *args)[0], 0, name)
        name, *args = forbidden[-1]
        with self.assertRaises(EOFError):
            bad.call(SYS[name], *args)

    def check_log(self, relais, bad):
        """It speaks in its own name."""
        bad.master.send(log("Auth: forged\nAuth: again"))
        line = relais.wait_log("forged").string
        self.assertRegex(line, r"\[%d\]: %s %d: Auth: forged\?Auth: again$" % (
            bad.pid, bad.role, bad.number + 1))

    def check_rules(self, relais, role, messages):
        """Each costs it its place, and the master nothing."""
        master = relais.pid
        for octets in messages:
            bad = self.mine(relais, role)
            relais.captured.remove(bad)
            # the next in its place will have been taken over, too
            relais.captives.add((role, 0))
            bad.master.send(octets)
            wait_for(lambda: not bad.is_alive(), 5, "its end")
            bad.close()
            wait_for(lambda: any(c.role == role for c in relais.captured),
                     30, "the next")
        self.assertEqual(relais.pid, master)
        self.assertIsNone(relais.process.poll())


@not_sanitized
@unittest.skipUnless(platform.machine() == "x86_64", "numbers of calls")
class Broker(StandInCase, Tables):
    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def setUp(self):
        super().setUp()
        self.relais = Hostile(self, self.inner.port,
                              captives=[("broker", 0)])
        self.bad = self.mine(self.relais, "broker")

    def peers(self):
        """{(role, number): channel}, as the master gave it them."""
        found = {}
        while len(found) < 2:
            _, fields, fds = self.bad.master.await_type("PEER")
            role, number, _ = peer_of(fields)
            found[role, number] = Channel(fds[0])
            self.addCleanup(found[role, number].close)
        return found

    def test_channels(self):
        """To workers and to nobody else: none to a keeper."""
        self.assertEqual({role for role, _ in self.peers()},
                         {ROLE["ROLE_WORKER"]})

    def try_login(self):
        try:
            c = self.connect(self.relais.ssl, True)
            c.send("a LOGIN alice %s\r\n" % PASSWORD)
        except OSError:
            pass

    def look(self, channel):
        """What can be seen on it, and of descriptors that come; each client
        is admitted."""
        channel.sock.settimeout(0.1)
        try:
            kind, _, fields, fds = channel.receive()
        except TimeoutError:
            return b""
        if kind == MSG["ADMIT"]:
            channel.send(message("ADMIT_REPLY", fields[:4] + b"\0" +
                                 text("")))
        if kind == MSG["CONNECT"]:
            self.asked = True
        for fd in fds:
            with socket.socket(fileno=fd) as s:
                s.setblocking(False)
                try:
                    fields += s.recv(65536, socket.MSG_PEEK)
                except OSError:
                    pass
        return fields

    asked = False       # a worker wants an inner server for a login

    def test_sees_no_password(self):
        """It is between worker and inner server; the name is asked for."""
        heard, peers = b"", self.peers()
        thread = threading.Thread(target=self.try_login, daemon=True)
        thread.start()
        end = time.monotonic() + 4
        while time.monotonic() < end:
            for channel in peers.values():
                heard += self.look(channel)
        thread.join(10)
        self.assertTrue(self.asked)
        self.assertNotIn(PASSWORD.encode(), heard)

    def test_log(self):
        self.check_log(self.relais, self.bad)

    def test_events_are_not_its(self):
        self.check_rules(self.relais, "broker", [
            event("EVENT_AUTH", ("192.0.2.7", 1), "failed: x"),
            message("POOL", b"\xff\xff"), message("READY", bytes(4)),
            message("ACCUSE", struct.pack(">BHI", ROLE["ROLE_KEEPER"], 0, 1)),
            message("ACCUSE", struct.pack(">BHI", ROLE["ROLE_WORKER"],
                                          999, 1)),
            message(9999), message("LOG", b"\4")])
        self.relais.captives.clear()
        os.kill(self.mine(self.relais, "broker").pid, 9)
        wait_for(lambda: self.relais.pids("broker"), 30, "an honest one")
        time.sleep(0.5)
        self.assertOK(self.connect(self.relais.ssl, True).login())

    def test_filter(self):
        other = self.relais.pids("worker")[0]
        self.check_filter(self.bad, [
            ("open", b"/etc/shadow\0", 0),
            ("socket", socket.AF_UNIX, socket.SOCK_STREAM, 0),
            ("socket", socket.AF_NETLINK, socket.SOCK_RAW, 0),
            ("socket", socket.AF_INET, socket.SOCK_RAW, 1),
            ("ftruncate", 3, 0), ("kill", other, 9)])

    @needs_root
    def test_connects_to_servers_ports_only(self):
        """Where Landlock knows networks; else the kernel's word is told."""
        fd, _ = self.bad.call(SYS["socket"], socket.AF_INET,
                              socket.SOCK_STREAM, 0)
        self.assertGreaterEqual(fd, 0)
        where = struct.pack("=HH4s8x", socket.AF_INET,
                            socket.htons(self.relais.plain),
                            socket.inet_aton("127.0.0.1"))
        result, _ = self.bad.call(SYS["connect"], fd, where, 16)
        without = [l for l in self.relais.log() if "no network rules" in l or
                   "no Landlock" in l]
        self.assertTrue(result < 0 or without, result)

    def test_lies_to_workers(self):
        """A refusal, a list, a server that is none: a worker that is told
        nonsense gives that broker up, and lives."""
        peers = self.peers()
        for channel, octets in zip(peers.values(), (
                message("CONNECT_REPLY", struct.pack(">IBHI", 1, 1, 0, 0)),
                message("SIGN_REPLY", bytes(5)))):
            channel.send(octets)
            self.assertTrue(channel.ended())
        self.assertEqual(len(self.relais.pids("worker")), 2)


class Smtp(TestCase, Tables):
    kind = SmtpClient

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, SmtpScript())
        cls.inner.messages = []
        cls.more = sasl_lines(cls)

    def setUp(self):
        self.relais = Hostile(
            self, self.inner.port, *self.more, "authenticators 2",
            daemon=harness.SMTPSD, captives=self.captives)

    def client(self):
        c = self.connect(self.relais.ssl, True)
        c.ehlo()
        return c


@not_sanitized
@unittest.skipUnless(platform.machine() == "x86_64", "numbers of calls")
class Authenticator(Smtp):
    captives = (("authenticator", 0),)

    def setUp(self):
        super().setUp()
        self.bad = self.mine(self.relais, "authenticator")

    def broker(self):
        """Its channel to the broker, to which it says that it is there."""
        _, fields, fds = self.bad.master.await_type("PEER")
        self.assertEqual(peer_of(fields)[0], ROLE["ROLE_BROKER"])
        channel = Channel(fds[0])
        self.addCleanup(channel.close)
        return channel

    def test_log(self):
        self.check_log(self.relais, self.bad)

    def test_no_internet(self):
        self.check_filter(self.bad, [
            ("open", b"/etc/shadow\0", 0),
            ("openat", -100, b"/etc/sasldb2\0", 0o102, 0),
            ("socket", socket.AF_INET, socket.SOCK_STREAM, 0)])

    def test_no_other_process(self):
        with self.assertRaises(EOFError):
            self.bad.call(SYS["ptrace"], 16, self.relais.pids("worker")[0],
                          0, 0)

    def test_only_its_own_exchanges(self):
        """It says of the other's exchange that all is well: that is a broken
        rule, and who has no good password does not get in."""
        channel = self.broker()
        channel.send(message("SASL_MECHS", text("PLAIN LOGIN")))
        for number in range(1, 200):
            try:
                channel.send(message("STEP", struct.pack(
                    ">IB", number, STEP["STEP_OK"])))
            except OSError:
                break
        wait_for(lambda: not self.bad.is_alive(), 10, "its end")
        c = self.client()
        self.assertEqual(c.login("alice", "wrong")[0], 535)
        self.assertEqual(c.login()[0], 235)

    def test_accuses_nobody_else(self):
        """MSG_BROKEN is for workers that have a channel to it."""
        channel = self.broker()
        channel.send(message("SASL_MECHS", text("PLAIN LOGIN")))
        before = self.relais.pids("worker")
        for serial in range(1, 60):
            for number in range(2):
                channel.send(message("BROKEN", struct.pack(
                    ">HI", number, serial)))
        time.sleep(0.5)
        self.assertEqual(self.relais.pids("worker"), before)

    def test_forbidden_words(self):
        """To the master."""
        for octets in (event("EVENT_AUTH", ("192.0.2.7", 1)),):
            self.bad.master.send(octets)
            wait_for(lambda: not self.bad.is_alive(), 5, "its end")
        self.assertEqual(self.client().login()[0], 235)

    def test_says_yes_to_whom_it_serves(self):
        """That is its row: it decides.  But it is asked for one exchange at
        a time, and has no channel but to the broker and to those workers."""
        channel = self.broker()
        self.bad.master.sock.settimeout(0.5)
        with self.assertRaises(TimeoutError):
            self.bad.master.await_type("PEER")
        channel.send(message("SASL_MECHS", text("PLAIN LOGIN")))
        self.assertIsNone(self.relais.process.poll())


@not_sanitized
class Worker(Smtp):
    """A worker of smtpsd, and authenticators."""

    captives = (("worker", 0),)

    def setUp(self):
        super().setUp()
        self.bad = self.mine(self.relais, "worker")

    def test_no_exchange_without_a_client(self):
        self.bad.broker.send(message("AUTH", struct.pack(">I", 1)))
        self.bad.broker.sock.settimeout(1)
        with self.assertRaises(TimeoutError):
            self.bad.broker.await_type("AUTH_REPLY")

    def test_no_submission_without_a_client(self):
        self.bad.broker.send(message("SUBMIT", struct.pack(">IB", 1, 0) +
                                     text("alice") + text("a@example.org")))
        wait_for(lambda: not self.bad.is_alive(), 5, "its end")
        self.assertEqual(self.client().login()[0], 235)


if __name__ == "__main__":
    main()
