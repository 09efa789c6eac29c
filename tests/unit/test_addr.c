/* SPDX-License-Identifier: ISC */
/* test_addr: one client has one name, however it comes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "addr.h"

#define NITEMS(a) (sizeof(a) / sizeof((a)[0]))

static struct addr
parse(const char *s)
{
	struct addr a;

	assert_int_equal(addr_parse(text_of(s), 993, &a), 0);
	return a;
}

static void
test_parse(void **state)
{
	static const struct {
		struct text in;
		const char *host, *both; /* NULL: refused */
	} cases[] = {
		{ TEXT_LIT("192.0.2.1"), "192.0.2.1", "192.0.2.1:993" },
		{ TEXT_LIT("0.0.0.0"), "0.0.0.0", "0.0.0.0:993" },
		{ TEXT_LIT("2001:DB8:0::1"), "2001:db8::1",
		    "[2001:db8::1]:993" },
		{ TEXT_LIT("[2001:db8::1]"), "2001:db8::1",
		    "[2001:db8::1]:993" },
		{ TEXT_LIT("::"), "::", "[::]:993" },
		{ TEXT_LIT("::ffff:192.0.2.1"), "192.0.2.1", "192.0.2.1:993" },
		{ TEXT_LIT("::ffff:c000:201"), "192.0.2.1", "192.0.2.1:993" },
		{ TEXT_LIT("fe80::1%7"), "fe80::1%7", "[fe80::1%7]:993" },
		{ TEXT_LIT("[fe80::1%1]"), "fe80::1%1", "[fe80::1%1]:993" },
		{ TEXT_LIT("fe80::1%lo"), "fe80::1%1", "[fe80::1%1]:993" },
		{ TEXT_LIT("fe80:1234:1234:1234:1234:1234:1234:1234%"
		           "4294967295"),
		    "fe80:1234:1234:1234:1234:1234:1234:1234%4294967295",
		    "[fe80:1234:1234:1234:1234:1234:1234:1234%4294967295]"
		    ":993" },
		{ TEXT_LIT("fe80::1%no-such-if"), NULL, NULL },
		{ TEXT_LIT("fe80::1%"), NULL, NULL },
		{ TEXT_LIT("fe80::1%4294967296"), NULL, NULL },
		{ TEXT_LIT("2001:db8::1%1"), NULL, NULL },
		{ TEXT_LIT("192.0.2.1%1"), NULL, NULL },
		{ TEXT_LIT(""), NULL, NULL },
		{ { NULL, 0 }, NULL, NULL },
		{ TEXT_LIT("192.0.2"), NULL, NULL },
		{ TEXT_LIT("192.0.2.256"), NULL, NULL },
		{ TEXT_LIT("0300.0.2.1"), NULL, NULL },
		{ TEXT_LIT("192.0.2.1 "), NULL, NULL },
		{ TEXT_LIT("192.0.2.1\0"), NULL, NULL },
		{ TEXT_LIT("192.0.2.1\0.example.org"), NULL, NULL },
		{ TEXT_LIT("::1\0"), NULL, NULL },
		{ TEXT_LIT("[192.0.2.1]"), NULL, NULL },
		{ TEXT_LIT("[::1"), NULL, NULL },
		{ TEXT_LIT("::1]"), NULL, NULL },
		{ TEXT_LIT("[[::1]]"), NULL, NULL },
		{ TEXT_LIT("[]"), NULL, NULL },
		{ TEXT_LIT("["), NULL, NULL },
		{ TEXT_LIT("1:2:3:4:5:6:7:8:9"), NULL, NULL },
		{ TEXT_LIT("localhost"), NULL, NULL },
		{ TEXT_LIT("*"), NULL, NULL },
	};
	char dst[ADDR_STRLEN];
	struct addr a;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		errno = 0;
		ret = addr_parse(cases[i].in, 993, &a);
		if (cases[i].host == NULL) {
			assert_int_equal(ret, -1);
			assert_int_equal(errno, EINVAL);
			continue;
		}
		assert_int_equal(ret, 0);
		assert_string_equal(addr_print_host(&a, dst), cases[i].host);
		assert_ptr_equal(addr_print(&a, dst), dst);
		assert_string_equal(dst, cases[i].both);
		assert_int_equal(addr_port(&a), 993);
		assert_int_equal(addr_len(&a),
		    strchr(cases[i].host, ':') != NULL
		        ? sizeof(struct sockaddr_in6)
		        : sizeof(struct sockaddr_in));
	}
}

