/* SPDX-License-Identifier: ISC */
/*
 * pid_file: the master's pid in a file, and a lock (flock(2)) on it.  The
 * lock belongs to the open file, so it lives on in a successor that inherits
 * the descriptor.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "pid_file.h"
#include "xmalloc.h"

struct pid_file {
	char *path;
	int fd;
};

static bool
is_at(const struct pid_file *p)
{
	struct stat ours, there;

	return fstat(p->fd, &ours) == 0 && stat(p->path, &there) == 0 &&
	    ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

struct pid_file *
pid_file_adopt(const char *path, int fd)
{
	struct pid_file *p = xcalloc(1, sizeof(*p));

	p->path = xstrdup(path);
	p->fd = fd;
	return p;
}

static void
let_go(struct pid_file **pp)
{
	close((*pp)->fd);
	free((*pp)->path);
	free(*pp);
	*pp = NULL;
}

static void
log_owner(const char *path, int fd)
{
	char text[32] = "";

	if (pread(fd, text, sizeof(text) - 1, 0) == -1)
		text[0] = '\0';
	text[strspn(text, "0123456789")] = '\0';
	log_warnx("pid_file %s: process %s runs already", path, text);
}

struct pid_file *
pid_file_open(const char *path)
{
	struct pid_file *p;
	int fd = open(
	    path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);

	if (fd == -1) {
		log_warn("pid_file %s", path);
		return NULL;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		if (errno == EWOULDBLOCK)
			log_owner(path, fd);
		else
			log_warn("pid_file %s", path);
		close(fd);
		return NULL;
	}
	p = pid_file_adopt(path, fd);
	if (is_at(p))
		return p;
	let_go(&p); /* its owner was just removing it: there is room now */
	log_warnx("pid_file %s: it was removed meanwhile", path);
	return NULL;
}

void
pid_file_write(struct pid_file *p)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%ld", (long)getpid());

	if (ftruncate(p->fd, 0) == -1 || pwrite(p->fd, text, (size_t)n, 0) != n)
		log_warn("pid_file %s", p->path);
}

void
pid_file_remove(struct pid_file **pp)
{
	struct pid_file *p = *pp;

	if (p == NULL)
		return;
	if (is_at(p) && unlink(p->path) == -1)
		log_warn("pid_file %s", p->path);
	let_go(pp);
}

const char *
pid_file_path(const struct pid_file *p)
{
	return p->path;
}

int
pid_file_fd(const struct pid_file *p)
{
	return p->fd;
}
