// SPDX-License-Identifier: MIT
#include "daemon/detour.h"

#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "daemon/shared.h"

struct detour {
	struct shared refused;		/* an atomic_bool of each kind */
};

struct detour *detour_new(void)
{
	struct detour *detour = calloc(1, sizeof(*detour));

	if (detour && !shared_new(&detour->refused, DETOURS * sizeof(atomic_bool)))
		return detour;
	free(detour);
	return NULL;
}

void detour_free(struct detour *detour)
{
	if (detour)
		shared_free(&detour->refused);
	free(detour);
}

void detour_set(struct detour *detour, enum detour_kind kind, bool refused)
{
	atomic_store(&((atomic_bool *)detour->refused.ours)[kind], refused);
}

bool detour_is_refused(const struct detour *detour, enum detour_kind kind)
{
	const atomic_bool *refused = detour->refused.theirs;

	return atomic_load_explicit(&refused[kind], memory_order_relaxed);
}

enum detour_kind detour_kind_of(const struct sockaddr *client)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)(const void *)client;

	if (client->sa_family != AF_INET6)
		return DETOUR_V4;
	return IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr) ? DETOUR_MAPPED : DETOUR_V6;
}
