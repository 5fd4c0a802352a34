// SPDX-License-Identifier: MIT
/* Certificate chains: parsing, and what the engine's messages ask of them. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "crypto/openssl.h"
#include "extension/extension.h"

/* By libcrypto's names of key and curve, which has two. */
static const struct {
	const char *algorithm, *curve;
	enum tls_key_type type;
} kinds[] = {
	{ "RSA", NULL, TLS_KEY_RSA },
	{ "RSA-PSS", NULL, TLS_KEY_RSA_PSS },
	{ "EC", "prime256v1", TLS_KEY_ECDSA_P256 },
	{ "EC", "P-256", TLS_KEY_ECDSA_P256 },
	{ "EC", "secp384r1", TLS_KEY_ECDSA_P384 },
	{ "EC", "P-384", TLS_KEY_ECDSA_P384 },
	{ "EC", "secp521r1", TLS_KEY_ECDSA_P521 },
	{ "EC", "P-521", TLS_KEY_ECDSA_P521 },
	{ "ED25519", NULL, TLS_KEY_ED25519 },
	{ "ED448", NULL, TLS_KEY_ED448 },
	{ "ML-DSA-44", NULL, TLS_KEY_MLDSA44 },
	{ "ML-DSA-65", NULL, TLS_KEY_MLDSA65 },
	{ "ML-DSA-87", NULL, TLS_KEY_MLDSA87 },
};

bool tls_key_is_rsa(enum tls_key_type type)
{
	return type == TLS_KEY_RSA || type == TLS_KEY_RSA_PSS;
}

bool tls_key_type_of(const EVP_PKEY *key, enum tls_key_type *type)
{
	char curve[32] = "";
	size_t len;

	(void)EVP_PKEY_get_group_name((EVP_PKEY *)key, curve, sizeof(curve), &len);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!EVP_PKEY_is_a(key, kinds[i].algorithm) ||
		    (kinds[i].curve && strcmp(kinds[i].curve, curve)))
			continue;
		*type = kinds[i].type;
		return !tls_key_is_rsa(*type) || EVP_PKEY_get_bits(key) <= TLS_MAX_RSA_BITS;
	}
	return false;
}

struct tls_certificate *tls_certificate_ref(struct tls_certificate *cert)
{
	__atomic_add_fetch(&cert->refs, 1, __ATOMIC_RELAXED);
	return cert;
}

