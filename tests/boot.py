#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Boot a system with systemd in it, and see the units of conf/systemd there:
enabled at the boot, reached, reloaded, replaced after a crash, stopped; what
their sandbox has to let through (certificates that are renewed, the control
socket, metrics, the ledger), and reloads of a configuration that is bad; then
by their sockets, with Accept=no and with Accept=yes.

    tests/boot.py [ROOT]

For the hand, and for root: make check does without.  ROOT is a folder that
debootstrap fills, some minutes, unless a system is there already; without it
one is made in /tmp and removed at the end.  The container has a network of its
own, so no port of this machine is touched.  Where debootstrap or systemd-nspawn
are missing, it says so and does nothing."""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "e2e"))
import client   # noqa: E402  the path comes first
import harness  # noqa: E402
import inner    # noqa: E402
import metrics  # noqa: E402
from certs import certificates, gateway_pair, openssl  # noqa: E402

SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("systemd,systemd-sysv,dbus,libevent-core-2.1-7,libgnutls30,"
            "libseccomp2,libc-ares2,libsasl2-2,libbsd0,procps")
LIMIT = 60      # seconds for any one thing to happen
DAEMONS = {"imapsd": (993, 143), "pop3sd": (995, 110), "smtpsd": (465, 587)}
INNER = {"imapsd": 20143, "pop3sd": 20110}
STRANGER = "127.66.1.1"     # whose failures the ledger counts


# --- what runs in the container's network ---------------------------------

class Case:
    """What inner.py and certs.py want of a test."""

    def addCleanup(self, *_):
        pass


def serve():
    """The inner servers, until we are ended."""
    for daemon, script in (("imapsd", inner.Script()),
                           ("pop3sd", inner.Pop3Script())):
        stand_in = inner.StandIn(Case(), script)
        stand_in.stop()
        stand_in.port = INNER[daemon]
        stand_in.start()
    signal.pause()


def visit(daemon, ca, *ports):
    """A client at the ports, with a login where an inner server decides."""
    context = client.tls_context(ca)
    for tls, port in zip((True, False), map(int, ports)):
        if daemon == "smtpsd":
            greet(port, context if tls else None)
            continue
        kind = client.Client if daemon == "imapsd" else client.Pop3Client
        with client.connect(port, kind=kind,
                            context=context if tls else None) as c:
            if not tls:
                c.starttls(context)
            said = c.login()
            if daemon == "imapsd":
                assert said.status == "OK", said
            else:
                assert str(said).startswith("+OK"), said


def greet(port, context):
    with client.Connection(port, context=context) as c:
        assert c.line().startswith("220 "), "no greeting"
        c.send(b"QUIT\r\n")
        assert c.line().startswith("221 "), "no good-bye"


def digest(der):
    return hashlib.sha256(der).hexdigest()


def served(name):
    """Print which certificate imapsd has for this name, be it another's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with client.Connection(993, context=context, name=name) as c:
        print(digest(c.sock.getpeercert(True)))


def guess(ca):
    """A wrong password, from an address that nobody trusts."""
    with client.connect(993, context=client.tls_context(ca),
                        source=STRANGER) as c:
        said = c.login(password="wrong")
        assert said.status == "NO", said


def scrape(port):
    print(metrics.Scrape(int(port)).value("relais_build_info"))


# What this program does in there, by the first of its words.
INSIDE = {"--visit": visit, "--served": served, "--guess": guess,
          "--scrape": scrape}


# --- the container ---------------------------------------------------------

def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, mode)


