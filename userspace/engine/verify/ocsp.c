// SPDX-License-Identifier: MIT
/* Is the stapled OCSP response (RFC 6960) about the path's leaf, true, fresh, and good? */
#include <time.h>

#include <openssl/ocsp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "verify/path.h"

#define STATUS_REQUEST	5	/* as a TLS feature: RFC 7633 section 4.2.3 */
#define CLOCK_SKEW	300	/* seconds that responder's clock and ours may differ */
#define MIN_DIGEST_LEN	28	/* TLS_AUTH_LEVEL's 112 bits against collisions */

/* ---- who signed it ---- */

static bool may_sign(const struct tls_verify_request *req, X509_STORE_CTX *ctx, X509 *signer,
		     STACK_OF(X509) *issuers, bool by_crls)
{
	if (X509_STORE_CTX_init(ctx, req->trust->store, signer, NULL) != 1 ||
	    X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_OCSP_HELPER) != 1)
		return false;
	X509_STORE_CTX_set0_trusted_stack(ctx, issuers);
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)req->now);
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), TLS_AUTH_LEVEL);
	if (by_crls)
		tls_crl_apply(req->trust, ctx);
	return X509_verify_cert(ctx) == 1 && X509_STORE_CTX_get_error(ctx) == X509_V_OK;
}

/*
 * RFC 6960 section 4.2.2.2: whom the issuer let sign responses, by a certificate of
 * its own.  The delegate is held to what holds for a certificate of the path: its
 * signature first, then, unless the issuer exempted it, the CRLs.
 */
static bool is_delegate(const struct tls_verify_request *req, X509 *signer, X509 *issuer)
{
	bool exempted = X509_get_ext_by_NID(signer, NID_id_pkix_OCSP_noCheck, -1) >= 0;
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *issuers = sk_X509_new_null();
	bool good = false;

	if ((X509_get_extension_flags(signer) & EXFLAG_XKUSAGE) &&
	    (X509_get_extended_key_usage(signer) & XKU_OCSP_SIGN) &&
	    (X509_get_key_usage(signer) & KU_DIGITAL_SIGNATURE) &&
	    ctx && issuers && sk_X509_push(issuers, issuer) > 0)
		good = may_sign(req, ctx, signer, issuers, false);
	if (good && !exempted && req->trust->has_crls) {
		X509_STORE_CTX_cleanup(ctx);
		good = may_sign(req, ctx, signer, issuers, true);
	}
	X509_STORE_CTX_free(ctx);
	sk_X509_free(issuers);
	return good;
}

static int pss_digest(const ASN1_STRING *parameters)
{
	RSA_PSS_PARAMS *pss = ASN1_item_unpack(parameters, ASN1_ITEM_rptr(RSA_PSS_PARAMS));
	int digest = NID_sha1;		/* RFC 4055 section 3.1: the default */

	if (pss && pss->hashAlgorithm)
		digest = OBJ_obj2nid(pss->hashAlgorithm->algorithm);
	RSA_PSS_PARAMS_free(pss);
	return digest;
}

/*
 * No SHA-1: a requester's nonce is part of what a responder signs, and makes room for a
 * collision.
 */
static bool digest_strong(const OCSP_BASICRESP *basic)
{
	const ASN1_OBJECT *algorithm;
	const void *parameters;
	int type, digest, key;

	X509_ALGOR_get0(&algorithm, &type, &parameters, OCSP_resp_get0_tbs_sigalg(basic));
	if (OBJ_find_sigid_algs(OBJ_obj2nid(algorithm), &digest, &key) != 1)
		return false;
	if (key == EVP_PKEY_RSA_PSS)
		digest = type == V_ASN1_SEQUENCE ? pss_digest(parameters) : NID_sha1;
	/* EdDSA and ML-DSA name none */
	return digest == NID_undef ||
	       EVP_MD_get_size(EVP_get_digestbynid(digest)) >= MIN_DIGEST_LEN;
}

