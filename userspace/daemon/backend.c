// SPDX-License-Identifier: MIT
#include "daemon/backend.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "common/tcp.h"
#include "daemon/account.h"
#include "daemon/balance.h"
#include "daemon/conn.h"
#include "daemon/preface.h"
#include "daemon/proxy.h"
#include "daemon/route.h"

#define RETRY_MS	50	/* where nothing tells when it can be tried again */
#define UNTOLD_MAX	64
#define TELL_MS		5000	/* as often as backends are checked */
#define UNKNOWN		"its name is not resolved"

/* The side that we connect. */
static ev_io *backend_io(struct conn *conn)
{
	return conn->gate->settings->mode == GATE_SERVE ? &conn->plain_io : &conn->tls_io;
}

/* Whom the client connected to.  False: errno says why it is not known. */
static bool get_server(const struct conn *conn, struct sockaddr_in6 *server)
{
	socklen_t len = sizeof(*server);

	if (!conn->preface || !conn->preface->proxied)
		return !getsockname(conn->tls_io.fd, (struct sockaddr *)server, &len);
	*server = conn->preface->server;
	return true;
}

/* 0: it would be too long. */
static size_t make_proxy_header(const struct conn *conn, const struct sockaddr_in6 *server,
				uint8_t out[PROXY_HEADER_MAX])
{
	struct tls_conn_info info;

	if (conn->gate->settings->proxy_protocol == PROXY_VERSION_1)
		return proxy_line(&conn->client, server, (char *)out);
	tls_conn_info(conn->tls, &info);
	return proxy_header(&conn->client, server, &info, out);
}

