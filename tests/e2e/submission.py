# SPDX-License-Identifier: ISC
"""What the tests of smtpsd share: an SMTP client, a stand-in for the inner
server, users in a sasldb, and the case that puts them together."""

import collections
import os
import re
import subprocess

import client
import harness
from case import TestCase
from client import b64, plain_message
from inner import StandIn

DOMAIN = "example.org"
USERS = {"alice": "secret", "bob": "hunter2"}

Message = collections.namedtuple("Message", "sender recipients octets")


class SmtpClient(client.Connection):
    """A reply is its code and its lines' texts."""

    def greet(self):
        self.greeting = self.reply()
        return self.greeting

    def reply(self):
        texts = []
        while True:
            line = self.line()
            if not re.match(r"\d{3}([ -]|$)", line):
                raise AssertionError("no reply: %r" % line)
            texts.append(line[4:])
            if line[3:4] != "-":
                return int(line[:3]), texts

    def cmd(self, text):
        self.send(text + "\r\n")
        return self.reply()

    def ehlo(self, name="client.example.net"):
        """The entries that EHLO promises."""
        code, texts = self.cmd("EHLO " + name)
        if code != 250:
            raise AssertionError("EHLO: %r" % ((code, texts),))
        return texts[1:]

    def starttls(self):
        code, texts = self.cmd("STARTTLS")
        if code != 220:
            raise AssertionError("STARTTLS: %r" % ((code, texts),))
        self.start_tls()

    def login(self, user="alice", password="secret"):
        return self.cmd("AUTH PLAIN " + plain_message(user, password))

    def begin(self, *recipients, sender="a@example.org", params=""):
        """MAIL, RCPT for each, DATA up to 354."""
        for line in (["MAIL FROM:<%s>%s" % (sender, params)] +
                     ["RCPT TO:<%s>" % r for r in
                      recipients or ("b@example.net",)]):
            reply = self.cmd(line)
            if reply[0] != 250:
                raise AssertionError("%s: %r" % (line, reply))
        reply = self.cmd("DATA")
        if reply[0] != 354:
            raise AssertionError("DATA: %r" % (reply,))

    def message(self, octets):
        """The message as it is to be on the wire, but for its end."""
        self.send(octets + b".\r\n")
        return self.reply()


class SmtpScript:
    """What a good small SMTP server says; a test changes one thing of it.

    replies: {verb: text of its reply}; "." is what a message gets.  A reply
    may be a function of the peer and the line that says whatever it likes and
    returns the reply, or None to close."""

    keywords = ("PIPELINING", "SIZE 20000000", "ETRN", "AUTH PLAIN",
                "XCLIENT NAME ADDR", "ENHANCEDSTATUSCODES", "8BITMIME",
                "DSN", "SMTPUTF8", "CHUNKING", "BINARYMIME")
    greeting = "220 inner.example ESMTP"
    starttls = None         # an ssl.SSLContext: STARTTLS is offered
    replies = {}

    USUAL = {"MAIL": "250 2.1.0 Ok", "RCPT": "250 2.1.5 Ok",
             "RSET": "250 2.0.0 Ok", "NOOP": "250 2.0.0 Ok",
             "DATA": "354 go on", "BDAT": "250 2.0.0 Ok",
             "QUIT": "221 2.0.0 Bye", ".": "250 2.0.0 Ok: queued as 4711",
             "HELO": "250 inner.example",
             "XCLIENT": "220 inner.example ESMTP",
             "XFORWARD": "250 2.0.0 Ok"}

    def __init__(self, **changes):
        for name, value in changes.items():
            if not hasattr(type(self), name):
                raise AttributeError(name)
            setattr(self, name, value)

    def __call__(self, peer):
        peer.sender, peer.recipients, peer.chunks = None, [], b""
        peer.send(self.greeting + "\r\n")
        while True:
            line = peer.line()
            verb = line.split(" ")[0].upper()
            reply = self.run(peer, verb, line)
            if reply is None:
                return
            peer.send(reply + "\r\n")
            if verb == "QUIT":
                return
            if verb == "STARTTLS":
                peer.starttls(self.starttls)

    def answer(self, peer, verb, line):
        reply = self.replies.get(verb, self.USUAL.get(verb, "500 5.5.2 what"))
        return reply(peer, line) if callable(reply) else reply

    def run(self, peer, verb, line):
        if verb == "EHLO":
            words = ["inner.example", *self.keywords]
            if self.starttls:
                words.append("STARTTLS")
            return "\r\n".join("250%s%s" % (" " if w is words[-1] else "-", w)
                               for w in words)
        if verb == "STARTTLS" and self.starttls:
            return "220 2.0.0 now"
        if verb == "BDAT":
            words = line.split(" ")
            peer.chunks += peer.read(int(words[1]))
            reply = self.answer(peer, verb, line)
            if reply and reply[0] == "2" and words[2:] == ["LAST"]:
                self.take(peer, peer.chunks)
            return reply
        reply = self.answer(peer, verb, line)
        if reply is None:
            return None
        if verb == "MAIL" and reply[0] == "2":
            peer.sender, peer.recipients, peer.chunks = line, [], b""
        elif verb == "RCPT" and reply[0] == "2":
            peer.recipients.append(line)
        elif verb == "RSET":
            peer.sender, peer.recipients = None, []
        elif verb == "DATA" and reply[0] == "3":
            return self.data(peer, reply)
        return reply

    def data(self, peer, reply):
        """Up to the end, which is the first that any server would see: any
        other line end than CRLF is a fault of the test."""
        peer.send(reply + "\r\n")
        octets = bytearray(b"\r\n")
        while not octets.endswith(b"\r\n.\r\n"):
            start = len(octets)
            octets += peer.read(1)
            octets += peer.buffer
            peer.buffer.clear()
            end = octets.find(b"\r\n.\r\n", max(0, start - 4))
            if end >= 0:
                peer.buffer += octets[end + 5:]
                del octets[end + 5:]
        body = bytes(octets[2:-3])
        bare = re.search(rb"(?<!\r)\n|\r(?!\n)|\0", body)
        if bare:
            raise AssertionError("a bare octet: %r" % body[
                max(0, bare.start() - 20):bare.end() + 20])
        reply = self.answer(peer, ".", "")
        if reply and reply[0] == "2":
            self.take(peer, re.sub(rb"(?m)^\.", b"", body))
        return reply

    def take(self, peer, octets):
        peer.server.messages.append(
            Message(peer.sender, list(peer.recipients), octets))
        peer.sender, peer.recipients, peer.chunks = None, [], b""


