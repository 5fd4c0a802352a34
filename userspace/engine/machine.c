// SPDX-License-Identifier: MIT
/* The machine: records in, handshake messages to the state tables, flights out. */
#include <string.h>

#include "config.h"
#include "conn.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

/* ---- output -------------------------------------------------------------- */

void tls_engine_event(struct tls_conn *conn, enum tls_event_kind kind, uint8_t type,
		      struct tls_slice data, const char *text)
{
	const struct tls_hooks *hooks = &conn->config->hooks;
	const struct tls_event event = {
		.kind = kind, .type = type, .data = data.p, .len = data.len, .text = text,
	};

	if (hooks->event)
		hooks->event(hooks->arg, conn->arg, &event);
}

int tls_engine_seal(struct tls_conn *conn, uint8_t type, const uint8_t *data, size_t len)
{
	conn->out_lazy = 0;
	return tls_record_seal(&conn->tx, type, data, len, &conn->out);
}

int tls_check_key_boundary(const struct tls_conn *conn)
{
	bool partial = conn->message.len && !conn->message_whole;

	return conn->plain.len || partial ? TLS_ALERT(UNEXPECTED_MESSAGE) : 0;
}

int tls_flight_flush_first(struct tls_conn *conn, size_t len)
{
	struct tls_buf *flight = &conn->hs->flight;
	/* Our turn: the peer cannot have more to say before it has heard us. */
	int err = tls_check_key_boundary(conn);

	if (!err)
		err = tls_engine_seal(conn, TLS_RECORD_HANDSHAKE, flight->data, len);
	tls_buf_consume(flight, len);
	return err;
}

int tls_flight_flush(struct tls_conn *conn)
{
	size_t len = conn->hs->flight.len;

	return len ? tls_flight_flush_first(conn, len) : 0;
}

struct tls_outgoing tls_message_begin(struct tls_conn *conn, enum tls_message type)
{
	struct tls_buf *flight = &conn->hs->flight;
	struct tls_outgoing msg = { .start = flight->len };

	tls_put_u8(flight, (uint8_t)type);
	msg.body = tls_put_open(flight, 3);
	return msg;
}

int tls_message_end(struct tls_conn *conn, struct tls_outgoing msg)
{
	struct tls_buf *flight = &conn->hs->flight;
	struct tls_slice whole;
	int err;

	tls_put_close(flight, msg.body);
	err = tls_buf_error(flight);
	if (err)
		return err;
	whole = (struct tls_slice){ flight->data + msg.start, flight->len - msg.start };
	tls_engine_event(conn, TLS_EVENT_MESSAGE_SENT, whole.p[0], whole, NULL);
	return tls_transcript_add(&conn->hs->transcript, whole.p, whole.len);
}

int tls_compat_ccs(struct tls_conn *conn)
{
	static const uint8_t ccs[] = { 1 };
	size_t before = conn->out.len;
	int err;

	if (conn->hs->ccs_sent || conn->hs->session_id_len == 0)
		return 0;
	conn->hs->ccs_sent = true;
	err = tls_engine_seal(conn, TLS_RECORD_CHANGE_CIPHER_SPEC, ccs, sizeof(ccs));
	if (!err && before == conn->out_head)
		conn->out_lazy = conn->out.len - before;
	return err;
}

int tls_engine_send_alert(struct tls_conn *conn, uint8_t level, uint8_t alert)
{
	const uint8_t body[] = { level, alert };
	int err = tls_engine_seal(conn, TLS_RECORD_ALERT, body, sizeof(body));

	if (!err)
		tls_engine_event(conn, TLS_EVENT_ALERT_SENT, alert,
				 (struct tls_slice){ NULL, 0 }, tls_alert_name(alert));
	return err;
}

