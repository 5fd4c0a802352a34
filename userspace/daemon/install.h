/* SPDX-License-Identifier: MIT */
/* Handing an established connection to the kernel. */
#ifndef TLSGATE_DAEMON_INSTALL_H
#define TLSGATE_DAEMON_INSTALL_H

#include <stdint.h>

struct conn;

enum install_result {
	INSTALL_DONE,			/* the kernel relays: both descriptors can be closed */
	INSTALL_LATER,			/* the engine has to send something first: there is output */
	INSTALL_REFUSED,		/* nothing has changed: the connection can go on here */
	INSTALL_BROKEN,			/* it cannot: the keys went in, the relay did not */
};

/*
 * Needs: established, no output left, both sides connected.  Done: *id is the
 * kernel's session.  Else *why is a sentence, valid until the next call.
 */
enum install_result install_session(struct conn *conn, uint32_t *id, const char **why);

#endif
