# SPDX-License-Identifier: ISC
"""What make install brings: programs, pages, samples, units, users, spool and
scripts, of every daemon, and each of them good where it lies."""

import os
import re
import shutil
import stat
import subprocess
import tempfile
import unittest

import harness
from case import TestCase, main
from harness import Gateway, folder, need_users, run_daemon

DAEMONS = [os.path.basename(path) for path in (
    harness.IMAPSD, harness.POP3SD, harness.SMTPSD)]
PROGRAMS = ["sbin/" + daemon for daemon in DAEMONS]
PAGES = (["share/man/man8/%s.8" % daemon for daemon in DAEMONS] +
         ["share/man/man5/relais.conf.5"])
SAMPLES = ["share/doc/relais/%s.conf" % daemon for daemon in DAEMONS]
OTHERS = ["share/doc/relais/README.md", "share/doc/relais/LICENSE",
          "lib/sysusers.d/relais.conf", "lib/tmpfiles.d/relais.conf"]
SCRIPTS = ["share/relais/" + name for name in (
    "make-certificate", "deploy-certificate", "client-setup")]
OTHERS.append("share/relais/client-setup.files")


def names_in(where):
    """The files below this folder of conf/, if there is one."""
    top = os.path.join(harness.TOP, "conf", where)
    return sorted(os.path.relpath(os.path.join(folder, name), top)
                  for folder, _, names in os.walk(top) for name in names)


UNITS = ["lib/systemd/system/" + name for name in names_in("systemd")]
OTHERS += UNITS + ["share/doc/relais/%s/%s" % (where, name)
                   for where in ("syslog", "fail2ban", "inetd",
                                 "prometheus", "grafana")
                   for name in names_in(where)]

FOREIGN = {("syslog", "3"), ("saslauthd", "8"),
           ("saslpasswd2", "8")}     # pages that ours refer to


def make(*args):
    # not as a part of the make that may have started the tests
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "-s", "-C", harness.TOP, *args] +
        (["SANITIZE=1"] if harness.SANITIZE else []),
        env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise AssertionError(done.stdout.decode(errors="replace"))


def files_in(top):
    """{path: mode} of the files below top."""
    found = {}
    for where, _, names in os.walk(top):
        for name in names:
            path = os.path.join(where, name)
            found[os.path.relpath(path, top)] = "%o" % (
                os.stat(path).st_mode & 0o7777)
    return found


