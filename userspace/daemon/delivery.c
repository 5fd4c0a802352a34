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
	if (set->deliver == DELIVER_ALWAYS)
		return 0;
	gate->detour = detour_new();
	return gate->detour ? 0 : gate_refuse(set, "deliver", "auto", "out of memory");
}

int delivery_open(struct gate *gate, bool usable, const char *why)
{
	const struct gate_settings *set = gate->settings;
	char text[DELIVERY_WHY_MAX + 64];

	if (set->deliver == DELIVER_NO)
		return 0;
	if (usable && !open_handles(gate, gate->why_not))
		return set_up(gate);
	if (!usable)
		snprintf(gate->why_not, sizeof(gate->why_not), "%s", why);
	if (set->deliver == DELIVER_ALWAYS) {
		snprintf(text, sizeof(text), "%s, or take deliver = auto", gate->why_not);
		return gate_refuse(set, "deliver", "always", text);
	}
	log_warn("%s: connections are relayed, not delivered, until a reload: %s", set->name,
		 gate->why_not);
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

static void log_change(const struct gate *gate)
{
	if (delivery_why_not(gate))
		log_warn("%s: connections are relayed, not delivered: %s", gate->settings->name,
			 gate->why_not);
	else
		log_info("%s: connections are delivered again", gate->settings->name);
}

void delivery_take_note(struct gate *gate, const struct ipc_note *note, struct log_limit *changes)
{
	char why[DELIVERY_WHY_MAX];
	bool was_taken;

	if (!gate->detour || note->kind >= DETOURS)
		return;
	was_taken = detour_is_taken(gate->detour);
	detour_set(gate->detour, note->kind, note->refused);
	if (note->refused) {
		escape(ESCAPE_PLAIN, why, sizeof(why), note->text,
		       strnlen(note->text, sizeof(note->text)));
		was_taken &= !strcmp(why, gate->why_not);	/* another cause is said, too */
		memcpy(gate->why_not, why, sizeof(gate->why_not));
	}
	if (detour_is_taken(gate->detour) != was_taken && log_allowed(changes, log_now_ms()))
		log_change(gate);
}

const char *delivery_why_not(const struct gate *gate)
{
	if (gate->settings->deliver == DELIVER_NO || (gate->handles && !gate->detour) ||
	    (gate->detour && !detour_is_taken(gate->detour)))
		return NULL;
	return gate->why_not;
}
