/* SPDX-License-Identifier: MIT */
/*
 * Keeps the addresses of backends that are names: asks for each again and again,
 * for as long as its gate accepts connections.  Part of the monitor.
 */
#ifndef TLSGATE_DAEMON_RESOLVER_H
#define TLSGATE_DAEMON_RESOLVER_H

#include <ev.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/gate.h"
#include "daemon/sandbox.h"

struct resolver {
	struct identity who;		/* the process is */
	void (*forget)(void *arg);	/* in the process: wipes the monitor's secrets */
	void *arg;
	int control;			/* -1: there is no process */
	ev_io answers;
	ev_child exit;
	ev_timer restart;
	struct name *names;
	uint32_t next_id;
};

/* Starts nothing yet. */
void resolver_init(struct resolver *resolver, void (*forget)(void *arg), void *arg);
/*
 * Where a backend of gate, one of gates, is a name, its places are kept from now on.
 * A process that is not who is replaced.
 */
void resolver_add(struct resolver *resolver, const struct gate *gate, const struct gate *gates,
		  size_t gate_count, const struct identity *who);
/* No more of this gate.  Without a name, there is no process. */
void resolver_remove(struct resolver *resolver, const struct gate *gate);
/* Ends the process. */
void resolver_stop(struct resolver *resolver);

#endif
