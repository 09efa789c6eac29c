# SPDX-License-Identifier: ISC
"""Configuration of pop3sd: the file of the set-up that it replaces, the names
and words of Perdition, and the list of what a client is promised.  What is
the same in all daemons is tested with imapsd."""

import os

import harness
from case import Pop3Case, TestCase, main
from certs import gateway_pair
from client import Pop3Client, connect
from harness import POP3SD, folder, free_port, need_users, run_pop3sd, wait_for
from inner import Dovecot, Pop3Script, StandIn

ORIGINAL = """\
outgoing_server {server}
outgoing_port {inner}
log_facility local5
no_lookup
timeout 40
ssl_mode {mode}
ssl_cert_file {pair.cert}
ssl_key_file {pair.key}
"""

# What the relay itself adds to what the inner server can do.
LOGINS = ["USER", "SASL PLAIN LOGIN"]
NAME = ["IMPLEMENTATION Relais"]
DOVECOT = ["TOP", "UIDL", "RESP-CODES", "PIPELINING", "AUTH-RESP-CODE"]

GOOD = "pop3sd: the configuration is good\n"


def original(mode="ssl_listen", more="", server="192.168.0.4", inner=110):
    text = ORIGINAL.format(server=server, inner=inner, mode=mode,
                           pair=gateway_pair()) + more
    return text if mode else without(text, "ssl_mode")


def without(text, *words):
    """The same without these directives."""
    return "".join(line + "\n" for line in text.splitlines()
                   if line.split()[0] not in words)


class Config(TestCase):
    kind = Pop3Client

    def setUp(self):
        need_users()
        self.folder = folder(self)

    def run_with(self, text, *args, name="pop3sd.conf"):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
        return run_pop3sd("-f", path, "--spool_directory",
                          self.folder + "/spool", "--pid_file",
                          self.folder + "/pid", *args)

    def check(self, text, *args, **kw):
        return self.run_with(text, "--check_config", *args, **kw)

    def refused(self, text, said, *args, **kw):
        status, told = self.check(text, *args, **kw)
        self.assertNotEqual(status, 0, told)
        self.assertRegex(told, said)

    def good(self, text, *args):
        """It is, and there is nothing in it to be warned about."""
        status, told = self.check(text, *args)
        self.assertEqual(status, 0, told)
        self.assertTrue(told.endswith(GOOD), told)
        self.assertNotRegex(told, r"warning|pop3sd\.conf")

    def listeners(self, text, *args, **kw):
        """What --print_config says in other words: port and mode of each
        listener for IPv4."""
        status, told = self.run_with(text, "--print_config", *args, **kw)
        self.assertEqual(status, 0, told)
        return [line.split(":")[-1].rstrip('"') for line in
                told.splitlines() if line.startswith('#   listen "0.0.0.0:')]


class Check(Config):
    def test_the_original(self):
        self.good(original())

    def test_the_sample(self):
        """conf/pop3sd.conf passes once its certificate is there."""
        with open(os.path.join(harness.TOP, "conf", "pop3sd.conf")) as f:
            text = f.read()
        pair = gateway_pair()
        self.good(text, "--ssl_cert_file", pair.cert, "--ssl_key_file",
                  pair.key)

    # one line more: what is said
    FAULTS = (
        ("nonsense", r"pop3sd\.conf:9: .*nonsense"),
        ("pop_capabilities UIDL", r"pop3sd\.conf:9: .*pop_capability"),
        ("outgoing_sever 192.0.2.1", r"pop3sd\.conf:9: .*outgoing_server"),
        ("timeout soon", r"pop3sd\.conf:9: .*timeout"),
        ("pop_capability", r"pop3sd\.conf:9: .*pop_capability"),
        ('pop_capability ""', r"pop3sd\.conf:9: .*pop_capability"),
        ("pop_capability ...", r"pop_capability: "),
        ("pop_capability UIDL.\u00fcber", r"pop_capability: .*ASCII"),
        ("protocol IMAP4", r"pop3sd\.conf:9: IMAP4 .*imapsd.*POP3S"),
        ("protocol imap4s", r"pop3sd\.conf:9: IMAP4S .*imapsd.*POP3S"),
        ("protocol MANAGESIEVE", r"pop3sd\.conf:9: .*MANAGESIEVE"),
        ("protocol POP2", r'pop3sd\.conf:9: .*"POP2".*POP3S'),
    )

    def test_faults(self):
        for line, said in self.FAULTS:
            with self.subTest(line):
                self.refused(original(more=line + "\n"), said)

    def test_a_start_says_the_same(self):
        status, text = self.run_with(original(more="nonsense\n"),
                                     "--no_daemon")
        self.assertNotEqual(status, 0)
        self.assertRegex(text, r"pop3sd\.conf:9: .*nonsense")

    def test_a_file_of_the_other_daemon(self):
        for name in ("perdition.imap4.conf", "perdition.imap4s.conf",
                     "perdition.imaps.conf"):
            self.refused(original(), name + r": IMAP4S? .*imapsd.*pop3sd",
                         name=name)

    def test_a_public_server_in_clear_is_warned_about(self):
        status, text = self.check(original(server="198.51.100.7"))
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"^warning: .*198\.51\.100\.7")


