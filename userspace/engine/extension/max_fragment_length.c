// SPDX-License-Identifier: MIT
/* max_fragment_length, RFC 6066 section 4: what a small client takes in a record. Never asked for. */
#include "choose.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

/* 1 to 4 are 2^9 to 2^12 bytes. */
#define MAX_CODE	4
#define CODE_0_SHIFT	8

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	return place != TLS_IN_CLIENT_HELLO && conn->hs->max_fragment;
}

static void write_code(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	(void)place;
	tls_put_u8(out, conn->hs->max_fragment);
}

static int read_code(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	uint8_t code = tls_read_u8(body);

	(void)place;
	if (body->failed)
		return TLS_ALERT(DECODE_ERROR);
	if (code < 1 || code > MAX_CODE)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	/* RFC 8449 section 5: not beside record_size_limit, which has been read before */
	if (!conn->hs->offer.record_size)
		conn->hs->max_fragment = code;
	return 0;
}

uint16_t tls_max_fragment(const struct tls_handshake *hs)
{
	return hs->max_fragment ? (uint16_t)(1 << (CODE_0_SHIFT + hs->max_fragment)) : 0;
}

const struct tls_ext tls_ext_max_fragment_length = {
	.type = TLS_EXT_MAX_FRAGMENT_LENGTH,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_ENCRYPTED_EXTENSIONS,
	.due = due,
	.write = write_code,
	.read = read_code,
};
