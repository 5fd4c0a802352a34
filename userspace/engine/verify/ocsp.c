// SPDX-License-Identifier: MIT
/* Is the stapled OCSP response (RFC 6960) about the peer's leaf, true, fresh, and good? */
#include <time.h>

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>

#include "crypto/openssl.h"
#include "verify/verify.h"

#define STATUS_REQUEST	5	/* as a TLS feature: RFC 7633 section 4.2.3 */

#define ALERT_BAD	(TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE_STATUS)
#define CLOCK_SKEW	300	/* seconds that responder's clock and ours may differ */

/* Who issued the leaf: the next in the chain, or an anchor. A reference, or NULL. */
static X509 *find_issuer(const struct tls_trust *trust, const struct tls_certificate *chain)
{
	if (chain->count > 1 && X509_check_issued(chain->x509[1], chain->x509[0]) == X509_V_OK &&
	    X509_up_ref(chain->x509[1]))
		return chain->x509[1];
	return tls_trust_issuer(trust, chain->x509[0]);
}

/* RFC 6960 section 4.2.2.2: the issuer itself, or one whom it let sign responses. */
static bool may_respond(X509 *signer, X509 *issuer, int64_t now)
{
	time_t at = (time_t)now;

	if (!X509_cmp(signer, issuer))
		return true;
	return X509_check_issued(issuer, signer) == X509_V_OK &&
	       X509_verify(signer, X509_get0_pubkey(issuer)) == 1 &&
	       (X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) &&
	       (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) &&
	       X509_cmp_time(X509_get0_notBefore(signer), &at) < 0 &&
	       X509_cmp_time(X509_get0_notAfter(signer), &at) > 0;
}

static bool signature_good(OCSP_BASICRESP *basic, X509 *issuer, int64_t now)
{
	STACK_OF(X509) *candidates = sk_X509_new_null();
	X509 *signer = NULL;
	bool good = false;

	/* The issuer's own certificate need not be in the response. */
	if (candidates && sk_X509_push(candidates, issuer) > 0 &&
	    OCSP_resp_get0_signer(basic, &signer, candidates) == 1 && signer &&
	    may_respond(signer, issuer, now))
		good = sk_X509_set(candidates, 0, signer) &&
		       OCSP_basic_verify(basic, candidates, NULL,
					 OCSP_TRUSTOTHER | OCSP_NOCHAIN) == 1;
	sk_X509_free(candidates);
	return good;
}

static bool is_about(const OCSP_SINGLERESP *single, X509 *leaf, X509 *issuer)
{
	const OCSP_CERTID *id = OCSP_SINGLERESP_get0_id(single);
	ASN1_OBJECT *hash = NULL;
	OCSP_CERTID *ours;
	bool same;

	if (OCSP_id_get0_info(NULL, &hash, NULL, NULL, (OCSP_CERTID *)id) != 1)
		return false;
	ours = OCSP_cert_to_id(EVP_get_digestbyobj(hash), leaf, issuer);
	same = ours && !OCSP_id_cmp(ours, id);
	OCSP_CERTID_free(ours);
	return same;
}

static bool is_fresh(const ASN1_GENERALIZEDTIME *from, const ASN1_GENERALIZEDTIME *until,
		     int64_t now)
{
	time_t latest = (time_t)now + CLOCK_SKEW, earliest = (time_t)now - CLOCK_SKEW;

	/* Without nextUpdate there is always something newer: then it is no staple. */
	return from && until && X509_cmp_time(from, &latest) < 0 &&
	       X509_cmp_time(until, &earliest) > 0;
}

static int check_status(OCSP_BASICRESP *basic, X509 *leaf, X509 *issuer, int64_t now)
{
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);
		ASN1_GENERALIZEDTIME *from, *until;
		int status;

		if (!is_about(single, leaf, issuer))
			continue;
		status = OCSP_single_get0_status(single, NULL, NULL, &from, &until);
		if (!is_fresh(from, until, now))
			return ALERT_BAD;
		if (status == V_OCSP_CERTSTATUS_REVOKED)
			return TLS_ERR_ALERT + TLS_ALERT_CERTIFICATE_REVOKED;
		return status == V_OCSP_CERTSTATUS_GOOD ? 0 : ALERT_BAD;
	}
	return ALERT_BAD;
}

/* RFC 7633: does the certificate promise that its server staples? */
static bool must_staple(const X509 *leaf)
{
	TLS_FEATURE *features = X509_get_ext_d2i(leaf, NID_tlsfeature, NULL, NULL);
	bool found = false;

	for (int i = 0; i < sk_ASN1_INTEGER_num(features) && !found; i++)
		found = ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) ==
			STATUS_REQUEST;
	TLS_FEATURE_free(features);
	return found;
}

static int check_response(const struct tls_trust *trust, const struct tls_certificate *chain,
			  struct tls_slice response, int64_t now)
{
	const unsigned char *p = response.p;
	OCSP_RESPONSE *parsed = d2i_OCSP_RESPONSE(NULL, &p, (long)response.len);
	X509 *issuer = find_issuer(trust, chain);
	OCSP_BASICRESP *basic = NULL;
	int err = ALERT_BAD;

	if (parsed && issuer && p == response.p + response.len &&
	    OCSP_response_status(parsed) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(parsed);
	if (basic && signature_good(basic, issuer, now))
		err = check_status(basic, chain->x509[0], issuer, now);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(parsed);
	X509_free(issuer);
	return err;
}

int tls_verify_ocsp(const struct tls_trust *trust, const struct tls_certificate *chain,
		    struct tls_slice response, int64_t now)
{
	int err;

	if (response.len)
		err = check_response(trust, chain, response, now);
	else
		err = must_staple(chain->x509[0]) ? ALERT_BAD : 0;
	ERR_clear_error();
	return err;
}
