# SPDX-License-Identifier: ISC
"""Who starts a daemon: systemd with its sockets, its watchdog and its units;
inetd and xinetd, with a client or a listener on descriptor 0.  The real
programs are used where they are installed."""

import collections
import os
import re
import shutil
import signal
import socket
import subprocess
import time
import unittest

import client
import harness
from case import StandInCase, TestCase, main, needs_root
from certs import gateway_pair
from harness import (IMAPSD, POP3SD, SMTPSD, end, folder, free_port,
                     need_users, start, wait_for)
from inner import Pop3Script, StandIn

UNITS = os.path.join(harness.TOP, "conf", "systemd")
INSTALLED = "/usr/local/sbin"   # where the samples look for the daemons
EXPOSURE = 5.0      # what systemd-analyze security calls medium begins here


def needs(program):
    return unittest.skipUnless(
        shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin"),
        program + " is not installed")


class Units(TestCase):
    """As they are shipped, but for the folder of the programs."""

    @classmethod
    def setUpClass(cls):
        cls.folder = folder(cls)
        cls.names = sorted(os.listdir(UNITS))
        for name in cls.names:
            with open(os.path.join(UNITS, name), encoding="utf-8") as f:
                text = f.read()
            with open(os.path.join(cls.folder, name), "w") as f:
                f.write(text.replace(INSTALLED, harness.BUILD))

    def analyze(self, *words):
        return subprocess.run(
            ["systemd-analyze", *words], cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60)

    def test_all_are_there(self):
        wanted = {"relais.target"}
        for daemon in "imapsd", "pop3sd", "smtpsd":
            wanted |= {daemon + end for end in (
                ".service", "@.service", ".socket", "-starttls.socket")}
        self.assertEqual(set(self.names), wanted)

    @needs("systemd-analyze")
    def test_verify_says_nothing(self):
        """It returns 0 even where it warns."""
        for name in self.names:
            with self.subTest(name):
                done = self.analyze("verify", "--man=no", "./" + name)
                self.assertEqual((done.returncode, done.stdout), (0, b""))

    @needs("systemd-analyze")
    def test_security_is_ok(self):
        for name in self.names:
            if not name.endswith(".service"):
                continue
            with self.subTest(name):
                done = self.analyze("security", "--offline=yes", "./" + name)
                level = re.search(rb"exposure level for .*: ([\d.]+) OK",
                                  done.stdout)
                self.assertTrue(level, done.stdout[-300:])
                self.assertLess(float(level.group(1)), EXPOSURE)

    def test_ports(self):
        """A socket has the port of its name's kind, as the samples do."""
        for daemon, tls, clear in (("imapsd", 993, 143), ("pop3sd", 995, 110),
                                   ("smtpsd", 465, 587)):
            for unit, name, port in ((daemon + ".socket", "tls", tls),
                                     (daemon + "-starttls.socket", "starttls",
                                      clear)):
                with open(os.path.join(UNITS, unit)) as f:
                    text = f.read()
                self.assertIn("\nListenStream=%d\n" % port, text)
                self.assertIn("\nFileDescriptorName=%s\n" % name, text)


