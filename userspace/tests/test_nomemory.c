// SPDX-License-Identifier: MIT
/*
 * Each allocation libcrypto makes fails once, in everything that is done for a
 * connection: nothing may crash or leak (the sanitizers look), and what must
 * be refused must not be accepted for want of memory.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "engine/crypto/keysched13.h"
#include "engine/crypto/prf12.h"
#include "engine/record.h"
#include "engine/transcript.h"
#include "engine/verify/verify.h"
#include "pki.h"
#include "tap.h"

static bool armed;
static long allocations, fail_at;

static struct pki *ca, *leaf, *demanding;	/* the last one: an OCSP response; it is revoked */
static struct tls_certificate *cert;
static struct tls_private_key *key;
static struct tls_trust *trust, *nobody, *lists;	/* lists: with a CRL */
static const struct tls_scheme *by_ca;
static uint8_t signature[TLS_MAX_KEY_REPLY];
static size_t signature_len;

static const struct tls_slice message = { (const uint8_t *)"message", 7 };
static const struct tls_slice other_message = { (const uint8_t *)"massage", 7 };

static bool fails(void)
{
	return armed && ++allocations == fail_at;
}

static void *test_malloc(size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails() ? NULL : malloc(len);
}

static void *test_realloc(void *p, size_t len, const char *file, int line)
{
	(void)file;
	(void)line;
	return fails() ? NULL : realloc(p, len);
}

static void test_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

static int kex_p256(void)
{
	const struct tls_group *group = tls_group_find(TLS_GROUP_SECP256R1);
	uint8_t share[TLS_MAX_SHARE], answer[TLS_MAX_SHARE], secret[TLS_MAX_SHARED_SECRET];
	struct tls_kex *kex;
	int err = tls_kex_initiate(&kex, group, share);

	if (err)
		return err;
	err = tls_kex_respond(group, (struct tls_slice){ share, group->initiator_len }, answer,
			      secret);
	if (!err)
		err = tls_kex_finish(kex, (struct tls_slice){ answer, group->responder_len },
				     secret);
	tls_kex_free(kex);
	return err;
}

static int parse_chain(void)
{
	const struct tls_slice der = pki_der(leaf);
	struct tls_certificate *chain;
	int err = tls_certificate_from_der(&chain, der);

	if (!err)
		tls_certificate_free(chain);
	return err;
}

static int sign(void)
{
	const struct tls_key_request req = {
		.op = TLS_KEY_SIGN,
		.scheme = TLS_SCHEME_ECDSA_SECP256R1_SHA256,
		.data = message.p,
		.len = message.len,
	};

	signature_len = sizeof(signature);
	return tls_private_key_perform(key, &req, signature, &signature_len);
}

static int check(struct tls_slice data)
{
	return tls_certificate_check_signature(cert,
					       tls_scheme_find(TLS_SCHEME_ECDSA_SECP256R1_SHA256),
					       data,
					       (struct tls_slice){ signature, signature_len });
}

static int check_good(void)
{
	return check(message);
}

static int check_bad(void)
{
	return check(other_message);
}

static struct tls_verify_request request(const struct tls_trust *by, const char *name, int64_t now)
{
	return (struct tls_verify_request){
		.trust = by, .verify = TLS_VERIFY_REQUIRE, .peer = TLS_SERVER,
		.op = TLS_KEY_SIGN, .name = name, .now = now,
		.schemes = &by_ca, .scheme_count = 1, .status = true,
	};
}

/* And that there is no OCSP response. */
static int verify_request(const struct tls_verify_request *req, const struct pki *peers)
{
	static const struct tls_slice none;
	const struct tls_slice der = pki_der(peers);
	char why[TLS_VERIFY_TEXT];
	struct tls_peer *peer;
	int err = tls_peer_verify(&peer, req, &der, 1, why);

	if (err)
		return err;
	err = tls_peer_verify_status(peer, req, none, why);
	tls_peer_free(peer);
	return err;
}

static int verify(const struct tls_trust *by, const char *name, int64_t now)
{
	const struct tls_verify_request req = request(by, name, now);

	return verify_request(&req, leaf);
}

static int verify_listed(void)
{
	return verify(lists, "host.test", PKI_NOW);
}

static int verify_revoked(void)
{
	const struct tls_verify_request req = request(lists, "host.test", PKI_NOW);

	return verify_request(&req, demanding);
}

static int verify_not_offered(void)
{
	struct tls_verify_request req = request(trust, "host.test", PKI_NOW);

	req.scheme_count = 0;
	return verify_request(&req, leaf);
}

static int verify_no_staple(void)
{
	const struct tls_verify_request req = request(trust, "host.test", PKI_NOW);

	return verify_request(&req, demanding);
}

static int verify_good(void)
{
	return verify(trust, "host.test", PKI_NOW);
}

static int verify_name(void)
{
	return verify(trust, "other.test", PKI_NOW);
}

static int verify_address(void)
{
	return verify(trust, "192.0.2.1", PKI_NOW);
}

static int verify_expired(void)
{
	return verify(trust, "host.test", PKI_NOW + 31 * PKI_DAY);
}

static int verify_stranger(void)
{
	return verify(nobody, "host.test", PKI_NOW);
}

static int schedule(void)
{
	const struct tls_suite *suite = tls_suite_find(0x1301);
	uint8_t hash[TLS_MAX_HASH] = { 0 }, secret[TLS_MAX_HASH];
	struct tls_direction_keys keys;
	struct tls_keysched ks;
	int err = tls_keysched_init(&ks, suite->hash);

	if (!err)
		err = tls_keysched_early(&ks, (struct tls_slice){ NULL, 0 });
	if (!err)
		err = tls_keysched_handshake(&ks, message);
	if (!err)
		err = tls_keysched_derive(&ks, TLS_LABEL_CLIENT_HANDSHAKE, hash, secret);
	if (!err)
		err = tls_keysched_keys(&ks, suite, secret, &keys);
	tls_keysched_free(&ks);
	return err;
}

