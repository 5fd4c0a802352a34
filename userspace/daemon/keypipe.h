/* SPDX-License-Identifier: MIT */
/*
 * What a worker asks of its answerer, and what comes back: two pipes, since
 * one packet through a pipe costs half of what it costs through a socket pair.
 * Packets stay apart (O_DIRECT in pipe(2)), PIPE_BUF bytes each at most; a
 * longer request or answer is several of them, the first with the whole head.
 * Answers come in the order of the requests.
 */
#ifndef TLSGATE_DAEMON_KEYPIPE_H
#define TLSGATE_DAEMON_KEYPIPE_H

#include <stdint.h>

#include "engine/engine.h"

struct keypipe_request {		/* then the data */
	uint32_t number;
	uint32_t len;			/* of the data, at most TLS_MAX_KEY_REQUEST */
	uint32_t key_id;
	uint16_t scheme;		/* TLS SignatureScheme */
	uint16_t op;			/* enum tls_key_op */
	int32_t cpu;			/* the worker's; a hint, negative where it is not known */
};

struct keypipe_answer {			/* then what tls_private_key_perform() gave; refused: nothing */
	uint32_t number;		/* the request's */
	uint32_t len;			/* of what follows, at most TLS_MAX_KEY_REPLY */
};

#define KEYPIPE_REQUEST_MAX	(sizeof(struct keypipe_request) + TLS_MAX_KEY_REQUEST)
#define KEYPIPE_ANSWER_MAX	(sizeof(struct keypipe_answer) + TLS_MAX_KEY_REPLY)

/* An answer as it comes in. */
struct keypipe_reply {
	struct keypipe_answer head;	/* once the answer is whole */
	uint8_t bytes[KEYPIPE_ANSWER_MAX];
	size_t have;			/* of them; 0: nothing has come */
};

struct keypipe {			/* one end; the fields in the order of pipe(2) */
	int in, out;
};

/* The worker's end, non-blocking, and the answerer's; close-on-exec.  0 or -errno. */
int keypipe_open(struct keypipe *worker, struct keypipe *answerer);
void keypipe_close(const struct keypipe *end);

/*
 * Reads one packet of an answer, in a worker.  1: the answer is whole, and
 * keypipe_clear() is due; -EAGAIN: there is more to come; 0: the answerer is gone;
 * -EPROTO: it sent no answer; or another -errno.
 */
int keypipe_receive(int in, struct keypipe_reply *reply);
/* What tls_private_key_perform() gave; NULL: refused. */
const uint8_t *keypipe_data(const struct keypipe_reply *reply);
/* Wipes it, for the next. */
void keypipe_clear(struct keypipe_reply *reply);

#endif
