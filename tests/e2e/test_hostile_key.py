# SPDX-License-Identifier: ISC
"""A worker that was taken over and the private key: it gets signatures over
what a TLS server signs, and over nothing else; digests, which tell nothing, at
a limited rate and only where TLS 1.2 is served."""

import hashlib
import os
import struct
import subprocess
import tempfile
import time

import harness
from case import StandInCase, main, needs_root, not_sanitized, timed
from certs import gateway_pair
from harness import wait_for
from hostile import Hostile, sign
from inner import StandIn

ECDSA_P256, RSA_PSS, RSA_PKCS1, ED25519 = 0x0403, 0x0804, 0x0401, 0x0807
ECDSA_P384 = 0x0503
PREFIX = b" " * 64 + b"TLS 1.3, server CertificateVerify\0"
CLIENT = b" " * 64 + b"TLS 1.3, client CertificateVerify\0"
DIGEST = hashlib.sha256(b"attack").digest()


def rate():
    with open(os.path.join(harness.TOP, "common", "keeper_sign.h")) as f:
        for line in f:
            words = line.split()
            if words[:2] == ["#define", "KEEPER_DIGESTS_PER_SECOND"]:
                return int(words[2])
    raise AssertionError("no rate in keeper_sign.h")


class Key(StandInCase):
    lines = ()
    kind_of_key = "ec"
    captives = 16

    @classmethod
    def setUpClass(cls):
        cls.inner = StandIn(cls, cls.script)
        cls.pair = gateway_pair(cls.kind_of_key)

    def setUp(self):
        super().setUp()
        self.relais = Hostile(
            self, self.inner.port, *self.lines, workers=self.captives + 1,
            pair=self.pair,
            captives=[("worker", n) for n in range(self.captives)])
        self.left = list(self.relais.captured)

    def ask(self, c, *args, **kw):
        """A signature; None: refused; "ended": that was its end."""
        c.keeper.send(sign(*args, **kw))
        try:
            _, fields, _ = c.keeper.await_type("SIGN_REPLY")
        except (EOFError, ConnectionError):
            wait_for(lambda: not c.is_alive(), 10, "its end")
            c.close()
            return "ended"
        size = struct.unpack(">I", fields[1:5])[0]
        return fields[5:5 + size] if fields[0] else None

    def assertSigned(self, signature, content):
        """It is one, by the certificate's key."""
        self.assertIsInstance(signature, bytes)
        with tempfile.TemporaryDirectory() as path:
            names = [os.path.join(path, n) for n in ("pub", "sig", "data")]
            with open(names[0], "wb") as f:
                f.write(subprocess.run(
                    ["openssl", "x509", "-in", self.pair.cert, "-noout",
                     "-pubkey"], check=True, stdout=subprocess.PIPE).stdout)
            for name, octets in zip(names[1:], (signature, content)):
                with open(name, "wb") as f:
                    f.write(octets)
            subprocess.run(["openssl", "dgst", "-sha256", "-verify", names[0],
                            "-signature", names[1], names[2]], check=True,
                           stdout=subprocess.DEVNULL)

    def assertServes(self):
        with self.connect(self.relais.ssl, True) as c:
            self.assertOK(c.login())


@not_sanitized
class Content(Key):
    lines = ("ssl_listen_min_proto_version tlsv1.3",)

    def test_only_a_server_s(self):
        """The context and what is around it are looked at, to the octet."""
        c = self.left.pop()
        self.assertSigned(self.ask(c, ECDSA_P256, PREFIX + DIGEST),
                          PREFIX + DIGEST)
        for content in (CLIENT + DIGEST, DIGEST, b"", PREFIX,
                        PREFIX + DIGEST[1:], PREFIX + DIGEST + b"x",
                        b"\t" + PREFIX[1:] + DIGEST, PREFIX[1:] + DIGEST,
                        PREFIX[:-1] + b" " + DIGEST, PREFIX * 2):
            with self.subTest(content):
                self.assertEqual(
                    self.ask(self.left.pop(), ECDSA_P256, content), "ended")
        self.assertServes()

    def test_no_digest(self):
        """Where TLS 1.2 is not served, no worker ever asks for one."""
        c = self.left.pop()
        self.assertIsNone(self.ask(c, ECDSA_P256, DIGEST, content=False))
        self.relais.wait_log("a signature was refused")

    def test_another_scheme(self):
        """Not one of this key, and none that TLS 1.3 has not."""
        c = self.left.pop()
        for scheme in (ECDSA_P384, RSA_PSS, ED25519):
            self.assertIn(self.ask(c, scheme, PREFIX + DIGEST),
                          (None, "ended"))
            if not c.is_alive():
                c = self.left.pop()
        for scheme in (RSA_PKCS1, 0x0201, 0x0203, 0, 0xffff):
            self.assertEqual(
                self.ask(self.left.pop(), scheme, PREFIX + DIGEST), "ended")


@not_sanitized
class Digest(Key):
    lines = ("ssl_listen_min_proto_version tlsv1.2",)
    captives = 8

    def test_only_a_digest(self):
        """Of the length that its scheme has."""
        signature = self.ask(self.left[0], ECDSA_P256, DIGEST, content=False)
        self.assertSigned(signature, b"attack")
        self.left.pop(0)
        for data in (b"", DIGEST[1:], DIGEST + b"x", b"attack",
                     PREFIX + DIGEST):
            self.assertEqual(self.ask(self.left.pop(), ECDSA_P256, data,
                                      content=False), "ended")

    def ask_many(self, c, count):
        """How many of so many at a time are signed."""
        for i in range(count):
            c.keeper.send(sign(ECDSA_P256, DIGEST, content=False, number=i))
        return sum(c.keeper.await_type("SIGN_REPLY")[1][0]
                   for _ in range(count))

    def test_rate(self):
        """Not more in a second than the manual says; logins go on."""
        c = self.left[0]
        signed, began = 0, time.monotonic()
        slowest = 0
        while time.monotonic() < began + 3:
            for _ in range(40):
                signed += self.ask_many(c, 100)
            slowest = max(slowest, timed(self.assertServes)[1])
        seconds = time.monotonic() - began
        self.assertLessEqual(signed, rate() * (seconds + 1.1))
        self.relais.wait_log("a signature was refused")
        self.assertLess(slowest, 3.5)


@not_sanitized
@needs_root
class Rsa(Key):
    kind_of_key = "rsa"
    lines = ("ssl_listen_min_proto_version tlsv1.2",)
    captives = 4

    def test_no_padding_of_its_own(self):
        """What it gives is hashed, or a digest: never a raw block."""
        block = b"\0\1" + b"\xff" * 200 + b"\0" + DIGEST
        self.assertEqual(self.ask(self.left.pop(), RSA_PKCS1, block,
                                  content=False), "ended")
        signature = self.ask(self.left.pop(), RSA_PKCS1, DIGEST,
                             content=False)
        self.assertSigned(signature, b"attack")


if __name__ == "__main__":
    main()
