/* SPDX-License-Identifier: ISC */
/*
 * priv: from root to a user without rights, in one direction only.  Runs in
 * the master (priv_lookup(), priv_trim_master()) and at the start of every
 * role, before anything from outside was read.  It trusts its arguments,
 * which come from the configuration, and nothing that the kernel did not
 * confirm: a role that is not wholly dropped does not start.
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <grp.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include "log.h"
#include "priv.h"

#define BIT(capability) (UINT64_C(1) << (capability))

/* What is left of root in the master, and so what its roles are born with. */
static const uint64_t master_capabilities =
    BIT(CAP_CHOWN) |            /* the spool's folders: owner and group */
    BIT(CAP_FOWNER) |           /* the spool's folders: mode */
    BIT(CAP_DAC_READ_SEARCH) |  /* key files that only their owner reads */
    BIT(CAP_NET_BIND_SERVICE) | /* ports below 1024 */
    BIT(CAP_KILL) |             /* roles run as another user */
    BIT(CAP_SYS_RESOURCE) |     /* more descriptors than the hard limit */
    BIT(CAP_SETGID) |           /* for roles: groups */
    BIT(CAP_SETUID) |           /* for roles: user */
    BIT(CAP_SYS_CHROOT) |       /* for roles: root directory */
    BIT(CAP_SETPCAP);           /* for roles: the bounding set's end */

struct capabilities {
	uint64_t effective, permitted, inheritable;
};

int
priv_lookup(const char *user, const char *group, struct priv_user *out)
{
	const struct passwd *pw;

	pw = getpwnam(user);
	if (pw == NULL)
		return -1;
	*out = (struct priv_user){ .uid = pw->pw_uid, .gid = pw->pw_gid };
	return group != NULL ? priv_lookup_group(group, &out->gid) : 0;
}

int
priv_lookup_group(const char *name, gid_t *out)
{
	const struct group *gr = getgrnam(name);

	if (gr == NULL)
		return -1;
	*out = gr->gr_gid;
	return 0;
}

bool
priv_am_root(void)
{
	return geteuid() == 0;
}

/* The C library has no capget() and capset(); version 3 has 64 bits in two. */
static int
capabilities_get(struct capabilities *c)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3,
		0 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, d) == -1)
		return -1;
	c->effective = d[0].effective | (uint64_t)d[1].effective << 32;
	c->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	c->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
	return 0;
}

/* Of what we have, keep these; nothing is inherited by exec. */
static int
capabilities_keep(uint64_t keep)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3,
		0 };
	struct __user_cap_data_struct d[_LINUX_CAPABILITY_U32S_3] = { 0 };
	struct capabilities have;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0L, 0L, 0L) == -1)
		return -1;
	if (capabilities_get(&have) == -1)
		return -1;
	keep &= have.permitted;
	d[0].effective = d[0].permitted = (uint32_t)keep;
	d[1].effective = d[1].permitted = (uint32_t)(keep >> 32);
	return (int)syscall(SYS_capset, &head, d);
}

/* The kernel answers EINVAL (-1) past the last capability it knows. */
static int
bounding_keep(uint64_t keep)
{
	unsigned long n;
	int have;

	for (n = 0; n < 64; n++) {
		have = prctl(PR_CAPBSET_READ, n, 0L, 0L, 0L);
		if (have == -1)
			break;
		if (have == 0 || (keep & BIT(n)) != 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, n, 0L, 0L, 0L) == -1)
			return -1;
	}
	return 0;
}

int
priv_trim_master(void)
{
	int bounded;

	if (!priv_am_root())
		return 0;
	bounded = bounding_keep(master_capabilities);
	if (capabilities_keep(master_capabilities) == -1)
		return -1;
	return bounded;
}

/*
 * Uid 0 is nothing special to exec any more, and no later change of user or
 * exec gives anything.  Where a container or a unit keeps SETPCAP from us
 * this cannot be had: no_new_privs, which priv_harden() sets, does the same.
 */
