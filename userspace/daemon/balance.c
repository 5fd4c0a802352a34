// SPDX-License-Identifier: MIT
#include "daemon/balance.h"

#include <endian.h>
#include <math.h>
#include <netinet/in.h>
#include <sodium.h>
#include <string.h>

/* ---- who may be chosen ---- */

static bool is_avoided(const struct pool *pool, size_t number)
{
	const struct member *member = &pool->members[number];

	return member->failed && member->failed_at == health_checks(pool->health, number);
}

void balance_failed(const struct pool *pool, struct member *member)
{
	member->failed = pool->check;		/* without checks it would be so for ever */
	member->failed_at = health_checks(pool->health, (size_t)(member - pool->members));
}

void balance_reached(struct member *member)
{
	member->failed = false;
}

/* Those that are left, and among them the ones that work.  False: none is left. */
static bool find_left(const struct pool *pool, const struct member_set *passed, struct member_set *out)
{
	struct member_set left = {0}, good = {0};
	bool any = false, any_good = false;
	size_t i;

	for (i = 0; i < pool->count; i++) {
		if (pool_has(passed, i) || health_is_drained(pool->health, i))
			continue;
		pool_add(&left, i);
		any = true;
		if (!health_is_up(pool->health, i) || is_avoided(pool, i))
			continue;
		pool_add(&good, i);
		any_good = true;
	}
	*out = any_good ? good : left;
	return any;
}

/* ---- in turn ---- */

/*
 * Smooth weighted round robin: each gains its weight, and the richest pays for all.  So those of
 * weight 5, 1, 1 come as a a b a c a a.
 */
static struct member *choose_in_turn(struct pool *pool, const struct member_set *from)
{
	struct member *best = NULL, *member;
	int64_t total = 0;
	size_t i;

	for (i = 0; i < pool->count; i++) {
		if (!pool_has(from, i))
			continue;
		member = &pool->members[i];
		member->credit += member->weight;
		total += member->weight;
		if (!best || member->credit > best->credit)
			best = member;
	}
	best->credit -= total;
	return best;
}

/* ---- the fewest connections ---- */

/* With the one that is to come, so that of idle ones the heaviest is first. */
static uint64_t load_of(const struct pool *pool, size_t number)
{
	return 1 + (uint64_t)health_elsewhere(pool->health, number) +
	       (pool->loads ? loads_get(pool->loads, pool->first + number) : 0);
}

static struct member *choose_least(struct pool *pool, const struct member_set *from)
{
	struct member_set equal = {0};
	uint64_t load, least = 0;
	uint32_t weight, least_weight = 0;
	size_t i;

	for (i = 0; i < pool->count; i++) {
		if (!pool_has(from, i))
			continue;
		load = load_of(pool, i);
		weight = pool->members[i].weight;
		/* load / weight, compared without a division; a count is below 2^33, a weight below 2^9 */
		if (least_weight && load * least_weight > least * weight)
			continue;
		if (!least_weight || load * least_weight < least * weight)
			equal = (struct member_set){0};
		pool_add(&equal, i);
		least = load;
		least_weight = weight;
	}
	return choose_in_turn(pool, &equal);
}

/* ---- by the client's address ---- */

/* Public: hosts of one fleet choose alike. */
static const unsigned char hash_key[crypto_shorthash_KEYBYTES] = "tlsgate balance";

/* An IPv4 client is the same at a listener of IPv6.  Clients of a UNIX socket are all alike. */
static size_t copy_address(const struct sockaddr *client, unsigned char out[16])
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)client;

	if (client->sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(out, &in6->sin6_addr, 16);
		return 16;
	}
	if (client->sa_family == AF_INET6)
		memcpy(out, &in6->sin6_addr.s6_addr[12], 4);
	else if (client->sa_family == AF_INET)
		memcpy(out, &((const struct sockaddr_in *)client)->sin_addr, 4);
	else
		return 0;
	return 4;
}

/* In (0, 1), the same for the same client and backend, whoever the others are. */
static double draw(const struct sockaddr *client, const struct member *member)
{
	unsigned char text[16 + crypto_shorthash_BYTES], hash[crypto_shorthash_BYTES];
	size_t len = copy_address(client, text);
	uint64_t number;

	crypto_shorthash(text + len, (const unsigned char *)member->text, strlen(member->text), hash_key);
	crypto_shorthash(hash, text, len + crypto_shorthash_BYTES, hash_key);
	memcpy(&number, hash, sizeof(number));
	return ((double)(le64toh(number) >> 11) + .5) * 0x1p-53;
}

/*
 * Rendezvous hashing with weights: the least of -ln(draw) / weight, an exponential distribution, falls
 * on each in proportion to its weight.  Where one goes away, only its own clients go elsewhere.
 */
static struct member *choose_by_client(struct pool *pool, const struct member_set *from,
				       const struct sockaddr *client)
{
	struct member *best = NULL, *member;
	double score, least = 0;
	size_t i;

	for (i = 0; i < pool->count; i++) {
		if (!pool_has(from, i))
			continue;
		member = &pool->members[i];
		score = -log(draw(client, member)) / member->weight;
		if (best && score >= least)
			continue;
		best = member;
		least = score;
	}
	return best;
}

struct member *balance_choose(struct pool *pool, const struct sockaddr *client,
			      const struct member_set *passed)
{
	struct member_set from;

	if (!find_left(pool, passed, &from))
		return NULL;
	switch (pool->balance) {
	case BALANCE_LEAST:
		return choose_least(pool, &from);
	case BALANCE_HASH:
		return choose_by_client(pool, &from, client);
	case BALANCE_ROUND_ROBIN:
		break;
	}
	return choose_in_turn(pool, &from);
}