class Machine:
    def __init__(self, root):
        self.root = root
        self.process = self.leader = self.servers = None

    def path(self, name):
        return self.root + name

    def fill(self):
        if os.path.exists(self.path("/usr/lib/systemd/systemd")):
            return
        print("debootstrap", self.root, flush=True)
        subprocess.run(["debootstrap", "--variant=minbase",
                        "--include=" + PACKAGES, SUITE, self.root, MIRROR],
                       check=True, stdout=subprocess.DEVNULL)

    def install(self):
        """As make install would, and a configuration for each daemon."""
        for name in DAEMONS:
            path = self.path("/usr/local/sbin/" + name)
            if os.path.exists(path):
                os.unlink(path)
            shutil.copy(os.path.join(harness.BUILD, name), path)
        for unit in glob.glob(os.path.join(harness.TOP, "conf/systemd/*")):
            shutil.copy(unit, self.path("/etc/systemd/system/"))
        shutil.rmtree(self.path("/etc/systemd/system/imapsd.socket.d"),
                      ignore_errors=True)
        pair = gateway_pair()
        os.makedirs(self.path("/etc/relais"), exist_ok=True)
        shutil.copy(pair.cert, self.path("/etc/relais/server.crt"))
        shutil.copy(pair.key, self.path("/etc/relais/server.key"))
        for name, port in {**INNER, "smtpsd": 20025}.items():
            write(self.path("/etc/relais/%s.conf" % name),
                  "outgoing_server 127.0.0.1:%d\nlog_facility local5\n" % port)
        write(self.path("/etc/hostname"), "gateway\n")
        write(self.path("/etc/machine-id"), "")
        for user in harness.WORKER_USER, harness.DAEMON_USER:
            subprocess.run(["chroot", self.root, "useradd", "--system",
                            "--user-group", "--no-create-home", user],
                           stderr=subprocess.DEVNULL)
        self.offline("enable", "relais.target",
                     *(name + ".service" for name in DAEMONS))

    def offline(self, *words):
        subprocess.run(["systemctl", "--root=" + self.root, "-q", *words],
                       check=True)

    def boot(self):
        self.process = subprocess.Popen(
            ["systemd-nspawn", "--register=no", "--keep-unit", "--quiet",
             "--private-network", "--console=pipe", "--boot",
             # its own filter is older than Landlock
             "--system-call-filter=landlock_create_ruleset "
             "landlock_add_rule landlock_restrict_self",
             "--directory", self.root],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True)
        self.leader = harness.wait_for(self.find_leader, LIMIT, "pid 1")
        harness.wait_for(self.is_up, LIMIT, "the boot's end", 0.5)
        self.servers = subprocess.Popen(
            ["nsenter", "--target", str(self.leader), "--net", sys.executable,
             __file__, "--serve"], start_new_session=True)

    def find_leader(self):
        if self.process.poll() is not None:
            raise AssertionError("systemd-nspawn ended with %d" %
                                 self.process.returncode)
        # not its child of a moment, which makes the namespaces
        for pid in harness.children(self.process.pid):
            with contextlib.suppress(OSError):
                if (os.readlink("/proc/%d/ns/pid" % pid) !=
                        os.readlink("/proc/self/ns/pid")):
                    return pid
        return None

    def status(self, *argv):
        """Exit status and output of a program in there."""
        done = subprocess.run(
            ["nsenter", "--target", str(self.leader), "--all", *argv],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=LIMIT)
        return done.returncode, done.stdout.decode(errors="replace").strip()

    def run(self, *argv, check=True):
        status, text = self.status(*argv)
        if check and status != 0:
            raise AssertionError("%s: %s" % (" ".join(argv), text))
        return text

    def systemctl(self, *words, check=True):
        return self.run("systemctl", *words, check=check)

    def is_up(self):
        return self.systemctl("is-system-running", check=False) in (
            "running", "degraded")

    def is_active(self, unit):
        return self.systemctl("is-active", unit, check=False) == "active"

    def property(self, unit, name):
        return self.systemctl("show", "--value", "-p", name, unit)

    def journal(self, *words):
        return self.run("journalctl", "--no-pager", "-q", "-o", "cat", *words)

    def inside(self, *words):
        """One of INSIDE, in the container's network; what it prints."""
        return subprocess.run(
            ["nsenter", "--target", str(self.leader), "--net",
             sys.executable, __file__, *map(str, words)], check=True,
            timeout=LIMIT, stdout=subprocess.PIPE).stdout.decode().strip()

    def visit(self, daemon):
        self.inside("--visit", daemon, certificates().ca.cert,
                    *DAEMONS[daemon])

    def configure(self, daemon, *lines):
        """What install() has written, and more."""
        write(self.path("/etc/relais/%s.conf" % daemon), "".join(
            line + "\n" for line in (
                "outgoing_server 127.0.0.1:%d" % INNER[daemon],
                "log_facility local5") + lines))

    def logged(self, text, unit="imapsd.service"):
        harness.wait_for(lambda: text in self.journal("-b", "-u", unit),
                         LIMIT, text, 0.2)

    def is_open(self, port):
        lines = self.run("cat", "/proc/net/tcp", "/proc/net/tcp6")
        return any(words[1].endswith(":%04X" % port) and words[3] == "0A"
                   for words in map(str.split, lines.splitlines()))

    def end(self):
        for process in self.servers, self.process:
            if process and process.poll() is None:
                if process is self.process:     # an orderly shutdown
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self.leader, signal.SIGRTMIN + 4)
                else:
                    process.terminate()
                try:
                    process.wait(LIMIT)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()


