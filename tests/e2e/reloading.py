# SPDX-License-Identifier: ISC
"""What the tests of reloads share."""

import os
import re
import signal

from harness import proc_read, wait_for

REFUSED = r"reload: refused, nothing has changed"


def generation(relais):
    """The newest that the log tells of."""
    told = re.findall(r"reloaded: generation (\d+) ",
                      "\n".join(relais.log()))
    return int(told[-1]) if told else 1


def reload(relais):
    """SIGHUP, and wait until the next generation serves."""
    mark, wanted = relais.mark(), generation(relais) + 1
    os.kill(relais.pid, signal.SIGHUP)
    relais.wait_log(r"reloaded: generation %d serves" % wanted, mark, 15)


def refuse(relais):
    """SIGHUP, and wait until it is refused.  What the log says."""
    mark = relais.mark()
    os.kill(relais.pid, signal.SIGHUP)
    relais.wait_log(REFUSED, mark, 15)
    return "\n".join(relais.log(mark))


def rewrite(relais, *changes, more=()):
    """Another configuration file: (old, new) pairs, and more lines."""
    text = relais.text
    for old, new in changes:
        if old not in text:
            raise AssertionError("%r is not in it" % old)
        text = text.replace(old, new)
    relais.text = text + "".join(line + "\n" for line in more)
    with open(relais.conf, "w") as f:
        f.write(relais.text)


def all_old_gone(relais):
    """Until no process of an old generation is left."""
    wait_for(lambda: not relais.pids("old"), 10, "the old ones to go")


def listening(port):
    """The inode of the socket that listens on a port; None: there is none."""
    for line in proc_read(os.getpid(), "net/tcp").splitlines()[1:]:
        words = line.split()
        if words[3] == "0A" and int(words[1].split(":")[1], 16) == port:
            return words[9]
    return None
