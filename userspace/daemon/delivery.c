// SPDX-License-Identifier: MIT
#include "daemon/delivery.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/escape.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/gate.h"
#include "daemon/kernel.h"
#include "daemon/probe.h"
#include "lib/libtlsgate.h"

static const char everybody[] = "all clients";

static const char * const kinds[] = {
	[DETOUR_V4] = "IPv4 clients",
	[DETOUR_MAPPED] = "IPv4 clients of [::]",
	[DETOUR_V6] = "IPv6 clients",
};

/* It is no name, so it is known. */
static struct addr server_of(const struct gate *gate)
{
	struct addr server = {0};

	(void)places_get(gate->pools->members->places, 0, &server);
	return server;
}

static const char *server_text(const struct gate *gate)
{
	return gate->pools->members->text;
}

/* 0, or libtlsgate's error and why. */
static int open_handle(struct gate *gate, struct tlsgate *tlsgate, size_t index,
		       char why[DELIVERY_WHY_MAX])
{
	const struct addr *local = &gate->listens[index];
	const struct addr server = server_of(gate);
	int fd;

	fd = tlsgate_deliver_new(tlsgate, &local->sa, local->len, &server.sa, server.len);
	if (fd < 0) {
		snprintf(why, DELIVERY_WHY_MAX, "%s", tlsgate_error(tlsgate));
		return fd;
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

static void log_change(const struct gate *gate, enum detour_kind kind)
{
	if (detour_is_refused(gate->detour, kind))
		log_warn("%s: %s are %s, not delivered: %s", gate->settings->name, kinds[kind],
			 gate->settings->deliver == DELIVER_AUTO ? "relayed" : "refused",
			 gate->why_not[kind]);
	else
		log_info("%s: %s are delivered again", gate->settings->name, kinds[kind]);
}

static bool listen_has(const struct addr *listen, enum detour_kind kind)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)&listen->sa;

	if (listen->sa.sa_family != AF_INET6)
		return kind == DETOUR_V4;
	return kind == DETOUR_V6 || (kind == DETOUR_MAPPED && IN6_IS_ADDR_UNSPECIFIED(&sin6->sin6_addr));
}

/* May a connection of that kind come to it? */
static bool gate_has(const struct gate *gate, enum detour_kind kind)
{
	size_t i = 0;

	while (i < gate->settings->listen.count && !listen_has(&gate->listens[i], kind))
		i++;
	return i < gate->settings->listen.count;
}

static void look_at_kind(struct gate *gate, struct tlsgate *tlsgate, enum detour_kind kind,
			 bool *nobody)
{
	const struct addr server = server_of(gate);
	const enum probe_answer answer = probe_server(tlsgate, kind, &server);

	*nobody |= answer == PROBE_NOBODY;
	if (answer != PROBE_CANNOT)
		return;
	snprintf(gate->why_not[kind], DELIVERY_WHY_MAX, "%s", kernel_error(tlsgate));
	detour_set(gate->detour, kind, true);
	log_change(gate, kind);
}

/* What is known of the server already; the rest, workers find out. */
static void look_at_server(struct gate *gate)
{
	struct tlsgate *tlsgate;
	enum detour_kind kind;
	bool nobody = false;

	if (!tlsgate_open(&tlsgate, NULL))
		for (kind = 0; kind < DETOURS; kind++)
			if (gate_has(gate, kind))
				look_at_kind(gate, tlsgate, kind, &nobody);
	tlsgate_close(tlsgate);
	if (nobody)
		gate_warn(gate->settings, "backend", server_text(gate),
			  "nobody listens there yet: clients wait for it within connect-timeout");
}

static bool delivers_some(const struct gate *gate)
{
	enum detour_kind kind = 0;

	while (kind < DETOURS && (!gate_has(gate, kind) || detour_is_refused(gate->detour, kind)))
		kind++;
	return kind < DETOURS;
}

/* The gate has its handles. */
static int set_up(struct gate *gate)
{
	const struct gate_settings *set = gate->settings;

	gate->detour = detour_new();
	if (!gate->detour)
		return gate_refuse(set, "deliver", NULL, "out of memory");
	look_at_server(gate);
	if (delivers_some(gate))
		log_info("%s: connections are delivered to the server at %s, which sees the clients' addresses%s", set->name, server_text(gate),
			 lost_ipv6(gate) ? "; it is of IPv4, so that :PORT listens on IPv4 alone" : "");
	return 0;
}

/* What can be said without the module. */
static void look_at_address(const struct gate *gate)
{
	const struct addr server = server_of(gate);

	if (!addr_is_own(&server))
		gate_warn(gate->settings, "backend", server_text(gate),
			  "it is not on this machine: connections cannot be delivered there");
}

/* The cause may pass, and load can have brought it about: no reason to relay. */
static bool is_shortage(int err)
{
	return err == -ENOMEM || err == -ENOBUFS || err == -EMFILE || err == -ENFILE || err == -EAGAIN;
}

static int refuse_shortage(const struct gate *gate)
{
	char text[DELIVERY_WHY_MAX + 64];

	snprintf(text, sizeof(text), "%s; start or reload again when that has passed", gate->why_not[0]);
	return gate_refuse(gate->settings, "deliver", NULL, text);
}

static int refuse_always(const struct gate *gate)
{
	char text[DELIVERY_WHY_MAX + 64];

	snprintf(text, sizeof(text), "%s, or take deliver = auto", gate->why_not[0]);
	return gate_refuse(gate->settings, "deliver", "always", text);
}

/* why NULL: it is known already. */
static int relay_all(struct gate *gate, const char *why)
{
	if (why)
		snprintf(gate->why_not[0], sizeof(gate->why_not[0]), "%s", why);
	log_warn("%s: %s are relayed, not delivered, until a reload: %s", gate->settings->name, everybody,
		 gate->why_not[0]);
	return 0;
}

int delivery_open(struct gate *gate, int err, const char *why)
{
	const struct gate_settings *set = gate->settings;

	if (set->deliver == DELIVER_NO)
		return 0;
	if (starttls_server_begins(set->starttls))
		return relay_all(gate, "by this starttls the server greets, and would do so a second time after TLS began");
	if (!gate_only_member(gate))
		return relay_all(gate, "the gate has several backends, and one server cannot take the connections of all");
	snprintf(gate->why_not[0], sizeof(gate->why_not[0]), "%s", why);
	if (!err)
		err = open_handles(gate, gate->why_not[0]);
	if (!err)
		return set_up(gate);
	if (is_shortage(err))
		return refuse_shortage(gate);
	look_at_address(gate);
	if (set->deliver == DELIVER_ALWAYS)
		return refuse_always(gate);
	return relay_all(gate, NULL);
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
