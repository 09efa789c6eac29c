/* SPDX-License-Identifier: ISC */
/*
 * session_impl: what session.c (states, turns, the end), session_client.c
 * (admission, TLS, dialogue) and session_server.c (the inner server, the
 * login), session_proxy.c (PROXY headers) and session_sasl.c (the
 * authenticators) know of each other.
 */
#ifndef SESSION_IMPL_H
#define SESSION_IMPL_H

#include "session.h"
#include "stats.h"
#include "worker.h"

/* Neither client nor server yet; all is at its beginning. */
struct session *session_new_bare(struct worker *w);

/* What came of a login (session_stats.c). */
void session_count_login(const struct session *s, enum stats_login result);
/* TLS with the client is up. */
void session_count_handshake(const struct session *s);
/* The inner server is ready for a login. */
void session_count_greeting(const struct session *s);

/* The only place that changes s->state; it sets the state's time limit. */
void session_enter(struct session *s, enum session_state next);
/* All is said: the client's end is waited for, for a moment. */
void session_linger(struct session *s);
/* For s->timer: the state's time is over.  A turn. */
void session_timer(int fd, short what, void *session);
/* authenticate_timeout */
void session_end_late(struct session *s);

/*
 * Every turn ends here: input that is ready is offered to the protocol, what
 * was written goes out, events are armed as the state wants them, and a dead
 * session is freed: then the answer is false.
 */
bool session_leave(struct session *s);

/*
 * The client has gone.  A refusal that is held back keeps its place until
 * then: hanging up is no way to guess faster.  What an inner server owes us
 * on a message is still heard.
 */
void session_client_gone(struct session *s);
/* The client's first line is a browser's: nothing is to be repeated to it. */
bool session_is_http(const struct session *s);
/* End without another word. */
void session_drop(struct session *s, const char *reason);

/* One line of the session's life for the log. */
void session_event(struct session *s, enum event_type type, const char *status);

/* SESSION_SUBMIT has its answer, or its time is over. */
void session_submit_over(struct session *s, enum submit_verdict v);
/* SESSION_MESSAGE: what came goes to the protocol. */
void session_offer_message(struct session *s);
void session_read_message(struct session *s);
void session_mail_timer(struct session *s);
/* The inner server takes what we had for it. */
void session_mail_moves(struct session *s);
void session_mail_server_gone(struct session *s, const char *reason);
/* When is a session with an inner server to be looked at again? */
void session_watch(struct session *s);
/* Whom minimum_rate is for may have changed. */
void session_pace(struct session *s);
/* True: its window is over, and it was too slow. */
bool session_pace_timer(struct session *s);
/* Find an inner server, from the beginning, or one that was not tried. */
void session_ask_for_server(struct session *s);
void session_next_server(struct session *s);

/*
 * The peer is a proxy: read its header, then as for any client; its time is
 * over; and a header of a peer that is none is the session's end.
 */
void session_proxy_begin(struct session *s);
void session_proxy_ready(struct session *s);
void session_proxy_late(struct session *s);
void session_refuse_header(struct session *s);
/* Tell the inner server who the client is, where it is to have a header. */
void session_send_header(struct session *s);

/* As session_new(), before anything is said. */
struct session *session_new_client(struct worker *w, int fd,
    const struct conf_listen *l, const struct addr *local);

/* The broker has not said in time that the client is served. */
void session_not_admitted(struct session *s);
/* The client is served from now on. */
void session_begin(struct session *s);
void session_client_ready(int fd, short what, void *arg);
/* What session_starttls() asked for. */
void session_client_start_tls(struct session *s);
/* Greet, once the list is known or LEARN's time is over. */
void session_greet(struct session *s);

void session_server_ready(int fd, short what, void *arg);
void session_server_timeout(struct session *s);
/* Close the inner connection, if there is one. */
void session_server_close(struct session *s);
/* The delay after a refusal is over. */
void session_delay_over(struct session *s);
/* Goodbye, if it was one refused login too many. */
void session_check_attempts(struct session *s);

/* authenticate_in: an authenticator's word on s->login. */
void session_login_checked(struct session *s, enum sasl_result result);
void session_sasl_timeout(struct session *s);
/* A broker has come. */
void session_sasl_ask_again(struct session *s);

#endif
