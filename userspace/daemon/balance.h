/* SPDX-License-Identifier: MIT */
/*
 * Which backend of a pool takes a connection.  Those that are up come first; of these the setting
 * balance chooses.  One that is drained gets none.
 */
#ifndef TLSGATE_DAEMON_BALANCE_H
#define TLSGATE_DAEMON_BALANCE_H

#include <sys/socket.h>

#include "daemon/pool.h"

/*
 * The member that a connection of this client (AF_INET, AF_INET6 or AF_UNIX) tries next; passed: those that
 * it tried.  One that a check found down, or that balance_failed() names, is chosen only when no
 * other is left: no mark keeps a client from a backend that works.  NULL: none is left, but for
 * those that are drained.
 */
struct member *balance_choose(struct pool *pool, const struct sockaddr *client,
			      const struct member_set *passed);

/* This process could not reach it: it comes last until the next check of it, or balance_reached(). */
void balance_failed(const struct pool *pool, struct member *member);
void balance_reached(struct member *member);

#endif
