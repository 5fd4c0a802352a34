/* SPDX-License-Identifier: MIT */
/*
 * What a session ticket is bound to: a gate's name, and the rules by which the gate judges clients.
 * The keys that seal tickets are derived from it, so that a ticket opens only where the same rules
 * are in force, on whichever host.  The rules are the values of the rows that are SETTING_BOUND, the
 * names and protocols of routes, and the content of client-ca.  CRLs and validity are none of them: those are looked at again when a
 * session is resumed.
 */
#ifndef TLSGATE_DAEMON_BINDING_H
#define TLSGATE_DAEMON_BINDING_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/settings.h"

struct binding {
	uint8_t digest[32];
};

/* Of name and settings of the gate; in whatever order these were given. */
void binding_init(struct binding *binding, const struct gate_settings *gate);
/* And of these bytes, too. */
void binding_add(struct binding *binding, const char *what, const void *data, size_t len);

#endif
