/* SPDX-License-Identifier: MIT */
/*
 * A worker's side of the socket to its answerer.  Requests are answered in
 * order, so the one queue below is all the bookkeeping there is.
 */
#ifndef TLSGATE_DAEMON_KEYCLIENT_H
#define TLSGATE_DAEMON_KEYCLIENT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#define KEYCLIENT_QUEUE	4096u		/* a power of two, above WORKER_MAX_HANDSHAKES */

struct conn;

struct keyclient_entry {
	struct conn *conn;		/* NULL: freed while it waited */
	bool sent;
};

struct keyclient {
	ev_io io;
	struct ev_loop *loop;
	struct keyclient_entry queue[KEYCLIENT_QUEUE];
	uint32_t head, unsent, tail;	/* free-running; an entry's number is its message id */
};

/* end: the worker's end of the pair; made non-blocking and watched from now on. */
void keyclient_init(struct keyclient *keys, struct ev_loop *loop, int end);

/*
 * Sends what conn's engine asks for; handshake_key_reply() is called with the
 * answer, later.  0, or -1: the queue is full.
 */
int keyclient_ask(struct keyclient *keys, struct conn *conn);
/* Looks for answers once the caller is back in the loop, before that waits for anything. */
void keyclient_look(struct keyclient *keys);
/* conn goes away: nobody waits for its answer any more. */
void keyclient_forget(struct keyclient *keys, struct conn *conn);

#endif
