// SPDX-License-Identifier: MIT
#include "common/pem.h"

#include <stdint.h>
#include <string.h>

/* What a PEM file of another kind has in it. */
static const struct {
	const char *has, *advice;
} labels[] = {
	{ "-----BEGIN TRUSTED CERTIFICATE-----",
	  "it is a TRUSTED CERTIFICATE of OpenSSL's: convert it with openssl x509 -in FILE -out NEW" },
	{ "-----BEGIN PKCS7-----",
	  "it is PKCS#7: convert it with openssl pkcs7 -print_certs -in FILE -out NEW" },
	{ "-----BEGIN CERTIFICATE REQUEST-----",
	  "it is a certificate request: give the certificate that the CA made of it" },
	{ "-----BEGIN OPENSSH PRIVATE KEY-----",
	  "it is a key of OpenSSH's: convert it with ssh-keygen -p -m PEM -f FILE" },
};

/* DER: the first bytes within the outer SEQUENCE tell which. */
static const struct {
	uint8_t bytes[3];
	size_t len;
	const char *advice;
} inner[] = {
	{ { 0x30 }, 1,			/* tbsCertificate */
	  "it is DER, not PEM: convert it with openssl x509 -inform DER -in FILE -out NEW" },
	{ { 0x02, 0x01, 0x03 }, 3,	/* PFX, version 3 */
	  "it is PKCS#12: convert it with openssl pkcs12 -in FILE -nodes -out NEW" },
	{ { 0x02, 0x01 }, 2,		/* the version of a private key */
	  "it is DER, not PEM: convert it with openssl pkey -inform DER -in FILE -out NEW" },
	{ { 0x06, 0x09 }, 2,		/* the type of a ContentInfo */
	  "it is PKCS#7: convert it with openssl pkcs7 -inform DER -print_certs -in FILE -out NEW" },
};

/* Where the content of an outer SEQUENCE begins; 0: there is none. */
static size_t sequence_content(const uint8_t *p, size_t len)
{
	size_t head;

	if (len < 2 || p[0] != 0x30)
		return 0;
	head = p[1] & 0x80 ? 2u + (p[1] & 0x7f) : 2;
	return head <= 6 && head < len ? head : 0;
}

static const char *der_advice(const uint8_t *p, size_t len)
{
	size_t start = sequence_content(p, len);
	size_t i;

	for (i = 0; start && i < sizeof(inner) / sizeof(inner[0]); i++)
		if (len - start >= inner[i].len && !memcmp(p + start, inner[i].bytes, inner[i].len))
			return inner[i].advice;
	return NULL;
}

const char *pem_advice(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < sizeof(labels) / sizeof(labels[0]); i++)
		if (memmem(text, len, labels[i].has, strlen(labels[i].has)))
			return labels[i].advice;
	return der_advice((const uint8_t *)text, len);
}
