/* SPDX-License-Identifier: MIT */
/*
 * One line for all connections that limits refused since the last one: a line of each would fill
 * the log when most matters.  Part of the monitor, which reads what workers count.  Where they
 * count hand-overs that it was not told of, it has the ledger find these in the kernel.
 */
#ifndef TLSGATE_DAEMON_SHED_H
#define TLSGATE_DAEMON_SHED_H

#include <ev.h>
#include <stddef.h>
#include <stdint.h>

#define SHED_KINDS	3u
#define SHED_SECONDS	5.0

struct generation;

struct shed {
	const struct generation *generation;	/* NULL: not started */
	ev_timer timer;
	uint64_t untold;		/* of STAT_UNTOLD, as far as they were found */
	uint64_t (*said)[SHED_KINDS];	/* by gate: so many the lines were about */
};

/* The generation serves.  Does nothing where no gate has limits. */
void shed_start(struct shed *shed, const struct generation *generation);
/* It does so no more: the last line.  Of one that was not started, too. */
void shed_stop(struct shed *shed);
/* Of one that goes away and whose numbers stats_inherit() took: what was said of a gate. */
void shed_inherit(struct shed *shed, size_t gate, const struct shed *from, size_t from_gate);
void shed_free(struct shed *shed);

#endif
