# SPDX-License-Identifier: ISC
"""Inner servers: a real Dovecot, and a stand-in that does what Dovecot will
not: stall, lie, vanish."""

import base64
import collections
import itertools
import os
import re
import shutil
import signal
import socket
import threading
import time

import harness
from harness import cleanup_of, end, folder, free_port, start, wait_for


# --- Dovecot -------------------------------------------------------------

CONFIG = """\
base_dir = {path}/run
state_dir = {path}/state
log_path = {path}/dovecot.log
protocols = imap pop3
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 0
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_failure_delay = 0
auth_master_user_separator = *
passdb {{
  driver = passwd-file
  master = yes
  args = {path}/masters
}}
passdb {{
  driver = passwd-file
  args = {path}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={path}/home/%u allow_all_users=yes
}}
mail_location = maildir:~/Maildir
mail_max_userip_connections = 0
mail_fsync = never
namespace inbox {{
  inbox = yes
}}
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  service_count = 0
  client_limit = 1000
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = {tls_port}
    ssl = yes
  }}
}}
service imap {{
  process_limit = 500
}}
service pop3-login {{
  chroot =
  service_count = 0
  client_limit = 1000
  inet_listener pop3 {{
    port = {pop3_port}
  }}
  inet_listener pop3s {{
    port = {pop3_tls_port}
    ssl = yes
  }}
}}
service pop3 {{
  process_limit = 500
}}
ssl = {ssl}
{more}
"""


