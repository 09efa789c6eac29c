# SPDX-License-Identifier: ISC
"""What is measured: the cases, in the order in which they are shown.

A case is a load (see mailload's usage) on a service, and what the subject's
processor time, or its memory, is divided by."""

import fnmatch


class Case:
    """One row of the table."""

    unit, scale, divisor = "us", 1e6, "ok"      # per session
    digits = 0
    reference = "haproxy"       # whom the others are compared with

    def __init__(self, title, service, load, key="ec", only=None,
                 relais="", workers=2):
        self.title = title
        self.service = service
        self.load = load
        self.key = key              # of the certificate
        self.only = only            # subjects, where not all
        self.relais = relais        # further directives for Relais
        self.workers = workers      # of Relais

    def value(self, out):
        """The figure, from what measure() brought together."""
        done = out[self.divisor]
        return out["cpu"] * self.scale / done if done else None


class Each(Case):
    """Processor time for each message."""
    divisor = "messages"


class Bulk(Case):
    """Processor time for a GiB."""
    unit, scale, divisor, digits = "s/GiB", 2.0 ** 30, "bytes", 2


class Held(Case):
    """Memory of a session that stays."""
    unit, digits = "KiB", 1

    # what others do meanwhile, where that is measured too
    beside = None

    def value(self, out):
        return out["memory"] / out["held"] if out["held"] else None


class Slowest(Case):
    """The slowest of the honest logins."""
    unit, digits = "ms", 1

    def value(self, out):
        return out["p99_ms"] if out["logins"] else None


class Single(Case):
    """Each client has a process of its own, as it has in Perdition."""
    reference = "perdition"


class Growth(Held):
    """The same amount of work beside ever more held sessions."""
    beside = "-m login -n 500 -c 8"


LOGIN = "-m login -n 20000 -c 16 -d 1"
RESUME = "-m resume -n 20000 -c 16 -d 1"
BULK = " -n 4 -c 4 -k 64 -s 1024"
STORM = "-m storm -n 1000 -c 4 -o 10 -z "
SINGLE = "worker_connections 1\nworkers 24\n"

CASES = {
    "imap-login": Case("IMAP login, full handshake", "imaps", LOGIN),
    "imap-resume": Case("IMAP login, resumed, TLS 1.3", "imaps", RESUME),
    "imap-resume-tls12": Case("IMAP login, resumed, TLS 1.2", "imaps",
                              RESUME + " -V 1.2"),
    "imap-login-rsa": Case("IMAP login, RSA-2048", "imaps", LOGIN, key="rsa"),
    "pop3-login": Case("POP3 login", "pop3s", LOGIN),
    "smtp-login": Case("SMTP login", "smtps", LOGIN),
    "smtp-resume": Case("SMTP login, resumed", "smtps", RESUME),
    "imap-login-single": Single("IMAP login, a process each", "imaps",
                                "-m login -n 20000 -c 4 -d 2",
                                only=("relais", "perdition"), relais=SINGLE),
    "imap-fetch": Bulk("IMAP fetch", "imaps", "-m fetch" + BULK),
    "pop3-fetch": Bulk("POP3 fetch", "pop3s", "-m fetch" + BULK),
    "imap-fetch-8k": Each("IMAP fetch, 8 KiB messages", "imaps",
                          "-m fetch -n 4 -c 4 -k 400 -s 8"),
    "imap-append": Bulk("IMAP append", "imaps", "-m send" + BULK),
    "smtp-send-4k": Each("SMTP, 4 KiB messages", "smtps",
                         "-m send -n 400 -c 8 -k 10 -s 4 -d 3"),
    "smtp-send-1m": Bulk("SMTP, 1 MiB messages", "smtps", "-m send" + BULK),
    "imap-idle": Held("idle IMAP session", "imaps", "-m idle -n 1000"),
    "imap-storm-tcp": Slowest("slowest of 50 logins, 1,000 silent by TCP",
                              "imaps", STORM + "tcp"),
    "imap-storm-tls": Slowest("slowest of 50 logins, 1,000 silent by TLS",
                              "imaps", STORM + "tls"),
}

GROWTH = {}
for _n in 1, 10, 100, 1000, 9000:
    GROWTH["sessions-%d" % _n] = Growth("sessions: %d" % _n, "imaps",
                                        "-m idle -n %d" % _n)
for _n in 1, 2, 4:
    GROWTH["workers-%d" % _n] = Growth("workers: %d, sessions: 100" % _n,
                                       "imaps", "-m idle -n 100",
                                       only=("relais",), workers=_n)


def choose(table, words):
    """The cases that a list of patterns names, all where there is none."""
    patterns = words.replace(",", " ").split() or ["*"]
    chosen = {name: case for name, case in table.items()
              if any(fnmatch.fnmatch(name, p) for p in patterns)}
    if not chosen:
        raise SystemExit("no such case; there are: " + " ".join(table))
    return chosen
