/* SPDX-License-Identifier: MIT */
/*
 * The header of HAProxy's PROXY protocol by which a backend learns whom it serves.  Version 1 has
 * the addresses, version 2 also the name asked for and the client's certificate.
 */
#ifndef TLSGATE_DAEMON_PROXY_H
#define TLSGATE_DAEMON_PROXY_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

#define PROXY_HEADER_MAX	16384	/* fits into a fresh socket's buffer */
#define PROXY_LINE_MAX		107	/* of version 1, with CR LF */

/*
 * client: sockaddr_in or _in6; server: what it connected to, likewise.  Writes
 * the header for an established connection into out; its length, or 0: with
 * the client's certificate it is longer than PROXY_HEADER_MAX.
 */
size_t proxy_header(const struct sockaddr_in6 *client, const struct sockaddr_in6 *server,
		    const struct tls_conn_info *info, uint8_t out[PROXY_HEADER_MAX]);

/* The header of version 1 into out: its length. */
size_t proxy_line(const struct sockaddr_in6 *client, const struct sockaddr_in6 *server,
		  char out[PROXY_LINE_MAX + 1]);

#endif
