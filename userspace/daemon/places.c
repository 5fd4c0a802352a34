// SPDX-License-Identifier: MIT
#include "daemon/places.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/shared.h"

#define TRIES	100

struct list {
	atomic_uint version;		/* odd: addrs are being written */
	size_t count;
	struct addr addrs[ADDR_LIST_MAX];
};

struct places {
	struct shared list;
};

struct places *places_new(void)
{
	struct places *places = calloc(1, sizeof(*places));

	if (places && !shared_new(&places->list, sizeof(struct list)))
		return places;
	free(places);
	return NULL;
}

void places_free(struct places *places)
{
	if (places)
		shared_free(&places->list);
	free(places);
}

void places_set(struct places *places, const struct addr *addrs, size_t count)
{
	struct list *list = places->list.ours;

	atomic_fetch_add_explicit(&list->version, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	list->count = count;
	memcpy(list->addrs, addrs, count * sizeof(*addrs));
	atomic_fetch_add_explicit(&list->version, 1, memory_order_release);
}

bool places_get(const struct places *places, size_t number, struct addr *out)
{
	const struct list *list = places->list.theirs;
	unsigned int before, after;
	bool known = false;
	int i;

	/* the writer may have been stopped in between: never wait for it */
	for (i = 0; i < TRIES; i++) {
		before = atomic_load_explicit(&list->version, memory_order_acquire);
		known = number < list->count && number < ADDR_LIST_MAX;
		if (known)
			*out = list->addrs[number];
		atomic_thread_fence(memory_order_acquire);
		after = atomic_load_explicit(&list->version, memory_order_relaxed);
		if (before == after && !(before & 1))
			return known;
	}
	return false;
}
