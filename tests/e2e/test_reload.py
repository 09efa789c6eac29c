# SPDX-License-Identifier: ISC
"""SIGHUP: the configuration is checked, the program executed in place, and
those who are connected stay with the old processes."""

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time

import harness
import submission
from case import Pop3Case, StandInCase, TestCase, main, needs_root
from certs import certificates, gateway_pair
from client import Client, tls_context
from harness import (IMAPSD, accepts, children, descriptors, folder,
                     free_port, proc_read, run_daemon, wait_for)
from inner import Script, StandIn

REFUSED = r"reload: refused, nothing has changed"


def generation(relais):
    """The newest that the log tells of."""
    told = re.findall(r"reloaded: generation (\d+) ",
                      "\n".join(relais.log()))
    return int(told[-1]) if told else 1


def reload(relais):
    """SIGHUP, and wait until the next generation serves."""
    mark, wanted = relais.mark(), generation(relais) + 1
    os.kill(relais.pid, signal.SIGHUP)
    relais.wait_log(r"reloaded: generation %d serves" % wanted, mark, 15)


def refuse(relais):
    """SIGHUP, and wait until it is refused.  What the log says."""
    mark = relais.mark()
    os.kill(relais.pid, signal.SIGHUP)
    relais.wait_log(REFUSED, mark, 15)
    return "\n".join(relais.log(mark))


def rewrite(relais, *changes, more=()):
    """Another configuration file: (old, new) pairs, and more lines."""
    text = relais.text
    for old, new in changes:
        if old not in text:
            raise AssertionError("%r is not in it" % old)
        text = text.replace(old, new)
    relais.text = text + "".join(line + "\n" for line in more)
    with open(relais.conf, "w") as f:
        f.write(relais.text)


def all_old_gone(relais):
    """Until no process of an old generation is left."""
    wait_for(lambda: not relais.pids("old"), 10, "the old ones to go")


def listening(port):
    """The inode of the socket that listens on a port; None: there is none."""
    for line in proc_read(os.getpid(), "net/tcp").splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].split(":")[1], 16) == port:
            return words[9]
    return None


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
        reload(self.relais)
        all_old_gone(self.relais)
        count = len(children(self.relais.pid))
        fds = descriptors(self.relais.pid) if harness.ROOT else 0
        for _ in range(5):
            reload(self.relais)
            all_old_gone(self.relais)
        self.assertEqual(len(children(self.relais.pid)), count)
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


