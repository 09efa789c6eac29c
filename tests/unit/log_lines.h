/* SPDX-License-Identifier: ISC */
/*
 * log_lines: a log that is opened, and what its lines look like, for the tests
 * of log_target.
 */
#ifndef LOG_LINES_H
#define LOG_LINES_H

#include <fcntl.h>
#include <regex.h>
#include <unistd.h>

#include "log.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define STAMP "[A-Z][a-z]{2} [ 0-9][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2}"

static void
open_log(const char *target)
{
	const char *why = NULL;

	if (log_open(target, "testd", &why) == -1)
		fail_msg("%s: %s", target, why);
}

static void
assert_matches(const char *text, const char *pattern)
{
	regex_t re;

	assert_int_equal(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	if (regexec(&re, text, 0, NULL, 0) != 0)
		fail_msg("%s does not match %s", text, pattern);
	regfree(&re);
}

/* All that is in a file that holds not more. */
static char *
contents(const char *path)
{
	static char text[4096];
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_not_equal(fd, -1);
	n = read(fd, text, sizeof(text) - 1);
	assert_true(n >= 0);
	close(fd);
	text[n] = '\0';
	return text;
}

#endif
