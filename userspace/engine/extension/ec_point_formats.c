// SPDX-License-Identifier: MIT
/* ec_point_formats, RFC 8422 section 5.1.2: uncompressed is the only one there is. */
#include <string.h>

#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

#define UNCOMPRESSED	0

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	if (place == TLS_IN_CLIENT_HELLO)
		return tls_config_has_version(conn->config, TLS_1_2);
	return conn->suite->kx == TLS_KX_ECDHE;
}

static void write_formats(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	(void)conn;
	(void)place;
	tls_put_u8(out, 1);
	tls_put_u8(out, UNCOMPRESSED);
}

static int read_formats(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader list;
	struct tls_slice formats;

	tls_read_vec8(body, &list);
	formats = tls_read_rest(&list);
	if (list.failed || !formats.len)
		return TLS_ALERT(DECODE_ERROR);
	if (memchr(formats.p, UNCOMPRESSED, formats.len))
		return 0;
	/* A hello's is for TLS 1.2 alone, which is chosen after all have been read. */
	if (place != TLS_IN_CLIENT_HELLO)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	conn->hs->offer.compressed_points = true;
	return 0;
}

const struct tls_ext tls_ext_ec_point_formats = {
	.type = TLS_EXT_EC_POINT_FORMATS,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12,
	.due = due,
	.write = write_formats,
	.read = read_formats,
};
