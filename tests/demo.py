#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make demo: imapsd in front of a real Dovecot, and a client that reads its
mail through it.

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
from client import Client, tls_context  # noqa: E402
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


def show_dialogue(port):
    """Log in over TLS and read a message, the dialogue printed."""
    context = tls_context()
    context.set_alpn_protocols(["imap"])
    with Client(port, context=context, name="localhost") as c:
        say("   (%s, %s)" % (c.sock.version(), c.sock.cipher()[0]))
        say("   S: " + shorten(c.line()))
        for tag, command, hidden in (
                ("1", "LOGIN %s %s" % (USER, PASSWORD), PASSWORD),
                ("2", "SELECT INBOX", None),
                ("3", "FETCH 1 BODY[]", None),
                ("4", "LOGOUT", None)):
            shown = command.replace(hidden, "********") if hidden else command
            say("   C: %s %s" % (tag, shown))
            c.send("%s %s\r\n" % (tag, command))
            reply = c.answer(tag)
            if reply.status != "OK":
                raise SystemExit("the inner server said: %r" % (reply,))
            for line in "\r\n".join(reply.untagged).split("\r\n"):
                if line:
                    say("   S: " + shorten(line))
            say("   S: " + shorten("%s %s %s" % (tag, reply.status,
                                                 reply.text)))


def shorten(line, width=70):
    return line if len(line) <= width else line[:width - 4] + " ..."


def main():
    if not os.access(harness.IMAPSD, os.X_OK):
        sys.exit("%s is not there: run 'make' first" % harness.IMAPSD)
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
        say("   127.0.0.1:%d" % dovecot.port)

        note("2. In front of it: imapsd, with a certificate made just now")
        relais = harness.Gateway(stack, dovecot.port, *users)
        say("   127.0.0.1:%d (TLS), 127.0.0.1:%d (STARTTLS); its processes:"
            % (relais.ssl, relais.starttls))
        for pid, (role, n) in sorted(relais.processes().items(),
                                     key=lambda item: item[1]):
            say("   %7d  imapsd: %s%s" % (pid, role, n and " %d" % n or ""))

        note("3. A client logs in over TLS and reads a message")
        show_dialogue(relais.ssl)

        note("4. What the log says")
        relais.wait_log("Closing session: ")
        for line in relais.log()[-3:]:
            say("   " + line)

        if not os.environ.get("ONCE"):
            ca = certificates().ca.cert
            note("5. Your turn")
            say("   host localhost, port %d (TLS), user %s, password %s"
                % (relais.ssl, USER, PASSWORD))
            say()
            say("   curl --cacert %s -u %s:%s \\\n"
                "       'imaps://localhost:%d/INBOX;MAILINDEX=1'"
                % (ca, USER, PASSWORD, relais.ssl))
            say("   openssl s_client -quiet -crlf -CAfile %s \\\n"
                "       -connect localhost:%d" % (ca, relais.ssl))
            say()
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
