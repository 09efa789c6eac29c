# SPDX-License-Identifier: ISC
"""What each process of each daemon is, as /proc says it: user, groups,
capabilities, limits, root directory, memory and every descriptor."""

import collections
import grp
import os
import pwd
import re
import shutil

import client
import harness
from case import TestCase, main, needs_root, not_sanitized
from certs import Pair, gateway_pair, secret_numbers
from harness import (DAEMON_USER, WORKER_USER, proc_read, proc_status,
                     wait_for)
from inner import Pop3Script, Script, StandIn
from reloading import reload
from submission import SmtpClient, SmtpScript, sasl_lines

CLIENTS = 3
LISTENERS = 3           # of a harness.Gateway
# who hears them, or anybody on this host
FROM_STRANGERS = ("worker", "nursery", "metrics")
# CHOWN, DAC_READ_SEARCH, FOWNER, KILL, SETGID, SETUID, SETPCAP,
# NET_BIND_SERVICE, SYS_CHROOT, SYS_RESOURCE (capabilities(7))
MASTER_MAY = sum(1 << bit for bit in (0, 2, 3, 5, 6, 7, 8, 10, 18, 24))

LISTENS = "0A"          # of the states in /proc/net/tcp
SEQPACKET = "0005"      # of the types in /proc/net/unix


def sockets():
    """{inode: what it is} of all there are."""
    found = {}
    for family in "tcp", "tcp6", "udp", "udp6", "raw", "raw6":
        for fields in table(family):
            state = fields[3] if family.startswith("tcp") else ""
            found[fields[9]] = ("listener" if state == LISTENS
                                else family.rstrip("6"))
    for fields in table("unix"):
        found[fields[6]] = "channel" if fields[4] == SEQPACKET else "unix"
    return found


def table(name):
    with open("/proc/net/" + name) as f:
        return [line.split() for line in f.readlines()[1:]]


def descriptors(pid, known):
    """How many of each kind a process holds."""
    found = collections.Counter()
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            link = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:
            continue
        m = re.match(r"socket:\[(\d+)\]", link)
        if m:
            link = known.get(m.group(1), "socket nobody knows")
        found[re.sub(r":\[\d+\]", "", link)] += 1
    return dict(found)


def limits(pid):
    """{name: (soft, hard)}"""
    return {m.group(1).strip(): m.group(2, 3) for m in re.finditer(
        r"^(Max .*?)  +(\S+) +(\S+)", proc_read(pid, "limits"), re.M)}


