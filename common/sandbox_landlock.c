/* SPDX-License-Identifier: ISC */
/*
 * sandbox_landlock: what Landlock adds to the system call filter.  A filter
 * sees numbers only; Landlock knows which file a path leads to and which port
 * an address names.  Runs once in each role.
 *
 * C libraries have no functions for it, and kernel headers lag behind
 * kernels, so numbers and structs are written down here (the kernel's
 * Documentation/userspace-api/landlock.rst).  A struct may be longer than
 * the running kernel's, as long as what that does not know is zero.
 */
#include <sys/syscall.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_landlock.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define CREATE_RULESET_VERSION 1U
#define RULE_PATH_BENEATH 1
#define RULE_NET_PORT 2

#define FS_READ_FILE (UINT64_C(1) << 2)
#define FS_FIRST                                                               \
	((UINT64_C(1) << 13) - 1)    /* execute, read, write, make ...         \
	                              */
#define FS_REFER (UINT64_C(1) << 13) /* link and rename elsewhere */
#define FS_TRUNCATE (UINT64_C(1) << 14)
#define FS_IOCTL_DEV (UINT64_C(1) << 15)
#define NET_BIND_TCP (UINT64_C(1) << 0)
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT_UNIX_SOCKET (UINT64_C(1) << 0)
#define SCOPE_SIGNAL (UINT64_C(1) << 1)

enum {
	ABI_REFER = 2,
	ABI_TRUNCATE = 3,
	ABI_NET = 4,
	ABI_IOCTL_DEV = 5,
	ABI_SCOPE = 6
};

#define DNS_PORT 53 /* over TCP: RFC 7766 */

struct ruleset {
	uint64_t handled_fs, handled_net, scoped;
};

struct path_rule {
	uint64_t allowed;
	int32_t parent_fd;
} __attribute__((packed)); /* as the kernel's is */

struct port_rule {
	uint64_t allowed;
	uint64_t port; /* host byte order */
};

/* What is handled is forbidden, unless a rule allows it. */
static struct ruleset
everything(long abi, bool network)
{
	struct ruleset r = { .handled_fs = FS_FIRST };

	if (abi >= ABI_REFER)
		r.handled_fs |= FS_REFER;
	if (abi >= ABI_TRUNCATE)
		r.handled_fs |= FS_TRUNCATE;
	if (abi >= ABI_IOCTL_DEV)
		r.handled_fs |= FS_IOCTL_DEV;
	if (abi >= ABI_NET && !network)
		r.handled_net = NET_BIND_TCP | NET_CONNECT_TCP;
	if (abi >= ABI_SCOPE)
		r.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
	return r;
}

static void
allow_reading(int ruleset, const char *path)
{
	struct path_rule r = { .allowed = FS_READ_FILE };

	r.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (r.parent_fd == -1 && errno == ENOENT)
		return; /* so nobody is going to read it */
	if (r.parent_fd == -1)
		fatal("%s", path);
	if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &r,
	        0U) == -1)
		fatal("Landlock: %s", path);
	close(r.parent_fd);
}

static void
allow_connecting(int ruleset, uint16_t port)
{
	const struct port_rule r = { NET_CONNECT_TCP, port };

	if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &r, 0U) ==
	    -1)
		fatal("Landlock: port %u", port);
}

/* Name servers, and inner servers. */
static void
allow_broker(int ruleset, const struct sandbox *s)
{
	size_t i;

	allow_connecting(ruleset, DNS_PORT);
	for (i = 0; i < s->nports; i++)
		allow_connecting(ruleset, s->ports[i]);
}

static bool
may_read(enum role role)
{
	return role == ROLE_BROKER || role == ROLE_AUTHENTICATOR;
}

/* -1: not built in, not switched on, not let through. */
static long
version(void)
{
	long abi = syscall(
	    SYS_landlock_create_ruleset, NULL, 0UL, CREATE_RULESET_VERSION);

	/* EPERM: what a container's system call filter says of a new call. */
	if (abi == -1 && errno != ENOSYS && errno != EOPNOTSUPP &&
	    errno != EPERM)
		fatal("Landlock");
	return abi;
}

unsigned int
sandbox_landlock(const struct sandbox *s)
{
	return sandbox_landlock_at_most(s, LONG_MAX);
}

unsigned int
sandbox_landlock_at_most(const struct sandbox *s, long abi_max)
{
	struct ruleset r;
	long abi = version();
	size_t i;
	int fd;

	if (abi > abi_max)
		abi = abi_max;
	if (abi <= 0)
		return SANDBOX_NO_LANDLOCK;
	r = everything(abi, s->network);
	fd = (int)syscall(SYS_landlock_create_ruleset, &r, sizeof(r), 0U);
	if (fd == -1)
		fatal("Landlock");
	for (i = 0; may_read(s->role) && i < nitems(s->read_paths); i++)
		if (s->read_paths[i] != NULL)
			allow_reading(fd, s->read_paths[i]);
	if (s->role == ROLE_BROKER && abi >= ABI_NET)
		allow_broker(fd, s);
	if (syscall(SYS_landlock_restrict_self, fd, 0U) == -1)
		fatal("Landlock");
	close(fd);
	return (abi < ABI_NET ? SANDBOX_NO_LANDLOCK_NET : 0) |
	    (abi < ABI_SCOPE ? SANDBOX_NO_LANDLOCK_SCOPE : 0);
}
