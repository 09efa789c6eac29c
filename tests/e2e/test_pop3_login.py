# SPDX-License-Identifier: ISC
"""USER and PASS, and AUTH, in every form a client may choose and every form
an inner server can take."""

import re

import harness
from case import Pop3Case, main, timed
from client import b64, plain_message
from inner import Pop3Script

# What people have as passwords: the rest of the line (RFC 1939 7, PASS).
PASSWORDS = ("secret", " leads", "trails ", " both ", "two  blanks",
             "   ", "a:b", ":", "with\ttab", '"quoted"', "back\\slash",
             "{5}", "+OK", "-ERR", ".", "*", "=", "%s%n", "QUIT", "PASS x",
             "p\u00e4ss\u20ac", "\x01\x7f", "p" * 200)
USERS = ("alice", "user@example.test", "a:b", "ren\u00e9", "domain\\user",
         "x*y", "=", "n" * 200)


class Anyone(Pop3Script):
    """Lets in whoever comes; tests look at who that was."""

    def login(self, peer, user, password, authz, how):
        self.users = {user: password}
        return super().login(peer, user, password, authz, how)


class UserPass(Pop3Case):
    script = Anyone()

    def good(self, client, reply, user="alice", password="secret"):
        self.assertYes(reply)
        self.assertEqual(self.seen(), (user, password))
        self.assertEqual(client.cmd("XONE"), "+OK heard XONE")
        client.close()

    def test_passwords_verbatim(self):
        for password in PASSWORDS:
            with self.subTest(password=password):
                c = self.tls()
                self.good(c, c.login("alice", password), "alice", password)

    def test_passwords_that_are_no_utf8(self):
        """Octets are octets: ISO 8859-1, and half a character."""
        for octets in (b"p\xe4ss", b"\xff\xfe", b"\xc3"):
            with self.subTest(octets=octets):
                c = self.tls()
                self.assertYes(c.cmd("USER alice"))
                c.send(b"PASS " + octets + b"\r\n")
                self.assertYes(c.line())
                self.assertIn(b"PASS " + octets, self.inner.lines)

    def test_names(self):
        for user in USERS:
            with self.subTest(user=user):
                c = self.tls()
                self.good(c, c.login(user), user)

    def test_a_name_with_blanks(self):
        """Verbatim, or refused; never cut at the blank."""
        for user in "alice smith", "alice ", " alice", "alice  x":
            with self.subTest(user=user):
                self.inner.logins.clear()
                c = self.tls()
                if c.login(user).startswith("+OK"):
                    self.assertEqual(self.seen(), (user, "secret"))
                else:
                    self.assertEqual(self.inner.logins, [])

    def test_on_the_plain_listener(self):
        c = self.connect(self.relais.plain)
        self.good(c, c.login())

    def test_the_last_name_counts(self):
        c = self.tls()
        self.assertYes(c.cmd("USER mallory"))
        self.good(c, c.login())

    def test_other_commands_between(self):
        """They do not make a name out of something else."""
        c = self.tls()
        self.assertYes(c.cmd("USER alice"))
        self.assertNo(c.cmd("NOOP"))
        self.assertTrue(c.capability())
        if c.cmd("PASS secret").startswith("-ERR"):
            self.assertYes(c.login())
        self.assertEqual(self.seen(), ("alice", "secret"))

    def test_without_a_name(self):
        c = self.tls()
        for command in ("PASS secret", "USER", "PASS secret", "USER ",
                        "PASS secret"):
            with self.subTest(command=command):
                self.assertNo(c.cmd(command))
        self.assertEqual(self.inner.logins, [])
        self.good(c, c.login())

    def test_without_a_password(self):
        """An empty password is no password: some directories would let
        anybody in with one."""
        c = self.tls()
        for command in "PASS", "PASS ":
            self.assertYes(c.cmd("USER alice"))
            self.assertNo(c.cmd(command))
        self.assertEqual(self.inner.logins, [])
        self.good(c, c.login())

    def test_too_long(self):
        c = self.tls()
        self.assertNo(c.login("alice", "p" * 4000))
        self.assertNo(c.login("n" * 4000))
        self.assertEqual(self.inner.logins, [])
        self.good(c, c.login())

    def test_what_follows_it_in_the_same_segment(self):
        c = self.tls()
        c.send("USER alice\r\nPASS secret\r\nXONE\r\nXTWO more\r\nXTH")
        self.assertYes(c.line())
        self.assertYes(c.line())
        self.assertEqual(c.line(), "+OK heard XONE")
        self.assertEqual(c.line(), "+OK heard XTWO more")
        c.send("REE\r\n")
        self.assertEqual(c.line(), "+OK heard XTHREE")

    def test_a_good_deal_follows_it(self):
        """Much more than one read or one record holds."""
        c = self.tls()
        lines = ["X%06d" % n for n in range(8000)]
        c.send("USER alice\r\nPASS secret\r\n")
        c.send("".join(l + "\r\n" for l in lines[:4000]))
        c.send("".join(l + "\r\n" for l in lines[4000:]))
        self.assertYes(c.line())
        self.assertYes(c.line())
        for line in lines:
            self.assertEqual(c.line(), "+OK heard " + line)

    def test_nothing_is_parsed_after_it(self):
        c = self.tls()
        self.assertYes(c.login())
        odd = "x" * 30000 + " \xff USER bob STLS"
        self.assertEqual(c.cmd(odd).encode("utf-8", "surrogateescape"),
                         ("+OK heard " + odd).encode())
        for command in "STLS", "USER bob", "AUTH PLAIN", "", "UTF8", "CAPA":
            self.assertEqual(c.cmd(command), "+OK heard " + command)

    def test_the_inner_servers_words(self):
        self.assertEqual(self.tls().login(), "+OK maildrop ready")


