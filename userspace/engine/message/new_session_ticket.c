// SPDX-License-Identifier: MIT
/* NewSessionTicket, RFC 9846 section 4.7.1 and RFC 5077 section 3.3. */
#include <string.h>

#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"
#include "resume.h"

#define MAX_LIFETIME		604800	/* RFC 9846 section 4.7.1 */

/* ---- server ---- */

/* Appends the sealed session. TLS_ERR_SPACE: it is too large for a ticket. */
static int put_ticket(const struct tls_conn *conn, const struct tls_session *session,
		      const struct tls_ticket_random *random, struct tls_buf *out)
{
	struct tls_buf state = { .limit = TLS_MAX_TICKET / 2 };
	int err;

	tls_session_write(session, &state);
	err = tls_buf_error(&state);
	if (!err)
		err = tls_ticket_seal(&conn->config->ticket_keys[0], random->nonce,
				      (struct tls_slice){ state.data, state.len }, out);
	tls_buf_free(&state);
	return err;
}

static int send_ticket13(struct tls_conn *conn, const uint8_t *resumption, uint8_t nonce,
			 const struct tls_ticket_random *random)
{
	struct tls_buf *out = &conn->hs->flight, ticket = { .limit = TLS_MAX_TICKET };
	struct tls_session session;
	struct tls_outgoing msg;
	int err;

	tls_session_of(conn, &session);
	if (!session.lifetime)
		return 0;
	session.secret_len = (uint8_t)conn->keysched.len;
	session.age_add = random->age_add;
	err = tls_keysched_ticket_psk(&conn->keysched, resumption, (struct tls_slice){ &nonce, 1 },
				      session.secret);
	if (!err)
		err = put_ticket(conn, &session, random, &ticket);
	if (!err) {
		msg = tls_message_begin(conn, TLS_MSG_NEW_SESSION_TICKET);
		tls_put_u32(out, session.lifetime);
		tls_put_u32(out, session.age_add);
		tls_put_u8(out, 1);
		tls_put_u8(out, nonce);
		tls_put_u16(out, (uint16_t)ticket.len);
		tls_put_bytes(out, ticket.data, ticket.len);
		tls_put_u16(out, 0);	/* no extensions */
		err = tls_message_end(conn, msg);
	}
	tls_buf_free(&ticket);
	tls_wipe(&session, sizeof(session));
	/* A client whose chain fits into no ticket does without. */
	return err == TLS_ERR_SPACE ? 0 : err;
}

int tls13_send_tickets(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t digest[TLS_MAX_HASH], resumption[TLS_MAX_HASH];
	uint8_t count = conn->resumed ? 1 : TLS_TICKETS;
	int err;

	(void)body;
	if (!conn->hs->ticket_due)
		return 0;
	err = tls_transcript_digest(&conn->hs->transcript, digest);
	if (!err)
		err = tls_keysched_derive(&conn->keysched, TLS_LABEL_RESUMPTION, digest,
					  resumption);
	for (uint8_t i = 0; !err && i < count; i++)
		err = send_ticket13(conn, resumption, i, &conn->hs->ticket_random[i]);
	tls_wipe(resumption, sizeof(resumption));
	return err;
}

int tls12_send_ticket(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_buf *out = &conn->hs->flight, ticket = { .limit = TLS_MAX_TICKET };
	struct tls_ticket_random random;
	struct tls_session session;
	struct tls_outgoing msg;
	int64_t issued;
	int err;

	(void)body;
	if (!conn->hs->ticket_due)
		return 0;
	tls_session_of(conn, &session);
	issued = session.issued;
	/* A new ticket makes the master secret no younger. */
	if (conn->resumed) {
		session.issued = conn->hs->session.issued;
		session.lifetime = conn->hs->session.lifetime;
	}
	session.secret_len = TLS12_MASTER_LEN;
	memcpy(session.secret, conn->hs->master, TLS12_MASTER_LEN);
	err = tls_random(&random, sizeof(random));
	if (!err)
		err = put_ticket(conn, &session, &random, &ticket);
	/* RFC 5077 section 3.3: it was promised, so there is at least an empty one. */
	if (err == TLS_ERR_SPACE) {
		tls_buf_reset(&ticket);
		err = 0;
	}
	if (!err) {
		msg = tls_message_begin(conn, TLS_MSG_NEW_SESSION_TICKET);
		tls_put_u32(out, tls_session_left(&session, issued));
		tls_put_u16(out, (uint16_t)ticket.len);
		tls_put_bytes(out, ticket.data, ticket.len);
		err = tls_message_end(conn, msg);
	}
	tls_buf_free(&ticket);
	tls_wipe(&session, sizeof(session));
	return err;
}

