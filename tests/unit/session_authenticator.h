/* SPDX-License-Identifier: ISC */
/*
 * session_authenticator: the broker's and an authenticator's part in the
 * scripts of sessions (session_script.h).  Steps:
 *
 *	A granted  the broker grants an exchange    A gone    it dies
 *	A taken    it has none to grant             A silent  hears no more
 *	A another  a new broker makes another channel, and grants
 *	A<words    must get this message of the last exchange, as check NAME
 *	           PASSWORD, start MECHANISM INITIAL (- is none), step DATA,
 *	           or cancel
 *	A>words    answers: challenge TEXT, ok USER, failed, unavailable, bad,
 *	           unknown; or nonsense
 *	A late words  the same on the exchange before
 */
#ifndef SESSION_AUTHENTICATOR_H
#define SESSION_AUTHENTICATOR_H

#include "fdpass.h"
#include "session_fake.h"

#define AUTHENTICATOR 7 /* its serial */

static int authenticator = -1; /* its end */
static uint32_t granted;       /* exchanges */
static struct sasl_channels *authenticators;

#define CHECK(condition, what)                                                 \
	do {                                                                   \
		if (!(condition))                                              \
			fail_msg("A%s: %s", what, #condition);                 \
	} while (0)

static void
authenticator_leaves(void)
{
	if (authenticator != -1)
		close(authenticator);
	authenticator = -1;
}

/* After a script. */
static void
authenticator_end(void)
{
	authenticator_leaves();
	sasl_channels_free(&authenticators);
}

static void
authenticator_comes(void)
{
	int ends[2];

	if (authenticators == NULL)
		authenticators = sasl_channels_new(fake.base);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
	authenticator = ends[1];
	sasl_channels_add(authenticators, AUTHENTICATOR, ends[0]);
}

static void
authenticator_granted(void)
{
	if (authenticator == -1)
		authenticator_comes();
	session_auth_granted(fake.session,
	    sasl_channels_find(authenticators, AUTHENTICATOR), ++granted);
}

/* In place of the channel that we had, on which nothing is under way. */
static void
authenticator_another(void)
{
	int old = authenticator;
	char octet;

	authenticator_comes();
	CHECK(recv(old, &octet, 1, 0) == 0, " another");
	close(old);
	authenticator_granted();
}

/* A message as words. */
static void
authenticator_words(enum msg_type type, struct reader *r, char *dst, size_t n)
{
	struct msg_sasl_start start;
	struct msg_sasl_check check;
	struct msg_sasl_step next;

	dst[0] = '\0';
	if (type == MSG_SASL_START && msg_get_sasl_start(r, &start) == 0)
		(void)snprintf(dst, n, "start %.*s %.*s%s",
		    TEXT_ARG(start.mechanism), TEXT_ARG(start.initial),
		    start.has_initial ? "" : "-");
	else if (type == MSG_SASL_CHECK && msg_get_sasl_check(r, &check) == 0)
		(void)snprintf(dst, n, "check %.*s %.*s", TEXT_ARG(check.name),
		    TEXT_ARG(check.password));
	else if (type == MSG_SASL_STEP && msg_get_sasl_step(r, &next) == 0)
		(void)snprintf(dst, n, "step %.*s", TEXT_ARG(next.data));
	else if (type == MSG_SASL_CANCEL && get_end(r) == 0)
		(void)snprintf(dst, n, "cancel");
}

static void
authenticator_hears(const char *want)
{
	char data[MSG_MAX], words[256];
	struct reader r;
	uint16_t type;
	uint32_t id;
	ssize_t len;
	int fd;

	len = fdpass_recv(authenticator, data, sizeof(data), false, &fd);
	CHECK(len > 0 && fd == -1, want);
	r = (struct reader){ data, (size_t)len };
	CHECK(get_u16(&r, &type) == 0 && get_u32(&r, &id) == 0, want);
	CHECK(id == granted, want);
	CHECK(msg_allowed(
	          type, ROLE_WORKER, ROLE_AUTHENTICATOR, false, (size_t)len),
	    want);
	authenticator_words(type, &r, words, sizeof(words));
	assert_string_equal(words, want);
}

static void
authenticator_says(uint32_t exchange, const char *what)
{
	static const char *const names[] = { [AUTH_CHALLENGE] = "challenge ",
		[AUTH_OK] = "ok ",
		[AUTH_FAILED] = "failed",
		[AUTH_UNAVAILABLE] = "unavailable",
		[AUTH_BAD_PROTOCOL] = "bad",
		[AUTH_NO_MECHANISM] = "unknown" };
	struct msg_sasl_reply m;
	const char *rest;
	struct writer w;
	size_t i;

	msg_start(&w, MSG_SASL_START, 0); /* forbidden, for "nonsense" */
	for (i = 0; i < NITEMS(names); i++) {
		if ((rest = fake_after(what, names[i])) == NULL)
			continue;
		m = (struct msg_sasl_reply){ (uint8_t)i, text_of(rest) };
		msg_start(&w, MSG_SASL_REPLY, exchange);
		msg_put_sasl_reply(&w, &m);
	}
	CHECK(fdpass_send(authenticator, w.data, w.len, -1) == 0, what);
}

static void
authenticator_does(const char *what)
{
	const char *late;
	char octet;

	if (strcmp(what, " granted") == 0)
		authenticator_granted();
	else if (strcmp(what, " another") == 0)
		authenticator_another();
	else if (strcmp(what, " taken") == 0)
		session_auth_granted(fake.session, NULL, 0);
	else if (strcmp(what, " gone") == 0)
		authenticator_leaves();
	else if (strcmp(what, " silent") == 0)
		CHECK(recv(authenticator, &octet, 1, 0) == -1, what);
	else if (what[0] == '<')
		authenticator_hears(what + 1);
	else if (what[0] == '>')
		authenticator_says(granted, what + 1);
	else if ((late = fake_after(what, " late ")) != NULL)
		authenticator_says(granted - 1, late);
	else
		fail_msg("A%s: no such step", what);
}

#endif