static int schedule12(void)
{
	uint8_t random[TLS_RANDOM_LEN] = { 0 }, master[TLS12_MASTER_LEN];

	return tls_prf12_master(TLS_HASH_SHA384, message, random, random, master);
}

static int transcript(void)
{
	uint8_t hash[TLS_MAX_HASH];
	struct tls_transcript t;
	int err;

	tls_transcript_init(&t);
	err = tls_transcript_add(&t, message.p, message.len);
	if (!err)
		err = tls_transcript_choose(&t, TLS_HASH_SHA256, true);
	if (!err)
		err = tls_transcript_hello_retry(&t);
	if (!err)
		err = tls_transcript_digest(&t, hash);
	tls_transcript_free(&t);
	return err;
}

/* bad: one bit is turned over on the way. */
static int record(bool bad)
{
	const struct tls_suite *suite = tls_suite_find(0x1303);
	const struct tls_direction_keys keys = { .key_len = 32, .iv_len = 12 };
	struct tls_record_dir out = { 0 }, in = { 0 };
	struct tls_buf buf = { .limit = 100 };
	struct tls_record opened;
	int err = tls_record_set_keys(&out, suite, true, &keys);

	if (!err)
		err = tls_record_set_keys(&in, suite, false, &keys);
	if (!err)
		err = tls_record_seal(&out, TLS_RECORD_ALERT, message.p, message.len, &buf);
	if (!err) {
		buf.data[buf.len - 1] ^= bad;
		err = tls_record_open(&in, buf.data, buf.len, &opened);
	}
	tls_record_free(&out);
	tls_record_free(&in);
	tls_buf_free(&buf);
	return err;
}

static int record_good(void)
{
	return record(false);
}

static int record_bad(void)
{
	return record(true);
}

static const struct {
	const char *name;
	int (*run)(void);
	bool refused;
} cases[] = {
	{ "P-256", kex_p256, false },
	{ "a peer's chain", parse_chain, false },
	{ "signing", sign, false },
	{ "a good signature", check_good, false },
	{ "a signature over something else", check_bad, true },
	{ "a good path", verify_good, false },
	{ "a path with another name", verify_name, true },
	{ "a path with another address", verify_address, true },
	{ "an expired path", verify_expired, true },
	{ "a path to nobody", verify_stranger, true },
	{ "a path that no CRL names", verify_listed, false },
	{ "a path that a CRL names", verify_revoked, true },
	{ "a path signed by what is not offered", verify_not_offered, true },
	{ "a certificate that demands an OCSP response, without one", verify_no_staple, true },
	{ "the TLS 1.3 schedule", schedule, false },
	{ "the TLS 1.2 schedule", schedule12, false },
	{ "the transcript", transcript, false },
	{ "records", record_good, false },
	{ "a damaged record", record_bad, true },
};

/* Until the run makes fewer allocations than the one that is to fail. */
static void fail_each(size_t i)
{
	long errors = 0, accepted = 0;

	fail_at = 0;
	do {
		fail_at++;
		allocations = 0;
		armed = true;
		if (cases[i].run())
			errors++;
		else
			accepted++;
		armed = false;
	} while (allocations >= fail_at);
	tap_ok(fail_at > 1 && errors, "%s: %ld allocations fail, one by one", cases[i].name,
	       fail_at - 1);
	if (cases[i].refused)
		tap_ok(!accepted, "%s: never accepted", cases[i].name);
}

static void must(int err, const char *what)
{
	if (err)
		tap_bail("%s: %s", what, tls_strerror(err));
}

static void make_lists(void)
{
	static const struct pki_options feature = { .feature = "status_request" };
	struct pki_crl_options revokes = { 0 };
	struct tls_slice crl;
	const char *why;
	int64_t until;

	demanding = pki_new(PKI_P256, ca, &feature);
	revokes.revoked = demanding;
	crl = pki_crl(ca, &revokes);
	must(tls_trust_new(&lists), "trust");
	must(tls_trust_add(lists, pki_certificate(ca), strlen(pki_certificate(ca))), "anchor");
	must(tls_trust_add_crl(lists, crl.p, crl.len, &until, &why), "CRL");
	OPENSSL_free((void *)crl.p);
	by_ca = tls_scheme_find(TLS_SCHEME_ECDSA_SECP256R1_SHA256);
}

int main(void)
{
	static const struct pki_options plain = { 0 };
	const char *why;

	if (CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free) != 1)
		tap_bail("libcrypto takes no allocator any more");
	must(tls_crypto_init(), "init");
	ca = pki_ca(PKI_P256, "test root");
	leaf = pki_new(PKI_P256, ca, &plain);
	must(tls_certificate_new(&cert, pki_certificate(leaf), strlen(pki_certificate(leaf)), &why),
	     "certificate");
	must(tls_private_key_new(&key, pki_key(leaf), strlen(pki_key(leaf)), &why), "key");
	must(tls_trust_new(&trust), "trust");
	must(tls_trust_add(trust, pki_certificate(ca), strlen(pki_certificate(ca))), "anchor");
	must(tls_trust_new(&nobody), "trust");
	make_lists();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		must(sign(), "signing");
		tap_ok(!cases[i].run() != cases[i].refused, "%s, with memory", cases[i].name);
		fail_each(i);
	}
	tls_certificate_free(cert);
	tls_private_key_free(key);
	tls_trust_free(trust);
	tls_trust_free(nobody);
	tls_trust_free(lists);
	pki_free(demanding);
	pki_free(leaf);
	pki_free(ca);
	return tap_done();
}
