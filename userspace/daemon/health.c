// SPDX-License-Identifier: MIT
#include "daemon/health.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "daemon/shared.h"

struct cell {
	atomic_bool down, drained;
	atomic_uint checks, elsewhere;
};

struct health {
	struct shared cells;
};

static struct cell *ours(struct health *health, size_t number)
{
	return (struct cell *)health->cells.ours + number;
}

static const struct cell *theirs(const struct health *health, size_t number)
{
	return (const struct cell *)health->cells.theirs + number;
}

struct health *health_new(size_t count)
{
	struct health *health = calloc(1, sizeof(*health));

	if (health && !shared_new(&health->cells, count * sizeof(struct cell)))
		return health;
	free(health);
	return NULL;
}

void health_free(struct health *health)
{
	if (health)
		shared_free(&health->cells);
	free(health);
}

void health_set_up(struct health *health, size_t number, bool up)
{
	struct cell *cell = ours(health, number);

	atomic_store(&cell->down, !up);
	atomic_fetch_add(&cell->checks, 1);
}

void health_set_drained(struct health *health, size_t number, bool drained)
{
	atomic_store(&ours(health, number)->drained, drained);
}

void health_set_elsewhere(struct health *health, size_t number, uint32_t connections)
{
	atomic_store_explicit(&ours(health, number)->elsewhere, connections, memory_order_relaxed);
}

bool health_is_up(const struct health *health, size_t number)
{
	return !atomic_load_explicit(&theirs(health, number)->down, memory_order_relaxed);
}

bool health_is_drained(const struct health *health, size_t number)
{
	return atomic_load_explicit(&theirs(health, number)->drained, memory_order_relaxed);
}

uint32_t health_checks(const struct health *health, size_t number)
{
	return atomic_load_explicit(&theirs(health, number)->checks, memory_order_relaxed);
}

uint32_t health_elsewhere(const struct health *health, size_t number)
{
	return atomic_load_explicit(&theirs(health, number)->elsewhere, memory_order_relaxed);
}
