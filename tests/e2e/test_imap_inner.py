# SPDX-License-Identifier: ISC
"""Inner servers that are down, stall, lie or vanish; the form in which each
gets the credentials; several of them."""

import harness
from case import StandInCase, TestCase, main, timed
from client import code_list, plain_message
from harness import wait_for
from inner import Script, StandIn

MEGABYTE = b"x" * 1000000


class Fault(Script):
    """Goes wrong where it is told to: in the greeting, or when it has seen
    a login."""

    def __init__(self, where, what, **changes):
        super().__init__(**changes)
        self.where, self.what = where, what

    def fail(self, peer, tag="*"):
        if callable(self.what):
            self.what(peer, tag)
        else:
            peer.send(self.what.replace(b"TAG", tag.encode()))
        # as far as this server is concerned, it has done its part
        peer.stall()

    def greet(self, peer):
        if self.where == "greeting":
            self.fail(peer)
        super().greet(peer)

    def login(self, peer, tag, user, password, authz, how):
        if self.where == "login":
            self.fail(peer, tag)
        return super().login(peer, tag, user, password, authz, how)


def close(peer, _):
    raise EOFError


def stall(peer, _):
    peer.stall()


def chatter(peer, _):
    """Never comes to the point."""
    while True:
        peer.send(b"* OK still thinking\r\n" * 100)


def drip(peer, _):
    """An octet now and then must not count as progress for ever."""
    peer.sock.settimeout(0.2)
    while True:
        try:
            peer.stall()
        except TimeoutError:
            peer.send(b"x")


FAULTS = {
    "closes at once": ("greeting", close),
    "stalls in the greeting": ("greeting", stall),
    "drips in the greeting": ("greeting", drip),
    "garbage for a greeting": ("greeting", b"HTTP/1.0 400 Bad\r\n\r\n"),
    "binary for a greeting": ("greeting", bytes(range(256)) * 4),
    "1 MB for a greeting": ("greeting", b"* OK " + MEGABYTE + b"\r\n"),
    "1 MB without an end": ("greeting", MEGABYTE),
    "is logged in already": ("greeting", b"* PREAUTH come in\r\n"),
    "says goodbye": ("greeting", b"* BYE too busy\r\n"),
    "closes in mid-login": ("login", close),
    "stalls in mid-login": ("login", stall),
    "drips in mid-login": ("login", drip),
    "garbage in mid-login": ("login", b"\0\1\2 what?\r\n"),
    "1 MB in mid-login": ("login", b"* " + MEGABYTE + b"\r\n"),
    "1 MB as the answer": ("login", b"TAG OK " + MEGABYTE + b"\r\n"),
    "never to the point": ("login", chatter),
    "a tag not asked for": ("login", b"zzz OK welcome\r\n"),
    "an empty tag": ("login", b" OK welcome\r\n"),
    "BAD to a login": ("login", b"TAG BAD what?\r\n"),
    "BYE in mid-login": ("login", b"* BYE enough\r\n"),
    "a literal in mid-login": ("login", b"* OK {1000000}\r\n"),
    "half an answer": ("login", b"TAG OK wel"),
}


