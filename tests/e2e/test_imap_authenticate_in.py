# SPDX-License-Identifier: ISC
"""Passwords that are checked on this machine, by Cyrus SASL in the
authenticators, before an inner server hears of them: saslauthd (a real one
and one that does as the test likes), sasldb, and what becomes of the pool."""

import grp
import os
import pwd
import signal
import socket
import subprocess
import time

import harness
from case import (Pop3Case, StandInCase, main, needs_root, not_sanitized,
                  timed)
from client import Client
from harness import DAEMON_USER, ROOT, SLOW, proc_status, wait_for
from inner import Script, StandIn
from saslauthd import Mux, Saslauthd, folder_in
from test_imap_rules import (AUTH, BROKER, MALFORMED, RELEASE, SASL_CANCEL,
                             SASL_CHECK, SASL_STEP, admit, channels_of, say,
                             take, text, u8, u16, u32)

TIMEOUT = 2                     # sasl_timeout of these tests
AT_ONCE = 1.0 * SLOW
USERS = {"alice": "secret", "bob": "hidden"}


def write(path, *lines):
    with open(path, "w", encoding="utf-8") as f:
        f.write("\n".join(lines) + "\n")


def memory_has(pid, octets):
    """Are these in what the process may write to?"""
    with open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in harness.proc_read(pid, "maps").splitlines():
            addresses, rights = line.split()[:2]
            if not rights.startswith("rw"):
                continue
            low, high = (int(a, 16) for a in addresses.split("-"))
            mem.seek(low)
            try:
                if octets in mem.read(high - low):
                    return True
            except OSError:
                pass            # [vvar] and its kin
    return False


class Sasl:
    """A mixin: a daemon with authenticate_in and this smtpd.conf."""

    sasl = ("pwcheck_method: saslauthd", "mech_list: plain login")
    more = ()
    script = Script(users=USERS)

    @classmethod
    def setUpClass(cls):
        cls.sasl_folder = harness.folder(cls)
        cls.mux_folder = cls.sasl_folder
        path = () if ROOT else ("saslauthd_path: %s/mux" % cls.mux_folder,)
        write(cls.sasl_folder + "/smtpd.conf", *cls.sasl, *path)
        cls.lines = ("authenticate_in", "hostname gateway.example.net",
                     "sasl_local_domain example.org",
                     "sasl_config_path " + cls.sasl_folder,
                     "sasl_timeout %d" % TIMEOUT, *cls.more)
        super().setUpClass()
        if ROOT:
            cls.mux_folder = folder_in(cls.relais.spool)

    def authenticators(self):
        return self.relais.pids("authenticator")

    def wait_pool(self, count, timeout=10):
        """Until there are so many, and not only because others have just
        been ended."""
        def settled():
            for _ in range(5):
                if len(self.authenticators()) != count:
                    return False
                time.sleep(0.1)
            return True

        wait_for(settled, timeout, "%d authenticators" % count)


class ImapSasl(Sasl, StandInCase):
    def login(self, user="alice", password="secret"):
        return self.tls().login(user, password)

    def hang(self, count):
        """Clients whose logins wait for a silent saslauthd."""
        def asked():
            return [who[0] for who in self.mux.asked].count("hang")

        before = asked()
        clients = []
        for _ in range(count):
            clients.append(self.tls())
            clients[-1].send(b'h LOGIN hang secret\r\n')
        wait_for(lambda: asked() == before + count, 5, "their checks")
        return clients


