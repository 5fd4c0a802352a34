// SPDX-License-Identifier: MIT
/* Which block of a gate a client falls under, and which blocks are refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/gate.h"
#include "daemon/route.h"
#include "tap.h"

#define GATE(alpn)	"gate web {\n mode = serve\n listen = \":443\"\n backend = \"127.0.0.1:1\"\n" \
			" cert = c\n key = k\n" alpn

static struct settings *read_text(const char *text)
{
	char path[] = "/tmp/test_daemon_route.XXXXXX";
	struct settings *settings;
	int fd = mkstemp(path);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		tap_bail("no file");
	close(fd);
	if (config_read(path, &settings) == CONFIG_UNREADABLE)
		tap_bail("cannot be read");
	unlink(path);
	return settings;
}

/* ---- the choice; the backend's port says which block it is, 1 is the gate's own ---- */

static const char routes[] = GATE(" alpn = 'h2,http/1.1,x'\n")
	" route a.test { backend = 127.0.0.1:2 }\n"
	" route *.a.test { backend = 127.0.0.1:3 }\n"
	" route a.test { backend = 127.0.0.1:4  alpn = h2 }\n"
	" route b.a.test { backend = 127.0.0.1:5 }\n"
	" route * { backend = 127.0.0.1:6  alpn = 'http/1.1,x' }\n"
	" route *.a.test { backend = 127.0.0.1:7  alpn = x }\n"
	"}\n";

static const struct {
	const char *name, *alpn;
	unsigned int port;
} clients[] = {
	{ "a.test", NULL, 2 }, { "A.Test", NULL, 2 }, { "a.test", "http/1.1", 2 }, { "a.test", "h2", 4 },
	{ "x.a.test", NULL, 3 }, { "X.A.TEST", "h2", 3 }, { "x.a.test", "x", 7 },
	{ "b.a.test", NULL, 5 }, { "b.a.test", "x", 5 },
	{ "c.test", NULL, 1 }, { "c.test", "h2", 1 }, { "c.test", "http/1.1", 6 }, { "c.test", "x", 6 },
	{ NULL, NULL, 1 }, { NULL, "h2", 1 }, { NULL, "x", 6 },
	{ "y.x.a.test", NULL, 1 }, { "xa.test", NULL, 1 }, { ".a.test", NULL, 1 }, { "test", NULL, 1 },
};

static void test_choice(void)
{
	struct settings *settings = read_text(routes);
	const struct gate_settings *set = settings ? &settings->gates[0] : NULL;
	struct pool pools[8] = { 0 };
	struct gate gate = { .settings = set, .pools = pools };
	size_t i;

	if (!settings)
		tap_bail("the routes are refused");
	pools[gate.pool_count++].settings = set;
	for (i = 0; i < set->block_count; i++)
		pools[gate.pool_count++].settings = &set->blocks[i];
	for (i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		const struct pool *pool = route_choose(&gate, clients[i].name, clients[i].alpn);

		tap_ok(addr_port(pool->settings->backend.list.items[0]) == clients[i].port,
		       "name %s, alpn %s: port %u", clients[i].name ? clients[i].name : "none",
		       clients[i].alpn ? clients[i].alpn : "none", clients[i].port);
	}
	settings_free(settings);
}

/* ---- what is passed ---- */

static const char passes[] = GATE("")
	" pass a.test { backend = 127.0.0.1:2 }\n"
	" pass *.a.test { backend = 127.0.0.1:3 }\n"
	" pass acme-tls/1 { backend = 127.0.0.1:4 }\n"
	" route * { backend = 127.0.0.1:5 }\n"
	" pass b.a.test { backend = 127.0.0.1:6 }\n"
	"}\n";

