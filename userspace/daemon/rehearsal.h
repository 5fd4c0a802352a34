/* SPDX-License-Identifier: MIT */
/*
 * What a worker does for a connection, done with a peer of its own: it accepts, waits in an
 * event loop, and performs a handshake by the configuration of a gate, for which its
 * answerer signs; then by that of the next gate, on the same connection.  Before the system
 * call filter is loaded, this makes libc and libcrypto load what they load late.  Under the
 * filter, it shows that a worker can work, before anybody relies on it.
 *
 * The handshake may end with an alert about a certificate: a gate that asks for a client's
 * gets none, and no CA vouches for a server's.  Any other alert, of either end, is a
 * failure.
 */
#ifndef TLSGATE_DAEMON_REHEARSAL_H
#define TLSGATE_DAEMON_REHEARSAL_H

#include "daemon/gate.h"
#include "daemon/keypipe.h"

struct rehearsal {
	const struct gate *gates;
	size_t count;
	/*
	 * Those that are tried: the first of either mode, and each whose number leaves
	 * share when it is divided by shares.  0: no others.
	 */
	size_t share, shares;
	int listener, client;		/* which is connected and waits to be accepted */
};

/* Before the filter, which allows no such sockets.  0, or -1 and a line was logged. */
int rehearsal_open(struct rehearsal *rehearsal);

/*
 * Once for each rehearsal_open(), and closes what that opened.  keys: whose
 * answerer is asked, and has answered all by then.  0, or -1 and a line was
 * logged.
 */
int rehearsal_run(const struct rehearsal *rehearsal, const struct keypipe *keys);

#endif
