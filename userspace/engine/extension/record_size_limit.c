// SPDX-License-Identifier: MIT
/* record_size_limit, RFC 8449: we take the most there is, and send what the peer takes. */
#include "choose.h"
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

#define MIN_LIMIT	64

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	(void)conn;
	(void)place;
	return true;
}

/* TLS 1.3 counts the content type, too; a client does not know the version yet. */
static bool counts_type(const struct tls_conn *conn, enum tls_ext_place place)
{
	if (place == TLS_IN_CLIENT_HELLO && conn->role == TLS_CLIENT)
		return tls_config_has_version(conn->config, TLS_1_3);
	return conn->version == TLS_1_3;
}

static void write_limit(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	tls_put_u16(out, TLS_MAX_PLAINTEXT + counts_type(conn, place));
}

/* Section 4: the peer's plaintext limit for what we send from now on. */
static void apply(struct tls_conn *conn, uint16_t limit)
{
	uint16_t max = limit - (conn->version == TLS_1_3);

	conn->tx.limit = max < TLS_MAX_PLAINTEXT ? max : TLS_MAX_PLAINTEXT;
}

void tls_apply_record_size(struct tls_conn *conn)
{
	uint16_t max_fragment = tls_max_fragment(conn->hs);

	if (conn->hs->offer.record_size) {
		apply(conn, conn->hs->offer.record_size);
	} else if (max_fragment) {
		/* RFC 6066 section 4: handshake messages in the clear, too */
		conn->tx.limit = max_fragment;
		conn->tx.limits_plaintext = true;
	}
}

static int read_limit(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	uint16_t limit = tls_read_u16(body);

	if (body->failed)
		return TLS_ALERT(DECODE_ERROR);
	if (limit < MIN_LIMIT)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	if (place == TLS_IN_CLIENT_HELLO)
		conn->hs->offer.record_size = limit;
	else
		apply(conn, limit);
	return 0;
}

const struct tls_ext tls_ext_record_size_limit = {
	.type = TLS_EXT_RECORD_SIZE_LIMIT,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_ENCRYPTED_EXTENSIONS,
	.due = due,
	.write = write_limit,
	.read = read_limit,
};
