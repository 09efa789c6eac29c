# SPDX-License-Identifier: ISC
"""Logins that the inner server refuses: the delay, what comes behind it, and
what the client is told (RFC 2449 8, RFC 3206)."""

import itertools
import threading
import time

import client
import harness
from case import Pop3Case, main, timed
from inner import Pop3Script, StandIn

# What the inner server answers to these users' PASS.  The client is told the
# same word for word; it waits only where a password may have been wrong.
AT_ONCE = {
    "inuse": "-ERR [IN-USE] Do you have another POP session running?",
    "delay": "-ERR [LOGIN-DELAY] minimum time between logins is 5 minutes",
    "temp": "-ERR [SYS/TEMP] Temporary system problem, please try later",
    "perm": "-ERR [SYS/PERM] Your mailbox is corrupted, call us",
    "small": "-ERR [in-use] locked",
}
DELAYED = {
    "auth": "-ERR [AUTH] PAM authentication failed",
    "bare": "-ERR invalid password",
    "brackets": "-ERR no [IN-USE] in front",
    "half": "-ERR [IN-USE",
}
REAUTH = r'status="failed: Re-Authentication Failure"$'


class Answers(Pop3Script):
    """Refuses with what the user's name asks for."""

    def login(self, peer, user, password, authz, how):
        answer = AT_ONCE.get(user) or DELAYED.get(user)
        if answer:
            peer.send(answer + "\r\n")
            return True
        return super().login(peer, user, password, authz, how)

    def command(self, peer, verb, args):
        if verb == "USER" and args.startswith("unknown"):
            peer.send("-ERR [AUTH] no such luck\r\n")
            return True
        if verb == "USER" and args == "locked":
            peer.send("-ERR [IN-USE] locked\r\n")
            return True
        return super().command(peer, verb, args)


