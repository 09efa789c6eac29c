# SPDX-License-Identifier: ISC
"""What metrics and --status tell is what is in use now, and the same."""

import calendar
import os
import shutil
import signal
import ssl
import threading
import time

import harness
import test_control
from case import TestCase, main
from certs import Pair, certificates, openssl
from harness import folder, free_port, wait_for
from inner import Script, StandIn
from metrics import Scrape
from reloading import reload
from renewal import IN_USE, copy, whole, write

NAME = "relais_certificate_expiry_timestamp_seconds"


def ends(cert):
    """When a certificate ends, as openssl reads it."""
    line = openssl("x509", "-in", cert, "-noout", "-enddate").decode()
    return ssl.cert_time_to_seconds(line.strip().partition("=")[2])


class Told(TestCase):
    def setUp(self):
        self.folder = folder(self)
        os.chmod(self.folder, 0o755)
        os.mkdir(self.folder + "/more")
        self.inner = StandIn(self, Script())
        self.port = free_port()

    def start(self, *lines):
        self.metrics = free_port()
        self.relais = harness.Relais(self, "\n".join((
            "listen 127.0.0.1:%d ssl" % self.port,
            "outgoing_server 127.0.0.1:%d" % self.inner.port,
            "metrics_listen 127.0.0.1:%d" % self.metrics,
            *lines)) + "\n", ports=(self.port,))
        test_control.serves(self.relais)

    def assertTold(self, *certs):
        """Both tell of these files, and of no others."""
        wanted = {c: ends(c) for c in certs}
        for what in self.by_metrics, self.by_status:
            try:
                wait_for(lambda: what() == wanted, IN_USE, every=0.1)
            except AssertionError:
                self.assertEqual(what(), wanted)

    def by_metrics(self):
        return {dict(labels)["file"]: value for (name, labels), value in
                Scrape(self.metrics).samples.items() if name == NAME}

    def by_status(self):
        return {c["file"]: calendar.timegm(time.strptime(
            c["not_after"], "%Y-%m-%dT%H:%M:%SZ"))
            for c in test_control.told(self.relais, "--status")["certificates"]}

    def own(self, pair):
        mine = Pair(self.folder + "/s.crt", self.folder + "/s.key")
        copy(pair, *mine)
        return mine

    def test_renewed(self):
        make = certificates().make
        mine = self.own(make("a.test", days=(-1, 20)))
        a = self.folder + "/more/a.pem"
        write(a, whole(make("b.test", days=(-1, 9))))
        self.start("ssl_cert_file " + mine.cert, "ssl_key_file " + mine.key,
                   "ssl_cert_dir " + self.folder + "/more")
        self.assertTold(mine.cert, a)
        table = test_control.ask(self.relais, "--status")[1]
        # what ends first is first
        self.assertRegex(table, r"(?m)^certs +%s: [89] days left, until \S+"
                         "\n +%s: (19|20) days" % (a, mine.cert))
        copy(make("a.test", days=(-1, 40)), *mine)
        self.assertTold(mine.cert, a)
        b = self.folder + "/more/b.pem"
        write(b, whole(make("c.test", "d.test", days=(-1, 11))))
        self.assertTold(mine.cert, a, b)
        names = {c["file"]: c["names"] for c in
                 test_control.told(self.relais, "--status")["certificates"]}
        self.assertEqual(names[b], "c.test d.test")
        os.unlink(a)
        self.assertTold(mine.cert, b)
        # what is no good is not in use, whatever its date
        mark = self.relais.mark()
        shutil.copyfile(make("a.test", days=(-1, 50)).cert, mine.cert)
        self.relais.wait_log("the old one stays", mark, IN_USE)
        for what in self.by_metrics(), self.by_status():
            self.assertLess(what[mine.cert], time.time() + 41 * 86400)
        # whoever comes later is told, too, and so is a new generation
        copy(make("a.test", days=(-1, 60)), *mine)
        self.assertTold(mine.cert, b)
        for role in "metrics", "control":
            victim, = self.relais.pids(role)
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: self.relais.pids(role) not in ([], [victim]))
        test_control.serves(self.relais)
        self.assertTold(mine.cert, b)
        reload(self.relais)
        self.assertTold(mine.cert, b)

    def test_never_missing(self):
        """Not while a new generation begins, either."""
        mine = self.own(certificates().make("a.test", days=(-1, 20)))
        self.start("ssl_cert_file " + mine.cert, "ssl_key_file " + mine.key)
        wanted, seen, end = {mine.cert: ends(mine.cert)}, [], []

        def scrape():
            while not end:
                seen.append(self.by_metrics())

        thread = threading.Thread(target=scrape)
        thread.start()
        try:
            for _ in range(3):
                reload(self.relais)
        finally:
            end.append(True)
            thread.join(20)
        self.assertGreater(len(seen), 3)
        self.assertEqual([s for s in seen if s != wanted], [])

    def test_many(self):
        """The table names those that end first, and JSON all."""
        make = certificates().make
        text = whole(make("a.test", days=(-1, 30)))
        files = ["%s/more/%03d.pem" % (self.folder, i) for i in range(300)]
        for f in files:
            write(f, text)
        write(files[77], whole(make("b.test", days=(-1, 5))))
        self.start("ssl_cert_dir " + self.folder + "/more")
        self.assertTold(*files)
        status, table, _ = test_control.ask(self.relais, "--status")
        self.assertEqual(status, 0)
        lines = [l for l in table.splitlines() if "left, until" in l]
        self.assertEqual(len(lines), 32)
        self.assertIn(files[77], lines[0])
        self.assertRegex(table, r"\n +and 268 more, none of which ends "
                         r"before \d{4}-\d\d-\d\d\n\nSINCE")


if __name__ == "__main__":
    main()
