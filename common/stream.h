/* SPDX-License-Identifier: ISC */
/*
 * stream: a non-blocking connection, plain or TLS, in libevent's loop.
 *
 * Reading and writing go through buffers that belong to the process, one set
 * for all its streams; a stream itself owns memory only for what was read and
 * not yet taken (in, kept through a dialogue) and for what the peer would not
 * take yet (out).  A stream that relays and is idle owns none.
 *
 * What is written is gathered (tickets and greeting, several records) and
 * goes out with one send(2) at stream_flush().
 */
#ifndef STREAM_H
#define STREAM_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "text.h"
#include "tls.h"

enum stream_result {
	STREAM_OK,
	STREAM_WAIT, /* nothing there (read), not yet done (handshake) */
	STREAM_EOF,  /* the peer has ended its side */
	STREAM_ERROR /* broken; errno, or tls_error() where TLS failed */
};

/* How far our side's end has come. */
enum stream_output {
	STREAM_TALKS,
	STREAM_ENDING, /* all is said; the FIN follows what is pending */
	STREAM_ENDED
};

struct stream {
	int fd;                     /* -1: not open */
	struct tls *tls;            /* NULL: plain, or still awaited */
	struct tls_server *awaited; /* whose tls will be; NULL: nobody's */
	struct buf in;              /* read, not yet taken by the dialogue */
	struct buf out;             /* gathered, or not yet taken by the peer */
	struct event read_ev, write_ev;
	bool reading, writing; /* which events are armed */
	enum stream_output output;
	bool failed;  /* an error while writing: the next call tells */
	bool counted; /* it is a client's: stats.bytes */
	uint64_t received, sent; /* octets of text since the last reset */
};

typedef void stream_ready(int fd, short what, void *arg);

/* Buffers of this process; before the first stream. */
void stream_global_init(void);

/*
 * A stream that is not open; in_max is the ceiling of what stream_fill() lets
 * wait in in, which has room for the octets of one stream_read() beyond that.
 */
void stream_init(struct stream *s, size_t in_max);
bool stream_is_open(const struct stream *s);

/*
 * Options of a connection: TCP_NODELAY, keep-alive, little that waits unsent.
 * What a listener has, those that it accepts inherit.
 */
void stream_tune(int fd);
/*
 * The connection breaks when the peer has acknowledged nothing, or taken
 * nothing, of what it was sent for so many seconds; 0: the kernel's own limit.
 * Inherited as above.
 */
void stream_set_patience(int fd, unsigned int seconds);

/*
 * Take over fd.  ready(arg) is called when there is something to read (with
 * EV_CLOSED: and the end behind it) or room to write.  Reading is armed.
 */
void stream_open(struct stream *s, struct event_base *base, int fd,
    stream_ready *ready, void *arg);
void stream_close(struct stream *s); /* all memory goes; may be opened again */

/* From now on the octets are records of t, which the stream takes over. */
void stream_set_tls(struct stream *s, struct tls *t);
/*
 * The same, with TLS as the server, of which there is none until the client's
 * first record is whole: who says nothing costs next to nothing.  Its octets
 * are kept in s->in, which must be empty.  server is borrowed.
 */
void stream_await_tls(struct stream *s, struct tls_server *server);
enum stream_result stream_handshake(struct stream *s);

/*
 * Dialogue: read what there is (a bounded amount) and append it to s->in.
 * STREAM_WAIT also when in has no room: take something out first.
 */
enum stream_result stream_fill(struct stream *s);
bool stream_has_room(const struct stream *s); /* for one more such step */

/*
 * Relay: read what there is into the process's buffer and view it in *t,
 * valid until the next call on any stream.
 */
enum stream_result stream_read(struct stream *s, struct text *t);
/* The same for what nobody is to see: it is wiped. */
enum stream_result stream_discard(struct stream *s);

/* Gather; never fails here: s->failed is told by the next flush. */
void stream_write(struct stream *s, const void *p, size_t n);
void stream_printf(struct stream *s, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Send what is gathered.  STREAM_OK: all gone; STREAM_WAIT: the rest is kept
 * and the write event armed; STREAM_ERROR.
 */
enum stream_result stream_flush(struct stream *s);
bool stream_pending(const struct stream *s); /* something waits to be sent */

void stream_want_read(struct stream *s, bool on);
/*
 * No more output: TLS's goodbye and FIN follow what is pending, if need be in
 * a later stream_flush().  What is written after this goes nowhere.  May be
 * asked for again.
 */
void stream_shutdown(struct stream *s);
/*
 * The client is not served: say so by a TLS alert, wherever its handshake is.
 * stream_close() is next.
 */
void stream_refuse(struct stream *s);
/* TLS's goodbye only: stream_close() is next. */
void stream_goodbye(struct stream *s);

#endif
