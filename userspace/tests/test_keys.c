// SPDX-License-Identifier: MIT
/* Certificates and private keys: parsing, signing and checking, RSA decryption. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "engine/crypto/certificate.h"
#include "pki.h"
#include "tap.h"

#define ALERT(name)	(TLS_ERR_ALERT + TLS_ALERT_##name)
#define RSA_LEN		256

static const struct pki_options plain = { 0 };

struct holder {
	const char *name;
	struct pki *pki;
	struct tls_certificate *cert;
	struct tls_private_key *key;
};

static struct holder holders[] = {
	{ .name = "P-256" }, { .name = "P-384" }, { .name = "Ed25519" }, { .name = "RSA" },
	{ .name = "P-521" }, { .name = "Ed448" }, { .name = "RSA-PSS" },
	{ .name = "RSA-PSS with SHA-384" }, { .name = "ML-DSA-44" }, { .name = "ML-DSA-65" },
	{ .name = "ML-DSA-87" },
};

#define HOLDERS		(sizeof(holders) / sizeof(holders[0]))
#define RSA_HOLDER	(&holders[3])

static size_t holder_count = HOLDERS;	/* without ML-DSA, where there is none */

static const enum pki_key pki_types[HOLDERS] = {
	PKI_P256, PKI_P384, PKI_ED25519, PKI_RSA2048, PKI_P521, PKI_ED448, PKI_RSA_PSS,
	PKI_RSA_PSS_SHA384, PKI_MLDSA44, PKI_MLDSA65, PKI_MLDSA87,
};
static const enum tls_key_type key_types[HOLDERS] = {
	TLS_KEY_ECDSA_P256, TLS_KEY_ECDSA_P384, TLS_KEY_ED25519, TLS_KEY_RSA, TLS_KEY_ECDSA_P521,
	TLS_KEY_ED448, TLS_KEY_RSA_PSS, TLS_KEY_RSA_PSS, TLS_KEY_MLDSA44, TLS_KEY_MLDSA65,
	TLS_KEY_MLDSA87,
};
static const struct pki_options by_sha384 = { .digest = "SHA384" };

static int parse_cert(const char *pem, struct tls_certificate **cert, const char **why)
{
	*why = NULL;
	return tls_certificate_new(cert, pem, strlen(pem), why);
}

static int parse_key(const char *pem, struct tls_private_key **key, const char **why)
{
	*why = NULL;
	return tls_private_key_new(key, pem, strlen(pem), why);
}

static void make_holders(void)
{
	const char *why;

	if (!pki_has(PKI_MLDSA44)) {
		holder_count = HOLDERS - 3;
		tap_skip("this libcrypto has no ML-DSA", "ML-DSA keys");
	}
	for (size_t i = 0; i < holder_count; i++) {
		struct holder *h = &holders[i];

		h->pki = pki_new(pki_types[i], NULL,
				 pki_types[i] == PKI_RSA_PSS_SHA384 ? &by_sha384 : &plain);
		tap_equal(parse_cert(pki_certificate(h->pki), &h->cert, &why), 0,
			  "%s: certificate", h->name);
		tap_equal(parse_key(pki_key(h->pki), &h->key, &why), 0, "%s: key", h->name);
		tap_equal(tls_certificate_key_type(h->cert), key_types[i], "%s: type", h->name);
	}
}

static void test_matching(void)
{
	for (size_t i = 0; i < holder_count; i++) {
		bool ok = true;

		for (size_t j = 0; j < holder_count; j++)
			ok &= tls_private_key_find(holders[i].key, holders[j].cert) ==
			      (i == j ? 0 : TLS_NOT_FOUND);
		tap_ok(ok, "%s: the key matches its own certificate only", holders[i].name);
	}
}

static void test_place_in_chain(void)
{
	struct tls_certificate *chain;
	const char *why;
	char *pem;

	if (asprintf(&pem, "%s%s", pki_certificate(holders[0].pki), pki_certificate(holders[1].pki)) < 0)
		exit(1);
	tap_equal(parse_cert(pem, &chain, &why), 0, "a chain of two");
	tap_equal(tls_private_key_find(holders[1].key, chain), 1, "the key of the second");
	tap_ok(tls_private_key_find(holders[2].key, chain) == TLS_NOT_FOUND, "the key of neither");
	tls_certificate_free(chain);
	free(pem);
}