class Real(ImapSasl):
    """saslauthd itself, which asks an IMAP server of its own."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.far = StandIn(cls, Script(users=USERS))
        cls.saslauthd = Saslauthd(cls, cls.mux_folder, cls.far.port)

    def test_login(self):
        self.assertOK(self.login())
        self.assertEqual(self.seen(), ("alice", "secret"))
        c = self.tls()
        self.assertOK(c.cmd("AUTHENTICATE PLAIN AGJvYgBoaWRkZW4="))
        self.assertEqual(self.seen(), ("bob", "hidden"))

    def test_wrong_password(self):
        """Refused as an inner server would, which hears nothing of it."""
        mark = self.relais.mark()
        reply, seconds = timed(self.login, "alice", "Secret")
        self.assertNO(reply, "AUTHENTICATIONFAILED")
        self.assertGreaterEqual(seconds, 2)
        self.assertLess(seconds, 5 * SLOW)
        self.assertIsNone(self.seen())
        self.relais.wait_log(
            r'authentication_id="alice" server="-" .*'
            r'status="failed: local authentication failure"$', mark)

    def test_it_is_away_for_a_while(self):
        self.saslauthd.stop()
        mark = self.relais.mark()
        reply, seconds = timed(self.login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, AT_ONCE)
        self.relais.wait_log("cannot connect to saslauthd", mark)
        self.saslauthd.start()
        self.assertOK(self.login())


class Fake(ImapSasl):
    """A saslauthd that does as the test likes."""

    more = ("authenticators 2", "authenticators_max 6")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mux = Mux(cls, cls.mux_folder, USERS, silent={"hang"},
                      rude={"rude"})

    def setUp(self):
        super().setUp()
        self.mux.asked.clear()


class Dialogue(Fake):
    def test_what_it_is_asked(self):
        self.assertOK(self.login())
        self.assertEqual(self.mux.asked, [("alice", "imap", "example.org")])

    def test_the_inner_server_has_its_say(self):
        """A password that is good here only."""
        self.mux.users = dict(USERS, alice="other")
        try:
            reply, seconds = timed(self.login, "alice", "other")
        finally:
            self.mux.users = USERS
        self.assertNO(reply, "AUTHENTICATIONFAILED")
        self.assertGreaterEqual(seconds, 2)
        self.assertEqual(self.seen(), ("alice", "other"))

    def test_authorisation_identity(self):
        """It goes on to the inner server; here it has no meaning."""
        c = self.tls()
        self.assertOK(c.cmd("AUTHENTICATE PLAIN Y2Fyb2wAYWxpY2UAc2VjcmV0"))
        self.assertEqual(self.inner.logins[-1].authz, "carol")
        self.assertEqual(self.mux.asked, [("alice", "imap", "example.org")])

    def test_again_after_a_failure(self):
        c = self.tls()
        self.assertNO(c.login("alice", "wrong"), "AUTHENTICATIONFAILED")
        self.assertOK(c.login("alice", "secret"))

    def test_pipelined_behind_a_failure(self):
        c = self.tls()
        c.send(b"a LOGIN alice wrong\r\nb LOGIN bob hidden\r\n")
        self.assertTrue(c.line().startswith("a NO "))
        self.assertTrue(c.line().startswith("b OK "))

    def test_too_many_failures(self):
        relais = harness.Gateway(self, self.inner.port, *self.lines,
                                 "login_attempts 2")
        if ROOT:
            Mux(self, folder_in(relais.spool), USERS)
        c = self.connect(relais.ssl, True)
        self.assertNO(c.login("alice", "x"), "AUTHENTICATIONFAILED")
        self.assertNO(c.login("alice", "x"), "AUTHENTICATIONFAILED")
        self.assertTrue(c.line().startswith("* BYE "))

    def test_it_hangs_up(self):
        """No answer is no refusal."""
        reply, seconds = timed(self.login, "rude", "secret")
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, AT_ONCE)

    def test_no_password_in_the_log(self):
        self.assertOK(self.login())
        self.assertNO(self.login("alice", "s3cr3t-w0rd"),
                      "AUTHENTICATIONFAILED")
        self.assertNO(self.login("rude", "s3cr3t-w0rd"), "UNAVAILABLE")
        self.assertNotIn("s3cr3t", "\n".join(self.relais.log()))


class Pool(Fake):
    def tearDown(self):
        super().tearDown()
        self.wait_pool(2, 30)

    def test_three_that_hang(self):
        """They delay nobody; the pool grows, and shrinks again."""
        mark = self.relais.mark()
        before = self.authenticators()
        self.assertEqual(len(before), 2)
        clients = self.hang(3)
        for _ in range(3):
            reply, seconds = timed(self.login)
            self.assertOK(reply)
            self.assertLess(seconds, AT_ONCE)
        self.assertGreaterEqual(len(self.authenticators()), 4)
        for c in clients:
            self.assertTrue(c.line().startswith("h NO [UNAVAILABLE]"))
        self.relais.wait_log(
            r"authenticator \d+: no answer within %d s" % TIMEOUT, mark)
        self.wait_pool(2, 30)
        self.assertFalse(set(before) & set(self.authenticators()))
        self.assertOK(self.login())

    def another(self, sasl_timeout):
        """A gateway with more patience, and its saslauthd."""
        relais = harness.Gateway(self, self.inner.port, *self.lines,
                                 "sasl_timeout %d" % sasl_timeout)
        if ROOT:
            return relais, Mux(self, folder_in(relais.spool), USERS,
                               silent={"hang"})
        return relais, self.mux

    def test_all_are_taken(self):
        """The sixth has to be there before the first is given up."""
        relais, mux = self.another(6)
        before = len(mux.asked)
        clients = [self.connect(relais.ssl, True) for _ in range(6)]
        for c in clients:
            c.send(b"h LOGIN hang secret\r\n")
        wait_for(lambda: len(mux.asked) == before + 6, 5, "their checks")
        last = self.connect(relais.ssl, True)
        reply, seconds = timed(last.login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, AT_ONCE)
        for c in clients:
            self.assertTrue(c.line().startswith("h NO [UNAVAILABLE]"))
        reply, seconds = timed(last.login)
        self.assertOK(reply)
        self.assertLess(seconds, AT_ONCE)

    def test_the_client_leaves_meanwhile(self):
        for c in self.hang(3):
            c.close()
        self.assertOK(self.login())

    def test_stop_while_one_hangs(self):
        """Nobody waits for it: stop() of the harness sees to that."""
        relais, mux = self.another(60)
        before = len(mux.asked)
        c = self.connect(relais.ssl, True)
        c.send(b"h LOGIN hang secret\r\n")
        wait_for(lambda: len(mux.asked) > before, 5, "the check")
        _, seconds = timed(relais.stop)
        self.assertLess(seconds, 4 * SLOW)


class Crash(Fake):
    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: pid not in self.relais.processes(), 5, "its end")

    def tearDown(self):
        super().tearDown()
        self.wait_pool(2, 30)

    def test_idle(self):
        mark = self.relais.mark()
        for pid in self.authenticators():
            self.kill(pid)
        self.wait_pool(2)
        self.relais.wait_log(r"authenticator 1 was killed by signal 9", mark)
        self.assertOK(self.login())

    def test_in_a_step(self):
        c, = self.hang(1)
        mark = self.relais.mark()
        for pid in self.authenticators():
            self.kill(pid)
        line, seconds = timed(c.line)
        self.assertTrue(line.startswith("h NO [UNAVAILABLE]"), line)
        self.assertLess(seconds, AT_ONCE)
        self.relais.wait_log(r'status="failed: Local authentication '
                             r'unavailable"$', mark)
        self.assertOK(self.login())
        self.assertOK(c.login())    # the session goes on

    def test_broker(self):
        """What is under way goes on, or is asked for again."""
        c, = self.hang(1)
        d = self.tls()
        self.kill(self.relais.pids("broker")[0])
        d.send(b"d LOGIN alice secret\r\n")
        self.assertTrue(d.line().startswith("d OK "))
        self.assertOK(self.login())
        # its time is the worker's: nobody else knows of it any more
        c.sock.settimeout(30 * SLOW)
        self.assertTrue(c.line().startswith("h NO [UNAVAILABLE]"))

    def test_worker(self):
        clients = self.hang(2)
        for pid in self.relais.pids("worker"):
            self.kill(pid)
        wait_for(lambda: len(self.relais.pids("worker")) == 2, 5, "workers")
        self.assertOK(self.login())
        for c in clients:
            c.close()

    def test_no_descriptor_is_lost(self):
        """Whatever becomes of a login."""
        def held():
            return [harness.descriptors(p) for role in
                    ("broker", "worker", "authenticator")
                    for p in self.relais.pids(role)]

        def round_of_logins():
            for user in "alice", "rude":
                for _ in range(20):
                    with Client(self.relais.ssl, True) as c:
                        c.greet()
                        c.login(user, "secret")
            with Client(self.relais.ssl, True) as c:
                c.greet()
                c.send("a LOGIN alice wrong\r\n")     # and leave
            for c in self.hang(3):
                c.close()
            wait_for(lambda: len(self.authenticators()) > 2, 5, "growth")
            self.wait_pool(2, 30)

        round_of_logins()
        time.sleep(1)
        before = held()
        for _ in range(2):
            round_of_logins()
        # Each of two may have a channel to each of two now.
        wait_for(lambda: all(now <= was + 2
                             for now, was in zip(held(), before)), 10,
                 "the descriptors of before: %s" % before)


class Confinement(Fake):
    @needs_root
    def test_user_group_root(self):
        sasl = grp.getgrnam("sasl").gr_gid
        user = pwd.getpwnam(DAEMON_USER)
        for pid in self.authenticators():
            status = proc_status(pid)
            self.assertEqual(status["Uid"].split(), [str(user.pw_uid)] * 4)
            self.assertEqual(status["Gid"].split(), [str(user.pw_gid)] * 4)
            self.assertEqual(status["Groups"].split(), [str(sasl)])
            self.assertEqual(os.readlink("/proc/%d/root" % pid),
                             os.path.realpath(self.relais.spool))
            for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                self.assertEqual(int(status[name], 16), 0, name)
            self.assertEqual(status["NoNewPrivs"], "1")
            if not harness.SANITIZE:
                self.assertEqual(status["Seccomp"], "2")

    @needs_root
    def test_others_have_no_group(self):
        for role in "keeper", "broker", "worker":
            for pid in self.relais.pids(role):
                self.assertEqual(proc_status(pid)["Groups"], "", role)

    @needs_root
    @not_sanitized
    def test_password_is_forgotten(self):
        """It is in nobody's memory once it has been checked."""
        word = "Pa55w0rd-%s" % os.urandom(8).hex()
        self.mux.users = dict(USERS, alice=word)
        try:
            c = self.tls()
            c.login("alice", word)  # the inner server knows another
            self.login("alice", word + "x")
            self.login("rude", word)
        finally:
            self.mux.users = USERS
        for pid, (role, number) in self.relais.processes().items():
            with self.subTest(role=role, number=number):
                self.assertFalse(memory_has(pid, word.encode()))


