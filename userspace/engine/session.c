// SPDX-License-Identifier: MIT
/* Sessions as bytes, for clients to keep and for tickets to carry. */
#include <string.h>

#include "session.h"

#define FORMAT	3	/* of the serialised form; raised with every change of it */

void tls_session_free(struct tls_session *session)
{
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
	tls_put_u24(out, (uint32_t)session->peer.len);
	tls_put_bytes(out, session->peer.p, session->peer.len);
}

static bool read_fields(struct tls_session *session, struct tls_reader *in)
{
	struct tls_reader secret, name, ticket, id, peer;
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
	tls_read_vec24(in, &peer);
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
	session->peer = tls_read_rest(&peer);
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
