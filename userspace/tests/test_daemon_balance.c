// SPDX-License-Identifier: MIT
/* daemon/balance: shares by weight, the fewest connections, and one backend for each client. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/balance.h"
#include "tests/tap.h"

#define MEMBERS	4u
#define CLIENTS	20000u

static struct member members[MEMBERS];
static struct loads loads;
static struct pool pool = { .members = members, .check = 1000, .loads = &loads };

static void set_up(enum balance balance, const uint32_t *weights, size_t count)
{
	static const char *const names[MEMBERS] = { "10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "[::1]:80" };
	size_t i;

	health_free(pool.health);
	loads_clear(&loads);
	memset(members, 0, sizeof(members));
	pool.balance = balance;
	pool.count = count;
	pool.health = health_new(count);
	if (!pool.health || loads_init(&loads, 2, count))
		tap_bail("no memory");
	for (i = 0; i < count; i++) {
		members[i].text = names[i];
		members[i].weight = weights[i];
	}
}

static struct sockaddr_storage client(uint32_t number)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;

	if (number % 2) {
		in->sin_family = AF_INET;
		in->sin_addr.s_addr = htonl(0x0a000000 + number);
		in->sin_port = (in_port_t)number;
		return storage;
	}
	in6->sin6_family = AF_INET6;
	in6->sin6_addr.s6_addr32[0] = htonl(0x20010db8);
	in6->sin6_addr.s6_addr32[3] = htonl(number);
	return storage;
}

/* The number of the member, or -1. */
static int choose(uint32_t number, const struct member_set *passed)
{
	const struct member_set none = {0};
	struct sockaddr_storage from = client(number);
	const struct member *member = balance_choose(&pool, (struct sockaddr *)&from, passed ? passed : &none);

	return member ? (int)(member - members) : -1;
}

static struct member_set set_of(size_t a, size_t b)
{
	struct member_set set = {0};

	pool_add(&set, a);
	pool_add(&set, b);
	return set;
}

static void test_in_turn(void)
{
	const uint32_t weights[] = { 5, 1, 1 };
	char order[22] = "";
	size_t i;

	set_up(BALANCE_ROUND_ROBIN, weights, 3);
	for (i = 0; i < 21; i++)
		order[i] = (char)('a' + choose(1, NULL));
	tap_ok(!strcmp(order, "aabacaaaabacaaaabacaa"), "round-robin: each has its share, spread: %s", order);
}

static void test_states(void)
{
	const uint32_t weights[] = { 1, 1, 1 };
	const struct member_set a_b = set_of(0, 1), all = { { 7 } };

	set_up(BALANCE_ROUND_ROBIN, weights, 3);
	health_set_up(pool.health, 0, false);
	health_set_drained(pool.health, 1, true);
	tap_ok(choose(1, NULL) == 2 && choose(1, NULL) == 2, "neither one that is down nor one that is drained");
	tap_ok(!pool_is_down(&pool), "the pool is not down");
	health_set_up(pool.health, 2, false);
	tap_ok(pool_is_down(&pool), "the pool is down, although a drained one is up");
	tap_ok(choose(1, NULL) != 1 && choose(1, NULL) != 1, "with none up, those that are down are tried");
	health_set_drained(pool.health, 0, true);
	health_set_drained(pool.health, 2, true);
	tap_ok(choose(1, NULL) == -1 && !pool_is_down(&pool), "drained ones never, and they are not down");
	set_up(BALANCE_ROUND_ROBIN, weights, 3);
	tap_ok(choose(1, &a_b) == 2 && choose(1, &all) == -1, "none twice");
}

static void test_avoided(void)
{
	const uint32_t weights[] = { 1, 1 };
	int i, seen[2] = {0};

	set_up(BALANCE_ROUND_ROBIN, weights, 2);
	balance_failed(&pool, &members[0]);
	for (i = 0; i < 6; i++)
		seen[choose(1, NULL)]++;
	tap_ok(seen[0] == 0 && seen[1] == 6, "one that could not be reached is avoided");
	health_set_up(pool.health, 0, true);
	for (i = 0; i < 6; i++)
		seen[choose(1, NULL)]++;
	tap_ok(seen[0] > 2, "until the next check");
	balance_failed(&pool, &members[0]);
	balance_reached(&members[0]);
	tap_ok(choose(1, NULL) != choose(1, NULL), "or until it is reached");
	pool.check = 0;
	balance_failed(&pool, &members[0]);
	tap_ok(choose(1, NULL) != choose(1, NULL), "without checks it is tried again at once");
	pool.check = 1000;
}