class Sasldb(ImapSasl):
    """Cyrus SASL's own database, which the master copies into the spool."""

    sasl = ("pwcheck_method: auxprop", "mech_list: plain login")

    @classmethod
    def setUpClass(cls):
        cls.db = harness.folder(cls) + "/sasldb2"
        cls.set_password("alice", "secret")
        os.chmod(cls.db, 0o600)
        cls.more = ("sasldb_path " + cls.db,)
        super().setUpClass()

    @classmethod
    def set_password(cls, user, password):
        subprocess.run(["/usr/sbin/saslpasswd2", "-f", cls.db, "-p", "-c",
                        "-u", "example.org", user],
                       input=password.encode(), check=True)

    def test_copy(self):
        self.assertOK(self.login())
        if ROOT:
            status = os.stat(self.relais.spool + "/etc/sasldb2")
            self.assertEqual(status.st_uid, 0)
            self.assertEqual(status.st_mode & 0o7777, 0o640)

    def test_changes(self):
        """A new user and a new password count within seconds."""
        self.set_password("bob", "hidden")
        wait_for(lambda: self.login("bob", "hidden").status == "OK", 15,
                 "the new user")
        subprocess.run(["/usr/sbin/saslpasswd2", "-f", self.db, "-d", "-u",
                        "example.org", "bob"], check=True)
        wait_for(lambda: self.login("bob", "hidden").status == "NO", 15,
                 "the user's end")


