/* SPDX-License-Identifier: ISC */
/*
 * sandbox_seccomp: the system calls of each role, each with its
 * reason.  The master compiles them once, each process of a role loads what
 * came of it: compiling takes as long as a whole login does.
 *
 * Three tables, read from the top: what a role needs is allowed; what a library
 * may well try, and can live without, is an error; what nobody but an attacker
 * would do ends the process.  The rest is ENOSYS, at which libraries fall back.
 *
 * Conditions look at numbers only, never through pointers, which another
 * thread could change behind the filter's back.  A call whose conditions no
 * row meets is ENOSYS too.  An allowed call without conditions costs next to
 * nothing (the kernel keeps a bitmap of them), so the hot path has few.
 *
 * No call creates a process or a thread: a role is one thread for good.  Only
 * a nursery may fork.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "sandbox_seccomp.h"
#include "xmalloc.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))

#ifdef SANITIZE
#define SANITIZING true /* sanitizers need calls that are not ours */
#else
#define SANITIZING false
#endif

enum {
	K = 1 << ROLE_KEEPER,
	B = 1 << ROLE_BROKER,
	A = 1 << ROLE_AUTHENTICATOR,
	/*
	 * What a worker may, its nursery may, too: the nursery's filter stays
	 * with what is born in it, and sandbox_compile_born()'s comes on top.
	 */
	N = 1 << ROLE_NURSERY,
	W = 1 << ROLE_WORKER | N,
	/* an authenticator with sasl_network, and one without */
	NET = 1 << ROLE_MAX,
	NO_NET = NET << 1,
	ALL = K | B | W | A,
	BUT_N = ALL & ~N,
	WORKER = W & ~N
};

/* fork(3), of which glibc wants to know the child's number. */
#define FORK (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD)

#define RULE_ARGS 4

struct rule {
	unsigned int roles;
	int call; /* negative: this architecture has no such call */
	struct scmp_arg_cmp args[RULE_ARGS]; /* all must hold; op 0: the end */
};

#define SYS(name) SCMP_SYS(name)

/* Conditions on argument n, counted from 0. */
#define EQ(n, v) SCMP_CMP(n, SCMP_CMP_EQ, v, 0)
#define NE(n, v) SCMP_CMP(n, SCMP_CMP_NE, v, 0)
#define LT(n, v) SCMP_CMP(n, SCMP_CMP_LT, v, 0)
#define GT(n, v) SCMP_CMP(n, SCMP_CMP_GT, v, 0)
#define BITS(n, mask, v) SCMP_CMP(n, SCMP_CMP_MASKED_EQ, mask, v)
#define SET(n, bit) BITS(n, bit, bit)
#define CLEAR(n, bits) BITS(n, bits, 0)
#define ANY SCMP_CMP(0, 0, 0, 0)

/* A socket's type, whatever flags come with it. */
#define TYPE(n, type)                                                          \
	BITS(n, 0xffffffffU & ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK), type)

#define OPEN_WRITING (O_ACCMODE | O_CREAT | O_TRUNC)

