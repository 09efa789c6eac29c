# SPDX-License-Identifier: ISC
"""What one login leaves in memory, in each form that a client, an inner server
and a failure can give it: while it is under way, its password is in the worker
(and the authenticator) alone; when it is over, nowhere, be the connection
still open or not.

The search is made at once, before another login could write over what this
one left; and each password is long, and of marks from end to end, so that no
part of it is written over unseen."""

import contextlib
import os
import re
import socket
import ssl
import struct
import threading

import harness
import secret
from case import TestCase, main, needs_root, not_sanitized
from certs import gateway_pair
from client import Client, Pop3Client, b64, plain_message, tls_context
from inner import Pop3Script, Script, StandIn
from saslauthd import Mux, folder_in
from submission import SmtpClient, SmtpScript

FORMS = secret.password_forms()
PASSWORD = secret.password(1)           # is sent as a quoted string
LONG = secret.password(2, marks=56)     # as a literal: 1,008 octets
ODD = secret.password(3, joint='"')     # has what must be quoted
TOO_LONG = secret.password(4, marks=60)


class Verdict:
    """Of an inner server: it is in the user's name."""

    def __init__(self):
        self.go = threading.Event()
        self.waiting = threading.Event()

    def __call__(self, user, password):
        """The users there are: this one, or none."""
        if user == "hang":
            self.waiting.set()
            self.go.wait(20)
        if user in ("gone", "hang"):
            raise EOFError
        return {} if user == "wrong" else {user: password}


class ImapInner(Script):
    def login(self, peer, tag, user, password, authz, how):
        self.users = peer.server.verdict(user, password)
        return super().login(peer, tag, user, password, authz, how)


class Pop3Inner(Pop3Script):
    def login(self, peer, user, password, authz, how):
        self.users = peer.server.verdict(user, password)
        return super().login(peer, user, password, authz, how)


class Checked:
    """The users of a saslauthd."""

    def __init__(self, inner):
        self.inner = inner

    def get(self, user):
        """A password that equals every other; None for none."""
        try:
            return Any() if self.inner.verdict(user, None) else None
        except EOFError:
            return None


class Any:
    def __eq__(self, other):
        return True

    __hash__ = None


@needs_root
@not_sanitized
class Traces(TestCase):
    """A daemon, and what its clients say: a string is answered by a line (or
    what the protocol has for that), octets are not, and leave the password in
    the worker until more comes."""

    daemon = None
    lines = ()
    inner_tls = None
    decides = "worker"          # who has the password while it is checked

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script, cls.inner_tls)
        cls.inner.verdict = Verdict()
        cls.relais = harness.Gateway(
            cls, cls.inner.port, "login_attempts 0", *cls.lines,
            daemon=cls.daemon, workers=1)

    def setUp(self):
        self.inner.script = self.script
        self.inner.verdict = Verdict()

    @contextlib.contextmanager
    def client(self, name, port=None, version=ssl.TLSVersion.TLSv1_3):
        """Of a part of a test."""
        context = None if port else tls_context(version=version)
        with self.subTest(name), self.kind(
                port or self.relais.ssl, context=context, timeout=10) as c:
            self.greet(c)
            yield c

    @staticmethod
    def greet(c):
        c.greet()

    def nowhere(self, when):
        processes = secret.settle(self.relais)
        found = [text for _, text in secret.traces(processes, FORMS)]
        if found:
            self.fail("\n".join([when] + found))

    def held(self, role="worker"):
        """What is under way is seen, and nowhere else."""
        processes = secret.settle(self.relais)
        self.assertEqual(secret.roles_with(processes, FORMS), {role})

    def talk(self, c, steps):
        """The last answer; None for none."""
        answer = None
        for step in steps:
            c.send(step)
            if isinstance(step, bytes):
                self.held()
            else:
                answer = self.answer(c)
        return answer

    def logins(self, ways, port=None, version=ssl.TLSVersion.TLSv1_3):
        """Of each way to log in, the search while the client is there, while
        it is relayed, and when it has gone."""
        for name, steps in ways.items():
            with self.client(name, port, version) as c:
                self.assertRegex(self.talk(c, steps), self.yes)
                self.nowhere("logged in")
                self.use(c)
                self.nowhere("relaying")
                c.close()
                self.nowhere("gone")

    def failures(self, ways):
        """{name: (steps, pattern of the last answer)}.  The client stays,
        unless it is shown the door."""
        for name, (steps, pattern) in ways.items():
            with self.client(name) as c:
                self.assertRegex(self.talk(c, steps), pattern)
                self.nowhere("refused")
                c.close()
                self.nowhere("gone")

    def departures(self, ways):
        """Clients that go when the password was said in part, or when all
        of it was and the inner server has not answered."""
        for name, steps in ways.items():
            with self.client(name) as c:
                self.talk(c, steps)
                c.close()
                self.nowhere("gone")

    def hang(self, ways):
        for name, steps in ways.items():
            verdict = self.inner.verdict = Verdict()
            self.addCleanup(verdict.go.set)
            with self.client(name) as c:
                *first, last = steps
                self.talk(c, first)
                c.send(last)
                self.assertTrue(verdict.waiting.wait(10))
                self.held(self.decides)
                if not name.startswith("PLAIN"):
                    c.close()   # it may still listen: the answer is awaited
                    verdict.go.set()
                else:           # a reset: it does not
                    c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
                    c.close()
                    if self.decides == "worker":
                        self.nowhere("reset")
                    verdict.go.set()
                # who was asked has yet to wake up and answer
                harness.wait_for(lambda: not secret.traces(
                    self.relais.processes(), FORMS), 3, "an end", every=0.1)
                self.nowhere("gone")


