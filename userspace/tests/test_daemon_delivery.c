// SPDX-License-Identifier: MIT
/*
 * daemon/delivery, daemon/detour: whose connections a gate does not deliver, by what workers say,
 * and which errors keep it from starting.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "daemon/delivery.h"
#include "daemon/gate.h"
#include "tests/tap.h"

static struct settings all;
static struct gate_settings settings = {
	.all = &all, .name = (char *)"web", .deliver = DELIVER_AUTO,
};
static struct gate gate = { .settings = &settings };
static struct log_limit changes;

static void take(uint8_t kind, bool refused, const char *why)
{
	struct ipc_note note = { .kind = kind, .refused = refused };

	memcpy(note.text, why, strnlen(why, sizeof(note.text)));
	delivery_take_note(&gate, &note, &changes);
}

/* "WHO: WHY" of each, with ';' between. */
static bool says(const char *want)
{
	struct delivery_exception list[DETOURS];
	char text[DETOURS * (DELIVERY_WHY_MAX + 32)] = "";
	size_t i, len = 0, count = delivery_exceptions(&gate, list);

	for (i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s: %s", i ? "; " : "",
					list[i].who, list[i].why);
	return !strcmp(text, want);
}

static void test_notes(void)
{
	tap_ok(says(""), "at first it delivers");
	take(DETOUR_MAPPED, true, "one");
	tap_ok(says("IPv4 clients of [::]: one") && detour_is_refused(gate.detour, DETOUR_MAPPED) &&
	       !detour_is_refused(gate.detour, DETOUR_V6), "one kind is refused, and no other");
	take(DETOUR_V6, true, "two");
	tap_ok(says("IPv4 clients of [::]: one; IPv6 clients: two"), "another kind has its own cause");
	take(DETOUR_V6, true, "three");
	tap_ok(says("IPv4 clients of [::]: one; IPv6 clients: three"), "the last cause of a kind");
	take(DETOUR_MAPPED, false, "");
	tap_ok(says("IPv6 clients: three"), "one is taken again");
	take(DETOUR_V6, false, "");
	tap_ok(says(""), "so is the other");
}

/* Of a worker that was taken over. */
static void test_forged(void)
{
	char text[sizeof(((struct ipc_note *)0)->text) + 1];
	struct delivery_exception list[DETOURS];

	take(DETOUR_V4, true, "one");
	take(DETOURS, true, "forged");
	take(255, true, "forged");
	tap_ok(says("IPv4 clients: one"), "a kind that there is not");
	take(DETOUR_V4, true, "\x1b[2J\n");
	tap_ok(says("IPv4 clients: \\x1b[2J\\x0a"), "bytes that move a terminal's cursor");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	take(DETOUR_V4, true, text);
	tap_ok(delivery_exceptions(&gate, list) == 1 && strlen(list[0].why) < DELIVERY_WHY_MAX,
	       "a text without an end");
}

struct kind_case {
	int family;
	const char *address;
	enum detour_kind kind;
};

static const struct kind_case kinds[] = {
	{ AF_INET, "192.0.2.1", DETOUR_V4 },
	{ AF_INET6, "::ffff:192.0.2.1", DETOUR_MAPPED },
	{ AF_INET6, "2001:db8::1", DETOUR_V6 },
};

static void test_kinds(void)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in *in = (struct sockaddr_in *)(void *)&in6;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		memset(&in6, 0, sizeof(in6));
		in6.sin6_family = (sa_family_t)kinds[i].family;
		inet_pton(kinds[i].family, kinds[i].address, kinds[i].family == AF_INET ?
			  (void *)&in->sin_addr : (void *)&in6.sin6_addr);
		tap_ok(detour_kind_of((struct sockaddr *)&in6) == kinds[i].kind, "the kind of %s",
		       kinds[i].address);
	}
}

static struct pool pool;

static void set_server(void)
{
	char why[SETTINGS_WHY_MAX];

	if (setting_apply(setting_find("backend"), settings.all, &settings, "127.0.0.1:1",
			  (struct position){0}, why) || pool_build(&pool, &settings))
		tap_bail("no server");
	gate.pools = &pool;
	gate.pool_count = 1;
}

struct start_case {
	int err;
	bool may_relay;
};

static const struct start_case starts[] = {
	{ -ENOENT, true }, { -EPFNOSUPPORT, true }, { -EPERM, true }, { -EPROTONOSUPPORT, true },
	{ -ENOMEM, false }, { -ENOBUFS, false }, { -EMFILE, false }, { -ENFILE, false },
	{ -EAGAIN, false },
};

/* At the start or a reload. */
static void test_starts(void)
{
	size_t i;

	set_server();
	for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		settings.deliver = DELIVER_AUTO;
		tap_ok(!delivery_open(&gate, starts[i].err, "why") == starts[i].may_relay, "auto, %s: %s",
		       strerror(-starts[i].err), starts[i].may_relay ? "relays" : "is refused");
		settings.deliver = DELIVER_ALWAYS;
		tap_ok(delivery_open(&gate, starts[i].err, "why") == -1, "always, %s: is refused",
		       strerror(-starts[i].err));
	}
	pool_clear(&pool);
	gate.pool_count = 0;
}

/* A server that greets would greet again, after TLS began. */
static void test_greeting_servers(void)
{
	settings.starttls = STARTTLS_SMTP;
	settings.deliver = DELIVER_AUTO;
	tap_ok(!delivery_open(&gate, 0, "") && !gate.handles, "auto, starttls = smtp: relays");
	tap_ok(strstr(gate.why_not[0], "starttls"), "and says why: %s", gate.why_not[0]);
	settings.starttls = STARTTLS_NONE;
}

int main(void)
{
	gate.detour = detour_new();
	if (!gate.detour)
		tap_bail("no memory");
	test_notes();
	test_forged();
	test_kinds();
	detour_free(gate.detour);
	gate.detour = NULL;
	test_starts();
	test_greeting_servers();
	settings.deliver = DELIVER_AUTO;
	strcpy(gate.why_not[0], "four");
	tap_ok(says("all clients: four"), "without handles nobody is delivered");
	settings.deliver = DELIVER_NO;
	tap_ok(says(""), "a gate that is not to deliver");
	return tap_done();
}
