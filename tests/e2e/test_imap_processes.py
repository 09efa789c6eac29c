# SPDX-License-Identifier: ISC
"""What each process of a running daemon is and may do, seen from outside
while clients are connected."""

import os
import pwd
import re
import shutil

import harness
from case import StandInCase, TestCase, main, needs_root, not_sanitized
from certs import Pair, certificates, gateway_pair, secret_numbers
from harness import (DAEMON_USER, ROOT, WORKER_USER, folder, proc_read,
                     proc_status, wait_for)
from inner import StandIn


class Processes(StandInCase):
    """Clients in every state are there while we look."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.rsa = gateway_pair("rsa")

    def setUp(self):
        super().setUp()
        self.clients = []
        for _ in range(6):
            c = self.tls()
            self.assertOK(c.login())
            self.clients += [c, self.tls(), self.connect(
                self.relais.starttls), self.raw(self.relais.ssl)]

    def each(self, *roles):
        """(role, pid) of all processes of these roles; all but the master
        when none is named."""
        found = [(role, pid) for pid, (role, _) in
                 self.relais.processes().items()
                 if (role in roles if roles else role != "master")]
        self.assertTrue(found)
        return found


class Titles(Processes):
    def test_titles(self):
        roles = sorted(self.relais.processes().values())
        self.assertEqual([r for r in roles if r[0] == "master"],
                         [("master", 0)])
        self.assertEqual(len([r for r in roles if r[0] == "worker"]), 2)
        self.assertEqual(len([r for r in roles if r[0] == "broker"]), 1)
        self.assertGreaterEqual(
            len([r for r in roles if r[0] == "keeper"]), 1)
        numbers = [n for r, n in roles if r == "worker"]
        self.assertEqual(len(set(numbers)), 2)


class Confinement(Processes):
    @needs_root
    def test_root_directory(self):
        spool = os.path.realpath(self.relais.spool)
        want = {"worker": spool + "/empty", "keeper": spool + "/empty",
                "broker": spool, "master": "/",
                "control": spool + "/empty"}
        for role, pid in self.each(*want):
            with self.subTest(role=role):
                self.assertEqual(os.readlink("/proc/%d/root" % pid),
                                 want[role])
        self.assertEqual(os.listdir(spool + "/empty"), [])
        status = os.stat(spool + "/empty")
        self.assertEqual((status.st_uid, status.st_gid), (0, 0))
        self.assertEqual(status.st_mode & 0o022, 0)

    @needs_root
    def test_users_and_groups(self):
        for role, pid in self.each():
            with self.subTest(role=role):
                user = pwd.getpwnam(WORKER_USER if role == "worker"
                                    else DAEMON_USER)
                status = proc_status(pid)
                self.assertEqual(status["Uid"].split(),
                                 [str(user.pw_uid)] * 4)
                self.assertEqual(status["Gid"].split(),
                                 [str(user.pw_gid)] * 4)
                self.assertEqual(status["Groups"], "")

    def test_no_capabilities(self):
        for role, pid in self.each():
            with self.subTest(role=role):
                status = proc_status(pid)
                for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                    self.assertEqual(int(status[name], 16), 0, name)

    @needs_root
    def test_master_has_few_capabilities(self):
        status = proc_status(self.relais.pid)
        self.assertEqual(int(status["CapInh"], 16), 0)
        self.assertEqual(int(status["CapAmb"], 16), 0)
        # neither CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_MODULE, CAP_NET_RAW
        for name in ("CapPrm", "CapEff", "CapBnd"):
            for bit in (21, 19, 16, 13):
                self.assertEqual(int(status[name], 16) >> bit & 1, 0,
                                 "%s %d" % (name, bit))

    def test_no_new_privileges(self):
        for role, pid in self.each():
            with self.subTest(role=role):
                self.assertEqual(proc_status(pid)["NoNewPrivs"], "1")

    @not_sanitized
    def test_seccomp(self):
        for role, pid in self.each():
            with self.subTest(role=role):
                self.assertEqual(proc_status(pid)["Seccomp"], "2")

    def test_no_core(self):
        for role, pid in self.each():
            with self.subTest(role=role):
                limit = re.search(r"^Max core file size +(\S+) +(\S+)",
                                  proc_read(pid, "limits"), re.M)
                self.assertEqual(limit.groups(), ("0", "0"))

    def test_not_dumpable(self):
        """Then /proc shows the process as root's (proc(5))."""
        for role, pid in self.each():
            with self.subTest(role=role):
                self.assertEqual(os.stat("/proc/%d/environ" % pid).st_uid, 0)
                if not ROOT:
                    with self.assertRaises(PermissionError):
                        os.readlink("/proc/%d/exe" % pid)

    @needs_root
    @not_sanitized  # whose reports need stderr
    def test_descriptors(self):
        """No process but the master holds a file or a folder."""
        for role, pid in self.each():
            links = set()
            for fd in os.listdir("/proc/%d/fd" % pid):
                try:
                    links.add(os.readlink("/proc/%d/fd/%s" % (pid, fd)))
                except FileNotFoundError:
                    pass
            for link in links:
                with self.subTest(role=role, link=link):
                    self.assertRegex(link, r"^(socket:|anon_inode:|pipe:"
                                     r"|/memfd:|/dev/null$|/$)")

    @needs_root
    def test_layouts_differ(self):
        """Each was executed, not only forked: what a crash tells of one says
        nothing about the next."""
        bases = {}
        for role, pid in self.each("worker", "keeper", "broker", "master"):
            maps = proc_read(pid, "maps")
            program = re.search(r"^([0-9a-f]+)-.*/imapsd", maps, re.M)
            stack = re.search(r"^([0-9a-f]+)-.*\[stack\]", maps, re.M)
            bases[pid] = (program.group(1), stack.group(1))
        self.assertGreaterEqual(len(bases), 5)
        self.assertEqual(len({b[0] for b in bases.values()}), len(bases))
        self.assertEqual(len({b[1] for b in bases.values()}), len(bases))

    def test_no_secret_in_the_environment(self):
        for role, pid in self.each():
            with self.subTest(role=role):
                command = proc_read(pid, "cmdline")
                self.assertNotIn(gateway_pair().key, command)
                self.assertNotIn("secret", command)


