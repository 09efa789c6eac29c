#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Run the tests: unit programs, end-to-end files and a short fuzzing, several
at a time.

    tests/run.py [-j N] [WORD ...]

A word picks the tests whose path has it in it.  What failed is printed in
full; the last line is "N passed, N failed".  RELAIS_BUILD names the folder of
the binaries (default: build)."""

import argparse
import collections
import concurrent.futures
import glob
import os
import re
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "e2e"))
import harness  # noqa: E402  the path comes first

LIMIT = 400 * harness.SLOW      # seconds for one program

# These load the machine or measure time across many processes: they run
# when the others are done, one after the other.
ALONE = ("test_imap_leak.py", "test_imap_crash.py", "test_pop3_leak.py",
         "test_smtp_loss.py", "test_smtp_memory.py", "test_memory.py",
         "test_reload_load.py", "test_siege_silent.py",
         "test_hostile_load.py")

# The slowest go first, so that none of them is what all wait for in the end.
FIRST = ("test_certificate_watch.py", "test_imap_authenticate_in.py",
         "test_memory_traces.py", "test_ledger.py", "test_build.py",
         "test_client_setup.py", "test_pop3_inner.py", "test_deadlines.py",
         "test_faults_inner.py",
         "test_hostile_load.py", "test_imap_names.py", "test_imap_limits.py")

AGAIN = 3       # files that failed are run again, if they are no more

Result = collections.namedtuple("Result",
                                "name passed failed skipped seconds output")


def number(pattern, text):
    """The sum of what the pattern's group finds."""
    return sum(int(n) for n in re.findall(pattern, text, re.M))


def count_cmocka(text):
    return (number(r"^\[  PASSED  \] (\d+) test", text),
            number(r"^\[  FAILED  \] (\d+) test", text),
            number(r"^\[  SKIPPED \] (\d+) test", text))


def count_unittest(text):
    ran = number(r"^Ran (\d+) tests? in", text)
    skipped = number(r"^(?:OK|FAILED) \(.*skipped=(\d+)", text)
    failed = (number(r"^FAILED \(.*failures=(\d+)", text) +
              number(r"^FAILED \(.*errors=(\d+)", text))
    return max(0, ran - failed - skipped), failed, skipped


def run(path):
    """One program; its tests counted by what it printed."""
    name = os.path.relpath(path, harness.TOP)
    python = path.endswith(".py")
    began = time.monotonic()
    p = subprocess.Popen([sys.executable, path] if python else [path],
                         cwd=harness.TOP, stdin=subprocess.DEVNULL,
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        output = p.communicate(timeout=LIMIT)[0]
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGTERM)   # it cleans up behind itself
        try:
            output = p.communicate(timeout=30)[0]
        except subprocess.TimeoutExpired:
            p.kill()
            output = p.communicate()[0]
        output += b"\nended: it took more than %d seconds\n" % LIMIT
    text = output.decode("utf-8", "replace")
    passed, failed, skipped = (count_unittest if python else
                               count_cmocka)(text)
    # whatever it printed, a bad end is a failure, and so is no test at all
    if p.returncode != 0 and failed == 0:
        failed = 1
        text += "\nended with status %d\n" % p.returncode
    if passed + failed + skipped == 0:
        failed = 1
        text += "\nno test was run\n"
    return Result(name, passed, failed, skipped, time.monotonic() - began,
                  text)


def show(result):
    print("%-6s %-36s %4d passed %6.1f s%s" % (
        "FAILED" if result.failed else "ok", result.name, result.passed,
        result.seconds, ", %d skipped" % result.skipped
        if result.skipped else ""), flush=True)
    if result.failed:
        print("-" * 72)
        print(result.output.rstrip())
        print("-" * 72, flush=True)


def again(results):
    """Times are measured, and the others have loaded the machine: what failed
    is run once more, alone, and said to have been.  Many that fail at once
    are not to be excused."""
    bad = [r for r in results if r.failed and "/unit/" not in r.name]
    if len(bad) > AGAIN:
        return
    for r in bad:
        results.remove(r)
        results.append(run(os.path.join(os.path.dirname(HERE), r.name)))
        show(results[-1])
        print("run again, alone: %s" % r.name)


def main():
    parser = argparse.ArgumentParser(description="Run the tests.")
    parser.add_argument("-j", type=int, default=4, metavar="N",
                        help="programs at a time (default: 4)")
    parser.add_argument("words", nargs="*", metavar="WORD")
    args = parser.parse_args()

    units = [p for p in sorted(glob.glob(harness.BUILD + "/unit/test_*"))
             if os.access(p, os.X_OK) and not p.endswith((".d", ".o"))]
    ends = sorted(glob.glob(os.path.join(HERE, "e2e", "test_*.py")) +
                  glob.glob(os.path.join(HERE, "fuzz", "test_*.py")))
    chosen = [p for p in units + ends
              if not args.words or any(w in p for w in args.words)]
    chosen.sort(key=lambda p: os.path.basename(p) not in FIRST)
    alone = [p for p in chosen if os.path.basename(p) in ALONE]
    if not chosen:
        sys.exit("no such test; is it built?  RELAIS_BUILD=%s"
                 % harness.BUILD)

    # Each file would make the daemon's users and remove them under another.
    made = harness.make_users()
    os.environ[harness.USERS_READY] = "1"
    results = []
    try:
        with concurrent.futures.ThreadPoolExecutor(args.j) as pool:
            for done in concurrent.futures.as_completed(
                    [pool.submit(run, p) for p in chosen if p not in alone]):
                results.append(done.result())
                show(results[-1])
        for path in alone:
            results.append(run(path))
            show(results[-1])
        again(results)
    finally:
        harness.remove_users(made)

    passed, failed, skipped = (sum(r[i] for r in results)
                               for i in (1, 2, 3))
    for r in results:
        for line in re.findall(r"^(.*skipped ['\"].*)$", r.output, re.M):
            print("skipped: %s: %s" % (r.name, line))
    if failed:
        print("failed: " + " ".join(r.name for r in results if r.failed))
    if skipped:
        print("%d skipped" % skipped)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
