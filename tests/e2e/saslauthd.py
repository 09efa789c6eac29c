# SPDX-License-Identifier: ISC
"""saslauthd for tests: the real one, and a stand-in at its socket."""

import grp
import os
import shutil
import socket
import struct
import subprocess
import threading

import harness
from harness import cleanup_of, wait_for

PROGRAM = shutil.which("saslauthd", path="/usr/sbin:/usr/bin:/sbin:/bin")


def folder_in(spool):
    """The socket's folder inside a daemon's spool, as Debian makes it."""
    path = os.path.join(spool, "var/run/saslauthd")
    os.makedirs(path, exist_ok=True)
    if harness.ROOT:
        os.chown(path, 0, grp.getgrnam("sasl").gr_gid)
        os.chmod(path, 0o710)
    return path


def etc_with_users(case, users, realm):
    """A folder like /etc, as far as saslauthd reads it, with a sasldb2."""
    etc = harness.folder(case)
    for name in "passwd", "group", "nsswitch.conf", "ld.so.cache":
        shutil.copy(os.path.join("/etc", name), etc)
    for user, password in users.items():
        subprocess.run(
            ["saslpasswd2", "-p", "-c", "-f", os.path.join(etc, "sasldb2"),
             "-u", realm, user], input=password.encode(), check=True)
    return etc


class Saslauthd:
    """The real one, which asks an IMAP server at this port, or (root) the
    sasldb2 in a folder that it takes for /etc."""

    def __init__(self, case, folder, port=None, etc=None):
        self.folder, self.process = folder, None
        self.argv = [PROGRAM, "-m", folder, "-n", "1", "-d", "-a"]
        if etc:
            self.argv = ["unshare", "--mount", "sh", "-c",
                         'mount --bind "$0" /etc && exec "$@"', etc,
                         *self.argv, "sasldb"]
        else:
            self.argv += ["rimap", "-O", "127.0.0.1/%d" % port]
        self.start()
        cleanup_of(case)(self.stop)

    def start(self):
        self.process = harness.start(
            self.argv,
            stdout=harness.subprocess.DEVNULL,
            stderr=harness.subprocess.DEVNULL)
        wait_for(lambda: os.path.exists(self.folder + "/mux"), 5,
                 "saslauthd")

    def stop(self):
        if self.process:
            harness.end(self.process)
            self.process = None
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))


class Mux:
    """A stand-in at the socket: users is a dictionary of passwords; who is
    in silent gets no answer, who is in rude a closed connection."""

    def __init__(self, case, folder, users, silent=(), rude=()):
        self.users, self.silent, self.rude = users, set(silent), set(rude)
        self.asked = []         # (user, service, realm)
        self.held = []          # connections of silent ones
        self.path = os.path.join(folder, "mux")
        self.listener = None
        self.start()
        cleanup_of(case)(self.stop)

    def start(self):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        os.chmod(self.path, 0o777)
        self.listener.listen(128)
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()

    def stop(self):
        if self.listener:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
            os.unlink(self.path)
        while self.held:
            self.held.pop().close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    @staticmethod
    def _string(f):
        return f.read(struct.unpack(">H", f.read(2))[0]).decode()

    def _serve(self, sock):
        with sock.makefile("rb") as f:
            try:
                user, password, service, realm = (self._string(f)
                                                  for _ in range(4))
            except struct.error:
                sock.close()
                return
        self.asked.append((user, service, realm))
        if user in self.silent:
            self.held.append(sock)
            return
        if user not in self.rude:
            word = b"OK" if self.users.get(user) == password else b"NO"
            sock.sendall(struct.pack(">H", len(word)) + word)
        sock.close()
