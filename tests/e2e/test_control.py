# SPDX-License-Identifier: ISC
"""The control socket: --status, --sessions and --kick."""

import grp
import json
import os
import pwd
import re
import signal
import socket
import struct
import subprocess
import threading
import time

import harness
from case import Pop3Case, StandInCase, TestCase, main, needs_root, timed
from client import Client, Pop3Client, plain_message
from harness import wait_for
from inner import Dovecot, Script, StandIn
from metrics import Scrape
from postfix import Postfix
from reloading import all_old_gone, reload
from submission import SmtpClient, SmtpScript, Submission, sasl_lines

GOOD, NOBODY, FAILED, NOT_RUNNING, NOT_ALLOWED = range(5)

with open(os.path.join(harness.TOP, "common", "msg.h")) as header:
    TYPES = re.findall(r"(?m)^\tMSG_(\w+)", header.read().partition(
        "enum msg_type {")[2].partition("}")[0])
ASK, ANSWER, ANSWER_END, ALIVE = (1 + TYPES.index(name) for name in (
    "ASK", "ANSWER", "ANSWER_END", "ALIVE"))
STATUS, SESSIONS, KICK = range(3)       # enum ask
VERSION = 1                             # ASK_VERSION


def ask(relais, *words, **kw):
    """The exit status of a question, and what went to stdout and stderr."""
    done = subprocess.run(
        [relais.daemon, "-f", relais.conf, "--spool_directory", relais.spool,
         *words], stdin=subprocess.DEVNULL, capture_output=True,
        timeout=20 * harness.SLOW, env=harness.ENVIRONMENT, **kw)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def told(relais, *words):
    """The same for programs."""
    status, out, err = ask(relais, *words, "--json")
    if status not in (GOOD, NOBODY):
        raise AssertionError((status, out, err))
    return json.loads(out)


def sessions(relais, user=None):
    return [s for s in told(relais, "--sessions")["sessions"]
            if user is None or s["user"] == user]


def path_of(relais):
    return os.path.join(relais.spool, "run", relais.name + ".sock")


def serves(relais):
    """Until the socket is there, which is after the clients' ports are."""
    wait_for(lambda: relais.pids("control") and os.path.exists(
        path_of(relais)), 5, "the control socket")


def has_ended(client):
    """What a client still hears until its end."""
    client.sock.settimeout(5)
    return client.rest()


class Raw:
    """A connection to the socket, for what no program of ours would say."""

    def __init__(self, case, relais):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        case.addCleanup(self.sock.close)
        self.sock.settimeout(10)
        self.sock.connect(path_of(relais))

    def send(self, data):
        self.sock.send(data)

    def ask(self, what, user=b"", version=VERSION, as_json=0):
        self.send(struct.pack(">HIHBBI", ASK, 0, version, what, as_json,
                              len(user)) + user)

    def ended(self):
        try:
            return self.sock.recv(65536) == b""
        except ConnectionResetError:
            return True


class Shared(StandInCase):
    """Several workers, several users."""

    script = Script(users={"alice": "secret", "bob": "hunter2"})
    workers = 4

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.relais = harness.Gateway(cls, cls.inner.port, *cls.lines,
                                     workers=cls.workers, daemon=cls.daemon)

    def setUp(self):
        super().setUp()
        serves(self.relais)
        self.mark = self.relais.mark()
        # those of the test before have gone
        wait_for(lambda: not sessions(self.relais), 5, "an empty list")

    def user(self, name="alice", **kw):
        c = self.connect(self.relais.ssl, True, **kw)
        self.assertOK(c.login(name, self.script.users[name]))
        return c

    def assertWorks(self, c):
        self.assertOK(c.cmd("NOOP"))


class Totals(TestCase):
    """--status and metrics tell the same."""

    def start(self, script):
        self.inner = StandIn(self, script)
        self.metrics = harness.free_port()
        self.relais = harness.Gateway(
            self, self.inner.port, "metrics_listen 127.0.0.1:%d" %
            self.metrics)
        serves(self.relais)

    def connect(self):
        c = Client(self.relais.ssl, True)
        self.addCleanup(c.close)
        return c

    def status(self):
        return told(self.relais, "--status")

    def test_numbers(self):
        self.start(Script())
        first = self.status()["totals"]
        for _ in range(2):
            c = self.connect()
            self.assertTrue(c.login())
        bad = self.connect()
        bad.login("alice", "wrong")
        bad.close()
        now = self.status()["totals"]
        self.assertEqual(
            {k: now[k] - first[k] for k in now if now[k] != first[k] and
             not k.startswith("bytes") and k != "delay_seconds"},
            {"connections": 3, "tls_handshakes": 3, "logins": 2,
             "logins_refused": 1, "refusals_delayed": 1})
        self.assertGreater(now["bytes_sent"], first["bytes_sent"])
        self.assertGreater(now["bytes_received"], first["bytes_received"])
        self.assertNotIn("messages", now)
        s = Scrape(self.metrics)
        for name, total, labels in (
                ("connections_accepted_total", "connections", {}),
                ("tls_handshakes_total", "tls_handshakes", {}),
                ("logins_total", "logins", {"result": "ok"}),
                ("logins_total", "logins_refused", {"result": "refused"}),
                ("login_delays_total", "refusals_delayed", {}),
                ("reloads_total", "reloads", {"result": "done"}),
                ("log_lines_lost_total", "log_lines_lost", {})):
            self.assertEqual(s.value("relais_" + name, **labels), now[total],
                             name)
        table = ask(self.relais, "--status")[1]
        self.assertRegex(table, r"\nlogins +2 +1 +0\n")
        # they are of the daemon, not of this generation
        reload(self.relais)
        serves(self.relais)
        after = self.status()["totals"]
        self.assertEqual(after["reloads"], 1)
        for k in "logins", "logins_refused", "tls_handshakes":
            self.assertEqual(after[k], now[k], k)

    def test_servers(self):
        self.start(Script())
        self.assertTrue(self.connect().login())
        for up in True, False:
            server, = self.status()["servers"]
            self.assertEqual(server["up"], up)
            self.assertEqual(Scrape(self.metrics).value(
                "relais_inner_server_up"), up)
            if up:
                self.inner.stop()
                self.connect().login()


