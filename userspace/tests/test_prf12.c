// SPDX-License-Identifier: MIT
/* TLS 1.2 derivations: published PRF vectors, and libcrypto's own TLS1-PRF for the rest. */
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "engine/crypto/prf12.h"
#include "tap.h"

static const char premaster_hex[] =
	"0303aabbccddeeff00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	"0011223344556677";

static void must(int err, const char *what)
{
	if (err)
		tap_bail("%s: %s", what, tls_strerror(err));
}

/* The vectors from the TLS working group's list, May 2009. */
static void test_published(void)
{
	struct tls_slice seed = tap_hex("a0ba9f936cda311827a6f796ffd5198c");
	uint8_t out[148];

	must(tls_prf12(TLS_HASH_SHA256, tap_hex("9bbe436ba940f017b17652849a71db35"), "test label",
		       &seed, 1, out, 100), "PRF");
	tap_bytes(out, 100, "e3f229ba727be17b8d122620557cd453c2aab21d07c3d495329b52d4e61edb5a"
		  "6b301791e90d35c9c9a46b4e14baf9af0fa022f7077def17abfd3797c0564bab4fbc91666e9def9b"
		  "97fce34f796789baa48082d122ee42c5a72e5a5110fff70187347b66", "PRF by SHA-256");
	seed = tap_hex("cd665cf6a8447dd6ff8b27555edb7465");
	must(tls_prf12(TLS_HASH_SHA384, tap_hex("b80b733d6ceefcdc71566ea48e5567df"), "test label",
		       &seed, 1, out, 148), "PRF");
	tap_bytes(out, 148,
		  "7b0c18e9ced410ed1804f2cfa34a336a1c14dffb4900bb5fd7942107e81c83cde9ca0faa60be"
		  "9fe34f82b1233c9146a0e534cb400fed2700884f9dc236f80edd8bfa961144c9e8d792eca722"
		  "a7b32fc3d416d473ebc2c5fd4abfdad05d9184259b5bf8cd4d90fa0d31e2dec479e4f1a26066"
		  "f2eea9a69236a3e52655c9e9aee691c8f3a26854308d5eaa3be85e0990703d73e56f",
		  "PRF by SHA-384");
}

/* The same by libcrypto: label and seeds are one seed to it. */
static void reference(enum tls_hash hash, struct tls_slice secret, const char *label,
		      const struct tls_slice *seed, size_t count, uint8_t *out, size_t len)
{
	const char *md = hash == TLS_HASH_SHA256 ? "SHA256" : "SHA384";
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	OSSL_PARAM params[8], *p = params;

	*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)md, 0);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, (void *)secret.p,
						 secret.len);
	*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)label, strlen(label));
	for (size_t i = 0; i < count; i++)
		*p++ = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (void *)seed[i].p,
							 seed[i].len);
	*p = OSSL_PARAM_construct_end();
	if (EVP_KDF_derive(ctx, out, len, params) != 1)
		tap_bail("TLS1-PRF failed");
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static void test_secrets(enum tls_hash hash, const char *name)
{
	struct tls_slice premaster = tap_hex(premaster_hex);
	uint8_t client[32], server[32], session[TLS_MAX_HASH], got[48], want[48];
	const struct tls_slice randoms[] = { { client, 32 }, { server, 32 } };
	const struct tls_slice hashed = { session, tls_hash_size(hash) };

	memset(client, 0xc1, sizeof(client));
	memset(server, 0x5e, sizeof(server));
	memset(session, 0x3a, sizeof(session));
	must(tls_prf12_master(hash, premaster, client, server, got), "master");
	reference(hash, premaster, "master secret", randoms, 2, want, 48);
	tap_ok(!memcmp(got, want, 48), "%s: master secret", name);
	must(tls_prf12_extended_master(hash, premaster, session, got), "extended master");
	reference(hash, premaster, "extended master secret", &hashed, 1, want, 48);
	tap_ok(!memcmp(got, want, 48), "%s: extended master secret", name);
	must(tls_prf12_finished(hash, want, TLS_CLIENT, session, got), "finished");
	reference(hash, (struct tls_slice){ want, 48 }, "client finished", &hashed, 1, client, 12);
	tap_ok(!memcmp(got, client, 12), "%s: client's verify_data", name);
	must(tls_prf12_finished(hash, want, TLS_SERVER, session, got), "finished");
	reference(hash, (struct tls_slice){ want, 48 }, "server finished", &hashed, 1, client, 12);
	tap_ok(!memcmp(got, client, 12), "%s: server's verify_data", name);
}

/* Where in the key block each piece is. */
static void test_keys(uint16_t id, size_t key_len, size_t iv_len)
{
	const struct tls_suite *suite = tls_suite_find(id);
	uint8_t master[48], client_random[32], server_random[32], block[88];
	const struct tls_slice randoms[] = { { server_random, 32 }, { client_random, 32 } };
	struct tls_direction_keys client, server;

	memset(master, 0x4d, sizeof(master));
	memset(client_random, 0xc1, sizeof(client_random));
	memset(server_random, 0x5e, sizeof(server_random));
	must(tls_prf12_keys(suite, master, client_random, server_random, &client, &server), "keys");
	reference(suite->hash, (struct tls_slice){ master, 48 }, "key expansion", randoms, 2, block,
		  sizeof(block));
	tap_ok(client.key_len == key_len && server.key_len == key_len && client.iv_len == iv_len &&
	       server.iv_len == iv_len && !client.secret_len && !server.seq,
	       "%s: lengths", tls_suite_name(id));
	tap_ok(!memcmp(client.key, block, key_len) && !memcmp(server.key, block + key_len, key_len),
	       "%s: keys", tls_suite_name(id));
	tap_ok(!memcmp(client.iv, block + 2 * key_len, iv_len) &&
	       !memcmp(server.iv, block + 2 * key_len + iv_len, iv_len), "%s: IVs",
	       tls_suite_name(id));
}

int main(void)
{
	test_published();
	test_secrets(TLS_HASH_SHA256, "SHA-256");
	test_secrets(TLS_HASH_SHA384, "SHA-384");
	test_keys(0xc02f, 16, 4);
	test_keys(0xc030, 32, 4);
	test_keys(0xcca8, 32, 12);
	return tap_done();
}
