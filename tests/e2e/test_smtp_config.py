# SPDX-License-Identifier: ISC
"""What smtpsd says of its configuration before it serves, to the one who
typed the command."""

import os
import subprocess

import harness
from case import TestCase, main
from certs import gateway_pair
from harness import folder, need_users

NO_DOMAIN = ("hostname: the system's name, localhost, has no domain: say what "
             "this host is called")
NO_SASL = ("sasl_config_path: there is no smtpd.conf: Cyrus SASL's own "
           "defaults hold")


class Config(TestCase):
    def run_on_localhost(self, *args):
        """On a machine that is called so, and has no smtpd.conf."""
        if not harness.ROOT:
            self.skipTest("needs root")
        need_users()
        pair, path = gateway_pair(), folder(self)
        done = subprocess.run(
            ["unshare", "--uts", "sh", "-c", 'hostname localhost; exec "$@"',
             "sh", harness.SMTPSD, "--outgoing_server", "192.168.0.3",
             "--listen", "127.0.0.1:%d ssl" % harness.free_port(),
             "--ssl_cert_file", pair.cert, "--ssl_key_file", pair.key,
             "--spool_directory", os.path.join(path, "spool"),
             "--sasl_config_path", path, "--pid_file", "", *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=harness.ENVIRONMENT, timeout=60)
        return done.returncode, done.stdout.decode().splitlines()

    def test_no_domain(self):
        """A fault, for the check as for the start."""
        status, lines = self.run_on_localhost("--check_config")
        self.assertEqual(status, 1, lines)
        self.assertIn(NO_DOMAIN, lines)
        status, lines = self.run_on_localhost("--no_daemon",
                                              "--log_facility", "-")
        self.assertEqual(status, 1, lines)
        self.assertIn(NO_DOMAIN, lines)

    def test_no_sasl_configuration(self):
        """A warning; its form is that of all messages before the start."""
        status, lines = self.run_on_localhost(
            "--check_config", "--hostname", "gw.example.org")
        self.assertEqual(status, 0, lines)
        self.assertIn(NO_SASL, lines)


if __name__ == "__main__":
    main()