class Outside:
    """A daemon with clients; what is asked of /proc is the same of each."""

    daemon = harness.IMAPSD
    kind = client.Client
    script = Script()
    lines = ()
    single = False
    user = None

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        pair = gateway_pair("rsa")
        if cls.user:
            path = harness.folder(cls)
            pair = Pair(*(shutil.copy(f, path) for f in pair))
            for f in path, *pair:
                os.chown(f, cls.user.pw_uid, cls.user.pw_gid)
        cls.key = pair.key
        # the folder of the spool for it is root's
        socket = ("control_socket %s/control" % path,) if cls.user else ()
        lines = cls.more_lines() + ("worker_connections 1",) * cls.single
        lines += socket + (
            "metrics_listen 127.0.0.1:%d" % harness.free_port(),)
        cls.relais = harness.Gateway(cls, cls.inner.port, *lines, pair=pair,
                                     daemon=cls.daemon, user=cls.user)

    @classmethod
    def more_lines(cls):
        return ()

    def setUp(self):
        for _ in range(CLIENTS):
            self.connect(self.relais.ssl, True)
        # with one client each there are two spares beside
        workers = CLIENTS + 2 if self.single else 2
        wait_for(lambda: len(self.relais.pids("worker")) == workers, 10,
                 "%d workers" % workers)
        # it comes when all others serve
        wait_for(lambda: self.relais.pids("control"), 10, "control")
        self.roles = [(role, pid) for pid, (role, _)
                      in self.relais.processes().items()]
        self.pids = collections.defaultdict(list)
        for role, pid in self.roles:
            self.pids[role].append(pid)
        self.others = [r for r in self.roles if r[0] != "master"]
        self.assertEqual(bool(self.pids["nursery"]), self.single)

    def test_user(self):
        for role, pid in self.others:
            with self.subTest(role=role):
                user = self.user or pwd.getpwnam(
                    WORKER_USER if role in FROM_STRANGERS else DAEMON_USER)
                groups = ""
                if role == "authenticator" and not self.user:
                    groups = str(grp.getgrnam("sasl").gr_gid)
                status = proc_status(pid)
                self.assertEqual(status["Uid"].split(),
                                 [str(user.pw_uid)] * 4)
                self.assertEqual(status["Gid"].split(),
                                 [str(user.pw_gid)] * 4)
                self.assertEqual(status["Groups"], groups)

    def test_rights(self):
        for role, pid in self.others:
            with self.subTest(role=role):
                status = proc_status(pid)
                for name in ("CapInh", "CapPrm", "CapEff", "CapAmb",
                             *(() if self.user else ("CapBnd",))):
                    self.assertEqual(int(status[name], 16), 0, name)
                self.assertEqual(status["NoNewPrivs"], "1")
                self.assertEqual(status["Threads"], "1")
                # no signal has a handler: rt_sigreturn(2) is forbidden
                if not harness.SANITIZE:
                    self.assertEqual(int(status["SigCgt"], 16), 0)

    @not_sanitized
    def test_filters(self):
        """The master's, its own, and where it was born a nursery's between
        them."""
        status = proc_status(self.relais.pid)
        self.assertEqual(status["Seccomp"], "2")
        before = int(status["Seccomp_filters"])
        # a container, a unit may have had some for us
        ours = int(proc_status(os.getpid())["Seccomp_filters"])
        self.assertEqual(before, ours + 1)
        for role, pid in self.others:
            with self.subTest(role=role):
                status = proc_status(pid)
                self.assertEqual(status["Seccomp"], "2")
                born = role == "worker" and self.single
                self.assertEqual(int(status["Seccomp_filters"]) - before,
                                 2 if born else 1)

    def test_master(self):
        status = proc_status(self.relais.pid)
        for name in "CapInh", "CapAmb":
            self.assertEqual(int(status[name], 16), 0, name)
        if not self.user:
            for name in "CapPrm", "CapEff", "CapBnd":
                self.assertEqual(int(status[name], 16) & ~MASTER_MAY, 0, name)
        self.assertEqual(status["Threads"], "1")
        self.assertEqual(status["NoNewPrivs"], "1")

    def test_not_dumpable(self):
        for role, pid in self.roles:
            with self.subTest(role=role):
                self.assertEqual(os.stat("/proc/%d/mem" % pid).st_uid, 0)

    def test_limits(self):
        for role, pid in self.others:
            with self.subTest(role=role):
                found = limits(pid)
                self.assertEqual(found["Max core file size"], ("0", "0"))
                if not harness.SANITIZE:
                    self.assertEqual(found["Max file size"], ("0", "0"))
                self.assertEqual(*found["Max open files"])
                if role != "nursery":
                    self.assertEqual(found["Max processes"], ("0", "0"))

    def test_root_directory(self):
        spool = os.path.realpath(self.relais.spool)
        for role, pid in self.others:
            with self.subTest(role=role):
                want = spool if role in ("broker", "authenticator") \
                    else spool + "/empty"
                root = os.readlink("/proc/%d/root" % pid)
                self.assertEqual(root, "/" if self.user else want)
                if not self.user:
                    self.assertEqual(os.readlink("/proc/%d/cwd" % pid), root)

    @not_sanitized
    def test_descriptors(self):
        """Those that are meant, and no more: nobody's file, no folder."""
        every = {"/dev/null": 3, "anon_inode:[eventpoll]": 1, "pipe": 2}
        workers, helpers = (len(self.pids[r]) for r in
                            ("worker", "authenticator"))
        want = {
            "worker": dict(every, listener=LISTENERS, channel=3),
            "nursery": dict(every, listener=LISTENERS, channel=1),
            "broker": dict(every, channel=1 + workers + helpers),
            "authenticator": dict(every, channel=2),
            "metrics": dict(every, listener=1, channel=1),
            # nobody has asked, and it has asked nobody
            "control": dict(every, channel=2)}

        def faults():
            known, found, clients, served = sockets(), [], 0, 0
            for role, pid in self.others:
                has = descriptors(pid, known)
                if role == "worker":
                    clients += has.pop("tcp", 0)
                if role == "keeper":
                    served += has["channel"] - 1
                    has["channel"] = 1
                wish = want.get(role, dict(every, channel=1))
                if has != wish:
                    found.append((role, has, wish))
            if clients != CLIENTS:
                found.append("%d clients" % clients)
            if served != workers:
                found.append("keepers serve %d" % served)
            return found

        try:    # capabilities are being learned, a spare is just there
            wait_for(lambda: not faults(), 5)
        except AssertionError:
            self.assertEqual(faults(), [])

    @not_sanitized
    def test_code(self):
        """None can be written, and all of it is a file's or the kernel's."""
        for role, pid in self.roles:
            with self.subTest(role=role):
                maps = proc_read(pid, "maps")
                self.assertIn("/libgnutls", maps)
                for line in maps.splitlines():
                    fields = line.split(None, 5)
                    if "x" not in fields[1]:
                        continue
                    self.assertNotIn("w", fields[1], line)
                    self.assertRegex(fields[5:] and fields[5] or "nobody's",
                                     r"^(/|\[vdso\]|\[vsyscall\])", line)

    @not_sanitized
    def test_key(self):
        needles = {name: n for name, octets in
                   secret_numbers(self.key).items()
                   for name, n in ((name, octets),
                                   (name + ", limbs", octets[::-1]))}
        with open(self.key, "rb") as f:
            needles["PEM"] = b"".join(f.read().splitlines()[1:-1])[40:80]
        self.assertGreater(len(needles), 5)
        for role, pid in self.roles:
            seen = {name for part in harness.memory(pid)
                    for name, n in needles.items() if n in part}
            if role == "keeper":
                self.assertTrue(seen - {"PEM"}, "nothing in the keeper")
            else:
                self.assertEqual(seen, set(), role)


