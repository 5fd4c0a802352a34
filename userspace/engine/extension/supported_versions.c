// SPDX-License-Identifier: MIT
/* supported_versions, RFC 9846 section 4.3.1. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	return place != TLS_IN_CLIENT_HELLO || tls_config_has_version(conn->config, TLS_1_3);
}

static void write_versions(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	struct tls_vec list;

	if (place != TLS_IN_CLIENT_HELLO) {
		tls_put_u16(out, conn->version);
		return;
	}
	list = tls_put_open(out, 1);
	for (uint16_t v = TLS_1_3; v >= TLS_1_2; v--) {
		if (tls_config_has_version(conn->config, v))
			tls_put_u16(out, v);
	}
	tls_put_close(out, list);
}

static int read_versions(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader list;

	if (place != TLS_IN_CLIENT_HELLO)
		return tls_read_u16(body) == conn->version ? 0 : TLS_ALERT(ILLEGAL_PARAMETER);
	tls_read_vec8(body, &list);
	if (list.failed || !list.left || list.left % 2)
		return TLS_ALERT(DECODE_ERROR);
	conn->hs->offer.versions = tls_read_rest(&list);
	conn->hs->offer.has_versions = true;
	return 0;
}

const struct tls_ext tls_ext_supported_versions = {
	.type = TLS_EXT_SUPPORTED_VERSIONS,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO | TLS_IN_HELLO_RETRY,
	.due = due,
	.write = write_versions,
	.read = read_versions,
};
