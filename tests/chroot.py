#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The life of the packages in a clean Debian: installed, enabled, used,
upgraded, removed, purged; and nothing is left.  By hand, as root, since it
takes minutes and asks the mirror that apt is configured with:

    tests/chroot.py                 # make a Debian with debootstrap
    tests/chroot.py --base FOLDER   # a copy of one that debootstrap has made

It wants debootstrap, debhelper and lintian.  Everything happens in a folder
under /tmp and in namespaces of its own (mounts, processes, network), which go
with it.  The last line is "N passed, N failed"."""

import argparse
import contextlib
import hashlib
import imaplib
import os
import poplib
import re
import shutil
import smtplib
import ssl
import stat
import subprocess
import sys
import tempfile
import threading
import socket
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(HERE, "e2e"))
from inner import Pop3Script, Script, StandIn  # noqa: E402  the path is first
from submission import SmtpScript  # noqa: E402

DAEMONS = ("imapsd", "pop3sd", "smtpsd")
PORTS = {"imapsd": (993, 143), "pop3sd": (995, 110), "smtpsd": (465, 587)}
PACKAGES = ("relais-common",) + DAEMONS
NAME = "mail.example.test"
USER, PASSWORD = "alice", "secret"
USERS = ("_relais", "_relaisd")
SPOOL = "/var/spool/relais"

# What dpkg, apt and those who make users write for themselves.
BOOKS = re.compile(
    r"/(proc|sys|run/lock)(/|$)|/var/(log|cache)/|/var/lib/apt/|"
    r"/var/lib/dpkg/(status|available|lock|triggers|updates|info/format)|"
    r"/etc/((passwd|group|shadow|gshadow)-|\.pwd\.lock)|/dev/log$")

passed, failed = [], []


def say(text):
    print(text, flush=True)


def step(text):
    say("\n" + text)


def check(good, text, more=""):
    """Go on whatever comes out: one fault should not hide the next."""
    (passed if good else failed).append(text)
    say("  %s %s" % ("ok  " if good else "BAD ", text))
    if not good and more:
        say("       " + str(more).strip().replace("\n", "\n       "))
    return good


def run(*argv, may_fail=False, **kw):
    """Status and output; a failure ends all unless it may be."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **kw)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0 and not may_fail:
        sys.exit("%s: status %d\n%s" % (" ".join(argv), done.returncode,
                                        text[-4000:]))
    return done.returncode, text


def wait_for(question, timeout=15):
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if question():
                return True
        time.sleep(0.2)
    return False


# --- before: packages, and a Debian ---------------------------------------

def build(work, name, *args):
    """make deb; the packages are in a folder of that name."""
    run("make", "-C", TOP, "deb", *args)
    where = os.path.join(work, name)
    shutil.move(os.path.join(TOP, "build", "deb"), where)
    return where


def debs(where):
    return sorted(os.path.join(where, name) for name in os.listdir(where)
                  if name.endswith(".deb"))


def digests(where):
    found = {}
    for path in debs(where):
        with open(path, "rb") as f:
            found[os.path.basename(path)] = hashlib.sha256(
                f.read()).hexdigest()
    return found


def build_all(work):
    step("Packages")
    first = build(work, "first")
    check([os.path.basename(p).split("_")[0] for p in debs(first)] ==
          sorted(PACKAGES), "make deb makes " + ", ".join(PACKAGES))
    again = build(work, "again")
    check(digests(first) == digests(again), "twice the same, octet by octet")
    changes = [p for p in os.listdir(first) if p.endswith(".changes")][0]
    status, text = run("lintian", "--allow-root", "--fail-on", "error",
                       os.path.join(first, changes), may_fail=True)
    check(status == 0, "lintian finds no error", text)
    check(not text.strip(), "nor anything to warn of", text)
    second = build(work, "second", "DEB_VERSION=0.1+upgrade")
    return first, second


def mirror():
    """Its address and the name of the release, of what apt is told."""
    with open("/etc/os-release") as f:
        suite = re.search(r"^VERSION_CODENAME=(\w+)", f.read(), re.M).group(1)
    _, text = run("apt-get", "indextargets", "--format",
                  "$(SITE) $(RELEASE)", "Created-By: Packages")
    for line in text.splitlines():
        site, _, release = line.partition(" ")
        if release == suite:
            return site, suite
    sys.exit("apt knows no mirror of " + suite)


