// SPDX-License-Identifier: MIT
/* Sessions as bytes, for clients to keep and for tickets to carry. */
#include <string.h>

#include "session.h"

#define FORMAT	2	/* of the serialised form; raised with every change of it */

void tls_session_free(struct tls_session *session)
{
	tls_certificate_free(session->peer);
	tls_buf_free(&session->ticket);
	tls_wipe(session, sizeof(*session));
}

static void put_time(struct tls_buf *out, int64_t at)
{
	tls_put_u32(out, (uint32_t)((uint64_t)at >> 32));
	tls_put_u32(out, (uint32_t)at);
}

static int64_t read_time(struct tls_reader *in)
{
	uint64_t high = tls_read_u32(in);

	return (int64_t)(high << 32 | tls_read_u32(in));
}

static void write_chain(const struct tls_certificate *peer, struct tls_buf *out)
{
	struct tls_vec list = tls_put_open(out, 3);

	for (size_t i = 0; peer && i < tls_certificate_count(peer); i++) {
		struct tls_slice der = tls_certificate_der(peer, i);
		struct tls_vec element = tls_put_open(out, 3);

		tls_put_bytes(out, der.p, der.len);
		tls_put_close(out, element);
	}
	tls_put_close(out, list);
}

void tls_session_write(const struct tls_session *session, struct tls_buf *out)
{
	size_t name_len = strlen(session->server_name);

	tls_put_u8(out, FORMAT);
	tls_put_u16(out, session->suite->id);
	tls_put_u16(out, session->group);
	tls_put_u8(out, session->extended_master_secret);
	put_time(out, session->begun);
	put_time(out, session->issued);
	tls_put_u32(out, session->lifetime);
	tls_put_u32(out, session->age_add);
	tls_put_u8(out, session->secret_len);
	tls_put_bytes(out, session->secret, session->secret_len);
	tls_put_u8(out, (uint8_t)name_len);
	tls_put_bytes(out, session->server_name, name_len);
	tls_put_u16(out, (uint16_t)session->ticket.len);
	tls_put_bytes(out, session->ticket.data, session->ticket.len);
	tls_put_u8(out, session->id_len);
	tls_put_bytes(out, session->id, session->id_len);
	write_chain(session->peer, out);
}

static int read_chain(struct tls_session *session, struct tls_reader *in)
{
	struct tls_slice chain[TLS_MAX_CHAIN];
	struct tls_reader list, der;
	size_t count = 0;

	tls_read_vec24(in, &list);
	while (tls_read_more(&list) && count < TLS_MAX_CHAIN) {
		tls_read_vec24(&list, &der);
		chain[count++] = tls_read_rest(&der);
	}
	if (!tls_read_at_end(&list))
		return TLS_ERR_ARGUMENT;
	return count ? tls_certificate_from_der(&session->peer, chain, count) : 0;
}

static bool read_fields(struct tls_session *session, struct tls_reader *in)
{
	struct tls_reader secret, name, ticket, id;
	uint8_t format = tls_read_u8(in);

	session->suite = tls_suite_find(tls_read_u16(in));
	session->group = tls_read_u16(in);
	session->extended_master_secret = tls_read_u8(in);
	session->begun = read_time(in);
	session->issued = read_time(in);
	session->lifetime = tls_read_u32(in);
	session->age_add = tls_read_u32(in);
	tls_read_vec8(in, &secret);
	tls_read_vec8(in, &name);
	tls_read_vec16(in, &ticket);
	tls_read_vec8(in, &id);
	if (in->failed || format != FORMAT || !session->suite ||
	    secret.left > sizeof(session->secret) || id.left > sizeof(session->id) ||
	    memchr(name.p, '\0', name.left) || session->begun < 0 || session->issued < 0)
		return false;
	session->secret_len = (uint8_t)secret.left;
	tls_read_copy(&secret, session->secret, secret.left);
	tls_read_copy(&name, session->server_name, name.left);
	tls_put_bytes(&session->ticket, ticket.p, ticket.left);
	session->id_len = (uint8_t)id.left;
	tls_read_copy(&id, session->id, id.left);
	return true;
}

int tls_session_read(struct tls_session *session, struct tls_slice in)
{
	struct tls_reader r;
	int err = TLS_ERR_ARGUMENT;

	*session = (struct tls_session){ .ticket = { .limit = 0xffff } };
	tls_reader_init(&r, in.p, in.len);
	if (read_fields(session, &r))
		err = tls_buf_error(&session->ticket);
	if (!err && read_chain(session, &r))
		err = TLS_ERR_ARGUMENT;
	if (!err && !tls_read_at_end(&r))
		err = TLS_ERR_ARGUMENT;
	if (err)
		tls_session_free(session);
	return err;
}

bool tls_session_fresh(const struct tls_session *session, int64_t now)
{
	return now >= session->issued && now - session->issued < session->lifetime;
}

uint32_t tls_session_left(const struct tls_session *session, int64_t now)
{
	return tls_session_fresh(session, now) ?
	       session->lifetime - (uint32_t)(now - session->issued) : 0;
}
