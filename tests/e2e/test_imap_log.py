# SPDX-License-Identifier: ISC
"""The log: Perdition's lines in Perdition's form, nothing that a client can
forge, and never a password."""

import fcntl
import os
import re

import harness
from case import StandInCase, TestCase, main
from certs import gateway_pair
from client import Client, b64, plain_message
from harness import free_port
from inner import Script, StandIn

ADDRESSES = r"127\.0\.0\.1:{client}->127\.0\.0\.1:{port}"
AUTH = (r'Auth: {addresses} client-secure={secure} authorisation_id={authz} '
        r'authentication_id="{user}" server="127\.0\.0\.1:{inner}" '
        r'protocol={protocol} server-secure=plaintext status="{status}"$')
CLOSING = (r'Closing session: {addresses} authorisation_id={authz} '
           r'authentication_id="{user}" received=(\d+) sent=(\d+)$')

# /etc/fail2ban/filter.d/perdition.conf counts these
FAIL2BAN = (r'Auth: \S+:\d+->(\d{1,3}\.){3}\d{1,3}:\d+ client-secure=\S+ '
            r'authorisation_id=NONE authentication_id=".+" server="\S+" '
            r'protocol=\S+ server-secure=\S+ '
            r'status="failed: (local authentication failure'
            r'|Re-Authentication Failure)"$')

ODD_NAME = 'ev"il\\ \x07na\u00efme\x1b[2J'


class Lines(StandInCase):
    script = Script(users={"alice": "secret", ODD_NAME: "hidden0"})

    def client(self, port, tls=False):
        c = self.connect(port, tls)
        self.addresses = ADDRESSES.format(client=c.sock.getsockname()[1],
                                          port=port)
        self.mark = 0
        return c

    def wait(self, pattern, **fields):
        fields.setdefault("authz", "NONE")
        fields.setdefault("user", "alice")
        pattern = pattern.format(addresses=self.addresses,
                                 inner=self.inner.port, **fields)
        return self.relais.wait_log(pattern, self.mark)

    def test_a_whole_session(self):
        for port, tls, secure, protocol in (
                (self.relais.ssl, True, "ssl", "IMAP4S"),
                (self.relais.plain, False, "plaintext", "IMAP4")):
            with self.subTest(secure):
                c = self.client(port, tls)
                self.wait(r"Connect:  {addresses}$")    # two blanks
                self.assertOK(c.login())
                self.wait(AUTH, secure=secure, protocol=protocol,
                          status="ok")
                c.send("b XONE\r\n")
                c.line(), c.line()
                c.close()
                m = self.wait(CLOSING)
                self.assertEqual(int(m.group(1)), len("b XONE\r\n"))
                self.assertEqual(int(m.group(2)),
                                 len("* HEARD XONE\r\nb OK done\r\n"))

    def test_starttls(self):
        c = self.client(self.relais.starttls)
        c.starttls()
        self.assertOK(c.login())
        self.wait(AUTH, secure="starttls", protocol="IMAP4", status="ok")

    def test_refused(self):
        c = self.client(self.relais.ssl, True)
        self.assertNO(c.login("alice", "wr0ng"))
        m = self.wait(AUTH, secure="ssl", protocol="IMAP4S",
                      status="failed: Re-Authentication Failure")
        self.assertRegex(m.string, FAIL2BAN)

    def test_a_line_for_each_try(self):
        c = self.client(self.relais.ssl, True)
        self.assertNO(c.login("alice", "wr0ng"))
        self.assertOK(c.login())
        c.close()
        self.wait(CLOSING)
        lines = [l for l in self.relais.log()
                 if re.search("Auth: " + self.addresses, l)]
        self.assertEqual(len(lines), 2)

    def test_authorisation_identity(self):
        c = self.client(self.relais.ssl, True)
        self.assertOK(c.cmd("AUTHENTICATE PLAIN " + plain_message(
            "alice", "secret", "carol")))
        self.wait(AUTH, secure="ssl", protocol="IMAP4S", status="ok",
                  authz='"carol"')
        c.close()
        self.wait(CLOSING, authz='"carol"')

    def test_ended_before_a_login(self):
        """One line each, whatever the end; none for sessions that did."""
        def leave(c):
            c.close()

        def logout(c):
            self.assertOK(c.cmd("LOGOUT"))

        def endless(c):
            try:
                c.send(b"x" * 200000)
            except OSError:
                pass
            c.rest()

        for end in (leave, logout, endless):
            with self.subTest(end.__name__):
                c = self.client(self.relais.plain)
                end(c)
                self.wait(r'Closing NULL session: {addresses} '
                          r'authorisation_id=NONE '
                          r'authentication_id="\(null\)"')
        lines = [l for l in self.relais.log()
                 if re.search("Closing.*" + self.addresses, l)]
        self.assertEqual(len(lines), 1)

    def test_a_handshake_that_fails(self):
        c = self.raw(self.relais.ssl)
        self.addresses = ADDRESSES.format(client=c.sock.getsockname()[1],
                                          port=self.relais.ssl)
        self.mark = 0
        c.send("GET / HTTP/1.0\r\n\r\n")
        c.rest()
        self.wait(r"Closing NULL session: {addresses} ")

    def test_odd_names_are_escaped(self):
        c = self.client(self.relais.plain)
        name = ODD_NAME.encode()
        c.send(b"a LOGIN {%d+}\r\n%s hidden0\r\n" % (len(name), name))
        self.assertOK(c.answer("a"))
        m = self.wait(r'Auth: {addresses} .*status="ok"$')
        inside = re.search(r'authentication_id="(.*)" server=',
                           m.string).group(1)
        self.assertNotRegex(inside.replace('\\"', ""), r'"')
        self.assertRegex(m.string, r"^[ -~]*$")
        self.assertIn("il", inside)

    def test_a_line_cannot_be_forged(self):
        forged = 'x" server="192.0.2.9:143" status="ok'
        c = self.client(self.relais.plain)
        c.send("a AUTHENTICATE PLAIN %s\r\n" % plain_message(forged, "x"))
        c.answer("a")
        m = self.wait(r"Auth: {addresses} .*$")
        self.assertNotIn('x" server="192.0.2.9', m.string)

    def test_a_very_long_name(self):
        c = self.client(self.relais.plain)
        name = "\x01" * 1000
        c.send("a LOGIN {%d+}\r\n%s x\r\n" % (len(name), name))
        c.answer("a")
        m = self.wait(r'Auth: {addresses} .*status="failed: [^"]*"$')
        self.assertLess(len(m.string), 8192)

    def test_worker_stamps(self):
        """The line carries the pid of the process that served."""
        c = self.client(self.relais.ssl, True)
        m = self.wait(r"Connect:  {addresses}$")
        pid = re.search(r"imapsd\[(\d+)\]: ", m.string)
        self.assertIsNotNone(pid, m.string)
        self.assertIn(int(pid.group(1)), self.relais.pids("worker"))
        c.close()


