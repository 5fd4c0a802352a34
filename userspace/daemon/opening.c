// SPDX-License-Identifier: MIT
#include "daemon/opening.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/account.h"
#include "daemon/conn.h"
#include "daemon/speak.h"

#define WHAT	"refused before TLS"
#define LEFT	"it left before TLS"

static ev_io *backend_side(struct conn *conn)
{
	return conn->gate->settings->mode == GATE_SERVE ? &conn->plain_io : &conn->tls_io;
}

/* MORE: the side is watched.  Else as speak(). */
static enum starttls_result go_on(struct conn *conn, ev_io *io, struct speak_fault *fault)
{
	struct worker *worker = conn->worker;
	enum starttls_result result;
	int events;

	result = speak(conn->talk, io->fd, conn_is_unix(conn, io), worker->wire, sizeof(worker->wire), &events,
		       fault);
	if (result == STARTTLS_MORE)
		conn_watch(conn, io, events);
	return result;
}

static void end_talk(struct conn *conn)
{
	starttls_free(conn->talk);
	conn->talk = NULL;
}

/* ---- with the client of mode serve ---- */

bool opening_wanted(const struct conn *conn)
{
	const struct gate_settings *set = conn->gate->settings;

	return set->mode == GATE_SERVE && set->starttls != STARTTLS_NONE;
}

/* It said goodbye, or was told why it must go. */
static enum preface_result leave(struct conn *conn, const struct speak_fault *fault)
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
	struct speak_fault fault;

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
	struct speak_fault fault;

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
