/* SPDX-License-Identifier: MIT */
/*
 * Delivery, a worker's part: an established connection goes into the accept queue of the server's
 * own listening socket, without a connection to it.  What a client or load can bring about (a
 * full backlog, no memory, a server that restarts) is waited for within connect-timeout, and
 * then ends the connection.  What the configuration decides, for each kind of connection by itself
 * (detour.h), makes a gate of deliver = auto relay that kind instead.  Each function: true: conn
 * is ready to be relayed; false: it waits, or is gone.
 */
#ifndef TLSGATE_DAEMON_DELIVER_H
#define TLSGATE_DAEMON_DELIVER_H

#include <stdbool.h>

struct conn;

/* The handshake is over. */
bool deliver_start(struct conn *conn);
/* It is to be tried again. */
bool deliver_timer(struct conn *conn);

#endif
