// SPDX-License-Identifier: MIT
#include "daemon/loads.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/mem.h"

int loads_init(struct loads *loads, size_t workers, size_t backends)
{
	size_t i;

	*loads = (struct loads){ xcalloc(workers, sizeof(*loads->rows)), workers, backends, 0 };
	for (i = 0; i < workers; i++) {
		if (!shared_new(&loads->rows[i], backends * sizeof(atomic_uint)))
			continue;
		loads_clear(loads);
		return -1;
	}
	return 0;
}

void loads_clear(struct loads *loads)
{
	size_t i;

	for (i = 0; i < loads->workers; i++)
		shared_free(&loads->rows[i]);
	free(loads->rows);
	*loads = (struct loads){0};
}

void loads_lend(const struct loads *loads, size_t worker, bool lend)
{
	/* fails only for memory that is not ours */
	if (loads->rows)
		(void)madvise(loads->rows[worker].ours, loads->rows[worker].size,
			      lend ? MADV_DOFORK : MADV_DONTFORK);
}

void loads_take(struct loads *loads, size_t worker)
{
	loads->mine = worker;
}

void loads_worker_gone(struct loads *loads, size_t worker)
{
	atomic_uint *row = loads->rows ? loads->rows[worker].ours : NULL;
	size_t i;

	for (i = 0; row && i < loads->backends; i++)
		atomic_store_explicit(&row[i], 0, memory_order_relaxed);
}

void loads_add(struct loads *loads, size_t backend, int number)
{
	atomic_uint *to = (atomic_uint *)loads->rows[loads->mine].ours + backend;

	/* there is no other writer, so that no locked instruction is needed */
	atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + (unsigned int)number,
			      memory_order_relaxed);
}

uint32_t loads_get(const struct loads *loads, size_t backend)
{
	const atomic_uint *row;
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < loads->workers; i++) {
		row = loads->rows[i].theirs;
		sum += atomic_load_explicit(&row[backend], memory_order_relaxed);
	}
	return sum;
}