class Dovecot:
    """Dovecot in a folder of its own, as a user without rights.

    users: {name: password}; masters may log in as others (authorisation
    identity).  IMAP is on port, POP3 on pop3_port; with a pair it speaks TLS
    on tls_port and pop3_tls_port, and STARTTLS on the others."""

    USERS = {"alice": "secret", "bob": "hunter2"}
    MASTERS = {"operator": "opsecret"}

    def __init__(self, case, users=None, masters=None, pair=None, more=""):
        self.folder = folder(case)
        self.users = dict(users or self.USERS)
        self.masters = dict(masters or self.MASTERS)
        self.port = free_port()
        self.tls_port = free_port() if pair else 0
        self.pop3_port = free_port()
        self.pop3_tls_port = free_port() if pair else 0
        self.pair = pair
        self.more = more
        self.process = None
        self.delivered = itertools.count(1)
        self.owner = harness.nobody()
        self._prepare()
        self.start()
        cleanup_of(case)(self.stop)

    def _path(self, *parts):
        return os.path.join(self.folder, *parts)

    def _give(self, path):
        """To the user that Dovecot runs as."""
        if harness.ROOT:
            os.chown(path, self.owner.pw_uid, self.owner.pw_gid)

    def _prepare(self):
        for name, entries in (("passwd", self.users),
                              ("masters", self.masters)):
            with open(self._path(name), "w") as f:
                for user, password in entries.items():
                    coded = base64.b64encode(password.encode()).decode()
                    f.write("%s:{PLAIN.b64}%s\n" % (user, coded))
            self._give(self._path(name))
        self._give(self.folder)
        os.mkdir(self._path("home"))
        self._give(self._path("home"))
        for user in self.users:
            os.mkdir(self._path("home", user))
            self._give(self._path("home", user))
            self._maildir_make(self.maildir(user))
        if self.pair:
            for n, path in zip(("cert", "key"), self.pair):
                shutil.copy(path, self._path(n))
                self._give(self._path(n))
        self.configure(self.more)

    def configure(self, more):
        """Further lines of configuration; restart() makes them count."""
        tls = "no"
        if self.pair:
            tls = "yes\nssl_cert = <%s\nssl_key = <%s" % (
                self._path("cert"), self._path("key"))
        with open(self._path("dovecot.conf"), "w") as f:
            f.write(CONFIG.format(
                path=self.folder, user=self.owner.pw_name,
                group=harness.group_name(self.owner.pw_gid),
                uid=self.owner.pw_uid, gid=self.owner.pw_gid,
                port=self.port, tls_port=self.tls_port, ssl=tls, more=more,
                pop3_port=self.pop3_port, pop3_tls_port=self.pop3_tls_port))

    def start(self):
        kw = {}
        if harness.ROOT:
            kw = {"user": self.owner.pw_uid, "group": self.owner.pw_gid,
                  "extra_groups": []}
        with open(self._path("output"), "ab") as out:
            self.process = start(
                [shutil.which("dovecot", path=os.environ.get("PATH", "") +
                              ":/usr/sbin:/usr/local/sbin"),
                 "-F", "-c", self._path("dovecot.conf")],
                stdout=out, stderr=out, cwd=self.folder, **kw)
        try:
            wait_for(lambda: self._alive() and harness.accepts(self.port) and
                     harness.accepts(self.pop3_port), what="Dovecot to serve")
        except AssertionError as e:
            end(self.process)
            raise AssertionError("%s\n%s" % (e, self.story())) from None

    def _alive(self):
        if self.process.poll() is not None:
            raise AssertionError("Dovecot ended")
        return True

    def story(self):
        text = ""
        for name in ("output", "dovecot.log"):
            if os.path.exists(self._path(name)):
                with open(self._path(name), errors="replace") as f:
                    text += f.read()[-3000:]
        return text

    def stop(self):
        if self.process:
            # its children end by themselves once the master is gone
            end(self.process, signal.SIGTERM)
            self.process = None

    def restart(self):
        self.stop()
        self.start()

    # mail

    def maildir(self, user, mailbox=""):
        """The folder of a mailbox; "" is INBOX, else ".Name"."""
        return self._path("home", user, "Maildir", mailbox).rstrip("/")

    def _maildir_make(self, path):
        for part in ("", "tmp", "new", "cur"):
            one = os.path.join(path, part).rstrip("/")
            if not os.path.isdir(one):
                os.mkdir(one)
                self._give(one)

    def deliver(self, user, message, mailbox=""):
        """A message as a delivery agent brings it: written, then renamed."""
        path = self.maildir(user, mailbox)
        self._maildir_make(path)
        name = "%d.%d_%d.test" % (time.time(), os.getpid(),
                                  next(self.delivered))
        with open(os.path.join(path, "tmp", name), "wb") as f:
            f.write(message)
        self._give(f.name)
        os.rename(f.name, os.path.join(path, "new", name))

    def messages(self, user, mailbox=""):
        """All messages of a mailbox, sorted; line ends as CRLF."""
        path = self.maildir(user, mailbox)
        found = []
        for part in ("new", "cur"):
            for name in os.listdir(os.path.join(path, part)):
                with open(os.path.join(path, part, name), "rb") as f:
                    found.append(re.sub(rb"\r?\n", b"\r\n", f.read()))
        return sorted(found)


# --- the stand-in --------------------------------------------------------

class Peer:
    """One connection to a stand-in, for its script."""

    def __init__(self, sock, server):
        self.sock = sock
        self.server = server
        self.buffer = bytearray()

    def send(self, data):
        self.sock.sendall(data.encode() if isinstance(data, str) else data)

    def _more(self):
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.buffer += data

    def line(self):
        while b"\r\n" not in self.buffer:
            self._more()
        data, _, rest = bytes(self.buffer).partition(b"\r\n")
        self.buffer[:] = rest
        self.server.lines.append(data)
        return data.decode("utf-8", "surrogateescape")

    def read(self, n):
        while len(self.buffer) < n:
            self._more()
        data = bytes(self.buffer[:n])
        del self.buffer[:n]
        return data

    def stall(self):
        """Say nothing until the other side has gone."""
        while True:
            self._more()

    def starttls(self, context):
        self.sock = context.wrap_socket(self.sock, server_side=True)