# --- what is seen ------------------------------------------------------------

def say(*words):
    print("%6.1f  %s" % (time.monotonic() - BEGAN, " ".join(words)),
          flush=True)


def by_services(m):
    for name in DAEMONS:
        unit = name + ".service"
        assert m.is_active(unit), m.systemctl("status", unit, check=False)
        assert m.property(unit, "StatusText") == "serving"
        assert m.property(unit, "NRestarts") == "0"
        m.visit(name)
        say(unit, "was started by the boot, and serves")
        pid = m.property(unit, "MainPID")
        m.systemctl("reload", unit)
        m.visit(name)
        assert m.property(unit, "MainPID") == pid
        say(unit, "was reloaded, is the same process, and serves")
        m.systemctl("kill", "--kill-who=main", "-s", "KILL", unit)
        harness.wait_for(lambda: m.property(unit, "MainPID") not in (pid, "0")
                         and m.is_active(unit), LIMIT, unit, 0.2)
        m.visit(name)
        say(unit, "was killed, started again by systemd, and serves")
    m.systemctl("stop", "imapsd.service")
    assert not m.is_active("imapsd.service") and not m.is_open(993)
    m.visit("pop3sd")
    say("imapsd.service was stopped, and pop3sd.service goes on")
    m.systemctl("stop", "relais.target")
    for name, (tls, clear) in DAEMONS.items():
        assert m.property(name + ".service", "Result") == "success"
        assert not m.is_active(name + ".service"), name
        assert not m.is_open(tls) and not m.is_open(clear)
    say("relais.target was stopped, and all daemons with it")
    m.systemctl("start", "relais.target")
    for name in DAEMONS:
        assert m.is_active(name + ".service"), name
        m.visit(name)
    say("relais.target was started, and all daemons with it")
    m.systemctl("stop", "relais.target")


def reloads(m):
    """A bad configuration is refused to who asks, and changes nothing."""
    unit = "imapsd.service"
    m.configure("imapsd", "metrics_listen 127.0.0.1:9993")
    m.systemctl("start", unit)
    pid = m.property(unit, "MainPID")
    m.inside("--scrape", 9993)
    say(unit, "has metrics on a port")
    m.configure("imapsd", "metrics_listen 127.0.0.1:9994", "workers some")
    status, text = m.status("systemctl", "reload", unit)
    assert status != 0, text
    told = m.systemctl("status", unit, check=False)
    assert "imapsd.conf:4: " in told and "workers" in told, told
    assert m.is_active(unit) and m.property(unit, "MainPID") == pid
    assert m.property(unit, "StatusText") == "serving"
    m.visit("imapsd")
    m.inside("--scrape", 9993)
    assert not m.is_open(9994)
    say(unit, "refused a bad configuration:", next(
        line for line in told.splitlines() if "imapsd.conf:4: " in line))
    m.configure("imapsd", "metrics_listen 127.0.0.1:9994")
    m.systemctl("reload", unit)
    harness.wait_for(lambda: m.is_open(9994), LIMIT, "port 9994", 0.2)
    m.inside("--scrape", 9994)
    m.visit("imapsd")
    assert m.property(unit, "MainPID") == pid and not m.is_open(9993)
    m.logged("reloaded: generation 2 serves")
    assert m.property(unit, "StatusText") == "serving"
    m.systemctl("stop", unit)
    say(unit, "took a good one at a reload")


