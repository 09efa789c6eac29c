/* SPDX-License-Identifier: ISC */
/*
 * certs: the pairs that are in use and those that the keepers are asked about.
 * Runs in the master; what a keeper says of a certificate is passed on to
 * workers and, its names made printable, to the log.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "certs_impl.h"
#include "handover.h"
#include "log.h"
#include "xmalloc.h"

#define DAY 86400
/* Handshakes that began with the old key are over by then. */
#define LINGER_SECONDS 120
#define DATE_LEN 16

struct cert_pair *
cert_pair_new(struct certs *s)
{
	struct cert_pair *p = xcalloc(1, sizeof(*p));
	unsigned int i;

	/* There are far fewer than numbers (CERT_DIR_MAX). */
	for (i = 0; i < UINT16_MAX && s->numbers[i]; i++)
		;
	s->numbers[i] = 1;
	p->number = (uint16_t)i;
	return p;
}

void
cert_pair_free(struct cert_pair **pp)
{
	if (*pp == NULL)
		return;
	free((*pp)->why);
	free((*pp)->names);
	free((*pp)->chain);
	free(*pp);
	*pp = NULL;
}

void
certs_let_go(struct certs *s, struct cert_pair **p, time_t now)
{
	if (*p == NULL)
		return;
	s->dropped = xrecallocarray(
	    s->dropped, s->ndropped, s->ndropped + 1, sizeof(*s->dropped));
	s->dropped[s->ndropped++] =
	    (struct cert_dropped){ (*p)->number, now + LINGER_SECONDS };
	cert_pair_free(p);
}

bool
certs_next_drop(struct certs *s, time_t now, uint16_t *number)
{
	if (s->ndropped == 0 || s->dropped[0].at > now)
		return false;
	*number = s->dropped[0].number;
	s->numbers[*number] = 0;
	s->ndropped--;
	memmove(s->dropped, s->dropped + 1, s->ndropped * sizeof(*s->dropped));
	return true;
}

struct cert_source *
certs_add_source(
    struct certs *s, const char *name, const char *cert, const char *key)
{
	struct cert_source *src;

	s->sources =
	    xrecallocarray(s->sources, s->n, s->n + 1, sizeof(*s->sources));
	src = &s->sources[s->n++];
	src->name = name != NULL ? xstrdup(name) : NULL;
	src->cert = xstrdup(cert);
	src->key = xstrdup(key);
	return src;
}

/* At the start: what is there goes to the keepers with all else. */
static void
begin_source(struct certs *s, struct cert_source *src, int fd, bool fussy,
    unsigned int *faults)
{
	const char *path, *why;

	src->fresh = cert_pair_new(s);
	cert_stamp(src, &src->seen);
	src->tried = src->seen;
	src->was_tried = true;
	if (certs_add_parts(fd, src, src->fresh, &path) == 0)
		return;
	why = handover_strerror(errno);
	s->numbers[src->fresh->number] = 0;
	cert_pair_free(&src->fresh);
	if (src->required && src->name == NULL)
		log_warnx("%s %s: %s",
		    strcmp(path, src->cert) == 0 ? "ssl_cert_file"
		                                 : "ssl_key_file",
		    path, why);
	else
		log_warnx("ssl_cert_dir %s%s: %s", path,
		    src->required ? "" : " is left out", why);
	if (src->required || fussy)
		(*faults)++;
}

struct certs *
certs_new(const struct conf *c, int fd, bool fussy, unsigned int *faults)
{
	struct certs *s = xcalloc(1, sizeof(*s));
	size_t i;

	s->conf = c;
	s->offer = -1;
	s->base = (size_t)lseek(fd, 0, SEEK_CUR);
	for (i = 0; i < c->npairs; i++)
		certs_add_source(
		    s, NULL, c->pairs[i].cert_file, c->pairs[i].key_file)
		    ->required = true;
	s->nfixed = s->n;
	if (c->ssl_cert_dir != NULL && certs_list(s) == -1)
		(*faults)++;
	else if (c->ssl_cert_dir != NULL && s->n == 0) {
		log_warnx("ssl_cert_dir %s: there is no certificate in it",
		    c->ssl_cert_dir);
		(*faults)++;
	}
	/* Who says no name, or an unknown one, is served with the first. */
	if (s->n > 0)
		s->sources[0].required = true;
	for (i = 0; i < s->n; i++)
		begin_source(s, &s->sources[i], fd, fussy, faults);
	return s;
}

void
certs_free(struct certs **sp)
{
	struct certs *s = *sp;
	size_t i;

	if (s == NULL)
		return;
	*sp = NULL;
	for (i = 0; i < s->n; i++) {
		free(s->sources[i].name);
		free(s->sources[i].cert);
		free(s->sources[i].key);
		cert_pair_free(&s->sources[i].pair);
		cert_pair_free(&s->sources[i].fresh);
	}
	if (s->offer != -1)
		close(s->offer);
	free(s->sources);
	free(s->dropped);
	free(s);
}

size_t
certs_count(const struct certs *s)
{
	size_t i, n = 0;

	for (i = 0; i < s->n; i++)
		n += s->sources[i].pair != NULL || s->sources[i].fresh != NULL;
	return n;
}

static void
take_report(struct cert_pair *p, const struct msg_pair *m)
{
	char names[MSG_PAIR_NAMES_MAX * 4 + 1];

	p->heard = true;
	p->names = xstrdup(text_printable(m->names, names, sizeof(names)));
	p->not_before = (time_t)m->not_before;
	p->not_after = (time_t)m->not_after;
	if (m->why.len > 0)
		p->why = xstrndup(m->why.p, m->why.len);
	if (m->ok) {
		p->chain = xstrndup(m->chain.p, m->chain.len);
		p->chain_len = m->chain.len;
	}
}

