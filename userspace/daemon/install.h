/* SPDX-License-Identifier: MIT */
/* Handing an established connection to the kernel. */
#ifndef TLSGATE_DAEMON_INSTALL_H
#define TLSGATE_DAEMON_INSTALL_H

#include <stdint.h>

struct conn;

/*
 * Needs: established, no output left, both sides connected.  0: the kernel
 * relays from now on, *id is its session and both descriptors can be closed.
 * Otherwise nothing has changed, *why is a sentence valid until the next call.
 */
int install_session(struct conn *conn, uint32_t *id, const char **why);

#endif
