# SPDX-License-Identifier: ISC
"""Configuration as the administrator meets it: what is good, what is refused
and with which word, and what a start makes by itself."""

import os
import pwd
import re
import subprocess

import harness
from case import TestCase, main, needs_root, not_sanitized
from certs import certificates, gateway_pair, openssl
from harness import (DAEMON_USER, IMAPSD, ROOT, folder, free_port,
                     need_users, run_imapsd)
from inner import StandIn


class Config(TestCase):
    def setUp(self):
        need_users()
        self.folder = folder(self)
        self.pair = gateway_pair()

    def good(self):
        return ["listen 127.0.0.1:%d ssl" % free_port(),
                "outgoing_server 127.0.0.1:%d" % free_port(),
                "ssl_cert_file " + self.pair.cert,
                "ssl_key_file " + self.pair.key]

    def write(self, lines, name="imapsd.conf"):
        path = os.path.join(self.folder, name)
        with open(path, "w") as f:
            f.write("\n".join(lines) + "\n")
        return path

    def run_with(self, lines, *args, name="imapsd.conf"):
        return run_imapsd("-f", self.write(lines, name), "--spool_directory",
                          self.folder + "/spool", "--log_facility",
                          self.folder + "/log", "--pid_file",
                          self.folder + "/pid", *args)

    def check(self, lines, *args, **kw):
        return self.run_with(lines, "--check_config", *args, **kw)


class Check(Config):
    def test_good(self):
        status, text = self.check(self.good())
        self.assertEqual(status, 0, text)
        self.assertNotIn("RSA", text)

    def test_rsa_alone(self):
        """It is good, but there is something better."""
        pair = gateway_pair("rsa")
        status, text = self.check(self.good()[:2] + [
            "ssl_cert_file " + pair.cert, "ssl_key_file " + pair.key])
        self.assertEqual(status, 0, text)
        self.assertIn("ECDSA P-256", text)

    def test_the_sample(self):
        """conf/imapsd.conf passes once its certificate is there."""
        with open(os.path.join(harness.TOP, "conf", "imapsd.conf")) as f:
            lines = f.read().splitlines()
        given = ["--ssl_cert_file", self.pair.cert,
                 "--ssl_key_file", self.pair.key]
        status, text = self.check(lines, *given)
        self.assertEqual(status, 0, text)

    # one line more (or in place of the one that begins alike): what is said
    FAULTS = (
        ("outgoing_sever 192.0.2.1", r":5: .*outgoing_server"),
        ("nonsense", r":5: .*nonsense"),
        ("timeout soon", r":5: .*timeout"),
        ("timeout -1", r":5: .*timeout"),
        ("timeout", r":5: .*timeout"),
        ("timeout = 40", r':5: .*='),
        ('ok_line "no end', r":5: "),
        ("workers many", r":5: .*workers"),
        ("listen 127.0.0.1:1 tls", r":5: .*tls"),
        ("listen mail.example.test ssl", r":5: .*mail\.example\.test"),
        ("ssl_mode ssl_listen", r"listen"),
        ("map_library /usr/lib/libperditiondb_gdbm.so.0",
         r":5: .*map_library"),
        ("log_passwd always", r":5: .*log_passwd"),
        ("protocol POP3S", r":5: .*POP3S.*pop3sd"),
        ("ssl_listen_ciphers SOME:NONSENSE", r":5: .*ssl_listen_ciphers"),
        ("ssl_listen_min_proto_version sslv3", r":5: .*sslv3"),
        ("outgoing_server operator@127.0.0.1", r":2: "),
        ("outgoing_server 127.0.0.1:nosuchservice", r":2: .*nosuchservice"),
        ("outgoing_server", r":2: "),
        ("ssl_cert_file /nowhere/cert.pem", r"/nowhere/cert\.pem"),
        ("ssl_key_file /nowhere/key.pem", r"/nowhere/key\.pem"),
        ("username no_such_user_here", r"no_such_user_here"),
        ("group no_such_group_here", r"no_such_group_here"),
        ("ssl_ca_file /nowhere/ca.pem", r"/nowhere/ca\.pem"),
    )
    ROOT_ONLY = ("username", "group")

    def test_faults(self):
        for line, said in self.FAULTS:
            word = line.split()[0]
            if word in self.ROOT_ONLY and not ROOT:
                continue        # nobody changes user then
            with self.subTest(line):
                lines = self.good()
                at = [n for n, l in enumerate(lines)
                      if l.split()[0] == word and word != "listen"]
                if at:
                    lines[at[0]] = line
                else:
                    lines.append(line)
                if word == "ssl_ca_file":
                    lines.append("ssl_mode ssl_outgoing")
                status, text = self.check(lines)
                self.assertNotEqual(status, 0, text)
                self.assertRegex(text, said)
                self.assertIn(
                    "imapsd.conf" if said.startswith(":") else "", text)

    def test_every_fault_is_told(self):
        status, text = self.check(self.good() + ["one", "two 2",
                                                 "timeout x"])
        self.assertNotEqual(status, 0)
        for number in (5, 6, 7):
            self.assertRegex(text, r"imapsd\.conf:%d: " % number)

    def test_a_start_says_the_same(self):
        """And does not start."""
        status, text = self.run_with(self.good() + ["nonsense"],
                                     "--no_daemon")
        self.assertNotEqual(status, 0)
        self.assertRegex(text, r"imapsd\.conf:5: .*nonsense")

    def test_no_file(self):
        status, text = run_imapsd("-f", self.folder + "/none",
                                  "--check_config")
        self.assertNotEqual(status, 0)
        self.assertIn(self.folder + "/none", text)

    def test_key_of_another_certificate(self):
        lines = self.good()[:3] + ["ssl_key_file " + gateway_pair("rsa").key]
        status, text = self.check(lines)
        self.assertNotEqual(status, 0)
        self.assertIn(self.pair.cert, text)

    def test_a_key_that_is_none(self):
        path = self.write(["not a key"], "bad.key")
        status, text = self.check(self.good()[:3] + ["ssl_key_file " + path])
        self.assertNotEqual(status, 0)
        self.assertNotIn("not a key", text)

    def test_expired_certificate(self):
        """It is told, and is the administrator's decision."""
        old = certificates().make(days=(-9, -1))
        _, text = self.check(self.good()[:2] + [
            "ssl_cert_file " + old.cert, "ssl_key_file " + old.key])
        self.assertRegex(text, r"(?i)expired")

    def test_passphrase(self):
        path = os.path.join(self.folder, "locked.key")
        openssl("pkey", "-in", self.pair.key, "-aes256", "-passout",
                        "pass:Pass-Phrase-9", "-out", path)
        phrase = self.write(["Pass-Phrase-9"], "phrase")
        os.chmod(phrase, 0o600)
        lines = self.good()[:3] + ["ssl_key_file " + path]
        status, text = self.check(lines + ["ssl_passphrase_file " + phrase])
        self.assertEqual(status, 0, text)
        wrong = self.write(["wrong"], "wrong")
        os.chmod(wrong, 0o600)
        for more in ([], ["ssl_passphrase_file " + wrong]):
            status, text = self.check(lines + more)
            self.assertNotEqual(status, 0, text)
            self.assertNotIn("Pass-Phrase-9", text)

    def test_a_public_server_in_clear_is_warned_about(self):
        lines = self.good()
        lines[1] = "outgoing_server 198.51.100.7"
        status, text = self.check(lines)
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"198\.51\.100\.7")

    def test_993_is_never_silently_plain(self):
        lines = ["listen_port 993", *self.good()[1:]]
        status, text = self.check(lines + ["protocol IMAP4"])
        self.assertNotEqual(status, 0, text)
        status, text = self.run_with(lines, "--print_config")
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r'(?m)^#   listen "\S*:993 ssl"')


