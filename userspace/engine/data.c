// SPDX-License-Identifier: MIT
/* After the handshake: the user data path, or the keys for another one. */
#include <string.h>

#include "conn.h"
#include "machine.h"
#include "message/message.h"

/* Opens records until one has application data; control messages are dealt with. */
static int next_data(struct tls_conn *conn)
{
	while (!conn->rx_closed) {
		bool again;
		int err = tls_engine_next_record(conn, &again);

		if (err)
			return err;
		if (again)
			return TLS_ERR_AGAIN;
		if (conn->rx_closed || conn->plain.type == TLS_RECORD_APPLICATION_DATA)
			break;
		err = tls_engine_handshake_record(conn);
		if (err)
			return err;
	}
	return conn->rx_closed ? TLS_ERR_CLOSED : 0;
}

int tls_conn_read(struct tls_conn *conn, uint8_t *buf, size_t *len)
{
	size_t want = *len;
	int err;

	*len = 0;
	if (conn->error)
		return conn->error;
	if (!conn->established)
		return TLS_ERR_STATE;
	err = next_data(conn);
	if (err)
		return err == TLS_ERR_AGAIN || err == TLS_ERR_CLOSED ? err :
								      tls_engine_fail(conn, err);
	*len = want < conn->plain.len ? want : conn->plain.len;
	memcpy(buf, conn->in.data + conn->plain.start, *len);
	tls_engine_consume(conn, *len);
	tls_rows_end(conn);
	return 0;
}

/*
 * May we seal?  TLS 1.3 rekeys where the AEAD's limit wants it (RFC 9846 section 5.5).  TLS 1.2
 * cannot, and goes on as other implementations do: to end in mid-stream is worse.
 */
static int ready_to_send(struct tls_conn *conn)
{
	if (conn->error)
		return conn->error;
	if (!conn->established || conn->tx_closed)
		return TLS_ERR_STATE;
	if (!tls_record_worn_out(&conn->tx))
		return 0;
	return conn->version == TLS_1_3 ? tls_send_key_update(conn, false) : 0;
}

bool tls_conn_past_limit(const struct tls_conn *conn)
{
	return conn->version == TLS_1_2 && tls_record_worn_out(&conn->tx);
}

int tls_conn_write(struct tls_conn *conn, const uint8_t *data, size_t len)
{
	int err = ready_to_send(conn);

	if (!err)
		err = tls_engine_seal(conn, TLS_RECORD_APPLICATION_DATA, data, len);
	if (err == TLS_ERR_EXHAUSTED)
		return tls_engine_fail(conn, err);
	if (!err)
		tls_rows_end(conn);
	return err;
}

int tls_conn_rekey(struct tls_conn *conn, bool request_peer)
{
	int err = ready_to_send(conn);

	if (err)
		return err;
	return conn->version == TLS_1_3 ? tls_send_key_update(conn, request_peer) : TLS_ERR_STATE;
}

int tls_conn_close(struct tls_conn *conn)
{
	if (conn->error)
		return conn->error;
	if (conn->tx_closed)
		return 0;
	conn->tx_closed = true;
	return tls_engine_send_alert(conn, TLS_LEVEL_WARNING, TLS_ALERT_CLOSE_NOTIFY);
}

int tls_conn_abort(struct tls_conn *conn, uint8_t alert)
{
	if (!conn->error && conn->tx_closed)
		conn->error = TLS_ERR_ALERT + alert;
	return tls_engine_fail(conn, TLS_ERR_ALERT + alert);
}

bool tls_conn_at_rest(const struct tls_conn *conn)
{
	return !conn->error && conn->established && !conn->plain.record_len && !conn->message.len &&
	       !conn->rx_closed && !conn->tx_closed;
}

int tls_conn_export_keys(struct tls_conn *conn, struct tls_session_keys *keys)
{
	if (!tls_conn_at_rest(conn) || conn->out.len != conn->out_head)
		return TLS_ERR_STATE;
	keys->version = conn->version;
	keys->suite = conn->suite->id;
	keys->role = conn->role;
	tls_record_get_keys(&conn->tx, &keys->tx);
	tls_record_get_keys(&conn->rx, &keys->rx);
	return 0;
}

/* RFC 5705 section 4 */
static int export12(const struct tls_conn *conn, const char *label, const uint8_t *context,
		    size_t context_len, uint8_t *out, size_t out_len)
{
	const uint8_t len[] = { (uint8_t)(context_len >> 8), (uint8_t)context_len };
	const struct tls_slice secret = { conn->exporter, TLS12_MASTER_LEN };
	const struct tls_slice seed[] = {
		{ conn->randoms, sizeof(conn->randoms) }, { len, sizeof(len) },
		{ context, context_len },
	};

	return tls_prf12(conn->suite->hash, secret, label, seed, context ? 3 : 1, out, out_len);
}

int tls_conn_export_keying_material(struct tls_conn *conn, const char *label,
				    const uint8_t *context, size_t context_len,
				    uint8_t *out, size_t out_len)
{
	if (conn->error || !conn->established)
		return TLS_ERR_STATE;
	if (context_len > UINT16_MAX || !out_len)
		return TLS_ERR_ARGUMENT;
	if (conn->version == TLS_1_2)
		return export12(conn, label, context, context_len, out, out_len);
	return tls_keysched_export(&conn->keysched, conn->exporter, label,
				   (struct tls_slice){ context, context_len }, out, out_len);
}
