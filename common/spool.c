/* SPDX-License-Identifier: ISC */
/*
 * spool: makes the folder that the other processes are locked into.  Runs in
 * the master, as root.  It trusts root alone: what it finds must belong to
 * root and be closed to others' writing, no symbolic link is followed inside,
 * and what somebody else made is refused rather than put right, since nobody
 * knows what is in it.  The path to the spool and the files in /etc are the
 * administrator's, and there links are as good as anything.
 */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buf.h"
#include "log.h"
#include "priv.h"
#include "spool.h"
#include "xmalloc.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#define FOLDER_MODE 0755
#define FILE_MODE 0644
/* Octets of a copied file: /etc/hosts may be a long list of what to block. */
#define COPY_MAX (16 * 1024 * 1024)

#define EMPTY "empty"
#define RANDOM "urandom"

/*
 * Inside the spool, each behind the one it is in.  saslauthd makes its own
 * folder in var/run, whose group says who may ask it for passwords.
 */
static const struct {
	const char *path;
	mode_t mode;
} folders[] = {
	{ EMPTY, 0555 },
	{ "dev", FOLDER_MODE },
	{ "etc", FOLDER_MODE },
	{ "run", FOLDER_MODE },
	{ "var", FOLDER_MODE },
	{ "var/run", FOLDER_MODE },
};

static const char *const files[] = { "resolv.conf", "hosts", "nsswitch.conf",
	"services", "localtime" };
_Static_assert(nitems(files) == SPOOL_FILES, "spool_seen is of these");

/* A folder that was there before. */
static int
check_folder(int fd, const char *shown)
{
	struct stat st;

	if (fstat(fd, &st) == -1) {
		log_warn("%s", shown);
		return -1;
	}
	if (st.st_uid != 0) {
		log_warnx("%s belongs to user %ju, not to root: move it out of "
		          "the way",
		    shown, (uintmax_t)st.st_uid);
		return -1;
	}
	if ((st.st_mode & 0022) != 0 || (st.st_mode & 0555) != 0555) {
		log_warnx("%s has mode %04o: only root may write in it, and "
		          "all must be able to enter it; try chmod 755",
		    shown, (unsigned int)(st.st_mode & 07777));
		return -1;
	}
	return 0;
}

/* A new one may have its group and more from a parent with the setgid bit. */
static int
settle_folder(int fd, mode_t mode, const char *shown)
{
	if (fchown(fd, 0, 0) == -1 || fchmod(fd, mode) == -1) {
		log_warn("%s", shown);
		return -1;
	}
	return 0;
}

/*
 * Open the folder name in at; make it when there is none.  Its descriptor, or
 * -1 with a message.
 */
static int
open_folder(int at, const char *name, mode_t mode, const char *shown)
{
	mode_t mask;
	bool made;
	int fd, r;

	/* The mode must be right at once: a sister may be looking on. */
	mask = umask(0022);
	made = mkdirat(at, name, mode) == 0;
	(void)umask(mask);
	if (!made && errno != EEXIST) {
		log_warn("%s cannot be made", shown);
		return -1;
	}
	fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1) {
		log_warn("%s is no folder of ours", shown);
		return -1;
	}
	r = made ? settle_folder(fd, mode, shown) : check_folder(fd, shown);
	if (r == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

/* All of a regular file.  -1 with errno. */
static int
read_file(int at, const char *name, int flags, struct stat *st, struct buf *b)
{
	char part[16384];
	ssize_t n = -1;
	int save;
	int fd = openat(
	    at, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);

	if (fd == -1)
		return -1;
	if (fstat(fd, st) == -1)
		goto out;
	if (!S_ISREG(st->st_mode)) {
		errno = EINVAL;
		goto out;
	}
	while ((n = read(fd, part, sizeof(part))) > 0) {
		if (buf_append(b, part, (size_t)n) == -1) {
			errno = EFBIG;
			n = -1;
			break;
		}
	}
out:
	save = errno;
	close(fd);
	errno = save;
	return n == -1 ? -1 : 0;
}

/* Is the copy in etc what it would be if it were made anew? */
static bool
is_current(int etc, const char *name, struct text want)
{
	struct stat st;
	struct text have;
	struct buf b;
	bool same;

	buf_init(&b, want.len);
	same = read_file(etc, name, O_NOFOLLOW, &st, &b) == 0 &&
	    st.st_uid == 0 && (st.st_mode & 07777) == FILE_MODE;
	have = buf_view(&b);
	same = same && have.len == want.len &&
	    (want.len == 0 || memcmp(have.p, want.p, want.len) == 0);
	buf_free(&b);
	return same;
}

static int
write_all(int fd, struct text t)
{
	ssize_t n;

	while (t.len > 0) {
		n = write(fd, t.p, t.len);
		if (n == -1)
			return -1;
		t = text_skip(t, (size_t)n);
	}
	return 0;
}

/*
 * Readers see the old file or the new one, never a part; a link that stands
 * at name is replaced, not followed.  -1 with errno.
 */
static int
replace_file(int etc, const char *name, struct text t)
{
	char fresh[64];
	int fd, save;

	(void)snprintf(
	    fresh, sizeof(fresh), ".%s.%08" PRIx32, name, arc4random());
	fd = openat(etc, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd == -1)
		return -1;
	if (write_all(fd, t) == -1 || fchown(fd, 0, 0) == -1 ||
	    fchmod(fd, FILE_MODE) == -1 ||
	    renameat(etc, fresh, etc, name) == -1) {
		save = errno;
		(void)unlinkat(etc, fresh, 0);
		close(fd);
		errno = save;
		return -1;
	}
	close(fd);
	return 0;
}

/* A file that the system does not have is not missed inside, either. */
static int
copy_file(int etc, const char *name)
{
	struct stat st;
	struct buf b;
	char *from = xasprintf("/etc/%s", name);
	int r;

	buf_init(&b, COPY_MAX);
	r = read_file(AT_FDCWD, from, 0, &st, &b);
	if (r == -1 && errno == ENOENT)
		r = 0;
	else if (r == -1)
		log_warn("%s cannot be read", from);
	else if (!is_current(etc, name, buf_view(&b)) &&
	    (r = replace_file(etc, name, buf_view(&b))) == -1)
		log_warn("%s cannot be copied into the spool", from);
	buf_free(&b);
	free(from);
	return r;
}

static int
copy_files(int spool)
{
	int etc, r = 0;
	size_t i;

	etc = openat(
	    spool, "etc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (etc == -1) {
		log_warn("the spool's etc");
		return -1;
	}
	for (i = 0; i < nitems(files); i++) {
		if (copy_file(etc, files[i]) == -1)
			r = -1;
	}
	close(etc);
	return r;
}

/*
 * libsasl2 takes its nonces from here.  A container may not allow devices;
 * then nonces are weaker, behind TLS all the same.
 */
static void
make_random(int spool, const char *path)
{
	int dev = openat(
	    spool, "dev", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dev == -1)
		return;
	if (mknodat(dev, RANDOM, S_IFCHR | 0444, makedev(1, 9)) == -1 &&
	    errno != EEXIST)
		log_info("%s/dev/" RANDOM " cannot be made: %s", path,
		    strerror(errno));
	close(dev);
}

/* The workers' root.  What is in it is none of ours, so it stays. */
static void
look_into_empty(int spool, const char *path)
{
	const struct dirent *d;
	DIR *dir;
	int fd;

	fd = openat(
	    spool, EMPTY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd == -1)
		return;
	dir = fdopendir(fd);
	if (dir == NULL) {
		close(fd);
		return;
	}
	while ((d = readdir(dir)) != NULL) {
		if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0)
			continue;
		log_warnx("%s/" EMPTY " is not empty: workers can see what is "
		          "in it",
		    path);
		break;
	}
	closedir(dir);
}