static const struct {
	const char *name, *alpn;	/* on the wire */
	unsigned int port;		/* 0: it is terminated */
} peeks[] = {
	{ "a.test", "", 2 }, { "A.TEST", "\2h2", 2 }, { "x.a.test", "", 3 }, { "b.a.test", "", 6 },
	{ "y.x.a.test", "", 0 }, { "c.test", "", 0 }, { "", "", 0 }, { "", "\2h2", 0 },
	{ "c.test", "\012acme-tls/1", 4 }, { "a.test", "\2h2\012acme-tls/1", 4 }, { "", "\012acme-tls/1", 4 },
	{ "c.test", "\013acme-tls/11", 0 }, { "c.test", "\011acme-tls/", 0 },
};

static void test_passes(void)
{
	struct settings *settings = read_text(passes);
	const struct gate_settings *set = settings ? &settings->gates[0] : NULL;
	struct pool pools[8] = { 0 };
	struct gate gate = { .settings = set, .pools = pools };
	const struct pool *pool;
	struct tls_peek peek;
	size_t i;

	if (!settings)
		tap_bail("the passes are refused");
	pools[gate.pool_count++].settings = set;
	for (i = 0; i < set->block_count; i++)
		pools[gate.pool_count++].settings = &set->blocks[i];
	for (i = 0; i < sizeof(peeks) / sizeof(peeks[0]); i++) {
		peek = (struct tls_peek){ .alpn = (const uint8_t *)peeks[i].alpn, .alpn_len = strlen(peeks[i].alpn) };
		strcpy(peek.server_name, peeks[i].name);
		pool = route_passes(&gate, &peek);
		tap_ok(pool ? addr_port(pool->settings->backend.list.items[0]) == peeks[i].port : !peeks[i].port,
		       "name '%s', %zu bytes of protocols: %s %u", peeks[i].name, peek.alpn_len,
		       peeks[i].port ? "passed to port" : "terminated", peeks[i].port);
	}
	tap_ok(route_choose(&gate, "a.test", NULL) == &pools[4], "a pass is no route");
	settings_free(settings);
}

/* ---- what is refused ---- */

