/* SPDX-License-Identifier: MIT */
/*
 * The monitor's part of the command connections: asks every worker for its
 * connections (listing.h), and adds those that the kernel carries (ledger.h).
 */
#ifndef TLSGATE_DAEMON_GATHER_H
#define TLSGATE_DAEMON_GATHER_H

#include <ev.h>
#include <stdbool.h>

struct monitor;

struct gather {
	bool open;			/* workers were asked */
	ev_timer late;			/* they are waited for no longer */
};

void gather_init(struct monitor *monitor);
/* Asks, unless that was done already; control_answer() follows, never in the call. */
void gather_begin(struct monitor *monitor);
/* A worker answered: if it was the last one, so is the command. */
void gather_check(struct monitor *monitor);
/* Nobody will be answered. */
void gather_close(struct monitor *monitor);

#endif
