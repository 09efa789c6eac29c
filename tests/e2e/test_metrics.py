# SPDX-License-Identifier: ISC
"""Metrics: what is counted, and who may ask."""

import json
import os
import re
import signal
import socket
import ssl
import time

import client
import harness
import metrics
from case import (Pop3Case, StandInCase, TestCase, main, needs_root,
                  not_sanitized)
from certs import gateway_pair
from harness import Gateway, free_port, wait_for
from inner import Script, StandIn
from metrics import Scrape, get, promtool
from reloading import listening, refuse, reload, rewrite
from submission import Submission


class Metrics(StandInCase):
    """A daemon of its own for each test: totals begin at zero."""

    more = ()

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)

    def setUp(self):
        super().setUp()
        self.port = free_port()
        self.relais = Gateway(
            self, self.inner.port, "metrics_listen 127.0.0.1:%d" % self.port,
            *self.more, daemon=self.daemon)
        # the harness has knocked at its three ports
        self.reaches(3, "relais_connections_accepted_total")
        self.reaches(0, "relais_connections")
        self.first = self.scrape()

    def scrape(self):
        return Scrape(self.port)

    def total(self, name, **labels):
        return self.scrape().value(name, **labels)

    def grew(self, name, **labels):
        return (self.total(name, **labels) -
                self.first.value(name, **labels))

    def reaches(self, wanted, name, **labels):
        """What is told when a session is over comes a moment later."""
        wait_for(lambda: self.total(name, **labels) == wanted, 5,
                 "%s %s to be %g" % (name, labels, wanted))


