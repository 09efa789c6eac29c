/* SPDX-License-Identifier: ISC */
/*
 * What a role must not do: a child in its sandbox tries it.  Every call has
 * arguments that do no harm should it get through.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "confined.h"
#include "log.h"
#include "sandbox.h"
#include "sandbox_landlock.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

static struct sockaddr_un hidden = { .sun_family = AF_UNIX }; /* abstract */
static char scratch[] = "/tmp/test_sandbox.XXXXXX";
static char page[8192] __attribute__((aligned(4096)));
static int one = 1;
static struct msghdr no_message;
static socklen_t page_len = sizeof(page);

/* One system call, and what each role sees of it. */
struct probe {
	const char *name;
	long nr;
	long args[6];
	int keeper, broker, worker, authenticator;
	unsigned int needs; /* enum sandbox_missing: pointless without */
};

static int
try_call(const void *arg)
{
	const struct probe *p = arg;
	const long *a = p->args;

	return syscall(p->nr, a[0], a[1], a[2], a[3], a[4], a[5]) == -1 ? errno
	                                                                : 0;
}

static int
nothing(const void *arg)
{
	(void)arg;
	return 0;
}

/* What a worker does, but that it may fork, in one way. */
static int
nursery_sees(const struct probe *p)
{
	return p->nr == SYS_clone || p->nr == SYS_clone3 ? ENOSYS : p->worker;
}

/* What a keeper does, but that it has clients. */
static int
metrics_sees(const struct probe *p)
{
	switch (p->nr) {
	case SYS_accept4:
	case SYS_shutdown:
	case SYS_recvfrom:
	case SYS_sendto:
		return p->worker;
	case SYS_fcntl: /* it makes no channel */
		return ENOSYS;
	default:
		return p->keeper;
	}
}

/* What a keeper does, and who is at the socket that it listens at. */
static int
control_sees(const struct probe *p)
{
	return p->nr == SYS_accept4 || p->nr == SYS_getsockopt ? 0 : p->keeper;
}

static void
check_probe(const struct probe *p, enter *confine)
{
	const int expected[ROLE_MAX] = { [ROLE_KEEPER] = p->keeper,
		[ROLE_BROKER] = p->broker,
		[ROLE_WORKER] = p->worker,
		[ROLE_AUTHENTICATOR] = p->authenticator,
		[ROLE_NURSERY] = nursery_sees(p),
		[ROLE_METRICS] = metrics_sees(p),
		[ROLE_CONTROL] = control_sees(p) };
	struct result r;
	enum role role;

	for (role = ROLE_KEEPER; role < ROLE_MAX; role++) {
		r = confined(role, confine, try_call, p);
		if ((r.missing & p->needs) != 0)
			continue;
		if (r.value == expected[role])
			continue;
		print_error("%s as role %d: %d, not %d\n", p->name, role,
		    r.value, expected[role]);
		fail();
	}
}

#define CALL(name) #name, SYS_##name
#define EVERYBODY(v) v, v, v, v, 0
#define CHANGES KILLED, KILLED, KILLED, EACCES, 0 /* a file */
#define P(pointer) (long)(pointer)
#define EXEC_PAGE P(page), 4096, PROT_READ | PROT_EXEC
#define ANONYMOUS MAP_PRIVATE | MAP_ANONYMOUS, -1, 0

/* The kernel takes an int for what a filter sees as 64 bits. */
#define HIGH (1L << 32)

