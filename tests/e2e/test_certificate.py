# SPDX-License-Identifier: ISC
"""conf/make-certificate, which makes a pair to begin with, and
conf/deploy-certificate, the hook that puts a real one in its place."""

import glob
import os
import shutil
import socket
import ssl
import subprocess
import unittest

import harness
from case import TestCase, main
from certs import NAME, Pair, certificates, openssl
from harness import Gateway, folder, free_port, need_users, wait_for
from inner import StandIn
from renewal import all_of, der

MAKE = os.path.join(harness.TOP, "conf", "make-certificate")
DEPLOY = os.path.join(harness.TOP, "conf", "deploy-certificate")
BUILD = os.path.dirname(harness.IMAPSD)

MARK = "# made by make-certificate of Relais\n"     # a purge knows it by that


def script(*argv, **env):
    """Status and all that it printed, with the daemons of this build."""
    whole = {k: v for k, v in harness.ENVIRONMENT.items()
             if k not in ("RENEWED_LINEAGE", "CERT_FULLCHAIN_PATH",
                          "CERT_KEY_PATH")}
    whole["PATH"] = BUILD + ":" + whole["PATH"]
    whole.update(env)
    done = subprocess.run(argv, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=whole)
    return done.returncode, done.stdout.decode("utf-8", "replace")


def text(path):
    with open(path) as f:
        return f.read()


def key_of(pair):
    """The public keys of certificate and key."""
    return (openssl("x509", "-in", pair.cert, "-noout", "-pubkey"),
            openssl("pkey", "-in", pair.key, "-pubout"))


def mode(path):
    return "%o" % (os.stat(path).st_mode & 0o7777)


class MakeCertificate(TestCase):
    def setUp(self):
        self.folder = folder(self)
        self.pair = Pair(self.folder + "/server.crt",
                         self.folder + "/server.key")

    def make(self, *args):
        return script(MAKE, "--folder", self.folder, *args)

    def good(self, *args):
        status, said = self.make(*args)
        self.assertEqual(status, 0, said)
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["server.crt", "server.key"])
        cert, key = key_of(self.pair)
        self.assertEqual(cert, key)
        return said

    def test_by_each_tool(self):
        for tool in "openssl", "certtool":
            with self.subTest(tool):
                if shutil.which(tool) is None:
                    self.skipTest(tool + " is not there")
                self.good("--force", "--tool", tool, "--days", "10", NAME,
                          "*.example.test", "192.0.2.7", "2001:db8::1")
                told = openssl("x509", "-in", self.pair.cert, "-noout",
                               "-text").decode()
                for part in ("prime256v1", "DNS:" + NAME,
                             "DNS:*.example.test", "IP Address:192.0.2.7",
                             "IP Address:2001:DB8:0:0:0:0:0:1",
                             "Subject: CN = " + NAME,
                             "TLS Web Server Authentication",
                             "ecdsa-with-SHA256", "CA:FALSE"):
                    self.assertIn(part, told)
                self.assertEqual(mode(self.pair.key), "600")
                self.assertEqual(mode(self.pair.cert), "644")
                for path in self.pair:
                    self.assertTrue(text(path).startswith(MARK))
                # nine days from now it is good, eleven days it is not
                openssl("x509", "-in", self.pair.cert, "-noout", "-checkend",
                        str(9 * 86400))
                with self.assertRaises(AssertionError):
                    openssl("x509", "-in", self.pair.cert, "-noout",
                            "-checkend", str(11 * 86400))

    def test_names_of_the_host(self):
        self.good("mail.example.org")
        told = openssl("x509", "-in", self.pair.cert, "-noout", "-ext",
                       "subjectAltName").decode()
        self.assertIn("DNS:mail.example.org", told)
        if not socket.gethostname().startswith("localhost"):
            self.assertIn("DNS:" + socket.gethostname(), told)

    def test_served(self):
        """A client that knows it trusts it, by each of its names."""
        self.good(NAME, "127.0.0.1")
        gateway = Gateway(self, free_port(), pair=self.pair)
        context = ssl.create_default_context(cafile=self.pair.cert)
        for name in NAME, "127.0.0.1":
            with self.subTest(name), socket.create_connection(
                    ("127.0.0.1", gateway.ssl), 10) as sock:
                with context.wrap_socket(sock, server_hostname=name) as tls:
                    self.assertIn(b"OK", tls.recv(500))

    def test_never_without_being_told(self):
        self.good(NAME)
        before = [text(path) for path in self.pair]
        status, said = self.make(NAME)
        self.assertEqual(status, 1)
        self.assertIn(self.pair.key + " is there already", said)
        os.unlink(self.pair.key)        # half of it is enough
        status, said = self.make(NAME)
        self.assertEqual(status, 1)
        self.assertIn(self.pair.cert + " is there already", said)
        self.assertEqual(text(self.pair.cert), before[0])
        self.assertEqual(os.listdir(self.folder), ["server.crt"])
        self.good("--force", NAME)
        self.assertNotEqual(text(self.pair.cert), before[0])

    def test_refused(self):
        for args in (["a b"], ["a;b"], [".example"], ["--tool", "cat", NAME],
                     ["--days", "0", NAME], ["--days", "x", NAME],
                     ["--days"], ["--name", "../x", NAME], ["--unheard-of"]):
            with self.subTest(args):
                status, said = self.make(*args)
                self.assertEqual(status, 1)
                self.assertTrue(said.startswith("make-certificate: "), said)
                self.assertEqual(os.listdir(self.folder), [])

    def test_says_what_to_do(self):
        said = self.good(NAME)
        for word in "certbot", "acme.sh", DEPLOY, "-d " + NAME:
            self.assertIn(word, said)
        status, said = self.make("--help")
        self.assertEqual(status, 0)
        self.assertIn("--force", said)