class Counting(Metrics):
    def test_logins(self):
        for _ in range(3):
            c = self.tls()
            self.assertOK(c.login())
        plain = self.tls()
        self.assertOK(plain.cmd("AUTHENTICATE PLAIN " +
                                client.plain_message("alice", "secret")))
        for _ in range(2):
            bad = self.tls()
            self.assertNO(bad.login("alice", "wrong"))
            bad.close()
        s = self.scrape()
        name = "relais_logins_total"
        self.assertEqual(s.value(name, result="ok", mechanism="command"), 3)
        self.assertEqual(s.value(name, result="ok", mechanism="PLAIN"), 1)
        self.assertEqual(
            s.value(name, result="refused", mechanism="command"), 2)
        self.assertEqual(s.value(name), 6)
        self.assertEqual(s.value("relais_login_duration_seconds_count"), 4)
        self.assertLess(s.value("relais_login_duration_seconds_sum"), 5)
        self.assertEqual(s.value("relais_login_delays_total"), 2)
        delay = s.value("relais_login_delay_seconds_total")
        self.assertTrue(3.5 <= delay <= 9, delay)
        self.assertEqual(self.grew("relais_connections_accepted_total"), 6)
        self.assertEqual(s.value("relais_sessions"), 4)
        self.reaches(4, "relais_connections")
        plain.close()
        self.reaches(3, "relais_sessions")
        self.reaches(3, "relais_connections")

    def test_handshakes(self):
        self.tls()
        self.tls()
        self.connect(self.relais.ssl, context=client.tls_context(
            version=ssl.TLSVersion.TLSv1_2))
        s = self.scrape()
        name = "relais_tls_handshakes_total"
        self.assertEqual(s.value(name, version="1.3", resumed="no"), 2)
        self.assertEqual(s.value(name, version="1.2", resumed="no"), 1)
        self.assertEqual(s.value(name, cipher="other"), 0)
        self.assertEqual(s.value(name), 3)
        self.assertEqual(s.value("relais_signatures_total", result="ok"), 3)
        self.assertEqual(s.value("relais_signature_duration_seconds_count"),
                         3)
        with socket.create_connection(("127.0.0.1", self.relais.ssl)) as bad:
            bad.sendall(b"no TLS at all\r\n\r\n")
            bad.recv(100)
        wait_for(lambda: self.grew(
            "relais_tls_handshake_failures_total") == 1, 5, "the failure")

    def test_resumption(self):
        name = "relais_tls_handshakes_total"
        c = self.tls()
        self.assertOK(c.login())        # a ticket has come by now
        again = self.connect(self.relais.ssl, context=self.context(c),
                             session=c.sock.session)
        self.assertTrue(again.sock.session_reused)
        s = self.scrape()
        self.assertEqual(s.value(name, resumed="yes"), 1)
        self.assertEqual(s.value(name, resumed="no"), 1)
        self.assertEqual(s.value("relais_signatures_total", result="ok"), 1)

    @staticmethod
    def context(c):
        """A session can be resumed in its own context alone."""
        return c.sock.context

    def test_log_lost(self):
        """A full disk."""
        self.relais.args += ["--log_facility", "/dev/full"]
        self.relais.stop()
        self.relais.start()
        self.tls()
        wait_for(lambda: self.total("relais_log_lines_lost_total") > 2, 5,
                 "lines to be lost")

    def test_bytes(self):
        c = self.tls()
        self.assertOK(c.login())
        before = self.scrape()
        name = "relais_client_bytes_total"
        self.assertOK(c.cmd("NOOP " + "x" * 5000))
        after = self.scrape()
        came = (after.value(name, direction="received") -
                before.value(name, direction="received"))
        self.assertTrue(5000 < came < 5100, came)
        self.assertGreater(after.value(name, direction="sent"),
                           before.value(name, direction="sent"))

    def test_inner_server(self):
        server = "127.0.0.1:%d" % self.inner.port
        c = self.tls()
        self.assertOK(c.login())
        bad = self.tls()
        self.assertNO(bad.login("alice", "wrong"))
        self.reaches(1, "relais_inner_server_logins_total", server=server,
                     result="ok")
        s = self.scrape()
        self.assertEqual(s.value("relais_inner_server_up", server=server), 1)
        self.assertEqual(s.value("relais_inner_server_logins_total",
                                 server=server, result="refused"), 1)
        # the lesson is one more
        self.assertEqual(s.value("relais_inner_server_connects_total",
                                 server=server, result="ok"), 3)
        for name in "connect", "greeting":
            name = "relais_inner_server_%s_duration_seconds" % name
            self.assertEqual(s.value(name + "_count", server=server), 3)
            self.assertEqual(s.value(name + "_bucket", le="+Inf"), 3)
            self.assertEqual(s.value(name + "_bucket", le="10.0"), 3)

    def test_the_rest(self):
        s = self.scrape()
        self.assertEqual(s.value("relais_build_info"), 1)
        self.assertEqual(s.value("relais_generation"), 1)
        self.assertLess(abs(s.value("relais_start_timestamp_seconds") -
                            time.time()), 60)
        pair = gateway_pair()
        self.assertGreater(
            s.value("relais_certificate_expiry_timestamp_seconds",
                    file=pair.cert), time.time())
        self.reaches(2, "relais_workers", state="busy")
        s = self.scrape()
        for role, n in (("master", 1), ("worker", 2), ("broker", 1),
                        ("metrics", 1), ("authenticator", 0)):
            self.assertEqual(s.value("relais_processes", role=role), n)
        self.assertGreater(s.value("relais_log_lines_total"), 0)
        self.assertEqual(s.value("relais_log_lines_lost_total"), 0)
        limit = s.value("relais_master_open_files_limit")
        self.assertTrue(10 < s.value("relais_master_open_files") < limit)
        self.assertNotIn("relais_messages_total", s.text)

    def test_secrets(self):
        """No names and no addresses of anybody."""
        c = self.tls()
        self.assertOK(c.login())
        text = self.scrape().text
        self.assertNotIn("alice", text)
        self.assertNotIn(c.sock.getsockname()[1].__str__(), text)
        self.assertNotIn("secret", text)


class NoServer(Metrics):
    def setUp(self):
        super().setUp()
        self.inner.stop()
        self.addCleanup(self.inner.start)

    def test_down(self):
        server = "127.0.0.1:%d" % self.inner.port
        c = self.tls()
        self.assertNO(c.login(), "UNAVAILABLE")
        s = self.scrape()
        self.assertEqual(s.value("relais_inner_server_up", server=server), 0)
        self.assertGreater(s.value("relais_inner_server_connects_total",
                                   server=server, result="failed"), 0)
        self.assertEqual(s.value("relais_logins_total",
                                 result="unavailable"), 1)


