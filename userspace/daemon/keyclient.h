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
};

/* answer NULL: refused.  May free conn. */
typedef void keyclient_answered(struct conn *conn, const uint8_t *answer, size_t len);

struct keyclient {
	ev_io answers;
	ev_io room;			/* in the pipe of requests, when it is full */
	struct ev_loop *loop;
	keyclient_answered *answered;
	struct keyclient_entry queue[KEYCLIENT_QUEUE];
	/* an entry's number is its request's; from 0 again once none waits */
	uint32_t head, unsent, tail;
	/* the last request taken from the queue, and how much of it is in the pipe */
	uint8_t request[KEYPIPE_REQUEST_MAX];
	size_t len, written;
};

/* end: the worker's; watched from now on. */
void keyclient_init(struct keyclient *keys, struct ev_loop *loop, const struct keypipe *end,
		    keyclient_answered *answered);

/*
 * Sends what conn's engine asks for; answered() is called with the answer,
 * later.  0, or -1: the queue is full.
 */
int keyclient_ask(struct keyclient *keys, struct conn *conn);
/* conn goes away: nobody waits for its answer any more. */
void keyclient_forget(struct keyclient *keys, struct conn *conn);

#endif
