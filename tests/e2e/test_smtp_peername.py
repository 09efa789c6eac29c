# SPDX-License-Identifier: ISC
"""What a client's host is called: the name that its address has, if that name
has this address, too; in the log, in the Received field, and in time."""

import os
import re
import threading
import time

import harness
from case import timed
from harness import SLOW, wait_for
from inner import StandIn
from nameserver import Namespace, main
from submission import SmtpClient, SmtpScript, sasl_lines

HOST, FAKE, BAD, FILE, NONE, SILENT, MANY = (
    "127.0.0.%d" % i for i in range(21, 28))
RECORDS = {
    "21.0.0.127.in-addr.arpa": ["host.client.test"],
    "host.client.test": [HOST],
    "22.0.0.127.in-addr.arpa": ["bank.test"],   # is not this one's
    "bank.test": ["127.0.0.1"],
    "23.0.0.127.in-addr.arpa": ["a]: b[127"],
}


class Peername(Namespace):
    kind = SmtpClient
    hosts = "127.0.0.1 localhost\n%s file.client.test\n" % FILE
    lines = ()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inner = StandIn(cls, SmtpScript())
        cls.inner.messages = []
        cls.relais = harness.Gateway(
            cls, cls.inner.port, *sasl_lines(cls), "peername_lookup yes",
            *cls.lines, daemon=harness.SMTPSD)

    def setUp(self):
        super().setUp()
        self.dns.records.update(RECORDS)

    def comes(self, source):
        """The seconds until the greeting, and the client."""
        c, seconds = timed(lambda: self.connect(self.relais.ssl, True,
                                                source=source))
        return seconds, c

    def send(self, c):
        c.ehlo()
        self.assertEqual(c.login()[0], 235)
        c.begin()
        self.assertEqual(c.message(b"x\r\n")[0], 250)
        return self.inner.messages.pop().octets.decode()


class Names(Peername):
    def test_names(self):
        for source, name in ((HOST, "host.client.test"), (FAKE, "unknown"),
                             (BAD, "unknown"), (FILE, "file.client.test"),
                             (NONE, "unknown"), ("127.0.0.1", "localhost")):
            with self.subTest(source=source):
                mark = self.relais.mark()
                _, c = self.comes(source)
                peer = re.escape("%s[%s]" % (name, source))
                self.relais.wait_log(r": connect from %s$" % peer, mark)
                self.assertIn("(%s [%s])\r\n" % (name, source), self.send(c))
                c.cmd("QUIT")
                c.close()
                for line in (r": client=%s, sasl_method=PLAIN",
                             r"disconnect from %s ehlo=1"):
                    self.relais.wait_log(line % peer, mark)

    def test_is_remembered(self):
        """Many at the same time ask once, and later ones not at all."""
        self.dns.ttl = 300
        self.dns.records.update({
            "27.0.0.127.in-addr.arpa": ["many.client.test"],
            "many.client.test": [MANY]})
        threads = [threading.Thread(target=self.comes, args=(MANY,))
                   for _ in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        mark = self.relais.mark()
        self.comes(MANY)
        self.relais.wait_log(r"connect from many\.client\.test\[", mark)
        self.assertEqual(self.dns.questions, 2)


class Silent(Peername):
    def test_silence(self):
        """It costs the first client a second, and nobody the login."""
        self.dns.deaf = True
        mark = self.relais.mark()
        seconds, c = self.comes(SILENT)
        self.assertGreater(seconds, 0.9)
        self.assertLess(seconds, 1.4 * SLOW)
        self.relais.wait_log(r"connect from unknown\[%s\]" % SILENT, mark)
        self.assertIn("(unknown [%s])" % SILENT, self.send(c))
        seconds, _ = self.comes(SILENT)
        self.assertLess(seconds, 0.5 * SLOW)


class Limits(Peername):
    lines = ("connection_limit_address 2",)

    def test_who_waits_counts(self):
        """... and does not when it has left."""
        self.dns.deaf = True
        mark = self.relais.mark()
        waiting = [self.raw(self.relais.starttls, source=HOST)
                   for _ in range(2)]
        third = self.raw(self.relais.starttls, source=HOST)
        self.assertEqual(third.reply()[0], 421)
        for c in waiting:
            c.close()
        wait_for(lambda: sum("disconnect from unknown[%s]" % HOST in line
                             for line in self.relais.log(mark)) == 3,
                 what="their ends")
        for _ in range(2):
            self.comes(HOST)

    def test_broker_dies(self):
        """Whose name was being looked up is admitted by the next one."""
        self.dns.deaf = True
        c = self.raw(self.relais.starttls, source=SILENT)
        broker, = self.relais.pids("broker")
        os.kill(broker, 9)
        self.assertEqual(c.greet()[0], 220)


    def test_worker_dies(self):
        """With the client goes the wait for its name."""
        self.dns.deaf = True
        broker = self.relais.pids("broker")
        c = self.raw(self.relais.starttls, source=NONE)
        time.sleep(0.2)
        for pid in self.relais.pids("worker"):
            os.kill(pid, 9)
        with self.assertRaises((ConnectionError, EOFError)):
            c.greet()
        time.sleep(1)
        for _ in range(2):      # which is the limit
            self.comes(NONE)
        self.assertEqual(self.relais.pids("broker"), broker)


class Off(Peername):
    lines = ("peername_lookup no",)

    def test_nobody_is_asked(self):
        mark = self.relais.mark()
        self.comes(HOST)
        self.relais.wait_log(r"connect from unknown\[%s\]" % HOST, mark)
        self.assertEqual(self.dns.questions, 0)


if __name__ == "__main__":
    main()