static void test_validity(void)
{
	int64_t from, until;

	tap_ok(!tls_certificate_validity(holders[0].cert, 0, &from, &until) &&
	       from == PKI_NOW - 30 * PKI_DAY && until == PKI_NOW + 30 * PKI_DAY, "validity");
	tap_equal(tls_certificate_validity(holders[0].cert, 1, &from, &until), TLS_ERR_ARGUMENT,
		  "of no element");
}

static void test_self_signed(void)
{
	struct tls_private_key *key;
	struct tls_certificate *cert;

	for (int rsa = 0; rsa < 2; rsa++) {
		tap_equal(tls_self_signed_new(rsa, &cert, &key), 0, "a pair for trials");
		tap_ok(!tls_private_key_find(key, cert) && tls_certificate_key_type(cert) ==
		       (rsa ? TLS_KEY_RSA : TLS_KEY_ECDSA_P256), "is one, of its type");
		tls_certificate_free(cert);
		tls_private_key_free(key);
	}
}

static void test_quick(void)
{
	static const bool quick[HOLDERS] = { true, false, true };

	for (size_t i = 0; i < holder_count; i++)
		tap_equal(tls_private_key_is_quick(holders[i].key), quick[i], "%s: quick to sign or not",
			  holders[i].name);
}

/* Which schemes, by number, each key may use: TLS 1.3, then TLS 1.2. */
static const char *const fits13[HOLDERS] = {
	"0403", "0503", "0807", "0804 0805 0806", "0603", "0808", "0809 080a 080b", "080a", "0904",
	"0905", "0906",
};
static const char *const fits12[HOLDERS] = {
	"0403 0503 0603", "0403 0503 0603", "0807", "0804 0805 0806 0401 0501 0601",
	"0403 0503 0603", "0808", "0809 080a 080b", "080a", "", "", "",
};

static bool listed(const char *list, uint16_t id)
{
	char hex[5];

	snprintf(hex, sizeof(hex), "%04x", id);
	return strstr(list, hex);
}

static int sign(const struct holder *h, uint16_t scheme, enum tls_key_op op, const void *data,
		size_t len, uint8_t *sig, size_t *sig_len)
{
	const struct tls_key_request req = {
		.op = op,
		.scheme = scheme,
		.data = data,
		.len = len,
	};

	*sig_len = TLS_MAX_KEY_REPLY;
	return tls_private_key_perform(h->key, &req, sig, sig_len);
}

static void check_scheme(const struct holder *h, const struct tls_scheme *scheme, bool fits)
{
	const struct tls_slice data = { (const uint8_t *)"what to sign", 12 };
	const struct tls_slice other = { (const uint8_t *)"What to sign", 12 };
	uint8_t sig[TLS_MAX_KEY_REPLY];
	struct tls_slice out = { sig, 0 };
	int err = sign(h, scheme->id, TLS_KEY_SIGN, data.p, data.len, sig, &out.len);

	if (!fits) {
		tap_equal(err, TLS_ERR_ARGUMENT, "%s: cannot do %s", h->name, tls_scheme_name(scheme->id));
		return;
	}
	tap_equal(err, 0, "%s: signs by %s", h->name, tls_scheme_name(scheme->id));
	tap_equal(tls_certificate_check_signature(h->cert, scheme, data, out), 0,
		  "%s: %s is right", h->name, tls_scheme_name(scheme->id));
	tap_equal(tls_certificate_check_signature(h->cert, scheme, other, out),
		  ALERT(DECRYPT_ERROR), "%s: %s over other data", h->name, tls_scheme_name(scheme->id));
	sig[out.len / 2] ^= 4;
	tap_equal(tls_certificate_check_signature(h->cert, scheme, data, out),
		  ALERT(DECRYPT_ERROR), "%s: %s damaged", h->name, tls_scheme_name(scheme->id));
	out.len = 0;
	tap_equal(tls_certificate_check_signature(h->cert, scheme, data, out),
		  ALERT(DECRYPT_ERROR), "%s: %s empty", h->name, tls_scheme_name(scheme->id));
}

