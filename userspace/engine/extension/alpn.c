// SPDX-License-Identifier: MIT
/* application_layer_protocol_negotiation, RFC 7301. */
#include <string.h>

#include "choose.h"
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	return place == TLS_IN_CLIENT_HELLO ? conn->config->alpn.len > 0 : conn->alpn[0] != 0;
}

static void write_protocols(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	struct tls_vec list = tls_put_open(out, 2), name;

	if (place == TLS_IN_CLIENT_HELLO) {
		tls_put_bytes(out, conn->config->alpn.data, conn->config->alpn.len);
	} else {
		name = tls_put_open(out, 1);
		tls_put_bytes(out, conn->alpn, strlen(conn->alpn));
		tls_put_close(out, name);
	}
	tls_put_close(out, list);
}

/* Is this name in the list (on the wire's form, well-formed)? */
static bool list_has(struct tls_slice list, struct tls_slice name)
{
	struct tls_reader r, item;

	tls_reader_init(&r, list.p, list.len);
	while (tls_read_more(&r)) {
		tls_read_vec8(&r, &item);
		if (item.left == name.len && !memcmp(item.p, name.p, name.len))
			return true;
	}
	return false;
}

static void take(struct tls_conn *conn, struct tls_slice name)
{
	memcpy(conn->alpn, name.p, name.len);
	conn->alpn[name.len] = '\0';
}

int tls_choose_alpn(struct tls_conn *conn)
{
	const struct tls_buf *ours = &conn->config->alpn;
	struct tls_reader r, item;

	if (!ours->len || !conn->hs->offer.has_alpn)
		return 0;
	tls_reader_init(&r, ours->data, ours->len);
	while (tls_read_more(&r)) {
		struct tls_slice name;

		tls_read_vec8(&r, &item);
		name = tls_read_rest(&item);
		if (list_has(conn->hs->offer.alpn, name)) {
			take(conn, name);
			return 0;
		}
	}
	tls_refuse_protocols(conn, conn->hs->offer.alpn);
	return tls_refuse(conn, TLS_REASON_ALPN, TLS_ALERT(NO_APPLICATION_PROTOCOL));
}

static int read_answer(struct tls_conn *conn, struct tls_reader *list)
{
	struct tls_slice ours = { conn->config->alpn.data, conn->config->alpn.len }, name;
	struct tls_reader item;

	tls_read_vec8(list, &item);
	name = tls_read_rest(&item);
	if (!tls_read_at_end(list) || !name.len)
		return TLS_ALERT(DECODE_ERROR);
	if (!list_has(ours, name))
		return TLS_ALERT(ILLEGAL_PARAMETER);
	take(conn, name);
	return 0;
}

int tls_read_protocols(struct tls_reader *body, struct tls_slice *out)
{
	struct tls_reader list, item;

	tls_read_vec16(body, &list);
	*out = (struct tls_slice){ list.p, list.left };
	if (list.failed || !list.left)
		return TLS_ALERT(DECODE_ERROR);
	while (tls_read_more(&list)) {
		tls_read_vec8(&list, &item);
		if (!item.left)
			return TLS_ALERT(DECODE_ERROR);
	}
	return list.failed ? TLS_ALERT(DECODE_ERROR) : 0;
}

static int read_protocols(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader list;

	if (place == TLS_IN_CLIENT_HELLO) {
		conn->hs->offer.has_alpn = true;
		return tls_read_protocols(body, &conn->hs->offer.alpn);
	}
	tls_read_vec16(body, &list);
	return read_answer(conn, &list);
}

const struct tls_ext tls_ext_alpn = {
	.type = TLS_EXT_ALPN,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_ENCRYPTED_EXTENSIONS,
	.due = due,
	.write = write_protocols,
	.read = read_protocols,
};
