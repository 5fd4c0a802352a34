/* SPDX-License-Identifier: MIT */
/*
 * A connection's life from accept() on: what comes before TLS, handshake and backend, in the
 * order of the gate's mode, then the kernel or userpath.c.  Where the gate delivers, the
 * server is next after the handshake.
 */
#ifndef TLSGATE_DAEMON_LIFE_H
#define TLSGATE_DAEMON_LIFE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct conn;
struct worker_listener;

/* A connection was accepted; fd is the connection's from now on, closed on failure. */
void life_begin(const struct worker_listener *listener, int fd, const struct sockaddr *client,
		socklen_t len);
/* keyd answered; answer NULL: refused.  May free conn. */
void life_key_answer(struct conn *conn, const uint8_t *answer, size_t len);

#endif
