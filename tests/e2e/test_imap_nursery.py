# SPDX-License-Identifier: ISC
"""worker_connections 1: where the workers come from, what they share with
each other, and for how long."""

import os
import re
import signal
import ssl
import time

import harness
import test_imap_processes
import reloading
from case import main, needs_root, not_sanitized
from client import tls_context
from harness import proc_read, proc_status, wait_for
from test_imap_rules import MASTER, say
from test_imap_single import SPARES, Single

KIN = 100               # workers of one nursery, at most


def layout(pid):
    """Where the program, the C library and the stack are."""
    maps = proc_read(pid, "maps")
    return tuple(re.search(r"^([0-9a-f]+)-.*%s" % what, maps, re.M).group(1)
                 for what in ("/imapsd", r"/libc\.so", r"\[stack\]"))


def links(pid):
    """What a process's descriptors are, by number."""
    found = {}
    for fd in os.listdir("/proc/%d/fd" % pid):
        try:
            found[int(fd)] = os.readlink("/proc/%d/fd/%s" % (pid, fd))
        except FileNotFoundError:
            pass
    return found


class Nursery(Single):
    def nurseries(self):
        return set(self.relais.pids("nursery"))

    def settle(self):
        super().settle()
        wait_for(lambda: len(self.nurseries()) == 2, 10, "both nurseries")

    def settle_with(self, clients):
        """These are served, and the spares are there."""
        for c in clients:
            self.worker_of(c)   # it is in the log
        wait_for(lambda: len(self.spares()) == SPARES, 10,
                 "the spares beside the clients")


@needs_root             # others do not see where things are
class Kin(Nursery):
    def test_the_masters_own(self):
        """It waits for each, and each ends with it."""
        for pid in self.workers() | self.nurseries():
            self.assertEqual(int(proc_status(pid)["PPid"]), self.relais.pid)

    def test_kin_are_replaced_after_a_crash(self):
        """Who dies badly takes all that have its addresses along but those
        who have logged in, and the next have others."""
        for how in (signal.SIGSEGV, signal.SIGKILL, "a broken rule"):
            with self.subTest(how):
                self.settle()
                bystander, victim = self.logged_in(), self.logged_in()
                newcomer = self.connect(self.relais.ssl, True)
                self.relais.wait_log("Auth: .*:%d->" %
                                     bystander.sock.getsockname()[1])
                culprit, spared = (self.worker_of(c)
                                   for c in (victim, bystander))
                self.settle_with((bystander, victim, newcomer))
                before, mark = layout(culprit), self.relais.mark()
                kin = {p for p in self.spares() if layout(p) == before}
                mothers = {p for p in self.nurseries()
                           if layout(p) == before}
                self.assertEqual(len(kin), SPARES)
                self.assertEqual(len(mothers), 1)
                if how == "a broken rule":
                    say(culprit, MASTER, b"\xff\xff")
                else:
                    os.kill(culprit, how)
                victim.rest()
                newcomer.rest()     # it may have been the same stranger's
                wait_for(lambda: not (kin | mothers) & set(
                    self.relais.processes()), 5, "its kin to go")
                self.assertOK(bystander.cmd("XONE"))
                self.assertIn(spared, self.workers())
                c = self.logged_in()
                self.assertNotEqual(layout(self.worker_of(c)), before)
                c.close()
                bystander.close()
                self.settle()
                for pid in self.workers() | self.nurseries():
                    self.assertNotEqual(layout(pid), before)
                # the culprit's death is told; not its kin's, as faults
                told = [l for l in self.relais.log(mark)
                        if re.search(r"killed by|exited with", l)]
                self.assertEqual(len(told), 1, told)

    def test_a_good_end_changes_nothing(self):
        before = self.nurseries()
        for _ in range(5):
            self.logged_in().close()
        self.settle()
        self.assertEqual(self.nurseries(), before)

    def test_no_more_than_its_share(self):
        """Nobody has more kin than is said, and nobody waited for the next
        nursery: it was there before."""
        by_layout, seen = {}, set()
        ready = {layout(p) for p in self.nurseries()}
        for _ in range(KIN + 20):
            c = self.logged_in()
            pid = self.worker_of(c)
            self.assertNotIn(pid, seen)
            seen.add(pid)
            by_layout.setdefault(layout(pid), set()).add(pid)
            c.close()
        self.assertLessEqual(max(map(len, by_layout.values())), KIN)
        self.assertGreaterEqual(len(by_layout), 2)
        self.assertLessEqual(len(set(by_layout) - ready), 1)
        self.settle()
        self.assertNoComplaint()

    @not_sanitized      # whose reports need stderr
    def test_descriptors(self):
        """As one by exec has them, and none that another one has but the
        listeners."""
        executed = harness.Gateway(self, self.inner.port,
                                   "worker_connections 2", workers=1)

        def kinds(pid):
            return sorted(re.sub(r"\[\d+\]", "", l)
                          for l in links(pid).values())

        model = executed.pids("worker")[0]
        # it may be asking the inner server what it can do at first
        wait_for(lambda: kinds(model) == kinds(min(self.workers())), 5,
                 "the same descriptors")
        want = kinds(model)
        others = {}     # where each descriptor's object was seen
        for pid in self.workers() | self.nurseries():
            if pid in self.workers():
                self.assertEqual(kinds(pid), want)
            for link in set(links(pid).values()):
                others.setdefault(link, []).append(pid)
        shared = [l for l, pids in others.items()
                  if len(pids) > 1 and l.startswith(("socket:", "pipe:"))]
        self.assertEqual(len(shared), len(self.relais.ports))
        for pids in (others[l] for l in shared):
            self.assertEqual(len(pids), SPARES + 2)

    def test_limits_and_status(self):
        """As one by exec has them."""
        executed = harness.Gateway(self, self.inner.port,
                                   "worker_connections 2", workers=1)
        model = executed.pids("worker")[0]
        born = min(self.workers())
        for name in ("Uid", "Gid", "Groups", "NoNewPrivs", "Seccomp",
                     "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb",
                     "SigIgn", "SigBlk", "SigCgt"):
            self.assertEqual(proc_status(born)[name],
                             proc_status(model)[name], name)
        limits = [re.sub(r"(Max (?:open files|data size)).*", r"\1",
                         proc_read(pid, "limits")) for pid in (born, model)]
        self.assertEqual(*limits)
        self.assertEqual(os.readlink("/proc/%d/root" % born),
                         os.path.realpath(self.relais.spool) + "/empty")
        self.assertEqual(os.stat("/proc/%d/environ" % born).st_uid, 0)


