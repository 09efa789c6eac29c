# SPDX-License-Identifier: ISC
"""LOGIN and AUTHENTICATE, in every form a client may choose."""

from case import StandInCase, main
from client import b64, plain_message
from inner import Script

# What people have as names and passwords.
USERS = {
    "alice": "secret",
    "bob with blanks": "pass word",
    'q"uote': 'back\\slash"',
    "user@example.test": "a{3}b(c)*%",
    "r\u00e9n\u00e9": "p\u00e4ss\u20ac",
    "n" * 255: "p" * 255,
}


def quoted(text):
    return '"%s"' % text.replace("\\", "\\\\").replace('"', '\\"')


class WithUsers(StandInCase):
    script = Script(users=USERS)


class Login(WithUsers):
    def good(self, client, reply, user="alice", password="secret"):
        self.assertOK(reply)
        self.assertEqual(self.seen(), (user, password))
        self.assertOK(client.cmd("NOOP"))
        client.close()

    def test_quoted(self):
        for user, password in USERS.items():
            if not (user + password).isascii():
                continue        # RFC 3501: quoted strings are 7 bit
            with self.subTest(user=user):
                c = self.tls()
                self.good(c, c.cmd("LOGIN %s %s" % (
                    quoted(user), quoted(password))), user, password)

    def test_atoms(self):
        c = self.tls()
        self.good(c, c.cmd("LOGIN alice secret"))
        c = self.tls()
        self.good(c, c.cmd("login alice \"secret\""))

    def test_literals(self):
        for user, password in USERS.items():
            with self.subTest(user=user):
                c = self.tls()
                c.send("a LOGIN {%d}\r\n" % len(user.encode()))
                self.assertTrue(c.line().startswith("+ "))
                c.send("%s {%d}\r\n" % (user, len(password.encode())))
                self.assertTrue(c.line().startswith("+ "))
                c.send(password + "\r\n")
                self.good(c, c.answer("a"), user, password)

    def test_literal_plus(self):
        for user, password in USERS.items():
            with self.subTest(user=user):
                c = self.tls()
                c.send("a LOGIN {%d+}\r\n%s {%d+}\r\n%s\r\n" % (
                    len(user.encode()), user, len(password.encode()),
                    password))
                self.good(c, c.answer("a"), user, password)

    def test_octet_by_octet(self):
        c = self.tls()
        for octet in "a LOGIN {5+}\r\nalice \"secret\"\r\n":
            c.send(octet)
        self.good(c, c.answer("a"))

    def test_malformed(self):
        c = self.tls()
        for command in ("LOGIN", "LOGIN alice", "LOGIN  alice secret",
                        "LOGIN alice secret more", 'LOGIN "alice secret',
                        "LOGIN al(ice secret", 'LOGIN "al\\ice" secret',
                        "LOGIN {} secret", "LOGIN {-1}",
                        "LOGIN {99999999999999999999}",
                        "LOGIN {4294967301}"):
            with self.subTest(command=command):
                self.assertBAD(c.cmd(command))
        self.assertIsNone(self.seen())
        self.good(c, c.login())

    def test_nul_cr_lf_are_refused(self):
        for bad in ("al\0ice", "al\rice", "al\nice", "al\r\nice"):
            with self.subTest(bad=bad):
                c = self.tls()
                c.send("a LOGIN {%d+}\r\n%s secret\r\n" % (len(bad), bad))
                self.assertIn(c.answer("a").status, ("NO", "BAD"))
                c.send("b LOGIN alice {%d+}\r\n%s\r\n" % (len(bad), bad))
                self.assertIn(c.answer("b").status, ("NO", "BAD"))
                self.assertIsNone(self.seen())

    def test_too_long_a_name(self):
        c = self.tls()
        long = "x" * 2000
        c.send("a LOGIN {2000+}\r\n%s secret\r\n" % long)
        self.assertIn(c.answer("a").status, ("NO", "BAD"))
        self.assertIsNone(self.seen())

    def test_on_the_plain_listener(self):
        c = self.connect(self.relais.plain)
        self.good(c, c.login())

    def test_what_follows_it_in_the_same_segment(self):
        c = self.tls()
        c.send("a LOGIN alice secret\r\nb XONE\r\nc XTWO more\r\n")
        self.assertOK(c.answer("a"))
        self.assertEqual(self.assertOK(c.answer("b")).untagged,
                         ["* HEARD XONE"])
        self.assertEqual(self.assertOK(c.answer("c")).untagged,
                         ["* HEARD XTWO more"])

    def test_half_a_command_behind_it(self):
        c = self.tls()
        c.send("a LOGIN alice secret\r\nb XO")
        self.assertOK(c.answer("a"))
        c.send("NE\r\n")
        self.assertEqual(c.answer("b").untagged, ["* HEARD XONE"])

    def test_a_whole_dialogue_in_one_segment(self):
        c = self.tls()
        c.send("a CAPABILITY\r\nb NOOP\r\nc ID NIL\r\n"
               "d LOGIN {5+}\r\nalice {6+}\r\nsecret\r\ne XLAST\r\n")
        for tag in "abcde":
            reply = self.assertOK(c.answer(tag))
        self.assertEqual(reply.untagged, ["* HEARD XLAST"])

    def test_nothing_is_parsed_after_it(self):
        c = self.tls()
        self.assertOK(c.login())
        odd = "x" * 30000 + " {99999+} \xff LOGIN STARTTLS"
        self.assertEqual(c.cmd(odd).untagged[0].encode(
            "utf-8", "surrogateescape"), ("* HEARD " + odd).encode())


