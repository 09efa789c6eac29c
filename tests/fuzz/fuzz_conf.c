/* SPDX-License-Identifier: ISC */
/*
 * fuzz_conf: a configuration of each daemon: what is printed of a good one is
 * read as the same, and what is written for a role is what that role reads
 * and would write.
 */
#include <netdb.h>

#include "conf.h"
#include "fuzz.h"

#define PRINT_MAX (1 << 20)
#define NETWORKS 1025 /* one more than are taken */

static const struct conf_defaults defaults[] = {
	{ .daemon = CONF_IMAP,
	    .name = "imapsd",
	    .protocol = "IMAP4",
	    .protocol_tls = "IMAP4S",
	    .port = 143,
	    .port_tls = 993,
	    .sasl_service = "imap" },
	{ .daemon = CONF_POP3,
	    .name = "pop3sd",
	    .protocol = "POP3",
	    .protocol_tls = "POP3S",
	    .port = 110,
	    .port_tls = 995,
	    .sasl_service = "pop" },
	{ .daemon = CONF_SMTP,
	    .name = "smtpsd",
	    .protocol = "SMTP",
	    .protocol_tls = "SMTPS",
	    .port = 587,
	    .port_tls = 465,
	    .inner_port = 25,
	    .inner_port_tls = 465,
	    .sasl_service = "smtp" },
};

static const enum role roles[] = { ROLE_KEEPER, ROLE_BROKER, ROLE_WORKER,
	ROLE_AUTHENTICATOR };

/* There is one besides those that are known anyway: no file is read. */
struct servent *
getservbyname(const char *name, const char *protocol)
{
	static struct servent s;

	(void)protocol;
	s.s_port = htons(4711);
	return strcmp(name, "service") == 0 ? &s : NULL;
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_quiet();
	return 0;
}

static void
hear(void *arg, bool is_error, const char *text)
{
	unsigned int *errors = arg;

	*errors += is_error;
	MUST(text[0] != '\0' && fuzz_printable(text_of(text)));
	if (is_error && getenv("FUZZ_SHOW") != NULL)
		fprintf(stderr, "%s\n", text);
}

/* Without the places behind the values, which are not the same. */
static void
drop_places(struct text t, struct buf *out)
{
	struct text line;
	size_t i;

	while (text_split(&t, '\n', &line)) {
		for (i = line.len; i > 4; i--)
			if (memcmp(line.p + i - 4, "  # ", 4) == 0)
				break;
		if (i > 4)
			line.len = i - 4;
		(void)buf_append(out, line.p, line.len);
		(void)buf_append(out, "\n", 1);
	}
}

static void
check_print(const struct conf *c, const struct conf_defaults *d)
{
	struct buf a, b, first, second;
	unsigned int errors = 0;
	struct conf *again = conf_new(d, hear, &errors);

	buf_init(&a, PRINT_MAX);
	buf_init(&b, PRINT_MAX);
	buf_init(&first, PRINT_MAX);
	buf_init(&second, PRINT_MAX);
	conf_print(c, &a);
	MUST(conf_read_text(again, "again", buf_view(&a)) == 0);
	MUST(conf_settle(again, NULL) == 0 && errors == 0);
	conf_print(again, &b);
	drop_places(buf_view(&a), &first);
	drop_places(buf_view(&b), &second);
	if (!fuzz_same(buf_view(&first), buf_view(&second)))
		fprintf(stderr, "%.*s\nand\n%.*s\n", TEXT_ARG(buf_view(&a)),
		    TEXT_ARG(buf_view(&b)));
	MUST(fuzz_same(buf_view(&first), buf_view(&second)));
	buf_free(&a);
	buf_free(&b);
	buf_free(&first);
	buf_free(&second);
	conf_free(&again);
}

