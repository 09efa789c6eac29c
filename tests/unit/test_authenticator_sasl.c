/* SPDX-License-Identifier: ISC */
/*
 * libsasl2 with a real sasldb: who may log in and how, what the answers mean,
 * and that saslauthd's silence is no refusal.  libsasl2 is one for a process,
 * so each configuration has a child of its own.
 */
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "authenticator_sasl.h"
#include "log.h"

#define nitems(a) (sizeof(a) / sizeof((a)[0]))
#define PLAIN(a, b, c) TEXT_LIT(a "\0" b "\0" c)

static char top[] = "/tmp/test_sasl.XXXXXX";
static char sasldb[64];
static char said[4096]; /* in the log */

static void
hear(void *arg, int priority, const char *text)
{
	(void)arg;
	(void)priority;
	(void)strlcat(said, text, sizeof(said));
}

/* For children: what is not so ends them. */
#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "line %d: %s\n%s\n", __LINE__,         \
			    #condition, said);                                 \
			_exit(1);                                              \
		}                                                              \
	} while (0)

static struct conf conf;
static struct sasl_setup setup = { .conf = &conf, .service = "smtp" };
static char options[] = "noanonymous";
static char domain[] = "example.org", host[] = "gateway.example.net";

static void
open_with(const char *file)
{
	size_t bad;

	conf.sasl_security_options = options;
	conf.sasl_local_domain = domain;
	conf.hostname = host;
	setup.file = sasl_conf_new(text_of(file), &bad);
	setup.sasldb = sasldb;
	log_set_sink(hear, NULL);
	MUST(setup.file != NULL);
	sasl_open(&setup);
}

static struct dialogue *
new_dialogue_at(unsigned int ssf)
{
	struct addr client, local;
	struct dialogue *d;

	MUST(addr_parse(TEXT_LIT("192.0.2.1"), 50000, &client) == 0);
	MUST(addr_parse(TEXT_LIT("2001:db8::1"), 465, &local) == 0);
	d = dialogue_new(&client, &local, ssf);
	MUST(d != NULL);
	return d;
}

static struct dialogue *
new_dialogue(void)
{
	return new_dialogue_at(256);
}

typedef void in_child(void);

