// SPDX-License-Identifier: MIT
#include "daemon/pool.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

static int refuse(const struct pool *pool, const struct member *member, const char *why)
{
	return gate_refuse(pool->settings, "backend", member->text, why);
}

/* Names are the resolver's: one that cannot be resolved now may be known later. */
static int set_places(const struct pool *pool, struct member *member)
{
	struct addr addrs[ADDR_LIST_MAX];
	const char *why = "";
	int count;

	member->places = places_new();
	if (!member->places)
		return refuse(pool, member, "out of memory");
	if (addr_is_name(member->text))
		return 0;
	count = addr_resolve(member->text, addrs, &why);
	if (count < 1)
		return refuse(pool, member, count ? why : "no address");
	places_set(member->places, addrs, (size_t)count);
	return 0;
}

static int set_server(const struct pool *pool, struct member *member)
{
	char host[ADDR_HOST_MAX];
	const char *port, *why;

	member->sessions = xcalloc(1, sizeof(*member->sessions));
	if (!pool->settings->server_name && addr_split(member->text, host, &port, &why))
		return refuse(pool, member, why);
	member->server_name = xstrdup(pool->settings->server_name ? pool->settings->server_name : host);
	return 0;
}

int pool_build(struct pool *pool, const struct gate_settings *settings, enum gate_mode mode)
{
	const struct backend_list *backend = &settings->backend;
	struct member *member;
	int ret = 0;
	size_t i;

	pool->settings = settings;
	pool->count = backend->list.count;
	pool->members = xcalloc(pool->count, sizeof(*pool->members));
	for (i = 0; i < pool->count; i++) {
		member = &pool->members[i];
		member->text = backend->list.items[i];
		member->weight = backend->weights[i];
		member->is_unix = !addr_port(member->text);
		ret |= set_places(pool, member);
		if (mode == GATE_CONNECT)
			ret |= set_server(pool, member);
	}
	return ret;
}

static void clear_member(struct member *member)
{
	places_free(member->places);
	free(member->server_name);
	if (member->sessions)
		sessions_wipe(member->sessions);
	free(member->sessions);
}

void pool_clear(struct pool *pool)
{
	while (pool->count)
		clear_member(&pool->members[--pool->count]);
	free(pool->members);
	pool->members = NULL;
}

const struct member *pool_choose(struct pool *pool)
{
	const struct member *member = &pool->members[pool->turn];

	pool->turn = (pool->turn + 1) % pool->count;
	return member;
}

const struct member *pool_next(const struct pool *pool, const struct member *member)
{
	return ++member == pool->members + pool->count ? pool->members : member;
}
