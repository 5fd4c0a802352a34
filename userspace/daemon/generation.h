/* SPDX-License-Identifier: MIT */
/*
 * A generation: one reading of the configuration with the keyd and the workers
 * that run it.  A reload builds a new one beside the old and only then retires
 * the old, whose workers end with their last connection.
 */
#ifndef TLSGATE_DAEMON_GENERATION_H
#define TLSGATE_DAEMON_GENERATION_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/ipc.h"
#include "daemon/census.h"
#include "daemon/gate.h"
#include "daemon/ledger.h"
#include "daemon/listener.h"
#include "daemon/loads.h"
#include "daemon/pause.h"
#include "daemon/resolver.h"
#include "daemon/sandbox.h"
#include "daemon/shed.h"
#include "daemon/stats.h"

struct generation;

struct child {
	struct generation *generation;
	pid_t pid;			/* 0: none */
	int control;			/* -1: none */
	int answers;			/* a worker's: of worker_start(), -1: none */
	size_t index;			/* of a worker */
	size_t row;			/* of census, a worker's; CENSUS_NONE: none */
	ev_io messages;
	ev_child exit;
	ev_timer restart, keys;		/* a worker; another answerer for it */
	ev_timer limit;			/* for a worker that starts late to get ready */
	uint64_t started, keys_given;	/* of clock_ms() */
	bool ready;			/* it said so */
	bool drained;			/* a worker said that it accepts no more */
	int list;			/* gather.c: what it writes its connections into; -1: none */
	unsigned int asked;		/* ... times, and did not answer yet */
};

struct generation {
	struct generation *next;	/* the monitor's list, newest first */
	struct settings *settings;	/* shared: with a reload that takes certificates anew, or with the monitor */
	struct gate *gates;		/* settings->gate_count of them */
	size_t built;			/* of gates, to be cleared */
	struct listeners *listeners;
	struct resolver *resolver;
	struct ledger *ledger;
	struct pause *pause;
	struct census *census;
	struct shed shed;
	struct identity who, key_who;	/* of the workers; of keyd and its answerers */
	int keylog_fd;
	struct child keyd;
	struct child *workers;
	size_t worker_count;
	struct stats stats;
	struct loads loads;		/* of all members of all pools, in their order */
	uint64_t restarts;		/* of workers that died */
	struct log_limit changes;	/* lines that workers' notes cause */
	bool started, retired, stopped;
	bool draining;			/* drained() is due */
	void (*next_step)(struct child *child);	/* start.c: child is ready, none serves yet */
	ev_timer limit;			/* start.c: for the next process to get ready */
	ev_timer slow;			/* for drained() */
	ev_timer keyd_limit;		/* of a retired one: for keyd to end */
	ev_timer drain;			/* of a retired one: its connections had their time */
	/* called once all of it is ready, and it serves / it will not be (a line was logged) */
	void (*begun)(struct generation *generation, void *arg);
	void (*failed)(struct generation *generation, void *arg);
	/* generation_retire(): it accepts no more, or some worker is slow to say so */
	void (*drained)(struct generation *generation, void *arg);
	/* a worker answered IPC_LIST */
	void (*listed)(struct generation *generation, void *arg);
	/* called when the last process of a retired one is gone / keyd of a live one died */
	void (*gone)(struct generation *generation, void *arg);
	void (*keyd_died)(struct generation *generation, void *arg);
	/*
	 * the filter ended a worker of a live one before it served, or one answerer after
	 * another: the next would fare alike
	 */
	void (*unfit)(struct generation *generation, void *arg);
	void *arg;
};

/* Shares settings; has no gate and no process yet: start.h makes both.  For generation_free(). */
struct generation *generation_new(struct settings *settings);
/* Forks keyd: 0, or -1 and a line was logged. */
int generation_start_keyd(struct generation *generation);
/* Forks a worker, for the first time or for one that died.  0, or -1 and a line was logged. */
int generation_start_worker(struct generation *generation, struct child *child);
/* How long one process may take to get ready. */
double generation_ready_seconds(const struct generation *generation);
/* Tells each worker that there is. */
void generation_tell(const struct generation *generation, enum ipc_type type);
/* Gives the listeners back; allowed twice. */
void generation_unbind(struct generation *generation);
/* Goes on with what from counted for gates of the same names. */
void generation_inherit(struct generation *generation, const struct generation *from);
/* Does some gate want counted what the kernel carries for it? */
bool generation_counts(const struct generation *generation);
/* Files of ticket-keys have changed, perhaps; those that are refused change nothing. */
void generation_read_tickets(const struct generation *generation);
/* In a child that resolves names: wipes what is secret. */
void generation_forget(struct generation *generation);
/*
 * No more connections for it; it goes away with its last one, see gone().  Those
 * that its workers still relay after drain_ms (0: no limit) are ended.  drained() says when
 * it accepts no more, perhaps in the call.
 */
void generation_retire(struct generation *generation, uint32_t drain_ms);
/*
 * The gate of that name, or all for NULL, accepts no more, or again; what it has goes on.
 * Listeners of listener_why_kept() are left as they are.  0, or -1 and *why says what is wrong: none
 * but such, too.
 */
int generation_drain(struct generation *generation, const char *name, bool drain, const char **why);
/* As generation_retire(), and its connections end now; what still runs some seconds later, by force. */
void generation_stop(struct generation *generation);
/* Ends whatever still runs by force. */
void generation_kill(const struct generation *generation);
/* Frees; no process of it may be left. */
void generation_free(struct generation *generation);

#endif
