// SPDX-License-Identifier: MIT
/* Signature schemes, and checking a peer's signature. */
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "crypto/openssl.h"

#define MD_NONE	(-1)			/* EdDSA and ML-DSA hash by themselves */
#define MD_SHA512	TLS_HASH_COUNT	/* not a transcript hash of ours */
/* RFC 8017 section 9.1.1: what an encoded message has besides digest and salt */
#define PSS_OVERHEAD	2

/* IANA number, in TLS 1.2, in TLS 1.3; key, digest, padding.  Last what libcrypto may lack. */
#define SCHEMES(X) \
	X(ECDSA_SECP256R1_SHA256, true, true, ECDSA_P256, TLS_HASH_SHA256, 0) \
	X(ED25519, true, true, ED25519, MD_NONE, 0) \
	X(ECDSA_SECP384R1_SHA384, true, true, ECDSA_P384, TLS_HASH_SHA384, 0) \
	X(ECDSA_SECP521R1_SHA512, true, true, ECDSA_P521, MD_SHA512, 0) \
	X(ED448, true, true, ED448, MD_NONE, 0) \
	X(RSA_PSS_RSAE_SHA256, true, true, RSA, TLS_HASH_SHA256, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PSS_RSAE_SHA384, true, true, RSA, TLS_HASH_SHA384, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PSS_RSAE_SHA512, true, true, RSA, MD_SHA512, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PSS_PSS_SHA256, true, true, RSA_PSS, TLS_HASH_SHA256, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PSS_PSS_SHA384, true, true, RSA_PSS, TLS_HASH_SHA384, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PSS_PSS_SHA512, true, true, RSA_PSS, MD_SHA512, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PKCS1_SHA256, true, false, RSA, TLS_HASH_SHA256, RSA_PKCS1_PADDING) \
	X(RSA_PKCS1_SHA384, true, false, RSA, TLS_HASH_SHA384, RSA_PKCS1_PADDING) \
	X(RSA_PKCS1_SHA512, true, false, RSA, MD_SHA512, RSA_PKCS1_PADDING) \
	X(MLDSA44, false, true, MLDSA44, MD_NONE, 0) \
	X(MLDSA65, false, true, MLDSA65, MD_NONE, 0) \
	X(MLDSA87, false, true, MLDSA87, MD_NONE, 0)

#define MLDSA_COUNT	3

