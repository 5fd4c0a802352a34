// SPDX-License-Identifier: MIT
/* pre_shared_key, RFC 9846 section 4.3.11; what it means is in resume.c. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

#define MIN_BINDER	32

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	const struct tls_session *session = &conn->hs->session;

	if (place != TLS_IN_CLIENT_HELLO)
		return conn->resumed;
	return session->suite && session->suite->version == TLS_1_3 &&
	       tls_config_has_version(conn->config, TLS_1_3);
}

/* Milliseconds since the ticket came, made unreadable to others. */
static uint32_t obfuscated_age(const struct tls_conn *conn)
{
	const struct tls_session *session = &conn->hs->session;
	int64_t now = conn->config->hooks.now(conn->config->hooks.arg);

	return (uint32_t)(now - session->issued) * 1000 + session->age_add;
}

/* The binder is written when all before it is: tls13_write_binder(). */
static void write_offer(struct tls_conn *conn, struct tls_buf *out)
{
	static const uint8_t placeholder[TLS_MAX_HASH];
	const struct tls_session *session = &conn->hs->session;
	struct tls_vec list = tls_put_open(out, 2), item = tls_put_open(out, 2);

	tls_put_bytes(out, session->ticket.data, session->ticket.len);
	tls_put_close(out, item);
	tls_put_u32(out, obfuscated_age(conn));
	tls_put_close(out, list);
	list = tls_put_open(out, 2);
	item = tls_put_open(out, 1);
	tls_put_bytes(out, placeholder, tls_hash_size(session->suite->hash));
	tls_put_close(out, item);
	tls_put_close(out, list);
}

static void write_psk(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	if (place == TLS_IN_CLIENT_HELLO)
		write_offer(conn, out);
	else
		tls_put_u16(out, conn->hs->psk_index);
}

/* Counts the items of a list; false: malformed. */
static bool count_identities(struct tls_reader list, size_t *count)
{
	struct tls_reader identity;

	for (*count = 0; tls_read_more(&list); ++*count) {
		tls_read_vec16(&list, &identity);
		(void)tls_read_u32(&list);
		if (list.failed || !identity.left)
			return false;
	}
	return !list.failed && *count;
}

static bool count_binders(struct tls_reader list, size_t *count)
{
	struct tls_reader binder;

	for (*count = 0; tls_read_more(&list); ++*count) {
		tls_read_vec8(&list, &binder);
		if (list.failed || binder.left < MIN_BINDER)
			return false;
	}
	return !list.failed && *count;
}

static int read_offer(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_offer *offer = &conn->hs->offer;
	struct tls_reader identities, binders;
	size_t identity_count, binder_count;

	tls_read_vec16(body, &identities);
	offer->binders_at = body->p;
	tls_read_vec16(body, &binders);
	if (identities.failed || binders.failed || !count_identities(identities, &identity_count) ||
	    !count_binders(binders, &binder_count))
		return TLS_ALERT(DECODE_ERROR);
	if (identity_count != binder_count)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	offer->identities = tls_read_rest(&identities);
	offer->binders = tls_read_rest(&binders);
	offer->has_psk = true;
	return 0;
}

static int read_psk(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	uint16_t index;

	if (place == TLS_IN_CLIENT_HELLO)
		return read_offer(conn, body);
	index = tls_read_u16(body);
	if (body->failed)
		return TLS_ALERT(DECODE_ERROR);
	/* section 4.3.11: one of those offered, which was one, and a suite with its hash */
	if (index != 0 || conn->suite->hash != conn->hs->session.suite->hash)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	conn->resumed = true;
	return 0;
}

const struct tls_ext tls_ext_pre_shared_key = {
	.type = TLS_EXT_PRE_SHARED_KEY,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO,
	.last = true,
	.due = due,
	.write = write_psk,
	.read = read_psk,
};