static const struct probe probes[] = {
	/* files */
	{ CALL(openat), { AT_FDCWD, P("/etc/hosts"), O_RDONLY }, EACCES, 0,
	    EACCES, 0, 0 },
	{ CALL(openat), { AT_FDCWD, P(scratch), O_WRONLY }, CHANGES },
	{ CALL(openat), { AT_FDCWD, P(scratch), O_RDWR | O_CLOEXEC }, CHANGES },
	{ CALL(openat), { AT_FDCWD, P("/tmp/new"), O_WRONLY | O_CREAT, 0600 },
	    CHANGES },
	{ CALL(openat), { AT_FDCWD, P("/tmp/new"), O_CREAT, 0600 }, CHANGES },
	{ CALL(openat), { AT_FDCWD, P(scratch), O_TRUNC }, CHANGES },
	{ CALL(openat), { AT_FDCWD, P("/etc"), O_RDWR | O_TMPFILE, 0600 },
	    CHANGES },
	{ CALL(newfstatat), { AT_FDCWD, P("/etc/hosts"), P(page), 0 }, EACCES,
	    0, EACCES, 0, 0 },
	{ CALL(pread64), { FD_PAIR, P(page), 1, 0 }, ENOSYS, ENOSYS, ENOSYS,
	    ESPIPE, 0 },
	{ CALL(unlinkat), { AT_FDCWD, P(scratch), 0 }, CHANGES },
	{ CALL(fchmod), { FD_UDP, 0777 }, CHANGES },
	{ CALL(memfd_create), { P("x"), 0 }, EVERYBODY(ENOSYS) },
#ifdef SYS_open
	{ CALL(open), { P("/etc/hosts"), O_RDONLY }, EVERYBODY(EACCES) },
	{ CALL(stat), { P("/etc/hosts"), P(page) }, EVERYBODY(EACCES) },
#endif
	/* the network */
	{ CALL(socket), { AF_INET, SOCK_STREAM, 0 }, KILLED, 0, KILLED, KILLED,
	    0 },
	{ CALL(socket),
	    { AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
	        IPPROTO_UDP },
	    KILLED, 0, KILLED, KILLED, 0 },
	{ CALL(socket), { AF_UNIX, SOCK_STREAM, 0 }, KILLED, EACCES, KILLED, 0,
	    0 },
	{ CALL(socket), { AF_UNIX, SOCK_DGRAM, 0 }, KILLED, EACCES, KILLED,
	    ENOSYS, 0 },
	{ CALL(socket), { AF_NETLINK, SOCK_DGRAM, 0 }, KILLED, EACCES, KILLED,
	    EACCES, 0 },
	{ CALL(socket), { AF_INET, SOCK_RAW, IPPROTO_TCP }, KILLED, ENOSYS,
	    KILLED, KILLED, 0 },
	{ CALL(socket), { AF_INET, SOCK_DGRAM, IPPROTO_ICMP }, KILLED, ENOSYS,
	    KILLED, KILLED, 0 },
	{ CALL(socket), { AF_INET6, SOCK_STREAM, 262 /* MPTCP */ }, KILLED,
	    ENOSYS, KILLED, KILLED, 0 },
	{ CALL(connect), { FD_FRESH, P(&at), sizeof(at) }, KILLED, 0, KILLED,
	    EACCES, 0 },
	{ CALL(bind), { FD_FRESH, P(&at), sizeof(at) }, EVERYBODY(KILLED) },
	{ CALL(listen), { FD_FRESH, 1 }, EVERYBODY(KILLED) },
	{ CALL(socketpair), { AF_UNIX, SOCK_STREAM, 0, P(page) }, KILLED,
	    ENOSYS, KILLED, KILLED, 0 },
	{ CALL(socketpair), { AF_UNIX, SOCK_SEQPACKET, 0, P(page) }, KILLED, 0,
	    KILLED, KILLED, 0 },
	{ CALL(accept4), { FD_LISTENER, 0, 0, SOCK_CLOEXEC }, KILLED, KILLED, 0,
	    KILLED, 0 },
	{ CALL(shutdown), { FD_LISTENER, SHUT_RD }, ENOSYS, EACCES, EACCES,
	    ENOSYS, 0 },
	{ CALL(shutdown), { FD_CLIENT, SHUT_RDWR }, ENOSYS, EACCES, EACCES,
	    ENOSYS, 0 },
	{ CALL(shutdown), { FD_CLIENT, SHUT_WR }, ENOSYS, ENOSYS, 0, ENOSYS,
	    0 },
	{ CALL(sendto), { FD_CLIENT, P(page), 1, MSG_NOSIGNAL }, ENOSYS, 0, 0,
	    ENOSYS, 0 },
	{ CALL(sendto), { FD_UDP, P(page), 1, 0, P(&at), sizeof(at) },
	    EVERYBODY(ENOSYS) },
	{ CALL(sendto), { FD_FRESH, 0, 0, MSG_FASTOPEN, P(&at), sizeof(at) },
	    EVERYBODY(KILLED) },
	{ CALL(sendto), { FD_FRESH, 0, 0, MSG_FASTOPEN, 0, 0 },
	    EVERYBODY(KILLED) },
	{ CALL(sendmsg), { FD_CLIENT, P(&no_message), MSG_FASTOPEN },
	    EVERYBODY(KILLED) },
	{ CALL(sendmsg), { FD_CLIENT, P(&no_message), MSG_NOSIGNAL },
	    EVERYBODY(0) },
	{ CALL(fcntl), { FD_LISTENER, F_SETFL, 0 }, EVERYBODY(ENOSYS) },
	{ CALL(fcntl), { FD_LISTENER, F_SETFL, O_NONBLOCK | O_ASYNC },
	    EVERYBODY(ENOSYS) },
	{ CALL(fcntl), { FD_CLIENT, F_SETFL, O_RDWR | O_NONBLOCK },
	    EVERYBODY(0) },
	{ CALL(fcntl), { FD_CLIENT, F_SETOWN, 1 }, EVERYBODY(ENOSYS) },
	{ CALL(fcntl), { FD_PAIR, F_DUPFD, 0 }, EVERYBODY(ENOSYS) },
	{ CALL(setsockopt),
	    { FD_CLIENT, IPPROTO_TCP, TCP_NODELAY, P(&one), sizeof(one) },
	    ENOSYS, 0, 0, ENOSYS, 0 },
	{ CALL(getsockopt),
	    { FD_CLIENT, SOL_SOCKET, SO_PEERCRED, P(page), P(&page_len) },
	    EVERYBODY(ENOSYS) },
	{ CALL(setsockopt),
	    { FD_CLIENT, SOL_SOCKET, SO_RCVBUF, P(&one), sizeof(one) },
	    EVERYBODY(ENOSYS) },
	{ CALL(ioctl), { FD_CLIENT, 0x541b /* FIONREAD */, P(page) },
	    EVERYBODY(ENOSYS) },
	/* other programs and processes */
	{ CALL(execve), { P("/nonexistent"), 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(execveat), { -1, P("x"), 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(clone), { SIGCHLD, 0, 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(clone3), { 0, 0 }, EVERYBODY(KILLED) },
#ifdef SYS_fork
	{ CALL(fork), { 0 }, EVERYBODY(KILLED) },
#endif
	{ CALL(ptrace), { 2, 1, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(process_vm_readv), { 1, 0, 0, 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(process_vm_writev), { 1, 0, 0, 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(kill), { 1, 0 }, EVERYBODY(KILLED) },
	{ CALL(tkill), { 1, 0 }, EVERYBODY(KILLED) },
	{ CALL(tgkill), { 1, 1, 0 }, EVERYBODY(KILLED) },
	{ CALL(pidfd_open), { 1, 0 }, EVERYBODY(KILLED) },
	/* code of one's own */
	{ CALL(mprotect), { EXEC_PAGE }, EVERYBODY(KILLED) },
	{ CALL(mprotect), { 0, 0, PROT_READ | PROT_WRITE }, EVERYBODY(ENOSYS) },
	{ CALL(rt_sigreturn), { 0 }, EVERYBODY(KILLED) },
	{ CALL(madvise), { P(page), 4096, MADV_DONTNEED }, EVERYBODY(0) },
	{ CALL(madvise), { P(page), 4096, MADV_DODUMP }, EVERYBODY(ENOSYS) },
	{ CALL(futex), { P(page), FUTEX_WAKE_PRIVATE, 1 }, EVERYBODY(0) },
	{ CALL(futex), { P(page), FUTEX_LOCK_PI, 0 }, EVERYBODY(ENOSYS) },
	{ CALL(mmap), { 0, 4096, PROT_EXEC, ANONYMOUS }, EVERYBODY(KILLED) },
	{ CALL(mmap), { 0, 4096, PROT_READ | PROT_WRITE, ANONYMOUS },
	    EVERYBODY(0) },
	{ CALL(personality), { 0xffffffff }, EVERYBODY(KILLED) },
	/* rights and the kernel */
	{ CALL(setuid), { -1 }, EVERYBODY(KILLED) },
	{ CALL(setresuid), { -1, -1, -1 }, EVERYBODY(KILLED) },
	{ CALL(setgroups), { -1, 0 }, EVERYBODY(KILLED) },
	{ CALL(capset), { 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(chroot), { P("/nonexistent") }, EVERYBODY(KILLED) },
	{ CALL(unshare), { 0 }, EVERYBODY(KILLED) },
	{ CALL(setns), { -1, 0 }, EVERYBODY(KILLED) },
	{ CALL(mount), { 0, 0, 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(bpf), { -1, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(perf_event_open), { 0, 0, 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(userfaultfd), { -1 }, EVERYBODY(KILLED) },
	{ CALL(io_uring_setup), { 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(keyctl), { -1 }, EVERYBODY(KILLED) },
	{ CALL(init_module), { 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(reboot), { 0, 0, 0, 0 }, EVERYBODY(KILLED) },
	{ CALL(prctl), { PR_SET_DUMPABLE, 1 }, EVERYBODY(KILLED) },
	{ CALL(dup), { FD_CLIENT }, EVERYBODY(ENOSYS) },
	{ CALL(mmap), { 0, 4096, HIGH | PROT_EXEC, ANONYMOUS },
	    EVERYBODY(KILLED) },
	{ CALL(sendto), { FD_FRESH, 0, 0, HIGH | MSG_FASTOPEN, 0, 0 },
	    EVERYBODY(KILLED) },
	{ CALL(openat), { AT_FDCWD, P(scratch), HIGH | O_WRONLY }, CHANGES },
	{ CALL(fcntl), { FD_LISTENER, HIGH | F_SETFL, 0 }, EVERYBODY(ENOSYS) },
	{ CALL(socket), { HIGH | AF_INET, SOCK_STREAM, 0 }, KILLED, EACCES,
	    KILLED, EACCES, 0 },
	{ CALL(socket), { HIGH | AF_UNIX, SOCK_STREAM, 0 }, KILLED, EACCES,
	    KILLED, EACCES, 0 },
	{ CALL(setsockopt),
	    { FD_CLIENT, HIGH | SOL_SOCKET, SO_RCVBUF, P(&one), sizeof(one) },
	    EVERYBODY(ENOSYS) },
	{ "a call that does not exist", 100000, { 0 }, EVERYBODY(ENOSYS) },
#ifdef __x86_64__
	{ "getpid in x32", 0x40000000 | SYS_getpid, { 0 }, EVERYBODY(KILLED) },
#endif
};

/* Landlock by itself: files, TCP ports, signals, abstract sockets. */
static const struct probe landlock_probes[] = {
	{ CALL(openat), { AT_FDCWD, P("/etc/hosts"), O_RDONLY }, EACCES, 0,
	    EACCES, 0, SANDBOX_NO_LANDLOCK },
	{ CALL(openat), { AT_FDCWD, P("/proc/self/status"), O_RDONLY }, EACCES,
	    EACCES, EACCES, EACCES, SANDBOX_NO_LANDLOCK },
	{ CALL(openat), { AT_FDCWD, P("/etc/hosts"), O_WRONLY }, EACCES, EACCES,
	    EACCES, EACCES, SANDBOX_NO_LANDLOCK },
	{ CALL(openat), { AT_FDCWD, P("/etc"), O_RDONLY | O_DIRECTORY }, EACCES,
	    EACCES, EACCES, EACCES, SANDBOX_NO_LANDLOCK },
	{ CALL(openat), { AT_FDCWD, P(scratch), O_WRONLY }, EACCES, EACCES,
	    EACCES, EACCES, SANDBOX_NO_LANDLOCK },
	{ CALL(unlinkat), { AT_FDCWD, P(scratch), 0 }, EACCES, EACCES, EACCES,
	    EACCES, SANDBOX_NO_LANDLOCK },
	{ CALL(connect), { FD_FRESH, P(&at), sizeof(at) }, EACCES, 0, EACCES,
	    EACCES, SANDBOX_NO_LANDLOCK | SANDBOX_NO_LANDLOCK_NET },
	{ CALL(connect), { FD_FRESH, P(&elsewhere), sizeof(elsewhere) }, EACCES,
	    EACCES, EACCES, EACCES,
	    SANDBOX_NO_LANDLOCK | SANDBOX_NO_LANDLOCK_NET },
	{ CALL(bind), { FD_FRESH, P(&at), sizeof(at) }, EACCES, EACCES, EACCES,
	    EACCES, SANDBOX_NO_LANDLOCK | SANDBOX_NO_LANDLOCK_NET },
	{ CALL(connect), { FD_UNIX, P(&hidden), sizeof(hidden) }, EPERM, EPERM,
	    EPERM, EPERM, SANDBOX_NO_LANDLOCK | SANDBOX_NO_LANDLOCK_SCOPE },
	{ CALL(kill), { 1, 0 }, EPERM, EPERM, EPERM, EPERM,
	    SANDBOX_NO_LANDLOCK | SANDBOX_NO_LANDLOCK_SCOPE },
};

/* Skips the test that calls it where the filter cannot be had. */
static void
need_seccomp(void)
{
	struct result r;

	r = confined(ROLE_WORKER, sandbox_enter, nothing, NULL);
	if ((r.missing & SANDBOX_NO_SECCOMP) == 0)
		return;
	print_message("no seccomp here: system calls are not tried\n");
	skip();
}

static void
test_calls(void **state)
{
	size_t i;

	(void)state;
	need_seccomp();
	for (i = 0; i < nitems(probes); i++)
		check_probe(&probes[i], sandbox_enter);
}

/* Where there is none at all they would do what they try. */
static void
check_landlock(enter *confine)
{
	size_t i;

	for (i = 0; i < nitems(landlock_probes); i++)
		check_probe(&landlock_probes[i], confine);
}

static void
test_landlock(void **state)
{
	struct result r;

	(void)state;
	r = confined(ROLE_WORKER, sandbox_landlock, nothing, NULL);
	if (r.missing != 0)
		print_message(
		    "Landlock lacks %#x: parts are not tried\n", r.missing);
	if ((r.missing & SANDBOX_NO_LANDLOCK) == 0)
		check_landlock(sandbox_landlock);
}

static long older; /* the version of Landlock that a kernel is taken to have */

static unsigned int
enter_older(const struct sandbox *s)
{
	return sandbox_landlock_at_most(s, older);
}

/*
 * Each version of Landlock gives what it has and says what it lacks;
 * check_probe leaves out what that makes pointless, and nothing else.
 */
static void
test_older(void **state)
{
	static const struct {
		long abi;
		unsigned int missing;
	} versions[] = {
		{ 0, SANDBOX_NO_LANDLOCK },
		{ 1, SANDBOX_NO_LANDLOCK_NET | SANDBOX_NO_LANDLOCK_SCOPE },
		{ 2, SANDBOX_NO_LANDLOCK_NET | SANDBOX_NO_LANDLOCK_SCOPE },
		{ 3, SANDBOX_NO_LANDLOCK_NET | SANDBOX_NO_LANDLOCK_SCOPE },
		{ 4, SANDBOX_NO_LANDLOCK_SCOPE },
		{ 5, SANDBOX_NO_LANDLOCK_SCOPE },
		{ 6, 0 },
	};
	unsigned int whole;
	struct result r;
	size_t i;

	(void)state;
	whole = confined(ROLE_WORKER, sandbox_landlock, nothing, NULL).missing;
	for (i = 0; i < nitems(versions); i++) {
		older = versions[i].abi;
		r = confined(ROLE_WORKER, enter_older, nothing, NULL);
		assert_int_equal(r.value, 0);
		if (whole != 0) /* this kernel has not got that far */
			assert_true((r.missing & ~versions[i].missing) == 0 ||
			    r.missing == whole);
		else
			assert_int_equal(r.missing, versions[i].missing);
		if ((r.missing & SANDBOX_NO_LANDLOCK) == 0)
			check_landlock(enter_older);
	}
}

/* As a worker out of a nursery: first the nursery's sandbox, then its own. */
static unsigned int
be_born(const struct sandbox *s)
{
	struct sandbox nursery = { .role = ROLE_NURSERY }, born = *s;
	struct buf whole, rest;
	unsigned int missing;

	buf_init(&whole, SANDBOX_FILTER_MAX);
	buf_init(&rest, SANDBOX_FILTER_MAX);
	sandbox_compile(ROLE_NURSERY, false, &whole);
	sandbox_compile_born(&rest);
	nursery.filter = buf_view(&whole);
	born.filter = buf_view(&rest);
	missing = sandbox_enter(&nursery);
	priv_harden(0, false, false);
	return missing | sandbox_enter(&born);
}

#define FORK (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD)
#define VFORK (CLONE_VM | CLONE_VFORK | SIGCHLD)
#define THREAD (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)

/* What a nursery may beyond a worker (0: it does), and no worker ever. */
static const struct {
	const char *name;
	long nr;
	long args[6];
	int nursery, worker;
} births[] = {
	{ CALL(clone), { THREAD }, KILLED, KILLED },
	{ CALL(clone), { CLONE_NEWUSER | SIGCHLD }, ENOSYS, KILLED },
	{ CALL(clone), { CLONE_FILES | SIGCHLD }, ENOSYS, KILLED },
	{ CALL(clone), { CLONE_PARENT | SIGCHLD }, ENOSYS, KILLED },
	{ CALL(clone), { FORK }, 0, KILLED },
	{ CALL(clone3), { 0, 0 }, ENOSYS, KILLED },
	{ CALL(wait4), { -1, 0, 0, 0 }, ECHILD, ENOSYS },
	{ CALL(getppid), { 0 }, 0, ENOSYS },
	{ CALL(pipe2), { P(page), 0 }, 0, ENOSYS },
	{ CALL(epoll_create1), { 0 }, 0, ENOSYS },
	{ CALL(prctl), { PR_SET_PDEATHSIG, 0 }, 0, ENOSYS },
	{ CALL(prctl), { PR_SET_DUMPABLE, 1 }, KILLED, KILLED },
	{ CALL(prctl), { PR_SET_SECCOMP, 0 }, EINVAL, ENOSYS },
	{ CALL(prctl), { PR_CAPBSET_READ, 0 }, ENOSYS, ENOSYS },
	{ CALL(prlimit64), { 0, RLIMIT_CORE, 0, 0 }, 0, ENOSYS },
	{ CALL(prlimit64), { 1, RLIMIT_CORE, 0, 0 }, ENOSYS, ENOSYS },
	{ CALL(landlock_create_ruleset), { 0, 0, 1 }, 0, ENOSYS },
	{ CALL(landlock_restrict_self), { -1, 0 }, EBADF, ENOSYS },
	{ CALL(tgkill), { 1, 1, 0 }, KILLED, KILLED },
	{ CALL(execve), { P("/nonexistent"), 0, 0 }, KILLED, KILLED },
};

static int
see(enum role role, enter *confine, const void *probe)
{
	return confined(role, confine, try_call, probe).value;
}

static void
test_births(void **state)
{
	struct probe p = { .name = NULL };
	size_t i;
	int got;

	(void)state;
	need_seccomp();
	for (i = 0; i < nitems(births); i++) {
		p.nr = births[i].nr;
		memcpy(p.args, births[i].args, sizeof(p.args));
		got = see(ROLE_NURSERY, sandbox_enter, &p);
		if (got != births[i].nursery)
			fail_msg("%s in a nursery: %d", births[i].name, got);
		got = see(ROLE_WORKER, sandbox_enter, &p);
		if (got != births[i].worker)
			fail_msg("%s in a worker: %d", births[i].name, got);
		got = see(ROLE_WORKER, be_born, &p);
		if (got != births[i].worker)
			fail_msg("%s in what is born: %d", births[i].name, got);
	}
}

/* Where a worker comes from makes no difference to it. */
static void
test_born(void **state)
{
	size_t i;
	int got;

	(void)state;
	need_seccomp();
	for (i = 0; i < nitems(probes); i++) {
		got = see(ROLE_WORKER, be_born, &probes[i]);
		if (got != probes[i].worker)
			fail_msg("%s: %d, not %d", probes[i].name, got,
			    probes[i].worker);
	}
}

/* What sasl_network gives an authenticator, and what not even that does. */
static void
test_network(void **state)
{
	static const struct {
		const char *name;
		long nr;
		long args[6];
		int value;
	} cases[] = {
		{ CALL(socket), { AF_INET, SOCK_STREAM, 0 }, 0 },
		{ CALL(socket),
		    { AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP }, 0 },
		{ CALL(socket), { AF_UNIX, SOCK_STREAM, 0 }, 0 },
		{ CALL(socket), { AF_INET, SOCK_RAW, IPPROTO_TCP }, ENOSYS },
		{ CALL(socket), { AF_NETLINK, SOCK_DGRAM, 0 }, EACCES },
		{ CALL(connect), { FD_FRESH, P(&elsewhere), sizeof(elsewhere) },
		    0 },
		{ CALL(bind), { FD_FRESH, P(&at), sizeof(at) }, KILLED },
		{ CALL(accept4), { FD_LISTENER, 0, 0, 0 }, KILLED },
		{ CALL(execve), { P("/nonexistent"), 0, 0 }, KILLED },
		{ CALL(openat), { AT_FDCWD, P("/etc/hosts"), O_RDONLY }, 0 },
		{ CALL(openat), { AT_FDCWD, P(scratch), O_WRONLY }, EACCES },
	};
	struct probe p = { .name = NULL };
	struct result r;
	size_t i;

	(void)state;
	need_seccomp();
	networked = true;
	for (i = 0; i < nitems(cases); i++) {
		p.nr = cases[i].nr;
		memcpy(p.args, cases[i].args, sizeof(p.args));
		r = confined(ROLE_AUTHENTICATOR, sandbox_enter, try_call, &p);
		if (r.value != cases[i].value)
			fail_msg("%s: %d, not %d", cases[i].name, r.value,
			    cases[i].value);
	}
	networked = false;
}

static unsigned int
enter_master(const struct sandbox *s)
{
	(void)s;
	sandbox_enter_master();
	return 0;
}

/* Little is forbidden to the master: its roles are born with that. */
static void
test_master(void **state)
{
	static const struct {
		const char *name;
		long nr;
		long args[6];
		int value;
	} cases[] = {
		{ CALL(ptrace), { 2, 1, 0, 0 }, KILLED },
		{ CALL(process_vm_readv), { 1, 0, 0, 0, 0, 0 }, KILLED },
		{ CALL(mount), { 0, 0, 0, 0, 0 }, KILLED },
		{ CALL(setns), { -1, 0 }, KILLED },
		{ CALL(unshare), { 0 }, KILLED },
		{ CALL(open_by_handle_at), { -1, 0, 0 }, KILLED },
		{ CALL(bpf), { -1, 0, 0 }, KILLED },
		{ CALL(io_uring_setup), { 0, 0 }, KILLED },
		{ CALL(init_module), { 0, 0, 0 }, KILLED },
		{ CALL(reboot), { 0, 0, 0, 0 }, KILLED },
		{ CALL(ioctl), { FD_CLIENT, TIOCSTI, P("") }, KILLED },
		{ CALL(ioctl), { FD_CLIENT, HIGH | TIOCSTI, P("") }, KILLED },
		{ CALL(openat), { AT_FDCWD, P("/etc/hosts"), O_RDONLY }, 0 },
		{ CALL(socket), { AF_UNIX, SOCK_DGRAM, 0 }, 0 },
		{ CALL(execve), { P("/nonexistent"), 0, 0 }, ENOENT },
		{ CALL(mmap), { 0, 4096, PROT_EXEC, ANONYMOUS }, 0 },
		{ CALL(chroot), { P("/nonexistent") }, ENOENT },
	};
	struct probe p = { .name = NULL };
	size_t i;
	int got;

	(void)state;
	need_seccomp();
	for (i = 0; i < nitems(cases); i++) {
		p.nr = cases[i].nr;
		memcpy(p.args, cases[i].args, sizeof(p.args));
		got = see(ROLE_WORKER, enter_master, &p);
		if (got != cases[i].value)
			fail_msg("%s: %d", cases[i].name, got);
	}
}

static int
try_abort(const void *arg)
{
	(void)arg;
	abort();
}

/* Not a SIGSYS: the log is to say what happened. */
static void
test_abort(void **state)
{
	enum role role;

	(void)state;
	for (role = ROLE_KEEPER; role < ROLE_MAX; role++)
		assert_int_equal(
		    confined(role, sandbox_enter, try_abort, NULL).value,
		    ABORTED);
	assert_int_equal(
	    confined(ROLE_WORKER, be_born, try_abort, NULL).value, ABORTED);
}

/* The parent's log stays clean. */
static void
no_log(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)text;
}

static int
status_of(const struct sandbox *s, bool hardened)
{
	int status;
	pid_t pid = must(fork());

	if (pid == 0) {
		log_set_sink(no_log, NULL);
		if (hardened)
			priv_harden(0, false, false);
		sandbox_enter(s);
		_exit(0);
	}
	must(waitpid(pid, &status, 0));
	return status;
}

/* A role that forgot something does not start. */
static void
test_misuse(void **state)
{
	const struct sandbox master = { .role = ROLE_MASTER };
	const struct sandbox worker = { .role = ROLE_WORKER };

	(void)state;
	assert_int_equal(WEXITSTATUS(status_of(&master, true)), 1);
	/* no_new_privs */
	assert_int_equal(WEXITSTATUS(status_of(&worker, false)), 1);
}

/* What the master did not hand over is not done without. */
static void
test_no_filter(void **state)
{
	const struct sandbox worker = { .role = ROLE_WORKER };

	(void)state;
	need_seccomp();
	assert_int_equal(WEXITSTATUS(status_of(&worker, true)), 1);
}

#ifdef __x86_64__
static int
try_i386(const void *arg)
{
	long r = 20; /* getpid(2) of i386 */

	(void)arg;
	__asm__ volatile("int $0x80"
	                 : "+a"(r)
	                 :
	                 : "memory", "r8", "r9", "r10", "r11");
	return 0;
}

/* Without IA-32 emulation in the kernel it is a SIGSEGV. */
static void
test_i386(void **state)
{
	int value;

	(void)state;
	need_seccomp();
	value = confined(ROLE_WORKER, sandbox_enter, try_i386, NULL).value;
	assert_true(value == KILLED || value == STRANGE);
}
#endif

static int
setup(void **state)
{
	int fd;

	(void)state;
	must(mkstemp(scratch));
	fd = must(socket(AF_UNIX, SOCK_STREAM, 0));
	/* sun_path[0] stays NUL: the name is abstract, and ours by the pid */
	snprintf(hidden.sun_path + 1, sizeof(hidden.sun_path) - 1,
	    "test_sandbox.%d", (int)getpid());
	must(bind(fd, (struct sockaddr *)&hidden, sizeof(hidden)));
	return listen(fd, 100);
}

static int
teardown(void **state)
{
	(void)state;
	return unlink(scratch);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_births),
		cmocka_unit_test(test_born),
		cmocka_unit_test(test_landlock),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_network),
		cmocka_unit_test(test_master),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_no_filter),
#ifdef __x86_64__
		cmocka_unit_test(test_i386),
#endif
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
