/* SPDX-License-Identifier: ISC */
/*
 * sandbox_rules: the system calls of each role, each with its
 * reason (tests/confine/trace.py counts how often each is used).
 *
 * Four tables, read from the top: what a role needs is allowed; what a library
 * may well try, and can live without, is an error; what nobody but an attacker
 * would do ends the process, changes to files among it, but in an
 * authenticator.  The rest is ENOSYS, at which libraries fall back.
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

#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>

#include "sandbox_rules.h"

/* fork(3), of which glibc wants to know the child's number. */
#define FORK (CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD)

#define SYS(name) SCMP_SYS(name)

/* Conditions on argument n, counted from 0; EQ and NE besides. */
#define LT(n, v) SCMP_CMP(n, SCMP_CMP_LT, v, 0)
#define GT(n, v) SCMP_CMP(n, SCMP_CMP_GT, v, 0)
#define BITS(n, mask, v) SCMP_CMP(n, SCMP_CMP_MASKED_EQ, mask, v)
#define SET(n, bit) BITS(n, bit, bit)
#define CLEAR(n, bits) BITS(n, bits, 0)
#define ANY SCMP_CMP(0, 0, 0, 0)

/* A socket's type, whatever flags come with it. */
#define TYPE(n, type)                                                          \
	BITS(n, 0xffffffffU & ~(unsigned)(SOCK_CLOEXEC | SOCK_NONBLOCK), type)

#define FUTEX(operation)                                                       \
	BITS(1, 0xffffffffU & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME),    \
	    operation)

#define OPEN_WRITING (O_ACCMODE | O_CREAT | O_TRUNC)

