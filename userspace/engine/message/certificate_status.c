// SPDX-License-Identifier: MIT
/* CertificateStatus: a message in TLS 1.2 (RFC 6066 section 8), an extension's body in TLS 1.3. */
#include "conn.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

void tls_put_status(const struct tls_conn *conn, struct tls_buf *out)
{
	struct tls_slice response = tls_certificate_ocsp(conn->hs->cert);
	struct tls_vec vec;

	tls_put_u8(out, TLS_STATUS_OCSP);
	vec = tls_put_open(out, 3);
	tls_put_bytes(out, response.p, response.len);
	tls_put_close(out, vec);
}

int tls_take_status(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t type = tls_read_u8(body);
	struct tls_reader response;

	tls_read_vec24(body, &response);
	if (!tls_read_at_end(body) || !response.left)
		return TLS_ALERT(DECODE_ERROR);
	if (type != TLS_STATUS_OCSP)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	/* TLS 1.3 may have one for each element; we look at the leaf's. */
	if (conn->hs->past_leaf)
		return 0;
	tls_put_bytes(&conn->ocsp, response.p, response.left);
	return tls_buf_error(&conn->ocsp);
}

int tls_verify_status(struct tls_conn *conn)
{
	const struct tls_verify_request req = tls_verify_request(conn);
	struct tls_slice response = { conn->ocsp.data, conn->ocsp.len };

	return tls_peer_verify_status(conn->peer, &req, response, conn->verify_error);
}

int tls12_send_certificate_status(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_outgoing msg;

	(void)body;
	if (!conn->hs->status_due)
		return 0;
	msg = tls_message_begin(conn, TLS_MSG_CERTIFICATE_STATUS);
	tls_put_status(conn, &conn->hs->flight);
	return tls_message_end(conn, msg);
}

int tls12_recv_certificate_status(struct tls_conn *conn, struct tls_reader *body)
{
	return tls_take_status(conn, body);
}