def make_base(root, base):
    if base:
        step("A copy of " + base)
        run("cp", "-a", base, root)
    else:
        site, suite = mirror()
        step("debootstrap %s from %s" % (suite, site))
        run("debootstrap", "--variant=minbase", suite, root, site)
    shutil.copy("/etc/resolv.conf", root + "/etc/resolv.conf")


class Chroot:
    def __init__(self, root):
        self.root = root

    def path(self, name):
        return self.root + name

    def run(self, *argv, may_fail=False):
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive", LC_ALL="C",
                   PATH="/usr/sbin:/usr/bin:/sbin:/bin")
        return run("chroot", self.root, *argv, may_fail=may_fail, env=env)

    def write(self, name, text):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w") as f:
            f.write(text)

    def read(self, name):
        with open(self.path(name)) as f:
            return f.read()

    def exists(self, name):
        return os.path.lexists(self.path(name))

    def take(self, where):
        """Packages to where the chroot can see them."""
        there = "/tmp/" + os.path.basename(where)
        os.makedirs(self.path(there))
        for path in debs(where):
            shutil.copy(path, self.path(there))
        return [there + "/" + os.path.basename(path) for path in debs(where)]

    def look(self):
        """{path: what it is}, all but dpkg's books and what we put into
        /tmp."""
        found = {}
        for top, folders, files in os.walk(self.root):
            here = top[len(self.root):]
            folders[:] = [n for n in folders
                          if here + "/" + n not in ("/proc", "/sys", "/tmp")]
            for name in folders + files:
                path = here + "/" + name
                if not BOOKS.search(path):
                    found[path] = self.describe(path)
        return found

    def describe(self, path):
        st = os.lstat(self.path(path))
        what = [oct(st.st_mode), st.st_uid, st.st_gid]
        if stat.S_ISLNK(st.st_mode):
            what.append(os.readlink(self.path(path)))
        elif stat.S_ISREG(st.st_mode):
            with open(self.path(path), "rb") as f:
                what.append(hashlib.sha256(f.read()).hexdigest())
        return tuple(what)


def prepare(chroot, first):
    """What the packages depend on and the tests use, before the first
    look."""
    step("What they depend on")
    paths = chroot.take(first)
    chroot.run("apt-get", "update", "-q")
    _, text = chroot.run("apt-get", "install", "-s", "-y", "-q",
                         "--no-install-recommends", *paths)
    wanted = [name for name in re.findall(r"^Inst (\S+)", text, re.M)
              if name not in PACKAGES]
    chroot.run("apt-get", "install", "-y", "-q", "--no-install-recommends",
               "systemd", "openssl", "sasl2-bin", *wanted)
    say("  " + " ".join(wanted))
    # an administrator's, not ours
    chroot.write("/etc/hosts", "127.0.0.1 localhost\n127.0.1.1 %s mail\n"
                 % NAME)
    chroot.write("/etc/sasl2/smtpd.conf", "pwcheck_method: auxprop\n"
                 "auxprop_plugin: sasldb\nmech_list: plain login\n")
    subprocess.run(["chroot", chroot.root, "saslpasswd2", "-p", "-c", "-u",
                    NAME, USER], input=PASSWORD.encode(), check=True)
    return paths


# --- in a network of our own ----------------------------------------------

class Journal:
    """syslog's socket."""

    def __init__(self, path):
        self.lines = []
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(path)
        os.chmod(path, 0o666)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            self.lines.append(self.sock.recv(65536).decode(
                "utf-8", "replace"))

    def tail(self):
        return "\n".join(self.lines[-6:])


