# SPDX-License-Identifier: ISC
"""What every end-to-end test needs: folders, ports, users, processes and the
daemon itself.

The tests use the Python standard library, openssl, and real programs on the
loopback interface.  They run as root (then what needs root is tested too) or
as anybody.  The environment variable RELAIS_BUILD names the folder of the
binaries (default: build); a sanitizer build has that word's "san" in it.
"""

import atexit
import functools
import grp
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from certs import gateway_pair

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
BUILD = os.path.join(TOP, os.environ.get("RELAIS_BUILD", "build"))
IMAPSD, POP3SD, SMTPSD = (os.path.join(BUILD, name) for name in (
    "imapsd", "pop3sd", "smtpsd"))
SANITIZE = "san" in os.path.basename(BUILD)
ROOT = os.geteuid() == 0
SLOW = 4 if SANITIZE else 1     # sanitizers are slower: allow more time

WORKER_USER, DAEMON_USER = "_relais", "_relaisd"
# The environment variable by which tests/run.py says that the two users are
# there for as long as all tests run.
USERS_READY = "RELAIS_TEST_USERS"


# --- waiting -------------------------------------------------------------

def wait_for(question, timeout=10, what="the condition", every=0.02):
    """Ask until the answer is true and return it."""
    end = time.monotonic() + timeout * SLOW
    while True:
        answer = question()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError("waited %gs for %s" % (timeout * SLOW, what))
        time.sleep(every)


# --- folders, ports ------------------------------------------------------

def cleanup_of(case):
    """addCleanup of a test, addClassCleanup of a class of tests."""
    return case.addClassCleanup if isinstance(case, type) else case.addCleanup


def folder(case, prefix="relais-"):
    """A folder for the time of a test, or of a class of tests."""
    path = tempfile.mkdtemp(prefix=prefix)
    os.chmod(path, 0o755)       # the daemon's users must get through
    _folders.add(path)
    cleanup_of(case)(_remove, path)
    return path


_folders = set()


def _remove(path):
    shutil.rmtree(path, ignore_errors=True)
    _folders.discard(path)


_ports_given = set()


def free_port():
    """A port nobody listens on.

    It lies below the range that the kernel takes clients' ports from, so
    that no connection of another test sits on it when a server starts."""
    while True:
        port = random.randrange(10240, 32000)
        if port in _ports_given:
            continue
        try:
            for family, host in ((socket.AF_INET, "0.0.0.0"),
                                 (socket.AF_INET6, "::")):
                with socket.socket(family, socket.SOCK_STREAM) as s:
                    if family == socket.AF_INET6:
                        s.setsockopt(socket.IPPROTO_IPV6,
                                     socket.IPV6_V6ONLY, 1)
                    s.bind((host, port))
        except OSError:
            continue
        _ports_given.add(port)
        return port


def accepts(port, host="127.0.0.1"):
    try:
        socket.create_connection((host, port), 2).close()
        return True
    except OSError:
        return False


# --- users ---------------------------------------------------------------

def _user_exists(name):
    try:
        pwd.getpwnam(name)
        return True
    except KeyError:
        return False


def make_users():
    """The daemon's two users, where they are missing and we are root.
    Returns those that were made."""
    made = []
    if ROOT:
        for user in (WORKER_USER, DAEMON_USER):
            if not _user_exists(user):
                subprocess.run(["useradd", "--system", "--no-create-home",
                                "--home-dir", "/nonexistent", "--user-group",
                                "--shell", "/usr/sbin/nologin", user],
                               check=True)
                made.append(user)
    return made


def remove_users(made):
    for user in made:
        subprocess.run(["userdel", user], check=False,
                       stderr=subprocess.DEVNULL)


@functools.lru_cache(maxsize=None)
def need_users():
    if os.environ.get(USERS_READY) is None:
        atexit.register(remove_users, make_users())


def nobody():
    """Whom servers of other makers run as: nobody when we are root."""
    if not ROOT:
        return pwd.getpwuid(os.geteuid())
    return pwd.getpwnam("nobody")


def group_name(gid):
    return grp.getgrgid(gid).gr_name


# --- processes -----------------------------------------------------------

_running = set()


# LeakSanitizer would have to trace the roles, which nobody can: leaks are the
# unit programs' to find.  And what was freed is not kept until it looks like
# a leak.
ENVIRONMENT = dict(os.environ,
                   ASAN_OPTIONS="detect_leaks=0:quarantine_size_mb=4")


def start(argv, **kw):
    """Popen in a session of its own, ended at exit whatever happens."""
    p = subprocess.Popen(argv, start_new_session=True, env=ENVIRONMENT,
                         stdin=subprocess.DEVNULL, **kw)
    _running.add(p)
    return p