static void test_least(void)
{
	const uint32_t weights[] = { 1, 1, 2 };
	unsigned int counts[3] = {0};
	size_t i;

	set_up(BALANCE_LEAST, weights, 3);
	for (i = 0; i < 400; i++) {
		int number = choose((uint32_t)i, NULL);

		counts[number]++;
		loads_take(&loads, i % 2);
		loads_add(&loads, (size_t)number, 1);
	}
	tap_ok(counts[0] == 100 && counts[1] == 100 && counts[2] == 200,
	       "least: by weight, over all workers: %u %u %u", counts[0], counts[1], counts[2]);
	loads_take(&loads, 0);
	for (i = 0; i < 10; i++)
		loads_add(&loads, 1, -1);
	tap_ok(choose(0, NULL) == 1, "the one of which connections ended");
	health_set_elsewhere(pool.health, 1, 50);
	tap_ok(choose(0, NULL) != 1, "what the kernel carries counts as well");
	loads_worker_gone(&loads, 0);
	loads_worker_gone(&loads, 1);
	tap_ok(!loads_get(&loads, 0) && !loads_get(&loads, 1) && !loads_get(&loads, 2),
	       "workers that died have no connection");
}

static void test_idle(void)
{
	const uint32_t weights[] = { 1, 1, 1, 1 };
	int i, seen[4] = {0};

	set_up(BALANCE_LEAST, weights, 4);
	for (i = 0; i < 40; i++)
		seen[choose((uint32_t)i, NULL)]++;
	tap_ok(seen[0] == 10 && seen[1] == 10 && seen[2] == 10 && seen[3] == 10,
	       "least: those with equally many come in turn");
}

static void count_by_client(unsigned int counts[MEMBERS], int *where)
{
	uint32_t i;

	memset(counts, 0, MEMBERS * sizeof(*counts));
	for (i = 0; i < CLIENTS; i++) {
		where[i] = choose(i, NULL);
		counts[where[i]]++;
	}
}

static bool is_near(unsigned int count, double part)
{
	/* six standard deviations of a binomial distribution are below 3 % of these */
	return count > CLIENTS * (part - .03) && count < CLIENTS * (part + .03);
}

static void test_by_client(void)
{
	const uint32_t weights[] = { 1, 2, 3, 4 };
	static int before[CLIENTS], after[CLIENTS];
	unsigned int counts[MEMBERS], moved = 0, own = 0;
	uint32_t i;

	set_up(BALANCE_HASH, weights, MEMBERS);
	count_by_client(counts, before);
	tap_ok(is_near(counts[0], .1) && is_near(counts[1], .2) && is_near(counts[2], .3) && is_near(counts[3], .4),
	       "hash-of-client: by weight: %u %u %u %u", counts[0], counts[1], counts[2], counts[3]);
	count_by_client(counts, after);
	tap_ok(!memcmp(before, after, sizeof(before)), "the same client, the same backend");
	health_set_drained(pool.health, 1, true);
	count_by_client(counts, after);
	for (i = 0; i < CLIENTS; i++) {
		own += before[i] == 1;
		moved += before[i] != after[i];
	}
	tap_ok(moved == own && !counts[1], "of one that goes away, only its own clients move: %u", moved);
	tap_ok(is_near(counts[3], .4 + .2 * 4 / 8), "to all others, by weight");
}

static struct in6_addr mapped(const struct sockaddr_storage *in)
{
	struct in6_addr out = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	memcpy(&out.s6_addr[12], &((const struct sockaddr_in *)in)->sin_addr, 4);
	return out;
}

static void test_port(void)
{
	const uint32_t weights[] = { 1, 1, 1, 1 };
	const struct member_set none = {0};
	struct sockaddr_storage a = client(77), b = a;

	set_up(BALANCE_HASH, weights, MEMBERS);
	((struct sockaddr_in *)&b)->sin_port = 9;
	tap_ok(balance_choose(&pool, (struct sockaddr *)&a, &none) == balance_choose(&pool, (struct sockaddr *)&b, &none),
	       "the client's port does not count");
	((struct sockaddr_in6 *)&b)->sin6_family = AF_INET6;
	((struct sockaddr_in6 *)&b)->sin6_addr = mapped(&a);
	tap_ok(balance_choose(&pool, (struct sockaddr *)&a, &none) == balance_choose(&pool, (struct sockaddr *)&b, &none),
	       "nor does the family of the listener");
}

int main(void)
{
	test_in_turn();
	test_states();
	test_avoided();
	test_least();
	test_idle();
	test_by_client();
	test_port();
	health_free(pool.health);
	loads_clear(&loads);
	return tap_done();
}
