// SPDX-License-Identifier: MIT
/* Keys from secrets: RFC 8448's, and what the engine's own key schedule makes of the same. */
#include <errno.h>
#include <string.h>

#include "engine/crypto/keysched13.h"
#include "engine/crypto/prf12.h"
#include "lib/libtlsgate.h"

#include "tap.h"
#include "vectors/rfc8448.h"

static uint8_t secret[TLSGATE_SECRET_MAX + 1], randoms[2][TLSGATE_RANDOM_LEN];

static bool same(const struct tlsgate_keys *keys, const struct tls_direction_keys *want,
		 const struct tls_suite *suite)
{
	return keys->key_len == tls_aead_key_size(suite->aead) &&
	       !memcmp(keys->key, want->key, keys->key_len) &&
	       keys->iv_len == suite->iv_len && !memcmp(keys->iv, want->iv, keys->iv_len);
}

static bool empty(const struct tlsgate_keys *keys)
{
	static const struct tlsgate_keys none;

	return !memcmp(keys, &none, sizeof(none));
}

static void test_rfc8448(void)
{
	const struct rfc8448_trace *trace = &rfc8448_simple;
	struct tls_slice from = tap_hex(trace->client_traffic);
	struct tlsgate_keys keys;

	tap_equal(tlsgate_keys_from_secret(&keys, 0x1301, from.p, from.len), 0, "from a secret");
	tap_bytes(keys.key, 16, trace->client_traffic_key, "its key");
	tap_bytes(keys.iv, 12, trace->client_traffic_iv, "its IV");
	tap_bytes(keys.secret, 32, trace->client_traffic, "the secret, for key updates");
	tap_ok(keys.key_len == 16 && keys.iv_len == 12 && keys.secret_len == 32 && !keys.seq,
	       "their lengths, and the first record's number");
}

static void test_secret(const struct tls_suite *suite)
{
	size_t len = tls_hash_size(suite->hash);
	struct tls_direction_keys want;
	struct tls_keysched ks = { 0 };
	struct tlsgate_keys keys;

	if (tls_keysched_init(&ks, suite->hash) || tls_keysched_keys(&ks, suite, secret, &want))
		tap_bail("the engine derives no keys");
	tap_ok(!tlsgate_keys_from_secret(&keys, suite->id, secret, len) && same(&keys, &want, suite) &&
	       keys.secret_len == len, "suite %04x", suite->id);
	tap_ok(tlsgate_keys_from_secret(&keys, suite->id, secret, len - 1) == -EINVAL && empty(&keys),
	       "%04x: a short secret", suite->id);
	tap_ok(tlsgate_keys_from_secret(&keys, suite->id, secret, len + 1) == -EINVAL && empty(&keys),
	       "%04x: a long one", suite->id);
	tap_ok(tlsgate_keys_from_master(&keys, &keys, suite->id, secret, randoms[0], randoms[1]) ==
	       -EOPNOTSUPP, "%04x is none of TLS 1.2", suite->id);
	tls_keysched_free(&ks);
}

static void test_master(const struct tls_suite *suite)
{
	struct tls_direction_keys want[2];
	struct tlsgate_keys client, server;

	if (tls_prf12_keys(suite, secret, randoms[0], randoms[1], &want[0], &want[1]))
		tap_bail("the engine derives no keys");
	tap_ok(!tlsgate_keys_from_master(&client, &server, suite->id, secret, randoms[0],
					 randoms[1]) &&
	       same(&client, &want[0], suite) && same(&server, &want[1], suite) &&
	       client.seq == 1 && server.seq == 1 && !client.secret_len && !server.secret_len,
	       "suite %04x", suite->id);
	tap_ok(tlsgate_keys_from_secret(&client, suite->id, secret, 32) == -EOPNOTSUPP &&
	       empty(&client), "%04x is none of TLS 1.3", suite->id);
}

int main(void)
{
	const struct tls_suite_info *info;
	struct tlsgate_keys keys;

	memset(secret, 7, sizeof(secret));
	memset(randoms[0], 1, sizeof(randoms[0]));
	memset(randoms[1], 2, sizeof(randoms[1]));
	test_rfc8448();
	for (info = tls_suites(); info->name; info++) {
		/* The module has no CCM. */
		if (info->suite == 0x1304)
			tap_equal(tlsgate_keys_from_secret(&keys, 0x1304, secret, 32), -EOPNOTSUPP,
				  "what the module does not have");
		else if (info->version == TLSGATE_TLS_1_3)
			test_secret(tls_suite_find(info->suite));
		else
			test_master(tls_suite_find(info->suite));
	}
	return tap_done();
}
