/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share: numbers that a seed decides, the environment that
 * says how many, processes that share the work, and what a failure prints.
 *
 * Input number i of a run depends on the seed and on i alone: SEED=s FIRST=i
 * COUNT=n sends inputs i to i+n-1 of that run again.  DURATION=s ends it after
 * that many seconds, in good order.  WORKERS says how many processes there are,
 * one for each CPU if not given: each has a network namespace of its own, and
 * inputs that follow one another.
 */
#ifndef TLSGATE_SELFTESTS_FUZZ_H
#define TLSGATE_SELFTESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FUZZ_TALLIES	6

struct fuzz;

/* What a program has its inputs for. */
struct fuzz_plan {
	const char *name;
	uint64_t count;			/* of inputs, if COUNT is not given */
	/* Takes inputs by fuzz_next() to the last.  NULL, or what is wrong with the one at hand. */
	const char *(*work)(struct fuzz *f);
	const char *tally[FUZZ_TALLIES];	/* what is counted; NULL behind the last */
};

/* One process's. */
struct fuzz {
	const struct fuzz_plan *plan;
	uint64_t seed, first, count;
	uint64_t end;			/* when, by net_now() */
	uint64_t at;			/* input at hand */
	uint64_t state;			/* of the generator */
	uint64_t *tally;		/* by number in the plan, for work() to raise */
	bool *stop;			/* somebody failed */
};

/* All of it, with one result and the sums of the tallies; exit status. */
int fuzz_run(const struct fuzz_plan *plan);

/* The next input: false behind the last.  Prints where it is from time to time. */
bool fuzz_next(struct fuzz *f);

uint64_t fuzz_u64(struct fuzz *f);
/* 0 .. n-1 */
uint32_t fuzz_below(struct fuzz *f, uint32_t n);
/* True once in n times. */
bool fuzz_once(struct fuzz *f, uint32_t n);
void fuzz_bytes(struct fuzz *f, void *to, size_t len);
/* As TAP comments. */
void fuzz_dump(const char *what, const void *data, size_t len);

#endif
