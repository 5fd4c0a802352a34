// SPDX-License-Identifier: MIT
/* common/addr: what is an address, what is not, and how it is written again. */
#include <stdio.h>
#include <string.h>

#include "common/addr.h"
#include "tests/tap.h"

struct listen_case {
	const char *text;
	const char *shown;		/* NULL: refused */
};

static const struct listen_case listen_cases[] = {
	{ "127.0.0.1:443", "127.0.0.1:443" },
	{ "[::1]:8443", "[::1]:8443" },
	{ ":443", "[::]:443" },
	{ "[::ffff:10.0.0.1]:80", "10.0.0.1:80" },
	{ "0.0.0.0:65535", "0.0.0.0:65535" },
	{ "", NULL },
	{ ":", NULL },
	{ ":0", NULL },
	{ ":65536", NULL },
	{ ":-1", NULL },
	{ ": 80", NULL },
	{ ":80x", NULL },
	{ "127.0.0.1", NULL },
	{ "::1:443", NULL },
	{ "[::1:443", NULL },
	{ "[]:443", NULL },
	{ "[::1]443", NULL },
	{ "localhost:443", NULL },
	{ "256.0.0.1:443", NULL },
	{ "unix:/run/x", "unix:/run/x" },
	{ "unix:/run/x,mode=0600,group=g", "unix:/run/x" },
	{ "unix:@x", "unix:@x" },
	{ "unix:x", NULL },
};

static void test_listen(const struct listen_case *c)
{
	char shown[ADDR_TEXT_MAX] = "";
	const char *why = NULL;
	struct addr addr;
	int ret;

	ret = addr_parse_listen(c->text, &addr, &why);
	if (!ret)
		addr_format(&addr.sa, addr.len, shown);
	if (c->shown)
		tap_ok(!ret && !strcmp(shown, c->shown), "listen on: '%s'", c->text);
	else
		tap_ok(ret && why && *why, "refuse to listen on: '%s'", c->text);
}

static const struct listen_case backend_cases[] = {
	{ ":8080", "127.0.0.1:8080" },
	{ "192.0.2.1:1", "192.0.2.1:1" },
	{ "[::ffff:192.0.2.1]:1", "192.0.2.1:1" },
	{ "0.0.0.0:1", "127.0.0.1:1" },
	{ "[::ffff:0.0.0.0]:1", "127.0.0.1:1" },
	{ "[::]:1", "[::1]:1" },
	{ "[2001:db8::1]:443", "[2001:db8::1]:443" },
	{ "unix:/run/app.sock", "unix:/run/app.sock" },
	{ "unix:@name", "unix:@name" },
	{ "unix:@", NULL },
	{ "unix:relative", NULL },
	{ "unix:", NULL },
	{ "name", NULL },
	{ "name:http", NULL },
	{ "http://example.org:80", NULL },
	{ "http://example.org", NULL },
	{ "b\xc3\xbc" "cher.example:443", NULL },
};

static void test_backend(const struct listen_case *c)
{
	struct addr list[ADDR_LIST_MAX];
	char shown[ADDR_TEXT_MAX] = "";
	const char *why = NULL;
	int ret;

	ret = addr_resolve(c->text, list, &why);
	if (ret == 1)
		addr_format(&list[0].sa, list[0].len, shown);
	if (c->shown)
		tap_ok(ret == 1 && !strcmp(shown, c->shown) && addr_is_valid(c->text, &why),
		      "backend: '%s'", c->text);
	else
		tap_ok(ret == -1 && why && *why && !addr_is_valid(c->text, &why),
		       "refuse the backend: '%s'", c->text);
}

static void test_limits(void)
{
	char text[400] = "unix:/";
	struct addr a, b;
	const char *why;

	memset(text + 6, 'x', 106);	/* with the slash 107 bytes */
	tap_ok(addr_is_valid(text, &why), "longest unix path");
	text[6 + 106] = 'x';
	tap_ok(!addr_is_valid(text, &why), "unix path too long");
	memset(text, 'n', 300);
	strcpy(text + 300, ":443");
	tap_ok(!addr_is_valid(text, &why), "host name too long");

	tap_ok(!addr_parse_listen(":1", &a, &why) && !addr_parse_listen("[::]:1", &b, &why) &&
	       addr_equal(&a, &b), ":1 and [::]:1 are the same");
	tap_ok(!addr_parse_listen(":2", &b, &why) && !addr_equal(&a, &b), ":1 and :2 are not");
	tap_ok(!addr_parse_listen("0.0.0.0:1", &b, &why) && !addr_equal(&a, &b),
	       ":1 and 0.0.0.0:1 are not");
	tap_ok(!addr_parse_listen("[::ffff:10.0.0.1]:1", &a, &why) &&
	       !addr_parse_listen("10.0.0.1:1", &b, &why) && addr_equal(&a, &b),
	       "[::ffff:10.0.0.1]:1 and 10.0.0.1:1 are");
}