class Refused(StandInCase):
    """What the check finds: nothing changes, and the log says why."""

    def setUp(self):
        super().setUp()
        self.path = folder(self)
        self.cert, self.key = self.path + "/crt", self.path + "/key"
        shutil.copy(gateway_pair().cert, self.cert)
        shutil.copy(gateway_pair().key, self.key)
        self.relais = harness.Gateway(self, self.inner.port, pair=(
            type(gateway_pair())(self.cert, self.key)))
        self.good = self.relais.text

    def check(self, *words):
        """Refused with all these words; all is as it was."""
        inside = self.tls()
        self.assertOK(inside.login())
        before = self.relais.processes()
        said = refuse(self.relais)
        for word in words:
            self.assertRegex(said, word)
        self.assertEqual(self.relais.processes(), before)
        self.assertOK(inside.cmd("NOOP"))
        self.assertOK(self.tls().login())
        self.assertEqual(generation(self.relais), 1)
        inside.close()

    def pair(self, cert=None, key=None):
        """Other files' octets; None: the usual one's."""
        for path, data, usual in ((self.cert, cert, gateway_pair().cert),
                                  (self.key, key, gateway_pair().key)):
            if data is None:
                with open(usual, "rb") as f:
                    data = f.read()
            with open(path, "wb") as f:
                f.write(data)

    @staticmethod
    def octets(path):
        with open(path, "rb") as f:
            return f.read()

    def test_configuration(self):
        rewrite(self.relais, more=("timeout soon",))
        self.check(re.escape(self.relais.conf) + r":\d+: .*timeout")
        rewrite(self.relais, ("timeout soon\n", "frobnicate yes\n"))
        self.check(re.escape(self.relais.conf) + r":\d+: .*frobnicate")
        rewrite(self.relais, ("frobnicate yes\n", "enabled no\n"))
        self.check("enabled no")
        os.remove(self.relais.conf)
        self.check(re.escape(self.relais.conf))

    def test_missing(self):
        for path in self.key, self.cert:
            with self.subTest(path=path):
                os.rename(path, path + ".away")
                self.check(re.escape(path) + ".*No such file")
                os.rename(path + ".away", path)

    def test_half_written(self):
        cert = self.octets(gateway_pair().cert)
        key = self.octets(gateway_pair().key)
        pair = re.escape("(%s, %s)" % (self.cert, self.key))
        for changes in ({"cert": cert[:len(cert) // 2]}, {"cert": b""},
                        {"key": key[:len(key) // 2]}, {"key": b""}):
            with self.subTest(**changes):
                self.pair(**changes)
                self.check("certificate pair 1 " + pair)
        self.pair()
        reload(self.relais)

    def test_mismatched(self):
        self.pair(key=self.octets(certificates().make().key))
        self.check(r"certificate pair 1 \(%s, .*key is not that of"
                   % re.escape(self.cert))

    def test_dates(self):
        for days, word in ((-9, -1), "expired"), ((1, 9), "not valid yet"):
            with self.subTest(word=word):
                pair = certificates().make(days=days)
                self.pair(self.octets(pair.cert), self.octets(pair.key))
                self.check(r"certificate pair 1 \(%s, .*%s" % (
                    re.escape(self.cert), word))

    def test_address_in_use(self):
        taken = socket.create_server(("127.0.0.1", free_port()))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        rewrite(self.relais, more=("listen 127.0.0.1:%d ssl" % port,))
        self.check("cannot listen on 127.0.0.1:%d" % port)

    def test_afterwards(self):
        """Once it is put right, a reload is done."""
        rewrite(self.relais, more=("timeout soon",))
        self.check("timeout")
        rewrite(self.relais, ("timeout soon\n", "timeout 100\n"))
        reload(self.relais)
        self.assertOK(self.tls().login())

    def test_authorities(self):
        """Of inner servers: workers would not start."""
        bad = self.path + "/ca"
        with open(bad, "w") as f:
            f.write("no certificate\n")
        rewrite(self.relais, more=("ssl_mode tls_outgoing",
                                   "ssl_ca_file " + bad))
        self.check("ssl_ca_file")


class Upgrade(StandInCase):
    """Another program at the path by which this one was started."""

    def setUp(self):
        super().setUp()
        self.path = os.path.join(folder(self), "imapsd")
        self.replace(lambda octets: octets)
        self.relais = harness.Gateway(self, self.inner.port,
                                      daemon=self.path)

    def replace(self, change):
        """As a package manager does it: by rename."""
        with open(IMAPSD, "rb") as f:
            octets = change(f.read())
        with open(self.path + ".new", "wb") as f:
            f.write(octets)
        os.chmod(self.path + ".new", 0o755)
        os.rename(self.path + ".new", self.path)

    @staticmethod
    def newer(octets):
        """The same program, but for its version."""
        changed, n = re.subn(rb"version=\d\.\d( |\0)", rb"version=9.9\1",
                             octets)
        if n == 0:
            raise AssertionError("no version in it")
        return changed

    def running(self, pid):
        return os.readlink("/proc/%d/exe" % pid)

    def test_newer_program(self):
        inside, greeted = self.tls(), self.tls()
        self.assertOK(inside.login())
        self.replace(self.newer)
        reload(self.relais)
        self.relais.wait_log(r"serves, version=9\.9")
        if harness.ROOT:
            for pid in [self.relais.pid] + self.relais.pids("worker"):
                self.assertEqual(self.running(pid), self.path)
            self.assertTrue(any(
                self.running(p).endswith("(deleted)")
                for p in self.relais.pids("old")))
        self.assertOK(inside.cmd("NOOP"))
        self.assertOK(greeted.login())
        self.assertOK(self.tls().login())
        inside.close()
        greeted.close()
        all_old_gone(self.relais)
        self.relais.wait_log("Closing session")

    def refused(self, word):
        inside = self.tls()
        self.assertOK(inside.login())
        self.assertRegex(refuse(self.relais), word)
        self.assertOK(inside.cmd("NOOP"))
        self.assertOK(self.tls().login())

    def test_broken_program(self):
        self.replace(lambda octets: octets[:1000])
        self.refused(re.escape(self.path) + "(: | was killed)")

    def test_no_program(self):
        os.remove(self.path)
        self.refused(re.escape(self.path) + ": No such file")

    def test_program_that_cannot_take_over(self):
        """One from before there were reloads says that all is well."""
        self.replace(lambda _: b"#!/bin/sh\nexit 0\n")
        self.refused("a program that cannot take over")

    def fail_after_the_check(self, then):
        """A program that checks, and with that spoils something."""
        real = self.path + ".real"
        shutil.copy(IMAPSD, real)
        script = ('#!/bin/sh\ncase "$*" in\n*--check_config*) %s "$@"; s=$?\n'
                  '%s\nexit $s\nesac\nexec %s "$@"\n' % (real, then, real))
        self.replace(lambda _: script.encode())
        inside = self.tls()
        self.assertOK(inside.login())
        mark = self.relais.mark()
        os.kill(self.relais.pid, signal.SIGHUP)
        self.relais.wait_log("reload: there is no new generation: those of "
                             "before go on", mark, 30)
        return inside

    def go_on_and_recover(self, inside, wanted):
        """The old generation takes clients; and the next reload does."""
        relais, mark = self.relais, self.relais.mark()
        for _ in range(4):
            c = self.tls()
            self.assertOK(c.login())
            c.close()
        self.assertOK(inside.cmd("NOOP"))
        wanted()
        os.kill(relais.pid, signal.SIGHUP)
        relais.wait_log("reloaded: generation 3 serves", mark, 15)
        self.assertOK(inside.cmd("NOOP"))
        for _ in range(2):
            self.assertOK(self.tls().login())
        inside.close()
        all_old_gone(relais)

    def test_new_workers_that_do_not_start(self):
        """What no check sees: the old generation goes on taking clients, and
        nobody is left to wait at a new address."""
        ca, new = self.path + ".ca", free_port()
        shutil.copy(certificates().ca.cert, ca)
        rewrite(self.relais, more=(
            "ssl_mode tls_outgoing", "ssl_ca_file " + ca,
            "listen 127.0.0.1:%d plain" % new))
        inside = self.fail_after_the_check("echo no certificate > " + ca)
        self.assertFalse(accepts(new))
        self.go_on_and_recover(inside, lambda: rewrite(
            self.relais, ("ssl_mode tls_outgoing\n", "timeout 100\n")))
        self.assertTrue(accepts(new))

    def test_configuration_that_is_spoilt_after_the_check(self):
        conf = self.relais.conf
        inside = self.fail_after_the_check("echo nonsense >> " + conf)
        self.relais.wait_log(re.escape(conf) + ":[0-9]+: .*nonsense")
        self.go_on_and_recover(inside, lambda: rewrite(self.relais))

    def test_nobody_is_left_to_serve(self):
        """No half-dead service: without any worker it ends, and badly."""
        inside = self.fail_after_the_check("echo nonsense >> "
                                           + self.relais.conf)
        for pid in self.relais.pids("worker"):
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(inside.rest(), "")
        self.assertEqual(self.relais.process.wait(10 * harness.SLOW), 1)
        self.relais.wait_log("nobody is left to serve")
        self.relais.process = None

    def test_program_that_crashes(self):
        self.replace(lambda _: b"#!/bin/sh\nkill -SEGV $$\n")
        self.refused("killed by signal 11")

    def test_by_a_link(self):
        """It is followed anew at each reload."""
        first, second = self.path + ".1", self.path + ".2"
        self.relais.stop()
        os.rename(self.path, first)
        with open(first, "rb") as f, open(second, "wb") as g:
            g.write(self.newer(f.read()))
        os.chmod(second, 0o755)
        os.symlink(first, self.path)
        self.relais.start()
        os.symlink(second, self.path + ".link")
        os.rename(self.path + ".link", self.path)
        reload(self.relais)
        self.relais.wait_log(r"serves, version=9\.9")


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
        before = {k: v for k, v in harness.proc_status(relais.pid).items()
                  if re.match("Cap|Sig(Blk|Ign|Cgt)|ShdPnd", k)}
        reload(relais)
        after = harness.proc_status(relais.pid)
        self.assertEqual({k: after[k] for k in before}, before)


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
            daemon=harness.SMTPSD)

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