static void test_schemes(void)
{
	size_t count;
	const struct tls_scheme *schemes = tls_schemes(&count);

	for (size_t i = 0; i < holder_count; i++) {
		const struct holder *h = &holders[i];

		for (size_t j = 0; j < count; j++) {
			const struct tls_scheme *s = &schemes[j];

			tap_ok(tls_certificate_can(h->cert, s, TLS_1_3) ==
			       listed(fits13[i], s->id) &&
			       tls_certificate_can(h->cert, s, TLS_1_2) ==
			       listed(fits12[i], s->id),
			       "%s: where %s may be used", h->name, tls_scheme_name(s->id));
			check_scheme(h, s, listed(fits12[i], s->id) || listed(fits13[i], s->id));
		}
	}
}

/* A signature over a digest is the one over the data: TLS 1.2's CertificateVerify. */
static void test_digest(void)
{
	static const uint16_t by_digest[HOLDERS] = {
		TLS_SCHEME_ECDSA_SECP256R1_SHA256, TLS_SCHEME_ECDSA_SECP256R1_SHA256,
		TLS_SCHEME_ED25519, TLS_SCHEME_RSA_PKCS1_SHA256, TLS_SCHEME_ECDSA_SECP256R1_SHA256,
		TLS_SCHEME_ED448, TLS_SCHEME_RSA_PSS_PSS_SHA256, TLS_SCHEME_RSA_PSS_PSS_SHA256,
		TLS_SCHEME_MLDSA44, TLS_SCHEME_MLDSA65, TLS_SCHEME_MLDSA87,
	};
	uint8_t digest[TLS_MAX_HASH], sig[TLS_MAX_KEY_REPLY];
	struct tls_slice out = { sig, 0 }, data = { (const uint8_t *)"messages", 8 };

	if (tls_hash(TLS_HASH_SHA256, data.p, data.len, digest))
		tap_bail("hash");
	for (size_t i = 0; i < holder_count; i++) {
		const struct holder *h = &holders[i];
		const struct tls_scheme *scheme = tls_scheme_find(by_digest[i]);
		int err = sign(h, by_digest[i], TLS_KEY_SIGN_DIGEST, digest, 32, sig, &out.len);

		if (scheme->whole || h->cert == holders[7].cert) {
			tap_equal(err, TLS_ERR_ARGUMENT, "%s: signs no digest of SHA-256", h->name);
			continue;
		}
		tap_equal(err, 0, "%s: signs a digest", h->name);
		tap_equal(tls_certificate_check_signature(h->cert, scheme, data, out), 0,
			  "%s: it is the data's signature", h->name);
		tap_equal(sign(h, by_digest[i], TLS_KEY_SIGN_DIGEST, digest, 31, sig, &out.len),
			  TLS_ERR_ARGUMENT, "%s: a digest of a wrong length", h->name);
	}
}

static int decrypt(const uint8_t *data, size_t len, uint8_t *out)
{
	const struct tls_key_request req = {
		.op = TLS_KEY_DECRYPT,
		.data = data,
		.len = len,
	};
	size_t out_len = TLS_MAX_KEY_REPLY;
	int err = tls_private_key_perform(RSA_HOLDER->key, &req, out, &out_len);

	return err ? err : out_len == 48 ? 0 : -1;
}

/* Raw RSA of a block as we want it, padding and all. */
static void encrypt_block(const uint8_t *block, uint8_t *out)
{
	struct tls_slice der = tls_certificate_der(RSA_HOLDER->cert, 0);
	const unsigned char *p = der.p;
	X509 *x509 = d2i_X509(NULL, &p, (long)der.len);
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, X509_get0_pubkey(x509), NULL);
	size_t len = RSA_LEN;

	if (!ctx || EVP_PKEY_encrypt_init(ctx) != 1 ||
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_NO_PADDING) != 1 ||
	    EVP_PKEY_encrypt(ctx, out, &len, block, RSA_LEN) != 1)
		tap_bail("raw RSA");
	EVP_PKEY_CTX_free(ctx);
	X509_free(x509);
}

