# SPDX-License-Identifier: ISC
"""A real Postfix as inner server, in a folder of its own."""

import glob
import os
import re
import shutil
import signal
import stat
import subprocess

import harness
from harness import cleanup_of, end, folder, free_port, wait_for

MAIN = """\
compatibility_level = 3.6
queue_directory = {path}/queue
data_directory = {path}/data
maillog_file = {path}/maillog
maillog_file_prefixes = {path}
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
shlib_directory = /usr/lib/postfix
mail_owner = postfix
setgid_group = postdrop
myhostname = inner.example.net
mydestination =
virtual_mailbox_domains = example.net
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
local_recipient_maps =
alias_maps =
alias_database =
virtual_transport = virtual
virtual_mailbox_base = {mailboxes}
virtual_mailbox_maps = static:{mailbox}/
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
virtual_minimum_uid = 1
virtual_mailbox_limit = 0
mailbox_size_limit = 0
message_size_limit = 50000000
service_throttle_time = 1s
enable_long_queue_ids = yes
disable_vrfy_command = yes
queue_run_delay = 2s
minimal_backoff_time = 2s
maximal_backoff_time = 4s
smtpd_peername_lookup = no
{more}
"""

MASTER = """\
127.0.0.1:{port} inet n - n - 50 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
proxymap unix - - n - - proxymap
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Mail for example.net ends in messages(), or in another maildir of
    nobody's; needs root."""

    def __init__(self, case, more="", maildir=None):
        self.folder = folder(case)
        mailboxes, mailbox = os.path.split(maildir or
                                           self.folder + "/mail/box")
        self.port = free_port()
        self.process = None
        nobody = harness.nobody()
        for name in "queue", "data", "mail/box/new", "mail/box/cur", \
                "mail/box/tmp":
            os.makedirs(os.path.join(self.folder, name))
        for where, _, _ in os.walk(os.path.join(self.folder, "mail")):
            os.chown(where, nobody.pw_uid, nobody.pw_gid)
        shutil.chown(os.path.join(self.folder, "data"), "postfix")
        for name, text in (("main.cf", MAIN), ("master.cf", MASTER)):
            with open(os.path.join(self.folder, name), "w") as f:
                f.write(text.format(
                    path=self.folder, port=self.port, more=more,
                    mailboxes=mailboxes, mailbox=mailbox,
                    uid=nobody.pw_uid, gid=nobody.pw_gid))
        self._run("/usr/sbin/postfix", "-c", self.folder, "check")
        self.start()
        cleanup_of(case)(self.stop)

    def _run(self, *argv):
        done = subprocess.run([*argv], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise AssertionError(done.stdout.decode(errors="replace"))

    def start(self):
        self.process = harness.start(
            ["/usr/lib/postfix/sbin/master", "-c", self.folder, "-d"])
        wait_for(lambda: harness.accepts(self.port), what="Postfix to serve")

    def stop(self, sig=signal.SIGTERM):
        """With SIGKILL, all of it dies at once, as when the power fails."""
        if self.process:
            end(self.process, sig)
            self.process = None

    def servers(self):
        """The process ids of its smtpd."""
        return [pid for pid in harness.children(self.process.pid)
                if harness.proc_read(pid, "comm") == "smtpd\n"]

    def undelivered(self):
        """How many messages it has taken and not yet delivered: a queue file
        is executable once it is whole."""
        found = 0
        for path in glob.glob(self.folder + "/queue/[iad]*/**/*",
                              recursive=True):
            try:
                mode = os.stat(path).st_mode
            except FileNotFoundError:
                continue
            found += bool(stat.S_ISREG(mode) and mode & stat.S_IXUSR)
        return found

    def log(self):
        try:
            with open(os.path.join(self.folder, "maillog")) as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def messages(self):
        """What was delivered, line ends as CRLF, without what the delivery
        put in front."""
        found = []
        for path in sorted(glob.glob(self.folder + "/mail/box/new/*")):
            with open(path, "rb") as f:
                found.append(re.sub(rb"\r?\n", b"\r\n", f.read()))
        return found