static const struct rule allowed[] = {
	/* the event loop; epoll_wait where the architecture has it */
	{ ALL, SYS(epoll_wait), { ANY } },
	{ ALL, SYS(epoll_pwait), { ANY } }, /* where it has not */
	{ ALL, SYS(epoll_ctl), { ANY } },
	/* a worker waits for its keeper; has whoever sent nothing gone? */
	{ ALL, SYS(poll), { ANY } },
	{ ALL, SYS(ppoll), { ANY } }, /* where poll(3) is made with it */

	/* descriptors that are there */
	/* files, saslauthd; what a nursery forks waits for its word */
	{ B | A | N, SYS(read), { ANY } },
	{ NET, SYS(readv), { ANY } },
	{ A | N, SYS(write), { ANY } },
	{ B | A, SYS(writev), { ANY } }, /* c-ares over TCP; saslauthd */
	{ W | B | M | NET, SYS(recvfrom), { ANY } },
	{ ALL, SYS(recvmsg), { ANY } }, /* messages and descriptors */
	{ ALL, SYS(close), { ANY } },
	/*
	 * To the other end only.  An address, or MSG_FASTOPEN, which connects
	 * behind the back of connect(2) and of Landlock, would be a way out.
	 */
	{ W | B | M | NET, SYS(sendto), { CLEAR(3, MSG_FASTOPEN), EQ(4, 0) } },
	{ ALL, SYS(sendmsg), { CLEAR(2, MSG_FASTOPEN) } },
	/*
	 * O_NONBLOCK belongs to the listener that all workers share: without
	 * it one worker could make the others wait in accept4().
	 */
	{ BUT_M, SYS(fcntl),
	    { EQ(1, F_SETFL), BITS(2, O_NONBLOCK | O_ASYNC, O_NONBLOCK) } },
	{ BUT_M, SYS(fcntl), { EQ(1, F_GETFL) } },
	{ B | A, SYS(fcntl), { EQ(1, F_SETFD) } }, /* c-ares; libdb */
	{ B | A, SYS(fcntl), { EQ(1, F_GETFD) } },
	/* a descriptor that waits to be sent; which is the lowest free one */
	{ W | B | A, SYS(fcntl), { EQ(1, F_DUPFD_CLOEXEC) } },

	/* connections: those of clients and those to inner servers */
	{ W | M, SYS(accept4), { ANY } },
	/* SHUT_RD would end the listener for every worker */
	{ W | M, SYS(shutdown), { EQ(1, SHUT_WR) } },
	{ W | B, SYS(getpeername), { ANY } }, /* whom to admit; the log */
	/* who asks: the kernel's word on it, and on his groups */
	{ C, SYS(accept4), { ANY } },
	{ C, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_PEERCRED) } },
	{ C, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_PEERGROUPS) } },
	{ W | B, SYS(getsockname), { ANY } }, /* loops; c-ares sorts by it */
	{ B, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_ERROR) } },
	/* what a worker has sent us: a client, and none that it sent before? */
	{ B, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_TYPE) } },
	{ B, SYS(getsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_COOKIE) } },
	{ W, SYS(setsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_RCVTIMEO) } },
	{ W, SYS(setsockopt), { EQ(1, SOL_SOCKET), EQ(2, SO_KEEPALIVE) } },
	/* the broker: c-ares, over TCP */
	{ W | B, SYS(setsockopt), { EQ(1, IPPROTO_TCP), EQ(2, TCP_NODELAY) } },
	{ W, SYS(setsockopt), { EQ(1, IPPROTO_TCP), EQ(2, TCP_KEEPIDLE) } },
	{ W, SYS(setsockopt),
	    { EQ(1, IPPROTO_TCP), EQ(2, TCP_NOTSENT_LOWAT) } },
	{ W, SYS(setsockopt), { EQ(1, IPPROTO_TCP), EQ(2, TCP_USER_TIMEOUT) } },
	{ W, SYS(getsockopt),
	    { EQ(1, IPPROTO_TCP), EQ(2, TCP_INFO) } }, /* pace */

	/*
	 * The broker connects to inner servers and to name servers, and c-ares
	 * sorts addresses by what sockets it gets.  A protocol may be named
	 * by its number or as the usual one, 0: versions of c-ares differ.
	 */
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
	{ B, SYS(fstat), { ANY } },      /* ... or it is this */
	{ B, SYS(lseek), { ANY } },      /* fclose(3) before the end */

	/*
	 * libsasl2 asks saslauthd.  Which socket is meant, permissions in the
	 * spool say: there is no other one inside.
	 */
	{ A, SYS(socket), { EQ(0, AF_UNIX), TYPE(1, SOCK_STREAM), EQ(2, 0) } },
	{ A, SYS(connect), { ANY } },
	/* ... and sasldb2, a Berkeley database, and /dev/urandom */
	{ A, SYS(openat), { CLEAR(2, OPEN_WRITING) } },
	{ A, SYS(newfstatat), { ANY } },
	{ A, SYS(fstat), { ANY } }, /* as in the broker */
	{ A, SYS(lseek), { ANY } },
	{ A, SYS(pread64), { ANY } },
	/*
	 * Its plugins that ask a directory or a database over the network.
	 * They are the administrator's, so this is what libldap and the
	 * clients of databases are seen to do, not what tests come to.
	 */
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
	{ NET, SYS(mprotect), { CLEAR(2, PROT_EXEC) } }, /* none is changed */
	{ ALL, SYS(munmap), { ANY } },
	{ ALL, SYS(mremap), { ANY } }, /* realloc(3) of much */
	/* free(3) gives memory back, where brk(2) has none to give */
	{ ALL, SYS(madvise), { EQ(2, MADV_DONTNEED) } },
	{ ALL, SYS(brk), { ANY } },

	/* randomness, and the clocks where the vDSO has to ask the kernel */
	{ ALL, SYS(getrandom), { ANY } },
	{ ALL, SYS(clock_gettime), { ANY } },
	{ ALL, SYS(gettimeofday), { ANY } },
	{ ALL, SYS(time), { ANY } },

	/* locks in libraries; those with priorities had holes */
	{ ALL, SYS(futex), { FUTEX(FUTEX_WAIT) } },
	{ ALL, SYS(futex), { FUTEX(FUTEX_WAKE) } },
	{ ALL, SYS(futex), { FUTEX(FUTEX_WAIT_BITSET) } },

	/* this process: stopped and continued, abort(3), the end */
	{ ALL, SYS(restart_syscall), { ANY } },
	{ ALL, SYS(rt_sigaction), { ANY } },
	{ ALL, SYS(rt_sigprocmask), { ANY } },
	{ NET, SYS(rt_sigreturn), { ANY } },
	{ ALL, SYS(getpid), { ANY } },
	{ ALL, SYS(gettid), { ANY } },
	{ ALL, SYS(exit_group), { ANY } },
};

