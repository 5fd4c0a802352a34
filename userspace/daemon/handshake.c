// SPDX-License-Identifier: MIT
#include "daemon/handshake.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "daemon/conn.h"
#include "daemon/keyclient.h"
#include "daemon/preface.h"

#define WHAT	"handshake failed"

static void fail(struct conn *conn, enum failure failure, const char *why)
{
	worker_count(conn->worker, conn->gate, STAT_FAILURE + failure, 1);
	conn_fail(conn, WHAT, why);
}

static void fail_engine(struct conn *conn, int err)
{
	worker_count(conn->worker, conn->gate, STAT_FAILURE + tally_failure(err), 1);
	conn_fail_engine(conn, WHAT, err);
}

/*
 * One receive call's bytes into the engine.  True: look again at what it
 * wants; *readable: there may be more to receive.
 */
static bool feed(struct conn *conn, bool *readable)
{
	struct worker *worker = conn->worker;
	size_t room = tls_conn_input_space(conn->tls);
	ssize_t n;
	int err;

	if (room > sizeof(worker->wire))
		room = sizeof(worker->wire);
	n = conn_receive(conn, &conn->tls_io, worker->wire, room);
	*readable = n == (ssize_t)room;
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		conn_watch(conn, &conn->tls_io, EV_READ);
		return false;
	}
	if (n <= 0 && preface_was_check(conn))
		return false;
	if (conn->preface)
		conn->preface->begun = true;
	if (n < 0) {
		fail(conn, FAILURE_NETWORK, conn_receive_error());
		return false;
	}
	err = n ? tls_conn_input(conn->tls, worker->wire, (size_t)n) :
		  tls_conn_input_eof(conn->tls);
	if (!err && n)
		return true;
	if (err)
		fail_engine(conn, err);
	else
		fail(conn, FAILURE_PEER_CLOSED, "the peer closed the connection");
	return false;
}

static void ask_keyd(struct conn *conn)
{
	int err;

	if (conn->key_waiting)
		return;
	if (keyclient_ask(&conn->worker->keys, conn)) {
		fail(conn, FAILURE_KEY, "too many wait for keyd");
		return;
	}
	err = tls_conn_work_ahead(conn->tls);
	if (err)
		fail_engine(conn, err);
}

/*
 * The peer's Finished came last, and nothing of ours carries its ACK: a peer with
 * Nagle's algorithm sends no data before that, which TCP would delay by 40 ms.
 */
static void acknowledge(const struct conn *conn)
{
	const int on = 1;

	(void)setsockopt(conn->tls_io.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/*
 * readable: receiving may bring something; else only the event loop knows when.
 * As handshake_start().
 */
static bool go_on(struct conn *conn, bool readable)
{
	bool answers;
	int ret;

	do {
		/* what precedes the signature leaves with it, in one segment */
		if (tls_conn_wants(conn->tls) & TLS_WANTS_PRIVATE_KEY) {
			ask_keyd(conn);
			return false;
		}
		answers = tls_conn_wants(conn->tls) & TLS_WANTS_OUTPUT;
		ret = conn_flush(conn);
		if (ret < 0) {
			fail(conn, FAILURE_NETWORK, strerror(errno));
			return false;
		}
		if (ret) {
			conn_watch(conn, &conn->tls_io, EV_WRITE);
			return false;
		}
		if (tls_conn_established(conn->tls)) {
			if (!answers)
				acknowledge(conn);
			return true;
		}
		if (!readable) {
			conn_watch(conn, &conn->tls_io, EV_READ);
			return false;
		}
	} while (feed(conn, &readable));
	return false;
}

bool handshake_continue(struct conn *conn)
{
	/* The answer goes on with it; what came meanwhile can wait in the socket. */
	if (!conn->key_waiting)
		return go_on(conn, true);
	conn_watch(conn, &conn->tls_io, 0);
	return false;
}

static bool is_client(const struct conn *conn)
{
	return conn->gate->settings->mode == GATE_CONNECT;
}

/* What was read to look whether the client is to be passed. */
static int take_hello(struct conn *conn)
{
	struct preface *preface = conn->preface;
	int err;

	if (!preface || !preface->hello)
		return 0;
	err = tls_conn_input(conn->tls, preface->hello, preface->hello_len);
	free(preface->hello);
	preface->hello = NULL;
	return err;
}

bool handshake_start(struct conn *conn)
{
	int err;

	conn->state = CONN_HANDSHAKE;
	conn->begun = clock_us();
	if (is_client(conn) || !conn->preface)	/* else its deadline goes on */
		conn_deadline(conn, conn->gate->settings->handshake_timeout);
	conn->tls = tls_conn_new(conn->gate->config);
	if (!conn->tls) {
		fail(conn, FAILURE_INTERNAL, "out of memory");
		return false;
	}
	err = is_client(conn) ? tls_conn_set_server_name(conn->tls, conn->member->server_name) : 0;
	if (!err && is_client(conn))
		sessions_offer(conn->member->sessions, conn->tls);
	if (!err)
		err = tls_conn_start(conn->tls);
	if (!err)
		err = take_hello(conn);
	if (!err)	/* a client speaks first, and listeners wait for that: see listener_start() */
		return go_on(conn, !is_client(conn));
	fail_engine(conn, err);
	return false;
}

bool handshake_key_reply(struct conn *conn, const uint8_t *reply, size_t len)
{
	int err = tls_conn_key_reply(conn->tls, reply, len);

	if (!err)
		return go_on(conn, false);
	fail_engine(conn, err);
	return false;
}

void handshake_timer(struct conn *conn)
{
	fail(conn, FAILURE_TIMEOUT, "not complete at its deadline");
}
