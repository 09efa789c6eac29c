# SPDX-License-Identifier: ISC
"""What the tests of renewed certificates share."""

import os
import shutil
import socket
import ssl

IN_USE = 10         # seconds until a renewed pair is in use everywhere


def copy(pair, cert, key=None):
    """A pair's files at other places, as cp(1) does it: in place."""
    shutil.copyfile(pair.cert, cert)
    if key:
        shutil.copyfile(pair.key, key)
        os.chmod(key, 0o600)


def whole(pair):
    """Certificate and key in one text."""
    with open(pair.cert) as c, open(pair.key) as k:
        return c.read() + k.read()


def write(path, text):
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o600)


def der(pair):
    with open(pair.cert) as f:
        return ssl.PEM_cert_to_DER_cert(f.read())


def context(rsa_only=False):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if rsa_only:
        c.maximum_version = ssl.TLSVersion.TLSv1_2
        c.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    return c


def served(port, name=None, **kw):
    """The certificate that a client gets who asks for this name."""
    with socket.create_connection(("127.0.0.1", port), 10) as s:
        with context(**kw).wrap_socket(s, server_hostname=name) as t:
            return t.getpeercert(True)


def all_of(port, n=12, name=None):
    """Those that so many clients get: each worker has had some."""
    return {served(port, name) for _ in range(n)}
