/* SPDX-License-Identifier: ISC */
/*
 * inside_calls: what a role that was taken over would try.  Runs in roles of
 * the build for tests/e2e/test_confine_inside.py, which knows what each role
 * is to see of it.
 */
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "inside.h"
#include "role.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define P(pointer) (long)(pointer)
#define CALL(name) #name, NULL, SYS_##name

#define FDS 64 /* that a role may have inherited */

static char page[8192] __attribute__((aligned(4096)));
static const char *const relro[] = { "in a segment that was relocated" };
static struct iovec piece = { page, 1 };

/* Files.  A path is the test's, as it is named without a chroot. */

static long
open_reading(const char *path, uint16_t port)
{
	(void)port;
	return open(path, O_RDONLY | O_CLOEXEC);
}

static long
open_writing(const char *path, uint16_t port)
{
	(void)port;
	return open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
}

static long
open_creating(const char *path, uint16_t port)
{
	(void)port;
	return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long
open_folder(const char *path, uint16_t port)
{
	(void)port;
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static long
stat_path(const char *path, uint16_t port)
{
	struct stat st;

	(void)port;
	return stat(path, &st);
}

static long
unlink_path(const char *path, uint16_t port)
{
	(void)port;
	return unlink(path);
}

static long
rename_path(const char *path, uint16_t port)
{
	(void)port;
	return rename(path, "/tmp/renamed");
}

static long
chmod_path(const char *path, uint16_t port)
{
	(void)port;
	return chmod(path, 0777);
}

static long
mkdir_path(const char *path, uint16_t port)
{
	(void)port;
	return mkdir(path, 0700);
}

static long
symlink_path(const char *path, uint16_t port)
{
	(void)port;
	return symlink("x", path);
}

static long
truncate_path(const char *path, uint16_t port)
{
	(void)port;
	return truncate(path, 0);
}

/* A way out of a chroot: a folder that was open before. */
static long
open_from_folder(const char *path, uint16_t port)
{
	int fd, found = -1;

	(void)path;
	(void)port;
	for (fd = 0; fd < FDS && found == -1; fd++)
		found = openat(fd, "../../../etc/passwd", O_RDONLY);
	return found;
}

/* The network. */

static long
connect_to(int family, int type, uint32_t host, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(family, type | SOCK_NONBLOCK, 0);

	if (fd == -1)
		return -1;
	a.sin_port = htons(port);
	a.sin_addr.s_addr = htonl(host);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == -1 &&
	    errno != EINPROGRESS && errno != ECONNREFUSED)
		return -1;
	return close(fd);
}

static long
connect_tcp(const char *path, uint16_t port)
{
	(void)path;
	return connect_to(AF_INET, SOCK_STREAM, INADDR_LOOPBACK, port);
}

static long
connect_udp(const char *path, uint16_t port)
{
	(void)path;
	return connect_to(AF_INET, SOCK_DGRAM, INADDR_LOOPBACK, port);
}

static long
connect_unix(const char *path, uint16_t port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)port;
	if (fd == -1)
		return -1;
	(void)strlcpy(a.sun_path, path, sizeof(a.sun_path));
	return connect(fd, (struct sockaddr *)&a, sizeof(a));
}

/* Of the abstract name that path is. */
static long
connect_abstract(const char *path, uint16_t port)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	size_t len = strnlen(path, sizeof(a.sun_path) - 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)port;
	if (fd == -1)
		return -1;
	memcpy(a.sun_path + 1, path, len);
	return connect(fd, (struct sockaddr *)&a,
	    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len));
}

/* Without connect(2), which the other rules are about. */
static long
connect_fastopen(const char *path, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)path;
	if (fd == -1)
		return -1;
	a.sin_port = htons(port);
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sendto(
	    fd, page, 1, MSG_FASTOPEN, (struct sockaddr *)&a, sizeof(a));
}

static long
send_to_address(const char *path, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	(void)path;
	a.sin_port = htons(port);
	return sendto(ROLE_FD_MASTER, page, 1, MSG_DONTWAIT,
	    (struct sockaddr *)&a, sizeof(a));
}

/* To any descriptor that was there: none of them is a listener but a worker's.
 */
static long
listen_on_any(const char *path, uint16_t port)
{
	int fd;

	(void)path;
	(void)port;
	for (fd = 0; fd < FDS; fd++)
		if (listen(fd, 1) == 0)
			return 0;
	return -1;
}

/* Other processes. */

static long
kill_master(const char *path, uint16_t port)
{
	(void)path;
	(void)port;
	return kill(getppid(), 0); /* getppid(2) is no call of ours, either */
}

static long
read_init(const char *path, uint16_t port)
{
	(void)path;
	(void)port;
	return process_vm_readv(1, &piece, 1, &piece, 1, 0);
}

