/* SPDX-License-Identifier: ISC */
/*
 * broker_socket: which sockets are clients that a worker has been admitted
 * with, by the kernel's own number for each.  A worker that was taken over
 * could else keep a client's descriptor and have it count again and again,
 * until nobody else is served at that client's address.
 */
#ifndef BROKER_SOCKET_H
#define BROKER_SOCKET_H

#include <stdint.h>

struct conf;
struct sockets;

struct sockets *sockets_new(const struct conf *c); /* c stays borrowed */
void sockets_free(struct sockets **s);

/*
 * The socket of a session begins to count.  -1: it is no client's that this
 * daemon accepted, or another session's already.
 */
int sockets_add(struct sockets *s, int fd, uint32_t worker, uint32_t session);
void sockets_remove(struct sockets *s, uint32_t worker, uint32_t session);
void sockets_forget(struct sockets *s, uint32_t worker); /* all of its */

#endif
