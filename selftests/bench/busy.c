// SPDX-License-Identifier: MIT
#include "busy.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* The CPU's line: seven scheduler counters, then the time its tasks have run. */
static uint64_t busy_now(void)
{
	const struct timespec settle = { .tv_nsec = 50000000 };
	uint64_t ran = 0;
	char line[256];
	int found = 0;
	FILE *f;

	nanosleep(&settle, NULL);
	f = fopen("/proc/schedstat", "re");
	if (!f)
		err(1, "/proc/schedstat");
	while (found != 1 && fgets(line, sizeof(line), f))
		found = sscanf(line, "cpu0 %*u %*u %*u %*u %*u %*u %" SCNu64, &ran);
	fclose(f);
	if (found != 1)
		errx(1, "/proc/schedstat has no line for cpu0");
	return ran;
}

/* A system call that nobody else makes: count.c takes it for the mark. */
static void mark(void)
{
	syscall(SYS_sched_get_priority_max, 0);
}

struct busy busy_start(void)
{
	struct busy b;

	/* The first call also pays for pages not yet mapped. */
	busy_now();
	b.from = busy_now();
	b.idle = busy_now() - b.from;
	b.from += b.idle;
	mark();
	return b;
}

uint64_t busy_used(const struct busy *b)
{
	uint64_t used;

	mark();
	used = busy_now() - b->from;
	return used > b->idle ? used - b->idle : 0;
}
