/* SPDX-License-Identifier: MIT */
/* The last line of the log: what goes on without the monitor. */
#ifndef TLSGATE_DAEMON_FAREWELL_H
#define TLSGATE_DAEMON_FAREWELL_H

#include "daemon/generation.h"

/*
 * generations: those whose workers go on, NULL: none.  The number of the kernel's connections is
 * that of the network namespace, as 'tlsgate show' lists them.
 */
void farewell_log(const struct generation *generations);

#endif
