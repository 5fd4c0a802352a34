// SPDX-License-Identifier: MIT
/* A rule for clients, up to a newline, and the DER of a certificate that it may fit. */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "fuzz.h"
#include "verify/path.h"

static bool fits(const struct tls_allow *allow, struct tls_slice der)
{
	const unsigned char *p = der.p;
	X509 *x509 = d2i_X509(NULL, &p, (long)der.len);
	bool fits = x509 && tls_allow_fits(allow, x509);

	if (x509 && fits != tls_allow_fits(allow, x509))
		abort();
	X509_free(x509);
	ERR_clear_error();
	return fits;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = size ? memchr(data, '\n', size) : NULL;
	struct tls_allow *allow = NULL;
	const char *why = NULL;
	bool before;
	char *rule;
	int err;

	if (!end)
		return 0;
	rule = strndup((const char *)data, (size_t)(end - data));
	if (!rule)
		return 0;
	err = tls_allow_add(&allow, rule, &why);
	if (err && (err != TLS_ERR_ARGUMENT || !why))
		abort();
	before = allow && fits(allow, (struct tls_slice){ end + 1, size - (size_t)(end - data) - 1 });
	/* no rule, no client; and the same rule twice is the same */
	if ((err && before) || (!err && tls_allow_add(&allow, rule, &why)) ||
	    (allow && before != fits(allow, (struct tls_slice){ end + 1, size - (size_t)(end - data) - 1 })))
		abort();
	tls_allow_free(allow);
	free(rule);
	return 0;
}
