# SPDX-License-Identifier: ISC
"""A short soak; soak.py by hand is a long one."""

from case import TestCase, main, needs_root, not_sanitized
from soak import SEED, Soak

# What must have gone well, and been done, at least so often.
LEAST = {"imapsd: good logins": 10, "imapsd: messages fetched": 20,
         "imapsd: messages appended": 5, "imapsd: messages pushed": 2,
         "pop3sd: good logins": 10, "pop3sd: messages retrieved": 20,
         "smtpsd: good logins": 10, "smtpsd: messages accepted": 20,
         "smtpsd: handshakes, resumed": 5, "killed: worker": 1, "reloads": 1}


@needs_root
@not_sanitized
class Short(TestCase):
    def test_soak(self):
        soak = Soak(self, SEED, more=0)
        soak.run(8, warm=1, calm=1, gap=0.1, longest_stop=0.3)
        self.assertEqual(soak.book.faults, [])
        for what, least in LEAST.items():
            self.assertGreaterEqual(soak.book.done[what], least, what)


if __name__ == "__main__":
    main()
