/* SPDX-License-Identifier: MIT */
/*
 * A stage of preface.h: the PROXY header by which a proxy in front of the gate says who its client
 * is.  Those of the setting accept-proxy have to send one.  From all others it is no TLS, and the
 * handshake fails by it.
 */
#ifndef TLSGATE_DAEMON_ACCEPT_PROXY_H
#define TLSGATE_DAEMON_ACCEPT_PROXY_H

#include <stdbool.h>

#include "daemon/preface.h"

struct conn;

/* Is who connected one of accept-proxy? */
bool accept_proxy_wanted(const struct conn *conn);
/* Reads its header, and no byte behind it.  From then on conn->client is whom that one names. */
enum preface_result accept_proxy_run(struct conn *conn);

#endif
