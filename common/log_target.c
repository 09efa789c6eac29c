/* SPDX-License-Identifier: ISC */
/*
 * log_target: where lines of the log go: the syslog daemon, a file, a standard
 * stream.  Only the master opens one.  syslog(3) is not used: it blocks on a
 * full socket and stamps its caller's pid, while the master writes for all
 * roles and must never wait.
 */
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SYSLOG_NAMES /* facilitynames[] */
#include "log.h"
#include "text.h"
#include "unzeroed.h"
#include "xmalloc.h"

#define DEV_LOG "/dev/log"
#define QUEUE_MAX 1024 /* lines that wait for a busy syslog daemon */
#define WRITTEN_MAX (LOG_LINE_MAX + 256) /* octets of one as it is written */
#define GATHER_LINES 32
#define GATHER_SIZE 16384

/* The opened target. */
static enum { TO_STDERR, TO_STDOUT, TO_FILE, TO_SYSLOG } target_kind;
static int target_fd = -1;
static int target_facility;
static char target_ident[64] = "relais";

struct line {
	TAILQ_ENTRY(line) entry;
	size_t len;
	char text[];
};
static TAILQ_HEAD(, line) queue = TAILQ_HEAD_INITIALIZER(queue);
static unsigned int queued;
static void (*on_wait)(void *arg);
static void *on_wait_arg;
static unsigned long dropped;
/* Lines of log_gather(), one behind the other. */
static struct {
	bool on;
	unsigned int n;
	size_t used;
	struct iovec lines[GATHER_LINES];
	char text[GATHER_SIZE];
} gathered;
static struct log_counts counts;
static bool torn; /* a file's last line has no end: its disk was full */

/* The facility called name, or -1. */
static int
facility_of(const char *name)
{
	const CODE *c;

	for (c = facilitynames; c->c_name != NULL; c++)
		if (strcasecmp(c->c_name, name) == 0)
			return c->c_val;
	return -1;
}

bool
log_target_valid(const char *target)
{
	return strcmp(target, "-") == 0 || strcmp(target, "+") == 0 ||
	    target[0] == '/' || facility_of(target) != -1;
}