class Script:
    """What a good small IMAP server says; a test changes one thing of it."""

    capability = "IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN IDLE NAMESPACE"
    capability_after = "IMAP4rev1 IDLE NAMESPACE UIDPLUS"
    greeting = None         # None: OK with the capability code
    users = {"alice": "secret"}
    starttls = None         # an ssl.SSLContext: STARTTLS is offered

    def __init__(self, **changes):
        for name, value in changes.items():
            if not hasattr(Script, name):
                raise AttributeError(name)
            setattr(self, name, value)

    def __call__(self, peer):
        self.greet(peer)
        while True:
            line = peer.line()
            tag, _, text = line.partition(" ")
            word = text.split(" ")[0].upper()
            if not self.command(peer, tag, word, text):
                return

    def greet(self, peer):
        if self.greeting is None:
            peer.send("* OK [CAPABILITY %s] stand-in\r\n" % self.capability)
        else:
            peer.send(self.greeting)

    def command(self, peer, tag, word, text):
        """One command before login; false when the connection is over."""
        if word == "CAPABILITY":
            peer.send("* CAPABILITY %s\r\n%s OK done\r\n" % (
                self.capability, tag))
        elif word == "NOOP" or word == "ID":
            peer.send(tag + " OK done\r\n")
        elif word == "LOGOUT":
            peer.send("* BYE\r\n%s OK done\r\n" % tag)
            return False
        elif word == "STARTTLS" and self.starttls:
            peer.send(tag + " OK now\r\n")
            peer.starttls(self.starttls)
        elif word == "LOGIN":
            user, password = self.strings(peer, text[len("LOGIN"):], 2)
            return self.login(peer, tag, user, password, "", "LOGIN")
        elif word == "AUTHENTICATE":
            words = text.split(" ")
            if words[1].upper() != "PLAIN":
                peer.send(tag + " NO mechanism\r\n")
                return True
            if len(words) == 2:
                peer.send("+ \r\n")
                words.append(peer.line())
            authz, user, password = base64.b64decode(
                words[2], validate=True).decode().split("\0")
            return self.login(peer, tag, user, password, authz, "PLAIN")
        else:
            peer.send(tag + " BAD what\r\n")
        return True

    def strings(self, peer, rest, count):
        """The astrings of a command's rest: atoms, quoted, literals."""
        found = []
        while len(found) < count:
            rest = rest.lstrip(" ")
            literal = re.fullmatch(r"\{(\d+)(\+?)\}", rest)
            quoted = re.match(r'"((?:[^"\\]|\\["\\])*)"', rest)
            if literal:
                if not literal.group(2):
                    peer.send("+ go on\r\n")
                elif "LITERAL+" not in self.capability:
                    raise AssertionError("LITERAL+ was not offered")
                found.append(peer.read(int(literal.group(1))).decode())
                rest = peer.line()
            elif quoted:
                found.append(re.sub(r"\\(.)", r"\1", quoted.group(1)))
                rest = rest[quoted.end():]
            else:
                word = rest.split(" ")[0]
                if not re.fullmatch(r"[!#$&'+-\[\]^-z|}~]+", word):
                    raise AssertionError("not an atom: %r" % word)
                found.append(word)
                rest = rest[len(word):]
        if rest:
            raise AssertionError("left over: %r" % rest)
        return found

    def login(self, peer, tag, user, password, authz, how):
        peer.server.logins.append(Login(user, password, authz, how))
        if self.users.get(user) != password:
            self.refuse(peer, tag)
            return True
        self.accept(peer, tag)
        self.session(peer)
        return False

    def refuse(self, peer, tag):
        peer.send(tag + " NO [AUTHENTICATIONFAILED] no such luck\r\n")

    def accept(self, peer, tag):
        peer.send("%s OK [CAPABILITY %s] in\r\n" % (
            tag, self.capability_after))

    def session(self, peer):
        """After login: every command is answered OK, and but CAPABILITY's
        with its octets told back in an untagged line."""
        while True:
            line = peer.line()
            tag, _, text = line.partition(" ")
            if text.upper() == "CAPABILITY":
                peer.send("* CAPABILITY %s\r\n" % self.capability_after)
            else:
                peer.send("* HEARD %s\r\n" % text)
            peer.send(tag + " OK done\r\n")
            if text.upper() == "LOGOUT":
                return


