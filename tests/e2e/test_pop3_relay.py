# SPDX-License-Identifier: ISC
"""After the login, and the end: octets as they are, and a QUIT that only the
client says, for it commits the deletions (RFC 1939 6)."""

import os
import re
import signal
import socket
import ssl
import struct
import threading
import time

import harness
from case import Pop3Case, TestCase, main
from client import Connection, Pop3Client, plain_message, tls_context
from harness import wait_for
from inner import Pop3Script, StandIn

ALL_OCTETS = bytes(range(256))
MAIL = (b"+OK 12 octets\r\n..\r\n.\r\n...dots\r\n\r\n.\n.\r.\r\n\0\xff\xfe" +
        b"\r\n" + "\u00e9\u20ac".encode() + b"\r\n" + ALL_OCTETS * 4 +
        b"x" * 10000 + b"\r\n.\r\n")


class Hears(Pop3Script):
    """Notes all that comes after the login, and how it ended."""

    def __init__(self, **changes):
        super().__init__(**changes)
        self.heard = []         # (octets, how it ended), of each session

    def session(self, peer):
        data, end = bytes(peer.buffer), "EOF"
        peer.buffer.clear()
        try:
            while True:
                more = peer.sock.recv(65536)
                if not more:
                    break
                data += more
                self.answer(peer, data)
        except OSError as e:
            end = type(e).__name__
        self.heard.append((data, end))

    def answer(self, peer, data):
        """A reply to what came, if any."""


class Holds(Hears):
    """Stalls at one step of the login, and hears the end there."""

    def __init__(self, step):
        super().__init__()
        self.step = step
        self.reached = threading.Event()

    def wait_here(self, peer):
        self.reached.set()
        self.session(peer)
        raise EOFError

    def greet(self, peer):
        if self.step == "greeting":
            self.wait_here(peer)
        super().greet(peer)

    def command(self, peer, verb, args):
        if self.step == verb:
            self.wait_here(peer)
        return super().command(peer, verb, args)

    def login(self, peer, *args):
        if self.step == "message":
            self.wait_here(peer)
        return super().login(peer, *args)


def shut(c):
    """Close the connection under TLS, as a machine does that is cut off."""
    c.sock.close()


def reset(c):
    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                      struct.pack("ii", 1, 0))
    c.sock.close()


def half(c):
    """No more to say, but it would listen."""
    c.sock.shutdown(socket.SHUT_WR)


WAYS = (shut, reset, half)


