// SPDX-License-Identifier: MIT
/* Keys and certificates made at run time. */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "pki.h"
#include "tap.h"

struct pki {
	EVP_PKEY *key;
	X509 *x509;
	char *certificate_pem, *key_pem;
	unsigned char *der;
	int der_len;
};

static const struct {
	const char *algorithm, *curve;
} kinds[PKI_KEY_COUNT] = {
	[PKI_P256] = { "EC", "P-256" },
	[PKI_P384] = { "EC", "P-384" },
	[PKI_P521] = { "EC", "P-521" },
	[PKI_ED25519] = { "ED25519", NULL },
	[PKI_ED448] = { "ED448", NULL },
	[PKI_RSA2048] = { "RSA", NULL },
	[PKI_RSA_PSS] = { "RSA-PSS", NULL },
	[PKI_RSA_PSS_SHA384] = { "RSA-PSS", NULL },
	[PKI_MLDSA44] = { "ML-DSA-44", NULL },
	[PKI_MLDSA65] = { "ML-DSA-65", NULL },
	[PKI_MLDSA87] = { "ML-DSA-87", NULL },
	[PKI_RSA1024] = { "RSA", NULL },
	[PKI_BRAINPOOL] = { "EC", "brainpoolP256r1" },
};

bool pki_has(enum pki_key type)
{
	EVP_KEYMGMT *keymgmt = EVP_KEYMGMT_fetch(NULL, kinds[type].algorithm, NULL);

	EVP_KEYMGMT_free(keymgmt);
	return keymgmt;
}

static EVP_PKEY *make_key(enum pki_key type)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, kinds[type].algorithm, NULL);
	EVP_PKEY *key = NULL;
	bool ok = ctx && EVP_PKEY_keygen_init(ctx) == 1;

	if (kinds[type].curve)
		ok = ok && EVP_PKEY_CTX_set_group_name(ctx, kinds[type].curve) == 1;
	if (type == PKI_RSA1024)
		ok = ok && EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 1024) == 1;
	if (type == PKI_RSA_PSS_SHA384)
		ok = ok && EVP_PKEY_CTX_set_rsa_pss_keygen_md(ctx, EVP_sha384()) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_keygen_mgf1_md(ctx, EVP_sha384()) == 1;
	if (!ok || EVP_PKEY_generate(ctx, &key) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static void add_extension(X509 *x509, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *ext;
	X509V3_CTX ctx;

	if (!value || !*value)
		return;
	X509V3_set_ctx(&ctx, issuer, x509, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext || X509_add_ext(x509, ext, -1) != 1)
		tap_bail("extension %s", value);
	X509_EXTENSION_free(ext);
}

static void set_name(X509 *x509, const char *common_name)
{
	if (*common_name &&
	    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_UTF8,
				       (const unsigned char *)common_name, -1, -1, 0) != 1)
		tap_bail("name %s", common_name);
}

static void set_serial(X509 *x509)
{
	uint64_t serial;

	if (RAND_bytes((unsigned char *)&serial, sizeof(serial)) != 1 ||
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x509), serial >> 1) != 1)
		tap_bail("serial number");
}

static char *to_pem(BIO *bio)
{
	char *data, *text;
	long len = BIO_get_mem_data(bio, &data);

	text = strndup(data, (size_t)len);
	BIO_free(bio);
	if (!text)
		tap_bail("out of memory");
	return text;
}

static void write_pem(struct pki *pki)
{
	BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());

	if (PEM_write_bio_X509(cert, pki->x509) != 1 ||
	    PEM_write_bio_PrivateKey(key, pki->key, NULL, NULL, 0, NULL, NULL) != 1)
		tap_bail("PEM");
	pki->certificate_pem = to_pem(cert);
	pki->key_pem = to_pem(key);
}

static void sign(X509 *x509, EVP_PKEY *key, const struct pki_options *options)
{
	const char *digest = options->digest ? options->digest : "SHA256";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;
	bool ok;

	/* EdDSA and ML-DSA take none */
	if (!EVP_PKEY_is_a(key, "EC") && !EVP_PKEY_is_a(key, "RSA") && !EVP_PKEY_is_a(key, "RSA-PSS"))
		digest = NULL;
	ok = EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, key, NULL) == 1;
	if (options->pss)
		ok = ok && EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1;
	if (!ok || !X509_sign_ctx(x509, ctx))
		tap_bail("cannot sign a certificate");
	EVP_MD_CTX_free(ctx);
}

struct pki *pki_new(enum pki_key type, const struct pki *issuer, const struct pki_options *options)
{
	struct pki *pki = calloc(1, sizeof(*pki));
	X509 *x509 = X509_new(), *by = issuer ? issuer->x509 : x509;
	int64_t before = options->not_before ? options->not_before : PKI_NOW - 30 * PKI_DAY;
	int64_t after = options->not_after ? options->not_after : PKI_NOW + 30 * PKI_DAY;

