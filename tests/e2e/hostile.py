# SPDX-License-Identifier: ISC
"""A role that was taken over: a daemon of the tests' own
(tests/hostile/hostile.c), in which the processes that a test chooses do what
the test wants, confined as ever, in the place and with the descriptors of the
real ones."""

import array
import ctypes
import os
import re
import shutil
import socket
import struct
import threading

import harness
from harness import Gateway, cleanup_of, folder, wait_for


# --- messages, as common/msg.h has them ----------------------------------

def _numbers(name):
    """{member: number} of an enum in msg.h."""
    with open(os.path.join(harness.TOP, "common", "msg.h")) as f:
        text = f.read()
    body = re.search(r"enum %s \{(.*?)\n?\}" % name, text, re.S).group(1)
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    found, number = {}, 0
    for part in body.split(","):
        member, _, value = (p.strip() for p in part.partition("="))
        if member:
            number = int(value, 0) if value else number
            found[member] = number
            number += 1
    return found


MSG = {k[4:]: v for k, v in _numbers("msg_type").items()}
EVENT = _numbers("event_type")
OUTCOME = _numbers("outcome")
VERDICT = _numbers("admit_verdict")
STEP = _numbers("step")
RESULT = _numbers("sasl_result")
ROLE = _numbers("role")
FD_MASTER, FD_BROKER, FD_KEEPER = 3, 6, 7       # role.h, worker.c


def text(data):
    data = data.encode() if isinstance(data, str) else data
    return struct.pack(">I", len(data)) + data


def addr(host=None, port=0):
    """put_addr(); no host: no address."""
    if host is None:
        return b"\0"
    if ":" in host:
        return struct.pack(">BH", 6, port) + socket.inet_pton(
            socket.AF_INET6, host)
    return struct.pack(">BH", 4, port) + socket.inet_aton(host)


def message(kind, fields=b"", number=0):
    """kind: a name of enum msg_type without its MSG_, or a number."""
    return struct.pack(">HI", MSG.get(kind, kind), number) + fields


def many(*messages):
    return message("MANY", b"".join(text(m) for m in messages))


def log(words, priority=4):
    return message("LOG", struct.pack(">B", priority) + text(words))


def event(kind, client, status="", authn="", server=0, authz=None,
          local=("127.0.0.1", 993)):
    return message("EVENT", struct.pack(
        ">BBBB", EVENT[kind], 2, 0, authz is not None) + addr(*client) +
        addr(*local) + text(authz or "") + text(authn) +
        struct.pack(">H", server) + text(status) +
        struct.pack(">QQI", 0, 0, 0))


def admit(session, waits=True, client=None):
    return message("ADMIT", struct.pack(">IB", session, waits) +
                   addr(*(client or ())))


def release(session):
    return message("RELEASE", struct.pack(">I", session))


def connect(session, tried=0, user=""):
    return message("CONNECT", struct.pack(">IQ", session, tried) + text(user))


def outcome(session, what, server=0):
    return message("OUTCOME", struct.pack(">IHBH", session, server,
                                          OUTCOME[what], 0))


def capability(words, server=0, known=True):
    return message("CAPABILITY", struct.pack(">HB", server, known) +
                   text("".join(w + "\n" for w in words)))


def held(sessions, last=True):
    octets = b"".join(struct.pack(">I", s) for s in sessions)
    return message("HELD", struct.pack(">BH", last, len(sessions)) +
                   text(octets))


def sign(scheme, data, content=True, key=0, number=1):
    return message("SIGN", struct.pack(">HHB", key, scheme, content) +
                   text(data), number)


# --- channels ------------------------------------------------------------