class Octets(Pop3Case):
    def both(self):
        """A client of each kind, logged in."""
        for port, tls in ((self.relais.ssl, True), (self.relais.plain, False)):
            c = self.connect(port, tls)
            self.assertYes(c.login())
            yield c

    def test_to_the_client(self):
        class Sends(Pop3Script):
            def session(self, peer):
                peer.line()
                peer.send(MAIL * 50)

        self.inner.script = Sends()
        for c in self.both():
            c.send("RETR 1\r\n")
            self.assertEqual(c.read(len(MAIL) * 50), MAIL * 50)
            self.assertEqual(c.rest(), "")

    def test_to_the_server(self):
        script = self.inner.script = Hears()
        for c in self.both():
            c.send(MAIL * 50)
            c.close()
            wait_for(lambda: script.heard, what="the end")
            self.assertEqual(script.heard.pop(), (MAIL * 50, "EOF"))

    def test_octet_by_octet(self):
        class Echoes(Hears):
            def answer(self, peer, data):
                peer.send(data[-1:])

        self.inner.script = Echoes()
        for c in self.both():
            for n in ALL_OCTETS:
                c.send(bytes([n]))
                self.assertEqual(c.read(1), bytes([n]))

    def test_both_ways_at_the_same_time(self):
        """20 MB each, neither waiting for the other."""
        size = 20000000
        sums = []

        class Floods(Pop3Script):
            def session(self, peer):
                t = threading.Thread(target=peer.send,
                                     args=(b"down" * (size // 4),))
                t.start()
                sums.append(peer.read(size) == b"up->" * (size // 4))
                t.join()

        self.inner.script = Floods()
        c = self.connect(self.relais.plain)
        self.assertYes(c.login())
        t = threading.Thread(target=c.send, args=(b"up->" * (size // 4),))
        t.start()
        self.assertTrue(c.read(size) == b"down" * (size // 4))
        t.join()
        wait_for(lambda: sums, what="the server to have it all")
        self.assertEqual(sums, [True])

    def test_octets_behind_the_answer(self):
        class Hasty(Pop3Script):
            def accept(self, peer):
                peer.send(b"+OK in\r\n+OK more\r\n.\r\n\0\xff")

        self.inner.script = Hasty()
        for c in self.both():
            self.assertEqual(c.read(15), b"+OK more\r\n.\r\n\0\xff")


class NoQuit(Pop3Case):
    """The inner server hears what the client said, and not an octet more."""
    lines = ("outgoing_timeout 3", "capability_refresh 3600")

    def setUp(self):
        super().setUp()
        self.tls()              # it has been asked for its list now, and
        wait_for(lambda: not self.inner.peers(), what="that to be over")
        self.inner.lines.clear()    # that connection did have a QUIT

    def gone(self, script, said, way):
        wait_for(lambda: script.heard, 5, "the inner connection to end")
        self.assertEqual([data for data, _ in script.heard], [said], way)

    def assertNoQuit(self):
        self.assertFalse([l for l in self.inner.lines
                          if re.match(rb"(?i)\s*quit", l)])

    def test_vanishing_after_the_login(self):
        for said in (b"", b"DELE 1\r\n", b"DELE 1\r\nDELE 2\r\nSTAT\r\n",
                     b"DELE 1\r\nQUI", b"DELE 1\r\nQUIT", b"DELE 1\r\nQUIT\r",
                     b"DELE 1\r\nRSET\r\n"):
            for way in WAYS:
                for port, tls in ((self.relais.ssl, True),
                                  (self.relais.plain, False)):
                    with self.subTest(said=said, way=way.__name__, tls=tls):
                        script = self.inner.script = Hears()
                        c = self.connect(port, tls)
                        self.assertYes(c.login())
                        c.send(said)
                        if way is reset:
                            time.sleep(0.1)     # it overtakes what was said
                        way(c)
                        self.gone(script, said, way)
        self.assertNoQuit()

    def test_vanishing_in_mid_login(self):
        """A reset is the end at once.  One that says no more may still
        listen: for as long as the inner server may take."""
        waiting = {}
        for step in ("greeting", "CAPA", "USER", "PASS", "AUTH", "message"):
            for way in WAYS:
                script = self.inner.script = Holds(step)
                c = self.tls()
                if step in ("AUTH", "message"):
                    c.send("AUTH PLAIN %s\r\n" % plain_message(
                        "alice", "secret", "carol"))
                else:
                    c.send("USER alice\r\nPASS secret\r\n")
                self.assertTrue(script.reached.wait(5 * harness.SLOW))
                way(c)
                waiting[step, way.__name__] = script
        for (step, way), script in waiting.items():
            with self.subTest(step=step, way=way):
                self.gone(script, b"", way)
        self.assertNoQuit()

    def test_vanishing_while_a_message_comes(self):
        class Big(Hears):
            def answer(self, peer, data):
                peer.send(b"+OK\r\n" + b"x" * 30000000)

        for way in WAYS[:2]:
            with self.subTest(way=way.__name__):
                script = self.inner.script = Big()
                c = self.tls()
                self.assertYes(c.login())
                c.send("RETR 1\r\n")
                c.read(100000)
                way(c)
                self.gone(script, b"RETR 1\r\n", way)
        self.assertNoQuit()

    def test_vanishing_during_the_delay(self):
        """A refused login's connection is closed at once, and silently."""
        mark = self.relais.mark()
        c = self.tls()
        c.send("USER alice\r\nPASS wrong\r\n")
        self.relais.wait_log("Auth: ", mark)
        wait_for(lambda: not self.inner.peers(), 5, "the inner end")
        c.close()
        self.assertNoQuit()

    def test_quit_before_login_is_not_told(self):
        before = self.inner.connections
        c = self.tls()
        self.assertYes(c.cmd("USER alice"))
        self.assertYes(c.cmd("QUIT"))
        self.assertEqual(self.inner.connections, before)
        self.assertNoQuit()

    def test_close_notify_without_quit(self):
        """The polite end of TLS is not the end of a POP3 session."""
        script = self.inner.script = Hears()
        c = self.tls()
        self.assertYes(c.login())
        c.send("DELE 1\r\n")
        try:
            c.sock.unwrap()
        except (OSError, ssl.SSLError):
            pass
        self.gone(script, b"DELE 1\r\n", "close_notify")

    def test_the_daemon_ends(self):
        """SIGTERM, and a worker's death: the same holds, and the client is
        told nothing that it could take for an answer."""
        def terminate(relais):
            relais.stop()

        def kill_workers(relais):
            for pid in relais.pids("worker"):
                os.kill(pid, signal.SIGKILL)

        for way in terminate, kill_workers:
            with self.subTest(way.__name__):
                script = self.inner.script = Hears()
                relais = harness.Gateway(self, self.inner.port,
                                         daemon=self.daemon)
                clients = [self.connect(relais.ssl, True),
                           self.connect(relais.plain)]
                for c in clients:
                    self.assertYes(c.login())
                    c.send("DELE 1\r\n")
                before = self.connect(relais.plain)
                time.sleep(0.2)
                way(relais)
                for c in clients:
                    self.assertEqual(c.rest(), "")
                said = before.rest()
                if way is terminate:    # that one is owed a word
                    self.assertNo(said.splitlines()[0], "SYS/TEMP")
                wait_for(lambda: len(script.heard) == 2, 5, "the inner ends")
                self.assertEqual([data for data, _ in script.heard],
                                 [b"DELE 1\r\n"] * 2)


class TheEnd(Pop3Case):
    def test_quit(self):
        """Its +OK says that the deletions are done: it must arrive."""
        for _ in range(20):
            for port, tls in ((self.relais.ssl, True),
                              (self.relais.plain, False)):
                c = self.connect(port, tls)
                self.assertYes(c.login())
                c.send("DELE 1\r\nQUIT\r\n")
                self.assertEqual(c.rest(),
                                 "+OK heard DELE 1\r\n+OK heard QUIT\r\n")

    def test_quit_and_more_behind_it(self):
        """The server leaves input unread, so its end is a reset."""
        for _ in range(10):
            c = self.tls()
            self.assertYes(c.login())
            c.send("QUIT\r\nNOOP\r\nNOOP\r\n")
            self.assertEqual(c.rest(), "+OK heard QUIT\r\n")

    def test_a_long_answer_and_a_slow_client(self):
        class Long(Pop3Script):
            def session(self, peer):
                peer.line()
                peer.send(b"x" * 8000000 + b"+OK bye\r\n")

        self.inner.script = Long()
        for port, tls in ((self.relais.ssl, True), (self.relais.plain, False)):
            c = self.connect(port, tls)
            self.assertYes(c.login())
            c.send("QUIT\r\n")
            time.sleep(0.5)     # the server has gone long since
            said = c.rest()
            self.assertEqual(len(said), 8000009)
            self.assertTrue(said.endswith("+OK bye\r\n"))

    def test_half_closed_by_the_client(self):
        """All is asked in one go, and the answers are listened for."""
        c = self.connect(self.relais.plain)
        self.assertYes(c.login())
        c.send("XONE\r\nDELE 1\r\nQUIT\r\n")
        half(c)
        self.assertEqual(c.rest(), "+OK heard XONE\r\n+OK heard DELE 1\r\n"
                         "+OK heard QUIT\r\n")

    def test_half_closed_before_the_login(self):
        """As a script does it: printf ... | nc."""
        c = self.connect(self.relais.plain)
        c.send("USER alice\r\nPASS secret\r\nXONE\r\nQUIT\r\n")
        half(c)
        lines = c.rest().splitlines()
        self.assertEqual(lines[-2:], ["+OK heard XONE", "+OK heard QUIT"])

    def test_half_closed_before_a_refusal(self):
        """What is held back for seconds is not lost by that."""
        c = self.connect(self.relais.plain)
        c.send("USER alice\r\nPASS wrong\r\nUSER alice\r\nPASS secret\r\n"
               "QUIT\r\n")
        half(c)
        lines = c.rest().splitlines()
        self.assertEqual(len(lines), 5, lines)
        self.assertNo(lines[1], "AUTH")
        self.assertEqual(lines[-1], "+OK heard QUIT")

    def test_half_closed_in_the_middle_of_a_command(self):
        """The rest will never come."""
        for said in "USER ali", "AUTH PLAIN\r\n", "AUTH PLAIN\r\nAGFs":
            with self.subTest(said=said):
                c = self.connect(self.relais.plain)
                c.send("XYZ\r\n" + said)
                half(c)
                began = time.monotonic()
                self.assertNo(c.rest().splitlines()[0])
                self.assertLess(time.monotonic() - began, 4 * harness.SLOW)

    def test_the_server_ends(self):
        class Leaves(Pop3Script):
            def session(self, peer):
                peer.line()

        self.inner.script = Leaves()
        mark = self.relais.mark()
        for port, tls in ((self.relais.ssl, True), (self.relais.plain, False)):
            c = self.connect(port, tls)
            self.assertYes(c.login())
            c.send("XONE\r\n")
            port = c.sock.getsockname()[1]
            self.assertEqual(c.rest(), "")
            c.close()
            self.relais.wait_log(r"Closing session: \S+:%d->" % port, mark)

    def test_the_server_dies(self):
        """A reset from it ends the session, too."""
        class Dies(Pop3Script):
            def session(self, peer):
                peer.line()
                peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                     struct.pack("ii", 1, 0))

        self.inner.script = Dies()
        c = self.tls()
        self.assertYes(c.login())
        c.send("XONE\r\n")
        self.assertEqual(c.rest(), "")


class Silence(Pop3Case):
    lines = ("timeout 2",)

    def test_of_both_sides(self):
        script = self.inner.script = Hears()
        for port, tls in ((self.relais.ssl, True), (self.relais.plain, False)):
            with self.subTest(tls=tls):
                mark = self.relais.mark()
                c = self.connect(port, tls)
                self.assertYes(c.login())
                c.send("DELE 1\r\n")
                began = time.monotonic()
                # no word of ours: it could be taken for DELE's answer
                self.assertEqual(c.rest(), "")
                seconds = time.monotonic() - began
                self.assertGreater(seconds, 1.5)
                self.assertLess(seconds, 3 + 2 * harness.SLOW)
                c.close()
                wait_for(lambda: script.heard, 5, "the inner end")
                self.assertEqual(script.heard.pop()[0], b"DELE 1\r\n")
                self.relais.wait_log("Closing session: ", mark)

    def test_by_default_it_may_last_ten_minutes(self):
        """RFC 1939 3."""
        path = harness.folder(self) + "/c"
        with open(path, "w") as f:
            f.write("listen 127.0.0.1:%d plain\noutgoing_server "
                    "127.0.0.1:%d\n" % (harness.free_port(),
                                        self.inner.port))
        _, text = harness.run_pop3sd("-f", path, "--print_config")
        m = re.search(r"^timeout (\d+)", text, re.M)
        self.assertIsNotNone(m, text)
        self.assertGreaterEqual(int(m.group(1)), 600)


class BeforeLogin(Pop3Case):
    lines = ("authenticate_timeout 2",)

    def test_silence(self):
        clients = []
        for port, tls in ((self.relais.ssl, True),
                          (self.relais.plain, False)):
            for said in "", "USER alice\r\n", "USER ali", "AUTH PLAIN\r\n":
                clients.append(self.connect(port, tls))
                clients[-1].send(said)
        began = time.monotonic()
        for c in clients:
            last = c.rest().splitlines()[-1]
            self.assertNo(last)
            self.assertNotIn("[AUTH]", last)
        self.assertLess(time.monotonic() - began, 3 + 2 * harness.SLOW)

    def test_over_after_login(self):
        c = self.tls()
        self.assertYes(c.login())
        time.sleep(3)           # longer than the limit before login
        self.assertEqual(c.cmd("XONE"), "+OK heard XONE")


class Alpn(TestCase):
    kind = Pop3Client

    @classmethod
    def setUpClass(cls):
        cls.relais = harness.Gateway(cls, StandIn(cls, Pop3Script()).port,
                                     daemon=harness.POP3SD)

    def test_pop3(self):
        for offer in (["pop3"], ["http/1.1", "pop3"], ["imap", "pop3"]):
            c = self.connect(self.relais.ssl, context=tls_context(alpn=offer))
            self.assertEqual(c.sock.selected_alpn_protocol(), "pop3")
            self.assertRegex(c.login(), r"^\+OK")

    def test_none(self):
        c = self.connect(self.relais.ssl, context=tls_context())
        self.assertIsNone(c.sock.selected_alpn_protocol())

    def test_with_stls(self):
        c = self.connect(self.relais.starttls)
        c.starttls(tls_context(alpn=["pop3"]))
        self.assertEqual(c.sock.selected_alpn_protocol(), "pop3")
        self.assertRegex(c.login(), r"^\+OK")

    def test_others_are_refused(self):
        for offer in (["http/1.1"], ["h2", "http/1.1"], ["imap"], ["pop"],
                      ["POP3"], ["pop3s"]):
            for version in ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3:
                with self.subTest(offer=offer, version=version):
                    with self.assertRaises((ssl.SSLError, OSError,
                                            EOFError)):
                        with Connection(self.relais.ssl, context=tls_context(
                                alpn=offer, version=version)) as c:
                            c.greet()


if __name__ == "__main__":
    main()