def make_user(db, user, password, domain=DOMAIN):
    subprocess.run(["/usr/sbin/saslpasswd2", "-f", db, "-p", "-c", "-u",
                    domain, user], input=password.encode(), check=True)


def sasl_lines(case, mechanisms="PLAIN LOGIN", users=None):
    """Directives of a gateway whose users are in a sasldb."""
    path = harness.folder(case)
    with open(os.path.join(path, "smtpd.conf"), "w") as f:
        f.write("pwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
                "mech_list: %s\n" % mechanisms)
    db = os.path.join(path, "sasldb2")
    for user, password in (users or USERS).items():
        make_user(db, user, password)
    return ("hostname gw.example.org", "sasl_config_path " + path,
            "sasldb_path " + db, "sasl_local_domain " + DOMAIN,
            "peername_lookup no")   # what this host is called is not ours


class Submission(TestCase):
    """smtpsd in front of a stand-in."""

    kind = SmtpClient
    script = SmtpScript()
    lines = ()                  # further directives
    mechanisms = "PLAIN LOGIN"

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.inner.messages = []
        cls.relais = harness.Gateway(
            cls, cls.inner.port, *sasl_lines(cls, cls.mechanisms),
            *cls.lines, daemon=harness.SMTPSD)

    def setUp(self):
        self.inner.script = self.script
        self.inner.messages.clear()
        self.inner.lines.clear()

    def tearDown(self):
        faults, self.inner.faults[:] = list(self.inner.faults), []
        self.assertEqual(faults, [], "the inner server was told nonsense")

    def tls(self, **kw):
        return self.connect(self.relais.ssl, True, **kw)

    def user(self, **kw):
        """A client that has logged in."""
        c = self.tls(**kw)
        c.ehlo()
        self.assertReply(c.login(), 235, "2.7.0")
        return c

    def told(self, verb):
        """The lines of this verb that the inner server got."""
        return [line.decode() for line in self.inner.lines
                if line.upper().startswith(verb.encode())]

    def assertReply(self, reply, code, status=None):
        """This code, and this enhanced status code where one is named."""
        self.assertEqual(reply[0], code, reply)
        if status:
            self.assertTrue(reply[1][0].startswith(status + " "), reply)
        return reply

    def without_received(self, octets):
        """A message without the field that we put in front of it."""
        self.assertTrue(octets.startswith(b"Received: from "), octets[:80])
        return re.sub(rb"\AReceived:.*?\r\n(?![ \t])", b"", octets,
                      flags=re.S)
