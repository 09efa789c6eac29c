# SPDX-License-Identifier: ISC
"""The start: keys that are locked, keys that are wrong, and as whom the
processes run; what is said when there is no start, and where it is said."""

import grp
import os
import pwd
import signal
import subprocess
import sys

import harness
from case import TestCase, main, needs_root
from certs import gateway_pair, openssl
from harness import (DAEMON_USER, IMAPSD, WORKER_USER, folder, free_port,
                     need_users, proc_status, wait_for)
from inner import StandIn

PHRASE = "Pass-Phrase-9"
LOCKED = r"{key}.*encrypted.*no passphrase"
WRONG_PHRASE = r"{key}.*cannot be decrypted"
WRONG_KEY = r"{key}.*not that of its first certificate"
NO_KEY = r"{key}.*not a private key"


class Start(TestCase):
    def setUp(self):
        need_users()
        self.folder = folder(self)
        self.pair = gateway_pair()
        self.inner = StandIn(self)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, 0o600)
        return path

    def locked(self):
        """The gateway's key, encrypted."""
        path = os.path.join(self.folder, "locked.key")
        openssl("pkey", "-in", self.pair.key, "-aes256", "-passout",
                "pass:" + PHRASE, "-out", path)
        return path

    def phrase_on(self, text):
        """A descriptor to read this from, as a pipe that has an end."""
        r, w = os.pipe()
        self.addCleanup(os.close, r)
        os.write(w, text.encode())
        os.close(w)
        return r

    def run_with(self, option, key, *lines, fd=None):
        """imapsd with this option, and this descriptor handed to it: its
        status, what it printed, and its log file."""
        log = os.path.join(self.folder, "log")
        if os.path.exists(log):
            os.unlink(log)
        conf = self.write("imapsd.conf", "\n".join((
            "listen 127.0.0.1:%d ssl" % free_port(),
            "outgoing_server 127.0.0.1:%d" % self.inner.port,
            "ssl_cert_file " + self.pair.cert, "ssl_key_file " + key,
            "spool_directory %s/spool" % self.folder,
            "log_facility " + log, "no_daemon", *lines)) + "\n")
        done = subprocess.run([IMAPSD, "-f", conf, option],
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT,
                              pass_fds=[] if fd is None else [fd],
                              timeout=20 * harness.SLOW)
        text = done.stdout.decode("utf-8", "replace")
        try:
            with open(log, errors="replace") as f:
                logged = f.read()
        except FileNotFoundError:
            logged = ""
        self.assertNotIn(PHRASE, text + logged)
        return done.returncode, text, logged


class Late(Start):
    @needs_root
    def test_network_that_comes_late(self):
        """An address that this host has not got yet is listened on."""
        address, port = "192.0.2.77", free_port()
        relais = Apart(
            self, "listen %s:%d plain\nlisten 127.0.0.1:%d plain\n"
            "outgoing_server 127.0.0.1:%d\n" % (
                address, port, free_port(), free_port()))
        relais.wait_log(r"%s:%d is no address of this host \(yet\)"
                        % (address, port))

        def inside(*argv):
            return subprocess.run(
                ["nsenter", "-t", str(relais.pid), "-n", *argv],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20)

        greeting = (sys.executable, "-c", "import socket; "
                    "s = socket.create_connection(('%s', %d), 5); "
                    "print(s.recv(100))" % (address, port))
        self.assertNotEqual(inside(*greeting).returncode, 0)
        done = inside("ip", "address", "add", address + "/32", "dev", "lo")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"* OK", inside(*greeting).stdout)


class Apart(harness.Relais):
    """In a network of its own, which has a loopback interface alone."""

    def argv(self, *more):
        return ["unshare", "--net", "sh", "-c",
                'ip link set lo up; exec "$@"', "sh", *super().argv(*more)]