static void
test_split(void **state)
{
	static const struct {
		const char *in, *host, *port; /* host NULL: refused */
	} cases[] = {
		{ "mail.example.org", "mail.example.org", NULL },
		{ "mail.example.org:imap", "mail.example.org", "imap" },
		{ "192.0.2.1:143", "192.0.2.1", "143" },
		{ "192.0.2.1", "192.0.2.1", NULL },
		{ "*:993", "*", "993" },
		{ "*", "*", NULL },
		{ "::1", "::1", NULL },
		{ "::", "::", NULL },
		{ "2001:db8::1:993", "2001:db8::1:993", NULL },
		{ "[2001:db8::1]:993", "2001:db8::1", "993" },
		{ "[2001:db8::1]", "2001:db8::1", NULL },
		{ "[fe80::1%eth0]:993", "fe80::1%eth0", "993" },
		{ "fe80::1%eth0", "fe80::1%eth0", NULL },
		{ "", NULL, NULL },
		{ ":", NULL, NULL },
		{ ":993", NULL, NULL },
		{ "host:", NULL, NULL },
		{ "host:1:2", NULL, NULL },
		{ "192.0.2.1:1:2", NULL, NULL },
		{ "[]:993", NULL, NULL },
		{ "[::1", NULL, NULL },
		{ "[::1]:", NULL, NULL },
		{ "[::1]993", NULL, NULL },
		{ "[::1]]", NULL, NULL },
		{ "[host]:993", NULL, NULL },
		{ "[192.0.2.1]:993", NULL, NULL },
	};
	struct text host, port;
	size_t i;
	int ret;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		ret = addr_split(text_of(cases[i].in), &host, &port);
		assert_int_equal(ret, cases[i].host != NULL ? 0 : -1);
		if (ret == -1)
			continue;
		assert_true(text_eq(host, cases[i].host));
		if (cases[i].port == NULL)
			assert_null(port.p);
		else
			assert_true(text_eq(port, cases[i].port));
	}
	assert_int_equal(addr_split(TEXT_NONE, &host, &port), -1);
}

static void
test_kind(void **state)
{
	static const struct {
		const char *in;
		bool any, loopback, private;
	} cases[] = {
		{ "0.0.0.0", true, false, false },
		{ "::", true, false, false },
		{ "127.0.0.1", false, true, true },
		{ "127.255.255.255", false, true, true },
		{ "::1", false, true, true },
		{ "::ffff:127.0.0.1", false, true, true },
		{ "126.255.255.255", false, false, false },
		{ "128.0.0.0", false, false, false },
		{ "9.255.255.255", false, false, false },
		{ "10.0.0.0", false, false, true },
		{ "10.255.255.255", false, false, true },
		{ "11.0.0.0", false, false, false },
		{ "172.15.255.255", false, false, false },
		{ "172.16.0.0", false, false, true },
		{ "172.31.255.255", false, false, true },
		{ "172.32.0.0", false, false, false },
		{ "192.168.0.5", false, false, true },
		{ "192.169.0.0", false, false, false },
		{ "100.63.255.255", false, false, false },
		{ "100.64.0.0", false, false, true },
		{ "100.127.255.255", false, false, true },
		{ "100.128.0.0", false, false, false },
		{ "169.254.1.1", false, false, true },
		{ "fe80::1", false, false, true },
		{ "febf::1", false, false, true },
		{ "fec0::1", false, false, false },
		{ "fc00::1", false, false, true },
		{ "fdff::1", false, false, true },
		{ "fe00::1", false, false, false },
		{ "2001:db8::1", false, false, false },
	};
	struct addr a;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		a = parse(cases[i].in);
		assert_int_equal(addr_is_any(&a), cases[i].any);
		assert_int_equal(addr_is_loopback(&a), cases[i].loopback);
		assert_int_equal(addr_is_private(&a), cases[i].private);
	}
}

static void
test_equal(void **state)
{
	static const struct {
		const char *a, *b;
		bool same, same_net;
	} cases[] = {
		{ "192.0.2.1", "192.0.2.1", true, true },
		{ "192.0.2.1", "::ffff:192.0.2.1", true, true },
		{ "192.0.2.1", "192.0.2.2", false, false },
		{ "2001:db8::1", "2001:db8::1", true, true },
		{ "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", false, true },
		{ "2001:db8::1", "2001:db8:0:1::1", false, false },
		{ "fe80::1%1", "fe80::1%2", false, true },
		/* The same 64 bits in another family. */
		{ "0.0.0.1", "0:0:0:1::", false, false },
	};
	struct addr a, b;
	struct addr_net m, n;
	size_t i;

	(void)state;
	for (i = 0; i < NITEMS(cases); i++) {
		a = parse(cases[i].a);
		b = parse(cases[i].b);
		assert_int_equal(addr_eq(&a, &b), cases[i].same);
		addr_set_port(&b, 143);
		assert_int_equal(addr_port(&b), 143);
		assert_int_equal(addr_eq_host(&a, &b), cases[i].same);
		assert_false(addr_eq(&a, &b));
		m = addr_net(&a);
		n = addr_net(&b);
		assert_int_equal(
		    addr_net_compare(&m, &n) == 0, cases[i].same_net);
		assert_int_equal(
		    addr_net_compare(&m, &n), -addr_net_compare(&n, &m));
	}
}

