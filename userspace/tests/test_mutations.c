// SPDX-License-Identifier: MIT
/*
 * Handshakes over a wire that changes bytes at random.  Whatever comes, an
 * engine neither reads beyond what it was given (the sanitizers see to that)
 * nor believes it: both ends up with different keys must never happen, and
 * every failure is an alert.
 *
 * TLSGATE_SEED=N repeats what was changed (not the keys, which are new each time).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/session.h"
#include "pair.h"
#include "tap.h"

#define RUNS	150

/* xorshift64*: the same everywhere for the same seed */
static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 32) % limit;
}

/* A byte changed, a few bytes cut out, or a few put in. */
static size_t mutate(uint8_t *data, size_t len, size_t room)
{
	size_t at = random_below((uint32_t)len), n = 1 + random_below(4);

	switch (random_below(4)) {
	case 0:
		if (n > len - at)
			n = len - at;
		memmove(data + at, data + at + n, len - at - n);
		return len - n;
	case 1:
		if (n > room - len)
			return len;
		memmove(data + at + n, data + at, len - at);
		for (size_t i = 0; i < n; i++)
			data[at + i] = (uint8_t)random_below(256);
		return len + n;
	case 2:
		data[at] = (uint8_t)random_below(256);
		return len;
	default:
		data[at] ^= (uint8_t)(1u << random_below(8));
		return len;
	}
}

static void carry(struct pair *pair, struct pair_end *from, struct pair_end *to, bool change)
{
	uint8_t data[16384];
	size_t len;
	const uint8_t *p = tls_conn_output(from->conn, &len);

	if (len > sizeof(data) - 16)
		tap_bail("a flight of %zu bytes", len);
	memcpy(data, p, len);
	tls_conn_output_done(from->conn, SIZE_MAX);
	for (uint32_t i = change ? 1 + random_below(2) : 0; i && len; i--)
		len = mutate(data, len, sizeof(data));
	pair_feed(to, data, len, random_below(2) ? 0 : 1 + random_below(200));
	(void)pair;
}

static bool failed_in_order(const struct pair_end *end)
{
	int class = TLS_ERR_CLASS(end->err);

	return !end->err || class == TLS_ERR_ALERT || class == TLS_ERR_PEER;
}

static const struct tls_ticket_key ticket_key = { .name = "key", .key = { 1 } };

/* A session that the handshakes of a variant with tickets try to resume. */
static struct tls_buf session = { .limit = TLS_MAX_SESSION };

static void get_session(const struct pair_options *options)
{
	struct pair pair;
	const uint8_t *p;
	size_t len;

	tls_buf_free(&session);
	if (!options->ticket_key_count)
		return;
	pair_init(&pair, options);
	pair_handshake(&pair);
	if (!pair_up(&pair) || !pair_transfer(&pair, &pair.server, &pair.client, 1))
		tap_bail("no connection to resume");
	p = tls_conn_session(pair.client.conn, &len);
	tls_put_bytes(&session, p, len);
	pair_free(&pair);
}

/* A handshake in which the message flight number change is spoilt; true: it ended well. */
static bool one_run(const struct pair_options *options, unsigned int change)
{
	struct pair pair;
	unsigned int flight = 0;
	bool ok, moved;

	pair_init(&pair, options);
	if (session.len && tls_conn_set_session(pair.client.conn, session.data, session.len))
		tap_bail("cannot set the session");
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	do {
		moved = false;
		for (int i = 0; i < 2; i++) {
			struct pair_end *from = i ? &pair.server : &pair.client;

			moved |= pair_answer_key(from);
			if (!(tls_conn_wants(from->conn) & TLS_WANTS_OUTPUT))
				continue;
			carry(&pair, from, i ? &pair.client : &pair.server, flight++ == change);
			moved = true;
		}
	} while (moved && flight < 20);
	ok = failed_in_order(&pair.client) && failed_in_order(&pair.server);
	/* With data first, so that TLS 1.3 tickets are read, which may be what was spoilt. */
	if (pair_up(&pair) && pair_transfer(&pair, &pair.server, &pair.client, 1))
		ok = ok && pair_same_keys(&pair);
	else
		ok = ok && failed_in_order(&pair.client);	/* or waits for more */
	pair_free(&pair);
	return ok;
}

int main(void)
{
	const char *given = getenv("TLSGATE_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761u;
	const struct pair_options variants[] = {
		{ .max = TLS_1_3 },
		{ .max = TLS_1_2 },
		{ .max = TLS_1_2, .suites = "TLS_RSA_WITH_AES_128_GCM_SHA256",
		  .server = { pair_leaf(PKI_RSA2048) } },
		{ .max = TLS_1_3, .client_groups = "x25519:secp256r1",
		  .server_groups = "secp256r1" },
		{ .max = TLS_1_3, .server_verify = TLS_VERIFY_REQUIRE, .client_alpn = "h2",
		  .server_alpn = "h2", .client = { pair_leaf(PKI_ED25519) } },
		{ .max = TLS_1_2, .server_verify = TLS_VERIFY_REQUIRE,
		  .client = { pair_leaf(PKI_P384) } },
		{ .max = TLS_1_3, .ticket_keys = &ticket_key, .ticket_key_count = 1 },
		{ .max = TLS_1_2, .ticket_keys = &ticket_key, .ticket_key_count = 1 },
	};

	printf("# seed %llu: TLSGATE_SEED=%llu repeats this run\n", (unsigned long long)seed,
	       (unsigned long long)seed);
	for (size_t v = 0; v < sizeof(variants) / sizeof(*variants); v++) {
		unsigned int bad = 0;

		get_session(&variants[v]);
		random_state = seed + v + 1;
		for (unsigned int i = 0; i < RUNS; i++)
			bad += !one_run(&variants[v], i % 4);
		tap_equal(bad, 0, "variant %zu: %u spoilt handshakes end in order", v, RUNS);
	}
	tls_buf_free(&session);
	pair_free_pki();
	return tap_done();
}