class Deaths(Nursery):
    def kill_nurseries(self):
        gone = self.nurseries()
        for pid in gone:
            os.kill(pid, signal.SIGKILL)
        return gone

    def test_service_goes_on(self):
        """Without a nursery sessions live on, spares serve, and then there is
        another one."""
        clients = [self.logged_in() for _ in range(3)]
        self.settle_with(clients)
        spares, gone = self.spares(), self.kill_nurseries()
        more = [self.logged_in() for _ in range(2 * SPARES)]
        self.assertLessEqual(spares, {self.worker_of(c) for c in more})
        for c in clients + more:
            self.assertOK(c.cmd("XONE"))
            c.close()
        self.settle()
        self.assertFalse(gone & self.nurseries())
        self.relais.wait_log(r"nursery \d was killed by signal 9", self.mark)

    def test_again_and_again(self):
        """Whatever it was at just then."""
        for n in range(12):
            clients = [self.logged_in() for _ in range(2)]
            time.sleep(n % 4 * 0.003)
            self.kill_nurseries()
            for c in clients:
                self.assertOK(c.cmd("XONE"))
                c.close()
        self.settle()
        c = self.logged_in()
        self.assertOK(c.cmd("XONE"))
        c.close()
        self.settle()
        processes = self.relais.processes()
        self.assertEqual(set(harness.children(self.relais.pid)),
                         set(processes) - {self.relais.pid})

    def test_master(self):
        """All go with it."""
        relais = harness.Gateway(self, self.inner.port,
                                 "worker_connections 1", workers=SPARES)
        c = self.connect(relais.ssl, True)
        self.assertOK(c.login())
        ours = set(relais.processes())
        relais.kill()
        wait_for(lambda: not [p for p in ours if relais._is_ours(p)], 5,
                 "all to end")
        c.rest()


