# SPDX-License-Identifier: ISC
"""ssl_cert_dir: certificates by the names in them, coming and going."""

import os
import shutil
import ssl
import time

import harness
from case import TestCase, main
from certs import certificates, gateway_pair
from harness import IMAPSD, folder, free_port, run_daemon, wait_for
from inner import Script, StandIn
from reloading import reload
from renewal import IN_USE, all_of, copy, der, served, whole, write


class Folder(TestCase):
    """ssl_cert_dir."""

    def setUp(self):
        self.folder = folder(self)
        os.chmod(self.folder, 0o755)
        self.inner = StandIn(self, Script())

    def start(self, *lines, own=False, **kw):
        self.port = free_port()
        text = ["listen 127.0.0.1:%d ssl" % self.port,
                "outgoing_server 127.0.0.1:%d" % self.inner.port,
                "ssl_cert_dir " + self.folder, *lines]
        if own:
            text += ["ssl_cert_file " + gateway_pair().cert,
                     "ssl_key_file " + gateway_pair().key]
        self.relais = harness.Relais(self, "\n".join(text) + "\n",
                                     ports=(self.port,), **kw)

    def put(self, name, pair):
        """NAME.pem with both, NAME/ as certbot has it, or NAME.crt."""
        path = os.path.join(self.folder, name)
        if name.endswith(".pem"):
            write(path, whole(pair))
        elif name.endswith("/"):
            os.mkdir(path)
            copy(pair, path + "fullchain.pem", path + "privkey.pem")
        else:
            copy(pair, path + ".crt", path + ".key")
        return pair

    def assertServed(self, name, pair, **kw):
        self.assertEqual(served(self.port, name, **kw), der(pair))

    def test_by_name(self):
        make = certificates().make
        a = self.put("a", make("a.test"))
        b = self.put("b.pem", make("b.test", "*.wild.test"))
        c = self.put("c/", make("c.test"))
        for junk in "README", ".hidden.pem", "c.test.csr", "a.crt.bak", "x~":
            write(os.path.join(self.folder, junk), "junk\n")
        os.mkdir(self.folder + "/empty")
        # the pair that is both kinds: each client gets what it can use
        rsa = self.put("both.1.pem", make("both.test", kind="rsa"))
        ec = self.put("both.2.pem", make("both.test"))
        self.start(own=True)
        self.assertNotRegex("\n".join(self.relais.log()), "left out|junk")
        for name, pair in (("a.test", a), ("A.Test", a), ("b.test", b),
                           ("x.wild.test", b), ("c.test", c),
                           ("both.test", ec), (None, gateway_pair()),
                           ("nobody.test", gateway_pair()),
                           ("wild.test", gateway_pair()),
                           ("x.y.wild.test", gateway_pair())):
            with self.subTest(name):
                self.assertServed(name, pair)
        self.assertServed("both.test", rsa, rsa_only=True)
        # no more octets of a key than ever in a worker
        status, said = run_daemon(IMAPSD, "-f", self.relais.conf,
                                  "--check_config", "--spool_directory",
                                  self.relais.spool)
        self.assertEqual(status, 0, said)

    def test_coming_and_going(self):
        make = certificates().make
        first = self.put("a", make("a.test"))
        self.start()
        self.assertServed("b.test", first)      # the default: the first
        mark = self.relais.mark()
        b = self.put("b/", make("b.test"))
        self.relais.wait_log(r"certificate \S+/b/fullchain.pem \(b.test\) is "
                             "added", mark, IN_USE)
        wait_for(lambda: all_of(self.port, name="b.test") == {der(b)}, 3)
        mark, new = self.relais.mark(), make("b.test")
        copy(new, self.folder + "/b/fullchain.pem",
             self.folder + "/b/privkey.pem")
        self.relais.wait_log("is renewed", mark, IN_USE)
        wait_for(lambda: all_of(self.port, name="b.test") == {der(new)}, 3)
        # half of one, and then the other half
        mark, c = self.relais.mark(), make("c.test")
        copy(c, self.folder + "/c.crt")
        self.relais.wait_log(r"c.key: No such file or directory: it is left "
                             "out", mark, IN_USE)
        shutil.copyfile(c.key, self.folder + "/c.key")
        self.relais.wait_log("is added", mark, IN_USE)
        wait_for(lambda: all_of(self.port, name="c.test") == {der(c)}, 3)
        mark = self.relais.mark()
        shutil.rmtree(self.folder + "/b")
        self.relais.wait_log(r"\(b.test\) is removed", mark, IN_USE)
        wait_for(lambda: all_of(self.port, name="b.test") == {der(first)}, 3)
        # the default goes: the next is it
        os.unlink(self.folder + "/a.crt")
        os.unlink(self.folder + "/a.key")
        self.relais.wait_log(r"\(a.test\) is removed", mark, IN_USE)
        wait_for(lambda: all_of(self.port) == {der(c)}, 3)
        # what is not mounted is no reason to serve nobody
        mark = self.relais.mark()
        os.rename(self.folder, self.folder + ".away")
        self.addCleanup(shutil.rmtree, self.folder + ".away", True)
        self.relais.wait_log(r"ssl_cert_dir .*: No such file", mark, IN_USE)
        os.mkdir(self.folder)
        self.relais.wait_log(r"no certificate in it any more", mark, IN_USE)
        self.assertServed("c.test", c)

    def test_bad_ones(self):
        """One is left out, and is taken when it is good; the first must be
        good at the start."""
        make = certificates().make
        self.put("a.pem", make("a.test"))
        b = make("b.test")
        copy(b, self.folder + "/b.crt")
        shutil.copyfile(make().key, self.folder + "/b.key")
        self.start()
        with open(self.relais.err_file) as f:
            said = f.read() + "\n".join(self.relais.log())
        self.assertRegex(said, r"b.crt, \S*b.key\): its key is not that of "
                         "its first certificate: it is left out")
        check = (IMAPSD, "-f", self.relais.conf, "--check_config",
                 "--spool_directory", self.relais.spool)
        status, said = run_daemon(*check)
        self.assertEqual(status, 1, said)
        self.assertRegex(said, "b.crt.*its key is not that")
        reload(self.relais)                     # does not wait for tenants
        mark = self.relais.mark()
        shutil.copyfile(b.key, self.folder + "/b.key")
        self.relais.wait_log(r"\(b.test\) is added", mark, IN_USE)
        self.assertEqual(run_daemon(*check)[0], 0)
        write(self.folder + "/a.pem", "nothing\n")
        status, said = run_daemon(*check)
        self.assertEqual(status, 1, said)
        self.assertIn("its certificate is not one in PEM", said)
        self.relais.stop()
        status, said = run_daemon(*self.relais.argv("--no_daemon"))
        self.assertEqual(status, 1, said)
        self.assertIn("a.pem): its certificate is not one in PEM", said)

    def test_a_strangers_name(self):
        """SNI is anybody's: nothing of it breaks, or is in the log raw."""
        a = self.put("a", certificates().make("a.test"))
        self.put("b", certificates().make("b.test"))
        self.start()
        for name in "x" * 63 + ".test", "a.test.x", "test":
            self.assertServed(name, a)
        for name in "_x.a.test", "*.test", "a b.test", "a.test\nX: y":
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                served(self.port, name)
        self.relais.wait_log("disallowed SNI")
        self.assertNotIn("X: y", "\n".join(self.relais.log()))
        self.assertEqual(len(self.relais.pids("worker")), 2)

    def test_single(self):
        make = certificates().make
        self.put("a", make("a.test"))
        self.start("worker_connections 1")
        mark = self.relais.mark()
        b = self.put("b.pem", make("b.test"))
        self.relais.wait_log("is added", mark, IN_USE)
        time.sleep(1)
        self.assertEqual(all_of(self.port, 40, "b.test"), {der(b)})


if __name__ == "__main__":
    main()
