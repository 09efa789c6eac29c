# SPDX-License-Identifier: ISC
"""A name server of ours, and the world in which it is asked.

c-ares asks at port 53 of whom resolv.conf names, so a file of such tests runs
itself again in a network and a mount namespace of its own (main()), where
that port is free and other files lie over the system's."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
import threading
import unittest

import case
import harness
from case import TestCase
from harness import cleanup_of, folder

INSIDE = "RELAIS_TEST_NAMESPACE"
AT = ("127.0.0.1", 53)
TTL = 1
A, PTR, AAAA = 1, 12, 28        # RFC 1035 3.2.2, RFC 3596 2.1
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def has_namespaces():
    """May we have them, and is there what we need for it?"""
    if not harness.ROOT or not os.path.exists("/etc/resolv.conf"):
        return False
    try:
        return subprocess.run(["unshare", "--net", "--mount", "true"],
                              stderr=subprocess.DEVNULL).returncode == 0
    except FileNotFoundError:
        return False


def loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(
            s, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack(
            "16sh14x", b"lo", flags | IFF_UP))


class NameServer:
    """Answers what its records say (RFC 1035 4.1): {name: addresses}, and
    {name in the tree of addresses: names}."""

    def __init__(self, case):
        self.records = {}
        self.questions = 0
        self.deaf = False       # takes questions and does not answer
        self.truncates = False  # says over UDP that TCP is to be used
        self.over_tcp = 0       # questions that came over it
        self.ttl = TTL
        self.sock = self.thread = None
        self.start()
        cleanup_of(case)(self.stop)

    def start(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(AT)
        self.listener = socket.create_server(AT)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()
        threading.Thread(target=self._serve_tcp, args=(self.listener,),
                         daemon=True).start()

    def stop(self):
        """From now on its port is closed."""
        if self.sock is None:
            return
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", AT)   # the word to stop
        self.thread.join()
        self.sock.close()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.sock = None

    def _serve(self):
        while True:
            question, peer = self.sock.recvfrom(4096)
            if not question:
                return
            self.questions += 1
            if self.truncates:      # TC, and nothing in it
                self.sock.sendto(question[:2] + b"\x83\x80" + question[4:],
                                 peer)
            elif not self.deaf:
                self.sock.sendto(self.answer(question), peer)

    def _serve_tcp(self, listener):
        """RFC 1035 4.2.2: each message comes after its length."""
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return      # stop()
            with peer, peer.makefile("rb") as f:
                peer.settimeout(10)
                try:
                    while True:
                        head = f.read(2)
                        if len(head) < 2:
                            break
                        reply = self.answer(
                            f.read(int.from_bytes(head, "big")))
                        self.over_tcp += 1
                        peer.sendall(len(reply).to_bytes(2, "big") + reply)
                except OSError:
                    pass

    def answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        kind = struct.unpack_from("!H", question, at + 1)[0]
        known = self.records.get(".".join(labels).lower())
        answers = []
        for value in known or ():
            its_kind, data = self.record(value)
            if its_kind == kind:
                answers.append(struct.pack("!HHHIH", 0xc00c, kind, 1,
                                           self.ttl, len(data)) + data)
        flags = 0x8180 | (3 if known is None else 0)
        return (question[:2] + struct.pack("!HHHHH", flags, 1, len(answers),
                                           0, 0) +
                question[12:at + 5] + b"".join(answers))

    @staticmethod
    def record(value):
        """An address, or a name, as type and data."""
        for kind, family in (A, socket.AF_INET), (AAAA, socket.AF_INET6):
            try:
                return kind, socket.inet_pton(family, value)
            except OSError:
                pass
        return PTR, b"".join(bytes((len(label),)) + label.encode()
                             for label in value.split(".")) + b"\0"


@unittest.skipUnless(INSIDE in os.environ,
                     "needs root and unshare(1) for namespaces")
class Namespace(TestCase):
    """The system's resolver asks our name server; hosts is the hosts file,
    None the system's own."""

    hosts = None

    @classmethod
    def setUpClass(cls):
        loopback_up()
        cls.cover("resolv.conf", "nameserver %s\n" % AT[0])
        if cls.hosts is not None:
            cls.cover("hosts", cls.hosts)

    @classmethod
    def cover(cls, name, text):
        """Another file over that of /etc."""
        path = os.path.join(folder(cls), name)
        with open(path, "w") as f:
            f.write(text)
        subprocess.run(["mount", "--bind", path, "/etc/" + name], check=True)
        cls.addClassCleanup(subprocess.run, ["umount", "/etc/" + name],
                            check=True)

    def setUp(self):
        self.dns = NameServer(self)


def main():
    if INSIDE not in os.environ and has_namespaces():
        os.environ[INSIDE] = "1"
        path = os.path.abspath(sys.modules["__main__"].__file__)
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable,
                              path, *sys.argv[1:]])
    case.main()
