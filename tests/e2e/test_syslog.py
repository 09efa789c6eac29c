# SPDX-License-Identifier: ISC
"""The log and a real syslog daemon: the samples in conf/syslog do what they
say, and no line is lost while that daemon is away."""

import os
import re
import shutil
import signal
import subprocess
import unittest

import harness
from case import TestCase, main, needs_root
from client import Client, Pop3Client
from harness import folder, wait_for
from inner import Pop3Script, Script, StandIn
from submission import SmtpClient, sasl_lines

SAMPLES = os.path.join(harness.TOP, "conf", "syslog")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", "")


def program(name):
    path = shutil.which(name, path=PATH)
    if path is None:
        raise unittest.SkipTest("%s is not installed" % name)
    return path


def sample(name, *changes):
    """A sample's text with its paths, all of them, changed to the test's."""
    with open(os.path.join(SAMPLES, name), encoding="utf-8") as f:
        text = f.read()
    for old, new in changes:
        if old not in text:
            raise AssertionError("%s is not in %s" % (old, name))
        text = text.replace(old, new)
    return text


def write(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    os.chmod(path, mode)
    return path


def read(path):
    """A file's text; none where there is none yet."""
    try:
        with open(path, encoding="utf-8") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def run(*argv):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout.decode(errors="replace")


class Syslogd:
    """A syslog daemon with the sample, on a socket in a folder that stands
    in for /dev.  It writes to log, and to rest what the sample leaves."""

    def __init__(self, case):
        self.folder = folder(case)
        self.dev = os.path.join(self.folder, "dev")
        os.mkdir(self.dev)
        self.socket = os.path.join(self.dev, "log")
        self.log = os.path.join(self.folder, "relais.log")
        self.rest = os.path.join(self.folder, "rest")
        self.argv = self.configure()
        self.process = None
        self.start()
        harness.cleanup_of(case)(self.stop)

    def start(self):
        self.process = harness.start(self.argv, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.socket), 20, "the log's socket")

    def stop(self):
        if self.process:
            harness.end(self.process)
            self.process = None
        if os.path.exists(self.socket):
            os.unlink(self.socket)


class Rsyslog(Syslogd):
    def configure(self):
        write(self.folder + "/relais.conf",
              sample("rsyslog.d/relais.conf", ("/var/log", self.folder)))
        conf = write(self.folder + "/rsyslog.conf", """\
global(workDirectory="{0}")
module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="{1}" CreatePath="off")
include(file="{0}/relais.conf")
*.* action(type="omfile" file="{2}")
""".format(self.folder, self.socket, self.rest))
        return [program("rsyslogd"), "-n", "-f", conf, "-i",
                self.folder + "/pid"]


class SyslogNg(Syslogd):
    def configure(self):
        write(self.folder + "/relais.conf",
              sample("syslog-ng.conf.d/relais.conf",
                     ("/var/log", self.folder)))
        conf = write(self.folder + "/syslog-ng.conf", """\
@version: 3.27
source s_src {{ unix-dgram("{1}"); }};
@include "{0}/relais.conf"
log {{ source(s_src); destination {{ file("{2}"); }}; }};
""".format(self.folder, self.socket, self.rest))
        return [program("syslog-ng"), "-F", "--no-caps", "-f", conf, "-R",
                self.folder + "/persist", "-p", self.folder + "/pid", "-c",
                self.folder + "/control"]


# A daemon that finds this folder at /dev.  Devices stay what they are.
ELSEWHERE = """\
for name in null zero full random urandom tty; do
	: >"$0/$name" && mount --bind "/dev/$name" "$0/$name" || exit
done
mount --rbind "$0" /dev && exec "$@"
"""


class Gateway(harness.Gateway):
    """One that logs to a Syslogd."""

    def __init__(self, case, syslogd, inner, *lines, **kw):
        self.syslogd = syslogd
        super().__init__(case, inner, *lines, **kw)

    def start(self):
        self.log_file = self.syslogd.log
        super().start()

    def argv(self, *more):
        argv = super().argv(*more)
        argv[argv.index("--log_facility") + 1] = "local5"
        return ["unshare", "--mount", "sh", "-c", ELSEWHERE,
                self.syslogd.dev, *argv]