static bool signature_good(const struct tls_verify_request *req, OCSP_BASICRESP *basic,
			   X509 *issuer)
{
	STACK_OF(X509) *candidates = sk_X509_new_null();
	X509 *signer = NULL;
	bool good = false;

	/* The issuer's own certificate need not be in the response. */
	if (candidates && sk_X509_push(candidates, issuer) > 0 &&
	    OCSP_resp_get0_signer(basic, &signer, candidates) == 1 && signer &&
	    (!X509_cmp(signer, issuer) || is_delegate(req, signer, issuer)))
		good = sk_X509_set(candidates, 0, signer) &&
		       OCSP_basic_verify(basic, candidates, NULL,
					 OCSP_TRUSTOTHER | OCSP_NOCHAIN) == 1;
	sk_X509_free(candidates);
	return good && digest_strong(basic);
}

/* ---- what it says ---- */

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

bool tls_asn1_time(const ASN1_TIME *time, int64_t *out)
{
	struct tm tm;

	if (!time || ASN1_TIME_to_tm(time, &tm) != 1)
		return false;
	*out = (int64_t)timegm(&tm);
	return true;
}

static int refuse(const char *reason, const char **why)
{
	*why = reason;
	return TLS_ALERT(BAD_CERTIFICATE_STATUS);
}

static int check_single(OCSP_SINGLERESP *single, int64_t now, int64_t *until, const char **why)
{
	ASN1_GENERALIZEDTIME *this_update, *next_update;
	int status = OCSP_single_get0_status(single, NULL, NULL, &this_update, &next_update);
	int64_t from, next;

	/* Without nextUpdate there is always something newer: then it is no staple. */
	if (!tls_asn1_time(this_update, &from) || !tls_asn1_time(next_update, &next))
		return refuse("the OCSP response does not say until when it is true", why);
	*until = next + CLOCK_SKEW;
	if (now >= *until)
		return refuse("the OCSP response has expired", why);
	if (from - CLOCK_SKEW >= now)
		return refuse("the OCSP response is not valid yet", why);
	if (status == V_OCSP_CERTSTATUS_GOOD)
		return 0;
	if (status != V_OCSP_CERTSTATUS_REVOKED)
		return refuse("the OCSP response does not know the certificate", why);
	*why = "the certificate is revoked (OCSP)";
	return TLS_ALERT(CERTIFICATE_REVOKED);
}

static int check_basic(const struct tls_verify_request *req, OCSP_BASICRESP *basic, X509 *leaf,
		       X509 *issuer, int64_t *until, const char **why)
{
	if (!signature_good(req, basic, issuer))
		return refuse("the OCSP response is not signed by the certificate's issuer or its "
			      "delegate", why);
	for (int i = 0; i < OCSP_resp_count(basic); i++) {
		OCSP_SINGLERESP *single = OCSP_resp_get0(basic, i);

		if (is_about(single, leaf, issuer))
			return check_single(single, req->now, until, why);
	}
	return refuse("the OCSP response is about another certificate", why);
}

/* The next of the path; a leaf that is an anchor itself can only have signed itself. */
static X509 *issuer_of(STACK_OF(X509) *path)
{
	return sk_X509_value(path, sk_X509_num(path) > 1 ? 1 : 0);
}

int tls_ocsp_check(const struct tls_verify_request *req, STACK_OF(X509) *path,
		   struct tls_slice response, int64_t *until, const char **why)
{
	const unsigned char *p = response.p;
	OCSP_RESPONSE *parsed = d2i_OCSP_RESPONSE(NULL, &p, (long)response.len);
	OCSP_BASICRESP *basic = NULL;
	int err;

	if (parsed && p == response.p + response.len &&
	    OCSP_response_status(parsed) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(parsed);
	err = basic ? check_basic(req, basic, sk_X509_value(path, 0), issuer_of(path), until, why) :
		      refuse("the OCSP response stapled is none", why);
	OCSP_BASICRESP_free(basic);
	OCSP_RESPONSE_free(parsed);
	return err;
}

bool tls_ocsp_demanded(const X509 *leaf)
{
	int at = X509_get_ext_by_NID(leaf, NID_tlsfeature, -1);
	TLS_FEATURE *features = at < 0 ? NULL : X509V3_EXT_d2i(X509_get_ext(leaf, at));
	/* what cannot be read, for want of memory or by its form, might demand it */
	bool found = at >= 0 && !features;

	for (int i = 0; i < sk_ASN1_INTEGER_num(features) && !found; i++)
		found = ASN1_INTEGER_get(sk_ASN1_INTEGER_value(features, i)) ==
			STATUS_REQUEST;
	TLS_FEATURE_free(features);
	return found;
}