class DeployCertificate(TestCase):
    def setUp(self):
        need_users()
        self.folder = folder(self)
        self.pair = Pair(self.folder + "/server.crt",
                         self.folder + "/server.key")

    def deploy(self, *args, **env):
        return script(DEPLOY, "--folder", self.folder, "--run", self.folder,
                      *args, **env)

    def check_placed(self, pair):
        for here, there in zip(self.pair, pair):
            self.assertEqual(text(here), text(there))
        # what was there before is gone
        self.assertEqual(len(glob.glob(self.folder + "/.server-pair.*")), 1)
        self.assertEqual(
            sorted(n for n in os.listdir(self.folder)
                   if not n.startswith(".server-pair.")),
            [".server-pair", "server.crt", "server.key"])

    def test_by_hand(self):
        for n in range(3):
            pair = certificates().make()
            status, said = self.deploy(*pair)
            self.assertEqual((status, said), (
                0, "%s and server.key are new; daemons that run take them "
                "within 10 seconds\n" % self.pair.cert))
            self.check_placed(pair)
            self.assertEqual(mode(self.pair.key), "600")
            self.assertEqual(mode(self.pair.cert), "644")

    def test_hooks(self):
        """As certbot calls it, and as acme.sh does."""
        lineage = folder(self)
        pair = certificates().make()
        shutil.copy(pair.cert, lineage + "/fullchain.pem")
        shutil.copy(pair.key, lineage + "/privkey.pem")
        status, said = self.deploy(RENEWED_LINEAGE=lineage)
        self.assertEqual(status, 0, said)
        self.check_placed(pair)
        pair = certificates().make()
        status, said = self.deploy(CERT_FULLCHAIN_PATH=pair.cert,
                                   CERT_KEY_PATH=pair.key)
        self.assertEqual(status, 0, said)
        self.check_placed(pair)
        status, said = self.deploy()
        self.assertEqual(status, 1)
        self.assertIn("neither certbot nor acme.sh", said)

    def test_not_good(self):
        """Then nothing changes, and it says why."""
        good, other = certificates().make(), certificates().make()
        status, said = self.deploy(*good)
        self.assertEqual(status, 0, said)
        bad = folder(self)
        whole = text(other.cert)
        with open(bad + "/half", "w") as f:
            f.write(whole[:len(whole) // 2])
        open(bad + "/empty", "w").close()
        for cert, key in ((other.cert, good.key), (good.cert, other.key),
                          (bad + "/half", other.key),
                          (bad + "/empty", other.key),
                          (bad + "/nothing", other.key),
                          (other.cert, bad + "/nothing"),
                          (other.key, other.cert)):
            with self.subTest(cert=cert, key=key):
                status, said = self.deploy(cert, key)
                self.assertEqual(status, 1, said)
                self.assertTrue("all is as it was" in said or
                                "nothing cannot be read" in said, said)
                self.check_placed(good)

    def test_together_at_every_step(self):
        """Whenever it stops: of a pair made by make-certificate, and of one
        that was deployed."""
        tools, log = folder(self), folder(self) + "/log"
        for name in "mv", "ln", "rm", "chmod":
            path = os.path.join(tools, name)
            with open(path, "w") as f:
                f.write('#!/bin/sh\n%s "$@" || exit\n'
                        'a=$(openssl x509 -in %s -noout -pubkey)\n'
                        'b=$(openssl pkey -in %s -pubout)\n'
                        '[ "$a" = "$b" ] && r=good || r=bad\n'
                        'echo "$r %s $*" >>%s\n' % (
                            shutil.which(name), *self.pair, name, log))
            os.chmod(path, 0o755)
        status, said = script(MAKE, "--folder", self.folder, NAME)
        self.assertEqual(status, 0, said)
        for n in range(2):
            pair = certificates().make()
            path = "%s:%s:%s" % (tools, BUILD, os.environ["PATH"])
            status, said = self.deploy(*pair, PATH=path)
            self.assertEqual(status, 0, said)
            self.check_placed(pair)
        steps = text(log).splitlines()
        self.assertGreater(len(steps), 15)
        self.assertEqual([s for s in steps if not s.startswith("good ")], [])

    def test_make_certificate_forced(self):
        """Leaves nothing of what was deployed."""
        self.deploy(*certificates().make())
        status, said = script(MAKE, "--folder", self.folder, NAME)
        self.assertEqual(status, 1)
        status, said = script(MAKE, "--force", "--folder", self.folder, NAME)
        self.assertEqual(status, 0, said)
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["server.crt", "server.key"])
        cert, key = key_of(self.pair)
        self.assertEqual(cert, key)
        pair = certificates().make()
        status, said = self.deploy(*pair)
        self.assertEqual(status, 0, said)
        self.check_placed(pair)

    def test_those_that_run_take_it(self):
        """Nobody is told; they look themselves."""
        self.deploy(*certificates().make())
        inner = StandIn(self)
        relais = Gateway(self, inner.port, pair=self.pair)
        for words in (), ("--run", self.folder, "--no-reload"):
            mark, pair = relais.mark(), certificates().make()
            status, said = self.deploy(*words, *pair)
            self.assertEqual(status, 0, said)
            self.assertIn("within 10 seconds", said)
            relais.wait_log(r"certificate %s \(.*\) is renewed"
                            % self.pair.cert, mark, 10)
            wait_for(lambda: all_of(relais.ssl) == {der(pair)}, 3)
        self.assertNotIn("reload", "\n".join(relais.log()))

    def test_a_foreign_key(self):
        """In words that need no knowledge of what is behind it."""
        pair, other = certificates().make(), certificates().make()
        status, said = self.deploy(pair.cert, other.key)
        self.assertEqual(status, 1)
        self.assertIn("%s is not the key of the certificate in %s" % (
            other.key, pair.cert), said)
        self.assertNotIn("-pair.", said)

    def test_by_each_daemon(self):
        """Each can check it, where it is the only one."""
        for path in harness.IMAPSD, harness.POP3SD, harness.SMTPSD:
            with self.subTest(path):
                alone = folder(self)
                os.symlink(path, os.path.join(alone, os.path.basename(path)))
                env = "%s:%s" % (alone, os.environ["PATH"])
                pair = certificates().make()
                status, said = self.deploy(*pair, PATH=env)
                self.assertEqual(status, 0, said)
                self.check_placed(pair)
                status, said = self.deploy(
                    pair.cert, certificates().make().key, PATH=env)
                self.assertEqual(status, 1)
                self.check_placed(pair)

    @unittest.skipIf(any(os.path.exists(os.path.join(where, "imapsd"))
                         for where in ("/usr/sbin", "/usr/local/sbin")),
                     "the daemons are installed on this machine")
    def test_nobody_to_check(self):
        status, said = self.deploy(*certificates().make(),
                                   PATH="/usr/bin:/bin")
        self.assertEqual(status, 1)
        self.assertIn("is installed, to check", said)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    main()
