/* SPDX-License-Identifier: MIT */
/*
 * Where a gate's backend is: addresses, to be tried in order, in memory that the
 * monitor writes and the workers read at any time (shared.h).
 */
#ifndef TLSGATE_DAEMON_PLACES_H
#define TLSGATE_DAEMON_PLACES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/addr.h"

struct places;

/* No address is known yet.  NULL: no memory. */
struct places *places_new(void);
/* NULL is fine. */
void places_free(struct places *places);

/*
 * Puts count addresses, at most ADDR_LIST_MAX, in the place of those of before; only in the
 * process that made it.
 */
void places_set(struct places *places, const struct addr *addrs, size_t count);
/* The address of that number, from 0 on.  False: there is none. */
bool places_get(const struct places *places, size_t number, struct addr *out);

#endif
