// SPDX-License-Identifier: MIT
/*
 * The runner's allocation-failure mode: of the allocations that the engine and
 * the shim make (by the linker's --wrap), the one whose number is in
 * MALLOC_NUMBER_TO_FAIL fails.  Exit status 88 says that it came to that, and
 * the sanitizers that nothing crashed or leaked; the runner goes on until a run
 * has fewer allocations.  Those within libcrypto are test_nomemory.c's.
 */
#include <stdlib.h>

#include "shim.h"

#define EXIT_MORE_ALLOCATIONS	88

static long until_failure = -1;	/* allocations before the one that fails; -1: none does */
static bool failed;

static bool fails(void)
{
	if (until_failure < 0 || until_failure-- > 0)
		return false;
	failed = true;
	return true;
}

void *__real_malloc(size_t len);
void *__wrap_malloc(size_t len);
void *__wrap_malloc(size_t len)
{
	return fails() ? NULL : __real_malloc(len);
}

void *__real_calloc(size_t count, size_t len);
void *__wrap_calloc(size_t count, size_t len);
void *__wrap_calloc(size_t count, size_t len)
{
	return fails() ? NULL : __real_calloc(count, len);
}

void *__real_realloc(void *p, size_t len);
void *__wrap_realloc(void *p, size_t len);
void *__wrap_realloc(void *p, size_t len)
{
	return fails() ? NULL : __real_realloc(p, len);
}

void *__real_reallocarray(void *p, size_t count, size_t len);
void *__wrap_reallocarray(void *p, size_t count, size_t len);
void *__wrap_reallocarray(void *p, size_t count, size_t len)
{
	return fails() ? NULL : __real_reallocarray(p, count, len);
}

void malloc_set_up(void)
{
	const char *number = getenv("MALLOC_NUMBER_TO_FAIL");

	if (number)
		until_failure = strtol(number, NULL, 10);
}

int malloc_exit_status(int status)
{
	until_failure = -1;
	return failed ? EXIT_MORE_ALLOCATIONS : status;
}