static void test_local(void)
{
	static const struct {
		const char *text;
		bool local;
	} cases[] = {
		{ "127.0.0.1:1", true }, { "127.8.0.1:1", true }, { ":1", true },
		{ "[::1]:1", true }, { "unix:/x", true },
		{ "128.0.0.1:1", false }, { "10.0.0.1:1", false }, { "[::2]:1", false },
	};
	struct addr list[ADDR_LIST_MAX];
	const char *why;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		tap_ok(addr_resolve(cases[i].text, list, &why) == 1 &&
		       addr_is_local(&list[0]) == cases[i].local, "%s is %s", cases[i].text,
		       cases[i].local ? "local" : "not local");
}

static void test_covers(void)
{
	static const struct {
		const char *listen, *to;
		bool covers;
	} cases[] = {
		{ "127.0.0.1:1", "127.0.0.1:1", true }, { "127.0.0.1:1", "127.0.0.1:2", false },
		{ "127.0.0.1:1", "127.0.0.2:1", false }, { ":1", "127.0.0.1:1", true },
		{ ":1", "[2001:db8::1]:1", true }, { ":1", "127.0.0.1:2", false },
		{ "0.0.0.0:1", "10.0.0.1:1", true }, { "0.0.0.0:1", "[::1]:1", false },
		{ ":1", "0.0.0.0:1", true }, { "10.0.0.1:1", ":1", false },
		{ "[::ffff:10.0.0.1]:1", "10.0.0.1:1", true },
		{ "0.0.0.0:1", "[::ffff:10.0.0.1]:1", true },
	};
	struct addr listen, to;
	const char *why;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		tap_ok(!addr_parse_listen(cases[i].listen, &listen, &why) &&
		       !addr_parse_listen(cases[i].to, &to, &why) &&
		       addr_covers(&listen, &to) == cases[i].covers, "%s %s %s", cases[i].listen,
		       cases[i].covers ? "covers" : "does not cover", cases[i].to);
}

/* Addresses for documentation are nobody's. */
static void test_own(void)
{
	struct addr list[ADDR_LIST_MAX];
	const char *why;

	tap_ok(addr_resolve("127.0.0.1:9", list, &why) == 1 && addr_is_own(&list[0]), "loopback is own");
	tap_ok(addr_resolve("192.0.2.1:9", list, &why) == 1 && !addr_is_own(&list[0]),
	       "192.0.2.1 is not");
	tap_ok(addr_resolve("[2001:db8::1]:9", list, &why) == 1 && !addr_is_own(&list[0]),
	       "2001:db8::1 is not");
}

static void test_names(void)
{
	static const char * const no_names[] = {
		"127.0.0.1:80", "[::1]:80", ":80", "unix:/run/name", "localhost:80", "LocalHost:80",
	};
	size_t i;

	for (i = 0; i < sizeof(no_names) / sizeof(no_names[0]); i++)
		tap_ok(!addr_is_name(no_names[i]), "no name to ask for: %s", no_names[i]);
	tap_ok(addr_is_name("db.example.org:5432"), "a name");
	tap_ok(addr_is_name("localhost.example.org:80"), "a name that begins like this host's");
}

static void test_localhost(void)
{
	struct addr list[ADDR_LIST_MAX];
	char text[2][ADDR_TEXT_MAX];
	const char *why;

	tap_equal(addr_resolve("LocalHost:80", list, &why), 2, "localhost is two addresses");
	tap_ok(!strcmp(addr_format(&list[0].sa, list[0].len, text[0]), "[::1]:80") &&
	       !strcmp(addr_format(&list[1].sa, list[1].len, text[1]), "127.0.0.1:80"),
	       "this host's, not %s and %s", text[0], text[1]);
	tap_ok(addr_port_of(&list[0]) == 80 && addr_port_of(&list[1]) == 80, "and their port");
}

static void test_port(void)
{
	static const struct {
		const char *text;
		int port;
	} rows[] = {
		{ "127.0.0.1:443", 443 }, { "[::1]:65535", 65535 }, { ":1", 1 },
		{ "db.example.org:5432", 5432 }, { "unix:/run/x:80", 0 },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		tap_equal(addr_port(rows[i].text), rows[i].port, "the port of %s", rows[i].text);
}

int main(void)
{
	const size_t listens = sizeof(listen_cases) / sizeof(listen_cases[0]);
	const size_t backends = sizeof(backend_cases) / sizeof(backend_cases[0]);
	size_t i;

	for (i = 0; i < listens; i++)
		test_listen(&listen_cases[i]);
	for (i = 0; i < backends; i++)
		test_backend(&backend_cases[i]);
	test_limits();
	test_local();
	test_covers();
	test_own();
	test_names();
	test_localhost();
	test_port();
	return tap_done();
}
