#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make demo: the daemons in front of a real Dovecot, and clients that read
their mail through them.

Everything lives in folders under /tmp, listens on the loopback interface, on
ports that were free, and is gone at the end: after Ctrl-C, or, with ONCE=1 in
the environment, after the showing."""

import contextlib
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "e2e"))
import harness  # noqa: E402  the path comes first
from certs import certificates  # noqa: E402
from client import Client, Pop3Client, tls_context  # noqa: E402
from inner import Dovecot  # noqa: E402

USER, PASSWORD = "alice", "wonderland"

MAIL = [b"""\
From: The White Rabbit <rabbit@example.test>
To: Alice <alice@example.test>
Subject: You are late
Date: Mon, 02 Mar 2026 09:00:00 +0000

Oh dear! Oh dear! I shall be too late!
""", b"""\
From: The Queen <queen@example.test>
To: Alice <alice@example.test>
Subject: Croquet
Date: Tue, 03 Mar 2026 10:00:00 +0000

Bring your own flamingo.
"""]


class Stack(contextlib.ExitStack):
    """Undoes in reverse order, under the name that a test has for it."""
    addCleanup = contextlib.ExitStack.callback


def say(text=""):
    print(text, flush=True)


def note(text):
    say("\033[1m%s\033[0m" % text if sys.stdout.isatty() else text)


def shorten(line, width=70):
    return line if len(line) <= width else line[:width - 4] + " ..."


def said(command):
    say("   C: " + command.replace(PASSWORD, "********"))


def heard(*texts):
    for text in texts:
        for line in text.splitlines() or [""]:
            say(("   S: " + shorten(line)).rstrip())


class Daemon:
    """One of ours before the Dovecot; what differs is its protocol's."""

    def __init__(self, stack, dovecot, *lines):
        self.relais = harness.Gateway(stack, getattr(dovecot, self.inner),
                                      *lines, daemon=self.program)

    def show_processes(self):
        name = self.relais.name
        say("   %s: 127.0.0.1:%d (TLS), 127.0.0.1:%d (%s)"
            % (name, self.relais.ssl, self.relais.starttls, self.starttls))
        for pid, (role, n) in sorted(self.relais.processes().items(),
                                     key=lambda item: item[1]):
            say("   %7d  %s: %s%s" % (pid, name, role, n and " %d" % n or ""))

    def show_dialogue(self):
        """Log in over TLS and read a message, the dialogue printed."""
        context = tls_context(alpn=[self.alpn])
        with self.client(self.relais.ssl, context=context,
                         name="localhost") as c:
            say("   (%s, %s)" % (c.sock.version(), c.sock.cipher()[0]))
            heard(c.greet())
            for command in self.commands:
                if not self.ask(c, command):
                    raise SystemExit("%s did not go through"
                                     % command.split()[0])

    def show_log(self):
        self.relais.wait_log("Closing session: ")
        for line in self.relais.log()[-3:]:
            say("   " + line)

    def show_way_in(self):
        ca = certificates().ca.cert
        say("   %s: host localhost, port %d (TLS)"
            % (self.protocol, self.relais.ssl))
        say("   curl --cacert %s -u %s:%s \\\n       '%s://localhost:%d/%s'"
            % (ca, USER, PASSWORD, self.scheme, self.relais.ssl,
               self.message))
        say("   openssl s_client -quiet -crlf -CAfile %s \\\n"
            "       -connect localhost:%d" % (ca, self.relais.ssl))
        say()


class Imapsd(Daemon):
    program, inner = harness.IMAPSD, "port"
    protocol, starttls, alpn, client = "IMAP", "STARTTLS", "imap", Client
    scheme, message = "imaps", "INBOX;MAILINDEX=1"
    commands = ("LOGIN %s %s" % (USER, PASSWORD), "SELECT INBOX",
                "FETCH 1 BODY[]", "LOGOUT")

    @staticmethod
    def ask(client, command):
        """One command, and its answer; was it a good one?"""
        tag = client.tag()
        said("%s %s" % (tag, command))
        client.send("%s %s\r\n" % (tag, command))
        reply = client.answer(tag)
        heard(*reply.untagged, "%s %s %s" % (tag, reply.status, reply.text))
        return reply.status == "OK"


class Pop3sd(Daemon):
    program, inner = harness.POP3SD, "pop3_port"
    protocol, starttls, alpn, client = "POP3", "STLS", "pop3", Pop3Client
    scheme, message = "pop3s", "1"
    commands = ("USER " + USER, "PASS " + PASSWORD, "STAT", "RETR 1", "QUIT")

    @staticmethod
    def ask(client, command):
        """The same."""
        said(command)
        reply = client.cmd(command)
        heard(reply)
        good = reply.startswith("+OK")
        if good and command.startswith("RETR"):
            heard(*client.listing(), ".")
        return good


DAEMONS = (Imapsd, Pop3sd)


def main():
    for daemon in DAEMONS:
        if not os.access(daemon.program, os.X_OK):
            sys.exit("%s is not there: run 'make' first" % daemon.program)
    # The demo's children become nobody: no user is made for it.
    os.environ[harness.USERS_READY] = "1"
    users = (("username nobody", "daemon_username nobody")
             if harness.ROOT else ())
    signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))

    with Stack() as stack:
        note("1. An inner mail server: Dovecot, clear text, one user")
        dovecot = Dovecot(stack, users={USER: PASSWORD})
        for message in MAIL:
            dovecot.deliver(USER, message)
        say("   127.0.0.1:%d (IMAP), 127.0.0.1:%d (POP3)"
            % (dovecot.port, dovecot.pop3_port))

        note("2. In front of it: imapsd and pop3sd, with a certificate made "
             "just now")
        daemons = [daemon(stack, dovecot, *users) for daemon in DAEMONS]
        for daemon in daemons:
            daemon.show_processes()

        for number, daemon in enumerate(daemons, 3):
            note("%d. A client logs in over TLS and reads a message, by %s"
                 % (number, daemon.protocol))
            daemon.show_dialogue()

        note("5. What the log says")
        for daemon in daemons:
            daemon.show_log()

        if not os.environ.get("ONCE"):
            note("6. Your turn: user %s, password %s" % (USER, PASSWORD))
            for daemon in daemons:
                daemon.show_way_in()
            say("   Ctrl-C ends it all.")
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            say()
        note("Ending; nothing is left behind.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
