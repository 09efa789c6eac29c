# SPDX-License-Identifier: ISC
"""Deletions are committed by QUIT, and only by QUIT (RFC 1939 6): whoever
vanishes behind a DELE, and however, loses nothing."""

import os
import re
import signal
import socket
import ssl
import struct
import subprocess

import harness
from case import TestCase, main
from certs import certificates
from client import Pop3Client
from harness import wait_for
from inner import Dovecot

USER, PASSWORD = "alice", "secret"
# each of another size, which tells what is there without reading it all
SMALL = [b"Subject: small\r\n\r\n%s\r\n" % (b"x" * n) for n in range(1, 6)]
# more than what the kernel keeps between three processes
LARGE = b"Subject: large\r\n\r\n" + b"0123456789abcdef" * 600000 + b"\r\n"
LIST = SMALL + [LARGE]
LAST = len(LIST)
ALL = sorted(map(len, LIST))

TRIES, QUITS = 100, 20


class Program(Pop3Client):
    """A client that is a process of its own, and can be killed."""

    def __init__(self, case, port):
        # the usual client at the near end of a socket, openssl at the other
        self.sock, far = socket.socketpair()
        self.sock.settimeout(20 * harness.SLOW)
        self.buffer = bytearray()
        with far:
            self.process = subprocess.Popen(
                ["openssl", "s_client", "-quiet", "-nocommands",
                 "-verify_return_error", "-CAfile", certificates().ca.cert,
                 "-connect", "127.0.0.1:%d" % port],
                stdin=far, stdout=far, stderr=subprocess.DEVNULL)
        case.addCleanup(self.end)
        self.greet()

    def end(self):
        self.process.kill()
        self.process.wait()
        self.close()


# --- when it vanishes: each takes a client that has logged in ---------------

def answered(c):
    """A DELE has been answered."""
    assert c.cmd("DELE 1").startswith("+OK")


def not_answered(c):
    """It has not yet."""
    c.send("DELE 1\r\n")


def all_of_them(c):
    """None is left, as far as this session is concerned."""
    c.send("".join("DELE %d\r\n" % n for n in range(1, LAST + 1)))
    for _ in range(LAST):
        assert c.line().startswith("+OK")
    assert c.cmd("STAT") == "+OK 0 0"


def amid_a_message(c):
    """Much is on its way to the client, which has stopped to read."""
    assert c.cmd("DELE 1").startswith("+OK")
    assert c.cmd("RETR %d" % LAST).startswith("+OK")
    c.read(1000)


def behind_other_commands(c):
    """The session went on behind the DELE."""
    c.send("DELE 2\r\nNOOP\r\nUIDL 3\r\nLIST 4\r\n")
    for _ in range(4):
        assert c.line().startswith("+OK")
    c.send("STAT\r\nTOP 3 0\r\n")


MOMENTS = (answered, not_answered, all_of_them, amid_a_message,
           behind_other_commands)


# --- how it vanishes ---------------------------------------------------------

def close(c, _):
    c.close()


def reset(c, _):
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                      struct.pack("ii", 1, 0))
    c.close()


def tls_goodbye(c, _):
    """TLS ends in good order, POP3 does not."""
    try:
        c.sock.unwrap()
    except (OSError, ssl.SSLError):
        pass                    # what had come before the other side's
    c.close()


def half_close(c, _):
    """Nothing more from here, but all that is said is taken."""
    c.sock.shutdown(socket.SHUT_WR)
    c.rest()
    c.close()


def half_a_word(c, _):
    c.send("QUI")
    c.close()


def no_end_of_line(c, _):
    c.send("QUIT")
    c.sock.shutdown(socket.SHUT_WR)
    c.rest()
    c.close()


def killed(c, _):
    c.process.kill()
    c.process.wait()


def worker_killed(c, relais):
    """The daemon's process that serves it, which the log tells."""
    line = relais.wait_log(r"\[(\d+)\]: Auth: 127\.0\.0\.1:%d->"
                           % c.sock.getsockname()[1])
    os.kill(int(line.group(1)), signal.SIGKILL)
    c.rest()
    c.close()


def daemon_ended(c, relais):
    relais.stop()
    c.rest()
    c.close()


def silent(c, _):
    """Until the daemon has enough of it."""
    c.rest()
    c.close()


WAYS = (close, reset, tls_goodbye, half_close, half_a_word, no_end_of_line,
        killed, worker_killed)


class Deletion(TestCase):
    kind = Pop3Client

    @classmethod
    def setUpClass(cls):
        cls.dovecot = Dovecot(cls, users={USER: PASSWORD})
        # a worker that dies again and again is replaced ever more slowly
        cls.relais = harness.Gateway(cls, cls.dovecot.pop3_port, workers=6,
                                     daemon=harness.POP3SD)

    def setUp(self):
        for part in ("new", "cur"):
            path = os.path.join(self.dovecot.maildir(USER), part)
            for name in os.listdir(path):
                os.unlink(os.path.join(path, name))
        for one in LIST:
            self.dovecot.deliver(USER, one)

    def left(self):
        """The sizes of the messages that are there."""
        found = []
        for part in ("new", "cur"):
            path = os.path.join(self.dovecot.maildir(USER), part)
            found += [os.path.getsize(os.path.join(path, name))
                      for name in os.listdir(path)]
        return sorted(found)

    def ends(self):
        """How each session ended, as Dovecot has it."""
        with open(os.path.join(self.dovecot.folder, "dovecot.log")) as f:
            return re.findall(r"pop3\(%s\).*: Info: Disconnected: (.*) top="
                              % USER, f.read())

    def ended(self, before):
        """Wait for one more, and give how it ended."""
        return wait_for(lambda: self.ends()[before:], 10,
                        "the inner session's end")

    def logged_in(self, c):
        reply = c.login(USER, PASSWORD)
        self.assertTrue(reply.startswith("+OK"), reply)
        return c