void tls_certificate_free(struct tls_certificate *cert)
{
	if (!cert || __atomic_sub_fetch(&cert->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < cert->count; i++) {
		X509_free(cert->x509[i]);
		OPENSSL_free((void *)cert->der[i].p);
	}
	EVP_PKEY_free(cert->key);
	free((void *)cert->ocsp.p);
	free((void *)cert->scts.p);
	free(cert);
}

static struct tls_certificate *certificate_alloc(void)
{
	struct tls_certificate *cert = calloc(1, sizeof(*cert));

	if (cert)
		cert->refs = 1;
	return cert;
}

/* Takes x509 over, whatever the result. */
static int append(struct tls_certificate *cert, X509 *x509)
{
	unsigned char *der = NULL;
	int len;

	if (cert->count == TLS_MAX_CHAIN) {
		X509_free(x509);
		return TLS_ERR_ARGUMENT;
	}
	len = i2d_X509(x509, &der);
	if (len <= 0) {
		X509_free(x509);
		return tls_library_error();
	}
	/* Caches the extensions now: from here on threads share it. */
	X509_check_purpose(x509, -1, 0);
	cert->x509[cert->count] = x509;
	cert->der[cert->count++] = (struct tls_slice){ der, (size_t)len };
	return 0;
}

static int take_leaf_key(struct tls_certificate *cert)
{
	cert->key = X509_get_pubkey(cert->x509[0]);
	if (cert->key && tls_key_type_of(cert->key, &cert->key_type))
		return 0;
	ERR_clear_error();
	return TLS_ERR_ALERT + TLS_ALERT_UNSUPPORTED_CERTIFICATE;
}

X509 *tls_x509_from_der(struct tls_slice der)
{
	const unsigned char *p = der.p;
	X509 *x509 = der.len <= LONG_MAX ? d2i_X509(NULL, &p, (long)der.len) : NULL;

	if (x509 && p == der.p + der.len)
		return x509;
	X509_free(x509);
	ERR_clear_error();
	return NULL;
}

int tls_certificate_from_der(struct tls_certificate **out, struct tls_slice der)
{
	struct tls_certificate *cert = certificate_alloc();
	X509 *x509 = tls_x509_from_der(der);
	int err = !cert ? TLS_ERR_NO_MEMORY : x509 ? 0 : TLS_ALERT(BAD_CERTIFICATE);

	if (err)
		X509_free(x509);
	else
		err = append(cert, x509);
	if (!err)
		err = take_leaf_key(cert);
	if (err)
		tls_certificate_free(cert);
	else
		*out = cert;
	return err;
}

/* NULL, or a sentence saying what is wrong with our own chain. */
static const char *refuse_own(struct tls_certificate *cert)
{
	if (!cert->count)
		return "there is no PEM certificate in it; give a chain in PEM, leaf first";
	if (take_leaf_key(cert))
		return "the key is of no usable type; take ECDSA P-256/P-384/P-521, Ed25519, Ed448 or RSA";
	if (tls_key_is_rsa(cert->key_type) && EVP_PKEY_get_bits(cert->key) < TLS_MIN_RSA_BITS)
		return "the leaf's RSA key is shorter than 2048 bits; make a new one";
	return NULL;
}

static const char *read_chain(struct tls_certificate *cert, BIO *bio)
{
	X509 *x509;

	while ((x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		if (append(cert, x509))
			return "it holds more certificates than a chain may have (16)";
	}
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return "a certificate in it cannot be parsed; it is damaged";
	return refuse_own(cert);
}

int tls_certificate_new(struct tls_certificate **out, const void *pem, size_t len, const char **why)
{
	const char *reason = "out of memory";
	struct tls_certificate *cert = certificate_alloc();
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	int err = TLS_ERR_NO_MEMORY;

	ERR_clear_error();
	if (cert && bio) {
		reason = read_chain(cert, bio);
		err = reason ? TLS_ERR_ARGUMENT : 0;
	}
	BIO_free(bio);
	ERR_clear_error();
	if (err)
		tls_certificate_free(cert);
	else
		*out = cert;
	if (err && why)
		*why = reason;
	return err;
}

void tls_certificate_set_key_id(struct tls_certificate *cert, uint32_t key_id)
{
	cert->key_id = key_id;
}

uint32_t tls_certificate_key_id(const struct tls_certificate *cert)
{
	return cert->key_id;
}

/* len 0: nothing. */
static int replace(struct tls_slice *slot, const void *data, size_t len)
{
	uint8_t *copy = NULL;

	if (len) {
		copy = malloc(len);
		if (!copy)
			return TLS_ERR_NO_MEMORY;
		memcpy(copy, data, len);
	}
	free((void *)slot->p);
	*slot = (struct tls_slice){ copy, len };
	return 0;
}

int tls_certificate_set_ocsp(struct tls_certificate *cert, const void *response, size_t len)
{
	return len > TLS_MAX_OCSP ? TLS_ERR_ARGUMENT : replace(&cert->ocsp, response, len);
}

struct tls_slice tls_certificate_ocsp(const struct tls_certificate *cert)
{
	return cert->ocsp;
}

int tls_certificate_set_scts(struct tls_certificate *cert, const void *list, size_t len)
{
	return len && !tls_scts_well_formed((struct tls_slice){ list, len }) ?
	       TLS_ERR_ARGUMENT : replace(&cert->scts, list, len);
}

struct tls_slice tls_certificate_scts(const struct tls_certificate *cert)
{
	return cert->scts;
}

static bool to_seconds(const ASN1_TIME *when, int64_t *out)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(when, &tm) != 1)
		return false;
	*out = timegm(&tm);
	return true;
}

