# SPDX-License-Identifier: ISC
"""What a soak writes down: what was disturbed and when, what clients lost, and
whether the one explains the other."""

import collections
import contextlib
import threading
import time

# What a disturbance may cost, by the client's phase; all else costs nobody
# anything.  A worker takes its sessions along; a keeper the handshakes, and a
# broker or an authenticator the logins that it was in the middle of.  smtpsd
# asks the broker with the first MAIL, too, and before it greets.
COSTS = {
    "kill worker": {"connect", "login", "mail", "session", "control"},
    "kill keeper": {"connect"},
    "kill broker": {"connect", "login", "mail", "control"},
    "kill authenticator": {"login"},
    "kill nursery": {"control"},
    "kill metrics": {"metrics"},
    "kill control": {"control"},
    "reload": {"control"},
    # whoever stands still, or waits for one who does, does not answer
    "stop control": {"control"}, "stop broker": {"control"},
    "stop worker": {"control"}, "stop keeper": {"control"},
    "stop nursery": {"control"},
    "dovecot": {"login", "session"},
    "postfix": {"mail", "session"},
    "smtpd": {"mail", "session"},
    "saslauthd": {"login"},
}
INNER = {"dovecot": ("imapsd", "pop3sd"), "postfix": ("smtpsd",),
         "smtpd": ("smtpsd",), "saslauthd": ("smtpsd",)}
# An old process is one of its role, whose clients are in the same phases.
OLD = "old "
# Seconds after its end in which a disturbance still is felt.
FELT = 2


class Wrong(Exception):
    """What no disturbance explains: an octet, a lost message, a stranger let
    in."""


class Refused(Exception):
    """Not now."""


class Left(Exception):
    """A client has gone by itself."""


class Disturbance:
    def __init__(self, daemon, what):
        self.daemon, self.what = daemon, what
        self.began, self.ended = time.monotonic(), None

    def costs(self, daemon, phase):
        return (daemon in INNER.get(self.what, (self.daemon,)) and
                phase in COSTS.get(self.what.replace(OLD, ""), ()))

    def is_felt(self, since):
        return self.ended is None or self.ended + FELT >= since


class Book:
    def __init__(self):
        self.lock = threading.Lock()
        self.zero = time.monotonic()
        self.disturbances = []
        self.done = collections.Counter()   # what has gone well
        self.lost = collections.Counter()   # and what was lost, to whom
        self.slowest = collections.Counter()
        self.faults = []

    @contextlib.contextmanager
    def disturb(self, daemon, what):
        d = Disturbance(daemon, what)
        with self.lock:
            self.disturbances.append(d)
        try:
            yield
        finally:
            d.ended = time.monotonic()

    def count(self, what, n=1):
        with self.lock:
            self.done[what] += n

    def took(self, what, seconds):
        with self.lock:
            self.slowest[what] = max(self.slowest[what], seconds)

    def fault(self, who, text):
        """One that fails the soak, with what was done just before."""
        now = time.monotonic()
        with self.lock:
            near = ["%s %s %.1f s before" % (d.daemon, d.what, now - d.began)
                    for d in self.disturbances[-12:] if now - d.began < 15]
            self.faults.append("%7.1f s: %s: %s (%s)" % (
                now - self.zero, who, text, ", ".join(near)))
            print("fault: " + self.faults[-1], flush=True)

    def loses(self, who, daemon, phase, since, error):
        """A client of this daemon was cut or refused; since is when all was
        well for the last time."""
        with self.lock:
            cause = next((d for d in reversed(self.disturbances)
                          if d.costs(daemon, phase) and d.is_felt(since)),
                         None)
            if cause:
                self.lost["%s: %s by %s" % (daemon, phase, cause.what)] += 1
                return
        self.fault(who, "in %s after %.2f s: %s: %s" % (
            phase, time.monotonic() - since, type(error).__name__, error))
