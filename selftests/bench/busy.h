/* SPDX-License-Identifier: MIT */
/*
 * How long the first CPU has run tasks so far, in nanoseconds: under QEMU's
 * instruction-counting clock that is instructions.  Counts what user, nice,
 * system, irq and softirq of /proc/stat count together, but not in steps of a
 * clock tick.
 */
#ifndef TLSGATE_BENCH_BUSY_H
#define TLSGATE_BENCH_BUSY_H

#include <stdint.h>

/*
 * Sleeps first, so that work in flight is done and the caller's own time is
 * in the figure; the difference of two calls includes the sleep's few thousand
 * instructions.  Exits where the kernel does not say.
 */
uint64_t busy_now(void);

#endif
