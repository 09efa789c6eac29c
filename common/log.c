/* SPDX-License-Identifier: ISC */
/*
 * log: what any process has to say, its level, and its sink.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "unzeroed.h"

static log_sink *the_sink;
static void *sink_arg;
static int level = LOG_INFO;

void
log_set_sink(log_sink *sink, void *arg)
{
	the_sink = sink;
	sink_arg = arg;
}

void
log_set_level(int priority)
{
	level = priority;
}

bool
log_wants(int priority)
{
	return priority <= level;
}

static void
emit(int priority, const char *text)
{
	if (the_sink != NULL)
		the_sink(sink_arg, priority, text);
	else
		log_write(priority, getpid(), text);
}

static void __attribute__((format(printf, 3, 0)))
vlog(int priority, int error, const char *fmt, va_list ap)
{
	char text[LOG_LINE_MAX] UNZEROED;
	size_t n;
	int save = errno;

	if (!log_wants(priority))
		return;
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	if (error != 0) {
		n = strlen(text);
		(void)snprintf(
		    text + n, sizeof(text) - n, ": %s", strerror(error));
	}
	emit(priority, text);
	errno = save;
}

void
log_at(int priority, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(priority, 0, fmt, ap);
	va_end(ap);
}

void
log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_WARNING, errno, fmt, ap);
	va_end(ap);
}

void
log_warnx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_WARNING, 0, fmt, ap);
	va_end(ap);
}

void
log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_INFO, 0, fmt, ap);
	va_end(ap);
}

void
log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_DEBUG, 0, fmt, ap);
	va_end(ap);
}

void
fatal(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_ERR, errno, fmt, ap);
	va_end(ap);
	log_gather(false);
	exit(1);
}

void
fatalx(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vlog(LOG_ERR, 0, fmt, ap);
	va_end(ap);
	log_gather(false);
	exit(1);
}
