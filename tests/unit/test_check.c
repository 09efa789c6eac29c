/* SPDX-License-Identifier: ISC */
/* What check finds on a machine that lacks something. */
#include <sys/stat.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <unistd.h>

#include "check.h"
#include "conf_fixture.h"
#include "handover.h"
#include "remove_tree.h"
#include "session.h"
#include "xmalloc.h"

#define STRANGER 65534
#define nitems(a) (sizeof(a) / sizeof((a)[0]))

static char top[] = "/tmp/test_check.XXXXXX";

/* Whatever has a "!" in it has no good form. */
static int
parse_capability(const char *text, struct capability *out)
{
	capability_clear(out);
	return strchr(text, '!') == NULL ? 0 : -1;
}

static const struct protocol protocol = {
	.defaults = &fixture_defaults,
	.parse_capability = parse_capability,
};

static void
make(const char *name, off_t size, mode_t mode)
{
	char *path = xasprintf("%s/%s", top, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	free(path);
}

static void
make_folder(const char *name, mode_t mode)
{
	char *path = xasprintf("%s/%s", top, name);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chmod(path, mode), 0);
	free(path);
}

static int
setup(void **state)
{
	char *path;

	(void)state;
	if (mkdtemp(top) == NULL)
		return -1;
	make("crt", 1, 0644);
	make("key", 1, 0640);
	make("open", 1, 0644);
	make("shut", 1, 0000);
	make("empty", 0, 0600);
	make("huge", HANDOVER_FILE_MAX + 1, 0600);
	make_folder("dir", 0755);
	make_folder("wide", 0777);
	make_folder("sticky", 01777);
	make_folder("readonly", 0555);
	make_folder("locked", 0000);
	path = xasprintf("%s/fifo", top);
	assert_int_equal(mkfifo(path, 0600), 0);
	free(path);
	path = xasprintf("%s/sock", top);
	assert_int_equal(mknod(path, S_IFSOCK | 0600, 0), 0);
	free(path);
	path = xasprintf("%s/link", top);
	assert_int_equal(symlink("dir", path), 0);
	free(path);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return remove_tree(top);
}

/* text with top in the place of each '~'; to be freed. */
static char *
expand(const char *text)
{
	struct buf b;
	char *s;

	buf_init(&b, FIXTURE_TEXT_MAX);
	for (; *text != '\0'; text++)
		assert_int_equal(*text == '~' ? buf_append(&b, top, strlen(top))
		                              : buf_append(&b, text, 1),
		    0);
	s = xstrndup(buf_view(&b).p, buf_view(&b).len);
	buf_free(&b);
	return s;
}

#define GOOD                                                                   \
	"outgoing_server 127.0.0.2\nlisten \"127.0.0.1 ssl\"\n"                \
	"ssl_cert_file ~/crt\nssl_key_file ~/key\npid_file ~/pid\n"            \
	"spool_directory ~/spool\nusername nobody\ndaemon_username daemon\n"

struct trial {
	const char *in; /* behind GOOD; a later line wins */
	unsigned int faults;
	const char *message; /* NULL: there must be none at all */
};

/* What was set is told with its line, which is another one in each trial. */
static void
hear(void *arg, bool is_error, const char *text)
{
	const char *colon;

	if (strncmp(text, "t.conf:", 7) == 0 &&
	    (colon = strstr(text + 7, ": ")) != NULL)
		text = colon + 2;
	fixture_hear(arg, is_error, text);
}

static void
try(const struct trial *t)
{
	char *text = xasprintf(GOOD "%s\n", t->in);
	char *in = expand(text);
	char *message = t->message == NULL ? NULL : expand(t->message);
	struct said said;
	struct conf *c = fixture_settled(&said, in, NULL);
	unsigned int n;

	fixture_check(t->in, &said, 0, NULL);
	n = check_machine(c, &protocol, hear, &said);
	fixture_check(t->in, &said, t->faults, message);
	assert_int_equal(n, t->faults);
	conf_free(&c);
	free(message);
	free(in);
	free(text);
}

