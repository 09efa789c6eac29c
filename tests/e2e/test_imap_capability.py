# SPDX-License-Identifier: ISC
"""The capability list before login: learned from the inner servers, or set by
the administrator; and the configuration file that started it all."""

import time

import harness
from case import TestCase, main
from certs import gateway_pair
from client import Client, code_list, connect
from harness import free_port, wait_for
from inner import Dovecot, Script, StandIn

# What the relay itself adds or takes away; not the inner servers' business.
OURS = {"STARTTLS", "LOGINDISABLED", "SASL-IR", "AUTH=PLAIN", "AUTH=LOGIN"}


class Lists(TestCase):
    def greeting(self, port, tls=False):
        with connect(port, tls) as c:
            words = code_list(c.greeting)
            if words != c.capability():
                # a new list may come between the two, but not on and on
                with connect(port, tls) as c:
                    words = code_list(c.greeting)
                    self.assertEqual(c.capability(), words)
            return words

    def inner_words(self, port, tls=False):
        return [w for w in self.greeting(port, tls) if w not in OURS]


class Learned(Lists):
    def test_dovecot(self):
        """What both can do, and it changes when Dovecot's list changes."""
        dovecot = Dovecot(self)
        relais = harness.Gateway(self, dovecot.port, "capability_refresh 1")
        words = self.inner_words(relais.ssl, True)
        self.assertEqual(set(words),
                         {"IMAP4rev1", "ID", "ENABLE", "IDLE", "LITERAL+"})
        dovecot.configure("imap_capability = +XNEW")
        dovecot.restart()
        wait_for(lambda: "XNEW" in self.greeting(relais.ssl, True), 10,
                 "the new word")
        for port in (relais.starttls, relais.plain):
            self.assertIn("XNEW", self.greeting(port))
        dovecot.configure("")
        dovecot.restart()
        wait_for(lambda: "XNEW" not in self.greeting(relais.ssl, True), 10,
                 "the word to go")

    def test_every_worker_knows(self):
        """And a login is enough to notice a change."""
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port, "capability_refresh 3600")
        self.greeting(relais.ssl, True)
        inner.script = Script(capability=Script.capability + " XNEW")
        with connect(relais.ssl, True) as c:
            self.assertOK(c.login())
        wait_for(lambda: "XNEW" in self.greeting(relais.ssl, True), 5,
                 "the new word")
        for _ in range(10):     # they come to both workers
            self.assertIn("XNEW", self.greeting(relais.plain))

    def test_words_that_would_be_a_lie(self):
        inner = StandIn(self, Script(capability=(
            "IMAP4rev1 IMAP4rev2 AUTH=GSSAPI AUTH=SCRAM-SHA-256 STARTTLS "
            "LOGIN-REFERRALS UNAUTHENTICATE COMPRESS=DEFLATE UTF8=ONLY "
            "XODD NAMESPACE AUTH=PLAIN LOGINDISABLED")))
        relais = harness.Gateway(self, inner.port)
        for port, tls in ((relais.ssl, True), (relais.plain, False)):
            words = self.greeting(port, tls)
            self.assertEqual([w for w in words if w not in OURS],
                             ["IMAP4rev1", "XODD", "NAMESPACE"])
            self.assertNotIn("STARTTLS", words)
            self.assertNotIn("LOGINDISABLED", words)
        self.assertIn("LOGINDISABLED", self.greeting(relais.starttls))

    def test_literal_plus_only_if_both_take_it(self):
        inner = StandIn(self, Script(capability="IMAP4rev1 IDLE"))
        relais = harness.Gateway(self, inner.port)
        self.assertNotIn("LITERAL+", self.greeting(relais.ssl, True))

    def test_several_servers_what_all_can_do(self):
        inner = [StandIn(self, Script(capability="IMAP4rev1 " + words))
                 for words in ("XA IDLE XB", "XB XC IDLE")]
        relais = harness.Gateway(self, [s.port for s in inner])
        wait_for(lambda: self.inner_words(relais.ssl, True) ==
                 ["IMAP4rev1", "IDLE", "XB"], 5, "the intersection")

    def test_the_first_client_waits_for_it(self):
        class Late(Script):
            def greet(self, peer):
                time.sleep(1)
                super().greet(peer)

        inner = StandIn(self, Late(capability="IMAP4rev1 XLATE"))
        relais = harness.Gateway(self, inner.port)
        self.assertIn("XLATE", self.greeting(relais.plain))

    def test_nothing_to_be_learned(self):
        """A few seconds at most, then the minimum."""
        inner = StandIn(self, lambda peer: peer.stall())
        relais = harness.Gateway(self, inner.port)
        began = time.monotonic()
        words = self.inner_words(relais.ssl, True)
        self.assertLess(time.monotonic() - began, 10 * harness.SLOW)
        self.assertEqual(words, ["IMAP4rev1", "ID"])

    def test_a_server_that_is_down_at_the_start(self):
        inner = StandIn(self)
        inner.stop()
        relais = harness.Gateway(self, inner.port, "capability_refresh 1")
        self.assertEqual(self.inner_words(relais.ssl, True),
                         ["IMAP4rev1", "ID"])
        inner.start()
        wait_for(lambda: "NAMESPACE" in self.greeting(relais.ssl, True), 10,
                 "the list")

    def test_a_list_that_is_too_long(self):
        inner = StandIn(self, Script(capability="IMAP4rev1 " + " ".join(
            "XLONG%d" % n for n in range(1000))))
        relais = harness.Gateway(self, inner.port)
        self.assertEqual(self.greeting(relais.ssl, True)[0], "IMAP4rev1")


