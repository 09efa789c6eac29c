# SPDX-License-Identifier: ISC
"""What each role sees of what an attacker in it would try: told by a build of
the daemon that tries it there (tests/confine/inside.c)."""

import mmap
import os
import re
import shutil
import socket
import struct
import time
import unittest
from errno import EACCES, EBADF, ECHILD, EINVAL, ENOENT, ENOSYS, EPERM

import harness
from case import TestCase, main, needs_root, not_sanitized
from certs import Pair, gateway_pair
from harness import free_port
from inner import Script, StandIn
from submission import sasl_lines

FOLDER = os.path.join(harness.BUILD, "confine")
IMAPSD = os.path.join(FOLDER, "imapsd")
ROLES = {"keeper": 1, "broker": 2, "worker": 3, "authenticator": 4,
         "nursery": 5, "metrics": 6, "control": 7}      # enum role
WAITS, BEGUN, DONE, UNKNOWN, HELD = range(5)
KILLED = "killed"
ATTEMPT = struct.Struct("IIiI48s192s")

# Only an attacker would do it.
KILLED_EVERYWHERE = (
    "connect_fastopen", "bind", "listen_on_any", "execve", "execveat",
    "clone thread", "ptrace attach", "ptrace traceme", "kill_master",
    "kill all", "tkill", "tgkill", "rt_sigqueueinfo", "pidfd_open",
    "pidfd_getfd", "pidfd_send_signal", "read_init", "write_init", "kcmp",
    "process_madvise", "process_mrelease", "move_pages", "mmap exec",
    "mmap wx", "mprotect exec", "pkey_mprotect", "personality", "userfaultfd",
    "rt_sigreturn", "setuid", "setresuid", "setgid", "setgroups", "capset",
    "prctl dumpable", "prctl ptracer", "prctl mm", "chroot", "pivot_root",
    "unshare", "setns", "mount", "umount2", "open_tree", "fsopen",
    "open_by_handle_at", "name_to_handle_at", "bpf", "perf_event_open",
    "io_uring_setup", "io_uring_enter", "keyctl", "add_key", "request_key",
    "init_module", "finit_module", "kexec_load", "reboot", "swapon", "acct",
    "settimeofday", "clock_settime", "adjtimex", "syslog", "quotactl",
    "sethostname", "vhangup", "fanotify_init", "msgget", "mq_open",
    "ioctl TIOCSTI", "ioctl TIOCLINUX", "iopl", "ioperm", "modify_ldt",
    "getpid in x32")

# Nobody needs it; a library goes on without.
UNKNOWN_EVERYWHERE = (
    "memfd_create", "getdents64", "fchdir", "chdir", "send_to_address",
    "setsockopt buffer", "setsockopt filter", "setsockopt congestion",
    "setsockopt ulp", "setpriority", "sched_setaffinity",
    "sched_setscheduler", "setsid", "unprotect_relro", "remap_file_pages",
    "madvise dump", "madvise poison", "futex requeue pi", "futex lock pi",
    "prctl keepcaps", "prctl subreaper", "seccomp", "prlimit another",
    "inotify_init1", "timerfd_create", "signalfd4", "ioctl TCGETS",
    "ioctl FIONREAD", "fcntl owner", "fcntl seals", "dup", "sendfile",
    "splice", "vmsplice", "tee", "recvmmsg", "sendmmsg", "uname",
    "sched_yield", "a call that does not exist", "arch_prctl")

