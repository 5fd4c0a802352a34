/* SPDX-License-Identifier: MIT */
/* Drives the engine over a connection's TLS side until it is established. */
#ifndef TLSGATE_DAEMON_HANDSHAKE_H
#define TLSGATE_DAEMON_HANDSHAKE_H

#include <stddef.h>
#include <stdint.h>

struct conn;

/* The TLS side is connected: begins, with its deadline.  May free conn. */
void handshake_start(struct conn *conn);
/* The TLS side is ready for what was watched.  May free conn. */
void handshake_continue(struct conn *conn);
/* keyd answered; reply NULL: refused.  May free conn. */
void handshake_key_reply(struct conn *conn, const uint8_t *reply, size_t len);

#endif
