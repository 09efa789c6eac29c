# SPDX-License-Identifier: ISC
"""What a user may send: sender_login_map, user_message_limit and
user_recipient_limit."""

import os
import re
import signal

import harness
from case import main
from submission import Submission, SmtpScript

MAP = """\
# who owns what
alice@example.org  alice@example.org
sales@example.org  alice@example.org,
                   bob@example.org
@example.com       bob@example.org
"""
ACCEPTED = (250, ["2.1.0 Ok"])


class Senders(Submission):
    @classmethod
    def setUpClass(cls):
        cls.map = os.path.join(harness.folder(cls), "senders")
        cls.write(MAP)
        cls.lines = ("sender_login_map " + cls.map,)
        super().setUpClass()

    @classmethod
    def write(cls, text):
        """As an editor does: a new file in the old one's place."""
        with open(cls.map + ".new", "w") as f:
            f.write(text)
        os.rename(cls.map + ".new", cls.map)

    def mail(self, c, sender):
        return c.cmd("MAIL FROM:<%s>" % sender)

    def assertNotOwned(self, c, sender, user="alice@example.org"):
        self.assertEqual(
            self.mail(c, sender),
            (553, ["5.7.1 <%s>: Sender address rejected: not owned by user "
                   "%s" % (sender, user)]))

    def test_own(self):
        c = self.user()
        for sender in ("alice@example.org", "Alice+x@EXAMPLE.org",
                       "sales@example.org"):
            c.begin("b@example.net", sender=sender)
            self.assertReply(c.message(b"\r\nhello\r\n"), 250)
        self.assertEqual([m.sender for m in self.inner.messages],
                         ["MAIL FROM:<alice@example.org>",
                          "MAIL FROM:<Alice+x@EXAMPLE.org>",
                          "MAIL FROM:<sales@example.org>"])

    def test_not_owned(self):
        mark = self.relais.mark()
        c = self.user()
        for sender in ("bob@example.com", "nobody@example.org",
                       "x@elsewhere.example", "alice"):
            self.assertNotOwned(c, sender)
        self.relais.wait_log(
            r"NOQUEUE: reject: MAIL from unknown\[127\.0\.0\.1\]: 553 5\.7\.1 "
            r"<bob@example\.com>: Sender address rejected: not owned by user "
            r"alice@example\.org; from=<bob@example\.com> proto=ESMTP "
            r"helo=<client\.example\.net>", mark)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 503, "5.5.1")
        self.assertEqual(self.told("MAIL"), [])
        self.assertEqual(self.mail(c, "alice@example.org"), ACCEPTED)

    def test_quoted(self):
        c = self.tls()
        c.ehlo()
        self.assertReply(c.login("bob", "hunter2"), 235)
        self.assertEqual(self.mail(c, "anyone@example.com"), ACCEPTED)
        c.cmd("RSET")
        self.assertNotOwned(c, '"alice"@example.org', "bob@example.org")

    def test_null_sender(self):
        c = self.user()
        c.begin(sender="")
        self.assertReply(c.message(b"\r\nhello\r\n"), 250)

    def test_pipelined(self):
        c = self.user()
        c.send("MAIL FROM:<bob@example.com>\r\nRCPT TO:<b@example.net>\r\n"
               "MAIL FROM:<alice@example.org>\r\nRCPT TO:<b@example.net>\r\n"
               "RCPT TO:<c@example.net>\r\nDATA\r\n")
        self.assertEqual([c.reply()[0] for _ in range(6)],
                         [553, 503, 250, 250, 250, 354])
        self.assertReply(c.message(b"\r\nhello\r\n"), 250)
        self.assertEqual(len(self.inner.messages[0].recipients), 2)

    def test_broker_dies(self):
        """A question that no broker has is asked again of the next one."""
        c = self.user()
        old, = self.relais.pids("broker")
        os.kill(old, signal.SIGSTOP)
        c.send("MAIL FROM:<bob@example.com>\r\nNOOP\r\n")
        c.sock.settimeout(0.3)
        self.assertRaises(TimeoutError, c.line)
        c.sock.settimeout(20)
        os.kill(old, signal.SIGKILL)
        self.assertReply(c.reply(), 553, "5.7.1")
        self.assertReply(c.reply(), 250)
        self.assertEqual(self.mail(c, "alice@example.org"), ACCEPTED)

    def test_changed(self):
        c = self.user()
        mark = self.relais.mark()
        self.addCleanup(self.settle, c, "sales@example.org")
        self.addCleanup(self.write, MAP)
        self.assertNotOwned(c, "new@example.org")
        self.write("new@example.org alice@example.org\n")
        self.settle(c, "new@example.org")
        self.assertNotOwned(c, "sales@example.org")
        self.write("new@example.org\n")
        harness.wait_for(lambda: self.refused_again(c, mark), 10,
                         "a fault in the log", 0.3)
        self.assertEqual(self.mail(c, "new@example.org"), ACCEPTED)
        self.assertReply(c.cmd("RSET"), 250)

    def refused_again(self, c, mark):
        self.mail(c, "")
        c.cmd("RSET")
        self.mail(c, "sales@example.org")
        return any(re.search(
            r"sender_login_map %s:1: a sender without a login: the one "
            r"before holds" % re.escape(self.map), line)
            for line in self.relais.log(mark))

    def settle(self, c, sender):
        """Until the map has sender for alice."""
        def taken():
            c = self.user()
            code, _ = self.mail(c, sender)
            c.cmd("QUIT")
            return code == 250
        harness.wait_for(taken, 10, "the new map", 0.3)

    def test_copy(self):
        if not harness.ROOT:
            self.skipTest("needs root")
        st = os.stat(self.relais.spool + "/etc/sender_login_map")
        self.assertEqual((st.st_uid, st.st_mode & 0o7777), (0, 0o640))

    def test_check(self):
        self.assertEqual(self.check(MAP), (0, ""))
        status, words = self.check(MAP + "alice@example.org x\n")
        self.assertEqual(status, 1)
        self.assertRegex(words, r"sender_login_map: \S+:6: this sender has "
                         "an entry already")

    def check(self, text):
        path = os.path.join(harness.folder(self), "map")
        with open(path, "w") as f:
            f.write(text)
        status, words = harness.run_smtpsd(
            *self.relais.argv("--check_config")[1:], "--sender_login_map",
            path)
        return status, "".join(line for line in words.splitlines(True)
                               if "sender_login_map" in line)