static void
check_role(const struct conf *c, const struct conf_defaults *d, enum role role)
{
	struct buf a, b;
	unsigned int errors = 0;
	struct conf *r = conf_new(d, hear, &errors);

	buf_init(&a, PRINT_MAX);
	buf_init(&b, PRINT_MAX);
	conf_write_role(c, role, &a);
	MUST(conf_read_role(r, buf_view(&a)) == 0 && errors == 0);
	conf_write_role(r, role, &b);
	if (!fuzz_same(buf_view(&a), buf_view(&b)))
		fprintf(stderr, "%d: %.*s\nand\n%.*s\n", (int)role,
		    TEXT_ARG(buf_view(&a)), TEXT_ARG(buf_view(&b)));
	MUST(fuzz_same(buf_view(&a), buf_view(&b)));
	if (role == ROLE_WORKER || role == ROLE_BROKER) {
		MUST(r->nlisten == c->nlisten && r->nservers == c->nservers);
		MUST(r->outgoing_tls == c->outgoing_tls);
	}
	buf_free(&a);
	buf_free(&b);
	conf_free(&r);
}

/* Two good listeners are not at one place, nor an inner server without. */
static void
check_settled(const struct conf *c)
{
	size_t i, j;

	MUST(!c->enabled || c->nservers > 0);
	MUST(c->nservers <= CONF_SERVERS_MAX);
	for (i = 0; i < c->nservers; i++)
		MUST(c->servers[i].port != 0 && c->servers[i].name[0] != '\0');
	for (i = 0; i < c->nlisten; i++)
		for (j = 0; j < i; j++)
			MUST(!addr_eq(&c->listen[i].addr, &c->listen[j].addr));
}

static void
check_help(const struct conf *c)
{
	struct buf b;

	buf_init(&b, PRINT_MAX);
	conf_help(c, &b);
	MUST(b.len > 0);
	buf_free(&b);
}

/* What is longer than an input: \1 stands for very many networks. */
static struct text
expand(struct text t)
{
	const char *one = t.len > 0 ? memchr(t.p, '\1', t.len) : NULL;
	size_t before = one != NULL ? (size_t)(one - t.p) : t.len, i;
	struct text copy;
	struct buf b;

	buf_init(&b, PRINT_MAX);
	(void)buf_append(&b, t.p, before);
	for (i = 0; one != NULL && i < NETWORKS; i++)
		(void)buf_append(&b, "::,", 3);
	if (one != NULL)
		(void)buf_append(&b, one + 1, t.len - before - 1);
	copy = fuzz_copy(buf_view(&b).p, buf_view(&b).len);
	buf_free(&b);
	return copy;
}

/* The command line, a word in a line. */
static void
read_words(struct conf *c, struct input *in)
{
	char *argv[16] = { NULL };
	struct conf_command cmd;
	int argc = 0, i;
	struct text t;

	argv[argc++] = strdup("daemon");
	while (in->left > 0 && argc < (int)NITEMS(argv) - 1) {
		t = input_line(in);
		argv[argc++] = strndup(t.p, t.len);
	}
	(void)conf_read_args(c, argc, argv, &cmd);
	if (cmd.help)
		check_help(c);
	for (i = 0; i < argc; i++)
		free(argv[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { NULL, "perdition.imap4s.conf",
		"perdition.pop3.conf", "/etc/smtpsd.conf" };
	struct input in = { data, size };
	uint32_t luck = fuzz_luck(data, size);
	uint8_t flags = input_u8(&in), words = input_u8(&in);
	const struct conf_defaults *d = &defaults[flags % NITEMS(defaults)];
	unsigned int errors = 0;
	struct conf *c = conf_new(d, hear, &errors);
	struct input args;
	struct text t;

	t = input_text(&in, flags & 64 ? words : 0);
	args = (struct input){ (const uint8_t *)t.p, t.len };
	t = expand((struct text){ (const char *)in.p, in.left });
	read_words(c, &args);
	(void)conf_read_text(c, "t.conf", t);
	fuzz_free(t);
	(void)conf_settle(c, names[flags / 4 % 4]);
	if (errors == 0) {
		check_settled(c);
		/* Now and then, for they take longer than all else. */
		if (luck % 8 == 0 && (flags & 128) == 0)
			check_print(c, d);
		if (luck % 8 == 0 && (flags & 128) != 0)
			check_role(c, d, roles[words % NITEMS(roles)]);
	}
	conf_free(&c);
	return 0;
}
