/* SPDX-License-Identifier: MIT */
/*
 * How many connections the workers of a generation have to each backend, for who chooses the one
 * with the fewest.  Each worker writes a row of its own, which all others can read: a worker
 * that was taken over can mislead their choice, no more.  Backends are numbered over all gates.
 */
#ifndef TLSGATE_DAEMON_LOADS_H
#define TLSGATE_DAEMON_LOADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/shared.h"

struct loads {
	struct shared *rows;		/* of each worker */
	size_t workers, backends;
	size_t mine;			/* in a worker: its row */
};

/* All is 0.  0, or -1: no memory, and *loads is empty. */
int loads_init(struct loads *loads, size_t workers, size_t backends);
/* Of one that is empty, too. */
void loads_clear(struct loads *loads);

/* In the monitor: true before it forks this worker, false afterwards. */
void loads_lend(const struct loads *loads, size_t worker, bool lend);
/* In the monitor: the worker is dead, and so has no connection. */
void loads_worker_gone(struct loads *loads, size_t worker);
/* In a worker: this row, which was lent to it, is its own. */
void loads_take(struct loads *loads, size_t worker);
/* In a worker: so many connections more, or less. */
void loads_add(struct loads *loads, size_t backend, int number);

/* Of all workers. */
uint32_t loads_get(const struct loads *loads, size_t backend);

#endif