@needs_root
@not_sanitized
class Key(TestCase):
    """No part of the private key is anywhere but in the keepers."""

    def look(self, kind):
        inner = StandIn(self)
        pair = gateway_pair(kind)
        relais = harness.Gateway(self, inner.port, pair=pair)
        for _ in range(6):      # signatures are made, on both workers
            c = self.connect(relais.ssl, True)
            self.assertOK(c.login())
        numbers = secret_numbers(pair.key)
        self.assertGreaterEqual(len(numbers), 1 if kind == "ec" else 5)
        with open(pair.key, "rb") as f:
            pem = b"".join(f.read().splitlines()[1:-1])
        needles = {"PEM": pem[40:80]}
        for name, octets in numbers.items():
            needles[name] = octets              # as in a file
            needles[name + ", limbs"] = octets[::-1]    # as GMP has it
        seen = {}
        for pid, (role, n) in relais.processes().items():
            seen[pid] = set()
            for part in harness.memory(pid):
                seen[pid].update(name for name, octets in needles.items()
                                 if octets in part)
            if role == "keeper":
                # else this test could not find anything at all
                self.assertTrue(seen[pid] - {"PEM"}, "nothing in the keeper")
            else:
                self.assertEqual(seen[pid], set(), "%s %d" % (role, n))

    def test_ecdsa(self):
        self.look("ec")

    def test_rsa(self):
        self.look("rsa")


class Spread(StandInCase):
    def test_clients_that_come_one_by_one(self):
        """No worker has more than two thirds of 200."""
        before = self.relais.worker_sessions()
        for _ in range(200):
            self.connect(self.relais.plain)

        def share_of_all():
            after = self.relais.worker_sessions()
            share = {pid: after[pid] - before[pid] for pid in before}
            # a session of an earlier test may end meanwhile
            return share if sum(share.values()) >= 190 else None

        share = wait_for(share_of_all, what="200 sessions")
        self.assertLessEqual(max(share.values()),
                             sum(share.values()) * 2 / 3, share)


@needs_root
class Unprivileged(TestCase):
    """Not started as root it serves all the same, and says what it lacks."""

    lines = ()

    def test_as_nobody(self):
        user = harness.nobody()
        path = folder(self)
        pair = certificates().make()
        for source in pair:
            target = os.path.join(path, os.path.basename(source))
            shutil.copy(source, target)
            os.chown(target, user.pw_uid, user.pw_gid)
        pair = Pair(*(os.path.join(path, os.path.basename(p))
                              for p in pair))
        if not self.reaches(user):
            self.skipTest("the binary is in a folder that is not public")
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port, *self.lines, pair=pair,
                                 user=user)
        c = self.connect(relais.ssl, True)
        self.assertOK(c.login())
        for pid, (role, _) in relais.processes().items():
            status = proc_status(pid)
            self.assertEqual(status["Uid"].split()[0], str(user.pw_uid))
            if role != "master":
                self.assertEqual(status["NoNewPrivs"], "1")
                if not harness.SANITIZE:
                    self.assertEqual(status["Seccomp"], "2")
        said = [l for l in relais.log() if re.search(r"(?i)\broot\b", l)]
        self.assertEqual(len(said), 1, "said once: %r" % said)

    @staticmethod
    def reaches(user):
        path = harness.IMAPSD
        while path != "/":
            status = os.stat(path)
            if not status.st_mode & 0o001 and status.st_uid != user.pw_uid:
                return False
            path = os.path.dirname(path)
        return True


if __name__ == "__main__":
    main()