# Keeper, broker, worker, authenticator, nursery, metrics, control; 0: it is
# done.
OTHERS = {
    "open_reading": (EACCES, ENOENT, EACCES, ENOENT, EACCES, EACCES, EACCES),
    "open hosts": (EACCES, 0, EACCES, 0, EACCES, EACCES, EACCES),
    "open sasldb2": (EACCES, EACCES, EACCES, 0, EACCES, EACCES, EACCES),
    "open memory": (EACCES, ENOENT, EACCES, ENOENT, EACCES, EACCES, EACCES),
    "open_writing": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "open_creating": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "open_folder": (EACCES, EACCES, EACCES, EACCES, EACCES, EACCES, EACCES),
    "open_from_folder": (EACCES, EBADF, EACCES, EBADF, EACCES, EACCES, EACCES),
    "stat_path": (EACCES, ENOENT, EACCES, ENOENT, EACCES, EACCES, EACCES),
    "unlink_path": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "rename_path": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "chmod_path": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "mkdir_path": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "symlink_path": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "truncate_path": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED, KILLED),
    "socket inet": (KILLED, 0, KILLED, KILLED, KILLED, KILLED, KILLED),
    "socket inet6": (KILLED, 0, KILLED, KILLED, KILLED, KILLED, KILLED),
    "socket udp": (KILLED, 0, KILLED, KILLED, KILLED, KILLED, KILLED),
    "socket raw": (KILLED, ENOSYS, KILLED, KILLED, KILLED, KILLED, KILLED),
    "socket sctp": (KILLED, ENOSYS, KILLED, KILLED, KILLED, KILLED, KILLED),
    "socket unix": (KILLED, EACCES, KILLED, 0, KILLED, KILLED, KILLED),
    "socket unix datagram": (KILLED, EACCES, KILLED, ENOSYS,
                             KILLED, KILLED, KILLED),
    "socket netlink": (KILLED, EACCES, KILLED, EACCES, KILLED, KILLED, KILLED),
    "socket packet": (KILLED, EACCES, KILLED, EACCES, KILLED, KILLED, KILLED),
    "socket alg": (KILLED, EACCES, KILLED, EACCES, KILLED, KILLED, KILLED),
    "socket vsock": (KILLED, EACCES, KILLED, EACCES, KILLED, KILLED, KILLED),
    "socketpair": (KILLED, ENOSYS, KILLED, KILLED, KILLED, KILLED, KILLED),
    "connect_tcp": (KILLED, EACCES, KILLED, KILLED, KILLED, KILLED, KILLED),
    "connect inner port": (KILLED, 0, KILLED, KILLED, KILLED, KILLED, KILLED),
    "connect DNS port": (KILLED, 0, KILLED, KILLED, KILLED, KILLED, KILLED),
    "connect_udp": (KILLED, 0, KILLED, KILLED, KILLED, KILLED, KILLED),
    "connect_unix": (KILLED, EACCES, KILLED, ENOENT, KILLED, KILLED, KILLED),
    "connect_abstract": (KILLED, EACCES, KILLED, EPERM,
                         KILLED, KILLED, KILLED),
    "accept": (KILLED, KILLED, ENOSYS, KILLED, ENOSYS, KILLED, KILLED),
    "shutdown reading": (ENOSYS, EACCES, EACCES, ENOSYS,
                         EACCES, EACCES, ENOSYS),
    "fork_one": (KILLED, KILLED, KILLED, KILLED, 0, KILLED, KILLED),
    "clone user namespace": (KILLED, KILLED, KILLED, KILLED,
                             ENOSYS, KILLED, KILLED),
    "clone files": (KILLED, KILLED, KILLED, KILLED, ENOSYS, KILLED, KILLED),
    "clone3": (KILLED, KILLED, KILLED, KILLED, ENOSYS, KILLED, KILLED),
    "getppid": (ENOSYS, ENOSYS, ENOSYS, ENOSYS, 0, ENOSYS, ENOSYS),
    "wait4": (ENOSYS, ENOSYS, ENOSYS, ENOSYS, ECHILD, ENOSYS, ENOSYS),
    "futex wake": (0, 0, 0, 0, 0, 0, 0),
    "prctl seccomp": (ENOSYS, ENOSYS, ENOSYS, ENOSYS, EINVAL, ENOSYS, ENOSYS),
    "more_files": (ENOSYS, ENOSYS, ENOSYS, ENOSYS, EPERM, ENOSYS, ENOSYS),
    "more_processes": (ENOSYS, ENOSYS, ENOSYS, ENOSYS, 0, ENOSYS, ENOSYS),
    "shmget": (KILLED, KILLED, KILLED, ENOSYS, KILLED, KILLED, KILLED),
    "semget": (KILLED, KILLED, KILLED, ENOSYS, KILLED, KILLED, KILLED),
    "getrandom": (0, 0, 0, 0, 0, 0, 0),
}

# These look at more than numbers.  Not root's, a role sees the real files.
NOT_ROOT = {
    "open_reading": (EACCES, EACCES, EACCES, EACCES, EACCES, EACCES),
    "open hosts": (EACCES, 0, EACCES, EACCES, EACCES, EACCES),
    "open memory": (EACCES, EACCES, EACCES, EACCES, EACCES, EACCES),
    "open_writing": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED),
    "open_creating": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED),
    "open_folder": (EACCES, EACCES, EACCES, EACCES, EACCES, EACCES),
    "open_from_folder": (EACCES, EBADF, EACCES, EBADF, EACCES, EACCES),
    "unlink_path": (KILLED, KILLED, KILLED, EACCES, KILLED, KILLED),
    "socket inet": (KILLED, 0, KILLED, KILLED, KILLED, KILLED),
    "connect_tcp": (KILLED, EACCES, KILLED, KILLED, KILLED, KILLED),
    "connect_abstract": (KILLED, EACCES, KILLED, EPERM, KILLED, KILLED),
    "execve": (KILLED, KILLED, KILLED, KILLED, KILLED, KILLED),
    "fork_one": (KILLED, KILLED, KILLED, KILLED, KILLED, KILLED),
    "kill_master": (KILLED, KILLED, KILLED, KILLED, KILLED, KILLED),
    "ptrace attach": (KILLED, KILLED, KILLED, KILLED, KILLED, KILLED),
    "prctl dumpable": (KILLED, KILLED, KILLED, KILLED, KILLED, KILLED),
}

