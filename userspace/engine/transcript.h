/* SPDX-License-Identifier: MIT */
/* The running hash over all handshake messages. */
#ifndef TLSGATE_TRANSCRIPT_H
#define TLSGATE_TRANSCRIPT_H

#include "crypto.h"

/* Until the suite says which hash it is, all of them run. */
struct tls_transcript {
	struct tls_hash_ctx *run[TLS_HASH_COUNT];	/* NULL: not running (any more) */
	enum tls_hash hash;				/* TLS_HASH_COUNT: not chosen */
};

TLS_MUST_CHECK int tls_transcript_init(struct tls_transcript *t);
/* All-zero and twice freed ones are fine. */
void tls_transcript_free(struct tls_transcript *t);
/* Whole handshake messages, header included. */
TLS_MUST_CHECK int tls_transcript_add(struct tls_transcript *t, const void *data, size_t len);
/*
 * The suite's hash is known.  keep_others: the other hash goes on (TLS 1.2
 * with a client certificate, whose CertificateVerify may want either).
 */
void tls_transcript_choose(struct tls_transcript *t, enum tls_hash hash, bool keep_others);
/* Digest so far, by the chosen hash.  TLS_ERR_STATE: none is chosen. */
TLS_MUST_CHECK int tls_transcript_digest(const struct tls_transcript *t, uint8_t *out);
/* Digest so far followed by extra, by the given hash (a PSK's binder: the hash of the PSK,
 * extra being the truncated ClientHello). TLS_ERR_STATE: that hash does not run. */
TLS_MUST_CHECK int tls_transcript_digest_with(const struct tls_transcript *t, enum tls_hash hash,
					      struct tls_slice extra, uint8_t *out);
/* RFC 9846 section 4.4.1: the first ClientHello becomes a message_hash. After choose(), before the
 * HelloRetryRequest is added. Replaces it in every hash still running. */
TLS_MUST_CHECK int tls_transcript_hello_retry(struct tls_transcript *t);

#endif /* TLSGATE_TRANSCRIPT_H */
