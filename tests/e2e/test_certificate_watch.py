# SPDX-License-Identifier: ISC
"""Certificates that are renewed while the daemon serves."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import time

import harness
from case import TestCase, main
from certs import NAME, Pair, certificates, gateway_pair, openssl
from harness import IMAPSD, POP3SD, SMTPSD, Gateway, folder, wait_for
from inner import Script, StandIn
from reloading import reload
from renewal import IN_USE, all_of, context, copy, der, write
from submission import sasl_lines


class Files(TestCase):
    """A gateway whose pair is in a folder of its own."""

    lines = ()
    daemon = IMAPSD
    workers = 2

    def setUp(self):
        self.folder = folder(self)
        os.chmod(self.folder, 0o755)
        self.pair = Pair(self.folder + "/server.crt",
                         self.folder + "/server.key")
        self.old = gateway_pair()
        copy(self.old, *self.pair)
        self.inner = StandIn(self, Script())
        self.relais = self.start()

    def start(self):
        return Gateway(self, self.inner.port, *self.lines, pair=self.pair,
                       daemon=self.daemon, workers=self.workers)

    def assertRenewed(self, new, n=12, mark=0):
        self.relais.wait_log(r"certificate \S+ \(.*\) is renewed: valid "
                             r"until \d{4}-\d\d-\d\d, \d+ days", mark, IN_USE)
        wait_for(lambda: all_of(self.relais.ssl, n) == {der(new)}, 3,
                 "the new certificate in every worker")

    def assertStays(self, why, mark, words=r": the old one stays"):
        self.relais.wait_log(why + words, mark, IN_USE)
        time.sleep(2.5)
        # once for each change, and not at every look
        told = [l for l in self.relais.log(mark) if "stays" in l]
        self.assertEqual(len(told), 1, told)
        self.assertEqual(all_of(self.relais.ssl, 6), {der(self.old)})


class Clients(Files):
    """200 clients that connect without pause."""

    lines = ("connection_limit_address 0", "authenticate_timeout 60")
    clients = 200
    seconds = 9

    async def client(self, results, until):
        c = context()
        while time.monotonic() < until:
            began = time.monotonic()
            try:
                r, w = await asyncio.wait_for(asyncio.open_connection(
                    "127.0.0.1", self.relais.ssl, ssl=c), 30)
                got = w.get_extra_info("ssl_object").getpeercert(True)
                await asyncio.wait_for(r.readline(), 30)
                w.transport.abort()
            except (OSError, asyncio.TimeoutError, EOFError) as e:
                got = repr(e)
            results.append((began, time.monotonic(), got))

    async def run_all(self, renew):
        results, began = [], time.monotonic()
        tasks = [asyncio.ensure_future(
            self.client(results, began + self.seconds + 2))
            for _ in range(self.clients)]
        await asyncio.sleep(2)
        at = time.monotonic()
        renew()
        await asyncio.gather(*tasks)
        return at, results

    def test_none_fails(self):
        new = certificates().make()
        at, results = asyncio.run(self.run_all(
            lambda: copy(new, *self.pair)))
        got = {g for _, _, g in results}
        self.assertFalse([g for g in got if isinstance(g, str)])
        self.assertEqual(got, {der(self.old), der(new)})
        late = [b - at for b, _, g in results if g == der(self.old)]
        self.assertLess(max(late), IN_USE)
        self.assertGreater(len(results), 2 * self.clients)
        self.assertNotRegex("\n".join(self.relais.log()),
                            "signature|keeper does not|died|signal")


class Renewal(Files):
    def test_in_place_and_for_who_comes_later(self):
        mark, new = self.relais.mark(), certificates().make()
        copy(new, *self.pair)
        self.assertRenewed(new)
        # who is born later has the new pair, and its keepers the key
        for role in "worker", "keeper":
            before = self.relais.pids(role)
            for pid in before:
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: len(self.relais.pids(role)) == len(before) and
                     not set(before) & set(self.relais.pids(role)), 10)
            wait_for(lambda: self.try_all() == {der(new)}, 10)
        reload(self.relais)
        self.assertEqual(all_of(self.relais.ssl), {der(new)})
        # and the next generation looks, too
        mark, newer = self.relais.mark(), certificates().make(kind="rsa")
        copy(newer, *self.pair)
        self.assertRenewed(newer, mark=mark)

    def try_all(self):
        try:
            return all_of(self.relais.ssl, 6)
        except OSError:
            return None

    def test_handshake_under_way(self):
        """It ends with the certificate that it began with."""
        new = certificates().make()
        for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
            with self.subTest(version), socket.create_connection(
                    ("127.0.0.1", self.relais.ssl), 10) as s:
                c = context()
                c.maximum_version = version
                came, go = ssl.MemoryBIO(), ssl.MemoryBIO()
                tls = c.wrap_bio(came, go)
                with self.assertRaises(ssl.SSLWantReadError):
                    tls.do_handshake()
                s.sendall(go.read())
                first = s.recv(65536)       # with the signature
                mark, (old, new) = self.relais.mark(), (self.old, new)
                copy(new, *self.pair)
                self.assertRenewed(new, mark=mark)
                came.write(first)
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        s.sendall(go.read())
                        came.write(s.recv(65536))
                s.sendall(go.read())
                self.assertEqual(tls.getpeercert(True), der(old))
                while True:
                    try:
                        self.assertIn(b"OK", tls.read(4096))
                        break
                    except ssl.SSLWantReadError:
                        came.write(s.recv(65536))
            self.old, new = new, self.old

    def test_encrypted(self):
        """The passphrase of the start serves for renewed keys, too."""
        word, new = self.folder + "/word", certificates().make()

        def put(pair):
            shutil.copyfile(pair.cert, self.pair.cert)
            openssl("pkey", "-in", pair.key, "-aes256", "-passout",
                    "pass:open sesame", "-out", self.pair.key)
        write(word, "open sesame\n")
        put(self.old)
        self.relais.stop()
        self.lines = ("ssl_passphrase_file " + word,)
        self.relais = self.start()
        os.unlink(word)
        put(new)
        self.assertRenewed(new)

    def test_touched_is_not_renewed(self):
        mark = self.relais.mark()
        for path in self.pair:
            os.utime(path)
        copy(self.old, *self.pair)
        time.sleep(6)
        self.assertEqual([l for l in self.relais.log(mark)
                          if "certificate" in l], [])

    def test_rename(self):
        new = certificates().make()
        copy(new, *(p + ".new" for p in self.pair))
        for path in self.pair:
            os.rename(path + ".new", path)
        self.assertRenewed(new)

    def test_links(self):
        """As certbot does it: live/NAME/*.pem point into archive/."""
        live, archive = self.folder + "/live", self.folder + "/archive"
        os.mkdir(live)
        os.mkdir(archive)
        self.pair = Pair(live + "/fullchain.pem", live + "/privkey.pem")
        new = certificates().make()
        for n, pair in (1, self.old), (2, new):
            copy(pair, "%s/fullchain%d.pem" % (archive, n),
                 "%s/privkey%d.pem" % (archive, n))

        def link(n):
            for path in self.pair:
                if os.path.lexists(path):
                    os.unlink(path)
                os.symlink("../archive/" + os.path.basename(path).replace(
                    ".", "%d." % n), path)
        link(1)
        self.relais.stop()
        self.relais = self.start()
        self.assertEqual(all_of(self.relais.ssl), {der(self.old)})
        link(2)
        self.assertRenewed(new)

    def test_folder_replaced(self):
        new, other = certificates().make(), self.folder + "/pair.1"
        os.mkdir(other)
        copy(self.old, other + "/crt", other + "/key")
        os.symlink("pair.1", self.folder + "/pair")
        self.pair = Pair(self.folder + "/pair/crt", self.folder + "/pair/key")
        self.relais.stop()
        self.relais = self.start()
        os.mkdir(self.folder + "/pair.2")
        copy(new, self.folder + "/pair.2/crt", self.folder + "/pair.2/key")
        os.symlink("pair.2", self.folder + "/pair.new")
        os.rename(self.folder + "/pair.new", self.folder + "/pair")
        self.assertRenewed(new)

    def test_half_written(self):
        mark, new = self.relais.mark(), certificates().make()
        with open(new.cert) as f:
            text = f.read()
        with open(certificates().ca.cert) as f:
            chain = text + f.read()
        shutil.copyfile(new.key, self.pair.key)
        write(self.pair.cert, text[:len(text) // 2])
        self.assertStays("its certificate is not one in PEM", mark)
        mark = self.relais.mark()
        write(self.pair.cert, chain[:-200])     # in what follows the first
        self.assertStays("its certificate (is not one in PEM|'s file is not "
                         "whole.*)|is not whole.*", mark, "")
        mark = self.relais.mark()
        with open(new.key) as f:
            key = f.read()
        write(self.pair.key, key[:len(key) // 2])
        write(self.pair.cert, chain)
        self.assertStays("its key is not a private key in PEM", mark)
        mark = self.relais.mark()
        write(self.pair.key, key)
        self.assertRenewed(new, mark=mark)

    def test_mismatched(self):
        mark, new = self.relais.mark(), certificates().make()
        shutil.copyfile(new.cert, self.pair.cert)
        self.assertStays("its key is not that of its first certificate", mark)
        mark = self.relais.mark()
        shutil.copyfile(new.key, self.pair.key)
        self.assertRenewed(new, mark=mark)

    def test_dates(self):
        mark = self.relais.mark()
        copy(certificates().make(days=(-9, -1)), *self.pair)
        self.assertStays("its certificate is expired", mark)
        mark = self.relais.mark()
        soon = certificates().make(days=(11 / 86400, 30))
        copy(soon, *self.pair)
        self.relais.wait_log("its certificate is not valid yet: the old one "
                             "stays", mark, IN_USE)
        self.assertEqual(all_of(self.relais.ssl, 6), {der(self.old)})
        # nobody touches it, and its day comes
        self.relais.wait_log(r"is renewed", mark, 20)
        wait_for(lambda: all_of(self.relais.ssl) == {der(soon)}, 3)

    def test_removed(self):
        mark = self.relais.mark()
        os.unlink(self.pair.key)
        self.assertStays("server.key: No such file or directory", mark)
        mark, new = self.relais.mark(), certificates().make()
        copy(new, *self.pair)
        self.assertRenewed(new, mark=mark)

    def test_days_left(self):
        """At the start, too; the daily line is a matter of the clock."""
        self.relais.stop()
        copy(certificates().make(days=(-9, 5.5)), *self.pair)
        self.relais = self.start()
        self.relais.wait_log(r"certificate %s \(%s localhost\) expires in 5 "
                             r"days, on \d{4}-\d\d-\d\d" % (
                                 self.pair.cert, NAME))
        self.relais.stop()
        copy(certificates().make(days=(-9, -1)), *self.pair)
        self.relais = self.start()
        self.relais.wait_log(r"certificate %s \(.*\) has expired on "
                             % self.pair.cert)


class Single(Files):
    """A process for each client, born in a nursery."""

    lines = ("worker_connections 1",)

    def test_renewed(self):
        new = certificates().make()
        copy(new, *self.pair)
        self.relais.wait_log("is renewed", timeout=IN_USE)
        time.sleep(1)
        # spares that wait, and those that are born from now on; not so many
        # that the nursery has had its share
        self.assertEqual(all_of(self.relais.ssl, 40), {der(new)})


class NotAsRoot(Files):
    def start(self):
        user = harness.nobody() if harness.ROOT else None
        if user:
            for path in (self.folder, *self.pair):
                os.chown(path, user.pw_uid, user.pw_gid)
        return Gateway(self, self.inner.port, pair=self.pair, user=user)

    def test_renewed(self):
        new = certificates().make()
        copy(new, *self.pair)
        self.assertRenewed(new)


class Pop3(Files):
    daemon = POP3SD

    def test_renewed(self):
        new = certificates().make()
        copy(new, *self.pair)
        self.assertRenewed(new)


class Smtp(Files):
    daemon = SMTPSD

    def setUp(self):
        self.lines = sasl_lines(self)
        super().setUp()

    def test_renewed(self):
        new = certificates().make()
        copy(new, *self.pair)
        self.assertRenewed(new)


if __name__ == "__main__":
    main()