class Authenticate(WithUsers):
    def good(self, client, reply, authz=""):
        self.assertOK(reply)
        self.assertEqual(self.inner.logins[-1][:3],
                         ("alice", "secret", authz))
        self.assertOK(client.cmd("NOOP"))

    def test_plain_with_initial_response(self):
        c = self.tls()
        self.good(c, c.cmd("AUTHENTICATE PLAIN "
                           + plain_message("alice", "secret")))

    def test_plain_without(self):
        c = self.tls()
        c.send("a AUTHENTICATE PLAIN\r\n")
        self.assertEqual(c.line(), "+ ")
        c.send(plain_message("alice", "secret") + "\r\n")
        self.good(c, c.answer("a"))

    def test_plain_odd_names(self):
        for user, password in USERS.items():
            with self.subTest(user=user):
                c = self.tls()
                self.assertOK(c.cmd("AUTHENTICATE PLAIN "
                                    + plain_message(user, password)))
                self.assertEqual(self.seen(), (user, password))

    def test_plain_and_a_command_in_one_segment(self):
        c = self.tls()
        c.send("a AUTHENTICATE PLAIN %s\r\nb XONE\r\n"
               % plain_message("alice", "secret"))
        self.assertOK(c.answer("a"))
        self.assertEqual(c.answer("b").untagged, ["* HEARD XONE"])

    def test_the_response_is_no_command(self):
        c = self.tls()
        c.send("a AUTHENTICATE PLAIN\r\n%s\r\nb XONE\r\n"
               % plain_message("alice", "secret"))
        self.assertEqual(c.line(), "+ ")
        self.assertOK(c.answer("a"))
        self.assertEqual(c.answer("b").untagged, ["* HEARD XONE"])

    def test_login(self):
        c = self.tls()
        c.send("a AUTHENTICATE LOGIN\r\n")
        self.assertEqual(c.line(), "+ " + b64("Username:"))
        c.send(b64("alice") + "\r\n")
        self.assertEqual(c.line(), "+ " + b64("Password:"))
        c.send(b64("secret") + "\r\n")
        self.good(c, c.answer("a"))

    def test_login_with_initial_response(self):
        c = self.tls()
        c.send("a AUTHENTICATE LOGIN %s\r\n" % b64("alice"))
        self.assertEqual(c.line(), "+ " + b64("Password:"))
        c.send(b64("secret") + "\r\n")
        self.good(c, c.answer("a"))

    def test_cancel(self):
        c = self.tls()
        for mechanism in ("PLAIN", "LOGIN"):
            c.send("a AUTHENTICATE %s\r\n" % mechanism)
            self.assertTrue(c.line().startswith("+ "))
            c.send("*\r\n")
            self.assertBAD(c.answer("a"))
        self.assertIsNone(self.seen())
        self.good(c, c.cmd("AUTHENTICATE PLAIN "
                           + plain_message("alice", "secret")))

    def test_not_base64(self):
        c = self.tls()
        good = plain_message("alice", "secret")
        for bad in ("!!!", good[:-1], good + "=", " " + good, "AGE=AGI="):
            with self.subTest(bad=bad):
                self.assertBAD(c.cmd("AUTHENTICATE PLAIN " + bad))
                c.send("b AUTHENTICATE PLAIN\r\n")
                c.line()
                c.send(bad + "\r\n")
                self.assertBAD(c.answer("b"))
        self.assertIsNone(self.seen())
        self.assertOK(c.login())

    def test_wrong_messages(self):
        for message in (b"", b"alice", b"\0alice", b"\0\0secret", b"\0alice\0",
                        b"\0alice\0secret\0more", b"\0al\rice\0secret",
                        b"\0alice\0sec\nret", b"a\r\nb\0alice\0secret"):
            with self.subTest(message=message):
                c = self.tls()
                reply = c.cmd("AUTHENTICATE PLAIN " + (b64(message) or "="))
                self.assertIn(reply.status, ("NO", "BAD"))
                self.assertIsNone(self.seen())

    def test_authorisation_identity(self):
        c = self.tls()
        self.good(c, c.cmd("AUTHENTICATE PLAIN " + plain_message(
            "alice", "secret", "carol")), "carol")
        self.assertEqual(self.inner.logins[-1].how, "PLAIN")

    def test_unknown_mechanism(self):
        c = self.tls()
        for mechanism in ("GSSAPI", "SCRAM-SHA-256", "X", "PLAINER"):
            self.assertNO(c.cmd("AUTHENTICATE " + mechanism))
        self.assertBAD(c.cmd("AUTHENTICATE"))
        self.assertOK(c.login())


if __name__ == "__main__":
    main()
