/* SPDX-License-Identifier: MIT */
/* The running hash over all handshake messages. */
#ifndef TLSGATE_TRANSCRIPT_H
#define TLSGATE_TRANSCRIPT_H

#include "crypto/crypto.h"

/* Until the suite says which hash it is, the messages themselves are kept. */
struct tls_transcript {
	struct tls_hash_ctx *run;	/* NULL until then */
	enum tls_hash hash;
	bool keep;			/* the messages even then */
	struct tls_buf messages;
};

void tls_transcript_init(struct tls_transcript *t);
/* All-zero and twice freed ones are fine. */
void tls_transcript_free(struct tls_transcript *t);
/* Whole handshake messages, header included. */
TLS_MUST_CHECK int tls_transcript_add(struct tls_transcript *t, const void *data, size_t len);
/*
 * The suite's hash is known; another one later is TLS_ERR_STATE.  keep: the
 * messages go on to be kept until tls_transcript_drop() (TLS 1.2 with a client
 * certificate, whose CertificateVerify is over them and by any hash).
 */
TLS_MUST_CHECK int tls_transcript_choose(struct tls_transcript *t, enum tls_hash hash, bool keep);
/* The messages so far; valid until the next call.  Only while they are kept. */
struct tls_slice tls_transcript_messages(const struct tls_transcript *t);
void tls_transcript_drop(struct tls_transcript *t);
/* Digest so far, by the chosen hash.  TLS_ERR_STATE: none is chosen. */
TLS_MUST_CHECK int tls_transcript_digest(const struct tls_transcript *t, uint8_t *out);
/* Digest so far followed by extra, by the given hash (a PSK's binder: the hash of the PSK,
 * extra being the truncated ClientHello). TLS_ERR_STATE: it is not the chosen one, or none is
 * and there is a message already. */
TLS_MUST_CHECK int tls_transcript_digest_with(const struct tls_transcript *t, enum tls_hash hash,
					      struct tls_slice extra, uint8_t *out);
/* RFC 9846 section 4.4.1: the first ClientHello becomes a message_hash. After choose(), before the
 * HelloRetryRequest is added. */
TLS_MUST_CHECK int tls_transcript_hello_retry(struct tls_transcript *t);

#endif /* TLSGATE_TRANSCRIPT_H */