class Secrets(StandInCase):
    lines = ("debug",)

    def test_no_password_anywhere(self):
        good, bad = "Sehr-Geheim-7", "Auch-Geheim-8"
        self.inner.script = Script(users={"alice": good})
        for port, tls in ((self.relais.ssl, True), (self.relais.plain, False),
                          (self.relais.starttls, False)):
            c = self.connect(port, tls)
            c.send("a LOGIN alice {%d+}\r\n%s x\r\n" % (len(bad), bad))
            c.answer("a")
            c.cmd("LOGIN alice \"%s" % bad)
            c.cmd("XYZ " + bad)
            c.cmd("AUTHENTICATE PLAIN " + plain_message("a\0b", bad))
            c.cmd("AUTHENTICATE PLAIN " + plain_message("alice", good))
            c.close()
        c = self.tls()
        self.assertNO(c.login("alice", bad))
        self.assertOK(c.cmd("LOGIN alice " + good))
        c.close()
        self.relais.wait_log("Closing session: ")
        text = self.relais.story()
        for secret in (good, bad, b64(good)[:-4],
                       plain_message("alice", good)[:-4]):
            self.assertNotIn(secret, text)


class Settings(TestCase):
    def test_ident(self):
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port,
                                 "log_ident perdition.imap4s")
        with Client(relais.plain) as c:
            c.greet()
        relais.wait_log(r"perdition\.imap4s\[\d+\]: Connect:  127")

    def test_relog(self):
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port, "connect_relog 1")
        c = self.connect(relais.plain)
        self.assertOK(c.login())
        harness.wait_for(
            lambda: len([l for l in relais.log() if "Auth: " in l]) >= 3,
            6, "the line to be repeated")

    def test_nobody_reads_it(self):
        """What the log goes to may be a pipe that is full."""
        r, w = os.pipe()
        self.addCleanup(os.close, r)
        fcntl.fcntl(w, fcntl.F_SETPIPE_SZ, 4096)
        port, pair = free_port(), gateway_pair()
        p = harness.start([
            harness.IMAPSD, "--no_daemon", "--log_facility", "-",
            "--listen", "127.0.0.1:%d plain" % port,
            "--outgoing_server", "127.0.0.1:%d" % StandIn(self).port,
            "--ssl_cert_file", pair.cert, "--ssl_key_file", pair.key,
            "--spool_directory", harness.folder(self) + "/spool"], stdout=w)
        self.addCleanup(harness.end, p)
        os.close(w)
        harness.wait_for(lambda: harness.accepts(port), 10, "it to serve")
        for _ in range(60):     # three lines each
            with Client(port) as c:
                c.greet()
                self.assertOK(c.login())
        self.assertEqual(harness.end(p), 0)

    def test_quiet(self):
        inner = StandIn(self)
        relais = harness.Gateway(self, inner.port, "quiet")
        c = self.connect(relais.plain)
        self.assertOK(c.login())
        c.close()
        self.assertFalse([l for l in relais.log() if "Connect:" in l])


if __name__ == "__main__":
    main()
