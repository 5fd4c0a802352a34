/* SPDX-License-Identifier: MIT */
/* Bytes through a relay, both ways at once, each checked by its place. */
#ifndef TLSGATE_SELFTESTS_FLOW_H
#define TLSGATE_SELFTESTS_FLOW_H

#include <stdbool.h>
#include <stddef.h>

#include "pair.h"

/*
 * Moves bytes from the plain end to the peer (down) and back (up).  NULL, or
 * what went wrong; both ends are then of no more use.
 */
const char *flow(struct peer *peer, int plain, size_t down, size_t up);
/* The same with a few bytes each way, one after the other. */
const char *flow_some(struct peer *peer, int plain);

#endif
