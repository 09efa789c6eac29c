# SPDX-License-Identifier: ISC
"""The benchmark, in small: figures come out, every octet is compared, and one
that is wrong is noticed."""

import json
import os
import socket
import subprocess
import sys
import threading
import unittest

import harness
from case import TestCase, main
from harness import accepts, end, folder, free_port, start, wait_for

PROGRAMS = os.path.join(harness.BUILD, "bench")
BENCH = os.path.join(harness.TOP, "tests/bench/bench.py")


def setUpModule():
    if not os.path.exists(os.path.join(PROGRAMS, "mailload")):
        raise unittest.SkipTest("run 'make bench-programs' first")


class Falsifier:
    """Passes octets on both ways, and changes one in those that go from the
    server to the client, or from the client to the server."""

    def __init__(self, case, target, upward):
        self.target, self.upward = target, upward
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        case.addCleanup(self.listener.close)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", self.target))
        for source, sink, change in ((client, server, self.upward),
                                     (server, client, not self.upward)):
            threading.Thread(target=self._copy, args=(source, sink, change),
                             daemon=True).start()

    @staticmethod
    def _copy(source, sink, change):
        with source, sink:
            while True:
                try:
                    data = source.recv(65536)
                    if not data:
                        return
                    sink.sendall(data.replace(b"2", b"-", 1)
                                 if change and len(data) > 1024 else data)
                except OSError:
                    return


class PatternTest(TestCase):
    """Load and sink, without TLS and with nothing or a falsifier between."""

    def setUp(self):
        self.ports = {letter: free_port() for letter in "ipsx"}
        argv = [os.path.join(PROGRAMS, "mailsink")]
        for letter, port in self.ports.items():
            argv += ["-" + letter, str(port)]
        self.addCleanup(end, start(argv))
        wait_for(lambda: accepts(self.ports["x"]))

    def load(self, mode, proto, port=None):
        done = subprocess.run(
            [os.path.join(PROGRAMS, "mailload"), "-m", mode, "-p", proto,
             "-P", "-n", "1", "-k", "1", "-s", "4", "-o", "5", "-a",
             "127.0.0.1:%d" % (port or self.ports[proto[0]])],
            env=harness.ENVIRONMENT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, timeout=20)
        return done.returncode, json.loads(done.stdout)

    def stats(self):
        with socket.create_connection(("127.0.0.1", self.ports["x"])) as s:
            return json.loads(s.makefile().read())

    WAYS = (("fetch", "imap"), ("fetch", "pop3"), ("send", "imap"),
            ("send", "smtp"))

    def test_right(self):
        for mode, proto in self.WAYS:
            with self.subTest(mode=mode, proto=proto):
                status, out = self.load(mode, proto)
                self.assertEqual(
                    (status, out["ok"], out["messages"], out["bytes"],
                     out["bad"]), (0, 1, 1, 4096, 0), out)
        stats = self.stats()
        self.assertEqual((stats["messages"], stats["bytes"], stats["bad"]),
                         (2, 8192, 0))

    def test_falsified(self):
        for mode, proto in self.WAYS:
            with self.subTest(mode=mode, proto=proto):
                between = Falsifier(self, self.ports[proto[0]],
                                    mode == "send")
                before = self.stats()["bad"]
                status, out = self.load(mode, proto, between.port)
                if mode == "send":
                    self.assertEqual(self.stats()["bad"], before + 1)
                else:
                    self.assertEqual((status, out["bad"]), (1, 1), out)


class BenchTest(TestCase):
    """The bench itself: Relais alone, one message of each kind."""

    def bench(self, case):
        out = os.path.join(folder(self), "figures")
        done = subprocess.run(
            [sys.executable, BENCH], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
            env=dict(os.environ, ROUNDS="1", SUBJECTS="relais", CASES=case,
                     OUT=out, GROWTH=""))
        said = done.stdout.decode()
        self.assertEqual(done.returncode, 0, said)
        with open(out) as f:
            return json.loads(f.readline()), said

    def test_smtp(self):
        one, said = self.bench("smtp-send-4k")
        self.assertGreater(one["value"], 0)
        self.assertRegex(said, r"(?m)^\| SMTP, 4 KiB messages, us \| \d+ \|$")
        self.assertGreater(one["messages"], 0)
        sink = one["sink"]
        self.assertEqual((sink["messages"], sink["bytes"], sink["bad"]),
                         (one["messages"], one["bytes"], 0))
        self.assertRegex(one["tls"], r"^TLSv1\.3 TLS_AES_256_GCM_SHA384 "
                                     r"X25519 ECDSA-256$")
        if harness.ROOT:        # else the log is the machine's own
            self.assertGreater(sink["log"], 0)


if __name__ == "__main__":
    main()