static void
run(in_child *f)
{
	int status;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		/* cmocka's handlers would run the rest of the tests here. */
		signal(SIGSEGV, SIG_DFL);
		signal(SIGABRT, SIG_DFL);
		signal(SIGPIPE, SIG_IGN); /* as in every role */
		f();
		exit(0); /* with LeakSanitizer's word */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void
checks(void)
{
	static const struct {
		struct text name, password;
		enum sasl_result result;
		const char *user;
	} cases[] = {
		{ TEXT_LIT("alice"), TEXT_LIT("secret"), AUTH_OK,
		    "alice@example.org" },
		{ TEXT_LIT("alice@example.org"), TEXT_LIT("secret"), AUTH_OK,
		    "alice@example.org" },
		{ TEXT_LIT("alice"), TEXT_LIT("Secret"), AUTH_FAILED, NULL },
		{ TEXT_LIT("alice"), TEXT_LIT("secret "), AUTH_FAILED, NULL },
		{ TEXT_LIT("alice"), TEXT_LIT("secret\0x"), AUTH_FAILED, NULL },
		{ TEXT_LIT("alice\0x"), TEXT_LIT("secret"), AUTH_FAILED, NULL },
		{ TEXT_LIT("alice\n"), TEXT_LIT("secret"), AUTH_FAILED, NULL },
		{ TEXT_LIT("alice"), TEXT_LIT(""), AUTH_FAILED, NULL },
		{ TEXT_LIT(""), TEXT_LIT("secret"), AUTH_FAILED, NULL },
		{ TEXT_LIT("bob"), TEXT_LIT("secret"), AUTH_FAILED, NULL },
		{ TEXT_LIT("alice@example.net"), TEXT_LIT("secret"),
		    AUTH_FAILED, NULL },
	};
	struct dialogue *d;
	struct text user;
	size_t i;

	open_with("pwcheck_method: auxprop\nmech_list: plain\n");
	for (i = 0; i < nitems(cases); i++) {
		d = new_dialogue();
		MUST(dialogue_check(d, cases[i].name, cases[i].password,
		         &user) == cases[i].result);
		MUST(cases[i].user == NULL ? user.len == 0
		                           : text_eq(user, cases[i].user));
		dialogue_free(&d);
		MUST(d == NULL);
	}
	MUST(strstr(said, "secret") == NULL);
}

static void
mechanisms(void)
{
	static const struct {
		const char *name;
		bool has_initial;
		struct text initial;
		enum sasl_result result;
	} cases[] = {
		{ "PLAIN", true, PLAIN("", "alice", "secret"), AUTH_OK },
		{ "plain", true, PLAIN("", "alice", "secret"), AUTH_OK },
		{ "PLAIN", true, PLAIN("alice", "alice", "secret"), AUTH_OK },
		{ "PLAIN", true, PLAIN("", "alice", "wrong"), AUTH_FAILED },
		{ "PLAIN", true, PLAIN("", "nobody", "secret"), AUTH_FAILED },
		/* in somebody else's name */
		{ "PLAIN", true, PLAIN("bob", "alice", "secret"), AUTH_FAILED },
		{ "PLAIN", true, TEXT_LIT("nonsense"), AUTH_BAD_PROTOCOL },
		{ "PLAIN", true, PLAIN("", "alice", "secret\0x"),
		    AUTH_BAD_PROTOCOL },
		{ "PLAIN", true, TEXT_LIT(""), AUTH_BAD_PROTOCOL },
		{ "PLAIN", false, TEXT_NONE, AUTH_CHALLENGE },
		{ "SCRAM-SHA-1", false, TEXT_NONE, AUTH_CHALLENGE },
		{ "SCRAM-SHA-1", true, TEXT_LIT("n,,n=alice,r=abcdefgh"),
		    AUTH_CHALLENGE },
		{ "SCRAM-SHA-1", true, TEXT_LIT("rubbish"), AUTH_BAD_PROTOCOL },
		{ "CRAM-MD5", true, TEXT_LIT("x"), AUTH_NO_MECHANISM },
		{ "ANONYMOUS", true, TEXT_LIT("x"), AUTH_NO_MECHANISM },
		{ "NONESUCH", false, TEXT_NONE, AUTH_NO_MECHANISM },
		{ "", false, TEXT_NONE, AUTH_NO_MECHANISM },
		{ "A-NAME-THAT-IS-TOO-LONG", false, TEXT_NONE,
		    AUTH_NO_MECHANISM },
	};
	static char nothing[] = "";
	char list[MSG_MECHS_MAX + 1];
	struct dialogue *d;
	struct text out;
	size_t i;

	open_with("pwcheck_method: auxprop\n"
	          "mech_list: scram-sha-1 login plain anonymous\n");
	conf.sasl_security_options = nothing; /* noanonymous holds anyway */
	sasl_mechanisms(list);
	MUST(strcmp(list, "SCRAM-SHA-1 LOGIN PLAIN") == 0);
	for (i = 0; i < nitems(cases); i++) {
		d = new_dialogue();
		if (dialogue_start(d, text_of(cases[i].name),
		        cases[i].has_initial, cases[i].initial,
		        &out) != cases[i].result) {
			fprintf(stderr, "case %zu: %s\n", i, cases[i].name);
			_exit(1);
		}
		MUST(cases[i].result != AUTH_OK ||
		    text_eq(out, "alice@example.org"));
		MUST(cases[i].result <= AUTH_OK || out.len == 0);
		dialogue_free(&d);
	}
}

/* Two questions, as old clients have it; then one that is never answered. */
static void
login(void)
{
	struct dialogue *d;
	struct text out;

	open_with("pwcheck_method: auxprop\nmech_list: login\n");
	d = new_dialogue();
	MUST(dialogue_start(d, TEXT_LIT("LOGIN"), false, TEXT_NONE, &out) ==
	    AUTH_CHALLENGE);
	MUST(text_eq(out, "Username:"));
	MUST(dialogue_step(d, TEXT_LIT("alice"), &out) == AUTH_CHALLENGE);
	MUST(text_eq(out, "Password:"));
	MUST(dialogue_step(d, TEXT_LIT("secret"), &out) == AUTH_OK);
	MUST(text_eq(out, "alice@example.org"));
	dialogue_free(&d);
	d = new_dialogue();
	MUST(dialogue_start(d, TEXT_LIT("LOGIN"), false, TEXT_NONE, &out) ==
	    AUTH_CHALLENGE);
	dialogue_free(&d);
}

static unsigned int
count_files(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) != -1;
	return n;
}

/* In a process of its own: whoever connects is hung up on. */
static pid_t
start_rude(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	(void)strlcpy(a.sun_path, path, sizeof(a.sun_path));
	MUST(bind(s, (struct sockaddr *)&a, sizeof(a)) == 0);
	MUST(listen(s, 4) == 0);
	pid = fork();
	MUST(pid != -1);
	if (pid == 0) /* should the test fail */
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (pid == 0)
		close(accept(s, NULL, NULL));
	close(s);
	return pid;
}

