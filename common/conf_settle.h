/* SPDX-License-Identifier: ISC */
/*
 * conf_settle: what follows from what was read, step by step.  Each step
 * reports what is wrong and fills its part of struct conf.  Pure: no files
 * and no names, but getservbyname(3) for ports that the table lacks.
 * Nobody outside conf*.c includes this.
 */
#ifndef CONF_SETTLE_H
#define CONF_SETTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "conf_set.h"
#include "text.h"

/* What ssl_mode says, as bits; Perdition's "force" words set the plain too. */
enum { CONF_MODE_SSL = 1, CONF_MODE_TLS = 2, CONF_MODE_FORCE = 4 };

struct conf_mode {
	bool said; /* there is a word */
	bool none; /* the word none is there */
	unsigned int listen, outgoing;
};

void conf_settle_mode(struct conf *c, struct conf_mode *m);

/* file may be NULL: its name may be one of Perdition's. */
void conf_settle_protocol(struct conf *c, const char *file);

void conf_settle_listen(struct conf *c, const struct conf_mode *m);
/* Sockets that we were given take the place of c->listen. */
void conf_settle_inherited(struct conf *c);
void conf_settle_servers(struct conf *c, const struct conf_mode *m);
void conf_settle_tls(struct conf *c);   /* the priority strings */
void conf_settle_names(struct conf *c); /* user names */
void conf_settle_sasl(struct conf *c);
void conf_settle_proxy(struct conf *c);
/* metrics_listen: where, and is it this host alone? */
void conf_settle_metrics(struct conf *c);

const char *conf_listen_mode_name(enum conf_listen_mode mode);

/* A port's number or a service's name.  0, or -1. */
int conf_port(struct text t, uint16_t *port);

#endif