class Status(Shared):
    def test_table(self):
        c = self.user()
        status, out, err = ask(self.relais, "--status")
        self.assertEqual((status, err), (GOOD, ""))
        for line in out.splitlines():
            self.assertLessEqual(len(line), 80, line)
        self.assertRegex(out, r"\Aimapsd \S+, pid %d, up \d+s, "
                         r"generation 1\n" % self.relais.pid)
        self.assertIn("\nsessions   1 of at most ", out)
        self.assertIn(", 1 logged in, at 4 workers\n", out)
        self.assertIn("\nlistening  127.0.0.1:%d ssl\n" % self.relais.ssl,
                      out)
        self.assertIn("127.0.0.1:%d starttls\n" % self.relais.starttls, out)
        self.assertIn("\nservers    127.0.0.1:%d up\n" % self.inner.port, out)
        self.assertRegex(out, r"\ncerts +/\S+: \d+ days? left, until \d{4}-")
        for pid in self.relais.pids("worker"):
            self.assertRegex(out, r"\nworker \d +%d  serves +[01] +1 " % pid)
        self.assertWorks(c)

    def test_json(self):
        self.user()
        got = told(self.relais, "--status")
        self.assertEqual(
            (got["daemon"], got["pid"], got["generation"], got["sessions"],
             got["logged_in"]), ("imapsd", self.relais.pid, 1, 1, 1))
        self.assertEqual(
            sorted((p["role"], p["pid"]) for p in got["processes"]),
            sorted((role, pid) for pid, (role, _) in
                   self.relais.processes().items() if role != "master"))
        self.assertEqual(sum(p["sessions"] or 0 for p in got["processes"]), 1)
        self.assertIn({"address": "127.0.0.1:%d" % self.relais.plain,
                       "mode": "plain"}, got["listeners"])
        self.assertEqual([(s["host"], s["port"], s["up"])
                          for s in got["servers"]],
                         [("127.0.0.1", self.inner.port, True)])
        pair = harness.gateway_pair()
        told_by = subprocess.run(
            ["openssl", "x509", "-in", pair.cert, "-noout", "-enddate",
             "-dateopt", "iso_8601"], capture_output=True, check=True)
        cert, = got["certificates"]
        self.assertEqual(cert["file"], pair.cert)
        self.assertEqual(
            "notAfter=" + cert["not_after"].replace("T", " "),
            told_by.stdout.decode().strip())

    def test_uptime_is_the_masters(self):
        began = int(harness.proc_read(self.relais.pid, "stat").rpartition(
            ")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - began
        got = told(self.relais, "--status")["uptime_seconds"]
        self.assertAlmostEqual(got, age, delta=2)

    @needs_root
    def test_restart_is_counted(self):
        victim = self.relais.pids("keeper")[0]
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: victim not in self.relais.pids("keeper") and
                 self.relais.pids("keeper"), 5, "another")
        found = [p["restarts"] for p in
                 told(self.relais, "--status")["processes"]
                 if p["role"] == "keeper"]
        self.assertEqual(max(found), 1)

    @needs_root
    def test_control_comes_back(self):
        before, = self.relais.pids("control")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.relais.pids("control") not in ([], [before]),
                 5, "another control")
        self.assertEqual(ask(self.relais, "--status")[0], GOOD)

    def test_server_down(self):
        self.inner.stop()
        c = self.connect(self.relais.ssl, True)
        self.assertNO(c.login(), "UNAVAILABLE")
        got, = told(self.relais, "--status")["servers"]
        self.assertFalse(got["up"])
        self.assertGreater(got["failures"], 0)
        self.assertIn(" down (failures: ", ask(self.relais, "--status")[1])
        self.inner.start()
        wait_for(lambda: self.connect(self.relais.ssl, True).login().status
                 == "OK", 10, "the inner server to be taken again", 0.5)