static const struct rule refused[] = {
	/* localtime(3), GnuTLS's priorities, dlopen(3) and the like */
	{ ALL, SYS(open), { ANY } },
	{ K | W | C | M, SYS(openat), { CLEAR(2, OPEN_WRITING) } },
	{ K | W | C | M, SYS(newfstatat), { ANY } },
	{ K | W | C | M, SYS(fstat), { ANY } },
	{ ALL, SYS(stat), { ANY } },
	{ ALL, SYS(lstat), { ANY } },
	{ ALL, SYS(statx), { ANY } },
	{ ALL, SYS(access), { ANY } },
	{ ALL, SYS(faccessat), { ANY } },
	{ ALL, SYS(readlink), { ANY } },
	{ ALL, SYS(readlinkat), { ANY } },
	{ ALL, SYS(getcwd), { ANY } },

	/* other families than the Internet's: UNIX, netlink, packet, alg */
	{ B, SYS(socket), { LT(0, AF_INET) } },
	{ B, SYS(socket), { GT(0, AF_INET6) } },
	{ A, SYS(socket), { GT(0, AF_INET6) } },

	/* see above */
	{ W | B | M, SYS(shutdown), { EQ(1, SHUT_RD) } },
	{ W | B | M, SYS(shutdown), { EQ(1, SHUT_RDWR) } },
};

/*
 * Changes to files.  The database in a plugin of an authenticator may try them
 * and go on; no library of the others does.
 */
