// SPDX-License-Identifier: MIT
#include "daemon/life.h"

#include <string.h>
#include <unistd.h>

#include "common/tcp.h"
#include "daemon/accept_proxy.h"
#include "daemon/account.h"
#include "daemon/backend.h"
#include "daemon/conn.h"
#include "daemon/deliver.h"
#include "daemon/handshake.h"
#include "daemon/install.h"
#include "daemon/limits.h"
#include "daemon/opening.h"
#include "daemon/pass.h"
#include "daemon/preface.h"
#include "daemon/userpath.h"

/* Only what is relayed here sees the tickets of TLS 1.3: the kernel has no use for them. */
static bool waits_for_session(const struct conn *conn)
{
	struct tls_conn_info info;

	tls_conn_info(conn->tls, &info);
	return conn->member->sessions && !conn->session_kept && info.version == TLS_1_3 &&
	       sessions_worth_waiting(conn->member->sessions);
}

/* The kernel has TLS on TCP alone. */
static bool is_tls_on_unix(const struct conn *conn)
{
	return conn_is_unix(conn, &conn->tls_io);
}

static void start_relay(struct conn *conn)
{
	conn_leave_handshake(conn);
	conn_keep_session(conn);
	conn->hands_over = conn->gate->kernel && !pause_is_on(conn->worker->paused) &&
			   (conn->worker->tlsgate || !conn->gate->adaptive) && !is_tls_on_unix(conn);
	conn->on_trial = conn->hands_over && conn->gate->adaptive;
	conn->waits = conn->hands_over && waits_for_session(conn);
	if (!conn->hands_over)
		conn_stays(conn);
	else if (!conn->on_trial && !conn->waits && conn_hand_over(conn))
		return;
	userpath_start(conn);
}

static void count_handshake(const struct conn *conn)
{
	struct tls_conn_info info;

	tls_conn_info(conn->tls, &info);
	worker_count(conn->worker, conn->gate, STAT_HANDSHAKES, 1);
	worker_count(conn->worker, conn->gate, STAT_RESUMED, info.resumed);
	worker_count(conn->worker, conn->gate,
		     STAT_KIND + tally_kind(&info, conn->gate->settings->mode == GATE_SERVE &&
						   info.peer_certificate), 1);
	worker_count_time(conn->worker, conn->gate, STAT_HANDSHAKE_TIME, conn->begun);
}

/* True: that one is over, too. */
static bool next_step(struct conn *conn)
{
	const bool serves = conn->gate->settings->mode == GATE_SERVE;

	if (conn->state == CONN_HANDSHAKE && !opening_agrees(conn))
		return false;
	if (conn->state == CONN_HANDSHAKE)
		count_handshake(conn);
	if (conn->state == CONN_PREFACE)
		return serves && !conn->pass ? handshake_start(conn) : backend_start(conn);
	if (conn->pass) {
		pass_start(conn);
		return false;
	}
	if (serves && conn->state == CONN_HANDSHAKE)
		return conn->handle == -1 ? backend_start(conn) : deliver_start(conn);
	if (conn->state == CONN_CONNECTING && opening_backend_wanted(conn))
		return opening_backend_start(conn);
	if (!serves && (conn->state == CONN_CONNECTING || conn->state == CONN_OPENING))
		return handshake_start(conn);
	if (!serves && !opening_greet(conn))
		return false;
	start_relay(conn);
	return false;
}

