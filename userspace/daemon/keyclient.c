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

/* Without keys a worker is of no use: the monitor starts another pair. */
static _Noreturn void give_up(const char *why)
{
	log_error("no more answers from keyd: %s; this worker ends and is replaced", why);
	exit(1);
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

	if (request->len > TLS_MAX_KEY_REQUEST)
		give_up(strerror(EMSGSIZE));
	memcpy(keys->request, &head, sizeof(head));
	memcpy(keys->request + sizeof(head), request->data, request->len);
	keys->len = sizeof(head) + request->len;
	keys->written = 0;
}

/* False: the pipe is full. */
static bool write_request(struct keyclient *keys)
{
	ssize_t n;

	while (keys->written < keys->len) {
		n = write(keys->room.fd, keys->request + keys->written, keys->len - keys->written);
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0 && errno != EINTR)
			give_up(strerror(errno));
		if (n > 0)
			keys->written += (size_t)n;
	}
	return true;
}

static void send_waiting(struct keyclient *keys)
{
	struct keyclient_entry *next;

	while (write_request(keys)) {
		while (keys->unsent != keys->tail && !entry(keys, keys->unsent)->conn)
			keys->unsent++;
		if (keys->unsent == keys->tail) {
			ev_io_stop(keys->loop, &keys->room);
			return;
		}
		next = entry(keys, keys->unsent);
		put_request(keys, keys->unsent++, tls_conn_key_request(next->conn->tls));
		next->sent = true;
	}
	ev_io_start(keys->loop, &keys->room);
}

static void take_answer(struct keyclient *keys, const uint8_t *packet, size_t len)
{
	struct keypipe_answer head;
	struct conn *conn;

	while (keys->head != keys->unsent && !entry(keys, keys->head)->sent)
		keys->head++;
	if (len < sizeof(head) || keys->head == keys->unsent)
		give_up("an answer to no question");
	memcpy(&head, packet, sizeof(head));
	if (head.number != keys->head)
		give_up("an answer to another question");
	conn = entry(keys, keys->head)->conn;
	*entry(keys, keys->head) = (struct keyclient_entry){0};
	keys->head++;
	if (!conn)
		return;
	conn->key_waiting = false;
	len -= sizeof(head);
	keys->answered(conn, len ? packet + sizeof(head) : NULL, len);
}

static void on_answer(struct ev_loop *loop, ev_io *io, int events)
{
	struct keyclient *keys = io->data;
	uint8_t packet[KEYPIPE_ANSWER_MAX];
	ssize_t n;

	(void)loop;
	(void)events;
	do {
		n = read(io->fd, packet, sizeof(packet));
		if (n > 0) {
			take_answer(keys, packet, (size_t)n);
			explicit_bzero(packet, (size_t)n);
		}
	} while (n > 0 && keys->head != keys->tail);
	if (n == 0)
		give_up("it is gone");
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		give_up(strerror(errno));
}

static void on_room(struct ev_loop *loop, ev_io *io, int events)
{
	(void)loop;
	(void)events;
	send_waiting(io->data);
}

void keyclient_init(struct keyclient *keys, struct ev_loop *loop, const struct keypipe *end,
		    keyclient_answered *answered)
{
	keys->loop = loop;
	keys->answered = answered;
	ev_io_init(&keys->answers, on_answer, end->in, EV_READ);
	ev_io_init(&keys->room, on_room, end->out, EV_WRITE);
	keys->answers.data = keys->room.data = keys;
	ev_io_start(loop, &keys->answers);
}

int keyclient_ask(struct keyclient *keys, struct conn *conn)
{
	if (keys->tail - keys->head == KEYCLIENT_QUEUE)
		return -1;
	/* few at once always have the same entries, which so are in the cache */
	if (keys->head == keys->tail)
		keys->head = keys->unsent = keys->tail = 0;
	*entry(keys, keys->tail) = (struct keyclient_entry){ .conn = conn };
	conn->key_waiting = true;
	conn->key_number = keys->tail++;
	send_waiting(keys);
	return 0;
}

void keyclient_forget(struct keyclient *keys, struct conn *conn)
{
	if (conn->key_waiting)
		entry(keys, conn->key_number)->conn = NULL;
	conn->key_waiting = false;
}
