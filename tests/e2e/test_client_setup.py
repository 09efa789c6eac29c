# SPDX-License-Identifier: ISC
"""client-setup: what mail programs, people and DNS are told follows from the
configuration, is what each of them reads, and nothing can be smuggled in."""

import html.parser
import os
import plistlib
import re
import shutil
import subprocess
import unittest
import uuid
import xml.etree.ElementTree as ElementTree

import harness
from case import TestCase, main
from certs import certificates
from client import Client, Pop3Client
from harness import folder
from inner import Pop3Script, Script, StandIn
from submission import SmtpClient, SmtpScript, sasl_lines

PROGRAM = os.path.join(harness.TOP, "conf", "client-setup")
OUTLOOK = "{http://schemas.microsoft.com/exchange/autodiscover/%s}"
RESPONSE = OUTLOOK % "responseschema/2006"
SETTINGS = OUTLOOK % "outlook/responseschema/2006a"
MOZILLA = ("web/mail/config-v1.1.xml",
           "web/.well-known/autoconfig/mail/config-v1.1.xml")
FILES = sorted(MOZILLA + ("dns.zone", "web/index.html",
                          "web/mail.mobileconfig",
                          "web/autodiscover/autodiscover.xml"))
HOST, DOMAIN = "gw.example.org", "example.org"
NASTY = """a "b" <c> & 'd' ]]> -- \\ %s $(e) `f` \u00e9\u20ac\U0001f4e7"""


def need(name):
    path = shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin")
    if path is None:
        raise unittest.SkipTest("%s is not installed" % name)
    return path


def run(argv, path=None, **kw):
    """Status, output and what it complained of."""
    env = dict(harness.ENVIRONMENT,
               PATH=path or harness.BUILD + ":" + os.environ["PATH"])
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=60 * harness.SLOW, **kw)
    return (done.returncode, done.stdout.decode("utf-8", "replace"),
            done.stderr.decode("utf-8", "replace"))


class Page(html.parser.HTMLParser):
    """What an HTML page has: elements, and the words in each language."""

    VOID = ("meta", "br", "link", "img", "wbr")

    def __init__(self, text):
        super().__init__()
        self.elements, self.words, self.stack = [], {}, []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.stack.append((tag, dict(attrs).get("lang")))

    def handle_endtag(self, tag):
        if self.stack.pop()[0] != tag:
            raise AssertionError("%s is not what is open" % tag)

    def handle_data(self, data):
        lang = next((l for _, l in reversed(self.stack) if l), None)
        self.words[lang] = self.words.get(lang, "") + data