@needs_root
class Captured(Fake):
    """A worker that was taken over speaks to an authenticator as it likes: it
    is served what the broker granted it, and nothing else."""

    def setUp(self):
        super().setUp()
        self.wait_pool(2)
        self.channels = {}      # of the workers, to the first authenticator
        self.exchanges = 0      # that the broker has granted
        os.kill(self.relais.pids("broker")[0], signal.SIGKILL)
        wait_for(lambda: len(self.relais.pids("worker")) == 2 and
                 self.relais.pids("broker"), 5, "a new broker")
        self.wait_pool(2)
        self.before = {pid: set(channels_of(pid))
                       for pid in self.relais.pids("worker")}
        wait_for(self.both, 20, "a login by each worker")
        self.mux.asked.clear()
        self.others = self.relais.processes()
        self.mark = self.relais.mark()

    def both(self):
        """Log in until each worker has a channel to the authenticator."""
        with self.tls() as c:
            self.assertOK(c.login())
        self.exchanges += 1
        for pid, fds in self.before.items():
            new = set(channels_of(pid)) - fds
            if new:
                self.channels[pid], = new
        return len(self.channels) == 2

    def refused(self):
        """A client whose refusal is being held back, and its exchange."""
        c = self.tls()
        c.send(b"r LOGIN alice wrong\r\n")
        wait_for(lambda: self.mux.asked, 5, "its check")
        self.mux.asked.clear()
        self.exchanges += 1
        return c, self.exchanges

    def say(self, pid, kind, exchange, *fields):
        say(pid, self.channels[pid],
            u16(kind) + u32(exchange) + b"".join(fields))

    def check(self, pid, exchange):
        self.say(pid, SASL_CHECK, exchange, u8(0), u16(0), text(b"eve"),
                 text(b"secret"))

    def ended(self, pid):
        """Only this worker, and it has not been served."""
        wait_for(lambda: pid not in self.relais.processes(), 5, "its end")
        self.relais.wait_log(r"authenticator 1: worker %d sent %s$" % (
            self.others.pop(pid)[1], MALFORMED), self.mark)
        self.assertFalse(set(self.others) - set(self.relais.processes()))
        self.assertEqual(self.mux.asked, [])
        self.assertOK(self.login())

    def test_nothing_is_granted(self):
        pid = min(self.channels)
        self.check(pid, self.exchanges + 1)
        self.ended(pid)

    def test_it_is_over(self):
        pid = min(self.channels)
        self.check(pid, self.exchanges)
        self.ended(pid)

    def test_a_refusal_is_held_back(self):
        """No second guess on the same exchange, nor by another worker."""
        c, exchange = self.refused()
        with c:
            culprits = sorted(self.channels)
            for pid in culprits:
                self.check(pid, exchange)
            wait_for(lambda: not set(culprits) & set(
                self.relais.pids("worker")), 5, "the workers' end")
        self.assertEqual(self.mux.asked, [])
        self.assertOK(self.login())

    def test_late_words(self):
        """What may have been on its way harms nobody, and does nothing."""
        c, exchange = self.refused()
        with c:
            for pid in self.channels:
                self.say(pid, SASL_STEP, exchange + 1, text(b"x"))
                self.say(pid, SASL_CANCEL, exchange + 1)
                self.say(pid, SASL_CANCEL, exchange)
            self.assertOK(self.login())
            self.assertEqual(self.relais.processes(), self.others)


