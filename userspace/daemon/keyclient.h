/* SPDX-License-Identifier: MIT */
/*
 * A worker's end of the pipes to its answerer.  Requests are answered in
 * order, so the one queue below is all the bookkeeping there is.
 */
#ifndef TLSGATE_DAEMON_KEYCLIENT_H
#define TLSGATE_DAEMON_KEYCLIENT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/keypipe.h"

#define KEYCLIENT_QUEUE	4096u		/* a power of two, above WORKER_MAX_HANDSHAKES */

struct conn;

struct keyclient_entry {
	struct conn *conn;		/* NULL: freed while it waited */
	bool sent;			/* or in the buffer to be */
	bool again;			/* to another answerer, since one was lost with it */
};

/* To whom the client belongs. */
struct keyclient_owner {
	/* answer NULL: refused, or lost.  May free conn. */
	void (*answered)(struct conn *conn, const uint8_t *answer, size_t len);
	/* The answerer is gone: keyclient_use() is due. */
	void (*lost)(void *arg);
	void *arg;
};

struct keyclient {
	ev_io answers;			/* fd -1: there is no answerer */
	ev_io room;			/* in the pipe of requests, when it is full */
	struct ev_loop *loop;
	struct keyclient_owner owner;
	struct keyclient_entry queue[KEYCLIENT_QUEUE];
	/* an entry's number is its request's; from 0 again once none waits */
	uint32_t head, unsent, tail;
	/* the last request taken from the queue, and how much of it is in the pipe */
	uint8_t request[KEYPIPE_REQUEST_MAX];
	size_t len, written;
	struct keypipe_reply reply;	/* to the first of the queue */
};

/* keyclient_use() is due. */
void keyclient_init(struct keyclient *keys, struct ev_loop *loop,
		    const struct keyclient_owner *owner);
/*
 * The first answerer, or another once one is lost: end, the worker's, is the
 * client's from now on.  What waits is sent.
 */
void keyclient_use(struct keyclient *keys, const struct keypipe *end);

/*
 * Sends what conn's engine asks for, as soon as there is an answerer; the owner's
 * answered() is called with the answer, later.  0, or -1: the queue is full.
 */
int keyclient_ask(struct keyclient *keys, struct conn *conn);
/* conn goes away: nobody waits for its answer any more. */
void keyclient_forget(struct keyclient *keys, struct conn *conn);

#endif