/* A well-formed block with one byte set to another value. */
static void make_block(uint8_t *block, size_t at, uint8_t value)
{
	memset(block, 0x77, RSA_LEN);
	block[0] = 0;
	block[1] = 2;
	block[RSA_LEN - 49] = 0;
	memset(block + RSA_LEN - 48, 0x42, 48);
	block[at] = value;
}

static void check_padding(size_t at, uint8_t value, bool good, const char *what)
{
	uint8_t block[RSA_LEN], in[RSA_LEN], out[TLS_MAX_KEY_REPLY], again[TLS_MAX_KEY_REPLY];
	const uint8_t *premaster = block + RSA_LEN - 48;

	make_block(block, at, value);
	encrypt_block(block, in);
	tap_equal(decrypt(in, RSA_LEN, out), 0, "RSA: %s is no error", what);
	tap_ok(!memcmp(out, premaster, 48) == good, "RSA: %s gives %s", what,
	       good ? "the premaster" : "something else");
	tap_ok(!decrypt(in, RSA_LEN, again) && !memcmp(out, again, 48), "RSA: %s, the same again",
	       what);
}

static void test_decrypt(void)
{
	uint8_t in[TLS_MAX_RSA], out[TLS_MAX_KEY_REPLY], other[TLS_MAX_KEY_REPLY];
	uint8_t premaster[48];
	size_t len;

	memset(premaster, 0x33, sizeof(premaster));
	tap_equal(tls_certificate_encrypt(RSA_HOLDER->cert, (struct tls_slice){ premaster, 48 }, in,
					  &len), 0, "RSA: encrypts");
	tap_ok(len == RSA_LEN && !decrypt(in, len, out) && !memcmp(out, premaster, 48),
	       "RSA: and decrypts");
	tap_equal(tls_certificate_encrypt(holders[0].cert, (struct tls_slice){ premaster, 48 }, in,
					  &len), TLS_ERR_ARGUMENT, "only RSA encrypts");
	check_padding(RSA_LEN - 1, 0x42, true, "good padding");
	check_padding(0, 1, false, "a first byte of 1");
	check_padding(1, 1, false, "block type 1");
	check_padding(2, 0, false, "a zero at the start of the padding");
	check_padding(RSA_LEN - 50, 0, false, "a premaster of 49 bytes");
	check_padding(RSA_LEN - 49, 9, false, "no zero before the premaster");
	check_padding(RSA_LEN - 30, 0, true, "a zero inside the premaster");
	memset(in, 0xff, sizeof(in));
	tap_ok(!decrypt(in, RSA_LEN, out), "RSA: a number above the modulus is no error");
	in[RSA_LEN - 1] = 0;
	tap_ok(!decrypt(in, RSA_LEN, other) && memcmp(out, other, 48),
	       "RSA: another ciphertext, another answer");
	tap_ok(!decrypt(in, RSA_LEN - 1, out) && !decrypt(in, 0, out) && !decrypt(in, 1024, out),
	       "RSA: nor is any length of ciphertext");
}

static void check_refused_cert(const char *pem, const char *want)
{
	struct tls_certificate *cert = NULL;
	const char *why;

	tap_equal(parse_cert(pem, &cert, &why), TLS_ERR_ARGUMENT, "refused: %s", want);
	tap_ok(why && strstr(why, want), "and says so: %s", why ? why : "nothing");
}

static void check_refused_key(const char *pem, const char *want)
{
	struct tls_private_key *key = NULL;
	const char *why;

	tap_equal(parse_key(pem, &key, &why), TLS_ERR_ARGUMENT, "refused: %s", want);
	tap_ok(why && strstr(why, want), "and says so: %s", why ? why : "nothing");
}

static char *encrypted_key(const struct pki *pki)
{
	const char *pem = pki_key(pki);
	BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	char *data, *text;
	long len;

	if (PEM_write_bio_PKCS8PrivateKey(out, key, EVP_aes_128_cbc(), "secret", 6, NULL,
					  NULL) != 1)
		tap_bail("encrypted key");
	len = BIO_get_mem_data(out, &data);
	text = strndup(data, (size_t)len);
	EVP_PKEY_free(key);
	BIO_free(in);
	BIO_free(out);
	return text;
}

