// SPDX-License-Identifier: MIT
#include "daemon/backends.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/escape.h"
#include "common/log.h"
#include "common/mem.h"

/* ---- counting ---- */

static size_t gate_members(const struct gate *gate)
{
	size_t count = 0, i;

	for (i = 0; i < gate->pool_count; i++)
		count += gate->pools[i].count;
	return count;
}

static size_t count_members(const struct generation *generation)
{
	const struct gate *gate = generation->gates;
	size_t count = 0;

	for (; gate < generation->gates + generation->built; gate++)
		count += gate_members(gate);
	return count;
}

struct place {
	struct member *member;
	size_t at;			/* in the order of pools and members */
};

static int compare_places(const void *a, const void *b)
{
	const struct place *place_a = a, *place_b = b;
	const int order = strcmp(place_a->member->text, place_b->member->text);

	return order ? order : place_a->at < place_b->at ? -1 : 1;
}

static struct place *list_places(const struct gate *gate, size_t *count)
{
	struct place *places = xcalloc(gate_members(gate), sizeof(*places));
	const struct pool *pool;
	size_t i;

	*count = 0;
	for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++)
		for (i = 0; i < pool->count; i++, ++*count)
			places[*count] = (struct place){ &pool->members[i], *count };
	return places;
}

/* In the order in which addresses come first.  Sorted: a gate may have tens of thousands. */
static void number_addresses(struct gate *gate)
{
	size_t i, count;
	struct place *places = list_places(gate, &count);
	struct member **firsts = xcalloc(count, sizeof(*firsts));
	struct member **members = xcalloc(count, sizeof(*members));

	qsort(places, count, sizeof(*places), compare_places);
	for (i = 0; i < count; i++) {
		members[places[i].at] = places[i].member;
		firsts[places[i].at] = i && !strcmp(places[i].member->text, places[i - 1].member->text) ?
				       firsts[places[i - 1].at] : places[i].member;
	}
	gate->address_count = 0;
	for (i = 0; i < count; i++)
		members[i]->number = firsts[i] == members[i] ? gate->address_count++ : firsts[i]->number;
	free(members);
	free(firsts);
	free(places);
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
		number_addresses(gate);
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

static void add_to_sum(const struct pool *pool, const struct member *member, struct backends_sum *out)
{
	out->checked |= member->since != 0;
	out->numbers[BACKENDS_UP] |= health_is_up(pool->health, number_of(pool, member));
	out->numbers[BACKENDS_DRAINED] |= health_is_drained(pool->health, number_of(pool, member));
	out->numbers[BACKENDS_CONNECTIONS] += backends_connections(pool, member);
	out->numbers[BACKENDS_CHECKS_FAILED] += member->failures;
}

struct backends_sum *backends_sums(const struct gate *gate)
{
	struct backends_sum *sums = xcalloc(gate->address_count, sizeof(*sums));
	const struct member *member;
	const struct pool *pool;

	for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++) {
		for (member = pool->members; member < pool->members + pool->count; member++) {
			sums[member->number].text = member->text;
			add_to_sum(pool, member, &sums[member->number]);
		}
	}
	return sums;
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
