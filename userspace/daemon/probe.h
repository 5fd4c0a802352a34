/* SPDX-License-Identifier: MIT */
/*
 * Whether a server's listening socket would take connections, found out without one: the module
 * is asked to deliver a connection that this process has with itself and holds twice.  It looks
 * at the server's socket first, and then refuses the second descriptor.
 */
#ifndef TLSGATE_DAEMON_PROBE_H
#define TLSGATE_DAEMON_PROBE_H

#include "common/addr.h"
#include "daemon/detour.h"
#include "lib/libtlsgate.h"

enum probe_answer {
	PROBE_UNKNOWN,			/* no such connection can be had, or the kernel is short of something */
	PROBE_TAKES,
	PROBE_CANNOT,			/* as it is configured */
	PROBE_NOBODY,			/* nobody listens */
};

/*
 * Of connections of a kind.  PROBE_CANNOT: kernel_error() says why not.  Needs CAP_NET_ADMIN,
 * and the module counts a refusal.  The server sees nothing.
 */
enum probe_answer probe_server(struct tlsgate *tlsgate, enum detour_kind kind,
			       const struct addr *server);

#endif