class Reload(StandInCase):
    """What systemd runs for "systemctl reload", run by hand."""

    def commands(self):
        """Those of the unit, for the daemon that runs."""
        own = ["-f", self.relais.conf, "--spool_directory", self.relais.spool]
        with open(os.path.join(UNITS, "imapsd.service")) as f:
            lines = re.findall(r"^ExecReload=(.*)$", f.read(), re.M)
        for line in lines:
            words = line.replace("$MAINPID", str(self.relais.pid)).split()
            if words[0] == INSTALLED + "/imapsd":
                words = [IMAPSD, *words[1:], *own]
            yield words

    def reload(self):
        """The first that fails is the last (systemd.service(5)).  They have
        the service's socket for notifications, and nothing to say there."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            path = os.path.join(self.relais.spool, "told")
            told.bind(path)
            self.addCleanup(lambda: os.path.exists(path) and os.unlink(path))
            for words in self.commands():
                done = subprocess.run(
                    words, stdin=subprocess.DEVNULL, capture_output=True,
                    timeout=20 * harness.SLOW,
                    env=dict(harness.ENVIRONMENT, NOTIFY_SOCKET=path))
                if done.returncode != 0:
                    break
            self.assertRaises(BlockingIOError, told.recv, 1,
                              socket.MSG_DONTWAIT)
            os.unlink(path)
        return done.returncode, done.stderr.decode()

    def test_it_fails_where_the_configuration_does(self):
        mark = self.relais.mark()
        with open(self.relais.conf) as f:
            good = f.read()
        with open(self.relais.conf, "a") as f:
            f.write("no_such_directive yes\n")
        status, said = self.reload()
        self.assertNotEqual(status, 0)
        self.assertRegex(said, r"%s:%d: .*no_such_directive" % (
            re.escape(self.relais.conf), good.count("\n") + 1))
        time.sleep(0.2)
        self.assertNotIn("reload", "\n".join(self.relais.log(mark)))
        with open(self.relais.conf, "w") as f:
            f.write(good)
        self.assertEqual(self.reload(), (0, ""))
        self.relais.wait_log("reloaded: generation 2 serves", mark)


class Lines(TestCase):
    """The samples for inetd and xinetd: services and programs are real."""

    PROGRAMS = ["%s/%s" % (INSTALLED, os.path.basename(d)) for d in (
        IMAPSD, POP3SD, SMTPSD)] + ["/usr/sbin/tcpd"]

    @staticmethod
    def sample(name):
        with open(os.path.join(harness.TOP, "conf", "inetd", name)) as f:
            return [line.split("#")[0].split() for line in f
                    if line.split("#")[0].strip()]

    def test_inetd(self):
        seen = set()
        for words in self.sample("inetd.conf"):
            service, kind, protocol, wait, user, program, *argv = words
            self.assertGreater(socket.getservbyname(service, "tcp"), 0)
            self.assertEqual((kind, user), ("stream", "root"))
            self.assertIn(protocol, ("tcp", "tcp6"))
            self.assertRegex(wait, r"^(wait|nowait\.\d+)$")
            self.assertIn(program, self.PROGRAMS)
            if program.endswith("tcpd"):
                self.assertIn(argv[0], self.PROGRAMS)
            else:
                self.assertEqual(argv, [os.path.basename(program)])
            seen.add((wait.split(".")[0], program.endswith("tcpd")))
        self.assertEqual(seen, {("wait", False), ("nowait", False),
                                ("nowait", True)})

    def test_xinetd(self):
        services, programs = [], []
        for words in self.sample("xinetd.conf"):
            if words[0] == "service":
                services.append(words[1])
            elif words[0] in ("server", "server_args"):
                programs.append(words[2])
        for service in services:
            self.assertGreater(socket.getservbyname(service, "tcp"), 0)
        self.assertEqual(set(programs), set(self.PROGRAMS))


class Launched(TestCase):
    """A daemon that somebody else starts, in front of a stand-in."""

    daemon = IMAPSD
    script = None

    def setUp(self):
        need_users()
        self.folder = folder(self)
        self.pair = gateway_pair()
        self.inner = StandIn(self, self.script)
        self.log_file = os.path.join(self.folder, "log")
        self.tls_port, self.clear_port = free_port(), free_port()

    def conf(self, *lines, daemon=None):
        path = os.path.join(self.folder, "daemon.conf")
        with open(path, "w") as f:
            f.write("\n".join((
                "outgoing_server 127.0.0.1:%d" % self.inner.port,
                "ssl_cert_file " + self.pair.cert,
                "ssl_key_file " + self.pair.key,
                "spool_directory %s/spool" % self.folder,
                "log_facility " + self.log_file, "workers 1", *lines)) + "\n")
        return path

    def listens(self):
        """The listen lines that tell TLS from STARTTLS by port."""
        return ("listen 127.0.0.1:%d ssl" % self.tls_port,
                "listen 127.0.0.1:%d starttls" % self.clear_port)

    def log(self):
        try:
            with open(self.log_file, errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def launch(self, *argv, **kw):
        process = start(list(argv), stdout=subprocess.PIPE,
                        stderr=subprocess.STDOUT, **kw)
        self.addCleanup(process.stdout.close)
        self.addCleanup(end, process)
        self.addCleanup(self.tell)
        return process

    def tell(self):
        if self._outcome and not self._outcome.success:
            print("--- log\n" + self.log()[-3000:])

    def dialogue(self, port, tls):
        """A login, after STARTTLS where TLS was not there; then the end."""
        with client.connect(port, tls) as c:
            if not tls:
                self.assertNO(c.login(), "PRIVACYREQUIRED")
                c.starttls()
            self.assertOK(c.login())
            self.assertOK(c.cmd("NOOP"))

    def both(self):
        self.dialogue(self.tls_port, True)
        self.dialogue(self.clear_port, False)


@needs("systemd-socket-activate")
class Activated(Launched):
    """By systemd's own tool: LISTEN_FDS, LISTEN_FDNAMES."""

    def activate(self, *words, conf=()):
        process = self.launch(
            "systemd-socket-activate", "--setenv=ASAN_OPTIONS",
            "--listen=127.0.0.1:%d" % self.tls_port,
            "--listen=127.0.0.1:%d" % self.clear_port, *words,
            self.daemon, "-f", self.conf(*conf))
        wait_for(lambda: self.is_up(process), 10, "systemd-socket-activate")
        return process

    def is_up(self, process):
        """It is, or was: a stray connection starts the daemon as well."""
        return (harness.accepts(self.clear_port) or
                process.poll() is not None)

    def test_names(self):
        """They tell; the ports are nobody's."""
        self.activate("--fdname=tls:starttls")
        self.both()

    def test_names_the_other_way_round(self):
        self.tls_port, self.clear_port = self.clear_port, self.tls_port
        self.activate("--fdname=starttls:tls")
        self.tls_port, self.clear_port = self.clear_port, self.tls_port
        # of two listeners the first is now that of STARTTLS
        self.dialogue(self.tls_port, True)
        self.dialogue(self.clear_port, False)

    def test_listen_lines_without_names(self):
        self.activate(conf=self.listens())
        self.both()

    def test_stays_and_ends(self):
        """It is the process that was started; it ends with SIGTERM, and is
        the one that the listener is taken from."""
        process = self.activate("--fdname=tls:starttls")
        self.dialogue(self.tls_port, True)
        self.assertIn(b"imapsd: master", harness.proc_read(
            process.pid, "cmdline").encode())
        self.assertEqual(end(process), 0)
        self.assertFalse(harness.accepts(self.tls_port))

    def refused(self, said, *words, conf=()):
        process = self.activate(*words, conf=conf)
        text = process.stdout.read().decode()
        self.assertEqual(process.wait(10), 1, text)
        self.assertRegex(text, said)

    def test_unknown_name(self):
        self.refused(r'is named "smtp": FileDescriptorName= takes tls or '
                     r"starttls", "--fdname=tls:smtp")

    def test_wrong_name(self):
        self.refused(r'is named "starttls", and the configuration says ssl of '
                     r"port %d" % self.tls_port, "--fdname=starttls:starttls",
                     conf=self.listens())

    def test_nothing_tells(self):
        self.refused(r"nothing tells whether there is TLS from the start on "
                     r"the socket 127\.0\.0\.1:%d" % self.tls_port)

    def test_no_sockets_of_ours(self):
        path = os.path.join(self.folder, "unix")
        process = self.launch("systemd-socket-activate", "--listen=" + path,
                              self.daemon, "-f", self.conf())
        with socket.socket(socket.AF_UNIX) as s:
            wait_for(lambda: os.path.exists(path), 10, "a socket")
            s.connect(path)
            text = process.stdout.read().decode()
        self.assertEqual(process.wait(10), 1)
        self.assertRegex(text, "descriptor 3 .* is no listening TCP socket")

    def test_listener_that_was_not_given(self):
        extra = free_port()
        self.activate(conf=self.listens() + ("listen *:%d ssl" % extra,))
        self.both()
        self.assertFalse(harness.accepts(extra))

    def test_accept(self):
        """Accept=yes: one client for each set of processes."""
        process = self.launch(
            "systemd-socket-activate", "--accept",
            "--listen=127.0.0.1:%d" % self.tls_port,
            "--listen=127.0.0.1:%d" % self.clear_port,
            self.daemon, "-f", self.conf(*self.listens()))
        wait_for(lambda: harness.accepts(self.clear_port), 10, "it")
        self.both()
        wait_for(lambda: not harness.children(process.pid), 10,
                 "the end of all daemons")


