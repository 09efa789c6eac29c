# SPDX-License-Identifier: ISC
"""A reload of a daemon that systemd or inetd has started: its sockets are not
its own to open again, and the service manager is told."""

import os
import signal

import client
import harness
import test_launch
from case import main, needs_root
from harness import wait_for


class Reloads:
    """What is beside test_launch's classes."""

    def generation(self):
        return self.log().count("serves, version=")

    def reload(self, pid):
        before = self.generation()
        os.kill(pid, signal.SIGHUP)
        wait_for(lambda: self.generation() > before, 20, "the reload")


@test_launch.needs("systemd-socket-activate")
class Activated(Reloads, test_launch.Launched):
    # not the class itself, whose tests would run here again
    activate = test_launch.Activated.activate
    is_up = test_launch.Activated.is_up

    def test_names_last(self):
        """How a socket is served is still in its name, reload by reload."""
        process = self.activate("--fdname=tls:starttls")
        self.both()
        with client.connect(self.tls_port, True) as held:
            self.assertOK(held.login())
            for _ in range(2):
                self.reload(process.pid)
                self.both()
            self.assertOK(held.cmd("NOOP"))
        self.assertIn(b"imapsd: master", harness.proc_read(
            process.pid, "cmdline").encode())
        self.assertEqual(harness.end(process), 0)

    def test_the_check_knows_the_names(self):
        """It is another process than LISTEN_PID says."""
        process = self.activate("--fdname=tls:starttls")
        self.both()
        self.conf("listen 127.0.0.1:%d ssl" % self.clear_port)
        os.kill(process.pid, signal.SIGHUP)
        wait_for(lambda: "nothing has changed" in self.log(), 20, "the check")
        self.assertIn('named "starttls", and the configuration says ssl',
                      self.log())
        self.both()
        self.conf()
        self.reload(process.pid)
        self.both()


class Notified(Reloads, test_launch.Launched):
    begin = test_launch.Notified.begin
    hear = test_launch.Notified.hear
    words = test_launch.Notified.words

    def test_reloading_and_ready(self):
        process, heard = self.begin(os.path.join(self.folder, "notify"))
        self.assertEqual(self.words(heard)[0], "READY=1")
        self.reload(process.pid)
        reloading, since, status = self.words(heard)
        self.assertEqual((reloading, status), ("RELOADING=1",
                                               "STATUS=reloading"))
        self.assertRegex(since, r"^MONOTONIC_USEC=\d+$")
        self.assertEqual(self.words(heard), ["READY=1", "STATUS=serving"])
        self.both()

    def test_refused(self):
        """Nothing has changed, and nothing is said."""
        process, heard = self.begin(os.path.join(self.folder, "notify"))
        self.assertEqual(self.words(heard)[0], "READY=1")
        self.conf("workers many")
        os.kill(process.pid, signal.SIGHUP)
        wait_for(lambda: "nothing has changed" in self.log(), 20, "the check")
        process.send_signal(signal.SIGTERM)
        self.assertEqual(self.words(heard)[0], "STOPPING=1")

    def test_watchdog_goes_on(self):
        """The next image looks after its roles and those of before."""
        process, heard = self.begin(os.path.join(self.folder, "notify"),
                                    watchdog=2000000)
        self.assertEqual(self.words(heard)[0], "READY=1")
        with client.connect(self.tls_port, True) as held:
            self.assertOK(held.login())
            self.reload(process.pid)
            said = [self.words(heard)[0] for _ in range(6)]
            self.assertIn("RELOADING=1", said)
            self.assertEqual(said[-1], "WATCHDOG=1")
            self.assertOK(held.cmd("NOOP"))     # the old worker has answered
        self.assertNotIn("does not answer", self.log())


@test_launch.needs("inetd")
@needs_root
class Inetd(Reloads, test_launch.SuperServer):
    """Descriptor 0 is /dev/null by the time of the reload."""

    entry = test_launch.Inetd.entry
    program = test_launch.Inetd.program

    def test_wait(self):
        self.serve(True)
        self.both()
        first = self.daemons()
        for pid in first:
            self.reload(pid)
        self.both()
        self.assertEqual(sorted(self.daemons()), sorted(first))

    def test_one_client(self):
        """There is nobody to take over for: the client keeps its session."""
        self.serve(False)
        with client.connect(self.tls_port, True) as c:
            self.assertOK(c.login())
            for pid in self.daemons():
                os.kill(pid, signal.SIGHUP)
            self.assertOK(c.cmd("NOOP"))
        self.assertEqual(self.generation(), 0)
        self.assertNotIn("reload", self.log())


if __name__ == "__main__":
    main()
