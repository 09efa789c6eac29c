# SPDX-License-Identifier: ISC
"""Raw clients: what they send is what the test wrote, and what they get is
what was on the wire."""

import base64
import collections
import re
import socket
import ssl

from certs import NAME, certificates
from harness import SLOW

Reply = collections.namedtuple("Reply", "status text untagged")


def tls_context(ca=None, version=None, alpn=None, ciphers=None):
    """A client's TLS that trusts our authority and checks the name."""
    context = ssl.create_default_context(
        cafile=ca or certificates().ca.cert)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if alpn is not None:
        context.set_alpn_protocols(alpn)
    if ciphers is not None:
        context.set_ciphers(ciphers)
    return context


def plain_message(user, password, authz=""):
    """The message of SASL PLAIN (RFC 4616), encoded."""
    return b64("%s\0%s\0%s" % (authz, user, password))


def b64(text):
    data = text.encode() if isinstance(text, str) else text
    return base64.b64encode(data).decode()


class Connection:
    """Octets and lines, whatever the protocol."""

    def __init__(self, port, tls=False, host="127.0.0.1", source=None,
                 timeout=20, context=None, name=NAME, session=None):
        self.sock = socket.create_connection(
            (host, port), timeout * SLOW,
            source_address=(source, 0) if source else None)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = bytearray()
        self.greeting = None
        if tls or context:
            self.start_tls(context, name, session)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def start_tls(self, context=None, name=NAME, session=None):
        """The TLS handshake, on what is a plain connection so far."""
        context = context or tls_context()
        try:
            self.sock = context.wrap_socket(self.sock, server_hostname=name,
                                            session=session)
        except BaseException:
            self.sock.close()
            raise

    def greet(self):
        """Take the greeting; gives it, and the client itself is ready."""
        self.greeting = self.line()
        return self.greeting

    # octets

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def _more(self):
        data = self.sock.recv(262144)
        if not data:
            raise EOFError("the connection has ended; left over: %r"
                           % bytes(self.buffer[:200]))
        self.buffer += data

    def line(self):
        """The next line as text, without its CRLF."""
        seen = 0
        while True:
            i = self.buffer.find(b"\r\n", seen)
            if i >= 0:
                break
            seen = max(0, len(self.buffer) - 1)
            self._more()
        data = bytes(self.buffer[:i])
        del self.buffer[:i + 2]
        return data.decode("utf-8", "surrogateescape")

    def read(self, n):
        """Exactly n octets."""
        while len(self.buffer) < n:
            self._more()
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def rest(self):
        """All that still comes until the connection ends; a reset is an end
        too, if a rude one."""
        try:
            while True:
                self._more()
        except (EOFError, ConnectionResetError, BrokenPipeError,
                ssl.SSLEOFError, ssl.SSLZeroReturnError):
            pass
        data = bytes(self.buffer)
        self.buffer.clear()
        return data.decode("utf-8", "surrogateescape")


class Client(Connection):
    """IMAP."""

    tags = 0

    def tag(self):
        self.tags += 1
        return "a%d" % self.tags

    def answer(self, tag):
        """Lines up to the tagged one, and that one's parts.  Literals'
        octets are taken as they come."""
        untagged = []
        while True:
            line = self.line()
            if line.startswith(tag + " "):
                status, _, text = line[len(tag) + 1:].partition(" ")
                return Reply(status, text, untagged)
            literal = re.search(r"\{(\d+)\}$", line)
            if literal:
                line += "\r\n" + self.read(int(literal.group(1))).decode(
                    "utf-8", "surrogateescape")
            untagged.append(line)

    def cmd(self, text):
        """One command, and its answer."""
        tag = self.tag()
        self.send("%s %s\r\n" % (tag, text))
        return self.answer(tag)

    def capability(self):
        """The words of CAPABILITY's answer, in order."""
        reply = self.cmd("CAPABILITY")
        lists = [l.split()[2:] for l in reply.untagged
                 if l.upper().startswith("* CAPABILITY ")]
        if reply.status != "OK" or len(lists) != 1:
            raise AssertionError("CAPABILITY: %r" % (reply,))
        return lists[0]

    def starttls(self, context=None):
        reply = self.cmd("STARTTLS")
        if reply.status != "OK":
            raise AssertionError("STARTTLS: %r" % (reply,))
        self.start_tls(context)

    def login(self, user="alice", password="secret"):
        return self.cmd("LOGIN %s %s" % (user, password))


class Pop3Client(Connection):
    """POP3: a reply is its first line, or all lines of a list."""

    def cmd(self, text):
        """One command, and the line that answers it."""
        self.send(text + "\r\n")
        return self.line()

    def listing(self):
        """The lines up to the "." (RFC 1939 3), not taken apart."""
        lines = []
        while True:
            line = self.line()
            if line == ".":
                return lines
            lines.append(line[1:] if line.startswith(".") else line)

    def multi(self, text):
        """A command that is answered by a list: its first line, the rest."""
        first = self.cmd(text)
        return first, self.listing() if first.startswith("+OK") else []

    def capability(self):
        """The lines of CAPA's answer, in order."""
        first, lines = self.multi("CAPA")
        if not first.startswith("+OK"):
            raise AssertionError("CAPA: %r" % first)
        return lines

    def starttls(self, context=None):
        reply = self.cmd("STLS")
        if not reply.startswith("+OK"):
            raise AssertionError("STLS: %r" % reply)
        self.start_tls(context)

    def login(self, user="alice", password="secret"):
        """USER and PASS; the answer to PASS, or USER's when that failed."""
        reply = self.cmd("USER " + user)
        return self.cmd("PASS " + password) if reply.startswith("+OK") \
            else reply


def connect(port, tls=False, kind=Client, **kw):
    """A client that has been greeted."""
    client = kind(port, tls, **kw)
    try:
        client.greet()
    except BaseException:
        client.close()
        raise
    return client


def code_list(line):
    """The words of [CAPABILITY ...] in a line; None when there is none."""
    m = re.search(r"\[CAPABILITY ([^\]]*)\]", line)
    return m and m.group(1).split()
