/* SPDX-License-Identifier: MIT */
/* How a generation starts: what it is built of, and the steps until it serves. */
#ifndef TLSGATE_DAEMON_START_H
#define TLSGATE_DAEMON_START_H

#include "daemon/generation.h"

/*
 * Builds everything, binds and forks keyd.  NULL: a line was logged and nothing has
 * changed.  The rest happens in the loop: keyd reads and tries the keys, workers start
 * and rehearse, the sockets listen, and then all workers accept at once.  begun() or
 * failed() says how that went; where one process takes too long, it is failed().
 * It shares settings.
 */
struct generation *generation_start(struct settings *settings, struct listeners *listeners,
				    struct resolver *resolver, struct ledger *ledger,
				    struct pause *pause, struct census *census,
				    const struct generation *callbacks);
/* One that has not begun: nothing is left of it. */
void generation_abandon(struct generation *generation);
/*
 * As generation_start(), up to where it would bind: builds everything and has
 * keyd read and try the keys.  Writes nothing and leaves nothing running.  0, or
 * -1 and what is wrong was logged.
 */
int generation_try(struct settings *settings);

#endif
