// SPDX-License-Identifier: MIT
/* daemon/sessions: few, the newest first, each offered once. */
#include "daemon/sessions.h"
#include "tests/pair.h"
#include "tests/tap.h"

static const struct tls_ticket_key key = { .name = "test", .key = { 1 } };

static struct pair_options options(int64_t now)
{
	return (struct pair_options){
		.ticket_keys = &key,
		.ticket_key_count = 1,
		.now = now,
	};
}

/* Up and with a session on the client's side, which may offer one of those kept. */
static bool connect_pair(struct pair *pair, struct sessions *offer, int64_t now)
{
	const struct pair_options chosen = options(now);
	struct tls_conn_info info;

	pair_init(pair, &chosen);
	if (offer)
		sessions_offer(offer, pair->client.conn);
	pair_handshake(pair);
	if (!pair_up(pair) || !pair_transfer(pair, &pair->server, &pair->client, 1))
		tap_bail("no connection: %s", tls_strerror(pair->client.err));
	tls_conn_info(pair->client.conn, &info);
	return info.resumed;
}

static void test_life(void)
{
	struct sessions sessions = {0};
	struct pair pair;

	tap_ok(!connect_pair(&pair, &sessions, 0), "nothing is kept: a new session");
	tap_ok(sessions_keep(&sessions, pair.client.conn) && sessions.count == 1, "which is kept");
	pair_free(&pair);
	tap_ok(connect_pair(&pair, &sessions, 0), "and resumed");
	tap_ok(sessions.count == 0, "and gone");
	pair_free(&pair);
	tap_ok(!connect_pair(&pair, &sessions, 0), "so that it is not resumed twice");
	tap_ok(sessions_keep(&sessions, pair.client.conn), "the next one");
	pair_free(&pair);
	tap_ok(!connect_pair(&pair, &sessions, PKI_NOW + TLS_TICKET_LIFETIME + 1) && !sessions.count,
	       "is too old after its life, and dropped");
	pair_free(&pair);
	sessions_wipe(&sessions);
}

static void test_bound(void)
{
	struct sessions sessions = {0};
	struct pair pair;
	size_t i;

	(void)connect_pair(&pair, NULL, 0);
	for (i = 0; i < SESSIONS_MAX + 3; i++) {
		if (!sessions_keep(&sessions, pair.client.conn))
			tap_bail("a session is not kept");
		sessions.kept[sessions.count - 1].data[0] = (uint8_t)i;
	}
	tap_equal((long)sessions.count, SESSIONS_MAX, "no more than so many");
	tap_equal(sessions.kept[0].data[0], 3, "the oldest went");
	tap_equal(sessions.kept[SESSIONS_MAX - 1].data[0], SESSIONS_MAX + 2, "the newest came last");
	sessions_wipe(&sessions);
	tap_ok(!sessions.count && !sessions.kept[0].data, "nothing is left");
	pair_free(&pair);
}

static void test_waiting(void)
{
	struct sessions sessions = {0};
	int i;

	for (i = 0; sessions_worth_waiting(&sessions) && i < 100; i++)
		sessions_waited(&sessions, false);
	tap_ok(i > 1 && i < 100, "a server that gives none is not waited for, after %d times", i);
	sessions_waited(&sessions, true);
	tap_ok(sessions_worth_waiting(&sessions), "until one came");
}

int main(void)
{
	test_life();
	test_bound();
	test_waiting();
	pair_free_pki();
	return tap_done();
}
