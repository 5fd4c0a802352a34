// SPDX-License-Identifier: MIT
/* daemon/ticket: processes agree without talking, and old keys do not come back. */
#include <string.h>
#include <time.h>

#include "daemon/ticket.h"
#include "tests/tap.h"

#define START	((int64_t)TICKET_PERIOD * 1000)

/* The machine's clocks are the test's. */
static int64_t uptime = START, time_of_day = 1800000000;

int clock_gettime(clockid_t clock, struct timespec *out)
{
	*out = (struct timespec){ .tv_sec = clock == CLOCK_BOOTTIME ? uptime : time_of_day };
	return 0;
}

time_t time(time_t *out)
{
	if (out)
		*out = time_of_day;
	return time_of_day;
}

static bool advance(struct ticket_chain *chain, int64_t to)
{
	uptime = to;
	return ticket_chain_advance(chain);
}

static bool same(const struct tls_ticket_key *a, const struct tls_ticket_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static void test_agreement(const struct ticket_chain *first)
{
	struct ticket_chain early = *first, late = *first;

	tap_ok(!advance(&early, START + TICKET_PERIOD - 1), "one period, one key");
	tap_ok(advance(&early, START + TICKET_PERIOD), "the next has another");
	tap_ok(!advance(&early, START + TICKET_PERIOD + 5), "once");
	tap_ok(early.count == 2 && same(&early.keys[1], &first->keys[0]) &&
	       !same(&early.keys[0], &first->keys[0]), "tickets of before are still opened");
	advance(&early, START + 3 * TICKET_PERIOD);
	advance(&late, START + 3 * TICKET_PERIOD);
	tap_ok(early.count == TICKET_KEYS && !memcmp(&early, &late, sizeof(early)),
	       "one that slept has the same keys");
	tap_ok(!same(&early.keys[2], &first->keys[0]), "keys beyond a ticket's life are gone");
	tap_ok(memcmp(early.secret, first->secret, sizeof(early.secret)) != 0,
	       "and so is the secret they came from");
}

/* Whoever sets the time of day makes no key last, and takes none away. */
static void test_time_of_day(int64_t by)
{
	struct ticket_chain chain;

	uptime = START;
	if (ticket_chain_init(&chain))
		tap_bail("no chain");
	time_of_day += by;
	tap_ok(!advance(&chain, START + TICKET_PERIOD - 1) && chain.count == 1,
	       "time of day set by %lld s: the key stays", (long long)by);
	tap_ok(advance(&chain, START + TICKET_PERIOD) && chain.count == 2, "for its period");
	time_of_day -= by;
	ticket_chain_wipe(&chain);
}

int main(void)
{
	struct ticket_chain first, other;

	tap_ok(!ticket_chain_init(&first) && !ticket_chain_init(&other), "two chains");
	tap_ok(first.count == 1 && !same(&first.keys[0], &other.keys[0]), "have different keys");
	test_agreement(&first);
	test_time_of_day(-365 * 24 * 3600);
	test_time_of_day(-3600);
	test_time_of_day(3600);
	test_time_of_day(365 * 24 * 3600);
	ticket_chain_wipe(&first);
	ticket_chain_wipe(&other);
	return tap_done();
}
