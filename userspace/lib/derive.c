// SPDX-License-Identifier: MIT
/*
 * A connection's keys from its secrets, by libcrypto's TLS13-KDF and TLS1-PRF: HMAC by SHA-384 has
 * to come from somewhere, and whoever shakes hands has a libcrypto, or can live beside one.
 */
#include <errno.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "libtlsgate.h"

struct derive_suite {
	uint16_t suite, version;
	const char *digest;
	uint8_t key_len, iv_len, secret_len;	/* secret_len: of the digest, in TLS 1.3 */
};

/* The module's suites.  iv_len: what the key block has of it (RFC 5288: a salt, RFC 7905: all). */
static const struct derive_suite suites[] = {
	{ 0x1301, TLSGATE_TLS_1_3, "SHA256", 16, 12, 32 },	/* AES_128_GCM */
	{ 0x1302, TLSGATE_TLS_1_3, "SHA384", 32, 12, 48 },	/* AES_256_GCM */
	{ 0x1303, TLSGATE_TLS_1_3, "SHA256", 32, 12, 32 },	/* CHACHA20_POLY1305 */
	{ 0xc02b, TLSGATE_TLS_1_2, "SHA256", 16, 4, 0 },	/* ECDHE_ECDSA, AES_128_GCM */
	{ 0xc02f, TLSGATE_TLS_1_2, "SHA256", 16, 4, 0 },	/* ECDHE_RSA, AES_128_GCM */
	{ 0xc02c, TLSGATE_TLS_1_2, "SHA384", 32, 4, 0 },	/* ECDHE_ECDSA, AES_256_GCM */
	{ 0xc030, TLSGATE_TLS_1_2, "SHA384", 32, 4, 0 },	/* ECDHE_RSA, AES_256_GCM */
	{ 0xcca9, TLSGATE_TLS_1_2, "SHA256", 32, 12, 0 },	/* ECDHE_ECDSA, CHACHA20_POLY1305 */
	{ 0xcca8, TLSGATE_TLS_1_2, "SHA256", 32, 12, 0 },	/* ECDHE_RSA, CHACHA20_POLY1305 */
	{ 0x009c, TLSGATE_TLS_1_2, "SHA256", 16, 4, 0 },	/* RSA, AES_128_GCM */
	{ 0x009d, TLSGATE_TLS_1_2, "SHA384", 32, 4, 0 },	/* RSA, AES_256_GCM */
};

static const struct derive_suite *find_suite(uint16_t number, uint16_t version)
{
	for (size_t i = 0; i < sizeof(suites) / sizeof(suites[0]); i++) {
		if (suites[i].suite == number && suites[i].version == version)
			return &suites[i];
	}
	return NULL;
}

static int derive(const char *name, const OSSL_PARAM params[], uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int err = ctx && EVP_KDF_derive(ctx, out, len, params) == 1 ? 0 : -ENOMEM;

	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return err;
}

#define OCTETS(name, p, len)	OSSL_PARAM_construct_octet_string(name, (void *)(p), len)
#define TEXT(name, text)	OSSL_PARAM_construct_utf8_string(name, (char *)(text), 0)

/* RFC 9846 section 7.1: HKDF-Expand-Label(secret, label, "", len). */
static int expand_label(const struct derive_suite *suite, const void *secret, const char *label,
			uint8_t *out, size_t len)
{
	const OSSL_PARAM params[] = {
		TEXT(OSSL_KDF_PARAM_MODE, "EXPAND_ONLY"),
		TEXT(OSSL_KDF_PARAM_DIGEST, suite->digest),
		OCTETS(OSSL_KDF_PARAM_KEY, secret, suite->secret_len),
		OCTETS(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
		OCTETS(OSSL_KDF_PARAM_LABEL, label, strlen(label)),
		OSSL_PARAM_construct_end()
	};

	return derive("TLS13-KDF", params, out, len);
}

int tlsgate_keys_from_secret(struct tlsgate_keys *keys, uint16_t suite, const void *secret,
			     size_t secret_len)
{
	const struct derive_suite *row = find_suite(suite, TLSGATE_TLS_1_3);
	int err;

	memset(keys, 0, sizeof(*keys));
	if (!row)
		return -EOPNOTSUPP;
	if (secret_len != row->secret_len)
		return -EINVAL;
	err = expand_label(row, secret, "key", keys->key, row->key_len);
	if (!err)
		err = expand_label(row, secret, "iv", keys->iv, row->iv_len);
	if (err) {
		tlsgate_wipe(keys, sizeof(*keys));
		return err;
	}
	memcpy(keys->secret, secret, secret_len);
	keys->key_len = row->key_len;
	keys->iv_len = row->iv_len;
	keys->secret_len = row->secret_len;
	return 0;
}

/* The key block has the client's key, the server's, the client's IV, the server's. */
static void take_keys(struct tlsgate_keys *keys, const struct derive_suite *suite,
		      const uint8_t *block, unsigned int side)
{
	memcpy(keys->key, block + side * suite->key_len, suite->key_len);
	memcpy(keys->iv, block + 2 * suite->key_len + side * suite->iv_len, suite->iv_len);
	keys->key_len = suite->key_len;
	keys->iv_len = suite->iv_len;
	keys->seq = 1;
}

/* RFC 5246 section 6.3: PRF(master, "key expansion", server_random + client_random). */
int tlsgate_keys_from_master(struct tlsgate_keys *client, struct tlsgate_keys *server,
			     uint16_t suite, const uint8_t master[TLSGATE_MASTER_LEN],
			     const uint8_t client_random[TLSGATE_RANDOM_LEN],
			     const uint8_t server_random[TLSGATE_RANDOM_LEN])
{
	const struct derive_suite *row = find_suite(suite, TLSGATE_TLS_1_2);
	uint8_t block[2 * (TLSGATE_KEY_MAX + TLSGATE_IV_MAX)];
	int err;

	memset(client, 0, sizeof(*client));
	memset(server, 0, sizeof(*server));
	if (!row)
		return -EOPNOTSUPP;
	const OSSL_PARAM params[] = {
		TEXT(OSSL_KDF_PARAM_DIGEST, row->digest),
		OCTETS(OSSL_KDF_PARAM_SECRET, master, TLSGATE_MASTER_LEN),
		OCTETS(OSSL_KDF_PARAM_SEED, "key expansion", 13),
		OCTETS(OSSL_KDF_PARAM_SEED, server_random, TLSGATE_RANDOM_LEN),
		OCTETS(OSSL_KDF_PARAM_SEED, client_random, TLSGATE_RANDOM_LEN),
		OSSL_PARAM_construct_end()
	};

	err = derive("TLS1-PRF", params, block, 2 * (row->key_len + row->iv_len));
	if (!err) {
		take_keys(client, row, block, 0);
		take_keys(server, row, block, 1);
	}
	tlsgate_wipe(block, sizeof(block));
	return err;
}
