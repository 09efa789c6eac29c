/* SPDX-License-Identifier: ISC */
/*
 * launch: who started us, and what came along.  Runs in the master.  The
 * environment is trusted as the command line is.
 */
#include <sys/stat.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"
#include "log.h"
#include "text.h"
#include "xmalloc.h"

/*
 * The file that was executed, by a name that stays good whatever becomes of
 * the working directory; a link is followed at each reload.
 */
static const char *
find_program(const char *name, const char *folder)
{
	struct stat ours, named;
	char path[PATH_MAX], *full;
	ssize_t n;

	full =
	    name[0] == '/' ? xstrdup(name) : xasprintf("%s/%s", folder, name);
	if (strchr(name, '/') != NULL && stat(full, &named) == 0 &&
	    stat("/proc/self/exe", &ours) == 0 && named.st_dev == ours.st_dev &&
	    named.st_ino == ours.st_ino)
		return full;
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n == -1)
		return full;
	free(full);
	return xstrndup(path, (size_t)n);
}

/* Copies: a title is written over what argv points to. */
static void
find_command(struct supervise_launch *again, int argc, char *const *argv)
{
	char folder[PATH_MAX];
	char **copy = xcalloc((size_t)argc + 2, sizeof(*copy));
	int i;

	again->folder =
	    xstrdup(getcwd(folder, sizeof(folder)) != NULL ? folder : "/");
	again->program = find_program(argc > 0 ? argv[0] : "", again->folder);
	copy[0] = xstrdup(again->program);
	for (i = 1; i < argc; i++)
		copy[i] = xstrdup(argv[i]);
	again->argv = copy;
}

/* Is there a running master that hands over, or has the check done? */
static struct reload_state *
find_before(void)
{
	const char *text = getenv(RELOAD_VARIABLE), *why;
	struct reload_state *before;
	uint64_t fd;

	if (text == NULL)
		return NULL;
	if (!text_u64(text_of(text), INT_MAX, &fd) || fd <= STDERR_FILENO)
		fatalx("%s: \"%s\" is no descriptor of ours", RELOAD_VARIABLE,
		    text);
	(void)unsetenv(RELOAD_VARIABLE);
	before = reload_state_read((int)fd, &why);
	if (before == NULL)
		fatalx("what the running master hands over: %s", why);
	close((int)fd);
	reload_state_keep_open(before, false);
	return before;
}

/*
 * The environment still names what systemd gave, but descriptor 0 is inetd's
 * no more: whatever came is in the state.
 */
static void
inherit_again(struct inherited *in, const struct reload_state *before)
{
	struct inherited_socket *to = in->sockets;
	size_t i;

	*in = (struct inherited){ .kind = INHERIT_NONE };
	if (!before->inherited)
		return;
	if (before->nlisteners > INHERIT_MAX)
		fatalx("more sockets than can be inherited");
	in->kind = INHERIT_LISTENERS;
	in->n = before->nlisteners;
	for (i = 0; i < in->n; i++, to++) {
		to->fd = before->listeners[i].fd;
		to->local = before->listeners[i].addr;
		memcpy(to->name, before->listeners[i].name, sizeof(to->name));
	}
}

int
launch_find(struct launch *l, int argc, char *const *argv)
{
	find_command(&l->again, argc, argv);
	notify_open(&l->notify);
	l->before = find_before();
	if (l->before != NULL)
		inherit_again(&l->inherited, l->before);
	else if (inherit_find(&l->inherited) == -1)
		return -1;
	l->again.inherited = &l->inherited;
	return 0;
}

bool
launch_is_successor(const struct launch *l)
{
	return l->before != NULL && l->before->pid == getpid();
}
