# SPDX-License-Identifier: ISC
"""Where subjects are measured: the inner server, certificates, a cgroup for
each subject's processes, and a place of its own for what they log."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "e2e"))
import harness  # noqa: E402  the path comes first
from certs import Certificates  # noqa: E402

PROGRAMS = os.path.join(harness.BUILD, "bench")
USER, PASSWORD = "bench", "secret"
SERVICES = ("imaps", "pop3s", "smtps")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"

# Seconds that one load may take before the case has failed.
LIMIT = 240

# A mount namespace in which /dev/log is the bench's own: the subjects log as
# they do in earnest, and the machine's log hears nothing of it.
INSIDE = """
mount --rbind /dev "$2"
mount -t tmpfs -o mode=755 none /dev
for f in "$2"/*; do ln -s "$f" /dev; done
ln -sfn "$1" /dev/log
shift 2
exec "$@"
"""


def read(path):
    try:
        with open(path) as f:
            return f.read()
    except OSError:
        return ""


def fill(text, variables):
    """The text with each @NAME@ that is known replaced."""
    return re.sub(r"@(\w+)@", lambda m: str(variables.get(m[1], m[0])), text)


class Group:
    """The processes of a subject, their processor time and their memory: by
    a cgroup (v2) where one can be made, else by /proc."""

    def __init__(self, name):
        self.roots = []
        mount = re.search(r"^\S+ (\S+) cgroup2 ", read("/proc/mounts"), re.M)
        self.path = mount and os.path.join(
            mount[1], "relais-bench-%d-%s" % (os.getpid(), name))
        try:
            os.mkdir(self.path)
        except (OSError, TypeError):
            self.path = None

    def _enter(self):
        if self.path:
            with open(self.path + "/cgroup.procs", "w") as f:
                f.write("0")

    def start(self, argv, cwd, log):
        self.roots.append(harness.start(
            argv, cwd=cwd, stdout=log, stderr=log, preexec_fn=self._enter))

    def pids(self):
        if self.path:
            return [int(p) for p in read(self.path + "/cgroup.procs").split()]
        found = [p.pid for p in self.roots if p.poll() is None]
        for pid in found:       # it grows as we go
            found += harness.children(pid)
        return found

    def cpu(self):
        """Seconds so far, of the user and of the system."""
        if self.path:
            stat = dict(line.split() for line in
                        read(self.path + "/cpu.stat").splitlines())
            return (int(stat["user_usec"]) / 1e6,
                    int(stat["system_usec"]) / 1e6)
        user = system = 0
        for pid in self.pids():
            stat = harness.proc_read(pid, "stat").rpartition(")")[2].split()
            if stat:            # of its children that have ended, too
                user += int(stat[11]) + int(stat[13])
                system += int(stat[12]) + int(stat[14])
        tick = os.sysconf("SC_CLK_TCK")
        return user / tick, system / tick

    def memory(self):
        """KiB, pages that are shared counted once."""
        return sum(int(n) for pid in self.pids() for n in re.findall(
            r"^Pss:\s+(\d+)", read("/proc/%d/smaps_rollup" % pid), re.M))

    def settle(self, limit=10):
        """Wait until it has nothing more to do."""
        end, before = time.monotonic() + limit, sum(self.cpu())
        while time.monotonic() < end:
            time.sleep(0.15)
            now = sum(self.cpu())
            if now - before < 0.001:
                return
            before = now

    def stop(self):
        for p in self.roots:
            harness.end(p)
        if self.path:
            for pid in self.pids():
                try:
                    os.kill(pid, 9)
                except ProcessLookupError:
                    pass
            harness.wait_for(lambda: not self.pids(), what="processes to end")
            os.rmdir(self.path)


class Bed:
    """What all subjects share, for the time of a with statement."""

    def __init__(self, case):
        self.folder = harness.folder(case, "relais-bench-")
        authority = Certificates(self.folder)
        self.pairs = {kind: authority.make(kind=kind)
                      for kind in ("ec", "rsa")}
        for pair in self.pairs.values():    # any daemon may read them
            os.chmod(pair.key, 0o644)
            with open(pair.cert + ".both", "w") as f:
                f.write(read(pair.cert) + read(pair.key))
        self.ports = {name: harness.free_port() for name in
                      ("SINK_IMAP", "SINK_POP3", "SINK_SMTP", "SINK_STATS")}
        self.log = os.path.join(self.folder, "log")
        self.sink = harness.start([
            os.path.join(PROGRAMS, "mailsink"), "-l", self.log,
            "-i", str(self.ports["SINK_IMAP"]),
            "-p", str(self.ports["SINK_POP3"]),
            "-s", str(self.ports["SINK_SMTP"]),
            "-x", str(self.ports["SINK_STATS"])])
        harness.cleanup_of(case)(harness.end, self.sink)
        harness.wait_for(
            lambda: harness.accepts(self.ports["SINK_STATS"]), 5, "the sink")
        self.own_log = harness.ROOT and subprocess.run(
            ["unshare", "--mount", "true"], stderr=subprocess.DEVNULL
        ).returncode == 0

    def stats(self):
        """What the inner server has counted so far."""
        with socket.create_connection(
                ("127.0.0.1", self.ports["SINK_STATS"])) as s:
            return json.loads(s.makefile().read())


def describe(name):
    """subjects/NAME.json:

    about     what it is
    needs     programs and files without which it cannot be measured
    version   a command that prints its version
    files     a folder of configuration files beside it
    setup     commands before the start
    start     commands that stay in the foreground: the subject
    services  what it offers: imaps, pop3s, smtps
    plain     it does no TLS
    limits    smaller loads, by case, where it cannot bear the usual one
    variables further ones

    In commands and files @RUN@ is its folder, @imaps@ and so on are its
    ports, @aux@ a spare one, @SINK_IMAP@ and so on the inner server's, @CERT@
    @KEY@ @BOTH@ the pair, @USER@ @PASSWORD@ the account, @BUILD@ @PROGRAMS@
    where our programs are."""
    return json.loads(read(os.path.join(HERE, "subjects", name + ".json")))


def subjects():
    """All there are, floors first, then ours."""
    first = ["copy", "gnutls-floor", "relais", "haproxy", "nginx"]
    names = [f[:-5] for f in os.listdir(os.path.join(HERE, "subjects"))
             if f.endswith(".json")]
    return sorted(names, key=lambda n: (
        first.index(n) if n in first else len(first), n))


def missing(name):
    """What it needs and is not here, if anything."""
    where = {"BUILD": harness.BUILD}
    for need in describe(name).get("needs", []):
        need = fill(need, where)
        if not (os.path.exists(need) if "/" in need else
                shutil.which(need, path=PATH)):
            return need
    return None


def version(name):
    done = subprocess.run(
        fill(describe(name)["version"], {"BUILD": harness.BUILD}), shell=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, env=dict(os.environ, PATH=PATH))
    lines = done.stdout.decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "?"


class Subject:
    """One subject, serving, for the time of a with statement."""

    def __init__(self, bed, name, case):
        self.bed, self.spec = bed, describe(name)
        self.name = name
        self.run = os.path.join(bed.folder, name)
        self.ports = {s: harness.free_port() for s in SERVICES}
        pair = bed.pairs[case.key]
        self.variables = dict(
            self.ports, **bed.ports, RUN=self.run, PROGRAMS=PROGRAMS,
            BUILD=harness.BUILD, CERT=pair.cert, KEY=pair.key,
            BOTH=pair.cert + ".both", aux=harness.free_port(), USER=USER,
            PASSWORD=PASSWORD, WORKERS=case.workers, EXTRA=case.relais)
        for key, value in self.spec.get("variables", {}).items():
            self.variables[key] = fill(value, self.variables)

    def __enter__(self):
        os.makedirs(self.run + "/dev")
        self.log = open(self.run + "/output", "w")
        self.group = Group(self.name)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        env = dict(os.environ, PATH=PATH)
        if "files" in self.spec:
            self._write_files(os.path.join(HERE, "subjects",
                                           self.spec["files"]))
        for command in self.spec.get("setup", []):
            subprocess.run(fill(command, self.variables), shell=True,
                           cwd=self.run, check=True, env=env, stdout=self.log,
                           stderr=self.log, stdin=subprocess.DEVNULL)
        argv = ["env", "PATH=" + PATH]
        if self.bed.own_log:
            argv += ["unshare", "--mount", "sh", "-ec", INSIDE, "sh",
                     self.bed.log, self.run + "/dev"]
        for command in self.spec["start"]:
            self.group.start(
                argv + ["sh", "-c", "exec " + fill(command, self.variables)],
                self.run, self.log)
        for service in self.spec["services"]:
            harness.wait_for(lambda s=service: self._serves(s), 15,
                             "%s to serve %s" % (self.name, service))

    def _serves(self, service):
        if any(p.poll() is not None for p in self.group.roots):
            raise AssertionError("%s has ended; it said:\n%s" % (
                self.name, read(self.run + "/output")[-2000:]))
        return harness.accepts(self.ports[service])

    def _write_files(self, source):
        for name in os.listdir(source):
            with open(os.path.join(self.run, name), "w") as f:
                f.write(fill(read(os.path.join(source, name)),
                             self.variables))

    def __exit__(self, *_):
        self.group.stop()
        self.log.close()
        shutil.rmtree(self.run, ignore_errors=True)

    def command(self, service, load):
        """mailload's, for one of its services."""
        return [os.path.join(PROGRAMS, "mailload"), "-p", service[:4],
                *(["-P"] if self.spec.get("plain") else []),
                "-u", USER, "-w", PASSWORD,
                "-a", "127.0.0.1:%d" % self.ports[service], *load.split()]

    def load(self, service, load):
        done = subprocess.run(
            self.command(service, load), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, env=harness.ENVIRONMENT, timeout=LIMIT)
        return json.loads(done.stdout)

    def hold(self, service, load, then):
        """Idle sessions; what then() brings while they are held; the end."""
        with subprocess.Popen(self.command(service, load),
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              env=harness.ENVIRONMENT) as p:
            try:
                json.loads(p.stdout.readline())
                found = then()
                out = json.loads(p.communicate(timeout=LIMIT)[0])
            finally:
                p.kill()
        return dict(out, **found)