int tls_engine_fail(struct tls_conn *conn, int err)
{
	uint8_t alert = TLS_ALERT_INTERNAL_ERROR;

	if (conn->error)
		return conn->error;
	conn->error = err;
	if (TLS_ERR_CLASS(err) == TLS_ERR_ALERT)
		alert = TLS_ERR_CODE(err);
	/* An alert that cannot be made is not sent: the connection is dead either way. */
	if (TLS_ERR_CLASS(err) != TLS_ERR_PEER &&
	    tls_engine_send_alert(conn, TLS_LEVEL_FATAL, alert) == TLS_ERR_NO_MEMORY)
		conn->error = TLS_ERR_NO_MEMORY;
	return conn->error;
}

/* ---- records ------------------------------------------------------------- */

/* As the module has them, but that a row is longer there for being counted in its own time. */
#define ROW_SECONDS	10

static const unsigned int row_max[TLS_ROWS] = {
	[TLS_ROW_EMPTY] = 32,
	[TLS_ROW_WARNING] = 4,
	[TLS_ROW_KEY_UPDATE] = 32,
	[TLS_ROW_MESSAGE] = 32,
};

void tls_rows_end(struct tls_conn *conn)
{
	memset(conn->rows, 0, sizeof(conn->rows));
}

bool tls_row_floods(struct tls_conn *conn, enum tls_row row)
{
	const struct tls_hooks *hooks = &conn->config->hooks;
	int64_t now = conn->established ? hooks->now(hooks->arg) : 0;

	/* An idle peer may send one of its kind now and then, for ever. */
	if (now > conn->rows_since + ROW_SECONDS || now < conn->rows_since) {
		tls_rows_end(conn);
		conn->rows_since = now;
	}
	return ++conn->rows[row] > row_max[row];
}

static bool is_error(const struct tls_conn *conn, uint8_t level, uint8_t alert)
{
	if (alert == TLS_ALERT_CLOSE_NOTIFY)
		return !conn->established;
	/* RFC 9846 section 6: the level says nothing, only two alerts are no errors. */
	return conn->version == TLS_1_3 ? alert != TLS_ALERT_USER_CANCELED :
					  level != TLS_LEVEL_WARNING;
}

static int receive_alert(struct tls_conn *conn, const uint8_t *data, size_t len)
{
	uint8_t level, alert;

	if (len != TLS_ALERT_LEN)
		return TLS_ALERT(DECODE_ERROR);
	level = data[0];
	alert = data[1];
	tls_engine_event(conn, TLS_EVENT_ALERT_RECEIVED, alert, (struct tls_slice){ NULL, 0 },
			 tls_alert_name(alert));
	if (is_error(conn, level, alert))
		return TLS_ERR_PEER + alert;
	conn->rx_closed = alert == TLS_ALERT_CLOSE_NOTIFY;
	if (conn->rx_closed)
		return 0;
	/* No RFC names the alert; this is BoringSSL's. */
	return tls_row_floods(conn, TLS_ROW_WARNING) ? TLS_ALERT(DECODE_ERROR) : 0;
}

/* An empty record, or one that is to be dropped. */
static int receive_nothing(struct tls_conn *conn)
{
	return tls_row_floods(conn, TLS_ROW_EMPTY) ? TLS_ALERT(UNEXPECTED_MESSAGE) : 0;
}

static const struct tls_transition *find_transition(const struct tls_conn *conn,
						    enum tls_message message)
{
	return conn->version == TLS_1_2 ? tls_states12_find(conn->state, message) :
					  tls_states13_find(conn->state, message);
}

/* Plaintext change_cipher_spec: part of the protocol in TLS 1.2, noise in TLS 1.3. */
static int receive_ccs(struct tls_conn *conn, const uint8_t *data, size_t len)
{
	const struct tls_transition *row = find_transition(conn, TLS_CCS);

	if (conn->message.len)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	if (row) {
		if (len != 1 || data[0] != 1)
			return TLS_ALERT(ILLEGAL_PARAMETER);
		conn->state = row->next;
		return row->handler(conn, NULL);
	}
	/* RFC 9846 section 5: from the first ClientHello to the peer's Finished */
	if (conn->version == TLS_1_2 || conn->established ||
	    conn->state == TLS_SERVER_WAIT_CLIENT_HELLO ||
	    !tls_config_has_version(conn->config, TLS_1_3) || len != 1 || data[0] != 1)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	return receive_nothing(conn);
}

