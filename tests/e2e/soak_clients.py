# SPDX-License-Identifier: ISC
"""The clients of a soak.  Each knows what it must find: a message is sure to
be there, sure to be gone, or, where the reply was cut, one of both."""

import hashlib
import itertools
import os
import random
import re
import socket
import ssl
import subprocess
import threading
import time

import harness
import metrics
from certs import NAME
from client import Client, Pop3Client, tls_context
from soak_book import Left, Refused, Wrong
from submission import SmtpClient

TIMEOUT = 30                    # seconds; who waits longer is forgotten
PASSWORD = "secret"
FIXED = (700, 9000, 60000, 400000)  # octets of the messages to be fetched

# Text that messages are cut out of: lines that begin with dots, too, and
# octets beyond ASCII.
_rng = random.Random(42)
POOL = b"".join(
    _rng.choice((b"", b"", b".", b"..", b"From ", b"\xc3\xa9 ")) +
    _rng.randbytes(_rng.randrange(36)).hex().encode() + b"\r\n"
    for _ in range(25000))


def message(number, rng, size=None):
    """A message with this number in its head; lines of no pattern."""
    size = size or rng.choice((rng.randrange(400, 4000),) * 8 +
                              (rng.randrange(4000, 60000),) * 3 +
                              (rng.randrange(60000, 500000),))
    at = POOL.index(b"\r\n", rng.randrange(len(POOL) - size - 1000)) + 2
    end = POOL.index(b"\r\n", at + size) + 2
    return b"Subject: soak\r\nX-Try: %s\r\n\r\n" % number.encode() + \
        POOL[at:end]


def number_of(octets):
    found = re.search(rb"(?m)^X-Try: (\S+)\r$", octets[:4000])
    if not found:
        raise Wrong("a message that nobody has sent: %r" % octets[:200])
    return found.group(1).decode()


class Traveller(threading.Thread):
    """A client that comes again and again, while the soak's gate is open."""

    daemon_name, kind = None, None
    pause = (0.05, 0.5)         # seconds between its visits

    def __init__(self, soak, number):
        super().__init__(daemon=True)
        self.soak, self.book = soak, soak.book
        self.relais = soak.relais[self.daemon_name]
        self.who = "%s %d" % (type(self).__name__, number)
        self.rng = random.Random("%d %s" % (soak.seed, self.who))
        self.user = "%s%d" % (type(self).__name__.lower(), number)
        self.source = "127.0.%d.%d" % (
            1 + ("imapsd", "pop3sd", "smtpsd").index(self.daemon_name),
            number + 1)
        version = (ssl.TLSVersion.TLSv1_2 if number % 3 == 2 else None)
        self.context = tls_context(version=version)
        self.session = None     # TLS, to be resumed
        self.numbers = itertools.count()
        self.client, self.phase, self.since = None, "connect", 0
        self.resting = True

    def next_number(self):
        return "%s.%d" % (self.user, next(self.numbers))

    def run(self):
        while not self.soak.over.is_set():
            self.resting = False
            if not self.soak.gate.is_set():
                self.resting = True
                self.soak.gate.wait(0.2)
                continue
            try:
                self.visit()
            except Left:
                pass
            except TimeoutError as e:
                self.book.fault(self.who, "forgotten in %s: %s" % (
                    self.phase, e))
            except (OSError, EOFError, Refused) as e:
                self.book.loses(self.who, self.daemon_name, self.phase,
                                self.since, e)
            except Exception as e:      # Wrong, or not understood
                self.book.fault(self.who, "in %s: %s: %s" % (
                    self.phase, type(e).__name__, e))
            self.hang_up()
            self.resting = True
            time.sleep(self.rng.uniform(*self.pause))

    def hang_up(self):
        if self.client:
            self.client.close()
            self.client = None

    def visit(self):
        raise NotImplementedError

    def last(self):
        """When all is over: is there what has to be?"""

    def enter(self, phase):
        """All is well so far, and this is next."""
        now = time.monotonic()
        self.book.took("%s: %s" % (self.daemon_name, self.phase),
                       now - self.since if self.since else 0)
        self.phase, self.since = phase, now

    def well(self):
        self.enter(self.phase)

    # what the protocols share

    def connect(self):
        """Over TLS, from the start or later; with a ticket at times."""
        self.phase, self.since = "connect", time.monotonic()
        tls = self.rng.random() < 0.7
        session = self.session if self.rng.random() < 0.5 else None
        began = time.monotonic()
        self.client = c = self.kind(
            self.relais.ssl if tls else self.relais.starttls,
            source=self.source, timeout=TIMEOUT,
            context=self.context if tls else None, session=session)
        c.greet()
        if not tls:
            self.starttls(c)
            c.start_tls(self.context, NAME, session)
        self.soak.check_certificate(c.sock, began)
        self.book.count("%s: handshakes%s" % (
            self.daemon_name, ", resumed" if c.sock.session_reused else ""))
        return c

    def starttls(self, c):
        raise NotImplementedError

    def keep_ticket(self):
        session = self.client.sock.session
        if session and session.has_ticket:
            self.session = session

    def logged_in(self, good):
        self.enter("session")
        self.keep_ticket()
        self.book.count("%s: %s logins" % (
            self.daemon_name, "good" if good else "bad"))

    @staticmethod
    def judge_login(good, yes, no, reply):
        """yes and no: whether it was accepted, refused as a wrong one."""
        if yes and not good:
            raise Wrong("a wrong password was taken: %r" % (reply,))
        if no and good:
            raise Wrong("a good password was refused: %r" % (reply,))
        if not yes and not no:
            raise Refused(repr(reply))