def run(*argv):
    """Status, and all that was printed."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def need(program):
    if shutil.which(program) is None:
        raise unittest.SkipTest(program + " is not there")


class Install(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.destination = tempfile.mkdtemp(prefix="relais-install-")
        cls.addClassCleanup(shutil.rmtree, cls.destination)
        make("install", "DESTDIR=" + cls.destination, "PREFIX=/opt/mail")
        cls.top = os.path.join(cls.destination, "opt", "mail")

    def path(self, name):
        return os.path.join(self.top, name)

    def text(self, name):
        with open(self.path(name), encoding="utf-8") as f:
            return f.read()

    def test_all_is_there(self):
        """And nothing else, with the modes that it should have."""
        wanted = dict.fromkeys(PROGRAMS + SCRIPTS, "755")
        wanted.update(dict.fromkeys(PAGES + SAMPLES + OTHERS, "644"))
        self.assertEqual(
            files_in(self.destination),
            {"opt/mail/" + name: mode for name, mode in wanted.items()})

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
        """They are good with the certificate that make-certificate makes, but
        for what the host is called and how it checks passwords, which are
        another's."""
        made = folder(self)
        status, text = run(self.path("share/relais/make-certificate"),
                           "--folder", made, "mail.example.test")
        self.assertEqual(status, 0, text)
        sasl = folder(self)
        with open(os.path.join(sasl, "smtpd.conf"), "w") as f:
            f.write("pwcheck_method: saslauthd\nmech_list: plain login\n")
        for number, daemon in enumerate(DAEMONS):
            with self.subTest(daemon):
                status, text = self.check_sample(
                    number, "--ssl_cert_file", made + "/server.crt",
                    "--ssl_key_file", made + "/server.key", "--hostname",
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

    def test_users(self):
        """systemd-sysusers makes those that are the default."""
        need("systemd-sysusers")
        root = folder(self)
        os.mkdir(root + "/etc")
        status, text = run("systemd-sysusers", "--root=" + root,
                           self.path("lib/sysusers.d/relais.conf"))
        self.assertEqual(status, 0, text)
        with open(root + "/etc/passwd") as f:
            made = [line.rstrip("\n").split(":") for line in f]
        self.assertEqual(
            [(one[0], one[5], one[6]) for one in made],
            [(name, "/nonexistent", "/usr/sbin/nologin")
             for name in ("_relais", "_relaisd")])
        for one in made:
            self.assertNotIn("0", one[2:4])
        status, text = run_daemon(self.path(PROGRAMS[0]), "-f",
                                  self.path(SAMPLES[0]), "--print_config")
        self.assertEqual(
            re.findall(r"^(?:daemon_)?username (\S+)", text, re.M),
            [one[0] for one in made])

    @unittest.skipUnless(harness.ROOT, "needs root")
    def test_spool(self):
        """systemd-tmpfiles makes the one that a daemon makes, which then
        finds nothing wrong with it."""
        need_users()
        need("systemd-tmpfiles")
        root = folder(self)
        status, text = run("systemd-tmpfiles", "--root=" + root, "--create",
                           self.path("lib/tmpfiles.d/relais.conf"))
        self.assertEqual(status, 0, text)
        made = root + "/var/spool/relais"

        def look(top):
            return {os.path.relpath(os.path.join(where, name), top):
                    (oct(st.st_mode), st.st_uid, st.st_gid, st.st_rdev)
                    for where, folders, files in os.walk(top)
                    for name in folders + files + ["."]
                    for st in [os.lstat(os.path.join(where, name))]
                    # but for copies of /etc's, and the control socket
                    if not stat.S_ISREG(st.st_mode) and
                    not stat.S_ISSOCK(st.st_mode)}

        before = look(made)
        relais = Gateway(self, harness.free_port())
        self.assertEqual(look(relais.spool), before)
        other = Gateway(self, harness.free_port(), spool=made)
        self.assertEqual(look(made), before)
        self.assertNotIn(made, "\n".join(other.log()))


class Parts(TestCase):
    """What a package of each daemon and one of what they share would take."""

    def install(self, *args):
        top = folder(self)
        make(*args, "DESTDIR=" + top, "PREFIX=/usr")
        return top

    def test_a_file_is_in_one_of_them(self):
        whole = files_in(self.install("install"))
        parts = {}
        for part in ["common"] + DAEMONS:
            for name, mode in files_in(self.install("install-" + part)
                                       ).items():
                self.assertNotIn(name, parts)
                parts[name] = mode
                if part != "common":
                    self.assertIn(part, name)
        self.assertEqual(parts, whole)

    def test_units(self):
        """They name the program where it is, and go with it."""
        where = folder(self)
        units = {
            "imapsd.service": "[Service]\nExecStart=/usr/sbin/imapsd -x\n"
                              "ExecReload=/bin/kill -HUP $MAINPID\n",
            "imapsd.socket": "[Socket]\nListenStream=993\n",
            "imapsd@.service": "[Service]\nExecStart=/usr/sbin/imapsd\n",
            "imapsd-more.socket": "[Socket]\nListenStream=143\n",
            "pop3sd.service": "[Service]\n"
                              "ExecStart=/usr/local/sbin/pop3sd -x\n",
            "relais.target": "[Unit]\nDescription=Relais\n"}
        for name, text in units.items():
            with open(os.path.join(where, name), "w") as f:
                f.write(text)
        paths = "UNITS=" + " ".join(os.path.join(where, u) for u in units)
        for part, has in (
                ("imapsd", ["imapsd.service", "imapsd.socket",
                            "imapsd@.service", "imapsd-more.socket"]),
                ("pop3sd", ["pop3sd.service"]), ("smtpsd", []),
                ("common", ["relais.target"])):
            with self.subTest(part):
                top = folder(self)
                make("install-" + part, paths, "DESTDIR=" + top,
                     "PREFIX=/opt/mail")
                found = {
                    os.path.basename(name): mode
                    for name, mode in files_in(top).items()
                    if name.startswith("opt/mail/lib/systemd/system/")}
                self.assertEqual(found, dict.fromkeys(has, "644"))
                for unit in has:
                    path = top + "/opt/mail/lib/systemd/system/" + unit
                    with open(path) as f:
                        self.assertEqual(f.read(), re.sub(
                            "/usr/(local/)?sbin/", "/opt/mail/sbin/",
                            units[unit]))

    @unittest.skipUnless(UNITS, "there are no units")
    def test_units_are_good(self):
        """To systemd, installed where PREFIX says, without a word."""
        need("systemd-analyze")
        top = folder(self)
        make("install", "PREFIX=" + top)
        for name in UNITS:
            with self.subTest(name):
                path = os.path.join(top, name)
                # a template is looked at by one instance of it
                path = path.replace("@.", "@1.")
                if not os.path.exists(path):
                    os.symlink(os.path.basename(name), path)
                status, text = run("systemd-analyze", "verify", "--man=no",
                                   path)
                self.assertEqual((status, text), (0, ""))


class Scripts(TestCase):
    def test_shellcheck(self):
        """It finds nothing in what is for a shell."""
        need("shellcheck")
        found = []
        for where in ("conf", "tests", ".ci"):
            for top, _, names in os.walk(os.path.join(harness.TOP, where)):
                for name in names:
                    path = os.path.join(top, name)
                    with open(path, "rb") as f:
                        if re.match(rb"#! ?/bin/(ba)?sh\b", f.readline()):
                            found.append(path)
        self.assertIn(os.path.join(harness.TOP, "conf/make-certificate"),
                      found)
        # one that another reads is found from the top
        done = subprocess.run(["shellcheck", "-x", *found], cwd=harness.TOP,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        status, text = done.returncode, done.stdout.decode()
        self.assertEqual((status, text), (0, ""))

    def test_version(self):
        """Makefile and packages say the same."""
        def first(pattern, *path):
            with open(os.path.join(harness.TOP, *path)) as f:
                return re.search(pattern, f.read(), re.M).group(1)
        self.assertEqual(
            first(r"^relais \(([^-)]+)", "conf", "debian", "changelog"),
            first(r"^VERSION = (\S+)", "Makefile"))


if __name__ == "__main__":
    main()