class Limits(Metrics):
    more = ("connection_limit_address 1",)

    def test_refused(self):
        name = "relais_connections_refused_total"
        time.sleep(0.5)         # the broker hears of an end a moment later
        self.first = self.scrape()
        self.tls()
        self.assertEqual(self.grew(name), 0)
        c = self.raw(self.relais.plain)
        self.assertIn("BYE", c.rest())
        self.assertEqual(self.grew(name, reason="address_limit"), 1)
        self.assertEqual(self.grew(name, reason="limit"), 0)


@needs_root
class Guessing(Metrics):
    more = ('trusted_networks ""', "user_failure_limit 1",
            "client_connection_rate_limit 3")

    def guess(self):
        with client.connect(self.relais.plain, source="127.66.1.1") as c:
            return c.cmd("LOGIN alice wrong")

    def test_turned_away(self):
        self.assertNO(self.guess(), "AUTHENTICATIONFAILED")
        delays = self.scrape().value("relais_login_delay_seconds_total")
        for _ in range(2):
            self.assertNO(self.guess(), "UNAVAILABLE")
        name = "relais_logins_total"
        self.assertEqual(self.grew(name, result="refused"), 1)
        self.assertEqual(
            self.grew(name, result="turned_away", mechanism="command"), 2)
        self.assertEqual(self.grew("relais_login_delays_total"), 3)
        self.assertGreater(
            self.scrape().value("relais_login_delay_seconds_total"),
            delays + 3.5)
        name = "relais_connections_refused_total"
        self.assertEqual(self.grew(name, reason="too_often"), 0)
        with client.Client(self.relais.plain, source="127.66.1.1") as c:
            self.assertIn("BYE", c.greet())
        self.assertEqual(self.grew(name, reason="too_often"), 1)


class Pop3(Metrics, Pop3Case):
    setUpClass = Metrics.__dict__["setUpClass"]

    def test_logins(self):
        c = self.tls()
        self.assertYes(c.login())
        bad = self.tls()
        self.assertNo(bad.login("alice", "wrong"))
        s = self.scrape()
        self.assertEqual(s.value("relais_logins_total", result="ok",
                                 mechanism="command"), 1)
        self.assertEqual(s.value("relais_logins_total", result="refused"), 1)
        self.assertIn('daemon="pop3sd"', s.text)