class Print(Config):
    def values(self, lines, *args):
        status, text = self.run_with(lines, "--print_config", *args)
        self.assertEqual(status, 0, text)
        return text

    def test_defaults(self):
        text = self.values(self.good())
        for line in ("authenticate_timeout 60", "timeout 1800",
                     "outgoing_timeout 30", "login_attempts 10",
                     "username _relais", "daemon_username _relaisd"):
            self.assertRegex(text, r"(?m)^%s\b.*# default" % line)

    def test_where_values_come_from(self):
        text = self.values(self.good() + ["timeout 40", "login_attempts 5"],
                           "--login_attempts", "7")
        self.assertRegex(text, r"(?m)^timeout 40\b.*# .*imapsd\.conf:5")
        self.assertRegex(text, r"(?m)^login_attempts 7\b.*# command line")

    def test_read_back(self):
        """What it prints is a configuration that prints the same."""
        def bare(text):
            return [re.sub(r"\s+# .*", "", l) for l in text.splitlines()]

        lines = self.good() + ['ok_line "you\'re # in \\\\ \\"here\\""',
                               "imap_capability 'IMAP4rev1 XONE'"]
        once = self.values(lines)
        self.assertEqual(bare(self.values(once.splitlines())), bare(once))

    def test_defaults_of_the_listeners(self):
        text = self.values(self.good()[1:])
        self.assertRegex(text, r'(?m)^#   listen "\S*:993 ssl"')
        self.assertRegex(text, r'(?m)^#   listen "\S*:143 starttls"')


