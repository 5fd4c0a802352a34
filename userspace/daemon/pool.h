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

#include "daemon/places.h"
#include "daemon/sessions.h"
#include "daemon/settings.h"

/* One backend. */
struct member {
	const char *text;		/* its address, as configured: belongs to the settings */
	uint32_t weight;		/* 1..SETTINGS_MAX_WEIGHT */
	bool is_unix;			/* it is unix:/path */
	struct places *places;
	char *server_name;		/* mode connect: to ask for and to verify; else NULL */
	struct sessions *sessions;	/* mode connect; each process changes its own copy */
};

struct pool {
	const struct gate_settings *settings;	/* whose backend this is */
	struct member *members;
	size_t count;
	size_t turn;			/* the member that is next; each process has its own */
};

/*
 * Builds the pool of settings, those of a gate of this mode or of a block within it.  0, or -1
 * and a line was logged for each error; pool_clear() is due in both cases.
 */
int pool_build(struct pool *pool, const struct gate_settings *settings, enum gate_mode mode);
/* Of one that is zeroed, too. */
void pool_clear(struct pool *pool);

/* The member that the next connection tries first: each in turn. */
const struct member *pool_choose(struct pool *pool);
/* The one after this, the first after the last. */
const struct member *pool_next(const struct pool *pool, const struct member *member);

#endif