class Sessions(Shared):
    def test_octets_are_exact(self):
        c = self.user()
        before, = sessions(self.relais)
        self.assertEqual((before["received"], before["sent"]), (0, 0))
        sent = got = 0
        for _ in range(3):
            line = b"x NOOP " + b"y" * 1000 + b"\r\n"
            c.send(line)
            sent += len(line)
            while True:
                reply = c.line()
                got += len(reply) + 2
                if reply.startswith("x "):
                    break
        now, = sessions(self.relais)
        self.assertEqual((now["received"], now["sent"]), (sent, got))

    def test_fields(self):
        c = self.user(source="127.0.0.9")
        s, = sessions(self.relais)
        self.assertEqual(s["client"], "127.0.0.9:%d" % c.sock.getsockname()[1])
        self.assertEqual(s["server"], "127.0.0.1:%d" % self.inner.port)
        self.assertEqual((s["user"], s["state"], s["client_tls"]),
                         ("alice", "logged-in", "ssl"))
        self.assertEqual(s["tls_version"], c.sock.version())
        self.assertIn(s["tls_cipher"], c.sock.cipher()[0])
        self.assertIn(s["pid"], self.relais.pids("worker"))
        since = time.mktime(time.strptime(s["since"], "%Y-%m-%dT%H:%M:%SZ"))
        self.assertAlmostEqual(since - time.timezone, time.time(), delta=5)
        status, out, _ = ask(self.relais, "--sessions")
        self.assertEqual(status, GOOD)
        self.assertRegex(out, r"\nalice +127\.0\.0\.9 +in +\d\d:\d\d:\d\d "
                         r"+127\.0\.0\.1:%d +0 +0 %d\n1 session\n\Z" % (
                             self.inner.port, s["pid"]))

    def test_before_the_login(self):
        self.connect(self.relais.plain)
        s, = sessions(self.relais)
        self.assertEqual((s["user"], s["state"], s["server"],
                          s["client_tls"]), (None, "login", None, None))

    def test_hostile_name(self):
        name = 'a"\\\x1b[31m\u00fc\u202e,{'
        users = dict(self.script.users)
        users[name] = "p"
        self.inner.script = Script(users=users)
        c = self.connect(self.relais.ssl, True)
        self.assertOK(c.cmd("LOGIN {%d+}\r\n%s p" % (
            len(name.encode()), name)))
        s, = sessions(self.relais)
        self.assertEqual(s["user"], name)
        _, out, _ = ask(self.relais, "--sessions")
        self.assertTrue(out.isascii() and out.replace("\n", "").isprintable())
        # and it can be kicked by that name
        self.assertEqual(told(self.relais, "--kick", name)["ended"], 1)
        self.assertEqual(has_ended(c), "")

    def test_many(self):
        """600, of which some have logged in, in less than a second."""
        some = [self.user() for _ in range(40)]
        many = [self.connect(self.relais.plain) for _ in range(560)]
        (status, out, err), took = timed(ask, self.relais, "--sessions")
        self.assertEqual((status, err), (GOOD, ""))
        self.assertTrue(out.endswith("\n600 sessions\n"), out[-200:])
        self.assertEqual(len(out.splitlines()), 602)
        self.assertEqual(len(re.findall(r"(?m)^alice ", out)), 40)
        self.assertLess(took, 1 * harness.SLOW)
        for c in some:
            self.assertWorks(c)
        for c in many:
            c.close()


