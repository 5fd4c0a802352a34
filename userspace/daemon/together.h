/* SPDX-License-Identifier: MIT */
/* What deliver, and UNIX sockets, mean for a gate's other settings. */
#ifndef TLSGATE_DAEMON_TOGETHER_H
#define TLSGATE_DAEMON_TOGETHER_H

#include "common/addr.h"
#include "daemon/settings.h"

/* Do they go together?  0, or minus the number of those that do not; a line was logged for each. */
int together_check(const struct gate_settings *gate);
/*
 * The address to listen on of one of the texts in gate->listen.  :PORT is IPv4 alone where
 * connections are delivered to an IPv4 server.  0, or -1 and *why is a static sentence.
 */
int together_listen(const struct gate_settings *gate, const char *text, struct addr *out,
		    const char **why);

#endif
