// SPDX-License-Identifier: MIT
/* daemon/ticket: processes agree without talking, and old keys do not come back. */
#include <string.h>

#include "daemon/ticket.h"
#include "tests/tap.h"

#define START	((int64_t)TICKET_PERIOD * 1000)

static bool same(const struct tls_ticket_key *a, const struct tls_ticket_key *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static void test_agreement(const struct ticket_chain *first)
{
	struct ticket_chain early = *first, late = *first;

	tap_ok(!ticket_chain_advance(&early, START + TICKET_PERIOD - 1), "one period, one key");
	tap_ok(ticket_chain_advance(&early, START + TICKET_PERIOD), "the next has another");
	tap_ok(!ticket_chain_advance(&early, START + TICKET_PERIOD + 5), "once");
	tap_ok(early.count == 2 && same(&early.keys[1], &first->keys[0]) &&
	       !same(&early.keys[0], &first->keys[0]), "tickets of before are still opened");
	ticket_chain_advance(&early, START + 3 * TICKET_PERIOD);
	ticket_chain_advance(&late, START + 3 * TICKET_PERIOD);
	tap_ok(early.count == TICKET_KEYS && !memcmp(&early, &late, sizeof(early)),
	       "one that slept has the same keys");
	tap_ok(!same(&early.keys[2], &first->keys[0]), "keys beyond a ticket's life are gone");
	tap_ok(memcmp(early.secret, first->secret, sizeof(early.secret)) != 0,
	       "and so is the secret they came from");
}

static void test_clock(const struct ticket_chain *first)
{
	struct ticket_chain chain = *first;

	tap_ok(!ticket_chain_advance(&chain, START - 5 * TICKET_PERIOD) &&
	       same(&chain.keys[0], &first->keys[0]), "a clock set back changes nothing");
	tap_ok(ticket_chain_advance(&chain, INT64_MAX / 2) &&
	       !ticket_chain_advance(&chain, INT64_MAX / 2), "a clock set far forward ends");
}

int main(void)
{
	struct ticket_chain first, other;

	tap_ok(!ticket_chain_init(&first, START) && !ticket_chain_init(&other, START), "two chains");
	tap_ok(first.count == 1 && !same(&first.keys[0], &other.keys[0]), "have different keys");
	test_agreement(&first);
	test_clock(&first);
	ticket_chain_wipe(&first);
	ticket_chain_wipe(&other);
	return tap_done();
}
