#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The soak: all three daemons in front of a real Dovecot and a real Postfix,
under mixed traffic, while processes of every role are killed or stopped, and
daemons, certificates, inner servers and saslauthd are renewed.

    tests/e2e/soak.py [--minutes N] [--seed N] [--single] [--keep FOLDER]

What clients lose has to follow from what was done to them (soak_book.py), no
octet may be wrong, no message lost, and none doubled but where its reply was
cut.  Descriptors, memory and processes are measured at the start and in each
pause, when nobody is connected, and have to stay.  A seed repeats the order of
what is done; what meets it differs from run to run.  test_soak.py runs a
short one."""

import argparse
import collections
import os
import random
import re
import shutil
import signal
import ssl
import sys
import threading
import time
import unittest

import harness
from case import needs_root, not_sanitized
from certs import Pair, certificates
from harness import children, descriptors, proc_read, wait_for
from inner import Dovecot
from metrics import Scrape
from postfix import Postfix
from reload_load import resident
from saslauthd import Saslauthd, etc_with_users, folder_in
from soak_book import OLD, Book, Wrong
from soak_clients import FIXED, PASSWORD, Idler, Imap, Onlooker, Pop3, Smtp, \
    Tries, message

SEED = int(os.environ.get("RELAIS_SOAK_SEED", random.randrange(1 << 32)))
CREW = ((Imap, 6), (Idler, 4), (Pop3, 4), (Smtp, 6), (Onlooker, 1))
IN_USE = 10     # seconds until a renewed certificate is in use
LATE = 5        # more of them while processes stand still
ROLES = ("worker", "worker", "keeper", "broker", "authenticator", "nursery",
         "metrics", "control", OLD + "worker", OLD + "keeper", OLD + "broker")
TITLE = re.compile(r"^(?:imapsd|pop3sd|smtpsd): ((?:old )?[a-z]+)")
DAEMONS = {"imapsd": harness.IMAPSD, "pop3sd": harness.POP3SD,
           "smtpsd": harness.SMTPSD}
# What no daemon may say of itself, whatever is done to it.
WORSE = re.compile(r" was killed by signal (?!9 )| exited with \d|"
                   r"does not answer and is ended|broke a rule|"
                   r"(?:worker|keeper|broker|authenticator|nursery|metrics|"
                   r"control)(?: \d+)? sent |malformed|the limit of open files")


class Daemon(harness.Gateway):
    """One of the three, with what a soak asks of it."""

    def roles(self):
        """{pid: role} of the master's children, "old worker" among them."""
        found = {}
        for pid in children(self.pid):
            m = TITLE.match(proc_read(pid, "cmdline"))
            if m:
                found[pid] = m.group(1)
        return found

    def figures(self):
        """{role: (processes, most descriptors of one, KiB of all)}"""
        found = {}
        for pid, role in [(self.pid, "master"), *self.roles().items()]:
            n, most, kib = found.get(role, (0, 0, 0))
            found[role] = (n + 1, max(most, descriptors(pid)),
                           kib + resident(pid))
        return found


    def mappings(self, role):
        """What the processes of a role have in memory: KiB, whence."""
        found = collections.Counter()
        for pid, r in [(self.pid, "master"), *self.roles().items()]:
            if r == role:
                name = ""
                for line in proc_read(pid, "smaps").splitlines():
                    words = line.split()
                    if "-" in words[0]:
                        name = " ".join(words[5:])
                    elif words[0] == "Pss:":
                        found[name] += int(words[1])
        return ["%d %s" % (kib, name) for name, kib in found.most_common(4)]


class Certificate:
    """The pair that all daemons have, and those that it has been."""

    def __init__(self, case):
        self.folder = harness.folder(case)
        self.live = os.path.join(self.folder, "live")
        self.count = 0
        self.issued = []        # (when, as DER)
        self.renew()

    @property
    def pair(self):
        return Pair(self.live + "/cert.pem", self.live + "/key.pem")

    def renew(self):
        """As certbot does it: another folder, and a link that is moved."""
        pair = certificates().make(kind="rsa" if self.count % 4 == 3
                                   else "ec")
        self.count += 1
        there = os.path.join(self.folder, "pair%d" % self.count)
        os.mkdir(there)
        shutil.copy(pair.cert, there + "/cert.pem")
        shutil.copy(pair.key, there + "/key.pem")
        with open(pair.cert) as f:
            der = ssl.PEM_cert_to_DER_cert(f.read())
        self.issued.append((time.monotonic(), der))
        os.symlink(there, self.live + ".new")
        os.rename(self.live + ".new", self.live)

    def check(self, der, resumed, began):
        known = [n for n, (_, have) in enumerate(self.issued) if have == der]
        if not known:
            raise Wrong("a certificate that was never issued")
        newer = [when for when, _ in self.issued[known[0] + 1:]]
        if not resumed and newer and began - newer[0] > IN_USE + LATE:
            raise Wrong("a certificate that was renewed %.1f s before"
                        % (began - newer[0]))