/* One keeper's no is enough; all are asked the same. */
int
certs_heard(struct certs *s, const struct msg_pair *m)
{
	struct cert_pair *p;
	size_t i;

	for (i = 0; i < s->n; i++) {
		p = s->sources[i].fresh;
		if (p == NULL || p->number != m->number)
			continue;
		if (!p->heard)
			take_report(p, m);
		if (!m->ok)
			p->bad = true;
		return 0;
	}
	/* A keeper that was started anew tells of what is known. */
	return s->numbers[m->number] ? 0 : -1;
}

static const char *
date_of(time_t t, char *dst)
{
	struct tm tm;

	if (gmtime_r(&t, &tm) == NULL ||
	    strftime(dst, DATE_LEN, "%Y-%m-%d", &tm) == 0)
		(void)strlcpy(dst, "?", DATE_LEN);
	return dst;
}

static long
days_left(const struct cert_pair *p, time_t now)
{
	return (long)((p->not_after - now) / DAY);
}

static void
tell_bad(const struct cert_source *src)
{
	const struct cert_pair *p = src->fresh;
	char date[DATE_LEN];

	if (src->pair != NULL)
		log_at(LOG_ERR,
		    "certificate %s, %s: %s: the old one stays, which is valid "
		    "until %s",
		    src->cert, src->key, p->why != NULL ? p->why : "bad",
		    date_of(src->pair->not_after, date));
	else
		log_at(LOG_ERR, "certificate %s, %s: %s: it is left out",
		    src->cert, src->key, p->why != NULL ? p->why : "bad");
}

static bool
is_same(const struct cert_pair *a, const struct cert_pair *b)
{
	return a != NULL && a->chain_len == b->chain_len &&
	    memcmp(a->chain, b->chain, a->chain_len) == 0;
}

static void
tell_good(const struct cert_source *src, time_t now)
{
	const struct cert_pair *p = src->fresh;
	char date[DATE_LEN];

	log_info("certificate %s (%s) is %s: valid until %s, %ld days",
	    src->cert, p->names, src->pair != NULL ? "renewed" : "added",
	    date_of(p->not_after, date), days_left(p, now));
}

/* Is the pair that is asked about taken into use? */
static bool
settle_source(struct certs *s, struct cert_source *src, time_t now)
{
	struct cert_pair *p = src->fresh;

	if (p->bad || !p->heard || p->chain == NULL) {
		if (s->serving)
			tell_bad(src);
		src->retry_at = p->not_before > now ? p->not_before : 0;
		certs_let_go(s, &src->fresh, now - LINGER_SECONDS);
		return false;
	}
	src->retry_at = 0;
	if (is_same(src->pair, p)) {
		certs_let_go(s, &src->fresh, now - LINGER_SECONDS);
		return false;
	}
	if (s->serving)
		tell_good(src, now);
	certs_let_go(s, &src->pair, now);
	src->pair = p;
	src->fresh = NULL;
	return true;
}

/* In the folder no more: twice looked for, and not the last one. */
static bool
remove_gone(struct certs *s, time_t now)
{
	struct cert_source *src;
	bool any = false;
	size_t i = s->nfixed;

	while (i < s->n) {
		src = &s->sources[i];
		if (src->absent < 2) {
			i++;
			continue;
		}
		if (src->pair != NULL)
			log_info("certificate %s (%s) is removed", src->cert,
			    src->pair->names);
		any = any || src->pair != NULL;
		certs_let_go(s, &src->pair, now);
		free(src->name);
		free(src->cert);
		free(src->key);
		s->n--;
		memmove(src, src + 1, (s->n - i) * sizeof(*src));
	}
	return any;
}

bool
certs_settle(struct certs *s, time_t now)
{
	bool any = !s->serving;
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->sources[i].fresh != NULL &&
		    settle_source(s, &s->sources[i], now))
			any = true;
	if (remove_gone(s, now))
		any = true;
	s->serving = true;
	return any;
}

bool
certs_are_settled(const struct certs *s)
{
	return s->serving;
}

void
certs_forget_offer(struct certs *s)
{
	const time_t now = time(NULL);
	size_t i;

	for (i = 0; i < s->n; i++)
		if (s->sources[i].fresh != NULL) {
			s->sources[i].was_tried = false;
			/* Its number may still be in a late answer. */
			certs_let_go(s, &s->sources[i].fresh, now);
		}
}

static void
warn_of(const struct cert_source *src, time_t now)
{
	const struct cert_pair *p = src->pair;
	char date[DATE_LEN];
	long days = days_left(p, now);

	(void)date_of(p->not_after, date);
	if (now > p->not_after)
		log_at(LOG_ERR, "certificate %s (%s) has expired on %s",
		    src->cert, p->names, date);
	else if (days < CERTS_WARN_DAYS)
		log_at(LOG_NOTICE,
		    "certificate %s (%s) expires in %ld day%s, on %s",
		    src->cert, p->names, days, days == 1 ? "" : "s", date);
}

void
certs_warn(struct certs *s, time_t now)
{
	size_t i;

	/* The clock may have been set back: then it is not for long. */
	if (now < s->warn_at && s->warn_at - now <= DAY)
		return;
	s->warn_at = now + DAY;
	for (i = 0; i < s->n; i++)
		if (s->sources[i].pair != NULL)
			warn_of(&s->sources[i], now);
}

bool
certs_expiry(const struct certs *s, size_t *at, struct expiry *out)
{
	const struct cert_source *src;

	while (*at < s->n) {
		src = &s->sources[(*at)++];
		if (src->pair == NULL)
			continue;
		*out = (struct expiry){ src->cert, src->pair->names,
			src->pair->not_after };
		return true;
	}
	return false;
}
