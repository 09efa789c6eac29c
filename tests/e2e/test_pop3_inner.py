# SPDX-License-Identifier: ISC
"""Inner POP3 servers that are down, stall, lie or vanish, at each step of a
login; and several of them."""

import threading
import time

import harness
from case import Pop3Case, TestCase, main, timed
from client import Pop3Client, plain_message
from harness import wait_for
from inner import Pop3Script, StandIn

MEGABYTE = b"x" * 1000000
STEPS = ("greeting", "CAPA", "USER", "PASS", "AUTH", "message")


class Fault(Pop3Script):
    """Goes wrong at one step: the greeting, a command, or the message that
    follows AUTH's challenge."""

    def __init__(self, where, what, **changes):
        super().__init__(**changes)
        self.where, self.what = where, what
        self.reached = threading.Event()

    def fail(self, peer):
        self.reached.set()
        if callable(self.what):
            self.what(peer)
        else:
            peer.send(self.what)
        # as far as this server is concerned, it has done its part
        peer.stall()

    def greet(self, peer):
        if self.where == "greeting":
            self.fail(peer)
        super().greet(peer)

    def command(self, peer, verb, args):
        if self.where == verb:
            self.fail(peer)
        return super().command(peer, verb, args)

    def login(self, peer, *args):
        if self.where == "message":
            self.fail(peer)
        return super().login(peer, *args)


def close(peer):
    raise EOFError


def stall(peer):
    peer.stall()


def chatter(octets):
    """Never comes to the point."""
    def go_on(peer):
        peer.send(b"+OK list follows\r\n")
        while True:
            peer.send(octets * 100)
    return go_on


def drip(peer):
    """An octet now and then must not count as progress for ever."""
    peer.sock.settimeout(0.2)
    while True:
        try:
            peer.stall()
        except TimeoutError:
            peer.send(b"+OK")


# At every step, whatever is due there.
ANYWHERE = {
    "closes": close,
    "closes in mid-line": lambda peer: (peer.send(b"+OK wel"), close(peer)),
    "garbage": b"HTTP/1.0 400 Bad\r\n\r\n",
    "binary": bytes(range(256)) * 4,
    "IMAP": b"* OK IMAP4rev1 ready\r\n",
    "an empty line": b"\r\n",
    "a word that begins alike": b"+OKAY\r\n",
    "bare LF": b"+OK\n",
    "NUL": b"+OK \0\r\n",
    "1 MB": b"+OK " + MEGABYTE + b"\r\n",
    "1 MB of refusal": b"-ERR " + MEGABYTE + b"\r\n",
    "1 MB without an end": MEGABYTE,
    "+OK without an end": b"+OK " + MEGABYTE,
}
# A step, and what is wrong just there.
THERE = {
    "-ERR for a greeting": ("greeting", b"-ERR too busy\r\n"),
    "[SYS/PERM] for a greeting": ("greeting", b"-ERR [SYS/PERM] no\r\n"),
    "a challenge for a greeting": ("greeting", b"+ \r\n"),
    "a challenge to CAPA": ("CAPA", b"+ \r\n"),
    "a challenge to USER": ("USER", b"+ \r\n"),
    "a challenge to PASS": ("PASS", b"+ \r\n"),
    "a challenge to the message": ("message", b"+ \r\n"),
    "+OK to AUTH": ("AUTH", b"+OK welcome\r\n"),
    "an endless list": ("CAPA", chatter(b"XWORD\r\n")),
    "an endless list of dots": ("CAPA", chatter(b"..\r\n")),
    "an endless list of nothing": ("CAPA", chatter(b"\r\n")),
    "1 MB in the list": ("CAPA", b"+OK\r\n" + MEGABYTE + b"\r\n.\r\n"),
    "1 MB of words in the list": ("CAPA", b"+OK\r\n" + b"XWORD y\r\n" * 100000
                                  + b".\r\n"),
    "closes in the list": ("CAPA", lambda peer: (
        peer.send(b"+OK\r\nUSER\r\n"), close(peer))),
    "bare LF in the list": ("CAPA", b"+OK\r\nUSER\n.\r\n"),
}
# No end to the waiting but our own.
WAITS = {
    **{"stalls at " + step: (step, stall) for step in STEPS},
    "drips at greeting": ("greeting", drip),
    "drips at PASS": ("PASS", drip),
    "half at USER": ("USER", b"+OK"),
    "a list without an end": ("CAPA", b"+OK\r\nUSER\r\nSASL PLAIN\r\n"),
    "no CRLF behind the dot": ("CAPA", b"+OK\r\nUSER\r\n."),
}


