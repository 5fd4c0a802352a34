// SPDX-License-Identifier: MIT
#include "daemon/conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/escape.h"
#include "common/hurry.h"
#include "common/tcp.h"
#include "daemon/account.h"
#include "daemon/limits.h"
#include "daemon/pass.h"
#include "daemon/preface.h"
#include "daemon/starttls/starttls.h"

#define LINGER_MS	2000
#define LOG_WHY_MAX	1024

struct conn *conn_new(struct worker *worker, const struct gate *gate, conn_io_callback *on_io,
		      conn_timer_callback *on_timer)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->worker = worker;
	conn->gate = gate;
	conn->member = gate_only_member(gate);
	conn->accepted = clock_ms();
	ev_init(&conn->tls_io, on_io);
	ev_init(&conn->plain_io, on_io);
	ev_init(&conn->timer, on_timer);
	conn->tls_io.data = conn->plain_io.data = conn->timer.data = conn;
	conn->tls_io.fd = conn->plain_io.fd = -1;
	conn->next = worker->conns;
	conn->link = &worker->conns;
	if (conn->next)
		conn->next->link = &conn->next;
	worker->conns = conn;
	TAILQ_INSERT_TAIL(&worker->handshaking, conn, handshaking);
	worker->handshakes++;
	conn->in_handshake = true;
	limits_handshakes(worker, 1);
	worker_count(worker, gate, STAT_OPEN, 1);
	return conn;
}

const char *conn_backend(const struct conn *conn)
{
	return conn->member ? conn->member->text : NULL;
}

static void count_load(const struct conn *conn, int number)
{
	loads_add(conn->pool->loads, conn->pool->first + (size_t)(conn->member - conn->pool->members),
		  number);
}

void conn_take_member(struct conn *conn, struct member *member)
{
	conn_release_member(conn);
	conn->member = member;
	conn->loads = conn->pool->loads;
	if (conn->loads)
		count_load(conn, 1);
}

void conn_release_member(struct conn *conn)
{
	if (conn->loads)
		count_load(conn, -1);
	conn->loads = false;
}

const char *conn_client(const struct conn *conn, char buf[ADDR_TEXT_MAX])
{
	return addr_format((const struct sockaddr *)&conn->client, sizeof(conn->client), buf);
}

void conn_watch(struct conn *conn, ev_io *io, int events)
{
	struct ev_loop *loop = conn->worker->loop;
	int fd = io->fd;

	if (ev_is_active(io) && (io->events & (EV_READ | EV_WRITE)) == events)
		return;
	ev_io_stop(loop, io);
	if (!events)
		return;
	ev_io_set(io, fd, events);
	ev_io_start(loop, io);
}

void conn_deadline(struct conn *conn, uint32_t ms)
{
	ev_timer_stop(conn->worker->loop, &conn->timer);
	if (!ms)
		return;
	ev_timer_set(&conn->timer, ms / 1000.0, 0.);
	ev_timer_start(conn->worker->loop, &conn->timer);
}

static int send_output(struct conn *conn, int flags)
{
	const uint8_t *data;
	size_t len;
	ssize_t n;

	while ((data = tls_conn_output(conn->tls, &len)), len) {
		n = send(conn->tls_io.fd, data, len, MSG_NOSIGNAL | flags);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		tls_conn_output_done(conn->tls, (size_t)n);
		conn->active = clock_ms();
	}
	return 0;
}

int conn_flush(struct conn *conn)
{
	return send_output(conn, 0);
}

int conn_flush_with_next(struct conn *conn)
{
	return send_output(conn, MSG_MORE);
}

bool conn_is_unix(const struct conn *conn, const ev_io *io)
{
	const bool serves = conn->gate->settings->mode == GATE_SERVE;
	const bool is_backend = io == (serves ? &conn->plain_io : &conn->tls_io);

	return is_backend ? conn->member && conn->member->is_unix : conn->unix_client;
}

