/* SPDX-License-Identifier: MIT */
/*
 * Drives the engine over a connection's TLS side until it is established.  Each
 * function: true: it is, and all output is sent; false: something is waited for,
 * or conn is gone.
 */
#ifndef TLSGATE_DAEMON_HANDSHAKE_H
#define TLSGATE_DAEMON_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;

/* The TLS side is connected: begins, with its deadline. */
bool handshake_start(struct conn *conn);
/* The TLS side is ready for what was watched. */
bool handshake_continue(struct conn *conn);
/* keyd answered; reply NULL: refused. */
bool handshake_key_reply(struct conn *conn, const uint8_t *reply, size_t len);
/* It had its time: fails. */
void handshake_timer(struct conn *conn);

#endif
