// SPDX-License-Identifier: MIT
/* A handshake in which one message is what the fuzzer wants. */
#include <string.h>

#include "engine/handshake.h"
#include "engine/machine.h"
#include "engine/message/message.h"
#include "fuzz.h"

#define SESSION_ID_AT	(2 + TLS_RANDOM_LEN)	/* in the body of either hello */

static struct {
	bool armed;
	enum tls_role sender;
	uint8_t type;
	unsigned int skip;		/* such messages before it */
	struct tls_slice body;
	bool keep_session_id;
} plan;

/* A fuzzer does not guess 32 bytes that must be echoed. */
static void keep_session_id(struct tls_buf *flight, size_t start, const uint8_t *old, size_t len)
{
	if (len && flight->len >= start + len && flight->data[start] == *old)
		memcpy(flight->data + start, old, len);
}

extern __typeof__(tls_message_end) __real_tls_message_end, __wrap_tls_message_end;
int __wrap_tls_message_end(struct tls_conn *conn, struct tls_outgoing msg)
{
	struct tls_buf *flight = &conn->hs->flight;
	size_t start = msg.body.start, at = start + SESSION_ID_AT;
	uint8_t session_id[1 + TLS_SESSION_ID_LEN];
	size_t id_len = 0;

	if (!plan.armed || conn->role != plan.sender || flight->failed ||
	    flight->data[msg.start] != plan.type || plan.skip--)
		return __real_tls_message_end(conn, msg);
	plan.armed = false;
	if (plan.keep_session_id && flight->len > at && flight->data[at] <= TLS_SESSION_ID_LEN &&
	    flight->len > at + flight->data[at]) {
		id_len = 1u + flight->data[at];
		memcpy(session_id, flight->data + at, id_len);
	}
	tls_buf_truncate(flight, start);
	tls_put_bytes(flight, plan.body.p, plan.body.len);
	keep_session_id(flight, at, session_id, id_len);
	return __real_tls_message_end(conn, msg);
}

static void say(struct fuzz_pair *pair, struct fuzz_end *from)
{
	if (tls_conn_established(from->conn))
		fuzz_note(from, tls_conn_write(from->conn, (const uint8_t *)"x", 1));
	fuzz_pump(pair);
}

int fuzz_message(enum tls_role sender, uint8_t type, const uint8_t *data, size_t size)
{
	struct fuzz_pair pair;

	/* a longer body does not fit into a flight, nor into what is taken */
	if (size < 1 || size > TLS_MAX_MESSAGE)
		return 0;
	plan.armed = false;		/* making the pair may do a handshake */
	fuzz_pair_init(&pair, data[0]);
	plan.armed = true;
	plan.sender = sender;
	plan.type = type;
	plan.skip = !!(data[0] & FUZZ_SECOND);
	plan.body = (struct tls_slice){ data + 1, size - 1 };
	plan.keep_session_id = data[0] & FUZZ_SESSION_ID;
	fuzz_handshake(&pair);
	say(&pair, &pair.server);
	say(&pair, &pair.client);
	fuzz_pair_free(&pair);
	return 0;
}
