/* SPDX-License-Identifier: MIT */
/*
 * The tests' own TLS record layer, written from the RFCs over libcrypto's
 * AEADs and sharing nothing with tlsgate: RFC 5246 section 6.2.3.3, RFC 5288
 * and RFC 7905 for TLS 1.2, RFC 9846 sections 5.2, 5.3 and 7 for TLS 1.3.
 * ref_check.c holds it against libssl.
 *
 * A libcrypto failure that is no authentication failure aborts the program:
 * it is the test that is broken then.
 */
#ifndef TLSGATE_SELFTESTS_REF_H
#define TLSGATE_SELFTESTS_REF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define REF_HEADER	5
#define REF_TAG		16
#define REF_PLAINTEXT	16384			/* most bytes of content in a record */
#define REF_RECORD_MAX	(REF_HEADER + 65535)

enum ref_type {
	REF_CHANGE_CIPHER_SPEC = 20,
	REF_ALERT = 21,
	REF_HANDSHAKE = 22,
	REF_DATA = 23,
};

struct ref_suite {
	uint16_t version;
	uint16_t suite;
	const char *name;
	const char *cipher;		/* libcrypto's name */
	const char *digest;		/* TLS 1.3 key schedule; NULL in TLS 1.2 */
	size_t key_len;
	size_t iv_len;			/* as TLSGATE_KEYS_A_IV wants it */
	size_t secret_len;		/* 0 in TLS 1.2 */
};

/* One direction of one connection. */
struct ref_keys {
	const struct ref_suite *suite;
	uint8_t key[32];
	uint8_t iv[12];
	uint8_t secret[48];
	uint64_t seq;
	uint64_t nonce_mask;		/* TLS 1.2 GCM: explicit nonce = seq ^ mask when sealing */
	void *ctx;			/* EVP_CIPHER_CTX, keyed */
};

/* NULL if the reference does not know it. */
const struct ref_suite *ref_suite(uint16_t version, uint16_t suite);
/* Fresh random keys; in TLS 1.3 derived from a random traffic secret. */
void ref_keys_random(struct ref_keys *k, const struct ref_suite *suite);
/* Keys from a TLS 1.3 traffic secret, sequence number 0. */
void ref_keys_from_secret(struct ref_keys *k, const struct ref_suite *suite, const uint8_t *secret);
/* Keys as they stand (TLS 1.2), sequence number 0. */
void ref_keys_set(struct ref_keys *k, const struct ref_suite *suite, const uint8_t *key,
		  const uint8_t *iv);
/* A copy with a context of its own. */
void ref_keys_copy(struct ref_keys *to, const struct ref_keys *from);
void ref_keys_free(struct ref_keys *k);
/* The next epoch: application_traffic_secret_N+1, sequence number 0. */
void ref_ratchet(struct ref_keys *k);

/*
 * Seals one record into out (room for len + pad + 64 bytes) and returns its
 * length on the wire.  pad is ignored in TLS 1.2.  len may pass REF_PLAINTEXT.
 */
size_t ref_seal(struct ref_keys *k, uint8_t type, const void *data, size_t len, size_t pad,
		uint8_t *out);
/* Length of the whole record whose header is at hdr. */
size_t ref_record_len(const uint8_t *hdr);
/*
 * Opens one whole record; out must hold len bytes.  Returns the length of its
 * content and sets *type; -1: does not authenticate or is malformed.
 */
ssize_t ref_open(struct ref_keys *k, const uint8_t *record, size_t len, uint8_t *type, void *out);
/* Bytes that padding and type took in the record ref_open() opened last (TLS 1.3). */
size_t ref_last_inner_extra(void);

#endif