class Lives(Metrics):
    """Processes come and go; totals do not."""

    def login(self):
        c = self.tls()
        self.assertOK(c.login())
        return c

    def wait_replaced(self, role, before):
        wait_for(lambda: len(self.relais.pids(role)) == len(before) and
                 not set(before) & set(self.relais.pids(role)), 10,
                 "other processes")

    @needs_root
    def test_worker_dies(self):
        for _ in range(4):
            self.login()
        before = self.relais.pids("worker")
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        self.wait_replaced("worker", before)
        s = self.scrape()
        self.assertEqual(s.value("relais_logins_total", result="ok"), 4)
        self.assertEqual(s.value("relais_sessions"), 0)
        self.assertEqual(s.value("relais_connections"), 0)
        self.assertEqual(s.value("relais_processes_replaced_total",
                                 role="worker", reason="died"), 2)
        self.login()
        self.assertEqual(self.total("relais_logins_total", result="ok"), 5)

    @needs_root
    def test_metrics_dies(self):
        self.login()
        before = self.relais.pids("metrics")
        os.kill(before[0], signal.SIGKILL)
        self.wait_replaced("metrics", before)
        wait_for(lambda: self.total("relais_logins_total", result="ok") == 1,
                 5, "the totals of before")
        self.login()
        self.assertEqual(self.total("relais_logins_total", result="ok"), 2)

    def test_reload(self):
        kept = self.login()
        before = self.relais.pids("metrics")
        reload(self.relais)
        wait_for(lambda: before[0] not in self.relais.pids("metrics") and
                 len(self.relais.pids("metrics")) == 1, 10,
                 "the old role to go")
        self.login()
        s = self.scrape()
        self.assertEqual(s.value("relais_logins_total", result="ok"), 2)
        self.assertEqual(s.value("relais_sessions"), 2)
        self.assertEqual(s.value("relais_generation"), 2)
        self.assertEqual(s.value("relais_reloads_total", result="done"), 1)
        self.reaches(1, "relais_workers", state="old")
        started = s.value("relais_start_timestamp_seconds")
        kept.close()
        self.relais.wait_log("generation 1 has ended")
        s = self.scrape()
        self.assertEqual(s.value("relais_logins_total", result="ok"), 2)
        self.assertEqual(s.value("relais_sessions"), 1)
        reload(self.relais)
        s = self.scrape()
        self.assertEqual(s.value("relais_logins_total", result="ok"), 2)
        self.assertEqual(s.value("relais_start_timestamp_seconds"), started)

    def test_another_address(self):
        other = free_port()
        rewrite(self.relais, (str(self.port), str(other)))
        reload(self.relais)
        self.login()
        self.assertEqual(Scrape(other).value("relais_logins_total"), 1)
        wait_for(lambda: not listening(self.port), 5, "the old to go")

    def test_switched_off(self):
        rewrite(self.relais, ("metrics_listen", "# metrics_listen"))
        reload(self.relais)
        wait_for(lambda: not listening(self.port) and
                 not self.relais.pids("metrics"), 5, "it to go")
        self.login()
        rewrite(self.relais, ("# metrics_listen", "metrics_listen"))
        reload(self.relais)
        self.assertEqual(self.total("relais_logins_total"), 1)

    def test_taken_address(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        rewrite(self.relais, (str(self.port), str(taken.getsockname()[1])))
        self.assertIn("metrics_listen: cannot listen on",
                      refuse(self.relais))
        self.assertEqual(self.total("relais_reloads_total",
                                    result="refused"), 1)


class Single(Metrics):
    """A process for each client."""

    more = ("worker_connections 1",)

    def test_counts(self):
        held = []
        for _ in range(3):
            c = self.tls()
            self.assertOK(c.login())
            held.append(c)
        self.assertEqual(self.total("relais_logins_total", result="ok"), 3)
        self.reaches(3, "relais_sessions")
        self.reaches(3, "relais_connections")
        self.reaches(3, "relais_workers", state="busy")
        self.reaches(2, "relais_workers", state="spare")
        for c in held:
            c.close()
        self.reaches(0, "relais_sessions")
        self.assertEqual(self.grew("relais_connections_accepted_total"), 3)

    @needs_root
    def test_kin(self):
        c = self.tls()
        self.assertOK(c.login())
        busy = [p for p in self.relais.pids("worker")
                if self.relais.worker_sessions()[p] > 3]
        os.kill((busy or self.relais.pids("worker"))[0], signal.SIGKILL)
        wait_for(lambda: self.total(
            "relais_processes_replaced_total", role="worker",
            reason="died") == 1, 5, "its end to be told")
        wait_for(lambda: self.total(
            "relais_processes_replaced_total", role="worker",
            reason="kin_died") > 0, 5, "its kin to go")
        self.assertEqual(self.total("relais_logins_total", result="ok"), 1)


class Submitting(Submission):
    lines = ()

    @classmethod
    def setUpClass(cls):
        cls.port = free_port()
        cls.lines = ("metrics_listen 127.0.0.1:%d" % cls.port,)
        super().setUpClass()

    def test_messages(self):
        before = Scrape(self.port)
        c = self.user()
        c.begin("one@example.org", "two@example.org")
        self.assertReply(c.message(b"Subject: x\r\n\r\nbody\r\n"), 250)
        bad = self.tls()
        bad.ehlo()
        self.assertReply(bad.login("alice", "wrong"), 535)
        after = Scrape(self.port)

        def grew(name, **labels):
            return (after.value(name, **labels) -
                    before.value(name, **labels))

        self.assertEqual(grew("relais_messages_total", result="accepted"), 1)
        self.assertEqual(grew("relais_messages_total"), 1)
        self.assertEqual(
            grew("relais_message_recipients_total", result="accepted"), 2)
        self.assertGreater(grew("relais_message_bytes_total"), 10)
        self.assertEqual(grew("relais_logins_total", result="ok"), 1)
        self.assertEqual(grew("relais_logins_total", result="refused"), 1)
        self.assertEqual(grew("relais_authentications_total", result="ok"), 1)
        self.assertEqual(
            grew("relais_authentications_total", result="refused"), 1)
        self.assertEqual(grew("relais_login_delays_total"), 1)
        self.assertGreaterEqual(
            grew("relais_authentication_duration_seconds_count"), 2)


class Request(Metrics):
    """What whoever is on this host may ask."""

    def status(self, octets, end=False):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.sendall(octets)
            if end:
                s.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                part = s.recv(65536)
                if not part:
                    break
                answer += part
        return answer

    def test_formats(self):
        status, headers, body = get(self.port)
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"],
                         "text/plain; version=0.0.4; charset=utf-8")
        self.assertEqual(int(headers["Content-Length"]), len(body))
        self.assertEqual(promtool("check", "metrics", stdin=body), (0, ""))
        _, headers, body = get(self.port, Accept=metrics.OPEN)
        self.assertEqual(
            headers["Content-Type"],
            "application/openmetrics-text; version=1.0.0; charset=utf-8")
        self.assertTrue(body.endswith("\n# EOF\n"))

    def test_others(self):
        status, headers, body = get(self.port, method="HEAD")
        self.assertEqual((status, body), (200, ""))
        self.assertGreater(int(headers["Content-Length"]), 1000)
        self.assertEqual(get(self.port, "/")[0], 404)
        status, headers, _ = get(self.port, method="POST")
        self.assertEqual((status, headers["Allow"]), (405, "GET, HEAD"))

    def test_odd(self):
        for octets, wanted in (
                (b"\r\n\r\n", b"400"), (b"\x16\x03\r\n\r\n", b"400"),
                (b"GET /metrics HTTP/3\r\n\r\n", b"505"),
                (b"a" * 8192, b"431"),
                (b"GET /metrics HTTP/1.1\r\n" + b"A: b\r\n" * 3000, b"431"),
                (b"GET /x HTTP/1.1\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n",
                 b"404")):
            with self.subTest(octets=octets[:40]):
                answer = self.status(octets)
                self.assertTrue(answer.startswith(b"HTTP/1.1 " + wanted),
                                answer[:80])
                self.assertEqual(answer.count(b"HTTP/1.1"), 1)
        # it has gone before it has asked
        self.assertEqual(self.status(b"GET /met", end=True), b"")

    def test_idle(self):
        """Who connects and asks for nothing gives way to who does."""
        idle = [socket.create_connection(("127.0.0.1", self.port), 5)
                for _ in range(40)]
        began = time.monotonic()
        self.assertEqual(get(self.port)[0], 200)
        self.assertLess(time.monotonic() - began, 1 * harness.SLOW)
        for s in idle:
            s.close()
        self.assertEqual(self.total("relais_build_info"), 1)

    def test_octet_by_octet(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for o in b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n":
                s.sendall(bytes([o]))
                time.sleep(0.002)
            self.assertTrue(s.recv(100).startswith(b"HTTP/1.1 200"))

    def test_slow(self):
        """Those who say nothing lose their places after ten seconds."""
        slow = [socket.create_connection(("127.0.0.1", self.port), 30)
                for _ in range(10)]
        for s in slow:
            self.addCleanup(s.close)
        began = time.monotonic()
        self.assertEqual(slow[0].recv(1), b"")
        took = time.monotonic() - began
        self.assertTrue(8 < took < 15, took)
        for s in slow:
            s.close()
        self.reaches(1, "relais_build_info")
        self.assertEqual(len(self.relais.pids("metrics")), 1)

    @needs_root
    @not_sanitized
    def test_confined(self):
        status = harness.proc_status(self.relais.pids("metrics")[0])
        self.assertEqual(status["Seccomp"], "2")
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(int(status["CapEff"], 16), 0)
        self.assertEqual(int(status["CapBnd"], 16), 0)
        self.assertEqual(status["Groups"], "")
        root = os.readlink("/proc/%d/root" % self.relais.pids("metrics")[0])
        self.assertEqual(root, os.path.join(self.relais.spool, "empty"))
        uids = {r: harness.proc_status(self.relais.pids(r)[0])["Uid"]
                for r in ("metrics", "worker", "keeper")}
        self.assertEqual(uids["metrics"], uids["worker"])
        self.assertNotEqual(uids["metrics"], uids["keeper"])

    @needs_root
    def test_hostile_page(self):
        """A process that was taken over writes what it likes."""
        worker = self.relais.pids("worker")[0]
        page = next(line.split()[0] for line in harness.proc_read(
            worker, "maps").splitlines() if "memfd:stats" in line)
        start, end = (int(n, 16) for n in page.split("-"))
        with open("/proc/%d/mem" % worker, "r+b", 0) as mem:
            mem.seek(start)
            mem.write(b"\xff" * (end - start))
        text = self.scrape().text
        self.assertEqual(promtool("check", "metrics", stdin=text)[0], 0)
        # what is not a worker's to say is as it was
        self.assertEqual(self.total("relais_inner_server_up"), 1)
        self.assertEqual(self.total("relais_generation"), 1)
        self.assertLess(self.total("relais_signatures_total"), 10)
        reload(self.relais)
        os.kill(self.relais.pids("worker")[0], signal.SIGKILL)
        self.assertOK(self.tls().login())
        self.assertEqual(self.total("relais_generation"), 2)


class Where(TestCase):
    def setUp(self):
        self.inner = StandIn(self, Script())

    def check(self, where, *more):
        conf = os.path.join(harness.folder(self), "imapsd.conf")
        pair = gateway_pair()
        with open(conf, "w") as f:
            f.write("listen 127.0.0.1:%d plain\noutgoing_server "
                    "127.0.0.1:%d\nssl_cert_file %s\nssl_key_file %s\n"
                    "metrics_listen %s\n" % (
                        free_port(), self.inner.port, pair.cert, pair.key,
                        where))
            f.writelines(line + "\n" for line in more)
        return harness.run_imapsd(
            "-f", conf, "--check_config", "--log_facility", "+",
            "--spool_directory", os.path.join(os.path.dirname(conf), "sp"))

    def test_addresses(self):
        for where in "127.0.0.1:9993", "[::1]:9993", "127.1.2.3:1", \
                "/run/relais.sock":
            with self.subTest(where=where):
                self.assertEqual(self.check(where)[0], 0)
        for where, said in (
                ("192.0.2.1:9993", "only an address of the loopback"),
                ("0.0.0.0:9993", "only an address of the loopback"),
                ("[::]:9993", "only an address of the loopback"),
                ("127.0.0.1", "a numeric address and a port"),
                ("localhost:9993", "a numeric address and a port"),
                ("127.0.0.1:0", "a numeric address and a port"),
                ("/" + "x" * 108, "more than 107 octets")):
            with self.subTest(where=where):
                status, text = self.check(where)
                self.assertEqual(status, 1)
                self.assertRegex(text, r"imapsd\.conf:5: metrics_listen")
                self.assertIn(said, text)

    def test_group_alone(self):
        status, text = self.check("127.0.0.1:9993", "metrics_group daemon")
        self.assertEqual(status, 0)
        self.assertIn("metrics_group has no effect", text)

    def test_unix_socket(self):
        path = os.path.join(harness.folder(self), "metrics.sock")
        left = socket.socket(socket.AF_UNIX)    # of one that was killed
        left.bind(path)
        left.close()
        lines = ["metrics_listen " + path]
        if harness.ROOT:
            lines.append("metrics_group daemon")
        relais = Gateway(self, self.inner.port, *lines)
        wait_for(lambda: relais.pids("metrics"), 5, "the role")
        self.assertEqual(Scrape(path).value("relais_build_info"), 1)
        st = os.stat(path)
        self.assertEqual(st.st_mode & 0o777, 0o660)
        if harness.ROOT:
            self.assertEqual(harness.group_name(st.st_gid), "daemon")
        reload(relais)
        self.assertEqual(Scrape(path).value("relais_generation"), 2)
        self.assertEqual(os.stat(path).st_ino, st.st_ino)
        relais.stop()
        self.assertFalse(os.path.exists(path))

    def test_not_asked_for(self):
        relais = Gateway(self, self.inner.port)
        self.assertEqual(relais.pids("metrics"), [])


CONF = os.path.join(harness.TOP, "conf")
RULES = os.path.join(CONF, "prometheus", "relais.rules.yml")


def expressions(panels):
    for panel in panels:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]
        yield from expressions(panel.get("panels", ()))


