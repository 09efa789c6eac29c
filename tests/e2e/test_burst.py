# SPDX-License-Identifier: ISC
"""Clients that all log in at the same moment, as after a network's failure."""

import os
import signal
import socket
import threading

import harness
from case import TestCase, main
from client import Client
from harness import wait_for

# more than the broker's channel to a worker holds of answers with descriptors
CLIENTS = 3000


class Burst(TestCase):
    def setUp(self):
        """An inner server that takes all connections and says nothing."""
        self.inner = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.taken = []
        thread = threading.Thread(target=self.take, daemon=True)
        thread.start()
        self.addCleanup(lambda: [s.close() for s in self.taken])
        self.addCleanup(thread.join)
        self.addCleanup(self.inner.close)
        self.addCleanup(lambda: self.inner.shutdown(socket.SHUT_RDWR))

    def take(self):
        while True:
            try:
                self.taken.append(self.inner.accept()[0])
            except OSError:
                return

    def test_all_at_once(self):
        """The worker asks for all of them before it reads an answer."""
        if not harness.ROOT:
            self.skipTest("needs root")     # to stop a worker
        relais = harness.Gateway(
            self, self.inner.getsockname()[1], "worker_connections 4000",
            "connection_limit_address 0", workers=1)
        worker = relais.pids("worker")
        clients = [self.enterContext(Client(relais.plain))
                   for _ in range(CLIENTS)]
        for c in clients:
            c.greet()
        os.kill(worker[0], signal.SIGSTOP)
        for n, c in enumerate(clients):
            c.send("a LOGIN user%d secret\r\n" % n)
        os.kill(worker[0], signal.SIGCONT)
        wait_for(lambda: len(self.taken) >= CLIENTS, 20, "all of them")
        self.assertEqual(relais.pids("worker"), worker)


if __name__ == "__main__":
    main()
