/* SPDX-License-Identifier: ISC */
/*
 * smtp_data: the message stream of DATA.  Runs in the worker, between a user
 * and an inner server, and trusts neither to agree with us on where a message
 * ends: whatever a lax receiver might take for an end (LF "." LF, CR "." CR
 * and their kin: "SMTP smuggling") never gets to it.
 *
 * Long runs of lines pass as views of the caller's buffer.  Only what ends a
 * buffer and may be the beginning of the end is withheld, and given later
 * from a constant.
 */
#include "smtp_data.h"

void
smtp_data_init(struct smtp_data *d, enum smtp_bare bare, uint64_t limit)
{
	*d = (struct smtp_data){ .bare = bare, .state = SMTP_DATA_LINE };
	smtp_watch_init(&d->watch, limit, true);
}

/*
 * May a run go on with the octet at p?  Not with a dot that begins a line and
 * may be the end's, or must be stuffed.  len is not 0.
 */
static bool
may_run(enum smtp_data_state state, const char *p, size_t len)
{
	switch (state) {
	case SMTP_DATA_TEXT:
		return true;
	case SMTP_DATA_LINE:
		return p[0] != '.' || (len > 1 && p[1] != '\r' && p[1] != '\n');
	case SMTP_DATA_MADE:
		return p[0] != '.';
	case SMTP_DATA_CR:
	case SMTP_DATA_POINT:
	case SMTP_DATA_POINT_CR:
	case SMTP_DATA_DONE:
		break;
	}
	return false;
}

/*
 * The octets at the front of in that pass as they are; *dots counts those of
 * them that stuff a line.
 */
static size_t
run(struct smtp_data *d, struct text in, size_t *dots)
{
	size_t at = 0, n;
	bool line;

	while (at < in.len && may_run(d->state, in.p + at, in.len - at)) {
		n = at > 0 ? smtp_watch_sweep(text_skip(in, at)) : 0;
		if (n > 0) {
			at += n;
			d->state = in.p[at - 1] == '\n' ? SMTP_DATA_LINE
			                                : SMTP_DATA_TEXT;
			continue;
		}
		n = smtp_watch_clean(
		    (struct text){ in.p + at, in.len - at }, &line);
		if (n == 0)
			break;
		if (d->state == SMTP_DATA_LINE && in.p[at] == '.')
			(*dots)++;
		d->state = line ? SMTP_DATA_LINE : SMTP_DATA_TEXT;
		at += n;
	}
	return at;
}

/* A bare CR or LF ends the line, if it is not the message's end. */
static void
break_line(struct smtp_data *d, struct text *out)
{
	if (d->bare == SMTP_BARE_REFUSE)
		smtp_watch_condemn(&d->watch, SMTP_FAULT_BARE);
	*out = TEXT_LIT("\r\n");
	d->state = SMTP_DATA_MADE;
}

/* An octet that run() left, in a line or before it; always taken. */
static void
step_text(struct smtp_data *d, char c, struct text *out, size_t *dots)
{
	if (c == '\r') {
		d->state = SMTP_DATA_CR;
	} else if (c == '\n') {
		break_line(d, out);
	} else if (c == '.' && d->state == SMTP_DATA_LINE) {
		d->state = SMTP_DATA_POINT;
	} else if (c == '.' && d->state == SMTP_DATA_MADE) {
		/* It begins a line only since we made one. */
		*out = TEXT_LIT("..");
		*dots = 1;
		d->state = SMTP_DATA_TEXT;
	} else {
		smtp_watch_condemn(&d->watch, SMTP_FAULT_NUL);
		d->state = SMTP_DATA_TEXT;
	}
}

/* One octet that run() left.  How many are taken: 0 or 1. */
static size_t
step(struct smtp_data *d, char c, struct text *out, size_t *dots)
{
	switch (d->state) {
	case SMTP_DATA_LINE:
	case SMTP_DATA_MADE:
	case SMTP_DATA_TEXT:
		step_text(d, c, out, dots);
		return 1;
	case SMTP_DATA_CR:
		if (c != '\n')
			break;
		*out = TEXT_LIT("\r\n");
		d->state = SMTP_DATA_LINE;
		return 1;
	case SMTP_DATA_POINT:
		if (c == '\r') {
			d->state = SMTP_DATA_POINT_CR;
			return 1;
		}
		d->state = SMTP_DATA_TEXT;
		/*
		 * The dot is the client's stuffing (RFC 5321 4.5.2), and with
		 * a bare LF behind it the line of ours would be a dot alone.
		 */
		if (c != '\n') {
			*out = TEXT_LIT(".");
			*dots = 1;
		}
		return 0;
	case SMTP_DATA_POINT_CR:
		if (c != '\n')
			break; /* without the dot, as above */
		d->state = SMTP_DATA_DONE;
		return 1;
	case SMTP_DATA_DONE:
		return 0;
	}
	/* The CR that was withheld is a bare one. */
	break_line(d, out);
	return 0;
}

enum smtp_data_result
smtp_data_feed(
    struct smtp_data *d, struct text in, size_t *taken, struct text *out)
{
	struct text rest;
	size_t n, dots;

	*taken = 0;
	*out = TEXT_NONE;
	while (*taken < in.len && out->len == 0 && d->state != SMTP_DATA_DONE) {
		rest = text_skip(in, *taken);
		dots = 0;
		n = run(d, rest, &dots);
		if (n > 0)
			*out = (struct text){ rest.p, n };
		else
			n = step(d, rest.p[0], out, &dots);
		*taken += n;
		*out = smtp_watch_pass(&d->watch, *out, dots);
	}
	return d->state == SMTP_DATA_DONE ? SMTP_DATA_END : SMTP_DATA_MORE;
}