#define TO	" { backend = 127.0.0.1:2 }\n"
#define X64	"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
	const char *what, *text;
	bool good;
} files[] = {
	{ "no block", GATE("") "}\n", true },
	{ "a route", GATE("") " route a.test" TO "}\n", true },
	{ "a route on lines", GATE("") " route a.test {\n  backend = 127.0.0.1:2\n }\n}\n", true },
	{ "a setting behind a route", GATE("") " route a.test" TO " alpn = h2\n}\n", true },
	{ "a route before the gate's settings", "gate web {\n route a.test" TO " mode = serve\n"
	  " listen = ':443'\n backend = '127.0.0.1:1'\n cert = c\n key = k\n}\n", true },
	{ "an underscore, digits", GATE("") " route _9.a-b.test" TO "}\n", true },
	{ "a name and its domain", GATE("") " route a.test" TO " route *.test" TO " route *" TO "}\n", true },
	{ "without backend", GATE("") " route a.test { }\n}\n", false },
	{ "two alike", GATE("") " route a.test" TO " route A.test" TO "}\n", false },
	{ "two that share a protocol", GATE("alpn = 'a,b,c'\n") " route a.test { backend = '127.0.0.1:2' alpn = 'a,b' }\n"
	  " route a.test { backend = '127.0.0.1:3' alpn = 'b,c' }\n}\n", false },
	{ "two that share none", GATE("alpn = 'a,b,c'\n") " route a.test { backend = '127.0.0.1:2' alpn = a }\n"
	  " route a.test { backend = '127.0.0.1:3' alpn = 'b,c' }\n}\n", true },
	{ "a protocol that the gate does not have", GATE("alpn = 'ab,c'\n")
	  " route a.test { backend = '127.0.0.1:2' alpn = a }\n}\n", false },
	{ "a protocol where the gate has none", GATE("") " route a.test { backend = '127.0.0.1:2' alpn = a }\n}\n", false },
	{ "an empty name", GATE("") " route ''" TO "}\n", false },
	{ "a star within", GATE("") " route a.*.test" TO "}\n", false },
	{ "a star in a label", GATE("") " route a*.test" TO "}\n", false },
	{ "two stars", GATE("") " route *.*" TO "}\n", false },
	{ "an empty label", GATE("") " route a..test" TO "}\n", false },
	{ "a dot at its end", GATE("") " route a.test." TO "}\n", false },
	{ "a label of 64 bytes", GATE("") " route " X64 ".test" TO "}\n", false },
	{ "254 bytes", GATE("") " route a." X64 "." TO "}\n", false },
	{ "no ASCII", GATE("") " route 'b\xc3\xbc.test'" TO "}\n", false },
	{ "no name", GATE("") " route {\n }\n}\n", false },
	{ "=", GATE("") " route = a\n}\n", false },
	{ "no brace", GATE("") " route a.test backend = '127.0.0.1:2'\n}\n", false },
	{ "not closed", GATE("") " route a.test { backend = '127.0.0.1:2'\n", false },
	{ "not closed, before another", GATE("") " route a.test { backend = '127.0.0.1:2'\n route b.test" TO "}\n", false },
	{ "one within another", GATE("") " route a.test { route b.test" TO " }\n}\n", false },
	{ "a setting of the gate in it", GATE("") " route a.test { backend = '127.0.0.1:2'\n cert = c }\n}\n", false },
	{ "a setting of the process in it", GATE("") " route a.test { backend = '127.0.0.1:2'\n workers = 1 }\n}\n", false },
	{ "backend twice", GATE("") " route a.test { backend = '127.0.0.1:2'\n backend = '127.0.0.1:3' }\n}\n", false },
	{ "a pass, a domain, a protocol", GATE("") " pass a.test" TO " pass *.a.test" TO " pass acme-tls/1" TO "}\n", true },
	{ "a pass and a route of one name", GATE("") " pass a.test" TO " route a.test" TO "}\n", true },
	{ "a pass for all", GATE("") " pass *" TO "}\n", false },
	{ "a pass without a name", GATE("") " pass ''" TO "}\n", false },
	{ "two passes alike", GATE("") " pass a.test" TO " pass A.TEST" TO "}\n", false },
	{ "alpn in a pass", GATE("alpn = h2\n") " pass a.test { backend = '127.0.0.1:2' alpn = h2 }\n}\n", false },
	{ "a pass without backend", GATE("") " pass a.test { }\n}\n", false },
	{ "a pass not closed", GATE("") " pass a.test { backend = '127.0.0.1:2'\n", false },
	{ "a pass with starttls", GATE("starttls = smtp\n") " pass a.test" TO "}\n", false },
	{ "a route with starttls", GATE("starttls = smtp\n") " route a.test" TO "}\n", true },
	{ "outside of a gate", "route a.test" TO GATE("") "}\n", false },
	{ "in a gate of mode connect", "gate out {\n mode = connect\n listen = ':80'\n backend = 'h:443'\n"
	  " route a.test" TO "}\n", false },
};

static void test_files(void)
{
	struct settings *settings;
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		settings = read_text(files[i].text);
		tap_ok(!settings == !files[i].good, "%s: %s", files[i].what, files[i].good ? "taken" : "refused");
		settings_free(settings);
	}
}

static void test_bound(void)
{
	char *text = malloc(64 * (SETTINGS_MAX_BLOCKS + 9)), *end = text;
	struct settings *settings;
	int i;

	for (i = 0; i < 2; i++) {
		end = text + sprintf(text, GATE(""));
		for (int n = 0; n < SETTINGS_MAX_BLOCKS + i; n++)
			end += sprintf(end, " route n%d.test" TO, n);
		sprintf(end, "}\n");
		settings = read_text(text);
		tap_ok(!settings == (i == 1), "%d routes", SETTINGS_MAX_BLOCKS + i);
		settings_free(settings);
	}
	free(text);
}

int main(void)
{
	test_choice();
	test_passes();
	test_files();
	test_bound();
	return tap_done();
}