static const struct trial trials[] = {
	{ "", 0, NULL },
	/* what clients see */
	{ "ssl_cert_file ~/no", 1,
	    "E ssl_cert_file or ssl_pair: ~/no: No such file" },
	{ "ssl_cert_file ~/dir", 1, "~/dir is no regular file" },
	{ "ssl_cert_file ~/fifo", 1, "~/fifo is no regular file" },
	{ "ssl_cert_file ~/empty", 1, "~/empty is empty" },
	{ "ssl_cert_file ~/huge", 1, "~/huge is longer than 4194304 octets" },
	{ "ssl_key_file ~/no", 1,
	    "E ssl_key_file or ssl_pair: ~/no: No such file" },
	{ "ssl_key_file ~/no/key", 1, "~/no/key: No such file" },
	{ "ssl_key_file ~/open", 0,
	    "W ssl_key_file or ssl_pair: ~/open has mode 0644" },
	{ "ssl_cert_file ~/no\nssl_key_file ~/no", 2, "ssl_key_file" },
	{ "ssl_pair \"~/crt ~/key\"", 0, NULL },
	{ "ssl_pair \"~/dir ~/key\"", 1, "E ssl_pair: ~/dir is no regular" },
	{ "ssl_pair \"~/crt ~/no\"", 1, "E ssl_pair: ~/no: No such file" },
	{ "ssl_pair \"~/crt ~/open\"", 0, "W ssl_pair: ~/open has mode 0644" },
	{ "ssl_passphrase_file ~/key", 0, NULL },
	{ "ssl_passphrase_file ~/no", 1, "E ssl_passphrase_file: ~/no: No" },
	{ "ssl_passphrase_file ~/open", 0, "W ssl_passphrase_file: ~/open" },
	/* inner servers */
	{ "ssl_ca_file ~/no", 0, NULL }, /* in clear: nobody reads it */
	{ "ssl_mode ssl_outgoing\nssl_ca_file ~/crt\nssl_ca_path ~/dir", 0,
	    NULL },
	{ "ssl_mode ssl_outgoing\nssl_ca_file ~/no", 1, "E ssl_ca_file: ~/no" },
	{ "ssl_mode tls_outgoing\nssl_ca_chain_file ~/dir", 1,
	    "E ssl_ca_chain_file: ~/dir is no regular file" },
	{ "ssl_mode ssl_outgoing\nssl_ca_path ~/no", 1, "E ssl_ca_path: ~/no" },
	{ "ssl_mode ssl_outgoing\nssl_ca_path ~/crt", 1,
	    "E ssl_ca_path: ~/crt is no folder" },
	/* what is written */
	{ "sasldb_path ~/no", 0, NULL }, /* nobody authenticates here */
	{ "authenticate_in\nsasldb_path ~/huge", 0, NULL },
	{ "authenticate_in\nsasldb_path ~/no", 1, "E sasldb_path: ~/no: No" },
	{ "pid_file \"\"", 0, NULL },
	{ "pid_file ~/crt", 0, NULL },
	{ "pid_file ~/no/pid", 1, "E pid_file: ~/no: No such file" },
	{ "pid_file ~/crt/pid", 1, "E pid_file: ~/crt is no folder" },
	{ "pid_file ~/dir", 1, "E pid_file: ~/dir is a folder" },
	{ "log_facility ~/log", 0, NULL },
	{ "log_facility ~/crt", 0, NULL },
	{ "log_facility ~/no/log", 1, "E log_facility: ~/no: No such file" },
	{ "log_facility ~/dir", 1, "E log_facility: ~/dir is a folder" },
	{ "log_facility mail", 0, NULL },
	{ "log_facility +", 0, NULL },
	/* the dialogue */
	{ "imap_capability \"IMAP4rev1 IDLE\"", 0, NULL },
	{ "imap_capability IMAP4!", 1, "E imap_capability: \"IMAP4!\" is no" },
};

static void
test_files(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < nitems(trials); i++)
		try(&trials[i]);
}

