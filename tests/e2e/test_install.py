# SPDX-License-Identifier: ISC
"""What make install brings: programs, pages and samples, of every daemon, and
each of them good where it lies."""

import os
import re
import shutil
import subprocess
import tempfile

import harness
from case import TestCase, main
from certs import gateway_pair
from harness import folder, need_users, run_daemon

DAEMONS = [os.path.basename(path) for path in (
    harness.IMAPSD, harness.POP3SD, harness.SMTPSD)]
PROGRAMS = ["sbin/" + daemon for daemon in DAEMONS]
PAGES = (["share/man/man8/%s.8" % daemon for daemon in DAEMONS] +
         ["share/man/man5/relais.conf.5"])
SAMPLES = ["share/doc/relais/%s.conf" % daemon for daemon in DAEMONS]
OTHERS = ["share/doc/relais/README.md", "share/doc/relais/LICENSE"]

FOREIGN = {("syslog", "3"), ("saslauthd", "8"),
           ("saslpasswd2", "8")}     # pages that ours refer to


def make_install(destination, prefix):
    # not as a part of the make that may have started the tests
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "-s", "-C", harness.TOP, "install",
         "DESTDIR=" + destination, "PREFIX=" + prefix] +
        (["SANITIZE=1"] if harness.SANITIZE else []),
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise AssertionError(done.stdout.decode(errors="replace"))


class Install(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.destination = tempfile.mkdtemp(prefix="relais-install-")
        cls.addClassCleanup(shutil.rmtree, cls.destination)
        make_install(cls.destination, "/opt/mail")
        cls.top = os.path.join(cls.destination, "opt", "mail")

    def path(self, name):
        return os.path.join(self.top, name)

    def text(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def test_all_is_there(self):
        """And nothing else, with the modes that it should have."""
        found = {}
        for where, _, names in os.walk(self.destination):
            for name in names:
                path = os.path.join(where, name)
                found[os.path.relpath(path, self.top)] = "%o" % (
                    os.stat(path).st_mode & 0o7777)
        wanted = dict.fromkeys(PROGRAMS, "755")
        wanted.update(dict.fromkeys(PAGES + SAMPLES + OTHERS, "644"))
        self.assertEqual(found, wanted)

    def test_programs(self):
        for daemon, name in zip(DAEMONS, PROGRAMS):
            with self.subTest(daemon):
                status, text = run_daemon(self.path(name), "--version")
                self.assertEqual(status, 0, text)
                self.assertTrue(text.startswith(daemon + " (Relais) "), text)

    def test_pages_are_clean(self):
        """To mandoc; whether what they refer to is there it can only say of
        pages of this machine, so see test_references()."""
        for name in PAGES:
            with self.subTest(name):
                said = subprocess.run(
                    ["mandoc", "-T", "lint", self.path(name)],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL).stdout.decode()
                self.assertEqual(
                    [line for line in said.splitlines()
                     if "referenced manual not found" not in line], [])

    def test_references(self):
        ours = {tuple(os.path.basename(name).rsplit(".", 1))
                for name in PAGES}
        for name in PAGES:
            with self.subTest(name):
                seen = set(re.findall(r"^\.Xr (\S+) (\d)", self.text(name),
                                      re.M))
                self.assertTrue(seen)
                self.assertEqual(seen - ours - FOREIGN, set())

    def test_names_of_pages(self):
        """A page is found by its file's name, and says it of itself."""
        for name in PAGES:
            with self.subTest(name):
                stem, section = os.path.basename(name).rsplit(".", 1)
                self.assertIn(".Dt %s %s\n" % (stem.upper(), section),
                              self.text(name))

    def check_sample(self, number, *args):
        need_users()
        spool = os.path.join(folder(self), "spool")
        return run_daemon(self.path(PROGRAMS[number]), "-f",
                          self.path(SAMPLES[number]), "--check_config",
                          "--spool_directory", spool, "--pid_file", "", *args)

    def test_samples(self):
        """They are good but for the certificate, and for what the host is
        called and how it checks passwords, which are another's."""
        pair = gateway_pair()
        sasl = folder(self)
        with open(os.path.join(sasl, "smtpd.conf"), "w") as f:
            f.write("pwcheck_method: saslauthd\nmech_list: plain login\n")
        for number, daemon in enumerate(DAEMONS):
            with self.subTest(daemon):
                status, text = self.check_sample(
                    number, "--ssl_cert_file", pair.cert,
                    "--ssl_key_file", pair.key, "--hostname",
                    "mail.example.test", "--sasl_config_path", sasl)
                self.assertEqual(status, 0, text)
                if not harness.SANITIZE:    # which says that it has no filters
                    self.assertEqual(
                        text, daemon + ": the configuration is good\n")

    def test_samples_ask_for_a_certificate(self):
        for number, daemon in enumerate(DAEMONS):
            with self.subTest(daemon):
                status, text = self.check_sample(
                    number, "--ssl_cert_file", "/nowhere/server.crt")
                self.assertEqual(status, 1, text)
                self.assertIn("/nowhere/server.crt", text)

    def test_samples_are_for_the_ports_of_the_protocol(self):
        for number, ports in enumerate(((993, 143), (995, 110), (465, 587))):
            with self.subTest(DAEMONS[number]):
                status, text = run_daemon(
                    self.path(PROGRAMS[number]), "-f",
                    self.path(SAMPLES[number]), "--print_config")
                self.assertEqual(status, 0, text)
                self.assertEqual(
                    re.findall(r'^# +listen "(.*)"$', text, re.M),
                    ["0.0.0.0:%d ssl" % ports[0], "[::]:%d ssl" % ports[0],
                     "0.0.0.0:%d starttls" % ports[1],
                     "[::]:%d starttls" % ports[1]])

    def test_no_sample_without_a_page(self):
        """Each directive that a sample writes or proposes is documented."""
        page = self.text("share/man/man5/relais.conf.5")
        documented = set(re.findall(r"^\.It Cm (\w+)", page, re.M))
        for name in SAMPLES:
            with self.subTest(name):
                written = set(re.findall(r"^#?([a-z]\w+)\b", self.text(name),
                                         re.M))
                self.assertTrue(written)
                self.assertEqual(written - documented, set())


if __name__ == "__main__":
    main()