class Case(TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = certificates().make(HOST)

    def setUp(self):
        self.folder = folder(self)
        self.output = os.path.join(self.folder, "out")

    def configure(self, kind, *lines, pair=None):
        """A daemon's configuration file."""
        pair = pair or self.pair
        path = os.path.join(self.folder, kind + ".conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write("\n".join(("outgoing_server 192.168.0.5",
                               "ssl_cert_file " + pair.cert,
                               "ssl_key_file " + pair.key, *lines)) + "\n")
        return path

    def argv(self, *args, imap=(), pop3=(), smtp=(), pair=None):
        """The call, with these lines in the three files; None: not in use."""
        argv = [PROGRAM, "--output", self.output, *args]
        for kind, lines in ("imap", imap), ("pop3", pop3), ("smtp", smtp):
            lines = ("enabled no",) if lines is None else lines
            argv += ["--" + kind, self.configure(kind, *lines, pair=pair)]
        return argv

    def make(self, *args, silent=True, path=None, **kw):
        """All files, by name; what was said is in self.said."""
        status, out, self.said = run(self.argv(*args, **kw), path)
        self.assertEqual((status, out), (0, ""), self.said)
        if silent:
            self.assertEqual(self.said, "")
        files = {}
        for where, _, names in os.walk(self.output):
            for name in names:
                full = os.path.join(where, name)
                self.assertEqual(os.stat(full).st_mode & 0o777, 0o644, full)
                with open(full, encoding="utf-8") as f:
                    files[os.path.relpath(full, self.output)] = f.read()
        return files

    def refused(self, *args, status=1, **kw):
        """What it says when it refuses, having written nothing."""
        shutil.rmtree(self.output, ignore_errors=True)
        got, out, said = run(self.argv(*args, **kw))
        self.assertEqual((got, out), (status, ""), said)
        self.assertFalse(os.path.exists(self.output))
        return said

    # what is in the files, as tuples that can be compared

    def mozilla(self, files):
        """(type, port, socket, user) of each server, in order."""
        root = ElementTree.fromstring(files[MOZILLA[0]])
        self.assertEqual(files[MOZILLA[0]], files[MOZILLA[1]])
        self.assertEqual((root.tag, root.attrib),
                         ("clientConfig", {"version": "1.1"}))
        provider, = root
        self.assertEqual(provider.tag, "emailProvider")
        self.assertEqual(provider.attrib, {"id": provider.find("domain").text})
        self.assertEqual([e.tag for e in provider[:3]],
                         ["domain", "displayName", "displayShortName"])
        servers = []
        for e in provider[3:]:
            self.assertEqual([c.tag for c in e], [
                "hostname", "port", "socketType", "username",
                "authentication"])
            kind = e.attrib["type"]
            self.assertEqual(e.tag, {
                "imap": "incomingServer", "pop3": "incomingServer",
                "smtp": "outgoingServer"}[kind])
            self.assertEqual(e.find("authentication").text,
                             "password-cleartext")
            servers.append((kind, int(e.find("port").text),
                            e.find("socketType").text,
                            e.find("username").text))
        return servers

    def outlook(self, files):
        """{type: its settings}."""
        root = ElementTree.fromstring(
            files["web/autodiscover/autodiscover.xml"])
        self.assertEqual(root.tag, RESPONSE + "Autodiscover")
        account = root.find(SETTINGS + "Response/" + SETTINGS + "Account")
        self.assertEqual(account.find(SETTINGS + "AccountType").text, "email")
        self.assertEqual(account.find(SETTINGS + "Action").text, "settings")
        return {p.find(SETTINGS + "Type").text: {
            e.tag.replace(SETTINGS, ""): e.text for e in p}
            for p in account.findall(SETTINGS + "Protocol")}

    @staticmethod
    def apple(files):
        return plistlib.loads(files["web/mail.mobileconfig"].encode())

    @staticmethod
    def srv(files):
        """{service: (priority, port, target)}."""
        return {m[1]: (int(m[2]), int(m[3]), m[4]) for m in re.finditer(
            r"(?m)^_([a-z0-9]+)\._tcp\.\S+ 3600 IN SRV (\d+) \d (\d+) (\S+)$",
            files["dns.zone"])}