class Limits(Submission):
    lines = ("user_message_limit 3", "user_recipient_limit 5")

    def fresh(self):
        """As alice, of whom nothing has been counted."""
        if harness.ROOT:
            harness.run_smtpsd("--spool_directory", self.relais.spool,
                               "--forgive", "alice@example.org")
        else:               # a new daemon has a new ledger
            self.relais.stop()
            self.relais.start()
        return self.user()

    def test_messages(self):
        c = self.fresh()
        mark = self.relais.mark()
        for _ in range(3):
            self.assertEqual(c.cmd("MAIL FROM:<a@example.org>"), ACCEPTED)
            self.assertReply(c.cmd("RSET"), 250)
        for c in c, self.user():
            self.assertEqual(
                c.cmd("MAIL FROM:<a@example.org>"),
                (450, ["4.7.1 <a@example.org>: Sender address rejected: too "
                       "much mail from alice@example.org"]))
        self.relais.wait_log(
            r"NOQUEUE: reject: MAIL from unknown\[127\.0\.0\.1\]: 450 4\.7\.1 "
            r"<a@example\.org>: Sender address rejected: too much mail from "
            r"alice@example\.org; from=<a@example\.org> proto=ESMTP", mark)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 503)
        c = self.tls()
        c.ehlo()
        self.assertReply(c.login("bob", "hunter2"), 235)
        self.assertEqual(c.cmd("MAIL FROM:<a@example.org>"), ACCEPTED)

    def test_recipients(self):
        c = self.fresh()
        mark = self.relais.mark()
        c.send("MAIL FROM:<a@example.org>\r\n" + "".join(
            "RCPT TO:<%d@example.net>\r\n" % i for i in range(7)) +
            "DATA\r\n")
        replies = [c.reply() for _ in range(9)]
        self.assertEqual([r[0] for r in replies],
                         [250] * 6 + [450] * 2 + [354])
        self.assertEqual(
            replies[6], (450, ["4.7.1 <5@example.net>: Recipient address "
                               "rejected: too many recipients from "
                               "alice@example.org"]))
        self.assertReply(c.message(b"\r\nhello\r\n"), 250)
        self.assertEqual(self.inner.messages[0].recipients, [
            "RCPT TO:<%d@example.net>" % i for i in range(5)])
        self.relais.wait_log(
            r"[0-9A-F]{18}: reject: RCPT from unknown\[127\.0\.0\.1\]: 450 "
            r"4\.7\.1 <5@example\.net>: Recipient address rejected: too many "
            r"recipients from alice@example\.org; from=<a@example\.org> "
            r"to=<5@example\.net> proto=ESMTP", mark)

    def test_inner_server_lost(self):
        """It goes while the broker is asked about a recipient."""
        c = self.fresh()
        self.assertEqual(c.cmd("MAIL FROM:<a@example.org>"), ACCEPTED)
        self.inner.script = SmtpScript(replies={"RCPT": lambda *_: None})
        c2 = self.user()
        self.assertEqual(c2.cmd("MAIL FROM:<a@example.org>"), ACCEPTED)
        self.assertReply(c2.cmd("RCPT TO:<b@example.net>"), 451, "4.4.2")
        self.assertReply(c2.cmd("RSET"), 250)
        self.assertReply(c.cmd("RCPT TO:<b@example.net>"), 250)


if __name__ == "__main__":
    main()
