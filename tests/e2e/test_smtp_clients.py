# SPDX-License-Identifier: ISC
"""Real clients send through smtpsd to a real Postfix; saslauthd decides."""

import hashlib
import os
import random
import re
import shutil
import signal
import smtplib
import subprocess
import threading
import time
import unittest

import harness
from case import main, needs_root
from certs import NAME, certificates
from client import tls_context
from harness import wait_for
from postfix import Postfix
from saslauthd import Saslauthd, etc_with_users, folder_in
from submission import Submission

USERS = {"alice": "secret"}


def octets_of(size, seed):
    line = hashlib.sha256(seed.encode()).hexdigest().encode() + b"\r\n"
    return line * (size // len(line) + 1)


@needs_root
class Clients(Submission):
    """saslauthd finds the passwords in sasldb."""

    @classmethod
    def setUpClass(cls):
        sasl = harness.folder(cls)
        with open(os.path.join(sasl, "smtpd.conf"), "w") as f:
            f.write("pwcheck_method: saslauthd\nmech_list: plain login\n")
        cls.postfix = Postfix(cls)
        cls.relais = harness.Gateway(
            cls, cls.postfix.port, "hostname gw.example.org",
            "sasl_config_path " + sasl, "sasl_local_domain example.org",
            "message_size_limit 30000000", daemon=harness.SMTPSD)
        cls.mux = folder_in(cls.relais.spool)
        cls.saslauthd = Saslauthd(
            cls, cls.mux, etc=etc_with_users(cls, USERS, "example.org"))

    def setUp(self):
        self.mark = self.relais.mark()

    def tearDown(self):
        pass

    def arrived(self, subject):
        """The one message with this subject."""
        def find():
            return [m for m in self.postfix.messages()
                    if b"\r\nSubject: %s\r\n" % subject.encode() in m]

        found = wait_for(find, 10, what="the message " + subject)
        self.assertEqual(len(found), 1)
        return found[0]

    def run_client(self, *argv, **kw):
        done = subprocess.run(argv, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=60, **kw)
        return done.returncode, done.stdout.decode(errors="replace")

    def test_reply_to_ehlo(self):
        """What Postfix can do, as far as it works through a relay."""
        self.assertEqual(set(self.tls().ehlo()), {
            "PIPELINING", "SIZE 30000000", "ENHANCEDSTATUSCODES", "8BITMIME",
            "DSN", "SMTPUTF8", "CHUNKING", "LIMITS RCPTMAX=1000",
            "AUTH PLAIN LOGIN"})

    def test_curl(self):
        for url, more in (("smtps://%s:%d" % (NAME, self.relais.ssl), ()),
                          ("smtp://%s:%d" % (NAME, self.relais.starttls),
                           ("--ssl-reqd",))):
            port = url.rpartition(":")[2]
            status, text = self.run_client(
                "curl", "-sS", "--url", url, *more, "--user", "alice:secret",
                "--resolve", "%s:%s:127.0.0.1" % (NAME, port),
                "--cacert", certificates().ca.cert,
                "--mail-from", "a@example.org", "--mail-rcpt",
                "b@example.net", "-T", "-",
                input=b"Subject: curl %s\r\n\r\nhello\r\n" % port.encode())
            self.assertEqual((status, text), (0, ""))
            m = self.arrived("curl " + port)
            self.assertIn(b"with ESMTPSA id", m)

    @unittest.skipUnless(shutil.which("swaks"), "needs swaks")
    def test_swaks(self):
        for port, how in ((self.relais.ssl, "-tlsc"),
                          (self.relais.starttls, "-tls")):
            status, text = self.run_client(
                "swaks", "--server", "127.0.0.1:%d" % port, how, "--auth",
                "LOGIN", "--auth-user", "alice", "--auth-password", "secret",
                "--from", "a@example.org", "--to", "b@example.net",
                "--header", "Subject: swaks %d" % port)
            self.assertEqual(status, 0, text)
            self.arrived("swaks %d" % port)

    @unittest.skipUnless(shutil.which("msmtp"), "needs msmtp")
    def test_msmtp(self):
        for port, starttls in ((self.relais.ssl, "off"),
                               (self.relais.starttls, "on")):
            status, text = self.run_client(
                "msmtp", "--file=/dev/null", "--host=127.0.0.1",
                "--port=%d" % port, "--tls=on", "--tls-starttls=" + starttls,
                "--tls-certcheck=off", "--auth=plain", "--user=alice",
                "--passwordeval=echo secret", "--from=a@example.org",
                "b@example.net", input=b"Subject: msmtp %d\n\nhello\n" % port)
            self.assertEqual(status, 0, text)
            self.arrived("msmtp %d" % port)

    def test_python(self):
        context = tls_context()
        context.check_hostname = False
        with smtplib.SMTP("127.0.0.1", self.relais.starttls, timeout=20) as c:
            c.starttls(context=context)
            c.login("alice", "secret")
            c.sendmail("a@example.org", ["b@example.net"],
                       "Subject: python\n\nhello\n")
        self.arrived("python")
        name = self.relais.wait_log(
            r"(\w+): to=<b@example\.net>, relay=127\.0\.0\.1\[127\.0\.0\.1\]:"
            r"%d, .*status=sent \(250 2\.0\.0 Ok: queued as (\w+)\)" %
            self.postfix.port, self.mark)
        self.assertIn(name.group(2), self.postfix.log())

    def test_wrong_password(self):
        c = self.tls()
        self.assertReply(c.login("alice", "wrong"), 535, "5.7.8")
        self.assertReply(c.login("alice@example.org"), 235)

    def test_failures_without_end(self):
        """Logins that nobody could decide count as commands, too."""
        self.saslauthd.stop()
        try:
            c = self.tls()
            replies = [c.login()[0]]
            while replies[-1] == 454 and len(replies) < 200:
                replies.append(c.login()[0])
        finally:
            self.saslauthd.start()
        self.assertEqual(replies[-1], 421)
        self.assertIn(len(replies), range(90, 103))

    def test_saslauthd_away(self):
        """And back again, without a restart."""
        self.saslauthd.stop()
        c = self.tls()
        self.assertReply(c.login(), 454, "4.7.0")
        self.saslauthd.start()
        self.assertReply(c.login(), 235)

    def test_chunks(self):
        c = self.user()
        c.send(b"MAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\n"
               b"BDAT 18\r\nSubject: chunks\r\n\r"
               b"BDAT 8 LAST\r\n\nhello\r\n")
        self.assertEqual([c.reply()[0] for _ in range(4)], [250] * 4)
        self.assertTrue(self.arrived("chunks").endswith(b"\r\n\r\nhello\r\n"))

    def test_postfix_refuses(self):
        c = self.user()
        self.assertReply(c.cmd("MAIL FROM:<a@example.org>"), 250)
        self.assertReply(c.cmd("RCPT TO:<x@[256.1.1.1]>"), 501)
        self.assertReply(c.cmd("DATA"), 554, "5.5.1")

    def test_killed_at_random(self):
        """Each message answered with 250 arrives once and intact; one that
        was not, at most once, too."""
        sizes = [1000, 50000, 400000]
        answered, refused, cut = set(), set(), set()
        work = list(range(60))

        def send():
            while True:
                try:
                    n = work.pop()
                except IndexError:
                    return
                body = octets_of(sizes[n % len(sizes)], str(n))
                sent = False
                try:
                    with self.kind(self.relais.ssl, True) as c:
                        c.greet()
                        c.login()
                        c.begin()
                        sent = True
                        code, _ = c.message(
                            b"Subject: storm %d\r\n\r\n" % n + body)
                    (answered if code == 250 else refused).add(n)
                except (OSError, EOFError, AssertionError):
                    (cut if sent else refused).add(n)

        threads = [threading.Thread(target=send) for _ in range(6)]
        for t in threads:
            t.start()
        for _ in range(8):
            time.sleep(0.3)
            pids = self.relais.pids("worker")
            if pids:
                os.kill(random.choice(pids), signal.SIGKILL)
        for t in threads:
            t.join()
        time.sleep(1)
        found = {}
        for m in self.postfix.messages():
            subject = re.search(rb"\r\nSubject: storm (\d+)\r\n", m)
            if subject:
                n = int(subject.group(1))
                found[n] = found.get(n, 0) + 1
                if n in answered:
                    self.assertTrue(m.endswith(
                        octets_of(sizes[n % len(sizes)], str(n))))
        self.assertTrue(answered)
        self.assertEqual({n: 1 for n in answered},
                         {n: found.get(n, 0) for n in answered})
        self.assertEqual([n for n in refused if n in found], [])
        self.assertEqual([n for n in cut if found.get(n, 0) > 1], [])


if __name__ == "__main__":
    main()