class Notified(Launched):
    """What the service manager hears."""

    def hear(self, name):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(name)
        s.settimeout(20 * harness.SLOW)
        return s

    def begin(self, name, *lines, watchdog=None):
        heard = self.hear(name if name[0] == "/" else "\0" + name[1:])
        environment = {"NOTIFY_SOCKET": name}
        if watchdog:
            environment["WATCHDOG_USEC"] = str(watchdog)
        process = self.launch(
            "env", *("%s=%s" % i for i in environment.items()), self.daemon,
            "-f", self.conf(*self.listens(), *lines), "--no_daemon")
        return process, heard

    def words(self, heard):
        return heard.recv(4096).decode().splitlines()

    def story(self, name):
        process, heard = self.begin(name)
        self.assertEqual(self.words(heard), ["READY=1", "STATUS=serving"])
        self.both()     # at once
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.words(heard), ["STOPPING=1", "STATUS=stopping"])
        self.assertEqual(process.wait(10), 0)
        heard.settimeout(0)
        self.assertRaises(BlockingIOError, heard.recv, 100)

    def test_path(self):
        self.story(os.path.join(self.folder, "notify"))

    def test_abstract(self):
        self.story("@relais-test-%d-%d" % (os.getpid(), self.tls_port))

    def test_enabled_no(self):
        """That is no failure: systemd would take an end without READY=1 for
        one."""
        process, heard = self.begin(os.path.join(self.folder, "notify"),
                                    "enabled no")
        self.assertEqual(self.words(heard)[0], "READY=1")
        self.assertEqual(process.wait(10), 0)
        self.assertIn(b"enabled no: nothing to do", process.stdout.read())

    def test_manager_that_is_gone(self):
        """Nobody there to hear: it serves all the same, and says it once."""
        process, heard = self.begin(os.path.join(self.folder, "notify"))
        os.unlink(os.path.join(self.folder, "notify"))
        wait_for(lambda: harness.accepts(self.clear_port), 10, "it")
        self.both()
        self.assertIn('did not hear "READY=1"', self.log())

    def roles(self, process):
        found = {}
        for pid in harness.children(process.pid):
            m = harness.TITLE.match(harness.proc_read(pid, "cmdline"))
            if m:
                found.setdefault(m.group(1), []).append(pid)
        return found

    def test_watchdog(self):
        """Every role is asked; the one that hangs is replaced, and the
        manager hears all the while that this is being seen to."""
        process, heard = self.begin(os.path.join(self.folder, "notify"),
                                    watchdog=1000000)
        self.assertEqual(self.words(heard)[0], "READY=1")
        pats = []
        for role in "worker", "keeper", "broker":
            with self.subTest(role):
                old = wait_for(lambda: self.roles(process).get(role), 10,
                               role)[0]
                os.kill(old, signal.SIGSTOP)
                began = time.monotonic()
                while old in harness.children(process.pid):
                    pats.append(time.monotonic())
                    self.assertEqual(self.words(heard), ["WATCHDOG=1"])
                    self.assertLess(time.monotonic() - began,
                                    8 * harness.SLOW)
                self.assertIn("%s 1 does not answer" % role, self.log())
                wait_for(lambda: self.roles(process).get(role), 10, role)
                wait_for(lambda: self.tries(), 10, "service")
        self.assertLess(max(b - a for a, b in zip(pats, pats[1:])
                            if b - a < 8), 6)

    def tries(self):
        try:
            self.dialogue(self.tls_port, True)
            return True
        except (OSError, EOFError, AssertionError):
            return False

    def test_roles_that_answer_stay(self):
        process, heard = self.begin(os.path.join(self.folder, "notify"),
                                    watchdog=1000000)
        self.assertEqual(self.words(heard)[0], "READY=1")
        wait_for(lambda: "control" in self.roles(process), 10, "the last role")
        before = self.roles(process)
        for _ in range(9):      # each half a second
            self.assertEqual(self.words(heard), ["WATCHDOG=1"])
        self.assertEqual(self.roles(process), before)
        self.assertNotIn("does not answer", self.log())

    def test_master_that_hangs(self):
        """It is not heard: systemd will end it."""
        process, heard = self.begin(os.path.join(self.folder, "notify"),
                                    watchdog=1000000)
        self.assertEqual(self.words(heard)[0], "READY=1")
        self.assertEqual(self.words(heard), ["WATCHDOG=1"])
        process.send_signal(signal.SIGSTOP)
        heard.settimeout(2)
        with self.assertRaises(TimeoutError):
            for _ in range(3):
                heard.recv(100)
        process.send_signal(signal.SIGCONT)
        heard.settimeout(10)
        self.assertEqual(self.words(heard), ["WATCHDOG=1"])