/* Where it is said; not of a default. */
static void
test_where(void **state)
{
	static const struct {
		const char *in, *message;
	} cases[] = {
		{ "listen 127.0.0.1:993 ssl\n\nssl_pair \"~/crt ~/fifo\"\n",
		    "E t.conf:3: ssl_key_file or ssl_pair: ~/fifo is no" },
		{ "ssl_cert_file ~/crt\nssl_key_file ~/dir\n",
		    "E t.conf:2: ssl_key_file or ssl_pair: ~/dir is no" },
		{ "ssl_cert_file ~/sock\nssl_key_file ~/key\n",
		    "E t.conf:1: ssl_cert_file or ssl_pair: ~/sock: it is no "
		    "regular file" },
		{ "ssl_cert_file ~/crt\nssl_key_file ~/key\npid_file ~/dir\n",
		    "E t.conf:3: pid_file: ~/dir is a folder" },
	};
	struct said said;
	struct conf *c;
	char *in, *message;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(cases); i++) {
		in = expand(cases[i].in);
		message = expand(cases[i].message);
		c = fixture_settled(&said, in, NULL);
		(void)check_machine(c, &protocol, fixture_hear, &said);
		if (strstr(said.text, message) == NULL)
			fail_msg("%s: %s", cases[i].in, said.text);
		conf_free(&c);
		free(message);
		free(in);
	}
}

#define NO_USER "no_such_user_relais"

static const struct trial as_root[] = {
	{ "username " NO_USER, 1,
	    "E username: there is no user \"" NO_USER "\"; make one with "
	    "\"useradd --system --no-create-home --shell "
	    "/usr/sbin/nologin " NO_USER "\"" },
	{ "daemon_username " NO_USER, 1, "E daemon_username: there is no" },
	{ "username " NO_USER "\ndaemon_username " NO_USER, 2, "E daemon_" },
	{ "username root", 1, "E username: \"root\" has the rights of root" },
	{ "daemon_username root", 1, "E daemon_username: \"root\" has" },
	{ "username daemon", 0, "W username and daemon_username are the same" },
	{ "group nogroup", 0, NULL },
	{ "group " NO_USER, 1, "E group: there is no group \"" NO_USER "\"" },
	{ "group root", 1, "E group: \"root\" is the group of root" },
	{ "spool_directory ~/dir", 0, NULL },
	{ "spool_directory ~/dir/", 0, NULL },
	{ "spool_directory ~/no/spool", 1, "E spool_directory: ~/no: No such" },
	{ "spool_directory ~/crt/x", 1, "E spool_directory: ~/crt is no fol" },
	{ "spool_directory ~/crt", 1, "E spool_directory: ~/crt is no folder" },
	{ "spool_directory ~/link", 1, "~/link is no folder of root's" },
	{ "spool_directory ~/wide/spool", 0,
	    "W spool_directory: others than root can write in ~/wide" },
	{ "spool_directory ~/sticky/spool", 0, NULL },
};

static void
test_as_root(void **state)
{
	size_t i;

	(void)state;
	if (geteuid() != 0)
		skip();
	for (i = 0; i < nitems(as_root); i++)
		try(&as_root[i]);
}

static int
hand_over(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)type;
	(void)f;
	return lchown(path, STRANGER, STRANGER);
}

/* Without root nobody changes user, and modes bind. */
static const struct trial not_root[] = {
	{ "username " NO_USER, 0, NULL },
	{ "spool_directory ~/no/spool", 0, NULL },
	{ "ssl_key_file ~/shut", 1, "~/shut: Permission denied" },
	{ "pid_file ~/shut", 1, "E pid_file: ~/shut: Permission denied" },
	{ "pid_file ~/readonly/pid", 1, "~/readonly: Permission denied" },
	{ "log_facility /log", 1, "E log_facility: /: " },
	{ "log_facility ~/readonly/log", 1, "~/readonly: Permission denied" },
	{ "ssl_mode ssl_outgoing\nssl_ca_path ~/locked", 1,
	    "E ssl_ca_path: ~/locked: Permission denied" },
};

static void
test_not_root(void **state)
{
	uid_t uid = geteuid();
	uid_t other = uid == 0 ? STRANGER : uid;
	size_t i;

	(void)state;
	if (uid == 0)
		assert_int_equal(nftw(top, hand_over, 8, FTW_PHYS), 0);
	assert_int_equal(seteuid(other), 0);
	for (i = 0; i < nitems(not_root); i++)
		try(&not_root[i]);
	assert_int_equal(seteuid(uid), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_as_root),
		cmocka_unit_test(test_not_root),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
