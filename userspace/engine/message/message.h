/* SPDX-License-Identifier: MIT */
/* The handshake messages: the functions that the state tables name, and what messages share. */
#ifndef TLSGATE_MESSAGE_H
#define TLSGATE_MESSAGE_H

#include "states.h"
#include "verify/verify.h"

#define TLS_STATUS_OCSP		1	/* RFC 6066 section 8 */
#define TLS_CERT_TYPE_RSA	1	/* RFC 5246 section 7.4.4 */
#define TLS_CERT_TYPE_ECDSA	64
#define TLS_HANDSHAKE_HEADER	4
#define TLS_MAX_MESSAGE		65536	/* body of a handshake message */

/* A ClientHello; the slices are into the message. */
struct tls_hello {
	uint16_t version;
	struct tls_slice random, session_id, suites, compression;
	struct tls_reader extensions;
};

/* decode_error: it is malformed, as far as the extensions. */
TLS_MUST_CHECK int tls_hello_read(struct tls_hello *hello, struct tls_reader *body);

tls_handler tls_send_client_hello, tls_recv_client_hello, tls13_recv_second_client_hello;
tls_handler tls_recv_server_hello;
tls_handler tls13_send_hello_retry, tls13_send_server_hello, tls12_send_server_hello;
tls_handler tls_send_encrypted_extensions, tls_recv_encrypted_extensions;
tls_handler tls13_send_certificate_request, tls13_recv_certificate_request;
tls_handler tls12_send_certificate_request, tls12_recv_certificate_request;
/* The client's send nothing where none is requested; the server's recv knows "none". */
tls_handler tls13_send_certificate, tls13_send_client_certificate;
tls_handler tls13_recv_certificate, tls13_recv_client_certificate;
tls_handler tls12_send_certificate, tls12_send_client_certificate;
tls_handler tls12_recv_certificate, tls12_recv_client_certificate;
/* Signing and sending do nothing without hs->cert. */
tls_handler tls12_send_certificate_status, tls12_recv_certificate_status;
/* CertificateStatus, whose form TLS 1.3 has, too: ours, and the peer's into conn->ocsp. */
void tls_put_status(const struct tls_conn *conn, struct tls_buf *out);
TLS_MUST_CHECK int tls_take_status(struct tls_conn *conn, struct tls_reader *body);
/* Has conn->ocsp judged, or that there is none. */
TLS_MUST_CHECK int tls_verify_status(struct tls_conn *conn);
tls_handler tls13_sign, tls12_client_sign, tls_send_certificate_verify;
tls_handler tls13_recv_certificate_verify, tls12_recv_certificate_verify;
tls_handler tls12_server_sign, tls12_send_server_key_exchange, tls12_recv_server_key_exchange;
tls_handler tls12_send_server_hello_done, tls12_recv_server_hello_done;
tls_handler tls12_send_client_key_exchange, tls12_recv_client_key_exchange;
tls_handler tls12_recv_ccs;
tls_handler tls12_send_finished, tls12_recv_finished, tls13_send_finished, tls13_recv_finished;
tls_handler tls13_send_tickets, tls13_recv_new_session_ticket;
tls_handler tls12_send_ticket, tls12_recv_new_session_ticket, tls12_keep_session_id;
tls_handler tls13_recv_key_update, tls12_ignore_hello_request, tls12_refuse_renegotiation;
/* What this connection asks of its peer. */
struct tls_verify_request tls_verify_request(struct tls_conn *conn);

/* Puts a KeyUpdate into the output and ratchets the send key. */
TLS_MUST_CHECK int tls_send_key_update(struct tls_conn *conn, bool request);

#endif /* TLSGATE_MESSAGE_H */
