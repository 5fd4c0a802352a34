// SPDX-License-Identifier: MIT
/* server_name, RFC 6066 section 3. */
#include <string.h>

#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

#define NAME_TYPE_HOST	0

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	if (place != TLS_IN_CLIENT_HELLO)
		return conn->hs->server_name_known;
	return conn->server_name[0] && !tls_name_is_address(conn->server_name);
}

static void write_name(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	struct tls_vec list, name;

	if (place != TLS_IN_CLIENT_HELLO)
		return;
	list = tls_put_open(out, 2);
	tls_put_u8(out, NAME_TYPE_HOST);
	name = tls_put_open(out, 2);
	tls_put_bytes(out, conn->server_name, strlen(conn->server_name));
	tls_put_close(out, name);
	tls_put_close(out, list);
}

int tls_read_server_name(struct tls_reader *body, char out[TLS_MAX_SERVER_NAME + 1])
{
	struct tls_reader list, name;
	uint8_t type;
	size_t len;

	tls_read_vec16(body, &list);
	type = tls_read_u8(&list);
	tls_read_vec16(&list, &name);
	len = name.left;
	if (!tls_read_at_end(&list) || type != NAME_TYPE_HOST || len == 0 ||
	    len > TLS_MAX_SERVER_NAME || memchr(name.p, 0, len))
		return TLS_ALERT(DECODE_ERROR);
	tls_read_copy(&name, out, len);
	out[len] = '\0';
	/* What names no host selects nothing, and is shown to nobody. */
	if (!tls_is_dns_name(out))
		out[0] = '\0';
	return 0;
}

static int read_name(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	return place == TLS_IN_CLIENT_HELLO ? tls_read_server_name(body, conn->server_name) : 0;
}

const struct tls_ext tls_ext_server_name = {
	.type = TLS_EXT_SERVER_NAME,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_ENCRYPTED_EXTENSIONS,
	.due = due,
	.write = write_name,
	.read = read_name,
};
