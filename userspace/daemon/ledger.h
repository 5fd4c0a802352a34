/* SPDX-License-Identifier: MIT */
/*
 * What workers know of connections that they handed over, until the kernel says
 * that these have ended.  Part of the monitor, since following events needs
 * CAP_NET_ADMIN, and since a session outlives its worker.
 */
#ifndef TLSGATE_DAEMON_LEDGER_H
#define TLSGATE_DAEMON_LEDGER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/record.h"

#define LEDGER_BUCKETS	1024u
#define LEDGER_EARLY	256u

struct tlsgate;

struct ledger_entry {
	uint32_t session;
	bool serves;
	bool logged;			/* there is a connection-log */
	uint64_t from_client, from_backend;	/* until the hand-over */
	uint64_t accepted;		/* clock_ms() then */
	struct record record;		/* up to what record_end() adds */
};

struct ledger_page;

/* A session that ended before its entry came. */
struct ledger_early {
	uint32_t session;
	uint64_t tx_bytes, rx_bytes;
	uint16_t reason;
};

struct ledger {
	struct ev_loop *loop;
	int reader, writer;		/* -1: not open; the writer is the workers' */
	ev_io entries, events;
	struct tlsgate *tlsgate;	/* NULL: events are not followed */
	bool barred;			/* nor may they be */
	bool logs;			/* there is a connection-log: failures are worth a line */
	uint32_t lost;			/* events that found no room in the socket */
	struct ledger_page *pages[LEDGER_BUCKETS];	/* by session */
	size_t count, prune_at;		/* of pages; how many of them are too many */
	unsigned int round;		/* of reading the list of sessions */
	ev_timer late;			/* pages wait for an event that should be here */
	size_t late_count;		/* of them */
	struct ledger_early early[LEDGER_EARLY];	/* the latest, in a ring */
	unsigned int next_early;
};

void ledger_init(struct ledger *ledger, struct ev_loop *loop);
/*
 * Where workers send entries; opens what is needed for that first.  logs: there is a
 * connection-log; else entries are for ledger_each() alone.  -1: there is no such way.
 */
int ledger_writer(struct ledger *ledger, bool logs);
/* Calls each() for every connection that the kernel has and whose entry came. */
void ledger_each(struct ledger *ledger, void (*each)(void *arg, const struct ledger_entry *entry),
		 void *arg);
/* A line for each connection that the kernel goes on with. */
void ledger_close(struct ledger *ledger);

/* In a worker: 0, or -1: the monitor has no room for it, or is gone. */
int ledger_send(int writer, const struct ledger_entry *entry);

#endif
