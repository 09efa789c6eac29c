# SPDX-License-Identifier: ISC
"""What stands in front of the gateway and says for whom it speaks: a real
HAProxy, and headers of the PROXY protocol made by hand."""

import os
import socket
import struct

import harness
from harness import cleanup_of, end, folder, free_port, wait_for

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"

CONFIG = """\
global
    nbthread 1
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
"""

LISTEN = """\
listen to-{port}-{word}
    bind 127.0.0.1:{own}
    server gateway 127.0.0.1:{port} {word} source {source}
"""


def v1(client, local="127.0.0.1", ports=(4711, 993)):
    return ("PROXY TCP%d %s %s %d %d\r\n" % (
        6 if ":" in client else 4, client, local, *ports)).encode()


def v2(client=None, local="127.0.0.1", ports=(4711, 993), fields=b""):
    """None: LOCAL."""
    if client is None:
        return SIGNATURE + b"\x20\0\0\0"
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    block = (socket.inet_pton(family, client) +
             socket.inet_pton(family, local) + struct.pack("!HH", *ports) +
             fields)
    return (SIGNATURE + b"\x21" +
            (b"\x21" if family == socket.AF_INET6 else b"\x11") +
            struct.pack("!H", len(block)) + block)


class Haproxy:
    """Passes connections on to a gateway's ports, from an address of its
    own; with word "send-proxy" or "send-proxy-v2" it begins with a header.
    ways[port, word] is the port that clients connect to."""

    def __init__(self, case, ports, source="127.0.0.2",
                 words=("send-proxy", "send-proxy-v2")):
        self.folder = folder(case)
        self.ways = {(port, word): free_port()
                     for port in ports for word in words}
        self.conf = os.path.join(self.folder, "haproxy.cfg")
        with open(self.conf, "w") as f:
            f.write(CONFIG + "".join(
                LISTEN.format(port=port, word=word, own=own, source=source)
                for (port, word), own in self.ways.items()))
        with open(os.path.join(self.folder, "output"), "wb") as out:
            self.process = harness.start(
                ["/usr/sbin/haproxy", "-db", "-f", self.conf],
                stdout=out, stderr=out)
        cleanup_of(case)(self.stop)
        wait_for(lambda: all(map(harness.accepts, self.ways.values())),
                 what="HAProxy to serve")

    def stop(self):
        if self.process:
            end(self.process)
            self.process = None
