/* SPDX-License-Identifier: MIT */
/*
 * Which kinds of connections to a gate that is to deliver cannot be delivered for now, since the
 * server's listening socket does not take them; in memory that the monitor writes and the workers
 * read (shared.h), so that all workers do the same.
 */
#ifndef TLSGATE_DAEMON_DETOUR_H
#define TLSGATE_DAEMON_DETOUR_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * A listening socket may take connections of one kind and not of another.  Each kind is decided
 * for itself: no client changes what becomes of clients of another kind.
 */
enum detour_kind {
	DETOUR_V4,			/* accepted by an IPv4 socket */
	DETOUR_MAPPED,			/* of an IPv4 client, by an IPv6 socket */
	DETOUR_V6,
	DETOURS,
};

struct detour;

/* No kind is refused.  NULL: no memory. */
struct detour *detour_new(void);
/* NULL is fine. */
void detour_free(struct detour *detour);
/* Only in the process that made it. */
void detour_set(struct detour *detour, enum detour_kind kind, bool refused);
bool detour_is_refused(const struct detour *detour, enum detour_kind kind);

/* Of an accepted socket's peer. */
enum detour_kind detour_kind_of(const struct sockaddr *client);

#endif
