# SPDX-License-Identifier: ISC
"""What the tests of metrics share: a scrape as a dictionary, promtool, a real
Prometheus."""

import http.client
import json
import os
import re
import socket
import subprocess
import urllib.parse
import urllib.request

import harness

SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
OPEN = "application/openmetrics-text"


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=10)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def get(where, path="/metrics", method="GET", **headers):
    """The answer to a request: status, headers, body.  where is a port or
    the path of a UNIX socket."""
    if isinstance(where, int):
        c = http.client.HTTPConnection("127.0.0.1", where, timeout=10)
    else:
        c = UnixConnection(where)
    try:
        c.request(method, path, headers=headers)
        r = c.getresponse()
        return r.status, r.headers, r.read().decode()
    finally:
        c.close()


class Scrape:
    """What one scrape has told."""

    def __init__(self, where):
        status, _, self.text = get(where)
        assert status == 200, status
        self.samples = {}
        for line in self.text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = SAMPLE.match(line).groups()
            key = (name, frozenset(
                i for i in LABEL.findall(labels or "") if i[0] != "daemon"))
            assert key not in self.samples, line
            self.samples[key] = float(value)

    def value(self, name, **labels):
        """The sum of all samples of this name that have these labels."""
        wanted = set(labels.items())
        found = [v for (n, have), v in self.samples.items()
                 if n == name and wanted <= have]
        if not found:
            raise AssertionError("no %s %s" % (name, labels))
        return sum(found)


def promtool(*args, stdin=""):
    """Exit status and all that it says."""
    done = subprocess.run(["promtool", *args], input=stdin, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=60)
    return done.returncode, done.stdout


class Prometheus:
    """A real one, that scrapes these ports each second."""

    def __init__(self, case, ports, rules=None):
        self.port = harness.free_port()
        self.folder = harness.folder(case)
        conf = os.path.join(self.folder, "prometheus.yml")
        with open(conf, "w") as f:
            f.write("global:\n  scrape_interval: 1s\n"
                    "  evaluation_interval: 1s\n")
            if rules:
                f.write("rule_files: ['%s']\n" % rules)
            f.write("scrape_configs:\n- job_name: relais\n"
                    "  static_configs:\n  - targets: [%s]\n" % ", ".join(
                        "'127.0.0.1:%d'" % p for p in ports))
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "wb") as log:
            self.process = harness.start(
                ["prometheus", "--config.file=" + conf,
                 "--storage.tsdb.path=" + os.path.join(self.folder, "data"),
                 "--web.listen-address=127.0.0.1:%d" % self.port],
                stdout=log, stderr=log)
        harness.cleanup_of(case)(harness.end, self.process)
        harness.wait_for(lambda: harness.accepts(self.port), 30,
                         "Prometheus to listen")

    def ask(self, path, **params):
        url = "http://127.0.0.1:%d/api/v1/%s?%s" % (
            self.port, path, urllib.parse.urlencode(params))
        with urllib.request.urlopen(url, timeout=20) as r:
            answer = json.load(r)
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression):
        """The series that an expression gives now."""
        return self.ask("query", query=expression)["result"]