class Faults(StandInCase):
    lines = ("outgoing_timeout 2",)

    def test_each(self):
        """A reply of its own in time, a line in the log, and the next login
        is served at once when the server is well again."""
        for name, (where, what) in FAULTS.items():
            with self.subTest(name):
                self.inner.script = Fault(where, what)
                c = self.tls()
                mark = self.relais.mark()
                reply, seconds = timed(c.login)
                self.assertNO(reply)
                self.assertNotIn("AUTHENTICATIONFAILED", reply.text)
                self.assertRegex(reply.text, r"^\[[A-Z]+\] ")
                self.assertLess(seconds, 6 * harness.SLOW)
                self.relais.wait_log(r'Auth: .*status="failed: (?!Re-Auth)',
                                     mark)
                self.inner.script = self.script
                reply, seconds = timed(c.login)
                self.assertOK(reply)
                self.assertLess(seconds, 1.5 * harness.SLOW)
                self.assertEqual(c.cmd("XONE").untagged, ["* HEARD XONE"])
                c.close()

    def test_no_process_was_lost(self):
        before = self.relais.processes()
        for where, what in list(FAULTS.values())[-4:]:
            self.inner.script = Fault(where, what)
            self.tls().login()
        self.assertEqual(self.relais.processes(), before)

    def test_a_client_that_leaves_while_the_server_stalls(self):
        """The inner connection goes with it."""
        arrived, ended = [], []

        def note(peer, _):
            arrived.append(True)
            try:
                peer.stall()
            finally:
                ended.append(True)

        self.inner.script = Fault("login", note)
        c = self.tls()
        c.send("a LOGIN alice secret\r\n")
        wait_for(lambda: arrived, what="the login to arrive")
        c.close()
        wait_for(lambda: ended, 5, "the inner connection to end")

    def test_down(self):
        self.inner.stop()
        c = self.tls()
        mark = self.relais.mark()
        reply, seconds = timed(c.login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, 1.5 * harness.SLOW)
        self.relais.wait_log(r'status="failed: Could not connect to server"$',
                             mark)
        for _ in range(3):      # it goes on being down
            self.assertNO(c.login(), "UNAVAILABLE")
        self.inner.start()
        reply, seconds = timed(c.login)
        self.assertOK(reply)
        self.assertLess(seconds, 1.5 * harness.SLOW)


class Forms(StandInCase):
    """How the inner server gets the credentials."""

    LONG = "IMAP4rev1 UIDPLUS IDLE"

    def login_at(self, capability, user="alice", password="secret",
                 script=Script, **changes):
        """A login at an inner server with that list; the client."""
        self.inner.script = script(
            capability=capability, users={user: password}, **changes)
        c = self.tls()
        c.send("a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (
            len(user.encode()), user, len(password.encode()), password))
        self.reply = c.answer("a")
        return c

    def test_without_literal_plus(self):
        for user, password in (("alice", "secret"), ("a b", 'x"y\\z'),
                               ("\u00e9", "\u00fc" * 20)):
            with self.subTest(user=user):
                self.login_at(self.LONG, user, password)
                self.assertOK(self.reply)
                self.assertEqual(self.inner.logins[-1],
                                 (user, password, "", "LOGIN"))
        self.assertFalse([l for l in self.inner.lines if b"+}" in l])

    def test_capabilities_asked_for(self):
        """A greeting without a list."""
        self.login_at(self.LONG, greeting="* OK hello\r\n")
        self.assertOK(self.reply)

    def test_login_disabled_with_plain(self):
        for more in ("", " SASL-IR"):
            with self.subTest(more):
                self.inner.lines.clear()
                self.login_at(self.LONG + " LOGINDISABLED AUTH=PLAIN" + more)
                self.assertOK(self.reply)
                self.assertEqual(self.inner.logins[-1],
                                 ("alice", "secret", "", "PLAIN"))
                command = next(l for l in self.inner.lines
                               if b"AUTHENTICATE" in l.upper())
                self.assertEqual(len(command.split()), 4 if more else 3)

    def test_login_disabled_without_plain(self):
        mark = self.relais.mark()
        self.login_at(self.LONG + " LOGINDISABLED")
        self.assertNO(self.reply)
        self.assertNotIn("AUTHENTICATIONFAILED", self.reply.text)
        self.assertEqual(self.inner.logins, [])
        self.relais.wait_log(r'status="failed: ', mark)

    def test_authorisation_identity_is_never_dropped(self):
        self.inner.script = Script(capability=self.LONG)
        c = self.tls()
        reply = c.cmd("AUTHENTICATE PLAIN "
                      + plain_message("alice", "secret", "carol"))
        self.assertNO(reply)
        self.assertEqual(self.inner.logins, [])

    def test_no_password_in_clear_before_starttls_answer(self):
        """Nothing of the credentials is sent before the greeting."""
        heard = []

        class Mute(Script):
            def greet(self, peer):
                peer.sock.settimeout(0.7)
                try:
                    peer.line()
                except TimeoutError:
                    pass
                heard.append(bytes(peer.buffer))
                peer.sock.settimeout(None)
                super().greet(peer)

        self.login_at(self.LONG, script=Mute)
        self.assertOK(self.reply)
        self.assertEqual(set(heard), {b""})


