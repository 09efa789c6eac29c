# SPDX-License-Identifier: ISC
"""A network that comes later than the daemon: its addresses, its name
servers, the inner server."""

import subprocess

import harness
from harness import Gateway, free_port, wait_for
from inner import StandIn
from nameserver import AT, Namespace, main

NAME = "mail.inside.example"
NOBODY = "127.0.0.99"       # no name server is there


class Late(Namespace):
    def login(self, port, **kw):
        """Its answer, whatever it is."""
        with self.connect(port, True, **kw) as c:
            return c.login()

    def serves(self, port, **kw):
        try:
            return self.login(port, **kw).status == "OK"
        except OSError:
            return False

    def test_address(self):
        """It is listened on before it is there, and warned of."""
        inner = StandIn(self)
        address, port = "198.51.100.7", free_port()
        relais = Gateway(self, inner.port, "listen %s:%d ssl" % (address,
                                                                 port))
        relais.wait_log(r"%s:%d is no address of this host \(yet\)" % (
            address, port))
        self.assertFalse(harness.accepts(port, address))
        subprocess.run(["ip", "address", "add", address + "/32", "dev", "lo"],
                       check=True)
        self.addCleanup(subprocess.run, ["ip", "address", "del", address +
                                         "/32", "dev", "lo"], check=True)
        self.assertTrue(self.serves(port, host=address))

    def test_address_of_version_6(self):
        inner = StandIn(self)
        port = free_port()
        relais = Gateway(self, inner.port, "listen [2001:db8::7]:%d ssl" %
                         port)
        relais.wait_log(r"\[2001:db8::7\]:%d is no address" % port)

    def test_name_servers(self):
        """resolv.conf is followed: also inside the spool, and with a question
        that was put to those of before."""
        self.write("nameserver %s\n" % NOBODY)
        self.addCleanup(self.write, "nameserver %s\n" % AT[0])
        inner = StandIn(self)
        self.dns.records[NAME] = ["127.0.0.1"]
        relais = Gateway(self, inner.port, "outgoing_server %s:%d" % (
            NAME, inner.port))
        self.assertNO(self.login(relais.ssl), "UNAVAILABLE")
        self.write("nameserver %s\n" % AT[0])
        wait_for(lambda: self.serves(relais.ssl), 20, "a login", 0.5)
        relais.wait_log("resolv.conf has changed: other name servers")

    @staticmethod
    def write(text):
        """In place: the file is a mount."""
        with open("/etc/resolv.conf", "w") as f:
            f.write(text)

    def test_inner_server(self):
        """Not up yet: clients are told so, and served once it is."""
        inner = StandIn(self)
        inner.stop()
        relais = Gateway(self, inner.port)
        self.assertNO(self.login(relais.ssl), "UNAVAILABLE")
        inner.start()
        wait_for(lambda: self.serves(relais.ssl), 10, "a login", 0.5)


if __name__ == "__main__":
    main()
