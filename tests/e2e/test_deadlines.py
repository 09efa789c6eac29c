# SPDX-License-Identifier: ISC
"""Time limits that no other file has: a handshake's own, the rate at which
octets are taken and sent; and that each row of the manual's table of waits
has a test."""

import os
import re
import socket
import threading
import time

import harness
from case import StandInCase, TestCase, main, timed
from harness import SLOW, wait_for
from inner import Script
from submission import Submission

PAGE = os.path.join(harness.TOP, "conf", "relais.conf.5")
BIG = 8 << 20


# What the manual's section DEADLINES has, and which tests show it.
ROWS = {
    "TLS handshake of a client": (
        "e2e/test_deadlines.py:Handshake.test_dripping",
        "e2e/test_imap_limits.py:BeforeLogin.test_no_handshake",),
    "PROXY header of a proxy": (
        "unit/test_session_proxy.c:test_awaited",),
    "word of the broker on a new client": (
        "unit/test_session.c:test_admit",
        "e2e/test_faults_resources.py:Stopped.test_full_queues",),
    "place for a client, where all are taken": (
        "unit/test_acceptor.c:test_others_stand_still",
        "e2e/test_full.py:Siblings.test_one_stands_still",
        "e2e/test_full.py:Imap.test_flood_of_those_that_are_told",
        "e2e/test_full.py:Single.test_silent_ones_give_way",),
    "name of a client's host": (
        "e2e/test_smtp_peername.py:Silent.test_silence",),
    "list of what inner servers can do": (
        "e2e/test_imap_capability.py:Learned.test_the_first_client_waits_for_it",),
    "login, from the first octet": (
        "e2e/test_imap_limits.py:BeforeLogin.test_activity_does_not_prolong_it",
        "e2e/test_pop3_relay.py:BeforeLogin.test_silence",),
    "check of a password": (
        "e2e/test_imap_authenticate_in.py:Pool.test_three_that_hang",
        "unit/test_session_sasl.c:test_authenticate_in",),
    "word of a keeper on a signature": (
        "e2e/test_faults_resources.py:Stopped.test_keeper",
        "unit/test_ipc_call.c:test_call_after_silence",),
    "name servers, for an inner server's name": (
        "e2e/test_imap_names.py:Down.test_the_name_server_is_silent",
        "e2e/test_faults_network.py:Names.test_slow",),
    "connection to an inner server": (
        "e2e/test_imap_names.py:Several.test_the_first_does_not_answer",
        "e2e/test_faults_resources.py:Stopped.test_broker",),
    "greeting, TLS and login at an inner server": (
        "e2e/test_imap_inner.py:Faults.test_each",
        "e2e/test_pop3_inner.py:Patience.test_as_configured",),
    "answer of an inner SMTP server": (
        "unit/test_session_mail.c:test_answers",
        "e2e/test_smtp_mail.py:Limits.test_inner_server_thinks",),
    "word of the broker on a sender": (
        "unit/test_session_mail.c:test_submits",),
    "silence after the login": (
        "e2e/test_imap_limits.py:AfterLogin.test_silence_of_both_sides",
        "e2e/test_smtp_mail.py:Limits.test_silence",),
    "peer that takes what it is sent too slowly": (
        "e2e/test_deadlines.py:Rate.test_a_client_that_drips",
        "e2e/test_deadlines.py:Rate.test_a_server_that_does_not_read",),
    "client that sends a message too slowly": (
        "e2e/test_deadlines.py:RateSmtp.test_a_message",
        "e2e/test_deadlines.py:RateSmtp.test_a_command",),
    "peer whose machine has vanished": (
        "e2e/test_faults_network.py:Vanished.test_with_mail_on_its_way",),
    "last words to a client": (
        "unit/test_session.c:test_slow_client",),
    "work under way at SIGTERM": (
        "e2e/test_smtp_data.py:Data.test_stop_timeout",
        "e2e/test_imap_crash.py:Master.test_sigterm",),
    "sessions of before a reload": (
        "e2e/test_reload.py:End.test_drain_timeout",),
    "check of a new configuration": (
        "e2e/test_reload_refused.py:Upgrade.test_program_that_cannot_take_over",),
    "sign of life of a process": (
        "e2e/test_launch.py:Notified.test_watchdog",),
    "replacement of a process": (
        "unit/test_child.c:test_backoff",
        "e2e/test_faults_resources.py:Processes.test_none_to_be_had",
        "e2e/test_faults_resources.py:Descriptors.test_master",),
    "descriptor to accept a client with": (
        "e2e/test_faults_resources.py:Descriptors.test_workers",),
    "log that takes no line": (
        "e2e/test_syslog.py:Daemons.test_away_for_too_long",
        "e2e/test_faults_resources.py:Disk.test_full_under_the_log",),
    "administrator at the control socket": (
        "e2e/test_control.py:Hostile.test_silent_ones",
        "e2e/test_control.py:Kick.test_stopped_worker",
        "e2e/test_control.py:Hostile.test_does_not_read",),
    "reader of numbers at metrics_listen": (
        "e2e/test_metrics.py:Request.test_slow",),
}


