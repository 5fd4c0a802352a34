// SPDX-License-Identifier: MIT
#include "daemon/pause.h"

#include <stdatomic.h>
#include <stddef.h>
#include <sys/mman.h>

struct pause {
	atomic_bool on;
};

struct pause *pause_new(void)
{
	void *memory = mmap(NULL, sizeof(struct pause), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void pause_free(struct pause *pause)
{
	if (pause)
		(void)munmap(pause, sizeof(*pause));
}

void pause_seal(struct pause *pause)
{
	/* fails only for memory that is not ours */
	(void)mprotect(pause, sizeof(*pause), PROT_READ);
}

void pause_set(struct pause *pause, bool on)
{
	atomic_store(&pause->on, on);
}

bool pause_is_on(const struct pause *pause)
{
	return atomic_load_explicit(&pause->on, memory_order_relaxed);
}
