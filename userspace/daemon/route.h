/* SPDX-License-Identifier: MIT */
/*
 * Which backend a client of mode serve gets, by the server name that it asks for and the protocol
 * agreed on: that of the block which fits best, else the gate's own.  A name fits better than
 * *.DOMAIN, which covers one label, and this better than *, which is for clients without a name,
 * too; of two alike, the one with alpn fits better.
 */
#ifndef TLSGATE_DAEMON_ROUTE_H
#define TLSGATE_DAEMON_ROUTE_H

#include "daemon/settings.h"

struct gate;
struct pool;
struct tls_peek;

/*
 * Do the blocks of a gate of mode serve have names, alpn as the gate has it, and is there one
 * at most for each client?  0, or -1 and a line was logged for each that does not.
 */
int route_check(const struct gate_settings *gate);

/* For a connection that was terminated here.  name, alpn: NULL: none. */
struct pool *route_choose(const struct gate *gate, const char *name, const char *alpn);

/*
 * For a client that is passed, TLS and all, by what its ClientHello asks for: a protocol before a
 * name.  NULL: it is terminated here.
 */
struct pool *route_passes(const struct gate *gate, const struct tls_peek *peek);

#endif
