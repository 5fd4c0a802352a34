// SPDX-License-Identifier: MIT
/* Hash, HMAC and HKDF. */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "crypto_openssl.h"

struct tls_hash_ctx {
	enum tls_hash hash;
	EVP_MD_CTX *run;
	EVP_MD_CTX *scratch;		/* for peeking, so that it allocates little */
};

struct tls_hmac {
	enum tls_hash hash;
	EVP_MAC_CTX *mac;
};

size_t tls_hash_size(enum tls_hash hash)
{
	static const uint8_t size[TLS_HASH_COUNT] = {
		[TLS_HASH_SHA256] = 32,
		[TLS_HASH_SHA384] = 48,
	};

	return size[hash];
}

const uint8_t *tls_hash_empty(enum tls_hash hash)
{
	static const uint8_t none[TLS_MAX_HASH];
	const struct tls_crypto *crypto = tls_crypto();

	/* Whoever derives from it needs an HMAC first, which fails then. */
	return crypto ? crypto->empty[hash] : none;
}

int tls_hash(enum tls_hash hash, const void *data, size_t len, uint8_t *out)
{
	const struct tls_crypto *crypto = tls_crypto();

	if (!crypto || EVP_Digest(data, len, out, NULL, crypto->md[hash], NULL) != 1)
		return tls_library_error();
	return 0;
}

void tls_hash_free(struct tls_hash_ctx *ctx)
{
	if (!ctx)
		return;
	EVP_MD_CTX_free(ctx->run);
	EVP_MD_CTX_free(ctx->scratch);
	free(ctx);
}

int tls_hash_restart(struct tls_hash_ctx *ctx)
{
	const struct tls_crypto *crypto = tls_crypto();

	if (!crypto || EVP_DigestInit_ex2(ctx->run, crypto->md[ctx->hash], NULL) != 1)
		return tls_library_error();
	return 0;
}

int tls_hash_new(struct tls_hash_ctx **out, enum tls_hash hash)
{
	struct tls_hash_ctx *ctx = calloc(1, sizeof(*ctx));
	int err = TLS_ERR_NO_MEMORY;

	if (!ctx)
		return err;
	ctx->hash = hash;
	ctx->run = EVP_MD_CTX_new();
	ctx->scratch = EVP_MD_CTX_new();
	if (ctx->run && ctx->scratch)
		err = tls_hash_restart(ctx);
	if (err)
		tls_hash_free(ctx);
	else
		*out = ctx;
	return err;
}

int tls_hash_update(struct tls_hash_ctx *ctx, const void *data, size_t len)
{
	if (EVP_DigestUpdate(ctx->run, data, len) != 1)
		return tls_library_error();
	return 0;
}

int tls_hash_peek(const struct tls_hash_ctx *ctx, struct tls_slice extra, uint8_t *out)
{
	if (EVP_MD_CTX_copy_ex(ctx->scratch, ctx->run) != 1 ||
	    EVP_DigestUpdate(ctx->scratch, extra.p, extra.len) != 1 ||
	    EVP_DigestFinal_ex(ctx->scratch, out, NULL) != 1)
		return tls_library_error();
	return 0;
}

int tls_hmac_new(struct tls_hmac **out, enum tls_hash hash)
{
	const struct tls_crypto *crypto = tls_crypto();
	struct tls_hmac *hmac;

	if (!crypto)
		return TLS_ERR_LIBRARY;
	hmac = calloc(1, sizeof(*hmac));
	if (!hmac)
		return TLS_ERR_NO_MEMORY;
	hmac->hash = hash;
	hmac->mac = EVP_MAC_CTX_dup(crypto->hmac[hash]);
	if (!hmac->mac) {
		free(hmac);
		return tls_library_error();
	}
	*out = hmac;
	return 0;
}

void tls_hmac_free(struct tls_hmac *hmac)
{
	if (!hmac)
		return;
	EVP_MAC_CTX_free(hmac->mac);
	free(hmac);
}

enum tls_hash tls_hmac_hash(const struct tls_hmac *hmac)
{
	return hmac->hash;
}

int tls_hmac_run(struct tls_hmac *hmac, struct tls_slice key, const struct tls_slice *parts,
		 size_t count, uint8_t *out)
{
	/* Without a pointer EVP takes a key of 0 bytes for "the same as before". */
	const uint8_t *p = key.len ? key.p : (const uint8_t *)"";
	size_t len = 0;
	int ok = EVP_MAC_init(hmac->mac, p, key.len, NULL);

	for (size_t i = 0; ok == 1 && i < count; i++) {
		if (parts[i].len)
			ok = EVP_MAC_update(hmac->mac, parts[i].p, parts[i].len);
	}
	if (ok != 1 || EVP_MAC_final(hmac->mac, out, &len, tls_hash_size(hmac->hash)) != 1)
		return tls_library_error();
	return 0;
}

int tls_hkdf_extract(struct tls_hmac *hmac, struct tls_slice salt, struct tls_slice ikm,
		     uint8_t *prk)
{
	return tls_hmac_run(hmac, salt, &ikm, 1, prk);
}

/* HkdfLabel of RFC 9846 section 7.1. */
static void put_hkdf_label(struct tls_buf *b, const char *label, struct tls_slice context,
			   size_t out_len)
{
	static const char prefix[] = "tls13 ";
	struct tls_vec vec;

	tls_put_u16(b, (uint16_t)out_len);
	vec = tls_put_open(b, 1);
	tls_put_bytes(b, prefix, sizeof(prefix) - 1);
	tls_put_bytes(b, label, strlen(label));
	tls_put_close(b, vec);
	vec = tls_put_open(b, 1);
	tls_put_bytes(b, context.p, context.len);
	tls_put_close(b, vec);
}

/* RFC 5869 section 2.3 */
static int hkdf_expand(struct tls_hmac *hmac, struct tls_slice prk, struct tls_slice info,
		       uint8_t *out, size_t out_len)
{
	size_t size = tls_hash_size(hmac->hash), last = 0;
	uint8_t block[TLS_MAX_HASH], i = 0;
	int err = 0;

	while (!err && out_len) {
		struct tls_slice parts[] = { { block, last }, info, { &i, 1 } };
		size_t n = out_len < size ? out_len : size;

		i++;
		err = tls_hmac_run(hmac, prk, parts, 3, block);
		memcpy(out, block, err ? 0 : n);
		out += n;
		out_len -= n;
		last = size;
	}
	tls_wipe(block, sizeof(block));
	return err;
}

int tls_hkdf_expand_label(struct tls_hmac *hmac, const uint8_t *secret, const char *label,
			  struct tls_slice context, uint8_t *out, size_t out_len)
{
	size_t size = tls_hash_size(hmac->hash);
	uint8_t prk[TLS_MAX_HASH];
	struct tls_buf info;
	int err;

	if (out_len > 255 * size)
		return TLS_ERR_ARGUMENT;
	tls_buf_init(&info, 2 + 256 + 256);
	put_hkdf_label(&info, label, context, out_len);
	if (info.failed) {
		err = info.no_memory ? TLS_ERR_NO_MEMORY : TLS_ERR_ARGUMENT;
	} else {
		memcpy(prk, secret, size);	/* out may be where secret is */
		err = hkdf_expand(hmac, (struct tls_slice){ prk, size },
				  (struct tls_slice){ info.data, info.len }, out, out_len);
		tls_wipe(prk, sizeof(prk));
	}
	tls_buf_free(&info);
	return err;
}