static int
make_folders(int spool, const char *path)
{
	char *shown;
	size_t i;
	int fd;

	for (i = 0; i < nitems(folders); i++) {
		shown = xasprintf("%s/%s", path, folders[i].path);
		fd =
		    open_folder(spool, folders[i].path, folders[i].mode, shown);
		free(shown);
		if (fd == -1)
			return -1;
		close(fd);
	}
	make_random(spool, path);
	look_into_empty(spool, path);
	return 0;
}

/* Make and open the spool itself, in a folder that must be there. */
static int
open_spool(const char *path)
{
	char *parent = xstrdup(path);
	char *name;
	size_t n = strlen(parent);
	int at = -1, fd = -1;

	while (n > 0 && parent[n - 1] == '/')
		parent[--n] = '\0';
	name = strrchr(parent, '/');
	if (name == NULL || strcmp(name, "/.") == 0 ||
	    strcmp(name, "/..") == 0) {
		log_warnx("\"%s\" cannot be the spool", path);
		goto out;
	}
	*name++ = '\0';
	at = open(
	    *parent == '\0' ? "/" : parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at == -1)
		log_warn("%s, which the spool is to be in", parent);
	else
		fd = open_folder(at, name, FOLDER_MODE, path);
out:
	if (at != -1)
		close(at);
	free(parent);
	return fd;
}

int
spool_prepare(const char *path)
{
	int spool, r = -1;

	if (!priv_am_root())
		return 0; /* nobody is going to be locked into it */
	spool = open_spool(path);
	if (spool == -1)
		return -1;
	if (make_folders(spool, path) == 0)
		r = copy_files(spool);
	close(spool);
	return r;
}

static bool
has_changed(const char *name, struct timespec *seen)
{
	char *from = xasprintf("/etc/%s", name);
	struct timespec now = { 0 };
	struct stat st;
	bool changed;

	if (stat(from, &st) == 0)
		now = st.st_ctim;
	free(from);
	changed = now.tv_sec != seen->tv_sec || now.tv_nsec != seen->tv_nsec;
	*seen = now;
	return changed;
}

static void
follow_file(const char *path, const char *name)
{
	char *etc = xasprintf("%s/etc", path);
	int fd = open(etc, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd == -1)
		log_warn("%s", etc);
	else
		(void)copy_file(fd, name);
	if (fd != -1)
		close(fd);
	free(etc);
}

void
spool_follow(const char *path, struct spool_seen *seen)
{
	size_t i;

	if (!priv_am_root())
		return; /* nobody is locked into it */
	for (i = 0; i < nitems(files); i++)
		if (has_changed(files[i], &seen->changed[i]))
			follow_file(path, files[i]);
}
