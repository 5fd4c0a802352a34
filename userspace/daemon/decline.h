/* SPDX-License-Identifier: MIT */
/*
 * A stage of the preface in mode connect: a client of PostgreSQL asks whoever listens for
 * encryption, unless it was told not to.  Between it and the gate there is none, so it is told no.
 */
#ifndef TLSGATE_DAEMON_DECLINE_H
#define TLSGATE_DAEMON_DECLINE_H

#include <stdbool.h>

#include "daemon/preface.h"

struct conn;

bool decline_wanted(const struct conn *conn);
enum preface_result decline_run(struct conn *conn);

#endif
