// SPDX-License-Identifier: MIT
#include "daemon/subject.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

/* As OPENSSL_free() wants it back. */
static int utf8_of(const X509_NAME *subject, unsigned char **text)
{
	int at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, -1);

	return at < 0 ? -1 :
	       ASN1_STRING_to_UTF8(text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

int subject_common_name(const uint8_t *der, size_t len, char **name)
{
	X509 *x509 = d2i_X509(NULL, &der, (long)len);
	unsigned char *text = NULL;
	int count = -1;

	*name = NULL;
	if (x509)
		count = utf8_of(X509_get_subject_name(x509), &text);
	if (count >= 0)
		*name = calloc(1, (size_t)count + 1);
	if (*name)
		memcpy(*name, text, (size_t)count);
	OPENSSL_free(text);
	X509_free(x509);
	return *name ? count : -1;
}
