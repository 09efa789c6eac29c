# SPDX-License-Identifier: ISC
"""What the bench prints: Markdown tables of medians, ratios, and the spread."""

import os
import re
import statistics


def say(line=""):
    print(line, flush=True)


def failed(name, subject, error):
    say("%-18s %-14s FAILED: %s" % (name, subject, error))


def number(case, value):
    return "%.*f" % (case.digits, value)


def machine(place, versions):
    """Whose figures these are."""
    with open("/proc/cpuinfo") as f:
        model = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    say("machine: Linux %s, %s, %d processors" % (
        os.uname().release, model[1] if model else os.uname().machine,
        os.cpu_count()))
    for name, version in versions.items():
        say("%s: %s" % (name, version))
    if not place.own_log:
        say("no mount namespace for it: the log is the machine's own")
    say()


def seen(one):
    """What else there is to say about one run."""
    words = ["user/system %.2f/%.2f s" % (one["user"], one["system"])]
    if one["logins"]:
        words.append("login p50 %.1f p99 %.1f ms" % (
            one["p50_ms"], one["p99_ms"]))
    if one["returning"]:
        words.append("%.1f %% of those who return resumed" % (
            100 * one["resumed"] / one["returning"]))
    if one["messages"]:
        words.append("%.0f MB/s" % (one["bytes"] / one["wall"] / 1e6))
    if one["held"]:
        words.append("%d held" % one["held"])
    if one["probes"]:
        words.append("probe p99 %.1f ms" % one["probe_p99_ms"])
    if one["sink"]["log"]:
        words.append("%d lines logged" % one["sink"]["log"])
    return ", ".join(words + [one["tls"] or "in clear"])


def progress(case, one):
    value = one["value"]
    say("%-18s %-14s %s %s" % (
        one["case"], one["subject"],
        "-" if value is None else number(case, value),
        "; ".join([case.unit] + one["faults"])))


def values(found, name, subject, key="value"):
    """The figures of all rounds that count."""
    return [o[key] for o in found.get((name, subject), [])
            if o["value"] is not None and not o["faults"]]


def median(found, *what):
    some = values(found, *what)
    return statistics.median(some) if some else None


def row(cells):
    say("| %s |" % " | ".join(cells))


def head(first, others):
    say()
    row([first] + others)
    row(["---"] + ["---:"] * len(others))


def cell(case, value, reference):
    if value is None:
        return "-"
    if not reference:
        return number(case, value)
    return "%s (%.2f)" % (number(case, value), value / reference)


def table(chosen, subjects, found):
    """A row for each case: medians, in brackets the ratio to HAProxy (or
    Perdition)."""
    head("case", subjects)
    for name, case in chosen.items():
        reference = median(found, name, case.reference)
        row(["%s, %s" % (case.title, case.unit)] +
            [cell(case, median(found, name, s), reference)
             for s in subjects])


def growth(chosen, subjects, found):
    """A row for each number of sessions or workers."""
    for subject in subjects:
        head(subject, ["KiB a session", "us a login beside them",
                       "probe p99, ms"])
        for name, case in chosen.items():
            held, memory, login, probe = (
                median(found, name, subject, key)
                for key in ("held", "value", "beside_us", "probe_p99_ms"))
            if held:
                # that of a few sessions is lost in the rest
                row([case.title, "%.1f" % memory if held >= 100 else "-",
                     "%.0f" % login, "%.1f" % probe])


def details(chosen, found):
    """The spread, and what was seen in a run near the median."""
    say()
    for (name, subject), some in found.items():
        case, good = chosen[name], values(found, name, subject)
        if not good:
            say("%-18s %-14s no figure" % (name, subject))
            continue
        middle = statistics.median_low(good)
        one = next(o for o in some if o["value"] == middle)
        say("%-18s %-14s %s..%s %s in %d; %s" % (
            name, subject, number(case, min(good)), number(case, max(good)),
            case.unit, len(good), seen(one)))