static void
close_doors(void)
{
	struct capabilities have;
	int bits;

	if (capabilities_get(&have) == -1)
		fatal("capget");
	if ((have.effective & BIT(CAP_SETPCAP)) == 0)
		return;
	if (bounding_keep(0) == -1)
		fatal("bounding set");
	bits = prctl(PR_GET_SECUREBITS, 0L, 0L, 0L, 0L);
	if (bits == -1)
		fatal("securebits");
	bits |= SECBIT_NOROOT | SECBIT_NOROOT_LOCKED |
	    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
	    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
	if (prctl(PR_SET_SECUREBITS, (unsigned long)bits, 0L, 0L, 0L) == -1)
		fatal("securebits");
}

static void
enter_root(const char *root)
{
	if (chroot(root) == -1)
		fatal("chroot %s", root);
	if (chdir("/") == -1)
		fatal("chdir / in %s", root);
}

/* Groups first: with the user goes the right to change them. */
static void
become(const struct priv_user *u)
{
	if (u->uid == 0)
		fatalx("a process that serves clients must not run as root");
	if (setgroups(u->has_extra ? 1 : 0, &u->extra) == -1)
		fatal("setgroups");
	if (setresgid(u->gid, u->gid, u->gid) == -1)
		fatal("setresgid %ju", (uintmax_t)u->gid);
	if (setresuid(u->uid, u->uid, u->uid) == -1)
		fatal("setresuid %ju", (uintmax_t)u->uid);
}

/* The extra group, and nothing else. */
static bool
has_its_groups(const struct priv_user *u)
{
	gid_t group;

	if (!u->has_extra)
		return getgroups(0, NULL) == 0;
	return getgroups(0, NULL) == 1 && getgroups(1, &group) == 1 &&
	    group == u->extra;
}

static void
verify_user(const struct priv_user *u)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (getresuid(&r, &e, &s) == -1 || getresgid(&rg, &eg, &sg) == -1)
		fatal("getresuid");
	if (r != u->uid || e != u->uid || s != u->uid)
		fatalx("the change of user did not take place");
	if (rg != u->gid || eg != u->gid || sg != u->gid || !has_its_groups(u))
		fatalx("the change of group did not take place");
	if (setuid(0) != -1 || seteuid(0) != -1)
		fatalx("root could be had back");
	if (u->gid != 0 && (setgid(0) != -1 || setegid(0) != -1))
		fatalx("root's group could be had back");
}

static void
verify_capabilities(void)
{
	struct capabilities c;

	if (capabilities_get(&c) == -1)
		fatal("capget");
	if ((c.effective | c.permitted | c.inheritable) != 0)
		fatalx("capabilities are left over");
}

void
priv_drop(const char *root, const struct priv_user *user)
{
	close_doors();
	if (root != NULL)
		enter_root(root);
	if (user != NULL)
		become(user);
	if (capabilities_keep(0) == -1)
		fatal("capset");
	verify_capabilities();
	if (user != NULL)
		verify_user(user);
}

static void
set_limit(enum __rlimit_resource what, rlim_t value)
{
	const struct rlimit r = { value, value };

	if (setrlimit(what, &r) == -1)
		fatal("setrlimit");
}

/* The right to go beyond the hard limit went with the capabilities. */
static void
limit_files(rlim_t files)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == -1)
		fatal("getrlimit");
	if (files > r.rlim_max) {
		log_warnx("only %ju descriptors to be had, %ju wanted",
		    (uintmax_t)r.rlim_max, (uintmax_t)files);
		files = r.rlim_max;
	}
	set_limit(RLIMIT_NOFILE, files);
}

void
priv_limit_memory(size_t octets)
{
	set_limit(RLIMIT_DATA, octets);
}

/* As many as there may be: the user's processes in all daemons count. */
static void
all_processes(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NPROC, &r) == -1)
		fatal("getrlimit");
	set_limit(RLIMIT_NPROC, r.rlim_max);
}

void
priv_harden(unsigned int files, bool no_files, bool forks)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) == -1)
		fatal("no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0L, 0L, 0L, 0L) == -1)
		fatal("dumpable");
	if (prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0L, 0L, 0L) == -1)
		fatal("parent's death signal");
	set_limit(RLIMIT_CORE, 0);
	if (forks)
		all_processes();
	else
		set_limit(RLIMIT_NPROC, 0);
	if (no_files)
		set_limit(RLIMIT_FSIZE, 0);
	if (files != 0)
		limit_files(files);
}