class Answers(StandInCase):
    """What the client gets of the inner server's answer."""

    def accept_with(self, octets):
        class Says(Script):
            def accept(self, peer, tag):
                peer.send(octets.replace("TAG", tag))

        self.inner.script = Says()
        return self.tls()

    def test_list_after_login_is_rewritten(self):
        c = self.accept_with(
            "TAG OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED AUTH=PLAIN "
            "AUTH=GSSAPI SASL-IR LOGIN-REFERRALS UNAUTHENTICATE UIDPLUS "
            "X-MADE-UP IDLE] welcome\r\n")
        reply = self.assertOK(c.login())
        self.assertEqual(code_list(reply.text),
                         ["IMAP4rev1", "UIDPLUS", "X-MADE-UP", "IDLE"])

    def test_list_in_an_untagged_line(self):
        c = self.accept_with("* CAPABILITY IMAP4rev1 AUTH=PLAIN UIDPLUS\r\n"
                             "TAG OK welcome\r\n")
        reply = self.assertOK(c.login())
        self.assertEqual(code_list(reply.text), ["IMAP4rev1", "UIDPLUS"])

    def test_list_that_is_none(self):
        """It ends the login, and nothing of that is touched again."""
        for answer in ("* CAPABILITY IMAP4rev1 a(b\r\nTAG OK welcome\r\n",
                       "TAG OK [CAPABILITY IMAP4rev1 a(b] welcome\r\n"):
            with self.subTest(answer):
                workers = self.relais.pids("worker")
                c = self.accept_with(answer)
                self.assertNO(c.login(), "UNAVAILABLE")
                self.inner.script = Script()
                self.assertOK(c.login())
                self.assertEqual(self.relais.pids("worker"), workers)

    def test_list_that_is_not_told(self):
        """Then it is asked for: a client that asked once never asks again."""
        class Silent(Script):
            def accept(self, peer, tag):
                peer.send(tag + " OK welcome\r\n")

        self.inner.script = Silent(capability_after="IMAP4rev1 MOVE")
        c = self.tls()
        c.send("a LOGIN alice secret\r\nb XONE\r\n")
        self.assertEqual(code_list(self.assertOK(c.answer("a")).text),
                         ["IMAP4rev1", "MOVE"])
        self.assertEqual(c.answer("b").untagged, ["* HEARD XONE"])

    def test_several_untagged_lines(self):
        c = self.accept_with("* OK one\r\n* CAPABILITY IMAP4rev1\r\n"
                             "* OK [ALERT] disk is nearly full\r\n"
                             "TAG OK welcome\r\n")
        reply = self.assertOK(c.login())
        self.assertIn("* OK [ALERT] disk is nearly full", reply.untagged)
        self.assertOK(c.cmd("XONE"))

    def test_alert_with_a_refusal(self):
        class Refuses(Script):
            def refuse(self, peer, tag):
                peer.send("* OK [ALERT] closed on Sundays\r\n%s NO no\r\n"
                          % tag)

        self.inner.script = Refuses()
        reply = self.tls().login("alice", "wrong")
        self.assertNO(reply, "AUTHENTICATIONFAILED")
        self.assertIn("* OK [ALERT] closed on Sundays", reply.untagged)

    def test_octets_behind_the_answer(self):
        c = self.accept_with("TAG OK [CAPABILITY IMAP4rev1] in\r\n"
                             "* 5 EXISTS\r\n* 1 REC")
        self.assertOK(c.login())
        self.assertEqual(c.line(), "* 5 EXISTS")
        self.assertEqual(c.read(7), b"* 1 REC")

    def test_referral_with_ok_is_stripped(self):
        c = self.accept_with("TAG OK [REFERRAL imap://elsewhere.test/] in\r\n")
        self.assertNotIn("elsewhere", self.assertOK(c.login()).text)

    def test_own_text(self):
        c = self.tls()
        self.assertTrue(self.assertOK(c.login()).text.endswith("] in"))


