#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A real Thunderbird sets itself up by the files of conf/client-setup: given
an address, it finds the servers; given the password, it makes the account,
reads a message through imapsd or pop3sd and sends one through smtpsd.

    tests/thunderbird.py [PICTURES]

For the hand, and for root: make check does without, since the packages
(thunderbird, xvfb) are large.  Where they are missing, it says so and does
nothing.  It has a network, processes and an /etc of its own, so that the
daemons are on their usual ports, the names of DNS are those of a hosts file,
and nothing is left behind.  Thunderbird's own wizard is filled in and its
buttons are pressed, by way of Marionette.  PICTURES is a folder for pictures
of its steps."""

import base64
import contextlib
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "e2e"))
import harness  # noqa: E402  the path comes first
from certs import certificates  # noqa: E402
from inner import Dovecot  # noqa: E402
from postfix import Postfix  # noqa: E402
from submission import make_user  # noqa: E402

# Postfix takes all that is for this domain to one mailbox, that of READER.
DOMAIN = "example.net"
GATEWAY = "mail." + DOMAIN
WEB = ["autoconfig." + DOMAIN, "autodiscover." + DOMAIN]
# Of the gateway and of a web server, in the network of our own.
ADDRESS, WEB_ADDRESS = "192.0.2.1", "192.0.2.2"
READER = "alice@" + DOMAIN
USERS = {READER: "wonder land", "bob@" + DOMAIN: "s\u00e9same"}
# The ports with TLS from the beginning, which the daemons have beside those
# with STARTTLS, and those alone; and what the wizard calls it.
PORTS = {"SSL/TLS": {"imap": 993, "pop3": 995, "smtp": 465},
         "STARTTLS": {"imap": 143, "pop3": 110, "smtp": 587}}
INSIDE = "RELAIS_THUNDERBIRD"   # in the environment: we are in there already
LIMIT = 60                      # seconds for any one thing to happen

MAIL = """\
From: Queen <queen@example.net>
To: Alice <alice@example.net>
Subject: Croquet
Date: Tue, 03 Mar 2026 10:00:00 +0000
Message-ID: <%s@example.net>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8

