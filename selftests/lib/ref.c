// SPDX-License-Identifier: MIT
#include "ref.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#define EXPLICIT_NONCE	8		/* RFC 5288 section 3 */

static const struct ref_suite suites[] = {
	{ 0x0303, 0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
	  "AES-128-GCM", NULL, 16, 4, 0 },
	{ 0x0303, 0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
	  "AES-256-GCM", NULL, 32, 4, 0 },
	{ 0x0303, 0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
	  "ChaCha20-Poly1305", NULL, 32, 12, 0 },
	{ 0x0303, 0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
	  "AES-128-GCM", NULL, 16, 4, 0 },
	{ 0x0303, 0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
	  "AES-256-GCM", NULL, 32, 4, 0 },
	{ 0x0303, 0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
	  "ChaCha20-Poly1305", NULL, 32, 12, 0 },
	{ 0x0304, 0x1301, "TLS_AES_128_GCM_SHA256", "AES-128-GCM", "SHA256", 16, 12, 32 },
	{ 0x0304, 0x1302, "TLS_AES_256_GCM_SHA384", "AES-256-GCM", "SHA384", 32, 12, 48 },
	{ 0x0304, 0x1303, "TLS_CHACHA20_POLY1305_SHA256",
	  "ChaCha20-Poly1305", "SHA256", 32, 12, 32 },
};

static _Thread_local size_t last_inner_extra;

/* Aborts the test program: libcrypto refused what it cannot refuse. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "# reference record layer: %s failed\n", what);
	abort();
}

static void put_be(uint8_t *p, uint64_t v, size_t n)
{
	while (n--) {
		p[n] = v & 0xff;
		v >>= 8;
	}
}

const struct ref_suite *ref_suite(uint16_t version, uint16_t suite)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(*suites); i++)
		if (suites[i].version == version && suites[i].suite == suite)
			return &suites[i];
	return NULL;
}

/* RFC 9846 section 7.1, with an empty context */
static void expand_label(const struct ref_suite *s, const uint8_t *secret, const char *label,
			 uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	uint8_t info[64];
	size_t n = 0;

	put_be(info, len, 2);
	n = 2;
	info[n++] = 6 + strlen(label);
	memcpy(info + n, "tls13 ", 6);
	memcpy(info + n + 6, label, strlen(label));
	n += 6 + strlen(label);
	info[n++] = 0;

	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)s->digest, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret,
						  s->secret_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, n),
		OSSL_PARAM_construct_end(),
	};
	must(EVP_KDF_derive(ctx, out, len, params) == 1, "HKDF-Expand");
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void key_context(struct ref_keys *k)
{
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, k->suite->cipher, NULL);

	must(cipher, k->suite->cipher);
	if (!k->ctx)
		k->ctx = EVP_CIPHER_CTX_new();
	must(k->ctx && EVP_CipherInit_ex2(k->ctx, cipher, k->key, NULL, 1, NULL) == 1, "key setup");
	EVP_CIPHER_free(cipher);
}

void ref_keys_set(struct ref_keys *k, const struct ref_suite *suite, const uint8_t *key,
		  const uint8_t *iv)
{
	memset(k, 0, sizeof(*k));
	k->suite = suite;
	memcpy(k->key, key, suite->key_len);
	memcpy(k->iv, iv, suite->iv_len);
	key_context(k);
}

static void derive(struct ref_keys *k)
{
	expand_label(k->suite, k->secret, "key", k->key, k->suite->key_len);
	expand_label(k->suite, k->secret, "iv", k->iv, sizeof(k->iv));
	k->seq = 0;
	key_context(k);
}

void ref_keys_from_secret(struct ref_keys *k, const struct ref_suite *suite, const uint8_t *secret)
{
	memset(k, 0, sizeof(*k));
	k->suite = suite;
	memcpy(k->secret, secret, suite->secret_len);
	derive(k);
}

void ref_keys_random(struct ref_keys *k, const struct ref_suite *suite)
{
	uint8_t random[48];

	must(RAND_bytes(random, sizeof(random)) == 1, "RAND_bytes");
	if (suite->secret_len)
		ref_keys_from_secret(k, suite, random);
	else
		ref_keys_set(k, suite, random, random + 32);
}

void ref_keys_copy(struct ref_keys *to, const struct ref_keys *from)
{
	*to = *from;
	to->ctx = NULL;
	key_context(to);
}

void ref_keys_free(struct ref_keys *k)
{
	EVP_CIPHER_CTX_free(k->ctx);
	k->ctx = NULL;
}

void ref_ratchet(struct ref_keys *k)
{
	uint8_t next[48];

	expand_label(k->suite, k->secret, "traffic upd", next, k->suite->secret_len);
	memcpy(k->secret, next, k->suite->secret_len);
	derive(k);
}

static bool explicit_nonce(const struct ref_suite *s)
{
	return s->iv_len == 4;
}

