/* SPDX-License-Identifier: MIT */
/*
 * The user data path: the worker itself seals, opens and relays.  Bounded
 * memory per connection: a direction is read again only when what was read
 * has been taken by the other side.
 */
#ifndef TLSGATE_DAEMON_USERPATH_H
#define TLSGATE_DAEMON_USERPATH_H

#include <ev.h>

struct conn;

/* Both sides are connected and the handshake is over.  May free conn. */
void userpath_start(struct conn *conn);
/* A side is ready for these of the events watched.  May free conn. */
void userpath_continue(struct conn *conn, const ev_io *io, int events);
/* The timer fired: it is idle, or has waited long enough for the kernel.  May free conn. */
void userpath_timer(struct conn *conn);
/* If the kernel is to take it, then as soon as it can: nothing more is waited for.  May free conn. */
void userpath_hand_over(struct conn *conn);

#endif