ORIGINAL = """\
outgoing_server 127.0.0.1
outgoing_port {inner}
log_facility local5
no_lookup
timeout 40
imap_capability "IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT \
THREAD=REFERENCES SORT QUOTA IDLE STARTTLS"
listen_port {port}
ssl_mode {mode}
ssl_cert_file {pair.cert}
ssl_key_file {pair.key}
"""
ORIGINAL_LIST = ("IMAP4rev1 UIDPLUS CHILDREN NAMESPACE THREAD=ORDEREDSUBJECT "
                 "THREAD=REFERENCES SORT QUOTA IDLE").split()


class Original(Lists):
    """The file of the set-up that Relais replaces, as it is."""

    def relais(self, mode, text=ORIGINAL, **kw):
        self.inner = StandIn(self)
        port = free_port()
        return port, harness.Relais(self, text.format(
            inner=self.inner.port, port=port, mode=mode,
            pair=gateway_pair()), ports=(port,), **kw)

    def test_tls(self):
        port, relais = self.relais("ssl_listen")
        self.assertEqual(self.greeting(port, True), ORIGINAL_LIST)
        c = self.connect(port, True)
        self.assertOK(c.login())
        self.assertEqual(c.cmd("XONE").untagged, ["* HEARD XONE"])
        relais.wait_log('client-secure=ssl .* protocol=IMAP4S '
                        'server-secure=plaintext status="ok"')

    def test_ipv6_too(self):
        port, _ = self.relais("ssl_listen")
        c = self.connect(port, True, host="::1")
        self.assertOK(c.login())

    def test_starttls(self):
        port, _ = self.relais("tls_listen")
        c = self.connect(port)
        words = ORIGINAL_LIST + ["STARTTLS", "LOGINDISABLED"]
        self.assertEqual(code_list(c.greeting), words)
        self.assertEqual(c.capability(), words)
        self.assertNO(c.login(), "PRIVACYREQUIRED")
        c.starttls()
        self.assertEqual(c.capability(), ORIGINAL_LIST)
        self.assertOK(c.login())

    def test_starttls_added_where_the_list_has_none(self):
        port, _ = self.relais("tls_listen_force", ORIGINAL.replace(
            " STARTTLS", "").replace("THREAD=REFERENCES SORT",
                                     "LOGINDISABLED SORT"))
        words = code_list(self.connect(port).greeting)
        self.assertEqual([w for w in words if w not in OURS],
                         [w for w in ORIGINAL_LIST
                          if w != "THREAD=REFERENCES"])
        self.assertEqual(words.count("STARTTLS"), 1)
        self.assertEqual(words.count("LOGINDISABLED"), 1)

    def test_nothing_is_asked_of_the_inner_server(self):
        """A list that is set needs no lesson."""
        port, _ = self.relais("ssl_listen")
        self.greeting(port, True)
        self.assertEqual(self.inner.connections, 0)

    def test_perditions_name_and_plain_protocol(self):
        """Called perdition.imap4.conf and without ssl_mode, it means clear
        text; it must say so loudly."""
        port, relais = self.relais("", ORIGINAL.replace("ssl_mode {mode}\n",
                                                        ""),
                                   file_name="perdition.imap4.conf")
        with Client(port) as c:
            c.greet()
            self.assertOK(c.login())
        self.assertRegex(relais.story(), r"(?i)clear")


if __name__ == "__main__":
    main()