static void test_refusals(void)
{
	struct pki *weak = pki_new(PKI_RSA1024, NULL, &plain);
	struct pki *brainpool = pki_new(PKI_BRAINPOOL, NULL, &plain);
	char *locked = encrypted_key(holders[0].pki);
	struct tls_slice der = pki_der(brainpool);
	struct tls_certificate *cert = NULL;

	check_refused_cert("", "no PEM certificate");
	check_refused_cert(pki_key(holders[0].pki), "no PEM certificate");
	check_refused_cert("-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n",
			   "damaged");
	check_refused_cert("-----BEGIN CERTIFICATE-----\nQUJD\n", "damaged");
	check_refused_cert(pki_certificate(weak), "2048");
	check_refused_cert(pki_certificate(brainpool), "type");
	check_refused_key("", "no PEM private key");
	check_refused_key(pki_certificate(holders[0].pki), "no PEM private key");
	check_refused_key(pki_key(weak), "2048");
	check_refused_key(pki_key(brainpool), "type");
	check_refused_key(locked, "encrypted");
	tap_equal(tls_certificate_from_der(&cert, der), ALERT(UNSUPPORTED_CERTIFICATE),
		  "a peer's certificate on another curve");
	der = pki_der(holders[0].pki);
	der.len--;
	tap_equal(tls_certificate_from_der(&cert, der), ALERT(BAD_CERTIFICATE), "cut DER");
	free(locked);
	pki_free(weak);
	pki_free(brainpool);
}

static int note_name(void *arg, const char *name, size_t len)
{
	char *names = arg;

	sprintf(names + strlen(names), " %.*s", (int)len, name);
	return 0;
}

static void test_chain(void)
{
	static const struct pki_options named = {
		.names = "DNS:a.test,DNS:*.b.test", .key_usage = "digitalSignature",
	};
	struct pki *leaf = pki_new(PKI_RSA2048, holders[0].pki, &named);
	struct tls_certificate *cert;
	char names[64] = "";
	const char *why;
	char *pem;

	if (asprintf(&pem, "some text\n%s%s", pki_certificate(leaf),
		     pki_certificate(holders[0].pki)) < 0)
		tap_bail("out of memory");
	tap_equal(parse_cert(pem, &cert, &why), 0, "a chain of two, with text around it");
	tap_equal((long)tls_certificate_count(cert), 2, "has two");
	tap_ok(tls_certificate_der(cert, 0).len == pki_der(leaf).len &&
	       !memcmp(tls_certificate_der(cert, 0).p, pki_der(leaf).p, pki_der(leaf).len),
	       "the leaf is first");
	tls_certificate_set_key_id(cert, 77);
	tap_equal((long)tls_certificate_key_id(tls_certificate_ref(cert)), 77, "key id");
	tls_certificate_free(cert);
	tap_ok(!tls_certificate_each_name(cert, note_name, names) &&
	       !strcmp(names, " a.test *.b.test"), "names, while a reference is held");
	tap_ok(tls_certificate_may(cert, TLS_KEY_SIGN) &&
	       !tls_certificate_may(cert, TLS_KEY_DECRYPT),
	       "key usage permits signing only");
	tap_ok(tls_certificate_may(RSA_HOLDER->cert, TLS_KEY_DECRYPT), "without one, anything");
	tls_certificate_free(cert);
	free(pem);
	pki_free(leaf);
}

static void test_space(void)
{
	const struct tls_key_request req = {
		.op = TLS_KEY_SIGN, .scheme = TLS_SCHEME_RSA_PSS_RSAE_SHA256,
		.data = (const uint8_t *)"x", .len = 1,
	};
	uint8_t out[TLS_MAX_KEY_REPLY];
	size_t len = RSA_LEN - 1;

	tap_equal(tls_private_key_perform(RSA_HOLDER->key, &req, out, &len), TLS_ERR_SPACE,
		  "no room for a signature");
}

int main(void)
{
	make_holders();
	test_matching();
	test_place_in_chain();
	test_validity();
	test_self_signed();
	test_quick();
	test_schemes();
	test_digest();
	test_decrypt();
	test_refusals();
	test_chain();
	test_space();
	for (size_t i = 0; i < holder_count; i++) {
		tls_certificate_free(holders[i].cert);
		tls_private_key_free(holders[i].key);
		pki_free(holders[i].pki);
	}
	return tap_done();
}
