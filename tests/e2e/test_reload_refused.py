# SPDX-License-Identifier: ISC
"""Reloads that are not done, or not to the end: what the check finds, and
programs that are others, broken, or fail once the check is over."""

import os
import re
import shutil
import signal
import socket

import harness
from case import StandInCase, main
from certs import certificates, gateway_pair
from harness import IMAPSD, accepts, folder, free_port
from reloading import all_old_gone, generation, refuse, reload, rewrite


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


if __name__ == "__main__":
    main()