Service = collections.namedtuple("Service", "port wait words")


class SuperServer(Launched):
    """A real one: of each daemon the same."""

    def serve(self, wait, tcpd=False):
        """Two services, in a configuration of the kind."""
        daemon = [self.daemon, "-f", self.conf(*self.listens())]
        words = ["/usr/sbin/tcpd", *daemon] if tcpd else [
            daemon[0], os.path.basename(daemon[0]), *daemon[1:]]
        path = os.path.join(self.folder, "super.conf")
        with open(path, "w") as f:
            for port in self.tls_port, self.clear_port:
                f.write(self.entry(Service(port, wait, words)))
        self.addCleanup(self.end_daemons)   # once their starter has ended
        process = self.launch(*self.program(path))
        wait_for(lambda: self.probes(), 10, "the super-server")
        return process

    def probes(self):
        """Does it listen?  Without a connection, which would be a client."""
        with open("/proc/net/tcp") as f:
            return all(":%04X 00000000:0000 0A" % p in f.read() for p in (
                self.tls_port,))

    def end_daemons(self):
        """What inetd started is in sessions of its own; the roles end with
        their master."""
        for pid in self.daemons():
            os.kill(pid, signal.SIGKILL)

    def daemons(self):
        return [pid for pid in map(int, filter(str.isdigit,
                                               os.listdir("/proc")))
                if harness.proc_read(pid, "cmdline").startswith(
                    os.path.basename(self.daemon) + ": master") and
                self.listens_for_us(pid)]

    def listens_for_us(self, pid):
        """Its log is ours."""
        try:
            fds = os.listdir("/proc/%d/fd" % pid)
            return any(os.readlink("/proc/%d/fd/%s" % (pid, fd)) ==
                       self.log_file for fd in fds)
        except OSError:
            return False

    def nowait(self, tcpd=False):
        self.serve(False, tcpd)
        self.both()
        self.both()
        wait_for(lambda: not self.daemons(), 10, "the end of the daemons")
        self.assertEqual(len(re.findall("Closing session:", self.log())), 4)

    def at_once(self):
        """Two clients, two daemons; and nothing but the protocol reaches
        them."""
        self.serve(False)
        with client.connect(self.tls_port, True) as a, \
                client.connect(self.tls_port, True) as b:
            self.assertOK(a.login())
            self.assertOK(b.login())
            self.assertEqual(len(self.daemons()), 2)

    def faulty(self):
        """What is wrong is in the log, and nothing at the client's."""
        self.serve(False)
        with open(os.path.join(self.folder, "daemon.conf"), "a") as f:
            f.write("workers many\n")
        with socket.create_connection(("127.0.0.1", self.clear_port), 10) as s:
            self.assertEqual(s.recv(100), b"")

    def client_that_leaves(self):
        self.serve(False)
        s = socket.create_connection(("127.0.0.1", self.clear_port), 10)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        s.close()       # with a reset
        time.sleep(0.5 * harness.SLOW)
        wait_for(lambda: not self.daemons(), 10, "its end")

    def as_wait(self):
        """One daemon takes each listener over."""
        self.serve(True)
        self.both()
        first = self.daemons()
        self.assertEqual(len(first), 2)
        self.both()
        self.assertEqual(sorted(self.daemons()), sorted(first))
        for pid in first:
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: not self.daemons(), 10, "their end")
        self.assertIn("stopped", self.log())
        wait_for(self.again, 15, "new ones")

    def again(self):
        try:
            self.both()
            return True
        except (OSError, EOFError):
            return False


