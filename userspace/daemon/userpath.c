// SPDX-License-Identifier: MIT
#include "daemon/userpath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "daemon/account.h"
#include "daemon/conn.h"
#include "daemon/install.h"

#define WHAT		"connection broken off"
#define TURNS		8	/* receive calls per direction before others get their turn */
/* A peer that asks for KeyUpdates and reads none of the answers is not read from. */
#define OUTPUT_HIGH	(2 * WORKER_BUFFER)
/*
 * How long a connection waits before it is handed over: for a ticket that does not come, and
 * until its traffic pays for the hand-over.  At the latest then a long and idle one is handed
 * over, so that it outlives the daemon.
 */
#define HAND_OVER_MS	1000
/*
 * When the traffic of a connection has paid for its hand-over.  In bytes; each piece of data
 * counts for some more, since it costs system calls.  docs/performance.md has the arithmetic.
 */
#define WORTH_BYTES	65536u
#define PIECE_BYTES	16384u

enum pump {
	PUMP_WAITS,			/* for a socket, or its turn is over */
	PUMP_FAILED,			/* conn may be gone */
};

static enum pump fail(struct conn *conn, const char *why)
{
	conn_fail(conn, WHAT, why);
	return PUMP_FAILED;
}

static size_t output_len(const struct conn *conn)
{
	size_t len;

	(void)tls_conn_output(conn->tls, &len);
	return len;
}

/* Keeps what the plain socket did not take. */
static int hold(struct conn *conn, const uint8_t *data, size_t len)
{
	conn->held = malloc(len);
	if (!conn->held)
		return -1;
	memcpy(conn->held, data, len);
	conn->held_len = (uint32_t)len;
	conn->held_done = 0;
	return 0;
}

static void drop_held(struct conn *conn)
{
	if (conn->held)
		tls_wipe(conn->held, conn->held_len);
	free(conn->held);
	conn->held = NULL;
}

/* Bytes taken, 0 when the socket is full, -1: errno says. */
static ssize_t send_plain(struct conn *conn, const uint8_t *data, size_t len)
{
	ssize_t n = send(conn->plain_io.fd, data, len, MSG_NOSIGNAL);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return n;
}

/* 0: nothing is held any more; 1: the socket is full; -1: errno says. */
static int send_held(struct conn *conn)
{
	ssize_t n;

	if (!conn->held)
		return 0;
	n = send_plain(conn, conn->held + conn->held_done, conn->held_len - conn->held_done);
	if (n < 0)
		return -1;
	conn->held_done += (uint32_t)n;
	if (conn->held_done < conn->held_len)
		return 1;
	drop_held(conn);
	return 0;
}

/*
 * 1: fed; 0: nothing was there; -1: failed, and conn may be gone.  *readable: more may be
 * there, since recv() filled the buffer.
 */
static int feed(struct conn *conn, bool *readable)
{
	struct worker *worker = conn->worker;
	size_t room = tls_conn_input_space(conn->tls);
	ssize_t n;
	int err;

	if (room > sizeof(worker->wire))
		room = sizeof(worker->wire);
	n = conn_receive(conn, &conn->tls_io, worker->wire, room);
	*readable = n == (ssize_t)room;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0) {
		conn_fail(conn, WHAT, conn_receive_error());
		return -1;
	}
	err = n ? tls_conn_input(conn->tls, worker->wire, (size_t)n) :
		  tls_conn_input_eof(conn->tls);
	if (err) {
		conn_fail_engine(conn, WHAT, err);
		return -1;
	}
	conn->active = clock_ms();
	return 1;
}

/* They come from the client where the gate's mode is this. */
static void count_bytes(const struct conn *conn, enum gate_mode clients, size_t len)
{
	worker_count(conn->worker, conn->gate, conn->gate->settings->mode == clients ?
		     STAT_FROM_CLIENT : STAT_FROM_BACKEND, len);
}

