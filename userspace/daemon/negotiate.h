/* SPDX-License-Identifier: MIT */
#ifndef TLSGATE_DAEMON_NEGOTIATE_H
#define TLSGATE_DAEMON_NEGOTIATE_H

#include "daemon/metrics_out.h"

/*
 * The text format for a request with this header Accept (RFC 9110, section 12.5.1); NULL: it has
 * none.  OpenMetrics 1.0 where the client takes that at least as gladly as Prometheus' format.
 */
enum metrics_format negotiate(const char *accept);

#endif
