// SPDX-License-Identifier: MIT
#include "fuzz.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "net.h"

#define PROGRESS	20000

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

void fuzz_start(struct fuzz *f, const char *name, uint64_t count)
{
	uint32_t seed = 1;

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		abort();
	f->name = name;
	f->seed = number("SEED", seed);
	f->first = number("FIRST", 0);
	f->count = number("COUNT", count);
	f->end = getenv("DURATION") ? net_now() + 1000 * number("DURATION", 0) : UINT64_MAX;
	f->at = f->first - 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..1\n# SEED=%" PRIu64 " FIRST=%" PRIu64 " COUNT=%" PRIu64 "\n", f->seed, f->first,
	       f->count);
}

bool fuzz_next(struct fuzz *f)
{
	if (++f->at - f->first >= f->count || net_now() > f->end)
		return false;
	f->state = mix(f->seed ^ mix(f->at));
	if (f->at > f->first && !(f->at % PROGRESS))
		printf("# input %" PRIu64 "\n", f->at);
	return true;
}

int fuzz_end(const struct fuzz *f, const char *failure)
{
	if (!failure) {
		printf("ok 1 - %s: %" PRIu64 " inputs of seed %" PRIu64 "\n", f->name,
		       f->at - f->first, f->seed);
		return 0;
	}
	printf("not ok 1 - %s: %s\n# again: SEED=%" PRIu64 " FIRST=%" PRIu64 " COUNT=1"
	       " (with what led to it: FIRST=%" PRIu64 " COUNT=%" PRIu64 ")\n", f->name, failure,
	       f->seed, f->at, f->first, f->at - f->first + 1);
	return 1;
}

void fuzz_dump(const char *what, const void *data, size_t len)
{
	const uint8_t *p = data;

	printf("# %s, %zu bytes:", what, len);
	for (size_t i = 0; i < len && i < 512; i++)
		printf("%s%02x", i % 32 ? "" : "\n#   ", p[i]);
	printf("\n");
}
