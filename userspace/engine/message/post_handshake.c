// SPDX-License-Identifier: MIT
/* KeyUpdate, RFC 9846 section 4.7.3; and what TLS 1.2 had in its place. */
#include "conn.h"
#include "keys.h"
#include "machine.h"
#include "message/message.h"

#define UPDATE_NOT_REQUESTED	0
#define UPDATE_REQUESTED	1

int tls_send_key_update(struct tls_conn *conn, bool request)
{
	const uint8_t msg[] = {
		TLS_MSG_KEY_UPDATE, 0, 0, 1, request ? UPDATE_REQUESTED : UPDATE_NOT_REQUESTED,
	};
	int err = tls_engine_seal(conn, TLS_RECORD_HANDSHAKE, msg, sizeof(msg));

	if (err)
		return err;
	conn->key_update_queued = true;
	tls_engine_event(conn, TLS_EVENT_MESSAGE_SENT, msg[0],
			 (struct tls_slice){ msg, sizeof(msg) }, NULL);
	return tls13_next_traffic_secret(conn, true);
}

int tls13_recv_key_update(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t request = tls_read_u8(body);
	int err;

	if (!tls_read_at_end(body))
		return TLS_ALERT(DECODE_ERROR);
	if (request > UPDATE_REQUESTED)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	if (tls_row_floods(conn, TLS_ROW_KEY_UPDATE))
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	err = tls13_next_traffic_secret(conn, false);
	/* RFC 9846 section 4.7.3: one answer serves all requests that came before it left. */
	if (!err && request == UPDATE_REQUESTED && !conn->tx_closed && !conn->key_update_queued)
		err = tls_send_key_update(conn, false);
	return err;
}

/* RFC 5246 section 7.4.1.1 lets a client ignore it. */
int tls12_ignore_hello_request(struct tls_conn *conn, struct tls_reader *body)
{
	(void)body;
	return tls_row_floods(conn, TLS_ROW_MESSAGE) ? TLS_ALERT(UNEXPECTED_MESSAGE) : 0;
}

/* A ClientHello.  RFC 5246 section 7.2.2: the client may go on without what it asked for. */
int tls12_refuse_renegotiation(struct tls_conn *conn, struct tls_reader *body)
{
	(void)tls_read_rest(body);
	if (tls_row_floods(conn, TLS_ROW_MESSAGE))
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	return conn->tx_closed ? 0 : tls_engine_send_alert(conn, TLS_LEVEL_WARNING,
							   TLS_ALERT_NO_RENEGOTIATION);
}
