# SPDX-License-Identifier: ISC
"""Faults of the network: a client's machine that has vanished, an interface
that goes down and comes back, a name server that is slow, lies, or talks
nonsense."""

import os
import time

import harness
from case import timed
from client import Client
from faults import Machine, NEAR
from harness import Gateway, SLOW, wait_for
from inner import Script, StandIn
from nameserver import NameServer, Namespace, main

NAME = "mail.inside.example"
US = "127.0.0.99"


class Cable(Namespace):
    def setUp(self):
        super().setUp()
        self.machine = Machine(self)
        self.inner = StandIn(self)

    def gateway(self, *lines):
        self.relais = Gateway(self, self.inner.port, "listen %s:%d ssl" % (
            NEAR, self.port), *lines)

    port = harness.free_port()

    def client(self):
        """A client over there that has logged in."""
        c = self.machine.connect(Client, self.port, True)
        self.addCleanup(c.close)
        c.greet()
        self.assertOK(c.login())
        return c

    def other(self):
        """Who is not concerned is served at once."""
        with self.connect(self.relais.ssl, True) as c:
            reply, seconds = timed(c.login)
            self.assertOK(reply)
            self.assertLess(seconds, 1.5 * SLOW)

    def sessions(self):
        """Those that the inner server sees."""
        return len(self.inner.peers())


class Vanished(Cable):
    def test_with_mail_on_its_way(self):
        """No word comes back, not even a reset."""
        class Tells(Script):
            def session(self, peer):
                peer.line()
                peer.send("* 1 EXISTS\r\n")
                super().session(peer)

        self.gateway("acknowledge_timeout 2")
        self.inner.script = Tells()
        c = self.client()
        mark = self.relais.mark()
        c.send("a NOOP\r\n")
        self.assertEqual(c.line(), "* 1 EXISTS")
        self.machine.unplug()
        began = time.monotonic()
        self.inner.peers()[0].sendall(b"* 2 EXISTS\r\n")
        self.inner.script = Script()
        self.other()
        self.relais.wait_log("Closing session: ", mark, 15)
        wait_for(lambda: self.sessions() == 0, 5, "the inner end")
        self.assertGreater(time.monotonic() - began, 1.5)

    def test_in_the_dialogue(self):
        """Before the login its time is what it is for all."""
        self.gateway("authenticate_timeout 3")
        c = self.machine.connect(Client, self.port, True)
        self.addCleanup(c.close)
        c.greet()
        mark = self.relais.mark()
        self.machine.unplug()
        self.other()
        self.relais.wait_log(r'Closing NULL session: .*timeout before login',
                             mark, 10)


class Interface(Cable):
    def test_down_and_up(self):
        """Sessions outlive it, and the port serves again."""
        self.gateway("acknowledge_timeout 60")
        c = self.client()
        self.machine.near(False)
        c.send("a XONE\r\n")
        self.other()
        wait_for(lambda: self.sessions() == 1, 5, "the other's end")
        time.sleep(1)
        self.machine.near(True)
        self.assertEqual(c.answer("a").untagged, ["* HEARD XONE"])
        self.client()


class Liar(NameServer):
    """One that answers as it is told to: how is a function of the answer."""

    how = staticmethod(lambda answer: answer)

    def answer(self, question):
        return self.how(super().answer(question))


class Names(Namespace):
    def setUp(self):
        self.dns = Liar(self)
        self.inner = StandIn(self)
        self.dns.records[NAME] = ["127.0.0.1"]
        self.relais = Gateway(
            self, self.inner.port, "outgoing_server %s:%d" % (
                NAME, self.inner.port), "outgoing_timeout 6",
            "listen %s:%d plain" % (US, self.inner.port))

    def login(self):
        with self.connect(self.relais.ssl, True) as c:
            return c.login()

    def serves(self):
        return self.login().status == "OK"

    def test_slow(self):
        """It costs the time, not the login."""
        def slow(answer):
            time.sleep(1)
            return answer

        self.dns.how = slow
        reply, seconds = timed(self.login)
        self.assertOK(reply)
        self.assertLess(seconds, 5 * SLOW)
        self.dns.how = Liar.how
        time.sleep(1.5)         # until it is asked again
        reply, seconds = timed(self.login)
        self.assertOK(reply)
        self.assertLess(seconds, 2 * SLOW)

    def test_nonsense(self):
        """Octets that are no answer, or one to another question."""
        for how in (lambda answer: answer[:2] + os.urandom(len(answer)),
                    lambda answer: answer[:7],
                    lambda answer: answer[:2] + b"\xff" * 500,
                    lambda answer: answer[:12] + b"\x05wrong" +
                    answer[18:]):
            self.dns.how = how
            reply, seconds = timed(self.login)
            self.assertIn(reply.status, ("NO", "OK"))
            if reply.status == "NO":
                self.assertTrue(reply.text.startswith("[UNAVAILABLE]"))
            self.assertLess(seconds, 9 * SLOW)
        self.dns.how = Liar.how
        wait_for(self.serves, 20, "a login", 0.5)

    def test_our_own_address(self):
        """A ring of one: told so, ended, and well again."""
        with self.connect(self.relais.ssl, True) as c:
            self.assertOK(c.login())
        self.dns.records[NAME] = [US]
        mark = self.relais.mark()
        wait_for(lambda: self.login().status == "NO", 10, "the lie", 0.5)
        self.assertNO(self.login(), "UNAVAILABLE")
        self.relais.wait_log("connected to itself", mark)
        self.dns.records[NAME] = ["127.0.0.1"]
        wait_for(self.serves, 20, "a login", 0.5)

    def test_refuses(self):
        """SERVFAIL, REFUSED (RFC 1035 4.1.1): what was known is used on."""
        self.assertTrue(self.serves())
        for code in 2, 5:
            self.dns.how = lambda answer: (
                answer[:3] + bytes((0x80 | code,)) + b"\0\1" + bytes(6) +
                answer[12:])
            time.sleep(1.5)
            reply, seconds = timed(self.login)
            self.assertOK(reply)
            self.assertLess(seconds, 3 * SLOW)


if __name__ == "__main__":
    main()
