// SPDX-License-Identifier: MIT
/* The table of cipher suites, best first. */
#include "suites.h"

/*
 * number, version, name, hash, AEAD, key exchange, authentication, IV bytes,
 * offered by default.  AES-128 comes first: it is the fastest on what this
 * runs on, and mandatory (RFC 9846 section 9.1).  CCM is not in the kernel
 * part, and RSA key exchange has no forward secrecy: only when named.
 */
#define SUITES(X) \
	X(0x1301, TLS_1_3, "TLS_AES_128_GCM_SHA256", \
	  SHA256, AES_128_GCM, TLS13, ANY, 12, true) \
	X(0x1302, TLS_1_3, "TLS_AES_256_GCM_SHA384", \
	  SHA384, AES_256_GCM, TLS13, ANY, 12, true) \
	X(0x1303, TLS_1_3, "TLS_CHACHA20_POLY1305_SHA256", \
	  SHA256, CHACHA20_POLY1305, TLS13, ANY, 12, true) \
	X(0x1304, TLS_1_3, "TLS_AES_128_CCM_SHA256", \
	  SHA256, AES_128_CCM, TLS13, ANY, 12, false) \
	X(0xc02b, TLS_1_2, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", \
	  SHA256, AES_128_GCM, ECDHE, ECDSA, 4, true) \
	X(0xc02f, TLS_1_2, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", \
	  SHA256, AES_128_GCM, ECDHE, RSA, 4, true) \
	X(0xc02c, TLS_1_2, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", \
	  SHA384, AES_256_GCM, ECDHE, ECDSA, 4, true) \
	X(0xc030, TLS_1_2, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", \
	  SHA384, AES_256_GCM, ECDHE, RSA, 4, true) \
	X(0xcca9, TLS_1_2, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", \
	  SHA256, CHACHA20_POLY1305, ECDHE, ECDSA, 12, true) \
	X(0xcca8, TLS_1_2, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", \
	  SHA256, CHACHA20_POLY1305, ECDHE, RSA, 12, true) \
	X(0x009c, TLS_1_2, "TLS_RSA_WITH_AES_128_GCM_SHA256", \
	  SHA256, AES_128_GCM, RSA, RSA, 4, false) \
	X(0x009d, TLS_1_2, "TLS_RSA_WITH_AES_256_GCM_SHA384", \
	  SHA384, AES_256_GCM, RSA, RSA, 4, false)

#define PARTS(id, version, name, hash, aead, kx, auth, iv, by_default) \
	{ id, version, TLS_HASH_##hash, TLS_AEAD_##aead, TLS_KX_##kx, TLS_AUTH_##auth, iv },
static const struct tls_suite suites[] = { SUITES(PARTS) };

#define INFO(id, version, name, hash, aead, kx, auth, iv, by_default) \
	{ id, version, name, by_default },
static const struct tls_suite_info infos[] = { SUITES(INFO) { 0 } };

#define SUITE_COUNT	(sizeof(suites) / sizeof(suites[0]))

const struct tls_suite_info *tls_suites(void)
{
	return infos;
}

const struct tls_suite *tls_suite_find(uint16_t id)
{
	for (size_t i = 0; i < SUITE_COUNT; i++) {
		if (suites[i].id == id)
			return &suites[i];
	}
	return NULL;
}

const char *tls_suite_name(uint16_t id)
{
	for (size_t i = 0; i < SUITE_COUNT; i++) {
		if (infos[i].suite == id)
			return infos[i].name;
	}
	return NULL;
}

bool tls_suite_takes_key(const struct tls_suite *suite, enum tls_key_type key)
{
	if (suite->auth == TLS_AUTH_ANY)
		return true;
	if (suite->kx == TLS_KX_RSA)
		return key == TLS_KEY_RSA;
	return (suite->auth == TLS_AUTH_RSA) == tls_key_is_rsa(key);
}