static void make_nonce(const struct ref_keys *k, const uint8_t *explicit, uint8_t nonce[12])
{
	uint8_t seq[8];

	memcpy(nonce, k->iv, 12);
	if (explicit_nonce(k->suite)) {
		memcpy(nonce + 4, explicit, EXPLICIT_NONCE);
		return;
	}
	put_be(seq, k->seq, 8);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] ^= seq[i];
}

/* TLS 1.3: the header as on the wire.  TLS 1.2: RFC 5246 section 6.2.3.3. */
static size_t make_aad(const struct ref_keys *k, const uint8_t *hdr, size_t plain, uint8_t aad[13])
{
	if (k->suite->secret_len) {
		memcpy(aad, hdr, REF_HEADER);
		return REF_HEADER;
	}
	put_be(aad, k->seq, 8);
	memcpy(aad + 8, hdr, 3);
	put_be(aad + 11, plain, 2);
	return 13;
}

static void make_header(uint8_t *hdr, uint8_t type, size_t len)
{
	hdr[0] = type;
	put_be(hdr + 1, 0x0303, 2);
	put_be(hdr + 3, len, 2);
}

size_t ref_seal(struct ref_keys *k, uint8_t type, const void *data, size_t len, size_t pad,
		uint8_t *out)
{
	bool tls13 = k->suite->secret_len;
	size_t prefix = explicit_nonce(k->suite) ? EXPLICIT_NONCE : 0;
	size_t inner = tls13 ? len + 1 + pad : len;
	uint8_t *body = out + REF_HEADER + prefix;
	uint8_t nonce[12], aad[13];
	size_t aad_len;
	int n;

	make_header(out, tls13 ? REF_DATA : type, prefix + inner + REF_TAG);
	put_be(out + REF_HEADER, k->seq ^ k->nonce_mask, prefix);
	make_nonce(k, out + REF_HEADER, nonce);
	aad_len = make_aad(k, out, len, aad);
	memmove(body, data, len);
	if (tls13) {
		body[len] = type;
		memset(body + len + 1, 0, pad);
	}
	must(EVP_CipherInit_ex2(k->ctx, NULL, NULL, nonce, 1, NULL) == 1, "nonce");
	must(EVP_CipherUpdate(k->ctx, NULL, &n, aad, aad_len) == 1, "AAD");
	must(EVP_CipherUpdate(k->ctx, body, &n, body, inner) == 1, "seal");
	must(EVP_CipherFinal_ex(k->ctx, body + inner, &n) == 1, "seal final");
	must(EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_GET_TAG, REF_TAG, body + inner) == 1, "tag");
	k->seq++;
	return REF_HEADER + prefix + inner + REF_TAG;
}

size_t ref_record_len(const uint8_t *hdr)
{
	return REF_HEADER + (hdr[3] << 8 | hdr[4]);
}

size_t ref_last_inner_extra(void)
{
	return last_inner_extra;
}

/* RFC 9846 section 5.4: the last byte that is not zero is the type. */
static ssize_t strip_inner(const uint8_t *inner, size_t len, uint8_t *type)
{
	size_t n = len;

	while (n && !inner[n - 1])
		n--;
	if (!n)
		return -1;
	last_inner_extra = len - (n - 1);
	*type = inner[n - 1];
	return n - 1;
}

ssize_t ref_open(struct ref_keys *k, const uint8_t *record, size_t len, uint8_t *type, void *out)
{
	bool tls13 = k->suite->secret_len;
	size_t prefix = explicit_nonce(k->suite) ? EXPLICIT_NONCE : 0;
	const uint8_t *body = record + REF_HEADER + prefix;
	uint8_t nonce[12], aad[13];
	size_t plain, aad_len;
	int n;

	if (len < REF_HEADER + prefix + REF_TAG || len != ref_record_len(record) ||
	    record[1] != 3 || record[2] != 3 || (tls13 && record[0] != REF_DATA))
		return -1;
	plain = len - REF_HEADER - prefix - REF_TAG;
	make_nonce(k, record + REF_HEADER, nonce);
	aad_len = make_aad(k, record, plain, aad);
	must(EVP_CipherInit_ex2(k->ctx, NULL, NULL, nonce, 0, NULL) == 1, "nonce");
	must(EVP_CIPHER_CTX_ctrl(k->ctx, EVP_CTRL_AEAD_SET_TAG, REF_TAG,
				 (void *)(body + plain)) == 1, "tag");
	must(EVP_CipherUpdate(k->ctx, NULL, &n, aad, aad_len) == 1, "AAD");
	must(EVP_CipherUpdate(k->ctx, out, &n, body, plain) == 1, "open");
	if (EVP_CipherFinal_ex(k->ctx, (uint8_t *)out + plain, &n) != 1)
		return -1;
	k->seq++;
	if (tls13)
		return strip_inner(out, plain, type);
	*type = record[0];
	return plain;
}