class Life:
    def __init__(self, root, stack, first, second):
        self.chroot = Chroot(root)
        self.journal = Journal(root + "/dev/log")
        self.first, self.second = first, second
        self.inner = {"imapsd": StandIn(stack, Script()),
                      "pop3sd": StandIn(stack, Pop3Script()),
                      "smtpsd": StandIn(stack, SmtpScript())}
        self.inner["smtpsd"].messages = []
        self.trusted = []       # every certificate that there was

    def context(self, daemon):
        """Trusts what it serves, which must be one of ours.  Not all of them
        at once: they have the same name, and OpenSSL takes the first."""
        der = self.served(daemon)
        if der not in self.trusted:
            raise AssertionError("a certificate of nobody's")
        return ssl.create_default_context(cadata=der)

    def trust(self, path):
        """The certificate there; returns it as it comes over the wire."""
        self.trusted.append(ssl.PEM_cert_to_DER_cert(
            re.sub(r"(?m)^#.*\n", "", self.chroot.read(path))))
        return self.trusted[-1]

    # clients

    def imapsd(self, port):
        if port == 993:
            client = imaplib.IMAP4_SSL(
                NAME, port, ssl_context=self.context("imapsd"), timeout=15)
        else:
            client = imaplib.IMAP4(NAME, port, timeout=15)
            client.starttls(self.context("imapsd"))
        client.login(USER, PASSWORD)
        return client

    def pop3sd(self, port):
        if port == 995:
            client = poplib.POP3_SSL(
                NAME, port, context=self.context("pop3sd"), timeout=15)
        else:
            client = poplib.POP3(NAME, port, timeout=15)
            client.stls(self.context("pop3sd"))
        client.user(USER)
        client.pass_(PASSWORD)
        return client

    def smtpsd(self, port):
        if port == 465:
            client = smtplib.SMTP_SSL(
                NAME, port, context=self.context("smtpsd"), timeout=15)
        else:
            client = smtplib.SMTP(NAME, port, timeout=15)
            client.starttls(context=self.context("smtpsd"))
        client.login("%s@%s" % (USER, NAME), PASSWORD)
        return client

    def log_in(self, daemon, port):
        return getattr(self, daemon)(port)

    def still_there(self, daemon, client):
        """The session of before is, to the inner server and back."""
        if daemon == "imapsd":
            return client.noop()[0] == "OK"
        if daemon == "pop3sd":
            return client._shortcmd("NOOP").startswith(b"+")
        return client.sendmail("a@example.test", ["b@example.test"],
                               "Subject: hello\r\n\r\nhello\r\n") == {}

    def use(self, text):
        for daemon in DAEMONS:
            for port in PORTS[daemon]:
                try:
                    client = self.log_in(daemon, port)
                    good = self.still_there(daemon, client)
                    check(good, "%s: %s at %d" % (text, daemon, port))
                    client.logout() if daemon == "imapsd" else client.quit()
                except Exception as e:
                    check(False, "%s: %s at %d" % (text, daemon, port),
                          "%r\n%s" % (e, self.journal.tail()))

    # processes

    def pid(self, daemon):
        try:
            return int(self.chroot.read("/run/%s.pid" % daemon))
        except (OSError, ValueError):
            return 0

    def program(self, daemon):
        return os.readlink("/proc/%d/exe" % self.pid(daemon))

    @staticmethod
    def running():
        """Ours, whatever they are called."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                if re.search("/usr/sbin/(imapsd|pop3sd|smtpsd)",
                             os.readlink("/proc/%s/exe" % pid)):
                    found.append(int(pid))
        return found

    @staticmethod
    def listening(daemon):
        for port in PORTS[daemon]:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 5).close()
                return True
        return False

    # the steps

    def install(self):
        step("Installed: one, then all")
        c = self.chroot
        one = [p for p in self.first
               if re.search("/(relais-common|imapsd)_", p)]
        status, text = c.run("dpkg", "-i", *one, may_fail=True)
        check(status == 0, "imapsd alone can be installed", text)
        check("make-certificate" in text and "enable --now imapsd" in text,
              "it says what to do", text)
        check(not c.exists("/usr/sbin/pop3sd") and
              not c.exists("/etc/relais/smtpsd.conf"), "no other came along")
        status, text = c.run("dpkg", "-i", *self.first, may_fail=True)
        check(status == 0, "all can be installed", text)
        check(not c.exists("/etc/relais/server.crt"),
              "no certificate is invented")
        check(self.running() == [], "nothing runs")
        _, text = c.run("systemctl", "is-enabled", "relais.target",
                        may_fail=True)
        check(text.strip() == "enabled",
              "relais.target, which is empty as yet, is enabled", text)
        users = re.findall(r"^(\w+):", c.read("/etc/passwd"), re.M)
        check(set(USERS) <= set(users), "the users are there", users)
        check(stat.S_IMODE(os.stat(c.path(SPOOL + "/empty")).st_mode) ==
              0o555, "the spool is there")

    def enable(self):
        step("Enabled")
        c = self.chroot
        for daemon in DAEMONS:
            units = self.units(daemon)
            check(units, daemon + " has units")
            for unit in units:
                _, text = c.run("systemctl", "is-enabled", unit,
                                may_fail=True)
                check(text.strip() == "disabled", unit + " is not enabled",
                      text)
                status, text = c.run("systemctl", "enable", unit,
                                     may_fail=True)
                check(status == 0 and self.links(unit),
                      unit + " can be enabled", text)

    def units(self, daemon):
        """Those that can be enabled."""
        where = self.chroot.path("/lib/systemd/system")
        return [name for name in sorted(os.listdir(where))
                if re.match(daemon + r"[.-]", name) and
                "[Install]" in self.chroot.read("/lib/systemd/system/" +
                                                name)] \
            if os.path.isdir(where) else []

    def links(self, unit):
        top = self.chroot.path("/etc/systemd/system")
        return [where for where, folders, files in os.walk(top)
                if unit in folders + files]

    def configure(self):
        step("Configured")
        c = self.chroot
        for daemon in DAEMONS:
            name = "/etc/relais/%s.conf" % daemon
            c.write(name, re.sub(
                r"(?m)^outgoing_server .*", "outgoing_server 127.0.0.1:%d"
                % self.inner[daemon].port, c.read(name)))
        _, text = c.run("/usr/share/relais/make-certificate", NAME)
        check("certbot" in text, "make-certificate makes a pair")
        self.trust("/etc/relais/server.crt")
        for daemon in DAEMONS:
            status, text = c.run(daemon, "--check_config", may_fail=True)
            check(status == 0 and len(text.splitlines()) == 1,
                  daemon + " --check_config has no complaint", text)

    def start(self):
        for daemon in DAEMONS:
            status, text = self.chroot.run(daemon, may_fail=True)
            check(status == 0 and wait_for(lambda: self.listening(daemon)),
                  daemon + " starts", text + self.journal.tail())

    def renew(self):
        """A hook's renewal, while clients are there."""
        step("The certificate is renewed")
        c = self.chroot
        c.run("/usr/share/relais/make-certificate", "--folder", "/tmp/new",
              NAME)
        before = c.read("/etc/relais/server.crt")
        status, text = c.run("/usr/share/relais/deploy-certificate",
                             "/tmp/new/server.crt", "/tmp/new/server.key",
                             may_fail=True)
        check(status == 0 and "daemons that run take them" in text,
              "deploy-certificate says what comes next", text)
        check(c.read("/etc/relais/server.crt") != before, "it is in place")
        new = self.trust("/tmp/new/server.crt")
        for daemon in DAEMONS:
            check(wait_for(lambda: self.served(daemon) == new, 10),
                  daemon + " serves it", "it serves the one from before")

    @staticmethod
    def served(daemon):
        context = ssl._create_unverified_context()
        with socket.create_connection((NAME, PORTS[daemon][0]), 5) as sock:
            with context.wrap_socket(sock) as tls:
                return tls.getpeercert(True)

    def upgrade(self):
        step("Upgraded, while clients are there")
        c = self.chroot
        before = {d: self.pid(d) for d in DAEMONS}
        held = {d: self.log_in(d, PORTS[d][0]) for d in DAEMONS}
        conf = c.read("/etc/relais/imapsd.conf")
        status, text = c.run("dpkg", "-i", *self.second, may_fail=True)
        check(status == 0, "all can be upgraded", text)
        check(c.read("/etc/relais/imapsd.conf") == conf,
              "the configuration is as it was")
        for daemon in DAEMONS:
            _, text = c.run(daemon, "--version")
            check("+upgrade" in text, daemon + " is the new version", text)
            check(self.pid(daemon) == before[daemon],
                  daemon + " has its process id")
            check(wait_for(lambda: not self.program(daemon).endswith(
                " (deleted)"), 5), daemon + " runs as the new program",
                self.program(daemon))
            try:
                good = self.still_there(daemon, held[daemon])
            except Exception as e:
                good, text = False, "%r\n%s" % (e, self.journal.tail())
            check(good, daemon + "'s session from before goes on", text)
            for unit in self.units(daemon):
                check(self.links(unit), unit + " is enabled still")

    def left(self, before):
        now = self.chroot.look()
        return (sorted(set(now) - set(before)), sorted(set(before) - set(now)),
                sorted(p for p in before if now.get(p, before[p]) !=
                       before[p]))

    def remove(self, before):
        step("Removed, while they run")
        c = self.chroot
        status, text = c.run("dpkg", "--remove", *PACKAGES[::-1],
                             may_fail=True)
        check(status == 0, "all can be removed", text)
        check(wait_for(lambda: not self.running(), 5), "nothing runs",
              self.running())
        more, gone, other = self.left(before)
        more = [p for p in more if not re.match(
            r"/etc/(relais|systemd)(/|$)|/var/lib/dpkg/info/|"
            r"/var/spool/relais(/run(/ledger)?)?$|"
            r"/var/lib/systemd/deb-systemd-helper", p)]
        other = [p for p in other if not re.match(
            r"/etc/(passwd|group|shadow|gshadow)$", p)]
        check(not more, "nothing is left but configuration and the ledger",
              "\n".join(more))
        check(not gone and not other, "nothing else is changed",
              "\n".join(gone + other))
        for daemon in DAEMONS:
            check(c.exists("/etc/relais/%s.conf" % daemon),
                  daemon + "'s configuration is there")

    def purge(self, before):
        step("Installed again, and purged")
        c = self.chroot
        status, text = c.run("dpkg", "-i", *self.second, may_fail=True)
        check(status == 0, "all can be installed again", text)
        self.start()
        self.use("in use again")
        status, text = c.run("dpkg", "--purge", *PACKAGES[::-1],
                             may_fail=True)
        check(status == 0, "all can be purged", text)
        check(wait_for(lambda: not self.running(), 5), "nothing runs",
              self.running())
        more, gone, other = self.left(before)
        check(not more, "nothing is left", "\n".join(more))
        check(not gone, "nothing is missing", "\n".join(gone))
        check(not other, "nothing is changed", "\n".join(other))

    def all(self):
        before = self.chroot.look()
        say("  %d files and folders before" % len(before))
        self.install()
        self.enable()
        self.configure()
        step("In use")
        self.start()
        self.use("in use")
        self.renew()
        self.upgrade()
        self.use("after the upgrade")
        self.remove(before)
        self.purge(before)