class Vanishing(Deletion):
    def vanish(self, way, moment, tls=True, relais=None):
        """One try; what the inner server makes of it."""
        relais = relais or self.relais
        port = relais.ssl if tls else relais.plain
        before = len(self.ends())
        c = (Program(self, port) if way is killed else
             self.connect(port, tls))
        moment(self.logged_in(c))
        way(c, relais)
        for how in self.ended(before):
            self.assertNotIn("Logged out", how)
        self.assertEqual(self.left(), ALL)

    def test_100_tries(self):
        done = set()
        for n in range(TRIES):
            # 8 and 5 have no common factor: each with each
            way, moment = WAYS[n % len(WAYS)], MOMENTS[n % len(MOMENTS)]
            done.add((way, moment))
            with self.subTest(n=n, way=way.__name__,
                              moment=moment.__name__):
                self.vanish(way, moment)
        self.assertEqual(len(done), len(WAYS) * len(MOMENTS))

    def test_without_tls(self):
        for way in (close, reset, half_close, half_a_word, no_end_of_line):
            for moment in MOMENTS:
                with self.subTest(way=way.__name__, moment=moment.__name__):
                    self.vanish(way, moment, tls=False)

    def test_the_daemon_ends(self):
        """Its own end is no reason either."""
        relais = harness.Gateway(self, self.dovecot.pop3_port,
                                 daemon=harness.POP3SD)
        self.vanish(daemon_ended, answered, relais=relais)

    def test_the_time_is_over(self):
        relais = harness.Gateway(self, self.dovecot.pop3_port, "timeout 1",
                                 daemon=harness.POP3SD)
        self.vanish(silent, answered, relais=relais)


class Quit(Deletion):
    LOGIN = "USER %s\r\nPASS %s\r\n" % (USER, PASSWORD)
    # what is sent in one segment each; the last one ends with QUIT
    DIALOGUES = (
        (LOGIN, "DELE 1\r\n", "QUIT\r\n"),
        (LOGIN, "DELE 1\r\nQUIT\r\n"),
        (LOGIN + "DELE 1\r\nQUIT\r\n",),
        (LOGIN, "DELE 1\r\nQU", "IT\r\n"),
        (LOGIN, "DELE 1\r\nRETR %d\r\nQUIT\r\n" % LAST),
    )

    def talk(self, c, dialogue):
        """Say it all; what came back until the connection ended, as lines."""
        for segment in dialogue[:-1]:
            c.send(segment)
            for _ in range(segment.count("\r\n")):
                self.assertTrue(c.line().startswith("+OK"))
        c.send(dialogue[-1])
        data = bytearray(c.buffer)
        while True:
            more = c.sock.recv(1 << 20)
            if not more:
                return bytes(data).split(b"\r\n")
            data += more

    def test_20_tries(self):
        ports = ((self.relais.ssl, False), (self.relais.starttls, True))
        for n in range(QUITS):
            dialogue = self.DIALOGUES[n % len(self.DIALOGUES)]
            port, stls = ports[n % len(ports)]
            with self.subTest(n=n, dialogue=dialogue, stls=stls):
                c = self.connect(port, not stls)
                if stls:
                    c.starttls()
                # an end without TLS's own goodbye is an error then
                c.sock.suppress_ragged_eofs = False
                lines = self.talk(c, dialogue)
                self.assertEqual(
                    lines[-2:], [b"+OK Logging out, messages deleted.", b""])
                # at this moment: Dovecot has answered when it was done
                now = self.left()
                self.assertEqual(len(now), LAST - 1)
                self.dovecot.deliver(
                    USER, next(one for one in LIST if len(one) not in now))

    def test_half_closed_behind_it(self):
        """It was said, and so it counts."""
        for port, tls in ((self.relais.ssl, True), (self.relais.plain,
                                                    False)):
            before = len(self.ends())
            c = self.logged_in(self.connect(port, tls))
            c.send("DELE 1\r\nQUIT\r\n")
            c.sock.shutdown(socket.SHUT_WR)
            rest = c.rest()
            if not tls:         # else it is TLS's octets, out of its hands
                self.assertTrue(rest.endswith("+OK Logging out, messages "
                                              "deleted.\r\n"), rest)
            self.assertEqual(self.ended(before), ["Logged out"])
        self.assertEqual(len(self.left()), LAST - 2)

    def test_undone(self):
        """RSET takes a DELE back, and QUIT then commits nothing."""
        c = self.logged_in(self.connect(self.relais.ssl, True))
        for command in ("DELE 1", "RSET", "QUIT"):
            self.assertTrue(c.cmd(command).startswith("+OK"))
        self.assertEqual(c.rest(), "")
        self.assertEqual(self.left(), ALL)


if __name__ == "__main__":
    main()