Bring your own flamingo.
"""

PREFERENCES = {
    "marionette.port": 0,       # filled in
    "app.update.enabled": False,
    "app.donation.eoy.version.viewed": 999,
    "datareporting.policy.bypassNotification": True,
    "mail.biff.show_alert": False,
    "mail.inappnotifications.enabled": False,
    "mail.rights.version": 1,
    "mail.shell.checkDefaultClient": False,
    "mailnews.start_page.enabled": False,
    "mailnews.start_page_override.mstone": "ignore",
    # there is a loopback interface and nothing else
    "network.manage-offline-status": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.server": "",
}


class Stack(contextlib.ExitStack):
    """Undoes in reverse order, under the name that a test has for it."""
    addCleanup = contextlib.ExitStack.callback


def say(*words):
    print("%6.1f  %s" % (time.monotonic() - BEGAN, " ".join(words)),
          flush=True)


# --- a network and an /etc of its own ----------------------------------------

def separate():
    """This program again, where what it does is seen by nobody else."""
    os.environ[INSIDE] = "1"
    os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork",
                          "--kill-child", "--mount-proc", sys.executable,
                          os.path.abspath(__file__), *sys.argv[1:]])


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


def run(*argv, **kw):
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, **kw)


def own_network_and_etc(stack, ca):
    run("ip", "link", "set", "lo", "up")
    for address in ADDRESS, WEB_ADDRESS:
        run("ip", "address", "add", address + "/32", "dev", "lo")
    etc = os.path.join(harness.folder(stack), "etc")
    shutil.copytree("/etc", etc, symlinks=True)
    write(etc + "/hosts", "127.0.0.1 localhost\n%s %s\n%s %s\n" % (
        ADDRESS, GATEWAY, WEB_ADDRESS, " ".join(WEB)))
    write(etc + "/resolv.conf", "nameserver 127.0.0.1\n")   # nobody is there
    write(etc + "/thunderbird/policies/policies.json", json.dumps(
        {"policies": {"Certificates": {"Install": [ca]}}}))
    run("mount", "--bind", etc, "/etc")
    stack.callback(run, "umount", "-l", "/etc")


# --- what Thunderbird is to find ---------------------------------------------

class Site(http.server.SimpleHTTPRequestHandler):
    """A web server for static files, which remembers what was asked for."""
    asked = []

    def log_request(self, code="-", size="-"):
        self.asked.append("%s %s://%s%s %s" % (
            self.command, self.server.scheme, self.headers.get("Host"),
            self.path, getattr(code, "value", code)))

    def log_message(self, *_):
        pass

    def do_POST(self):      # as README.md has it for Outlook
        self.do_GET()


class WebServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stack, folder, port, pair=None):
        self.scheme, self.folder = "https" if pair else "http", folder
        super().__init__((WEB_ADDRESS, port), Site)
        if pair:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*pair)
            self.socket = context.wrap_socket(
                self.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=self.serve_forever, daemon=True).start()
        stack.callback(self.server_close)
        stack.callback(self.shutdown)

    def finish_request(self, request, client_address):
        Site(request, client_address, self, directory=self.folder)

    def handle_error(self, *_):
        pass        # a client that does not trust us, or goes away


def sasl(stack):
    folder = harness.folder(stack)
    write(folder + "/smtpd.conf", "pwcheck_method: auxprop\n"
          "auxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n")
    db = folder + "/sasldb2"
    for address, password in USERS.items():
        make_user(db, address.partition("@")[0], password, DOMAIN)
    return ("sasl_config_path " + folder, "sasldb_path " + db,
            "sasl_local_domain " + DOMAIN, "peername_lookup no")


class Gateway:
    """The daemons on their usual ports, before a Dovecot and a Postfix, and
    the files of client-setup on a web server."""

    def __init__(self, stack, encryption):
        os.environ[harness.USERS_READY] = "1"   # nobody takes their part
        self.dovecot = Dovecot(stack, users=USERS)
        postfix = Postfix(stack, maildir=self.dovecot.maildir(READER))
        pair = certificates().make(GATEWAY)
        self.daemons = {}
        self.ports = PORTS[encryption]
        for kind, program, inner, more in (
                ("imap", harness.IMAPSD, self.dovecot.port, ()),
                ("pop3", harness.POP3SD, self.dovecot.pop3_port, ()),
                ("smtp", harness.SMTPSD, postfix.port, sasl(stack))):
            ports = [by_kind[kind] for by_kind in PORTS.values()]
            if encryption == "STARTTLS":
                ports = [self.ports[kind]]
                more += ("listen *:%d starttls" % ports[0],)
            text = "\n".join((
                "outgoing_server 127.0.0.1:%d" % inner, "username nobody",
                "daemon_username nobody", "ssl_cert_file " + pair.cert,
                "ssl_key_file " + pair.key, *more)) + "\n"
            self.daemons[kind] = harness.Relais(stack, text, ports=ports,
                                                daemon=program)
        self.output = harness.folder(stack)
        argv = [os.path.join(harness.TOP, "conf/client-setup"), "--output",
                self.output, "--name", "Wonderland"]
        for kind, daemon in self.daemons.items():
            argv += ["--" + kind, daemon.conf]
        run(*argv, env=dict(os.environ, PATH=harness.BUILD + ":" +
                            os.environ["PATH"]))
        web = os.path.join(self.output, "web")
        WebServer(stack, web, 443, certificates().make(*WEB))
        WebServer(stack, web, 80)

    def session(self, kind, mark, pattern):
        """The line of a daemon's log, since mark, that a login leaves."""
        self.daemons[kind].wait_log(pattern, mark[kind], LIMIT)

    def marks(self):
        return {kind: daemon.mark() for kind, daemon in self.daemons.items()}


# --- Thunderbird -------------------------------------------------------------

