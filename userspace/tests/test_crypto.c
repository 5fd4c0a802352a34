// SPDX-License-Identifier: MIT
/* Hashes, HMAC, AEADs and key exchange: published answers, and what must be refused. */
#include <string.h>

#include "engine/crypto/crypto.h"
#include "engine/suites.h"
#include "tap.h"

#define ALERT(name)	(TLS_ERR_ALERT + TLS_ALERT_##name)

static const struct tls_slice none;

static void must(int err, const char *what)
{
	if (err)
		tap_bail("%s: %s", what, tls_strerror(err));
}

static void test_hash(void)
{
	struct tls_hash_ctx *ctx;
	uint8_t out[TLS_MAX_HASH];

	tap_bytes(tls_hash_empty(TLS_HASH_SHA256), 32, "e3b0c44298fc1c149afbf4c8996fb924"
		  "27ae41e4649b934ca495991b7852b855", "SHA-256 of nothing");
	tap_bytes(tls_hash_empty(TLS_HASH_SHA384), 48, "38b060a751ac96384cd9327eb1b1e36a"
		  "21fdb71114be07434c0cc7bf63f6e1da274edebfe76f65fbd51ad2f14898b95b",
		  "SHA-384 of nothing");
	must(tls_hash_new(&ctx, TLS_HASH_SHA256), "hash");
	must(tls_hash_update(ctx, "ab", 2), "update");
	must(tls_hash_peek(ctx, (struct tls_slice){ (const uint8_t *)"c", 1 }, out), "peek");
	tap_bytes(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		  "SHA-256 of ab and a peek at c");
	must(tls_hash_update(ctx, "c", 1), "update");
	must(tls_hash_peek(ctx, none, out), "peek");
	tap_bytes(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		  "SHA-256 of abc");
	must(tls_hash_restart(ctx), "restart");
	must(tls_hash_peek(ctx, none, out), "peek");
	tap_ok(!memcmp(out, tls_hash_empty(TLS_HASH_SHA256), 32), "restarted, it is empty");
	tls_hash_free(ctx);
}

/* RFC 4231 test case 2, in two parts; case 6 has a key longer than a block. */
static void test_hmac(void)
{
	const struct tls_slice parts[] = {
		{ (const uint8_t *)"what do ya want ", 16 },
		{ (const uint8_t *)"for nothing?", 12 },
	};
	const struct tls_slice jefe = { (const uint8_t *)"Jefe", 4 };
	struct tls_slice text = { (const uint8_t *)
		"Test Using Larger Than Block-Size Key - Hash Key First", 54 };
	uint8_t key[131], out[TLS_MAX_HASH];
	struct tls_hmac *hmac;

	must(tls_hmac_new(&hmac, TLS_HASH_SHA256), "hmac");
	must(tls_hmac_run(hmac, jefe, parts, 2, out), "run");
	tap_bytes(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
		  "HMAC-SHA-256");
	memset(key, 0xaa, sizeof(key));
	must(tls_hmac_run(hmac, (struct tls_slice){ key, sizeof(key) }, &text, 1, out), "run");
	tap_bytes(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
		  "keyed again, by a long key");
	must(tls_hmac_run(hmac, none, NULL, 0, out), "run");
	tap_bytes(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad",
		  "an empty key is not the key before");
	tls_hmac_free(hmac);
	must(tls_hmac_new(&hmac, TLS_HASH_SHA384), "hmac");
	must(tls_hmac_run(hmac, jefe, parts, 2, out), "run");
	tap_bytes(out, 48, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
		  "8e2240ca5e69e2c78b3239ecfab21649", "HMAC-SHA-384");
	tls_hmac_free(hmac);
}

