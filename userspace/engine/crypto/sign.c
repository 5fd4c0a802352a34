// SPDX-License-Identifier: MIT
/* Signature schemes, and checking a peer's signature. */
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "crypto/openssl.h"

#define MD_NONE	(-1)			/* EdDSA hashes by itself */
#define MD_SHA512	TLS_HASH_COUNT	/* not a transcript hash of ours */

/* IANA number, allowed in TLS 1.3; key, digest, padding. */
#define SCHEMES(X) \
	X(ECDSA_SECP256R1_SHA256, true, ECDSA_P256, TLS_HASH_SHA256, 0) \
	X(ED25519, true, ED25519, MD_NONE, 0) \
	X(ECDSA_SECP384R1_SHA384, true, ECDSA_P384, TLS_HASH_SHA384, 0) \
	X(RSA_PSS_RSAE_SHA256, true, RSA, TLS_HASH_SHA256, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PSS_RSAE_SHA384, true, RSA, TLS_HASH_SHA384, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PSS_RSAE_SHA512, true, RSA, MD_SHA512, RSA_PKCS1_PSS_PADDING) \
	X(RSA_PKCS1_SHA256, false, RSA, TLS_HASH_SHA256, RSA_PKCS1_PADDING) \
	X(RSA_PKCS1_SHA384, false, RSA, TLS_HASH_SHA384, RSA_PKCS1_PADDING) \
	X(RSA_PKCS1_SHA512, false, RSA, MD_SHA512, RSA_PKCS1_PADDING)

#define PUBLIC(id, tls13, key, md, padding) \
	{ TLS_SCHEME_##id, tls13, (md) == MD_NONE },
static const struct tls_scheme schemes[] = { SCHEMES(PUBLIC) };

struct scheme_row {
	enum tls_key_type key;		/* the key TLS 1.3 binds it to */
	int md;				/* enum tls_hash, MD_SHA512, MD_NONE */
	int padding;			/* RSA only */
};

#define ROW(id, tls13, key, md, padding) \
	{ TLS_KEY_##key, md, padding },
static const struct scheme_row rows[] = { SCHEMES(ROW) };

#define SCHEME_COUNT	(sizeof(rows) / sizeof(rows[0]))

static const struct scheme_row *row_of(const struct tls_scheme *scheme)
{
	return &rows[scheme - schemes];
}

const struct tls_scheme *tls_schemes(size_t *count)
{
	*count = SCHEME_COUNT;
	return schemes;
}

const struct tls_scheme *tls_scheme_find(uint16_t id)
{
	for (size_t i = 0; i < SCHEME_COUNT; i++) {
		if (schemes[i].id == id)
			return &schemes[i];
	}
	return NULL;
}

bool tls_scheme_fits(const struct tls_scheme *scheme, enum tls_key_type key, uint16_t version)
{
	const struct scheme_row *row = row_of(scheme);

	if (version == TLS_1_2 && (key == TLS_KEY_ECDSA_P256 || key == TLS_KEY_ECDSA_P384))
		return row->key == TLS_KEY_ECDSA_P256 || row->key == TLS_KEY_ECDSA_P384;
	return row->key == key && (scheme->tls13 || version == TLS_1_2);
}

const EVP_MD *tls_scheme_md(const struct tls_scheme *scheme)
{
	const struct tls_crypto *crypto = tls_crypto();
	int md = row_of(scheme)->md;

	if (!crypto || md == MD_NONE)
		return NULL;
	return md == MD_SHA512 ? crypto->sha512 : crypto->md[md];
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

static int check_ed25519(EVP_PKEY *key, struct tls_slice data, struct tls_slice sig)
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
		return check_ed25519(cert->key, data, sig);
	err = tls_scheme_digest(scheme, data, digest, &len);
	if (err)
		return err;
	return check_digest(cert->key, scheme, (struct tls_slice){ digest, len }, sig);
}
