/* SPDX-License-Identifier: ISC */
/*
 * smtp_watch: what is looked at in a message on its way.  Runs in the worker,
 * on octets of an authenticated user, whose machine may be somebody else's.
 * The message is not understood, only watched: its header is read for the log
 * and against loops, and no octet is changed.
 */
#include <string.h>

#include "smtp_watch.h"

/*
 * How far smtp_watch_clean() looks ahead.  Lines have at most 1000 octets
 * (RFC 5321 4.5.3.1.6), and without an end to it, each bare CR in a buffer
 * full of them would cost a look at all the others.
 */
#define LOOK_AHEAD 1024
#define STEP 64 /* octets that smtp_watch_sweep() judges together */

void
smtp_watch_init(struct smtp_watch *w, uint64_t limit, bool stuffed)
{
	*w = (struct smtp_watch){ .limit = limit, .stuffed = stuffed };
}

void
smtp_watch_condemn(struct smtp_watch *w, enum smtp_fault fault)
{
	if (w->fault == SMTP_FAULT_NONE)
		w->fault = fault;
}

void
smtp_watch_expect(struct smtp_watch *w, uint64_t n)
{
	if (w->limit != 0 && (w->size > w->limit || n > w->limit - w->size))
		smtp_watch_condemn(w, SMTP_FAULT_TOO_BIG);
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ftext, RFC 5322 3.6.8. */
static bool
is_name(char c)
{
	return c > ' ' && c < 0x7f && c != ':';
}

static void
add_to_name(struct smtp_watch *w, char c)
{
	if (w->name_len < sizeof(w->name))
		w->name[w->name_len++] = c;
}

static bool
name_is(const struct smtp_watch *w, const char *name)
{
	return text_caseeq((struct text){ w->name, w->name_len }, name);
}

static void
begin_value(struct smtp_watch *w)
{
	w->field = SMTP_FIELD_OTHER;
	w->header = SMTP_HEADER_SKIP;
	if (name_is(w, "Received")) {
		if (++w->received > SMTP_RECEIVED_MAX)
			smtp_watch_condemn(w, SMTP_FAULT_LOOP);
	} else if (name_is(w, "Message-ID") && w->id_len == 0) {
		w->field = SMTP_FIELD_MESSAGE_ID;
		w->header = SMTP_HEADER_VALUE;
	}
}

static void
add_to_id(struct smtp_watch *w, char c)
{
	if (c == '\r' || (w->id_len == 0 && is_blank(c)))
		return;
	if (w->id_len < SMTP_MESSAGE_ID_MAX)
		w->id[w->id_len++] = c;
}

static void
begin_line(struct smtp_watch *w, char c)
{
	if (is_name(c)) {
		w->header = SMTP_HEADER_NAME;
		w->name_len = 0;
		add_to_name(w, c);
		return;
	}
	w->header = SMTP_HEADER_END;
	if (!is_blank(c))
		return;
	/* Folded (RFC 5322 2.2.3): the field goes on, if there is one. */
	switch (w->field) {
	case SMTP_FIELD_NONE:
		break;
	case SMTP_FIELD_MESSAGE_ID:
		w->header = SMTP_HEADER_VALUE;
		add_to_id(w, c);
		break;
	case SMTP_FIELD_OTHER:
		w->header = SMTP_HEADER_SKIP;
		break;
	}
}

/* Blanks before the colon are obsolete, but not dead (RFC 5322 4.5). */
static void
end_name(struct smtp_watch *w, char c)
{
	if (c == ':')
		begin_value(w);
	else if (is_blank(c))
		w->header = SMTP_HEADER_COLON;
	else
		w->header = SMTP_HEADER_END;
}

static void
header_octet(struct smtp_watch *w, char c)
{
	switch (w->header) {
	case SMTP_HEADER_LINE:
		if (c == '.' && w->stuffed)
			w->header = SMTP_HEADER_UNSTUFFED;
		else
			begin_line(w, c);
		break;
	case SMTP_HEADER_UNSTUFFED:
		begin_line(w, c);
		break;
	case SMTP_HEADER_NAME:
		if (is_name(c))
			add_to_name(w, c);
		else
			end_name(w, c);
		break;
	case SMTP_HEADER_COLON:
		end_name(w, c);
		break;
	case SMTP_HEADER_VALUE:
		if (c == '\n')
			w->header = SMTP_HEADER_LINE;
		else
			add_to_id(w, c);
		break;
	case SMTP_HEADER_SKIP:
		if (c == '\n')
			w->header = SMTP_HEADER_LINE;
		break;
	case SMTP_HEADER_END:
		break;
	}
}

static void
watch_header(struct smtp_watch *w, struct text out)
{
	const char *lf;
	size_t i;

	for (i = 0; i < out.len && w->header != SMTP_HEADER_END; i++) {
		if (w->header == SMTP_HEADER_SKIP) {
			lf = memchr(out.p + i, '\n', out.len - i);
			if (lf == NULL)
				return;
			i = (size_t)(lf - out.p);
		}
		header_octet(w, out.p[i]);
	}
}

struct text
smtp_watch_pass(struct smtp_watch *w, struct text out, size_t stuffing)
{
	w->size += out.len - stuffing;
	if (w->fault == SMTP_FAULT_NONE)
		watch_header(w, out);
	smtp_watch_expect(w, 0);
	return w->fault == SMTP_FAULT_NONE ? out : TEXT_NONE;
}

bool
smtp_watch_header_ended(const struct smtp_watch *w)
{
	return w->header == SMTP_HEADER_END;
}

struct text
smtp_watch_message_id(const struct smtp_watch *w)
{
	return text_trim((struct text){ w->id, w->id_len });
}

size_t
smtp_watch_clean(struct text t, bool *line)
{
	size_t n = t.len < LOOK_AHEAD ? t.len : LOOK_AHEAD;
	const char *lf, *cr, *nul;

	*line = false;
	if (n == 0)
		return 0;
	lf = memchr(t.p, '\n', n);
	if (lf != NULL)
		n = (size_t)(lf - t.p);
	cr = memchr(t.p, '\r', n);
	if (cr != NULL)
		n = (size_t)(cr - t.p);
	nul = memchr(t.p, '\0', n);
	if (nul != NULL)
		return (size_t)(nul - t.p);
	*line = cr != NULL && lf == cr + 1;
	return *line ? n + 2 : n;
}

/*
 * No NUL, LF behind CR and nowhere else, and no dot behind LF?  The octet
 * before p counts, too.  Without a branch, for the compiler to make vectors
 * of it.
 */
static bool
is_plain(const char *p)
{
	const char *before = p - 1;
	unsigned char bad = 0;
	size_t i;

	for (i = 0; i < STEP; i++)
		bad |= (unsigned char)((p[i] == '\0') |
		    ((p[i] == '\n') ^ (before[i] == '\r')) |
		    ((p[i] == '.') & (before[i] == '\n')));
	return bad == 0;
}

size_t
smtp_watch_sweep(struct text t)
{
	size_t n = 0;

	while (t.len - n >= STEP && is_plain(t.p + n))
		n += STEP;
	return n > 0 && t.p[n - 1] == '\r' ? n - 1 : n;
}