class Files(Case):
    def test_all(self):
        files = self.make("--name", "Our mail", smtp=("hostname " + HOST,))
        self.assertEqual(sorted(files), FILES)
        a = "%EMAILADDRESS%"
        self.assertEqual(self.mozilla(files), [
            ("imap", 993, "SSL", a), ("imap", 143, "STARTTLS", a),
            ("pop3", 995, "SSL", a), ("pop3", 110, "STARTTLS", a),
            ("smtp", 465, "SSL", a), ("smtp", 587, "STARTTLS", a)])
        outlook = self.outlook(files)
        self.assertEqual(sorted(outlook), ["IMAP", "POP3", "SMTP"])
        for kind, port in ("IMAP", "993"), ("POP3", "995"), ("SMTP", "465"):
            p = outlook[kind]
            self.assertEqual((p["Server"], p["Port"], p["Encryption"],
                              p["SSL"], p["SPA"], p["AuthRequired"]),
                             (HOST, port, "SSL", "on", "off", "on"))
            self.assertEqual((p["DomainRequired"], p["DomainName"]),
                             ("on", DOMAIN))
        self.check_apple(self.apple(files))
        self.assertEqual(self.srv(files), {
            "imaps": (0, 993, HOST + "."), "imap": (10, 143, HOST + "."),
            "pop3s": (20, 995, HOST + "."), "pop3": (30, 110, HOST + "."),
            "submissions": (0, 465, HOST + "."),
            "submission": (10, 587, HOST + "."),
            "autodiscover": (0, 443, "autodiscover.%s." % DOMAIN)})
        self.assertNotRegex(files["dns.zone"], r"(?m)^[^;]*\bMX\b")

    def check_apple(self, profile):
        account, = profile.pop("PayloadContent")
        for payload, kind, name in (
                (profile, "Configuration", "mail."),
                (account, "com.apple.mail.managed", "account.mail.")):
            self.assertEqual(payload["PayloadType"], kind)
            self.assertEqual(payload["PayloadVersion"], 1)
            self.assertEqual(payload["PayloadDisplayName"], "Our mail")
            self.assertEqual(payload["PayloadUUID"], str(uuid.uuid5(
                uuid.NAMESPACE_DNS, name + DOMAIN)).upper())
        self.assertNotEqual(profile["PayloadIdentifier"],
                            account["PayloadIdentifier"])
        self.assertEqual(account["EmailAccountType"], "EmailTypeIMAP")
        for side, port in ("Incoming", 993), ("Outgoing", 465):
            prefix = side + "MailServer"
            self.assertEqual({k[len(prefix):]: v for k, v in account.items()
                              if k.startswith(prefix)}, {
                "Authentication": "EmailAuthPassword", "HostName": HOST,
                "PortNumber": port, "UseSSL": True})
        self.assertIs(account["OutgoingPasswordSameAsIncomingPassword"], True)

    def test_the_same_again(self):
        first = self.make()
        shutil.rmtree(self.output)
        self.assertEqual(self.make(), first)
        self.assertEqual(self.make(), first)    # over the old ones

    def test_ports(self):
        """The usual one where there are several, any other where not; what
        nobody can reach or has no TLS is not told."""
        files = self.make("--host", HOST, imap=(
            "listen *:9930 ssl", "listen [::]:993 ssl", "listen *:9931 ssl",
            "listen 127.0.0.1:143 starttls", "listen [::1]:144 starttls",
            "listen *:1143 plain"), pop3=("listen 192.0.2.1:1110 starttls",),
            smtp=("listen *:2465 ssl", "listen *:2587 starttls"))
        self.assertEqual([s[:3] for s in self.mozilla(files)], [
            ("imap", 993, "SSL"), ("pop3", 1110, "STARTTLS"),
            ("smtp", 2465, "SSL"), ("smtp", 2587, "STARTTLS")])
        self.assertEqual(self.outlook(files)["POP3"]["Encryption"], "TLS")
        srv = self.srv(files)
        self.assertEqual(srv["imap"], (0, 0, "."))
        self.assertEqual(srv["pop3s"], (0, 0, "."))
        self.assertEqual(srv["pop3"][1], 1110)

    def test_left_out(self):
        files = self.make("--host", HOST, imap=None)
        self.assertEqual([s[0] for s in self.mozilla(files)],
                         ["pop3"] * 2 + ["smtp"] * 2)
        account, = self.apple(files)["PayloadContent"]
        self.assertEqual(account["EmailAccountType"], "EmailTypePOP")
        self.assertEqual(self.srv(files)["imaps"], (0, 0, "."))
        self.assertNotIn("IMAP</th>", files["web/index.html"])

    def test_without_outgoing_mail(self):
        """Old files that would be wrong now are gone."""
        self.assertEqual(sorted(self.make("--host", HOST)), FILES)
        files = self.make("--host", HOST, smtp=None, silent=False)
        self.assertIn("no files for mail programs", self.said)
        self.assertEqual(sorted(files), ["dns.zone", "web/index.html"])
        srv = self.srv(files)
        self.assertEqual(srv["submissions"], (0, 0, "."))
        self.assertEqual(srv["submission"], (0, 0, "."))
        self.assertNotIn("autodiscover", srv)
        self.assertNotIn("mobileconfig", files["web/index.html"])

    def test_without_tls(self):
        self.assertIn("no daemon has a listener with TLS", self.refused(
            imap=("listen *:143 plain",), pop3=None, smtp=None))
        self.assertIn("no daemon is in service", self.refused(
            imap=None, pop3=None, smtp=None))
        self.make("--host", HOST, pop3=("listen *:110 plain",), silent=False)
        self.assertIn("pop3sd has no listener with TLS", self.said)