@needs_root
class CapturedToBroker(Fake):
    def test_a_number_twice(self):
        """A session that leaves in an exchange, and another of its number
        that asks for one while the first goes on."""
        pid = self.relais.pids("worker")[0]
        others = self.relais.processes()
        number = 0xfffffff0

        def ask(channel, sock):
            socket.send_fds(channel, [admit(number)], [sock.fileno()])
            channel.send(u16(AUTH) + bytes(4) + u32(number))

        with self.tls() as c:
            os.kill(pid, signal.SIGSTOP)
            with take(pid, BROKER) as channel:
                ask(channel, c.sock)
                channel.send(u16(RELEASE) + bytes(4) + u32(number))
                ask(channel, c.sock)
            time.sleep(0.2)
            os.kill(pid, signal.SIGCONT)    # it cancels what it was granted
        for _ in range(3):
            self.assertOK(self.login())
        self.assertEqual(self.relais.processes(), others)


class Pop3(Sasl, Pop3Case):
    script = Pop3Case.script

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.mux = Mux(cls, cls.mux_folder, USERS, rude={"rude"})

    def login(self, user, password):
        c = self.tls()
        c.cmd("USER " + user)
        return c.cmd("PASS " + password)

    def test_login(self):
        self.assertYes(self.login("alice", "secret"))
        self.assertIn(("alice", "pop", "example.org"), self.mux.asked)

    def test_wrong_password(self):
        line, seconds = timed(self.login, "alice", "wrong")
        self.assertNo(line)
        self.assertGreaterEqual(seconds, 2)
        self.assertIsNone(self.seen())

    def test_unavailable(self):
        self.assertNo(self.login("rude", "secret"), "SYS/TEMP")


if __name__ == "__main__":
    main()
