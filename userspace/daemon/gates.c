// SPDX-License-Identifier: MIT
#include "daemon/gates.h"

#include <stdio.h>

#include "common/log.h"
#include "lib/libtlsgate.h"

/* Each LISTEN of each gate, in order: where a walk over them stands. */
struct cursor {
	const struct gate_settings *gate;
	size_t index;
	struct addr addr;
};

/* The next one, or false: there is none.  Starts with gate NULL. */
static bool next_listen(const struct settings *settings, struct cursor *cursor)
{
	const struct gate_settings *end = settings->gates + settings->gate_count;
	const char *why;

	if (cursor->gate)
		cursor->index++;
	else
		cursor->gate = settings->gates;
	while (cursor->gate < end && cursor->index >= cursor->gate->listen.count) {
		cursor->gate++;
		cursor->index = 0;
	}
	/* cannot fail: settings hold only what was parsed once */
	return cursor->gate < end &&
	       !addr_parse_listen(cursor->gate->listen.items[cursor->index], &cursor->addr, &why);
}

/* Two gates on one address would steal each other's connections. */
static int check_listens(const struct settings *settings)
{
	struct cursor a = {0}, b;
	char why[SETTINGS_WHY_MAX];
	int ret = 0;

	while (next_listen(settings, &a)) {
		b = a;
		while (next_listen(settings, &b)) {
			if (!addr_covers(&a.addr, &b.addr) && !addr_covers(&b.addr, &a.addr))
				continue;
			snprintf(why, sizeof(why), "gate '%s' listens on '%s' already", a.gate->name,
				 a.gate->listen.items[a.index]);
			ret = gate_refuse(b.gate, "listen", b.gate->listen.items[b.index], why);
		}
	}
	return ret;
}

/* Does who connects to addr come to whoever listens on listen? */
static bool comes_to(const struct addr *listen, const struct addr *addr)
{
	return addr_equal(listen, addr) || (addr_covers(listen, addr) && addr_is_own(addr));
}

bool gate_is_at(const struct gate *gate, const struct addr *addr)
{
	const struct text_list *list = &gate->settings->listen;
	struct addr listen;
	const char *why;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!addr_parse_listen(list->items[i], &listen, &why) && comes_to(&listen, addr))
			return true;
	return false;
}

/* A name leads where nobody knows yet: the resolver looks at what it gets. */
static bool leads_to(const struct gate *from, const struct addr *listen)
{
	struct addr backend;
	size_t i;

	for (i = 0; from->places && places_get(from->places, i, &backend); i++)
		if (comes_to(listen, &backend))
			return true;
	return false;
}

/* The gate that from's connections go on to, or NULL. */
static const struct gate *next_gate(const struct gate *gates, const struct settings *settings,
				    const struct gate *from)
{
	struct cursor to = {0};

	while (next_listen(settings, &to))
		if (leads_to(from, &to.addr))
			return gates + (to.gate - settings->gates);
	return NULL;
}

/* A connection that comes back to where it began makes connections until nothing is left. */
static int check_loops(const struct gate *gates, const struct settings *settings)
{
	const struct gate *gate;
	size_t i, steps;
	int ret = 0;

	for (i = 0; i < settings->gate_count; i++) {
		gate = next_gate(gates, settings, &gates[i]);
		for (steps = 0; gate && gate != &gates[i] && steps < settings->gate_count; steps++)
			gate = next_gate(gates, settings, gate);
		if (gate == &gates[i])
			ret = gate_refuse(gate->settings, "backend", gate->settings->backend,
					  "it leads back to what this gate listens on: give another");
	}
	return ret;
}

int gates_build(struct gate *gates, const struct settings *settings, int keylog_fd)
{
	uint32_t next_key_id = 0;
	int ret = 0;
	size_t i;

	for (i = 0; i < settings->gate_count; i++)
		ret |= gate_build(&gates[i], &settings->gates[i], keylog_fd, &next_key_id);
	ret |= check_listens(settings);
	ret |= check_loops(gates, settings);
	return ret;
}

#define WHY_MAX		256

/* Is the module there, and does it take keys from us?  why says what was found. */
static bool probe_kernel(char why[WHY_MAX])
{
	const char *text = "the tlsgate module is loaded";
	struct tlsgate *tlsgate;
	bool usable;

	usable = !tlsgate_open(&tlsgate, &text);
	if (usable && tlsgate_may_install(tlsgate)) {
		text = tlsgate_error(tlsgate);
		usable = false;
	}
	snprintf(why, WHY_MAX, "%s", text);
	tlsgate_close(tlsgate);
	return usable;
}

static const char *path_text(const struct gate *gate, bool usable)
{
	if (!gate->kernel)
		return "user";
	if (!usable)
		return "user, until the kernel takes keys";
	return gate->adaptive ? "kernel, once a connection is worth it" : "kernel";
}

int gates_choose_data_paths(struct gate *gates, size_t count)
{
	char why[WHY_MAX], text[WHY_MAX + 64];
	bool usable = probe_kernel(why);
	struct gate *gate;
	int ret = 0;

	for (gate = gates; gate < gates + count; gate++) {
		enum data_path asked = gate->settings->data_path;

		if (asked == DATA_PATH_KERNEL && !usable) {
			snprintf(text, sizeof(text), "%s, or take data-path auto", why);
			ret = gate_refuse(gate->settings, "data-path", "kernel", text);
			continue;
		}
		gate->kernel = asked != DATA_PATH_USER;
		gate->adaptive = asked == DATA_PATH_AUTO;
		log_info("%s: data path: %s (%s)", gate->settings->name, path_text(gate, usable),
			 asked == DATA_PATH_AUTO ? why : "as asked");
	}
	return ret;
}