# What Landlock alone forbids.
LANDLOCK = ("connect_tcp", "connect_abstract", "open_folder", "open hosts",
            "open memory", "open_reading")

# Other architectures have no such calls.
X86 = ("iopl", "ioperm", "modify_ldt", "arch_prctl", "getpid in x32")


class Attempts:
    """The file by which roles are told what to try, and say what came."""

    def __init__(self, path, attempts):
        """attempts: (role, name, path, port)"""
        self.path, self.attempts = path, attempts
        with open(path, "wb") as f:
            for role, name, target, port in attempts:
                f.write(ATTEMPT.pack(ROLES[role], WAITS, 0, port,
                                     name.encode(), target.encode()))
        os.chmod(path, 0o666)   # roles map it, whoever they are
        with open(path, "r+b") as f:
            self.map = mmap.mmap(f.fileno(), 0)

    def states(self):
        return [ATTEMPT.unpack_from(self.map, i * ATTEMPT.size)[1:3]
                for i in range(len(self.attempts))]

    def change(self, old, new, which=None):
        """Nothing is lost should a role be at one of them: it is tried once
        more."""
        for i, (state, _) in enumerate(self.states()):
            if state == old and (not which or self.attempts[i][:2] in which):
                struct.pack_into("I", self.map, i * ATTEMPT.size + 4, new)

    def over(self):
        return WAITS not in [state for state, _ in self.states()]

    def results(self):
        """{(role, name): 0, an errno or KILLED}"""
        found = {}
        for (role, name, *_), (state, value) in zip(self.attempts,
                                                    self.states()):
            if state == UNKNOWN and name in X86:
                continue
            found[role, name] = {BEGUN: KILLED, DONE: value}.get(
                state, "not tried")
        return found


class Tried(harness.Gateway):
    def _serving(self):
        return True     # while its roles are killed it never does


class Inside:
    """Starts the daemon as often as it takes: a role that was killed more than
    once is replaced with a growing delay."""

    roles = ()
    lines = ()
    user = None

    def targets(self):
        """{name: (path, port)} of calls that need one."""
        secret = os.path.join(self.folder, "secret")
        if not os.path.exists(secret):
            with open(secret, "w") as f:
                f.write("secret\n")
            os.chmod(secret, 0o666)
        outside = {name: (secret, 0) for name in (
            "open_writing", "unlink_path", "rename_path", "chmod_path",
            "truncate_path")}
        return dict(outside, **{
            "open_creating": ("/new", 0), "mkdir_path": ("/newdir", 0),
            "symlink_path": ("/newlink", 0),
            "open_folder": ("/", 0), "open_reading": ("/etc/shadow", 0),
            "stat_path": ("/etc/passwd", 0),
            "open hosts": ("/etc/hosts", 0),
            "open sasldb2": ("/etc/sasldb2", 0),
            "open memory": ("/proc/self/mem", 0),
            "connect_unix": ("/run/systemd/notify", 0),
            "connect_abstract": (self.hidden, 0),
            "connect_tcp": ("", self.other),
            "connect inner port": ("", self.inner.port),
            "connect DNS port": ("", 53),
            "connect_fastopen": ("", self.other),
            "connect_udp": ("", self.other),
            "send_to_address": ("", self.other)})

    def setUp(self):
        self.folder = harness.folder(self)
        self.inner = StandIn(self, Script())
        self.other = free_port()
        self.hidden = "relais-test-%d" % os.getpid()
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind("\0" + self.hidden)
        listener.listen(100)
        self.sasl = sasl_lines(self)

    def pair(self):
        return gateway_pair()

    def daemon(self):
        return Tried(
            self, self.inner.port, "authenticate_in", *self.sasl,
            "authenticators 2", "metrics_listen 127.0.0.1:%d" % free_port(),
            *self.lines, daemon=IMAPSD, workers=3,
            user=self.user, pair=self.pair())

    def run_all(self, attempts):
        """Until all are over; returns the logs."""
        harness.ENVIRONMENT["RELAIS_INSIDE"] = attempts.path
        self.addCleanup(harness.ENVIRONMENT.pop, "RELAIS_INSIDE", None)
        log = ""
        for _ in range(80):
            relais = self.daemon()
            before, since = None, time.monotonic()
            while not attempts.over() and time.monotonic() - since < 0.25:
                if attempts.states() != before:
                    before, since = attempts.states(), time.monotonic()
                time.sleep(0.02)
            over = attempts.over()
            # None is begun any more when we end them, and the log has those
            # whom the filter ended.
            attempts.change(WAITS, HELD)
            time.sleep(0.15)
            relais.kill()
            attempts.change(HELD, WAITS)
            log += "\n".join(relais.log()) + "\n"
            if over:
                return log
        raise AssertionError("some are never tried")

    def check(self, expected):
        """expected: {(role, name): value}"""
        targets = self.targets()
        attempts = Attempts(os.path.join(self.folder, "attempts"), [
            (role, name, *targets.get(name, ("", 0)))
            for role, name in expected])
        log = self.run_all(attempts)
        # The master may have ended a role in the midst of one, for a reason
        # of its own.  What the filter ends it ends each time.
        for _ in range(3):
            doubtful = [key for key, value in attempts.results().items()
                        if value == KILLED != expected[key]]
            if doubtful:
                attempts.change(BEGUN, WAITS, doubtful)
                log += self.run_all(attempts)
        if "no system call filter" in log:
            self.skipTest("no seccomp here")
        results = attempts.results()
        if "Landlock" in log:   # an older kernel
            for key in [k for k in expected if k[1] in LANDLOCK]:
                del results[key], expected[key]
        self.assertEqual(
            {k: v for k, v in results.items() if v != expected[k]},
            {k: expected[k] for k, v in results.items() if v != expected[k]})
        # All by the filter, and not because something stumbled.
        self.assertEqual(
            set(re.findall(r" (\w+ \d+ (?:was killed|exited) .*)", log)) -
            {"%s %d was killed by signal 31 (Bad system call)" % (role, n)
             for role in self.roles for n in range(1, 100)}, set())


