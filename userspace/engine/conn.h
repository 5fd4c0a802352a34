/* SPDX-License-Identifier: MIT */
/* A connection from the inside.  Nothing here is for callers of the engine. */
#ifndef TLSGATE_CONN_H
#define TLSGATE_CONN_H

#include "crypto/certificate.h"
#include "crypto/keysched13.h"
#include "crypto/prf12.h"
#include "record.h"
#include "states.h"
#include "verify/verify.h"

struct tls_config;
struct tls_handshake;

/* What a peer may send in a row only so often, see tls_row_floods(). */
enum tls_row {
	TLS_ROW_EMPTY,			/* records that are empty or dropped */
	TLS_ROW_WARNING,
	TLS_ROW_KEY_UPDATE,
	TLS_ROW_MESSAGE,		/* any other message after the handshake */
	TLS_ROWS,
};

/* Where the plaintext of the record being consumed lies, as offsets into conn->in. */
struct tls_plain {
	size_t start, len;		/* not yet consumed part */
	size_t record_len;		/* of the whole record at in_head; 0: no record is open */
	uint8_t type;
};

struct tls_conn {
	struct tls_config *config;
	void *arg;
	enum tls_role role;
	enum tls_state state;
	int error;			/* what ended it; 0: alive */
	bool started, established;
	bool rx_closed, tx_closed;	/* close_notify received, sent */
	bool key_update_queued;		/* one of ours is in the output */
	bool resumed, hello_retry, extended_master_secret;

	struct tls_buf in;
	size_t in_head;			/* bytes before it are consumed */
	struct tls_plain plain;
	struct tls_buf message;		/* part of a handshake message that spans records */
	bool message_whole;		/* all of it is there and being read */
	struct tls_buf out;
	size_t out_head;		/* bytes before it have been sent */
	size_t out_lazy;		/* bytes at its end that can wait for more */
	struct tls_record_dir rx, tx;
	unsigned int rows[TLS_ROWS];
	int64_t rows_since;		/* seconds since the epoch */

	uint16_t version;		/* 0: not negotiated */
	const struct tls_suite *suite;
	uint16_t group, scheme;		/* scheme: of the server's signature */
	struct tls_keysched keysched;	/* TLS 1.3; lives on for KeyUpdate */
	uint8_t exporter[TLS_MAX_HASH];	/* TLS 1.3: that secret; TLS 1.2: the master secret */
	uint8_t randoms[2 * TLS_RANDOM_LEN];	/* TLS 1.2, for the exporter: client's, server's */
	uint8_t resumption[TLS_MAX_HASH];	/* client, TLS 1.3: for tickets to come */
	struct tls_buf session;		/* client: what tls_conn_session() gives */
	int64_t begun;			/* of the session resumed; 0: none */
	struct tls_peer *peer;
	struct tls_buf ocsp;		/* client: the response stapled */
	struct tls_buf scts;		/* client: the leaf's, as they came */
	char server_name[TLS_MAX_SERVER_NAME + 1];
	char alpn[TLS_MAX_ALPN + 1];
	char verify_error[TLS_VERIFY_TEXT];

	struct tls_handshake *hs;	/* NULL once established */
};

/* Labels of 1..63 letters, digits, hyphens and underscores; an IPv4 literal is one, too. */
bool tls_is_dns_name(const char *name);

#endif /* TLSGATE_CONN_H */