ssize_t conn_receive(const struct conn *conn, const ev_io *io, void *buf, size_t len)
{
	return conn_is_unix(conn, io) ? hurry_recv(io->fd, buf, len) : recv(io->fd, buf, len, 0);
}

const char *conn_receive_error(void)
{
	return errno == EBADMSG ? "the peer passed a descriptor along, which TLS cannot carry" :
				  strerror(errno);
}

void conn_close_side(struct conn *conn, ev_io *io)
{
	ev_io_stop(conn->worker->loop, io);
	if (io->fd != -1 && conn_is_unix(conn, io))
		hurry_close(io->fd);
	else if (io->fd != -1)
		close(io->fd);
	io->fd = -1;
}

void conn_reset_plain(struct conn *conn)
{
	if (conn->plain_io.fd != -1)
		tcp_reset(conn->plain_io.fd);
	conn_close_side(conn, &conn->plain_io);
}

void conn_leave_handshake(struct conn *conn)
{
	if (!conn->in_handshake)
		return;
	conn->in_handshake = false;
	TAILQ_REMOVE(&conn->worker->handshaking, conn, handshaking);
	conn->worker->handshakes--;
	limits_handshakes(conn->worker, -1);
	worker_handshake_over(conn->worker);
}

void conn_log_path(const struct conn *conn, const char *path)
{
	char client[ADDR_TEXT_MAX];
	struct tls_conn_info info;
	const char *suite, *group;

	tls_conn_info(conn->tls, &info);
	suite = tls_suite_name(info.suite);
	group = tls_group_name(info.group);
	log_verbose("%s: client %s: %s %s %s%s%s%s%s, data path: %s", conn->gate->settings->name,
		    conn_client(conn, client), tls_version_name(info.version), suite ? suite : "?",
		    info.resumed ? "resumed" : group ? group : "RSA", info.server_name ? " name " : "",
		    info.server_name ? info.server_name : "", info.alpn ? " alpn " : "",
		    info.alpn ? info.alpn : "", path);
}

void conn_stays(struct conn *conn)
{
	worker_count(conn->worker, conn->gate, STAT_USER, 1);
	if (log_is_verbose())
		conn_log_path(conn, "user");
}

/* It ends before the kernel took it. */
static void ends_here(struct conn *conn)
{
	if (!conn->hands_over)
		return;
	conn->hands_over = false;
	conn_stays(conn);
}

void conn_free(struct conn *conn)
{
	struct worker *worker = conn->worker;

	ends_here(conn);
	if (!conn->handed_over && !conn->shed)
		account_end(conn);
	limits_end(conn);
	worker_count(worker, conn->gate, STAT_OPEN, (uint64_t)-1);
	conn_release_member(conn);
	free(conn->reason);
	conn_leave_handshake(conn);
	keyclient_forget(&worker->keys, conn);
	ev_timer_stop(worker->loop, &conn->timer);
	conn_close_side(conn, &conn->tls_io);
	conn_close_side(conn, &conn->plain_io);
	tls_conn_free(conn->tls);
	preface_free(conn->preface);
	pass_free(conn->pass);
	starttls_free(conn->talk);
	if (conn->held)
		tls_wipe(conn->held, conn->held_len);
	free(conn->held);
	listing_forget(&worker->listing, conn);
	*conn->link = conn->next;
	if (conn->next)
		conn->next->link = conn->link;
	free(conn);
	worker_conn_gone(worker);
}

/*
 * close() with received bytes unread makes TCP send a reset, which may overtake the alert.  So
 * only our direction is closed, and the rest is read until the peer's FIN or a short deadline.
 */
static void linger(struct conn *conn)
{
	if (shutdown(conn->tls_io.fd, SHUT_WR)) {
		conn_free(conn);
		return;
	}
	conn_leave_handshake(conn);
	ends_here(conn);
	conn->state = CONN_LINGER;
	conn_deadline(conn, LINGER_MS);
	conn_watch(conn, &conn->tls_io, EV_READ);
}