class Kick(Shared):
    def test_that_user_alone(self):
        """On all workers, within a second, and nobody else."""
        bobs = [self.user("bob") for _ in range(24)]
        alices = [self.user() for _ in range(24)]
        strangers = [self.connect(self.relais.plain) for _ in range(4)]
        self.assertGreater(len({s["pid"] for s in sessions(
            self.relais, "bob")}), 1, "all on one worker")
        (status, out, err), took = timed(ask, self.relais, "--kick", "bob")
        self.assertEqual((status, err), (GOOD, ""))
        self.assertEqual(out, '24 sessions of "bob" ended\n')
        began = time.monotonic()
        for c in bobs:
            self.assertEqual(has_ended(c), "")      # no BYE in the relay
        self.assertLess(took + time.monotonic() - began, 1 * harness.SLOW)
        for c in alices:
            self.assertWorks(c)
        for c in strangers:
            self.assertOK(c.cmd("NOOP"))
        wait_for(lambda: len([l for l in self.relais.log(self.mark) if
                              'kicked by uid %d: user="bob" client=127.'
                              % os.geteuid() in l]) == 24, 3,
                 "a line for each")
        self.relais.wait_log(r'kick of "bob" by uid %d: 24 sessions ended'
                             % os.geteuid(), self.mark)
        wait_for(lambda: not sessions(self.relais, "bob"), 1, "their end")
        self.assertEqual(len(sessions(self.relais, "alice")), 24)
        self.assertOK(self.user("bob").cmd("NOOP"))     # may come again

    def test_nobody(self):
        c = self.user()
        for name in ("carol", "alic", "alice2", "alice\0", " alice"):
            with self.subTest(name=name):
                if "\0" in name:
                    raw = Raw(self, self.relais)
                    raw.ask(KICK, name.encode())
                    self.assertIn(b"0 sessions of", raw.sock.recv(65536))
                    continue
                status, out, _ = ask(self.relais, "--kick", name)
                self.assertEqual(status, NOBODY)
                self.assertEqual(out, '0 sessions of "%s" ended\n' % name)
        self.assertWorks(c)

    def test_in_case_only(self):
        """Names that differ in case may be two users': the one that is there
        is named, and keeps its sessions; one that is meant is hit alone."""
        self.inner.script.users["Alice"] = "secret"
        self.addCleanup(self.inner.script.users.pop, "Alice")
        small = [self.user() for _ in range(12)]
        status, out, _ = ask(self.relais, "--kick", "ALICE")
        self.assertEqual((status, out), (
            NOBODY, '0 sessions of "ALICE" ended; did you mean "alice"?\n'))
        big = self.user("Alice")
        status, out, _ = ask(self.relais, "--kick", "ALICE")
        self.assertEqual(status, NOBODY)
        self.assertIn(out, ['0 sessions of "ALICE" ended; did you mean '
                            '"%s" or "%s"?\n' % names for names in
                            (("alice", "Alice"), ("Alice", "alice"))])
        self.assertEqual(sorted(told(self.relais, "--kick", "aLICE")[
            "similar"]), ["Alice", "alice"])
        for c in small + [big]:
            self.assertWorks(c)
        status, out, _ = ask(self.relais, "--kick", "Alice")
        self.assertEqual((status, out), (GOOD,
                                         '1 session of "Alice" ended\n'))
        self.assertEqual(has_ended(big), "")
        for c in small:
            self.assertWorks(c)

    def test_a_client_that_does_not_read(self):
        """It is gone from the inner server, too, within a second."""
        c = self.user()
        self.assertEqual(len(self.inner.peers()), 1)
        self.assertEqual(ask(self.relais, "--kick", "alice")[0], GOOD)
        wait_for(lambda: not self.inner.peers() and
                 not sessions(self.relais), 1, "the inner side's end")
        c.close()

    def test_within_the_login(self):
        """The inner server has not answered yet."""
        reached, go = threading.Event(), threading.Event()

        class Slow(Script):
            def login(self, peer, *rest):
                reached.set()
                go.wait(10)
                return super().login(peer, *rest)
        self.inner.script = Slow(users=self.script.users)
        self.addCleanup(go.set)
        c = self.connect(self.relais.ssl, True)
        c.send("x LOGIN alice secret\r\n")
        self.assertTrue(reached.wait(5))
        s, = sessions(self.relais)
        self.assertEqual((s["user"], s["state"]), ("alice", "login"))
        self.assertEqual(told(self.relais, "--kick", "alice")["ended"], 1)
        self.assertEqual(has_ended(c), "")
        go.set()

    def test_a_refused_name_is_nobody(self):
        c = self.connect(self.relais.ssl, True)
        self.assertNO(c.login("alice", "wrong"))
        self.assertEqual(told(self.relais, "--kick", "alice")["ended"], 0)
        self.assertOK(c.login())

    @needs_root
    def test_stopped_worker(self):
        """It hangs: the others are told of, and it is named."""
        clients = [self.user() for _ in range(16)]
        pids = [s["pid"] for s in sessions(self.relais)]
        victim = pids[0]
        others = sum(p != victim for p in pids)
        self.assertGreater(others, 0, "all on one worker")
        os.kill(victim, signal.SIGSTOP)
        try:
            for words, least in (("--sessions",), others), (("--status",), 0):
                (status, out, err), took = timed(ask, self.relais, *words)
                self.assertEqual(status, FAILED)
                self.assertIn("(pid %d) cannot be asked, or does not "
                              "answer" % victim, err)
                self.assertLess(took, 3 * harness.SLOW)
                self.assertGreaterEqual(out.count("alice"), least)
            self.assertRegex(out, r" %d  silent " % victim)
            status, out, err = ask(self.relais, "--kick", "alice")
            self.assertEqual(status, FAILED)
            self.assertIn("(pid %d) cannot be asked, or does not "
                              "answer" % victim, err)
            self.assertEqual(out, '%d session%s of "alice" ended\n' % (
                others, "" if others == 1 else "s"))
        finally:
            os.kill(victim, signal.SIGCONT)
        # it has heard of it by now, and late answers confuse nobody
        for c in clients:
            self.assertEqual(has_ended(c), "")
        wait_for(lambda: not sessions(self.relais), 1, "their end")


class Names(Shared):
    lines = ("lower_case remote_login", "strip_domain remote_login",
             "domain_delimiter @")

    def test_the_name_that_the_inner_server_knows(self):
        c = self.connect(self.relais.ssl, True)
        self.assertOK(c.login("ALICE@example.org"))
        d = self.user("bob")
        self.assertEqual(sorted(s["user"] for s in sessions(self.relais)),
                         ["alice", "bob"])
        self.assertEqual(ask(self.relais, "--kick", "ALICE@example.org")[0],
                         NOBODY)
        self.assertEqual(ask(self.relais, "--kick", "alice")[0], GOOD)
        self.assertEqual(has_ended(c), "")
        self.assertWorks(d)


