# SPDX-License-Identifier: ISC
"""SIGHUP: the program is executed in place, and those who are connected stay
with the old processes."""

import os
import re
import shutil
import signal
import ssl
import subprocess
import time

import harness
import submission
from case import Pop3Case, StandInCase, main, needs_root
from certs import certificates, gateway_pair
from client import Client, tls_context
from harness import (IMAPSD, accepts, children, descriptors, folder,
                     free_port, proc_read, run_daemon, wait_for)
from inner import Script, StandIn
from reloading import all_old_gone, generation, listening, reload, rewrite


class Sessions(StandInCase):
    """IMAP: what is connected at a reload."""

    def setUp(self):
        super().setUp()
        self.relais = harness.Gateway(self, self.inner.port)

    def test_every_kind_stays(self):
        relais = self.relais
        master, workers = relais.pid, relais.pids("worker")
        inside = self.tls()
        self.assertOK(inside.login())
        greeted = self.tls()
        before_tls = self.connect(relais.starttls)
        silent = self.raw(relais.ssl)
        wait_for(lambda: "\n".join(relais.log()).count("Connect:") >= 4)
        reload(relais)
        self.assertEqual(relais.pid, master)
        self.assertIsNone(relais.process.poll())
        self.assertFalse(set(workers) & set(relais.pids("worker")))
        self.assertOK(inside.cmd("NOOP"))
        before_tls.starttls()
        for c in greeted, before_tls:
            self.assertOK(c.login())
            self.assertOK(c.cmd("NOOP"))
        silent.start_tls()
        silent.greet()
        self.assertOK(silent.login())
        fresh = self.tls()
        self.assertOK(fresh.login())
        self.assertRegex(
            "\n".join(proc_read(p, "cmdline") for p in relais.pids("old")),
            r"imapsd: old worker \d, [1-4] sessions?")
        self.assertRegex(proc_read(master, "cmdline"),
                         r"imapsd: master, [12] old workers?")
        for c in inside, greeted, before_tls, silent:
            c.close()
        all_old_gone(relais)
        relais.wait_log("generation 1 has ended")
        self.assertOK(fresh.cmd("NOOP"))
        wait_for(lambda: "old" not in proc_read(master, "cmdline"))

    def test_nothing_is_left_over(self):
        """After many reloads there are as many processes and descriptors as
        after the first."""
        def all_there():    # control comes last
            wait_for(lambda: self.relais.pids("control"), 5)
            return len(children(self.relais.pid))

        reload(self.relais)
        all_old_gone(self.relais)
        count = all_there()
        fds = descriptors(self.relais.pid) if harness.ROOT else 0
        for _ in range(5):
            reload(self.relais)
            all_old_gone(self.relais)
        self.assertEqual(all_there(), count)
        if harness.ROOT:
            self.assertEqual(descriptors(self.relais.pid), fds)
            for pid in children(self.relais.pid):
                self.assertNotIn("RELAIS_RELOAD", proc_read(pid, "environ"))

    def old(self, role):
        return [pid for pid in self.relais.pids("old")
                if "old " + role in proc_read(pid, "cmdline")]

    def test_who_is_needed_no_more(self):
        """With all clients logged in, an old keeper has nothing to do."""
        inside, before_tls = self.tls(), self.connect(self.relais.starttls)
        self.assertOK(inside.login())
        reload(self.relais)
        time.sleep(2.5)
        self.assertTrue(self.old("keeper"))
        before_tls.starttls()
        self.assertOK(before_tls.login())
        wait_for(lambda: not self.old("keeper"), 5, "keepers to go")
        self.assertEqual(len(self.old("broker")), 1)
        for _ in range(2):
            reload(self.relais)
        for c in inside, before_tls:
            self.assertOK(c.cmd("NOOP"))
            c.close()
        all_old_gone(self.relais)
        self.assertNotRegex("\n".join(self.relais.log()), "old keeper")

    def test_in_quick_succession(self):
        inside = self.tls()
        self.assertOK(inside.login())
        for _ in range(3):
            os.kill(self.relais.pid, signal.SIGHUP)
            time.sleep(0.02)
        # those that come during a check are one, and done after it
        wait_for(lambda: generation(self.relais) >= 3, 20,
                 "one reload more after the one under way")
        time.sleep(1)
        self.assertLessEqual(generation(self.relais), 4)
        self.assertOK(inside.cmd("NOOP"))
        self.assertOK(self.tls().login())

    def test_new_configuration_is_for_new_sessions(self):
        inside, greeted = self.tls(), self.tls()
        self.assertOK(inside.login())
        other = StandIn(self, Script())
        rewrite(self.relais, ("127.0.0.1:%d" % self.inner.port,
                              "127.0.0.1:%d" % other.port),
                more=('ok_line "another word"',))
        reload(self.relais)
        fresh = self.tls()
        self.assertIn("another word", self.assertOK(fresh.login()).text)
        self.assertEqual(len(other.logins), 1)
        mark = self.relais.mark()
        self.assertNotIn("another word", self.assertOK(greeted.login()).text)
        self.assertEqual(len(other.logins), 1)
        self.assertEqual(len(self.inner.logins), 2)
        # the log knows an old session's server by the old configuration
        self.relais.wait_log(r'Auth: .* server="127.0.0.1:%d"'
                             % self.inner.port, mark)

    def test_listeners(self):
        """The same address is the same socket; others come and go."""
        relais = self.relais
        inside = self.tls()
        self.assertOK(inside.login())
        kept, dropped, new = listening(relais.ssl), relais.plain, free_port()
        self.assertIsNotNone(kept)
        rewrite(relais, ("listen 127.0.0.1:%d plain" % dropped,
                         "listen 127.0.0.1:%d plain" % new))
        reload(relais)
        self.assertEqual(listening(relais.ssl), kept)
        self.assertTrue(accepts(new))
        wait_for(lambda: not accepts(dropped), 5, "the old port to close")
        self.assertOK(inside.cmd("NOOP"))
        self.assertOK(self.tls().login())
        self.assertOK(self.connect(new).login())
        relais.ports = [relais.ssl, relais.starttls, new]

    def test_waiting_in_the_queue(self):
        """Nobody accepts while the master is stopped in mid-reload: who has
        connected by then is served."""
        workers = self.relais.pids("worker")
        for pid in workers:
            os.kill(pid, signal.SIGSTOP)
        try:
            waiting = [self.raw(self.relais.ssl) for _ in range(10)]
            reload(self.relais)
        finally:
            for pid in workers:
                os.kill(pid, signal.SIGCONT)
        for c in waiting:
            c.start_tls()
            c.greet()
            self.assertOK(c.login())

    def test_tickets(self):
        """TLS sessions are resumed across it."""
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            with self.subTest(version=version.name):
                context = tls_context(version=version)
                c = self.connect(self.relais.ssl, context=context)
                self.assertFalse(c.sock.session_reused)
                self.assertOK(c.login())
                session = c.sock.session
                c.close()
                for _ in range(2):
                    reload(self.relais)
                    c = self.connect(self.relais.ssl, context=context,
                                     session=session)
                    self.assertTrue(c.sock.session_reused)
                    self.assertOK(c.login())

    def test_renewed_certificate(self):
        """In the same files; those who are there keep the old one."""
        path = folder(self)
        first, second = certificates().make(), certificates().make()
        cert, key = path + "/crt", path + "/key"
        shutil.copy(first.cert, cert)
        shutil.copy(first.key, key)
        rewrite(self.relais, (gateway_pair().cert, cert),
                (gateway_pair().key, key))
        reload(self.relais)
        before_tls = self.connect(self.relais.starttls)
        shutil.copy(second.cert, cert)
        shutil.copy(second.key, key)
        reload(self.relais)

        def shown(c):
            return ssl.DER_cert_to_PEM_cert(c.sock.getpeercert(True))

        with open(first.cert) as f, open(second.cert) as g:
            old, new = f.read(), g.read()
        before_tls.starttls()
        self.assertIn(shown(before_tls).strip(), old)
        self.assertIn(shown(self.tls()).strip(), new)

    def test_worker_dies_afterwards(self):
        """What is of the new generation is replaced, old workers are not."""
        inside = self.tls()
        self.assertOK(inside.login())
        reload(self.relais)
        for pid in self.relais.pids("worker"):
            os.kill(pid, signal.SIGKILL)
        for pid in self.relais.pids("old"):
            if "old worker" in proc_read(pid, "cmdline"):
                os.kill(pid, signal.SIGKILL)
        self.assertEqual(inside.rest(), "")
        wait_for(lambda: len(self.relais.pids("worker")) == 2)
        all_old_gone(self.relais)
        self.assertOK(self.tls().login())

    def test_usr1_opens_the_log_anew(self):
        moved = self.relais.log_file + ".1"
        os.rename(self.relais.log_file, moved)
        os.kill(self.relais.pid, signal.SIGUSR1)
        wait_for(lambda: accepts(self.relais.plain) and
                 os.path.exists(self.relais.log_file), 5, "a new log file")
        self.relais.wait_log("Connect:")
        self.assertEqual(generation(self.relais), 1)


