/* SPDX-License-Identifier: MIT */
/* All gates of one reading of the configuration, and what they must not do to each other. */
#ifndef TLSGATE_DAEMON_GATES_H
#define TLSGATE_DAEMON_GATES_H

#include "daemon/gate.h"

/*
 * Builds every gate of the settings (gate.h) into gates, which is zeroed, and
 * checks their addresses against each other.  0, or -1 and a line was logged
 * for each error; gate_clear() is due for each in both cases.
 */
int gates_build(struct gate *gates, const struct settings *settings, int keylog_fd);

#define GATES_WHY_MAX	256

/* Does the kernel take keys from us?  0, or libtlsgate's error; why says what was found. */
int gates_ask_kernel(char why[GATES_WHY_MAX]);

/*
 * Decides for each gate whether its connections go to the kernel, by what it
 * asks for, once the module is there.  0, or -1 and a line was logged: one wants
 * the kernel and cannot have it now.
 */
int gates_choose_data_paths(struct gate *gates, size_t count);

/*
 * Would a connection from gate, one of gates, to one of these backends come back to
 * it, over others of the gates as far as it is known where their backends are?
 */
bool gates_lead_back(const struct gate *gates, size_t count, const struct gate *gate,
		     const struct addr *backends, size_t backend_count);

#endif