class Single(Shared):
    """A process for each client."""

    lines = ("worker_connections 1",)
    workers = 3

    def test_kick(self):
        bobs = [self.user("bob") for _ in range(6)]
        alices = [self.user() for _ in range(6)]
        self.assertEqual(len({s["pid"] for s in sessions(self.relais)}), 12)
        got, took = timed(told, self.relais, "--kick", "bob")
        self.assertEqual((got["ended"], got["silent"]), (6, 0))
        began = time.monotonic()
        for c in bobs:
            self.assertEqual(has_ended(c), "")
        self.assertLess(took + time.monotonic() - began, 1 * harness.SLOW)
        for c in alices:
            self.assertWorks(c)
        wait_for(lambda: self.states() == ["serves"] * 6 +
                 ["waits"] * self.workers, 2, "the workers' end")

    def test_many_in_the_table(self):
        """They share a row, and each has its own for programs."""
        clients = [self.user() for _ in range(40)]
        wait_for(lambda: self.states() == ["serves"] * 40 +
                 ["waits"] * self.workers, 5, "the spares")
        status, out, _ = ask(self.relais, "--status")
        self.assertEqual(status, GOOD)
        self.assertRegex(out, r"\n40 workers +-  serves +40 +1 +- +-\n")
        self.assertRegex(out, r"\n%d workers +-  waits +0 +1 +- +-\n"
                         % self.workers)
        self.assertNotIn("\nworker ", out)
        for c in clients:
            self.assertWorks(c)

    def states(self):
        return sorted(p["state"] for p in told(self.relais, "--status")
                      ["processes"] if p["role"] == "worker")


class Reload(Shared):
    def test_old_generations(self):
        """They are told of, and kicked, like the new one."""
        was = told(self.relais, "--status")["generation"]
        old = self.user()
        other = self.user("bob")
        reload(self.relais)
        wait_for(lambda: (was + 1, "serves") in self.controls(), 5,
                 "the new control")
        new = self.user()
        got = told(self.relais, "--status")
        self.assertEqual((got["generation"], got["sessions"]), (was + 1, 3))
        drains = {p["generation"] for p in got["processes"]
                  if p["state"] == "drains" and p["role"] == "worker"}
        self.assertEqual(drains, {was})
        self.assertEqual(
            sorted((s["user"], s["state"], s["generation"])
                   for s in sessions(self.relais)),
            [("alice", "draining", was), ("alice", "logged-in", was + 1),
             ("bob", "draining", was)])
        self.assertEqual(told(self.relais, "--kick", "alice")["ended"], 2)
        self.assertEqual((has_ended(old), has_ended(new)), ("", ""))
        self.assertWorks(other)
        other.close()
        all_old_gone(self.relais)
        got = told(self.relais, "--status")
        self.assertEqual({p["generation"] for p in got["processes"]},
                         {was + 1})

    def controls(self):
        return [(p["generation"], p["state"]) for p in
                told(self.relais, "--status")["processes"]
                if p["role"] == "control"]

    def test_always_answered(self):
        c = self.user()
        results, over = [], threading.Event()

        def keep_asking():
            while not over.is_set():
                results.append(ask(self.relais, "--status"))
        asking = threading.Thread(target=keep_asking)
        asking.start()
        try:
            for _ in range(3):
                reload(self.relais)
        finally:
            over.set()
            asking.join()
        self.assertGreater(len(results), 2)
        self.assertEqual([r for r in results if r[0] != GOOD], [])
        self.assertWorks(c)
        c.close()
        all_old_gone(self.relais)