/* An alert may have to be sent. */
static void end_tls(struct conn *conn)
{
	keyclient_forget(&conn->worker->keys, conn);
	conn_close_side(conn, &conn->plain_io);
	conn_release_member(conn);
	/* there is no alert of ours, and a FIN would be an end in order */
	if (conn->pass && conn->tls_io.fd != -1)
		tcp_reset(conn->tls_io.fd);
	if (conn->tls_io.fd == -1 || !conn->tls || conn_flush_with_next(conn))
		conn_free(conn);
	else
		linger(conn);
}

void conn_part(struct conn *conn)
{
	worker_count(conn->worker, conn->gate, STAT_FAILED, 1);
	linger(conn);
}

void conn_linger_continue(struct conn *conn)
{
	struct worker *worker = conn->worker;
	ssize_t n = conn_receive(conn, &conn->tls_io, worker->wire, sizeof(worker->wire));

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_free(conn);
}

static void end_failed(struct conn *conn)
{
	worker_count(conn->worker, conn->gate, conn->in_handshake ? STAT_FAILED : STAT_BROKEN, 1);
	/* Also before the relay: a stream that never began is no empty one. */
	conn_reset_plain(conn);
	end_tls(conn);
}

/* In mode connect it is the server's fault, whom the client never sees. */
void conn_log_failure(const struct conn *conn, const char *what, const char *why)
{
	const bool connects = conn->gate->settings->mode == GATE_CONNECT && conn->member;
	char client[ADDR_TEXT_MAX], safe[LOG_WHY_MAX];

	worker_log_peer(conn->worker, info, "%s: client %s%s%s: %s: %s", conn->gate->settings->name,
			conn_client(conn, client), connects ? ", server " : "",
			connects ? conn_backend(conn) : "", what,
			escape(ESCAPE_PLAIN, safe, sizeof(safe), why, strlen(why)));
}

void conn_fail(struct conn *conn, const char *what, const char *why)
{
	account_reason(conn, "%s: %s", what, why);
	/* once relayed, peers reset all the time: no news */
	if (!(conn->state == CONN_RELAY || conn->state == CONN_PASS) || log_is_verbose())
		conn_log_failure(conn, what, why);
	end_failed(conn);
}

/* "alert X sent: what the peer sent or lacks", and what is wrong with its certificate. */
static void describe(const struct conn *conn, int err, char *out, size_t size)
{
	char reason[TLS_REASON_TEXT];
	struct tls_conn_info info;
	bool known = tls_conn_reason(conn->tls, err, reason);

	tls_conn_info(conn->tls, &info);
	snprintf(out, size, "%s%s%s%s%s%s", tls_strerror(err),
		 info.verify_error ? " (" : "", info.verify_error ? info.verify_error : "",
		 info.verify_error ? ")" : "", known ? ": " : "", known ? reason : "");
}

void conn_fail_engine(struct conn *conn, const char *what, int err)
{
	char why[TLS_REASON_TEXT + 256];

	describe(conn, err, why, sizeof(why));
	account_reason(conn, "%s: %s", what, why);
	/* and many never send close_notify */
	if (conn->state != CONN_RELAY || err != TLS_ERR_TRUNCATED || log_is_verbose())
		conn_log_failure(conn, what, why);
	end_failed(conn);
}

void conn_abort(struct conn *conn)
{
	conn_reset_plain(conn);
	if (conn->tls && tls_conn_established(conn->tls) && !conn->tls_shut)
		(void)tls_conn_abort(conn->tls, TLS_ALERT_INTERNAL_ERROR);
	end_tls(conn);
}

void conn_keep_session(struct conn *conn)
{
	if (conn->member->sessions && !conn->session_kept)
		conn->session_kept = sessions_keep(conn->member->sessions, conn->tls);
}
