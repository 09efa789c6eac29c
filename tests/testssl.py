#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""testssl.sh against the ports of the three daemons, in the configuration
that they have when nothing of TLS is configured: what it finds that is worse
than LOW, and the grade that it gives.

    tests/testssl.py [NAME...]

For the hand: make check does without, since a port takes minutes.  A NAME is
imaps, imap, pop3s, pop3, submissions or submission; without one, all are
tried, two at a time.  TESTSSL in the environment names the program; grades
come with its version 3.2, and one of its questions needs socat.  KEEP names a
folder for all that it says.  Ends with status 1 where a port is not what the
tables below ask for."""

import concurrent.futures
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "e2e"))
import harness  # noqa: E402  the path comes first
from certs import NAME, certificates  # noqa: E402
from inner import Pop3Script, Script, StandIn  # noqa: E402
from submission import SmtpScript, sasl_lines  # noqa: E402

# Port: daemon, protocol of STARTTLS.
PORTS = {"imaps": ("imapsd", None), "imap": ("imapsd", "imap"),
         "pop3s": ("pop3sd", None), "pop3": ("pop3sd", "pop3"),
         "submissions": ("smtpsd", None), "submission": ("smtpsd", "smtp")}
INNER = {"imapsd": Script, "pop3sd": Pop3Script, "smtpsd": SmtpScript}
GOOD = ("OK", "INFO", "LOW", "DEBUG")
GRADES = ("A+", "A")
# testssl.sh could not find out, which it says for instance of tickets of
# TLS 1.3: its client leaves before they come.
UNKNOWN = "WARN"
# It gives this grade to STARTTLS, whatever the server; a port where that is
# the only reason has done what it can.
STARTTLS_GRADE, STARTTLS_REASON = "T", "Grade capped to T. STARTTLS is prone"
LIMIT = 1800        # seconds for a port

# What is refused or avoided, as testssl.sh calls it, and what it then says.
REFUSED = {
    "SSLv2": "not offered", "SSLv3": "not offered", "TLS1": "not offered",
    "TLS1_1": "not offered", "TLS1_2": "offered", "TLS1_3": "offered",
    "secure_client_renego": "not vulnerable", "CRIME_TLS": "not vulnerable",
    "ROBOT": "not vulnerable", "LUCKY13": "not vulnerable",
    "LOGJAM": "not vulnerable", "FS": "offered",
}
AVOIDED = ("TLS_RSA_", "TLS_DHE_", "_CBC_")

# What a real authority writes into a certificate.
AUTHORITY = """\
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
authorityInfoAccess=OCSP;URI:http://ocsp.example.test/
crlDistributionPoints=URI:http://crl.example.test/ca.crl
"""


class Stack(contextlib.ExitStack):
    """Undoes in reverse order, under the name that a test has for it."""
    addCleanup = contextlib.ExitStack.callback


def start(stack, daemon, pair):
    """A daemon whose listeners are as their defaults are."""
    users = (("username nobody", "daemon_username nobody")
             if harness.ROOT else ())
    more = sasl_lines(stack) if daemon == "smtpsd" else ()
    return harness.Gateway(stack, StandIn(stack, INNER[daemon]()).port,
                           *users, *more, pair=pair,
                           daemon=os.path.join(harness.BUILD, daemon))


RUNNING = []


def end_all(pool):
    """Also when we are interrupted, with ports that are still to be tried."""
    pool.shutdown(wait=False, cancel_futures=True)
    for process in RUNNING:
        harness.end(process)


def examine(program, gateway, name, folder):
    """All that testssl.sh has to say of a port."""
    starttls = PORTS[name][1]
    port = gateway.starttls if starttls else gateway.ssl
    path = os.path.join(folder, name + ".json")
    argv = [program, "--quiet", "--color", "0", "--warnings", "off",
            "--ip", "127.0.0.1", "--add-ca", certificates().ca.cert,
            "--jsonfile", path]
    if starttls:
        argv += ["--starttls", starttls]
    began = time.monotonic()
    with open(os.path.join(folder, name + ".txt"), "wb") as out:
        process = harness.start([*argv, "%s:%d" % (NAME, port)], stdout=out,
                                stderr=out)
        RUNNING.append(process)
        try:
            process.wait(LIMIT)
        finally:
            harness.end(process)
    with open(path) as f:
        return json.load(f), time.monotonic() - began


def graded(said):
    """Is the grade a good one?"""
    grade = said.get("overall_grade")
    reasons = [text for name, text in said.items()
               if name.startswith("grade_cap_reason")]
    return grade in GRADES + (None,) or (
        grade == STARTTLS_GRADE and len(reasons) == 1 and
        reasons[0].startswith(STARTTLS_REASON))


def complaints(findings):
    """What should not be; and all findings by name."""
    found = []
    said = {one["id"]: one["finding"] for one in findings}
    for one in findings:
        if one["id"] == "overall_grade":
            continue
        if one["severity"] not in GOOD + (UNKNOWN,):
            found.append("%(severity)s %(id)s: %(finding)s" % one)
        if one["id"].startswith("cipher-tls") or one["id"].startswith(
                "cipher-TLS"):
            cipher = one["finding"].split()[-1]
            if any(word in cipher for word in AVOIDED):
                found.append("offered: " + cipher)
    for name, expected in REFUSED.items():
        if not said.get(name, "").startswith(expected):
            found.append("%s: %s" % (name, said.get(name, "nothing said")))
    for version in "cipherorder_TLSv1_2", "cipherorder_TLSv1_3":
        if "CHACHA20" in said.get(version, "CHACHA20").split()[0]:
            found.append("%s: %s" % (version, said.get(version)))
    if said.get("cipher_order") != "server":
        found.append("cipher_order: %s" % said.get("cipher_order"))
    if not graded(said):
        found.append("grade " + said["overall_grade"])
    return found, said


def main():
    program = shutil.which(os.environ.get("TESTSSL", "testssl")) or \
        shutil.which("testssl.sh")
    if program is None:
        print("skipped: needs testssl.sh")
        return
    names = sys.argv[1:] or list(PORTS)
    os.environ[harness.USERS_READY] = "1"   # nobody takes their part
    bad = 0
    with Stack() as stack:
        folder = harness.folder(stack)
        pair = certificates().make(days=(-1, 90), more=AUTHORITY)
        gateways = {daemon: start(stack, daemon, pair)
                    for daemon in sorted({PORTS[name][0] for name in names})}
        pool = concurrent.futures.ThreadPoolExecutor(2)
        stack.callback(end_all, pool)
        tasks = {name: pool.submit(examine, program,
                                   gateways[PORTS[name][0]], name, folder)
                 for name in names}
        for name, task in tasks.items():
            findings, seconds = task.result()
            found, said = complaints(findings)
            bad += len(found)
            print("%-12s %3d findings, %3.0f s, grade %s, %s"
                  % (name, len(findings), seconds,
                     said.get("overall_grade", "not given"),
                     "%d bad" % len(found) if found else "good"), flush=True)
            for line in found:
                print("    " + line, flush=True)
            for one in findings:
                if one["severity"] in ("LOW", UNKNOWN):
                    print("    (%(severity)s %(id)s: %(finding)s)" % one,
                          flush=True)
            if os.environ.get("KEEP"):
                for end in ".json", ".txt":
                    shutil.copy(os.path.join(folder, name + end),
                                os.environ["KEEP"])
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