class End(StandInCase):
    def test_drain_timeout(self):
        relais = harness.Gateway(self, self.inner.port, "drain_timeout 2")
        inside = self.connect(relais.ssl, True)
        self.assertOK(inside.login())
        greeted = self.connect(relais.ssl, True)
        began = time.monotonic()
        reload(relais)
        time.sleep(0.5)
        self.assertOK(inside.cmd("NOOP"))
        self.assertIn("* BYE", greeted.rest())
        inside.rest()
        self.assertGreater(time.monotonic() - began, 1.5)
        self.assertLess(time.monotonic() - began, 6 * harness.SLOW)
        all_old_gone(relais)
        relais.wait_log("drain_timeout is over")
        self.assertOK(self.connect(relais.ssl, True).login())

    def test_sigterm_while_draining(self):
        relais = harness.Gateway(self, self.inner.port)
        inside = []
        for _ in range(3):
            inside.append(self.connect(relais.ssl, True))
            self.assertOK(inside[-1].login())
            reload(relais)
        greeted = self.connect(relais.ssl, True)
        everybody = children(relais.pid)
        self.assertGreaterEqual(len(relais.pids("old")), 3)
        relais.stop()           # it must end well, and leave nobody
        self.assertFalse([p for p in everybody
                          if os.path.exists("/proc/%d" % p)])
        self.assertIn("* BYE", greeted.rest())
        for c in inside:
            self.assertEqual(c.rest(), "")

    def test_sigterm_while_checking(self):
        relais = harness.Gateway(self, self.inner.port)
        os.kill(relais.pid, signal.SIGHUP)
        time.sleep(0.01)
        relais.stop()
        relais = harness.Gateway(self, self.inner.port)
        for wait in 0.1, 0.15, 0.2, 0.25:       # before, at, after the exec
            os.kill(relais.pid, signal.SIGHUP)
            time.sleep(wait)
            relais.stop()
            relais.start()

    def test_pid_file(self):
        """In the background: the same pid, and no file is left behind."""
        path = folder(self)
        port, pid_file = free_port(), path + "/pid"
        os.mkdir(path + "/etc")
        with open(path + "/etc/conf", "w") as f:
            f.write("listen 127.0.0.1:%d plain\noutgoing_server "
                    "127.0.0.1:%d\nworkers 1\nlog_facility %s/log\n"
                    "spool_directory %s/spool\npid_file %s\n" % (
                        port, self.inner.port, path, path, pid_file))
        # a relative path: the background is in another folder
        status = subprocess.run(
            [IMAPSD, "-f", "etc/conf"], cwd=path, timeout=30,
            stdin=subprocess.DEVNULL, env=harness.ENVIRONMENT).returncode
        self.assertEqual(status, 0)
        with open(pid_file) as f:
            pid = int(f.read())
        self.addCleanup(self.kill, pid)

        def log(pattern):
            with open(path + "/log") as f:
                return re.search(pattern, f.read())

        for n in 2, 3:
            os.kill(pid, signal.SIGHUP)
            wait_for(lambda: log("generation %d serves" % n))
            with open(pid_file) as f:
                self.assertEqual(int(f.read()), pid)
            if harness.ROOT:
                self.assertEqual(os.readlink("/proc/%d/cwd" % pid), "/")
        self.assertOK(self.connect(port).login())
        # the lock is still there
        status, _ = run_daemon(IMAPSD, "-f", path + "/etc/conf", "--listen",
                               "127.0.0.1:%d plain" % free_port())
        self.assertNotEqual(status, 0)
        # another file: the old one goes
        with open(path + "/etc/conf", "a") as f:
            f.write("pid_file %s.2\n" % pid_file)
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: log("generation 4 serves"))
        self.assertFalse(os.path.exists(pid_file))
        with open(pid_file + ".2") as f:
            self.assertEqual(int(f.read()), pid)
        os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not os.path.exists("/proc/%d" % pid) or
                 harness.proc_status(pid).get("State", "Z")[0] == "Z")
        self.assertFalse(os.path.exists(pid_file + ".2"))

    @staticmethod
    def kill(pid):
        try:
            if "imapsd" in proc_read(pid, "cmdline"):
                os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Shapes(StandInCase):
    def test_a_process_for_each_client(self):
        relais = harness.Gateway(self, self.inner.port,
                                 "worker_connections 1")
        clients = []
        for _ in range(3):
            clients.append(self.connect(relais.ssl, True))
            self.assertOK(clients[-1].login())
        greeted = self.connect(relais.ssl, True)
        reload(relais)
        for c in clients:
            self.assertOK(c.cmd("NOOP"))
        self.assertOK(greeted.login())
        self.assertEqual(len([p for p in relais.pids("old") if "old worker"
                              in proc_read(p, "cmdline")]), 4)
        for _ in range(3):
            self.assertOK(self.connect(relais.ssl, True).login())
        for c in clients + [greeted]:
            c.close()
        all_old_gone(relais)

    def test_a_worker_in_birth(self):
        """It is waited for: once born it would take a client, and be
        nobody's child."""
        relais = harness.Gateway(self, self.inner.port,
                                 "worker_connections 1", workers=1)
        wait_for(lambda: len(relais.pids("nursery")) == 2)
        time.sleep(0.5)         # the probes of the start have been served
        nurseries = relais.pids("nursery")
        for pid in nurseries:
            os.kill(pid, signal.SIGSTOP)
        try:
            first = self.connect(relais.plain)
            second = self.raw(relais.plain)
            os.kill(relais.pid, signal.SIGHUP)
            time.sleep(1)       # far longer than a reload takes
            self.assertEqual(generation(relais), 1)
        finally:
            for pid in nurseries:
                os.kill(pid, signal.SIGCONT)
        wait_for(lambda: generation(relais) == 2)
        second.greet()
        for c in first, second, self.connect(relais.plain):
            self.assertOK(c.login())

    def test_limits_go_on(self):
        """Old sessions count for their address until they end."""
        relais = harness.Gateway(self, self.inner.port,
                                 "connection_limit_address 3")

        def served():
            c = Client(relais.plain, source="127.0.5.1")
            self.addCleanup(c.close)
            if c.greet().startswith("* OK"):
                return c
            c.close()
            return None

        # the harness's own connections count for another address
        clients = [wait_for(served) for _ in range(2)]
        reload(relais)
        clients.append(wait_for(served))
        time.sleep(1.2)         # longer than the old ones' count is good for
        self.assertIsNone(served())
        reload(relais)
        self.assertIsNone(served())
        clients[0].close()
        self.assertIsNotNone(wait_for(served, 5, "a place to be free"))
        self.assertIsNone(served())

    def test_passphrase_by_descriptor(self):
        """It cannot be read a second time, and is kept."""
        pair = gateway_pair()
        locked = os.path.join(folder(self), "key")
        subprocess.run(["openssl", "pkcs8", "-topk8", "-in", pair.key, "-out",
                        locked, "-passout", "pass:open sesame"], check=True)
        reader, writer = os.pipe()
        os.write(writer, b"open sesame\n")
        os.close(writer)
        self.addCleanup(os.close, reader)
        # a shell moves it to where the daemon looks for it
        case = self

        class WithPassphrase(harness.Gateway):
            def argv(self, *more):
                return ["/bin/sh", "-c", 'exec "$@" 9<&0 0</dev/null', "sh",
                        *super().argv("--ssl_passphrase_fd", "9", *more)]

            def start(self):
                usual, harness.start = harness.start, case.with_input(reader)
                try:
                    super().start()
                finally:
                    harness.start = usual

        relais = WithPassphrase(self, self.inner.port,
                                pair=type(pair)(pair.cert, locked))
        for _ in range(2):
            reload(relais)
            self.assertOK(self.connect(relais.ssl, True).login())

    @staticmethod
    def with_input(fd):
        def start(argv, **kw):
            p = subprocess.Popen(argv, start_new_session=True, stdin=fd,
                                 env=harness.ENVIRONMENT, **kw)
            harness._running.add(p)
            return p
        return start

    @needs_root
    def test_capabilities_stay_few(self):
        relais = harness.Gateway(self, self.inner.port)
        # The last that it starts; signals are blocked while it forks.
        wait_for(lambda: relais.pids("control"))
        wait_for(lambda: int(harness.proc_status(relais.pid)["SigBlk"],
                             16) == 0)
        before = {k: v for k, v in harness.proc_status(relais.pid).items()
                  if re.match("Cap|Sig(Blk|Ign|Cgt)|ShdPnd", k)}
        reload(relais)

        def after():
            status = harness.proc_status(relais.pid)
            return {k: status[k] for k in before}
        # The end of an old process may be pending for a moment.
        wait_for(lambda: after() == before, what="what it had: %s" % before)


