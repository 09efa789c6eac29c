# SPDX-License-Identifier: ISC
"""Nothing is lost: many clients send through smtpsd to two real Postfix while
workers and inner servers are killed at random.

What was answered 250 has arrived once and intact; what was refused, or cut
before its end was sent, has not; and only where the reply to the end was cut,
or said that the inner server was lost, may a message have arrived although
its sender tries again.  RELAIS_LOSS_MESSAGES sets how many there are,
RELAIS_LOSS_SEED repeats a run's sizes and its order of kills."""

import collections
import enum
import hashlib
import multiprocessing
import os
import random
import re
import signal
import ssl
import time

import harness
from case import main, needs_root, not_sanitized
from client import connect, tls_context
from postfix import Postfix
from submission import SmtpClient, Submission, sasl_lines

CLIENTS = 50
MESSAGES = int(os.environ.get("RELAIS_LOSS_MESSAGES", "1000"))
SEED = int(os.environ.get("RELAIS_LOSS_SEED", random.randrange(1 << 32)))
PER_CONNECTION = 4              # messages
TRIES = 200                     # of one message
CUT = 0.03                      # of the messages' tries, by the client

KB, MB = 1000, 1000000
# How many of a thousand, and from which size to which.
SIZES = ((4, 20 * MB, 20 * MB), (6, 2 * MB, 10 * MB),
         (90, 64 * KB, 1 * MB), (900, 1 * KB, 32 * KB))


class End(enum.Enum):
    """What a try has come to, as its sender knows it."""
    SENT = "answered 250"
    REFUSED = "refused or cut before its end"
    UNKNOWN = "the reply to its end was cut, or not of the inner server"


Try = collections.namedtuple("Try", "message end digest")