class Words(Config):
    def test_help_and_version(self):
        for option in ("--help", "-h"):
            status, text = run_imapsd(option)
            self.assertEqual(status, 0)
            self.assertIn("--check_config", text)
            self.assertIn("outgoing_server", text)
        status, text = run_imapsd("--version")
        self.assertEqual(status, 0)
        self.assertRegex(text, r"imapsd.* \d+\.\d+")

    def test_unknown_option(self):
        for args in (("--nonsense",), ("-@",), ("stray",)):
            status, text = run_imapsd(*args)
            self.assertNotEqual(status, 0)
            self.assertTrue(text)

    def test_full_output(self):
        """An answer that cannot be written is a failure."""
        with open("/dev/full", "w") as full:
            done = subprocess.run([IMAPSD, "--help"], stdout=full,
                                  stderr=subprocess.DEVNULL)
        self.assertNotEqual(done.returncode, 0)


class Start(Config):
    def test_short_options(self):
        inner = StandIn(self)
        port = free_port()
        relais = harness.Relais(
            self, "", args=["-l", str(port), "-s", "127.0.0.1", "-p",
                            str(inner.port), "--ssl_mode=ssl_listen",
                            "--ssl_cert_file", self.pair.cert,
                            "--ssl_key_file=" + self.pair.key],
            ports=(port,))
        self.assertOK(self.connect(port, True).login())
        del relais

    def test_several_instances_share_a_spool(self):
        inner = StandIn(self)
        one = harness.Gateway(self, inner.port)
        two = harness.Gateway(self, inner.port, spool=one.spool)
        self.assertOK(self.connect(one.ssl, True).login())
        two.stop()
        self.assertOK(self.connect(one.ssl, True).login())

    def test_a_port_that_is_taken(self):
        inner = StandIn(self)
        lines = self.good()
        lines[0] = "listen 127.0.0.1:%d ssl" % inner.port
        lines[1] = "outgoing_server 127.0.0.2:%d" % inner.port
        status, text = self.run_with(lines, "--no_daemon")
        self.assertNotEqual(status, 0)
        with open(self.folder + "/log", "a+") as f:
            f.seek(0)
            text += f.read()
        self.assertIn(str(inner.port), text)

    def test_disabled(self):
        status, text = self.run_with(self.good() + ["enabled no"],
                                     "--no_daemon")
        self.assertEqual(status, 0, text)
        status, text = self.run_with(self.good() + ["enabled no"],
                                     "--check_config")
        self.assertEqual(status, 0, text)
        self.assertIn('good, and says "enabled no"', text)

    @needs_root         # who else has nothing to be locked into
    def test_the_spool_is_made(self):
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port)
        names = set(os.listdir(relais.spool))
        self.assertLessEqual({"empty", "etc"}, names)
        self.assertEqual(os.listdir(relais.spool + "/empty"), [])

    @needs_root
    def test_owners_in_the_spool(self):
        """A role that is taken over can change nothing in there but what is
        its own."""
        relais = harness.Gateway(self, StandIn(self).port)
        daemon = pwd.getpwnam(DAEMON_USER).pw_uid
        for top, folders, files in os.walk(relais.spool):
            for name in folders + files:
                status = os.stat(os.path.join(top, name))
                with self.subTest(name=name):
                    self.assertEqual(status.st_mode & 0o002, 0)
                    if name != "run":
                        self.assertEqual(status.st_uid, 0)
                    else:
                        self.assertIn(status.st_uid, (0, daemon))

    @not_sanitized  # whose reports need stderr
    def test_background(self):
        """It returns when it serves; the pid file tells its master."""
        port = free_port()
        pid_file = self.folder + "/pid"
        lines = self.good()
        lines[0] = "listen 127.0.0.1:%d ssl" % port
        lines[1] = "outgoing_server 127.0.0.1:%d" % StandIn(self).port
        status, text = self.run_with(lines)
        self.assertEqual(status, 0, text)
        with open(pid_file) as f:
            pid = int(f.read())
        self.addCleanup(self.end, pid)
        self.assertRegex(harness.proc_read(pid, "cmdline"),
                         r"^imapsd: master")
        self.assertOK(self.connect(port, True).login())
        status, text = self.run_with(lines)
        self.assertNotEqual(status, 0, "a second one started")
        self.end(pid)
        self.assertFalse(os.path.exists(pid_file))

    @staticmethod
    def end(pid):
        if harness.TITLE.match(harness.proc_read(pid, "cmdline")):
            os.kill(pid, 15)
            harness.wait_for(lambda: not harness.proc_read(pid, "cmdline"),
                             10, "imapsd to end")


if __name__ == "__main__":
    main()
