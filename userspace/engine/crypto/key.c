// SPDX-License-Identifier: MIT
/* Private keys: signing, and RSA decryption that says nothing about padding. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "crypto/openssl.h"

#define PREMASTER_LEN	48

/* An encrypted key must be refused, not asked for on a terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	bool *asked = arg;

	(void)buf;
	(void)size;
	(void)rwflag;
	*asked = true;
	return -1;
}

/*
 * The secret from which bad paddings are answered.  It is unguessable, and the same in every
 * process that holds the key, so that a repeated ciphertext gets the same answer and teaches
 * nothing.
 */
static bool make_reject_secret(struct tls_private_key *key)
{
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(key->key, &der);
	bool ok = len > 0 && !tls_hash(TLS_HASH_SHA256, der, (size_t)len, key->reject);

	OPENSSL_clear_free(der, len > 0 ? (size_t)len : 0);
	return ok;
}

static const char *read_key(struct tls_private_key *key, BIO *bio)
{
	bool asked = false;

	key->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	if (asked)
		return "the private key is encrypted; decrypt it with openssl pkey -in FILE -out NEW";
	if (!key->key)
		return "there is no PEM private key in it that can be parsed";
	if (!tls_key_type_of(key->key, &key->type))
		return "the key is of no usable type; take ECDSA P-256/P-384/P-521, Ed25519, Ed448 or RSA";
	if (tls_key_is_rsa(key->type) && EVP_PKEY_get_bits(key->key) < TLS_MIN_RSA_BITS)
		return "the RSA private key is shorter than 2048 bits; make a new one";
	return make_reject_secret(key) ? NULL : "libcrypto cannot use the private key";
}

static struct tls_private_key *private_key_alloc(void)
{
	struct tls_private_key *key = calloc(1, sizeof(*key));

	if (!key)
		return NULL;
	key->signer = calloc(1, sizeof(*key->signer));
	if (key->signer)
		return key;
	free(key);
	return NULL;
}

int tls_private_key_new(struct tls_private_key **out, const void *pem, size_t len, const char **why)
{
	const char *reason = "out of memory";
	struct tls_private_key *key = private_key_alloc();
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	int err = TLS_ERR_NO_MEMORY;

	if (key && bio) {
		reason = read_key(key, bio);
		err = reason ? TLS_ERR_ARGUMENT : 0;
	}
	BIO_free(bio);
	ERR_clear_error();
	if (err)
		tls_private_key_free(key);
	else
		*out = key;
	if (err && why)
		*why = reason;
	return err;
}

void tls_private_key_free(struct tls_private_key *key)
{
	if (!key)
		return;
	EVP_PKEY_CTX_free(key->signer->ctx);
	free(key->signer);
	EVP_PKEY_free(key->key);	/* cleanses the private part */
	tls_wipe(key, sizeof(*key));
	free(key);
}

size_t tls_private_key_find(const struct tls_private_key *key, const struct tls_certificate *cert)
{
	size_t i = 0;

	while (i < cert->count && EVP_PKEY_eq(key->key, X509_get0_pubkey(cert->x509[i])) != 1)
		i++;
	ERR_clear_error();
	return i < cert->count ? i : TLS_NOT_FOUND;
}

bool tls_private_key_is_quick(const struct tls_private_key *key)
{
	return key->type == TLS_KEY_ECDSA_P256 || key->type == TLS_KEY_ED25519;
}

static void signer_reset(struct tls_signer *signer)
{
	EVP_PKEY_CTX_free(signer->ctx);
	*signer = (struct tls_signer){ 0 };
}

/* The context is kept: to set one up costs a tenth of an ECDSA signature. */
static bool signer_set_up(struct tls_signer *signer, EVP_PKEY *key,
			  const struct tls_scheme *scheme)
{
	if (signer->scheme == scheme)
		return true;
	signer_reset(signer);
	signer->ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	if (!signer->ctx || EVP_PKEY_sign_init(signer->ctx) != 1 ||
	    tls_scheme_set_up(scheme, signer->ctx) != 1)
		return false;
	signer->scheme = scheme;
	return true;
}

static int sign_digest(const struct tls_private_key *key, const struct tls_scheme *scheme,
		       const uint8_t *digest, size_t digest_len, uint8_t *out, size_t *out_len)
{
	struct tls_signer *signer = key->signer;

	if (signer_set_up(signer, key->key, scheme) &&
	    EVP_PKEY_sign(signer->ctx, out, out_len, digest, digest_len) == 1)
		return 0;
	signer_reset(signer);
	return tls_library_error();
}

static int sign_whole(const struct tls_private_key *key, const uint8_t *data, size_t len,
			uint8_t *out, size_t *out_len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int err = TLS_ERR_LIBRARY;

	if (ctx && EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key->key, NULL) == 1 &&
	    EVP_DigestSign(ctx, out, out_len, data, len) == 1)
		err = 0;
	EVP_MD_CTX_free(ctx);
	return err ? tls_library_error() : 0;
}

