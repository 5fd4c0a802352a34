// SPDX-License-Identifier: MIT
/* daemon/places: what one process writes, another reads, whole or not at all. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/places.h"
#include "tests/tap.h"

#define READS	200000

static struct addr filled(char byte)
{
	struct addr addr;

	memset(&addr, byte, sizeof(addr));
	return addr;
}

static bool is_whole(const struct addr *addr)
{
	struct addr a = filled('a'), b = filled('b');

	return !memcmp(addr, &a, sizeof(a)) || !memcmp(addr, &b, sizeof(b));
}

/* 0: all that it read was whole. */
static int read_many(const struct places *places)
{
	bool whole = true, seen[2] = {0};
	struct addr addr;
	int i;

	for (i = 0; i < READS || !seen[0] || !seen[1]; i++) {
		if (!places_get(places, 0, &addr))
			continue;
		whole = whole && is_whole(&addr);
		seen[*(char *)&addr == 'b'] = true;
	}
	return !whole;
}

static void test_other_process(struct places *places)
{
	const struct addr a[] = { filled('a'), filled('a') }, b[] = { filled('b') };
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid)
		_exit(read_many(places));
	do {
		places_set(places, a, 2);
		places_set(places, b, 1);
	} while (!waitpid(pid, &status, WNOHANG));
	tap_equal(status, 0, "an address is read whole while another process writes");
}

int main(void)
{
	struct places *places = places_new();
	struct addr addr, list[ADDR_LIST_MAX];
	size_t i;

	for (i = 0; i < ADDR_LIST_MAX; i++)
		list[i] = filled((char)('a' + (char)i));
	tap_ok(!places_get(places, 0, &addr), "nothing is known at first");
	places_set(places, list, ADDR_LIST_MAX);
	tap_ok(places_get(places, ADDR_LIST_MAX - 1, &addr) &&
	       !memcmp(&addr, &list[ADDR_LIST_MAX - 1], sizeof(addr)), "the last one");
	tap_ok(!places_get(places, ADDR_LIST_MAX, &addr), "and none behind it");
	places_set(places, list, 1);
	tap_ok(places_get(places, 0, &addr) && !places_get(places, 1, &addr), "fewer than before");
	test_other_process(places);
	places_free(places);
	return tap_done();
}
