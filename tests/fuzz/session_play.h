/* SPDX-License-Identifier: ISC */
/*
 * session_play: an input as what happens to one session, a line each, so that
 * a corpus can be read and a dictionary helps.  The first line is the
 * configuration: letters, see configure().  Then:
 *
 *	C text  the client says a line      c text  it says these octets
 *	S text  the inner server the same   s text  the same (\1 is LF)
 *	E, e    the client, the server ends its side
 *	B, b    its connection breaks       T, t    it shakes hands
 *	F, f    it takes nothing any more, or again
 *	X, x    it says 20000 octets without a line's end
 *	Z, z    it says 120 empty lines
 *	A n     the broker's verdict on the client
 *	K n     ... an inner server; none: there is none
 *	V n     ... its verdict on a message
 *	G n text an authenticator's grant, or its word
 *	W       the timer fires             w n     so much time passes
 *	P       the worker stops            R       a broker has come
 *	L       the list is known
 *	U how name password                 the client logs in
 *	M text  the client sends a message's body
 *	Y, N    the inner server's answer is yes, no: whatever it was asked
 *
 * There is no blank behind the letter.  The target defines what is the
 * protocol's (world_login() and so on).
 */
#ifndef SESSION_PLAY_H
#define SESSION_PLAY_H

#include "session_worker.h"

#define STEPS_MAX 200

/* The protocol's part. */
static void world_login(uint8_t how, struct text name, struct text password);
static bool world_in_exchange(const struct session *s);
static void world_answer(struct session *s, bool yes);
static void world_body(struct session *s, struct text body);
/* The client is about to say something: whole lines, or any octets. */
static void world_said(const struct session *s, bool lines);
static void world_begin(void); /* a new session */
static void world_step(void);  /* after each step */
static void world_over(void);  /* the session has ended, or the input */

static bool
is_server(const struct side *d)
{
	return d == &server;
}

/* Octets get on their way.  Only a client in clear says TAINT. */
static void
say(struct side *d, struct text t)
{
	char c, kind = d->secure ? KIND_TLS : KIND_CLEAR;
	size_t i;

	if (d->eof || d->broken || d->octets.len + t.len + 1 > SIDE_MAX / 4 ||
	    (is_server(d) && d->st == NULL))
		return;
	for (i = 0; i < t.len; i++) {
		c = t.p[i] == '\1' ? '\n' : t.p[i];
		if (c == TAINT && (d->secure || is_server(d)))
			c = '-';
		MUST(buf_append(&d->octets, &c, 1) == 0);
		MUST(buf_append(&d->kinds, &kind, 1) == 0);
	}
}

static void
say_line(struct side *d, struct text t)
{
	say(d, t);
	say(d, TEXT_LIT("\r\n"));
}

static void __attribute__((format(printf, 2, 3)))
say_printf(struct side *d, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	MUST(vasprintf(&text, fmt, ap) != -1);
	va_end(ap);
	say(d, text_of(text));
	free(text);
}

static void
shake_hands(struct side *d)
{
	const char octet = '\26', kind = KIND_HANDSHAKE;

	if (d->secure || d->eof || (is_server(d) && d->st == NULL))
		return;
	MUST(buf_append(&d->octets, &octet, 1) == 0);
	MUST(buf_append(&d->kinds, &kind, 1) == 0);
	d->secure = true;
}

static void
side_reset(struct side *d)
{
	buf_free(&d->octets);
	buf_free(&d->kinds);
	buf_free(&d->said);
	buf_free(&d->heard);
	memset(d, 0, sizeof(*d));
	buf_init(&d->octets, SIDE_MAX);
	buf_init(&d->kinds, SIDE_MAX);
	buf_init(&d->said, 4 * SIDE_MAX);
	buf_init(&d->heard, 4 * SIDE_MAX);
}

/* What the broker and the authenticators do. */

static void
connect_it(int number)
{
	static int fd = SERVER_FD;
	const bool fits =
	    world.session->state == SESSION_CONNECT && server.st == NULL;

	if (!world.connect_asked)
		return;
	world.connect_asked = false;
	if (fits) {
		side_reset(&server);
		world.server_login = world.login;
	}
	fd = SERVER_FD + (fd + 1) % 100;
	if (number < 0)
		session_connected(world.session, -1, MSG_NO_SERVER, 100);
	else
		session_connected(world.session, fd,
		    (uint16_t)(number % world.conf.nservers), 100);
}

