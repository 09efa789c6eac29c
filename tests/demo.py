#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make demo: the daemons in front of a real Dovecot and a real Postfix; a
message is sent through one of them and read through the others.

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
from client import (Client, Pop3Client, plain_message,  # noqa: E402
                    tls_context)
from inner import Dovecot, StandIn  # noqa: E402
from postfix import Postfix  # noqa: E402
from submission import SmtpClient, SmtpScript, sasl_lines  # noqa: E402

USER, PASSWORD = "alice", "wonderland"
PLAIN = plain_message(USER, PASSWORD)
SENDER, RECIPIENT = "alice@example.org", "alice@example.net"

MAIL = """\
From: Alice <alice@example.org>
To: Alice <alice@example.net>
Subject: Croquet
Date: Tue, 03 Mar 2026 10:00:00 +0000
Message-ID: <flamingo@example.org>

Bring your own flamingo.
"""


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
    for secret in PASSWORD, PLAIN:
        command = command.replace(secret, "********")
    say(("   C: " + command).rstrip())


def heard(*texts):
    for text in texts:
        for line in text.splitlines() or [""]:
            say(("   S: " + shorten(line)).rstrip())


class Delivery(SmtpScript):
    """An inner relay for those who are not root, as Postfix wants to be."""

    def __init__(self, dovecot):
        super().__init__()
        self.dovecot = dovecot

    def take(self, peer, octets):
        self.dovecot.deliver(USER, octets)


def inner_relay(stack, dovecot):
    """What brings mail into the mailbox that Dovecot serves."""
    if harness.ROOT:
        return Postfix(stack, maildir=dovecot.maildir(USER))
    return StandIn(stack, Delivery(dovecot))


class Daemon:
    """One of ours before an inner server's port; what differs is its
    protocol's."""

    def __init__(self, stack, port, *lines):
        self.relais = harness.Gateway(stack, port, *lines,
                                      daemon=self.program)

    def show_processes(self):
        name = self.relais.name
        say("   %s: 127.0.0.1:%d (TLS), 127.0.0.1:%d (%s)"
            % (name, self.relais.ssl, self.relais.starttls, self.starttls))
        for pid, (role, n) in sorted(self.relais.processes().items(),
                                     key=lambda item: item[1]):
            say("   %7d  %s: %s%s" % (pid, name, role, n and " %d" % n or ""))

    def show_dialogue(self):
        """Log in over TLS and do what this daemon is for, all printed."""
        context = tls_context(alpn=[self.alpn])
        with self.client(self.relais.ssl, context=context,
                         name="localhost") as c:
            say("   (%s, %s)" % (c.sock.version(), c.sock.cipher()[0]))
            self.greet(c)
            for command in self.commands:
                if not self.ask(c, command):
                    raise SystemExit("%s did not go through"
                                     % command.split()[0])

    @staticmethod
    def greet(client):
        heard(client.greet())

    def show_log(self):
        """From the first line of the session to its last."""
        first, last = self.log_lines
        self.relais.wait_log(last)
        lines = self.relais.log()
        begin = max(n for n, line in enumerate(lines) if first in line)
        for line in lines[begin:]:
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


class Smtpsd(Daemon):
    program = harness.SMTPSD
    protocol, starttls, alpn, client = "SMTP", "STARTTLS", "smtp", SmtpClient
    log_lines = (": connect from ", ": disconnect from ")
    commands = ("EHLO client.example.net", "AUTH PLAIN " + PLAIN,
                "MAIL FROM:<%s>" % SENDER, "RCPT TO:<%s>" % RECIPIENT,
                "DATA", "QUIT")

    def __init__(self, stack, port, *lines):
        super().__init__(stack, port, *lines, *sasl_lines(
            stack, users={USER: PASSWORD}))

    @staticmethod
    def heard(code, texts):
        for n, text in enumerate(texts, 1):
            heard("%d%s%s" % (code, " " if n == len(texts) else "-", text))

    @classmethod
    def greet(cls, client):
        cls.heard(*client.greet())

    @classmethod
    def ask(cls, client, command):
        """One command, and its answer; was it a good one?"""
        said(command)
        reply = client.cmd(command)
        cls.heard(*reply)
        if reply[0] == 354:
            for line in MAIL.splitlines() + ["."]:
                said(line)
            reply = client.message(MAIL.replace("\n", "\r\n").encode())
            cls.heard(*reply)
        return reply[0] < 400

    def show_way_in(self):
        say("   SMTP: host localhost, port %d (TLS)" % self.relais.ssl)
        say("   printf 'Subject: hello\\r\\n\\r\\n' | curl --cacert %s \\\n"
            "       -u %s:%s --mail-from %s \\\n       --mail-rcpt %s -T - "
            "'smtps://localhost:%d'"
            % (certificates().ca.cert, USER, PASSWORD, SENDER, RECIPIENT,
               self.relais.ssl))
        say()


class Imapsd(Daemon):
    program = harness.IMAPSD
    log_lines = ("Connect: ", "Closing session: ")
    protocol, starttls, alpn, client = "IMAP", "STARTTLS", "imap", Client
    scheme, message = "imaps", "INBOX;MAILINDEX=1"
    commands = ("LOGIN %s %s" % (USER, PASSWORD), "SELECT INBOX",
                "FETCH 1 BODY[]", "LOGOUT")

    @staticmethod
    def ask(client, command):
        """The same."""
        tag = client.tag()
        said("%s %s" % (tag, command))
        client.send("%s %s\r\n" % (tag, command))
        reply = client.answer(tag)
        heard(*reply.untagged, "%s %s %s" % (tag, reply.status, reply.text))
        return reply.status == "OK"


class Pop3sd(Daemon):
    program, log_lines = harness.POP3SD, Imapsd.log_lines
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


DAEMONS = (Smtpsd, Imapsd, Pop3sd)


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
        note("1. Inner servers, in clear text: Dovecot with one mailbox, and "
             "what delivers into it")
        dovecot = Dovecot(stack, users={USER: PASSWORD})
        ports = (inner_relay(stack, dovecot).port, dovecot.port,
                 dovecot.pop3_port)
        say("   127.0.0.1:%d (SMTP), 127.0.0.1:%d (IMAP), 127.0.0.1:%d (POP3)"
            % ports)

        note("2. In front of them: smtpsd, imapsd and pop3sd, with a "
             "certificate made just now")
        daemons = [daemon(stack, port, *users)
                   for daemon, port in zip(DAEMONS, ports)]
        for daemon in daemons:
            daemon.show_processes()

        smtpsd, *readers = daemons
        note("3. A client logs in over TLS and sends a message, by SMTP")
        smtpsd.show_dialogue()
        harness.wait_for(lambda: dovecot.messages(USER), what="the message")

        for number, daemon in enumerate(readers, 4):
            note("%d. It logs in and reads it, by %s"
                 % (number, daemon.protocol))
            daemon.show_dialogue()

        note("6. What the log says")
        for daemon in daemons:
            daemon.show_log()

        if not os.environ.get("ONCE"):
            note("7. Your turn: user %s, password %s" % (USER, PASSWORD))
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
