// SPDX-License-Identifier: MIT
#include "daemon/shed.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/generation.h"
#include "daemon/limits.h"

static const struct {
	const char *setting;
	enum counter counter;
} kinds[SHED_KINDS] = {
	{ "max-connections", STAT_OVER_CONNECTIONS },
	{ "max-per-address", STAT_OVER_ADDRESS },
	{ "handshake-rate", STAT_OVER_RATE },
};

static void tell_of_gate(struct shed *shed, size_t gate)
{
	uint64_t total = 0, number;
	char text[160];
	size_t i, len = 0;

	for (i = 0; i < SHED_KINDS; i++) {
		number = stats_of_gate(&shed->generation->stats, gate, kinds[i].counter) - shed->said[gate][i];
		shed->said[gate][i] += number;
		total += number;
		if (number)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s %llu", len ? ", " : "",
						kinds[i].setting, (unsigned long long)number);
	}
	if (total)
		log_warn("%s: %llu connections were refused within %.0f s by limits: %s",
			 shed->generation->gates[gate].settings->name, (unsigned long long)total,
			 SHED_SECONDS, text);
}

static void tell(struct shed *shed)
{
	size_t i;

	for (i = 0; i < shed->generation->built; i++)
		tell_of_gate(shed, i);
}

static void find_untold(struct shed *shed)
{
	const struct generation *generation = shed->generation;
	uint64_t untold = 0;
	size_t i;

	for (i = 0; i < generation->built; i++)
		untold += stats_of_gate(&generation->stats, i, STAT_UNTOLD);
	if (untold == shed->untold)
		return;
	shed->untold = untold;
	ledger_adopt(generation->ledger, generation->ledger->uid);
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	tell(timer->data);
	find_untold(timer->data);
}

void shed_start(struct shed *shed, const struct generation *generation)
{
	if (!limits_wanted(generation->gates, generation->built, generation->settings))
		return;
	shed->generation = generation;
	shed->said = xcalloc(generation->built, sizeof(*shed->said));
	ev_timer_init(&shed->timer, on_timer, SHED_SECONDS, SHED_SECONDS);
	shed->timer.data = shed;
	ev_timer_start(EV_DEFAULT_UC, &shed->timer);
}

void shed_stop(struct shed *shed)
{
	if (!shed->generation)
		return;
	tell(shed);
	ev_timer_stop(EV_DEFAULT_UC, &shed->timer);
}

void shed_inherit(struct shed *shed, size_t gate, const struct shed *from, size_t from_gate)
{
	size_t i;

	for (i = 0; shed->said && from->said && i < SHED_KINDS; i++)
		shed->said[gate][i] += from->said[from_gate][i];
}

void shed_free(struct shed *shed)
{
	if (shed->generation)
		ev_timer_stop(EV_DEFAULT_UC, &shed->timer);
	free(shed->said);
}
