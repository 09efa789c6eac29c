/* SPDX-License-Identifier: ISC */
/*
 * stats: what processes count.  Each has a page of memory (a memfd) from the
 * master that it and the master alone can write to, so counting is an
 * increment and no system call; a process that was taken over can lie about
 * itself and nobody else.  The master keeps the pages: what a process has
 * counted is not lost when it dies, and its successor goes on with it.
 *
 * A page that others have written to is hostile, but can do no harm: its size
 * is sealed, all that is in it are numbers, and any number is a good one.
 *
 * A process that has no page (a test, --check_config) counts in vain.
 */
#ifndef STATS_H
#define STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf.h" /* CONF_SERVERS_MAX */
#include "msg.h"  /* enum role */

/* Another number for another struct stats: then nothing is taken over. */
#define STATS_VERSION 2

/* Why a client was turned away. */
enum stats_refused {
	REFUSED_TOO_MANY,         /* connection_limit, worker_connections */
	REFUSED_TOO_MANY_ADDRESS, /* connection_limit_address */
	REFUSED_LOOP,             /* this very daemon */
	REFUSED_PROXY_HEADER,     /* there was none, or a bad one */
	REFUSED_TOO_OFTEN,        /* a rate, or too many failed logins */
	REFUSED_GAVE_WAY,         /* no login so far, and others wanted in */
	STATS_REFUSED
};

enum stats_login {
	STATS_LOGIN_OK,
	STATS_LOGIN_REFUSED,     /* the credentials */
	STATS_LOGIN_UNAVAILABLE, /* nobody could tell */
	STATS_LOGIN_TURNED,      /* not even tried: too many have failed */
	STATS_LOGINS
};

/* How credentials came.  Others than the first are SASL's. */
enum stats_mechanism {
	MECHANISM_COMMAND, /* LOGIN in IMAP, USER and PASS in POP3 */
	MECHANISM_PLAIN,
	MECHANISM_LOGIN,
	MECHANISM_CRAM_MD5,
	MECHANISM_DIGEST_MD5,
	MECHANISM_SCRAM_SHA_1,
	MECHANISM_SCRAM_SHA_256,
	MECHANISM_GSSAPI,
	MECHANISM_EXTERNAL,
	MECHANISM_OAUTHBEARER,
	MECHANISM_XOAUTH2,
	MECHANISM_OTHER,
	STATS_MECHANISMS
};

enum stats_tls_version { STATS_TLS_1_2, STATS_TLS_1_3, STATS_TLS_VERSIONS };

enum stats_cipher {
	CIPHER_AES_128_GCM,
	CIPHER_AES_256_GCM,
	CIPHER_CHACHA20_POLY1305,
	CIPHER_AES_128_CCM,
	CIPHER_AES_256_CCM,
	CIPHER_AES_128_CBC,
	CIPHER_AES_256_CBC,
	CIPHER_OTHER,
	STATS_CIPHERS
};

/* With the client: what came of it, what went to it. */
enum stats_direction { STATS_RECEIVED, STATS_SENT, STATS_DIRECTIONS };

/* What became of a message, or of a recipient. */
enum stats_message {
	STATS_ACCEPTED, /* by the inner server */
	STATS_DEFERRED, /* 4xx, or the inner server went away */
	STATS_REJECTED, /* 5xx */
	STATS_MESSAGES
};

/* An inner server's login, as its broker hears of it. */
enum stats_outcome {
	STATS_OUTCOME_OK,
	STATS_OUTCOME_REFUSED,
	STATS_OUTCOME_FAILED, /* the server did not do its part */
	STATS_OUTCOMES
};

enum stats_connect { STATS_CONNECTED, STATS_NOT_CONNECTED, STATS_CONNECTS };

enum stats_signature {
	STATS_SIGNED,
	STATS_SIGNATURE_REFUSED,
	STATS_SIGNATURES
};

enum stats_check {
	STATS_CHECK_OK,
	STATS_CHECK_REFUSED,
	STATS_CHECK_UNAVAILABLE, /* no mechanism, bad protocol, no answer */
	STATS_CHECKS
};

/* Why the master has replaced a process. */
enum stats_end {
	STATS_END_DIED,     /* by itself, or for a rule that it broke */
	STATS_END_OVERDUE,  /* it did not answer, or hung in Cyrus SASL */
	STATS_END_GIVEN_UP, /* its kin died */
	STATS_ENDS
};

enum stats_reload { STATS_RELOAD_DONE, STATS_RELOAD_REFUSED, STATS_RELOADS };

enum stats_spare { STATS_BUSY, STATS_SPARE, STATS_OLD, STATS_SPARES };

/* How many took up to so many seconds (stats_bounds); the last: longer. */
#define STATS_BUCKETS 15
struct stats_histogram {
	uint64_t buckets[STATS_BUCKETS]; /* not cumulative */
	uint64_t sum_us;
};

/* Only uint64_t, and arrays of it, behind the head. */
struct stats {
	uint32_t version, size; /* of this struct */
	uint64_t sequence;      /* odd while the master moves totals */

