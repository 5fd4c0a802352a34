/* SPDX-License-Identifier: MIT */
/*
 * Session ticket keys of one gate.  All workers must have the same, also one
 * that is started later, and old ones must be gone for good.  So each process
 * keeps a secret that is hashed onward at the same times of the machine's uptime: no
 * message is needed, and no earlier key follows from what a process holds.
 *
 * A gate has its own from each reading of the configuration on: no ticket of
 * another gate, or of before a client CA was changed, is taken.  With ticket-keys it has those
 * of files instead (tickets.h).
 */
#ifndef TLSGATE_DAEMON_TICKET_H
#define TLSGATE_DAEMON_TICKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

#define TICKET_PERIOD	(TLS_TICKET_LIFETIME / 2)	/* seconds that a key seals */
#define TICKET_KEYS	3	/* the current one, and those whose tickets still live */

struct ticket_chain {
	uint8_t secret[32];		/* of the current period */
	int64_t period;			/* its number since the machine was started */
	struct tls_ticket_key keys[TICKET_KEYS];	/* newest first */
	size_t count;
	int64_t since;			/* it began then, in seconds of the machine's uptime */
};

/* A random chain that begins now.  0, or -1: no randomness. */
int ticket_chain_init(struct ticket_chain *chain);
/* Goes on to the current period; true if the keys have changed. */
bool ticket_chain_advance(struct ticket_chain *chain);
/* For how many seconds the key that seals tickets now has been in use. */
int64_t ticket_chain_age(const struct ticket_chain *chain);
void ticket_chain_wipe(struct ticket_chain *chain);

#endif
