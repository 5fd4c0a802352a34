/* SPDX-License-Identifier: MIT */
/*
 * The metrics process: answers GET /metrics over HTTP.  It has nothing but its listening socket and
 * a channel to the monitor, which it asks for the text (ipc.h): who is slow to send or to read holds
 * up no other process.
 */
#ifndef TLSGATE_DAEMON_METRICSD_H
#define TLSGATE_DAEMON_METRICSD_H

#include <sys/types.h>

#include "daemon/sandbox.h"

#define METRICSD_UNFIT	3	/* its exit status where another process would fare alike */

struct metricsd_plan {
	int listener;
	struct identity who;		/* it is */
	void (*forget)(void *arg);	/* in the process: wipes the monitor's secrets */
	void *arg;
};

/* Starts it; it ends once *control is closed.  The process, or -1 and a line was logged. */
pid_t metricsd_start(const struct metricsd_plan *plan, int *control);

#endif