static const struct rule allowed[] = {
	/* the event loop; epoll_wait where the architecture has it */
	{ ALL, SYS(epoll_wait), { ANY } },
	{ ALL, SYS(epoll_pwait), { ANY } },
	{ ALL, SYS(epoll_ctl), { ANY } },
	{ ALL, SYS(poll), { ANY } }, /* a worker waits for its keeper */
	{ ALL, SYS(ppoll), { ANY } },

	/* descriptors that are there */
	{ ALL, SYS(read), { ANY } },
	{ ALL, SYS(readv), { ANY } },
	{ ALL, SYS(write), { ANY } },  /* libevent's wake-up pipe; stderr */
	{ ALL, SYS(writev), { ANY } }, /* c-ares over TCP; abort(3)'s message */
	{ ALL, SYS(recvfrom), { ANY } },
	{ ALL, SYS(recvmsg), { ANY } }, /* messages and descriptors */
	{ ALL, SYS(close), { ANY } },
	/*
	 * To the other end only.  An address, or MSG_FASTOPEN, which connects
	 * behind the back of connect(2) and of Landlock, would be a way out.
	 */
	{ ALL, SYS(sendto), { CLEAR(3, MSG_FASTOPEN), EQ(4, 0) } },
	{ ALL, SYS(sendmsg), { CLEAR(2, MSG_FASTOPEN) } },
	/*
	 * O_NONBLOCK belongs to the listener that all workers share: without
	 * it one worker could make the others wait in accept4().
	 */
	{ ALL, SYS(fcntl),
	    { EQ(1, F_SETFL), BITS(2, O_NONBLOCK | O_ASYNC, O_NONBLOCK) } },
	{ ALL, SYS(fcntl), { EQ(1, F_GETFL) } },
	{ ALL, SYS(fcntl), { EQ(1, F_SETFD) } },
	{ ALL, SYS(fcntl), { EQ(1, F_GETFD) } },
	{ ALL, SYS(fcntl), { EQ(1, F_DUPFD_CLOEXEC) } }, /* a queued one */

	/* connections: those of clients and those to inner servers */
	{ W, SYS(accept4), { ANY } },
	/* SHUT_RD would end the listener for every worker */
	{ W | B, SYS(shutdown), { EQ(1, SHUT_WR) } },
	{ W | B, SYS(getpeername), { ANY } }, /* whom to admit; the log */
	{ W | B, SYS(getsockname), { ANY } }, /* loops; c-ares sorts by it */
	{ W | B, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_ERROR) } },
	/* what a worker has sent us: a client, and none that it sent before? */
	{ B, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_TYPE) } },
	{ B, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_COOKIE) } },
	{ W, SYS(setsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_RCVTIMEO) } },
	{ W | B, SYS(setsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_KEEPALIVE) } },
	{ W | B, SYS(setsockopt), { EQ(1, IPPROTO_TCP), EQ(2, TCP_NODELAY) } },
	{ W | B, SYS(setsockopt), { EQ(1, IPPROTO_TCP), EQ(2, TCP_KEEPIDLE) } },
	{ W, SYS(setsockopt),
	    { EQ(1, IPPROTO_TCP), EQ(2, TCP_NOTSENT_LOWAT) } },

	/* the broker connects to inner servers and to name servers ... */
	{ B, SYS(socket), { EQ(0, AF_INET), TYPE(1, SOCK_STREAM), EQ(2, 0) } },
	{ B, SYS(socket),
	    { EQ(0, AF_INET), TYPE(1, SOCK_STREAM), EQ(2, IPPROTO_TCP) } },
	{ B, SYS(socket), { EQ(0, AF_INET), TYPE(1, SOCK_DGRAM), EQ(2, 0) } },
	{ B, SYS(socket),
	    { EQ(0, AF_INET), TYPE(1, SOCK_DGRAM), EQ(2, IPPROTO_UDP) } },
	{ B, SYS(socket), { EQ(0, AF_INET6), TYPE(1, SOCK_STREAM), EQ(2, 0) } },
	{ B, SYS(socket),
	    { EQ(0, AF_INET6), TYPE(1, SOCK_STREAM), EQ(2, IPPROTO_TCP) } },
	{ B, SYS(socket), { EQ(0, AF_INET6), TYPE(1, SOCK_DGRAM), EQ(2, 0) } },
	{ B, SYS(socket),
	    { EQ(0, AF_INET6), TYPE(1, SOCK_DGRAM), EQ(2, IPPROTO_UDP) } },
	{ B, SYS(connect), { ANY } }, /* Landlock knows the TCP ports */
	/* ... and c-ares reads hosts and resolv.conf, with stdio */
	{ B, SYS(openat), { CLEAR(2, OPEN_WRITING) } },
	{ B, SYS(newfstatat), { ANY } }, /* fstat(3) is made with it */
	{ B, SYS(fstat), { ANY } },
	{ B, SYS(lseek), { ANY } },

	/*
	 * libsasl2 asks saslauthd.  Which socket is meant, permissions in the
	 * spool say: there is no other one inside.
	 */
	{ A, SYS(socket), { EQ(0, AF_UNIX), TYPE(1, SOCK_STREAM), EQ(2, 0) } },
	{ A, SYS(connect), { ANY } },
	/* ... and sasldb2, a Berkeley database, and /dev/urandom */
	{ A, SYS(openat), { CLEAR(2, OPEN_WRITING) } },
	{ A, SYS(newfstatat), { ANY } },
	{ A, SYS(fstat), { ANY } },
	{ A, SYS(lseek), { ANY } },
	{ A, SYS(pread64), { ANY } },
	/* its plugins that ask a directory or a database over the network */
	{ NET, SYS(socket), { LT(0, AF_INET6 + 1), TYPE(1, SOCK_STREAM) } },
	{ NET, SYS(socket), { LT(0, AF_INET6 + 1), TYPE(1, SOCK_DGRAM) } },
	{ NET, SYS(shutdown), { ANY } },
	{ NET, SYS(getpeername), { ANY } },
	{ NET, SYS(getsockname), { ANY } },
	{ NET, SYS(getsockopt), { ANY } },
	{ NET, SYS(setsockopt), { ANY } },
	{ NET, SYS(sendmmsg), { ANY } }, /* the resolver of the C library */
	{ NET, SYS(ioctl), { EQ(1, FIONREAD) } },
	{ NET, SYS(select), { ANY } },
	{ NET, SYS(pselect6), { ANY } },

	/* the broker joins a worker and an authenticator */
	{ B, SYS(socketpair), { EQ(0, AF_UNIX), TYPE(1, SOCK_SEQPACKET) } },

	/* a nursery forks, by way of a child that ends and is waited for ... */
	{ N, SYS(clone), { EQ(0, FORK) } },
	{ N, SYS(clone), { EQ(0, CLONE_VM | CLONE_VFORK | SIGCHLD) } },
	{ N, SYS(vfork), { ANY } }, /* where that is not clone(2) */
	{ N, SYS(wait4), { ANY } },
	{ N, SYS(pipe2), { ANY } },
	/* ... what was born begins a loop of its own and confines itself */
	{ N, SYS(epoll_create1), { ANY } },
	{ N, SYS(getppid), { ANY } },
	{ N, SYS(prctl), { EQ(0, PR_SET_PDEATHSIG) } },
	{ N, SYS(prctl), { EQ(0, PR_SET_DUMPABLE), EQ(1, 0) } },
	{ N, SYS(prctl), { EQ(0, PR_SET_NO_NEW_PRIVS) } },
	{ N, SYS(prctl), { EQ(0, PR_GET_NO_NEW_PRIVS) } },
	{ N, SYS(prctl), { EQ(0, PR_SET_SECCOMP) } },
	{ N, SYS(prctl), { EQ(0, PR_GET_SECCOMP) } },
	{ N, SYS(prlimit64), { EQ(0, 0) } }, /* no limit can be raised */
	{ N, SYS(landlock_create_ruleset), { ANY } },
	{ N, SYS(landlock_restrict_self), { ANY } },

	/* memory, never executable */
	{ ALL, SYS(mmap), { CLEAR(2, PROT_EXEC) } },
	{ ALL, SYS(mprotect), { CLEAR(2, PROT_EXEC) } },
	{ ALL, SYS(munmap), { ANY } },
	{ ALL, SYS(mremap), { ANY } },
	{ ALL, SYS(madvise), { ANY } }, /* free(3) gives memory back */
	{ ALL, SYS(brk), { ANY } },

	/* randomness, and the clocks where the vDSO has to ask the kernel */
	{ ALL, SYS(getrandom), { ANY } },
	{ ALL, SYS(clock_gettime), { ANY } },
	{ ALL, SYS(gettimeofday), { ANY } },
	{ ALL, SYS(time), { ANY } },

	/* this process: locks in libraries, signals, abort(3), the end */
	{ ALL, SYS(futex), { ANY } },
	{ ALL, SYS(restart_syscall), { ANY } },
	{ ALL, SYS(rt_sigaction), { ANY } },
	{ ALL, SYS(rt_sigprocmask), { ANY } },
	{ ALL, SYS(rt_sigreturn), { ANY } },
	{ ALL, SYS(getpid), { ANY } },
	{ ALL, SYS(gettid), { ANY } },
	{ ALL, SYS(exit), { ANY } },
	{ ALL, SYS(exit_group), { ANY } },
};

