/* SPDX-License-Identifier: ISC */
/*
 * ipc: a message channel between two of our processes.  The other end is
 * assumed to be hostile: what msg_allowed() forbids, what does not parse, and
 * a peer that does not take its answers closes the channel, and only that.
 */
#ifndef IPC_H
#define IPC_H

#include <event2/event.h>
#include <stdint.h>

#include "msg.h"

struct ipc;

/*
 * One message has come.  r holds its fields, borrowed until the return; fd is
 * -1 or a descriptor that now belongs to the callee, for MSG_ADMIT,
 * MSG_CONNECT_REPLY and MSG_LEARN maybe FDPASS_LOST.  Return -1 when the
 * message is wrong: the channel is closed (ipc_closed is called).
 */
typedef int ipc_handler(void *arg, struct ipc *ch, enum msg_type type,
    uint32_t id, struct reader *r, int fd);

/*
 * The channel has ended (end of file, error, or a broken rule; why is a
 * phrase for the log, NULL for a plain end of file).  Called once, from the
 * loop, never from within ipc_send(); the callee frees ch.
 */
typedef void ipc_closed(void *arg, struct ipc *ch, const char *why);

/*
 * Take over fd (made non-blocking; closed by ipc_free).  We are self, at the
 * other end is peer.
 */
struct ipc *ipc_new(struct event_base *base, int fd, enum role self,
    enum role peer, ipc_handler *handler, ipc_closed *closed, void *arg);
void ipc_free(struct ipc **ch);

/*
 * Hand on at once what the peer has said: it has died, or another one's
 * message, whose handler may call this, is about it.  The channel stays open;
 * closed() is not called.
 */
void ipc_drain(struct ipc *ch);

/*
 * More messages may wait for the peer than usual, and more descriptors with
 * them: it asks for so many things in one turn of its loop before it reads an
 * answer.
 */
void ipc_expect_bursts(
    struct ipc *ch, unsigned int more, unsigned int more_fds);

/* How many messages a second the peer may send before it counts as broken. */
void ipc_set_quota(struct ipc *ch, unsigned int per_second);

/*
 * The peer is of another build, and may say what we do not know: that is
 * passed over, and the channel stays.
 */
void ipc_set_foreign(struct ipc *ch);

/* Is there something that the peer has not taken yet? */
bool ipc_is_waiting(const struct ipc *ch);
/* Could one more message with a descriptor wait for it? */
bool ipc_has_room(const struct ipc *ch);
/* The same of a burst: beyond that a descriptor would end the channel. */
bool ipc_takes_fd(const struct ipc *ch);
int ipc_fd(const struct ipc *ch); /* it stays the channel's */

/*
 * Send what w holds, and fd (-1: none; a copy travels, it stays the
 * caller's).  What the socket does not take now is queued to a bound.  -1
 * when the channel is broken or the queue is full (the message is lost, and
 * for anything but a log line the channel is then closed from the loop).
 */
int ipc_send(struct ipc *ch, struct writer *w, int fd);

/*
 * The same for what nobody waits for: it travels with the next ipc_send(),
 * and before it, or within 10 ms by itself.  ipc_flush(): now (a process that
 * ends calls it).
 */
void ipc_send_later(struct ipc *ch, struct writer *w);
void ipc_flush(struct ipc *ch);

/*
 * Send a request and wait for its answer, at most timeout_ms; for channels
 * that are used for nothing else (worker to keeper).  fd is a socket's that
 * blocks for as long at most (SO_RCVTIMEO), so that one system call both
 * waits and reads, or one that does not block.
 * The answer has the type answer and the request's number.  Its fields are
 * read from *r, which views into space (MSG_MAX octets) of the caller's.
 * 0, or -1 with errno: ETIMEDOUT (should the answer come later, the next call
 * passes over it; numbers go up), or EPIPE, EBADMSG: give the channel up.
 */
int ipc_call(int fd, enum role self, enum role peer, struct writer *w,
    uint32_t id, enum msg_type answer, int timeout_ms, char *space,
    struct reader *r);

#endif