/* No answer is no refusal, and leaves no descriptor behind. */
static void
rude_saslauthd(void)
{
	char file[128], path[64];
	struct dialogue *d;
	struct text out;
	unsigned int before;
	pid_t pid;

	(void)snprintf(path, sizeof(path), "%s/mux", top);
	(void)snprintf(file, sizeof(file),
	    "pwcheck_method: saslauthd\nsaslauthd_path: %s\n", path);
	pid = start_rude(path);
	open_with(file);
	before = count_files();
	d = new_dialogue();
	MUST(dialogue_check(d, TEXT_LIT("alice"), TEXT_LIT("secret"), &out) ==
	    AUTH_UNAVAILABLE);
	dialogue_free(&d);
	d = new_dialogue();
	MUST(dialogue_start(d, TEXT_LIT("PLAIN"), true,
	         PLAIN("", "alice", "secret"), &out) == AUTH_UNAVAILABLE);
	dialogue_free(&d);
	MUST(count_files() == before);
	MUST(kill(pid, SIGKILL) == 0 && unlink(path) == 0);
}

/* Nobody is at the socket: that says nothing about the password. */
static void
no_saslauthd(void)
{
	char file[128];
	struct dialogue *d;
	unsigned int before;
	struct text out;

	before = count_files();
	(void)snprintf(file, sizeof(file),
	    "pwcheck_method: saslauthd\nsaslauthd_path: %s/mux\n", top);
	open_with(file);
	d = new_dialogue();
	MUST(dialogue_check(d, TEXT_LIT("alice"), TEXT_LIT("secret"), &out) ==
	    AUTH_UNAVAILABLE);
	MUST(out.len == 0 && strstr(said, "saslauthd") != NULL);
	dialogue_free(&d);
	d = new_dialogue();
	MUST(dialogue_start(d, TEXT_LIT("PLAIN"), true,
	         PLAIN("", "alice", "secret"), &out) == AUTH_UNAVAILABLE);
	dialogue_free(&d);
	MUST(count_files() == before);
	MUST(strstr(said, "secret") == NULL);
}

/* To the library it is no plaintext with TLS around it. */
static void
no_plaintext(void)
{
	static char words[] = "noplaintext";
	struct dialogue *d;
	struct text out;

	open_with("mech_list: plain scram-sha-1\n");
	conf.sasl_security_options = words;
	d = new_dialogue();
	MUST(dialogue_start(d, TEXT_LIT("PLAIN"), true,
	         PLAIN("", "alice", "secret"), &out) == AUTH_OK);
	dialogue_free(&d);
	d = new_dialogue_at(0);
	MUST(dialogue_start(d, TEXT_LIT("SCRAM-SHA-1"), true,
	         TEXT_LIT("n,,n=alice,r=abcdefgh"), &out) == AUTH_CHALLENGE);
	dialogue_free(&d);
	d = new_dialogue_at(0);
	MUST(dialogue_start(d, TEXT_LIT("PLAIN"), true,
	         PLAIN("", "alice", "secret"), &out) == AUTH_NO_MECHANISM);
	dialogue_free(&d);
}

static void
test_check(void **state)
{
	(void)state;
	run(checks);
}

static void
test_mechanisms(void **state)
{
	(void)state;
	run(mechanisms);
}

static void
test_login(void **state)
{
	(void)state;
	run(login);
}

static void
test_no_saslauthd(void **state)
{
	(void)state;
	run(no_saslauthd);
}

static void
test_rude_saslauthd(void **state)
{
	(void)state;
	run(rude_saslauthd);
}

static void
test_no_plaintext(void **state)
{
	(void)state;
	run(no_plaintext);
}

static int
make_sasldb(void **state)
{
	char command[256];

	(void)state;
	if (mkdtemp(top) == NULL)
		return -1;
	(void)snprintf(sasldb, sizeof(sasldb), "%s/sasldb2", top);
	(void)snprintf(command, sizeof(command),
	    "echo secret | PATH=$PATH:/usr/sbin saslpasswd2 -p -c -f %s "
	    "-u example.org alice",
	    sasldb);
	return system(command);
}

static int
remove_sasldb(void **state)
{
	(void)state;
	(void)unlink(sasldb);
	return rmdir(top);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_no_saslauthd),
		cmocka_unit_test(test_rude_saslauthd),
		cmocka_unit_test(test_no_plaintext),
	};

	return cmocka_run_group_tests(tests, make_sasldb, remove_sasldb);
}