/* Delivers one piece of plaintext.  0, or -1: failed, conn may be gone. */
static int deliver(struct conn *conn, size_t len)
{
	const uint8_t *data = conn->worker->plain;
	ssize_t n;

	conn->tls_bytes += len;
	count_bytes(conn, GATE_SERVE, len);
	conn->pieces++;
	n = send_plain(conn, data, len);
	if (n < 0) {
		conn_fail(conn, WHAT, strerror(errno));
		return -1;
	}
	if ((size_t)n < len && hold(conn, data + n, len - (size_t)n)) {
		conn_fail(conn, WHAT, "out of memory");
		return -1;
	}
	return 0;
}

/* Whether it came or not: servers send it before any data. */
static void end_wait(struct conn *conn)
{
	if (!conn->waits)
		return;
	conn->waits = false;
	sessions_waited(conn->member->sessions, conn->session_kept);
}

/*
 * The first bytes need not wait for the ticket, but what is more than TCP lets
 * go before the server's next answer is the kernel's to carry.
 */
static bool holds_back(const struct conn *conn)
{
	return conn->waits && conn->plain_bytes >= WORKER_BUFFER;
}

static void look_for_session(struct conn *conn)
{
	conn_keep_session(conn);
	if (conn->session_kept || conn->tls_bytes)
		end_wait(conn);
}

static bool is_on_trial(const struct conn *conn)
{
	return conn->on_trial && conn->tls_bytes + conn->plain_bytes +
				 (uint64_t)conn->pieces * PIECE_BYTES < WORTH_BYTES;
}

/* At a record boundary, with nothing between the sockets: as if it had just begun. */
static bool may_hand_over(const struct conn *conn)
{
	return conn->hands_over && !conn->waits && !is_on_trial(conn) && !conn->held &&
	       !conn->tls_eof && !conn->plain_eof && !output_len(conn) &&
	       tls_conn_at_rest(conn->tls);
}

/* readable: receiving may bring something; else the event loop will say when. */
static enum pump tls_to_plain(struct conn *conn, bool readable)
{
	int turns = TURNS;
	size_t len;
	int ret;

	for (;;) {
		ret = send_held(conn);
		if (ret < 0)
			return fail(conn, strerror(errno));
		if (ret || conn->tls_eof || may_hand_over(conn))
			break;	/* what else came goes along */
		len = sizeof(conn->worker->plain);
		ret = tls_conn_read(conn->tls, conn->worker->plain, &len);
		if (ret == TLS_ERR_CLOSED) {
			conn->tls_eof = true;
		} else if (ret == TLS_ERR_AGAIN) {
			if (!readable || !turns-- || output_len(conn) > OUTPUT_HIGH)
				break;
			ret = feed(conn, &readable);
			if (ret < 0)
				return PUMP_FAILED;
			if (!ret)
				break;
		} else if (ret) {
			conn_fail_engine(conn, WHAT, ret);
			return PUMP_FAILED;
		} else if (deliver(conn, len)) {
			return PUMP_FAILED;
		}
		look_for_session(conn);
	}
	if (conn->tls_eof && !conn->held && !conn->plain_shut) {
		/* fails only where the backend is gone already: reading will tell */
		(void)shutdown(conn->plain_io.fd, SHUT_WR);
		conn->plain_shut = true;
	}
	return PUMP_WAITS;
}

/* Seals one receive call's bytes.  1: go on; 0: nothing there; -1: failed. *readable as above. */
static int seal(struct conn *conn, bool *readable)
{
	struct worker *worker = conn->worker;
	ssize_t n;
	int err;

	n = conn_receive(conn, &conn->plain_io, worker->plain, sizeof(worker->plain));
	*readable = n == (ssize_t)sizeof(worker->plain);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n < 0) {
		conn_fail(conn, WHAT, conn_receive_error());
		return -1;
	}
	if (n) {
		conn->plain_bytes += (size_t)n;
		count_bytes(conn, GATE_CONNECT, (size_t)n);
		conn->pieces++;
		err = tls_conn_write(conn->tls, worker->plain, (size_t)n);
	} else {
		conn->plain_eof = true;
		err = tls_conn_close(conn->tls);
	}
	if (err) {
		conn_fail_engine(conn, WHAT, err);
		return -1;
	}
	conn->active = clock_ms();
	return 1;
}

static enum pump plain_to_tls(struct conn *conn, bool readable)
{
	int turns = TURNS;
	int ret;

