/* SPDX-License-Identifier: ISC */
/*
 * log: levels and sinks.  Levels are those of syslog(3) (LOG_ERR, LOG_WARNING,
 * LOG_NOTICE, LOG_INFO, LOG_DEBUG).  A process writes to stderr until a sink
 * is set; a role sets one that sends to the master, the master one that
 * writes to syslog, a file or a standard stream.
 *
 * Text from strangers passes through text_printable() before it comes here.
 */
#ifndef LOG_H
#define LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <syslog.h>

#define LOG_LINE_MAX 2048 /* octets of one message, NUL included */
#define LOG_IDENT_MAX 128 /* of an identity */

typedef void log_sink(void *arg, int priority, const char *text);

/* From now on messages go to sink; NULL: to stderr again. */
void log_set_sink(log_sink *sink, void *arg);

/* Messages above this level are not made at all.  Default: LOG_INFO. */
void log_set_level(int priority);
bool log_wants(int priority);

void log_at(int priority, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* With errno's text behind; log_warnx() without. */
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warnx(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Log at LOG_ERR and exit(1): start-up, lack of memory, what cannot be. */
_Noreturn void fatal(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));
_Noreturn void fatalx(const char *fmt, ...)
    __attribute__((format(printf, 1, 2)));

/*
 * The master's sink.  target is log_facility's value: a syslog facility
 * ("local5"), an absolute path, "-" (stdout) or "+" (stderr).  ident is
 * copied.  Returns -1 and a message in *why (static) when target is none of
 * these or the file cannot be opened.  Call it again to reopen a file.
 */
int log_open(const char *target, const char *ident, const char **why);
bool log_target_valid(const char *target);

/*
 * Write one line as process pid, whoever calls: the master writes for all.
 * Never blocks: what a full syslog socket does not take is queued up to a
 * bound, then counted, and the count is logged when there is room again; so
 * is what a stream or a full disk does not take.
 */
void log_write(int priority, pid_t pid, const char *text);
/* The same with another identity than log_open()'s, which is log_ident(). */
void log_write_as(const char *ident, int priority, pid_t pid, const char *text);
const char *log_ident(void);
/*
 * Lines that came together may go together: what log_write() is given while
 * on, syslog gets in the same order with one system call when it is switched
 * off, or earlier.  Calls do not nest.
 */
void log_gather(bool on);

/* What log_write() was given so far, and what of it nobody took. */
struct log_counts {
	uint64_t lines, lost;
};
struct log_counts log_counts(void);

/* Try to get rid of the queue; returns true while there is something left. */
bool log_flush(void);
/*
 * What waits for a busy syslog daemon, for the image that a reload executes:
 * it says it in front of its own.
 */
struct log_queue {
	char *lines;   /* each with a NUL at its end; NULL: none */
	size_t len;    /* octets of lines */
	uint64_t lost; /* lines that nobody took and the log does not tell of */
};
/* A copy; its lines are to be freed. */
void log_queue_get(struct log_queue *out);
/* Behind log_open(): q's lines wait here, too; what is no line is left out. */
void log_queue_put(const struct log_queue *q);
/* The descriptor whose room the queue waits for; -1: it is something else. */
int log_room_fd(void);
/* Called when the first line begins to wait; it must not log.  NULL: nobody. */
void log_on_wait(void (*waits)(void *arg), void *arg);

#endif
