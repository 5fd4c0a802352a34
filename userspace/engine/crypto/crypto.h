/* SPDX-License-Identifier: MIT */
/*
 * Primitives, from libcrypto, and from libsodium for X25519.  Only crypto/ and
 * verify/ include their headers.
 *
 * Algorithms are fetched once per process, by pthread_once, into tables that
 * never change afterwards; nothing else is shared between connections.
 * Contexts belong to one thread at a time.  Functions give 0, or one of the
 * engine's errors; TLS_ERR_LIBRARY and TLS_ERR_NO_MEMORY are always possible
 * and not named again below.  On any error outputs are undefined and hold no
 * secret.
 */
#ifndef TLSGATE_CRYPTO_H
#define TLSGATE_CRYPTO_H

#include "engine.h"
#include "wire.h"

/*
 * Fetches the algorithms; the others call it as needed.  Calling it before
 * privileges or file access are dropped moves all of libcrypto's own set-up
 * (configuration file, providers, random device) to that moment.
 */
TLS_MUST_CHECK int tls_crypto_init(void);

/* Fills out with random bytes fit for keys. */
TLS_MUST_CHECK int tls_random(void *out, size_t len);
/* Constant time in the contents; len is public. */
bool tls_equal(const void *a, const void *b, size_t len);

/* ---- hash, HMAC, HKDF ---------------------------------------------------- */

enum tls_hash {
	TLS_HASH_SHA256,
	TLS_HASH_SHA384,
	TLS_HASH_COUNT,
};

#define TLS_MAX_HASH	48

size_t tls_hash_size(enum tls_hash hash);
/* Digest of nothing, which the TLS 1.3 schedule derives from. */
const uint8_t *tls_hash_empty(enum tls_hash hash);
TLS_MUST_CHECK int tls_hash(enum tls_hash hash, const void *data, size_t len, uint8_t *out);

/* A running hash. */
struct tls_hash_ctx;

TLS_MUST_CHECK int tls_hash_new(struct tls_hash_ctx **out, enum tls_hash hash);
void tls_hash_free(struct tls_hash_ctx *ctx);			/* NULL is fine */
TLS_MUST_CHECK int tls_hash_update(struct tls_hash_ctx *ctx, const void *data, size_t len);
/* Digest of what went in so far, followed by extra; the running hash goes on unchanged. */
TLS_MUST_CHECK int tls_hash_peek(const struct tls_hash_ctx *ctx, struct tls_slice extra,
				 uint8_t *out);
TLS_MUST_CHECK int tls_hash_restart(struct tls_hash_ctx *ctx);	/* forgets all input */

/* An HMAC machine: made once, keyed as often as wanted; free() wipes the last key. */
struct tls_hmac;

TLS_MUST_CHECK int tls_hmac_new(struct tls_hmac **out, enum tls_hash hash);
void tls_hmac_free(struct tls_hmac *hmac);			/* NULL is fine */
enum tls_hash tls_hmac_hash(const struct tls_hmac *hmac);
/* HMAC under key over the count parts in their order; out has tls_hash_size() bytes and may
 * be the memory of key or of a part. */
TLS_MUST_CHECK int tls_hmac_run(struct tls_hmac *hmac, struct tls_slice key,
				const struct tls_slice *parts, size_t count, uint8_t *out);

/* RFC 5869, by the hash of hmac. prk has tls_hash_size() bytes, and may be where ikm or salt is. */
TLS_MUST_CHECK int tls_hkdf_extract(struct tls_hmac *hmac, struct tls_slice salt,
				    struct tls_slice ikm, uint8_t *prk);
/* RFC 9846 section 7.1 HKDF-Expand-Label; label without "tls13 ". out may be secret's memory.
 * TLS_ERR_ARGUMENT: label, context or out_len too long. */
TLS_MUST_CHECK int tls_hkdf_expand_label(struct tls_hmac *hmac, const uint8_t *secret,
					 const char *label, struct tls_slice context,
					 uint8_t *out, size_t out_len);

/* ---- AEAD ------------------------------------------------------------------ */

