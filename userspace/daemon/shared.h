/* SPDX-License-Identifier: MIT */
/*
 * Memory that one process writes and those that it forks read.  It is mapped
 * twice: what is forked does not have the writable mapping, and the other one
 * cannot be made writable.
 */
#ifndef TLSGATE_DAEMON_SHARED_H
#define TLSGATE_DAEMON_SHARED_H

#include <stddef.h>

struct shared {
	void *ours;			/* only in the process that made it */
	const void *theirs;		/* the same bytes; here, and in all processes forked later */
	size_t size;
};

/* All bytes are 0.  0, or -1: no memory or no descriptor, and *shared is empty. */
int shared_new(struct shared *shared, size_t size);
/* Of one that is empty, too. */
void shared_free(struct shared *shared);

#endif
