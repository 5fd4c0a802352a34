// SPDX-License-Identifier: MIT
#include "daemon/board.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <sodium.h>

#include "daemon/shared.h"

#define TRIES	100

struct content {
	atomic_uint version;		/* odd: value is being written */
	uint8_t value[];
};

struct board {
	struct shared content;
	size_t size;
};

struct board *board_new(size_t size)
{
	struct board *board = calloc(1, sizeof(*board));

	if (board && !shared_new(&board->content, sizeof(struct content) + size)) {
		board->size = size;
		board_lend(board, false);
		return board;
	}
	free(board);
	return NULL;
}

void board_free(struct board *board)
{
	struct content *content = board ? board->content.ours : NULL;

	if (content)
		sodium_memzero(content->value, board->size);
	if (board)
		shared_free(&board->content);
	free(board);
}

int board_lock(struct board *board)
{
	/* the pages are those of the other mapping, too */
	return sodium_mlock((void *)board->content.theirs, board->content.size);
}

void board_lend(struct board *board, bool lend)
{
	/* cannot fail: it is a mapping of its own, of no device */
	(void)madvise((void *)board->content.theirs, board->content.size, lend ? MADV_DOFORK : MADV_DONTFORK);
}

void board_write(struct board *board, const void *value)
{
	struct content *content = board->content.ours;

	atomic_fetch_add_explicit(&content->version, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy(content->value, value, board->size);
	atomic_fetch_add_explicit(&content->version, 1, memory_order_release);
}

bool board_read(const struct board *board, unsigned int *seen, void *out)
{
	const struct content *content = board->content.theirs;
	unsigned int before, after;
	int i;

	/* the writer may have been stopped in between: never wait for it */
	for (i = 0; i < TRIES; i++) {
		before = atomic_load_explicit(&content->version, memory_order_acquire);
		if (before == *seen)
			return false;
		memcpy(out, content->value, board->size);
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&content->version, memory_order_relaxed);
		if (before == after && !(before & 1)) {
			*seen = before;
			return true;
		}
	}
	return false;
}