static int perform_sign(const struct tls_private_key *key, const struct tls_key_request *req,
			uint8_t *out, size_t *out_len)
{
	const struct tls_scheme *scheme = tls_scheme_find(req->scheme);
	uint8_t digest[TLS_MAX_DIGEST];
	size_t len = 0;
	int err;

	/* By the rules of either version: which one it is, is the engine's affair. */
	if (!scheme || !(tls_scheme_fits(scheme, key->type, TLS_1_2) ||
			 tls_scheme_fits(scheme, key->type, TLS_1_3)) ||
	    !tls_key_takes(key->key, key->type, scheme))
		return TLS_ERR_ARGUMENT;
	if (*out_len < (size_t)EVP_PKEY_get_size(key->key))
		return TLS_ERR_SPACE;
	if (scheme->whole)
		return req->op == TLS_KEY_SIGN ?
		       sign_whole(key, req->data, req->len, out, out_len) : TLS_ERR_ARGUMENT;
	if (req->op == TLS_KEY_SIGN_DIGEST) {
		if (req->len != (size_t)EVP_MD_get_size(tls_scheme_md(scheme)))
			return TLS_ERR_ARGUMENT;
		return sign_digest(key, scheme, req->data, req->len, out, out_len);
	}
	err = tls_scheme_digest(scheme, (struct tls_slice){ req->data, req->len }, digest, &len);
	return err ? err : sign_digest(key, scheme, digest, len, out, out_len);
}

/* All ones when x is 0, else 0; without a branch. */
static uint32_t mask_zero(uint32_t x)
{
	return 0u - ((~x & (x - 1)) >> 31);
}

/*
 * RFC 8017 section 7.2.2, for a message of exactly PREMASTER_LEN bytes: 0, 2,
 * non-zero padding, 0, message.  All ones when it is well formed, else 0; the
 * time depends on len alone.
 */
static uint32_t padding_mask(const uint8_t *em, size_t len)
{
	size_t zero_at = len - PREMASTER_LEN - 1;
	uint32_t good = mask_zero(em[0]) & mask_zero(em[1] ^ 2u) & mask_zero(em[zero_at]);

	for (size_t i = 2; i < zero_at; i++)
		good &= ~mask_zero(em[i]);
	return good;
}

/* Raw RSA. A ciphertext that is no number below the modulus, which anyone can see, gives zeros. */
static void rsa_raw(const struct tls_private_key *key, const struct tls_key_request *req,
		    uint8_t *em, size_t len)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key->key, NULL);
	size_t n = len;

	if (req->len != len || !ctx || EVP_PKEY_decrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1 ||
	    EVP_PKEY_decrypt(ctx, em, &n, req->data, req->len) != 1)
		memset(em, 0, len);
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
}

/* PREMASTER_LEN bytes from the key and the ciphertext, by HMAC in counter mode. */
static int make_rejection(const struct tls_private_key *key, const struct tls_key_request *req,
			  uint8_t out[PREMASTER_LEN])
{
	const uint8_t counter[] = { 0, 1 };
	uint8_t block[2][32];
	struct tls_hmac *hmac;
	int err = tls_hmac_new(&hmac, TLS_HASH_SHA256);

	if (err)
		return err;
	for (size_t i = 0; !err && i < 2; i++) {
		const struct tls_slice parts[] = { { &counter[i], 1 }, { req->data, req->len } };

		err = tls_hmac_run(hmac, (struct tls_slice){ key->reject, sizeof(key->reject) },
				   parts, 2, block[i]);
	}
	tls_hmac_free(hmac);
	if (!err)
		memcpy(out, block, PREMASTER_LEN);
	tls_wipe(block, sizeof(block));
	return err;
}

static int perform_decrypt(const struct tls_private_key *key, const struct tls_key_request *req,
			   uint8_t *out, size_t *out_len)
{
	uint8_t em[TLS_MAX_RSA_BITS / 8], reject[PREMASTER_LEN];
	size_t len = (size_t)EVP_PKEY_get_size(key->key);
	uint32_t good;
	int err;

	if (key->type != TLS_KEY_RSA)
		return TLS_ERR_ARGUMENT;
	if (*out_len < PREMASTER_LEN)
		return TLS_ERR_SPACE;
	err = make_rejection(key, req, reject);
	if (err)
		return err;
	rsa_raw(key, req, em, len);
	good = padding_mask(em, len);
	for (size_t i = 0; i < PREMASTER_LEN; i++)
		out[i] = (uint8_t)((em[len - PREMASTER_LEN + i] & good) | (reject[i] & ~good));
	*out_len = PREMASTER_LEN;
	tls_wipe(em, sizeof(em));
	tls_wipe(reject, sizeof(reject));
	return 0;
}

int tls_private_key_perform(const struct tls_private_key *key, const struct tls_key_request *req,
			    uint8_t *out, size_t *out_len)
{
	switch (req->op) {
	case TLS_KEY_SIGN:
	case TLS_KEY_SIGN_DIGEST:
		return perform_sign(key, req, out, out_len);
	case TLS_KEY_DECRYPT:
		return perform_decrypt(key, req, out, out_len);
	}
	return TLS_ERR_ARGUMENT;
}
