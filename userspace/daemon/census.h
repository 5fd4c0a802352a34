/* SPDX-License-Identifier: MIT */
/*
 * How many connections there are now, by gate and by client address, over all workers and
 * with what the kernel carries: for limits.c.
 *
 * The numbers are in memory that the monitor makes (shared.h), in rows.  Each worker
 * writes a row of its own and reads those of all others; the first row is the monitor's, who counts
 * there what the kernel carries.  So nobody asks and nobody waits.  A reader takes a number
 * of another row as what it is, a number: no index, length or address is ever read
 * from there.
 *
 * An address is known by a hash of it and of its gate, with a key that is drawn at the start
 * (SipHash).  A row has room for CENSUS_ADDRESSES of them.  One for which there is no
 * room is not counted, so that no limit holds it.
 */
#ifndef TLSGATE_DAEMON_CENSUS_H
#define TLSGATE_DAEMON_CENSUS_H

#include <netinet/in.h>
#include <sodium/crypto_shorthash.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/settings.h"
#include "daemon/shared.h"

#define CENSUS_ROWS		1024u	/* the monitor's, and one of each worker */
#define CENSUS_GATES		1024u	/* names that may have connections */
#define CENSUS_BUCKETS		8192u
#define CENSUS_WAYS		8u	/* a bucket is a cache line */
#define CENSUS_ADDRESSES	(CENSUS_BUCKETS * CENSUS_WAYS)
#define CENSUS_MAX		1000000	/* the highest limit */
#define CENSUS_RATE_MAX		4000	/* the highest rate */
#define CENSUS_NONE		((size_t)-1)

struct census_gate {
	char name[SETTINGS_MAX_NAME + 1];	/* "": free */
	unsigned int users;		/* census_gate() less census_put_gate() */
};

struct census {
	struct shared memory;		/* empty: no gate has a limit */
	size_t own;			/* row that this process writes, or CENSUS_NONE */
	uint8_t key[crypto_shorthash_KEYBYTES];
	/* the rest is the monitor's */
	bool taken[CENSUS_ROWS];
	struct census_gate gates[CENSUS_GATES];
};

/* What one number comes to. */
struct census_sum {
	uint64_t own;			/* of this process */
	uint64_t carried;		/* of the kernel's, and of workers that drain */
	uint64_t others;		/* of all other rows */
};

/*
 * Is there no room for one more?  workers: so many share the limit.
 *
 * A worker that was taken over may claim any number.  So whatever others claim, a worker has half of its
 * even share, and it may add to what is carried up to half of the limit.  Where connections
 * are spread so unevenly without a lie, this exceeds the limit, by a half of it at most.  Workers
 * of before a reload are believed what they had then, or less: they would be an exception
 * after each reload.  What one of them claimed falsely, it may go on to claim until it ends.
 */
bool census_is_full(struct census_sum sum, uint64_t limit, size_t workers);

/* ---- in the monitor ---- */

/* Makes the memory, if there is none yet.  0, or -1: no memory or no descriptor. */
int census_open(struct census *census);
void census_close(struct census *census);
/*
 * The number of a gate of that name, which it keeps over reloads.  Each is one census_put_gate(),
 * after which the name may be forgotten once it has no connection.  CENSUS_NONE: there are too many names.
 */
size_t census_gate(struct census *census, const char *name);
void census_put_gate(struct census *census, size_t gate);
/* Of one that has a number; or CENSUS_NONE. */
size_t census_find_gate(const struct census *census, const char *name);

/* A row for a worker, all 0; or CENSUS_NONE: all are taken. */
size_t census_take_row(struct census *census);
/* Its worker is told to drain: what it has now is carried, as far as it still has it.  CENSUS_NONE is fine. */
void census_retire_row(const struct census *census, size_t row);
/* Its worker is dead, and so has no connection.  CENSUS_NONE is fine. */
void census_free_row(struct census *census, size_t row);
/* True before the worker is forked whose row it is, false afterwards.  No other fork has it. */
void census_lend(const struct census *census, size_t row, bool lend);

/* ---- in each process, in its own row ---- */

/* All is 0 again. */
void census_clear(const struct census *census);
/* There are so many more, or less, but not less than none. */
void census_add_connections(const struct census *census, size_t gate, int32_t number);
struct census_sum census_connections(const struct census *census, size_t gate);
void census_add_handshakes(const struct census *census, int32_t number);
struct census_sum census_handshakes(const struct census *census);

/* Of an address at a gate: of IPv4 all of it, of IPv6 the first 64 bits. */
uint64_t census_hash(const struct census *census, size_t gate, const struct sockaddr_in6 *client);

/* False: there is no room for it; nothing is counted, and census_remove_address() is not due. */
bool census_add_address(const struct census *census, uint64_t hash);
/* One that is not there is left out. */
void census_remove_address(const struct census *census, uint64_t hash);
struct census_sum census_address(const struct census *census, uint64_t hash);

/*
 * Of an address, how often census_add_start() was called within the second before now_ms, of
 * clock_ms().  Older starts of the second before count by the part of it that is not over.
 */
struct census_sum census_starts(const struct census *census, uint64_t hash, uint64_t now_ms);
/* Where there is no room, the address that came least often is forgotten. */
void census_add_start(const struct census *census, uint64_t hash, uint64_t now_ms);

#endif