def ask(client, step):
    """A login in the form that comes to this step; its last line is what is
    answered late."""
    if step in ("AUTH", "message"):
        client.send("AUTH PLAIN %s\r\n" % plain_message(
            "alice", "secret", "carol"))
    else:
        client.cmd("USER alice")
        client.send("PASS secret\r\n")


def attempt(client, step):
    ask(client, step)
    return client.line()


class Faults(Pop3Case):
    lines = ("outgoing_timeout 2", "capability_refresh 3600")

    def assertFault(self, client, step, limit):
        """A reply of its own in time, that makes nobody doubt his password,
        and a line in the log that says why."""
        mark = self.relais.mark()
        reply, seconds = timed(attempt, client, step)
        self.assertNo(reply, "SYS/TEMP")
        self.assertLess(seconds, limit)
        return self.relais.wait_log(
            r'Auth: .*authentication_id="alice" server="[^"]*" '
            r'.*status="failed: (?!Re-Auth)([^"]+)"$', mark).group(1)

    def assertWell(self, client):
        """The next login is served at once."""
        self.inner.script = self.script
        reply, seconds = timed(client.login)
        self.assertYes(reply)
        self.assertLess(seconds, 1.5 * harness.SLOW)
        self.assertEqual(client.cmd("XONE"), "+OK heard XONE")
        client.close()

    def each(self, cases, limit):
        """All of them; what the log said."""
        reasons = {}
        for name, (where, what) in cases.items():
            with self.subTest(name):
                self.inner.script = Fault(where, what)
                c = self.tls()
                reasons[name] = self.assertFault(c, where, limit)
                self.assertWell(c)
        return reasons

    def test_each_at_each_step(self):
        reasons = self.each({
            "%s at %s" % (name, step): (step, what)
            for name, what in ANYWHERE.items() for step in STEPS},
            6 * harness.SLOW)
        # each has words of its own; an administrator acts on them.  (One
        # that fails before the login is passed over like one that is down.)
        for step in STEPS[2:]:
            told = {reasons.get(name + " at " + step)
                    for name in ("closes", "garbage")}
            self.assertEqual(len(told), 2, told)

    def test_each_there(self):
        self.each(THERE, 6 * harness.SLOW)

    def test_no_process_was_lost(self):
        before = self.relais.processes()
        for where, what in list(THERE.values())[-4:]:
            self.inner.script = Fault(where, what)
            self.tls().login()
        self.assertEqual(self.relais.processes(), before)

    def test_a_client_that_leaves_while_the_server_stalls(self):
        """The inner connection goes with it."""
        for step in STEPS:
            with self.subTest(step):
                ended = []

                def note(peer):
                    try:
                        peer.stall()
                    finally:
                        ended.append(True)

                fault = self.inner.script = Fault(step, note)
                c = self.tls()
                ask(c, step)
                self.assertTrue(fault.reached.wait(5 * harness.SLOW))
                c.close()
                wait_for(lambda: ended, 5, "the inner connection to end")

    def test_what_is_pipelined_behind_a_fault_is_kept(self):
        self.inner.script = Fault("PASS", close)
        c = self.tls()
        c.send("USER alice\r\nPASS secret\r\nCAPA\r\nXYZ\r\n")
        self.assertYes(c.line())
        self.assertNo(c.line(), "SYS/TEMP")
        self.assertYes(c.line())
        self.assertTrue(c.listing())
        self.assertNo(c.line())

    def test_faults_are_not_counted_as_tries(self):
        self.inner.script = Fault("PASS", close)
        c = self.tls()
        for _ in range(15):     # ten refusals would be the end
            self.assertNo(c.login(), "SYS/TEMP")
        self.assertWell(c)

    def test_err_to_capa_is_no_fault(self):
        self.inner.script = Pop3Script(capability=None)
        c = self.tls()
        self.assertYes(c.login())

    def test_down(self):
        self.inner.stop()
        try:
            c = self.tls()
            mark = self.relais.mark()
            reply, seconds = timed(c.login)
            self.assertNo(reply, "SYS/TEMP")
            self.assertLess(seconds, 1.5 * harness.SLOW)
            self.relais.wait_log(
                r'status="failed: Could not connect to server"$', mark)
            for _ in range(3):  # it goes on being down
                self.assertNo(c.login(), "SYS/TEMP")
        finally:
            self.inner.start()
        self.assertWell(c)


