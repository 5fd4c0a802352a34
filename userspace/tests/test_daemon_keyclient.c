// SPDX-License-Identifier: MIT
/* daemon/keyclient: what becomes of requests whose answerer, or whose connection, is gone. */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "daemon/conn.h"
#include "daemon/keyclient.h"
#include "tests/pair.h"
#include "tests/tap.h"

static struct keyclient keys;
static struct conn conns[KEYCLIENT_QUEUE], late;
static unsigned int answers;
static size_t answer_len;		/* of the last */
static unsigned int lost;

static void on_lost(void *arg)
{
	(void)arg;
	lost++;
}

static void on_answered(struct conn *conn, const uint8_t *answer, size_t len)
{
	(void)conn;
	answers += !!answer;
	answer_len = len;
	for (size_t i = 0; i < len; i++)
		answers += answer[i] != (uint8_t)i;	/* which is wrong */
}

/* The client sees that, and closes its own end. */
static void end_answerer(const struct keypipe *end)
{
	lost = 0;
	keypipe_close(end);
	ev_run(keys.loop, EVRUN_NOWAIT);
	if (!lost)
		tap_bail("the end of an answerer is not seen");
}

static void put(const struct keypipe *end, const uint8_t *packet, size_t len)
{
	if (write(end->out, packet, len) != (ssize_t)len)
		tap_bail("no answer");
	ev_run(keys.loop, EVRUN_NOWAIT);
}

/* An answerer's part, for one request; the second packet comes late. */
static void answer_one(const struct keypipe *end, size_t len)
{
	uint8_t request[KEYPIPE_REQUEST_MAX], packet[KEYPIPE_ANSWER_MAX];
	struct keypipe_answer start = { .len = (uint32_t)len };
	struct keypipe_request head;
	size_t first = sizeof(start) + len < PIPE_BUF ? sizeof(start) + len : PIPE_BUF;

	if (read(end->in, request, sizeof(request)) < (ssize_t)sizeof(head))
		tap_bail("no request");
	memcpy(&head, request, sizeof(head));
	start.number = head.number;
	memcpy(packet, &start, sizeof(start));
	for (size_t i = 0; i < len; i++)
		packet[sizeof(start) + i] = (uint8_t)i;
	put(end, packet, first);
	if (first < sizeof(start) + len) {
		tap_equal(answers, 0, "half an answer is none");
		put(end, packet + first, sizeof(start) + len - first);
	}
}

static int ask(struct conn *conn, struct tls_conn *tls)
{
	conn->tls = tls;
	return keyclient_ask(&keys, conn);
}

/* Clients that gave up while no answerer was there must not keep the queue full. */
static void full_of_the_forgotten(struct tls_conn *tls)
{
	struct keypipe worker, answerer;
	int ret = 0;

	for (size_t i = 0; i < KEYCLIENT_QUEUE; i++)
		ret |= ask(&conns[i], tls);
	tap_ok(!ret, "without an answerer, the queue takes %u requests", KEYCLIENT_QUEUE);
	tap_equal(ask(&late, tls), -1, "and no more");
	for (size_t i = 0; i < KEYCLIENT_QUEUE; i++)
		keyclient_forget(&keys, &conns[i]);
	if (keypipe_open(&worker, &answerer))
		tap_bail("pipes");
	keyclient_use(&keys, &worker);
	ret = ask(&late, tls);
	tap_equal(ret, 0, "all are forgotten: with an answerer it takes another");
	if (!ret)
		answer_one(&answerer, 1);
	tap_equal(answers, 1, "which is answered");
	end_answerer(&answerer);
}

/* An ML-DSA-87 signature is longer than a packet; another answer comes right behind it. */
static void of_two_packets(struct tls_conn *tls)
{
	struct keypipe worker, answerer;

	if (keypipe_open(&worker, &answerer))
		tap_bail("pipes");
	keyclient_use(&keys, &worker);
	if (ask(&conns[0], tls) || ask(&conns[1], tls))
		tap_bail("queue");
	answers = 0;
	answer_one(&answerer, TLS_MAX_KEY_REPLY);
	tap_ok(answers == 1 && answer_len == TLS_MAX_KEY_REPLY, "an answer of two packets is whole");
	answer_one(&answerer, 64);
	tap_ok(answers == 2 && answer_len == 64, "and so is the next");
	end_answerer(&answerer);
}

/* The answerer is taken for broken. */
static void malformed(struct tls_conn *tls)
{
	static const struct {
		const char *what;
		uint32_t len;		/* as it says */
		size_t sent;
	} rows[] = {
		{ "less than a head", 0, sizeof(struct keypipe_answer) - 1 },
		{ "more than it says", 1, sizeof(struct keypipe_answer) + 2 },
		{ "more than there may be", TLS_MAX_KEY_REPLY + 1, sizeof(struct keypipe_answer) + 9 },
	};
	uint8_t packet[64] = {0};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct keypipe_answer start = { .len = rows[i].len };
		struct keypipe worker, answerer;

		if (keypipe_open(&worker, &answerer))
			tap_bail("pipes");
		keyclient_use(&keys, &worker);
		if (ask(&late, tls))
			tap_bail("queue");
		lost = 0;
		memcpy(packet, &start, sizeof(start));
		put(&answerer, packet, rows[i].sent);
		tap_equal(lost, 1, "an answer of %s", rows[i].what);
		keyclient_forget(&keys, &late);
		keypipe_close(&answerer);
	}
}

int main(void)
{
	const struct keyclient_owner owner = { .answered = on_answered, .lost = on_lost };
	const struct pair_options options = { 0 };
	struct pair pair;

	pair_init(&pair, &options);
	pair.server.hold_key = true;
	pair_handshake(&pair);
	if (!tls_conn_key_request(pair.server.conn))
		tap_bail("no key request");
	keyclient_init(&keys, ev_default_loop(0), &owner);
	full_of_the_forgotten(pair.server.conn);
	of_two_packets(pair.server.conn);
	malformed(pair.server.conn);
	ev_loop_destroy(keys.loop);
	pair_free(&pair);
	pair_free_pki();
	return tap_done();
}
