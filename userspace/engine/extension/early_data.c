// SPDX-License-Identifier: MIT
/* early_data, RFC 9846 section 4.3.10: never offered, never accepted; a client's is skipped. */
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	(void)conn;
	(void)place;
	return false;
}

static void write_nothing(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	(void)conn;
	(void)place;
	(void)out;
}

static int read_early_data(struct tls_conn *conn, enum tls_ext_place place,
			   struct tls_reader *body)
{
	if (place == TLS_IN_NEW_SESSION_TICKET) {
		(void)tls_read_u32(body);
		return 0;
	}
	/* section 4.2.2: no early data after a HelloRetryRequest */
	if (conn->hello_retry)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	conn->hs->early_data = true;
	return 0;
}

const struct tls_ext tls_ext_early_data = {
	.type = TLS_EXT_EARLY_DATA,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_ENCRYPTED_EXTENSIONS | TLS_IN_NEW_SESSION_TICKET,
	.due = due,
	.write = write_nothing,
	.read = read_early_data,
};