class OwnText(StandInCase):
    lines = ('ok_line "You are so in"',)

    def test_ok_line(self):
        reply = self.assertOK(self.tls().login())
        self.assertTrue(reply.text.endswith("You are so in"), reply)


class Names(StandInCase):
    lines = ("lower_case remote_login", "strip_domain remote_login")

    def test_name_is_changed_for_the_inner_server_only(self):
        mark = self.relais.mark()
        self.assertOK(self.tls().login("Alice@Example.Test", "secret"))
        self.assertEqual(self.seen(), ("alice", "secret"))
        self.relais.wait_log(r'authentication_id="Alice@Example\.Test"', mark)


class Several(TestCase):
    """Round robin, and servers that do not answer."""

    def setUp(self):
        self.inner = [StandIn(self) for _ in range(3)]
        self.relais = harness.Gateway(
            self, [s.port for s in self.inner], "outgoing_timeout 2",
            "capability_refresh 3600")

    def logins(self, count):
        for _ in range(count):
            c = self.connect(self.relais.plain)
            reply, seconds = timed(c.login)
            self.assertOK(reply)
            self.assertLess(seconds, 1.5 * harness.SLOW)
            c.close()
        return [len(s.logins) for s in self.inner]

    def test_round_robin(self):
        self.assertEqual(self.logins(9), [3, 3, 3])

    def test_one_is_down(self):
        self.inner[1].stop()
        counts = self.logins(8)
        self.assertEqual(counts[1], 0)
        self.assertGreaterEqual(min(counts[0], counts[2]), 3)
        self.inner[1].start()
        # it is taken back by itself when its time out is over
        wait_for(lambda: self.logins(3) and self.inner[1].logins, 60,
                 "the server to be taken back", 0.5)

    def test_a_dead_one_is_left_alone(self):
        self.inner[2].script = Fault("greeting", close)
        before = self.inner[2].connections
        self.logins(15)
        tried = self.inner[2].connections - before
        self.assertGreaterEqual(tried, 1)
        self.assertLessEqual(tried, 3)

    def test_all_are_down_and_come_back(self):
        for s in self.inner:
            s.stop()
        c = self.connect(self.relais.plain)
        for _ in range(5):
            reply, seconds = timed(c.login)
            self.assertNO(reply, "UNAVAILABLE")
            self.assertLess(seconds, 1.5 * harness.SLOW)
        for s in self.inner:
            s.start()
        reply, seconds = timed(c.login)
        self.assertOK(reply)
        self.assertLess(seconds, 1.5 * harness.SLOW)

    def test_a_refusal_is_not_asked_of_the_next(self):
        c = self.connect(self.relais.plain)
        self.assertNO(c.login("alice", "wrong"), "AUTHENTICATIONFAILED")
        self.assertEqual(sum(len(s.logins) for s in self.inner), 1)


class ByName(TestCase):
    def test_a_name_is_resolved(self):
        inner = StandIn(self)
        port = harness.free_port()
        relais = harness.Relais(self, "\n".join((
            "listen 127.0.0.1:%d plain" % port,
            "outgoing_server localhost:%d" % inner.port)) + "\n",
            ports=(port,))
        c = self.connect(port)
        self.assertOK(c.login())
        relais.wait_log(r'server="localhost:%d"' % inner.port)

    def test_a_name_that_does_not_exist(self):
        port = harness.free_port()
        harness.Relais(self, "listen 127.0.0.1:%d plain\n"
                       "outgoing_server nowhere.invalid:143\n"
                       "outgoing_timeout 3\n" % port, ports=(port,))
        c = self.connect(port)
        reply, seconds = timed(c.login)
        self.assertNO(reply, "UNAVAILABLE")
        self.assertLess(seconds, 10 * harness.SLOW)


if __name__ == "__main__":
    main()