enum tls_aead {
	TLS_AEAD_AES_128_GCM,
	TLS_AEAD_AES_256_GCM,
	TLS_AEAD_CHACHA20_POLY1305,
	TLS_AEAD_AES_128_CCM,
	TLS_AEAD_COUNT,
};

#define TLS_TAG_LEN	16		/* of all of them */
#define TLS_NONCE_LEN	12

/* A keyed AEAD for one direction. */
struct tls_aead_ctx;

size_t tls_aead_key_size(enum tls_aead aead);
TLS_MUST_CHECK int tls_aead_new(struct tls_aead_ctx **out, enum tls_aead aead,
				const uint8_t *key, bool seal);
void tls_aead_free(struct tls_aead_ctx *ctx);			/* NULL is fine */
/* out gets len + TLS_TAG_LEN bytes; in == out is allowed, other overlap is not. */
TLS_MUST_CHECK int tls_aead_seal(struct tls_aead_ctx *ctx, const uint8_t nonce[TLS_NONCE_LEN],
				 struct tls_slice ad, const uint8_t *in, size_t len, uint8_t *out);
/*
 * in has len bytes, the tag included (len >= TLS_TAG_LEN); out gets len -
 * TLS_TAG_LEN; in == out is allowed.  TLS_ERR_ALERT + bad_record_mac when it
 * does not authenticate, and then out is wiped.
 */
TLS_MUST_CHECK int tls_aead_open(struct tls_aead_ctx *ctx, const uint8_t nonce[TLS_NONCE_LEN],
				 struct tls_slice ad, const uint8_t *in, size_t len, uint8_t *out);

/* ---- key exchange -------------------------------------------------------------- */

#define TLS_GROUP_SECP256R1		0x0017
#define TLS_GROUP_SECP384R1		0x0018
#define TLS_GROUP_SECP521R1		0x0019
#define TLS_GROUP_X25519		0x001d
#define TLS_GROUP_X448			0x001e
#define TLS_GROUP_SECP256R1MLKEM768	0x11eb
#define TLS_GROUP_X25519MLKEM768	0x11ec

#define TLS_MAX_SHARE		1249	/* SecP256r1MLKEM768, client */
#define TLS_MAX_SHARED_SECRET	66	/* P-521 */

/*
 * Every group has the shape of a KEM: the initiator sends a share, the
 * responder answers with one and has the secret, the initiator finishes with
 * the answer.  In TLS 1.3 the client initiates; in TLS 1.2 ECDHE the server
 * does.
 */
struct tls_group {
	uint16_t id;
	bool tls12;			/* usable in TLS 1.2 too */
	bool pq;			/* ML-KEM is a part of it */
	uint16_t initiator_len;		/* exact bytes of the initiator's share */
	uint16_t responder_len;
	uint16_t secret_len;
};

/* The groups there are on this machine, best first; *count rows. All are offered by default. */
const struct tls_group *const *tls_groups(size_t *count);
/* NULL: unknown, or libcrypto lacks it. */
const struct tls_group *tls_group_find(uint16_t id);

/* An ephemeral private key: the initiator's, or a responder's between its two steps. */
struct tls_kex;

/* share gets group->initiator_len bytes. */
TLS_MUST_CHECK int tls_kex_initiate(struct tls_kex **out, const struct tls_group *group,
				    uint8_t *share);
/* answer gets group->responder_len bytes, secret group->secret_len.
 * TLS_ERR_ALERT + illegal_parameter: peer is of a wrong length, is no point, or gives zero. */
TLS_MUST_CHECK int tls_kex_respond(const struct tls_group *group, struct tls_slice peer,
				   uint8_t *answer, uint8_t *secret);

#define TLS_KEX_RANDOM_LEN	32	/* bytes */

/*
 * The same in two steps, for whoever has a use for the time between them: the
 * answer, then the secret, which agree() may be asked for once.  Either may find
 * that peer is none.  random: TLS_KEX_RANDOM_LEN bytes that the private key
 * may be made of, drawn for nothing else, the caller wipes it; or NULL: it is drawn here.
 */