static void
authenticator_says(unsigned int n, struct text t)
{
	struct sasl_exchange *x = world.exchange;
	struct text copy;

	if (world.auth_asked) {
		world.auth_asked = false;
		session_auth_granted(world.session,
		    n == AUTH_RESULTS ? NULL : (void *)&world, 1);
		return;
	}
	if (x == NULL || x->over)
		return;
	if (n == AUTH_OK && t.len == 0)
		t = TEXT_LIT("joe@example.org");
	copy = fuzz_copy(t.p, t.len);
	x->over = n != AUTH_CHALLENGE;
	x->heard(x->arg, n < AUTH_RESULTS ? n : AUTH_FAILED, copy);
	fuzz_free(copy);
}

static void
admit(unsigned int n)
{
	if (!world.admit_asked)
		return;
	world.admit_asked = false;
	session_admitted(world.session, n % ADMIT_VERDICTS);
}

static void
judge_submit(unsigned int n)
{
	if (!world.submit_asked)
		return;
	world.submit_asked = false;
	session_submit_answered(world.session, n % SUBMIT_VERDICTS);
}

/* Without being told to, where the configuration says so. */
static bool
help(void)
{
	if (world.session == NULL || !world.automatic)
		return false;
	if (world.admit_asked)
		admit(ADMIT_OK);
	else if (world.connect_asked)
		connect_it(0);
	else if (world.auth_asked)
		authenticator_says(AUTH_OK, TEXT_NONE);
	else if (world.submit_asked)
		judge_submit(SUBMIT_OK);
	else if (world.exchange != NULL && !world.exchange->over &&
	    world.session->state == SESSION_AUTH)
		authenticator_says(AUTH_OK, TEXT_NONE);
	else
		return false;
	return true;
}

/* One event of a connection, if there is one. */
static bool
turn(struct side *d)
{
	short what = 0;

	if (world.session == NULL || d->st == NULL)
		return false;
	if (d->st->reading && (d->octets.len > 0 || d->eof || d->broken))
		what |= EV_READ | (d->eof ? EV_CLOSED : 0);
	if (d->st->writing && (!d->full || d->broken))
		what |= EV_WRITE;
	if (what == 0)
		return false;
	d->ready(d->st->fd, what, d->arg);
	return true;
}

/* Until nothing happens any more by itself, which must come soon. */
static void
settle(void)
{
	unsigned int i;

	for (i = 0; help() || turn(&client) || turn(&server); i++)
		MUST(i < TURNS_MAX); /* it spins */
}

static void
fire(void)
{
	if (!timer.armed)
		return;
	timer.armed = false;
	if (timer.at > world_now)
		world_now = timer.at;
	timer.run(-1, EV_TIMEOUT, timer.arg);
}

/* A client that logs in by the book means what arrives. */
static void
log_in(struct text t)
{
	uint8_t how = t.len > 0 ? (uint8_t)t.p[0] : 0;
	const struct session *s = world.session;
	struct text name, password;
	bool clean;

	t = text_skip(t, t.len > 0);
	if (!text_split(&t, ' ', &name) || t.p == NULL || t.len == 0 ||
	    name.len == 0 || text_has(t, '\0') || text_has(name, '\0') ||
	    text_has(t, '\r') || text_has(name, '\r') || text_has(t, '\1') ||
	    text_has(name, '\1') || text_has(t, TAINT) || text_has(name, TAINT))
		return;
	password = t;
	clean = s->state == SESSION_DIALOGUE && s->client.in.len == 0 &&
	    client.octets.len == 0 && !world_in_exchange(s) &&
	    client.secure == (s->client.tls != NULL);
	world.has_login = false;
	world_login(how, name, password);
	settle();
	if (!clean || !world.has_login)
		return;
	MUST(fuzz_same(text_of(world.login.authn), name));
	MUST(fuzz_same(text_of(world.login.password), password));
}

static unsigned int
digit_of(struct text *t)
{
	unsigned int n = t->len > 0 ? (unsigned char)t->p[0] - '0' : 0;

	*t = text_skip(*t, t->len > 0);
	return n % 10;
}

/* More than a session takes of a line, or of lines. */
static void
flood(struct side *d, struct text t, size_t n)
{
	while (n-- > 0)
		say(d, t);
}

static void
step_side(struct side *d, char op, struct text t)
{
	switch (op) {
	case 'C':
		say_line(d, t);
		break;
	case 'c':
		say(d, t);
		break;
	case 'E':
		d->eof = true;
		break;
	case 'B':
		d->broken = true;
		break;
	case 'T':
		shake_hands(d);
		break;
	case 'X':
		flood(d, TEXT_LIT("0123456789"), 2000);
		break;
	case 'Z':
		flood(d, TEXT_LIT("\r\n"), 120);
		break;
	default:
		d->full = !d->full;
	}
}

