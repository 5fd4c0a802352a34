/* SPDX-License-Identifier: MIT */
/*
 * What workers count, by gate, in memory that the monitor reads at any time: no
 * worker is asked, none waits.  Each worker writes a row of its own, which no other
 * process has but the monitor.  A row outlives its worker, and the next of that number
 * goes on with it.
 */
#ifndef TLSGATE_DAEMON_STATS_H
#define TLSGATE_DAEMON_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/log.h"
#include "daemon/tally.h"

enum counter {
	STAT_ACCEPTED,			/* connections */
	STAT_HANDSHAKES,		/* complete */
	STAT_RESUMED,			/* of them */
	STAT_FAILED,			/* ended before both sides were connected */
	STAT_BROKEN,			/* ended later, and not in order */
	STAT_KERNEL,			/* handed over, to be relayed */
	STAT_DELIVERED,			/* handed over, to the server's accept queue */
	STAT_USER,			/* relayed by a worker up to the end */
	STAT_PASSED,			/* likewise, their TLS as it is */
	STAT_REFUSED,			/* hand-overs, by the kernel */
	STAT_FROM_CLIENT,		/* bytes that workers relayed */
	STAT_FROM_BACKEND,
	STAT_OPEN,			/* connections that a worker has now */
	STATS_SHOWN,			/* those above are what tlsgate stats shows */
	STAT_NO_BACKEND = STATS_SHOWN,	/* the backend could not be reached */
	STAT_NO_HANDSHAKE_ROOM,		/* max-handshakes or WORKER_MAX_HANDSHAKES gave one up */
	STAT_OVER_CONNECTIONS,		/* max-connections refused one */
	STAT_OVER_ADDRESS,		/* max-per-address */
	STAT_OVER_RATE,			/* handshake-rate */
	STAT_UNTOLD,			/* hand-overs of which the monitor was not told, having no room */
	STAT_NO_DESCRIPTOR,		/* or no memory: nothing could be accepted for a while */
	/* the first of so many, by the kinds of tally.h */
	STAT_FAILURE,
	STAT_REFUSAL = STAT_FAILURE + FAILURES,
	STAT_HANDSHAKE_TIME = STAT_REFUSAL + REFUSALS,
	STAT_CONNECT_TIME = STAT_HANDSHAKE_TIME + TALLY_TIMES,
	STAT_KIND = STAT_CONNECT_TIME + TALLY_TIMES,
	STATS = STAT_KIND + TALLY_KINDS,
};

/* One gate's numbers of one worker.  A row is one of each gate, and lines of the log that were lost. */
struct stats_cell;

struct stats {
	struct stats_cell **rows;	/* of each worker, and one for what stats_inherit() takes */
	size_t workers, gates;
};

/* Shared with nobody yet; all is 0.  0, or -1: no memory, and *stats is empty. */
int stats_init(struct stats *stats, size_t workers, size_t gates);
/* Of one that is empty, too. */
void stats_clear(struct stats *stats);

/* In the monitor: true before it forks this worker, false afterwards.  No other fork has the row. */
void stats_lend(const struct stats *stats, size_t worker, bool lend);
/* In a worker: its row, which was lent to it. */
struct stats_cell *stats_take(struct stats *stats, size_t worker);
/* The owner of the row counts. */
void stats_add(struct stats_cell *row, size_t gate, enum counter counter, uint64_t number);

/* Of one gate of the row. */
uint64_t stats_get(const struct stats_cell *row, size_t gate, enum counter counter);
/* Of one worker. */
uint64_t stats_of_worker(const struct stats *stats, size_t worker, enum counter counter);
/* Of one gate. */
uint64_t stats_of_gate(const struct stats *stats, size_t gate, enum counter counter);

/* In a worker, and in the monitor: where its row counts lines of the log that were lost. */
struct log_lost *stats_lost_of(const struct stats *stats, size_t worker);
/* In the monitor: those of all. */
uint64_t stats_lost(const struct stats *stats, enum log_target target);

/* In the monitor: the worker is dead, and so has no connection. */
void stats_worker_gone(struct stats *stats, size_t worker);
/* Adds the numbers of a gate of one that goes away. */
void stats_inherit(struct stats *stats, size_t gate, const struct stats *from, size_t from_gate);
/* And the lines that its workers lost. */
void stats_inherit_lost(const struct stats *stats, const struct stats *from);

#endif
