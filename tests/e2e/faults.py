# SPDX-License-Identifier: ISC
"""What the tests of faults share: another machine that can vanish, control
groups with little in them, limits of processes that run."""

import ctypes
import os
import subprocess
import threading
import unittest

import harness
from harness import cleanup_of

CLONE_NEWNET = 0x40000000
NEAR, FAR = "198.51.100.1", "198.51.100.2"


def elsewhere(pid, function, *args, **kw):
    """A function's result in the network of a process; sockets that it opens
    stay there."""
    result = []

    def run():
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/%d/ns/net" % pid) as f:
            if libc.setns(f.fileno(), CLONE_NEWNET) == -1:
                result.append(OSError(ctypes.get_errno(), "setns"))
                return
        try:
            result.append(function(*args, **kw))
        except BaseException as e:      # for whoever waits for it
            result.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


class Machine:
    """Another machine, at FAR, with a cable to ours, at NEAR.  For tests in a
    network namespace of their own (nameserver.main())."""

    def __init__(self, case):
        self.process = harness.start(
            ["unshare", "--net", "sh", "-c",
             "ip link set lo up && echo && exec sleep 600"],
            stdout=subprocess.PIPE)
        cleanup_of(case)(harness.end, self.process)
        cleanup_of(case)(self.process.stdout.close)
        self.process.stdout.readline()
        self._ip("link", "add", "near", "type", "veth", "peer", "name", "far",
                 "netns", str(self.pid))
        # where its network has gone already, so has the cable
        cleanup_of(case)(subprocess.run, ["ip", "link", "del", "near"],
                         stderr=subprocess.DEVNULL)
        self._ip("address", "add", NEAR + "/24", "dev", "near")
        self._ip("link", "set", "near", "up")
        elsewhere(self.pid, self._ip, "address", "add", FAR + "/24", "dev",
                  "far")
        self.plug()

    @property
    def pid(self):
        return self.process.pid

    @staticmethod
    def _ip(*args):
        subprocess.run(["ip", *args], check=True)

    def plug(self):
        elsewhere(self.pid, self._ip, "link", "set", "far", "up")

    def unplug(self):
        """Nothing comes through any more, and nobody is told."""
        elsewhere(self.pid, self._ip, "link", "set", "far", "down")

    def near(self, up):
        """Our own interface."""
        self._ip("link", "set", "near", "up" if up else "down")

    def connect(self, kind, port, tls=False, **kw):
        return elsewhere(self.pid, kind, port, tls, host=NEAR, **kw)


class Cgroup:
    """A control group, of version 1 or 2, with one limit."""

    FILES = {"pids": ("pids.max", "pids.max"),
             "memory": ("memory.limit_in_bytes", "memory.max")}

    def __init__(self, case, controller):
        self.path = None
        old, new = self.FILES[controller]
        for top, name in (("/sys/fs/cgroup/" + controller, old),
                          ("/sys/fs/cgroup", new)):
            path = os.path.join(top, "relais-test-%d" % os.getpid())
            try:
                os.mkdir(path)
            except OSError:
                continue
            if os.path.exists(os.path.join(path, name)):
                self.path, self.file = path, os.path.join(path, name)
                break
            os.rmdir(path)
        if self.path is None:
            raise unittest.SkipTest("there is no control group of " +
                                    controller)
        cleanup_of(case)(self._remove)

    def _remove(self):
        self.limit("max")
        harness.wait_for(self._try_remove, 10, "an empty control group")

    def _try_remove(self):
        try:
            with open(os.path.join(self.path, "cgroup.procs")) as f:
                for pid in f.read().split():
                    with open(os.path.join(os.path.dirname(self.path),
                                           "cgroup.procs"), "w") as top:
                        top.write(pid)
            os.rmdir(self.path)
            return True
        except OSError:
            return False

    def limit(self, value):
        """A number, or "max"."""
        if value == "max" and self.file.endswith("in_bytes"):
            value = -1
        with open(self.file, "w") as f:
            f.write(str(value))

    def take(self, *pids):
        for pid in pids:
            with open(os.path.join(self.path, "cgroup.procs"), "w") as f:
                f.write(str(pid))


def limit_files(pid, soft=None):
    """Its soft limit of open files; None: as high as it may be.  Only who it
    runs as may set that, where root lacks CAP_SYS_RESOURCE."""
    status = harness.proc_status(pid)
    subprocess.run(
        ["prlimit", "--pid", str(pid), "--nofile=%s:" % (
            hard_limit(pid) if soft is None else soft)],
        user=int(status["Uid"].split()[0]),
        group=int(status["Gid"].split()[0]), extra_groups=[], check=True)


def hard_limit(pid):
    for line in harness.proc_read(pid, "limits").splitlines():
        if line.startswith("Max open files"):
            return int(line.split()[4])
    raise ProcessLookupError(pid)


def cpu_seconds(pid):
    """What a process has used."""
    fields = harness.proc_read(pid, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
