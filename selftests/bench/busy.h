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
 * busy_start(), then the work, then busy_used(): the instructions for the
 * work.  Both first sleep until what is in flight is done; what they, and the
 * guest's idle daemons, use meanwhile is measured once and taken off.  Exits
 * where the kernel does not say.
 */
struct busy {
	uint64_t from, idle;
};

struct busy busy_start(void);
uint64_t busy_used(const struct busy *b);

#endif