@needs_root
class Daemons(TestCase):
    """All three, with each syslog daemon that is there."""

    def gateway(self, syslogd, daemon, **kw):
        lines = (*sasl_lines(self), *kw.pop("lines", ())) \
            if daemon == harness.SMTPSD else kw.pop("lines", ())
        inner = StandIn(self, Pop3Script() if daemon == harness.POP3SD
                        else Script(users={"alice": "secret"}))
        return Gateway(self, syslogd, inner.port, *lines, daemon=daemon,
                       workers=1, **kw)

    def check_sample(self, kind):
        syslogd = kind(self)
        for daemon, client, login, line in (
                (harness.IMAPSD, Client, lambda c: c.login(),
                 r'Auth: 127\.0\.0\.1:\d+->\S+ .*status="ok"$'),
                (harness.POP3SD, Pop3Client, lambda c: c.login(),
                 r'Auth: 127\.0\.0\.1:\d+->\S+ .*status="ok"$'),
                (harness.SMTPSD, SmtpClient,
                 lambda c: (c.ehlo(), c.login("alice", "wr0ng")),
                 r"warning: \S+\[127\.0\.0\.1\]: SASL PLAIN auth.* failed")):
            name = os.path.basename(daemon)
            with self.subTest(name):
                relais = self.gateway(syslogd, daemon)
                with client(relais.ssl, True) as c:
                    c.greet()
                    login(c)
                relais.wait_log(r"^\S.* %s\[\d+\]: %s" % (name, line))
                relais.stop()
        self.assertEqual(os.stat(syslogd.log).st_mode & 0o777, 0o640)
        # nobody else's, and not twice
        self.assertRegex(read(syslogd.log), r"\A(.* (imapsd|pop3sd|smtpsd)"
                         r"\[\d+\]: .*\n)+\Z")
        subprocess.run(["logger", "--socket", syslogd.socket, "-p",
                        "local5.info", "-t", "other", "not ours"], check=True)
        wait_for(lambda: "not ours" in read(syslogd.rest), 10, "the rest")
        self.assertNotRegex(read(syslogd.rest),
                            r"(imapsd|pop3sd|smtpsd)\[\d+\]: ")

    def test_rsyslog(self):
        self.check_sample(Rsyslog)

    def test_syslog_ng(self):
        self.check_sample(SyslogNg)

    def test_restarted(self):
        """No line is missing, none comes twice, and they keep their order,
        however often the syslog daemon is started anew."""
        syslogd = Rsyslog(self)
        relais = self.gateway(syslogd, harness.IMAPSD)
        ports = []

        def connect(n):
            for _ in range(n):
                with Client(relais.plain) as c:
                    c.greet()
                    ports.append(c.sock.getsockname()[1])

        connect(3)
        relais.wait_log(r"Connect:  127\.0\.0\.1:%d->" % ports[-1])
        for _ in range(2):
            syslogd.stop()
            connect(20)
            syslogd.start()
            connect(3)
            relais.wait_log(r"Connect:  127\.0\.0\.1:%d->" % ports[-1],
                            timeout=10)
        found = [int(m.group(1)) for m in map(re.compile(
            r"Connect:  127\.0\.0\.1:(\d+)->\S+:%d$" % relais.plain).search,
            relais.log()) if m]
        self.assertEqual([p for p in found if p in ports], ports)

    def test_away_at_a_reload(self):
        """What waits for it is said by the next image of the master."""
        syslogd = Rsyslog(self)
        relais = self.gateway(syslogd, harness.IMAPSD)
        ports = []

        def connect(n):
            for _ in range(n):
                with Client(relais.plain) as c:
                    c.greet()
                    ports.append(c.sock.getsockname()[1])

        connect(3)
        relais.wait_log(r"Connect:  127\.0\.0\.1:%d->" % ports[-1])
        syslogd.stop()
        for _ in range(2):
            connect(10)
            old = relais.pids("worker")
            os.kill(relais.pid, signal.SIGHUP)
            wait_for(lambda: relais.pids("worker") and not relais.pids("old")
                     and relais.pids("worker") != old, 15, "the next image")
        connect(3)
        syslogd.start()
        relais.wait_log(r"Connect:  127\.0\.0\.1:%d->" % ports[-1],
                        timeout=10)
        found = [int(m.group(1)) for m in map(re.compile(
            r"Connect:  127\.0\.0\.1:(\d+)->\S+:%d$" % relais.plain).search,
            relais.log()) if m]
        self.assertEqual([p for p in found if p in ports], ports)
        self.assertEqual([m for m in re.findall(
            r"reloaded: generation (\d) serves|reload: (checking)",
            "\n".join(relais.log()))],
            [("", "checking"), ("2", ""), ("", "checking"), ("3", "")])

    def test_away_for_too_long(self):
        """What nobody took is counted, and the number said."""
        syslogd = Rsyslog(self)
        relais = self.gateway(syslogd, harness.IMAPSD, lines=("debug",))
        with Client(relais.plain) as c:
            c.greet()
        relais.wait_log("Connect:  ")
        syslogd.stop()
        for _ in range(600):    # two lines each, or more; 1024 are kept
            with Client(relais.plain) as c:
                c.greet()
        syslogd.start()
        m = relais.wait_log(r"imapsd\[\d+\]: (\d+) log lines were lost",
                            timeout=15)
        self.assertGreater(int(m.group(1)), 100)


