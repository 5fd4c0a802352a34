/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers share: numbers that a seed decides, the environment that
 * says how many, and what a failure prints.
 *
 * Input number i of a run depends on the seed and on i alone: SEED=s FIRST=i
 * COUNT=n sends inputs i to i+n-1 of that run again.  DURATION=s ends it after
 * that many seconds, in good order.
 */
#ifndef TLSGATE_SELFTESTS_FUZZ_H
#define TLSGATE_SELFTESTS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fuzz {
	const char *name;
	uint64_t seed, first, count;	/* of the run */
	uint64_t end;			/* when, by net_now() */
	uint64_t at;			/* input at hand */
	uint64_t state;			/* of the generator */
};

/* Reads SEED, FIRST and COUNT, a random seed and count if not given, and prints the plan. */
void fuzz_start(struct fuzz *f, const char *name, uint64_t count);
/* The next input: false behind the last.  Prints where it is from time to time. */
bool fuzz_next(struct fuzz *f);
/* Prints the one result, and what repeats it if it is a failure; exit status. */
int fuzz_end(const struct fuzz *f, const char *failure);

uint64_t fuzz_u64(struct fuzz *f);
/* 0 .. n-1 */
uint32_t fuzz_below(struct fuzz *f, uint32_t n);
/* True once in n times. */
bool fuzz_once(struct fuzz *f, uint32_t n);
void fuzz_bytes(struct fuzz *f, void *to, size_t len);
/* As TAP comments. */
void fuzz_dump(const char *what, const void *data, size_t len);

#endif
