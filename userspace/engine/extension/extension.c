// SPDX-License-Identifier: MIT
/* The registry of extensions. */
#include <string.h>

#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

/* In the order in which they are read: some need what others said. */
static const struct tls_ext *const registry[] = {
	&tls_ext_supported_versions,
	&tls_ext_server_name,
	&tls_ext_extended_master_secret,
	&tls_ext_renegotiation_info,
	&tls_ext_supported_groups,
	&tls_ext_ec_point_formats,
	&tls_ext_signature_algorithms,
	&tls_ext_signature_algorithms_cert,
	&tls_ext_certificate_authorities,
	&tls_ext_alpn,
	&tls_ext_status_request,
	&tls_ext_signed_certificate_timestamp,
	&tls_ext_cookie,
	&tls_ext_early_data,
	&tls_ext_key_share,
	&tls_ext_session_ticket,
	&tls_ext_record_size_limit,
	&tls_ext_max_fragment_length,
	&tls_ext_psk_key_exchange_modes,
	&tls_ext_pre_shared_key,	/* has to be written last */
};

#define EXT_COUNT	(sizeof(registry) / sizeof(*registry))

/* Types met in a block: one bit each, so that a hostile block costs no more than another. */
struct type_set {
	uint8_t bits[0x10000 / 8];
};

static bool type_set_add(struct type_set *set, uint16_t type)
{
	uint8_t bit = 1u << (type & 7);
	bool fresh = !(set->bits[type >> 3] & bit);

	set->bits[type >> 3] |= bit;
	return fresh;
}

/* EXT_COUNT: not ours. */
static size_t find_row(uint16_t type)
{
	size_t i = 0;

	while (i < EXT_COUNT && registry[i]->type != type)
		i++;
	return i;
}

/* Blocks that answer: they hold nothing that was not asked for. */
static bool is_answer(enum tls_ext_place place)
{
	return place & (TLS_IN_SERVER_HELLO12 | TLS_IN_SERVER_HELLO | TLS_IN_HELLO_RETRY |
			TLS_IN_ENCRYPTED_EXTENSIONS | TLS_IN_CERTIFICATE);
}

/* Server and HelloRetryRequest: only what the client sent may be answered. */
static bool may_write(const struct tls_conn *conn, size_t row, enum tls_ext_place place)
{
	if (!(registry[row]->places & place))
		return false;
	if (is_answer(place) && !(conn->hs->ext_seen & 1u << row))
		return false;
	return registry[row]->due(conn, place);
}

void tls_ext_write(struct tls_conn *conn, enum tls_ext_place place, bool optional,
		   struct tls_buf *out)
{
	size_t start = out->len;
	struct tls_vec block = tls_put_open(out, 2);
	uint32_t sent = 0;

	for (size_t i = 0; i < EXT_COUNT; i++) {
		struct tls_vec body;

		if (!may_write(conn, i, place))
			continue;
		tls_put_u16(out, registry[i]->type);
		body = tls_put_open(out, 2);
		registry[i]->write(conn, place, out);
		tls_put_close(out, body);
		sent |= 1u << i;
	}
	tls_put_close(out, block);
	if (optional && !sent)
		tls_buf_truncate(out, start);
	if (place == TLS_IN_CLIENT_HELLO)
		conn->hs->ext_sent = sent;
}

static int check_place(const struct tls_conn *conn, size_t row, enum tls_ext_place place)
{
	if (row == EXT_COUNT)
		return is_answer(place) ? TLS_ALERT(UNSUPPORTED_EXTENSION) : 0;
	if (!(registry[row]->places & place))
		return TLS_ALERT(ILLEGAL_PARAMETER);
	/* RFC 9846 section 4.3: a cookie is the one answer to no question */
	if (is_answer(place) && !(conn->hs->ext_sent & 1u << row) &&
	    registry[row]->type != TLS_EXT_COOKIE)
		return TLS_ALERT(UNSUPPORTED_EXTENSION);
	return 0;
}

/* No RFC names the alert for a type met twice; these are BoringSSL's. */
static int twice(enum tls_ext_place place)
{
	return place & (TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_ENCRYPTED_EXTENSIONS) ?
	       TLS_ALERT(DECODE_ERROR) : TLS_ALERT(ILLEGAL_PARAMETER);
}

/* A block that cannot be parsed is that first, whatever else may be wrong with it. */
static int collect(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *block,
		   struct tls_reader bodies[EXT_COUNT], uint32_t *seen)
{
	bool last = false;
	struct type_set met;
	int err = 0;

	memset(&met, 0, sizeof(met));
	while (tls_read_more(block)) {
		uint16_t type = tls_read_u16(block);
		size_t row = find_row(type);
		struct tls_reader body;

		tls_read_vec16(block, &body);
		if (block->failed)
			break;
		if (!type_set_add(&met, type))
			return twice(place);
		if (last)
			return TLS_ALERT(ILLEGAL_PARAMETER);
		if (!err)
			err = check_place(conn, row, place);
		if (row == EXT_COUNT)
			continue;
		last = registry[row]->last && place == TLS_IN_CLIENT_HELLO;
		bodies[row] = body;
		*seen |= 1u << row;
	}
	return block->failed ? TLS_ALERT(DECODE_ERROR) : err;
}

int tls_ext_read(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *block)
{
	struct tls_reader bodies[EXT_COUNT];
	uint32_t seen = 0;
	int err = collect(conn, place, block, bodies, &seen);

	if (conn->hs)
		conn->hs->ext_seen = seen;
	for (size_t i = 0; !err && i < EXT_COUNT; i++) {
		if (!(seen & 1u << i))
			continue;
		err = registry[i]->read(conn, place, &bodies[i]);
		if (!err && !tls_read_at_end(&bodies[i]))
			err = TLS_ALERT(DECODE_ERROR);
	}
	return err;
}

bool tls_ext_is_sound(struct tls_reader block)
{
	struct tls_reader body;
	struct type_set met;

	memset(&met, 0, sizeof(met));
	while (tls_read_more(&block)) {
		uint16_t type = tls_read_u16(&block);

		tls_read_vec16(&block, &body);
		if (!type_set_add(&met, type))
			return false;
	}
	return !block.failed;
}

bool tls_ext_find(struct tls_reader block, uint16_t type, struct tls_reader *body)
{
	while (tls_read_more(&block)) {
		uint16_t found = tls_read_u16(&block);

		tls_read_vec16(&block, body);
		if (!block.failed && found == type)
			return true;
	}
	return false;
}

bool tls_ext_seen(const struct tls_conn *conn, uint16_t type)
{
	return conn->hs->ext_seen & 1u << find_row(type);
}

bool tls_ext_sent(const struct tls_conn *conn, uint16_t type)
{
	return conn->hs->ext_sent & 1u << find_row(type);
}

void tls_ext_assume_seen(struct tls_conn *conn, uint16_t type)
{
	conn->hs->ext_seen |= 1u << find_row(type);
}
