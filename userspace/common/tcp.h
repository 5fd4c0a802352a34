/* SPDX-License-Identifier: MIT */
/* Options of TCP sockets that more than one program part sets. */
#ifndef TLSGATE_COMMON_TCP_H
#define TLSGATE_COMMON_TCP_H

#include <stdint.h>

/*
 * Probes a peer that was silent for idle seconds, and again every interval
 * seconds, until the kernel gives it up (net.ipv4.tcp_keepalive_probes).  idle
 * 0: never.  Accepted sockets inherit it from their listener.
 */
void tcp_keep_alive(int fd, uint32_t idle, uint32_t interval);

/*
 * Resets the connection, if there is one: its peer must not take what it got for the whole.
 * It does so by connect() to no address.  A worker may not set SO_LINGER: it could pass a
 * socket whose close() waits for hours to the monitor, which would wait.
 */
void tcp_reset(int fd);

#endif
