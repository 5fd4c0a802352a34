// SPDX-License-Identifier: MIT
#include "daemon/pass.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/tcp.h"
#include "daemon/account.h"
#include "daemon/conn.h"
#include "daemon/route.h"

#define WHAT	"it ended before TLS"
#define TURNS	8	/* receive calls per direction before others get their turn */

_Static_assert(TLS_MAX_PEEK <= WORKER_BUFFER, "a ClientHello fits into worker->wire");

/* One direction. */
struct flow {
	uint8_t *held;			/* what its target did not take yet */
	size_t held_len, held_done;
	bool eof, shut;			/* FIN read, FIN sent */
};

struct pass {
	char name[TLS_MAX_SERVER_NAME + 1];
	struct flow to_backend, to_client;
};

/* ---- whether ---- */

bool pass_wanted(const struct conn *conn)
{
	return conn->gate->passes;
}

static bool pass_new(struct conn *conn, const struct tls_peek *peek)
{
	struct preface *preface = conn->preface;

	conn->pass = calloc(1, sizeof(*conn->pass));
	if (!conn->pass)
		return false;
	memcpy(conn->pass->name, peek->server_name, sizeof(conn->pass->name));
	conn->pass->to_backend.held = preface->hello;
	conn->pass->to_backend.held_len = preface->hello_len;
	conn->tls_bytes = preface->hello_len;
	preface->hello = NULL;
	preface->hello_len = 0;
	return true;
}

/* Done: there is more than before. */
static enum preface_result take_more(struct conn *conn)
{
	struct preface *preface = conn->preface;
	uint8_t *data = conn->worker->wire, *longer;
	ssize_t n = conn_receive(conn, &conn->tls_io, data, TLS_MAX_PEEK - preface->hello_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		conn_watch(conn, &conn->tls_io, EV_READ);
		return PREFACE_WAIT;
	}
	if (n <= 0 && preface_was_check(conn))
		return PREFACE_GONE;
	if (n < 0)
		return preface_fail(conn, FAILURE_NETWORK, WHAT, conn_receive_error());
	if (!n)
		return preface_fail(conn, FAILURE_PEER_CLOSED, WHAT, "the peer closed the connection");
	longer = realloc(preface->hello, preface->hello_len + (size_t)n);
	if (!longer)
		return preface_fail(conn, FAILURE_INTERNAL, WHAT, "out of memory");
	preface->begun = true;
	memcpy(longer + preface->hello_len, data, (size_t)n);
	preface->hello = longer;
	preface->hello_len += (size_t)n;
	return PREFACE_DONE;
}

/* Done: there is all that is needed to know, which is in *peek unless err. */
static enum preface_result look(struct conn *conn, struct tls_peek *peek, int *err)
{
	struct preface *preface = conn->preface;
	enum preface_result result = take_more(conn);

	if (result != PREFACE_DONE)
		return result;
	*err = TLS_ERR_AGAIN;
	if (preface->hello_len >= preface->hello_need) {
		memcpy(conn->worker->wire, preface->hello, preface->hello_len);
		*err = tls_peek(conn->worker->wire, preface->hello_len, peek, &preface->hello_need);
	}
	if (*err != TLS_ERR_AGAIN)
		return PREFACE_DONE;
	conn_watch(conn, &conn->tls_io, EV_READ);
	return PREFACE_WAIT;
}

enum preface_result pass_run(struct conn *conn)
{
	enum preface_result result;
	struct tls_peek peek;
	struct pool *pool;
	int err;

	result = look(conn, &peek, &err);
	/* what is no ClientHello, the handshake refuses */
	if (result != PREFACE_DONE || err)
		return result;
	pool = route_passes(conn->gate, &peek);
	if (!pool)
		return PREFACE_DONE;
	if (!pass_new(conn, &peek))
		return preface_fail(conn, FAILURE_INTERNAL, WHAT, "out of memory");
	conn->pool = pool;
	return PREFACE_DONE;
}

/* ---- the relay ---- */

static void drop_held(struct flow *flow)
{
	free(flow->held);
	flow->held = NULL;
}

enum moved {
	MORE,				/* there may be more */
	LATER,				/* a socket has to be waited for, or this direction is over */
	LOST,				/* errno says */
};

static enum moved send_held(struct flow *flow, int fd)
{
	ssize_t n;