class Names(Case):
    def check(self, host, domain, *args, silent=True, **kw):
        files = self.make(*args, silent=silent, **kw)
        provider = ElementTree.fromstring(files[MOZILLA[0]])[0]
        self.assertEqual({e.text for e in provider.iter("hostname")}, {host})
        self.assertEqual(provider.find("domain").text, domain)
        self.assertEqual(provider.find("displayName").text, domain)
        return files

    def test_where_from(self):
        other = "hostname mx.example.net"
        self.check(HOST, DOMAIN)                    # the certificate
        self.check("mx.example.net", "example.net", smtp=(other,),
                   silent=False)
        self.assertIn("no certificate for mx.example.net", self.said)
        self.check("gw.example.com", DOMAIN, "--host", "GW.example.com",
                   smtp=(other, "sasl_local_domain Example.ORG"),
                   silent=False)
        self.check(HOST, "example.edu", imap=(
            "add_domain all", "explicit_domain example.edu"))
        self.check(HOST, "example.edu", "--domain=example.edu",
                   smtp=("sasl_local_domain " + DOMAIN,))

    def test_certificates(self):
        pair = certificates().make("*.example.net", "mail.example.net")
        self.check("mail.example.net", "example.net", pair=pair)
        self.check("imap.example.net", "example.net", "--host",
                   "imap.example.net", pair=pair)   # * covers it
        self.make("--host", "a.b.example.net", pair=pair, silent=False)
        self.assertIn("no certificate for a.b.example.net", self.said)
        pair = certificates().make("*.example.net")
        self.assertIn("no name for this gateway", self.refused(pair=pair))

    def test_login(self):
        a, l = "%EMAILADDRESS%", "%EMAILLOCALPART%"
        realm, strip = "sasl_local_domain " + DOMAIN, "strip_domain all"
        add = ("add_domain remote_login", "explicit_domain example.net")
        for imap, smtp, args, wanted in (
                ((), (), (), (a, a)),
                ((strip,), (realm,), (), (a, a)),
                (add, (realm,), ("--domain", DOMAIN), (l, a)),
                (add, (realm,), ("--domain", "example.net"), (a, l)),
                ((strip, *add), (), ("--domain", DOMAIN), (a, a)),
                (("authenticate_in", "sasl_local_domain x.example"), (),
                 ("--domain", DOMAIN), (l, a)),
                (("domain_delimiter %", *add), (), ("--domain",
                 "example.net"), (l, a)),
                ((), (), ("--login", "local"), (l, l)),
                (add, ("sasl_local_domain x.example",),
                 ("--login", "address", "--domain", DOMAIN), (a, a))):
            with self.subTest(imap=imap, smtp=smtp, args=args):
                files = self.make("--host", HOST, *args, imap=imap, smtp=smtp,
                                  pop3=None)
                users = [s[3] for s in self.mozilla(files)]
                self.assertEqual(users, [wanted[0]] * 2 + [wanted[1]] * 2)
                outlook = self.outlook(files)
                self.assertEqual(
                    [("DomainName" in outlook[k],
                      outlook[k]["DomainRequired"]) for k in ("IMAP", "SMTP")],
                    [(u == a, "on" if u == a else "off") for u in wanted])
                self.assertEqual(
                    files["web/index.html"].count("you@"), wanted.count(a))

    def test_escaped(self):
        files = self.make("--host", HOST, "--name", NASTY)
        provider = ElementTree.fromstring(files[MOZILLA[0]])[0]
        self.assertEqual(provider.find("displayName").text, NASTY)
        profile = self.apple(files)
        self.assertEqual(profile["PayloadDisplayName"], NASTY)
        self.assertEqual(profile["PayloadContent"][0][
            "EmailAccountDescription"], NASTY)
        page = Page(files["web/index.html"])
        self.assertEqual(page.words["en"].count(NASTY), 2)  # title, heading
        self.assertNotIn("c", [tag for tag, _ in page.elements])
        self.assertNotIn(NASTY, files["dns.zone"])

    def test_refused(self):
        for name in ("a\nb", "a\n", "a\tb", "\x1b[2J", "\x7f", "a\x80b",
                     "\x85", "\ufffe", "x" * 201, b"a\xffb", b"\xc3",
                     b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5\x80\x80\x80"):
            with self.subTest(name=name):
                self.assertIn("--name", self.refused("--host", HOST, "--name",
                                                     name))
        names = ("a b.org", "example.org\n", "a\n.org", '"a".org',
                 "a<b.org", "a&b.org", "a;b.org", "$(x).org", "ex_a.org",
                 "-a.org", "a-.org", "a..org", ".org", "org", "a.org.",
                 "192.0.2.1", "::1", "b\u00fccher.example",
                 "x" * 64 + ".org", "a." * 127 + "org")
        for option, some in (("--domain", names), ("--host", names[:4]),
                             ("--web", names[:4])):
            for bad in some:
                with self.subTest(option + " " + bad):
                    others = ("--host", HOST) if option != "--host" else ()
                    self.assertIn("not a ", self.refused(*others, option,
                                                         bad))
        self.assertIn("--login", self.refused("--login", "both"))


class Dns(Case):
    ZONE = """\
$ORIGIN example.org.
@ 3600 IN SOA ns.example.org. hostmaster.example.org. 1 2 3 4 5
@ 3600 IN NS ns
@ 3600 IN MX 10 mx.example.net.
ns 3600 IN A 192.0.2.53
gw 3600 IN A 192.0.2.1
www 3600 IN A 192.0.2.80
"""

    def load(self, lines, more=""):
        """The zone as a name server has it in the end."""
        path = os.path.join(self.folder, "zone")
        with open(path, "w") as f:
            f.write(self.ZONE + more + lines)
        status, out, said = run(
            [need("named-checkzone"), "-q", "-k", "fail", "-m", "fail", "-M",
             "fail", "-n", "fail", "-r", "fail", "-S", "fail", "-W", "warn",
             "-i", "local", "-D", "-o", "-", DOMAIN, path])
        self.assertEqual(status, 0, out + said)
        return {tuple(line.split(None, 4)[i] for i in (0, 3, 4))
                for line in out.splitlines()}

    def test_loaded(self):
        files = self.make("--host", HOST, pop3=None)
        zone = self.load(files["dns.zone"],
                         "autodiscover 3600 IN A 192.0.2.80\n")
        for record in (
                ("_imaps._tcp.example.org.", "SRV", "0 1 993 gw.example.org."),
                ("_imap._tcp.example.org.", "SRV", "10 1 143 gw.example.org."),
                ("_pop3s._tcp.example.org.", "SRV", "0 0 0 ."),
                ("_pop3._tcp.example.org.", "SRV", "0 0 0 ."),
                ("_submissions._tcp.example.org.", "SRV",
                 "0 1 465 gw.example.org."),
                ("_autodiscover._tcp.example.org.", "SRV",
                 "0 0 443 autodiscover.example.org."),
                ("example.org.", "MX", "10 mx.example.net.")):
            self.assertIn(record, zone)
        self.assertEqual(len([r for r in zone if r[1] == "MX"]), 1)

    def test_web(self):
        zone = self.load(self.make("--host", HOST, "--web",
                                   "www.example.org")["dns.zone"])
        for record in (
                ("autoconfig.example.org.", "CNAME", "www.example.org."),
                ("autodiscover.example.org.", "CNAME", "www.example.org."),
                ("_autodiscover._tcp.example.org.", "SRV",
                 "0 0 443 www.example.org.")):
            self.assertIn(record, zone)
        text = self.make("--host", HOST, "--web",
                         "autoconfig.example.org")["dns.zone"]
        self.assertNotRegex(text, r"(?m)^autoconfig\.")
        self.assertRegex(text, r"(?m)^autodiscover\.\S+ 3600 IN CNAME auto")

    def digest(self, pair):
        """GnuTLS's own idea of it."""
        out = run([need("danetool"), "--tlsa-rr", "--host", HOST,
                   "--load-certificate", pair.cert])[1]
        return re.search(r"\( 03 01 01 ([0-9a-f]{64}) \)", out).group(1)

    def tlsa(self, files):
        """The load of a zone breaks long digests apart."""
        return {(name, value.replace(" ", "").lower())
                for name, kind, value in self.load(
                    files["dns.zone"], "autodiscover 3600 IN A 192.0.2.80\n")
                if kind == "TLSA"}

    def test_tlsa(self):
        rsa = certificates().make(HOST, kind="rsa")
        files = self.make("--host", HOST, smtp=(
            "ssl_pair %s %s" % rsa,), pop3=None)
        ours, second = (self.digest(p) for p in (self.pair, rsa))
        self.assertEqual(self.tlsa(files), {
            ("_%d._tcp.gw.example.org." % port, "311" + digest)
            for port, digests in ((993, [ours]), (143, [ours]),
                                  (465, [ours, second]),
                                  (587, [ours, second]))
            for digest in digests})

    def test_without_openssl(self):
        need("certtool")
        path = os.path.join(self.folder, "bin")
        os.mkdir(path)
        for name in ("sh awk sed grep tr mktemp rm cat cp mv mkdir dirname "
                     "sort readlink sha1sum sha256sum certtool").split():
            os.symlink(need(name), os.path.join(path, name))
        wanted = self.make()        # the host's name is in the certificate
        shutil.rmtree(self.output)
        self.assertEqual(self.make(path=harness.BUILD + ":" + path), wanted)
        self.assertEqual(len(self.tlsa(wanted)), 6)

    def test_unreadable(self):
        missing = type(self.pair)("/nonexistent/cert", "/nonexistent/key")
        files = self.make("--host", HOST, pair=missing, silent=False)
        self.assertIn("no TLSA of /nonexistent/cert", self.said)
        self.assertNotIn("TLSA 3", files["dns.zone"])
        self.assertEqual(self.srv(files)["imaps"][1], 993)

    def test_host_elsewhere(self):
        """Its keys belong in another zone."""
        files = self.make("--host", "gw.example.net", "--domain", DOMAIN,
                          silent=False)
        self.assertRegex(files["dns.zone"],
                         r"(?m)^; _993\._tcp\.gw\.example\.net\. .* TLSA ")
        self.assertEqual(self.tlsa(files), set())


class People(Case):
    def page(self, *args, **kw):
        text = self.make("--host", HOST, *args, **kw)["web/index.html"]
        return text, Page(text)

    def test_valid(self):
        for kw in {}, {"smtp": None, "silent": False}, {
                "imap": None, "pop3": ("listen *:110 starttls",)}:
            with self.subTest(kw):
                self.page("--name", NASTY, **kw)
                status, out, said = run(
                    [need("tidy"), "-e", "-q", "-utf8",
                     self.output + "/web/index.html"])
                self.assertEqual((status, out + said), (0, ""))

    def test_stands_alone(self):
        text, page = self.page()
        tags = {tag for tag, _ in page.elements}
        self.assertFalse(tags & {"script", "link", "img", "iframe", "object",
                                 "embed", "form", "base"})
        for _, attrs in page.elements:
            self.assertFalse([a for a in attrs if a.startswith("on") or
                              a in ("src", "srcset", "style")])
        self.assertEqual({a["href"] for _, a in page.elements if "href" in a},
                         {"#en", "#fr", "mail.mobileconfig"})
        self.assertNotRegex(text, r"https?:|url\(|@import")

    def test_both_languages(self):
        _, page = self.page()
        for lang, words in (
                ("en", ("Incoming mail", "Outgoing mail", "User name")),
                ("fr", ("Courrier entrant", "Courrier sortant",
                        "Nom d\u2019utilisateur"))):
            for word in (*words, HOST, "993", "995", "465", "SSL/TLS",
                         "IMAP 143, POP3 110, SMTP 587", "@" + DOMAIN,
                         "Thunderbird", "iPhone", "Android"):
                self.assertIn(word, page.words[lang])

    def test_accessible(self):
        _, page = self.page()
        named = [tag for tag, _ in page.elements]
        self.assertEqual(page.elements[0], ("html", {"lang": "en"}))
        self.assertEqual(named.count("table"), named.count("caption"))
        self.assertEqual(named.count("h1"), 1)
        self.assertIn("main", named)
        self.assertTrue(all(a.get("scope") in ("col", "row")
                            for t, a in page.elements if t == "th"))
        ids = {a["id"] for _, a in page.elements if "id" in a}
        self.assertEqual(ids, {"en", "fr"})


class Used(Case):
    """A mail program that follows the files gets in."""

    def gateway(self, daemon, script, *lines):
        ssl, starttls = harness.free_port(), harness.free_port()
        inner = StandIn(self, script)
        return harness.Relais(self, "\n".join((
            "listen *:%d ssl" % ssl, "listen *:%d starttls" % starttls,
            "outgoing_server 127.0.0.1:%d" % inner.port,
            "ssl_cert_file " + self.pair.cert,
            "ssl_key_file " + self.pair.key, *lines)) + "\n",
            workers=1, ports=(ssl, starttls), daemon=daemon)

    def log_in(self, kind, port, socket, user):
        """What the server said to the login."""
        client = {"imap": Client, "pop3": Pop3Client,
                  "smtp": SmtpClient}[kind]
        with client(port, socket == "SSL", name=HOST) as c:
            c.greet()
            if kind == "smtp":
                c.ehlo()
            if socket == "STARTTLS":
                self.starttls(c, kind)
            reply = c.login(user, "secret")
            return reply if kind == "pop3" else reply[0]

    @staticmethod
    def starttls(c, kind):
        if kind == "smtp":
            c.cmd("STARTTLS")
        else:
            c.cmd("STARTTLS" if kind == "imap" else "STLS")
        c.start_tls(name=HOST)
        if kind == "smtp":
            c.ehlo()

    def test_logins(self):
        users = {"alice": "secret"}
        argv = [PROGRAM, "--output", self.output, "--domain", DOMAIN,
                "--host", HOST]
        for kind, daemon, script, lines in (
                ("imap", harness.IMAPSD, Script(users=users),
                 ("strip_domain all",)),
                ("pop3", harness.POP3SD,
                 Pop3Script(users={"alice@x.example": "secret"}),
                 ("add_domain all", "explicit_domain x.example")),
                ("smtp", harness.SMTPSD, SmtpScript(), sasl_lines(self))):
            relais = self.gateway(daemon, script, *lines)
            argv += ["--" + kind, relais.conf]
        status, out, said = run(argv)
        self.assertEqual((status, out + said), (0, ""))
        with open(os.path.join(self.output, MOZILLA[0])) as f:
            root = ElementTree.parse(f).getroot()
        servers = root[0].findall("incomingServer") + \
            root[0].findall("outgoingServer")
        self.assertEqual(len(servers), 6)
        for e in servers:
            user = e.find("username").text.replace(
                "%EMAILADDRESS%", "alice@" + DOMAIN).replace(
                "%EMAILLOCALPART%", "alice")
            kind, socket = e.attrib["type"], e.find("socketType").text
            with self.subTest(kind + " " + socket):
                said = self.log_in(kind, int(e.find("port").text), socket,
                                   user)
                self.assertRegex(str(said), {
                    "imap": "OK", "pop3": r"^\+OK", "smtp": "235"}[kind])


class Call(Case):
    def test_help(self):
        status, out, said = run([PROGRAM, "--help"])
        self.assertEqual((status, said), (0, ""))
        with open(PROGRAM, encoding="utf-8") as f:
            options = re.findall(r"(?m)^\t(--[a-z0-9]+)\) [a-z0-9]+=\$2",
                                 f.read())
        self.assertEqual(len(options), 9)
        for option in options:
            self.assertIn(option, out)

    def test_wrong(self):
        for argv in ([], ["--nonsense=1"], ["--nonsense", "1"], ["word"],
                     ["--output"], ["--output", "x", "--name"], ["-f"]):
            with self.subTest(argv):
                status, out, said = run([PROGRAM, *argv], cwd=self.folder)
                self.assertEqual((status, out), (2, ""), said)
                self.assertTrue(said)
        self.assertEqual(os.listdir(self.folder), [])

    def test_faulty_configuration(self):
        self.assertRegex(self.refused(imap=("nonsense 1",)),
                         r"imap\.conf:4: (?s:.*)imapsd does not take ")
        argv = self.argv()
        argv[argv.index("--smtp") + 1] = self.folder + "/none"
        status, out, said = run(argv)
        self.assertEqual((status, out), (1, ""))
        self.assertIn("smtpsd does not take", said)

    def test_leaves_nothing_behind(self):
        tmp = os.path.join(self.folder, "tmp")
        os.mkdir(tmp)
        for args in ("--host", HOST), ("--host", "x"):
            run(["env", "TMPDIR=" + tmp, *self.argv(*args)])
            self.assertEqual(os.listdir(tmp), [])

    def test_shellcheck(self):
        status, out, said = run([need("shellcheck"), "-x", PROGRAM,
                                 PROGRAM + ".files"], cwd=harness.TOP)
        self.assertEqual((status, out + said), (0, ""))


if __name__ == "__main__":
    main()