class Rights(TestCase):
    """Who may ask, and what becomes of the socket."""

    def gateway(self, *lines, **kw):
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port, *lines, **kw)
        serves(relais)
        return relais

    def as_nobody(self, relais, *words, groups=()):
        user = pwd.getpwnam("nobody")
        return ask(relais, *words, user=user.pw_uid, group=user.pw_gid,
                   extra_groups=list(groups))

    @needs_root
    def test_without_a_group(self):
        relais = self.gateway()
        st = os.stat(path_of(relais))
        self.assertEqual((st.st_mode & 0o7777, st.st_uid, st.st_gid),
                         (0o600, 0, 0))
        for words in (["--status"], ["--sessions", "--json"],
                      ["--kick", "alice"]):
            status, out, err = self.as_nobody(relais, *words)
            self.assertEqual((status, out), (NOT_ALLOWED, ""))
            self.assertIn("only root and control_group may ask", err)

    @needs_root
    def test_group(self):
        relais = self.gateway("control_group games")
        gid = grp.getgrnam("games").gr_gid
        st = os.stat(path_of(relais))
        self.assertEqual((st.st_mode & 0o7777, st.st_uid, st.st_gid),
                         (0o660, 0, gid))
        self.assertEqual(self.as_nobody(relais, "--status")[0], NOT_ALLOWED)
        mark = relais.mark()
        status, out, _ = self.as_nobody(relais, "--kick", "x", groups=[gid])
        self.assertEqual((status, out), (NOBODY, '0 sessions of "x" ended\n'))
        relais.wait_log(r'kick of "x" by uid %d: ' %
                        pwd.getpwnam("nobody").pw_uid, mark)

    @needs_root
    def test_the_kernels_word(self):
        """Where the mode lets somebody in by mistake, nothing is said."""
        relais = self.gateway("control_group games")
        os.chmod(path_of(relais), 0o666)
        mark = relais.mark()
        status, out, err = self.as_nobody(relais, "--sessions")
        self.assertEqual((status, out), (FAILED, ""))
        relais.wait_log(r"uid %d has no right to the control socket" %
                        pwd.getpwnam("nobody").pw_uid, mark)

    @needs_root
    def test_unknown_group(self):
        relais = self.gateway()
        status, out = harness.run_imapsd(
            "-f", relais.conf, "--spool_directory", relais.spool,
            "--control_group", "nosuchgroup", "--check_config")
        self.assertEqual(status, 1)
        self.assertIn("control_group: the group nosuchgroup does not exist",
                      out)

    def test_not_running(self):
        relais = self.gateway()
        relais.stop()
        self.assertFalse(os.path.exists(path_of(relais)))
        for words in ["--status"], ["--kick", "alice"]:
            status, out, err = ask(relais, *words)
            self.assertEqual((status, out), (NOT_RUNNING, ""))
            self.assertIn("imapsd does not run", err)

    @needs_root
    def test_killed_master(self):
        """What it leaves is taken over by the next one."""
        relais = self.gateway()
        for pid in relais.kill():
            wait_for(lambda p=pid: not harness.proc_read(p, "cmdline"), 5)
        self.assertEqual(ask(relais, "--status")[0], NOT_RUNNING)
        self.assertTrue(os.path.exists(path_of(relais)))
        relais.start()
        serves(relais)
        wait_for(lambda: ask(relais, "--status")[0] == GOOD, 5)
        relais.stop()

    @needs_root
    def test_a_second_instance(self):
        """It leaves the first one's alone; with one of its own it is well."""
        first = self.gateway()
        inner = StandIn(self)
        second = harness.Gateway(self, inner.port, spool=first.spool)
        second.wait_log(r"control_socket \S+: another daemon has it")
        self.assertEqual(told(first, "--status")["pid"], first.pid)
        own = os.path.join(second.folder, "sock")
        third = harness.Gateway(self, inner.port, "control_socket " + own,
                                spool=first.spool)
        wait_for(lambda: os.path.exists(own), 5)
        self.assertEqual(told(third, "--status")["pid"], third.pid)
        second.stop()
        self.assertEqual(told(first, "--status")["pid"], first.pid)

    @needs_root
    def test_no_file_is_taken_for_a_socket(self):
        path = os.path.join(harness.folder(self), "precious")
        with open(path, "w") as f:
            f.write("mine\n")
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port, "control_socket " + path)
        relais.wait_log("there is a file that is no socket")
        relais.stop()
        with open(path) as f:
            self.assertEqual(f.read(), "mine\n")

    def test_one_client(self):
        """As inetd's nowait has it: it has none."""
        harness.need_users()
        inner, path = StandIn(self), harness.folder(self)
        spool, conf = os.path.join(path, "spool"), os.path.join(path, "conf")
        pair = harness.gateway_pair()
        with socket.create_server(("127.0.0.1",
                                   harness.free_port())) as listener:
            c = socket.create_connection(listener.getsockname(), 10)
            self.addCleanup(c.close)
            served, _ = listener.accept()
        with open(conf, "w") as f:
            f.write("listen 127.0.0.1:%d starttls\noutgoing_server "
                    "127.0.0.1:%d\nssl_cert_file %s\nssl_key_file %s\n"
                    "log_facility %s/log\nspool_directory %s\n" % (
                        served.getsockname()[1], inner.port, pair.cert,
                        pair.key, path, spool))
        p = subprocess.Popen(
            [harness.IMAPSD, "-f", conf, "--inetd_mode"], stdin=served,
            stdout=served, stderr=served, env=harness.ENVIRONMENT)
        served.close()
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.assertTrue(c.recv(1000).startswith(b"* OK"))
        titles = [harness.proc_read(pid, "cmdline")
                  for pid in harness.children(p.pid)]
        self.assertTrue(any("worker" in t for t in titles))
        self.assertFalse(any("control" in t for t in titles), titles)
        self.assertFalse(os.path.exists(spool + "/run/imapsd.sock"))
        c.close()
        self.assertEqual(p.wait(10), 0)

    def test_none(self):
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port, 'control_socket ""')
        self.assertEqual(relais.pids("control"), [])
        status, out, err = ask(relais, "--status")
        self.assertEqual((status, out), (FAILED, ""))
        self.assertIn("there is no control_socket", err)

    @needs_root
    def test_reload_without(self):
        """Its place is cleared, and with the next reload it is there again."""
        relais = self.gateway()
        text = relais.text
        with open(relais.conf, "w") as f:
            f.write(text + 'control_socket ""\n')
        reload(relais)
        wait_for(lambda: not os.path.exists(path_of(relais)), 5)
        wait_for(lambda: not relais.pids("control"), 5)
        with open(relais.conf, "w") as f:
            f.write(text)
        reload(relais)
        serves(relais)
        wait_for(lambda: ask(relais, "--status")[0] == GOOD, 5)

    def test_a_configuration_in_the_making(self):
        relais = self.gateway()
        with open(relais.conf, "a") as f:
            f.write("no_such_directive yes\n")
        status, out, err = ask(relais, "--status")
        self.assertEqual(status, GOOD)
        self.assertIn("has faults; see --check_config", err)

    def test_wrong_words(self):
        relais = self.gateway()
        for words in (["--status", "--sessions"], ["--json"], ["--kick"],
                      ["--kick", ""], ["--kick", "a", "--status"],
                      ["--kick", "x" * 2000], ["--statu"]):
            status, out, err = ask(relais, *words)
            self.assertEqual((status, out), (FAILED, "")
                             if words != ["--statu"] else (1, ""), words)
            self.assertNotEqual(err, "")


