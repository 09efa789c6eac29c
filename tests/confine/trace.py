#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the system call filters allow, and what of it is ever used.

    tests/confine/trace.py [-j N] [-k FOLDER] [WORD ...]

Runs end-to-end tests (those that the words pick, as in tests/run.py; default:
a day's work) with each daemon under strace(1), and prints for each row of the
tables in common/sandbox_rules.c how often each role came to it.  Then what
was tried and met no row, which is ENOSYS.  A row that nobody comes to is to
go, or has a comment that says what it is there for.

It is slow, and tests that measure time may fail.  -k keeps what strace wrote.
As root; needs strace."""

import argparse
import collections
import glob
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.join(TOP, "build")

# TLS of all versions, all modes of listening, logins here and at inner
# servers, reloads, names, PROXY headers, TLS to inner servers, one client for
# each worker, limits, what is told of all that, and what goes wrong with each.
DAY = """test_imap_login test_imap_dialogue test_imap_tls test_imap_inner
    test_imap_names test_imap_nursery test_imap_processes test_imap_single
    test_imap_limits test_imap_refusal test_imap_authenticate_in
    test_imap_crash test_proxy_protocol test_pop3_login test_pop3_relay
    test_pop3_inner test_smtp_dialogue test_smtp_mail test_smtp_data
    test_smtp_peername test_smtp_rules test_smtp_received test_reload.py
    test_launch test_late test_control test_metrics
    test_certificate_told""".split()

ROLES = ("keeper", "broker", "worker", "authenticator", "nursery", "metrics",
         "control")
NUMBERS = {str(n): role for n, role in enumerate(ROLES, 1)}     # enum role
PR_SET_SECCOMP = 22

Row = collections.namedtuple("Row", "what roles network call conditions")

# SCMP_CMP_NE and the others of seccomp.h, in their order
COMPARE = {1: lambda v, a, b: v != a, 2: lambda v, a, b: v < a,
           3: lambda v, a, b: v <= a, 4: lambda v, a, b: v == a,
           5: lambda v, a, b: v >= a, 6: lambda v, a, b: v > a,
           7: lambda v, a, b: v & a == b}


def build_rules(path):
    """The tables, as the compiler has them."""
    packages = ("gnutls libevent_core libseccomp libcares libbsd-overlay "
                "libsasl2").split()
    flags = [subprocess.check_output(["pkg-config", w, *packages],
                                     text=True).split()
             for w in ("--cflags", "--libs")]
    subprocess.run(["cc", "-std=c17", "-D_GNU_SOURCE",
                    "-I" + os.path.join(TOP, "common"), *flags[0], "-o", path,
                    os.path.join(HERE, "rules.c"),
                    os.path.join(BUILD, "libcommon.a"), *flags[1]],
                   check=True)
    rows = []
    for line in subprocess.check_output([path], text=True).splitlines():
        what, roles, network, call, *conditions = line.split()
        rows.append(Row(
            what, {NUMBERS[str(n)] for n in range(1, 1 + len(ROLES))
                   if int(roles, 16) >> n & 1}, int(network, 16), call,
            [tuple(int(v, 16) for v in c.split(":")) for c in conditions]))
    return rows


def wrap(folder, out):
    """Programs of the daemons' names that start them under strace."""
    for name in ("imapsd", "pop3sd", "smtpsd"):
        path = os.path.join(folder, name)
        with open(path, "w") as f:
            f.write("#!/bin/sh\nexec strace -DD -ff -qq -e signal=none "
                    "-e raw='!execve' -o %s/$$ %s \"$@\"\n" % (
                        out, os.path.join(BUILD, name)))
        os.chmod(path, stat.S_IRWXU | stat.S_IXGRP | stat.S_IRGRP |
                 stat.S_IXOTH | stat.S_IROTH)


CALL = re.compile(r"^(\w+)\((.*?)\) += ")
RULE = re.compile(r'^execve\(.*\["\w+", "--role", "(\d+)"')


def calls_of(path):
    """(role, call, arguments) of a process, once it is confined."""
    with open(path, errors="replace") as f:
        lines = f.readlines()
    # Until it executes a program a process is its parent's.  One that never
    # does was forked by a nursery, and confined as that is; or it is the
    # master that goes into the background.
    executes = any(line.startswith("execve(") for line in lines)
    if not executes and any(line.startswith("setsid(") for line in lines):
        return
    role, confined = (None, False) if executes else ("nursery", True)
    for line in lines:
        m = CALL.match(line)
        if m is None:
            continue
        name, args = m.groups()
        if name == "execve":
            m = RULE.match(line)
            role = NUMBERS[m.group(1)] if m else "master"
            continue
        args = [int(a, 0) if re.fullmatch(r"0x[0-9a-f]+|\d+", a) else 0
                for a in args.split(", ")]
        if confined or role == "master":
            yield role, name, args
        if name == "prctl" and args[:1] == [PR_SET_SECCOMP]:
            role = "worker" if confined else role
            confined = True


def holds(row, args):
    return all(n < len(args) and COMPARE[op](args[n], a, b)
               for n, op, a, b in row.conditions)


def count(rows, out):
    """How often each role came to each row, and to none."""
    by_call = collections.defaultdict(list)
    for i, row in enumerate(rows):
        by_call[row.call].append((i, row))
    hits, missed = collections.Counter(), collections.Counter()
    for path in glob.glob(os.path.join(out, "*")):
        for role, name, args in calls_of(path):
            found = [i for i, row in by_call[name]
                     if role in row.roles and holds(row, args)]
            if role == "master" or not found:
                missed[role, name] += 1
            for i in found:
                hits[role, i] += 1
    return hits, missed


def show(rows, hits, missed):
    print("%-8s %-44s %s" % ("", "", " ".join("%9.9s" % r for r in ROLES)))
    for i, row in enumerate(rows):
        seen = [hits[r, i] if r in row.roles else None for r in ROLES]
        if row.what != "allowed" and not any(seen):
            continue
        name = row.call + "".join(
            " %d%s%x%s" % (n, {1: "!", 2: "<", 4: "=", 6: ">", 7: "&"}[op],
                           a, "=%x" % b if op == 7 else "")
            for n, op, a, b in row.conditions)
        name += {0: "", 1: " (sasl_network)", 2: " (no sasl_network)"}.get(
            row.network if not row.roles else 0, "")
        print("%-8s %-44s %s" % (row.what, name, " ".join(
            "%9s" % ("" if s is None else s) for s in seen)))
    for role in ROLES + ("master",):
        print("%s %s: %s" % (
            role, "uses" if role == "master" else "tried, met no row",
            " ".join("%s*%d" % (name, n) for (r, name), n in sorted(
                missed.items()) if r == role) or "nothing"))
    for role in ROLES:
        mine = [i for i, row in enumerate(rows)
                if row.what == "allowed" and role in row.roles]
        print("%-13s %3d rows allowed, %3d used" % (
            role, len(mine), sum(1 for i in mine if hits[role, i])))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("-j", default="2")
    parser.add_argument("-k", metavar="FOLDER")
    parser.add_argument("words", nargs="*", metavar="WORD")
    args = parser.parse_args()
    if shutil.which("strace") is None:
        return "strace is not installed"
    folder = tempfile.mkdtemp(prefix="relais-trace-")
    os.chmod(folder, 0o755)
    out = args.k or os.path.join(folder, "out")
    os.makedirs(out, exist_ok=True)
    os.chmod(out, 0o777)        # some daemons are not started by root
    try:
        rows = build_rules(os.path.join(folder, "rules"))
        if not os.listdir(out):
            wrap(folder, out)
            subprocess.run([os.path.join(TOP, "tests", "run.py"), "-j", args.j,
                            *(args.words or DAY)], check=False,
                           env=dict(os.environ, RELAIS_BUILD=folder))
        show(rows, *count(rows, out))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