class Auth(Pop3Case):
    script = Anyone()

    def good(self, client, reply, authz=""):
        self.assertYes(reply)
        self.assertEqual(self.inner.logins[-1][:3],
                         ("alice", "secret", authz))
        self.assertEqual(client.cmd("XONE"), "+OK heard XONE")
        client.close()

    def respond(self, client, mechanism, *responses):
        """AUTH and what is said to each challenge; the last line."""
        line = client.cmd("AUTH " + mechanism)
        for response in responses:
            self.assertTrue(line.startswith("+ "), line)
            line = client.cmd(response)
        return line

    def test_alone_lists_the_mechanisms(self):
        c = self.tls()
        for command in "AUTH", "auth":
            first, lines = c.multi(command)
            self.assertYes(first)
            self.assertEqual(sorted(lines), ["LOGIN", "PLAIN"])
        self.assertEqual(lines, [l.split()[1:] for l in c.capability()
                                 if l.startswith("SASL ")][0])
        self.good(c, self.respond(c, "PLAIN",
                                  plain_message("alice", "secret")))

    def test_plain_with_initial_response(self):
        for verb in "AUTH PLAIN ", "auth plain ", "Auth Plain ":
            c = self.tls()
            self.good(c, c.cmd(verb + plain_message("alice", "secret")))

    def test_plain_without(self):
        c = self.tls()
        self.assertEqual(c.cmd("AUTH PLAIN"), "+ ")
        self.good(c, c.cmd(plain_message("alice", "secret")))

    def test_plain_carries_any_name_and_password(self):
        for user in USERS + ("two words", " "):
            for password in (PASSWORDS if user == "alice" else ["secret"]):
                with self.subTest(user=user, password=password):
                    c = self.tls()
                    self.assertYes(c.cmd("AUTH PLAIN "
                                         + plain_message(user, password)))
                    self.assertEqual(self.seen(), (user, password))
                    c.close()

    def test_a_long_response(self):
        """255 octets a line are no limit for it (RFC 5034 4)."""
        user, password = "n" * 255, "p" * 255
        c = self.tls()
        self.assertYes(self.respond(c, "PLAIN",
                                    plain_message(user, password)))
        self.assertEqual(self.seen(), (user, password))

    def test_login(self):
        c = self.tls()
        self.assertEqual(c.cmd("AUTH LOGIN"), "+ " + b64("Username:"))
        self.assertEqual(c.cmd(b64("alice")), "+ " + b64("Password:"))
        self.good(c, c.cmd(b64("secret")))

    def test_login_with_initial_response(self):
        c = self.tls()
        self.assertEqual(c.cmd("AUTH LOGIN " + b64("alice")),
                         "+ " + b64("Password:"))
        self.good(c, c.cmd(b64("secret")))

    def test_octet_by_octet(self):
        c = self.tls()
        for octet in "AUTH LOGIN\r\n%s\r\n%s\r\n" % (
                b64("alice"), b64("secret")):
            c.send(octet)
        self.assertTrue(c.line().startswith("+ "))
        self.assertTrue(c.line().startswith("+ "))
        self.good(c, c.line())

    def test_and_commands_in_one_segment(self):
        for octets, challenges in (
                ("AUTH PLAIN %s\r\n" % plain_message("alice", "secret"), 0),
                ("AUTH PLAIN\r\n%s\r\n" % plain_message("alice", "secret"),
                 1),
                ("AUTH LOGIN\r\n%s\r\n%s\r\n" % (
                    b64("alice"), b64("secret")), 2)):
            with self.subTest(octets=octets):
                c = self.tls()
                c.send(octets + "XTWO\r\n")
                for _ in range(challenges):
                    self.assertTrue(c.line().startswith("+ "))
                self.assertYes(c.line())
                self.assertEqual(c.line(), "+OK heard XTWO")

    def test_a_name_of_before_is_not_mixed_in(self):
        c = self.tls()
        self.assertYes(c.cmd("USER mallory"))
        self.good(c, c.cmd("AUTH PLAIN " + plain_message("alice", "secret")))

    def test_cancelled(self):
        c = self.tls()
        message = plain_message("alice", "secret")
        for mechanism, responses in (("PLAIN", ["*"]), ("LOGIN", ["*"]),
                                     ("LOGIN", [b64("alice"), "*"])):
            reply, seconds = timed(self.respond, c, mechanism, *responses)
            self.assertNo(reply)
            self.assertLess(seconds, 1.5 * harness.SLOW)
            # the exchange is over: a response is no command
            self.assertNo(c.cmd(b64("secret")))
            self.assertNo(c.cmd("PASS secret"))
        self.assertNo(c.cmd("AUTH PLAIN *"))
        self.assertEqual(self.inner.logins, [])
        self.good(c, c.cmd("AUTH PLAIN " + message))

    def test_a_command_in_place_of_a_response(self):
        """It ends the exchange and is not obeyed."""
        c = self.tls()
        for command in "QUIT", "CAPA now", "USER alice", "":
            with self.subTest(command=command):
                self.assertNo(self.respond(c, "PLAIN", command))
        self.assertNo(c.cmd("PASS secret"))
        self.assertEqual(self.inner.logins, [])
        self.good(c, c.cmd("AUTH PLAIN " + plain_message("alice", "secret")))

    def test_empty_initial_response(self):
        """"=" is nothing, not the lack of it (RFC 5034 4): no mechanism of
        ours can go on with that, and no name and password come of it."""
        c = self.tls()
        self.assertNo(c.cmd("AUTH PLAIN ="))
        line = c.cmd("AUTH LOGIN =")
        if line.startswith("+ "):
            line = c.cmd(b64("secret"))
        self.assertNo(line)
        self.assertNo(self.respond(c, "LOGIN", b64("alice"), ""))
        self.assertEqual(self.inner.logins, [])
        self.good(c, c.cmd("AUTH PLAIN " + plain_message("alice", "secret")))

    def test_not_base64(self):
        good = plain_message("alice", "secret")
        for bad in ("!!!", good[:-1], good + "=", good + " x", "AGE=AGI=",
                    good[:8] + " " + good[8:], "AGEAYh==", "-_-_", "=AGE"):
            with self.subTest(bad=bad):
                c = self.tls()
                reply, seconds = timed(c.cmd, "AUTH PLAIN " + bad)
                self.assertNo(reply)
                self.assertNo(self.respond(c, "PLAIN", bad))
                self.assertNo(self.respond(c, "LOGIN", bad))
                self.assertNo(self.respond(c, "LOGIN", b64("alice"), bad))
                self.assertLess(seconds, 1.5 * harness.SLOW)
                self.assertEqual(self.inner.logins, [])
                self.good(c, c.cmd("AUTH PLAIN " + good))
            self.inner.logins.clear()

    def test_blanks_around_a_response(self):
        """They are no base64 either."""
        good = plain_message("alice", "secret")
        c = self.tls()
        for bad in " " + good, good + " ", " ", "\t" + good:
            self.assertNo(self.respond(c, "PLAIN", bad))
        self.assertEqual(self.inner.logins, [])

    def test_wrong_messages(self):
        """NUL, CR and LF could end a command early, or cut a password."""
        for message in (b"alice", b"\0alice", b"\0\0secret", b"\0alice\0",
                        b"\0alice\0secret\0", b"\0alice\0sec\0ret",
                        b"\0al\rice\0secret", b"\0alice\0sec\nret",
                        b"\0alice\r\nDELE 1\0secret",
                        b"\0alice\0secret\r\nDELE 1",
                        b"a\r\nb\0alice\0secret", b"a\nb\0alice\0secret"):
            with self.subTest(message=message):
                c = self.tls()
                reply, seconds = timed(c.cmd, "AUTH PLAIN " + b64(message))
                self.assertNo(reply)
                self.assertLess(seconds, 1.5 * harness.SLOW)
        self.assertEqual(self.inner.logins, [])

    def test_wrong_messages_of_login(self):
        for user, password in ((b"al\0ice", b"secret"), (b"alice", b"s\0t"),
                               (b"al\rice", b"secret"), (b"alice", b"s\nt"),
                               (b"alice\r\nDELE 1", b"secret"),
                               (b"alice", b"secret\r\nDELE 1")):
            with self.subTest(user=user, password=password):
                c = self.tls()
                line = c.cmd("AUTH LOGIN " + b64(user))
                if line.startswith("+ "):
                    line = c.cmd(b64(password))
                self.assertNo(line)
        self.assertEqual(self.inner.logins, [])

    def test_authorisation_identity(self):
        for authz in "carol", "carol smith", "\u00e7arol":
            c = self.tls()
            self.good(c, c.cmd("AUTH PLAIN " + plain_message(
                "alice", "secret", authz)), authz)
            self.assertEqual(self.inner.logins[-1].how, "PLAIN")

    def test_unknown_mechanism(self):
        c = self.tls()
        for mechanism in ("GSSAPI", "SCRAM-SHA-256", "CRAM-MD5", "X", "PLAI",
                          "PLAINER", "EXTERNAL =", "*", "=", "PLAIN-CLIENT",
                          "\u00e9"):
            with self.subTest(mechanism=mechanism):
                self.assertNo(c.cmd("AUTH " + mechanism))
        self.good(c, c.cmd("AUTH PLAIN " + plain_message("alice", "secret")))