class Hostile(Shared):
    """Whoever may ask asks for something else."""

    def header(self, kind, number=0):
        return struct.pack(">HI", kind, number)

    def test_malformed(self):
        c = self.user()
        for data in (b"\0", b"\0" * 5, self.header(ASK), self.header(0xffff),
                     self.header(ANSWER) + b"\0\0\0\0",
                     self.header(ALIVE),
                     self.header(ASK) + b"x" * 12000,
                     b"x" * 60000,
                     struct.pack(">HIHBBI", ASK, 0, 1, 9, 0, 0),
                     struct.pack(">HIHBBI", ASK, 0, 1, STATUS, 2, 0),
                     struct.pack(">HIHBBI", ASK, 0, 1, KICK, 0, 0),
                     struct.pack(">HIHBBI", ASK, 0, 1, KICK, 0, 5) + b"al",
                     struct.pack(">HIHBBI", ASK, 0, 1, KICK, 0, 2000) +
                     b"a" * 2000,
                     struct.pack(">HIHBBI", ASK, 0, 1, STATUS, 0, 0) + b"x"):
            with self.subTest(data=data[:20]):
                raw = Raw(self, self.relais)
                raw.send(data)
                self.assertTrue(raw.ended())
        self.assertEqual(ask(self.relais, "--status")[0], GOOD)
        self.assertWorks(c)

    def test_a_descriptor(self):
        raw = Raw(self, self.relais)
        socket.send_fds(raw.sock, [struct.pack(
            ">HIHBBI", ASK, 0, VERSION, STATUS, 0, 0)], [0])
        self.assertTrue(raw.ended())

    def test_another_version(self):
        raw = Raw(self, self.relais)
        raw.ask(STATUS, version=VERSION + 1)
        got = raw.sock.recv(65536)
        self.assertEqual(struct.unpack(">HIB", got[:7]),
                         (ANSWER_END, 0, FAILED))
        self.assertIn(b"reload it", got)

    def test_twice(self):
        raw = Raw(self, self.relais)
        raw.ask(STATUS)
        raw.ask(STATUS)
        got = b""
        while not got or got != b"":
            try:
                got = raw.sock.recv(65536)
            except ConnectionResetError:
                got = b""
            if got == b"":
                break
        self.assertEqual(ask(self.relais, "--status")[0], GOOD)

    def test_silent_ones(self):
        """More than there are places for: the next one waits for a few
        seconds, and no client of the daemon's does."""
        silent = [Raw(self, self.relais) for _ in range(40)]
        c = self.user()
        self.assertWorks(c)
        (status, _, err), took = timed(ask, self.relais, "--sessions")
        self.assertEqual((status, err), (GOOD, ""))
        self.assertLess(took, 20 * harness.SLOW)
        del silent

    def test_does_not_read(self):
        """An answer that nobody reads keeps others for ten seconds at most,
        and a client that leaves for none."""
        many = [self.connect(self.relais.plain) for _ in range(200)]
        raw = Raw(self, self.relais)
        raw.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        raw.ask(SESSIONS, as_json=1)
        time.sleep(0.1)
        raw.sock.close()
        (status, out, _), took = timed(ask, self.relais, "--sessions")
        self.assertEqual(status, GOOD)
        self.assertLess(took, 2 * harness.SLOW)
        for m in many:
            m.close()


class Pop3(Pop3Case):
    def test_kick(self):
        serves(self.relais)
        clients = [self.connect(self.relais.ssl, True) for _ in range(3)]
        for c in clients[:2]:
            self.assertYes(c.login())
        self.assertEqual(sorted(s["user"] or "" for s in sessions(
            self.relais)), ["", "alice", "alice"])
        self.assertEqual(told(self.relais, "--kick", "alice")["ended"], 2)
        self.assertEqual([has_ended(c) for c in clients[:2]], ["", ""])
        self.assertYes(clients[2].login())


