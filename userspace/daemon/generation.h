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
#include <sys/types.h>

#include "daemon/gate.h"
#include "daemon/ledger.h"
#include "daemon/listener.h"
#include "daemon/pause.h"
#include "daemon/resolver.h"
#include "daemon/sandbox.h"
#include "daemon/stats.h"

struct generation;

struct child {
	struct generation *generation;
	pid_t pid;			/* 0: none */
	int control;			/* -1: none */
	size_t index;			/* of a worker */
	ev_io messages;
	ev_child exit;
	ev_timer restart, keys;		/* a worker; another answerer for it */
	ev_tstamp started, keys_given;
	bool ready;			/* it said so */
};

struct generation {
	struct generation *next;	/* the monitor's list, newest first */
	struct settings *settings;	/* the monitor's, when it reads no file */
	bool owns_settings;
	struct gate *gates;		/* settings->gate_count of them */
	size_t built;			/* of gates, to be cleared */
	struct listeners *listeners;
	struct resolver *resolver;
	struct ledger *ledger;
	struct pause *pause;
	struct identity who, key_who;	/* of the workers; of keyd and its answerers */
	int keylog_fd;
	struct child keyd;
	struct child *workers;
	size_t worker_count;
	struct stats stats;
	bool retired, stopped;
	ev_timer drain;			/* of a retired one: its connections had their time */
	/* called when the last process of a retired one is gone / keyd of a live one died */
	void (*gone)(struct generation *generation, void *arg);
	void (*keyd_died)(struct generation *generation, void *arg);
	/* the filter ended a worker of a live one before it served: the next would fare alike */
	void (*unfit)(struct generation *generation, void *arg);
	void *arg;
};

/*
 * Builds everything, binds, starts keyd and the workers and waits until all
 * are ready.  NULL: a line was logged and nothing has changed.  settings stay
 * the caller's on failure.
 */
struct generation *generation_start(struct settings *settings, bool owns_settings,
				    struct listeners *listeners, struct resolver *resolver,
				    struct ledger *ledger, struct pause *pause,
				    const struct generation *callbacks);
/* Goes on with what from counted for gates of the same names. */
void generation_inherit(struct generation *generation, const struct generation *from);
/* In a child that resolves names: wipes what is secret. */
void generation_forget(struct generation *generation);
/*
 * As generation_start(), up to where it would bind: builds everything and has
 * keyd read and try the keys.  Writes nothing and leaves nothing running.  0, or
 * -1 and what is wrong was logged.
 */
int generation_try(struct settings *settings);
/*
 * No more connections for it; it goes away with its last one, see gone().  Those
 * that its workers still relay after drain_ms (0: no limit) are ended.
 */
void generation_retire(struct generation *generation, uint32_t drain_ms);
/* As generation_retire(), and its connections end now; what still runs some seconds later, by force. */
void generation_stop(struct generation *generation);
/* Ends whatever still runs by force. */
void generation_kill(const struct generation *generation);
/* Frees; no process of it may be left. */
void generation_free(struct generation *generation);

#endif