class Marionette:
    """Firefox' and Thunderbird's remote control: "LENGTH:JSON" over TCP."""

    def __init__(self, stack, port):
        self.sock = socket.create_connection(("127.0.0.1", port), LIMIT)
        stack.callback(self.sock.close)
        self.file = self.sock.makefile("rb")
        self.number = 0
        self._read()        # who it is
        self("WebDriver:NewSession", capabilities={})
        self("Marionette:SetContext", value="chrome")
        self("WebDriver:SetTimeouts", script=LIMIT * 1000)

    def _read(self):
        length = b""
        while not length.endswith(b":"):
            octet = self.file.read(1)
            if not octet:
                raise AssertionError("Thunderbird has gone")
            length += octet
        return json.loads(self.file.read(int(length[:-1])))

    def __call__(self, command, **parameters):
        self.number += 1
        text = json.dumps([0, self.number, command, parameters]).encode()
        self.sock.sendall(b"%d:%s" % (len(text), text))
        _, number, error, value = self._read()
        assert number == self.number, "an answer to another question"
        if error:
            raise AssertionError("%s: %s" % (command, error["message"]))
        return value["value"] if isinstance(value, dict) and \
            list(value) == ["value"] else value

    def run(self, script, *args):
        """The value of a function's body, in the window that is in front."""
        return self("WebDriver:ExecuteScript", script=LIBRARY + script,
                    args=list(args), sandbox="system", newSandbox=False)


# What all scripts may use.  The wizard is in a shadow tree.
LIBRARY = """
const { MailServices } = ChromeUtils.importESModule(
    "resource:///modules/MailServices.sys.mjs");
const main = Services.wm.getMostRecentWindow("mail:3pane");
function hub() {
    return main.document.querySelector("account-hub-container")?.shadowRoot
        .querySelector("account-hub-email");
}
function visible(element) {
    return !!element && element.checkVisibility();
}
function step() {
    const steps = [...(hub()?.querySelectorAll(".account-hub-step") ?? [])];
    return steps.find(visible) ?? null;
}
function part(id) {
    return step()?.querySelector("#" + id) ??
        step()?.shadowRoot?.querySelector("#" + id);
}
function type(id, text) {
    const input = part(id);
    input.focus();
    input.value = text;
    input.dispatchEvent(new main.Event("input", { bubbles: true }));
}
function account(address) {
    return MailServices.accounts.accounts.find(
        a => a.identities.some(i => i.email == address));
}
function inbox(address) {
    return account(address)?.incomingServer.rootFolder
        .getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
}
function subjects(folder) {
    return folder ? [...folder.messages].map(m => m.mime2DecodedSubject) : [];
}
"""


