// SPDX-License-Identifier: MIT
/* What a server looks at before it staples an OCSP response (RFC 6960, RFC 6066 section 8). */
#include <string.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include "verify/path.h"

/* By issuer's name and serial number: the issuer's key may not be in our chain. */
static bool is_about(const OCSP_SINGLERESP *single, X509 *leaf)
{
	const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(single);
	ASN1_OCTET_STRING *name = NULL;
	ASN1_INTEGER *serial = NULL;
	ASN1_OBJECT *hash = NULL;
	unsigned char digest[EVP_MAX_MD_SIZE];
	const EVP_MD *md;
	unsigned int len;

	if (OCSP_id_get0_info(&name, &hash, NULL, &serial, (OCSP_CERTID *)id) != 1)
		return false;
	md = EVP_get_digestbyobj(hash);
	return md && X509_NAME_digest(X509_get_issuer_name(leaf), md, digest, &len) == 1 &&
	       (unsigned int)ASN1_STRING_length(name) == len &&
	       !memcmp(ASN1_STRING_get0_data(name), digest, len) &&
	       !ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf));
}

static OCSP_SINGLERESP *find(OCSP_BASICRESP *basic, X509 *leaf)
{
	int i;

	for (i = 0; i < OCSP_resp_count(basic); i++)
		if (is_about(OCSP_resp_get0(basic, i), leaf))
			return OCSP_resp_get0(basic, i);
	return NULL;
}

static OCSP_BASICRESP *parse(const void *response, size_t len, const char **why)
{
	const unsigned char *p = response;
	OCSP_RESPONSE *parsed = d2i_OCSP_RESPONSE(NULL, &p, (long)len);
	OCSP_BASICRESP *basic = NULL;

	if (!parsed || p != (const unsigned char *)response + len)
		*why = "it is no OCSP response in DER";
	else if (OCSP_response_status(parsed) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
		*why = "the responder answered with an error instead of a status";
	else
		basic = OCSP_response_get1_basic(parsed);
	if (!basic && !*why)
		*why = "it is no basic OCSP response";
	OCSP_RESPONSE_free(parsed);
	return basic;
}

int tls_certificate_check_ocsp(const struct tls_certificate *cert, const void *response,
			       size_t len, int64_t *until, const char **why)
{
	ASN1_GENERALIZEDTIME *next = NULL;
	OCSP_SINGLERESP *single;
	OCSP_BASICRESP *basic;
	int err = TLS_ERR_ARGUMENT;

	*until = 0;
	*why = NULL;
	basic = len <= TLS_MAX_OCSP ? parse(response, len, why) : NULL;
	if (!basic && !*why)
		*why = "it is too long";
	if (!basic)
		goto out;
	single = find(basic, cert->x509[0]);
	if (!single) {
		*until = -1;
		*why = "it is about another certificate";
		goto out;
	}
	if (OCSP_single_get0_status(single, NULL, NULL, NULL, &next) !=
		 V_OCSP_CERTSTATUS_GOOD)
		*why = "it does not say that the certificate is good";
	else if (!tls_asn1_time(next, until))
		*why = "it does not say until when it is true";
	else
		err = 0;
out:
	OCSP_BASICRESP_free(basic);
	ERR_clear_error();
	return err;
}
