/* SPDX-License-Identifier: MIT */
/*
 * Reading a header of HAProxy's PROXY protocol, version 1 or 2 (proxy-protocol.txt of HAProxy),
 * from bytes.  Writing one is proxy.h's.
 */
#ifndef TLSGATE_DAEMON_PROXY_PARSE_H
#define TLSGATE_DAEMON_PROXY_PARSE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROXY_PARSE_MAX	16384	/* bytes of a header that is taken */

/* Whom the proxy speaks for. */
struct proxy_ends {
	/*
	 * False: the connection's own ends hold.  The header says so (LOCAL, UNKNOWN,
	 * UNSPEC), or it has no addresses of TCP.
	 */
	bool known;
	struct sockaddr_in6 client, server;	/* or sockaddr_in, both of one family */
};

/*
 * data: what came first on a connection.  The length of the header that it begins with; 0: all of
 * it belongs to a header that has not ended yet; -1: it begins with none, and *why is a static
 * sentence.  A header is refused as soon as it is known to be bad, at PROXY_PARSE_MAX bytes at the
 * latest.  TLVs must lie within the header, and a checksum (CRC32C) among them must be right; what
 * they say is not used.
 */
long proxy_parse(const uint8_t *data, size_t len, struct proxy_ends *out, const char **why);

#endif