class Listeners(Config):
    # ssl_mode, protocol, other lines: ports and modes
    CASES = (
        ("ssl_listen", "", "", ["995 ssl"]),
        ("ssl_listen", "", "listen_port 1995\n", ["1995 ssl"]),
        ("ssl_listen", "", "listen_port pop3s\n", ["995 ssl"]),
        ("ssl_listen", "POP3S", "", ["995 ssl"]),
        ("tls_listen_force", "", "", ["110 starttls"]),
        ("tls_listen_force", "POP3", "", ["110 starttls"]),
        ("none", "POP3", "", ["110 plain"]),
        (None, "", "", ["995 ssl", "110 starttls"]),
        (None, "POP3S", "", ["995 ssl"]),
        (None, "pop3s", "", ["995 ssl"]),
        (None, "POP3", "", ["110 plain"]),
        (None, "", "listen_port 995\n", ["995 ssl"]),
    )

    def test_each(self):
        for mode, protocol, more, expected in self.CASES:
            text = original(mode, more)
            args = ("-P", protocol) if protocol else ()
            with self.subTest(mode=mode, protocol=protocol, more=more):
                self.assertEqual(self.listeners(text, *args), expected)
                if protocol:
                    self.assertEqual(self.listeners(
                        text + "protocol %s\n" % protocol), expected)

    def test_perditions_names(self):
        text = original(None)
        for name, expected in (
                ("perdition.pop3.conf", ["110 plain"]),
                ("perdition.pop3s.conf", ["995 ssl"]),
                ("perdition.conf", ["995 ssl", "110 starttls"])):
            with self.subTest(name):
                self.assertEqual(self.listeners(text, name=name), expected)
        # the word is stronger than the name
        self.assertEqual(self.listeners(text, "-P", "POP3S",
                                        name="perdition.pop3.conf"),
                         ["995 ssl"])

    def test_995_is_never_silently_plain(self):
        self.refused(original(None, "listen_port 995\n"),
                     r"995.*ssl_listen", "-P", "POP3")

    def test_the_default_of_outgoing_port(self):
        """That of the protocol towards the inner server."""
        for mode, port in (("ssl_listen", 110), ("ssl_all", 995),
                           ("ssl_listen,tls_outgoing", 110)):
            status, text = self.run_with(without(
                original(mode), "outgoing_port"), "--print_config")
            self.assertEqual(status, 0, text)
            self.assertRegex(
                text, r"(?m)^#   outgoing_server 192\.168\.0\.4:%d\b" % port)


