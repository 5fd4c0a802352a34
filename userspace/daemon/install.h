/* SPDX-License-Identifier: MIT */
/* Handing an established connection to the kernel. */
#ifndef TLSGATE_DAEMON_INSTALL_H
#define TLSGATE_DAEMON_INSTALL_H

#include <stdbool.h>

struct conn;

/*
 * Tries to give conn->hands_over to the kernel: nothing is held, no output is
 * left, no direction is at its end.  True: conn is gone.  Else it stays here,
 * for good or, where it still is to be handed over, until there is no output.
 */
bool conn_hand_over(struct conn *conn);

/*
 * Delivers by conn->handle.  0: conn is gone, to the server's accept queue.  Else nothing has
 * changed and *why says what is wrong, until the next call: as tlsgate_session_deliver(),
 * -ENODEV: no module is found, -EPERM: it takes no keys from us; -EINPROGRESS: there is output
 * to be sent first.
 */
int conn_deliver(struct conn *conn, const char **why);

#endif
