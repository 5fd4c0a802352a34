/* SPDX-License-Identifier: MIT */
/*
 * What is known of a pool's backends, in memory that the monitor writes and the workers read at
 * any time (shared.h).  Backends are numbered as the pool's members.  Each is up until a check says otherwise.
 */
#ifndef TLSGATE_DAEMON_HEALTH_H
#define TLSGATE_DAEMON_HEALTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct health;

/* Of so many backends.  NULL: no memory. */
struct health *health_new(size_t count);
/* NULL is fine. */
void health_free(struct health *health);

/* Only in the process that made it: a check was made. */
void health_set_up(struct health *health, size_t number, bool up);
/* ... no new connection goes there. */
void health_set_drained(struct health *health, size_t number, bool drained);
/* ... so many connections go there that no worker of this generation has (loads.h). */
void health_set_elsewhere(struct health *health, size_t number, uint32_t connections);

bool health_is_up(const struct health *health, size_t number);
bool health_is_drained(const struct health *health, size_t number);
/* How many checks were made; it wraps. */
uint32_t health_checks(const struct health *health, size_t number);
uint32_t health_elsewhere(const struct health *health, size_t number);

#endif