	/* workers */
	uint64_t connections;
	uint64_t clients, sessions; /* now; the master has it of nurseries */
	uint64_t refused[STATS_REFUSED];
	uint64_t logins[STATS_LOGINS][STATS_MECHANISMS];
	struct stats_histogram login_seconds;
	uint64_t delays, delays_ms;
	uint64_t handshakes[STATS_TLS_VERSIONS][STATS_CIPHERS][2]; /* resumed */
	uint64_t handshakes_failed;
	uint64_t bytes[STATS_DIRECTIONS];
	uint64_t messages[STATS_MESSAGES];
	uint64_t recipients[STATS_MESSAGES];
	uint64_t message_bytes;
	uint64_t rejects;

	/* keepers */
	uint64_t signatures[STATS_SIGNATURES];
	struct stats_histogram signature_seconds;

	/* authenticators */
	uint64_t checks[STATS_CHECKS];
	struct stats_histogram check_seconds;

	/* the master */
	uint64_t started[ROLE_MAX];
	uint64_t replaced[ROLE_MAX][STATS_ENDS];
	uint64_t reloads[STATS_RELOADS];
	uint64_t log_lines, log_lines_lost;
	/* now, as of the last second */
	uint64_t processes[ROLE_MAX];
	uint64_t workers[STATS_SPARES];
	uint64_t open_files, max_files;
	uint64_t started_at, reloaded_at; /* UNIX time */
	uint64_t generation;

	/* the broker, of its inner servers; greetings are the workers' */
	uint64_t server_up[CONF_SERVERS_MAX]; /* 0 or 1 */
	uint64_t server_connects[CONF_SERVERS_MAX][STATS_CONNECTS];
	uint64_t server_outcomes[CONF_SERVERS_MAX][STATS_OUTCOMES];
	struct stats_histogram connect_seconds[CONF_SERVERS_MAX];
	struct stats_histogram greeting_seconds[CONF_SERVERS_MAX];
};

/* The page of this process. */
extern struct stats *stats_own;

/* Several may count on one page: the workers of one nursery. */
#define STATS_ADD(field, n)                                                    \
	((void)__atomic_fetch_add(&stats_own->field, (n), __ATOMIC_RELAXED))
#define STATS_SUB(field, n)                                                    \
	((void)__atomic_fetch_sub(&stats_own->field, (n), __ATOMIC_RELAXED))
#define STATS_SET(field, n)                                                    \
	__atomic_store_n(&stats_own->field, (n), __ATOMIC_RELAXED)

/* Microseconds of CLOCK_MONOTONIC; they turn over each 71 minutes. */
uint32_t stats_now_us(void);
/* The time from since_us to now into h (&stats_own->...). */
void stats_time(struct stats_histogram *h, uint32_t since_us);

enum stats_mechanism stats_mechanism(struct text name);

/* In a role: fd, which is closed, is the page from now on.  -1 with errno. */
int stats_attach(int fd);

/*
 * In the master.  stats_page_new(): a page, sealed in size; *fd is the memfd,
 * close-on-exec.  stats_page_open(): one that another image has made; NULL
 * when it is not of this program's form.  Both fatal() without memory.
 */
struct stats *stats_page_new(int *fd);
struct stats *stats_page_open(int fd);
void stats_page_close(struct stats *page, int fd);
/* A descriptor of it that cannot be written to, or -1 with errno. */
int stats_page_readable(int fd);
/*
 * The same, to read what the master has sent: its word that fd is a page is
 * enough.  NULL with errno; fd stays the caller's.
 */
const struct stats *stats_page_map(int fd);

/* What is counted of one moment counts no more: its process has ended. */
void stats_clear_gauges(struct stats *page);

/*
 * Add to sum what a process of this role may say on its page; old: it is of an
 * old generation, whose inner servers' numbers mean other servers.
 */
void stats_add_page(
    struct stats *sum, const struct stats *page, enum role role, bool old);
/* The totals of page go to kept, and page is as new. */
void stats_keep(struct stats *kept, struct stats *page, enum role role);

/* --- what the numbers mean, for whoever shows them ---------------------- */

enum stats_type { STATS_COUNTER, STATS_GAUGE, STATS_HISTOGRAM };

/* A label, and the values that it can have; values NULL: inner servers. */
struct stats_label {
	const char *name;
	const char *const *values;
	size_t n;
};
#define STATS_LABELS 3

struct stats_family {
	const char *name; /* with its unit, without _total */
	const char *help;
	enum stats_type type;
	size_t offset; /* in struct stats, of the first number */
	/* the numbers are an array of so many dimensions; name NULL ends */
	struct stats_label labels[STATS_LABELS];
	unsigned int roles;   /* 1 << role: who may say it, beside the master */
	unsigned int divisor; /* the unit is so many of what is counted; 0: 1 */
	unsigned int daemons; /* enum conf_daemon; 0: all */
};

/* NULL behind the last. */
const struct stats_family *stats_family(size_t i);
/* How many numbers (or histograms) it has. */
size_t stats_family_size(const struct stats_family *f);
/* Upper ends in seconds, as text; STATS_BUCKETS - 1 of them. */
extern const char *const stats_bounds[STATS_BUCKETS - 1];

#endif