static const struct rule refused[] = {
	/* localtime(3), GnuTLS's priorities, dlopen(3) and the like */
	{ ALL, SYS(open), { ANY } },
	{ K | W, SYS(openat), { ANY } },
	{ B | A, SYS(openat), { SET(2, O_WRONLY) } },
	{ B | A, SYS(openat), { SET(2, O_RDWR) } },
	{ B | A, SYS(openat), { SET(2, O_CREAT) } },
	{ B | A, SYS(openat), { SET(2, O_TRUNC) } },
	{ K | W, SYS(newfstatat), { ANY } },
	{ K | W, SYS(fstat), { ANY } },
	{ ALL, SYS(stat), { ANY } },
	{ ALL, SYS(lstat), { ANY } },
	{ ALL, SYS(statx), { ANY } },
	{ ALL, SYS(access), { ANY } },
	{ ALL, SYS(faccessat), { ANY } },
	{ ALL, SYS(readlink), { ANY } },
	{ ALL, SYS(readlinkat), { ANY } },
	{ ALL, SYS(getcwd), { ANY } },

	/* no library of ours changes files: a bug, if it is not an attack */
	{ ALL, SYS(creat), { ANY } },
	{ ALL, SYS(unlink), { ANY } },
	{ ALL, SYS(unlinkat), { ANY } },
	{ ALL, SYS(rename), { ANY } },
	{ ALL, SYS(renameat), { ANY } },
	{ ALL, SYS(renameat2), { ANY } },
	{ ALL, SYS(link), { ANY } },
	{ ALL, SYS(linkat), { ANY } },
	{ ALL, SYS(symlink), { ANY } },
	{ ALL, SYS(symlinkat), { ANY } },
	{ ALL, SYS(mkdir), { ANY } },
	{ ALL, SYS(mkdirat), { ANY } },
	{ ALL, SYS(rmdir), { ANY } },
	{ ALL, SYS(mknod), { ANY } },
	{ ALL, SYS(mknodat), { ANY } },
	{ ALL, SYS(chmod), { ANY } },
	{ ALL, SYS(fchmod), { ANY } },
	{ ALL, SYS(fchmodat), { ANY } },
	{ ALL, SYS(chown), { ANY } },
	{ ALL, SYS(fchown), { ANY } },
	{ ALL, SYS(fchownat), { ANY } },
	{ ALL, SYS(truncate), { ANY } },

	/* other families than the Internet's: UNIX, netlink, packet, alg */
	{ B, SYS(socket), { LT(0, AF_INET) } },
	{ B, SYS(socket), { GT(0, AF_INET6) } },
	{ A, SYS(socket), { GT(0, AF_INET6) } },

	/* see above */
	{ W | B, SYS(shutdown), { EQ(1, SHUT_RD) } },
	{ W | B, SYS(shutdown), { EQ(1, SHUT_RDWR) } },
};

