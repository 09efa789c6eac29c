# SPDX-License-Identifier: ISC
"""pop3sd's log: Perdition's lines with POP3's names, and never a password."""

import re

from case import Pop3Case, main
from client import plain_message
from inner import Pop3Script

ADDRESSES = r"127\.0\.0\.1:{client}->127\.0\.0\.1:{port}"
AUTH = (r'Auth: {addresses} client-secure={secure} authorisation_id={authz} '
        r'authentication_id="alice" server="127\.0\.0\.1:{inner}" '
        r'protocol={protocol} server-secure=plaintext status="{status}"$')
CLOSING = (r'Closing session: {addresses} authorisation_id={authz} '
           r'authentication_id="alice" received=(\d+) sent=(\d+)$')
NULL = (r'Closing NULL session: {addresses} authorisation_id=NONE '
        r'authentication_id="\(null\)"')


class Log(Pop3Case):
    """Perdition's lines, with POP3's names."""

    def client(self, port, tls=False):
        c = self.connect(port, tls)
        self.addresses = ADDRESSES.format(client=c.sock.getsockname()[1],
                                          port=port)
        return c

    def wait(self, pattern, **fields):
        fields.setdefault("authz", "NONE")
        return self.relais.wait_log(pattern.format(
            addresses=self.addresses, inner=self.inner.port, **fields))

    def test_a_whole_session(self):
        for port, tls, secure, protocol in (
                (self.relais.ssl, True, "ssl", "POP3S"),
                (self.relais.plain, False, "plaintext", "POP3"),
                (self.relais.starttls, False, "starttls", "POP3")):
            with self.subTest(secure):
                c = self.client(port, tls)
                m = self.wait(r"Connect:  {addresses}$")    # two blanks
                self.assertIn("pop3sd[", m.string)
                if secure == "starttls":
                    c.starttls()
                self.assertYes(c.login())
                self.wait(AUTH, secure=secure, protocol=protocol, status="ok")
                c.send("QUIT\r\n")
                self.assertEqual(c.rest(), "+OK heard QUIT\r\n")
                c.close()
                m = self.wait(CLOSING)
                self.assertEqual(m.groups(), (
                    str(len("QUIT\r\n")), str(len("+OK heard QUIT\r\n"))))

    def test_what_was_pipelined_is_counted(self):
        c = self.client(self.relais.plain)
        c.send("USER alice\r\nPASS secret\r\nXONE\r\nQUIT\r\n")
        c.rest()
        c.close()
        m = self.wait(CLOSING)
        self.assertEqual(int(m.group(1)), len("XONE\r\nQUIT\r\n"))
        self.assertEqual(int(m.group(2)),
                         len("+OK heard XONE\r\n+OK heard QUIT\r\n"))

    def test_refused(self):
        c = self.client(self.relais.ssl, True)
        self.assertNo(c.login("alice", "wr0ng"))
        self.wait(AUTH, secure="ssl", protocol="POP3S",
                  status="failed: Re-Authentication Failure")

    def test_authorisation_identity(self):
        c = self.client(self.relais.ssl, True)
        self.assertYes(c.cmd("AUTH PLAIN " + plain_message(
            "alice", "secret", "carol")))
        self.wait(AUTH, secure="ssl", protocol="POP3S", status="ok",
                  authz='"carol"')
        c.close()
        self.wait(CLOSING, authz='"carol"')

    def test_ended_before_a_login(self):
        for said in "", "QUIT\r\n", "USER alice\r\n", "x" * 20000, "\0\r\n":
            with self.subTest(said=said[:10]):
                c = self.client(self.relais.plain)
                c.send(said)
                if said not in ("", "USER alice\r\n"):
                    c.rest()
                c.close()
                self.wait(NULL)
                self.assertEqual(len([
                    l for l in self.relais.log()
                    if re.search("Closing.*" + self.addresses, l)]), 1)

    def test_odd_names_are_escaped(self):
        c = self.client(self.relais.plain)
        c.send('USER x" status="ok\x1b[2J\u00ef\r\nPASS x\r\n')
        self.assertYes(c.line())
        self.assertNo(c.line())
        m = self.wait(r'Auth: {addresses} .*status="failed: [^"]*"$')
        self.assertNotIn('x" status="ok', m.string)
        self.assertRegex(m.string, r"^[ -~]*$")


class Secrets(Pop3Case):
    lines = ("debug",)

    def test_no_password_anywhere(self):
        good, bad = "Sehr-Geheim-7", "Auch-Geheim-8"
        self.inner.script = Pop3Script(users={"alice": good})
        c = self.connect(self.relais.starttls)
        for command in ("USER alice", "PASS " + bad, "XYZ " + bad,
                        "AUTH PLAIN " + plain_message("alice", good)):
            self.assertNo(c.cmd(command))
        c.starttls()
        self.assertNo(c.cmd("PASS " + bad))
        self.assertNo(c.login("alice", bad))
        self.assertNo(c.cmd("AUTH PLAIN " + plain_message("a\0b", bad)))
        self.assertYes(c.login("alice", good))
        c.close()
        self.relais.wait_log("Closing session: ")
        text = self.relais.story()
        for secret in (good, bad, plain_message("alice", good)[:-4]):
            self.assertNotIn(secret, text)


if __name__ == "__main__":
    main()
