// SPDX-License-Identifier: MIT
#include "daemon/keyclient.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "common/ipc.h"
#include "common/log.h"
#include "daemon/conn.h"
#include "daemon/handshake.h"
#include "daemon/keyd.h"

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

static void watch(struct keyclient *keys, int events)
{
	int fd = keys->io.fd;

	if ((keys->io.events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(keys->loop, &keys->io);
	ev_io_set(&keys->io, fd, events);
	ev_io_start(keys->loop, &keys->io);
}

static int send_request(struct keyclient *keys, uint32_t number,
			const struct tls_key_request *request)
{
	uint8_t payload[sizeof(struct keyd_request) + TLS_MAX_KEY_REQUEST];
	const struct keyd_request head = {
		.key_id = request->key_id,
		.scheme = request->scheme,
		.op = (uint16_t)request->op,
		.cpu = sched_getcpu(),
	};

	if (request->len > TLS_MAX_KEY_REQUEST)
		return -EMSGSIZE;
	memcpy(payload, &head, sizeof(head));
	memcpy(payload + sizeof(head), request->data, request->len);
	return ipc_send(keys->io.fd, IPC_KEY_REQUEST, number, payload, sizeof(head) + request->len,
			-1);
}

static void send_waiting(struct keyclient *keys)
{
	struct keyclient_entry *next;
	int ret;

	for (; keys->unsent != keys->tail; keys->unsent++) {
		next = entry(keys, keys->unsent);
		if (!next->conn)
			continue;
		ret = send_request(keys, keys->unsent, tls_conn_key_request(next->conn->tls));
		if (ret == -EAGAIN) {
			watch(keys, EV_READ | EV_WRITE);
			return;
		}
		if (ret)
			give_up(strerror(-ret));
		next->sent = true;
	}
	watch(keys, EV_READ);
}

static void take_reply(struct keyclient *keys, const struct ipc_message *message)
{
	struct conn *conn;

	while (keys->head != keys->unsent && !entry(keys, keys->head)->sent)
		keys->head++;
	if (keys->head == keys->unsent || message->id != keys->head || message->fd != -1 ||
	    (message->type != IPC_KEY_REPLY && message->type != IPC_KEY_REFUSED))
		give_up("an answer to no question");
	conn = entry(keys, keys->head)->conn;
	*entry(keys, keys->head) = (struct keyclient_entry){0};
	keys->head++;
	if (!conn)
		return;
	conn->key_waiting = false;
	handshake_key_reply(conn, message->type == IPC_KEY_REPLY ? message->data : NULL,
			    message->len);
}

static void on_event(struct ev_loop *loop, ev_io *io, int events)
{
	struct keyclient *keys = io->data;
	struct ipc_message message;
	int ret = -EAGAIN;

	(void)loop;
	if (events & EV_READ) {
		do {
			ret = ipc_receive(io->fd, &message);
			if (ret == 1) {
				take_reply(keys, &message);
				explicit_bzero(message.data, message.len);
			}
		} while (ret == 1 && keys->head != keys->tail);
	}
	if (ret == 0)
		give_up("it is gone");
	if (ret < 0 && ret != -EAGAIN)
		give_up(strerror(-ret));
	if (keys->unsent != keys->tail)
		send_waiting(keys);
}

void keyclient_init(struct keyclient *keys, struct ev_loop *loop, int end)
{
	keys->loop = loop;
	(void)fcntl(end, F_SETFL, O_NONBLOCK);
	ev_io_init(&keys->io, on_event, end, EV_READ);
	keys->io.data = keys;
	ev_io_start(loop, &keys->io);
}

void keyclient_look(struct keyclient *keys)
{
	ev_feed_event(keys->loop, &keys->io, EV_READ);
}

int keyclient_ask(struct keyclient *keys, struct conn *conn)
{
	if (keys->tail - keys->head == KEYCLIENT_QUEUE)
		return -1;
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