def literal(text, plus="+"):
    return "{%d%s}\r\n" % (len(text), plus)


def quoted(text):
    return '"%s"' % re.sub(r'(["\\])', r"\\\1", text)


class Usual:
    """The logins that all three have."""

    twice = ()              # the ways in which a second attempt is made

    def test_usual(self):
        self.logins(self.ways("u", PASSWORD))

    def test_long(self):
        self.logins(self.ways("user", LONG))

    def test_tls12(self):
        self.logins(self.ways("u", PASSWORD),
                    version=ssl.TLSVersion.TLSv1_2)

    def test_clear(self):
        self.logins(self.ways("u", PASSWORD), port=self.relais.plain)

    def test_second_attempt(self):
        """The wrong password, too, is somebody's."""
        wrong, right = self.ways("wrong", LONG), self.ways("u", PASSWORD)
        self.logins({name: wrong[name] + right[name] for name in self.twice})


class Imap(Usual, Traces):
    twice = ("quoted", "PLAIN")
    daemon = harness.IMAPSD
    kind = Client
    script = ImapInner()
    yes = "^a OK"

    @staticmethod
    def answer(c):
        return c.line()

    def use(self, c):
        self.assertOK(c.cmd("NOOP"))

    @staticmethod
    def ways(user, password):
        """All that a client may choose."""
        message = plain_message(user, password)
        half = len(password) // 2
        return {
            "quoted": ["a LOGIN %s %s\r\n" % (user, quoted(password))],
            "literals": ["a LOGIN %s%s %s%s\r\n" % (
                literal(user), user, literal(password), password)],
            "asked for literals": [
                "a LOGIN %s" % literal(user, ""),
                "%s %s" % (user, literal(password, "")), password + "\r\n"],
            "literal in pieces": [
                "a LOGIN %s %s" % (user, literal(password, "")),
                password[:half].encode(), password[half:] + "\r\n"],
            "line in pieces": [
                b"a LOGIN %s %s" % (user.encode(),
                                    quoted(password)[:half].encode()),
                quoted(password)[half:] + "\r\n"],
            "PLAIN": ["a AUTHENTICATE PLAIN\r\n", message + "\r\n"],
            "PLAIN initial": ["a AUTHENTICATE PLAIN %s\r\n" % message],
            "PLAIN for another": ["a AUTHENTICATE PLAIN %s\r\n" %
                                  plain_message(user, password, "boss")],
            "PLAIN in pieces": [
                "a AUTHENTICATE PLAIN\r\n",
                message[:40].encode(), message[40:-9].encode(),
                message[-9:] + "\r\n"],
            "LOGIN": ["a AUTHENTICATE LOGIN\r\n", b64(user) + "\r\n",
                      b64(password) + "\r\n"],
            "LOGIN initial": ["a AUTHENTICATE LOGIN %s\r\n" % b64(user),
                              b64(password) + "\r\n"],
        }

    def test_atom(self):
        self.logins({"atom": ["a LOGIN u %s\r\n" % PASSWORD]})

    def test_odd(self):
        self.logins(self.ways("u", ODD))

    def test_pipelined(self):
        self.logins({"at once": [
            "a NOOP\r\na LOGIN wrong %s\r\na LOGIN u %s\r\n" % (
                PASSWORD, LONG), "", ""]})

    def test_moved(self):
        """A buffer's octets move to its front, when those of commands before
        are taken and there is no room behind."""
        self.failures({"moved": (
            [b"a NOOP\r\n" * 15 + b"a LOGON u " + PASSWORD[:63].encode(),
             PASSWORD[63:133].encode(), *[""] * 15,
             "\r\n"], "^a BAD")})

    def test_refused_here(self):
        """Nobody is asked whether it is right."""
        p, message = PASSWORD, plain_message("u", PASSWORD)
        long = TOO_LONG * 9
        self.failures({
            "three strings": (["a LOGIN u %s x\r\n" % p], "^a BAD"),
            "no string": (['a LOGIN u "%s\r\n' % p], "^a BAD"),
            "no quote": (['a LOGIN u "%s" "\\x"\r\n' % p], "^a BAD"),
            "no name": (['a LOGIN "" %s\r\n' % p], "^a NO"),
            "a name of two lines": (["a AUTHENTICATE PLAIN %s\r\n" %
                                     plain_message("u\r\nv", p)], "^a NO"),
            "too long": (["a LOGIN u %s\r\n" % TOO_LONG], "^a NO"),
            "too long, quoted": (['a LOGIN u "%s"\r\n' % TOO_LONG], "^a NO"),
            "literal in two lines": (
                ["a LOGIN u {%d+}\r\n%s\r\n\r\n" % (len(p) + 2, p)],
                "^a NO"),
            "large literal": (["a LOGIN u %s {5000}\r\n" % p], "^a "),
            "larger literal": (["a LOGIN u {5000+}\r\n%s\r\n" % p],
                               "^a BAD"),
            "no command": (["a LOGON u %s\r\n" % p], "^a BAD"),
            "no such mechanism": (["a AUTHENTICATE X %s\r\n" % message],
                                  "^a NO"),
            "empty": (["%s\r\n" % p], "BAD"),
            "endless": (["a LOGIN u %s\r\n" % long], "^a BAD"),
            "a bare CR": (["a LOGIN u %s\rx\r\n" % p], "^a BAD"),
            "no base64": (["a AUTHENTICATE PLAIN %s!\r\n" % message],
                          "^a BAD"),
            "no base64 to the end": (
                ["a AUTHENTICATE PLAIN\r\n",
                 b64("\0u\0%sx" % LONG) + "!!!!\r\n"], "^a BAD"),
            "two NUL": (["a AUTHENTICATE PLAIN %s\r\n" % plain_message(
                "u", p + "\0" + p)], "^a NO"),
            "no NUL": (["a AUTHENTICATE PLAIN %s\r\n" % b64(p)], "^a NO"),
            "PLAIN's line too long": (
                ["a AUTHENTICATE PLAIN\r\n", b64(TOO_LONG * 14) + "\r\n"],
                "^a BAD"),
            "LOGIN's too long": (
                ["a AUTHENTICATE LOGIN\r\n", b64("u") + "\r\n",
                 b64(TOO_LONG) + "\r\n"], "^a NO"),
            "the password as the name": (
                ["a AUTHENTICATE LOGIN\r\n", b64(p) + "\r\n", "*\r\n"],
                "^a BAD"),
        })

    def test_refused(self):
        wrong = self.ways("wrong", PASSWORD)
        self.failures({name: (wrong[name], "^a NO") for name in
                       ("literals", "PLAIN initial", "LOGIN")})
        self.failures({name: (steps, "^a NO") for name, steps in
                       self.ways("gone", LONG).items()})

    def test_departed(self):
        """In mid-command, and when the password is with the inner server."""
        self.departures({
            "line": [b"a LOGIN u " + PASSWORD.encode()],
            "long line": [b"a LOGIN u " + LONG[:200].encode(),
                          LONG[200:].encode()],
            "literal": ["a LOGIN u {%d}\r\n" % len(LONG),
                        LONG[:-18].encode()],
            "PLAIN": ["a AUTHENTICATE PLAIN\r\n",
                      plain_message("u", PASSWORD).encode()],
            "LOGIN": ["a AUTHENTICATE LOGIN\r\n", b64("u") + "\r\n",
                      b64(LONG).encode()]})
        self.hang(self.ways("hang", PASSWORD))

    def test_forms(self):
        """In which an inner server can take a login."""
        class Other(ImapInner):
            pass

        usual = self.ways("u", PASSWORD)
        usual["odd"] = self.ways("u", ODD)["quoted"]
        usual["long"] = self.ways("u", LONG)["quoted"]
        few = {name: usual[name] for name in
               ("quoted", "PLAIN", "LOGIN", "odd", "long")}
        for words in ("IMAP4rev1", "IMAP4rev1 LOGINDISABLED AUTH=PLAIN",
                      "IMAP4rev1 LOGINDISABLED AUTH=PLAIN SASL-IR"):
            with self.subTest(words):
                self.inner.script = Other(capability=words)
                self.logins(few)


