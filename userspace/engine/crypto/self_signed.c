// SPDX-License-Identifier: MIT
/* A key and a certificate that serve for one handshake in memory. */
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "crypto/openssl.h"

#define RSA_BITS	2048
#define VALID_SECONDS	86400

static bool set_fields(X509 *x509, EVP_PKEY *key)
{
	X509_NAME *name = X509_get_subject_name(x509);

	return X509_set_version(x509, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(x509), -VALID_SECONDS) &&
	       X509_gmtime_adj(X509_getm_notAfter(x509), VALID_SECONDS) &&
	       X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
					  (const unsigned char *)"trial", -1, -1, 0) == 1 &&
	       X509_set_issuer_name(x509, name) == 1 && X509_set_pubkey(x509, key) == 1 &&
	       X509_sign(x509, key, EVP_sha256()) > 0;
}

static int parse(BIO *pem, struct tls_certificate **cert, struct tls_private_key **key)
{
	char *text;
	long len = BIO_get_mem_data(pem, &text);
	int err = tls_certificate_new(cert, text, (size_t)len, NULL);

	if (err)
		return err;
	err = tls_private_key_new(key, text, (size_t)len, NULL);
	if (err)
		tls_certificate_free(*cert);
	return err;
}

int tls_self_signed_new(bool rsa, struct tls_certificate **cert, struct tls_private_key **key)
{
	EVP_PKEY *pkey = rsa ? EVP_RSA_gen(RSA_BITS) : EVP_EC_gen("P-256");
	BIO *pem = BIO_new(BIO_s_mem());
	X509 *x509 = X509_new();
	int err = TLS_ERR_LIBRARY;

	if (pkey && pem && x509 && set_fields(x509, pkey) && PEM_write_bio_X509(pem, x509) == 1 &&
	    PEM_write_bio_PrivateKey(pem, pkey, NULL, NULL, 0, NULL, NULL) == 1)
		err = parse(pem, cert, key);
	X509_free(x509);
	BIO_free(pem);
	EVP_PKEY_free(pkey);
	return err ? tls_library_error() : 0;
}