class Random(Nursery):
    """No two clients get the same: what is drawn in a copied process must not
    be the copy's."""

    def hello(self, version):
        """The server's octets up to the end of its first flight."""
        context = tls_context(version=version)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing,
                               server_hostname="localhost")
        with self.raw(self.relais.ssl) as c:
            with self.assertRaises(ssl.SSLWantReadError):
                tls.do_handshake()
            c.sock.sendall(outgoing.read())
            octets = c.sock.recv(65536)
            while len(octets) < 600:
                octets += c.sock.recv(65536)
        return octets

    @staticmethod
    def handshake(octets):
        """{type: body} of the clear messages in the records."""
        data, found = b"", {}
        while len(octets) >= 5:
            size = int.from_bytes(octets[3:5], "big")
            if octets[0] == 22:
                data += octets[5:5 + size]
            octets = octets[5 + size:]
        while len(data) >= 4:
            size = int.from_bytes(data[1:4], "big")
            found[data[0]] = data[4:4 + size]
            data = data[4 + size:]
        return found

    def drawn_13(self):
        """Random, and the key share's public key, the last extension's."""
        body = self.handshake(self.hello(ssl.TLSVersion.TLSv1_3))[2]
        at = 35 + body[34] + 3      # version, random, session id, suite ...
        shares, end = {}, at + 2 + int.from_bytes(body[at:at + 2], "big")
        at += 2
        while at < end:
            kind, size = (int.from_bytes(body[at + i:at + i + 2], "big")
                          for i in (0, 2))
            shares[kind] = body[at + 4:at + 4 + size]
            at += 4 + size
        self.assertGreaterEqual(len(shares[51]), 36)    # RFC 8446 4.2.8
        return {"random": body[2:34], "key share": shares[51][4:]}

    def drawn_12(self):
        messages = self.handshake(self.hello(ssl.TLSVersion.TLSv1_2))
        body, exchange = messages[2], messages[12]
        drawn = {"random": body[2:34],
                 "public key": exchange[4:4 + exchange[3]]}
        if body[34] > 0:
            drawn["session id"] = body[35:35 + body[34]]
        return drawn

    def test_siblings_draw_for_themselves(self):
        n = 2 * SPARES + 4
        before = self.nurseries()
        for draw in (self.drawn_12, self.drawn_13):
            with self.subTest(draw.__name__):
                seen = [draw() for _ in range(n)]
                for name in seen[0]:
                    self.assertGreaterEqual(len(seen[0][name]), 32)
                    self.assertEqual(len({s[name] for s in seen}), n, name)
                    # nor with the same beginning, as a counter would give
                    self.assertEqual(len({s[name][4:12] for s in seen}), n)
        self.settle()
        self.assertEqual(self.nurseries(), before, "they were no siblings")


class Confined(test_imap_processes.Confinement):
    """All that is true of workers by exec, but for the layout."""

    @classmethod
    def setUpClass(cls):
        cls.lines = ("worker_connections 1",)
        super().setUpClass()

    @needs_root
    def test_users_and_groups(self):
        for role, pid in self.each("worker", "nursery"):
            user = harness.pwd.getpwnam(harness.WORKER_USER)
            status = proc_status(pid)
            self.assertEqual(status["Uid"].split(), [str(user.pw_uid)] * 4)
            self.assertEqual(status["Groups"], "")

    def test_layouts_differ(self):
        """See Kin."""


class Reload(Nursery):
    """A new generation has nurseries of its own."""

    def setUp(self):
        self.relais = harness.Gateway(self, self.inner.port, *self.lines,
                                      workers=SPARES)
        super().setUp()

    def test_reload(self):
        clients = [self.logged_in() for _ in range(SPARES)]
        self.settle_with(clients)
        spares, before = self.spares(), self.nurseries()
        reloading.reload(self.relais)
        wait_for(lambda: not before & set(harness.children(self.relais.pid)),
                 5, "the old nurseries to go")
        more = [self.logged_in() for _ in range(2 * SPARES)]
        self.assertFalse(spares & {self.worker_of(c) for c in more})
        for c in clients + more:
            self.assertOK(c.cmd("XONE"))
            c.close()
        reloading.all_old_gone(self.relais)
        self.settle()
        self.assertEqual(set(harness.children(self.relais.pid)),
                         set(self.relais.processes()) - {self.relais.pid})
        self.assertNoComplaint()

    def test_kin_of_before(self):
        """A bad end there takes those who have not logged in along, too."""
        bystander, victim = self.logged_in(), self.logged_in()
        newcomer = self.connect(self.relais.ssl, True)
        culprit = self.worker_of(victim)
        self.settle_with((bystander, victim, newcomer))
        reloading.reload(self.relais)
        time.sleep(1.5)         # an old worker looks every second
        self.assertOK(victim.cmd("XONE"))
        os.kill(culprit, signal.SIGSEGV)
        for c in victim, newcomer:
            c.rest()
        self.assertOK(bystander.cmd("XONE"))
        bystander.close()
        reloading.all_old_gone(self.relais)

    def test_in_the_middle_of_births(self):
        """Who is just being born belongs to nobody any more, and ends."""
        for _ in range(6):
            for c in [self.logged_in() for _ in range(4)]:
                c.close()
            reloading.reload(self.relais)
        reloading.all_old_gone(self.relais)
        self.settle()
        wait_for(lambda: set(harness.children(self.relais.pid)) ==
                 set(self.relais.processes()) - {self.relais.pid}, 5,
                 "nobody else to be there")
        self.logged_in().close()
        self.assertNoComplaint()

    def test_refused(self):
        """Then the nurseries are the same."""
        before = self.nurseries()
        reloading.rewrite(self.relais, more=("no_such_directive yes",))
        reloading.refuse(self.relais)
        self.assertEqual(self.nurseries(), before)
        self.logged_in().close()


class Unprivileged(test_imap_processes.Unprivileged):
    lines = ("worker_connections 1",)


if __name__ == "__main__":
    main()