class Pop3(Usual, Traces):
    twice = ("PASS", "PLAIN")
    daemon = harness.POP3SD
    kind = Pop3Client
    script = Pop3Inner()
    yes = r"^\+OK"

    @staticmethod
    def answer(c):
        return c.line()

    def use(self, c):
        self.assertRegex(c.cmd("STAT"), r"^\+OK")

    @staticmethod
    def ways(user, password):
        message = plain_message(user, password)
        return {
            "PASS": ["USER %s\r\n" % user, "PASS %s\r\n" % password],
            "PASS in pieces": [
                "USER %s\r\n" % user, b"PASS " + password[:60].encode(),
                password[60:] + "\r\n"],
            "PLAIN": ["AUTH PLAIN\r\n", message + "\r\n"],
            "PLAIN initial": ["AUTH PLAIN %s\r\n" % message],
            "PLAIN for another": ["AUTH PLAIN %s\r\n" % plain_message(
                user, password, "boss")],
            "PLAIN in pieces": [
                "AUTH PLAIN\r\n", message[:40].encode(),
                message[40:-9].encode(), message[-9:] + "\r\n"],
            "LOGIN": ["AUTH LOGIN\r\n", b64(user) + "\r\n",
                      b64(password) + "\r\n"],
        }

    def test_pipelined(self):
        self.logins({"at once": [
            "USER wrong\r\nPASS %s\r\nUSER u\r\nPASS %s\r\n" % (
                PASSWORD, LONG), "", "", ""]})

    def test_refused_here(self):
        p, message = PASSWORD, plain_message("u", PASSWORD)
        self.failures({
            "no name": (["PASS %s\r\n" % p], "^-ERR"),
            "a name of two lines": (["AUTH PLAIN %s\r\n" % plain_message(
                "u\r\nv", p)], "^-ERR"),
            "too long": (["USER u\r\n", "PASS %s\r\n" % TOO_LONG], "^-ERR"),
            "no command": (["PAST %s\r\n" % p], "^-ERR"),
            "no command, but": (["%s\r\n" % p], "^-ERR"),
            "no such mechanism": (["AUTH X %s\r\n" % message], "^-ERR"),
            "endless": (["PASS %s\r\n" % (TOO_LONG * 16)], "^-ERR"),
            "a bare CR": (["PASS %s\rx\r\n" % p], "^-ERR"),
            "no base64": (["AUTH PLAIN %s!\r\n" % message], "^-ERR"),
            "no base64 to the end": (
                ["AUTH PLAIN\r\n", b64("\0u\0%sx" % LONG) + "!!!!\r\n"],
                "^-ERR"),
            "two NUL": (["AUTH PLAIN %s\r\n" % plain_message(
                "u", p + "\0" + p)], "^-ERR"),
            "no NUL": (["AUTH PLAIN %s\r\n" % b64(p)], "^-ERR"),
            "LOGIN's too long": (
                ["AUTH LOGIN\r\n", b64("u") + "\r\n",
                 b64(TOO_LONG) + "\r\n"], "^-ERR"),
            "the password as the name": (
                ["AUTH LOGIN\r\n", b64(p) + "\r\n", "*\r\n"], "^-ERR"),
        })

    def test_refused(self):
        wrong = self.ways("wrong", PASSWORD)
        self.failures({name: (wrong[name], "^-ERR") for name in
                       ("PASS", "PLAIN initial", "LOGIN")})
        self.failures({name: (steps, "^-ERR") for name, steps in
                       self.ways("gone", LONG).items()})

    def test_departed(self):
        self.departures({
            "PASS": ["USER u\r\n", b"PASS " + PASSWORD.encode()],
            "long": ["USER u\r\n", b"PASS " + LONG[:200].encode(),
                     LONG[200:].encode()],
            "PLAIN": ["AUTH PLAIN\r\n",
                      plain_message("u", PASSWORD).encode()],
            "LOGIN": ["AUTH LOGIN\r\n", b64("u") + "\r\n",
                      b64(LONG).encode()]})
        self.hang(self.ways("hang", PASSWORD))

    def test_forms(self):
        self.inner.script = Pop3Inner(capability=("SASL PLAIN",))
        few = self.ways("u", PASSWORD)
        few["long"] = self.ways("u", LONG)["PASS"]
        self.logins(few)