#define PUBLIC(id, tls12, tls13, key, md, padding) \
	{ TLS_SCHEME_##id, tls12, tls13, (md) == MD_NONE },
static const struct tls_scheme schemes[] = { SCHEMES(PUBLIC) };

struct scheme_row {
	enum tls_key_type key;		/* the key TLS 1.3 binds it to */
	int md;				/* enum tls_hash, MD_SHA512, MD_NONE */
	int padding;			/* RSA only */
};

#define ROW(id, tls12, tls13, key, md, padding) \
	{ TLS_KEY_##key, md, padding },
static const struct scheme_row rows[] = { SCHEMES(ROW) };

#define SCHEME_COUNT	(sizeof(rows) / sizeof(rows[0]))

static const struct scheme_row *row_of(const struct tls_scheme *scheme)
{
	return &rows[scheme - schemes];
}

const struct tls_scheme *tls_schemes(size_t *count)
{
	const struct tls_crypto *crypto = tls_crypto();

	*count = crypto && crypto->mldsa ? SCHEME_COUNT : SCHEME_COUNT - MLDSA_COUNT;
	return schemes;
}

const struct tls_scheme *tls_scheme_find(uint16_t id)
{
	size_t count;
	const struct tls_scheme *all = tls_schemes(&count);

	for (size_t i = 0; i < count; i++) {
		if (all[i].id == id)
			return &all[i];
	}
	return NULL;
}

static bool is_ecdsa(enum tls_key_type key)
{
	return key == TLS_KEY_ECDSA_P256 || key == TLS_KEY_ECDSA_P384 || key == TLS_KEY_ECDSA_P521;
}

bool tls_scheme_fits(const struct tls_scheme *scheme, enum tls_key_type key, uint16_t version)
{
	const struct scheme_row *row = row_of(scheme);

	if (!(version == TLS_1_2 ? scheme->tls12 : scheme->tls13))
		return false;
	return row->key == key || (version == TLS_1_2 && is_ecdsa(key) && is_ecdsa(row->key));
}

const EVP_MD *tls_scheme_md(const struct tls_scheme *scheme)
{
	const struct tls_crypto *crypto = tls_crypto();
	int md = row_of(scheme)->md;

	if (!crypto || md == MD_NONE)
		return NULL;
	return md == MD_SHA512 ? crypto->sha512 : crypto->md[md];
}

/* RFC 4055 section 1.2: an RSA-PSS key may be bound to one digest. */
static bool digest_allowed(const EVP_PKEY *key, const EVP_MD *md)
{
	const int mandatory = 2;
	char bound[32];

	return EVP_PKEY_get_default_digest_name((EVP_PKEY *)key, bound, sizeof(bound)) !=
	       mandatory || EVP_MD_is_a(md, bound);
}

bool tls_key_takes(const EVP_PKEY *key, enum tls_key_type type, const struct tls_scheme *scheme)
{
	const EVP_MD *md = tls_scheme_md(scheme);

	if (!tls_key_is_rsa(type) || !md)
		return true;
	return EVP_PKEY_get_size(key) >= 2 * EVP_MD_get_size(md) + PSS_OVERHEAD &&
	       (type != TLS_KEY_RSA_PSS || digest_allowed(key, md));
}

int tls_scheme_set_up(const struct tls_scheme *scheme, EVP_PKEY_CTX *pctx)
{
	const struct scheme_row *row = row_of(scheme);
	int ok = 1;

	if (row->padding)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx, row->padding);
	if (ok == 1)
		ok = EVP_PKEY_CTX_set_signature_md(pctx, tls_scheme_md(scheme));
	/* RFC 9846 section 4.3.3: the salt is as long as the digest */
	if (ok == 1 && row->padding == RSA_PKCS1_PSS_PADDING)
		ok = EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
	return ok;
}

bool tls_scheme_signed(const struct tls_scheme *scheme, enum tls_key_type issuer, X509 *x509)
{
	const struct scheme_row *row = row_of(scheme);
	const EVP_MD *md = tls_scheme_md(scheme);
	int digest, algorithm;

	/* In chains any curve of ours goes with any digest, whatever the version. */
	if (!(row->key == issuer || (is_ecdsa(row->key) && is_ecdsa(issuer))) ||
	    X509_get_signature_info(x509, &digest, &algorithm, NULL, NULL) != 1)
		return false;
	return digest == (md ? EVP_MD_get_type(md) : NID_undef) &&
	       (row->padding == RSA_PKCS1_PSS_PADDING) == (algorithm == EVP_PKEY_RSA_PSS);
}

int tls_scheme_digest(const struct tls_scheme *scheme, struct tls_slice data,
		      uint8_t digest[TLS_MAX_DIGEST], size_t *len)
{
	const EVP_MD *md = tls_scheme_md(scheme);
	unsigned int n = 0;

	if (md && EVP_Digest(data.p, data.len, digest, &n, md, NULL) != 1)
		return tls_library_error();
	*len = n;
	return 0;
}

static int check_whole(EVP_PKEY *key, struct tls_slice data, struct tls_slice sig)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int err = TLS_ERR_ALERT + TLS_ALERT_DECRYPT_ERROR;

	if (!ctx || EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, NULL) != 1)
		err = TLS_ERR_LIBRARY;
	else if (EVP_DigestVerify(ctx, sig.p, sig.len, data.p, data.len) == 1)
		err = 0;
	EVP_MD_CTX_free(ctx);
	if (err)
		tls_library_error();
	return err;
}

static int check_digest(EVP_PKEY *key, const struct tls_scheme *scheme, struct tls_slice digest,
			struct tls_slice sig)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	int err = TLS_ERR_ALERT + TLS_ALERT_DECRYPT_ERROR;

	if (!ctx || EVP_PKEY_verify_init(ctx) != 1 || tls_scheme_set_up(scheme, ctx) != 1)
		err = TLS_ERR_LIBRARY;
	else if (EVP_PKEY_verify(ctx, sig.p, sig.len, digest.p, digest.len) == 1)
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	if (err)
		tls_library_error();
	return err;
}

int tls_certificate_check_signature(const struct tls_certificate *cert,
				    const struct tls_scheme *scheme, struct tls_slice data,
				    struct tls_slice sig)
{
	uint8_t digest[TLS_MAX_DIGEST];
	size_t len = 0;
	int err;

	if (scheme->whole)
		return check_whole(cert->key, data, sig);
	err = tls_scheme_digest(scheme, data, digest, &len);
	if (err)
		return err;
	return check_digest(cert->key, scheme, (struct tls_slice){ digest, len }, sig);
}
