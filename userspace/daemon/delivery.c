// SPDX-License-Identifier: MIT
#include "daemon/delivery.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/escape.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/gate.h"
#include "lib/libtlsgate.h"

static const char everybody[] = "all clients";

static const char * const kinds[] = {
	[DETOUR_V4] = "IPv4 clients",
	[DETOUR_MAPPED] = "IPv4 clients of [::]",
	[DETOUR_V6] = "IPv6 clients",
};

/* 0, or -1 and why. */
static int open_handle(struct gate *gate, struct tlsgate *tlsgate, size_t index,
		       char why[DELIVERY_WHY_MAX])
{
	const struct addr *local = &gate->listens[index];
	struct addr server = {0};
	int fd;

	(void)places_get(gate->places, 0, &server);	/* it is no name, so it is known */
	fd = tlsgate_deliver_new(tlsgate, &local->sa, local->len, &server.sa, server.len);
	if (fd < 0) {
		snprintf(why, DELIVERY_WHY_MAX, "%s", tlsgate_error(tlsgate));
		return -1;
	}
	gate->handles[gate->handle_count++] = fd;
	return 0;
}

static int open_handles(struct gate *gate, char why[DELIVERY_WHY_MAX])
{
	struct tlsgate *tlsgate;
	const char *text = "";
	size_t i;
	int ret;

	ret = tlsgate_open(&tlsgate, &text);
	snprintf(why, DELIVERY_WHY_MAX, "%s", text);
	gate->handles = xcalloc(gate->settings->listen.count, sizeof(*gate->handles));
	for (i = 0; !ret && i < gate->settings->listen.count; i++)
		ret = open_handle(gate, tlsgate, i, why);
	tlsgate_close(tlsgate);
	if (ret)
		delivery_close(gate);
	return ret;
}

/* Of :PORT, together_listen() has made 0.0.0.0:PORT. */
static bool lost_ipv6(const struct gate *gate)
{
	const struct text_list *list = &gate->settings->listen;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (list->items[i][0] == ':' && gate->listens[i].sa.sa_family == AF_INET)
			return true;
	return false;
}

/* The gate delivers. */
static int set_up(struct gate *gate)
{
	const struct gate_settings *set = gate->settings;

	log_info("%s: connections are delivered to the server at %s%s", set->name, set->backend,
		 lost_ipv6(gate) ? "; it is of IPv4, so that :PORT listens on IPv4 alone" : "");
	gate->detour = detour_new();
	return gate->detour ? 0 : gate_refuse(set, "deliver", NULL, "out of memory");
}

int delivery_open(struct gate *gate, bool usable, const char *why)
{
	const struct gate_settings *set = gate->settings;
	char text[DELIVERY_WHY_MAX + 64];

	if (set->deliver == DELIVER_NO)
		return 0;
	if (usable && !open_handles(gate, gate->why_not[0]))
		return set_up(gate);
	if (!usable)
		snprintf(gate->why_not[0], sizeof(gate->why_not[0]), "%s", why);
	if (set->deliver == DELIVER_ALWAYS) {
		snprintf(text, sizeof(text), "%s, or take deliver = auto", gate->why_not[0]);
		return gate_refuse(set, "deliver", "always", text);
	}
	log_warn("%s: %s are relayed, not delivered, until a reload: %s", set->name, everybody,
		 gate->why_not[0]);
	return 0;
}

void delivery_close(struct gate *gate)
{
	while (gate->handle_count)
		close(gate->handles[--gate->handle_count]);
	free(gate->handles);
	gate->handles = NULL;
	detour_free(gate->detour);
	gate->detour = NULL;
}

static void log_change(const struct gate *gate, enum detour_kind kind)
{
	if (detour_is_refused(gate->detour, kind))
		log_warn("%s: %s are %s, not delivered: %s", gate->settings->name, kinds[kind],
			 gate->settings->deliver == DELIVER_AUTO ? "relayed" : "refused",
			 gate->why_not[kind]);
	else
		log_info("%s: %s are delivered again", gate->settings->name, kinds[kind]);
}

void delivery_take_note(struct gate *gate, const struct ipc_note *note, struct log_limit *changes)
{
	const enum detour_kind kind = (enum detour_kind)note->kind;
	char why[DELIVERY_WHY_MAX];
	bool was_refused;

	if (!gate->detour || note->kind >= DETOURS)
		return;
	was_refused = detour_is_refused(gate->detour, kind);
	detour_set(gate->detour, kind, note->refused);
	if (note->refused) {
		escape(ESCAPE_PLAIN, why, sizeof(why), note->text,
		       strnlen(note->text, sizeof(note->text)));
		was_refused &= !strcmp(why, gate->why_not[kind]);	/* another cause is said, too */
		memcpy(gate->why_not[kind], why, sizeof(why));
	}
	if (note->refused != was_refused && log_allowed(changes, log_now_ms()))
		log_change(gate, kind);
}

size_t delivery_exceptions(const struct gate *gate, struct delivery_exception list[DETOURS])
{
	enum detour_kind kind;
	size_t count = 0;

	if (gate->settings->deliver == DELIVER_NO)
		return 0;
	if (!gate->detour) {
		list[0] = (struct delivery_exception){ everybody, gate->why_not[0] };
		return 1;
	}
	for (kind = 0; kind < DETOURS; kind++)
		if (detour_is_refused(gate->detour, kind))
			list[count++] = (struct delivery_exception){ kinds[kind], gate->why_not[kind] };
	return count;
}