@needs("inetd")
@needs_root
class Inetd(SuperServer):
    """openbsd-inetd."""

    def entry(self, s):
        return "127.0.0.1:%d stream tcp %s root %s\n" % (
            s.port, "wait" if s.wait else "nowait.1000", " ".join(s.words))

    def program(self, path):
        return ["inetd", "-i", path]

    def test_nowait(self):
        self.nowait()

    def test_at_once(self):
        self.at_once()

    def test_faulty(self):
        self.faulty()

    def test_client_that_leaves(self):
        self.client_that_leaves()

    def test_wait(self):
        self.as_wait()

    @needs("tcpd")
    def test_tcpd(self):
        self.nowait(tcpd=True)


@needs("xinetd")
@needs_root
class Xinetd(SuperServer):
    def entry(self, s):
        tcpd = s.words[0].endswith("tcpd")
        return """service relais-%d
{
    type = UNLISTED
    port = %d
    bind = 127.0.0.1
    socket_type = stream
    protocol = tcp
    wait = %s
    user = root
    cps = 1000 1
    flags = %s
    server = %s
    server_args = %s
}
""" % (s.port, s.port, "yes" if s.wait else "no",
            "NAMEINARGS", s.words[0],
            " ".join(s.words[1:]))

    def program(self, path):
        return ["xinetd", "-dontfork", "-f", path, "-pidfile",
                os.path.join(self.folder, "xinetd.pid")]

    def test_nowait(self):
        self.nowait()

    def test_at_once(self):
        self.at_once()

    def test_wait(self):
        self.as_wait()

    @needs("tcpd")
    def test_tcpd(self):
        self.nowait(tcpd=True)