class Refusal(Pop3Case):
    script = Answers()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.strict = harness.Gateway(cls, cls.inner.port, "login_attempts 2",
                                     daemon=cls.daemon)
        # delays grow with an address's failures: each client has its own
        cls.sources = ("127.0.7.%d" % n for n in itertools.count(1))
        # one that takes its time, while the others are tested
        cls.patient = StandIn(cls, cls.script)
        relais = harness.Gateway(cls, cls.patient.port, daemon=cls.daemon)
        cls.ten = client.connect(relais.plain, kind=cls.kind)
        cls.addClassCleanup(cls.ten.close)
        cls.ten.send("USER alice\r\nPASS wrong\r\n" * 11)
        cls.ten.sock.settimeout(60 * harness.SLOW)

    def tls(self):
        return self.connect(self.relais.ssl, True, source=next(self.sources))

    def assertDelayed(self, seconds):
        self.assertGreaterEqual(seconds, 1.95)
        self.assertLessEqual(seconds, 4.0 + 0.7 * harness.SLOW)

    def assertAtOnce(self, seconds):
        self.assertLess(seconds, 1.5 * harness.SLOW)

    def start(self, user, password="x"):
        """A client that waits for the answer to PASS."""
        c = self.tls()
        self.assertYes(c.cmd("USER " + user))
        c.send("PASS %s\r\n" % password)
        return c

    def test_wrong_then_right(self):
        c = self.tls()
        mark = self.relais.mark()
        reply, seconds = timed(c.login, "alice", "wrong")
        self.assertEqual(self.assertNo(reply), "-ERR [AUTH] no such luck")
        self.assertDelayed(seconds)
        self.relais.wait_log(REAUTH, mark)
        self.assertTrue(c.capability())
        reply, seconds = timed(c.login)
        self.assertYes(reply)
        self.assertAtOnce(seconds)
        self.assertEqual(c.cmd("XONE"), "+OK heard XONE")

    def test_user_must_come_again(self):
        """A password without a name is none (RFC 1939 7, PASS)."""
        c = self.tls()
        self.assertNo(c.login("alice", "wrong"))
        self.assertNo(c.cmd("PASS secret"))
        self.assertEqual(len(self.inner.logins), 1)
        self.assertYes(c.login())

    def test_unknown_user_looks_the_same(self):
        """Refused at PASS or at USER: the client sees one and the same."""
        clients = [self.start(u) for u in ("alice", "nobodyhere", "unknown1")]
        lines = {c.line() for c in clients}
        self.assertEqual(lines, {"-ERR [AUTH] no such luck"})

    def test_refused_at_user(self):
        mark = self.relais.mark()
        c = self.tls()
        reply, seconds = timed(c.login, "unknown2", "x")
        self.assertNo(reply, "AUTH")
        self.assertDelayed(seconds)
        self.relais.wait_log('"unknown2".*' + REAUTH, mark)
        reply, seconds = timed(c.login, "locked", "x")
        self.assertEqual(self.assertNo(reply), "-ERR [IN-USE] locked")
        self.assertAtOnce(seconds)
        # what was not asked for is not told
        self.assertFalse([l for l in self.inner.lines if b"PASS" in l])

    def test_what_was_pipelined_behind_it_is_kept(self):
        c = self.tls()
        began = time.monotonic()
        c.send("USER alice\r\nPASS wrong\r\nCAPA\r\nXYZ\r\n"
               "USER alice\r\nPASS secret\r\nXONE\r\n")
        self.assertYes(c.line())
        self.assertNo(c.line())
        self.assertDelayed(time.monotonic() - began)
        self.assertYes(c.line())
        self.assertTrue(c.listing())
        self.assertNo(c.line())
        self.assertYes(c.line())
        self.assertYes(c.line())
        self.assertEqual(c.line(), "+OK heard XONE")

    def test_nothing_is_answered_during_the_delay(self):
        c = self.start("alice")
        c.send("CAPA\r\n")
        self.assertEqual(c.line(), "-ERR [AUTH] no such luck")
        self.assertYes(c.line())

    def test_quit_behind_it(self):
        c = self.start("alice")
        c.send("QUIT\r\n")
        self.assertRegex(c.rest(), r"\A-ERR [^\r\n]*\r\n\+OK[^\r\n]*\r\n\Z")

    def test_what_comes_during_the_delay_is_kept(self):
        c = self.start("alice")
        time.sleep(0.5)         # within the delay, behind the refusal
        c.send("USER alice\r\nPASS secret\r\n")
        self.assertNo(c.line())
        self.assertYes(c.line())
        self.assertYes(c.line())

    def test_auth_is_delayed_too(self):
        c = self.tls()
        reply, seconds = timed(c.cmd, "AUTH PLAIN AGFsaWNlAHdyb25n")
        self.assertNo(reply, "AUTH")
        self.assertDelayed(seconds)

    def test_others_do_not_wait(self):
        waiting = [self.start("alice") for _ in range(8)]
        for _ in range(8):      # both workers serve some of them
            c = self.tls()
            reply, seconds = timed(c.login)
            self.assertYes(reply)
            self.assertAtOnce(seconds)
        for c in waiting:
            self.assertNo(c.line())

    def test_a_client_that_leaves_during_the_delay(self):
        mark = self.relais.mark()
        c = self.start("alice")
        port = c.sock.getsockname()[1]
        self.relais.wait_log(r"Auth: 127\.\S+:%d->" % port, mark)
        c.close()
        self.relais.wait_log(r"Closing .*127\.\S+:%d->" % port, mark, 8)

    def test_codes_that_are_told_at_once(self):
        for user, answer in AT_ONCE.items():
            with self.subTest(user=user):
                mark = self.relais.mark()
                c = self.tls()
                reply, seconds = timed(c.login, user, "x")
                self.assertEqual(reply.upper(), answer.upper())
                self.assertAtOnce(seconds)
                m = self.relais.wait_log('"%s" server=.*status="failed: '
                                         '(.*)"$' % user, mark)
                self.assertNotIn("Re-Auth", m.group(1))

    def test_codes_that_are_delayed(self):
        """All at the same time: each client has a delay of its own.  No
        code is made up where the inner server gave none: a client would
        believe it."""
        mark = self.relais.mark()
        began = time.monotonic()
        clients = {u: self.start(u) for u in DELAYED}
        for user, c in clients.items():
            with self.subTest(user=user):
                self.assertEqual(c.line(), DELAYED[user])
                self.assertDelayed(time.monotonic() - began)
                self.relais.wait_log('"%s".*%s' % (user, REAUTH), mark)

    def test_an_answer_without_words(self):
        class Curt(Pop3Script):
            def refuse(self, peer):
                peer.send("-ERR\r\n")

        self.inner.script = Curt()
        c = self.start("alice")
        self.assertRegex(c.line(), r"^-ERR( [^\[]|$)")

    def test_words_that_a_terminal_would_obey(self):
        """They are the inner server's, but a line is a line."""
        class Odd(Pop3Script):
            def refuse(self, peer):
                peer.send(b"-ERR [AUTH] n\x1b[2Jo \xff\r\n")

        self.inner.script = Odd()
        line = self.start("alice").line()
        self.assertNo(line, "AUTH")
        self.assertNotIn("\x1b", line)

    def test_as_many_tries_as_configured(self):
        c = self.connect(self.strict.ssl, True)
        self.assertNo(c.login("alice", "wrong"))
        c.send("USER alice\r\nPASS wrong\r\nUSER alice\r\nPASS secret\r\n")
        lines = c.rest().splitlines()
        self.assertYes(lines[0])
        for line in lines[1:]:
            self.assertNo(line)
        self.assertEqual(len(self.inner.logins), 2)

    def test_ten_tries_by_default(self):
        """Each answered, then the end: nothing that a client could take for
        the answer to the eleventh."""
        lines = self.ten.rest().splitlines()
        self.assertEqual([l for l in lines if l.startswith("+OK")],
                         [lines[0]] * 10)
        refused = [l for l in lines if l == "-ERR [AUTH] no such luck"]
        self.assertEqual(len(refused), 10)
        self.assertLessEqual(len(lines), 21, lines[20:])
        self.assertEqual(len(self.patient.logins), 10)

    def test_one_that_is_not_counted(self):
        """Only refusals count: other errors do not use up the tries."""
        c = self.connect(self.strict.ssl, True)
        for _ in range(4):
            self.assertNo(c.login("temp", "x"), "SYS/TEMP")
            self.assertNo(c.login("inuse", "x"), "IN-USE")
            self.assertNo(c.cmd("PASS x"))
            self.assertNo(c.cmd("AUTH PLAIN x"))
        self.assertYes(c.login())

    def test_many_addresses_at_once(self):
        """Delays run side by side, whoever waits."""
        began = time.monotonic()
        replies = []

        def one(n):
            c = self.connect(self.relais.plain,
                             source="127.0.1.%d" % (n + 1))
            replies.append(c.login("alice", "wrong"))

        threads = [threading.Thread(target=one, args=(n,))
                   for n in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(replies, ["-ERR [AUTH] no such luck"] * 20)
        # a first failure of an address: the short delay
        self.assertLess(time.monotonic() - began, 2 + 2 * harness.SLOW)


if __name__ == "__main__":
    main()
