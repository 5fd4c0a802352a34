// SPDX-License-Identifier: MIT
/* cookie, RFC 9846 section 4.3.2: a client echoes it, we as a server need none. */
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	return place == TLS_IN_CLIENT_HELLO && conn->hs->cookie.len;
}

static void write_cookie(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	struct tls_vec cookie = tls_put_open(out, 2);

	(void)place;
	tls_put_bytes(out, conn->hs->cookie.data, conn->hs->cookie.len);
	tls_put_close(out, cookie);
}

static int read_cookie(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader cookie;

	tls_read_vec16(body, &cookie);
	if (cookie.failed || !cookie.left)
		return TLS_ALERT(DECODE_ERROR);
	if (place != TLS_IN_HELLO_RETRY)
		return 0;
	tls_put_bytes(&conn->hs->cookie, cookie.p, cookie.left);
	return tls_buf_error(&conn->hs->cookie);
}

const struct tls_ext tls_ext_cookie = {
	.type = TLS_EXT_COOKIE,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_HELLO_RETRY,
	.due = due,
	.write = write_cookie,
	.read = read_cookie,
};
