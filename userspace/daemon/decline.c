// SPDX-License-Identifier: MIT
#include "daemon/decline.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/conn.h"
#include "daemon/starttls/starttls.h"

#define WHAT	"it ended before it said what it wants"
#define REQUESTS_MAX	2	/* GSSENCRequest and SSLRequest, as libpq asks */

bool decline_wanted(const struct conn *conn)
{
	const struct gate_settings *set = conn->gate->settings;

	return set->mode == GATE_CONNECT && set->starttls == STARTTLS_POSTGRESQL;
}

/* False: the client is gone. */
static bool say_no(struct conn *conn)
{
	uint8_t request[STARTTLS_REQUEST];

	return conn_receive(conn, &conn->plain_io, request, sizeof(request)) == sizeof(request) &&
	       send(conn->plain_io.fd, STARTTLS_NO, 1, MSG_NOSIGNAL) == 1;
}

/*
 * Whoever speaks this protocol writes so many bytes at once.  Less would have to be taken out of the
 * socket to wait for the rest, and is the server's if it is no request.
 */
enum preface_result decline_run(struct conn *conn)
{
	uint8_t first[STARTTLS_REQUEST];
	ssize_t n;

	while ((n = recv(conn->plain_io.fd, first, sizeof(first), MSG_PEEK)) == sizeof(first)) {
		if (!starttls_is_request(first)) {
			conn_watch(conn, &conn->plain_io, 0);
			return PREFACE_DONE;
		}
		if (++conn->preface->declined > REQUESTS_MAX)
			return preface_fail(conn, FAILURE_PROTOCOL_ERROR, WHAT,
					    "it asked for encryption again, and was told that there is none");
		if (!say_no(conn))
			return preface_fail(conn, FAILURE_NETWORK, WHAT, strerror(errno));
	}
	if (n > 0)
		return preface_fail(conn, FAILURE_PROTOCOL_ERROR, WHAT, "it sent a part of a message");
	if (!n)
		return preface_fail(conn, FAILURE_PEER_CLOSED, WHAT, "the client closed the connection");
	if (errno != EAGAIN && errno != EINTR)
		return preface_fail(conn, FAILURE_NETWORK, WHAT, strerror(errno));
	conn_watch(conn, &conn->plain_io, EV_READ);
	return PREFACE_WAIT;
}
