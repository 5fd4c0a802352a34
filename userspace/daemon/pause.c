// SPDX-License-Identifier: MIT
#include "daemon/pause.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "daemon/shared.h"

struct pause {
	struct shared on;		/* an atomic_bool */
};

struct pause *pause_new(void)
{
	struct pause *pause = calloc(1, sizeof(*pause));

	if (pause && !shared_new(&pause->on, sizeof(atomic_bool)))
		return pause;
	free(pause);
	return NULL;
}

void pause_free(struct pause *pause)
{
	if (pause)
		shared_free(&pause->on);
	free(pause);
}

void pause_set(struct pause *pause, bool on)
{
	atomic_store((atomic_bool *)pause->on.ours, on);
}

bool pause_is_on(const struct pause *pause)
{
	return atomic_load_explicit((const atomic_bool *)pause->on.theirs, memory_order_relaxed);
}