class Standard(Launched):
    """Descriptor 0, without anybody's super-server, and each daemon."""

    def given(self, daemon, *options):
        """Both ends of a connection, one of which was given to it."""
        with socket.create_server(("127.0.0.1", self.clear_port)) as listener:
            ours = socket.create_connection(("127.0.0.1", self.clear_port), 10)
            theirs, _ = listener.accept()
        with theirs:
            process = subprocess.Popen(
                [daemon, "-f", self.conf(*self.listens()), *options],
                stdin=theirs, stdout=theirs, stderr=theirs,
                start_new_session=True, env=harness.ENVIRONMENT)
        self.addCleanup(process.wait)
        self.addCleanup(ours.close)
        ours.settimeout(20 * harness.SLOW)
        return process, ours

    def test_each_daemon_greets(self):
        for daemon, greeting in ((IMAPSD, b"* OK"), (POP3SD, b"+OK"),
                                 (SMTPSD, b"220 ")):
            with self.subTest(daemon):
                process, ours = self.given(daemon, *(
                    ("--hostname", "gw.example.org")
                    if daemon == SMTPSD else ()))
                self.assertTrue(ours.recv(100).startswith(greeting))
                ours.close()
                self.assertEqual(process.wait(20 * harness.SLOW), 0)

    def test_errors_are_not_for_the_client(self):
        for options in (["--nonsense"], ["--workers", "many"],
                        ["--log_facility", "-"],
                        ["--ssl_cert_file", "/nowhere/at/all"]):
            with self.subTest(options):
                process, ours = self.given(IMAPSD, *options)
                self.assertEqual(ours.recv(100), b"")
                ours.close()
                self.assertEqual(process.wait(20), 1)

    def test_inetd_mode_wants_a_socket(self):
        status, text = harness.run_imapsd(
            "-f", self.conf(*self.listens()), "--no_daemon", "--inetd_mode")
        self.assertEqual(status, 1, text)
        self.assertIn("inetd_mode: descriptor 0 is no TCP socket", text)


if __name__ == "__main__":
    main()
