# SPDX-License-Identifier: ISC
"""Logins that the inner server refuses: the delay, what comes behind it, and
what the client is told."""

import threading
import time

import harness
from case import StandInCase, main, timed
from inner import Script

# What the inner server answers to these users' logins, and what the client
# may be told: the code in front of the text.
AT_ONCE = {
    "unavailable": ("NO [UNAVAILABLE] directory is down", "UNAVAILABLE"),
    "inuse": ("NO [INUSE] locked", "INUSE"),
    "referred": ("NO [REFERRAL imap://elsewhere.test/] go there",
                 "UNAVAILABLE"),
    "limit": ("NO [LIMIT] too many connections", "LIMIT"),
}
DELAYED = {
    "plainno": ("NO go away", "AUTHENTICATIONFAILED"),
    "failed": ("NO [AUTHENTICATIONFAILED] no", "AUTHENTICATIONFAILED"),
    "denied": ("NO [AUTHORIZATIONFAILED] no", "AUTHORIZATIONFAILED"),
    "expired": ("NO [EXPIRED] password", "EXPIRED"),
}


class Answers(Script):
    """Refuses with what the user's name asks for."""

    def login(self, peer, tag, user, password, authz, how):
        answer = AT_ONCE.get(user) or DELAYED.get(user)
        if answer:
            peer.send("%s %s\r\n" % (tag, answer[0]))
            return True
        return super().login(peer, tag, user, password, authz, how)


class Refusal(StandInCase):
    script = Answers()

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.strict = harness.Gateway(cls, cls.inner.port, "login_attempts 2")

    def assertDelayed(self, seconds):
        self.assertGreaterEqual(seconds, 1.95)
        self.assertLessEqual(seconds, 4.0 + 0.7 * harness.SLOW)

    def test_wrong_then_right(self):
        c = self.tls()
        reply, seconds = timed(c.login, "alice", "wrong")
        self.assertNO(reply, "AUTHENTICATIONFAILED")
        self.assertDelayed(seconds)
        self.assertOK(c.cmd("NOOP"))
        reply, seconds = timed(c.login)
        self.assertOK(reply)
        self.assertLess(seconds, 1.5 * harness.SLOW)
        self.assertEqual(c.cmd("XONE").untagged, ["* HEARD XONE"])

    def test_unknown_user_looks_the_same(self):
        c = self.tls()
        d = self.tls()
        c.send("a LOGIN alice wrong\r\n")
        d.send("a LOGIN nobodyhere wrong\r\n")
        self.assertEqual(c.line(), d.line())

    def test_what_was_pipelined_behind_it_is_kept(self):
        c = self.tls()
        began = time.monotonic()
        c.send("a LOGIN alice wrong\r\nb NOOP\r\n"
               "c LOGIN {5+}\r\nalice {6+}\r\nsecret\r\nd XONE\r\n")
        self.assertNO(c.answer("a"))
        self.assertDelayed(time.monotonic() - began)
        self.assertOK(c.answer("b"))
        self.assertOK(c.answer("c"))
        self.assertEqual(c.answer("d").untagged, ["* HEARD XONE"])

    def test_what_comes_during_the_delay_is_kept(self):
        c = self.tls()
        c.send("a LOGIN alice wrong\r\n")
        time.sleep(0.5)         # within the delay, behind the refusal
        c.send("b LOGIN alice secret\r\n")
        self.assertNO(c.answer("a"))
        self.assertOK(c.answer("b"))

    def test_others_do_not_wait(self):
        waiting = [self.tls() for _ in range(8)]
        for c in waiting:
            c.send("a LOGIN alice wrong\r\n")
        for _ in range(8):      # both workers serve some of them
            c = self.tls()
            reply, seconds = timed(c.login)
            self.assertOK(reply)
            self.assertLess(seconds, 1.5 * harness.SLOW)
        for c in waiting:
            self.assertNO(c.answer("a"))

    def test_a_client_that_leaves_during_the_delay(self):
        mark = self.relais.mark()
        c = self.tls()
        c.send("a LOGIN alice wrong\r\n")
        port = c.sock.getsockname()[1]
        self.relais.wait_log(r"Auth: 127\.0\.0\.1:%d->" % port, mark)
        c.close()
        self.relais.wait_log(r"Closing .*127\.0\.0\.1:%d->" % port, mark, 8)

    def test_codes_that_are_told_at_once(self):
        c = self.tls()
        for user, (_, code) in AT_ONCE.items():
            with self.subTest(user=user):
                reply, seconds = timed(c.login, user, "x")
                self.assertNO(reply, code)
                self.assertLess(seconds, 1.5 * harness.SLOW)

    def test_codes_that_are_delayed(self):
        """All at the same time: each client has a delay of its own."""
        clients = {u: self.tls() for u in DELAYED}
        began = time.monotonic()
        for user, c in clients.items():
            c.send("a LOGIN %s x\r\n" % user)
        for user, c in clients.items():
            with self.subTest(user=user):
                reply = self.assertNO(c.answer("a"), DELAYED[user][1])
                self.assertNotIn("REFERRAL", reply.text)
                self.assertNotIn("elsewhere", reply.text)
                self.assertDelayed(time.monotonic() - began)

    def test_as_many_tries_as_configured(self):
        c = self.connect(self.strict.ssl, True)
        self.assertNO(c.login("alice", "wrong"))
        c.send("a LOGIN alice wrong\r\nb LOGIN alice secret\r\n")
        lines = c.rest().splitlines()
        self.assertRegex(lines[0], r"^a NO ")
        self.assertRegex(lines[1], r"^\* BYE")
        self.assertEqual(len(lines), 2, lines)

    def test_ten_tries_by_default(self):
        c = self.tls()
        c.send("".join("t%d LOGIN alice wrong\r\n" % n for n in range(1, 12)))
        c.sock.settimeout(60 * harness.SLOW)
        lines = c.rest().splitlines()
        tags = [l.split()[0] for l in lines]
        self.assertEqual(tags, ["t%d" % n for n in range(1, 11)] + ["*"])
        self.assertRegex(lines[-1], r"^\* BYE")

    def test_one_that_is_not_counted(self):
        """Only refusals count: other errors do not use up the tries."""
        c = self.connect(self.strict.ssl, True)
        for _ in range(4):
            self.assertNO(c.login("unavailable", "x"))
            self.assertBAD(c.cmd("LOGIN x"))
        self.assertOK(c.login())

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
        self.assertEqual([r.status for r in replies], ["NO"] * 20)
        # a first failure of an address: the short delay
        self.assertLess(time.monotonic() - began, 2 + 2 * harness.SLOW)


if __name__ == "__main__":
    main()