	if (!flow->held)
		return MORE;
	n = send(fd, flow->held + flow->held_done, flow->held_len - flow->held_done, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? LATER : LOST;
	flow->held_done += (size_t)n;
	if (flow->held_done < flow->held_len)
		return LATER;
	drop_held(flow);
	return MORE;
}

/* What is not taken is held. */
static enum moved send_or_hold(struct flow *flow, int fd, const uint8_t *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	if (n == (ssize_t)len)
		return MORE;
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return LOST;
	if (n > 0) {
		data += n;
		len -= (size_t)n;
	}
	flow->held = malloc(len);
	if (!flow->held)
		return LOST;
	memcpy(flow->held, data, len);
	flow->held_len = len;
	flow->held_done = 0;
	return LATER;
}

static void count_bytes(struct conn *conn, const struct flow *flow, size_t len)
{
	const bool to_backend = flow == &conn->pass->to_backend;

	if (to_backend)
		conn->tls_bytes += len;
	else
		conn->plain_bytes += len;
	worker_count(conn->worker, conn->gate, to_backend ? STAT_FROM_CLIENT : STAT_FROM_BACKEND, len);
	conn->active = clock_ms();
}

/* One receive call. */
static enum moved move(struct conn *conn, struct flow *flow, const ev_io *from, int to)
{
	uint8_t *data = conn->worker->wire;
	ssize_t n = conn_receive(conn, from, data, sizeof(conn->worker->wire));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? LATER : LOST;
	flow->eof = !n;
	if (!n)
		return LATER;
	count_bytes(conn, flow, (size_t)n);
	return send_or_hold(flow, to, data, (size_t)n);
}

/* readable: receiving may bring something; else the event loop will say when.  LOST, or anything else. */
static enum moved run_flow(struct conn *conn, struct flow *flow, const ev_io *from, int to, bool readable)
{
	enum moved moved = send_held(flow, to);
	int turns = TURNS;

	while (moved == MORE && readable && !flow->eof && turns--)
		moved = move(conn, flow, from, to);
	if (moved != LOST && flow->eof && !flow->held && !flow->shut) {
		/* fails only where the target is gone already: reading will tell */
		(void)shutdown(to, SHUT_WR);
		flow->shut = true;
	}
	return moved;
}

static void watch(struct conn *conn, ev_io *io, const struct flow *from, const struct flow *to)
{
	conn_watch(conn, io, (from->eof || from->held ? 0 : EV_READ) | (to->held ? EV_WRITE : 0));
}

static void pump(struct conn *conn, bool client_readable, bool backend_readable)
{
	struct flow *to_backend = &conn->pass->to_backend, *to_client = &conn->pass->to_client;

	if (run_flow(conn, to_backend, &conn->tls_io, conn->plain_io.fd, client_readable) == LOST ||
	    run_flow(conn, to_client, &conn->plain_io, conn->tls_io.fd, backend_readable) == LOST) {
		conn_fail(conn, "connection broken off", conn_receive_error());
		return;
	}
	if (to_backend->shut && to_client->shut) {
		account_reason(conn, "closed by both sides");
		conn_free(conn);
		return;
	}
	watch(conn, &conn->tls_io, to_backend, to_client);
	watch(conn, &conn->plain_io, to_client, to_backend);
}

void pass_start(struct conn *conn)
{
	conn->state = CONN_PASS;
	conn->active = clock_ms();
	conn_leave_handshake(conn);
	worker_count(conn->worker, conn->gate, STAT_PASSED, 1);
	worker_count(conn->worker, conn->gate, STAT_FROM_CLIENT, conn->tls_bytes);
	conn_deadline(conn, conn->gate->settings->idle_timeout);
	pump(conn, false, false);
}

void pass_continue(struct conn *conn, const ev_io *io, int events)
{
	const bool readable = events & EV_READ;

	pump(conn, readable && io == &conn->tls_io, readable && io == &conn->plain_io);
}

void pass_timer(struct conn *conn)
{
	const uint32_t limit = conn->gate->settings->idle_timeout;
	const uint64_t idle = clock_ms() - conn->active;

	if (idle < limit) {
		conn_deadline(conn, (uint32_t)(limit - idle));
		return;
	}
	account_reason(conn, "idle for %.0f s", limit / 1000.0);
	conn_abort(conn);
}

const char *pass_name(const struct pass *pass)
{
	return pass->name[0] ? pass->name : NULL;
}

void pass_free(struct pass *pass)
{
	if (!pass)
		return;
	drop_held(&pass->to_backend);
	drop_held(&pass->to_client);
	free(pass);
}