def asked(m):
    """The control socket, by root and by another; metrics at a path that
    two daemons share the folder of."""
    for name in DAEMONS:
        m.systemctl("start", name + ".service")
        text = m.run("/usr/local/sbin/" + name, "--status")
        assert m.property(name + ".service", "MainPID") in text, text
        json.loads(m.run("/usr/local/sbin/" + name, "--status", "--json"))
        status, text = m.status(
            "setpriv", "--reuid", harness.WORKER_USER, "--clear-groups",
            "/usr/local/sbin/" + name, "--status")
        assert status == 4, (status, text)
        m.systemctl("stop", name + ".service")
        status, text = m.status("/usr/local/sbin/" + name, "--status")
        assert status == 3, (status, text)
        say(name, "--status answers root alone, while it runs")
    for name in INNER:
        m.configure(name, "metrics_listen /run/relais/%s.metrics" % name)
        m.systemctl("start", name + ".service")
    m.systemctl("restart", "pop3sd.service")
    for name in INNER:
        metrics.Scrape("/proc/%d/root/run/relais/%s.metrics" % (
            m.leader, name))
    m.systemctl("stop", *(name + ".service" for name in INNER))
    m.configure("pop3sd")
    say("imapsd.service and pop3sd.service have metrics in /run/relais, and "
        "one goes on when the other is restarted")


def renewed(m):
    """Certificates come and are renewed without a reload."""
    unit, name = "imapsd.service", "new.example.test"

    def bring(pair):
        for source, kind in (pair.key, "key"), (pair.cert, "crt"):
            path = m.path("/etc/relais/pairs/%s.%s" % (name, kind))
            shutil.copy(source, path + ".new")
            os.replace(path + ".new", path)
        harness.wait_for(lambda: m.inside("--served", name) ==
                         digest(openssl("x509", "-in", pair.cert, "-outform",
                                        "der")), LIMIT, pair.cert, 0.5)

    shutil.rmtree(m.path("/etc/relais/pairs"), ignore_errors=True)
    write(m.path("/etc/relais/pairs/other.crt"),
          open(gateway_pair().cert).read())
    write(m.path("/etc/relais/pairs/other.key"),
          open(gateway_pair().key).read(), 0o600)
    m.configure("imapsd", "ssl_cert_dir /etc/relais/pairs",
                "ssl_cert_file /etc/relais/server.crt",
                "ssl_key_file /etc/relais/server.key")
    m.systemctl("start", unit)
    pid = m.property(unit, "MainPID")
    bring(certificates().make(name))
    say(unit, "serves a pair that has come into ssl_cert_dir")
    bring(certificates().make(name))
    say(unit, "serves a pair that was renewed there")
    shutil.copy(certificates().make().cert, m.path("/etc/relais/server.crt"))
    m.logged("its key is not that of its first certificate")
    m.visit("imapsd")
    shutil.copy(gateway_pair().cert, m.path("/etc/relais/server.crt"))
    assert m.property(unit, "MainPID") == pid
    assert "generation 2" not in m.run("/usr/local/sbin/imapsd", "--status")
    m.systemctl("stop", unit)
    say(unit, "reports a certificate without its key, and keeps the old one")


def counted(m):
    """The ledger, through a restart."""
    unit, path = "imapsd.service", m.path("/var/spool/relais/run/ledger")

    def failures():
        return {e["name"]: e["failed"] for e in json.loads(m.run(
            "/usr/local/sbin/imapsd", "--ledger", "--json"))}

    m.configure("imapsd", 'trusted_networks ""')
    m.systemctl("start", unit)
    m.inside("--guess", certificates().ca.cert)
    before, file = failures(), os.stat(path)
    assert before[STRANGER] > 0.5 and before["alice"] > 0.5, before
    m.systemctl("restart", unit)
    after = failures()
    assert after[STRANGER] > 0.5 and after["alice"] > 0.5, after
    assert os.stat(path).st_ino == file.st_ino
    assert file.st_mode & 0o777 == 0o600 and file.st_uid == 0
    m.visit("imapsd")
    m.systemctl("stop", unit)
    m.configure("imapsd")
    say("the ledger has outlived a restart of", unit)


def by_sockets(m):
    for name, (tls, clear) in DAEMONS.items():
        sockets = name + ".socket", name + "-starttls.socket"
        m.systemctl("start", *sockets)
        assert not m.is_active(name + ".service")
        m.visit(name)
        assert m.is_active(name + ".service")
        say(*sockets, "started", name + ".service", "with its first client")
        m.systemctl("stop", name + ".service")
        assert m.is_open(tls) and m.is_open(clear)
        m.visit(name)
        say(name + ".service", "was stopped, and came again with a client")
        m.systemctl("stop", *sockets, name + ".service")


