/* SPDX-License-Identifier: MIT */
/* What a start would refuse of an address to listen on, found without listening there: for `tlsgated -t`. */
#ifndef TLSGATE_DAEMON_DRY_LISTEN_H
#define TLSGATE_DAEMON_DRY_LISTEN_H

#include "common/addr.h"
#include "daemon/settings.h"

/*
 * text: addr as gate set has it.  Finds the device and the address that this machine does not have; the
 * user, group and folder of a UNIX socket, and a file in its place.  Not: who else listens there,
 * and what needs a capability, which somebody else than root may ask for root.
 * 0, or -1 and a line was logged; a folder that is not there gives a warning: systemd makes some at the start.
 */
int dry_listen(const struct addr *addr, const char *text, const struct gate_settings *set);

#endif
