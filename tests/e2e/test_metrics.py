# SPDX-License-Identifier: ISC
"""Metrics: what is counted, and who may ask."""

import os
import re
import signal
import socket
import ssl
import time

import client
import harness
import metrics
from case import Pop3Case, StandInCase, TestCase, main, needs_root
from certs import gateway_pair
from harness import Gateway, free_port, wait_for
from inner import Script, StandIn
from metrics import Scrape, get, promtool
from reloading import reload, refuse, rewrite
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
        self.connect(self.relais.ssl, context=client.tls_context(
            version=ssl.TLSVersion.TLSv1_2))
        s = self.scrape()
        name = "relais_tls_handshakes_total"
        self.assertEqual(s.value(name, version="1.3", resumed="no"), 1)
        self.assertEqual(s.value(name, version="1.2", resumed="no"), 1)
        self.assertEqual(s.value(name, cipher="other"), 0)
        self.assertEqual(s.value(name), 2)
        self.assertEqual(s.value("relais_signatures_total", result="ok"), 2)
        self.assertEqual(s.value("relais_signature_duration_seconds_count"),
                         2)
        with socket.create_connection(("127.0.0.1", self.relais.ssl)) as bad:
            bad.sendall(b"no TLS at all\r\n\r\n")
            bad.recv(100)
        wait_for(lambda: self.grew(
            "relais_tls_handshake_failures_total") == 1, 5, "the failure")

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
        self.tls()
        c = self.raw(self.relais.plain)
        self.assertIn("BYE", c.rest())
        name = "relais_connections_refused_total"
        self.assertEqual(self.grew(name, reason="address_limit"), 1)
        self.assertEqual(self.grew(name, reason="limit"), 0)


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
        wait_for(lambda: not harness.accepts(self.port), 5, "the old to go")

    def test_switched_off(self):
        rewrite(self.relais, ("metrics_listen", "# metrics_listen"))
        reload(self.relais)
        wait_for(lambda: not harness.accepts(self.port) and
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


if __name__ == "__main__":
    main()
