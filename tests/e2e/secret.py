# SPDX-License-Identifier: ISC
"""Secrets and where they are: passwords of which every part can be told from
anything else, the forms in which they and private keys stand in memory, and a
search of all the memory of a daemon."""

import base64
import time

import harness
from certs import secret_numbers

MARK = "Zq7xKw9vPm3t"   # 12 octets: whole base64
EDGE = 12               # octets of a number that are looked for at a time


def password(number, marks=14, joint=""):
    """A password of this number: its marks are all there is of it, so that
    what is overwritten in part (by malloc() in freed memory, by the next line
    in a buffer) is still found.  joint: an octet or two that stand in each."""
    unit = "%s%s%0*d" % (MARK, joint, 6 - len(joint), number)
    assert len(unit) == 18, unit    # whole base64, too
    return unit * marks


def coded_forms(octets):
    """What of them is in base64, whatever stands before and behind."""
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + octets)
        yield coded[4 if shift else 0:(len(octets) + shift) // 3 * 4]


def password_forms():
    """Of all passwords: plain (quoted strings and SASL messages have the
    octets as they are) and in base64."""
    return [MARK.encode(), *coded_forms(MARK.encode())]


def parts(octets):
    """The ends and the middle: all of it need not be left."""
    middle = (len(octets) - EDGE) // 2
    return {octets[at:at + EDGE] for at in (0, middle, len(octets) - EDGE)}


def key_forms(path):
    """Of a private key: its secret numbers as in DER, in base64 (PEM), and as
    GMP's limbs, least significant octet first."""
    found = set()
    for number in secret_numbers(path).values():
        for part in parts(number):
            found.update((part, part[::-1], *coded_forms(part)))
    return sorted(found)


def traces(processes, forms):
    """[(role, text)]: where one of these is in the memory of a daemon's
    processes; of each mapping, the first place."""
    found = []
    for pid, (role, _) in processes.items():
        try:
            for name, part in harness.mappings(pid):
                found += [(role, "%s, process %d, %s+%d: %r" % (
                    role, pid, name, at, part[max(0, at - 40):at + 60]))
                    for at in map(part.find, forms) if at >= 0]
        except (FileNotFoundError, ProcessLookupError):
            continue            # it has ended, and its memory with it
    return found


def roles_with(processes, forms):
    return {role for role, _ in traces(processes, forms)}


def _idle(pid):
    """How often it has run so far; None: it runs now."""
    status = harness.proc_status(pid)
    if not status.get("State", "S").startswith("S"):
        return None
    return (status.get("voluntary_ctxt_switches"),
            status.get("nonvoluntary_ctxt_switches"))


def settle(relais, seconds=2):
    """Wait until a daemon has dealt with all that it has heard: its processes
    sleep, and have not been awake meanwhile (but for a timer).  Gives the
    processes."""
    processes = relais.processes()
    end = time.monotonic() + seconds * harness.SLOW
    while time.monotonic() < end:
        before = [_idle(pid) for pid in processes]
        time.sleep(0.01)
        if None not in before and before == [_idle(pid) for pid in processes]:
            break
    return processes
