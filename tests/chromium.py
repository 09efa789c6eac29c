#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The page of conf/client-setup in a real browser: on a desk and on a phone,
nothing of it lies beyond the screen's edge, and no letter is too small.

    tests/chromium.py [PICTURES]

For the hand: make check does without, since the package (chromium) is large.
Where it is missing, it says so and does nothing.  PICTURES is a folder for
pictures of the whole page, which are there to be looked at."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "e2e"))
import harness  # noqa: E402  the path comes first
from certs import certificates  # noqa: E402

HOST = "mail.example.org"
LONG = "mail-gateway-for-all-faculties.university-of-somewhere.example.org"
# A screen's width, and is it a phone's?
SCREENS = {"desk": (1280, False), "tablet": (768, True), "phone": (390, True),
           "small-phone": (320, True)}
SMALLEST = 16       # pixels: letters

# What lies beyond the right edge, the page's width, and the smallest letters.
LOOK = """(() => {
    const all = [...document.querySelectorAll("body *")];
    const edge = document.documentElement.clientWidth;
    return {
        beyond: all.filter(e => e.getBoundingClientRect().right > edge + 0.5)
            .map(e => e.tagName + ": " + e.textContent.slice(0, 40)),
        width: document.documentElement.scrollWidth, edge,
        letters: Math.min(...all.map(
            e => parseFloat(getComputedStyle(e).fontSize))),
    };
})()"""


class Stack(contextlib.ExitStack):
    """Undoes in reverse order, under the name that a test has for it."""
    addCleanup = contextlib.ExitStack.callback


class Chromium:
    """Chromium without a screen, asked by its DevTools protocol: JSON and a
    NUL, through a pipe at its descriptors 3 and 4."""

    def __init__(self, stack, program):
        home = harness.folder(stack)
        ours, its = os.pipe(), os.pipe()
        for fd in ours[0], its[1]:      # beyond 3 and 4, which are its names
            os.set_inheritable(fd, True)
        argv = [program, "--headless", "--remote-debugging-pipe",
                "--no-first-run", "--disable-gpu", "--disable-dev-shm-usage",
                "--user-data-dir=" + home + "/profile"]
        if harness.ROOT:
            argv.append("--no-sandbox")
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 3<&%d 4>&%d' % (ours[0], its[1]), "sh",
             *argv], pass_fds=[ours[0], its[1]], start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=dict(os.environ, HOME=home))
        os.close(ours[0])
        os.close(its[1])
        stack.callback(harness.end, process)
        self.to = stack.enter_context(os.fdopen(ours[1], "wb", 0))
        self.back = stack.enter_context(os.fdopen(its[0], "rb"))
        self.number, self.session = 0, None
        target = self("Target.createTarget", url="about:blank")["targetId"]
        self.session = self("Target.attachToTarget", targetId=target,
                            flatten=True)["sessionId"]
        self("Page.enable")

    def _read(self):
        text = b""
        while not text.endswith(b"\0"):
            octet = self.back.read(1)
            if not octet:
                raise AssertionError("Chromium has gone")
            text += octet
        return json.loads(text[:-1])

    def __call__(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path, width, phone, dark):
        """A page on a screen of this width."""
        self("Emulation.setDeviceMetricsOverride", width=width,
             height=844, deviceScaleFactor=1, mobile=phone)
        self("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme",
             "value": "dark" if dark else "light"}])
        self("Page.navigate", url="file://" + path)
        harness.wait_for(lambda: self.value(
            "document.readyState == 'complete' && document.title != ''"),
            what="the page")

    def value(self, expression):
        return self("Runtime.evaluate", expression=expression,
                    returnByValue=True)["result"].get("value")

    def picture(self, path):
        data = self("Page.captureScreenshot", captureBeyondViewport=True)
        with open(path, "wb") as f:
            f.write(base64.b64decode(data["data"]))


def make_page(stack, host):
    """What client-setup writes for the three daemons; the page's path."""
    folder = harness.folder(stack)
    pair = certificates().make(HOST, LONG)
    argv = [os.path.join(harness.TOP, "conf/client-setup"), "--output",
            folder + "/out", "--host", host, "--domain",
            host.partition(".")[2]]
    for kind in "imap", "pop3", "smtp":
        path = "%s/%s.conf" % (folder, kind)
        with open(path, "w") as f:
            f.write("outgoing_server 192.168.0.5\nssl_cert_file %s\n"
                    "ssl_key_file %s\n" % pair)
        argv += ["--" + kind, path]
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, env=dict(
        os.environ, PATH=harness.BUILD + ":" + os.environ["PATH"]))
    return folder + "/out/web/index.html"


def main():
    program = shutil.which("chromium")
    if program is None:
        print("skipped: needs chromium")
        return
    pictures = os.path.abspath(sys.argv[1]) if sys.argv[1:] else None
    if pictures:
        os.makedirs(pictures, exist_ok=True)
    with Stack() as stack:
        browser = Chromium(stack, program)
        bad = 0
        for name, host in ("usual", HOST), ("long", LONG):
            path = make_page(stack, host)
            for screen, (width, phone) in SCREENS.items():
                browser.open(path, width, phone, dark=name == "long")
                seen = browser.value(LOOK)
                if pictures:
                    browser.picture("%s/%s-%s.png" % (pictures, name, screen))
                good = (not seen["beyond"] and
                        seen["width"] <= seen["edge"] <= width and
                        seen["letters"] >= SMALLEST)
                bad += not good
                print("%-6s %-12s %s %s" % (name, screen, "good" if good
                                            else "BAD", seen))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