class Thunderbird:
    def __init__(self, stack, pictures):
        self.pictures, self.pictured = pictures, 0
        self.home = harness.folder(stack)
        self.profile = os.path.join(self.home, "profile")
        port = harness.free_port()
        PREFERENCES["marionette.port"] = port
        write(self.profile + "/user.js", "".join(
            "user_pref(%s, %s);\n" % (json.dumps(name), json.dumps(value))
            for name, value in PREFERENCES.items()))
        environment = dict(
            os.environ, HOME=self.home, TMPDIR=self.home,
            DISPLAY=self._display(stack), LANG="C.UTF-8",
            MOZ_HEADLESS_WIDTH="1280", MOZ_CRASHREPORTER_DISABLE="1")
        for name in "DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR":
            environment.pop(name, None)
        self.story = os.path.join(self.home, "story")
        with open(self.story, "wb") as story:
            process = subprocess.Popen(
                ["thunderbird", "--profile", self.profile, "--no-remote",
                 "--marionette", "--remote-allow-system-access"],
                stdin=subprocess.DEVNULL, stdout=story, stderr=story,
                env=environment, start_new_session=True)
        stack.callback(harness.end, process)
        harness.wait_for(lambda: harness.accepts(port), LIMIT, "Marionette")
        self.remote = Marionette(stack, port)
        self.run = self.remote.run
        self.until("return main?.document.readyState == 'complete' && "
                   "!!main.AccountHubController", what="the window")

    @staticmethod
    def _display(stack):
        """An X server that nobody sees; the number that it chose."""
        reader, writer = os.pipe()
        process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(writer), "-screen", "0",
             "1280x900x24", "-nolisten", "tcp"], pass_fds=[writer],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)
        os.close(writer)
        stack.callback(harness.end, process)
        with os.fdopen(reader) as f:
            return ":" + f.readline().strip()

    def until(self, script, *args, what):
        try:
            return harness.wait_for(lambda: self.run(script, *args), LIMIT,
                                    what, every=0.2)
        except AssertionError:
            self.picture("failed")
            raise

    def picture(self, name):
        if not self.pictures:
            return
        self.pictured += 1
        data = self.remote("WebDriver:TakeScreenshot", full=False)
        path = "%s/%d-%s.png" % (self.pictures, self.pictured, name)
        with open(path, "wb") as f:
            f.write(base64.b64decode(data))

    # the wizard

    def await_step(self, name):
        """This step of the wizard; what it says in an error ends us."""
        def look():
            at, text = self.run("""
                const at = step();
                const bar = at?.shadowRoot?.querySelector(
                    "account-hub-header")?.shadowRoot?.querySelector(
                    "#emailFormNotification");
                return [at?.id ?? "", visible(bar) ? bar.innerText : ""];""")
            assert name == at or "error" not in text.lower(), text
            return name == at
        try:
            harness.wait_for(look, LIMIT, name, every=0.2)
        except AssertionError:
            self.picture("failed")
            raise
        time.sleep(0.5)     # it fades in

    def forward(self):
        """Continue, or Finish."""
        self.until("return !hub().querySelector('#forward').disabled",
                   what="the button")
        self.run("hub().querySelector('#forward').click()")

    def found(self, kind):
        """Choose a protocol and read what the wizard shows: of the incoming
        and of the outgoing server the type, name, port, encryption, user."""
        self.run("step().querySelector('#%s input').click()" % kind)
        time.sleep(0.5)     # words come from the translation, later
        return [self.run("""
            const side = arguments[0];
            const shared = visible(part("sharedUsername"));
            const of = name => part((shared && visible(part("shared" + name))
                ? "shared" : side) + name).textContent.trim();
            return [part(side + "Type").textContent.trim(),
                part(side + "Host").textContent.trim(),
                part(side + "Port").textContent.trim(),
                of("SocketType"), of("Username")];""", side)
            for side in ("incoming", "outgoing")]

    def set_up(self, address, kind, ports, encryption):
        """From an address and a password to an account."""
        self.run("return main.AccountHubController.open('MAIL')")
        self.await_step("emailAutoConfigSubview")
        self.run("type('realName', 'A. Liddell')")
        self.run("type('email', arguments[0])", address)
        self.picture("address")
        self.forward()
        self.await_step("emailConfigFoundSubview")
        for wanted in "pop3", "imap", kind:
            for server, name in zip(self.found(wanted), (wanted, "smtp")):
                expected = [name, GATEWAY, str(ports[name]), encryption,
                            address]
                assert server == expected, (server, expected)
            self.picture("found-" + wanted)
        self.forward()
        self.await_step("emailPasswordSubview")
        self.run("type('password', arguments[0])", USERS[address])
        self.picture("password")
        self.forward()
        self.await_step("emailAddedSuccessSubview")
        self.picture("added")
        self.forward()
        self.until("return !visible(step())", what="the wizard's end")
        return self.run("""
            const a = account(arguments[0]);
            const out = MailServices.outgoingServer.getServerByKey(
                a.defaultIdentity.smtpServerKey) ??
                MailServices.outgoingServer.defaultServer;
            return [a.incomingServer.type, a.incomingServer.port,
                a.incomingServer.socketType, a.incomingServer.authMethod,
                out.serverURI.asciiSpec ?? out.serverURI.spec,
                out.socketType, out.authMethod];""", address)

    # mail

    def read(self, address, subject, text):
        """Choose a message that comes, and see this text."""
        self.run("""const folder = inbox(arguments[0]);
            main.document.getElementById("tabmail").currentAbout3Pane
                .displayFolder(folder.URI);
            folder.server.getNewMessages(folder, null, null);""", address)
        self.until("return subjects(inbox(arguments[0])).includes("
                   "arguments[1])", address, subject, what=subject)
        self.until("""
            const pane = main.document.getElementById("tabmail")
                .currentAbout3Pane;
            const header = [...inbox(arguments[0]).messages].find(
                m => m.mime2DecodedSubject == arguments[1]);
            const row = pane.gDBView?.findIndexOfMsgHdr(header, true) ?? -1;
            if (row >= 0 && row < 100)
                pane.threadTree.selectedIndex = row;
            return row >= 0 && row < 100;""", address, subject,
                   what="the message in the list")
        self.until("""
            const message = main.document.getElementById("tabmail")
                .currentAboutMessage;
            const shown = message?.gMessage?.mime2DecodedSubject;
            const body = message?.getMessagePaneBrowser()?.contentDocument
                ?.querySelector(".moz-text-plain, .moz-text-flowed")
                ?.textContent.trim();
            return shown == arguments[0] && body == arguments[1];""",
                   subject, text, what="the message's text")
        self.picture("read")

    def send(self, address, to, subject, text):
        """Write a message in a window for that, and press Send."""
        self.run("""
            const fields = Cc["@mozilla.org/messengercompose/composefields;1"]
                .createInstance(Ci.nsIMsgCompFields);
            const params = Cc[
                "@mozilla.org/messengercompose/composeparams;1"]
                .createInstance(Ci.nsIMsgComposeParams);
            params.composeFields = fields;
            params.identity = account(arguments[0]).defaultIdentity;
            params.format = Ci.nsIMsgCompFormat.PlainText;
            params.type = Ci.nsIMsgCompType.New;
            [fields.to, fields.subject, fields.body] =
                [...arguments].slice(1);
            MailServices.compose.OpenComposeWindowWithParams(null, params);
            """, address, to, subject, text)
        window = "const w = Services.wm.getMostRecentWindow('msgcompose');"
        self.until(window + "return !!w && w.document.readyState == "
                   "'complete' && !!w.gMsgCompose && !!w.document"
                   ".getElementById('button-send') && !w.document"
                   ".getElementById('button-send').disabled",
                   what="the window to write in")
        self.run(window + "w.document.getElementById('button-send').click()")
        self.until(window + "return !w", what="the message to be sent")


