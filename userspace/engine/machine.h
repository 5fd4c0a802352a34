/* SPDX-License-Identifier: MIT */
/*
 * What drives a connection: records in, messages through the state tables,
 * flights out, alerts.
 */
#ifndef TLSGATE_MACHINE_H
#define TLSGATE_MACHINE_H

#include "conn.h"
#include "states.h"

#define TLS_MAX_EARLY_DATA_SKIP	16384	/* bytes of 0-RTT data that we throw away */

#define TLS_ALERT_LEN		2
#define TLS_LEVEL_WARNING	1
#define TLS_LEVEL_FATAL		2

/* Does what is due and reads what is there, until input or the private key is wanted. */
int tls_engine_run(struct tls_conn *conn);
/* See tls_conn_work_ahead(). */
int tls_engine_work_ahead(struct tls_conn *conn);
/*
 * Opens the next record unless one is open.  *again: there is no whole record
 * to be had.  Alerts, dropped and empty records are dealt with.
 */
int tls_engine_next_record(struct tls_conn *conn, bool *again);
/* Feeds what is open of handshake type to the state machine, as far as it goes. */
int tls_engine_handshake_record(struct tls_conn *conn);
/* Takes len bytes of the open record's plaintext as consumed. */
void tls_engine_consume(struct tls_conn *conn, size_t len);
/*
 * Ends the connection with err, which it returns: puts the alert into the
 * output where err is ours (internal_error for local errors).
 */
int tls_engine_fail(struct tls_conn *conn, int err);
/*
 * Counts one more of what a peer may make us do for nothing.  True: it is too
 * much, in a row, without progress in between: a message of the handshake; after
 * it data in either direction, or some time.
 */
bool tls_row_floods(struct tls_conn *conn, enum tls_row row);
void tls_rows_end(struct tls_conn *conn);
/* Calls the event hook, if there is one. data may be empty, text NULL. */
void tls_engine_event(struct tls_conn *conn, enum tls_event_kind kind, uint8_t type,
		      struct tls_slice data, const char *text);
/* Appends records of this type to the output, under the current send key. */
TLS_MUST_CHECK int tls_engine_seal(struct tls_conn *conn, uint8_t type, const uint8_t *data,
				   size_t len);
TLS_MUST_CHECK int tls_engine_send_alert(struct tls_conn *conn, uint8_t level, uint8_t alert);

/* A handshake message under construction at the end of the flight. */
struct tls_outgoing {
	size_t start;
	struct tls_vec body;
};
struct tls_outgoing tls_message_begin(struct tls_conn *conn, enum tls_message type);
/* Ends it: into the transcript, and the event hook. */
TLS_MUST_CHECK int tls_message_end(struct tls_conn *conn, struct tls_outgoing msg);
/* Seals the flight's messages into the output. Before every change of the send key.
 * unexpected_message: the peer said more than was its turn. */
TLS_MUST_CHECK int tls_flight_flush(struct tls_conn *conn);
/* Only its first len bytes, whole messages. */
TLS_MUST_CHECK int tls_flight_flush_first(struct tls_conn *conn, size_t len);
/* TLS 1.3 middlebox compatibility (RFC 9846 appendix E.4): one change_cipher_spec, once. */
TLS_MUST_CHECK int tls_compat_ccs(struct tls_conn *conn);
/* RFC 9846 section 5.1: messages must not span a change of the receive key. */
TLS_MUST_CHECK int tls_check_key_boundary(const struct tls_conn *conn);

#endif /* TLSGATE_MACHINE_H */