/* 0-RTT data of a client that we gave no leave: RFC 9846 section 4.2.10. */
static int skip_early_data(struct tls_conn *conn, size_t len)
{
	conn->hs->early_data_skipped += len;
	/* section 5.1: nothing between the parts of a handshake message */
	if (conn->message.len || conn->hs->early_data_skipped > TLS_MAX_EARLY_DATA_SKIP)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	return 0;
}

static int receive_plaintext(struct tls_conn *conn, const struct tls_record *rec, size_t record_len)
{
	bool data = rec->type == TLS_RECORD_APPLICATION_DATA;

	/* RFC 9846 section 5.4; RFC 5246 section 6.2.1 forbids it as well, and names no alert. */
	if (conn->rx.suite && rec->len == 0 && !data)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	/* RFC 9846 section 5.1: nothing between the parts of a handshake message */
	if (conn->message.len && rec->type != TLS_RECORD_HANDSHAKE)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	if (rec->type == TLS_RECORD_ALERT)
		return rec->len ? receive_alert(conn, rec->data, rec->len) : receive_nothing(conn);
	if (data ? !conn->established : rec->type != TLS_RECORD_HANDSHAKE)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	if (rec->len == 0)
		return receive_nothing(conn);
	if (!conn->established)
		tls_rows_end(conn);
	conn->in_head -= record_len;
	conn->plain = (struct tls_plain){
		.start = rec->data - conn->in.data, .len = rec->len,
		.record_len = record_len, .type = rec->type,
	};
	return 0;
}

/*
 * RFC 9846 section 6 wants alerts protected as soon as there are keys.  But peers such as
 * OpenSSL may refuse our flight before they install theirs, and then send an alert in the clear,
 * which we want to know.  So alerts in the clear are taken until the peer's first protected
 * record.
 */
static bool is_plain_alert(const struct tls_conn *conn, const struct tls_record_header *header)
{
	return conn->version == TLS_1_3 && conn->rx.suite && !conn->established &&
	       !conn->rx.keys.seq && header->type == TLS_RECORD_ALERT &&
	       header->len == TLS_ALERT_LEN;
}

/* Takes one whole record off the input. */
static int receive_record(struct tls_conn *conn, const struct tls_record_header *header)
{
	size_t len = TLS_RECORD_HEADER + header->len;
	uint8_t *data = conn->in.data + conn->in_head;
	bool early = conn->hs && conn->hs->early_data;
	struct tls_record rec;
	int err;

	conn->in_head += len;
	if (header->type == TLS_RECORD_CHANGE_CIPHER_SPEC &&
	    (conn->version != TLS_1_2 || !conn->rx.suite))
		return receive_ccs(conn, data + TLS_RECORD_HEADER, header->len);
	if (early && !conn->rx.suite && header->type == TLS_RECORD_APPLICATION_DATA)
		return skip_early_data(conn, header->len);
	if (is_plain_alert(conn, header))
		return receive_alert(conn, data + TLS_RECORD_HEADER, header->len);
	err = tls_record_open(&conn->rx, data, len, &rec);
	if (err == TLS_ALERT(BAD_RECORD_MAC) && early && conn->rx.suite)
		return skip_early_data(conn, header->len);
	if (err)
		return err;
	if (early && conn->rx.suite)
		conn->hs->early_data = false;
	return receive_plaintext(conn, &rec, len);
}

/* What can be told by the header once the handshake is over, before the rest is waited for. */
static int check_established(const struct tls_conn *conn, const struct tls_record_header *header)
{
	/* RFC 9846 section 5.2: all are application data outside. */
	if (conn->version == TLS_1_3 && header->type != TLS_RECORD_APPLICATION_DATA)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	/* Without a whole tag it cannot authenticate. */
	return header->len < tls_record_overhead(&conn->rx) ? TLS_ALERT(BAD_RECORD_MAC) : 0;
}

