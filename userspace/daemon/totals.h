/* SPDX-License-Identifier: MIT */
/*
 * What the processes of all generations counted: of the live one, and of those before it whose
 * connections go on.  What went with a generation, the next one has inherited.
 */
#ifndef TLSGATE_DAEMON_TOTALS_H
#define TLSGATE_DAEMON_TOTALS_H

#include "daemon/generation.h"

/* Of the gate of that name; newest: the first of the monitor's list, or NULL. */
uint64_t totals_of_gate(const struct generation *newest, const char *name, enum counter counter);
/* All counters of all gates of the newest generation, in its order; out: zeroed. */
void totals_of_all(const struct generation *newest, uint64_t (*out)[STATS]);
/* Lines of the log that workers lost. */
uint64_t totals_lost(const struct generation *newest, enum log_target target);
/* Workers that were started for one that died. */
uint64_t totals_restarts(const struct generation *newest);

#endif
