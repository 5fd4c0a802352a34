/* SPDX-License-Identifier: MIT */
/*
 * Whether new connections are kept from the kernel (tlsgate pause), in memory
 * that the monitor writes and the workers read (shared.h): it holds for those
 * that are started later, too, and across reloads.
 */
#ifndef TLSGATE_DAEMON_PAUSE_H
#define TLSGATE_DAEMON_PAUSE_H

#include <stdbool.h>

struct pause;

/* Not paused.  NULL: no memory. */
struct pause *pause_new(void);
/* NULL is fine. */
void pause_free(struct pause *pause);
/* Only in the process that made it. */
void pause_set(struct pause *pause, bool on);
bool pause_is_on(const struct pause *pause);

#endif