class Stack(contextlib.ExitStack):
    """Undoes in reverse order, under the name that a test has for it."""
    addCleanup = contextlib.ExitStack.callback


def live(root, paths):
    """Packages are paths inside the chroot, of both versions."""
    run("ip", "link", "set", "lo", "up")
    run("mount", "-t", "proc", "proc", root + "/proc")
    # clients here go by the name that is in the certificate
    hosts = os.path.join(root, "tmp", "hosts")
    with open(hosts, "w") as f:
        f.write("127.0.0.1 localhost %s\n" % NAME)
    run("mount", "--bind", hosts, "/etc/hosts")
    run("chroot", root, "hostname", NAME)
    half = len(paths) // 2
    with Stack() as stack:
        Life(root, stack, paths[:half], paths[half:]).all()
    say("\n%d passed, %d failed" % (len(passed), len(failed)))
    for text in failed:
        say("failed: " + text)
    return 1 if failed else 0


def outside(args, work):
    first, second = build_all(work)
    root = os.path.join(work, "root")
    make_base(root, args.base)
    chroot = Chroot(root)
    paths = prepare(chroot, first) + chroot.take(second)
    env = dict(os.environ, RELAIS_PASSED=str(len(passed)),
               RELAIS_FAILED="\n".join(failed))
    return subprocess.run(
        ["unshare", "--mount", "--uts", "--net", "--pid", "--fork",
         "--kill-child", "--mount-proc", sys.executable,
         os.path.abspath(__file__), "--inside", root, *paths],
        env=env).returncode


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", metavar="FOLDER",
                        help="what debootstrap has made of this release")
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        passed.extend([""] * int(os.environ["RELAIS_PASSED"]))
        failed.extend(filter(None, os.environ["RELAIS_FAILED"].split("\n")))
        return live(args.inside[0], args.inside[1:])
    if os.geteuid() != 0:
        sys.exit("needs root")
    for program in "debootstrap", "dh", "lintian", "unshare", "ip":
        if shutil.which(program) is None:
            sys.exit(program + " is not there")
    work = tempfile.mkdtemp(prefix="relais-chroot-")
    try:
        return outside(args, work)
    finally:
        # debootstrap that was interrupted may have left it mounted
        subprocess.run(["umount", work + "/root/proc"], check=False,
                       stderr=subprocess.DEVNULL)
        run("rm", "-rf", "--one-file-system", work)


if __name__ == "__main__":
    sys.exit(main())