static void go_on(struct conn *conn, bool step_over)
{
	while (step_over)
		step_over = next_step(conn);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct conn *conn = io->data;

	(void)loop;
	switch (conn->state) {
	case CONN_PREFACE:
		go_on(conn, preface_continue(conn));
		break;
	case CONN_CONNECTING:
		go_on(conn, backend_continue(conn, io));
		break;
	case CONN_OPENING:
		go_on(conn, opening_backend_continue(conn, io));
		break;
	case CONN_DELIVERING:
		conn_watch(conn, io, 0);
		break;
	case CONN_HANDSHAKE:
		go_on(conn, handshake_continue(conn));
		break;
	case CONN_RELAY:
		userpath_continue(conn, io, events);
		break;
	case CONN_PASS:
		pass_continue(conn, io, events);
		break;
	case CONN_LINGER:
		conn_linger_continue(conn);
		break;
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct conn *conn = timer->data;

	(void)loop;
	(void)events;
	switch (conn->state) {
	case CONN_PREFACE:
		preface_timer(conn);
		break;
	case CONN_CONNECTING:
		go_on(conn, backend_timer(conn));
		break;
	case CONN_OPENING:
		opening_backend_timer(conn);
		break;
	case CONN_DELIVERING:
		go_on(conn, deliver_timer(conn));
		break;
	case CONN_HANDSHAKE:
		handshake_timer(conn);
		break;
	case CONN_RELAY:
		userpath_timer(conn);
		break;
	case CONN_PASS:
		pass_timer(conn);
		break;
	case CONN_LINGER:
		conn_free(conn);
		break;
	}
}

/*
 * Clients that connect and say nothing fill the table.  The oldest connection has had the most
 * time, so it goes, and an honest client still gets through.
 */
static void evict_oldest(struct worker *worker)
{
	struct conn *oldest = TAILQ_FIRST(&worker->handshaking);

	worker_count(worker, oldest->gate, STAT_FAILED, 1);
	worker_count(worker, oldest->gate, STAT_NO_HANDSHAKE_ROOM, 1);
	if (oldest->state == CONN_HANDSHAKE || oldest->state == CONN_PREFACE)
		worker_count(worker, oldest->gate, STAT_FAILURE + FAILURE_TOO_MANY, 1);
	conn_log_failure(oldest, "handshake given up", "too many others came since");
	account_reason(oldest, "handshake given up: too many others came since");
	conn_reset_plain(oldest);	/* a stream that never began is no empty one */
	conn_free(oldest);
}

/* False: this worker has no other, and conn is gone. */
static bool make_room(struct conn *conn)
{
	struct worker *worker = conn->worker;

	if (!limits_is_full(worker))
		return true;
	if (TAILQ_FIRST(&worker->handshaking) == conn) {
		limits_refuse(conn, STAT_NO_HANDSHAKE_ROOM);
		return false;
	}
	evict_oldest(worker);
	return true;
}

/* Of a client of a UNIX socket, which may have bound its own to any path, there is no address. */
static void set_client(struct conn *conn, const struct sockaddr *client, socklen_t len)
{
	conn->unix_client = client->sa_family == AF_UNIX;
	if (conn->unix_client)
		conn->client.sin6_family = AF_UNIX;
	else
		memcpy(&conn->client, client, len < sizeof(conn->client) ? len : sizeof(conn->client));
}

void life_begin(const struct worker_listener *listener, int fd, const struct sockaddr *client,
		socklen_t len)
{
	struct worker *worker = listener->worker;
	const struct gate *gate = listener->gate;
	const bool serves = gate->settings->mode == GATE_SERVE;
	struct conn *conn;

	conn = conn_new(worker, gate, on_io, on_timer);
	if (!conn) {
		worker_log_peer(worker, error, "%s: connection refused: out of memory", gate->settings->name);
		tcp_reset(fd);
		close(fd);
		return;
	}
	conn->handle = listener->handle;
	set_client(conn, client, len);
	*(serves ? &conn->tls_io.fd : &conn->plain_io.fd) = fd;
	if (limits_begin(conn) && (accept_proxy_wanted(conn) || limits_admit(conn)) && make_room(conn))
		go_on(conn, preface_start(conn));
}

void life_key_answer(struct conn *conn, const uint8_t *answer, size_t len)
{
	go_on(conn, handshake_key_reply(conn, answer, len));
}
