// SPDX-License-Identifier: MIT
/* Finished, RFC 9846 section 4.5.3 and RFC 5246 section 7.4.9, and what precedes it there. */
#include "conn.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

static int send_finished(struct tls_conn *conn, const uint8_t *verify_data, size_t len)
{
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_FINISHED);

	tls_put_bytes(&conn->hs->flight, verify_data, len);
	return tls_message_end(conn, msg);
}

static int check_finished(struct tls_conn *conn, struct tls_reader *body,
			  const uint8_t *verify_data, size_t len)
{
	const uint8_t *p = tls_read_bytes(body, len);

	if (!tls_read_at_end(body))
		return TLS_ALERT(DECODE_ERROR);
	if (!tls_equal(p, verify_data, len))
		return tls_refuse(conn, TLS_REASON_FINISHED, TLS_ALERT(DECRYPT_ERROR));
	tls_engine_event(conn, TLS_EVENT_FINISHED_CHECKED, 0, (struct tls_slice){ p, len }, NULL);
	return 0;
}

static enum tls_role peer_role(const struct tls_conn *conn)
{
	return conn->role == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT;
}

static int verify_data13(struct tls_conn *conn, enum tls_role sender, uint8_t *out)
{
	struct tls_handshake *hs = conn->hs;
	uint8_t digest[TLS_MAX_HASH];
	int err = tls_transcript_digest(&hs->transcript, digest);

	if (err)
		return err;
	return tls_keysched_finished(&conn->keysched,
				     sender == TLS_CLIENT ? hs->client_secret : hs->server_secret,
				     digest, out);
}

int tls13_send_finished(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t verify_data[TLS_MAX_HASH];
	int err = verify_data13(conn, conn->role, verify_data);

	(void)body;
	return err ? err : send_finished(conn, verify_data, conn->keysched.len);
}

int tls13_recv_finished(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t verify_data[TLS_MAX_HASH];
	int err = verify_data13(conn, peer_role(conn), verify_data);

	if (!err)
		err = check_finished(conn, body, verify_data, conn->keysched.len);
	tls_wipe(verify_data, sizeof(verify_data));
	return err;
}

static int verify_data12(struct tls_conn *conn, enum tls_role sender, uint8_t *out)
{
	uint8_t digest[TLS_MAX_HASH];
	int err = tls_transcript_digest(&conn->hs->transcript, digest);

	if (err)
		return err;
	return tls_prf12_finished(conn->suite->hash, conn->hs->master, sender, digest, out);
}

int tls12_send_finished(struct tls_conn *conn, struct tls_reader *body)
{
	static const uint8_t ccs[] = { 1 };
	uint8_t verify_data[TLS12_VERIFY_LEN];
	int err = tls_flight_flush(conn);

	(void)body;
	if (conn->state == TLS12_CLIENT_WAIT_CCS && conn->hs->ticket_due)
		conn->state = TLS12_CLIENT_WAIT_TICKET;
	if (!err)
		err = tls_engine_seal(conn, TLS_RECORD_CHANGE_CIPHER_SPEC, ccs, sizeof(ccs));
	if (!err)
		err = tls_record_set_keys(&conn->tx, conn->suite, true, &conn->hs->next_tx);
	if (!err)
		err = verify_data12(conn, conn->role, verify_data);
	return err ? err : send_finished(conn, verify_data, sizeof(verify_data));
}

int tls12_recv_ccs(struct tls_conn *conn, struct tls_reader *body)
{
	int err = tls_check_key_boundary(conn);

	(void)body;
	return err ? err : tls_record_set_keys(&conn->rx, conn->suite, false, &conn->hs->next_rx);
}

int tls12_recv_finished(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t verify_data[TLS12_VERIFY_LEN];
	int err = verify_data12(conn, peer_role(conn), verify_data);

	if (!err)
		err = check_finished(conn, body, verify_data, sizeof(verify_data));
	tls_wipe(verify_data, sizeof(verify_data));
	/* RFC 5077 figure 2: in a resumption the server's comes first */
	if (conn->resumed)
		conn->state = conn->role == TLS_CLIENT ? TLS12_CLIENT_RESUME_FINISHED :
							 TLS12_SERVER_ESTABLISHED;
	return err;
}
