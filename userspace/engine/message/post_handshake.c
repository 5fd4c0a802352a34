// SPDX-License-Identifier: MIT
/* KeyUpdate, RFC 9846 section 4.7.3; and what TLS 1.2 had in its place. */
#include "conn.h"
#include "keys.h"
#include "machine.h"
#include "message/message.h"

#define UPDATE_NOT_REQUESTED	0
#define UPDATE_REQUESTED	1

int tls_count_post_handshake(struct tls_conn *conn)
{
	return ++conn->post_handshake > TLS_MAX_POST_HANDSHAKE ? TLS_ALERT(UNEXPECTED_MESSAGE) : 0;
}

int tls_send_key_update(struct tls_conn *conn, bool request)
{
	const uint8_t msg[] = {
		TLS_MSG_KEY_UPDATE, 0, 0, 1, request ? UPDATE_REQUESTED : UPDATE_NOT_REQUESTED,
	};
	int err = tls_engine_seal(conn, TLS_RECORD_HANDSHAKE, msg, sizeof(msg));

	if (err)
		return err;
	conn->key_update_owed = false;
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
	err = tls_count_post_handshake(conn);
	if (!err)
		err = tls13_next_traffic_secret(conn, false);
	/* RFC 9846 section 4.7.3: answered before our next data, once for all until then */
	conn->key_update_owed |= request == UPDATE_REQUESTED;
	return err;
}

/* HelloRequest or ClientHello: what they ask for, we never do. */
int tls12_refuse_renegotiation(struct tls_conn *conn, struct tls_reader *body)
{
	(void)conn;
	(void)body;
	return TLS_ALERT(NO_RENEGOTIATION);
}
