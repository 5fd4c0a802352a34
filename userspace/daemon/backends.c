// SPDX-License-Identifier: MIT
#include "daemon/backends.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/escape.h"
#include "common/log.h"

/* ---- counting ---- */

static size_t count_members(const struct generation *generation)
{
	const struct gate *gate = generation->gates;
	size_t count = 0, i;

	for (; gate < generation->gates + generation->built; gate++)
		for (i = 0; i < gate->pool_count; i++)
			count += gate->pools[i].count;
	return count;
}

int backends_count(struct generation *generation)
{
	size_t count = 0, i;
	struct gate *gate;

	if (loads_init(&generation->loads, generation->worker_count, count_members(generation)))
		return -1;
	for (gate = generation->gates; gate < generation->gates + generation->built; gate++) {
		for (i = 0; i < gate->pool_count; i++) {
			gate->pools[i].loads = &generation->loads;
			gate->pools[i].first = count;
			count += gate->pools[i].count;
		}
	}
	return 0;
}

static size_t number_of(const struct pool *pool, const struct member *member)
{
	return (size_t)(member - pool->members);
}

uint32_t backends_connections(const struct pool *pool, const struct member *member)
{
	return health_elsewhere(pool->health, number_of(pool, member)) +
	       (pool->loads ? loads_get(pool->loads, pool->first + number_of(pool, member)) : 0);
}

/* By address: those of an earlier pool of the gate come first.  NULL: there are no more. */
static const struct member *find_distinct(const struct gate *gate, size_t index)
{
	const struct pool *pool, *before;
	size_t i;

	for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++) {
		for (i = 0; i < pool->count; i++) {
			for (before = gate->pools; before < pool; before++)
				if (pool_find(before, pool->members[i].text))
					break;
			if (before == pool && !index--)
				return &pool->members[i];
		}
	}
	return NULL;
}

static void add_to_sum(const struct pool *pool, const struct member *member, struct backends_sum *out)
{
	out->checked |= member->since != 0;
	out->numbers[BACKENDS_UP] |= health_is_up(pool->health, number_of(pool, member));
	out->numbers[BACKENDS_DRAINED] |= health_is_drained(pool->health, number_of(pool, member));
	out->numbers[BACKENDS_CONNECTIONS] += backends_connections(pool, member);
	out->numbers[BACKENDS_CHECKS_FAILED] += member->failures;
}

bool backends_sum(const struct gate *gate, size_t index, struct backends_sum *out)
{
	const struct member *first = find_distinct(gate, index), *member;
	const struct pool *pool;

	if (!first)
		return false;
	*out = (struct backends_sum){ .text = first->text };
	for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++) {
		member = pool_find(pool, first->text);
		if (member)
			add_to_sum(pool, member, out);
	}
	return true;
}

/* ---- checks ---- */

/*
 * One line for all connections that were refused since the last one, not one for each.  Who is refused
 * is counted by gate: where it has several pools, of all of them.
 */
static void tell_down(const struct generation *generation, const struct gate *gate, struct pool *pool,
		      const struct member *member)
{
	const uint64_t refused = stats_of_gate(&generation->stats, (size_t)(gate - generation->gates),
					       STAT_NO_BACKEND);
	const uint64_t now = clock_ms();

	if (!pool_is_down(pool)) {
		pool->said = 0;
		pool->refused = refused;
		return;
	}
	if (pool->said && (now - pool->said < pool->check || refused == pool->refused))
		return;
	log_warn("%s: no backend is up; connections closed for it since the last check: %" PRIu64 "; %s: %s",
		 gate->settings->name, refused - pool->refused, member->text, member->why);
	pool->said = now;
	pool->refused = refused;
}

static void take_outcome(struct generation *generation, const struct gate *gate, const struct pool *pool,
			 struct member *member, const struct ipc_check *check)
{
	const bool was_up = health_is_up(pool->health, number_of(pool, member));
	const bool changes = was_up == (check->failed != 0);

	health_set_up(pool->health, number_of(pool, member), !check->failed);
	member->failures += check->failed != 0;
	if (check->failed)
		escape(ESCAPE_PLAIN, member->why, sizeof(member->why), check->text,
		       strnlen(check->text, sizeof(check->text)));
	if (changes || !member->since)
		member->since = (int64_t)time(NULL);
	if (!changes || !log_allowed(&generation->changes, log_now_ms()))
		return;
	if (check->failed)
		log_warn("%s: backend '%s' is down: %s", gate->settings->name, member->text, member->why);
	else
		log_info("%s: backend '%s' is up again", gate->settings->name, member->text);
}

void backends_take_check(struct generation *generation, const struct ipc_check *check)
{
	const struct gate *gate;
	struct pool *pool;

	if (check->gate >= generation->built)
		return;
	gate = &generation->gates[check->gate];
	if (check->pool >= gate->pool_count || check->member >= gate->pools[check->pool].count)
		return;
	pool = &gate->pools[check->pool];
	take_outcome(generation, gate, pool, &pool->members[check->member], check);
	tell_down(generation, gate, pool, &pool->members[check->member]);
}

/* ---- which backend it is ---- */

typedef void each_member(void *arg, struct pool *pool, struct member *member);

static void each(const struct generation *generation, const char *gate_name, const char *text,
		 each_member *call, void *arg)
{
	const struct gate *gate = generation->gates;
	struct member *member;
	struct pool *pool;

	for (; gate < generation->gates + generation->built; gate++) {
		if (strcmp(gate->settings->name, gate_name))
			continue;
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++) {
			member = pool_find(pool, text);
			if (member)
				call(arg, pool, member);
		}
	}
}

/* ---- from one generation to the next ---- */

struct known {
	const struct pool *pool;
	const struct member *member;
};

static void take_known(void *arg, struct pool *pool, struct member *member)
{
	const struct known *known = arg;
	const size_t before = number_of(known->pool, known->member);

	health_set_drained(pool->health, number_of(pool, member),
			   health_is_drained(known->pool->health, before));
	member->failures = known->member->failures;
	/* what is checked no more is as good as any */
	if (!pool->check || !known->member->since)
		return;
	health_set_up(pool->health, number_of(pool, member), health_is_up(known->pool->health, before));
	member->since = known->member->since;
	memcpy(member->why, known->member->why, sizeof(member->why));
}

void backends_inherit(const struct generation *generation, const struct generation *from)
{
	const struct gate *gate = from->gates;
	const struct pool *pool;
	size_t i;

	for (; gate < from->gates + from->built; gate++)
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++)
			for (i = 0; i < pool->count; i++)
				each(generation, gate->settings->name, pool->members[i].text, take_known,
				     &(struct known){ pool, &pool->members[i] });
}

/* ---- drain ---- */

struct drain {
	bool drain, found;
};

static void set_drained(void *arg, struct pool *pool, struct member *member)
{
	struct drain *drain = arg;

	health_set_drained(pool->health, number_of(pool, member), drain->drain);
	drain->found = true;
}

int backends_drain(const struct generation *generation, const char *gate, const char *backend, bool drain)
{
	struct drain order = { .drain = drain };

	if (generation)
		each(generation, gate, backend, set_drained, &order);
	return order.found ? 0 : -1;
}