int tls_certificate_validity(const struct tls_certificate *cert, size_t index, int64_t *from,
			     int64_t *until)
{
	if (index >= cert->count ||
	    !to_seconds(X509_get0_notBefore(cert->x509[index]), from) ||
	    !to_seconds(X509_get0_notAfter(cert->x509[index]), until))
		return TLS_ERR_ARGUMENT;
	return 0;
}

size_t tls_certificate_count(const struct tls_certificate *cert)
{
	return cert->count;
}

struct tls_slice tls_certificate_der(const struct tls_certificate *cert, size_t i)
{
	return cert->der[i];
}

enum tls_key_type tls_certificate_key_type(const struct tls_certificate *cert)
{
	return cert->key_type;
}

/* A name that a host can have, or a wildcard, has no byte of 0 in it. */
static int take_string(const ASN1_STRING *string, int (*take)(void *, const char *, size_t),
		       void *arg)
{
	const char *name = (const char *)ASN1_STRING_get0_data(string);
	size_t len = (size_t)ASN1_STRING_length(string);

	return memchr(name, 0, len) ? 0 : take(arg, name, len);
}

static int each_common_name(const struct tls_certificate *cert,
			    int (*take)(void *, const char *, size_t), void *arg)
{
	const X509_NAME *subject = X509_get_subject_name(cert->x509[0]);
	int at = -1, err = 0;

	while (!err && (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0) {
		const X509_NAME_ENTRY *entry = X509_NAME_get_entry(subject, at);

		err = take_string(X509_NAME_ENTRY_get_data(entry), take, arg);
	}
	return err;
}

int tls_certificate_each_name(const struct tls_certificate *cert,
			      int (*take)(void *arg, const char *name, size_t len), void *arg)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert->x509[0], NID_subject_alt_name, NULL, NULL);
	bool any = false;
	int err = 0;

	for (int i = 0; !err && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS)
			continue;
		any = true;
		err = take_string(name->d.dNSName, take, arg);
	}
	GENERAL_NAMES_free(names);
	ERR_clear_error();
	return any || err ? err : each_common_name(cert, take, arg);
}

bool tls_certificate_issued_by(const struct tls_certificate *cert, struct tls_slice name)
{
	const unsigned char *der;
	size_t len;

	for (size_t i = 0; i < cert->count; i++) {
		if (X509_NAME_get0_der(X509_get_issuer_name(cert->x509[i]), &der, &len) == 1 &&
		    len == name.len && !memcmp(der, name.p, len))
			return true;
	}
	return false;
}

bool tls_certificate_may(const struct tls_certificate *cert, enum tls_key_op op)
{
	uint32_t usage = X509_get_key_usage(cert->x509[0]);	/* all ones when absent */

	return usage & (op == TLS_KEY_DECRYPT ? KU_KEY_ENCIPHERMENT : KU_DIGITAL_SIGNATURE);
}

bool tls_certificate_can(const struct tls_certificate *cert, const struct tls_scheme *scheme,
			 uint16_t version)
{
	return tls_scheme_fits(scheme, cert->key_type, version) &&
	       tls_key_takes(cert->key, cert->key_type, scheme);
}

int tls_certificate_encrypt(const struct tls_certificate *cert, struct tls_slice in, uint8_t *out,
			    size_t *out_len)
{
	EVP_PKEY_CTX *ctx;
	int err = TLS_ERR_LIBRARY;

	if (cert->key_type != TLS_KEY_RSA)
		return TLS_ERR_ARGUMENT;
	*out_len = TLS_MAX_RSA;
	ctx = EVP_PKEY_CTX_new_from_pkey(NULL, cert->key, NULL);
	if (ctx && EVP_PKEY_encrypt_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_encrypt(ctx, out, out_len, in.p, in.len) == 1)
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	return err ? tls_library_error() : 0;
}
