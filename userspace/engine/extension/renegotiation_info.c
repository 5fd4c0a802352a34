// SPDX-License-Identifier: MIT
/* renegotiation_info, RFC 5746: always the empty one, as we never renegotiate. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	return place != TLS_IN_CLIENT_HELLO || tls_config_has_version(conn->config, TLS_1_2);
}

static void write_info(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	(void)conn;
	(void)place;
	tls_put_u8(out, 0);
}

static int read_info(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader info;

	(void)conn;
	(void)place;
	tls_read_vec8(body, &info);
	if (info.failed)
		return TLS_ALERT(DECODE_ERROR);
	/* sections 3.4 and 3.6: this is no renegotiation */
	return info.left ? TLS_ALERT(HANDSHAKE_FAILURE) : 0;
}

const struct tls_ext tls_ext_renegotiation_info = {
	.type = TLS_EXT_RENEGOTIATION_INFO,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12,
	.due = due,
	.write = write_info,
	.read = read_info,
};
