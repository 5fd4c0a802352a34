/* SPDX-License-Identifier: MIT */
/* Bytes through a relay, both ways at once, each checked by its place. */
#ifndef TLSGATE_SELFTESTS_FLOW_H
#define TLSGATE_SELFTESTS_FLOW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pair.h"

/* What one end of the relay sends or receives, from byte done to byte total. */
struct stream {
	struct peer *peer;	/* the TLS end; NULL: */
	int plain;		/* the plain end */
	bool in;		/* received */
	uint64_t seed, done, total;
	pthread_t thread;
};

/* True if all went; else done says where it stopped. */
bool stream_run(struct stream *s);
/* The same in a thread. */
bool stream_start(struct stream *s);
bool stream_end(struct stream *s);

/*
 * Moves bytes from the plain end to the peer (down) and back (up).  NULL, or
 * what went wrong; both ends are then of no more use.
 */
const char *flow(struct peer *peer, int plain, size_t down, size_t up);
/* The same with a few bytes each way, one after the other. */
const char *flow_some(struct peer *peer, int plain);

#endif
