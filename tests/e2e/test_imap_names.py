# SPDX-License-Identifier: ISC
"""An inner server that is given by name: the name moves to another address,
its name server is down, it does not exist, it has several addresses."""

import socket
import threading
import time

import harness
from case import timed
from harness import SLOW, free_port, wait_for
from inner import StandIn
from nameserver import Namespace, main

NAME = "mail.inner.test"
A, B, SILENT, NOBODY = "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.9"
TTL_LEAST = 5           # what the broker makes of a shorter one
SURELY = TTL_LEAST + 1.5  # after so many seconds it must ask again


class Inner(StandIn):
    """A stand-in at another address, at a port that is the same for all."""

    def __init__(self, case, host, port):
        self.host, self.wanted = host, port
        super().__init__(case)

    def start(self):
        self.port = self.wanted
        self.listener = socket.create_server((self.host, self.port))
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()


class Names(Namespace):
    def setUp(self):
        super().setUp()
        self.inner_port = free_port()
        self.a = Inner(self, A, self.inner_port)
        self.b = Inner(self, B, self.inner_port)

    def gateway(self, *servers):
        self.port = free_port()
        self.relais = harness.Relais(
            self, "listen 127.0.0.1:%d plain\noutgoing_server %s\n" % (
                self.port, ",".join("%s:%d" % (s, self.inner_port)
                                    for s in servers or (NAME,))),
            ports=(self.port,))
        return self.relais

    def login(self):
        """A client that has logged in, and the seconds that took."""
        c = self.connect(self.port)
        reply, seconds = timed(c.login)
        self.assertOK(reply)
        return c, seconds

    def move_to(self, address):
        self.dns.records[NAME] = [address]

    def served_by(self, inner, within):
        """Logins succeed all the time, and soon they go to that one."""
        before = len(inner.logins)
        end = time.monotonic() + within * SLOW
        while len(inner.logins) == before:
            self.assertLess(time.monotonic(), end,
                            "logins go on to the other")
            c, _ = self.login()
            c.close()
            time.sleep(0.05)


class Moves(Names):
    def test_it_is_found_where_it_went(self):
        self.move_to(A)
        self.gateway()
        stays, _ = self.login()
        self.assertEqual(len(self.a.logins), 1)
        self.move_to(B)
        asked = self.dns.questions
        self.served_by(self.b, SURELY)
        self.assertOK(stays.cmd("XONE"))    # who is inside stays where it is
        self.assertEqual(len(self.a.peers()), 1)
        at_a = len(self.a.logins)
        for _ in range(4):
            self.login()
        self.assertEqual(len(self.a.logins), at_a)
        # two questions each time, A and AAAA, and not for each login
        self.assertLessEqual(self.dns.questions - asked, 4)


class Long(Names):
    def test_over_tcp(self):
        """What does not fit into a datagram is asked for again."""
        self.move_to(A)
        self.dns.truncates = True
        self.gateway()
        self.login()
        self.assertEqual(len(self.a.logins), 1)
        self.assertGreater(self.dns.over_tcp, 0)
        self.assertEqual([l for l in self.relais.log() if "killed" in l], [])


class Down(Names):
    def test_the_name_server_is_gone(self):
        """What was known is used on, at once; and what is new when the name
        server is back."""
        self.move_to(A)
        self.gateway()
        stays, _ = self.login()
        self.dns.stop()
        mark = self.relais.mark()
        time.sleep(SURELY)
        for _ in range(4):
            _, seconds = self.login()
            self.assertLess(seconds, 1 * SLOW)
        self.relais.wait_log(NAME + ": no address: .*known before are used",
                             mark)
        time.sleep(SURELY)      # and it asks again
        self.login()
        told = [l for l in self.relais.log(mark) if "no address" in l]
        self.assertEqual(len(told), 1, "told once")
        self.move_to(B)
        self.dns.start()
        self.served_by(self.b, SURELY)
        self.relais.wait_log(NAME + ": the name has an address again", mark)
        self.assertOK(stays.cmd("XONE"))

    def test_the_name_server_is_silent(self):
        """One login waits for it, for some seconds; those behind do not."""
        self.move_to(A)
        self.gateway()
        self.login()
        self.dns.deaf = True
        mark = self.relais.mark()
        time.sleep(SURELY)
        _, seconds = self.login()
        self.assertLess(seconds, 8 * SLOW)
        self.relais.wait_log(NAME + ": no address: ", mark)
        for _ in range(4):
            _, seconds = self.login()
            self.assertLess(seconds, 1 * SLOW)
        self.assertEqual(len(self.a.logins), 6)


class Unknown(Names):
    def test_it_does_not_exist(self):
        self.gateway()
        c = self.connect(self.port)
        mark = self.relais.mark()
        reply, seconds = timed(c.login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, 5 * SLOW)
        self.relais.wait_log("inner server %s: the name has no address"
                             % NAME, mark)
        self.relais.wait_log(NAME + ": no address: ")
        self.assertEqual(self.a.logins, [])
        # the same client is served as soon as there is such a name
        self.move_to(A)
        wait_for(lambda: c.login().status == "OK", SURELY + 4,
                 "the name to be found", 0.5)
        self.relais.wait_log(NAME + ": the name has an address again")

    def test_another_server_does(self):
        """Nobody notices, whosever turn it is."""
        self.move_to(B)
        self.gateway("none.inner.test", NAME)
        for _ in range(6):
            self.login()
        self.assertEqual(len(self.b.logins), 6)


class Several(Names):
    def test_the_next_is_tried(self):
        """Where nobody listens is passed over at once, in either family."""
        for addresses in ([NOBODY, A], [A, NOBODY], ["::1", A],
                          [NOBODY, "127.0.0.8", "127.0.0.7", A]):
            with self.subTest(addresses):
                self.a.logins.clear()
                self.dns.records[NAME] = addresses
                relais = self.gateway()
                for _ in range(3):
                    _, seconds = self.login()
                    self.assertLess(seconds, 1 * SLOW)
                self.assertEqual(len(self.a.logins), 3)
                relais.stop()

    def test_the_first_does_not_answer(self):
        """It costs some seconds, and not the login."""
        self.fill(SILENT)
        self.dns.records[NAME] = [SILENT, A]
        self.gateway()
        _, seconds = self.login()
        self.assertGreater(seconds, 3)
        self.assertLess(seconds, 8 * SLOW)
        self.assertEqual(len(self.a.logins), 1)

    def fill(self, host):
        """A listener whose queue is full, so that its kernel drops whoever
        else wants to connect."""
        self.addCleanup(socket.create_server(
            (host, self.inner_port), backlog=0).close)
        for _ in range(4):
            s = socket.socket()
            self.addCleanup(s.close)
            s.setblocking(False)
            s.connect_ex((host, self.inner_port))

    def test_none_answers(self):
        self.dns.records[NAME] = [NOBODY, "127.0.0.8"]
        self.gateway()
        reply, seconds = timed(self.connect(self.port).login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, 5 * SLOW)


if __name__ == "__main__":
    main()