def sizes(rng):
    """Of all messages, in random order."""
    found = [int(rng.uniform(low, high)) for share, low, high in SIZES
             for _ in range(max(1, share * MESSAGES // 1000))]
    rng.shuffle(found)
    return found


def body(size, rng):
    """Lines of no pattern, without a dot in front."""
    line = 74
    text = rng.randbytes(size * 37 // 76).hex()
    return "".join("%s\r\n" % text[i:i + line]
                   for i in range(0, len(text), line)).encode()


class Sender:
    """A client: takes messages and sends each until it is answered 250."""

    def __init__(self, port, seed):
        self.port = port
        self.rng = random.Random(seed)
        self.client, self.left = None, 0
        self.context = tls_context()
        self.tries = {}         # {name of a try: Try}

    def deliver(self, number, octets):
        digest = hashlib.sha256(octets).hexdigest()
        for i in range(TRIES):
            name = "%d.%d" % (number, i)
            head = "X-Try: %s\r\n\r\n" % name
            end = self.attempt(head.encode() + octets)
            self.tries[name] = Try(number, end, digest)
            if end is End.SENT:
                return
            time.sleep(self.rng.uniform(0.1, 0.4))
        raise AssertionError("message %d: %d tries" % (number, TRIES))

    def attempt(self, octets):
        end = End.REFUSED
        try:
            self.login()
            self.left -= 1
            self.client.begin()
            if self.rng.random() < CUT:
                self.client.send(octets[:self.rng.randrange(len(octets))])
                self.hang_up()
                return end
            self.client.send(octets)
            end = End.UNKNOWN
            if self.client.message(b"")[0] == 250:
                return End.SENT
        except (OSError, EOFError, ssl.SSLError, AssertionError):
            self.hang_up()      # killed, or told that it cannot be now
        return end

    def login(self):
        if self.client and self.left > 0:
            return
        self.hang_up()
        self.client = connect(self.port, True, SmtpClient, timeout=60,
                              context=self.context)
        self.left = PER_CONNECTION
        self.client.ehlo()
        reply = self.client.login()
        if reply[0] != 235:
            raise AssertionError("AUTH: %r" % (reply,))

    def hang_up(self):
        if self.client:
            self.client.close()
            self.client = None


def send_share(port, seed, share):
    """A client's life, in a process of its own.  Gives its tries."""
    sender = Sender(port, seed)
    for number, size in share:
        sender.deliver(number, body(size, sender.rng))
    sender.hang_up()
    return sender.tries


@needs_root
@not_sanitized
class Loss(Submission):
    @classmethod
    def setUpClass(cls):
        cls.inner = [Postfix(cls), Postfix(cls)]
        cls.relais = harness.Gateway(
            cls, [p.port for p in cls.inner], *sasl_lines(cls),
            "message_size_limit 30000000", workers=4, daemon=harness.SMTPSD)

    def setUp(self):
        self.kills = collections.Counter()
        self.count = 0          # of messages

    def tearDown(self):
        pass

    # who is killed

    def kill(self, what, pids, rng):
        if pids:
            try:
                os.kill(rng.choice(pids), signal.SIGKILL)
                self.kills[what] += 1
            except ProcessLookupError:
                pass            # it has ended by itself

    def disturb(self, rng):
        """One thing that goes wrong."""
        inner = rng.choice(self.inner)
        what = rng.choices(("worker", "smtpd", "power", "stop"),
                           (4, 5, 1, 1))[0]
        if what == "worker":
            self.kill(what, self.relais.pids("worker"), rng)
        elif what == "smtpd":
            self.kill(what, inner.servers(), rng)
        else:
            inner.stop(signal.SIGTERM if what == "stop" else signal.SIGKILL)
            self.kills[what] += 1
            time.sleep(rng.uniform(0.2, 1))
            inner.start()

    def send_all(self, rng):
        """{name: Try} of all tries."""
        work = list(enumerate(sizes(rng)))
        self.count = len(work)
        with multiprocessing.get_context("fork").Pool(CLIENTS) as pool:
            sent = pool.starmap_async(
                send_share, [(self.relais.ssl, rng.random(), work[i::CLIENTS])
                             for i in range(CLIENTS)], 1)
            while not sent.ready():
                self.disturb(rng)
                sent.wait(rng.uniform(0.2, 0.8))
            tries = sent.get()
        return {name: t for share in tries for name, t in share.items()}

    # what arrived

    def arrived(self):
        """{name of a try: {the inner server's id: digest of the body}}.

        By the id, for a Postfix that dies between a delivery and its note of
        it delivers again, which is its own affair."""
        found = collections.defaultdict(dict)
        for inner in self.inner:
            harness.wait_for(lambda i=inner: not i.undelivered(), 60,
                             "the inner queue to empty", 0.2)
            for octets in inner.messages():
                head, _, text = octets.partition(b"\r\n\r\n")
                name = re.search(rb"(?m)^X-Try: (\S+)", head).group(1)
                number = re.search(
                    rb"by inner\.example\.net \(Postfix\) with \S+ id (\w+)",
                    head).group(1)
                found[name.decode()][inner.port, number] = \
                    hashlib.sha256(text).hexdigest()
        return found

    def test_loss(self):
        print("RELAIS_LOSS_SEED=%d" % SEED, flush=True)
        rng = random.Random(SEED)
        tries = self.send_all(rng)
        arrived = self.arrived()
        self.assertEqual(set(arrived) - set(tries), set())
        ends = collections.Counter(t.end for t in tries.values())
        twice = 0
        for name, t in tries.items():
            copies = list(arrived[name].values())
            with self.subTest(name, end=t.end.value):
                if t.end is End.SENT:
                    self.assertEqual(copies, [t.digest])
                elif t.end is End.REFUSED:
                    self.assertEqual(copies, [])
                else:
                    self.assertIn(copies, ([], [t.digest]))
                    twice += len(copies)
        self.assertEqual(ends[End.SENT], self.count)
        print("%d messages; killed: %s; tries: %s; arrived though the reply "
              "was cut: %d" % (
                  self.count, dict(self.kills),
                  {e.value: n for e, n in ends.items()}, twice), flush=True)


if __name__ == "__main__":
    main()