class Samples(TestCase):
    def check(self, *argv):
        status, text = run(*argv)
        self.assertEqual(status, 0, text)
        return text

    def test_rsyslog_syntax(self):
        path = os.path.join(folder(self), "rsyslog.conf")
        write(path, 'module(load="imuxsock")\n' +
              sample("rsyslog.d/relais.conf"))
        text = self.check(program("rsyslogd"), "-N1", "-f", path)
        self.assertNotRegex(text, r"(?i)error|warning:")

    def test_syslog_ng_syntax(self):
        path = os.path.join(folder(self), "syslog-ng.conf")
        write(path, '@version: 3.27\nsource s_src { internal(); };\n' +
              sample("syslog-ng.conf.d/relais.conf"))
        text = self.check(program("syslog-ng"), "--syntax-only", "-f", path)
        self.assertNotRegex(text, r"(?i)error|unresolved|not found")

    def test_logrotate_syntax(self):
        f = folder(self)
        path = write(f + "/relais", sample("logrotate.d/relais"))
        text = self.check(program("logrotate"), "-d", "-s", f + "/state",
                          path)
        self.assertIn("/var/log/relais.log", text)
        self.assertNotRegex(text, r"(?i)error:|unknown")

    @needs_root
    def test_logrotate(self):
        """A daemon that writes itself goes on in the new file."""
        logrotate, f = program("logrotate"), folder(self)
        inner = StandIn(self, Script())
        relais = harness.Gateway(self, inner.port,
                                 "pid_file %s/imapsd.pid" % f, workers=1)
        text = sample("logrotate.d/relais",
                      ("/var/log/relais.log", f + "/none.log"),
                      ("/var/log/relais/*.log", relais.log_file),
                      ("/run/systemd/system", f + "/no-systemd"),
                      ("/run/", f + "/"), ("/usr/lib/rsyslog", f))
        path = write(f + "/relais", text)
        with Client(relais.plain) as c:
            c.greet()
        relais.wait_log("Connect:  ")
        self.check(logrotate, "-f", "-s", f + "/state", path)
        wait_for(lambda: os.path.exists(relais.log_file), 5, "a new log")
        with Client(relais.plain) as c:
            c.greet()
            port = c.sock.getsockname()[1]
        relais.wait_log(r"Connect:  127\.0\.0\.1:%d->" % port)
        self.assertNotIn(":%d->" % port, read(relais.log_file + ".1"))


if __name__ == "__main__":
    main()
