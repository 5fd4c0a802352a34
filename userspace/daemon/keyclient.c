// SPDX-License-Identifier: MIT
#include "daemon/keyclient.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "daemon/conn.h"

static struct keyclient_entry *entry(struct keyclient *keys, uint32_t number)
{
	return &keys->queue[number % KEYCLIENT_QUEUE];
}

static void close_pipes(struct keyclient *keys)
{
	const struct keypipe end = { keys->answers.fd, keys->room.fd };

	ev_io_stop(keys->loop, &keys->answers);
	ev_io_stop(keys->loop, &keys->room);
	keys->answers.fd = keys->room.fd = -1;
	keypipe_close(&end);
}

static void fail(struct keyclient *keys, struct keyclient_entry *lost)
{
	struct conn *conn = lost->conn;

	*lost = (struct keyclient_entry){0};
	conn->key_waiting = false;
	keys->owner.answered(conn, NULL, 0);
}

/*
 * A request whose answerer died is sent to the next one, but only once: the request may be
 * what killed it.
 */
static void lose(struct keyclient *keys, const char *why)
{
	struct keyclient_entry *lost;
	uint32_t number;

	log_error("no more answers from keyd: %s; another answerer is asked for", why);
	close_pipes(keys);
	keypipe_clear(&keys->reply);
	keys->len = keys->written = 0;
	for (number = keys->head; number != keys->unsent; number++) {
		lost = entry(keys, number);
		lost->sent = false;
		if (lost->conn && lost->again)
			fail(keys, lost);
		lost->again = true;
	}
	keys->unsent = keys->head;
	keys->owner.lost(keys->owner.arg);
}

static void put_request(struct keyclient *keys, uint32_t number,
			const struct tls_key_request *request)
{
	const struct keypipe_request head = {
		.number = number,
		.len = (uint32_t)request->len,
		.key_id = request->key_id,
		.scheme = request->scheme,
		.op = (uint16_t)request->op,
		.cpu = sched_getcpu(),
	};

	memcpy(keys->request, &head, sizeof(head));
	memcpy(keys->request + sizeof(head), request->data, request->len);
	keys->len = sizeof(head) + request->len;
	keys->written = 0;
}

/* False: the pipe is full, or the answerer is lost. */
static bool write_request(struct keyclient *keys)
{
	ssize_t n;

	while (keys->written < keys->len) {
		n = write(keys->room.fd, keys->request + keys->written, keys->len - keys->written);
		if (n < 0 && errno == EAGAIN) {
			ev_io_start(keys->loop, &keys->room);
			return false;
		}
		/* EPIPE: reading the answers will tell, which loses nobody who is in a call */
		if (n < 0 && errno != EINTR) {
			ev_feed_event(keys->loop, &keys->answers, EV_READ);
			return false;
		}
		if (n > 0)
			keys->written += (size_t)n;
	}
	return true;
}

/* Those that were never sent have no answer to come, which would take them off the queue. */
static void drop_forgotten(struct keyclient *keys)
{
	while (keys->unsent != keys->tail && !entry(keys, keys->unsent)->conn)
		keys->unsent++;
	while (keys->head != keys->unsent && !entry(keys, keys->head)->sent)
		keys->head++;
}

static void send_waiting(struct keyclient *keys)
{
	struct keyclient_entry *next;

	while (write_request(keys)) {
		drop_forgotten(keys);
		if (keys->unsent == keys->tail) {
			ev_io_stop(keys->loop, &keys->room);
			return;
		}
		next = entry(keys, keys->unsent);
		put_request(keys, keys->unsent++, tls_conn_key_request(next->conn->tls));
		next->sent = true;
	}
}

/* NULL, or what is wrong with it. */
static const char *take_answer(struct keyclient *keys, const struct keypipe_reply *reply)
{
	struct conn *conn;

	drop_forgotten(keys);
	if (keys->head == keys->unsent)
		return "an answer to no question";
	if (reply->head.number != keys->head)
		return "an answer to another question";
	conn = entry(keys, keys->head)->conn;
	*entry(keys, keys->head) = (struct keyclient_entry){0};
	keys->head++;
	if (!conn)
		return NULL;
	conn->key_waiting = false;
	keys->owner.answered(conn, keypipe_data(reply), reply->head.len);
	return NULL;
}

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
	struct keyclient *keys = io->data;
	const char *wrong = NULL;
	int ret;

	(void)loop;
	(void)events;
	do {
		ret = keypipe_receive(io->fd, &keys->reply);
		if (ret == 1) {
			wrong = take_answer(keys, &keys->reply);
			keypipe_clear(&keys->reply);
		}
	} while (ret == 1 && !wrong && keys->head != keys->tail);
	if (ret == 0)
		wrong = "it is gone";
	else if (ret == -EPROTO)
		wrong = "what it sent is no answer";
	else if (ret < 0 && ret != -EAGAIN && ret != -EINTR)
		wrong = strerror(-ret);
	if (wrong)
		lose(keys, wrong);
}

static void on_room(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	send_waiting(io->data);
}

void keyclient_init(struct keyclient *keys, struct ev_loop *loop,
		    const struct keyclient_owner *owner)
{
	keys->loop = loop;
	keys->owner = *owner;
	ev_io_init(&keys->answers, on_answer, -1, EV_READ);
	ev_io_init(&keys->room, on_room, -1, EV_WRITE);
	keys->answers.data = keys->room.data = keys;
}

void keyclient_use(struct keyclient *keys, const struct keypipe *end)
{
	ev_io_set(&keys->answers, end->in, EV_READ);
	ev_io_set(&keys->room, end->out, EV_WRITE);
	ev_io_start(keys->loop, &keys->answers);
	send_waiting(keys);
}

int keyclient_ask(struct keyclient *keys, struct conn *conn)
{
	if (keys->tail - keys->head == KEYCLIENT_QUEUE ||
	    tls_conn_key_request(conn->tls)->len > TLS_MAX_KEY_REQUEST)
		return -1;
	/* few at once always have the same entries, which so are in the cache */
	if (keys->head == keys->tail)
		keys->head = keys->unsent = keys->tail = 0;
	*entry(keys, keys->tail) = (struct keyclient_entry){ .conn = conn };
	conn->key_waiting = true;
	conn->key_number = keys->tail++;
	if (keys->answers.fd != -1)
		send_waiting(keys);
	return 0;
}

void keyclient_forget(struct keyclient *keys, struct conn *conn)
{
	if (conn->key_waiting)
		entry(keys, conn->key_number)->conn = NULL;
	conn->key_waiting = false;
}