# --- what is seen ------------------------------------------------------------

def use(gateway, thunderbird, address, kind):
    """Read a message that comes, and send one.  Returns its subject."""
    gateway.dovecot.deliver(address, (MAIL % kind).replace(
        "\n", "\r\n").encode())
    thunderbird.read(address, "Croquet", "Bring your own flamingo.")
    say("%s: has read by %s" % (address, kind))
    subject = "Tea at five, by the account with " + kind
    thunderbird.send(address, "hatter@" + DOMAIN, subject, "No room!")
    message, = harness.wait_for(
        lambda: [m for m in gateway.dovecot.messages(READER)
                 if b"\r\nSubject: " + subject.encode() in m],
        LIMIT, "the message to arrive")
    for part in "No room!", "ESMTPSA", "From: \"A. Liddell\" <%s>" % address:
        assert part.encode() in message, (part, message)
    say("%s: has sent by smtp" % address)
    return subject


def look_at(stack, encryption, pictures):
    gateway = Gateway(stack, encryption)
    say(encryption + ": the daemons serve, before a Dovecot and a Postfix")
    thunderbird = Thunderbird(stack, pictures)
    try:
        for address, kind in zip(USERS, ("imap", "pop3")):
            mark = gateway.marks()
            made = thunderbird.set_up(address, kind, gateway.ports,
                                      encryption)
            gateway.session(kind, mark, "Auth: .*" + address)
            say("%s: has logged in and made an account:" % address,
                *map(str, made))
            subject = use(gateway, thunderbird, address, kind)
        thunderbird.read(READER, subject, "No room!")
        say("%s: has read what the other has sent" % READER)
    except BaseException:
        for daemon in gateway.daemons.values():
            print(daemon.story())
        with open(thunderbird.story, errors="replace") as f:
            print(f.read()[-6000:])
        raise
    finally:
        for line in sorted(set(Site.asked)):
            say("asked for", line)
        Site.asked.clear()


BEGAN = time.monotonic()


def main():
    missing = [name for name in ("thunderbird", "Xvfb", "unshare", "ip")
               if shutil.which(name) is None]
    if missing or not harness.ROOT:
        print("skipped: needs root and", " ".join(missing) or "nothing else")
        return
    if INSIDE not in os.environ:
        separate()
    pictures = os.path.abspath(sys.argv[1]) if sys.argv[1:] else None
    with Stack() as stack:
        own_network_and_etc(stack, certificates().ca.cert)
        say(subprocess.check_output(["thunderbird", "--version"],
                                    text=True).strip())
        for encryption in PORTS:
            folder = pictures and os.path.join(
                pictures, encryption.replace("/", ""))
            if folder:
                os.makedirs(folder, exist_ok=True)
            with Stack() as inner:
                look_at(inner, encryption, folder)
    say("all is as it should be")


if __name__ == "__main__":
    main()
