/* SPDX-License-Identifier: ISC */
/*
 * mailsink: the inner server, fast and in clear.  Any user and any password
 * will do.  Message n exists and is n KiB of the text of pattern.h; what is
 * sent is compared with that text, counted and thrown away.  It also listens
 * where syslog would, and says what it counted on a port of its own.
 */
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pattern.h"
#include "sink.h"

enum { EVENTS = 256, CHUNK = 256 * 1024 };

struct sink_stats sink_stats;

static int ep;
static const struct sink_protocol statistics;
static _Atomic uint64_t log_lines;

bool
sink_is(const char *command, const char *word)
{
	size_t n = strlen(word);

	return strncasecmp(command, word, n) == 0 &&
	    (command[n] == '\0' || command[n] == ' ');
}

void
sink_say(struct sink_conn *c, const char *format, ...)
{
	size_t room = sizeof(c->out) - c->out_len;
	va_list ap;
	size_t n;

	va_start(ap, format);
	n = (size_t)vsnprintf(c->out + c->out_len, room, format, ap);
	va_end(ap);
	if (n < room)
		c->out_len += n;
	else
		c->closing = true;
}

void
sink_send(struct sink_conn *c, uint64_t kib, const char *tail)
{
	c->bulk_left = kib * 1024;
	c->bulk_at = 0;
	strlcpy(c->tail, tail, sizeof(c->tail));
}

void
sink_message(struct sink_conn *c)
{
	c->in_message = true;
	c->got = 0;
	c->spoilt = false;
}

void
sink_piece(struct sink_conn *c, const char *p, size_t n)
{
	if (!pattern_ok(p, n, c->got))
		c->spoilt = true;
	c->got += n;
}

void
sink_message_end(struct sink_conn *c)
{
	c->in_message = false;
	sink_stats.messages++;
	sink_stats.bytes += c->got;
	sink_stats.bad += c->spoilt;
}

static bool
blocked(const struct sink_conn *c)
{
	return c->bulk_left > 0 || c->tail[0] != '\0' ||
	    c->out_len > sizeof(c->out) / 2;
}

static ssize_t
flush_once(struct sink_conn *c)
{
	size_t want;
	ssize_t n;

	if (c->out_len > 0) {
		n = send(c->fd, c->out, c->out_len,
		    MSG_NOSIGNAL | (c->bulk_left > 0 ? MSG_MORE : 0));
		if (n > 0) {
			c->out_len -= (size_t)n;
			memmove(c->out, c->out + n, c->out_len);
		}
		return n;
	}
	if (c->bulk_left > 0) {
		want = c->bulk_left < CHUNK ? c->bulk_left : CHUNK;
		n = send(c->fd, pattern_at(c->bulk_at), want,
		    MSG_NOSIGNAL | MSG_MORE);
		if (n > 0) {
			c->bulk_left -= (size_t)n;
			c->bulk_at += (size_t)n;
		}
		return n;
	}
	c->out_len = strlcpy(c->out, c->tail, sizeof(c->out));
	c->tail[0] = '\0';
	return (ssize_t)c->out_len;
}

/* Sends what it can.  -1: the connection is over. */
static int
flush(struct sink_conn *c)
{
	while (c->out_len > 0 || blocked(c))
		if (flush_once(c) == -1)
			return errno == EAGAIN ? 0 : -1;
	return c->closing ? -1 : 0;
}

static size_t
take_line(struct sink_conn *c, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);

	if (lf != NULL)
		n = (size_t)(lf + 1 - p);
	if (n >= sizeof(c->line) - c->line_len) {
		c->closing = true;
		return n;
	}
	memcpy(c->line + c->line_len, p, n);
	c->line_len += n;
	if (lf == NULL)
		return n;
	while (c->line_len > 0 &&
	    (c->line[c->line_len - 1] == '\n' ||
	        c->line[c->line_len - 1] == '\r'))
		c->line_len--;
	c->line[c->line_len] = '\0';
	c->line_len = 0;
	c->protocol->line(c, c->line);
	return n;
}

/*
 * Clients here wait for replies to what makes a long one, but those of SMTP
 * may pipeline: out has room for theirs.
 */
static void
feed(struct sink_conn *c, const char *p, size_t n)
{
	size_t take;

	for (; n > 0 && !c->closing; p += take, n -= take)
		take = c->in_bulk ? c->protocol->bulk(c, p, n)
		                  : take_line(c, p, n);
}

