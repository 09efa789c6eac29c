/* SPDX-License-Identifier: ISC */
/*
 * smtpsd: submission of mail by users on the Internet, handed to an inner
 * SMTP server while they wait.  This is the door through which every process
 * of the daemon comes: the master, which the administrator starts, and the
 * roles, as which the master starts the same program again.
 */
#include "master.h"
#include "role.h"
#include "smtp.h"
#include "smtp_record.h"

static const struct conf_initial smtp_initials[] = {
	{ "timeout", "300" },       /* RFC 5321 4.5.3.2.7 */
	{ "stop_timeout", "30" },   /* for a message and its reply */
	{ "login_attempts", "20" }, /* as Postfix: smtpd_hard_error_limit */
	{ NULL, NULL },
};

static const struct conf_defaults smtp_defaults = {
	.daemon = CONF_SMTP,
	.name = "smtpsd",
	.protocol = "SMTP",
	.protocol_tls = "SMTPS",
	.port = 587,
	.port_tls = 465,
	.inner_port = 25,
	.inner_port_tls = 465,
	.initials = smtp_initials,
	.sasl_service = "smtp",
};

static const struct protocol smtp = {
	.defaults = &smtp_defaults,
	.alpn = "smtp", /* not registered, but used */
	.data_size = sizeof(struct smtp_session),

	.greet = smtp_greet,
	.client_input = smtp_client_input,
	.client_reset = smtp_client_reset,
	.goodbye = smtp_goodbye,
	.sasl_reply = smtp_sasl_reply,

	.server_start = smtp_server_start,
	.server_input = smtp_server_input,
	.server_tls = smtp_server_tls,
	.server_gone = smtp_server_gone,
	.submit_reply = smtp_submit_reply,
	.message = smtp_message,
	.is_owed = smtp_is_owed,
	.login_failed = smtp_login_failed,
	.event = smtp_event,
	.format_record = smtp_record_format,
	.record_accuses = smtp_record_accuses,
	.record_ident = smtp_record_ident,
	.end = smtp_end,

	.rules = smtp_rules,
	.nrules = SMTP_NRULES,
	.minimum = SMTP_MINIMUM,
	.merge = smtp_capability_merge,
	.parse_capability = smtp_parse_capability,
};

int
main(int argc, char *argv[])
{
	if (role_is_asked(argc, argv))
		role_run(&smtp, argc, argv);
	return master_main(&smtp, argc, argv);
}