/* What is neither a client's nor an inner server's. */
static void
step_role(char op, struct text t)
{
	unsigned int n;

	switch (op) {
	case 'A':
		admit(digit_of(&t));
		break;
	case 'K':
		connect_it(t.len > 0 ? (int)digit_of(&t) : -1);
		break;
	case 'V':
		judge_submit(digit_of(&t));
		break;
	case 'G':
		n = digit_of(&t);
		authenticator_says(n, t);
		break;
	case 'W':
		fire();
		break;
	case 'w':
		world_now += digit_of(&t);
		break;
	case 'P':
		session_stop(world.session);
		break;
	case 'R':
		session_broker_back(world.session);
		break;
	case 'L':
		if (world.list_state == WORKER_LIST_AWAITED)
			world.list_state = WORKER_LIST_KNOWN;
		session_list_known(world.session);
		break;
	default:
		break;
	}
}

static void
play_step(char op, struct text t)
{
	static const char of_server[] = "Ssebtfxz", as_client[] = "CcEBTFXZ";
	const char *at = op != '\0' ? strchr(of_server, op) : NULL;

	if (at != NULL) {
		if (server.st != NULL)
			step_side(&server, as_client[at - of_server], t);
	} else if (op != '\0' && strchr(as_client, op) != NULL) {
		if (op == 'C' || op == 'c' || op == 'X' || op == 'Z')
			world_said(
			    world.session, op == 'C' && !text_has(t, '\1'));
		step_side(&client, op, t);
	} else if (op == 'U') {
		log_in(t);
	} else if (op == 'M') {
		world_body(world.session, t);
	} else if (op == 'Y' || op == 'N') {
		if (server.st != NULL)
			world_answer(world.session, op == 'Y');
	} else {
		step_role(op, t);
	}
}

static void
configure(struct text t)
{
	static char name[] = "mail.example", list[] = WORLD_LIST,
	            host[] = "gw.example.org", word[] = "hush hush",
	            hello[] = "Welcome", at[] = "@",
	            domain[CREDENTIALS_NAME_MAX + 1];
	static struct addr_range proxies;
	static enum conf_outgoing_tls tls[] = { OUTGOING_PLAIN, OUTGOING_SSL,
		OUTGOING_STARTTLS, OUTGOING_STARTTLS_FORCE };

	memset(&world, 0, sizeof(world));
	world.automatic = text_has(t, 'a');
	world.hasty = text_has(t, 'h');
	world.poor = text_has(t, 'm');
	world.list_state = text_has(t, 'l') ? WORKER_LIST_AWAITED
	    : text_has(t, 'k')              ? WORKER_LIST_KNOWN
	                                    : WORKER_LIST_NONE;
	world.servers[0].name = world.servers[1].name = name;
	MUST(WORLD_PROTOCOL.parse_capability(list, &world.list) == 0);
	world.conf.servers = world.servers;
	world.conf.nservers = text_has(t, '2') ? 2 : 1;
	world.conf.outgoing_tls = tls[text_has(t, 'o') + 2 * text_has(t, 'O')];
	world.conf.hostname = host;
	world.conf.authenticate_timeout = 60;
	world.conf.timeout = text_has(t, 'n') ? 0 : 40;
	world.conf.outgoing_timeout = 30;
	world.conf.sasl_timeout = 10;
	world.conf.login_attempts = text_has(t, 'n') ? 0 : 3;
	world.conf.login_disabled = text_has(t, 'd');
	world.conf.ok_line = text_has(t, 'e') ? hello : NULL;
	/* A name without a domain would get one that is too long. */
	memset(domain, 'x', sizeof(domain) - 1);
	world.conf.domain_delimiter = at;
	world.conf.name_rules.add_domain = text_has(t, 'w');
	world.conf.explicit_domain = domain;
	world.conf.authenticate_in = text_has(t, 'i');
	world.conf.outgoing_client_info = text_has(t, 'x');
	world.conf.outgoing_proxy = text_has(t, 'p') ? 1 + text_has(t, 'h') : 0;
	(void)addr_range_parse(TEXT_LIT("203.0.113.0/24"), &proxies);
	world.conf.proxies = &proxies;
	world.conf.nproxies = text_has(t, 'y') ? 1 : 0;
	world.conf.capability = text_has(t, 'c') ? list : NULL;
	world.conf.normalize_newlines = text_has(t, 'N');
	world.conf.submit_rules = text_has(t, 's');
	world.conf.sender_login_map = text_has(t, 's') ? name : NULL;
	world.conf.user_message_limit = text_has(t, 's') ? 10 : 0;
	world.conf.user_recipient_limit = text_has(t, 's') ? 20 : 0;
	world.conf.outgoing_user = text_has(t, 'u') ? name : NULL;
	world.conf.outgoing_password = text_has(t, 'u') ? word : NULL;
	world.conf.connect_relog = text_has(t, 'r') ? 10 : 0;
	world.conf.received_client = world.conf.received_user =
	    world.conf.received_tls = !text_has(t, 'r');
	world.conf.message_size_limit = text_has(t, 'z') ? 2000 : 0;
	world.conf.recipient_limit = text_has(t, 'z') ? 3 : 1000;
}