class Original(Config):
    """The file as it is, but for address, ports and paths."""

    def relais(self, mode, **kw):
        self.inner = StandIn(self, Pop3Script())
        port = free_port()
        return port, harness.Relais(
            self, original(mode, "listen_port %d\n" % port, "127.0.0.1",
                           self.inner.port),
            ports=(port,), daemon=POP3SD, **kw)

    def test_tls(self):
        port, relais = self.relais("ssl_listen")
        c = self.connect(port, True)
        self.assertEqual(c.login(), "+OK maildrop ready")
        self.assertEqual(c.cmd("XONE"), "+OK heard XONE")
        relais.wait_log('client-secure=ssl .* protocol=POP3S '
                        'server-secure=plaintext status="ok"')

    def test_ipv6_too(self):
        port, _ = self.relais("ssl_listen")
        c = self.connect(port, True, host="::1")
        self.assertEqual(c.login(), "+OK maildrop ready")

    def test_stls(self):
        for mode in ("tls_listen", "tls_listen_force"):
            port, relais = self.relais(mode)
            c = self.connect(port)
            self.assertIn("STLS", c.capability())
            self.assertTrue(c.login().startswith("-ERR"))
            c.starttls()
            self.assertEqual(c.login(), "+OK maildrop ready")
            relais.wait_log('client-secure=starttls .* protocol=POP3 '
                            'server-secure=plaintext status="ok"')

    def test_perditions_name_and_plain_protocol(self):
        """Called perdition.pop3.conf and without ssl_mode, it means clear
        text; it must say so loudly."""
        port, relais = self.relais(None, file_name="perdition.pop3.conf")
        c = self.connect(port)
        self.assertEqual(c.login(), "+OK maildrop ready")
        self.assertRegex(relais.story(), r"(?i)clear")

    def test_with_dovecot(self):
        """And by the short names on the command line."""
        dovecot = Dovecot(self)
        dovecot.deliver("alice", b"Subject: one\r\n\r\nhello\r\n")
        port, pair = free_port(), gateway_pair()
        harness.Relais(self, "", ["-l", str(port), "-s", "127.0.0.1", "-p",
                                  str(dovecot.pop3_port), "-P", "POP3S",
                                  "--ssl_mode", "ssl_listen",
                                  "--ssl_cert_file", pair.cert,
                                  "--ssl_key_file", pair.key],
                       ports=(port,), daemon=POP3SD)
        c = self.connect(port, True)
        self.assertTrue(c.login().startswith("+OK"))
        self.assertEqual(c.multi("TOP 1 1")[1][-1], "hello")


class Learned(TestCase):
    kind = Pop3Client

    def capability(self, port, tls=False):
        with connect(port, tls, Pop3Client) as c:
            return c.capability()

    def test_dovecot(self):
        """What it can do, and what it says of itself after the login."""
        relais = harness.Gateway(self, Dovecot(self).pop3_port,
                                 daemon=POP3SD)
        for port, tls in ((relais.ssl, True), (relais.plain, False)):
            c = self.connect(port, tls)
            before = c.capability()
            self.assertEqual(before, DOVECOT + LOGINS + NAME)
            self.assertTrue(c.login().startswith("+OK"))
            after = c.capability()
            # but for what is about the login alone
            self.assertEqual([w for w in before
                              if w not in LOGINS + NAME + after], [])
        c = self.connect(relais.starttls)
        self.assertEqual(c.capability(), DOVECOT + ["STLS"] + NAME)
        c.starttls()
        self.assertEqual(c.capability(), DOVECOT + LOGINS + NAME)

    def test_it_changes(self):
        """For every worker, within capability_refresh."""
        inner = StandIn(self, Pop3Script(capability=("TOP", "UTF8")))
        relais = harness.Gateway(self, inner.port, "capability_refresh 1",
                                 daemon=POP3SD)
        for words in (["TOP", "UTF8"], ["TOP", "EXPIRE 60", "LANG"], ["UIDL"],
                      ["TOP", "UTF8 USER"]):
            inner.script = Pop3Script(capability=tuple(words))
            wait_for(lambda: self.capability(relais.ssl, True) ==
                     words + LOGINS + NAME, 10, " ".join(words))
            for _ in range(6):
                self.assertEqual(self.capability(relais.plain),
                                 words + LOGINS + NAME)

    def test_a_login_notices_it(self):
        inner = StandIn(self, Pop3Script(capability=("TOP",)))
        relais = harness.Gateway(self, inner.port, "capability_refresh 3600",
                                 daemon=POP3SD)
        self.assertNotIn("UIDL", self.capability(relais.ssl, True))
        inner.script = Pop3Script(capability=("TOP", "UIDL"))
        c = self.connect(relais.ssl, True)
        self.assertTrue(c.login().startswith("+OK"))
        wait_for(lambda: "UIDL" in self.capability(relais.plain), 5, "UIDL")

    def test_words_that_would_be_a_lie(self):
        inner = StandIn(self, Pop3Script(capability=(
            "TOP", "APOP", "STLS", "SASL GSSAPI SCRAM-SHA-256", "XODD",
            "IMPLEMENTATION Courier", "LOGIN-DELAY 30", "RESP-CODES")))
        relais = harness.Gateway(self, inner.port, daemon=POP3SD)
        self.assertEqual(self.capability(relais.ssl, True), [
            "TOP", "LOGIN-DELAY 30", "RESP-CODES"] + LOGINS + NAME)
        self.assertEqual(self.capability(relais.starttls), [
            "TOP", "STLS", "LOGIN-DELAY 30", "RESP-CODES"] + NAME)

    def test_a_server_without_capa(self):
        inner = StandIn(self, Pop3Script(capability=None))
        relais = harness.Gateway(self, inner.port, daemon=POP3SD)
        words = self.capability(relais.ssl, True)
        self.assertIn("USER", words)
        for word in ("TOP", "UIDL", "PIPELINING"):
            self.assertNotIn(word, words)
        self.assertTrue(self.connect(relais.plain).login().startswith("+OK"))

    def test_several_servers_what_all_can_do(self):
        inner = [StandIn(self, Pop3Script(capability=words)) for words in
                 (("TOP", "UIDL", "EXPIRE 30"), ("UTF8", "UIDL", "TOP"))]
        relais = harness.Gateway(self, [s.port for s in inner],
                                 daemon=POP3SD)
        wait_for(lambda: self.capability(relais.ssl, True) ==
                 ["TOP", "UIDL"] + LOGINS + NAME, 5, "the intersection")


