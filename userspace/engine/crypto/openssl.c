// SPDX-License-Identifier: MIT
/* Fetching algorithms once; random bytes, comparison, wiping. */
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include "crypto/openssl.h"

static struct tls_crypto crypto;
static int crypto_status = TLS_ERR_LIBRARY;
static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;

static const char *const md_names[TLS_HASH_COUNT] = {
	[TLS_HASH_SHA256] = "SHA256",
	[TLS_HASH_SHA384] = "SHA384",
};

static const char *const cipher_names[TLS_AEAD_COUNT] = {
	[TLS_AEAD_AES_128_GCM] = "AES-128-GCM",
	[TLS_AEAD_AES_256_GCM] = "AES-256-GCM",
	[TLS_AEAD_CHACHA20_POLY1305] = "ChaCha20-Poly1305",
	[TLS_AEAD_AES_128_CCM] = "AES-128-CCM",
};

int tls_library_error(void)
{
	ERR_clear_error();
	return TLS_ERR_LIBRARY;
}

static bool fetch_hashes(void)
{
	bool ok = true;

	for (int i = 0; ok && i < TLS_HASH_COUNT; i++) {
		crypto.md[i] = EVP_MD_fetch(NULL, md_names[i], NULL);
		ok = crypto.md[i] &&
		     EVP_Digest("", 0, crypto.empty[i], NULL, crypto.md[i], NULL) == 1;
	}
	crypto.sha512 = EVP_MD_fetch(NULL, "SHA512", NULL);
	return ok && crypto.sha512;
}

static bool fetch_ciphers(void)
{
	for (int i = 0; i < TLS_AEAD_COUNT; i++) {
		crypto.cipher[i] = EVP_CIPHER_fetch(NULL, cipher_names[i], NULL);
		if (!crypto.cipher[i])
			return false;
	}
	return true;
}

bool tls_has_algorithm(const char *name)
{
	EVP_KEYMGMT *keymgmt = EVP_KEYMGMT_fetch(NULL, name, NULL);

	EVP_KEYMGMT_free(keymgmt);
	return keymgmt;
}

static void crypto_fetch(void)
{
	uint8_t warm[1];

	/* The first random byte opens the kernel's source; the strings are for verify/. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CRYPTO_STRINGS | OPENSSL_INIT_LOAD_CONFIG,
				NULL) &&
	    fetch_hashes() && fetch_ciphers() && RAND_bytes(warm, sizeof(warm)) == 1 &&
	    RAND_priv_bytes(warm, sizeof(warm)) == 1)
		crypto_status = tls_groups_setup(&crypto);
	crypto.mldsa = tls_has_algorithm("ML-DSA-44");
	ERR_clear_error();
}

const struct tls_crypto *tls_crypto(void)
{
	pthread_once(&crypto_once, crypto_fetch);
	return crypto_status ? NULL : &crypto;
}

int tls_crypto_init(void)
{
	return tls_crypto() ? 0 : TLS_ERR_LIBRARY;
}

int tls_random(void *out, size_t len)
{
	if (len > INT_MAX || RAND_priv_bytes(out, (int)len) != 1)
		return tls_library_error();
	return 0;
}

bool tls_equal(const void *a, const void *b, size_t len)
{
	return !CRYPTO_memcmp(a, b, len);
}

void tls_wipe(void *p, size_t len)
{
	if (len)
		explicit_bzero(p, len);
}
