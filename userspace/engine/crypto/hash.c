// SPDX-License-Identifier: MIT
/* Hash, HMAC and HKDF. */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "crypto/openssl.h"

#define MAX_BLOCK	128	/* SHA-384's */
#define INNER_PAD	0x36
#define OUTER_PAD	0x5c
#define MAX_HKDF_LABEL	(2 + 1 + UINT8_MAX + 1 + UINT8_MAX)

struct tls_hash_ctx {
	enum tls_hash hash;
	EVP_MD_CTX *run;
	EVP_MD_CTX *scratch;		/* for peeking, so that it allocates little */
};

struct tls_hmac {
	enum tls_hash hash;
	EVP_MD_CTX *run;
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
	struct tls_hmac *hmac = calloc(1, sizeof(*hmac));

	if (!hmac)
		return TLS_ERR_NO_MEMORY;
	hmac->hash = hash;
	hmac->run = EVP_MD_CTX_new();
	if (!hmac->run) {
		free(hmac);
		return TLS_ERR_NO_MEMORY;
	}
	*out = hmac;
	return 0;
}

void tls_hmac_free(struct tls_hmac *hmac)
{
	if (!hmac)
		return;
	EVP_MD_CTX_free(hmac->run);	/* cleanses what it has hashed */
	free(hmac);
}

enum tls_hash tls_hmac_hash(const struct tls_hmac *hmac)
{
	return hmac->hash;
}

/* Begins a digest with a block; the digest's own memory is used again. */
static bool begin(EVP_MD_CTX *run, const EVP_MD *md, const uint8_t *block, size_t len)
{
	return EVP_DigestInit_ex2(run, md, NULL) == 1 && EVP_DigestUpdate(run, block, len) == 1;
}

/* A digest's block, by words. */
union block {
	uint8_t bytes[MAX_BLOCK];
	uint64_t words[MAX_BLOCK / sizeof(uint64_t)];
};

static void mask(union block *block, uint8_t with)
{
	for (size_t i = 0; i < MAX_BLOCK / sizeof(uint64_t); i++)
		block->words[i] ^= with * UINT64_C(0x0101010101010101);
}

/* RFC 2104 section 2; pad has the key, and zeros up to the digest's block. */
static bool run_padded(EVP_MD_CTX *run, const EVP_MD *md, union block *pad, size_t pad_len,
		       const struct tls_slice *parts, size_t count, uint8_t *out)
{
	uint8_t inner[TLS_MAX_HASH];
	bool ok;

	mask(pad, INNER_PAD);
	ok = begin(run, md, pad->bytes, pad_len);
	for (size_t i = 0; ok && i < count; i++)
		ok = EVP_DigestUpdate(run, parts[i].p, parts[i].len) == 1;
	mask(pad, INNER_PAD ^ OUTER_PAD);
	ok = ok && EVP_DigestFinal_ex(run, inner, NULL) == 1 && begin(run, md, pad->bytes, pad_len) &&
	     EVP_DigestUpdate(run, inner, (size_t)EVP_MD_get_size(md)) == 1 &&
	     EVP_DigestFinal_ex(run, out, NULL) == 1;
	tls_wipe(inner, sizeof(inner));
	return ok;
}

/*
 * Built on digests: libcrypto's HMAC allocates and copies several contexts for each key, and few
 * keys are used more than once here.
 */
int tls_hmac_run(struct tls_hmac *hmac, struct tls_slice key, const struct tls_slice *parts,
		 size_t count, uint8_t *out)
{
	const struct tls_crypto *crypto = tls_crypto();
	union block pad = { .words = { 0 } };
	const EVP_MD *md;
	size_t pad_len;
	bool ok = true;

	if (!crypto)
		return TLS_ERR_LIBRARY;
	md = crypto->md[hmac->hash];
	pad_len = (size_t)EVP_MD_get_block_size(md);
	if (key.len > pad_len)
		ok = EVP_Digest(key.p, key.len, pad.bytes, NULL, md, NULL) == 1;
	else if (key.len)
		memcpy(pad.bytes, key.p, key.len);
	ok = ok && run_padded(hmac->run, md, &pad, pad_len, parts, count, out);
	tls_wipe(&pad, sizeof(pad));
	return ok ? 0 : tls_library_error();
}

int tls_hkdf_extract(struct tls_hmac *hmac, struct tls_slice salt, struct tls_slice ikm,
		     uint8_t *prk)
{
	return tls_hmac_run(hmac, salt, &ikm, 1, prk);
}

/* HkdfLabel of RFC 9846 section 7.1.  Its length, or 0: label or context is too long. */
static size_t make_hkdf_label(uint8_t out[MAX_HKDF_LABEL], const char *label,
			      struct tls_slice context, size_t out_len)
{
	static const char prefix[] = "tls13 ";
	const size_t prefix_len = sizeof(prefix) - 1, label_len = strlen(label);
	uint8_t *p = out;

	if (prefix_len + label_len > UINT8_MAX || context.len > UINT8_MAX)
		return 0;
	*p++ = (uint8_t)(out_len >> 8);
	*p++ = (uint8_t)out_len;
	*p++ = (uint8_t)(prefix_len + label_len);
	p = mempcpy(p, prefix, prefix_len);
	p = mempcpy(p, label, label_len);
	*p++ = (uint8_t)context.len;
	if (context.len)
		p = mempcpy(p, context.p, context.len);
	return (size_t)(p - out);
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
	size_t size = tls_hash_size(hmac->hash), len;
	uint8_t prk[TLS_MAX_HASH], info[MAX_HKDF_LABEL];
	int err;

	if (out_len > 255 * size)
		return TLS_ERR_ARGUMENT;
	len = make_hkdf_label(info, label, context, out_len);
	if (!len)
		return TLS_ERR_ARGUMENT;
	memcpy(prk, secret, size);	/* out may be where secret is */
	err = hkdf_expand(hmac, (struct tls_slice){ prk, size }, (struct tls_slice){ info, len },
			  out, out_len);
	tls_wipe(prk, sizeof(prk));
	return err;
}
