// SPDX-License-Identifier: MIT
/* AEADs: keyed once, then a nonce per record. */
#include <limits.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "crypto/openssl.h"

struct tls_aead_ctx {
	EVP_CIPHER_CTX *cipher;
	bool two_pass;			/* CCM: lengths and tag come before the data */
};

size_t tls_aead_key_size(enum tls_aead aead)
{
	static const uint8_t size[TLS_AEAD_COUNT] = {
		[TLS_AEAD_AES_128_GCM] = 16,
		[TLS_AEAD_AES_256_GCM] = 32,
		[TLS_AEAD_CHACHA20_POLY1305] = 32,
		[TLS_AEAD_AES_128_CCM] = 16,
	};

	return size[aead];
}

void tls_aead_free(struct tls_aead_ctx *ctx)
{
	if (!ctx)
		return;
	EVP_CIPHER_CTX_free(ctx->cipher);	/* cleanses the key */
	free(ctx);
}

static int set_tag(EVP_CIPHER_CTX *cipher, const uint8_t *tag)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, (void *)tag,
						  TLS_TAG_LEN),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CIPHER_CTX_set_params(cipher, params);
}

static int get_tag(EVP_CIPHER_CTX *cipher, uint8_t *tag)
{
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, TLS_TAG_LEN),
		OSSL_PARAM_construct_end(),
	};

	return EVP_CIPHER_CTX_get_params(cipher, params);
}

static int set_up(struct tls_aead_ctx *ctx, const EVP_CIPHER *cipher, const uint8_t *key, bool seal)
{
	size_t nonce_len = TLS_NONCE_LEN;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_CIPHER_PARAM_AEAD_IVLEN, &nonce_len),
		OSSL_PARAM_construct_end(),
	};

	/* of the others this is the default */
	if (!ctx->two_pass)
		return EVP_CipherInit_ex2(ctx->cipher, cipher, key, NULL, seal, NULL);
	if (EVP_CipherInit_ex2(ctx->cipher, cipher, NULL, NULL, seal, params) != 1)
		return 0;
	/* CCM's default tag is shorter; a length alone is set by a tag without bytes. */
	if (set_tag(ctx->cipher, NULL) != 1)
		return 0;
	return EVP_CipherInit_ex2(ctx->cipher, NULL, key, NULL, seal, NULL);
}

int tls_aead_new(struct tls_aead_ctx **out, enum tls_aead aead, const uint8_t *key, bool seal)
{
	const struct tls_crypto *crypto = tls_crypto();
	struct tls_aead_ctx *ctx;

	if (!crypto)
		return TLS_ERR_LIBRARY;
	ctx = calloc(1, sizeof(*ctx));
	if (!ctx)
		return TLS_ERR_NO_MEMORY;
	ctx->two_pass = aead == TLS_AEAD_AES_128_CCM;
	ctx->cipher = EVP_CIPHER_CTX_new();
	if (!ctx->cipher || set_up(ctx, crypto->cipher[aead], key, seal) != 1) {
		tls_aead_free(ctx);
		return tls_library_error();
	}
	*out = ctx;
	return 0;
}

/* Nonce and associated data, and what else has to come before the text. */
static bool begin(struct tls_aead_ctx *ctx, const uint8_t *nonce, struct tls_slice ad, size_t len,
		  const uint8_t *tag)
{
	int n;

	if (len > INT_MAX || ad.len > INT_MAX)
		return false;
	if (EVP_CipherInit_ex2(ctx->cipher, NULL, NULL, nonce, -1, NULL) != 1)
		return false;
	if (tag && set_tag(ctx->cipher, tag) != 1)
		return false;
	if (ctx->two_pass && EVP_CipherUpdate(ctx->cipher, NULL, &n, NULL, (int)len) != 1)
		return false;
	return !ad.len || EVP_CipherUpdate(ctx->cipher, NULL, &n, ad.p, (int)ad.len) == 1;
}

/* CCM must be given even an empty text; the others must not. */
static bool text(struct tls_aead_ctx *ctx, const uint8_t *in, size_t len, uint8_t *out)
{
	int n;

	if (!len && !ctx->two_pass)
		return true;
	return EVP_CipherUpdate(ctx->cipher, out, &n, in, (int)len) == 1;
}

int tls_aead_seal(struct tls_aead_ctx *ctx, const uint8_t nonce[TLS_NONCE_LEN],
		  struct tls_slice ad, const uint8_t *in, size_t len, uint8_t *out)
{
	int n;

	if (!begin(ctx, nonce, ad, len, NULL) || !text(ctx, in, len, out) ||
	    EVP_CipherFinal_ex(ctx->cipher, out + len, &n) != 1 ||
	    get_tag(ctx->cipher, out + len) != 1)
		return tls_library_error();
	return 0;
}

int tls_aead_open(struct tls_aead_ctx *ctx, const uint8_t nonce[TLS_NONCE_LEN],
		  struct tls_slice ad, const uint8_t *in, size_t len, uint8_t *out)
{
	const uint8_t *tag = in + (len - TLS_TAG_LEN);
	uint8_t spare[TLS_TAG_LEN];
	int n;

	len -= TLS_TAG_LEN;
	if (!begin(ctx, nonce, ad, len, tag))
		return tls_library_error();
	/* CCM checks the tag along with the text and has nothing to do at the end. */
	if (text(ctx, in, len, out) &&
	    (ctx->two_pass || EVP_CipherFinal_ex(ctx->cipher, spare, &n) == 1))
		return 0;
	tls_wipe(out, len);
	tls_library_error();
	return TLS_ERR_ALERT + TLS_ALERT_BAD_RECORD_MAC;
}
