// SPDX-License-Identifier: MIT
/* daemon/delivery, daemon/detour: when a gate relays instead, by what workers say. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "daemon/delivery.h"
#include "daemon/gate.h"
#include "tests/tap.h"

static struct gate_settings settings = { .name = (char *)"web", .deliver = DELIVER_AUTO };
static struct gate gate = { .settings = &settings };
static struct log_limit changes;

static void take(uint8_t kind, bool refused, const char *why)
{
	struct ipc_note note = { .kind = kind, .refused = refused };

	memcpy(note.text, why, strnlen(why, sizeof(note.text)));
	delivery_take_note(&gate, &note, &changes);
}

static bool says(const char *why)
{
	const char *text = delivery_why_not(&gate);

	return why && text ? !strcmp(why, text) : why == text;
}

static void test_notes(void)
{
	tap_ok(says(NULL) && !detour_is_taken(gate.detour), "at first it delivers");
	take(DETOUR_V4, true, "one");
	tap_ok(says("one") && detour_is_taken(gate.detour) &&
	       detour_is_refused(gate.detour, DETOUR_V4) &&
	       !detour_is_refused(gate.detour, DETOUR_V6), "a kind is refused: it relays");
	take(DETOUR_V6, true, "two");
	tap_ok(says("two"), "another kind, and the last cause is told");
	take(DETOUR_V4, false, "");
	tap_ok(says("two") && !detour_is_refused(gate.detour, DETOUR_V4), "one is taken again: it relays");
	take(DETOUR_V6, false, "");
	tap_ok(says(NULL) && !detour_is_taken(gate.detour), "so is the other: it delivers");
}

/* Of a worker that was taken over. */
static void test_forged(void)
{
	char text[sizeof(((struct ipc_note *)0)->text) + 1];

	take(DETOUR_V4, true, "one");
	take(DETOURS, true, "forged");
	take(255, true, "forged");
	tap_ok(says("one"), "a kind that there is not");
	take(DETOUR_V4, true, "\x1b[2J\n");
	tap_ok(says("\\x1b[2J\\x0a"), "bytes that move a terminal's cursor");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	take(DETOUR_V4, true, text);
	tap_ok(strlen(delivery_why_not(&gate)) < DELIVERY_WHY_MAX, "a text without an end");
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

int main(void)
{
	int handle = -1;

	gate.detour = detour_new();
	if (!gate.detour)
		tap_bail("no memory");
	gate.handles = &handle;
	test_notes();
	test_forged();
	test_kinds();
	detour_free(gate.detour);
	gate.detour = NULL;
	tap_ok(says(NULL), "without a detour, as with always, it never relays");
	gate.handles = NULL;
	tap_ok(delivery_why_not(&gate), "without a handle it relays");
	return tap_done();
}
