/* SPDX-License-Identifier: MIT */
#ifndef TLSGATE_COMMON_CLOCK_H
#define TLSGATE_COMMON_CLOCK_H

#include <stdint.h>

/*
 * Milliseconds of a clock that nobody sets, the same in all processes: for what
 * is measured or waited for.  libev's ev_now() is the time of day.
 */
uint64_t clock_ms(void);
/* The same in microseconds. */
uint64_t clock_us(void);

#endif