# --- IMAP ----------------------------------------------------------------

class Imap(Traveller):
    daemon_name, kind = "imapsd", Client

    def __init__(self, soak, number):
        super().__init__(soak, number)
        self.fixed = soak.stock(self.user)
        self.by_uid = {}
        self.sure, self.perhaps = {}, {}    # what was appended

    def starttls(self, c):
        reply = c.cmd("STARTTLS")
        if reply.status != "OK":
            raise Refused(repr(reply))

    def login(self, good=True):
        self.enter("login")
        reply = self.client.login(self.user, PASSWORD if good else "wrong")
        self.judge_login(
            good, reply.status == "OK", reply.status == "NO" and
            "[AUTHENTICATIONFAILED]" in reply.text, reply)
        self.logged_in(good)

    def ok(self, text):
        reply = self.client.cmd(text)
        if reply.status != "OK":
            raise Refused("%s: %r" % (text[:60], reply))
        self.well()
        return reply

    def fetch(self, what):
        """Messages' octets, by UID."""
        c, tag, found = self.client, self.client.tag(), {}
        c.send("%s UID FETCH %s BODY.PEEK[]\r\n" % (tag, what))
        while True:
            line = c.line()
            if line.startswith(tag + " "):
                if not line.startswith(tag + " OK"):
                    raise Refused(line)
                self.well()
                self.book.count("imapsd: messages fetched", len(found))
                return found
            m = re.match(r"\* \d+ FETCH \(UID (\d+) BODY\[\] \{(\d+)\}$",
                         line)
            if m:
                found[int(m.group(1))] = c.read(int(m.group(2)))
                if c.line() != ")":
                    raise Wrong("no end of a message")

    def visit(self):
        self.connect()
        if self.rng.random() < 0.1:
            self.login(False)
        self.login()
        for _ in range(self.rng.randrange(1, 8)):
            if not self.soak.gate.is_set():
                break
            self.rng.choice((self.read, self.read, self.append, self.audit,
                             self.rest))()
        self.client.cmd("LOGOUT")

    def rest(self):
        time.sleep(self.rng.uniform(0.1, 1))
        self.ok("NOOP")

    def read(self):
        self.ok("SELECT INBOX")
        some = sorted(self.rng.sample(range(1, len(FIXED) + 1), 2))
        found = self.fetch(",".join(map(str, some)))
        for uid, octets in found.items():
            if octets != self.by_uid.setdefault(uid, octets) or \
                    octets not in self.fixed:
                raise Wrong("another octet in what was fetched")
        if sorted(found) != some:
            raise Wrong("fetched %s instead of %s" % (sorted(found), some))

    def append(self):
        c, number = self.client, self.next_number()
        octets = message(number, self.rng)
        tag = c.tag()
        self.perhaps[number] = octets
        c.send(b"%s APPEND Sent {%d+}\r\n%s\r\n" % (
            tag.encode(), len(octets), octets))
        reply = c.answer(tag)
        if reply.status != "OK":
            raise Refused(repr(reply))
        self.sure[number] = self.perhaps.pop(number)
        self.well()
        self.book.count("imapsd: messages appended")

    def audit(self):
        """All that is in the mailbox is what it should be; then it goes."""
        self.ok("SELECT Sent")
        seen = set()
        for octets in self.fetch("1:*").values():
            number = number_of(octets)
            if number in seen:
                raise Wrong("%s is there twice" % number)
            seen.add(number)
            if octets != self.sure.get(number, self.perhaps.get(number)):
                raise Wrong("another octet in %s" % number)
        lost = set(self.sure) - seen
        if lost:
            self.sure = {}
            raise Wrong("accepted and lost: %s" % lost)
        self.ok("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
        # until that is answered, they may be there or not
        self.perhaps = {n: o for n, o in {**self.perhaps, **self.sure}.items()
                        if n in seen}
        self.sure = {}
        self.ok("EXPUNGE")
        self.perhaps = {}


    def last(self):
        self.connect()
        self.login()
        self.audit()


class Idler(Imap):
    """Waits for mail, which comes."""

    def visit(self):
        self.connect()
        self.login()
        self.ok("SELECT Pushed")
        for _ in range(self.rng.randrange(1, 6)):
            if not self.soak.gate.is_set():
                break
            self.idle()
        self.client.cmd("LOGOUT")

    def last(self):
        pass

    def idle(self):
        c, number = self.client, self.next_number()
        self.ok("UID STORE 1:* +FLAGS.SILENT (\\Deleted)")
        self.ok("EXPUNGE")
        tag = c.tag()
        c.send(tag + " IDLE\r\n")
        while not c.line().startswith("+ "):
            pass
        self.well()
        self.wait(self.rng.uniform(0, 6))
        octets = message(number, self.rng)
        self.soak.dovecot.deliver(self.user, octets, ".Pushed")
        while not re.match(r"\* \d+ EXISTS", c.line()):
            pass
        c.send("DONE\r\n")
        reply = c.answer(tag)
        if reply.status != "OK":
            raise Refused(repr(reply))
        self.well()
        if octets not in self.fetch("1:*").values():
            raise Wrong("another octet in what was pushed")
        self.book.count("imapsd: messages pushed")

    def wait(self, seconds):
        """Whoever is cut meanwhile notices at once."""
        c, end = self.client, time.monotonic() + seconds
        while time.monotonic() < end and self.soak.gate.is_set():
            c.sock.settimeout(0.2)
            try:
                c._more()
            except TimeoutError:
                pass
            finally:
                c.sock.settimeout(TIMEOUT)
            self.well()


# --- POP3 ----------------------------------------------------------------

class Pop3(Traveller):
    daemon_name, kind = "pop3sd", Pop3Client

    def __init__(self, soak, number):
        super().__init__(soak, number)
        self.fixed = soak.stock(self.user)
        self.sure, self.perhaps = {}, {}    # what is there, what may be

    def starttls(self, c):
        reply = c.cmd("STLS")
        if not reply.startswith("+OK"):
            raise Refused(reply)

    def login(self, good=True):
        self.enter("login")
        reply = self.client.login(self.user, PASSWORD if good else "wrong")
        self.judge_login(good, reply.startswith("+OK"),
                         reply.startswith("-ERR [AUTH]"), reply)
        self.logged_in(good)

    def yes(self, line):
        if not line.startswith("+OK"):
            raise Refused(line)
        self.well()
        return line

    def multi(self, text):
        """A list's octets, its dots taken away."""
        first, lines = self.client.multi(text)
        self.yes(first)
        return "".join(l + "\r\n" for l in lines).encode(
            "utf-8", "surrogateescape")

    def visit(self):
        for _ in range(self.rng.randrange(2)):
            number = self.next_number()
            octets = message(number, self.rng)
            self.soak.dovecot.deliver(self.user, octets)
            self.sure[number] = octets
        self.connect()
        if self.rng.random() < 0.1:
            self.login(False)
        self.login()
        count = int(self.yes(self.client.cmd("STAT")).split()[1])
        gone = set()
        numbers = list(range(1, count + 1))
        self.rng.shuffle(numbers)
        seen = set()
        for n in numbers:
            octets = self.multi("RETR %d" % n)
            self.book.count("pop3sd: messages retrieved")
            if octets in self.fixed:
                continue
            number = number_of(octets)
            if octets != self.sure.get(number, self.perhaps.get(number)):
                raise Wrong("another octet in %s" % number)
            seen.add(number)
            self.yes(self.client.cmd("DELE %d" % n))
            gone.add(number)
        lost = set(self.sure) - seen
        if lost or count != len(self.fixed) + len(seen):
            self.sure = {}
            raise Wrong("lost: %s of %d" % (lost, count))
        if self.rng.random() < 0.2:
            return              # without QUIT nothing is deleted
        self.perhaps = {n: self.sure.pop(n, self.perhaps.get(n))
                        for n in gone}
        self.yes(self.client.cmd("QUIT"))
        self.perhaps = {}

    def last(self):
        self.visit()


# --- SMTP ----------------------------------------------------------------

class Smtp(Traveller):
    """Sends each message until it is answered 250."""

    daemon_name, kind = "smtpsd", SmtpClient

    def __init__(self, soak, number):
        super().__init__(soak, number)
        self.message, self.tries = 0, 0

    def starttls(self, c):
        self.ehlo(c)
        reply = c.cmd("STARTTLS")
        if reply[0] != 220:
            raise Refused(repr(reply))

    def connect(self):
        c = super().connect()
        if c.greeting and c.greeting[0] != 220:
            raise Refused(repr(c.greeting))
        self.promised = self.ehlo(c)
        return c

    @staticmethod
    def ehlo(c):
        code, texts = c.cmd("EHLO client.example.net")
        if code != 250:
            raise Refused("EHLO: %r" % ((code, texts),))
        return texts[1:]

    def login(self, good=True):
        self.enter("login")
        reply = self.client.login(self.user, PASSWORD if good else "wrong")
        self.judge_login(good, reply[0] == 235, reply[0] == 535, reply)
        self.logged_in(good)

    def logged_in(self, good):
        super().logged_in(good)
        self.enter("mail")      # which needs a broker, unlike a relay

    def want(self, reply, code):
        if reply[0] != code:
            raise Refused(repr(reply))
        self.well()

    def visit(self):
        self.connect()
        if self.rng.random() < 0.1:
            self.login(False)
        self.login()
        for _ in range(self.rng.randrange(1, 5)):
            if not self.soak.gate.is_set():
                break
            self.submit()
            time.sleep(self.rng.uniform(0, 0.3))
        self.client.cmd("QUIT")

    def submit(self):
        name = "%s.%d.%d" % (self.user, self.message, self.tries)
        self.tries += 1
        octets = message(name, self.rng)
        sent = self.soak.tries.begin(name, octets)
        c = self.client
        self.enter("mail")
        self.want(c.cmd("MAIL FROM:<%s@example.org> BODY=8BITMIME"
                        % self.user), 250)
        self.want(c.cmd("RCPT TO:<b@example.net>"), 250)
        if "CHUNKING" in self.promised and self.rng.random() < 0.3:
            reply = self.chunks(octets, sent)
        else:
            self.want(c.cmd("DATA"), 354)
            self.enter("session")
            stuffed = re.sub(rb"(?m)^\.", b"..", octets)
            if self.rng.random() < 0.03:
                c.send(stuffed[:self.rng.randrange(len(stuffed) // 2)])
                self.hang_up()
                raise Left
            c.send(stuffed)
            sent.unknown()
            reply = c.message(b"")
        if reply[0] != 250:
            raise Refused(repr(reply))
        sent.accepted()
        self.enter("mail")
        self.book.count("smtpsd: messages accepted")
        self.message, self.tries = self.message + 1, 0

    def chunks(self, octets, sent):
        """By BDAT, in two."""
        c, half = self.client, self.rng.randrange(1, len(octets))
        c.send(b"BDAT %d\r\n%s" % (half, octets[:half]))
        self.want(c.reply(), 250)
        self.enter("session")
        sent.unknown()
        c.send(b"BDAT %d LAST\r\n%s" % (len(octets) - half, octets[half:]))
        return c.reply()


class Tries:
    """What became of each try to send a message, and what has arrived."""

    class Sent:
        def __init__(self, digest):
            self.digest, self.state = digest, "refused"

        def unknown(self):
            self.state = "unknown"

        def accepted(self):
            self.state = "accepted"

    def __init__(self):
        self.all = {}           # {name: Sent}
        self.here = {}          # {name: {the inner server's id: digest}}

    @staticmethod
    def digest(octets):
        return hashlib.sha256(octets[octets.index(b"\r\n\r\n"):]).digest()

    def begin(self, name, octets):
        self.all[name] = self.Sent(self.digest(octets))
        return self.all[name]

    def collect(self, postfix):
        """Take what has been delivered."""
        for entry in os.scandir(postfix.folder + "/mail/box/new"):
            with open(entry.path, "rb") as f:
                octets = re.sub(rb"\r?\n", b"\r\n", f.read())
            os.unlink(entry.path)
            inner = re.search(rb"by inner\.example\.net \(Postfix\) with "
                              rb"\S+ id (\w+)", octets).group(1)
            self.here.setdefault(number_of(octets), {})[inner] = \
                self.digest(octets)

    def judge(self, book):
        """A try is there once if it was accepted, and not at all if its end
        was not sent; only where the reply was cut it may be there."""
        states = {}
        for name in set(self.all) | set(self.here):
            t, here = self.all.get(name), list(self.here.get(name,
                                                             {}).values())
            states.setdefault(t and t.state, []).append(name)
            allowed = {"accepted": ([t.digest],), "refused": ([],),
                       "unknown": ([], [t.digest])}[t.state] if t else ()
            if here not in allowed:
                book.fault("message " + name, "%s, and there %d times%s" % (
                    t and t.state, len(here), "" if t and set(here) <=
                    {t.digest} else ", with other octets"))
        return {state: len(names) for state, names in states.items()}


# --- who looks ----------------------------------------------------------

class Onlooker(Traveller):
    """Asks all daemons for their metrics and their state."""

    daemon_name = "imapsd"
    pause = (0.5, 1.5)

    def visit(self):
        self.daemon_name = self.rng.choice(list(self.soak.relais))
        relais = self.soak.relais[self.daemon_name]
        self.phase, self.since = "metrics", time.monotonic()
        status, _, text = metrics.get(relais.metrics)
        if status != 200 or "relais_sessions" not in text:
            raise Refused("metrics: %d" % status)
        self.book.count("scrapes")
        if self.rng.random() < 0.7:
            return
        self.enter("control")
        words = self.rng.choice((["--status"], ["--sessions", "--json"]))
        done = subprocess.run(relais.argv(*words), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=TIMEOUT,
                              env=harness.ENVIRONMENT)
        if done.returncode != 0:
            raise Refused("%s: status %d: %s" % (
                words, done.returncode, done.stderr[-300:]))
        self.book.count("answers at the control socket")