/* Nothing of the peer's has been TLS yet. */
static bool is_first(const struct tls_conn *conn)
{
	return conn->state == TLS_SERVER_WAIT_CLIENT_HELLO ||
	       conn->state == TLS_CLIENT_WAIT_SERVER_HELLO;
}

int tls_engine_next_record(struct tls_conn *conn, bool *again)
{
	*again = false;
	while (!conn->plain.record_len && !conn->rx_closed) {
		size_t left = conn->in.len - conn->in_head;
		struct tls_record_header header;
		int err;

		*again = left < TLS_RECORD_HEADER;
		if (*again)
			return 0;
		err = tls_record_parse(&conn->rx, conn->in.data + conn->in_head, &header);
		if (err && is_first(conn))
			return tls_refuse_bytes(conn, (struct tls_slice){
						conn->in.data + conn->in_head, left }, err);
		if (!err && conn->established)
			err = check_established(conn, &header);
		if (err)
			return err;
		*again = left < TLS_RECORD_HEADER + (size_t)header.len;
		if (*again)
			return 0;
		err = receive_record(conn, &header);
		if (err)
			return err;
	}
	return 0;
}

void tls_engine_consume(struct tls_conn *conn, size_t len)
{
	conn->plain.start += len;
	conn->plain.len -= len;
	if (conn->plain.len)
		return;
	conn->in_head += conn->plain.record_len;
	conn->plain = (struct tls_plain){ 0 };
}

/* ---- handshake messages ---------------------------------------------------- */

static uint32_t body_len(const uint8_t header[TLS_HANDSHAKE_HEADER])
{
	return (uint32_t)header[1] << 16 | header[2] << 8 | header[3];
}

/* Refuses a message by its header, before its body is stored. */
static int check_header(struct tls_conn *conn, const uint8_t header[TLS_HANDSHAKE_HEADER])
{
	if (!find_transition(conn, header[0]))
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	if (body_len(header) <= conn->config->max_message)
		return 0;
	if (conn->hs)
		tls_refuse_detail(conn, "%s of %u bytes", tls_message_name(header[0]),
				  body_len(header));
	return tls_refuse(conn, TLS_REASON_MESSAGE_LEN, TLS_ALERT(ILLEGAL_PARAMETER));
}

/* Moves from the open record into conn->message until that holds want bytes, or all is moved. */
static int gather(struct tls_conn *conn, size_t want)
{
	struct tls_buf *message = &conn->message;
	size_t len = want - message->len;

	if (message->len >= want)
		return 0;
	if (len > conn->plain.len)
		len = conn->plain.len;
	tls_put_bytes(message, conn->in.data + conn->plain.start, len);
	tls_engine_consume(conn, len);
	return tls_buf_error(message);
}

/*
 * The next whole message, or whole->p NULL: it lies in the open record where
 * it is complete there, else in conn->message.
 */
static int next_message(struct tls_conn *conn, struct tls_slice *whole)
{
	const uint8_t *p = conn->in.data + conn->plain.start;
	struct tls_buf *message = &conn->message;
	int err;

	*whole = (struct tls_slice){ NULL, 0 };
	if (!message->len && conn->plain.len >= TLS_HANDSHAKE_HEADER) {
		size_t len = TLS_HANDSHAKE_HEADER + body_len(p);

		err = check_header(conn, p);
		if (err)
			return err;
		if (conn->plain.len >= len) {
			*whole = (struct tls_slice){ p, len };
			tls_engine_consume(conn, len);
			return 0;
		}
	}
	err = gather(conn, TLS_HANDSHAKE_HEADER);
	if (err || message->len < TLS_HANDSHAKE_HEADER)
		return err;
	err = check_header(conn, message->data);
	if (!err)
		err = gather(conn, TLS_HANDSHAKE_HEADER + body_len(message->data));
	if (!err && message->len == TLS_HANDSHAKE_HEADER + body_len(message->data))
		*whole = (struct tls_slice){ message->data, message->len };
	return err;
}

