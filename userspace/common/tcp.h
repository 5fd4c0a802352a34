/* SPDX-License-Identifier: MIT */
/* Options of TCP sockets that more than one program part sets. */
#ifndef TLSGATE_COMMON_TCP_H
#define TLSGATE_COMMON_TCP_H

#include <stdint.h>

/*
 * Probes a peer that was silent for idle seconds, and again every interval
 * seconds, until that many probes were not answered.  idle 0: never; probes 0:
 * as net.ipv4.tcp_keepalive_probes says.  Accepted sockets inherit it from their listener.
 */
void tcp_keep_alive(int fd, uint32_t idle, uint32_t interval, uint32_t probes);
/*
 * Gives up a peer that acknowledged nothing of what was sent for ms; 0: as the kernel does
 * (net.ipv4.tcp_retries2).  Inherited likewise.
 */
void tcp_user_timeout(int fd, uint32_t ms);

/*
 * Resets the connection, if there is one: its peer must not take what it got for the whole.
 * It does so by connect() to no address.  A worker may not set SO_LINGER: it could pass a
 * socket whose close() waits for hours to the monitor, which would wait.  On a UNIX socket
 * neither has an effect (docs/close-table.md).
 */
void tcp_reset(int fd);

#endif