class Set(Pop3Case):
    """pop_capability: literally and in order; only STLS is edited."""

    # as it is written: without TLS and with it, where STLS can be had
    LISTS = (
        ("UIDL.USER.TOP", ["UIDL", "USER", "TOP", "STLS"],
         ["UIDL", "USER", "TOP"]),
        ("UIDL  USER  TOP", ["UIDL", "USER", "TOP", "STLS"],
         ["UIDL", "USER", "TOP"]),
        ("UIDL.STLS.USER", ["UIDL", "STLS", "USER"], ["UIDL", "USER"]),
        ("UIDL  STLS  USER", ["UIDL", "STLS", "USER"], ["UIDL", "USER"]),
        ("SASL PLAIN.EXPIRE 30 USER.XODD",
         ["SASL PLAIN", "EXPIRE 30 USER", "XODD", "STLS"],
         ["SASL PLAIN", "EXPIRE 30 USER", "XODD"]),
        ("IMPLEMENTATION Relay-v2.1  LOGIN-DELAY 10",
         ["IMPLEMENTATION Relay-v2.1", "LOGIN-DELAY 10", "STLS"],
         ["IMPLEMENTATION Relay-v2.1", "LOGIN-DELAY 10"]),
        ("TOP", ["TOP", "STLS"], ["TOP"]),
    )

    def test_each(self):
        for text, clear, tls in self.LISTS:
            with self.subTest(text):
                relais = harness.Gateway(
                    self, self.inner.port, 'pop_capability "%s"' % text,
                    workers=1, daemon=POP3SD)
                c = self.connect(relais.starttls)
                self.assertEqual(c.capability(), clear)
                c.starttls()
                self.assertEqual(c.capability(), tls)
                self.assertEqual(self.connect(relais.ssl, True).capability(),
                                 tls)
                self.assertEqual(self.connect(relais.plain).capability(),
                                 tls)

    def test_nothing_is_asked_of_the_inner_server(self):
        inner = StandIn(self, Pop3Script())
        relais = harness.Gateway(self, inner.port, "pop_capability UIDL.USER",
                                 daemon=POP3SD)
        self.connect(relais.ssl, True).capability()
        self.assertEqual(inner.connections, 0)
        self.assertYes(self.connect(relais.plain).login())

    def test_the_old_name(self):
        """capability, and I, of all three of Perdition's daemons at once."""
        for line in ("capability UIDL.XOLD", "I UIDL.XOLD"):
            relais = harness.Gateway(self, self.inner.port, line, workers=1,
                                     daemon=POP3SD)
            self.assertEqual(self.connect(relais.ssl, True).capability(),
                             ["UIDL", "XOLD"])

    def test_lists_of_other_daemons(self):
        """One file may serve several: theirs is no fault, and nothing to
        us."""
        lines = ('imap_capability "IMAP4rev1 XIMAP"',
                 'managesieve_capability "SIEVE  XSIEVE"')
        relais = harness.Gateway(self, self.inner.port, *lines, workers=1,
                                 daemon=POP3SD)
        words = self.connect(relais.ssl, True).capability()
        self.assertNotIn("XIMAP", " ".join(words))
        self.assertNotIn("SIEVE", " ".join(words))
        self.assertIn("TOP", words)
        status, text = run_pop3sd("-f", relais.conf, "--print_config")
        self.assertEqual(status, 0, text)
        self.assertNotIn("XIMAP", text)
        # and imapsd's own list is not to be had by our name
        status, text = harness.run_imapsd(
            "-f", relais.conf, "--pop_capability", "UIDL", "--print_config")
        self.assertEqual(status, 0, text)
        self.assertNotIn("UIDL", text)
        self.assertIn("XIMAP", text)


if __name__ == "__main__":
    main()
