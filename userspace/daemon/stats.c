// SPDX-License-Identifier: MIT
#include "daemon/stats.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "common/mem.h"

struct stats_cell {
	_Atomic uint64_t numbers[STATS];	/* each has one writer */
};

/* Sizes are never read from memory that a worker can write. */
static size_t row_size(const struct stats *stats)
{
	return stats->gates * sizeof(struct stats_cell) + sizeof(struct log_lost);
}

static size_t row_count(const struct stats *stats)
{
	return stats->rows ? stats->workers + 1 : 0;
}

int stats_init(struct stats *stats, size_t workers, size_t gates)
{
	void *memory;
	size_t i;

	*stats = (struct stats){ xcalloc(workers + 1, sizeof(*stats->rows)), workers, gates };
	for (i = 0; i < row_count(stats); i++) {
		memory = mmap(NULL, row_size(stats), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		if (memory != MAP_FAILED)
			stats->rows[i] = memory;
		if (memory == MAP_FAILED || madvise(memory, row_size(stats), MADV_DONTFORK)) {
			stats_clear(stats);
			return -1;
		}
	}
	return 0;
}

void stats_lend(const struct stats *stats, size_t worker, bool lend)
{
	/* fails only for memory that is not ours */
	(void)madvise(stats->rows[worker], row_size(stats), lend ? MADV_DOFORK : MADV_DONTFORK);
}

void stats_clear(struct stats *stats)
{
	size_t i;

	for (i = 0; i < row_count(stats); i++)
		if (stats->rows[i])
			(void)munmap(stats->rows[i], row_size(stats));
	free(stats->rows);
	*stats = (struct stats){0};
}

struct stats_cell *stats_take(struct stats *stats, size_t worker)
{
	size_t i;

	/* what is not lent is not there: another mapping may have its address */
	for (i = 0; i < row_count(stats); i++)
		if (i != worker)
			stats->rows[i] = NULL;
	return stats->rows[worker];
}

void stats_add(struct stats_cell *row, size_t gate, enum counter counter, uint64_t number)
{
	_Atomic uint64_t *to = &row[gate].numbers[counter];

	/* there is no other writer, so that no locked instruction is needed */
	atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + number,
			      memory_order_relaxed);
}

uint64_t stats_get(const struct stats_cell *row, size_t gate, enum counter counter)
{
	return atomic_load_explicit(&row[gate].numbers[counter], memory_order_relaxed);
}

uint64_t stats_of_worker(const struct stats *stats, size_t worker, enum counter counter)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < stats->gates; i++)
		sum += stats_get(stats->rows[worker], i, counter);
	return sum;
}

uint64_t stats_of_gate(const struct stats *stats, size_t gate, enum counter counter)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < row_count(stats); i++)
		sum += stats_get(stats->rows[i], gate, counter);
	return sum;
}

void stats_worker_gone(struct stats *stats, size_t worker)
{
	size_t i;

	for (i = 0; i < stats->gates; i++)
		atomic_store_explicit(&stats->rows[worker][i].numbers[STAT_OPEN], 0,
				      memory_order_relaxed);
}

void stats_inherit(struct stats *stats, size_t gate, const struct stats *from, size_t from_gate)
{
	enum counter counter;

	for (counter = 0; counter < STATS; counter++)
		stats_add(stats->rows[stats->workers], gate, counter,
			  stats_of_gate(from, from_gate, counter));
}

struct log_lost *stats_lost_of(const struct stats *stats, size_t worker)
{
	return (struct log_lost *)(void *)(stats->rows[worker] + stats->gates);
}

uint64_t stats_lost(const struct stats *stats, enum log_target target)
{
	uint64_t sum = 0;
	size_t i;

	for (i = 0; i < row_count(stats); i++)
		sum += atomic_load_explicit(&stats_lost_of(stats, i)->lines[target],
					    memory_order_relaxed);
	return sum;
}

void stats_inherit_lost(const struct stats *stats, const struct stats *from)
{
	struct log_lost *lost = stats_lost_of(stats, stats->workers);
	enum log_target target;

	for (target = 0; target < LOG_TARGETS; target++)
		atomic_fetch_add_explicit(&lost->lines[target], stats_lost(from, target),
					  memory_order_relaxed);
}
