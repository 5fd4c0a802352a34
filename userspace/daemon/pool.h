/* SPDX-License-Identifier: MIT */
/*
 * The backends of a gate, or of a block within it, from which each connection takes one.  The
 * monitor builds a pool with its gate; children inherit it by fork.
 */
#ifndef TLSGATE_DAEMON_POOL_H
#define TLSGATE_DAEMON_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/health.h"
#include "daemon/loads.h"
#include "daemon/places.h"
#include "daemon/sessions.h"
#include "daemon/settings.h"

/* One backend. */
struct member {
	const char *text;		/* its address, as configured: belongs to the settings */
	uint64_t id;			/* of that text, the same in all generations; not 0 */
	uint32_t weight;		/* 1..SETTINGS_MAX_WEIGHT */
	bool is_unix;			/* it is unix:/path */
	struct places *places;
	char *server_name;		/* mode connect: to ask for and to verify; else NULL */
	struct sessions *sessions;	/* mode connect; each process changes its own copy */
	/* balance.c's; each process has its own */
	int64_t credit;			/* in turn: the richest is next */
	bool failed;			/* this process could not reach it: */
	uint32_t failed_at;		/* ... after so many checks */
	/* backends.c's, in the monitor */
	size_t number;			/* of its address among those of all pools of the gate */
	int64_t since;			/* it is up or down: seconds since the epoch; 0: no check was made */
	uint64_t failures;		/* of checks */
	char why[256];			/* it is down */
};

struct pool {
	const struct gate_settings *settings;	/* whose backend this is */
	struct member *members;
	size_t count;
	enum balance balance;
	uint32_t check;			/* ms between two checks of a member; 0: none is checked */
	struct health *health;		/* of the members, by their order */
	struct loads *loads;		/* of its generation; NULL: nothing is counted */
	size_t first;			/* members[0] there; the others follow */
	/* backend.c's; each process has its own */
	uint64_t told;			/* clock_ms(): that none could be reached; 0: never */
	uint64_t untold;		/* connections since */
	/* backends.c's, in the monitor */
	uint64_t said;			/* clock_ms(): that none is up; 0: one is */
	uint64_t refused;		/* STAT_NO_BACKEND then */
};

/* Members of one pool, by their number. */
struct member_set {
	uint64_t bits[SETTINGS_MAX_BACKENDS / 64];
};

/*
 * Builds the pool of a gate's or a block's settings.  0, or -1 and a line was logged for each error;
 * pool_clear() is due in both cases.
 */
int pool_build(struct pool *pool, const struct gate_settings *settings);
/* How its members are chosen and checked, by the settings of its gate; a block has none of these. */
void pool_set_balance(struct pool *pool, const struct gate_settings *gate);
/* Of one that is zeroed, too. */
void pool_clear(struct pool *pool);

/* The member of that address, as configured; NULL: there is none. */
struct member *pool_find(const struct pool *pool, const char *text);
bool pool_has(const struct member_set *set, size_t number);
void pool_add(struct member_set *set, size_t number);

/* Checks found that no member works, but for those that are drained. */
bool pool_is_down(const struct pool *pool);
/* One of its members is to get connections: its name is resolved, it is not drained and no check found it down. */
bool pool_is_available(const struct pool *pool);

#endif