static void
begin(struct text t)
{
	struct conf_listen l = { .mode = LISTEN_PLAIN,
		.clear_login = text_has(t, 'C') };
	struct addr peer, local;

	if (text_has(t, 'S'))
		l.mode = LISTEN_SSL;
	else if (text_has(t, 'T'))
		l.mode = LISTEN_STARTTLS;
	(void)addr_parse(TEXT_LIT("203.0.113.50"), 4711, &peer);
	(void)addr_parse(TEXT_LIT("192.0.2.1"), 143, &local);
	world_begin();
	if (text_has(t, 'q'))
		world.session = session_new_lesson(&world, SERVER_FD, 0);
	else
		world.session =
		    session_new(&world, CLIENT_FD, &l, &peer, &local, 7);
}

/* When TLS has come, nobody hears of what the client said before it. */
static void
check_always(void)
{
	const struct text heard = buf_view(&client.heard),
	                  told = buf_view(&server.heard);

	/* An inner server says no TAINT, nor do we. */
	if (client.clear < heard.len)
		MUST(memchr(heard.p + client.clear, TAINT,
		         heard.len - client.clear) == NULL);
	if (world.session != NULL && server.st != NULL && told.len > 0 &&
	    world.session->client_secure == SECURE_STARTTLS)
		MUST(memchr(told.p, TAINT, told.len) == NULL);
	world_step();
}

/* What one side heard behind a login is what the other said behind it. */
static void
check_across(
    const struct side *from, size_t said, const struct side *to, size_t heard)
{
	struct text got = buf_view(&to->heard), whole = buf_view(&from->said);

	if (got.len <= heard)
		return; /* it takes nothing */
	got = text_skip(got, heard);
	MUST(said <= whole.len && got.len <= whole.len - said);
	MUST(memcmp(got.p, whole.p + said, got.len) == 0);
}

static void
check_relay(void)
{
	if (!world.relays)
		return;
	check_across(&client, world.client_said, &server, world.server_heard);
	check_across(&server, world.server_said, &client, world.client_heard);
}

static void
end(void)
{
	if (world.session != NULL) {
		/* Its end comes with those of both sides, or in time. */
		client.broken = server.broken = true;
		settle();
	}
	if (world.session != NULL)
		session_stop(world.session);
	settle();
	while (world.session != NULL && timer.armed)
		fire();
	MUST(world.session == NULL && client.st == NULL && server.st == NULL);
	MUST(world.exchange == NULL);
}

static bool showing;

/* For FUZZ_SHOW: the end of what it has heard. */
static void
show_heard(const char *who, const struct side *d)
{
	char shown[200];
	struct text t = buf_view(&d->heard);

	if (!showing)
		return;
	if (t.len > 60)
		t = text_skip(t, t.len - 60);
	log_debug("%s: %s", who, text_printable(t, shown, sizeof(shown)));
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	showing = getenv("FUZZ_SHOW") != NULL;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct text t = input_line(&in);
	unsigned int i;
	char op;

	side_reset(&client);
	side_reset(&server);
	world_now = 1000;
	configure(t);
	begin(t);
	settle();
	for (i = 0; i < STEPS_MAX && in.left > 0 && world.session != NULL;
	     i++) {
		op = (char)input_u8(&in);
		if (op == '\n')
			continue;
		t = input_line(&in);
		log_debug("step %c", op);
		play_step(op, t);
		settle();
		show_heard("client", &client);
		show_heard("server", &server);
		check_always();
	}
	world_over();
	end();
	check_relay();
	side_reset(&client);
	side_reset(&server);
	return 0;
}

#endif