class Smtp(Usual, Traces):
    twice = ("PLAIN", "LOGIN")
    """The inner server sees no password; saslauthd does."""

    daemon = harness.SMTPSD
    kind = SmtpClient
    script = SmtpScript()
    decides = "authenticator"   # the worker's copy is wiped when it was sent
    yes = "^235"

    @classmethod
    def setUpClass(cls):
        path = harness.folder(cls)
        with open(os.path.join(path, "smtpd.conf"), "w") as f:
            f.write("pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n")
        cls.lines = ("hostname gw.example.org", "sasl_config_path " + path,
                     "peername_lookup no")
        super().setUpClass()
        Mux(cls, folder_in(cls.relais.spool), Checked(cls.inner),
            rude=("gone",))

    @staticmethod
    def greet(c):
        c.greet()
        c.ehlo()

    @staticmethod
    def answer(c):
        return "%d %s" % (c.reply()[0], "")

    def use(self, c):
        self.assertEqual(c.cmd("MAIL FROM:<a@example.org>")[0], 250)

    @staticmethod
    def ways(user, password):
        message = plain_message(user, password)
        return {
            "PLAIN": ["AUTH PLAIN\r\n", message + "\r\n"],
            "PLAIN initial": ["AUTH PLAIN %s\r\n" % message],
            "PLAIN in pieces": [
                "AUTH PLAIN\r\n", message[:40].encode(),
                message[40:-9].encode(), message[-9:] + "\r\n"],
            "LOGIN": ["AUTH LOGIN\r\n", b64(user) + "\r\n",
                      b64(password) + "\r\n"],
            "LOGIN initial": ["AUTH LOGIN %s\r\n" % b64(user),
                              b64(password) + "\r\n"],
        }

    def test_refused_here(self):
        p, message = PASSWORD, plain_message("u", PASSWORD)
        self.failures({
            "no command": (["AUTO %s\r\n" % p], "^5"),
            "no such mechanism": (["AUTH X %s\r\n" % message], "^5"),
            "endless": (["AUTH PLAIN\r\n", TOO_LONG * 16 + "\r\n"], "^5"),
            "a bare CR": (["AUTH PLAIN %s\rx\r\n" % message], "^5"),
            "no base64": (["AUTH PLAIN %s!\r\n" % message], "^5"),
            "no base64 to the end": (
                ["AUTH PLAIN\r\n", b64("\0u\0%sx" % LONG) + "!!!!\r\n"],
                "^5"),
            "two NUL": (["AUTH PLAIN %s\r\n" % plain_message(
                "u", p + "\0" + p)], "^5"),
            "no NUL": (["AUTH PLAIN %s\r\n" % b64(p)], "^5"),
            "LOGIN's too long": (
                ["AUTH LOGIN\r\n", b64("u") + "\r\n",
                 b64(TOO_LONG * 2) + "\r\n"], "^5"),
            "the password as the name": (
                ["AUTH LOGIN\r\n", b64(p) + "\r\n", "*\r\n"], "^5"),
        })

    def test_refused(self):
        wrong = self.ways("wrong", PASSWORD)
        gone = self.ways("gone", LONG)
        self.failures({name: (wrong[name], "^535")
                       for name in ("PLAIN initial", "LOGIN")})
        self.failures({name: (gone[name], "^454")
                       for name in ("PLAIN", "LOGIN initial")})

    def test_departed(self):
        self.departures({
            "PLAIN": ["AUTH PLAIN\r\n",
                      plain_message("u", PASSWORD).encode()],
            "LOGIN": ["AUTH LOGIN\r\n", b64("u") + "\r\n",
                      b64(LONG).encode()]})
        self.hang(self.ways("hang", PASSWORD))


if __name__ == "__main__":
    main()
