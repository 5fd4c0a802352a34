/* SPDX-License-Identifier: MIT */
/*
 * Whether new connections are kept from the kernel (tlsgate pause), in memory
 * that the monitor writes and the workers read: it holds for those that are
 * started later, too, and across reloads.
 */
#ifndef TLSGATE_DAEMON_PAUSE_H
#define TLSGATE_DAEMON_PAUSE_H

#include <stdbool.h>

struct pause;

/* Shared with all processes forked later; not paused.  NULL: no memory. */
struct pause *pause_new(void);
/* NULL is fine. */
void pause_free(struct pause *pause);
/*
 * This process only reads from now on, whatever it becomes: mprotect() does not help it.
 * Before it closes the monitor's descriptors.  0, or -1: no memory.
 */
int pause_seal(struct pause *pause);

void pause_set(struct pause *pause, bool on);
bool pause_is_on(const struct pause *pause);

#endif