TLS_MUST_CHECK int tls_kex_accept(struct tls_kex **out, const struct tls_group *group,
				  struct tls_slice peer, const uint8_t *random, uint8_t *answer);
TLS_MUST_CHECK int tls_kex_agree(struct tls_kex *kex, uint8_t *secret);
/* secret gets group->secret_len bytes.  Errors as tls_kex_respond(). May be called once. */
TLS_MUST_CHECK int tls_kex_finish(struct tls_kex *kex, struct tls_slice answer, uint8_t *secret);
void tls_kex_free(struct tls_kex *kex);				/* NULL is fine */

/* ---- signature schemes ------------------------------------------------------------ */

enum tls_key_type {
	TLS_KEY_RSA,
	TLS_KEY_RSA_PSS,		/* may sign by RSASSA-PSS only */
	TLS_KEY_ECDSA_P256,
	TLS_KEY_ECDSA_P384,
	TLS_KEY_ECDSA_P521,
	TLS_KEY_ED25519,
	TLS_KEY_ED448,
	TLS_KEY_MLDSA44,		/* ML-DSA: where libcrypto has it, from 3.5 on */
	TLS_KEY_MLDSA65,
	TLS_KEY_MLDSA87,
};

bool tls_key_is_rsa(enum tls_key_type type);

#define TLS_SCHEME_RSA_PKCS1_SHA256		0x0401
#define TLS_SCHEME_RSA_PKCS1_SHA384		0x0501
#define TLS_SCHEME_RSA_PKCS1_SHA512		0x0601
#define TLS_SCHEME_ECDSA_SECP256R1_SHA256	0x0403
#define TLS_SCHEME_ECDSA_SECP384R1_SHA384	0x0503
#define TLS_SCHEME_RSA_PSS_RSAE_SHA256		0x0804
#define TLS_SCHEME_RSA_PSS_RSAE_SHA384		0x0805
#define TLS_SCHEME_RSA_PSS_RSAE_SHA512		0x0806
#define TLS_SCHEME_ED25519			0x0807
#define TLS_SCHEME_ECDSA_SECP521R1_SHA512	0x0603
#define TLS_SCHEME_ED448			0x0808
#define TLS_SCHEME_RSA_PSS_PSS_SHA256		0x0809
#define TLS_SCHEME_RSA_PSS_PSS_SHA384		0x080a
#define TLS_SCHEME_RSA_PSS_PSS_SHA512		0x080b
#define TLS_SCHEME_MLDSA44			0x0904
#define TLS_SCHEME_MLDSA65			0x0905
#define TLS_SCHEME_MLDSA87			0x0906

#define TLS_MAX_DIGEST		64
#define TLS_MAX_RSA		1024	/* bytes of a signature or a ciphertext: 8192 bits */

struct tls_scheme {
	uint16_t id;
	bool tls12;			/* TLS 1.2 has it, too */
	bool tls13;			/* allowed in a TLS 1.3 CertificateVerify */
	bool whole;			/* signs the data, no digest of them: EdDSA, ML-DSA */
};

/*
 * Those there are on this machine, best first; *count rows.  All are offered by default, in
 * signature_algorithms(_cert) alike: for what a peer signs and for its chain.
 */
const struct tls_scheme *tls_schemes(size_t *count);
const struct tls_scheme *tls_scheme_find(uint16_t id);
/*
 * May a key of this type sign with this scheme in this version?  TLS 1.3
 * binds curve to hash; TLS 1.2 (RFC 8422) takes an ECDSA scheme for any curve.
 */
bool tls_scheme_fits(const struct tls_scheme *scheme, enum tls_key_type key, uint16_t version);
/* The digest of data as the scheme takes it; 0 bytes where it takes the whole. */
TLS_MUST_CHECK int tls_scheme_digest(const struct tls_scheme *scheme, struct tls_slice data,
				     uint8_t digest[TLS_MAX_DIGEST], size_t *len);

#endif /* TLSGATE_CRYPTO_H */