	for (;;) {
		/* close_notify leaves with the FIN */
		ret = conn->plain_eof ? conn_flush_with_next(conn) : conn_flush(conn);
		if (ret < 0)
			return fail(conn, strerror(errno));
		if (ret || conn->plain_eof || !readable || !turns-- || holds_back(conn) ||
		    may_hand_over(conn))
			break;
		ret = seal(conn, &readable);
		if (ret < 0)
			return PUMP_FAILED;
		if (!ret)
			break;
	}
	if (conn->plain_eof && !output_len(conn) && !conn->tls_shut) {
		/* as above; both directions are over: closing does it */
		if (!conn->plain_shut)
			(void)shutdown(conn->tls_io.fd, SHUT_WR);
		conn->tls_shut = true;
	}
	return PUMP_WAITS;
}

static void watch_both(struct conn *conn)
{
	size_t output = output_len(conn);
	int tls = 0, plain = 0;

	if (!conn->tls_eof && !conn->held && output <= OUTPUT_HIGH)
		tls |= EV_READ;
	if (output)
		tls |= EV_WRITE;
	if (!conn->plain_eof && !output && !holds_back(conn))
		plain |= EV_READ;
	if (conn->held)
		plain |= EV_WRITE;
	conn_watch(conn, &conn->tls_io, tls);
	conn_watch(conn, &conn->plain_io, plain);
}

static void log_finished(const struct conn *conn)
{
	char client[ADDR_TEXT_MAX];

	log_verbose("%s: finished: %llu bytes from the TLS side, %llu from the plain side",
		    conn_client(conn, client), (unsigned long long)conn->tls_bytes,
		    (unsigned long long)conn->plain_bytes);
	if (tls_conn_past_limit(conn->tls))
		log_verbose("%s: its TLS 1.2 key sealed more than AES-GCM's limit", client);
}

static void finish(struct conn *conn)
{
	account_reason(conn, "closed by both sides");
	if (log_is_verbose())
		log_finished(conn);
	conn_free(conn);
}

/* False: conn is gone. */
static bool relay(struct conn *conn, bool tls_readable, bool plain_readable)
{
	if (tls_to_plain(conn, tls_readable) == PUMP_FAILED ||
	    plain_to_tls(conn, plain_readable) == PUMP_FAILED)
		return false;
	if (!conn->tls_shut || !conn->plain_shut)
		return true;
	finish(conn);
	return false;
}

static void pump(struct conn *conn, bool tls_readable, bool plain_readable)
{
	if (!relay(conn, tls_readable, plain_readable))
		return;
	while (may_hand_over(conn)) {
		if (conn_hand_over(conn))
			return;
		/* refused: the records left for the kernel are ours; or some output goes first */
		if (!relay(conn, false, false))
			return;
	}
	watch_both(conn);
}

void userpath_continue(struct conn *conn, const ev_io *io, int events)
{
	bool readable = events & EV_READ;

	pump(conn, readable && io == &conn->tls_io, readable && io == &conn->plain_io);
}

void userpath_start(struct conn *conn)
{
	conn->state = CONN_RELAY;
	conn->active = clock_ms();
	conn_deadline(conn, conn->waits || conn->on_trial ? HAND_OVER_MS :
			    conn->gate->settings->idle_timeout);
	pump(conn, false, false);
}

void userpath_hand_over(struct conn *conn)
{
	if (!conn->waits && !conn->on_trial)
		return;
	conn->on_trial = false;
	end_wait(conn);
	conn_deadline(conn, conn->gate->settings->idle_timeout);
	pump(conn, false, false);
}

void userpath_timer(struct conn *conn)
{
	const uint32_t limit = conn->gate->settings->idle_timeout;
	const uint64_t idle = clock_ms() - conn->active;

	if (conn->waits || conn->on_trial) {
		userpath_hand_over(conn);
		return;
	}
	if (!limit)
		return;
	if (idle < limit) {
		conn_deadline(conn, (uint32_t)(limit - idle));
		return;
	}
	account_reason(conn, "idle for %.0f s", limit / 1000.0);
	log_verbose("connection idle for %.0f s: closed", limit / 1000.0);
	conn_abort(conn);
}