static void
test_sockaddr(void **state)
{
	struct addr a, b;
	struct sockaddr_in6 in6;
	char dst[ADDR_STRLEN];

	(void)state;
	a = parse("192.0.2.1");
	assert_int_equal(addr_from_sockaddr(&a.sa, addr_len(&a), &b), 0);
	assert_true(addr_eq(&a, &b));
	assert_int_equal(addr_from_sockaddr(&a.sa, addr_len(&a) - 1, &b), -1);
	assert_int_equal(addr_from_sockaddr(&a.sa, 0, &b), -1);
	a = parse("2001:db8::1");
	assert_int_equal(addr_from_sockaddr(&a.sa, addr_len(&a), &b), 0);
	assert_true(addr_eq(&a, &b));
	assert_int_equal(addr_from_sockaddr(&a.sa, addr_len(&a) - 1, &b), -1);

	/* As the kernel gives an IPv4 client of an IPv6 listener. */
	memset(&in6, 0, sizeof(in6));
	in6.sin6_family = AF_INET6;
	in6.sin6_port = htons(993);
	memcpy(in6.sin6_addr.s6_addr + 10, "\xff\xff\xc0\0\2\1", 6);
	assert_int_equal(
	    addr_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &b), 0);
	assert_string_equal(addr_print(&b, dst), "192.0.2.1:993");

	in6.sin6_family = AF_UNIX;
	assert_int_equal(
	    addr_from_sockaddr((struct sockaddr *)&in6, sizeof(in6), &b), -1);
}

static void
test_socket(void **state)
{
	struct addr a, b, c;
	int fd, peer, pair[2];

	(void)state;
	a = parse("127.0.0.1");
	addr_set_port(&a, 0);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	peer = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, &a.sa, addr_len(&a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(addr_local(fd, &b), 0);
	assert_true(addr_eq_host(&a, &b));
	assert_int_not_equal(addr_port(&b), 0);
	assert_int_equal(addr_peer(fd, &c), -1);
	assert_int_equal(connect(peer, &b.sa, addr_len(&b)), 0);
	assert_int_equal(addr_peer(peer, &c), 0);
	assert_true(addr_eq(&b, &c));
	close(fd);
	close(peer);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(addr_peer(pair[0], &c), -1);
	assert_int_equal(errno, EAFNOSUPPORT);
	close(pair[0]);
	close(pair[1]);
}

static void
test_range(void **state)
{
	static const struct {
		const char *range, *in, *out; /* NULL: the range is none */
	} cases[] = {
		{ "192.0.2.7", "192.0.2.7", "192.0.2.6" },
		{ "192.0.2.7/32", "192.0.2.7", "192.0.2.6" },
		{ "192.0.2.0/24", "192.0.2.255", "192.0.3.0" },
		{ "192.0.2.128/25", "192.0.2.128", "192.0.2.127" },
		{ "192.0.0.0/9", "192.127.0.0", "192.128.0.0" },
		{ "0.0.0.0/0", "255.255.255.255", "::1" },
		{ "::ffff:192.0.2.7", "192.0.2.7", "::1" },
		{ "192.0.2.0/24", "::ffff:192.0.2.9", "::192.0.2.9" },
		{ "2001:db8::/32", "2001:db8:ffff::", "2001:db9::" },
		{ "[2001:db8::]/33", "2001:db8:7fff::", "2001:db8:8000::" },
		{ "2001:db8::1/128", "2001:db8::1", "2001:db8::2" },
		{ "::/0", "2001:db8::1", "192.0.2.1" },
		{ "192.0.2.1/24", NULL, NULL },
		{ "192.0.2.0/33", NULL, NULL },
		{ "192.0.2.0/", NULL, NULL },
		{ "192.0.2.0/-1", NULL, NULL },
		{ "192.0.2.0/24/24", NULL, NULL },
		{ "192.0.2/24", NULL, NULL },
		{ "/24", NULL, NULL },
		{ "", NULL, NULL },
		{ "2001:db8::/129", NULL, NULL },
		{ "2001:db8::8000/112", NULL, NULL },
		{ "::ffff:192.0.2.0/120", NULL, NULL },
		{ "example.org", NULL, NULL },
	};
	struct addr_range r;
	struct addr a;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (addr_range_parse(text_of(cases[i].range), &r) !=
		    (cases[i].in != NULL ? 0 : -1))
			fail_msg("%s", cases[i].range);
		if (cases[i].in == NULL)
			continue;
		a = parse(cases[i].in);
		assert_true(addr_in_range(&a, &r));
		a = parse(cases[i].out);
		if (addr_in_range(&a, &r))
			fail_msg("%s: %s", cases[i].range, cases[i].out);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_equal),
		cmocka_unit_test(test_sockaddr),
		cmocka_unit_test(test_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