static const struct rule killed[] = {
	/* other programs, other processes */
	{ ALL, SYS(execve), { ANY } },
	{ ALL, SYS(execveat), { ANY } },
	{ ALL, SYS(fork), { ANY } },
	{ BUT_N, SYS(vfork), { ANY } },
	{ BUT_N, SYS(clone), { ANY } },
	{ N, SYS(clone), { SET(0, CLONE_THREAD) } },
	{ BUT_N, SYS(clone3), { ANY } },
	{ ALL, SYS(ptrace), { ANY } },
	{ ALL, SYS(process_vm_readv), { ANY } },
	{ ALL, SYS(process_vm_writev), { ANY } },
	{ ALL, SYS(process_madvise), { ANY } },
	{ ALL, SYS(kcmp), { ANY } },
	{ ALL, SYS(kill), { ANY } },
	{ ALL, SYS(tkill), { ANY } },
	{ ALL, SYS(rt_sigqueueinfo), { ANY } },
	{ ALL, SYS(rt_tgsigqueueinfo), { ANY } },
	{ ALL, SYS(pidfd_open), { ANY } },
	{ ALL, SYS(pidfd_getfd), { ANY } },
	{ ALL, SYS(pidfd_send_signal), { ANY } },

	/* ways to the network that are not the role's */
	{ K | W, SYS(socket), { ANY } },
	{ K | W, SYS(connect), { ANY } },
	{ NO_NET, SYS(socket), { EQ(0, AF_INET) } },
	{ NO_NET, SYS(socket), { EQ(0, AF_INET6) } },
	{ ALL, SYS(bind), { ANY } },
	{ ALL, SYS(listen), { ANY } },
	{ K | W | A, SYS(socketpair), { ANY } },
	{ K | B | A, SYS(accept), { ANY } },
	{ K | B | A, SYS(accept4), { ANY } },
	{ ALL, SYS(sendto), { SET(3, MSG_FASTOPEN) } },
	{ ALL, SYS(sendmsg), { SET(2, MSG_FASTOPEN) } },

	/* code of one's own */
	{ ALL, SYS(mmap), { SET(2, PROT_EXEC) } },
	{ ALL, SYS(mprotect), { SET(2, PROT_EXEC) } },
	{ ALL, SYS(pkey_mprotect), { ANY } },
	{ ALL, SYS(personality), { ANY } }, /* READ_IMPLIES_EXEC */
	{ ALL, SYS(modify_ldt), { ANY } },

	/* users and rights */
	{ ALL, SYS(setuid), { ANY } },
	{ ALL, SYS(setgid), { ANY } },
	{ ALL, SYS(setreuid), { ANY } },
	{ ALL, SYS(setregid), { ANY } },
	{ ALL, SYS(setresuid), { ANY } },
	{ ALL, SYS(setresgid), { ANY } },
	{ ALL, SYS(setfsuid), { ANY } },
	{ ALL, SYS(setfsgid), { ANY } },
	{ ALL, SYS(setgroups), { ANY } },
	{ ALL, SYS(capset), { ANY } },

	/* another view of the file system */
	{ ALL, SYS(chroot), { ANY } },
	{ ALL, SYS(pivot_root), { ANY } },
	{ ALL, SYS(unshare), { ANY } },
	{ ALL, SYS(setns), { ANY } },
	{ ALL, SYS(mount), { ANY } },
	{ ALL, SYS(umount2), { ANY } },
	{ ALL, SYS(open_tree), { ANY } },
	{ ALL, SYS(move_mount), { ANY } },
	{ ALL, SYS(fsopen), { ANY } },
	{ ALL, SYS(fsconfig), { ANY } },
	{ ALL, SYS(fsmount), { ANY } },
	{ ALL, SYS(fspick), { ANY } },
	{ ALL, SYS(mount_setattr), { ANY } },
	{ ALL, SYS(open_by_handle_at), { ANY } },
	{ ALL, SYS(name_to_handle_at), { ANY } },

	/* parts of the kernel where holes were found, and the machine's own */
	{ ALL, SYS(bpf), { ANY } },
	{ ALL, SYS(perf_event_open), { ANY } },
	{ ALL, SYS(userfaultfd), { ANY } },
	{ ALL, SYS(io_uring_setup), { ANY } },
	{ ALL, SYS(io_uring_enter), { ANY } },
	{ ALL, SYS(io_uring_register), { ANY } },
	{ ALL, SYS(keyctl), { ANY } },
	{ ALL, SYS(add_key), { ANY } },
	{ ALL, SYS(request_key), { ANY } },
	{ ALL, SYS(init_module), { ANY } },
	{ ALL, SYS(finit_module), { ANY } },
	{ ALL, SYS(delete_module), { ANY } },
	{ ALL, SYS(kexec_load), { ANY } },
	{ ALL, SYS(kexec_file_load), { ANY } },
	{ ALL, SYS(reboot), { ANY } },
	{ ALL, SYS(swapon), { ANY } },
	{ ALL, SYS(swapoff), { ANY } },
	{ ALL, SYS(acct), { ANY } },
	{ ALL, SYS(ioperm), { ANY } },
	{ ALL, SYS(iopl), { ANY } },
	{ ALL, SYS(settimeofday), { ANY } },
	{ ALL, SYS(clock_settime), { ANY } },
	{ ALL, SYS(adjtimex), { ANY } },
	{ ALL, SYS(clock_adjtime), { ANY } },
};

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
    const struct rule *rules, size_t nrules)
{
	size_t i;

	for (i = 0; i < nrules; i++)
		if ((rules[i].roles & roles) != 0)
			add_rule(filter, action, &rules[i]);
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

	add_rules(filter, SCMP_ACT_ALLOW, roles, allowed, nitems(allowed));
	add_rules(
	    filter, SCMP_ACT_ERRNO(EACCES), roles, refused, nitems(refused));
	add_rules(filter, SCMP_ACT_KILL_PROCESS, roles, killed, nitems(killed));
	add_abort(filter, role);
	export(filter, out);
	seccomp_release(filter);
}

/* Has one of these rows, before the end, to do with the call, for roles? */
static bool
has_call(const struct rule *rules, size_t end, unsigned int roles, int call)
{
	size_t i;

	for (i = 0; i < end; i++)
		if ((rules[i].roles & roles) != 0 && rules[i].call == call)
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
	struct rule r = { 0 };
	size_t i;

	for (i = 0; i < nitems(killed); i++)
		if ((killed[i].roles & W) == WORKER)
			add_rule(filter, SCMP_ACT_KILL_PROCESS, &killed[i]);
	for (i = 0; i < nitems(allowed); i++) {
		r.call = allowed[i].call;
		if ((allowed[i].roles & W) == N &&
		    !has_call(allowed, i, N, r.call) &&
		    !has_call(killed, nitems(killed), WORKER, r.call))
			add_rule(filter, SCMP_ACT_ERRNO(ENOSYS), &r);
	}
	must(seccomp_rule_add_exact(
	    filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(tgkill), 1, NE(0, SELF)));
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
