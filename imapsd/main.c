/* SPDX-License-Identifier: ISC */
/*
 * imapsd: a relay between IMAP clients on the Internet and inner IMAP
 * servers.  This is the door through which every process of the daemon
 * comes: the master, which the administrator starts, and the roles, as which
 * the master starts the same program again.
 */
#include "imap.h"
#include "master.h"
#include "role.h"

static const struct conf_defaults imap_defaults = {
	.daemon = CONF_IMAP,
	.name = "imapsd",
	.protocol = "IMAP4",
	.protocol_tls = "IMAP4S",
	.port = 143,
	.port_tls = 993,
	.sasl_service = "imap",
};

static const struct protocol imap = {
	.defaults = &imap_defaults,
	.alpn = "imap", /* as registered for RFC 7301 6 */
	.data_size = sizeof(struct imap_session),

	.greet = imap_greet,
	.client_input = imap_client_input,
	.client_reset = imap_client_reset,
	.goodbye = imap_goodbye,

	.server_start = imap_server_start,
	.server_input = imap_server_input,
	.server_tls = imap_server_tls,
	.login_failed = imap_login_failed,
	.end = imap_end,

	.rules = imap_rules,
	.nrules = IMAP_NRULES,
	.minimum = "IMAP4rev1 ID", /* which ends a ring of relays */
	.is_capability = imap_is_capability,
	.parse_capability = imap_parse_capability,
};

int
main(int argc, char *argv[])
{
	if (role_is_asked(argc, argv))
		role_run(&imap, argc, argv);
	return master_main(&imap, argc, argv);
}