static long
write_init(const char *path, uint16_t port)
{
	(void)path;
	(void)port;
	return process_vm_writev(1, &piece, 1, &piece, 1, 0);
}

/* As a library does it: a process of its own, which ends. */
static long
fork_one(const char *path, uint16_t port)
{
	pid_t pid = fork();

	(void)path;
	(void)port;
	if (pid == 0)
		_exit(0);
	return pid == -1 ? -1 : waitpid(pid, NULL, 0);
}

/* Memory. */

static long
unprotect_relro(const char *path, uint16_t port)
{
	(void)path;
	(void)port;
	return mprotect(
	    (void *)(P(relro) & ~4095L), 4096, PROT_READ | PROT_WRITE);
}

static long
more_files(const char *path, uint16_t port)
{
	struct rlimit r = { 1 << 20, 1 << 20 };

	(void)path;
	(void)port;
	return syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &r, NULL);
}

static long
more_processes(const char *path, uint16_t port)
{
	struct rlimit r = { 100, 100 };

	(void)path;
	(void)port;
	return syscall(SYS_prlimit64, 0, RLIMIT_NPROC, &r, NULL);
}

#define RUN(function)                                                          \
#function, function, -1,                                               \
	{                                                                      \
		0                                                              \
	}
#define THREAD (CLONE_VM | CLONE_SIGHAND | CLONE_THREAD)
#define ANONYMOUS MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
#define X32 0x40000000L