class Pop3Script:
    """What a good small POP3 server says; a test changes one thing of it."""

    capability = ("TOP", "UIDL", "USER", "SASL PLAIN", "RESP-CODES",
                  "AUTH-RESP-CODE", "PIPELINING")     # None: no CAPA
    greeting = "+OK stand-in <1896.697170952@inner.example>\r\n"
    users = {"alice": "secret"}
    starttls = None         # an ssl.SSLContext: STLS is offered

    def __init__(self, **changes):
        for name, value in changes.items():
            if not hasattr(Pop3Script, name):
                raise AttributeError(name)
            setattr(self, name, value)

    def __call__(self, peer):
        self.greet(peer)
        peer.user = None
        while True:
            verb, _, args = peer.line().partition(" ")
            if not self.command(peer, verb.upper(), args):
                return

    def greet(self, peer):
        peer.send(self.greeting)

    def command(self, peer, verb, args):
        """One command before login; false when the connection is over."""
        if verb == "CAPA" and self.capability is not None:
            peer.send("".join(word + "\r\n" for word in (
                "+OK list follows", *self.capability, ".")))
        elif verb == "STLS" and self.starttls:
            peer.send("+OK now\r\n")
            peer.starttls(self.starttls)
        elif verb == "USER":
            peer.user = args
            peer.send("+OK\r\n")
        elif verb == "PASS":
            return self.login(peer, peer.user, args, "", "PASS")
        elif verb == "AUTH" and args.upper() == "PLAIN":
            peer.send("+ \r\n")
            authz, user, password = base64.b64decode(
                peer.line(), validate=True).decode().split("\0")
            return self.login(peer, user, password, authz, "PLAIN")
        elif verb in ("UTF8", "LANG") and self.capability and any(
                word.split()[0] == verb for word in self.capability):
            peer.send("+OK %s\r\n" % (args or "done"))
        elif verb == "QUIT":
            peer.send("+OK bye\r\n")
            return False
        else:
            peer.send("-ERR what\r\n")
        return True

    def login(self, peer, user, password, authz, how):
        peer.server.logins.append(Login(user, password, authz, how))
        if self.users.get(user) != password:
            self.refuse(peer)
            return True
        self.accept(peer)
        self.session(peer)
        return False

    def refuse(self, peer):
        peer.send("-ERR [AUTH] no such luck\r\n")

    def accept(self, peer):
        peer.send("+OK maildrop ready\r\n")

    def session(self, peer):
        """After login: every command is answered +OK and told back."""
        while True:
            line = peer.line()
            peer.send("+OK heard %s\r\n" % line)
            if line.upper() == "QUIT":
                return


Login = collections.namedtuple("Login", "user password authz how")


class StandIn:
    """Serves each connection by a script, in a thread of its own.  With
    tls (an ssl.SSLContext) it speaks TLS from the first octet."""

    def __init__(self, case, script=None, tls=None):
        self.script = script or Script()
        self.tls = tls
        self.port = free_port()
        self.connections = 0
        self.logins = []        # each Login, successful or not
        self.lines = []         # what came, as octets without CRLF
        self.faults = []        # what a script did not expect
        self._lock = threading.Lock()
        self._peers = set()
        self.listener = None
        self.start()
        cleanup_of(case)(self.stop)

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port),
                                             backlog=512)
        threading.Thread(target=self._accept, args=(self.listener,),
                         daemon=True).start()

    def stop(self):
        """Close everything; start() opens the same port again."""
        if self.listener:
            # shutdown wakes the thread that waits in accept
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()
            self.listener = None
        with self._lock:
            for sock in self._peers:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def peers(self):
        """The sockets of the connections there are."""
        with self._lock:
            return list(self._peers)

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self.connections += 1
                self._peers.add(sock)
            threading.Thread(target=self._serve, args=(sock,),
                             daemon=True).start()

    def _serve(self, sock):
        peer = Peer(sock, self)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                peer.starttls(self.tls)
            self.script(peer)
        except (EOFError, OSError):
            pass                # the other side has gone
        except Exception as e:  # for the test to see
            self.faults.append(e)
        finally:
            with self._lock:
                self._peers.discard(sock)
            try:
                peer.sock.close()
            finally:
                sock.close()
