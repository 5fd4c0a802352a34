// SPDX-License-Identifier: MIT
/*
 * Sessions as bytes: what our own tickets hold once opened, and what a client
 * kept.  What is taken comes out again byte for byte; then both ends are made
 * to resume it, for what it says may not fit the connection.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/session.h"
#include "fuzz.h"

#define NONCE_AND_TAG	(TLS_NONCE_LEN + TLS_TAG_LEN)

static const struct tls_ticket_key key = { .name = "fuzz" };

static void check_same(const struct tls_session *session, struct tls_slice in)
{
	struct tls_buf again = { .limit = TLS_MAX_SESSION };

	tls_session_write(session, &again);
	/* but for a boolean, which may have been any byte */
	if (again.failed || again.len != in.len)
		abort();
	tls_buf_free(&again);
}

static void read_session(struct tls_slice in)
{
	struct tls_session session;

	if (tls_session_read(&session, in))
		return;
	check_same(&session, in);
	tls_session_free(&session);
}

/* As tls_ticket_seal() would have it, around these bytes. */
static void make_ticket(struct tls_slice state, struct tls_buf *out)
{
	tls_put_bytes(out, key.name, sizeof(key.name));
	memset(tls_put_space(out, TLS_NONCE_LEN), 0, TLS_NONCE_LEN);
	tls_put_bytes(out, state.p, state.len);
	memset(tls_put_space(out, TLS_TAG_LEN), 0, TLS_TAG_LEN);
}

static void open_ticket(struct tls_slice state)
{
	struct tls_buf ticket = { .limit = SIZE_MAX }, opened = { .limit = TLS_MAX_TICKET };
	struct tls_slice in;
	size_t used;

	make_ticket(state, &ticket);
	in = (struct tls_slice){ ticket.data, ticket.len };
	if (!tls_ticket_open(&key, 1, in, &opened, &used) &&
	    (opened.len != state.len || memcmp(opened.data, state.p, state.len)))
		abort();
	tls_buf_free(&opened);
	tls_buf_free(&ticket);
}

/* A client that comes with a ticket, sealed by us, that holds these bytes. */
static void resume(uint8_t choice, struct tls_slice state)
{
	struct fuzz_pair pair;
	struct tls_session session;
	struct tls_buf kept = { .limit = TLS_MAX_SESSION };

	fuzz_pair_init(&pair, choice);
	if (!tls_session_read(&session, state)) {
		tls_buf_reset(&session.ticket);
		make_ticket(state, &session.ticket);
		tls_session_write(&session, &kept);
		if (!kept.failed && tls_conn_set_session(pair.client.conn, kept.data, kept.len))
			tls_buf_reset(&kept);
		tls_session_free(&session);
	}
	fuzz_handshake(&pair);
	fuzz_pair_free(&pair);
	tls_buf_free(&kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_slice state;

	if (size < 2 || size > TLS_MAX_TICKET / 2)
		return 0;
	state = (struct tls_slice){ data + 1, size - 1 };
	read_session(state);
	open_ticket(state);
	resume(data[0], state);
	return 0;
}