/* RFC 5869 test case 1 for the extraction; limits of HkdfLabel. */
static void test_hkdf(void)
{
	struct tls_slice ikm = tap_hex("0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b");
	uint8_t prk[TLS_MAX_HASH], context[256] = { 0 }, out[255 * 32 + 1];
	char label[251];
	struct tls_hmac *hmac;

	must(tls_hmac_new(&hmac, TLS_HASH_SHA256), "hmac");
	must(tls_hkdf_extract(hmac, tap_hex("000102030405060708090a0b0c"), ikm, prk), "extract");
	tap_bytes(prk, 32, "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
		  "HKDF-Extract");
	memset(label, 'x', sizeof(label));
	label[sizeof(label) - 1] = '\0';
	tap_equal(tls_hkdf_expand_label(hmac, prk, label, none, out, 32), TLS_ERR_ARGUMENT,
		  "a label of 250 bytes is too long");
	tap_equal(tls_hkdf_expand_label(hmac, prk, label + 1, none, out, 32), 0, "249 are not");
	tap_equal(tls_hkdf_expand_label(hmac, prk, "x", (struct tls_slice){ context, 256 }, out,
					32),
		  TLS_ERR_ARGUMENT, "a context of 256 bytes is too much");
	tap_equal(tls_hkdf_expand_label(hmac, prk, "x", none, out, sizeof(out)), TLS_ERR_ARGUMENT,
		  "255 blocks and a byte are too much");
	tap_equal(tls_hkdf_expand_label(hmac, prk, "x", none, out, sizeof(out) - 1), 0,
		  "255 blocks are not");
	tls_hmac_free(hmac);
}

struct aead_vector {
	const char *name;
	enum tls_aead aead;
	const char *key, *nonce, *ad, *text, *sealed;
};

static const struct aead_vector aead_vectors[] = {
	{ "AES-128-GCM, test case 1 of its specification", TLS_AEAD_AES_128_GCM,
	  "00000000000000000000000000000000", "000000000000000000000000", "", "",
	  "58e2fccefa7e3061367f1d57a4e7455a" },
	{ "AES-128-GCM, test case 4", TLS_AEAD_AES_128_GCM,
	  "feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	  "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
	  "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091"
	  "5bc94fbc3221a5db94fae95ae7121a47" },
	{ "AES-256-GCM, test case 16", TLS_AEAD_AES_256_GCM,
	  "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
	  "cafebabefacedbaddecaf888", "feedfacedeadbeeffeedfacedeadbeefabaddad2",
	  "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
	  "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
	  "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
	  "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
	  "76fc6ece0f4e1768cddf8853bb2d551b" },
	{ "ChaCha20-Poly1305, RFC 8439 section 2.8.2", TLS_AEAD_CHACHA20_POLY1305,
	  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f",
	  "070000004041424344454647", "50515253c0c1c2c3c4c5c6c7",
	  "4c616469657320616e642047656e746c656d656e206f662074686520636c617373206f6620273939"
	  "3a204966204920636f756c64206f6666657220796f75206f6e6c79206f6e652074697020666f7220"
	  "746865206675747572652c2073756e73637265656e20776f756c642062652069742e",
	  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca96712"
	  "82fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58"
	  "fab324e4fad675945585808b4831d7bc3ff4def08e4b7a9de576d26586cec64b6116"
	  "1ae10b594f09e26a7e902ecbd0600691" },
	/* the example's own tag is shorter, and so another one */
	{ "AES-128-CCM, text of SP 800-38C example 3", TLS_AEAD_AES_128_CCM,
	  "404142434445464748494a4b4c4d4e4f", "101112131415161718191a1b",
	  "000102030405060708090a0b0c0d0e0f10111213",
	  "202122232425262728292a2b2c2d2e2f3031323334353637",
	  "e3b201a9f5b71a7a9b1ceaeccd97e70b6176aad9a4428aa5c87ae488918de93f17dd3e4934347f44" },
};

