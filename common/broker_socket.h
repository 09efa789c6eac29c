/* SPDX-License-Identifier: ISC */
/*
 * broker_socket: which sockets are clients that a worker has been admitted
 * with, by the kernel's own number for each.  A worker that was taken over
 * could else keep a client's descriptor and have it count again and again,
 * until nobody else is served at that client's address.
 */
#ifndef BROKER_SOCKET_H
#define BROKER_SOCKET_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

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
/*
 * May this session have one more connection to an inner server, at now in
 * seconds?  All servers and a few logins in a second are more than a client
 * can ask for; inner servers are not flooded through one.
 */
bool sockets_may_connect(
    struct sockets *s, uint32_t worker, uint32_t session, time_t now);
void sockets_forget(struct sockets *s, uint32_t worker); /* all of its */

#endif