def by_accept(m):
    write(m.path("/etc/systemd/system/imapsd.socket.d/accept.conf"),
          "[Socket]\nAccept=yes\n")
    m.configure("imapsd")
    m.systemctl("daemon-reload")
    m.systemctl("start", "imapsd.socket")
    DAEMONS["imapsd"] = (993,)
    m.visit("imapsd")
    assert not m.is_active("imapsd.service")
    assert m.property("imapsd.socket", "NAccepted") == "1"
    harness.wait_for(lambda: m.property("imapsd.socket", "NConnections") ==
                     "0", LIMIT, "the end of imapsd@.service", 0.2)
    m.systemctl("stop", "imapsd.socket")
    say("imapsd.socket with Accept=yes: imapsd@.service came and went")


def disabled(m):
    m.configure("pop3sd", "enabled no")
    m.systemctl("start", "pop3sd.service")
    harness.wait_for(lambda: m.property("pop3sd.service", "SubState") ==
                     "dead", LIMIT, "the end of pop3sd", 0.2)
    assert m.property("pop3sd.service", "Result") == "success"
    assert "enabled no: nothing to do" in m.journal("-u", "pop3sd.service")
    say("pop3sd.service with \"enabled no\" ended, and is no failure")


def by_watchdog(m):
    """A worker that hangs is the master's to replace, a master systemd's."""
    folder = m.path("/etc/systemd/system/smtpsd.service.d")
    write(folder + "/watchdog.conf", "[Service]\nWatchdogSec=4s\n")
    m.systemctl("daemon-reload")
    m.systemctl("start", "smtpsd.service")
    shutil.rmtree(folder)
    m.visit("smtpsd")
    pid = m.property("smtpsd.service", "MainPID")
    m.run("pkill", "-STOP", "-P", pid, "-f", "worker 1")
    harness.wait_for(lambda: "worker 1 does not answer" in m.journal(
        "-b", "-t", "smtpsd"), LIMIT, "the worker's end", 0.2)
    m.visit("smtpsd")
    assert m.property("smtpsd.service", "NRestarts") == "0"
    say("smtpsd.service: a worker that hung was replaced by its master")
    m.systemctl("kill", "--kill-who=main", "-s", "STOP", "smtpsd.service")
    harness.wait_for(lambda: m.property("smtpsd.service", "NRestarts") ==
                     "1" and m.is_active("smtpsd.service"), LIMIT,
                     "the watchdog", 0.2)
    m.visit("smtpsd")
    m.systemctl("stop", "smtpsd.service")
    say("smtpsd.service: a master that hung was replaced by systemd")


def look(m):
    say(m.run("systemctl", "--version").splitlines()[0], "is up")
    by_services(m)
    reloads(m)
    asked(m)
    renewed(m)
    counted(m)
    by_sockets(m)
    by_accept(m)
    disabled(m)
    by_watchdog(m)
    for line in sorted(set(m.journal(
            "-b", "-p", "warning", "-t", "imapsd", "-t", "pop3sd",
            "-t", "smtpsd").splitlines())):
        say("log:", line)


BEGAN = time.monotonic()


def main():
    if sys.argv[1:] == ["--serve"]:
        try:
            return serve()
        except KeyboardInterrupt:   # what harness makes of SIGTERM
            return None
    if sys.argv[1:] and sys.argv[1] in INSIDE:
        return INSIDE[sys.argv[1]](*sys.argv[2:])
    missing = [name for name in ("systemd-nspawn", "debootstrap", "nsenter")
               if shutil.which(name) is None]
    if missing or not harness.ROOT:
        print("skipped: needs root and", " ".join(missing) or "nothing else")
        return None
    made = None if sys.argv[1:] else tempfile.mkdtemp(prefix="relais-boot-")
    m = Machine(os.path.abspath(made or sys.argv[1]))
    try:
        m.fill()
        m.install()
        m.boot()
        look(m)
    except BaseException:
        if m.leader:
            print(m.run("journalctl", "--no-pager", "-n", "40", check=False))
        raise
    finally:
        m.end()
        if made:
            shutil.rmtree(made, ignore_errors=True)
    say("all is as it should be")
    return None


if __name__ == "__main__":
    main()
