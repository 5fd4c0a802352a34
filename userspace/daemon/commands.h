/* SPDX-License-Identifier: MIT */
/* What the monitor does for clients of the control socket. */
#ifndef TLSGATE_DAEMON_COMMANDS_H
#define TLSGATE_DAEMON_COMMANDS_H

#include "daemon/control.h"

/* Each is given the struct monitor. */
extern const struct control_command commands[];

#endif