@needs_root
class Imap(Outside, TestCase):
    pass


@needs_root
class ImapSingle(Outside, TestCase):
    single = True


@needs_root
class ImapNotRoot(Outside, TestCase):
    user = harness.nobody()


@needs_root
class ImapSingleNotRoot(ImapNotRoot):
    single = True


@needs_root
class Pop3(Outside, TestCase):
    daemon = harness.POP3SD
    kind = client.Pop3Client
    script = Pop3Script()


@needs_root
class Pop3Single(Pop3):
    single = True


@needs_root
@not_sanitized
class Reload(TestCase):
    def test_no_filter_is_added(self):
        """Or the kernel would have enough of them one day (BPF's limit)."""
        relais = harness.Gateway(self, StandIn(self, Script()).port)
        names = "Seccomp_filters", "CapPrm", "CapBnd", "NoNewPrivs"
        before = proc_status(relais.pid)
        for _ in range(3):
            reload(relais)
        after = proc_status(relais.pid)
        self.assertEqual([after[n] for n in names],
                         [before[n] for n in names])
        self.assertOK(self.connect(relais.ssl, True).login())


@needs_root
class Smtp(Outside, TestCase):
    daemon = harness.SMTPSD
    kind = SmtpClient
    script = SmtpScript()

    @classmethod
    def more_lines(cls):
        return sasl_lines(cls)


@needs_root
class SmtpSingle(Smtp):
    single = True


if __name__ == "__main__":
    main()
