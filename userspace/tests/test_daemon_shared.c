// SPDX-License-Identifier: MIT
/* daemon/shared: what is written by the process that made it, those it forked read, and only read. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/shared.h"
#include "tests/tap.h"

#define SIZE	10000

static int in_child(struct shared *shared, int (*attempt)(struct shared *shared))
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		(void)signal(SIGSEGV, SIG_DFL);	/* the sanitizer would report it */
		_exit(attempt(shared));
	}
	waitpid(pid, &status, 0);
	return status;
}

static int read_all(struct shared *shared)
{
	const char *bytes = shared->theirs;

	return bytes[0] != 'a' || bytes[SIZE - 1] != 'z';
}

/* Writes where the other process may: a fault, if nothing else is there. */
static int write_there(struct shared *shared)
{
	((char *)shared->ours)[0] = '!';
	return 0;
}

/* 0: no mapping of the memory can be made writable. */
static int make_writable(struct shared *shared)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	int seen = 0, writable = 0;
	char line[512];

	(void)shared;
	while (maps && fgets(line, sizeof(line), maps)) {
		if (!strstr(line, "memfd:tlsgated-") || sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		seen++;
		writable += !mprotect((void *)from, to - from, PROT_READ | PROT_WRITE);
	}
	return !seen || writable;
}

int main(void)
{
	struct shared shared;
	char *bytes;

	if (shared_new(&shared, SIZE))
		tap_bail("no memory");
	bytes = shared.ours;
	tap_ok(!bytes[0] && !bytes[SIZE - 1], "all zero at first");
	bytes[0] = 'a';
	bytes[SIZE - 1] = 'z';
	tap_equal(read_all(&shared), 0, "read where it was written");
	tap_equal(in_child(&shared, read_all), 0, "and by what was forked");
	(void)in_child(&shared, write_there);
	tap_equal(((const char *)shared.theirs)[0], 'a', "which cannot write it");
	tap_equal(in_child(&shared, make_writable), 0, "nor make it writable");
	shared_free(&shared);
	tap_ok(!shared.ours && !shared.theirs, "freed");
	shared_free(&shared);
	return tap_done();
}
