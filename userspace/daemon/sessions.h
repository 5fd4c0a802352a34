/* SPDX-License-Identifier: MIT */
/*
 * TLS sessions that a gate of mode connect may resume with its server.  Each
 * worker has its own, in memory only; a session is offered once (RFC 9846
 * appendix C.4) and a connection adds one, so there are never many.
 */
#ifndef TLSGATE_DAEMON_SESSIONS_H
#define TLSGATE_DAEMON_SESSIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

#define SESSIONS_MAX	16	/* of a gate, in a worker; beyond, the oldest goes */

struct kept_session {
	uint8_t *data;
	size_t len;
};

struct sessions {
	struct kept_session kept[SESSIONS_MAX];	/* oldest first */
	size_t count;
	unsigned int barren;		/* waits in a row that brought none */
};

/* Offers the newest one that still can be resumed; what cannot is dropped. */
void sessions_offer(struct sessions *sessions, struct tls_conn *tls);
/* Keeps the latest session of a connection, if it has one: then true. */
bool sessions_keep(struct sessions *sessions, const struct tls_conn *tls);

/*
 * In TLS 1.3 a session comes after the handshake.  Is it worth waiting for one?  Not if the
 * server did not send one the last times.
 */
bool sessions_worth_waiting(const struct sessions *sessions);
/* A wait is over; came: it brought one. */
void sessions_waited(struct sessions *sessions, bool came);

void sessions_wipe(struct sessions *sessions);

#endif
