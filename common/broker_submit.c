/* SPDX-License-Identifier: ISC */
/*
 * broker_submit: the rules for those who have logged in.  Runs in the broker.
 * Who the user is, is the worker's word: one that was taken over has its
 * users' inner connections in hand, and no rule binds it; all that it gains
 * here is to use up what others may send.
 */
#include <sys/stat.h>

#include <stdlib.h>
#include <string.h>

#include "broker_submit.h"
#include "log.h"
#include "priv.h"
#include "sender_map.h"
#include "xmalloc.h"

struct submits {
	const struct conf *conf;
	char *path, *folder;    /* where the map is; NULL: there is none */
	struct sender_map *map; /* NULL: there is no good one */
	struct timespec mtime;  /* of what was read last; ino 0: nothing */
	ino_t ino;
	struct abuse *abuse; /* counts */
};

/* In the spool the master's copy, else the file itself. */
struct submits *
submits_new(const struct conf *c, struct abuse *a)
{
	struct submits *s = xcalloc(1, sizeof(*s));

	s->conf = c;
	s->abuse = a;
	if (c->sender_login_map == NULL)
		return s;
	s->path = priv_am_root() ? xasprintf("/etc/%s", CONF_SENDER_MAP_COPY)
	                         : xstrdup(c->sender_login_map);
	/* Not the file alone: a new one comes in by a rename. */
	s->folder =
	    xstrndup(s->path, (size_t)(strrchr(s->path, '/') + 1 - s->path));
	return s;
}

const char *
submits_folder(const struct submits *s)
{
	return s->folder;
}

/* Read the map if it has changed.  A bad one leaves the one before. */
static void
look(struct submits *s)
{
	char error[SENDER_MAP_ERROR_MAX];
	struct sender_map *m;
	struct stat st;

	if (stat(s->path, &st) == -1)
		return; /* the master has told that it is gone */
	if (st.st_ino == s->ino && st.st_mtim.tv_sec == s->mtime.tv_sec &&
	    st.st_mtim.tv_nsec == s->mtime.tv_nsec)
		return;
	s->ino = st.st_ino;
	s->mtime = st.st_mtim;
	m = sender_map_read(s->path, s->conf->sender_login_map, error);
	if (m == NULL) {
		log_warnx("sender_login_map %s: %s", error,
		    s->map != NULL ? "the one before holds" : "nobody sends");
		return;
	}
	sender_map_free(&s->map);
	s->map = m;
}

static enum submit_verdict
ask_mail(
    struct submits *s, const struct addr *client, const struct msg_submit *m)
{
	if (s->path != NULL && m->sender.len > 0) {
		look(s);
		if (s->map == NULL)
			return SUBMIT_UNAVAILABLE;
		if (!sender_map_owns(s->map, m->sender, m->user))
			return SUBMIT_NOT_OWNED;
	}
	return abuse_may_send(s->abuse, client, m->user, SUBMIT_MAIL)
	    ? SUBMIT_OK
	    : SUBMIT_TOO_MANY;
}

enum submit_verdict
submits_ask(
    struct submits *s, const struct addr *client, const struct msg_submit *m)
{
	switch ((enum submit_what)m->what) {
	case SUBMIT_MAIL:
		return ask_mail(s, client, m);
	case SUBMIT_RCPT:
		if (!abuse_may_send(s->abuse, client, m->user, SUBMIT_RCPT))
			return SUBMIT_TOO_MANY;
		break;
	case SUBMIT_WHATS:
		break;
	}
	return SUBMIT_OK;
}
