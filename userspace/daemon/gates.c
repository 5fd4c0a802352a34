// SPDX-License-Identifier: MIT
#include "daemon/gates.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/delivery.h"
#include "lib/libtlsgate.h"

/* One address of a gate. */
struct listen {
	const struct gate_settings *gate;
	const char *text;
	const struct addr *addr;
};

/* Every one of every gate, in order, for free(). */
static struct listen *list_listens(const struct gate *gates, size_t gate_count, size_t *count)
{
	struct listen *list = xcalloc(SETTINGS_MAX_LISTENS, sizeof(*list));
	const struct gate_settings *set;
	const struct gate *gate;
	size_t i;

	*count = 0;
	for (gate = gates; gate < gates + gate_count; gate++) {
		set = gate->settings;
		for (i = 0; i < set->listen.count; i++)
			list[(*count)++] = (struct listen){ set, set->listen.items[i], &gate->listens[i] };
	}
	return list;
}

/* Two gates on one address would steal each other's connections. */
static int check_listen(const struct listen *list, const struct listen *listen)
{
	char why[SETTINGS_WHY_MAX];
	const struct listen *before = list;

	while (before < listen && !addr_covers(before->addr, listen->addr) &&
	       !addr_covers(listen->addr, before->addr))
		before++;
	if (before == listen)
		return 0;
	snprintf(why, sizeof(why), "gate '%s' listens on '%s' already", before->gate->name, before->text);
	return gate_refuse(listen->gate, "listen", listen->text, why);
}

static int check_listens(const struct gate *gates, size_t gate_count)
{
	size_t i, count;
	struct listen *list = list_listens(gates, gate_count, &count);
	int ret = 0;

	for (i = 0; i < count; i++)
		ret |= check_listen(list, &list[i]);
	free(list);
	return ret;
}

/* Does who connects to addr come to whoever listens on listen? */
static bool comes_to(const struct addr *listen, const struct addr *addr)
{
	return addr_equal(listen, addr) || (addr_covers(listen, addr) && addr_is_own(addr));
}

/* Its backend must not be there. */
static bool gate_is_at(const struct gate *gate, const struct addr *addr)
{
	size_t i;

	for (i = 0; i < gate->settings->listen.count; i++)
		if (comes_to(&gate->listens[i], addr))
			return true;
	return false;
}

/* Marks the gates to which who connects to addr comes.  True: one that was not. */
static bool mark(const struct gate *gates, size_t count, bool *reached, const struct addr *addr)
{
	bool grows = false;
	size_t i;

	for (i = 0; i < count; i++) {
		if (reached[i] || !gate_is_at(&gates[i], addr))
			continue;
		reached[i] = grows = true;
	}
	return grows;
}

/* What is known of where a member is: how many addresses. */
static size_t places_of(const struct member *member, struct addr addrs[ADDR_LIST_MAX])
{
	size_t count = 0;

	while (member->places && count < ADDR_LIST_MAX &&
	       places_get(member->places, count, &addrs[count]))
		count++;
	return count;
}

/* As mark(), of what is known of a pool. */
static bool mark_pool(const struct gate *gates, size_t count, bool *reached, const struct pool *pool)
{
	struct addr addrs[ADDR_LIST_MAX];
	bool grows = false;
	size_t i, n;

	for (i = 0; i < pool->count; i++)
		for (n = places_of(&pool->members[i], addrs); n; n--)
			grows |= mark(gates, count, reached, &addrs[n - 1]);
	return grows;
}

/* As mark(), of all backends of gate. */
static bool mark_next(const struct gate *gates, size_t count, bool *reached, const struct gate *gate)
{
	bool grows = false;
	size_t i;

	for (i = 0; i < gate->pool_count; i++)
		grows |= mark_pool(gates, count, reached, &gate->pools[i]);
	return grows;
}

bool gates_lead_back(const struct gate *gates, size_t count, const struct gate *gate,
		     const struct addr *backends, size_t backend_count)
{
	bool *reached = xcalloc(count, sizeof(*reached));
	bool grows = false, back;
	size_t i;

	for (i = 0; i < backend_count; i++)
		grows |= mark(gates, count, reached, &backends[i]);
	while (grows && !reached[gate - gates]) {
		grows = false;
		for (i = 0; i < count; i++)
			if (reached[i])
				grows |= mark_next(gates, count, reached, &gates[i]);
	}
	back = reached[gate - gates];
	free(reached);
	return back;
}

/* A name leads where nobody knows yet: the resolver looks at what it gets. */
static int check_loop(const struct gate *gates, size_t count, const struct gate *gate,
		      const struct pool *pool)
{
	struct addr addrs[ADDR_LIST_MAX];
	int ret = 0;
	size_t i;

	for (i = 0; i < pool->count; i++)
		if (gates_lead_back(gates, count, gate, addrs, places_of(&pool->members[i], addrs)))
			ret = gate_refuse(pool->settings, "backend", pool->members[i].text,
					  "it leads back to what this gate listens on: give another");
	return ret;
}

/* A connection that comes back to where it began makes connections until nothing is left. */
static int check_loops(const struct gate *gates, size_t count)
{
	const struct gate *gate;
	int ret = 0;
	size_t i;

	for (gate = gates; gate < gates + count; gate++)
		for (i = 0; i < gate->pool_count; i++)
			ret |= check_loop(gates, count, gate, &gate->pools[i]);
	return ret;
}

int gates_build(struct gate *gates, const struct settings *settings, int keylog_fd)
{
	uint32_t next_key_id = 0;
	int ret = 0;
	size_t i;

	for (i = 0; i < settings->gate_count; i++)
		ret |= gate_build(&gates[i], &settings->gates[i], keylog_fd, &next_key_id);
	ret |= check_listens(gates, settings->gate_count);
	ret |= check_loops(gates, settings->gate_count);
	return ret;
}

int gates_ask_kernel(char why[GATES_WHY_MAX])
{
	const char *text = "the tlsgate module is loaded";
	struct tlsgate *tlsgate;
	int err;

	err = tlsgate_open(&tlsgate, &text);
	if (!err) {
		err = tlsgate_may_install(tlsgate);
		if (err)
			text = tlsgate_error(tlsgate);
	}
	snprintf(why, GATES_WHY_MAX, "%s", text);
	tlsgate_close(tlsgate);
	return err;
}

static const char *path_text(const struct gate *gate, bool usable)
{
	if (!gate->kernel)
		return "user";
	if (!usable)
		return "user, until the kernel takes keys";
	if (gate->settings->deliver == DELIVER_ALWAYS)
		return "kernel, right after the handshake";
	return gate->adaptive ? "kernel, for connections of a second or 64 KiB" : "kernel";
}

int gates_choose_data_paths(struct gate *gates, size_t count)
{
	char why[GATES_WHY_MAX], text[GATES_WHY_MAX + 64];
	const int err = gates_ask_kernel(why);
	const bool usable = !err;
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
		log_info("%s: data path%s: %s (%s)", gate->settings->name,
			 gate->settings->deliver == DELIVER_AUTO ? " of what is relayed" : "",
			 path_text(gate, usable),
			 asked == DATA_PATH_AUTO ? why : "as asked");
		ret |= delivery_open(gate, err, why);
	}
	return ret;
}