def end(p, sig=signal.SIGTERM, timeout=10):
    """End a process of start() and all that is left of its session.
    Returns its exit status, None when it had to be killed."""
    status = p.poll()
    if status is None:
        p.send_signal(sig)
        try:
            status = p.wait(timeout * SLOW)
        except subprocess.TimeoutExpired:
            status = None
    try:
        os.killpg(p.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    p.wait()
    _running.discard(p)
    return status


@atexit.register
def _end_all():
    for p in list(_running):
        end(p, timeout=3)
    for path in list(_folders):
        _remove(path)


def _told_to_end(*_):
    """unittest goes on after a SystemExit, but not after this."""
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, _told_to_end)


def proc_read(pid, name):
    """A file of /proc, "" when the process is gone."""
    try:
        with open("/proc/%d/%s" % (pid, name), "rb") as f:
            return f.read().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def proc_status(pid):
    """/proc/PID/status as a dictionary."""
    return {k: v.strip() for k, _, v in (
        line.partition(":") for line in
        proc_read(pid, "status").splitlines())}


def children(pid):
    """The children of a process, zombies not counted."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            # "pid (name) state ppid ...": the name may hold anything
            rest = proc_read(int(entry), "stat").rpartition(")")[2].split()
            if rest and rest[0] != "Z" and int(rest[1]) == pid:
                found.append(int(entry))
    return found


def began(pid):
    """When a process began, in ticks since the boot; None: it is gone."""
    rest = proc_read(pid, "stat").rpartition(")")[2].split()
    return int(rest[19]) if rest else None


def mappings(pid):
    """The memory that a process may have written, mapping by mapping: a
    name, and its octets.  What is mapped from a file for reading alone is as
    it is in the file."""
    with open("/proc/%d/maps" % pid) as maps, \
            open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            where, mode, _, _, _, *name = line.split(None, 5)
            name = name[0].strip() if name else "anonymous"
            if not mode.startswith("r") or (
                    mode[1] != "w" and name.startswith("/") and
                    not name.startswith("/memfd:")):
                continue
            start, end = (int(n, 16) for n in where.split("-"))
            try:
                mem.seek(start)
                yield name, mem.read(end - start)
            except (OSError, OverflowError):
                continue        # [vvar] and the like cannot be read


def memory(pid):
    """The same without the names."""
    return (octets for _, octets in mappings(pid))


def descriptors(pid):
    """How many a process has; whose roles are not dumpable only root sees."""
    try:
        return len(os.listdir("/proc/%d/fd" % pid))
    except FileNotFoundError:
        return 0
    except PermissionError:
        raise unittest.SkipTest("needs root") from None


# --- the daemon ----------------------------------------------------------

TITLE = re.compile(r"^(?:imapsd|pop3sd|smtpsd): ([a-z]+)(?: (\d+))?")


class Relais:
    """A daemon (its program), running in the foreground.

    text is its configuration file; what a test environment needs beyond it
    (log, spool, number of workers) is given on the command line."""

    instances = []      # of the test that runs; for messages about failures

    def __init__(self, case, text, args=(), workers=2, spool=None,
                 file_name=None, ports=(), user=None, daemon=IMAPSD):
        need_users()
        self.daemon = daemon
        self.name = os.path.basename(daemon)
        self.folder = folder(case)
        self.text = text
        self.conf = os.path.join(self.folder,
                                 file_name or self.name + ".conf")
        self.log_file = os.path.join(self.folder, "log")
        self.err_file = os.path.join(self.folder, "stderr")
        self.spool = spool or os.path.join(self.folder, "spool")
        self.args = list(args)
        self.workers = workers
        self.ports = list(ports)
        self.process = None
        self.last_log = ""
        self.user = user        # whom it is started as, when we are root
        with open(self.conf, "w", encoding="utf-8", newline="") as f:
            f.write(text)
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        Relais.instances.append(self)
        self.start()
        cleanup_of(case)(self.stop)

    def argv(self, *more):
        return [self.daemon, "-f", self.conf, "--log_facility", self.log_file,
                "--spool_directory", self.spool, "--workers",
                str(self.workers), *self.args, *more]

    def start(self):
        kw = {}
        if self.user:
            kw = {"user": self.user.pw_uid, "group": self.user.pw_gid,
                  "extra_groups": []}
        with open(self.err_file, "ab") as err:
            self.process = start(self.argv("--no_daemon"), stdout=err,
                                 stderr=err, **kw)
        try:
            wait_for(self._serving, 15, self.name + " to serve")
        except AssertionError as e:
            end(self.process)
            self.last_log = self.story()
            raise AssertionError("%s\n%s" % (e, self.last_log)) from None

    def _serving(self):
        if self.process.poll() is not None:
            raise AssertionError("%s ended with status %s" % (
                self.name, self.process.returncode))
        return (len(self.pids("worker")) >= self.workers and
                self.pids("keeper") and self.pids("broker") and
                all(accepts(p) for p in self.ports))

    def story(self):
        """What can be told about it when a test failed."""
        with open(self.err_file, errors="replace") as f:
            err = f.read()
        return "--- configuration\n%s\n--- stderr\n%s\n--- log\n%s" % (
            self.text, err[-3000:], "\n".join(self.log()[-60:]))

    def stop(self):
        """SIGTERM; all of it must end, and well."""
        if self.process is None:
            return
        process, self.process = self.process, None
        # by when they began, too: another daemon's may have these ids by then
        before = [(p, began(p)) for p in children(process.pid)]
        early = process.poll()
        status = end(process)
        left = [p for p, when in before
                if self._is_ours(p) and began(p) == when]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.last_log = self.story()
        if early is not None:
            raise AssertionError("%s ended by itself, status %d" % (
                self.name, early))
        if status != 0:
            raise AssertionError("%s ended with status %s" % (
                self.name, status))
        if left:
            raise AssertionError("left behind: %s" % left)

    def kill(self):
        """SIGKILL for the master: what it leaves is the test's business.
        Returns its children."""
        process, self.process = self.process, None
        before = children(process.pid)
        process.kill()
        process.wait()
        self.last_log = self.story()
        return before

    @staticmethod
    def _is_ours(pid):
        return TITLE.match(proc_read(pid, "cmdline")) is not None

    # processes

    @property
    def pid(self):
        return self.process.pid

    def processes(self):
        """{pid: (role, number)} of master and children."""
        found = {}
        for pid in [self.pid] + children(self.pid):
            m = TITLE.match(proc_read(pid, "cmdline"))
            if m:
                found[pid] = (m.group(1), int(m.group(2) or 0))
        return found

    def pids(self, role):
        """The process ids of a role, by number."""
        return [pid for pid, (r, _) in sorted(
            self.processes().items(), key=lambda i: i[1]) if r == role]

    def worker_sessions(self):
        """How many sockets each worker holds, by pid: sessions and a few."""
        held = {}
        for pid in self.pids("worker"):
            n = 0
            try:
                for fd in os.listdir("/proc/%d/fd" % pid):
                    try:
                        n += os.readlink("/proc/%d/fd/%s" % (pid, fd)
                                         ).startswith("socket:")
                    except FileNotFoundError:
                        pass
            except FileNotFoundError:
                pass
            except PermissionError:
                raise unittest.SkipTest("needs root") from None
            held[pid] = n
        return held

    # the log

    def log(self, mark=0):
        """Its lines, from the mark of an earlier time on."""
        try:
            with open(self.log_file, encoding="utf-8",
                      errors="replace") as f:
                f.seek(mark)
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def mark(self):
        try:
            return os.path.getsize(self.log_file)
        except FileNotFoundError:
            return 0

    def wait_log(self, pattern, mark=0, timeout=5):
        """The first line in which the pattern is found, as a match."""
        regex = re.compile(pattern)
        try:
            return wait_for(
                lambda: next(filter(None, map(regex.search,
                                              self.log(mark))), None),
                timeout, "log line " + pattern)
        except AssertionError as e:
            raise AssertionError("%s; there is:\n%s" % (
                e, "\n".join(self.log(mark)))) from None


class Gateway(Relais):
    """The usual set-up: listeners of all three modes in front of inner
    servers at these ports; lines are further directives."""

    def __init__(self, case, inner, *lines, pair=None, **kw):
        self.ssl, self.starttls, self.plain = (free_port() for _ in range(3))
        pair = pair or gateway_pair()
        inner = [inner] if isinstance(inner, int) else inner
        text = "\n".join((
            "listen 127.0.0.1:%d ssl" % self.ssl,
            "listen 127.0.0.1:%d starttls" % self.starttls,
            "listen 127.0.0.1:%d plain" % self.plain,
            "outgoing_server " + ",".join("127.0.0.1:%d" % p for p in inner),
            "ssl_cert_file " + pair.cert,
            "ssl_key_file " + pair.key,
            *lines)) + "\n"
        super().__init__(case, text,
                         ports=(self.ssl, self.starttls, self.plain), **kw)


def run_daemon(daemon, *args, timeout=20):
    """A daemon for a short word; returns status and all it printed."""
    done = subprocess.run([daemon, *args], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=timeout * SLOW, env=ENVIRONMENT)
    return done.returncode, done.stdout.decode("utf-8", "replace")


run_imapsd = functools.partial(run_daemon, IMAPSD)
run_pop3sd = functools.partial(run_daemon, POP3SD)
run_smtpsd = functools.partial(run_daemon, SMTPSD)
