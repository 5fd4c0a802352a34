// SPDX-License-Identifier: MIT
#include "daemon/accept_proxy.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/conn.h"
#include "daemon/limits.h"
#include "daemon/proxy.h"
#include "daemon/proxy_parse.h"

#define WHAT	"PROXY header refused"

_Static_assert(PROXY_PARSE_MAX >= PROXY_HEADER_MAX, "gates can be chained");
_Static_assert(PROXY_PARSE_MAX <= WORKER_BUFFER, "the longest one fits into worker->wire");

bool accept_proxy_wanted(const struct conn *conn)
{
	const struct gate *gate = conn->gate;
	size_t i;

	for (i = 0; i < gate->proxy_count; i++)
		if (cidr_has(&gate->proxies[i], (const struct sockaddr *)&conn->client))
			return true;
	return false;
}

/* All that has come belongs to the header.  Left in the socket, it would be reported again and again. */
static enum preface_result hold(struct conn *conn, size_t len)
{
	struct preface *preface = conn->preface;
	uint8_t *held = realloc(preface->held, preface->held_len + len);

	if (!held)
		return preface_fail(conn, FAILURE_INTERNAL, WHAT, "out of memory");
	preface->held = held;
	if (!preface_take(conn, held + preface->held_len, len))
		return PREFACE_GONE;
	preface->held_len += len;
	conn_watch(conn, &conn->tls_io, EV_READ);
	return PREFACE_WAIT;
}

static void believe(struct conn *conn, const struct proxy_ends *ends)
{
	struct preface *preface = conn->preface;

	if (!ends->known)
		return;
	preface->proxied = true;
	preface->proxy = conn->client;
	preface->server = ends->server;
	conn->client = ends->client;
}

enum preface_result accept_proxy_run(struct conn *conn)
{
	const size_t held = conn->preface->held_len;
	uint8_t *data = conn->worker->wire;
	struct proxy_ends ends;
	const char *why;
	ssize_t n;
	long len;

	conn->preface->by_proxy = true;
	if (held)
		memcpy(data, conn->preface->held, held);
	n = preface_peek(conn, data + held, PROXY_PARSE_MAX - held);
	if (n <= 0)
		return n ? PREFACE_GONE : PREFACE_WAIT;
	len = proxy_parse(data, held + (size_t)n, &ends, &why);
	if (len < 0)
		return preface_fail(conn, FAILURE_PROXY_HEADER, WHAT, why);
	if (!len)
		return hold(conn, (size_t)n);
	if (!preface_take(conn, data, (size_t)len - held))
		return PREFACE_GONE;
	believe(conn, &ends);
	return !ends.known || limits_admit(conn) ? PREFACE_DONE : PREFACE_GONE;
}
