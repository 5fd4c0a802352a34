// SPDX-License-Identifier: MIT
#include "daemon/pool.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define DEFAULT_CHECK	5000	/* ms, of a pool with several members */

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

static uint64_t id_of(const char *text)
{
	static const unsigned char key[crypto_shorthash_KEYBYTES];
	unsigned char hash[crypto_shorthash_BYTES];
	uint64_t id;

	crypto_shorthash(hash, (const unsigned char *)text, strlen(text), key);
	memcpy(&id, hash, sizeof(id));
	return id ? id : 1;
}

int pool_build(struct pool *pool, const struct gate_settings *settings)
{
	const struct backend_list *backend = &settings->backend;
	struct member *member;
	int ret = 0;
	size_t i;

	pool->settings = settings;
	/* a gate that only passes has none of its own */
	pool->health = health_new(backend->list.count ? backend->list.count : 1);
	if (!pool->health)
		return gate_refuse(settings, "backend", NULL, "out of memory");
	pool->count = backend->list.count;
	pool->members = xcalloc(pool->count, sizeof(*pool->members));
	for (i = 0; i < pool->count; i++) {
		member = &pool->members[i];
		member->text = backend->list.items[i];
		member->id = id_of(member->text);
		member->weight = backend->weights[i];
		member->is_unix = !addr_port(member->text);
		ret |= set_places(pool, member);
		if (settings->mode == GATE_CONNECT)
			ret |= set_server(pool, member);
	}
	return ret;
}

void pool_set_balance(struct pool *pool, const struct gate_settings *gate)
{
	pool->balance = (enum balance)gate->balance;
	pool->check = gate->check != CHECK_BY_COUNT ? gate->check : pool->count > 1 ? DEFAULT_CHECK : 0;
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
	health_free(pool->health);
	pool->health = NULL;
}

struct member *pool_find(const struct pool *pool, const char *text)
{
	size_t i;

	for (i = 0; i < pool->count; i++)
		if (!strcmp(pool->members[i].text, text))
			return &pool->members[i];
	return NULL;
}

bool pool_has(const struct member_set *set, size_t number)
{
	return set->bits[number / 64] >> number % 64 & 1;
}

void pool_add(struct member_set *set, size_t number)
{
	set->bits[number / 64] |= UINT64_C(1) << number % 64;
}

bool pool_is_down(const struct pool *pool)
{
	bool down = false;
	size_t i;

	for (i = 0; i < pool->count; i++) {
		if (health_is_drained(pool->health, i))
			continue;
		if (health_is_up(pool->health, i))
			return false;
		down = true;
	}
	return down;
}

bool pool_is_available(const struct pool *pool)
{
	const struct member *member;
	struct addr unused;
	size_t i;

	for (i = 0; i < pool->count; i++) {
		member = &pool->members[i];
		if (health_is_up(pool->health, i) && !health_is_drained(pool->health, i) &&
		    (member->is_unix || places_get(member->places, 0, &unused)))
			return true;
	}
	return false;
}
