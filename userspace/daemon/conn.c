// SPDX-License-Identifier: MIT
#include "daemon/conn.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/handshake.h"
#include "daemon/install.h"
#include "daemon/proxy.h"
#include "daemon/userpath.h"

#define LINGER_MS	2000

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
		conn->active = ev_now(conn->worker->loop);
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

static void close_side(struct conn *conn, ev_io *io)
{
	ev_io_stop(conn->worker->loop, io);
	if (io->fd != -1)
		close(io->fd);
	io->fd = -1;
}

/* The plain peer must not take what it got for the whole. */
static void reset_plain(struct conn *conn)
{
	const struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (conn->plain_io.fd != -1)
		(void)setsockopt(conn->plain_io.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_side(conn, &conn->plain_io);
}

static void leave_handshake(struct conn *conn)
{
	if (!conn->in_handshake)
		return;
	conn->in_handshake = false;
	TAILQ_REMOVE(&conn->worker->handshaking, conn, handshaking);
	conn->worker->handshakes--;
}

static void log_established(const struct conn *conn, const char *path)
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

static void stays_here(struct conn *conn)
{
	conn->worker->counters.user++;
	if (log_is_verbose())
		log_established(conn, "user");
}

/* It ends before the kernel took it. */
static void ends_here(struct conn *conn)
{
	if (!conn->hands_over)
		return;
	conn->hands_over = false;
	stays_here(conn);
}

void conn_free(struct conn *conn)
{
	struct worker *worker = conn->worker;

	ends_here(conn);
	leave_handshake(conn);
	keyclient_forget(&worker->keys, conn);
	ev_timer_stop(worker->loop, &conn->timer);
	close_side(conn, &conn->tls_io);
	close_side(conn, &conn->plain_io);
	tls_conn_free(conn->tls);
	if (conn->held)
		tls_wipe(conn->held, conn->held_len);
	free(conn->held);
	*conn->link = conn->next;
	if (conn->next)
		conn->next->link = conn->link;
	free(conn);
	worker_conn_gone(worker);
}

/*
 * Closing while received bytes lie unread would make TCP send a reset, which
 * may overtake the alert: so only our direction is closed, and the rest read
 * until the peer's FIN or a short deadline.
 */
static void linger(struct conn *conn)
{
	keyclient_forget(&conn->worker->keys, conn);
	close_side(conn, &conn->plain_io);
	if (conn->tls_io.fd == -1 || !conn->tls || conn_flush_with_next(conn) ||
	    shutdown(conn->tls_io.fd, SHUT_WR)) {
		conn_free(conn);
		return;
	}
	leave_handshake(conn);
	ends_here(conn);
	conn->state = CONN_LINGER;
	conn_deadline(conn, LINGER_MS);
	conn_watch(conn, &conn->tls_io, EV_READ);
}

static void linger_continue(struct conn *conn)
{
	struct worker *worker = conn->worker;
	ssize_t n = recv(conn->tls_io.fd, worker->wire, sizeof(worker->wire), 0);

	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		conn_free(conn);
}

static void end_failed(struct conn *conn)
{
	conn->worker->counters.failed++;
	/* Also before the relay: a stream that never began is no empty one. */
	reset_plain(conn);
	linger(conn);
}

static void log_failure(const struct conn *conn, const char *what, const char *why)
{
	char client[ADDR_TEXT_MAX];

	worker_log_peer(conn->worker, "%s: client %s: %s: %s", conn->gate->settings->name,
			conn_client(conn, client), what, why);
}

void conn_fail(struct conn *conn, const char *what, const char *why)
{
	/* once relayed, peers reset all the time: no news */
	if (conn->state != CONN_RELAY || log_is_verbose())
		log_failure(conn, what, why);
	end_failed(conn);
}

void conn_fail_engine(struct conn *conn, const char *what, int err)
{
	struct tls_conn_info info;
	char why[256];

	tls_conn_info(conn->tls, &info);
	snprintf(why, sizeof(why), "%s%s%s%s", tls_strerror(err), info.verify_error ? " (" : "",
		 info.verify_error ? info.verify_error : "", info.verify_error ? ")" : "");
	/* and many never send close_notify */
	if (conn->state != CONN_RELAY || err != TLS_ERR_TRUNCATED || log_is_verbose())
		log_failure(conn, what, why);
	end_failed(conn);
}

void conn_abort(struct conn *conn)
{
	reset_plain(conn);
	if (conn->tls && tls_conn_established(conn->tls) && !conn->tls_shut)
		(void)tls_conn_abort(conn->tls, TLS_ALERT_INTERNAL_ERROR);
	linger(conn);
}

/* Never silent: what the kernel refused is said and counted. */
static void log_refusal(struct conn *conn, const char *why, bool goes_on)
{
	struct worker *worker = conn->worker;
	char client[ADDR_TEXT_MAX];

	worker->counters.refused++;
	worker_log_peer(worker, "%s: client %s: the kernel refused the session: %s; %s (%llu so far)",
			conn->gate->settings->name, conn_client(conn, client), why,
			goes_on ? "data path: user for this connection" : "connection closed",
			(unsigned long long)worker->counters.refused);
}

bool conn_hand_over(struct conn *conn)
{
	enum install_result result;
	const char *why;
	char path[48];
	bool goes_on;
	uint32_t id;

	result = install_session(conn, &id, &why);
	conn->hands_over = result == INSTALL_LATER;
	if (result == INSTALL_LATER)
		return false;
	if (result == INSTALL_DONE) {
		conn->worker->counters.kernel++;
		snprintf(path, sizeof(path), "kernel, session %u", id);
		if (log_is_verbose())
			log_established(conn, path);
		conn_free(conn);
		return true;
	}
	goes_on = result == INSTALL_REFUSED && conn->gate->adaptive;
	log_refusal(conn, why, goes_on);
	if (goes_on) {
		stays_here(conn);
		return false;
	}
	if (result == INSTALL_BROKEN) {
		/* a client that was reset meanwhile, say: its stream is no empty one */
		reset_plain(conn);
		conn_free(conn);	/* the kernel ends it: no byte of ours may go in between */
	} else {
		conn_abort(conn);
	}
	return true;
}

void conn_keep_session(struct conn *conn)
{
	if (conn->gate->sessions && !conn->session_kept)
		conn->session_kept = sessions_keep(conn->gate->sessions, conn->tls);
}

/* Only what is relayed here sees the tickets of TLS 1.3: the kernel has no use for them. */
static bool waits_for_session(const struct conn *conn)
{
	struct tls_conn_info info;

	tls_conn_info(conn->tls, &info);
	return conn->gate->sessions && !conn->session_kept && info.version == TLS_1_3 &&
	       sessions_worth_waiting(conn->gate->sessions);
}

static void start_relay(struct conn *conn)
{
	leave_handshake(conn);
	conn_keep_session(conn);
	conn->hands_over = conn->gate->kernel;
	conn->on_trial = conn->hands_over && conn->gate->adaptive;
	conn->waits = conn->hands_over && waits_for_session(conn);
	if (!conn->hands_over)
		stays_here(conn);
	else if (!conn->on_trial && !conn->waits && conn_hand_over(conn))
		return;
	userpath_start(conn);
}

/* The side that we connect. */
static ev_io *backend_io(struct conn *conn)
{
	return conn->gate->settings->mode == GATE_SERVE ? &conn->plain_io : &conn->tls_io;
}

/* Before any other byte, by whichever data path.  0, or -1: conn is gone. */
static int send_proxy_header(struct conn *conn)
{
	struct sockaddr_in6 server = {0};
	socklen_t server_len = sizeof(server);
	uint8_t *header = conn->worker->plain;
	struct tls_conn_info info;
	size_t len;
	ssize_t n;

	tls_conn_info(conn->tls, &info);
	if (getsockname(conn->tls_io.fd, (struct sockaddr *)&server, &server_len)) {
		conn_fail(conn, "no PROXY header", strerror(errno));
		return -1;
	}
	len = proxy_header(&conn->client, &server, &info, header);
	if (!len) {
		conn_fail(conn, "no PROXY header", "the client's certificate is too long for it");
		return -1;
	}
	n = send(conn->plain_io.fd, header, len, MSG_NOSIGNAL);
	if (n == (ssize_t)len)
		return 0;
	conn_fail(conn, "no PROXY header", n < 0 ? strerror(errno) : "the backend does not take it");
	return -1;
}

static void backend_connected(struct conn *conn)
{
	if (conn->gate->settings->mode == GATE_CONNECT)
		handshake_start(conn);
	else if (!conn->gate->settings->proxy_protocol || !send_proxy_header(conn))
		start_relay(conn);
}

static void backend_unreachable(struct conn *conn, int error)
{
	const struct addr *last = &conn->gate->backends[conn->gate->backend_count - 1];
	char client[ADDR_TEXT_MAX], backend[ADDR_TEXT_MAX];
	struct worker *worker = conn->worker;

	worker->counters.failed++;
	worker_log_peer(worker, "%s: client %s: backend %s (%s) cannot be reached: %s; connection closed",
			conn->gate->settings->name, conn_client(conn, client),
			conn->gate->settings->backend, addr_format(&last->sa, last->len, backend),
			strerror(error));
	conn_abort(conn);
}

/*
 * Starts to connect.  0, EINPROGRESS or what went wrong.  On this host, TCP is
 * through before the first call is back: the second one says so.
 */
static int connect_one(struct conn *conn, ev_io *io)
{
	const struct addr *addr = &conn->gate->backends[conn->backend];
	const int on = 1;
	int fd;

	fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	io->fd = fd;
	if (addr->sa.sa_family != AF_UNIX)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (!connect(fd, &addr->sa, addr->len) ||
	    (errno == EINPROGRESS && addr_is_local(addr) && !connect(fd, &addr->sa, addr->len)))
		return 0;
	return errno == EALREADY ? EINPROGRESS : errno;
}

/* Goes through the addresses from conn->backend on. */
static void connect_next(struct conn *conn, int error)
{
	ev_io *io = backend_io(conn);

	for (; conn->backend < conn->gate->backend_count; conn->backend++) {
		error = connect_one(conn, io);
		if (!error) {
			conn_deadline(conn, 0);
			backend_connected(conn);
			return;
		}
		if (error == EINPROGRESS) {
			conn_deadline(conn, conn->gate->settings->connect_timeout);
			conn_watch(conn, io, EV_WRITE);
			return;
		}
		close_side(conn, io);
	}
	backend_unreachable(conn, error);
}

static void connect_failed(struct conn *conn, int error)
{
	close_side(conn, backend_io(conn));
	conn->backend++;
	connect_next(conn, error);
}

static void connect_continue(struct conn *conn)
{
	ev_io *io = backend_io(conn);
	socklen_t len = sizeof(int);
	int error = 0;

	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	if (error) {
		connect_failed(conn, error);
		return;
	}
	conn_deadline(conn, 0);
	backend_connected(conn);
}

static void start_connect(struct conn *conn)
{
	conn->state = CONN_CONNECTING;
	connect_next(conn, 0);
}

void conn_established(struct conn *conn)
{
	if (conn->gate->settings->mode == GATE_SERVE) {
		start_connect(conn);
		return;
	}
	conn_deadline(conn, 0);
	start_relay(conn);
}

static void on_io(struct ev_loop *loop, ev_io *io, int events)
{
	struct conn *conn = io->data;

	(void)loop;
	switch (conn->state) {
	case CONN_CONNECTING:
		if (io == backend_io(conn))
			connect_continue(conn);
		else
			conn_watch(conn, io, 0);
		break;
	case CONN_HANDSHAKE:
		handshake_continue(conn);
		break;
	case CONN_RELAY:
		userpath_continue(conn, io, events);
		break;
	case CONN_LINGER:
		linger_continue(conn);
		break;
	}
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct conn *conn = timer->data;

	(void)loop;
	(void)events;
	switch (conn->state) {
	case CONN_CONNECTING:
		connect_failed(conn, ETIMEDOUT);
		break;
	case CONN_HANDSHAKE:
		conn_fail(conn, "handshake failed", "not complete at its deadline");
		break;
	case CONN_RELAY:
		userpath_timer(conn);
		break;
	case CONN_LINGER:
		conn_free(conn);
		break;
	}
}

static struct conn *conn_new(struct worker *worker, const struct gate *gate)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->worker = worker;
	conn->gate = gate;
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
	return conn;
}

/*
 * Who opens connections and says nothing fills the table first: the oldest
 * has had the most time, so that an honest client still gets through.
 */
static void evict_oldest(struct worker *worker)
{
	struct conn *oldest = TAILQ_FIRST(&worker->handshaking);

	worker->counters.failed++;
	log_failure(oldest, "handshake given up", "too many others came since");
	conn_free(oldest);
}

void conn_accept(struct worker *worker, const struct gate *gate, int fd,
		 const struct sockaddr *client, socklen_t len)
{
	struct conn *conn;

	if (worker->handshakes >= WORKER_MAX_HANDSHAKES)
		evict_oldest(worker);
	conn = conn_new(worker, gate);
	if (!conn) {
		worker_log_peer(worker, "%s: connection refused: out of memory", gate->settings->name);
		close(fd);
		return;
	}
	memcpy(&conn->client, client, len < sizeof(conn->client) ? len : sizeof(conn->client));
	if (gate->settings->mode == GATE_SERVE) {
		conn->tls_io.fd = fd;
		handshake_start(conn);
	} else {
		conn->plain_io.fd = fd;
		start_connect(conn);
	}
}
