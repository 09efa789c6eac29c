/* SPDX-License-Identifier: ISC */
/*
 * pop3sd: a relay between POP3 clients on the Internet and inner POP3
 * servers.  This is the door through which every process of the daemon
 * comes: the master, which the administrator starts, and the roles, as which
 * the master starts the same program again.
 */
#include "master.h"
#include "pop3.h"
#include "role.h"

static const struct conf_defaults pop3_defaults = {
	.daemon = CONF_POP3,
	.name = "pop3sd",
	.protocol = "POP3",
	.protocol_tls = "POP3S",
	.port = 110,
	.port_tls = 995,
	.sasl_service = "pop",
};

static const struct protocol pop3 = {
	.defaults = &pop3_defaults,
	.alpn = "pop3", /* as registered for RFC 7301 6 */
	.data_size = sizeof(struct pop3_session),

	.greet = pop3_greet,
	.client_input = pop3_client_input,
	.client_reset = pop3_client_reset,
	.goodbye = pop3_goodbye,

	.server_start = pop3_server_start,
	.server_input = pop3_server_input,
	.server_tls = pop3_server_tls,
	.login_failed = pop3_login_failed,
	.end = pop3_client_reset,

	.rules = pop3_rules,
	.nrules = POP3_NRULES,
	.minimum = "USER",
	.parse_capability = pop3_parse_capability,
};

int
main(int argc, char *argv[])
{
	if (role_is_asked(argc, argv))
		role_run(&pop3, argc, argv);
	return master_main(&pop3, argc, argv);
}
