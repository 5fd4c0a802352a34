// SPDX-License-Identifier: MIT
/* daemon/keyclient: what becomes of requests whose answerer, or whose connection, is gone. */
#include <string.h>
#include <unistd.h>

#include "daemon/conn.h"
#include "daemon/keyclient.h"
#include "tests/pair.h"
#include "tests/tap.h"

static struct keyclient keys;
static struct conn conns[KEYCLIENT_QUEUE], late;
static unsigned int answers;

static void on_answered(struct conn *conn, const uint8_t *answer, size_t len)
{
	(void)conn;
	answers += answer && len == 1;
}

static void on_lost(void *arg)
{
	(void)arg;
}

/* An answerer's part, for one request. */
static void answer_one(const struct keypipe *end)
{
	uint8_t request[KEYPIPE_REQUEST_MAX], packet[sizeof(struct keypipe_answer) + 1] = { 0 };
	struct keypipe_request head;

	if (read(end->in, request, sizeof(request)) < (ssize_t)sizeof(head))
		tap_bail("no request");
	memcpy(&head, request, sizeof(head));
	memcpy(packet, &head.number, sizeof(head.number));
	if (write(end->out, packet, sizeof(packet)) != sizeof(packet))
		tap_bail("no answer");
	ev_run(keys.loop, EVRUN_NOWAIT);
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
		answer_one(&answerer);
	tap_equal(answers, 1, "which is answered");
	keypipe_close(&answerer);
	keypipe_close(&worker);
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
	ev_loop_destroy(keys.loop);
	pair_free(&pair);
	pair_free_pki();
	return tap_done();
}
