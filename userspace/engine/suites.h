/* SPDX-License-Identifier: MIT */
/* Cipher suites and what each is made of; names of numbers are in engine.h. */
#ifndef TLSGATE_SUITES_H
#define TLSGATE_SUITES_H

#include "crypto/crypto.h"

#define TLS_SUITE_FALLBACK_SCSV		0x5600	/* RFC 7507 */
#define TLS_SUITE_RENEGOTIATION_SCSV	0x00ff	/* RFC 5746 */

enum tls_kx {
	TLS_KX_TLS13,			/* not the suite's affair */
	TLS_KX_ECDHE,
	TLS_KX_RSA,
};

enum tls_auth {
	TLS_AUTH_ANY,			/* TLS 1.3 */
	TLS_AUTH_ECDSA,			/* Ed25519 too: RFC 8422 section 5.10 */
	TLS_AUTH_RSA,
};

struct tls_suite {
	uint16_t id;
	uint16_t version;
	enum tls_hash hash;
	enum tls_aead aead;
	enum tls_kx kx;
	enum tls_auth auth;
	/*
	 * Of the static IV: 12, whole nonce by XOR with the sequence number
	 * (TLS 1.3, RFC 7905); 4, salt before an explicit nonce (RFC 5288).
	 */
	uint8_t iv_len;
};

/* NULL: the engine has no such suite. */
const struct tls_suite *tls_suite_find(uint16_t id);
/* May a certificate with this key authenticate this suite? */
bool tls_suite_takes_key(const struct tls_suite *suite, enum tls_key_type key);

#endif /* TLSGATE_SUITES_H */
