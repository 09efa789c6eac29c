# SPDX-License-Identifier: ISC
"""The Received field in front of a message, and what it does not tell on
request."""

import ssl

from case import main
from client import tls_context
from submission import Submission

FROM = r"\AReceived: from client\.example\.net \(unknown \[127\.0\.0\.1\]\)"
HIDDEN = r"\AReceived: from gw\.example\.org"
TLS13 = r"\t\(using TLSv1\.3 with cipher TLS_AES_\w+ \((128|256)/\1 bits\)\)"
TLS12 = (r"\t\(using TLSv1\.2 with cipher TLS_ECDHE_\w+ "
         r"\((128|256)/\1 bits\)\)")
USER = r"\t\(Authenticated sender: alice@example\.org\)"
BY = r"\tby gw\.example\.org \(Relais\) with ESMTPSA id [0-9A-F]{18}"
FOR = r"\tfor <b@example\.net>; \w{3}, \d.* \+0000\r\n\r\nhello\r\n\Z"


class Received(Submission):
    expected = FROM, TLS13, USER, BY, FOR

    def send(self, c):
        c.ehlo()
        self.assertReply(c.login(), 235)
        c.begin()
        self.assertReply(c.message(b"\r\nhello\r\n"), 250)
        return self.inner.messages.pop().octets.decode()

    def test_field(self):
        self.assertRegex(self.send(self.tls()), r"\r\n".join(self.expected))


class Others(Received):
    """The same by STARTTLS, and with another version."""

    def test_starttls(self):
        c = self.connect(self.relais.starttls)
        c.ehlo()
        c.starttls()
        self.assertRegex(self.send(c), r"\r\n".join(self.expected))

    def test_version(self):
        c = self.tls(context=tls_context(version=ssl.TLSVersion.TLSv1_2))
        self.assertRegex(self.send(c), r"\r\n".join(
            (FROM, TLS12, USER, BY, FOR)))

    def test_several_recipients(self):
        """Nobody hears of the others."""
        c = self.user()
        c.begin("b@example.net", "c@example.net")
        self.assertReply(c.message(b"\r\n"), 250)
        self.assertNotIn(b"for <", self.inner.messages.pop().octets)


class WithoutClient(Received):
    lines = ("received_client no",)
    expected = HIDDEN, TLS13, USER, BY, FOR

    def test_field(self):
        c = self.tls()
        octets = self.send(c)
        self.assertRegex(octets, r"\r\n".join(self.expected))
        self.assertNotIn("127.0.0.1", octets)
        self.assertNotIn("client.example.net", octets)


class WithoutUser(Received):
    lines = ("received_user no",)
    expected = FROM, TLS13, BY, FOR


class WithoutTls(Received):
    lines = ("received_tls no",)
    expected = FROM, USER, BY, FOR


if __name__ == "__main__":
    main()