def table(roles):
    """What these roles see of each call."""
    found = {}
    for i, role in enumerate(ROLES):
        if role in roles:
            found.update({(role, n): KILLED for n in KILLED_EVERYWHERE})
            found.update({(role, n): ENOSYS for n in UNKNOWN_EVERYWHERE})
            found.update({(role, n): v[i] for n, v in OTHERS.items()})
    return found


@needs_root
@not_sanitized
class Executed(Inside, TestCase):
    """Every role but a nursery, as it is executed."""

    roles = ("keeper", "broker", "worker", "authenticator", "metrics",
             "control")

    def test_calls(self):
        self.check(table(self.roles))

    def test_it_serves(self):
        """With nothing to try it is a daemon like the real one."""
        relais = harness.Gateway(self, self.inner.port, daemon=IMAPSD)
        self.assertOK(self.connect(relais.ssl, True).login())


@needs_root
@not_sanitized
class Born(Inside, TestCase):
    """A nursery, and a worker that was born there: it is like any other."""

    roles = ("nursery", "worker")
    lines = ("worker_connections 1",)

    def test_calls(self):
        self.check(table(self.roles))


@not_sanitized
class Unprivileged(Inside, TestCase):
    """No chroot, no other user: the filter and Landlock are still there."""

    roles = ("keeper", "broker", "worker", "authenticator", "metrics",
             "control")

    def setUp(self):
        super().setUp()
        if harness.ROOT:
            self.user = harness.nobody()
            # the folder of the spool for the control socket is root's
            os.chown(self.folder, self.user.pw_uid, -1)
            self.lines = ("control_socket %s/control" % self.folder,)
            for line in self.sasl:
                if line.startswith("sasldb_path "):
                    os.chown(line.split()[1], self.user.pw_uid, -1)

    def pair(self):
        """One that this user can read."""
        path = harness.folder(self)
        files = [shutil.copy(f, path) for f in gateway_pair()]
        for f in files:
            os.chmod(f, 0o644)
        return Pair(*files)

    def test_calls(self):
        self.check({(role, name): values[i]
                    for name, values in NOT_ROOT.items()
                    for i, role in enumerate(self.roles)})


class Apart(unittest.TestCase):
    def test_not_in_the_daemons(self):
        """What the real ones are made of has none of it."""
        for path in (harness.IMAPSD, harness.POP3SD, harness.SMTPSD):
            with open(path, "rb") as f:
                octets = f.read()
            for word in b"RELAIS_INSIDE", b"inside_calls", b"wrap_role":
                self.assertNotIn(word, octets, path)
        with open(IMAPSD, "rb") as f:       # but these words would be found
            octets = f.read()
        for word in b"RELAIS_INSIDE", b"inside_calls", b"wrap_role":
            self.assertIn(word, octets)


if __name__ == "__main__":
    main()
