// SPDX-License-Identifier: MIT
#include "daemon/opening.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/account.h"
#include "daemon/conn.h"
#include "daemon/starttls/starttls.h"

#define WHAT	"refused before TLS"
#define LEFT	"it left before TLS"
#define CLOSED	"it closed the connection before TLS"

struct fault {
	enum failure failure;
	const char *why;
};

/* 0: all; 1: the socket is full; -1: errno says. */
static int send_output(struct starttls *talk, int fd)
{
	const uint8_t *data;
	size_t len;
	ssize_t n;

	while ((data = starttls_output(talk, &len)), len) {
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -1;
		starttls_output_done(talk, (size_t)n);
	}
	return 0;
}

/*
 * Takes out of the socket what the talk used, and nothing beyond: that is TLS's.  It sees all that
 * has come, and so what was sent behind the start of TLS before our answer.
 */
static bool take_input(struct conn *conn, const ev_io *io, size_t len)
{
	uint8_t *data = conn->worker->wire;
	size_t used, all = 0;

	do {
		(void)starttls_input(conn->talk, data + all, len - all, &used);
		all += used;
	} while (used && all < len && starttls_result(conn->talk) == STARTTLS_MORE &&
		 !send_output(conn->talk, io->fd));
	return !all || conn_receive(conn, io, data, all) == (ssize_t)all;
}

/* 1: something came; 0: the side is watched; -1: *fault says why. */
static int receive(struct conn *conn, ev_io *io, struct fault *fault)
{
	struct worker *worker = conn->worker;
	const ssize_t n = recv(io->fd, worker->wire, sizeof(worker->wire), MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		conn_watch(conn, io, EV_READ);
		return 0;
	}
	if (n > 0 && take_input(conn, io, (size_t)n))
		return 1;
	*fault = n ? (struct fault){ FAILURE_NETWORK, conn_receive_error() } :
		     (struct fault){ FAILURE_PEER_CLOSED, CLOSED };
	return -1;
}

/* MORE: the side is watched.  BAD: *fault says why. */
static enum starttls_result go_on(struct conn *conn, ev_io *io, struct fault *fault)
{
	enum starttls_result result;
	int ret;

	do {
		result = starttls_result(conn->talk);
		*fault = (struct fault){ FAILURE_PROTOCOL_ERROR, starttls_why(conn->talk) };
		if (result == STARTTLS_BAD)
			return STARTTLS_BAD;
		ret = send_output(conn->talk, io->fd);
		if (ret < 0) {
			*fault = (struct fault){ FAILURE_NETWORK, strerror(errno) };
			return STARTTLS_BAD;
		}
		if (ret) {
			conn_watch(conn, io, EV_WRITE);
			return STARTTLS_MORE;
		}
		if (result != STARTTLS_MORE)
			return result;
		ret = receive(conn, io, fault);
	} while (ret > 0);
	return ret ? STARTTLS_BAD : STARTTLS_MORE;
}

static void end_talk(struct conn *conn)
{
	starttls_free(conn->talk);
	conn->talk = NULL;
}

/* ---- with the client of mode serve ---- */

bool opening_wanted(const struct conn *conn)
{
	return conn->gate->settings->starttls != STARTTLS_NONE;
}

/* It said goodbye, or was told why it must go. */
static enum preface_result leave(struct conn *conn, const struct fault *fault)
{
	account_reason(conn, "%s", *fault->why ? fault->why : LEFT);
	if (*fault->why) {
		worker_count(conn->worker, conn->gate, STAT_FAILURE + fault->failure, 1);
		conn_log_failure(conn, WHAT, fault->why);
	}
	conn_part(conn);
	return PREFACE_GONE;
}

enum preface_result opening_run(struct conn *conn)
{
	const struct gate *gate = conn->gate;
	struct fault fault;

