/* SPDX-License-Identifier: MIT */
/* What crypto/ and verify/ share of libcrypto. */
#ifndef TLSGATE_CRYPTO_OPENSSL_H
#define TLSGATE_CRYPTO_OPENSSL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "crypto/certificate.h"

#define TLS_GROUPS	7

/*
 * Everything fetched, once per process, and only read from then on: libcrypto
 * lets threads share fetched algorithms and templates that nobody changes.
 */
struct tls_crypto {
	EVP_MD *md[TLS_HASH_COUNT], *sha512;
	uint8_t empty[TLS_HASH_COUNT][TLS_MAX_HASH];
	EVP_CIPHER *cipher[TLS_AEAD_COUNT];
	/* in the order of the table of groups; groups[] only those that can be had */
	EVP_PKEY *curves[TLS_GROUPS];		/* templates; NIST's only */
	const struct tls_group *groups[TLS_GROUPS];
	size_t group_count;
	bool mldsa;
};

/* NULL: libcrypto lacks something, see tls_crypto_init(). */
const struct tls_crypto *tls_crypto(void);

/* The certificate that is all of der, or NULL. */
X509 *tls_x509_from_der(struct tls_slice der);

/* Empties libcrypto's error queue of this thread and says TLS_ERR_LIBRARY. */
int tls_library_error(void);

/* Fills in curves, groups and group_count; 0 or TLS_ERR_LIBRARY. */
TLS_MUST_CHECK int tls_groups_setup(struct tls_crypto *crypto);

struct tls_certificate {
	unsigned int refs;			/* atomic */
	uint32_t key_id;
	enum tls_key_type key_type;
	EVP_PKEY *key;				/* the leaf's public key */
	size_t count;
	X509 *x509[TLS_MAX_CHAIN];
	struct tls_slice der[TLS_MAX_CHAIN];	/* owned */
	struct tls_slice ocsp, scts;		/* owned; of ours only */
};

/* What signed last, ready to sign again by the same scheme. */
struct tls_signer {
	EVP_PKEY_CTX *ctx;
	const struct tls_scheme *scheme;	/* NULL: ctx is not set up */
};

struct tls_private_key {
	EVP_PKEY *key;
	struct tls_signer *signer;		/* owned */
	enum tls_key_type type;
	uint8_t reject[32];			/* what bad RSA padding is answered from */
};

#define TLS_MIN_RSA_BITS	2048
#define TLS_MAX_RSA_BITS	(8 * TLS_MAX_RSA)

/* Is it of a type the engine can use? RSA of any length up to TLS_MAX_RSA_BITS. */
bool tls_key_type_of(const EVP_PKEY *key, enum tls_key_type *type);

/*
 * Sets pctx, which has been through a sign or verify init, to the scheme's
 * digest and padding.  1, or as EVP says.
 */
int tls_scheme_set_up(const struct tls_scheme *scheme, EVP_PKEY_CTX *pctx);
/* The scheme's digest; NULL where it has none. */
const EVP_MD *tls_scheme_md(const struct tls_scheme *scheme);
/* Is an RSA key long enough for the scheme, and not bound to another digest?  Others are. */
bool tls_key_takes(const EVP_PKEY *key, enum tls_key_type type, const struct tls_scheme *scheme);
/* Is the certificate signed by this scheme, by an issuer whose key is of that type? */
bool tls_scheme_signed(const struct tls_scheme *scheme, enum tls_key_type issuer, X509 *x509);
/* Has libcrypto keys of this name? */
bool tls_has_algorithm(const char *name);

#endif /* TLSGATE_CRYPTO_OPENSSL_H */
