// SPDX-License-Identifier: MIT
#include "daemon/places.h"

#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define TRIES	100

struct places {
	atomic_uint version;		/* odd: addrs are being written */
	size_t count;
	struct addr addrs[ADDR_LIST_MAX];
};

struct places *places_new(void)
{
	void *memory = mmap(NULL, sizeof(struct places), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

void places_free(struct places *places)
{
	if (places)
		(void)munmap(places, sizeof(*places));
}

void places_seal(struct places *places)
{
	/* fails only for memory that is not ours */
	(void)mprotect(places, sizeof(*places), PROT_READ);
}

void places_set(struct places *places, const struct addr *addrs, size_t count)
{
	atomic_fetch_add_explicit(&places->version, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	places->count = count;
	memcpy(places->addrs, addrs, count * sizeof(*addrs));
	atomic_fetch_add_explicit(&places->version, 1, memory_order_release);
}

bool places_get(const struct places *places, size_t number, struct addr *out)
{
	unsigned int before, after;
	bool known = false;
	int i;

	/* the writer may have been stopped in between: never wait for it */
	for (i = 0; i < TRIES; i++) {
		before = atomic_load_explicit(&places->version, memory_order_acquire);
		known = number < places->count && number < ADDR_LIST_MAX;
		if (known)
			*out = places->addrs[number];
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&places->version, memory_order_relaxed);
		if (before == after && !(before & 1))
			return known;
	}
	return false;
}
