/* SPDX-License-Identifier: MIT */
/*
 * What workers know of connections that they handed over, until the kernel says
 * that these have ended.  Part of the monitor, since following events needs
 * CAP_NET_ADMIN, and since a session outlives its worker.
 */
#ifndef TLSGATE_DAEMON_LEDGER_H
#define TLSGATE_DAEMON_LEDGER_H

#include <ev.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/record.h"
#include "daemon/settings.h"

#define LEDGER_BUCKETS	1024u
#define LEDGER_EARLY	256u

struct tlsgate;

struct ledger_entry {
	uint32_t session;
	bool serves;
	bool logged;			/* there is a connection-log */
	bool counted;			/* ledger_changed is called for it */
	char gate[SETTINGS_MAX_NAME + 1];	/* its name, which a reload does not change */
	struct sockaddr_in6 client;	/* or sockaddr_in: who connected to us */
	uint64_t member;		/* its backend's id (pool.h); 0: not known */
	struct sockaddr_in6 backend;	/* ... or sockaddr_in: where that is, of an adopted session */
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

/*
 * The kernel has (begins) or has no more a connection whose entry is counted.  Each call that it
 * begins is followed by one that it ended, with the same entry; it must not call the ledger.  It may
 * set entry->member of an adopted session.
 */
typedef void ledger_changed(void *arg, struct ledger_entry *entry, bool begins);

struct ledger {
	struct ev_loop *loop;
	ledger_changed *changed;
	void *arg;
	int reader, writer;		/* -1: not open; the writer is the workers' */
	ev_io entries, events;
	struct tlsgate *tlsgate;	/* NULL: events are not followed */
	bool barred;			/* nor may they be */
	bool logs;			/* there is a connection-log: failures are worth a line */
	bool counts;			/* some entries are counted */
	uid_t uid;			/* ledger_adopt() */
	uint32_t lost;			/* events that found no room in the socket */
	struct ledger_page *pages[LEDGER_BUCKETS];	/* by session */
	size_t count, prune_at;		/* of pages; how many of them are too many */
	unsigned int round;		/* of reading the list of sessions */
	ev_timer late;			/* pages wait for an event that should be here */
	size_t late_count;		/* of them */
	struct ledger_early early[LEDGER_EARLY];	/* the latest, in a ring */
	unsigned int next_early;
};

void ledger_init(struct ledger *ledger, struct ev_loop *loop, ledger_changed *changed, void *arg);
/*
 * Where workers send entries; opens what is needed for that first.  logs: there is a
 * connection-log; counts: some gate wants its entries counted; else entries are for
 * ledger_each() alone.  -1: there is no such way.
 */
int ledger_writer(struct ledger *ledger, bool logs, bool counts);
/*
 * Counts from now on what the kernel has already: sessions of a daemon of before and those whose
 * entries were not counted.  uid: who the workers are, or were.  Of an adopted session the gate is what
 * its label says, and the client who its socket is connected to.
 */
void ledger_adopt(struct ledger *ledger, uid_t uid);
/* Calls each() for every connection that the kernel has and whose entry a worker sent. */
void ledger_each(struct ledger *ledger, void (*each)(void *arg, const struct ledger_entry *entry),
		 void *arg);
/* The same for every one that is counted; as ledger_changed(), it may set entry->member. */
void ledger_each_counted(struct ledger *ledger, void (*each)(void *arg, struct ledger_entry *entry),
			 void *arg);
/* A line for each connection that the kernel goes on with. */
void ledger_close(struct ledger *ledger);

/* In a worker: 0, or -1: the monitor has no room for it, or is gone. */
int ledger_send(int writer, const struct ledger_entry *entry);

#endif
