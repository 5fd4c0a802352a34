/* SPDX-License-Identifier: MIT */
/*
 * A value that the monitor replaces as a whole while the processes to which it lent it read it
 * (shared.h).  Nobody waits for anybody.
 */
#ifndef TLSGATE_DAEMON_BOARD_H
#define TLSGATE_DAEMON_BOARD_H

#include <stdbool.h>
#include <stddef.h>

struct board;

/* size: bytes of the value, which begins as zeros.  NULL: no memory or no descriptor. */
struct board *board_new(size_t size);
/* Wipes the value in the process that made it; NULL is fine. */
void board_free(struct board *board);
/* Keeps the value from swap while this process lives.  0 or -1: a limit of memory to be locked. */
int board_lock(struct board *board);
/* Whether who is forked from now on sees it; at first nobody does. */
void board_lend(struct board *board, bool lend);
/* Only in the process that made it. */
void board_write(struct board *board, const void *value);
/*
 * Copies the value to *out if it is another one than *seen says, which then says this one; begin
 * with 0.  False: it is the same, or is being written just now.
 */
bool board_read(const struct board *board, unsigned int *seen, void *out);

#endif
