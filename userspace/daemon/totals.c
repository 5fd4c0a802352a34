// SPDX-License-Identifier: MIT
#include "daemon/totals.h"

#include <string.h>

uint64_t totals_of_gate(const struct generation *newest, const char *name, enum counter counter)
{
	const struct generation *generation = newest;
	uint64_t sum = 0;
	size_t i;

	for (; generation; generation = generation->next)
		for (i = 0; i < generation->stats.gates; i++)
			if (!strcmp(generation->gates[i].settings->name, name))
				sum += stats_of_gate(&generation->stats, i, counter);
	return sum;
}

static void add_gate(const struct generation *generation, const char *name, uint64_t out[STATS])
{
	enum counter counter;
	size_t i;

	for (i = 0; i < generation->stats.gates; i++)
		if (!strcmp(generation->gates[i].settings->name, name))
			break;
	for (counter = 0; counter < STATS && i < generation->stats.gates; counter++)
		out[counter] += stats_of_gate(&generation->stats, i, counter);
}

void totals_of_all(const struct generation *newest, uint64_t (*out)[STATS])
{
	const struct generation *generation;
	size_t i;

	for (generation = newest; generation; generation = generation->next)
		for (i = 0; i < newest->built; i++)
			add_gate(generation, newest->gates[i].settings->name, out[i]);
}

uint64_t totals_lost(const struct generation *newest, enum log_target target)
{
	const struct generation *generation = newest;
	uint64_t sum = 0;

	for (; generation; generation = generation->next)
		sum += stats_lost(&generation->stats, target);
	return sum;
}

uint64_t totals_restarts(const struct generation *newest)
{
	const struct generation *generation = newest;
	uint64_t sum = 0;

	for (; generation; generation = generation->next)
		sum += generation->restarts;
	return sum;
}
