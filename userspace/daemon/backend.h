/* SPDX-License-Identifier: MIT */
/*
 * Reaching a backend of the pool, which balance.h chooses: its addresses in turn, then those of the next
 * one, then the PROXY header.  All have one connect-timeout together, of which each address gets an equal share.  A
 * name that is not resolved yet and a full backlog are waited for within it.
 * Each function: true: it is reached; false: it is waited for, or conn is gone.
 */
#ifndef TLSGATE_DAEMON_BACKEND_H
#define TLSGATE_DAEMON_BACKEND_H

#include <ev.h>
#include <stdbool.h>

#include "common/addr.h"

struct conn;
struct gate;

/*
 * A socket with the gate's options, and connects it to addr.  0: it is connected; EINPROGRESS; or
 * another error.  *fd is the caller's to close, unless it is -1.
 */
int backend_connect(const struct gate *gate, const struct addr *addr, int *fd);

bool backend_start(struct conn *conn);
/* A side is ready for what was watched. */
bool backend_continue(struct conn *conn, ev_io *io);
/* The address that is being tried had its time, or is to be tried again. */
bool backend_timer(struct conn *conn);

#endif
