/* SPDX-License-Identifier: ISC */
/*
 * sandbox_seccomp: makes a filter of the rows of sandbox_rules, and puts a
 * process into it.  The master compiles them once, each process of a role
 * loads what came of it: compiling takes as long as a whole login does.
 */
#include <sys/mman.h>
#include <sys/prctl.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_rules.h"
#include "sandbox_seccomp.h"
#include "xmalloc.h"

#ifdef SANITIZE
#define SANITIZING true /* sanitizers need calls that are not ours */
#else
#define SANITIZING false
#endif

/*
 * Stands for the pid of the process that loads the filter; no pid is as high
 * (PID_MAX_LIMIT of Linux is 2^22).
 */
#define SELF 0x7fffffffU

/* libseccomp returns a negative errno. */
static void
must(int rc)
{
	if (rc == 0)
		return;
	errno = -rc;
	fatal("seccomp");
}

static void
add_rule(scmp_filter_ctx filter, uint32_t action, const struct rule *r)
{
	unsigned int n = 0;

	if (r->call < 0)
		return;
	while (n < RULE_ARGS && r->args[n].op != 0)
		n++;
	must(seccomp_rule_add_exact_array(filter, action, r->call, n, r->args));
}

static void
add_rules(scmp_filter_ctx filter, uint32_t action, unsigned int roles,
    const struct rules *rules)
{
	size_t i;

	for (i = 0; i < rules->n; i++)
		if ((rules->rows[i].roles & roles) != 0)
			add_rule(filter, action, &rules->rows[i]);
}

/*
 * abort(3) signals its own thread; nobody else's is ours to signal.  The pid
 * of what will be born in a nursery is not known: its own filter knows it.
 */
static void
add_abort(scmp_filter_ctx filter, enum role role)
{
	if (role == ROLE_NURSERY) {
		must(seccomp_rule_add_exact(filter, SCMP_ACT_ALLOW,
		    SCMP_SYS(tgkill), 1, EQ(2, SIGABRT)));
		must(seccomp_rule_add_exact(filter, SCMP_ACT_KILL_PROCESS,
		    SCMP_SYS(tgkill), 1, NE(2, SIGABRT)));
		return;
	}
	must(seccomp_rule_add_exact(
	    filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, EQ(0, SELF)));
	must(seccomp_rule_add_exact(
	    filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(tgkill), 1, NE(0, SELF)));
}

static unsigned int
roles_of(enum role role, bool network)
{
	if (role != ROLE_AUTHENTICATOR)
		return 1U << role;
	return 1U << role |
	    (network ? (unsigned int)NET : (unsigned int)NO_NET);
}

/* The compiled filter; libseccomp only writes it to a descriptor. */
static void export(scmp_filter_ctx filter, struct buf *out)
{
	char part[4096];
	ssize_t n;
	int fd = memfd_create("filter", MFD_CLOEXEC);

	if (fd == -1)
		fatal("seccomp: memfd_create");
	must(seccomp_export_bpf(filter, fd));
	(void)lseek(fd, 0, SEEK_SET);
	while ((n = read(fd, part, sizeof(part))) > 0)
		if (buf_append(out, part, (size_t)n) == -1)
			fatalx("seccomp: the filter is too long");
	if (n == -1)
		fatal("seccomp: the filter");
	close(fd);
}

static scmp_filter_ctx
new_filter(uint32_t otherwise)
{
	scmp_filter_ctx filter = seccomp_init(otherwise);

	if (filter == NULL)
		fatalx("seccomp: no filter to be had");
	/* Calls in another architecture's numbers, x32 among them. */
	must(seccomp_attr_set(
	    filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS));
	/* A binary tree rather than a list of comparisons. */
	must(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2));
	return filter;
}

void
sandbox_compile(enum role role, bool network, struct buf *out)
{
	unsigned int roles = roles_of(role, network);
	scmp_filter_ctx filter = new_filter(SCMP_ACT_ERRNO(ENOSYS));

	add_rules(filter, SCMP_ACT_ALLOW, roles, &sandbox_allowed);
	add_rules(filter, SCMP_ACT_ERRNO(EACCES), roles, &sandbox_refused);
	add_rules(filter,
	    role == ROLE_AUTHENTICATOR ? SCMP_ACT_ERRNO(EACCES)
	                               : SCMP_ACT_KILL_PROCESS,
	    roles, &sandbox_changing);
	add_rules(filter, SCMP_ACT_KILL_PROCESS, roles, &sandbox_killed);
	add_abort(filter, role);
	export(filter, out);
	seccomp_release(filter);
}

/* Is one of these rows, before the end, about the call, for roles of these? */
static bool
has_call(const struct rule *rules, size_t end, unsigned int of,
    unsigned int roles, int call)
{
	size_t i;

	for (i = 0; i < end; i++)
		if ((rules[i].roles & of) == roles && rules[i].call == call)
			return true;
	return false;
}

/*
 * Of several filters the strictest word holds: all that is left to say is what
 * a worker may not do of what its nursery may.
 */
void
sandbox_compile_born(struct buf *out)
{
	scmp_filter_ctx filter = new_filter(SCMP_ACT_ALLOW);
	const struct rule *const killed = sandbox_killed.rows;
	const struct rule *const allowed = sandbox_allowed.rows;
	struct rule r = { 0 };
	size_t i;

	for (i = 0; i < sandbox_killed.n; i++)
		if ((killed[i].roles & W) == WORKER)
			add_rule(filter, SCMP_ACT_KILL_PROCESS, &killed[i]);
	for (i = 0; i < sandbox_allowed.n; i++) {
		r.call = allowed[i].call;
		if ((allowed[i].roles & W) == N &&
		    !has_call(allowed, i, N, N, r.call) &&
		    !has_call(killed, sandbox_killed.n, W, WORKER, r.call))
			add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), &r);
	}
	must(seccomp_rule_add_exact(
	    filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(tgkill), 1, NE(0, SELF)));
	export(filter, out);
	seccomp_release(filter);
}

void
sandbox_compile_master(struct buf *out)
{
	scmp_filter_ctx filter = new_filter(SCMP_ACT_ALLOW);

	add_rules(
	    filter, SCMP_ACT_KILL_PROCESS, 1 << ROLE_MASTER, &sandbox_killed);
	export(filter, out);
	seccomp_release(filter);
}

/* The compiled filter for this very process. */
static struct sock_filter *
own(struct text filter, size_t n)
{
	struct sock_filter *code = xmalloc(filter.len);
	size_t i;

	memcpy(code, filter.p, filter.len);
	for (i = 0; i < n; i++)
		if (code[i].code == (BPF_JMP | BPF_JEQ | BPF_K) &&
		    code[i].k == SELF)
			code[i].k = (uint32_t)getpid();
	return code;
}

unsigned int
sandbox_seccomp(struct text filter)
{
	struct sock_fprog program;

	if (SANITIZING ||
	    (prctl(PR_GET_SECCOMP, 0L, 0L, 0L, 0L) == -1 && errno == EINVAL))
		return SANDBOX_NO_SECCOMP;
	if (filter.len == 0)
		fatalx("seccomp: there is no filter");
	program.len = (unsigned short)(filter.len / sizeof(*program.filter));
	program.filter = own(filter, program.len);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0L, 0L) == -1)
		fatal("seccomp");
	free(program.filter);
	return 0;
}