class Forms(Pop3Case):
    """How the inner server gets the credentials."""

    def at(self, *capability, **changes):
        """A client, and an inner server with that list."""
        self.inner.script = Anyone(capability=capability or None, **changes)
        return self.tls()

    def plain(self, client, *args):
        return timed(client.cmd, "AUTH PLAIN " + plain_message(*args))

    def assertRefused(self, reply, seconds):
        """Without asking anybody."""
        self.assertNo(reply)
        self.assertLess(seconds, 1.5 * harness.SLOW)
        self.assertEqual(self.inner.logins, [])

    def test_user_and_pass(self):
        for capability in ((), ("USER",), ("TOP", "USER"),
                           ("USER", "SASL CRAM-MD5"), ("user",)):
            for way in "USER", "AUTH":
                with self.subTest(capability=capability, way=way):
                    c = self.at(*capability)
                    if way == "USER":
                        self.assertYes(c.login())
                    else:
                        self.assertYes(self.plain(c, "alice", "secret")[0])
                    self.assertEqual(self.inner.logins[-1],
                                     ("alice", "secret", "", "PASS"))

    def test_passwords_verbatim_without_plain(self):
        c = None
        for password in PASSWORDS:
            with self.subTest(password=password):
                c = self.at("USER")
                self.assertYes(self.plain(c, "alice", password)[0])
                self.assertEqual(self.inner.logins[-1],
                                 ("alice", password, "", "PASS"))

    def test_plain_where_there_is_no_user(self):
        for sasl in "SASL PLAIN", "SASL LOGIN PLAIN", "sasl plain":
            with self.subTest(sasl):
                c = self.at("TOP", sasl)
                self.assertYes(c.login())
                self.assertEqual(self.inner.logins[-1],
                                 ("alice", "secret", "", "PLAIN"))

    def test_a_name_with_blanks_without_plain(self):
        """Verbatim, or refused; never cut at the blank."""
        for user in "alice smith", "alice ", " alice":
            with self.subTest(user=user):
                self.inner.logins.clear()
                if self.at("USER").login(user).startswith("+OK"):
                    self.assertEqual(self.seen(), (user, "secret"))
                else:
                    self.assertEqual(self.inner.logins, [])

    def test_a_word_that_only_looks_like_plain(self):
        c = self.at("USER", "SASL PLAINER XPLAIN")
        self.assertYes(c.login())
        self.assertEqual(self.inner.logins[-1].how, "PASS")

    def test_authorisation_identity_is_never_dropped(self):
        mark = self.relais.mark()
        for capability in ((), ("USER",), ("USER", "SASL CRAM-MD5 LOGIN"),
                           ("USER", "SASL"), ("USER", "PLAIN"),
                           ("USER", "IMPLEMENTATION SASL PLAIN")):
            with self.subTest(capability=capability):
                c = self.at(*capability)
                self.assertRefused(*self.plain(c, "alice", "secret", "carol"))
                self.relais.wait_log(
                    r'authorisation_id="carol" .*status="failed: (?!Re-Auth)',
                    mark)
                # and it does not stick
                self.assertYes(c.login())
                self.assertEqual(self.inner.logins[-1],
                                 ("alice", "secret", "", "PASS"))
                self.inner.logins.clear()

    def test_dot_stuffed_and_odd_lists(self):
        """Lines are taken as RFC 1939 3 has them."""
        for capability in (("..X", "USER"), ("X" * 500, "USER"),
                           ("USER",) * 20):
            with self.subTest(capability=capability):
                c = self.at(*capability)
                self.assertYes(c.login())
                self.assertEqual(c.cmd("XONE"), "+OK heard XONE")

    def test_lists_that_are_none(self):
        """Taken for what they are worth, or for a server out of order; not
        for a wrong password."""
        for capability in (("", "USER"), (" ", "USER"), (" USER",),
                           ("\u00e9\u00e8", "USER"), ("\x01", "USER")):
            with self.subTest(capability=capability):
                c = self.at(*capability)
                reply, seconds = timed(c.login)
                if reply.startswith("-ERR"):
                    self.assertNo(reply, "SYS/TEMP")
                self.assertLess(seconds, 1.5 * harness.SLOW)

    def test_nothing_is_sent_before_the_greeting(self):
        heard = []

        class Mute(Anyone):
            def greet(self, peer):
                peer.sock.settimeout(0.7)
                try:
                    peer.line()
                except TimeoutError:
                    pass
                heard.append(bytes(peer.buffer))
                peer.sock.settimeout(None)
                super().greet(peer)

        self.inner.script = Mute()
        self.assertYes(self.tls().login())
        self.assertEqual(set(heard), {b""})

    def test_one_command_at_a_time(self):
        """An inner server that has not said PIPELINING is not pipelined to:
        a name that is refused must not be followed by its password."""
        class Refuses(Pop3Script):
            def command(self, peer, verb, args):
                if verb == "USER":
                    peer.send("-ERR who?\r\n")
                    peer.sock.settimeout(1)
                    try:
                        peer.line()
                    except (TimeoutError, EOFError):
                        return False
                return super().command(peer, verb, args)

        self.inner.script = Refuses(capability=("USER",))
        self.assertNo(self.tls().login())
        self.assertFalse([l for l in self.inner.lines if b"secret" in l])

    def test_one_login_line_for_each(self):
        """The credentials go over once."""
        c = self.at("USER", "SASL PLAIN")
        self.assertYes(c.login())
        self.assertEqual(c.cmd("XONE"), "+OK heard XONE")
        self.assertEqual(len(self.inner.logins), 1)
        self.assertEqual(len([l for l in self.inner.lines
                              if re.match(rb"(?i)pass |auth ", l)]), 1)


class Names(Pop3Case):
    lines = ("lower_case remote_login", "strip_domain remote_login",
             'ok_line "You are so in"')

    def test_name_is_changed_for_the_inner_server_only(self):
        mark = self.relais.mark()
        reply = self.tls().login("Alice@Example.Test", "secret")
        self.assertEqual(self.assertYes(reply), "+OK You are so in")
        self.assertEqual(self.seen(), ("alice", "secret"))
        self.relais.wait_log(r'authentication_id="Alice@Example\.Test"', mark)


if __name__ == "__main__":
    main()