class Passphrase(Start):
    def test_on_a_descriptor(self):
        """Its first line, however that ends."""
        key = self.locked()
        for text in (PHRASE, PHRASE + "\n", PHRASE + "\r\n",
                     PHRASE + "\nmore\n"):
            with self.subTest(text):
                fd = self.phrase_on(text)
                status, said, _ = self.run_with(
                    "--check_config", key, "ssl_passphrase_fd %d" % fd, fd=fd)
                self.assertEqual(status, 0, said)

    def serves(self, relais):
        """It does, and so does a keeper that is started later: nobody asks
        for the passphrase a second time."""
        self.assertOK(self.connect(relais.ssl, True).login())
        old = relais.pids("keeper")
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: len(set(relais.pids("keeper")) - set(old)) ==
                 len(old), 5, "new keepers")
        wait_for(lambda: self.shakes_hands(relais), 5, "a handshake")

    def shakes_hands(self, relais):
        try:
            return self.connect(relais.ssl, True)
        except OSError:
            return None     # a handshake that the old keeper left

    def test_start_with_a_descriptor(self):
        class Handed(harness.Gateway):
            phrase = self.write("phrase", PHRASE + "\n")

            def argv(self, *more):
                return ["sh", "-c", 'exec "$@" 9<"$0"', self.phrase,
                        *super().argv("--ssl_passphrase_fd", "9", *more)]

        relais = Handed(self, self.inner.port, pair=self.pair._replace(
            key=self.locked()))
        self.serves(relais)

    def test_start_with_a_file(self):
        relais = harness.Gateway(
            self, self.inner.port, "ssl_passphrase_file " + self.write(
                "phrase", PHRASE + "\n"),
            pair=self.pair._replace(key=self.locked()))
        self.serves(relais)


class Refused(Start):
    """No start, and the word for why: to the one who checks, and in the log
    of a daemon that nobody looks at."""

    def refused(self, said, key, *lines, phrase=None):
        for option in ("--check_config", "--no_daemon"):
            with self.subTest(option):
                fd, more = None, lines
                if phrase is not None:
                    fd = self.phrase_on(phrase)
                    more += ("ssl_passphrase_fd %d" % fd,)
                status, text, logged = self.run_with(option, key, *more,
                                                     fd=fd)
                self.assertEqual(status, 1, text)
                self.assertRegex(
                    text if option == "--check_config" else logged,
                    said.format(key=key))

    def test_locked_key_without_a_passphrase(self):
        self.refused(LOCKED, self.locked())

    def test_wrong_passphrase_on_a_descriptor(self):
        self.refused(WRONG_PHRASE, self.locked(), phrase="wrong\n")

    def test_wrong_passphrase_in_a_file(self):
        self.refused(WRONG_PHRASE, self.locked(), "ssl_passphrase_file "
                     + self.write("phrase", "wrong\n"))

    def test_even_when_it_is_to_be_quiet(self):
        self.refused(LOCKED, self.locked(), "quiet")

    def test_key_of_another_certificate(self):
        self.refused(WRONG_KEY, gateway_pair("rsa").key)

    def test_a_key_that_is_none(self):
        self.refused(NO_KEY, self.write("bad.key", "not a key\n"))

    def test_no_worker_was_started(self):
        """Nothing accepts before the keys are known to be good."""
        _, _, logged = self.run_with("--no_daemon", self.locked())
        self.assertNotIn("worker", logged)


@needs_root
class Users(Start):
    def who(self, relais):
        """{role: {(user, group)}}; no other group than that."""
        found = {}
        for pid, (role, _) in relais.processes().items():
            status = proc_status(pid)
            uids, gids = status["Uid"].split(), status["Gid"].split()
            self.assertEqual((len(set(uids)), len(set(gids))), (1, 1))
            if role != "master":
                self.assertEqual(status["Groups"], "")
            found.setdefault(role, set()).add((int(uids[0]), int(gids[0])))
        return found

    def runs_as(self, user, group, *lines):
        relais = harness.Gateway(self, self.inner.port, *lines)
        self.assertOK(self.connect(relais.ssl, True).login())
        daemon = pwd.getpwnam(DAEMON_USER)
        other = {(daemon.pw_uid, daemon.pw_gid)}
        self.assertEqual(self.who(relais), {
            "master": {(0, 0)}, "keeper": other, "broker": other,
            "control": other,
            "worker": {(user, group)}})

    def test_group(self):
        group = grp.getgrgid(harness.nobody().pw_gid)
        self.runs_as(pwd.getpwnam(WORKER_USER).pw_uid, group.gr_gid,
                     "group " + group.gr_name)

    def test_username(self):
        user = harness.nobody()
        self.runs_as(user.pw_uid, user.pw_gid, "username " + user.pw_name)

    def test_unknown_or_root(self):
        """Told at once, by a start and by a check alike."""
        for line, said in (
                ("username no_such_one", r'username: .*user "no_such_one"'),
                ("group no_such_one", r'group: .*group "no_such_one"'),
                ("daemon_username no_such_one",
                 r'daemon_username: .*user "no_such_one"'),
                ("username root", r'username: "root" has the rights'),
                ("group root", r'group: "root" is the group of root')):
            for option in ("--check_config", "--no_daemon"):
                with self.subTest(line, option=option):
                    status, text, _ = self.run_with(option, self.pair.key,
                                                    line)
                    self.assertEqual(status, 1, text)
                    self.assertRegex(text, said)


if __name__ == "__main__":
    main()