static const struct rule changing[] = {
	{ ALL, SYS(openat), { SET(2, O_WRONLY) } },
	{ ALL, SYS(openat), { SET(2, O_RDWR) } },
	{ ALL, SYS(openat), { SET(2, O_CREAT) } },
	{ ALL, SYS(openat), { SET(2, O_TRUNC) } },
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
	{ EVEN_M, SYS(ptrace), { ANY } },
	{ EVEN_M, SYS(process_vm_readv), { ANY } },
	{ EVEN_M, SYS(process_vm_writev), { ANY } },
	{ EVEN_M, SYS(process_madvise), { ANY } },
	{ ALL, SYS(process_mrelease), { ANY } },
	{ ALL, SYS(move_pages), { ANY } },
	{ ALL, SYS(migrate_pages), { ANY } },
	{ EVEN_M, SYS(kcmp), { ANY } },
	{ ALL, SYS(kill), { ANY } },
	{ ALL, SYS(tkill), { ANY } },
	{ ALL, SYS(rt_sigqueueinfo), { ANY } },
	{ ALL, SYS(rt_tgsigqueueinfo), { ANY } },
	{ ALL, SYS(pidfd_open), { ANY } },
	{ EVEN_M, SYS(pidfd_getfd), { ANY } },
	{ ALL, SYS(pidfd_send_signal), { ANY } },
	{ ALL, SYS(prctl), { EQ(0, PR_SET_DUMPABLE), NE(1, 0) } },
	{ ALL, SYS(prctl), { EQ(0, PR_SET_PTRACER) } },
	{ ALL, SYS(prctl), { EQ(0, PR_SET_MM) } },
	/* what processes of one user share without a file */
	{ BUT_A, SYS(shmget), { ANY } }, /* libdb knows them, too */
	{ BUT_A, SYS(shmat), { ANY } },
	{ BUT_A, SYS(semget), { ANY } },
	{ ALL, SYS(msgget), { ANY } },
	{ ALL, SYS(mq_open), { ANY } },
	/*
	 * A terminal's input.  The kernel takes an int: what is above it must
	 * not lead past a row of the master's, to whom all else is allowed.
	 */
	{ EVEN_M, SYS(ioctl), { BITS(1, 0xffffffffU, TIOCSTI) } },
	{ EVEN_M, SYS(ioctl), { BITS(1, 0xffffffffU, TIOCLINUX) } },

	/* ways to the network that are not the role's */
	{ K | W | C | M, SYS(socket), { ANY } },
	{ K | W | C | M, SYS(connect), { ANY } },
	{ NO_NET, SYS(socket), { EQ(0, AF_INET) } },
	{ NO_NET, SYS(socket), { EQ(0, AF_INET6) } },
	{ ALL, SYS(bind), { ANY } },
	{ ALL, SYS(listen), { ANY } },
	{ K | W | A | C | M, SYS(socketpair), { ANY } },
	{ K | B | A | C | M, SYS(accept), { ANY } },
	{ K | B | A, SYS(accept4), { ANY } },
	{ ALL, SYS(sendto), { SET(3, MSG_FASTOPEN) } },
	{ ALL, SYS(sendmsg), { SET(2, MSG_FASTOPEN) } },

	/* code of one's own */
	{ ALL, SYS(mmap), { SET(2, PROT_EXEC) } },
	{ ALL, SYS(mprotect), { SET(2, PROT_EXEC) } },
	{ ALL, SYS(pkey_mprotect), { ANY } },
	{ ALL, SYS(personality), { ANY } }, /* READ_IMPLIES_EXEC */
	{ EVEN_M, SYS(modify_ldt), { ANY } },
	/* no signal has a handler: nobody returns from one */
	{ BUT_A, SYS(rt_sigreturn), { ANY } },
	{ NO_NET, SYS(rt_sigreturn), { ANY } },

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
	{ EVEN_M, SYS(pivot_root), { ANY } },
	{ EVEN_M, SYS(unshare), { ANY } },
	{ EVEN_M, SYS(setns), { ANY } },
	{ EVEN_M, SYS(mount), { ANY } },
	{ EVEN_M, SYS(umount2), { ANY } },
	{ EVEN_M, SYS(open_tree), { ANY } },
	{ EVEN_M, SYS(move_mount), { ANY } },
	{ EVEN_M, SYS(fsopen), { ANY } },
	{ EVEN_M, SYS(fsconfig), { ANY } },
	{ EVEN_M, SYS(fsmount), { ANY } },
	{ EVEN_M, SYS(fspick), { ANY } },
	{ EVEN_M, SYS(mount_setattr), { ANY } },
	{ EVEN_M, SYS(open_by_handle_at), { ANY } },
	{ ALL, SYS(name_to_handle_at), { ANY } },

	/* parts of the kernel where holes were found, and the machine's own */
	{ EVEN_M, SYS(bpf), { ANY } },
	{ EVEN_M, SYS(perf_event_open), { ANY } },
	{ EVEN_M, SYS(userfaultfd), { ANY } },
	{ EVEN_M, SYS(io_uring_setup), { ANY } },
	{ EVEN_M, SYS(io_uring_enter), { ANY } },
	{ EVEN_M, SYS(io_uring_register), { ANY } },
	{ ALL, SYS(keyctl), { ANY } },
	{ ALL, SYS(add_key), { ANY } },
	{ ALL, SYS(request_key), { ANY } },
	{ EVEN_M, SYS(init_module), { ANY } },
	{ EVEN_M, SYS(finit_module), { ANY } },
	{ EVEN_M, SYS(delete_module), { ANY } },
	{ EVEN_M, SYS(kexec_load), { ANY } },
	{ EVEN_M, SYS(kexec_file_load), { ANY } },
	{ EVEN_M, SYS(reboot), { ANY } },
	{ EVEN_M, SYS(swapon), { ANY } },
	{ EVEN_M, SYS(swapoff), { ANY } },
	{ EVEN_M, SYS(acct), { ANY } },
	{ EVEN_M, SYS(ioperm), { ANY } },
	{ EVEN_M, SYS(iopl), { ANY } },
	{ EVEN_M, SYS(settimeofday), { ANY } },
	{ EVEN_M, SYS(clock_settime), { ANY } },
	{ ALL, SYS(adjtimex), { ANY } },
	{ ALL, SYS(clock_adjtime), { ANY } },
	{ ALL, SYS(syslog), { ANY } }, /* the kernel's log: addresses */
	{ EVEN_M, SYS(quotactl), { ANY } },
	{ EVEN_M, SYS(fanotify_init), { ANY } },
	{ EVEN_M, SYS(sethostname), { ANY } },
	{ EVEN_M, SYS(setdomainname), { ANY } },
	{ EVEN_M, SYS(vhangup), { ANY } },
};

#define TABLE(rows)                                                            \
	{                                                                      \
		rows, sizeof(rows) / sizeof((rows)[0])                         \
	}

const struct rules sandbox_allowed = TABLE(allowed);
const struct rules sandbox_refused = TABLE(refused);
const struct rules sandbox_changing = TABLE(changing);
const struct rules sandbox_killed = TABLE(killed);