static int
open_syslog(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd;

	(void)strlcpy(sun.sun_path, DEV_LOG, sizeof(sun.sun_path));
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd == -1)
		return -1;
	if (connect(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
lose(void)
{
	dropped++;
	counts.lost++;
}

/*
 * Nobody may be reading the pipe or terminal: the master must not wait for
 * them.  Room is told of at least a line (PIPE_BUF, pipe(7)).
 */
static bool
takes_more(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0;
}

/* One line to a file or stream; line[0] is room for a line end before it. */
static void
write_line(int fd, char *line, size_t len)
{
	char *from = torn ? line : line + 1;
	size_t n = (size_t)(line + len - from);
	ssize_t done = -1;

	line[0] = '\n';
	if (takes_more(fd))
		done = write(fd, from, n);
	if (done > 0)
		torn = from[done - 1] != '\n';
	if (done == -1 || (size_t)done < n)
		lose();
}

/* Where lines go that are not syslog's. */
static int
stream(void)
{
	switch (target_kind) {
	case TO_FILE:
		return target_fd;
	case TO_STDOUT:
		return STDOUT_FILENO;
	case TO_STDERR:
	case TO_SYSLOG:
		break;
	}
	return STDERR_FILENO;
}

/*
 * Another target than syslog, and lines that have waited for that one: each
 * begins with "<priority>", which nobody else has a use for.
 */
static void
empty_queue(int fd)
{
	char line[1 + WRITTEN_MAX];
	const char *text;
	struct line *l;
	size_t len;

	while ((l = TAILQ_FIRST(&queue)) != NULL) {
		TAILQ_REMOVE(&queue, l, entry);
		queued--;
		text = memchr(l->text, '>', l->len);
		text = text == NULL ? l->text : text + 1;
		len = l->len - (size_t)(text - l->text);
		memcpy(line + 1, text, len);
		line[1 + len] = '\n';
		write_line(fd, line, len + 2);
		free(l);
	}
}

int
log_open(const char *target, const char *ident, const char **why)
{
	int fd = -1, kind = TO_STDERR;

	if (strcmp(target, "-") == 0) {
		kind = TO_STDOUT;
	} else if (target[0] == '/') {
		kind = TO_FILE;
		fd = open(target,
		    O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
		if (fd == -1) {
			*why = strerror(errno);
			return -1;
		}
	} else if (strcmp(target, "+") != 0) {
		kind = TO_SYSLOG;
		target_facility = facility_of(target);
		if (target_facility == -1) {
			*why = "not a syslog facility, path, \"-\" or \"+\"";
			return -1;
		}
		fd = open_syslog(); /* -1: tried again at each line */
	}
	if (target_fd != -1)
		close(target_fd);
	target_fd = fd;
	target_kind = (unsigned int)kind;
	if (ident != target_ident)
		(void)strlcpy(target_ident, ident, sizeof(target_ident));
	if (kind != TO_SYSLOG)
		empty_queue(stream());
	return 0;
}

/* The syslog daemon may have been started anew: one more try. */
static int
send_syslog(const char *text, size_t len)
{
	int try;

	for (try = 0; try < 2; try++) {
		if (target_fd == -1)
			target_fd = open_syslog();
		if (target_fd == -1)
			return -1;
		if (send(target_fd, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) !=
		    -1)
			return 0;
		if (errno == EAGAIN || errno == ENOBUFS)
			return -1;
		if (errno == EMSGSIZE) {
			lose(); /* it never will fit: do not wait for it */
			return 0;
		}
		close(target_fd);
		target_fd = -1;
	}
	return -1;
}

static void
enqueue(const char *text, size_t len)
{
	struct line *l;

	if (queued == QUEUE_MAX) {
		lose();
		return;
	}
	l = malloc(sizeof(*l) + len);
	if (l == NULL) { /* fatal() would come here again */
		lose();
		return;
	}
	l->len = len;
	memcpy(l->text, text, len);
	TAILQ_INSERT_TAIL(&queue, l, entry);
	if (queued++ == 0 && on_wait != NULL)
		on_wait(on_wait_arg);
}

/* To the syslog daemon, behind what waits for it. */
static void
say_to_syslog(const char *text, size_t len)
{
	if (!TAILQ_EMPTY(&queue) || send_syslog(text, len) == -1)
		enqueue(text, len);
}

/* What is gathered goes; lines that the socket does not take go singly. */
static void
send_gathered(void)
{
	struct mmsghdr m[GATHER_LINES] = { 0 };
	unsigned int i, n = gathered.n;
	int sent = 0;

	for (i = 0; i < n; i++) {
		m[i].msg_hdr.msg_iov = &gathered.lines[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	if (n > 1 && TAILQ_EMPTY(&queue) && target_fd != -1)
		sent = sendmmsg(target_fd, m, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	for (i = sent > 0 ? (unsigned int)sent : 0; i < n; i++)
		say_to_syslog(
		    gathered.lines[i].iov_base, gathered.lines[i].iov_len);
	gathered.n = 0;
	gathered.used = 0;
}

void
log_gather(bool on)
{
	if (gathered.n > 0)
		send_gathered();
	gathered.on = on;
}

static void
gather_line(const char *text, size_t len)
{
	if (gathered.n == GATHER_LINES || len > GATHER_SIZE - gathered.used)
		send_gathered();
	memcpy(gathered.text + gathered.used, text, len);
	gathered.lines[gathered.n++] =
	    (struct iovec){ gathered.text + gathered.used, len };
	gathered.used += len;
}

/* "Nov 24 04:01:03", made once a second: it costs as much as the rest. */
static const char *
stamp_now(void)
{
	static char stamp[32];
	static time_t made;
	time_t now = time(NULL);
	struct tm tm;

	if (now == made)
		return stamp;
	made = now;
	if (localtime_r(&now, &tm) == NULL ||
	    strftime(stamp, sizeof(stamp), "%b %e %H:%M:%S", &tm) == 0)
		stamp[0] = '\0';
	return stamp;
}

/* s at dst, or what of it is before end, where its NUL would be. */
static char *
put(char *dst, const char *end, const char *s)
{
	size_t n = strnlen(s, (size_t)(end - dst));

	memcpy(dst, s, n);
	dst[n] = '\0';
	return dst + n;
}

static char *
put_number(char *dst, const char *end, unsigned long n)
{
	char s[TEXT_DECIMAL + 1];
	struct text t = text_decimal(n, 1, s);

	s[TEXT_DECIMAL] = '\0';
	return put(dst, end, t.p);
}

/* "<134>Nov 24 04:01:03 imapsd[17]: text": the traditional form (RFC 3164). */
static size_t
format_line(char *dst, size_t size, const char *ident, int priority, pid_t pid,
    const char *text)
{
	const char *end = dst + size - 1;
	char *p = dst;

	if (target_kind == TO_SYSLOG) {
		p = put(p, end, "<");
		p = put_number(
		    p, end, (unsigned long)(target_facility | priority));
		p = put(p, end, ">");
	}
	p = put(p, end, stamp_now());
	p = put(p, end, " ");
	p = put(p, end, ident);
	p = put(p, end, "[");
	p = put_number(p, end, (unsigned long)pid);
	p = put(p, end, "]: ");
	p = put(p, end, text);
	return (size_t)(p - dst);
}

bool
log_flush(void)
{
	struct line *l;
	char text[128];
	unsigned long n;

	while ((l = TAILQ_FIRST(&queue)) != NULL) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): queue.h */
		if (send_syslog(l->text, l->len) == -1)
			return true;
		TAILQ_REMOVE(&queue, l, entry);
		queued--;
		free(l);
	}
	if (dropped > 0) {
		n = dropped;
		dropped = 0;
		(void)snprintf(text, sizeof(text),
		    "%lu log lines were lost: they were not taken", n);
		log_write(LOG_WARNING, getpid(), text);
		if (dropped > 0) /* that neither: the number is to be said */
			dropped = n;
	}
	return !TAILQ_EMPTY(&queue);
}

struct log_counts
log_counts(void)
{
	return counts;
}

int
log_room_fd(void)
{
	return TAILQ_EMPTY(&queue) ? -1 : target_fd;
}

void
log_on_wait(void (*waits)(void *arg), void *arg)
{
	on_wait = waits;
	on_wait_arg = arg;
}

const char *
log_ident(void)
{
	return target_ident;
}

void
log_write(int priority, pid_t pid, const char *text)
{
	log_write_as(target_ident, priority, pid, text);
}

void
log_write_as(const char *ident, int priority, pid_t pid, const char *text)
{
	char line[1 + WRITTEN_MAX] UNZEROED;
	size_t len;

	counts.lines++;
	len = 1 +
	    format_line(line + 1, sizeof(line) - 2, ident, priority, pid, text);
	if (target_kind == TO_SYSLOG) {
		if (gathered.on)
			gather_line(line + 1, len - 1);
		else
			say_to_syslog(line + 1, len - 1);
		return;
	}
	line[len++] = '\n';
	write_line(stream(), line, len);
}

void
log_queue_get(struct log_queue *out)
{
	const struct line *l;
	char *p;

	*out = (struct log_queue){ .lost = dropped };
	TAILQ_FOREACH (l, &queue, entry)
		out->len += l->len + 1;
	if (out->len == 0)
		return;
	p = out->lines = xmalloc(out->len);
	TAILQ_FOREACH (l, &queue, entry) {
		memcpy(p, l->text, l->len);
		p[l->len] = '\0';
		p += l->len + 1;
	}
}

void
log_queue_put(const struct log_queue *q)
{
	const char *p = q->lines, *end;
	size_t left = q->len;

	dropped += q->lost;
	while (left > 0 && (end = memchr(p, '\0', left)) != NULL) {
		if (target_kind != TO_SYSLOG)
			lose();
		else if (end > p && end - p < WRITTEN_MAX)
			enqueue(p, (size_t)(end - p));
		left -= (size_t)(end - p) + 1;
		p = end + 1;
	}
}