class Samples(TestCase):
    """What is in conf/, for Prometheus and Grafana."""

    def test_rules(self):
        status, text = promtool("check", "rules", RULES)
        self.assertEqual(status, 0, text)
        self.assertNotIn("WARN", text)

    def test_alerts(self):
        with open(os.path.join(os.path.dirname(__file__),
                               "relais.rules_test.yml")) as f:
            text = f.read().replace("RULES", RULES)
        path = os.path.join(harness.folder(self), "test.yml")
        with open(path, "w") as f:
            f.write(text)
        status, text = promtool("test", "rules", path)
        self.assertEqual(status, 0, text)

    def test_configuration(self):
        with open(os.path.join(CONF, "prometheus", "prometheus.yml")) as f:
            text = f.read().replace("/etc/prometheus/relais.rules.yml", RULES)
        path = os.path.join(harness.folder(self), "prometheus.yml")
        with open(path, "w") as f:
            f.write(text)
        status, text = promtool("check", "config", path)
        self.assertEqual(status, 0, text)


class Scraped(Submitting):
    """A real Prometheus has data for each query of the dashboard."""

    def setUp(self):
        super().setUp()
        self.imap = StandIn(self, Script())
        self.imap_port = free_port()
        self.imapsd = Gateway(
            self, self.imap.port, "metrics_listen 127.0.0.1:%d" %
            self.imap_port, daemon=harness.IMAPSD)

    test_messages = None

    def traffic(self):
        c = client.connect(self.imapsd.ssl, True)
        self.addCleanup(c.close)
        self.assertOK(c.login())
        c = self.user()
        c.begin("one@example.org")
        self.assertReply(c.message(b"Subject: x\r\n\r\nbody\r\n"), 250)
        c.close()

    def substitute(self, expression):
        for name, value in (("$instance", ".*"), ("$daemon", ".*"),
                            ("$__rate_interval", "20s")):
            expression = expression.replace(name, value)
        self.assertNotIn("$", expression)
        return expression

    def test_dashboard(self):
        with open(os.path.join(CONF, "grafana", "relais.json")) as f:
            board = json.load(f)
        prometheus = metrics.Prometheus(
            self, (self.port, self.imap_port), RULES)
        for _ in range(5):
            self.traffic()
            time.sleep(1)
        queries = list(expressions(board["panels"]))
        self.assertGreater(len(queries), 40)
        missing = set(queries)

        def ask():
            self.traffic()
            for title, expression in queries:
                found = prometheus.query(self.substitute(expression))
                if any(s["value"][1] != "NaN" for s in found):
                    missing.discard((title, expression))
            return not missing

        try:
            wait_for(ask, 20, "data", every=1)
        except AssertionError:
            self.fail("no data for %s" % missing)
        self.alerts(prometheus)
        self.variables(prometheus, board)

    def alerts(self, prometheus):
        """The rules are in use, and are quiet, but for short certificates."""
        groups = prometheus.ask("rules")["groups"]
        rules = [r for g in groups for r in g["rules"]]
        self.assertGreater(len(rules), 10)
        for rule in rules:
            self.assertEqual(rule["health"], "ok", rule)
            if rule["state"] != "inactive":
                self.assertRegex(rule["name"], "Certificate")

    def variables(self, prometheus, board):
        for variable in board["templating"]["list"]:
            if variable["type"] != "query":
                continue
            metric, label = re.match(
                r"label_values\(([a-z_]+).*, (\w+)\)",
                variable["query"]["query"]).groups()
            found = {s["metric"][label] for s in prometheus.query(metric)}
            self.assertEqual(len(found), 2, found)
            if label == "daemon":
                self.assertEqual(found, {"imapsd", "smtpsd"})


if __name__ == "__main__":
    main()
