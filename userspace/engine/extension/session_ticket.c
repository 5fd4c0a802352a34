// SPDX-License-Identifier: MIT
/* session_ticket, RFC 5077 section 3.2: TLS 1.2. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	if (place == TLS_IN_CLIENT_HELLO)
		return tls_config_has_version(conn->config, TLS_1_2);
	return conn->hs->ticket_due;
}

/* A client's ticket, or the wish for one; a server's promise. */
static void write_ticket(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	const struct tls_session *session = &conn->hs->session;

	if (place == TLS_IN_CLIENT_HELLO && session->suite && session->suite->version == TLS_1_2)
		tls_put_bytes(out, session->ticket.data, session->ticket.len);
}

static int read_ticket(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	if (place == TLS_IN_CLIENT_HELLO)
		conn->hs->offer.ticket = tls_read_rest(body);
	else
		conn->hs->ticket_due = true;
	return 0;
}

const struct tls_ext tls_ext_session_ticket = {
	.type = TLS_EXT_SESSION_TICKET,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12,
	.due = due,
	.write = write_ticket,
	.read = read_ticket,
};