static void test_aead_vector(const struct aead_vector *v)
{
	struct tls_slice text = tap_hex(v->text), ad = tap_hex(v->ad), sealed = tap_hex(v->sealed);
	const uint8_t *key = tap_hex(v->key).p, *nonce = tap_hex(v->nonce).p;
	struct tls_aead_ctx *seal, *open;
	uint8_t out[160];

	must(tls_aead_new(&seal, v->aead, key, true), "aead");
	must(tls_aead_new(&open, v->aead, key, false), "aead");
	for (int i = 0; i < 2; i++) {
		must(tls_aead_seal(seal, nonce, ad, text.p, text.len, out), "seal");
		tap_bytes(out, text.len + TLS_TAG_LEN, v->sealed, "%s, use %d", v->name, i);
	}
	tap_equal(tls_aead_open(open, nonce, ad, sealed.p, sealed.len, out), 0, "%s: opens",
		  v->name);
	tap_bytes(out, text.len, v->text, "%s: what was sealed", v->name);
	tls_aead_free(seal);
	tls_aead_free(open);
}

/* Contexts are used again and again, with refusals in between. */
static void test_aead_reuse(enum tls_aead aead)
{
	uint8_t key[32] = { 7 }, nonce[12] = { 9 }, data[100], zeros[100] = { 0 };
	const struct tls_slice ad = { key, 5 };
	struct tls_aead_ctx *seal, *open;
	bool good = true, refused = true, wiped = true;

	must(tls_aead_new(&seal, aead, key, true), "aead");
	must(tls_aead_new(&open, aead, key, false), "aead");
	for (size_t n = 0; n <= sizeof(data) - TLS_TAG_LEN; n++) {
		memset(data, (int)n, sizeof(data));
		nonce[11] = (uint8_t)n;
		must(tls_aead_seal(seal, nonce, ad, data, n, data), "seal in place");
		data[n] ^= 1;
		refused &= tls_aead_open(open, nonce, ad, data, n + TLS_TAG_LEN, data) ==
			   ALERT(BAD_RECORD_MAC);
		wiped &= !memcmp(data, zeros, n);
		memset(data, (int)n, sizeof(data));
		must(tls_aead_seal(seal, nonce, ad, data, n, data), "seal in place");
		good &= !tls_aead_open(open, nonce, ad, data, n + TLS_TAG_LEN, data);
		for (size_t i = 0; i < n; i++)
			good &= data[i] == n;
	}
	tap_ok(good, "AEAD %d: one context, many records, in place", aead);
	tap_ok(refused, "AEAD %d: a wrong tag is refused in between", aead);
	tap_ok(wiped, "AEAD %d: and no plaintext is left then", aead);
	tls_aead_free(seal);
	tls_aead_free(open);
}

static void test_group(const struct tls_group *group)
{
	uint8_t share[TLS_MAX_SHARE + 1], answer[TLS_MAX_SHARE + 1];
	uint8_t ours[TLS_MAX_SHARED_SECRET], theirs[TLS_MAX_SHARED_SECRET];
	uint8_t unused[TLS_MAX_SHARE], more[TLS_MAX_SHARE];
	uint8_t random[TLS_KEX_RANDOM_LEN];
	struct tls_slice in = { share, group->initiator_len };
	struct tls_kex *kex, *other, *third;

	must(tls_kex_initiate(&kex, group, share), "initiate");
	must(tls_kex_respond(group, in, answer, theirs), "respond");
	in.len--;
	tap_equal(tls_kex_respond(group, in, answer, ours), ALERT(ILLEGAL_PARAMETER),
		  "%s: a share too short", tls_group_name(group->id));
	in.len += 2;
	tap_equal(tls_kex_respond(group, in, answer, ours), ALERT(ILLEGAL_PARAMETER),
		  "%s: a share too long", tls_group_name(group->id));
	in.len = 0;
	tap_equal(tls_kex_respond(group, in, answer, ours), ALERT(ILLEGAL_PARAMETER),
		  "%s: an empty share", tls_group_name(group->id));
	in.len = group->initiator_len;
	must(tls_random(random, sizeof(random)), "random");
	must(tls_kex_accept(&other, group, in, random, answer), "accept");
	/* another share in between: nothing of the first is in its place */
	must(tls_kex_initiate(&third, group, unused), "initiate");
	must(tls_kex_respond(group, (struct tls_slice){ unused, in.len }, more, ours), "respond");
	must(tls_kex_agree(other, theirs), "agree");
	tls_kex_free(other);
	tls_kex_free(third);
	in = (struct tls_slice){ answer, group->responder_len - 1u };
	tap_equal(tls_kex_finish(kex, in, ours), ALERT(ILLEGAL_PARAMETER),
		  "%s: an answer too short", tls_group_name(group->id));
	in.len++;
	must(tls_kex_finish(kex, in, ours), "finish");
	tap_ok(!memcmp(ours, theirs, group->secret_len), "%s: both have the same secret",
	       tls_group_name(group->id));
	tls_kex_free(kex);
}