/* ---- client ---- */

/* Makes the session what tls_conn_session() gives; the latest one counts. */
static int keep_session(struct tls_conn *conn, struct tls_session *session,
			struct tls_slice ticket)
{
	int err;

	tls_put_bytes(&session->ticket, ticket.p, ticket.len);
	err = tls_buf_error(&session->ticket);
	if (!err) {
		tls_buf_reset(&conn->session);
		tls_session_write(session, &conn->session);
		err = tls_buf_error(&conn->session);
	}
	if (err)
		tls_buf_reset(&conn->session);
	tls_buf_free(&session->ticket);
	return err;
}

static int keep_ticket13(struct tls_conn *conn, uint32_t lifetime, uint32_t age_add,
			 struct tls_slice nonce, struct tls_slice ticket)
{
	struct tls_session session;
	int err;

	if (!lifetime || ticket.len > TLS_MAX_TICKET)
		return 0;
	tls_session_of(conn, &session);
	session.lifetime = lifetime < MAX_LIFETIME ? lifetime : MAX_LIFETIME;
	session.age_add = age_add;
	session.secret_len = (uint8_t)conn->keysched.len;
	err = tls_keysched_ticket_psk(&conn->keysched, conn->resumption, nonce, session.secret);
	if (!err)
		err = keep_session(conn, &session, ticket);
	tls_wipe(&session, sizeof(session));
	return err;
}

int tls13_recv_new_session_ticket(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_reader nonce, ticket, extensions;
	uint32_t lifetime = tls_read_u32(body), age_add = tls_read_u32(body);
	int err;

	tls_read_vec8(body, &nonce);
	tls_read_vec16(body, &ticket);
	tls_read_vec16(body, &extensions);
	if (!tls_read_at_end(body) || !ticket.left)
		return TLS_ALERT(DECODE_ERROR);
	err = tls_row_floods(conn, TLS_ROW_MESSAGE) ? TLS_ALERT(UNEXPECTED_MESSAGE) : 0;
	if (!err)
		err = tls_ext_read(conn, TLS_IN_NEW_SESSION_TICKET, &extensions);
	return err ? err : keep_ticket13(conn, lifetime, age_add, tls_read_rest(&nonce),
					 tls_read_rest(&ticket));
}

static int keep_session12(struct tls_conn *conn, uint32_t lifetime, struct tls_slice ticket)
{
	const struct tls_handshake *hs = conn->hs;
	struct tls_session session;
	int err;

	tls_session_of(conn, &session);
	/* RFC 5077 section 3.3: 0 leaves it to us */
	if (lifetime && lifetime < MAX_LIFETIME)
		session.lifetime = lifetime;
	session.secret_len = TLS12_MASTER_LEN;
	memcpy(session.secret, hs->master, TLS12_MASTER_LEN);
	if (!ticket.len) {
		session.id_len = hs->server_id_len;
		memcpy(session.id, hs->server_id, hs->server_id_len);
	}
	err = keep_session(conn, &session, ticket);
	tls_wipe(&session, sizeof(session));
	return err;
}

int tls12_recv_new_session_ticket(struct tls_conn *conn, struct tls_reader *body)
{
	uint32_t lifetime = tls_read_u32(body);
	struct tls_reader ticket;

	tls_read_vec16(body, &ticket);
	if (!tls_read_at_end(body))
		return TLS_ALERT(DECODE_ERROR);
	if (!ticket.left || ticket.left > TLS_MAX_TICKET)
		return 0;
	return keep_session12(conn, lifetime, tls_read_rest(&ticket));
}

int tls12_keep_session_id(struct tls_conn *conn, struct tls_reader *body)
{
	(void)body;
	if (conn->session.len || !conn->hs->server_id_len)
		return 0;
	return keep_session12(conn, 0, (struct tls_slice){ NULL, 0 });
}