class Channel:
    """One of the hostile process's channels, in the test's hands."""

    def __init__(self, fd):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET,
                                  fileno=fd)
        self.sock.settimeout(5 * harness.SLOW)

    def send(self, data, *fds):
        """One message; -1 for each that the other end does not want."""
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS,
                   array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], rights)

    def receive(self):
        """(type, number, fields, descriptors); messages that travel together
        come one by one.  EOFError at the channel's end."""
        if not getattr(self, "_waiting", None):
            data, rights, _, _ = self.sock.recvmsg(65536, 4096)
            if not data:
                raise EOFError("the channel has ended")
            fds = array.array("i")
            for _, _, part in rights:
                fds.frombytes(part[:len(part) // 4 * 4])
            self._waiting = self._parts(data, list(fds))
        return self._waiting.pop(0)

    def _parts(self, data, fds):
        kind, number = struct.unpack(">HI", data[:6])
        if kind != MSG["MANY"]:
            return [(kind, number, data[6:], fds)]
        parts, rest = [], data[6:]
        while rest:
            size = struct.unpack(">I", rest[:4])[0]
            parts += self._parts(rest[4:4 + size], [])
            rest = rest[4 + size:]
        parts[-1] = parts[-1][:3] + (fds,)
        return parts

    def await_type(self, *kinds):
        """The next message of these types; what else comes is passed over."""
        wanted = [MSG[k] for k in kinds]
        while True:
            kind, number, fields, fds = self.receive()
            if kind in wanted:
                return number, fields, fds
            for fd in fds:
                os.close(fd)

    def ended(self, timeout=5):
        """The other end has closed it, or ended us."""
        self.sock.settimeout(timeout * harness.SLOW)
        try:
            while True:
                for fd in self.receive()[3]:
                    os.close(fd)
        except (EOFError, ConnectionError):
            return True
        except TimeoutError:
            return False

    def close(self):
        self.sock.close()


class Captured:
    """A process that was taken over."""

    CALL, SPIN, HOG = range(3)

    def __init__(self, control, role, number, serial, pid):
        self.control = control
        self.role, self.number = role, int(number)
        self.serial, self.pid = int(serial), int(pid)
        self.fds = {}
        self.channels = {}

    def take_descriptors(self):
        while True:
            data, rights, _, _ = self.control.recvmsg(4, 64)
            if len(data) < 4:
                raise EOFError("it ended before it was confined")
            if not rights:
                return
            number = struct.unpack("=I", data)[0]
            self.fds[number] = array.array("i", rights[0][2])[0]

    def channel(self, number):
        if number not in self.channels:
            self.channels[number] = Channel(os.dup(self.fds[number]))
        return self.channels[number]

    @property
    def master(self):
        return self.channel(FD_MASTER)

    @property
    def broker(self):
        return self.channel(FD_BROKER)

    @property
    def keeper(self):
        return self.channel(FD_KEEPER)

    def listeners(self):
        """Of a worker: its listening sockets."""
        found = []
        for fd in self.fds.values():
            try:
                with socket.socket(fileno=os.dup(fd)) as s:
                    if s.family in (socket.AF_INET, socket.AF_INET6) and \
                            s.getsockopt(socket.SOL_SOCKET,
                                         socket.SO_ACCEPTCONN):
                        found.append(s.dup())
            except OSError:
                continue
        return found

    def _ask(self, what, call=0, args=(), pointers=0, data=b""):
        args = list(args) + [0] * (6 - len(args))
        self.control.sendall(struct.pack(
            "=QQQ6Q", what, call, pointers,
            *(a & (1 << 64) - 1 for a in args)) + data)

    def call(self, number, *args, timeout=5):
        """A system call.  An argument may be octets: a pointer to them.
        (result or -errno, the octets afterwards); EOFError: it cost it its
        life."""
        data, pointers, numbers = b"", 0, []
        for i, a in enumerate(args):
            if isinstance(a, bytes):
                pointers |= 1 << i
                numbers.append(len(data))
                data += a + b"\0" * (-len(a) % 8)
            else:
                numbers.append(a)
        self._ask(self.CALL, number, numbers, pointers, data)
        self.control.settimeout(timeout * harness.SLOW)
        return self._answer()

    def _answer(self):
        try:
            answer = self.control.recv(65536)
        except ConnectionError:
            answer = b""
        if not answer:
            raise EOFError("it is dead")
        return struct.unpack("=q", answer[:8])[0], answer[8:]

    def spin(self):
        self._ask(self.SPIN)

    def hog(self, mebibytes, timeout=60):
        """How many it got."""
        self._ask(self.HOG, args=(mebibytes,))
        self.control.settimeout(timeout)
        return self._answer()[0]

    def is_alive(self):
        return harness.proc_status(self.pid).get("State", "Z")[0] not in "ZX"

    def close(self):
        for c in self.channels.values():
            c.close()
        for fd in self.fds.values():
            try:
                os.close(fd)
            except OSError:
                pass
        self.fds.clear()
        self.control.close()


class Hostile(Gateway):
    """A gateway with roles that can be taken over: who is in captives, a set
    of (role, number), is so when it starts next, and once."""

    def __init__(self, case, inner, *lines, captives=(("worker", 0),),
                 daemon=harness.IMAPSD, **kw):
        self.home = folder(case)
        name = os.path.basename(daemon)
        program = shutil.copy(
            os.path.join(os.path.dirname(daemon), "hostile", name), self.home)
        self.captives = set(captives)
        self.captured = []
        self._lock = threading.Lock()
        self._control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        path = os.path.join(self.home, "control")
        self._control.bind(path)
        os.chmod(path, 0o777)
        self._control.listen(64)
        cleanup_of(case)(self._close)
        threading.Thread(target=self._accept, daemon=True).start()
        super().__init__(case, inner, *lines, daemon=program, **kw)
        if captives:
            wait_for(lambda: len(self.captured) >= len(set(captives)), 5,
                     "captives")

    def _close(self):
        self._control.close()
        for c in self.captured:
            c.close()

    def stop(self):
        """A captive does not hear that it is to end."""
        for c in self.captured:
            c.close()
        super().stop()

    def _accept(self):
        while True:
            try:
                sock, _ = self._control.accept()
            except OSError:
                return
            threading.Thread(target=self._welcome, args=(sock,),
                             daemon=True).start()

    def _welcome(self, sock):
        words = sock.recv(128).decode().split()
        if len(words) != 4:
            sock.close()
            return
        c = Captured(sock, *words)
        with self._lock:
            chosen = (c.role, c.number) in self.captives
            self.captives.discard((c.role, c.number))
        try:
            sock.sendall(b"h" if chosen else b"g")
            if not chosen:
                sock.close()
                return
            c.take_descriptors()
        except (OSError, EOFError):
            sock.close()
            return
        self.captured.append(c)

    def capture(self, role, number=0):
        """Have another one in that place, as soon as the one there is gone."""
        before = len(self.captured)
        with self._lock:
            self.captives.add((role, number))
        pids = self.pids(role)
        os.kill(pids[number], 9)
        wait_for(lambda: len(self.captured) > before, 30, "a captive")
        return self.captured[-1]


LIBC = ctypes.CDLL(None, use_errno=True)
# System calls by their numbers (x86-64; other machines skip such tests).
SYS = {"read": 0, "write": 1, "open": 2, "mmap": 9, "getpid": 39,
       "socket": 41, "connect": 42, "accept4": 288, "sendto": 44,
       "bind": 49, "clone": 56, "fork": 57, "execve": 59, "kill": 62,
       "ptrace": 101, "process_vm_readv": 310, "openat": 257,
       "tgkill": 234, "setsid": 112, "sched_setscheduler": 144,
       "ftruncate": 77, "shutdown": 48, "pidfd_open": 434,
       "memfd_create": 319, "unlink": 87, "chmod": 90, "dup": 32}