static void
watch(struct sink_conn *c)
{
	bool writing = c->out_len > 0 || blocked(c);
	struct epoll_event ev = { .data.ptr = c };

	if (writing == c->writing)
		return;
	c->writing = writing;
	ev.events = writing ? EPOLLOUT : EPOLLIN;
	epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
}

static void
hang_up(struct sink_conn *c)
{
	close(c->fd);
	free(c);
}

static void
serve(struct sink_conn *c)
{
	static char buf[CHUNK];
	ssize_t n;

	if (c->writing) {
		if (flush(c) == -1)
			hang_up(c);
		else
			watch(c);
		return;
	}
	n = recv(c->fd, buf, sizeof(buf), 0);
	if (n == -1 && errno == EAGAIN)
		return;
	if (n > 0)
		feed(c, buf, (size_t)n);
	if (n <= 0 || flush(c) == -1)
		hang_up(c);
	else
		watch(c);
}

static void
tell(int fd)
{
	dprintf(fd,
	    "{\"logins\":%" PRIu64 ",\"messages\":%" PRIu64
	    ",\"bytes\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"log\":%" PRIu64 "}\n",
	    sink_stats.logins, sink_stats.messages, sink_stats.bytes,
	    sink_stats.bad, log_lines);
	close(fd);
}

static struct sink_conn *
conn(int fd, const struct sink_protocol *protocol)
{
	struct sink_conn *c = calloc(1, sizeof(*c));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };

	if (c == NULL)
		err(2, "calloc");
	c->fd = fd;
	c->protocol = protocol;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev) == -1)
		err(2, "epoll_ctl");
	return c;
}

static void
welcome(struct sink_conn *l)
{
	struct sink_conn *c;
	int fd, on = 1;

	while ((fd = accept4(
	            l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) != -1) {
		if (l->protocol == &statistics) {
			tell(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		c = conn(fd, l->protocol);
		sink_say(c, "%s", c->protocol->greeting);
		if (flush(c) == -1)
			hang_up(c);
	}
}

static void
listen_on(const char *port, const struct sink_protocol *protocol)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtonum(port, 1, 65535, NULL)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd, on = 1;

	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) == -1 ||
	    listen(fd, 4096) == -1)
		err(2, "port %s", port);
	conn(fd, protocol)->listener = true;
}

/*
 * A thread of its own, ahead of all others where that is allowed: a socket of
 * this kind holds a handful of datagrams, and what does not fit would be no
 * work for those who log.
 */
static void *
read_log(void *arg)
{
	const struct sched_param first = { .sched_priority = 1 };
	const int *fd = arg;
	char line[8192];

	sched_setscheduler(0, SCHED_FIFO, &first);
	while (recv(*fd, line, sizeof(line), 0) != -1)
		log_lines++;
	err(2, "log");
}

static void
listen_log(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	static int fd;
	pthread_t thread;

	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (strlcpy(sun.sun_path, path, sizeof(sun.sun_path)) >=
	        sizeof(sun.sun_path) ||
	    fd == -1 || bind(fd, (struct sockaddr *)&sun, sizeof(sun)) == -1 ||
	    chmod(path, 0666) == -1 ||
	    pthread_create(&thread, NULL, read_log, &fd) != 0)
		err(2, "%s", path);
}

static void
options(int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "i:p:s:x:l:")) != -1) {
		switch (letter) {
		case 'i':
			listen_on(optarg, &sink_imap);
			break;
		case 'p':
			listen_on(optarg, &sink_pop3);
			break;
		case 's':
			listen_on(optarg, &sink_smtp);
			break;
		case 'x':
			listen_on(optarg, &statistics);
			break;
		case 'l':
			listen_log(optarg);
			break;
		default:
			errx(2,
			    "usage: mailsink [-i IMAPPORT] [-p POP3PORT] "
			    "[-s SMTPPORT] [-x STATISTICSPORT] "
			    "[-l LOGSOCKET]");
		}
	}
}

int
main(int argc, char **argv)
{
	struct epoll_event events[EVENTS];
	struct rlimit limit;
	struct sink_conn *c;
	int i, n;

	signal(SIGPIPE, SIG_IGN);
	/* a session is a descriptor */
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	pattern_init();
	ep = epoll_create1(EPOLL_CLOEXEC);
	if (ep == -1)
		err(2, "epoll_create1");
	options(argc, argv);
	for (;;) {
		n = epoll_wait(ep, events, EVENTS, -1);
		for (i = 0; i < n; i++) {
			c = events[i].data.ptr;
			if (c->listener)
				welcome(c);
			else
				serve(c);
		}
	}
}
