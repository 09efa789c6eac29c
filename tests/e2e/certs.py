# SPDX-License-Identifier: ISC
"""Certificates made with openssl, signed by an authority of our own."""

import atexit
import collections
import functools
import os
import re
import shutil
import subprocess
import tempfile
import time

NAME = "mail.example.test"      # the gateway's name in its certificates

Pair = collections.namedtuple("Pair", "cert key")


def openssl(*args):
    """One openssl command; what it prints."""
    done = subprocess.run(("openssl",) + args, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        raise AssertionError("openssl %s: %s" % (
            " ".join(args), done.stderr.decode(errors="replace")))
    return done.stdout


CA_CONFIG = """\
[ca]
default_ca = ours
[ours]
database = {path}/index
new_certs_dir = {path}
default_md = sha256
policy = policy
unique_subject = no
rand_serial = yes
[policy]
commonName = supplied
"""


class Certificates:
    """A small authority of our own.  Each make() gives a new pair."""

    def __init__(self, path, name="Relais test CA"):
        self.path = path
        self.count = 0
        self.ca = Pair(os.path.join(path, "ca.pem"),
                       os.path.join(path, "ca.key"))
        self.config = os.path.join(path, "ca.conf")
        with open(self.config, "w") as f:
            f.write(CA_CONFIG.format(path=path))
        open(os.path.join(path, "index"), "w").close()
        self._key("ec", self.ca.key)
        openssl("req", "-x509", "-new", "-key", self.ca.key, "-days", "30",
                "-subj", "/CN=" + name, "-out", self.ca.cert, "-addext",
                "basicConstraints=critical,CA:TRUE")

    @staticmethod
    def _key(kind, path):
        how = {"ec": ("EC", "ec_paramgen_curve:P-256"),
               "rsa": ("RSA", "rsa_keygen_bits:2048")}[kind]
        openssl("genpkey", "-algorithm", how[0], "-pkeyopt", how[1],
                "-out", path)
        os.chmod(path, 0o600)

    def make(self, *names, kind="ec", days=(-1, 30), own=False,
             more=""):
        """A pair for these names (numeric addresses too), signed by our
        authority or, with own, by itself; valid from and to so many days
        from now, with more extensions, one a line."""
        self.count += 1
        stem = os.path.join(self.path, "pair%d" % self.count)
        pair = Pair(stem + ".pem", stem + ".key")
        self._key(kind, pair.key)
        names = names or (NAME, "localhost", "127.0.0.1")
        alt = ",".join(("IP:" if n[0].isdigit() else "DNS:") + n
                       for n in names)
        request = stem + ".csr"
        openssl("req", "-new", "-key", pair.key, "-subj", "/CN=" + names[0],
                "-out", request)
        with open(stem + ".ext", "w") as f:
            f.write("subjectAltName=%s\nbasicConstraints=CA:FALSE\n%s" %
                    (alt, more))
        dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(
            time.time() + d * 86400)) for d in days]
        signer = (("-selfsign", "-keyfile", pair.key) if own else
                  ("-cert", self.ca.cert, "-keyfile", self.ca.key))
        openssl("ca", "-batch", "-config", self.config,
                "-notext", "-in", request, "-out", pair.cert, "-extfile",
                stem + ".ext", "-startdate", dates[0], "-enddate", dates[1],
                *signer)
        return pair


@functools.lru_cache(maxsize=None)
def certificates():
    """This process's authority; its folder goes at exit."""
    path = tempfile.mkdtemp(prefix="relais-certs-")
    os.chmod(path, 0o755)
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return Certificates(path)


@functools.lru_cache(maxsize=None)
def gateway_pair(kind="ec"):
    """The gateway's usual certificate and key."""
    return certificates().make(kind=kind)


def secret_numbers(key_file):
    """What must be secret of a key, as octets: {name: octets}."""
    text = openssl("pkey", "-in", key_file, "-text", "-noout").decode()
    found = {}
    for name, body in re.findall(
            r"^(\w+):\n((?: +[0-9a-f:]+\n)+)", text, re.M):
        if name in ("priv", "privateExponent", "prime1", "prime2",
                    "exponent1", "exponent2", "coefficient"):
            octets = bytes.fromhex(re.sub(r"[\s:]", "", body))
            found[name] = octets.lstrip(b"\0")
    return found