/* RFC 7748 section 6.1, as Bob, who answers; the top bit of a share is not looked at (section 5). */
static void test_x25519_vector(void)
{
	const struct tls_slice bob = tap_hex(
		"5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
	const struct tls_slice alice[] = {
		tap_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
		tap_hex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4eea"),
	};
	const struct tls_group *group = tls_group_find(TLS_GROUP_X25519);
	uint8_t answer[TLS_MAX_SHARE], secret[TLS_MAX_SHARED_SECRET];
	struct tls_kex *kex;

	for (size_t i = 0; i < 2; i++) {
		must(tls_kex_accept(&kex, group, alice[i], bob.p, answer), "accept");
		tap_bytes(answer, 32, "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
			  "x25519: public key");
		must(tls_kex_agree(kex, secret), "agree");
		tap_bytes(secret, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
			  "x25519: secret%s", i ? ", top bit set" : "");
		tls_kex_free(kex);
	}
}

/* Both ways of receiving a share must refuse it. */
static void check_refused(uint16_t id, const char *hex, const char *what)
{
	const struct tls_group *group = tls_group_find(id);
	uint8_t share[TLS_MAX_SHARE], secret[TLS_MAX_SHARED_SECRET];
	struct tls_kex *kex;

	must(tls_kex_initiate(&kex, group, share), "initiate");
	tap_equal(tls_kex_respond(group, tap_hex(hex), share, secret), ALERT(ILLEGAL_PARAMETER),
		  "%s: %s, responding", tls_group_name(group->id), what);
	tap_equal(tls_kex_finish(kex, tap_hex(hex), secret), ALERT(ILLEGAL_PARAMETER),
		  "%s: %s, finishing", tls_group_name(group->id), what);
	tls_kex_free(kex);
}

#define ZEROS_16	"00000000000000000000000000000000"
#define ZEROS_48	ZEROS_16 ZEROS_16 ZEROS_16

static void test_bad_points(void)
{
	check_refused(TLS_GROUP_X25519,
		      "0000000000000000000000000000000000000000000000000000000000000000", "zero");
	check_refused(TLS_GROUP_X25519,
		      "0100000000000000000000000000000000000000000000000000000000000000", "one");
	check_refused(TLS_GROUP_X25519,
		      "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		      "a point of order 8");
	check_refused(TLS_GROUP_X25519,
		      "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "p - 1");
	check_refused(TLS_GROUP_SECP256R1,
		      "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
		      "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f4",
		      "a point off the curve");
	check_refused(TLS_GROUP_SECP256R1,
		      "076b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
		      "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
		      "the hybrid form");
	check_refused(TLS_GROUP_SECP256R1, "00", "infinity");
	check_refused(TLS_GROUP_SECP256R1,
		      "026b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
		      "the compressed form");
	check_refused(TLS_GROUP_X448, ZEROS_48 "0000000000000000", "zero");
	check_refused(TLS_GROUP_X448, "01" ZEROS_48 "00000000000000", "one");
}

/*
 * A KEM key whose coefficients are out of range; and a good one beside a curve's zeros, which
 * are no point.
 */
static void test_bad_hybrid(uint16_t id, size_t curve_at, size_t curve_len)
{
	const struct tls_group *group = tls_group_find(id);
	size_t kem_at = curve_at ? 0 : curve_len;
	uint8_t share[TLS_MAX_SHARE], answer[TLS_MAX_SHARE], secret[TLS_MAX_SHARED_SECRET];
	uint8_t curve[65];
	struct tls_slice in = { share, 0 };
	struct tls_kex *kex;

	if (!group) {
		tap_skip("this libcrypto has no ML-KEM", "%s", tls_group_name(id));
		return;
	}
	in.len = group->initiator_len;
	must(tls_kex_initiate(&kex, group, share), "initiate");
	memcpy(curve, share + curve_at, curve_len);
	memset(share + curve_at, 0, curve_len);
	tap_equal(tls_kex_respond(group, in, answer, secret), ALERT(ILLEGAL_PARAMETER),
		  "%s: zeros for the curve", tls_group_name(group->id));
	memcpy(share + curve_at, curve, curve_len);
	memset(share + kem_at, 0xff, 1184);
	tap_equal(tls_kex_respond(group, in, answer, secret), ALERT(ILLEGAL_PARAMETER),
		  "%s: an ML-KEM key out of range", tls_group_name(group->id));
	tls_kex_free(kex);
}

/* RFC 9846 section 4.3.8.2: uncompressed.  The hybrid form of a point has the same length. */
static void test_hybrid_form(uint16_t id)
{
	const struct tls_group *group = tls_group_find(id);
	uint8_t share[TLS_MAX_SHARE], answer[TLS_MAX_SHARE], spare[TLS_MAX_SHARE];
	uint8_t secret[TLS_MAX_SHARED_SECRET];
	struct tls_slice in = { share, 0 };
	struct tls_kex *kex;

	if (!group) {
		tap_skip("this libcrypto has no ML-KEM", "%s: forms of a point", tls_group_name(id));
		return;
	}
	in.len = group->initiator_len;
	must(tls_kex_initiate(&kex, group, share), "initiate");
	must(tls_kex_respond(group, in, answer, secret), "respond");
	share[0] = 6 | (share[64] & 1);
	answer[0] = 6 | (answer[64] & 1);
	tap_equal(tls_kex_respond(group, in, spare, secret), ALERT(ILLEGAL_PARAMETER),
		  "%s: the hybrid form of its point, responding", tls_group_name(id));
	in = (struct tls_slice){ answer, group->responder_len };
	tap_equal(tls_kex_finish(kex, in, secret), ALERT(ILLEGAL_PARAMETER),
		  "%s: the hybrid form of its point, finishing", tls_group_name(id));
	tls_kex_free(kex);
}

static void test_groups(void)
{
	size_t count;
	const struct tls_group *const *groups = tls_groups(&count);

	tap_ok(count >= 5, "five groups at least");
	for (size_t i = 0; i < count; i++)
		test_group(groups[i]);
	test_bad_hybrid(TLS_GROUP_X25519MLKEM768, 1184, 32);
	test_bad_hybrid(TLS_GROUP_SECP256R1MLKEM768, 0, 65);
	test_hybrid_form(TLS_GROUP_SECP256R1);
	test_hybrid_form(TLS_GROUP_SECP256R1MLKEM768);
	tap_ok(!tls_group_find(0x0100), "no other group");
}

static bool all_named(void)
{
	size_t group_count, scheme_count;
	const struct tls_group *const *groups = tls_groups(&group_count);
	const struct tls_scheme *schemes = tls_schemes(&scheme_count);
	bool named = true;

	for (size_t i = 0; i < group_count; i++)
		named &= tls_group_name(groups[i]->id) != NULL;
	for (size_t i = 0; i < scheme_count; i++)
		named &= tls_scheme_name(schemes[i].id) != NULL;
	return named;
}

static void test_names(void)
{
	tap_ok(!strcmp(tls_suite_name(0x1301), "TLS_AES_128_GCM_SHA256") && !tls_suite_name(0x0a0a),
	       "suites");
	tap_ok(!strcmp(tls_group_name(0x1d), "x25519") && !tls_group_name(0x0a0a), "groups");
	tap_ok(!strcmp(tls_scheme_name(0x0403), "ecdsa_secp256r1_sha256") &&
	       !tls_scheme_name(0x0a0a), "schemes");
	tap_ok(all_named(), "all groups and schemes of ours");
	tap_ok(!tls_scheme_find(0x0201) && !tls_scheme_find(0x0203), "no scheme with SHA-1");
	tap_ok(!strcmp(tls_extension_name(51), "key_share") && !tls_extension_name(0x0a0a),
	       "extensions");
	tap_ok(!strcmp(tls_message_name(1), "client_hello") && !tls_message_name(99), "messages");
	tap_ok(!strcmp(tls_version_name(TLS_1_2), "TLS 1.2") && !tls_version_name(0x0302),
	       "versions");
	tap_ok(!strcmp(tls_alert_name(20), "bad_record_mac") &&
	       !strcmp(tls_alert_name(99), "unknown"), "alerts");
	tap_ok(!strcmp(tls_strerror(ALERT(UNKNOWN_CA)), "alert unknown_ca sent") &&
	       !strcmp(tls_strerror(TLS_ERR_PEER + 48), "alert unknown_ca received") &&
	       !strcmp(tls_strerror(TLS_ERR_PEER + 99), "unknown alert received") &&
	       !strcmp(tls_strerror(TLS_ERR_NO_MEMORY), "out of memory") &&
	       !strcmp(tls_strerror(TLS_ERR_LOCAL + 200), "unknown error") &&
	       !strcmp(tls_strerror(0), "success"), "errors");
}

static void test_suites(void)
{
	const struct tls_suite *rsa = tls_suite_find(0xc02f), *ecdsa = tls_suite_find(0xc02b);
	const struct tls_suite *any = tls_suite_find(0x1301);
	unsigned int named_only = 0;

	for (const struct tls_suite_info *s = tls_suites(); s->suite; s++) {
		tap_ok(tls_suite_find(s->suite) && tls_suite_find(s->suite)->version == s->version,
		       "%s", s->name);
		named_only += !s->by_default;
	}
	tap_equal(named_only, 3, "CCM and RSA key exchange only when named");
	tap_ok(tls_suite_takes_key(rsa, TLS_KEY_RSA) &&
	       !tls_suite_takes_key(rsa, TLS_KEY_ED25519) &&
	       tls_suite_takes_key(ecdsa, TLS_KEY_ED25519) &&
	       tls_suite_takes_key(ecdsa, TLS_KEY_ECDSA_P384) &&
	       !tls_suite_takes_key(ecdsa, TLS_KEY_RSA) && tls_suite_takes_key(rsa, TLS_KEY_RSA_PSS) &&
	       !tls_suite_takes_key(tls_suite_find(0x009c), TLS_KEY_RSA_PSS) && tls_suite_takes_key(any, TLS_KEY_RSA),
	       "which key authenticates which suite");
}

static void test_random(void)
{
	uint8_t a[64] = { 0 }, b[64] = { 0 };

	must(tls_random(a, sizeof(a)), "random");
	must(tls_random(b, sizeof(b)), "random");
	tap_ok(memcmp(a, b, sizeof(a)), "random bytes differ");
	tap_ok(tls_equal(a, a, 64) && !tls_equal(a, b, 64) && tls_equal(a, b, 0), "comparison");
	tls_wipe(a, sizeof(a));
	memset(b, 0, sizeof(b));
	tap_ok(tls_equal(a, b, 64), "wiping");
}

int main(void)
{
	must(tls_crypto_init(), "init");
	test_hash();
	test_hmac();
	test_hkdf();
	for (size_t i = 0; i < sizeof(aead_vectors) / sizeof(aead_vectors[0]); i++)
		test_aead_vector(&aead_vectors[i]);
	for (int i = 0; i < TLS_AEAD_COUNT; i++)
		test_aead_reuse(i);
	test_groups();
	test_x25519_vector();
	test_bad_points();
	test_names();
	test_suites();
	test_random();
	return tap_done();
}
