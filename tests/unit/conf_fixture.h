/* SPDX-License-Identifier: ISC */
/*
 * conf_fixture: a configuration whose faults are kept, for the tests of conf.
 */
#ifndef CONF_FIXTURE_H
#define CONF_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "buf.h"
#include "conf.h"

#define FIXTURE_TEXT_MAX 65536

/* What was reported, a line each: "E text" or "W text". */
struct said {
	char text[FIXTURE_TEXT_MAX];
	unsigned int errors, warnings;
};

static const struct conf_defaults fixture_defaults = {
	.daemon = CONF_IMAP,
	.name = "imapsd",
	.protocol = "IMAP4",
	.protocol_tls = "IMAP4S",
	.port = 143,
	.port_tls = 993,
	.sasl_service = "imap",
};

static inline void
fixture_hear(void *arg, bool is_error, const char *text)
{
	struct said *s = arg;

	strlcat(s->text, is_error ? "E " : "W ", sizeof(s->text));
	strlcat(s->text, text, sizeof(s->text));
	strlcat(s->text, "\n", sizeof(s->text));
	if (is_error)
		s->errors++;
	else
		s->warnings++;
}

static inline struct conf *
fixture_new(struct said *s)
{
	*s = (struct said){ .errors = 0 };
	return conf_new(&fixture_defaults, fixture_hear, s);
}

/* text read as t.conf; file, or NULL, is what conf_settle() is told. */
static inline struct conf *
fixture_settled(struct said *s, const char *text, const char *file)
{
	struct conf *c = fixture_new(s);

	conf_read_text(c, "t.conf", text_of(text));
	conf_settle(c, file);
	return c;
}

/* message NULL: there must be none; else one has it. */
static inline void
fixture_check(const char *what, const struct said *s, unsigned int errors,
    const char *message)
{
	bool good = s->errors == errors &&
	    (message == NULL ? s->text[0] == '\0'
	                     : strstr(s->text, message) != NULL);

	if (!good)
		print_message("case: %s\nsaid: %swanted: %u errors, %s\n", what,
		    s->text, errors, message == NULL ? "-" : message);
	assert_true(good);
}

/* What a function writes, as a string in dst. */
static inline void
fixture_string(struct buf *b, char *dst, size_t size)
{
	struct text t = buf_view(b);

	assert_true(t.len < size);
	if (t.len > 0)
		memcpy(dst, t.p, t.len);
	dst[t.len] = '\0';
	buf_free(b);
}

static inline void
fixture_print(const struct conf *c, char *dst, size_t size)
{
	struct buf b;

	buf_init(&b, size);
	conf_print(c, &b);
	fixture_string(&b, dst, size);
}

#endif