class Waits(Pop3Case):
    """Servers that make us wait, side by side."""
    lines = ("outgoing_timeout 2",)

    def each(self, limit):
        mark, began = self.relais.mark(), time.monotonic()
        clients = {}
        for name, (step, what) in WAITS.items():
            c = clients[name] = self.tls()
            c.sock.settimeout(2 * limit * harness.SLOW)
            fault = self.inner.script = Fault(step, what)
            ask(c, step)
            self.assertTrue(fault.reached.wait(5 * harness.SLOW))
        for name, c in clients.items():
            with self.subTest(name):
                self.assertNo(c.line(), "SYS/TEMP")
                self.assertLess(time.monotonic() - began,
                                (limit + 1) * harness.SLOW)
                self.assertRegex(self.relais.wait_log(
                    r'Auth: \S+:%d->.*status="failed: ([^"]+)"$'
                    % c.sock.getsockname()[1], mark).group(1),
                    # the second, seen once, where no other server is left
                    "(?i)time|Could not connect to server")

    def test_as_configured(self):
        self.each(4)


class Patience(Waits):
    """As it comes: nobody has set a limit."""
    lines = ()

    def test_as_configured(self):
        self.each(30)


class Several(TestCase):
    """The next is tried as long as none has greeted."""

    kind = Pop3Client

    def setUp(self):
        self.inner = [StandIn(self, Pop3Script()) for _ in range(3)]
        self.relais = harness.Gateway(
            self, [s.port for s in self.inner], "capability_refresh 3600",
            daemon=harness.POP3SD)

    def login(self, limit=1.5, **kw):
        c = self.connect(self.relais.plain)
        reply, seconds = timed(lambda: c.login(**kw))
        self.assertLess(seconds, limit * harness.SLOW)
        if reply.startswith("+OK"):
            self.assertEqual(c.cmd("XONE"), "+OK heard XONE")
        c.close()
        return reply

    def counts(self):
        return [len(s.logins) for s in self.inner]

    def test_round_robin(self):
        for _ in range(9):
            self.assertRegex(self.login(), r"^\+OK")
        self.assertEqual(self.counts(), [3, 3, 3])

    def passes_over(self, what, limit=1.5):
        self.inner[1].script = Fault("greeting", what)
        for _ in range(4):
            self.assertRegex(self.login(limit), r"^\+OK")
        self.assertEqual(self.inner[1].logins, [])
        self.assertEqual(sum(self.counts()), 4)

    def test_one_that_closes(self):
        self.passes_over(close)

    def test_one_that_says_no(self):
        self.passes_over(b"-ERR [SYS/TEMP] too busy\r\n")

    def test_one_that_is_no_pop3_server(self):
        self.passes_over(b"* OK IMAP4rev1 ready\r\n")

    def test_one_that_stalls(self):
        """Seconds, not all the time that a login may take."""
        self.passes_over(stall, 11)

    def test_in_a_session_that_was_refused_before(self):
        c = self.connect(self.relais.plain)
        self.assertEqual(c.login("alice", "wrong"),
                         "-ERR [AUTH] no such luck")
        for s in self.inner:
            s.logins.clear()
        self.inner[0].stop()
        self.inner[1].script = Fault("greeting", close)
        self.assertRegex(c.login(), r"^\+OK")
        self.assertEqual(self.counts(), [0, 0, 1])

    def test_two_that_fail(self):
        self.inner[0].stop()
        self.inner[2].script = Fault("greeting", close)
        for _ in range(4):
            self.assertRegex(self.login(), r"^\+OK")
        self.assertEqual(self.counts(), [0, 4, 0])

    def test_after_the_password_no_other_is_asked(self):
        """It may have got in: nobody logs in twice."""
        for s in self.inner:
            s.script = Fault("PASS", close)
        self.assertRegex(self.login(), r"^-ERR \[SYS/TEMP\] ")
        passwords = [l for s in self.inner for l in s.lines
                     if l.startswith(b"PASS")]
        self.assertEqual(len(passwords), 1)

    def test_a_refusal_is_not_asked_of_the_next(self):
        self.assertEqual(self.login(5, password="wrong"),
                         "-ERR [AUTH] no such luck")
        self.assertEqual(sum(self.counts()), 1)

    def test_all_are_down_and_come_back(self):
        for s in self.inner:
            s.stop()
        for _ in range(3):
            self.assertRegex(self.login(), r"^-ERR \[SYS/TEMP\] ")
        for s in self.inner:
            s.start()
        self.assertRegex(self.login(), r"^\+OK")


if __name__ == "__main__":
    main()