class Table(TestCase):
    def test_each_row_has_a_test(self):
        with open(PAGE) as f:
            section = re.search(r"^\.Sh DEADLINES\n(.*?)^\.Sh ", f.read(),
                                re.M | re.S).group(1)
        rows = re.findall(r"^\.It (.*)$", section, re.M)
        self.assertEqual(rows, list(ROWS))
        for row, tests in ROWS.items():
            self.assertTrue(tests, row)
            for test in tests:
                self.assertTrue(self.exists(test), "%s: %s" % (row, test))

    @staticmethod
    def exists(test):
        path, _, name = test.partition(":")
        with open(os.path.join(harness.TOP, "tests", path)) as f:
            text = f.read()
        if path.endswith(".c"):
            return re.search(r"\b%s\b" % name, text) is not None
        of, name = name.split(".")
        return re.search(
            r"^class %s\(.*?^    def %s\(self" % (of, name), text,
            re.M | re.S) is not None


class Pours(Script):
    """Sends much after the login, and then hears."""

    def session(self, peer):
        peer.send(b"* " + b"x" * BIG + b"\r\n")
        super().session(peer)


def read_slowly(c, octets, every):
    """Takes so many octets at a time; returns the seconds until the end."""
    began = time.monotonic()
    c.sock.settimeout(20 * SLOW)
    try:
        while c.sock.recv(octets):
            time.sleep(every)
    except OSError:
        pass
    return time.monotonic() - began


class Handshake(StandInCase):
    lines = ("handshake_timeout 1", "authenticate_timeout 15")

    def gone(self, c):
        _, seconds = timed(c.rest)
        self.assertGreater(seconds, 0.4)
        self.assertLess(seconds, 3 * SLOW)

    def test_silent(self):
        self.gone(self.raw(self.relais.ssl))

    def test_dripping(self):
        c = self.raw(self.relais.ssl)
        began = time.monotonic()
        try:
            for octet in b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc" + bytes(500):
                c.send(bytes((octet,)))
                time.sleep(0.05)
        except OSError:
            pass
        self.assertLess(time.monotonic() - began, 4 * SLOW)

    def test_after_starttls(self):
        c = self.connect(self.relais.starttls)
        self.assertOK(c.cmd("STARTTLS"))
        self.gone(c)

    def test_the_time_after_it_is_longer(self):
        c = self.tls()
        time.sleep(2)
        self.assertOK(c.login())


