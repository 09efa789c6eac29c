# SPDX-License-Identifier: ISC
"""Where secrets are: the private key in keepers, a password in the worker
(and the authenticator) that needs it now; and nowhere else, while logins are
under way and after many of each kind.

RELAIS_LOGINS is how many of each kind (default: 25).  What a single login
leaves is test_memory_traces.py's business."""

import os
import ssl
import threading

import harness
import secret
from case import TestCase, main, needs_root, not_sanitized
from certs import gateway_pair
from client import Client, Pop3Client, b64, plain_message, tls_context
from harness import wait_for
from inner import Pop3Script, Script, StandIn
from saslauthd import Mux, folder_in
from submission import SmtpClient, SmtpScript

LOGINS = int(os.environ.get("RELAIS_LOGINS", "25"))
MARKS = (14, 1, 3, 56, 7)       # passwords of all lengths


class Users(dict):
    """Knows every password with the mark; who is called hang waits."""

    def __init__(self):
        super().__init__()
        self.go = threading.Event()
        self.waiting = threading.Event()

    def get(self, user, default=None):
        if user == "hang":
            self.waiting.set()
            self.go.wait(20)
        return self.secret(user)

    __getitem__ = get

    @staticmethod
    def secret(user):
        """Each user has an own one: "u7" the 7th."""
        n = int(user[1:]) if user[1:].isdigit() else 0
        return secret.password(n, MARKS[n % len(MARKS)])


@needs_root
@not_sanitized
class Memory(TestCase):
    """A daemon, with each kind of key and of login."""

    keys = "ec"
    versions = ("TLSv1_2", "TLSv1_3")

    def roles_with(self, forms):
        return secret.roles_with(self.relais.processes(), forms)

    @staticmethod
    def context(version):
        return tls_context(version=getattr(ssl.TLSVersion, version))

    def check(self, kinds, holders):
        """kinds: {name: function(port, context, user, password)}; each gives
        a client that has logged in.  holders: roles that have a password
        while it is looked at."""
        key = secret.key_forms(self.pair.key)
        self.assertEqual(self.roles_with(key), {"keeper"})
        self.half_a_command()
        kept = []
        for name, login in kinds.items():
            for version in self.versions:
                with self.subTest(name, version=version):
                    self.during(login, version, holders)
                    for i in range(LOGINS):
                        user = "u%d" % i
                        c = login(self.context(version), user,
                                  Users.secret(user))
                        (kept.append if i % 10 == 0 else
                         lambda c: c.close())(c)
                    self.nowhere()
                    while len(kept) > 20:
                        kept.pop().close()
        while kept:
            kept.pop().close()
        self.nowhere()
        self.assertEqual(self.roles_with(key), {"keeper"})

    def half_a_command(self):
        """It waits for its end in the worker: so we see what is to be
        seen."""
        for form in Users.secret("x"), plain_message("x", Users.secret("x")):
            c = self.client(self.context("TLSv1_3"))
            c.send(self.before % form)
            wait_for(lambda: self.roles_with(
                secret.password_forms()) == {"worker"},
                     3, "a password in the worker", every=0.3)
            c.close()
            self.nowhere()

    def nowhere(self):
        processes = secret.settle(self.relais)
        found = [text for _, text in secret.traces(
            processes, secret.password_forms())]
        if found:
            self.fail("\n".join(found))

    def during(self, login, version, holders):
        self.users.go.clear()
        self.users.waiting.clear()
        result = []
        thread = threading.Thread(target=lambda: result.append(login(
            self.context(version), "hang", Users.secret("hang"))))
        thread.start()
        self.assertTrue(self.users.waiting.wait(10))
        seen = self.roles_with(secret.password_forms())
        seen_key = self.roles_with(secret.key_forms(self.pair.key))
        self.users.go.set()
        thread.join(20)
        for c in result:
            c.close()
        self.assertLessEqual(seen, holders)
        if "authenticator" in holders:      # it waits for saslauthd with it
            self.assertIn("authenticator", seen)
        self.assertEqual(seen_key, {"keeper"})

    def start(self, script, daemon, *lines):
        self.users = script.users = Users()
        self.inner = StandIn(self, script)
        self.pair = gateway_pair(self.keys)
        self.relais = harness.Gateway(self, self.inner.port, *lines,
                                      daemon=daemon, pair=self.pair)


class Imap(Memory):
    before = "a LOGIN x %s"

    def client(self, context):
        c = Client(self.relais.ssl, context=context)
        c.greet()
        return c

    def login(self, context, user, password):
        c = self.client(context)
        self.assertOK(c.login(user, password))
        return c

    def literals(self, context, user, password):
        c = self.client(context)
        c.send("a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (
            len(user), user, len(password), password))
        self.assertOK(c.answer("a"))
        return c

    def plain(self, context, user, password):
        c = self.client(context)
        self.assertOK(c.cmd("AUTHENTICATE PLAIN " +
                            plain_message(user, password)))
        return c

    def auth_login(self, context, user, password):
        c = self.client(context)
        c.send("a AUTHENTICATE LOGIN\r\n")
        c.line()
        c.send(b64(user) + "\r\n")
        c.line()
        c.send(b64(password) + "\r\n")
        self.assertOK(c.answer("a"))
        return c

    def test_imapsd(self):
        self.start(Script(), harness.IMAPSD)
        self.check({"LOGIN": self.login, "literals": self.literals,
                    "AUTHENTICATE PLAIN": self.plain,
                    "AUTHENTICATE LOGIN": self.auth_login}, {"worker"})


class ImapRsa(Imap):
    keys = "rsa"


class Pop3(Memory):
    before = "PASS %s"

    def client(self, context):
        c = Pop3Client(self.relais.ssl, context=context)
        c.greet()
        return c

    def user_pass(self, context, user, password):
        c = self.client(context)
        self.assertRegex(c.login(user, password), r"^\+OK")
        return c

    def plain(self, context, user, password):
        c = self.client(context)
        self.assertRegex(c.cmd("AUTH PLAIN " + plain_message(user, password)),
                         r"^\+OK")
        return c

    def test_pop3sd(self):
        self.start(Pop3Script(), harness.POP3SD)
        self.check({"USER PASS": self.user_pass, "AUTH PLAIN": self.plain},
                   {"worker"})


class Smtp(Memory):
    before = "AUTH PLAIN %s"

    def client(self, context):
        c = SmtpClient(self.relais.ssl, context=context)
        c.greet()
        c.ehlo()
        return c

    def plain(self, context, user, password):
        c = self.client(context)
        self.assertEqual(c.login(user, password)[0], 235)
        return c

    def auth_login(self, context, user, password):
        c = self.client(context)
        c.cmd("AUTH LOGIN")
        c.cmd(b64(user))
        self.assertEqual(c.cmd(b64(password))[0], 235)
        return c

    def test_smtpsd(self):
        path = harness.folder(self)
        with open(os.path.join(path, "smtpd.conf"), "w") as f:
            f.write("pwcheck_method: saslauthd\nmech_list: PLAIN LOGIN\n")
        script = SmtpScript()
        script.__class__ = type("S", (SmtpScript,), {"users": None})
        self.start(script, harness.SMTPSD, "hostname gw.example.org",
                   "sasl_config_path " + path, "peername_lookup no")
        Mux(self, folder_in(self.relais.spool), self.users)
        self.check({"AUTH PLAIN": self.plain, "AUTH LOGIN": self.auth_login},
                   {"worker", "authenticator"})


if __name__ == "__main__":
    main()
