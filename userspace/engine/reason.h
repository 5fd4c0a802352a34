/* SPDX-License-Identifier: MIT */
/* Why a handshake failed: noted where it is decided, told by tls_conn_reason(). */
#ifndef TLSGATE_REASON_H
#define TLSGATE_REASON_H

#include "wire.h"

#define TLS_REASON_DETAIL	192	/* bytes */

struct tls_conn;

/* What is known beyond the error. One sentence each, see reason.c. */
enum tls_reason {
	TLS_REASON_NONE,
	/* what the peer's first bytes are, when they are no TLS */
	TLS_REASON_HTTP,
	TLS_REASON_HTTP_ANSWER,
	TLS_REASON_PROXY,
	TLS_REASON_POSTGRES,
	TLS_REASON_MYSQL,
	TLS_REASON_SSL2,
	TLS_REASON_SSH,
	TLS_REASON_RDP,
	TLS_REASON_GREETING,
	TLS_REASON_ZEROS,
	TLS_REASON_NOT_TLS,
	/* nothing in common */
	TLS_REASON_VERSION,
	TLS_REASON_FALLBACK,
	TLS_REASON_SUITE,
	TLS_REASON_GROUP,
	TLS_REASON_PQ,
	TLS_REASON_CERTIFICATE,
	TLS_REASON_CERTIFICATE_OF_NAME,
	TLS_REASON_NAME,
	TLS_REASON_ALPN,
	/* what the peer lacks, or has too much of */
	TLS_REASON_RENEGOTIATION_INFO,
	TLS_REASON_DOWNGRADE,
	TLS_REASON_CLIENT_CERTIFICATE,
	TLS_REASON_MESSAGE_LEN,
	TLS_REASON_CHAIN_LEN,
	TLS_REASON_FINISHED,
	TLS_REASONS,
};

/* Notes the first reason of the handshake, and returns err. */
int tls_refuse(struct tls_conn *conn, enum tls_reason reason, int err);
/* What goes into brackets behind its sentence, of our own making or escaped already. */
void tls_refuse_detail(struct tls_conn *conn, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* The same: what the peer offers, numbers of 16 bits, of which the engine may know the names. */
void tls_refuse_offer(struct tls_conn *conn, struct tls_slice numbers,
		      const char *(*name)(uint16_t number));
/* The same: ProtocolNames, as on the wire. */
void tls_refuse_protocols(struct tls_conn *conn, struct tls_slice names);
/* What began so is no TLS; the first bytes of the peer's. */
int tls_refuse_bytes(struct tls_conn *conn, struct tls_slice begin, int err);

#endif /* TLSGATE_REASON_H */