class Rate(StandInCase):
    lines = ("minimum_rate 20000", "minimum_rate_time 2", "timeout 60")

    def logged_in(self, **kw):
        c = self.raw(self.relais.ssl, True, **kw)
        c.greet()
        self.assertOK(c.login())
        return c

    def slow(self, c, mark, who="client"):
        """It is told of, and all is over."""
        client = r"127\.0\.0\.1:%d" % c.sock.getsockname()[1]
        self.relais.wait_log(r"the %s %s is slower than minimum_rate" % (
            who, client), mark, 12)
        self.relais.wait_log("Closing session: " + client, mark)

    def test_a_client_that_does_not_read(self):
        self.inner.script = Pours()
        mark = self.relais.mark()
        c = self.logged_in()
        other = self.connect(self.relais.plain)
        self.inner.script = self.script
        self.assertOK(other.login())
        self.slow(c, mark)
        self.assertOK(other.cmd("XONE"))
        c.close()

    def test_a_client_that_drips(self):
        """It takes something all the time, but next to nothing."""
        self.inner.script = Pours()
        mark = self.relais.mark()
        c = self.connect(self.relais.plain)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        c.send("a LOGIN alice secret\r\n")
        thread = threading.Thread(target=read_slowly, args=(c, 500, 0.1))
        thread.start()
        self.slow(c, mark)
        c.sock.shutdown(socket.SHUT_RDWR)
        thread.join()

    def test_a_slow_client_stays(self):
        """Some 100 KB/s, five times the least: to the last octet."""
        self.inner.script = Pours()
        c = self.connect(self.relais.plain)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        self.assertOK(c.login())
        got, began = len(c.buffer), time.monotonic()
        while time.monotonic() - began < 7:
            octets = c.sock.recv(16384)
            self.assertTrue(octets, "it was cut at %d" % got)
            got += len(octets)
            time.sleep(max(0, began + got / 100e3 - time.monotonic()))
        c.buffer.clear()
        # and then as fast as it can
        left = BIG + len("* \r\n") - got
        while left > 0:
            octets = c.sock.recv(1 << 20)
            self.assertTrue(octets)
            left -= len(octets)
        self.assertGreater(left, -10)

    def test_idle_is_not_slow(self):
        c = self.logged_in()
        time.sleep(6)
        self.assertOK(c.cmd("XONE"))
        for _ in range(6):      # nor is who sends little
            c.send("b")
            time.sleep(0.9)
        c.send(" NOOP\r\n")
        self.assertOK(c.cmd("XONE"))

    def test_a_server_that_does_not_read(self):
        class Deaf(Script):
            def session(self, peer):
                peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF,
                                     4096)
                held.wait(30 * SLOW)

        held = threading.Event()
        self.addCleanup(held.set)
        self.inner.script = Deaf()
        mark = self.relais.mark()
        c = self.logged_in()

        def pour():
            try:
                c.send(b"x" * BIG)
            except OSError:
                pass

        thread = threading.Thread(target=pour)
        thread.start()
        self.slow(c, mark, "inner server of")
        thread.join()


class RateSmtp(Submission):
    lines = ("minimum_rate 1000", "minimum_rate_time 2", "timeout 60")

    def ended(self, c, began):
        text = c.rest()
        self.assertRegex(text, r"^421 4\.4\.2 Error: timeout exceeded\r\n$")
        self.assertLess(time.monotonic() - began, 6 * SLOW)

    def drip(self, c, octets):
        """Until it is stopped."""
        c.sock.settimeout(0.2)
        while True:
            try:
                c._more()
                break
            except TimeoutError:
                c.send(octets)
        c.sock.settimeout(20)

    def test_a_message(self):
        c = self.user()
        c.begin()
        mark, began = self.relais.mark(), time.monotonic()
        self.drip(c, b"x")
        self.ended(c, began)
        self.relais.wait_log("timeout after DATA .*from", mark)
        self.assertEqual(self.inner.messages, [])

    def test_a_command(self):
        c = self.user()
        began = time.monotonic()
        self.drip(c, b"M")
        self.ended(c, began)

    def test_idle_is_not_slow(self):
        c = self.user()
        time.sleep(5)
        self.assertReply(c.cmd("NOOP"), 250)

    def test_a_slow_message_arrives(self):
        c = self.user()
        c.begin()
        for _ in range(25):
            c.send(b"x" * 498 + b"\r\n")
            time.sleep(0.2)     # 2500 a second
        self.assertReply(c.message(b""), 250)
        self.assertEqual(len(self.inner.messages), 1)

    def test_a_slow_answer_is_not_the_clients(self):
        self.inner.script = type(self.script)(replies={
            ".": lambda *_: time.sleep(5) or "250 2.0.0 Ok"})
        c = self.user()
        c.begin()
        self.assertReply(c.message(b"x\r\n"), 250)


if __name__ == "__main__":
    main()
