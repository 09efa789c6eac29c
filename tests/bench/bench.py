#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""make bench: what Relais costs, beside others that are installed.

    make bench [ROUNDS=3] [CASES='imap-*'] [SUBJECTS=relais,haproxy]
               [OUT=figures.jsonl] [GROWTH=1]

The figure is processor time of all of a subject's processes for each unit of
work, or its memory for each session, so that what else the machine does
matters little.  A server in clear stands behind each, and compares what it
gets with what was sent.  Nothing is installed, nothing leaves the loopback
interface.  GNU make is not needed: the variables may stand in the
environment."""

import collections
import contextlib
import json
import os
import re
import resource
import subprocess
import sys
import time

import bed
import cases
import report

harness = bed.harness


class Stack(contextlib.ExitStack):
    """Undoes in reverse order, under the name that a test has for it."""
    addCleanup = contextlib.ExitStack.callback


def adapt(subject, name, case):
    """The load, smaller where the subject could not bear it."""
    load = case.load
    for letter, value in subject.spec.get("limits", {}).get(name, {}).items():
        load = re.sub(r"-%s \S+" % letter, "-%s %s" % (letter, value), load)
    return load


def held(subject, case, memory):
    """What there is to be seen while sessions are held."""
    time.sleep(1)
    subject.group.settle()
    found = {"memory": subject.group.memory() - memory}
    if case.beside:
        before = sum(subject.group.cpu())
        beside = subject.load(case.service, case.beside)
        subject.group.settle()
        found["beside_us"] = ((sum(subject.group.cpu()) - before) * 1e6 /
                              max(1, beside["ok"]))
    return found


def faults(case, out):
    """What makes the figure worthless."""
    if out["failed"]:
        yield "%d sessions failed: %s" % (out["failed"], out["error"])
    if out["lost"] and isinstance(case, cases.Held):
        yield "%d held sessions were lost" % out["lost"]
    if out["bad"] or out["sink"]["bad"]:
        yield "octets changed on the way"
    if "-m send" in case.load and (out["sink"]["messages"] != out["messages"]
                                   or out["sink"]["bytes"] != out["bytes"]):
        yield "%d of %d messages arrived, %d of %d octets" % (
            out["sink"]["messages"], out["messages"],
            out["sink"]["bytes"], out["bytes"])


def arrive(place, before, out):
    """A subject with a queue has not passed all of it on yet."""
    end = time.monotonic() + 60
    while (place.stats()["messages"] - before["messages"] < out["messages"]
           and time.monotonic() < end):
        time.sleep(0.05)


def measure(place, subject_name, name, case):
    """One case on one subject; all that was seen."""
    with bed.Subject(place, subject_name, case) as subject:
        group = subject.group
        load = adapt(subject, name, case)
        subject.load(case.service, "-m login -n 20 -c 4 -o 5")
        group.settle()
        before, cpu = place.stats(), group.cpu()
        if isinstance(case, cases.Held):
            memory = group.memory()
            out = subject.hold(case.service, load,
                               lambda: held(subject, case, memory))
        else:
            out = subject.load(case.service, load)
        if "-m send" in load:
            arrive(place, before, out)
        group.settle()
        after, now = place.stats(), group.cpu()
    out.update(user=now[0] - cpu[0], system=now[1] - cpu[1],
               sink={k: after[k] - before[k] for k in after})
    out["cpu"] = out["user"] + out["system"]
    out.update(case=name, subject=subject_name, value=case.value(out),
               faults=list(faults(case, out)))
    return out


def suits(name, case):
    """Whether the subject can be measured in this case at all."""
    spec = bed.describe(name)
    return (case.service in spec["services"] and
            (case.only is None or name in case.only) and
            not (spec.get("plain") and (case.key == "rsa" or "-V" in case.load
                                        or "-z tls" in case.load)))


def choose_subjects(words):
    """Those that were asked for and are installed."""
    known = bed.subjects()
    wanted = words.replace(",", " ").split() or known
    for name in wanted:
        if name not in known:
            raise SystemExit("no such subject; there are: " + " ".join(known))
    for name in wanted:
        need = bed.missing(name)
        if need:
            print("skipped: %s needs %s" % (name, need))
    return [n for n in wanted if not bed.missing(n)]


def rounds(place, count, chosen, subjects, out):
    """All figures, by case and subject."""
    found = collections.defaultdict(list)
    for number in range(count):
        for name, case in chosen.items():
            for subject in subjects:
                if not suits(subject, case):
                    continue
                try:
                    one = measure(place, subject, name, case)
                except (AssertionError, OSError, ValueError,
                        subprocess.SubprocessError) as e:
                    report.failed(name, subject, e)
                    found[name, subject].append({"value": None})
                    continue
                one["round"] = number
                report.progress(case, one)
                found[name, subject].append(one)
                if out:
                    out.write(json.dumps(one) + "\n")
                    out.flush()
    return found


def main():
    environ = os.environ.get
    growth = bool(environ("GROWTH"))
    chosen = cases.choose(cases.GROWTH if growth else cases.CASES,
                          environ("CASES") or "")
    subjects = choose_subjects(environ("SUBJECTS") or "")
    count = int(environ("ROUNDS") or 3)
    if "relais" in subjects:
        harness.need_users()
    # HAProxy holds 9,000 sessions in one process, with two descriptors each
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    with Stack() as stack:
        place = bed.Bed(stack)
        out = environ("OUT") and stack.enter_context(open(environ("OUT"),
                                                          "a"))
        report.machine(place, {s: bed.version(s) for s in subjects})
        found = rounds(place, count, chosen, subjects, out)
    (report.growth if growth else report.table)(chosen, subjects, found)
    report.details(chosen, found)
    good = found and not any(o["value"] is None or o["faults"]
                             for some in found.values() for o in some)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