	if (!conn->talk)
		conn->talk = starttls_new(gate->settings->starttls, STARTTLS_SERVER, gate->host);
	if (!conn->talk)
		return preface_fail(conn, FAILURE_INTERNAL, WHAT, "out of memory");
	switch (go_on(conn, &conn->tls_io, &fault)) {
	case STARTTLS_MORE:
		return PREFACE_WAIT;
	case STARTTLS_DONE:
		conn->preface->direct = starttls_is_direct(conn->talk);
		end_talk(conn);
		return PREFACE_DONE;
	case STARTTLS_END:
		return leave(conn, &fault);
	case STARTTLS_BAD:
		break;
	}
	return preface_fail(conn, fault.failure, WHAT, fault.why);
}

/* As PostgreSQL's own server: what means another protocol must not be taken for this one. */
bool opening_agrees(struct conn *conn)
{
	struct tls_conn_info info;

	if (!conn->preface || !conn->preface->direct)
		return true;
	tls_conn_info(conn->tls, &info);
	if (info.alpn && !strcmp(info.alpn, STARTTLS_ALPN))
		return true;
	(void)tls_conn_abort(conn->tls, TLS_ALERT_NO_APPLICATION_PROTOCOL);
	(void)preface_fail(conn, FAILURE_NO_COMMON_ALPN, "handshake failed",
			   "TLS without SSLRequest needs the ALPN protocol " STARTTLS_ALPN);
	return false;
}

/* ---- with the backend ---- */

static ev_io *backend_side(struct conn *conn)
{
	return conn->gate->settings->mode == GATE_SERVE ? &conn->plain_io : &conn->tls_io;
}

bool opening_backend_wanted(const struct conn *conn)
{
	const struct gate_settings *set = conn->gate->settings;

	return set->mode == GATE_SERVE ? starttls_server_begins(set->starttls) :
					 set->starttls != STARTTLS_NONE;
}

/* In mode connect the line names the server already. */
static void log_refusal(const struct conn *conn, const char *why)
{
	const bool serves = conn->gate->settings->mode == GATE_SERVE;
	char what[ADDR_HOST_MAX + 64];

	snprintf(what, sizeof(what), "backend %s%srefused", serves ? conn_backend(conn) : "", serves ? " " : "");
	conn_log_failure(conn, what, why);
}

static void give_up(struct conn *conn, const char *why)
{
	worker_count(conn->worker, conn->gate, STAT_NO_BACKEND, 1);
	worker_count(conn->worker, conn->gate, STAT_FAILED, 1);
	account_reason(conn, "backend refused before TLS: %s", why);
	log_refusal(conn, why);
	conn_abort(conn);
}

static bool backend_go_on(struct conn *conn)
{
	struct fault fault;

	switch (go_on(conn, backend_side(conn), &fault)) {
	case STARTTLS_MORE:
		return false;
	case STARTTLS_DONE:
		conn_deadline(conn, 0);
		return true;
	default:
		give_up(conn, fault.why);
		return false;
	}
}

bool opening_backend_start(struct conn *conn)
{
	const struct gate *gate = conn->gate;

	conn->state = CONN_OPENING;
	conn_deadline(conn, gate->settings->connect_timeout);
	conn->talk = starttls_new(gate->settings->starttls, gate->settings->mode == GATE_SERVE ?
				  STARTTLS_GREETING : STARTTLS_CLIENT, gate->host);
	if (conn->talk)
		return backend_go_on(conn);
	give_up(conn, "out of memory");
	return false;
}

bool opening_backend_continue(struct conn *conn, ev_io *io)
{
	if (io == backend_side(conn))
		return backend_go_on(conn);
	conn_watch(conn, io, 0);
	return false;
}

void opening_backend_timer(struct conn *conn)
{
	give_up(conn, strerror(ETIMEDOUT));
}

bool opening_greet(struct conn *conn)
{
	const uint8_t *data;
	size_t len;

	if (!conn->talk)
		return true;
	data = starttls_greeting(conn->talk, &len);
	if (len && send(conn->plain_io.fd, data, len, MSG_NOSIGNAL) != (ssize_t)len) {
		conn_fail(conn, WHAT, "the client does not take the greeting");
		return false;
	}
	end_talk(conn);
	return true;
}