	if (!pki || !x509)
		tap_bail("out of memory");
	pki->key = make_key(type);
	pki->x509 = x509;
	if (!pki->key || X509_set_version(x509, 2) != 1 || X509_set_pubkey(x509, pki->key) != 1)
		tap_bail("key of type %d", type);
	set_serial(x509);
	set_name(x509, options->common_name ? options->common_name : "host.test");
	X509_set_issuer_name(x509, X509_get_subject_name(by));
	ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)before);
	ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)after);
	add_extension(x509, by, NID_basic_constraints, options->constraints);
	add_extension(x509, by, NID_key_usage, options->key_usage);
	add_extension(x509, by, NID_ext_key_usage, options->extended_usage);
	add_extension(x509, by, NID_tlsfeature, options->feature);
	add_extension(x509, by, NID_id_pkix_OCSP_noCheck, options->no_check ? "ignored" : NULL);
	add_extension(x509, by, NID_subject_key_identifier, options->key_id);
	add_extension(x509, by, NID_authority_key_identifier,
		      options->authority ? "keyid:always" : NULL);
	add_extension(x509, by, NID_subject_alt_name,
		      options->names ? options->names : "DNS:host.test");
	sign(x509, issuer ? issuer->key : pki->key, options);
	write_pem(pki);
	pki->der_len = i2d_X509(x509, &pki->der);
	if (pki->der_len <= 0)
		tap_bail("DER");
	return pki;
}

struct pki *pki_ca(enum pki_key type, const char *common_name)
{
	const struct pki_options options = {
		.common_name = common_name,
		.names = "",
		.constraints = "critical,CA:TRUE",
		.key_usage = "critical,keyCertSign,cRLSign",
		.not_after = PKI_NOW + 3650 * PKI_DAY,
	};

	return pki_new(type, NULL, &options);
}

void pki_free(struct pki *pki)
{
	if (!pki)
		return;
	EVP_PKEY_free(pki->key);
	X509_free(pki->x509);
	free(pki->certificate_pem);
	free(pki->key_pem);
	OPENSSL_free(pki->der);
	free(pki);
}

const char *pki_certificate(const struct pki *pki)
{
	return pki->certificate_pem;
}

const char *pki_key(const struct pki *pki)
{
	return pki->key_pem;
}

struct tls_slice pki_der(const struct pki *pki)
{
	return (struct tls_slice){ pki->der, (size_t)pki->der_len };
}

/* ---- revocation lists ---- */

static void revoke(X509_CRL *crl, const ASN1_INTEGER *serial)
{
	X509_REVOKED *entry = X509_REVOKED_new();

	if (!entry || X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)serial) != 1 ||
	    X509_REVOKED_set_revocationDate(entry,
					    (ASN1_TIME *)X509_CRL_get0_lastUpdate(crl)) != 1 ||
	    X509_CRL_add0_revoked(crl, entry) != 1)
		tap_bail("cannot revoke");
}

/* 16 bytes each, as CAs have them, and none of a certificate that tests make. */
static void revoke_others(X509_CRL *crl, unsigned int count)
{
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	uint8_t bytes[16] = { 0x7f };

	for (uint32_t i = 0; i < count; i++) {
		/* in no order */
		uint32_t scattered = i * 2654435761u;

		memcpy(bytes + 1, &scattered, sizeof(scattered));
		if (ASN1_STRING_set(serial, bytes, sizeof(bytes)) != 1)
			tap_bail("a serial number");
		revoke(crl, serial);
	}
	ASN1_INTEGER_free(serial);
}

static void limit_to_cas(X509_CRL *crl)
{
	ISSUING_DIST_POINT *point = ISSUING_DIST_POINT_new();

	point->onlyCA = 0xff;
	if (X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, point, 1, 0) != 1)
		tap_bail("cannot limit a CRL");
	ISSUING_DIST_POINT_free(point);
}

static void make_delta(X509_CRL *crl)
{
	ASN1_INTEGER *base = ASN1_INTEGER_new();

	if (ASN1_INTEGER_set(base, 1) != 1 ||
	    X509_CRL_add1_ext_i2d(crl, NID_delta_crl, base, 1, 0) != 1)
		tap_bail("cannot make a CRL a delta");
	ASN1_INTEGER_free(base);
}

static void set_times(X509_CRL *crl, int64_t from, int64_t until)
{
	ASN1_TIME *last = ASN1_TIME_set(NULL, (time_t)(PKI_NOW + (from ? from : -3600)));
	ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)(PKI_NOW + (until ? until : 3600)));

	if (X509_CRL_set1_lastUpdate(crl, last) != 1 || X509_CRL_set1_nextUpdate(crl, next) != 1)
		tap_bail("CRL times");
	ASN1_TIME_free(last);
	ASN1_TIME_free(next);
}

struct tls_slice pki_crl(const struct pki *by, const struct pki_crl_options *options)
{
	const struct pki *signer = options->signer ? options->signer : by;
	X509_CRL *crl = X509_CRL_new();
	unsigned char *der = NULL;
	int len;

	if (!crl || X509_CRL_set_version(crl, 1) != 1 ||
	    X509_CRL_set_issuer_name(crl, X509_get_subject_name(by->x509)) != 1)
		tap_bail("cannot make a CRL");
	set_times(crl, options->from, options->until);
	if (options->revoked)
		revoke(crl, X509_get0_serialNumber(options->revoked->x509));
	revoke_others(crl, options->more);
	if (options->only_cas)
		limit_to_cas(crl);
	if (options->delta)
		make_delta(crl);
	if (!X509_CRL_sign(crl, signer->key, EVP_sha256()))
		tap_bail("cannot sign a CRL");
	len = i2d_X509_CRL(crl, &der);
	if (len <= 0)
		tap_bail("cannot write a CRL");
	X509_CRL_free(crl);
	return (struct tls_slice){ der, (size_t)len };
}
