/* SPDX-License-Identifier: MIT */
/*
 * What the monitor knows of the backends of a generation: what checks found, which ones the operator
 * drained, how many connections they have.
 */
#ifndef TLSGATE_DAEMON_BACKENDS_H
#define TLSGATE_DAEMON_BACKENDS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/ipc.h"
#include "daemon/generation.h"

/* Prepares for counting connections, before the first worker.  0, or -1: no memory. */
int backends_count(struct generation *generation);
/* What a worker found; one that was taken over may say anything. */
void backends_take_check(struct generation *generation, const struct ipc_check *check);
/* Goes on with what is known of backends of the same gates and addresses. */
void backends_inherit(const struct generation *generation, const struct generation *from);

/*
 * The backend of the gate, by its address as configured, gets no new connection, or again.
 * 0, or -1: there is none.  generation may be NULL.
 */
int backends_drain(const struct generation *generation, const char *gate, const char *backend, bool drain);
/* What metrics tell of a backend. */
enum backends_number {
	BACKENDS_UP,
	BACKENDS_DRAINED,
	BACKENDS_CONNECTIONS,
	BACKENDS_CHECKS_FAILED,
	BACKENDS_NUMBERS,
};

struct backends_sum {
	const char *text;		/* its address, as configured */
	bool checked;
	uint64_t numbers[BACKENDS_NUMBERS];
};

/* Of the gate's backends, each address once: gate->address_count of them, for free(). */
struct backends_sum *backends_sums(const struct gate *gate);
/* Connections to a member that workers and the kernel have now, as far as they are counted. */
uint32_t backends_connections(const struct pool *pool, const struct member *member);

#endif