class Smtp(Submission):
    USER = "alice@example.org"

    def setUp(self):
        super().setUp()
        serves(self.relais)
        self.mark = self.relais.mark()

    def kick(self, user=USER):
        return told(self.relais, "--kick", user)

    def test_between_commands(self):
        c = self.user()
        s, = sessions(self.relais, self.USER)
        self.assertEqual((s["state"], s["server"]), ("logged-in", None))
        self.assertEqual(self.kick()["ended"], 1)
        self.assertEqual(has_ended(c), "421 4.7.0 Error: session ended by "
                         "the administrator\r\n")

    def test_within_a_message(self):
        """It ends within a second, and the inner server has no message."""
        c = self.user()
        other = self.tls()
        other.ehlo()
        self.assertReply(other.login("bob", "hunter2"), 235)
        c.begin("b@example.net")
        c.send(b"Subject: x\r\n\r\nhalf\r\n")
        self.assertEqual(
            [s["server"] for s in sessions(self.relais, self.USER)],
            ["127.0.0.1:%d" % self.inner.port])
        began = time.monotonic()
        self.assertEqual(self.kick()["ended"], 1)
        has_ended(c)
        self.assertLess(time.monotonic() - began, 1 * harness.SLOW)
        wait_for(lambda: not self.inner.peers(), 2, "the inner side's end")
        self.assertEqual(self.inner.messages, [])
        other.begin("b@example.net")
        self.assertReply(other.message(b"all\r\n"), 250)

    def test_message_in_time(self):
        """What ends within the second has its answer."""
        c = self.user()
        c.begin("b@example.net")
        c.send(b"half\r\n")
        self.kick()
        c.send(b"rest\r\n.\r\n")
        self.assertReply(c.reply(), 250)
        self.assertTrue(has_ended(c).startswith("421 4.7.0 "))
        self.assertEqual(len(self.inner.messages), 1)

    def test_owed(self):
        """The inner server has the whole message: its word is passed on."""
        come = threading.Event()

        def slow(peer, line):
            come.set()
            time.sleep(2)
            return "250 2.0.0 Ok: queued as 4711"
        self.inner.script = SmtpScript(replies={".": slow})
        c = self.user()
        c.begin("b@example.net")
        c.send(b"all\r\n.\r\n")
        self.assertTrue(come.wait(5))
        got = self.kick()
        self.assertEqual((got["ended"], got["owed"]), (1, 1))
        self.assertReply(c.reply(), 250, "2.0.0")
        self.assertTrue(has_ended(c).startswith("421 4.7.0 "))
        self.assertEqual(len(self.inner.messages), 1)


    @needs_root
    def test_a_name_that_is_not_known_yet(self):
        """Cyrus SASL has not told who it is: that is said."""
        helpers = self.relais.pids("authenticator")
        for pid in helpers:
            os.kill(pid, signal.SIGSTOP)
        try:
            c = self.tls()
            c.ehlo()
            c.send("AUTH PLAIN %s\r\n" % plain_message("alice", "secret"))
            wait_for(lambda: self.kick()["unknown"] == 1, 5, "the login")
            got = self.kick()
            self.assertEqual((got["ended"], got["unknown"]), (0, 1))
            status, out, _ = ask(self.relais, "--kick", self.USER)
            self.assertEqual(status, NOBODY)
            self.assertIn("1 in a login of a user not known yet: ask again",
                          out)
        finally:
            for pid in helpers:
                os.kill(pid, signal.SIGCONT)
        self.assertReply(c.reply(), 235)
        self.assertEqual(self.kick()["ended"], 1)


class RealServers(TestCase):
    """Dovecot and Postfix behind all three daemons."""

    def test_imap_and_pop3(self):
        dovecot = Dovecot(self)
        dovecot.deliver("alice", b"Subject: x\r\n\r\ny\r\n")
        imap = harness.Gateway(self, dovecot.port, workers=4)
        pop3 = harness.Gateway(self, dovecot.pop3_port, workers=4,
                               daemon=harness.POP3SD)
        serves(imap)
        serves(pop3)
        a = self.connect(imap.ssl, True)
        self.assertOK(a.login())
        self.assertOK(a.cmd("SELECT INBOX"))
        b = self.connect(imap.ssl, True)
        self.assertOK(b.login("bob", "hunter2"))
        self.kind = Pop3Client
        p = self.connect(pop3.ssl, True)
        self.assertRegex(p.login(), r"^\+OK")
        self.assertRegex(p.cmd("DELE 1"), r"^\+OK")
        self.assertEqual(told(imap, "--kick", "alice")["ended"], 1)
        self.assertEqual(has_ended(a), "")
        self.assertOK(b.cmd("NOOP"))
        self.assertRegex(p.cmd("NOOP"), r"^\+OK")    # another daemon's
        self.assertEqual(told(pop3, "--kick", "alice")["ended"], 1)
        self.assertEqual(has_ended(p), "")
        # no QUIT was invented: the message stays
        self.assertEqual(len(dovecot.messages("alice")), 1)

    @needs_root
    def test_smtp(self):
        postfix = Postfix(self)
        relais = harness.Gateway(self, postfix.port, *sasl_lines(self),
                                 workers=4, daemon=harness.SMTPSD)
        serves(relais)
        self.kind = SmtpClient

        def user(name, password):
            c = self.connect(relais.ssl, True)
            c.ehlo()
            self.assertEqual(c.login(name, password)[0], 235)
            return c
        a, b = user("alice", "secret"), user("bob", "hunter2")
        for c in a, b:
            c.begin("b@example.net")
            c.send(b"Subject: x\r\n\r\nhalf\r\n")
        self.assertEqual(told(relais, "--kick", "alice@example.org")["ended"],
                         1)
        has_ended(a)
        self.assertEqual(b.message(b"rest\r\n")[0], 250)
        wait_for(lambda: len(postfix.messages()) == 1, 20, "bob's message")


if __name__ == "__main__":
    main()
