// SPDX-License-Identifier: MIT
#include "common/clock.h"

#include <time.h>

uint64_t clock_ms(void)
{
	struct timespec ts = {0};

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
