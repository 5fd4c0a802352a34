// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net.h"

#define PROGRESS	5000
#define WORKERS_MAX	16

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

uint64_t fuzz_u64(struct fuzz *f)
{
	f->state += 0x9e3779b97f4a7c15ull;
	return mix(f->state);
}

uint32_t fuzz_below(struct fuzz *f, uint32_t n)
{
	return fuzz_u64(f) % n;
}

bool fuzz_once(struct fuzz *f, uint32_t n)
{
	return !fuzz_below(f, n);
}

void fuzz_bytes(struct fuzz *f, void *to, size_t len)
{
	uint8_t *p = to;

	while (len--)
		*p++ = fuzz_u64(f);
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : otherwise;
}

/* ---- the processes ------------------------------------------------------ */

/* Counts that all see. */
struct board {
	bool stop;
	uint64_t tally[WORKERS_MAX][FUZZ_TALLIES];
};

bool fuzz_next(struct fuzz *f)
{
	if (++f->at - f->first >= f->count || net_now() > f->end ||
	    __atomic_load_n(f->stop, __ATOMIC_RELAXED))
		return false;
	f->state = mix(f->seed ^ mix(f->at));
	if (f->at > f->first && !((f->at - f->first) % PROGRESS))
		printf("# input %" PRIu64 ", %" PRIu64 " %s\n", f->at, f->tally[0],
		       f->plan->tally[0]);
	return true;
}

/* Exit status of a worker. */
static int work(struct fuzz *f)
{
	const char *why = net_namespace() ? f->plan->work(f) : "no network namespace (not root?)";

	if (!why)
		return 0;
	__atomic_store_n(f->stop, true, __ATOMIC_RELAXED);
	printf("# failed: %s\n# again: SEED=%" PRIu64 " FIRST=%" PRIu64 " COUNT=1 WORKERS=1"
	       " (with what led to it: FIRST=%" PRIu64 " COUNT=%" PRIu64 ")\n", why, f->seed, f->at,
	       f->first, f->at - f->first + 1);
	return 1;
}

/*
 * The kernel patches its code when a family first connects (net_get_random_once),
 * and an emulated CPU may run into the breakpoint that the other one has just
 * taken away.  So not while two workers connect.
 */
static void connect_once(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int fd[2];

	for (int i = 0; i < 2; i++) {
		if (net_tcp_pair(families[i], fd))
			continue;
		close(fd[0]);
		close(fd[1]);
	}
}

/* Its share of the inputs, the last one's being what is left. */
static struct fuzz share(const struct fuzz *run, unsigned int n, unsigned int workers,
			 struct board *board)
{
	struct fuzz f = *run;

	f.first = run->first + n * (run->count / workers);
	f.count = n + 1 < workers ? run->count / workers : run->first + run->count - f.first;
	f.at = f.first - 1;
	f.tally = board->tally[n];
	f.stop = &board->stop;
	return f;
}

static bool all_well(unsigned int workers)
{
	bool well = true;
	int status;

	while (workers--)
		well &= wait(&status) > 0 && !status;
	return well;
}

static void print_tallies(const struct fuzz_plan *plan, const struct board *board)
{
	for (int i = 0; i < FUZZ_TALLIES && plan->tally[i]; i++) {
		uint64_t sum = 0;

		for (int n = 0; n < WORKERS_MAX; n++)
			sum += board->tally[n][i];
		printf("%s%" PRIu64 " %s", i ? ", " : "# ", sum, plan->tally[i]);
	}
	printf("\n");
}

int fuzz_run(const struct fuzz_plan *plan)
{
	struct board *board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int workers = number("WORKERS", sysconf(_SC_NPROCESSORS_ONLN));
	struct fuzz run = { .plan = plan };
	uint32_t seed = 1;
	bool well;

	if (board == MAP_FAILED || getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
	workers = workers < 1 ? 1 : workers > WORKERS_MAX ? WORKERS_MAX : workers;
	run.seed = number("SEED", seed);
	run.first = number("FIRST", 0);
	run.count = number("COUNT", plan->count);
	run.end = getenv("DURATION") ? net_now() + 1000 * number("DURATION", 0) : UINT64_MAX;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..1\n# SEED=%" PRIu64 " FIRST=%" PRIu64 " COUNT=%" PRIu64 " WORKERS=%u\n",
	       run.seed, run.first, run.count, workers);
	connect_once();
	for (unsigned int n = 0; n < workers; n++) {
		struct fuzz f = share(&run, n, workers, board);

		if (!fork())
			exit(work(&f));
	}
	well = all_well(workers);
	print_tallies(plan, board);
	printf("%s 1 - %s of seed %" PRIu64 "\n", well ? "ok" : "not ok", plan->name, run.seed);
	return !well;
}

void fuzz_dump(const char *what, const void *data, size_t len)
{
	const uint8_t *p = data;

	printf("# %s, %zu bytes:", what, len);
	for (size_t i = 0; i < len && i < 512; i++)
		printf("%s%02x", i % 32 ? "" : "\n#   ", p[i]);
	printf("\n");
}