const struct inside_call inside_calls[] = {
	{ RUN(open_reading) },
	{ "open hosts", open_reading, -1, { 0 } },
	{ "open sasldb2", open_reading, -1, { 0 } },
	{ "open memory", open_reading, -1, { 0 } },
	{ RUN(open_writing) },
	{ RUN(open_creating) },
	{ RUN(open_folder) },
	{ RUN(open_from_folder) },
	{ RUN(stat_path) },
	{ RUN(unlink_path) },
	{ RUN(rename_path) },
	{ RUN(chmod_path) },
	{ RUN(mkdir_path) },
	{ RUN(symlink_path) },
	{ RUN(truncate_path) },
	{ CALL(memfd_create), { P("x"), 0 } },
	{ CALL(getdents64), { 0, P(page), 0 } },
	{ CALL(fchdir), { 0 } },
	{ CALL(chdir), { P("/") } },

	{ "socket inet", NULL, SYS_socket, { AF_INET, SOCK_STREAM, 0 } },
	{ "socket inet6", NULL, SYS_socket, { AF_INET6, SOCK_STREAM, 0 } },
	{ "socket udp", NULL, SYS_socket, { AF_INET, SOCK_DGRAM, 0 } },
	{ "socket raw", NULL, SYS_socket, { AF_INET, SOCK_RAW, IPPROTO_TCP } },
	{ "socket sctp", NULL, SYS_socket,
	    { AF_INET, SOCK_STREAM, IPPROTO_SCTP } },
	{ "socket unix", NULL, SYS_socket, { AF_UNIX, SOCK_STREAM, 0 } },
	{ "socket unix datagram", NULL, SYS_socket,
	    { AF_UNIX, SOCK_DGRAM, 0 } },
	{ "socket netlink", NULL, SYS_socket, { AF_NETLINK, SOCK_RAW, 0 } },
	{ "socket packet", NULL, SYS_socket, { AF_PACKET, SOCK_RAW, 0 } },
	{ "socket alg", NULL, SYS_socket, { AF_ALG, SOCK_SEQPACKET, 0 } },
	{ "socket vsock", NULL, SYS_socket, { AF_VSOCK, SOCK_STREAM, 0 } },
	{ CALL(socketpair), { AF_UNIX, SOCK_STREAM, 0, P(page) } },
	{ RUN(connect_tcp) },
	{ "connect inner port", connect_tcp, -1, { 0 } },
	{ "connect DNS port", connect_tcp, -1, { 0 } },
	{ RUN(connect_udp) },
	{ RUN(connect_unix) },
	{ RUN(connect_abstract) },
	{ RUN(connect_fastopen) },
	{ RUN(send_to_address) },
	{ CALL(bind), { -1, 0, 0 } },
	{ RUN(listen_on_any) },
	{ CALL(accept), { -1, 0, 0 } },
	{ "setsockopt buffer", NULL, SYS_setsockopt,
	    { ROLE_FD_MASTER, SOL_SOCKET, SO_RCVBUFFORCE, P(page), 4 } },
	{ "setsockopt filter", NULL, SYS_setsockopt,
	    { ROLE_FD_MASTER, SOL_SOCKET, SO_ATTACH_FILTER, P(page), 16 } },
	{ "setsockopt congestion", NULL, SYS_setsockopt,
	    { ROLE_FD_MASTER, IPPROTO_TCP, TCP_CONGESTION, P("cubic"), 5 } },
	{ "setsockopt ulp", NULL, SYS_setsockopt,
	    { ROLE_FD_MASTER, IPPROTO_TCP, TCP_ULP, P("tls"), 3 } },
	{ "shutdown reading", NULL, SYS_shutdown, { -1, SHUT_RD } },

	{ CALL(execve), { P("/bin/true"), 0, 0 } },
	{ CALL(execveat), { -1, P("/bin/true"), 0, 0, 0 } },
	{ RUN(fork_one) },
	{ "clone thread", NULL, SYS_clone, { THREAD } },
	{ "clone user namespace", NULL, SYS_clone,
	    { CLONE_NEWUSER | SIGCHLD } },
	{ "clone files", NULL, SYS_clone, { CLONE_FILES | SIGCHLD } },
	{ CALL(clone3), { 0, 0 } },
	{ "ptrace attach", NULL, SYS_ptrace, { PTRACE_ATTACH, 1, 0, 0 } },
	{ "ptrace traceme", NULL, SYS_ptrace, { PTRACE_TRACEME, 0, 0, 0 } },
	{ RUN(kill_master) },
	{ "kill all", NULL, SYS_kill, { -1, 0 } },
	{ CALL(tkill), { 1, 0 } },
	{ CALL(tgkill), { 1, 1, 0 } },
	{ CALL(rt_sigqueueinfo), { 1, 0, P(page) } },
	{ CALL(pidfd_open), { 1, 0 } },
	{ CALL(pidfd_getfd), { -1, 0, 0 } },
	{ CALL(pidfd_send_signal), { -1, 0, 0, 0 } },
	{ RUN(read_init) },
	{ RUN(write_init) },
	{ CALL(kcmp), { 1, 1, 0, 0, 0 } },
	{ CALL(process_madvise), { -1, 0, 0, 0, 0 } },
	{ CALL(process_mrelease), { -1, 0 } },
	{ CALL(setpriority), { 0, 0, 0 } },
	{ CALL(sched_setaffinity), { 0, 8, P(page) } },
	{ CALL(sched_setscheduler), { 0, 0, P(page) } },
	{ CALL(move_pages), { 0, 0, 0, 0, 0, 0 } },
	{ CALL(setsid), { 0 } },
	{ CALL(getppid), { 0 } },
	{ CALL(wait4), { -1, 0, 0, 0, 0 } },

	{ "mmap exec", NULL, SYS_mmap,
	    { 0, 4096, PROT_READ | PROT_EXEC, ANONYMOUS } },
	{ "mmap wx", NULL, SYS_mmap,
	    { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, ANONYMOUS } },
	{ "mprotect exec", NULL, SYS_mprotect,
	    { P(page), 4096, PROT_READ | PROT_EXEC } },
	{ RUN(unprotect_relro) },
	{ CALL(pkey_mprotect), { P(page), 4096, PROT_EXEC, -1 } },
	{ CALL(remap_file_pages), { P(page), 4096, 0, 0, 0 } },
	{ "madvise dump", NULL, SYS_madvise, { P(page), 4096, MADV_DODUMP } },
	{ "madvise poison", NULL, SYS_madvise, { P(page), 0, MADV_HWPOISON } },
	{ CALL(personality), { 0xffffffff } },
	{ CALL(userfaultfd), { -1 } },
	{ CALL(rt_sigreturn), { 0 } },
	{ "futex requeue pi", NULL, SYS_futex,
	    { P(page), FUTEX_CMP_REQUEUE_PI, 0, 0, P(page), 0 } },
	{ "futex lock pi", NULL, SYS_futex, { P(page), 99, 0, 0, 0, 0 } },
	{ "futex wake", NULL, SYS_futex, { P(page), FUTEX_WAKE_PRIVATE, 1 } },

	{ CALL(setuid), { 0 } },
	{ CALL(setresuid), { 0, 0, 0 } },
	{ CALL(setgid), { 0 } },
	{ CALL(setgroups), { 0, 0 } },
	{ CALL(capset), { 0, 0 } },
	{ "prctl dumpable", NULL, SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "prctl ptracer", NULL, SYS_prctl, { PR_SET_PTRACER, -1 } },
	{ "prctl mm", NULL, SYS_prctl, { PR_SET_MM, PR_SET_MM_BRK, 0, 0, 0 } },
	{ "prctl keepcaps", NULL, SYS_prctl, { PR_SET_KEEPCAPS, 1 } },
	{ "prctl subreaper", NULL, SYS_prctl, { PR_SET_CHILD_SUBREAPER, 1 } },
	{ "prctl seccomp", NULL, SYS_prctl, { PR_SET_SECCOMP, 0, 0, 0, 0 } },
	{ CALL(seccomp), { 99, 0, 0 } },
	{ RUN(more_files) },
	{ RUN(more_processes) },
	{ "prlimit another", NULL, SYS_prlimit64,
	    { 1, RLIMIT_CORE, 0, P(page) } },

	{ CALL(chroot), { P("/") } },
	{ CALL(pivot_root), { P("."), P(".") } },
	{ CALL(unshare), { CLONE_NEWUSER } },
	{ CALL(setns), { -1, 0 } },
	{ CALL(mount), { 0, 0, 0, 0, 0 } },
	{ CALL(umount2), { P("/nonexistent"), 0 } },
	{ CALL(open_tree), { -1, 0, 0 } },
	{ CALL(fsopen), { 0, 0 } },
	{ CALL(open_by_handle_at), { -1, 0, 0 } },
	{ CALL(name_to_handle_at), { -1, 0, 0, 0, 0 } },

	{ CALL(bpf), { -1, 0, 0 } },
	{ CALL(perf_event_open), { 0, 0, 0, 0, 0 } },
	{ CALL(io_uring_setup), { 0, 0 } },
	{ CALL(io_uring_enter), { -1, 0, 0, 0, 0, 0 } },
	{ CALL(keyctl), { -1 } },
	{ CALL(add_key), { 0, 0, 0, 0, 0 } },
	{ CALL(request_key), { 0, 0, 0, 0 } },
	{ CALL(init_module), { 0, 0, 0 } },
	{ CALL(finit_module), { -1, 0, 0 } },
	{ CALL(kexec_load), { 0, 0, 0, -1 } },
	{ CALL(reboot), { 0, 0, 0, 0 } },
	{ CALL(swapon), { 0, 0 } },
	{ CALL(acct), { P("/nonexistent") } },
	{ CALL(settimeofday), { 0, 0 } },
	{ CALL(clock_settime), { -1, 0 } },
	{ CALL(adjtimex), { 0 } },
	{ CALL(syslog), { 10, 0, 0 } },
	{ CALL(quotactl), { 0, 0, 0, 0 } },
	{ CALL(sethostname), { P("x"), -1 } },
	{ CALL(vhangup), { 0 } },
	{ CALL(fanotify_init), { 0, 0 } },
	{ CALL(inotify_init1), { 0 } },
	{ CALL(timerfd_create), { 0, 0 } },
	{ CALL(signalfd4), { -1, 0, 0, 0 } },
	{ CALL(shmget), { 0, 4096, 0 } },
	{ CALL(msgget), { 0, 0 } },
	{ CALL(semget), { 0, 1, 0 } },
	{ CALL(mq_open), { P("x"), 0, 0, 0 } },
	{ "ioctl TIOCSTI", NULL, SYS_ioctl, { 0, TIOCSTI, P("x") } },
	{ "ioctl TIOCLINUX", NULL, SYS_ioctl, { 0, TIOCLINUX, P(page) } },
	{ "ioctl TCGETS", NULL, SYS_ioctl, { 0, TCGETS, P(page) } },
	{ "ioctl FIONREAD", NULL, SYS_ioctl,
	    { ROLE_FD_MASTER, FIONREAD, P(page) } },
	{ "fcntl owner", NULL, SYS_fcntl, { ROLE_FD_MASTER, F_SETOWN, 1 } },
	{ "fcntl seals", NULL, SYS_fcntl, { ROLE_FD_MASTER, F_GET_SEALS, 0 } },
	{ CALL(dup), { ROLE_FD_MASTER } },
	{ CALL(sendfile), { -1, -1, 0, 0 } },
	{ CALL(splice), { -1, 0, -1, 0, 0, 0 } },
	{ CALL(vmsplice), { -1, 0, 0, 0 } },
	{ CALL(tee), { -1, -1, 0, 0 } },
	{ CALL(recvmmsg), { -1, 0, 0, 0, 0 } },
	{ CALL(sendmmsg), { -1, 0, 0, 0 } },
	{ CALL(getrandom), { P(page), 1, 0 } },
	{ CALL(uname), { P(page) } },
	{ CALL(sched_yield), { 0 } },
	{ "a call that does not exist", NULL, 100000, { 0 } },
#ifdef __x86_64__
	{ CALL(iopl), { 0 } },
	{ CALL(ioperm), { 0, 0, 0 } },
	{ CALL(modify_ldt), { 0, 0, 0 } },
	{ CALL(arch_prctl), { 0, 0 } },
	{ "getpid in x32", NULL, X32 | SYS_getpid, { 0 } },
#endif
};

const size_t inside_ncalls = nitems(inside_calls);
