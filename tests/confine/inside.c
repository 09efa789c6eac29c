/* SPDX-License-Identifier: ISC */
/*
 * What a role may do, tried in the role itself: for a build of the daemons
 * beside the real one ($B/confine), whose every other object is the real
 * one's.  The linker puts __wrap_role_confine() in the place of
 * role_confine().
 *
 * The environment variable RELAIS_INSIDE names a file of struct attempt, which
 * the test has written and each role maps before it is confined.  After that
 * it takes, one by one, those of its role that nobody has begun.  One that
 * stays "begun" was the process's last; who comes in its place goes on with
 * the next.  With none left the role does its work.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inside.h"
#include "role.h"

enum { WAITS, BEGUN, DONE, UNKNOWN };

/* As tests/e2e/test_confine_inside.py packs it. */
struct attempt {
	uint32_t role;
	uint32_t state;
	int32_t value; /* errno, or 0 */
	uint32_t port;
	char name[48];
	char path[192];
};

static struct attempt *attempts;
static size_t nattempts;

static const struct inside_call *
find(const char *name)
{
	size_t i;

	for (i = 0; i < inside_ncalls; i++)
		if (strcmp(inside_calls[i].name, name) == 0)
			return &inside_calls[i];
	return NULL;
}

static long
run(const struct inside_call *c, const struct attempt *a)
{
	const long *v = c->args;

	if (c->run != NULL)
		return c->run(a->path, (uint16_t)a->port);
	return syscall(c->nr, v[0], v[1], v[2], v[3], v[4], v[5]);
}

static void
try_all(enum role role)
{
	const struct inside_call *c;
	struct attempt *a;
	uint32_t state;
	size_t i;

	for (i = 0; i < nattempts; i++) {
		a = &attempts[i];
		state = WAITS;
		if (a->role != role ||
		    !__atomic_compare_exchange_n(&a->state, &state, BEGUN,
		        false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			continue;
		c = find(a->name);
		if (c != NULL)
			a->value = run(c, a) == -1 ? errno : 0;
		a->state = c != NULL ? DONE : UNKNOWN;
	}
}

static void
map(void)
{
	const char *path = getenv("RELAIS_INSIDE");
	struct stat st;
	int fd;

	if (path == NULL || attempts != NULL)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		abort();
	nattempts = (size_t)st.st_size / sizeof(*attempts);
	attempts = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE,
	    MAP_SHARED, fd, 0);
	if (attempts == MAP_FAILED)
		abort();
	close(fd);
}

struct ipc *__real_role_confine(const struct role_start *start,
    const struct sandbox *box, unsigned int files, ipc_handler *handler,
    void *arg);
struct ipc *__wrap_role_confine(const struct role_start *start,
    const struct sandbox *box, unsigned int files, ipc_handler *handler,
    void *arg);

struct ipc *
__wrap_role_confine(const struct role_start *start, const struct sandbox *box,
    unsigned int files, ipc_handler *handler, void *arg)
{
	struct ipc *master;

	map();
	master = __real_role_confine(start, box, files, handler, arg);
	try_all(start->role);
	return master;
}