static int receive_message(struct tls_conn *conn, struct tls_slice whole)
{
	const struct tls_transition *row = find_transition(conn, whole.p[0]);
	struct tls_reader body;
	int err;

	if (!row)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	tls_engine_event(conn, TLS_EVENT_MESSAGE_RECEIVED, whole.p[0], whole, NULL);
	conn->state = row->next;
	tls_reader_init(&body, whole.p + TLS_HANDSHAKE_HEADER, whole.len - TLS_HANDSHAKE_HEADER);
	err = row->handler(conn, &body);
	if (!err && !tls_read_at_end(&body))
		err = TLS_ALERT(DECODE_ERROR);
	if (!err && conn->hs)
		err = tls_transcript_add(&conn->hs->transcript, whole.p, whole.len);
	return err;
}

/* The handshake is over: nothing of it is needed any more but what conn holds. */
static int establish(struct tls_conn *conn)
{
	int err = tls_check_key_boundary(conn);

	if (!err)
		err = tls_flight_flush(conn);
	if (err)
		return err;
	conn->established = true;
	tls_handshake_free(conn->hs);
	conn->hs = NULL;
	tls_wipe(conn->keysched.secret, sizeof(conn->keysched.secret));
	tls_buf_free(&conn->message);
	return 0;
}

static bool handshake_over(const struct tls_conn *conn)
{
	return conn->state == TLS13_CLIENT_ESTABLISHED || conn->state == TLS13_SERVER_ESTABLISHED ||
	       conn->state == TLS12_CLIENT_ESTABLISHED || conn->state == TLS12_SERVER_ESTABLISHED;
}

static int take_step(struct tls_conn *conn, const struct tls_transition *row)
{
	conn->state = row->next;
	return row->handler(conn, NULL);
}

/* All that is ours to do, until a message or the private key is needed. */
static int run_steps(struct tls_conn *conn)
{
	const struct tls_transition *row;
	int err;

	while (!conn->hs->key_wanted && (row = find_transition(conn, TLS_STEP))) {
		err = take_step(conn, row);
		if (err)
			return err;
	}
	if (handshake_over(conn))
		return establish(conn);
	return conn->hs->key_wanted ? 0 : tls_flight_flush(conn);
}

int tls_engine_handshake_record(struct tls_conn *conn)
{
	while (conn->plain.record_len && !(conn->hs && conn->hs->key_wanted)) {
		struct tls_slice whole;
		int err = next_message(conn, &whole);

		if (!err && !whole.p)
			break;
		conn->message_whole = true;
		if (!err)
			err = receive_message(conn, whole);
		conn->message_whole = false;
		tls_buf_reset(&conn->message);
		if (!err && conn->hs)
			err = run_steps(conn);
		if (err)
			return err;
	}
	return 0;
}

static int run(struct tls_conn *conn)
{
	int err = run_steps(conn);
	bool again = false;

	while (!err && conn->hs && !conn->hs->key_wanted) {
		err = tls_engine_next_record(conn, &again);
		if (err || again)
			break;
		err = tls_engine_handshake_record(conn);
	}
	return err;
}

int tls_engine_work_ahead(struct tls_conn *conn)
{
	int err = 0;

	/* The one step that has no use for the signature. */
	if (conn->hs->key_wanted && conn->state == TLS13_SERVER_HANDSHAKE_KEYS)
		err = take_step(conn, find_transition(conn, TLS_STEP));
	return err ? tls_engine_fail(conn, err) : 0;
}

int tls_engine_run(struct tls_conn *conn)
{
	int err = conn->hs ? run(conn) : 0;

	return err ? tls_engine_fail(conn, err) : 0;
}
