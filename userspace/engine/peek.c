// SPDX-License-Identifier: MIT
/* What a ClientHello asks for, without a connection: RFC 9846 sections 4.2.2 and 5.1. */
#include <string.h>

#include "extension/extension.h"
#include "message/message.h"
#include "record.h"

/* The next record's fragment, moved behind those before it. */
static int join_record(uint8_t *data, size_t len, size_t *in, size_t *joined, size_t *need)
{
	const uint8_t *header = data + *in;
	size_t fragment;

	if (*in < len && header[0] != TLS_RECORD_HANDSHAKE)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	*need = *in + TLS_RECORD_HEADER;
	if (*need > TLS_MAX_PEEK)
		return TLS_ALERT(DECODE_ERROR);
	if (len < *need)
		return TLS_ERR_AGAIN;
	fragment = (size_t)header[3] << 8 | header[4];
	if (header[1] != TLS_1_2 >> 8 || !fragment || fragment > TLS_MAX_PLAINTEXT)
		return TLS_ALERT(DECODE_ERROR);
	*need += fragment;
	if (*need > TLS_MAX_PEEK)
		return TLS_ALERT(DECODE_ERROR);
	if (len < *need)
		return TLS_ERR_AGAIN;
	memmove(data + *joined, header + TLS_RECORD_HEADER, fragment);
	*joined += fragment;
	*in = *need;
	return 0;
}

/* The message, whole, becomes the beginning of data. */
static int join(uint8_t *data, size_t len, struct tls_reader *body, size_t *need)
{
	size_t in = 0, joined = 0, left;
	struct tls_reader message;
	int err;

	for (;;) {
		err = join_record(data, len, &in, &joined, need);
		if (err)
			return err;
		if (joined < TLS_HANDSHAKE_HEADER)
			continue;
		tls_reader_init(&message, data, joined);
		if (tls_read_u8(&message) != TLS_MSG_CLIENT_HELLO)
			return TLS_ALERT(UNEXPECTED_MESSAGE);
		left = tls_read_u24(&message);
		if (left <= message.left) {
			tls_reader_init(body, message.p, left);
			return 0;
		}
	}
}

static int read_extensions(struct tls_reader extensions, struct tls_peek *out)
{
	struct tls_reader body;
	struct tls_slice alpn;
	int err;

	if (!tls_ext_is_sound(extensions))
		return TLS_ALERT(DECODE_ERROR);
	if (tls_ext_find(extensions, TLS_EXT_SERVER_NAME, &body)) {
		err = tls_read_server_name(&body, out->server_name);
		if (err || !tls_read_at_end(&body))
			return TLS_ALERT(DECODE_ERROR);
	}
	if (tls_ext_find(extensions, TLS_EXT_ALPN, &body)) {
		err = tls_read_protocols(&body, &alpn);
		if (err || !tls_read_at_end(&body))
			return TLS_ALERT(DECODE_ERROR);
		out->alpn = alpn.p;
		out->alpn_len = alpn.len;
	}
	return 0;
}

int tls_peek(uint8_t *data, size_t len, struct tls_peek *out, size_t *need)
{
	struct tls_reader body;
	struct tls_hello hello;
	int err;

	*out = (struct tls_peek){ 0 };
	err = join(data, len, &body, need);
	if (!err)
		err = tls_hello_read(&hello, &body);
	return err ? err : read_extensions(hello.extensions, out);
}

bool tls_peek_offers(const struct tls_peek *peek, const char *protocol, size_t len)
{
	struct tls_reader list, item;

	tls_reader_init(&list, peek->alpn, peek->alpn_len);
	while (tls_read_more(&list)) {
		tls_read_vec8(&list, &item);
		if (item.left == len && !memcmp(item.p, protocol, len))
			return true;
	}
	return false;
}