class Pop3(Pop3Case):
    def test_sessions_stay(self):
        inside, greeted = self.tls(), self.tls()
        self.assertYes(inside.login())
        reload(self.relais)
        self.assertYes(inside.cmd("NOOP"))
        self.assertYes(greeted.login())
        self.assertYes(self.tls().login())
        inside.close()
        greeted.close()
        all_old_gone(self.relais)


class Smtp(submission.Submission):
    def setUp(self):
        super().setUp()
        self.relais = harness.Gateway(
            self, self.inner.port, *submission.sasl_lines(self),
            "user_message_limit 9", daemon=harness.SMTPSD)

    def test_what_users_have_sent(self):
        """It counts across a reload, in old sessions and in new ones, and
        across a broker's death."""
        def send(c):
            reply = c.cmd("MAIL FROM:<a@example.org>")
            c.cmd("RSET")
            return reply[0]

        before = self.user()
        self.assertEqual([send(before) for _ in range(4)], [250] * 4)
        reload(self.relais)
        after = self.user()
        self.assertEqual([send(after) for _ in range(3)], [250] * 3)
        self.assertEqual(send(before), 250)
        broker, = self.relais.pids("broker")
        os.kill(broker, signal.SIGKILL)
        wait_for(lambda: self.relais.pids("broker") not in ([], [broker]))
        self.assertEqual(send(after), 250)
        for c in before, after, self.user():
            self.assertEqual(send(c), 450)
        for c in before, after:
            c.close()

    def test_sessions_stay(self):
        writing, idle, greeted = self.user(), self.user(), self.tls()
        greeted.ehlo()
        writing.begin()
        writing.send(b"Subject: one\r\n\r\nfirst half\r\n")
        reload(self.relais)
        writing.send(b"second half\r\n.\r\n")
        self.assertReply(writing.reply(), 250)
        self.assertIn(b"first half\r\nsecond half\r\n",
                      self.inner.messages[-1].octets)
        self.assertReply(greeted.login(), 235, "2.7.0")
        for c in idle, greeted, self.user():
            c.begin()
            c.send(b"x\r\n.\r\n")
            self.assertReply(c.reply(), 250)
        wait_for(lambda: not [p for p in self.relais.pids("old")
                              if "authenticator" in proc_read(p, "cmdline")],
                 5, "authenticators to go")
        for c in idle, greeted:         # those who are left go on writing
            c.begin()
            c.send(b"y\r\n.\r\n")
            self.assertReply(c.reply(), 250)
        for c in writing, idle, greeted:
            self.assertReply(c.cmd("QUIT"), 221)
        all_old_gone(self.relais)

    def test_sigterm_while_draining(self):
        """What is on its way in an old generation arrives."""
        writing, idle = self.user(), self.user()
        writing.begin()
        writing.send(b"one\r\n")
        reload(self.relais)
        self.relais.process.terminate()
        self.assertReply(idle.reply(), 421, "4.3.2")
        time.sleep(0.5)
        writing.send(b"two\r\n.\r\n")
        self.assertReply(writing.reply(), 250)
        self.assertReply(writing.reply(), 421, "4.3.2")
        self.assertEqual(self.relais.process.wait(5), 0)
        self.relais.process = None
        self.assertIn(b"one\r\ntwo\r\n", self.inner.messages[-1].octets)


if __name__ == "__main__":
    main()
