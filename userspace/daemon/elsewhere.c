// SPDX-License-Identifier: MIT
#include "daemon/elsewhere.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

#define LOOK_SECONDS	1.
#define LOOKS		30u	/* for the backends of sessions of before */

/* What the kernel carries to one backend. */
struct elsewhere_count {
	struct elsewhere_count *next;
	char gate[SETTINGS_MAX_NAME + 1];
	uint64_t member;
	uint32_t count;			/* never 0 */
};

static struct elsewhere_count **find_count(struct elsewhere *elsewhere, const char *gate, uint64_t member)
{
	struct elsewhere_count **link = &elsewhere->counts[member % ELSEWHERE_BUCKETS];

	while (*link && ((*link)->member != member || strcmp((*link)->gate, gate)))
		link = &(*link)->next;
	return link;
}

static uint32_t carried(struct elsewhere *elsewhere, const char *gate, uint64_t member)
{
	struct elsewhere_count *count = *find_count(elsewhere, gate, member);

	return count ? count->count : 0;
}

static void add_count(struct elsewhere *elsewhere, const char *gate, uint64_t member)
{
	struct elsewhere_count **link = find_count(elsewhere, gate, member), *count = *link;

	if (!count) {
		count = *link = xcalloc(1, sizeof(*count));
		memcpy(count->gate, gate, strnlen(gate, SETTINGS_MAX_NAME));
		count->member = member;
	}
	count->count++;
}

static void take_count(struct elsewhere *elsewhere, const char *gate, uint64_t member)
{
	struct elsewhere_count **link = find_count(elsewhere, gate, member), *count = *link;

	if (!count || --count->count)
		return;
	*link = count->next;
	free(count);
}

/* Workers' connections to it, of that generation. */
static uint32_t load_in(const struct generation *generation, const char *name, uint64_t member)
{
	const struct gate *gate = generation->gates;
	const struct pool *pool;
	uint32_t sum = 0;
	size_t i;

	for (; gate < generation->gates + generation->built; gate++) {
		if (strcmp(gate->settings->name, name))
			continue;
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++)
			for (i = 0; i < pool->count && pool->loads; i++)
				if (pool->members[i].id == member)
					sum += loads_get(pool->loads, pool->first + i);
	}
	return sum;
}

static void write_number(struct elsewhere *elsewhere, const struct gate *gate, const struct pool *pool, size_t number)
{
	const uint64_t member = pool->members[number].id;
	const struct generation *before = elsewhere->live->next;
	uint32_t sum = carried(elsewhere, gate->settings->name, member);

	for (; before; before = before->next)
		sum += load_in(before, gate->settings->name, member);
	health_set_elsewhere(pool->health, number, sum);
}

/* Of one gate, or all for NULL; of one backend, or all for 0. */
static void write_numbers(struct elsewhere *elsewhere, const char *name, uint64_t member)
{
	const struct generation *live = elsewhere->live;
	const struct gate *gate = live ? live->gates : NULL;
	const struct pool *pool;
	size_t i;

	for (; live && gate < live->gates + live->built; gate++) {
		if (!gate->counted || (name && strcmp(gate->settings->name, name)))
			continue;
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++)
			for (i = 0; i < pool->count; i++)
				if (!member || pool->members[i].id == member)
					write_number(elsewhere, gate, pool, i);
	}
}

static bool is_at(const struct member *member, const struct sockaddr_in6 *backend)
{
	struct addr addr = { .len = sizeof(*backend) }, place;
	size_t i;

	memcpy(&addr.storage, backend, sizeof(*backend));
	for (i = 0; !member->is_unix && places_get(member->places, i, &place); i++)
		if (addr_equal(&place, &addr))
			return true;
	return false;
}

/* Of a session that a daemon of before handed over; 0: nothing of the gate is where it goes. */
static uint64_t find_member(const struct generation *live, const struct ledger_entry *entry)
{
	const struct gate *gate = live ? live->gates : NULL;
	const struct pool *pool;
	size_t i;

	for (; live && gate < live->gates + live->built; gate++) {
		if (strcmp(gate->settings->name, entry->gate))
			continue;
		for (pool = gate->pools; pool < gate->pools + gate->pool_count; pool++)
			for (i = 0; i < pool->count; i++)
				if (is_at(&pool->members[i], &entry->backend))
					return pool->members[i].id;
	}
	return 0;
}

/* Of an entry that is not counted yet. */
static void begin(struct elsewhere *elsewhere, struct ledger_entry *entry)
{
	if (!entry->member)
		entry->member = find_member(elsewhere->live, entry);
	if (entry->member)
		add_count(elsewhere, entry->gate, entry->member);
	else
		elsewhere->unknown++;
}

static void end(struct elsewhere *elsewhere, const struct ledger_entry *entry)
{
	if (entry->member)
		take_count(elsewhere, entry->gate, entry->member);
	else
		elsewhere->unknown--;
}

void elsewhere_carry(struct elsewhere *elsewhere, struct ledger_entry *entry, bool begins)
{
	if (begins)
		begin(elsewhere, entry);
	else
		end(elsewhere, entry);
	if (entry->member)
		write_numbers(elsewhere, entry->gate, entry->member);
}

static void look_for_member(void *arg, struct ledger_entry *entry)
{
	struct elsewhere *elsewhere = arg;

	if (entry->member)
		return;
	elsewhere->unknown--;
	begin(elsewhere, entry);
}

static void on_look(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct elsewhere *elsewhere = timer->data;

	(void)events;
	if (elsewhere->looks)
		elsewhere->looks--;
	if (elsewhere->unknown && elsewhere->looks)
		ledger_each_counted(elsewhere->ledger, look_for_member, elsewhere);
	write_numbers(elsewhere, NULL, 0);
	if (!elsewhere->looks && (!elsewhere->live || !elsewhere->live->next))
		ev_timer_stop(loop, timer);
}

void elsewhere_init(struct elsewhere *elsewhere, struct ev_loop *loop, struct ledger *ledger)
{
	*elsewhere = (struct elsewhere){ .loop = loop, .ledger = ledger };
	ev_timer_init(&elsewhere->look, on_look, LOOK_SECONDS, LOOK_SECONDS);
	elsewhere->look.data = elsewhere;
}

static bool is_wanted(const struct generation *generation)
{
	const struct gate *gate = generation->gates;

	while (gate < generation->gates + generation->built && !gate->counted)
		gate++;
	return gate < generation->gates + generation->built;
}

void elsewhere_begin(struct elsewhere *elsewhere, const struct generation *live)
{
	elsewhere->live = live;
	if (!is_wanted(live))
		return;
	elsewhere->looks = LOOKS;
	write_numbers(elsewhere, NULL, 0);
	ev_timer_again(elsewhere->loop, &elsewhere->look);
}

void elsewhere_forget(struct elsewhere *elsewhere, const struct generation *generation)
{
	if (elsewhere->live == generation)
		elsewhere->live = NULL;
}