/* Before any other byte, by whichever data path.  0, or -1: conn is gone. */
static int send_proxy_header(struct conn *conn)
{
	struct sockaddr_in6 server = {0};
	uint8_t *header = conn->worker->plain;
	size_t len;
	ssize_t n;

	if (!get_server(conn, &server)) {
		conn_fail(conn, "no PROXY header", strerror(errno));
		return -1;
	}
	len = make_proxy_header(conn, &server, header);
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

/* False: conn is gone. */
static bool is_reached(struct conn *conn)
{
	conn_deadline(conn, 0);
	balance_reached(conn->member);
	worker_count_time(conn->worker, conn->gate, STAT_CONNECT_TIME, conn->begun);
	/* what is passed is passed as it is */
	return !conn->gate->settings->proxy_protocol || conn->pass || !send_proxy_header(conn);
}

/*
 * One line each interval, not one a connection.  That checks find none up, the monitor says, for
 * all workers.
 */
static bool is_news(struct pool *pool)
{
	const uint64_t now = clock_ms();

	if (log_is_verbose())
		return true;
	if (pool_is_down(pool))
		return false;
	if (pool->told && now - pool->told < TELL_MS) {
		pool->untold++;
		return false;
	}
	pool->told = now;
	return true;
}

/* "", or how many more than the one of the line. */
static const char *count_untold(struct pool *pool, char text[UNTOLD_MAX])
{
	text[0] = '\0';
	if (pool->untold)
		snprintf(text, UNTOLD_MAX, ", as %" PRIu64 " more since the last line", pool->untold);
	pool->untold = 0;
	return text;
}

static void log_unreachable(const struct conn *conn, const char *why)
{
	char client[ADDR_TEXT_MAX], text[ADDR_TEXT_MAX] = "no address", more[UNTOLD_MAX];
	struct addr last;

	if (!is_news(conn->pool))
		return;
	if (conn->member && conn->address && places_get(conn->member->places, conn->address - 1u, &last))
		(void)addr_format(&last.sa, last.len, text);
	worker_log_peer(conn->worker, warn, "%s: client %s: backend %s (%s) cannot be reached: %s%s; connection closed%s",
			conn->gate->settings->name, conn_client(conn, client),
			conn->member ? conn->member->text : "none", text, why,
			conn->passed_count > 1 ? ", nor can the others" : "", count_untold(conn->pool, more));
}

static void unreachable(struct conn *conn, const char *why)
{
	worker_count(conn->worker, conn->gate, STAT_FAILED, 1);
	worker_count(conn->worker, conn->gate, STAT_NO_BACKEND, 1);
	log_unreachable(conn, why);
	account_reason(conn, "backend cannot be reached: %s", why);
	conn_abort(conn);
}

static void set_options(int fd, const struct gate_settings *set)
{
	const int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	tcp_keep_alive(fd, set->keepalive, set->keepalive_interval, set->keepalive_probes);
	if (set->user_timeout)
		tcp_user_timeout(fd, set->user_timeout);
}

/* On this host TCP is connected when connect() is back, although it says EINPROGRESS: a second connect() tells. */
int backend_connect(const struct gate *gate, const struct addr *addr, int *fd)
{
	*fd = socket(addr->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return errno;
	if (addr->sa.sa_family != AF_UNIX)
		set_options(*fd, gate->settings);
	if (!connect(*fd, &addr->sa, addr->len) ||
	    (errno == EINPROGRESS && addr_is_local(addr) && !connect(*fd, &addr->sa, addr->len)))
		return 0;
	return errno == EALREADY ? EINPROGRESS : errno;
}

/* Of connect-timeout, in ms; 0: it is over. */
static uint32_t time_left(const struct conn *conn)
{
	const uint64_t limit = conn->gate->settings->connect_timeout;
	const uint64_t used = clock_ms() - conn->tried;

	return used < limit ? (uint32_t)(limit - used) : 0;
}

/* For the address that is being tried: who does not answer leaves the others their time. */
static uint32_t time_share(const struct conn *conn)
{
	uint32_t attempts = (uint32_t)conn->pool->count - conn->passed_count, left = time_left(conn);
	struct addr unused;
	size_t i;

	if (!conn->gate->settings->connect_timeout)
		return 0;
	for (i = conn->address + 1u; places_get(conn->member->places, i, &unused); i++)
		attempts++;
	return left > attempts ? left / attempts : 1;
}

/* False: none is left. */
static bool next_member(struct conn *conn)
{
	struct member *member = balance_choose(conn->pool, (const struct sockaddr *)&conn->client,
					       &conn->passed);

	if (!member)
		return false;	/* the last one stays: a line in the log names it */
	conn_take_member(conn, member);
	conn->address = 0;
	return true;
}

static bool choose_first(struct conn *conn)
{
	conn->passed = (struct member_set){0};
	conn->passed_count = 0;
	conn->again = false;
	return next_member(conn);
}

/* With any member, in a moment; false: there was enough time for that. */
static bool start_over(struct conn *conn)
{
	if ((conn->gate->settings->connect_timeout && !time_left(conn)) || !choose_first(conn))
		return false;
	conn_deadline(conn, RETRY_MS);
	return true;
}

/* False: it was the last one. */
static bool pass_member(struct conn *conn)
{
	conn->again |= !conn->address;		/* a name not resolved yet */
	pool_add(&conn->passed, (size_t)(conn->member - conn->pool->members));
	conn->passed_count++;
	return next_member(conn);
}

/* The address to try now, of this member or of one after it.  False: there is none. */
static bool find_place(struct conn *conn, struct addr *addr)
{
	do {
		if (places_get(conn->member->places, conn->address, addr))
			return true;
	} while (pass_member(conn));
	return false;
}

/*
 * Tries the addresses from conn->address on.  Returns as backend_start() does.  A UNIX socket
 * with a full backlog gives EAGAIN.
 */
static bool connect_next(struct conn *conn, const char *why)
{
	ev_io *io = backend_io(conn);
	struct addr addr;
	int error;

	for (; find_place(conn, &addr); conn->address++) {
		error = backend_connect(conn->gate, &addr, &io->fd);
		if (!error)
			return is_reached(conn);
		if (error == EINPROGRESS) {
			conn_deadline(conn, time_share(conn));
			conn_watch(conn, io, EV_WRITE);
			return false;
		}
		conn_close_side(conn, io);
		if (error == EAGAIN)
			conn->again = true;
		else
			balance_failed(conn->pool, conn->member);
		why = strerror(error);
	}
	if (!conn->again || !start_over(conn))
		unreachable(conn, why);
	return false;
}

static bool connect_failed(struct conn *conn, const char *why)
{
	conn_close_side(conn, backend_io(conn));
	balance_failed(conn->pool, conn->member);
	conn->address++;
	return connect_next(conn, why);
}

/* By what the handshake agreed on, where there is a choice. */
static struct pool *pool_for(const struct conn *conn)
{
	struct tls_conn_info info;

	if (conn->gate->pool_count == 1)
		return conn->gate->pools;
	tls_conn_info(conn->tls, &info);
	return route_choose(conn->gate, info.server_name, info.alpn);
}

bool backend_start(struct conn *conn)
{
	conn->state = CONN_CONNECTING;
	conn->begun = clock_us();
	conn->tried = clock_ms();
	if (!conn->pass)
		conn->pool = pool_for(conn);
	if (choose_first(conn))
		return connect_next(conn, UNKNOWN);
	unreachable(conn, "all backends are drained");
	return false;
}

bool backend_continue(struct conn *conn, ev_io *io)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (io != backend_io(conn)) {
		conn_watch(conn, io, 0);
		return false;
	}
	if (getsockopt(io->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	return error ? connect_failed(conn, strerror(error)) : is_reached(conn);
}

bool backend_timer(struct conn *conn)
{
	if (backend_io(conn)->fd == -1)
		return connect_next(conn, UNKNOWN);
	return connect_failed(conn, strerror(ETIMEDOUT));
}