class Soak:
    def __init__(self, case, seed, single=False, more=3):
        self.case, self.seed, self.single = case, seed, single
        self.more = more        # authenticators when they take long
        self.rng = random.Random(seed)
        self.book, self.tries = Book(), Tries()
        self.gate, self.over = threading.Event(), threading.Event()
        self.cards = []
        self.killed = collections.Counter()     # by daemon
        users = {"%s%d" % (kind.__name__.lower(), n): PASSWORD
                 for kind, count in CREW for n in range(count)}
        self.dovecot = Dovecot(
            case, users, more="mailbox_idle_check_interval = 2 secs")
        self.postfix = Postfix(case)
        self.certificate = Certificate(case)
        self.relais = {}
        for name, port in (("imapsd", self.dovecot.port),
                           ("pop3sd", self.dovecot.pop3_port),
                           ("smtpsd", self.postfix.port)):
            self.relais[name] = self.daemon(name, port, users)
        self.watched = "ssl_cert_dir" in harness.run_imapsd("--help")[1]
        self.travellers = [kind(self, n) for kind, count in CREW
                           for n in range(count)]

    def daemon(self, name, inner, users):
        port = harness.free_port()
        lines = ["metrics_listen 127.0.0.1:%d" % port]
        if self.single:
            lines.append("worker_connections 1")
        if name == "smtpsd":
            sasl = harness.folder(self.case)
            with open(os.path.join(sasl, "smtpd.conf"), "w") as f:
                f.write("pwcheck_method: saslauthd\nmech_list: plain login\n")
            lines += ["hostname gw.example.org", "sasl_config_path " + sasl,
                      "sasl_local_domain example.org", "peername_lookup no",
                      "sasl_timeout 3",
                      "authenticators_max %d" % (2 + self.more)]
            spool = os.path.join(harness.folder(self.case), "spool")
            self.saslauthd = Saslauthd(
                self.case, folder_in(spool),
                etc=etc_with_users(self.case, users, "example.org"))
        daemon = Daemon(self.case, inner, *lines, daemon=DAEMONS[name],
                        workers=2, spool=spool if name == "smtpsd" else None,
                        pair=self.certificate.pair)
        daemon.metrics = port
        return daemon

    def stock(self, user):
        """A user's mailboxes, and the messages that stay in INBOX."""
        fixed = [message("fixed", self.rng, size) for size in FIXED]
        for octets in fixed:
            self.dovecot.deliver(user, octets)
        for name in ".Sent", ".Pushed":
            self.dovecot._maildir_make(self.dovecot.maildir(user, name))
        return fixed

    def check_certificate(self, sock, began):
        self.certificate.check(sock.getpeercert(True), sock.session_reused,
                               began)

    # what is done to them

    def deck(self):
        """Everything that can be done, in random order."""
        cards = []
        for name in self.relais:
            cards += [(self.kill, name, role) for role in ROLES]
            cards += [(self.stop, name, role) for role in sorted(set(ROLES))
                      if not role.startswith(OLD)]
            cards += [(self.reload, name)] * 2 + [(self.reload_and_kill, name)]
        cards += [(self.renew,)] * 3 + [(self.saslauthd_anew,)] * 2
        cards += [(self.dovecot_anew,), (self.postfix_anew,),
                  (self.kill_smtpd,)]
        self.rng.shuffle(cards)
        return cards

    def disturb(self, seconds, gap):
        """One thing after the other, so many seconds between them."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if not self.cards:
                self.cards = self.deck()
            what, *args = self.cards.pop()
            if what(*args) is not False:    # there was somebody
                time.sleep(self.rng.uniform(0, gap))

    def some(self, name, role):
        """One process of this role, None when there is none."""
        pids = sorted(pid for pid, r in self.relais[name].roles().items()
                      if r == role)
        return self.rng.choice(pids) if pids else None

    def kill(self, name, role):
        pid = self.some(name, role)
        if pid is None:
            return False
        with self.book.disturb(name, "kill " + role):
            try:
                os.kill(pid, signal.SIGKILL)
                self.killed[name] += 1
                self.book.count("killed: " + role)
            except ProcessLookupError:
                pass            # an old one may end at any moment
        return True

    def stop(self, name, role):
        pid = self.some(name, role)
        if pid is None:
            return False
        with self.book.disturb(name, "stop " + role):
            try:
                os.kill(pid, signal.SIGSTOP)
                time.sleep(self.rng.uniform(0.1, self.longest_stop))
                os.kill(pid, signal.SIGCONT)
                self.book.count("stopped: " + role)
            except ProcessLookupError:
                pass            # a single worker has had its client
        return True

    def ask_reload(self, relais):
        mark = relais.mark()
        os.kill(relais.pid, signal.SIGHUP)
        return mark

    def reload(self, name):
        relais = self.relais[name]
        with self.book.disturb(name, "reload"):
            said = relais.wait_log(r"reloaded: generation|reload: refused",
                                   self.ask_reload(relais), 30).group()
        self.book.count("reloads")
        if "refused" in said:
            self.book.fault(name, "reload refused")

    def reload_and_kill(self, name):
        """Somebody dies while the next generation starts: it comes or not."""
        relais = self.relais[name]
        with self.book.disturb(name, "reload"):
            mark = self.ask_reload(relais)
            time.sleep(self.rng.uniform(0, 0.15))
            self.kill(name, self.rng.choice(ROLES))
            said = relais.wait_log(
                r"reloaded: generation|reload: (refused|there is no new)",
                mark, 60).group(1)
        self.book.count("reloads with a death, " + (said or "done"))
        if said == "there is no new":
            self.reload(name)   # those of before serve, but are not replaced

    def renew(self):
        self.certificate.renew()
        self.book.count("certificates renewed")
        if not self.watched:
            for name in self.relais:
                self.reload(name)

    def dovecot_anew(self):
        with self.book.disturb("dovecot", "dovecot"):
            self.dovecot.restart()
        self.book.count("restarts of Dovecot")

    def postfix_anew(self):
        with self.book.disturb("postfix", "postfix"):
            self.postfix.stop()
            time.sleep(self.rng.uniform(0, 1))
            self.postfix.start()
        self.book.count("restarts of Postfix")

    def kill_smtpd(self):
        pids = self.postfix.servers()
        if not pids:
            return False
        with self.book.disturb("smtpd", "smtpd"):
            try:
                os.kill(self.rng.choice(sorted(pids)), signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.book.count("killed: Postfix's smtpd")
        return True

    def saslauthd_anew(self):
        with self.book.disturb("saslauthd", "saslauthd"):
            self.saslauthd.stop()
            time.sleep(self.rng.uniform(0, 1))
            self.saslauthd.start()
        self.book.count("restarts of saslauthd")

    # figures

    def connected(self):
        """Connections that still are, to inner servers or to us."""
        ports = {self.dovecot.port, self.dovecot.pop3_port, self.postfix.port}
        for relais in self.relais.values():
            ports |= {relais.ssl, relais.starttls, relais.plain}
        n = 0
        for line in proc_read(os.getpid(), "net/tcp").splitlines()[1:]:
            _, local, _, state = line.split()[:4]
            n += state in ("01", "08") and int(local.split(":")[1],
                                               16) in ports
        return n

    def quiet(self):
        """Everybody leaves; the figures of each daemon."""
        self.gate.clear()
        wait_for(lambda: all(t.resting for t in self.travellers), 90,
                 "clients to leave")
        wait_for(lambda: self.connected() == 0, 30, "connections to end: "
                 "%d are left" % self.connected(), 0.2)
        wait_for(self.is_settled, 60, "processes to be as many as before",
                 0.2)
        for name, relais in self.relais.items():
            # asked once, each control has its channels to the others
            _, out = harness.run_daemon(*relais.argv("--sessions", "--json"))
            if '"user"' in out:
                self.book.fault(name, "a session without a client: " + out)
            wait_for(lambda r=relais: not Scrape(r.metrics).value(
                "relais_sessions"), 10, "metrics to tell of no session")
        time.sleep(0.5)
        return {name: r.figures() for name, r in self.relais.items()}

    def is_settled(self):
        for name, relais in self.relais.items():
            have = collections.Counter(relais.roles().values())
            if have != self.crew[name]:
                return False
        return True

    def print_figures(self, when, figures):
        print("%s, %d s:" % (when, time.monotonic() - self.book.zero))
        for name, roles in figures.items():
            print("    %-7s %s; %d KiB in all" % (name, ", ".join(
                "%s %d: %d fds, %d KiB" % (role, n, most, kib)
                for role, (n, most, kib) in sorted(roles.items())),
                sum(kib for _, _, kib in roles.values())), flush=True)

    def compare(self, first, now):
        """Nothing may have grown, but by what buffers and tables do that
        have come to their size."""
        for name, roles in now.items():
            for role, (n, most, kib) in roles.items():
                n0, most0, kib0 = first[name].get(role, (0, 0, 0))
                # one more authenticator leaves a page that it counts on
                more = (self.more if (name, role) == ("smtpsd", "master")
                        else 0)
                if n != n0 or most > most0 + 2 + more or \
                        kib > kib0 * 1.3 + 1500 * n:
                    self.book.fault(name, "%s: %d processes, %d descriptors, "
                                    "%d KiB; at the start %d, %d, %d: %s" % (
                                        role, n, most, kib, n0, most0, kib0,
                                        self.relais[name].mappings(role)))

    # from the beginning to the end

    def run(self, seconds, warm=5, round_=150, calm=20, gap=1,
            longest_stop=2.5):
        """Rounds of traffic, the last seconds of it undisturbed, and a pause
        behind each."""
        print("RELAIS_SOAK_SEED=%d" % self.seed, flush=True)
        self.longest_stop = longest_stop
        self.crew = {name: collections.Counter(r.roles().values())
                     for name, r in self.relais.items()}
        collector = threading.Thread(target=self.collect, daemon=True)
        for t in [collector, *self.travellers]:
            t.start()
        self.gate.set()
        time.sleep(warm)
        first = self.quiet()
        self.print_figures("at the start", first)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.gate.set()
            self.disturb(min(round_, end - time.monotonic()), gap)
            time.sleep(calm)
            now = self.quiet()
            self.print_figures("now", now)
            self.compare(first, now)
            if len(self.book.faults) > 50:
                break
        self.over.set()
        for t in [collector, *self.travellers]:
            t.join(60)
        self.finish()

    def collect(self):
        while not self.over.wait(1):
            self.tries.collect(self.postfix)

    def finish(self):
        for t in self.travellers:
            try:
                t.last()
            except Exception as e:
                self.book.fault(t.who, "at the end: %r" % e)
            t.hang_up()
        wait_for(lambda: not self.postfix.undelivered(), 60,
                 "the inner queue to empty", 0.2)
        self.tries.collect(self.postfix)
        states = self.tries.judge(self.book)
        for name, relais in self.relais.items():
            self.check_log(name, relais)
        print("tries of messages: %s" % states)
        for what, counter in (("done", self.book.done),
                              ("lost", self.book.lost)):
            for key, n in sorted(counter.items()):
                print("    %s: %s: %d" % (what, key, n))
        for key, seconds in sorted(self.book.slowest.items()):
            print("    slowest: %s: %.2f s" % (key, seconds))
        print("%d faults" % len(self.book.faults), flush=True)

    def check_log(self, name, relais):
        lines = relais.log()
        for line in filter(WORSE.search, lines):
            self.book.fault(name, line)
        killed = sum(" was killed by signal 9 " in l for l in lines)
        if killed > self.killed[name]:
            self.book.fault(name, "%d died, %d were killed" % (
                killed, self.killed[name]))
        lost = Scrape(relais.metrics).value("relais_log_lines_lost_total")
        if lost:
            self.book.fault(name, "%d lines of the log are lost" % lost)


@needs_root
@not_sanitized
class ByHand(unittest.TestCase):
    minutes, seed, single, keep = 3.0, SEED, False, None

    def test(self):
        soak = Soak(self, self.seed, self.single)
        try:
            soak.run(self.minutes * 60)
        finally:
            if self.keep:
                os.makedirs(self.keep, exist_ok=True)
                for name, relais in soak.relais.items():
                    shutil.copy(relais.log_file,
                                os.path.join(self.keep, name + ".log"))
        self.assertEqual(soak.book.faults, [], "\n".join(soak.book.faults))


def main():
    parser = argparse.ArgumentParser(description="Soak the three daemons.")
    parser.add_argument("--minutes", type=float, default=ByHand.minutes)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--single", action="store_true",
                        help="worker_connections 1")
    parser.add_argument("--keep", metavar="FOLDER",
                        help="where the daemons' logs are to be left")
    for name, value in vars(parser.parse_args()).items():
        setattr(ByHand, name, value)
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
