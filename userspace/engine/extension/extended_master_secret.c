// SPDX-License-Identifier: MIT
/* extended_master_secret, RFC 7627. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	if (place == TLS_IN_CLIENT_HELLO)
		return tls_config_has_version(conn->config, TLS_1_2);
	return conn->extended_master_secret;
}

static void write_empty(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	(void)conn;
	(void)place;
	(void)out;
}

static int read_ems(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	(void)body;
	if (place == TLS_IN_CLIENT_HELLO)
		conn->hs->offer.extended_master_secret = true;
	else
		conn->extended_master_secret = true;
	return 0;
}

const struct tls_ext tls_ext_extended_master_secret = {
	.type = TLS_EXT_EXTENDED_MASTER_SECRET,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12,
	.due = due,
	.write = write_empty,
	.read = read_ems,
};
