// SPDX-License-Identifier: MIT
/* Is there a path from the peer's leaf to an anchor, for this purpose and name, now? */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "sni.h"
#include "verify/path.h"

#define DATE_TEXT	40
/* libcrypto's own: of an anchor that says itself that it is not for this */
#define NOT_ALLOWED	X509_V_ERR_CERT_REJECTED

bool tls_name_is_address(const char *name)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, name, addr) == 1 || inet_pton(AF_INET6, name, addr) == 1;
}

/* RFC 9846 section 6.2; what is not here is bad_certificate, in libcrypto's words. */
static const struct failure {
	int error;
	uint8_t alert;
	const char *sentence;		/* NULL: libcrypto's */
} failures[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, TLS_ALERT_CERTIFICATE_EXPIRED, "certificate has expired" },
	{ X509_V_ERR_CERT_NOT_YET_VALID, TLS_ALERT_CERTIFICATE_EXPIRED,
	  "certificate is not yet valid" },
	{ X509_V_ERR_CERT_REVOKED, TLS_ALERT_CERTIFICATE_REVOKED, "certificate revoked (CRL)" },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_INVALID_CA, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_CERT_UNTRUSTED, TLS_ALERT_UNKNOWN_CA, NULL },
	{ X509_V_ERR_INVALID_PURPOSE, TLS_ALERT_UNSUPPORTED_CERTIFICATE,
	  "key usage or extended key usage do not allow it (serverAuth, for clients clientAuth)" },
	{ X509_V_ERR_UNABLE_TO_GET_CRL, TLS_ALERT_CERTIFICATE_UNKNOWN,
	  "there is no CRL by the certificate's issuer" },
	{ X509_V_ERR_CRL_HAS_EXPIRED, TLS_ALERT_CERTIFICATE_UNKNOWN,
	  "the CRL by the certificate's issuer has expired" },
	{ X509_V_ERR_CRL_NOT_YET_VALID, TLS_ALERT_CERTIFICATE_UNKNOWN, NULL },
	{ X509_V_ERR_CRL_SIGNATURE_FAILURE, TLS_ALERT_CERTIFICATE_UNKNOWN,
	  "the certificate's issuer did not sign the CRL of its name" },
	{ X509_V_ERR_DIFFERENT_CRL_SCOPE, TLS_ALERT_CERTIFICATE_UNKNOWN,
	  "the CRL by the certificate's issuer does not cover the certificate" },
	{ X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, TLS_ALERT_CERTIFICATE_UNKNOWN, NULL },
	{ X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION, TLS_ALERT_CERTIFICATE_UNKNOWN, NULL },
	{ X509_V_ERR_APPLICATION_VERIFICATION, TLS_ALERT_UNSUPPORTED_CERTIFICATE,
	  "the certificate is signed by an algorithm that is not offered" },
	{ NOT_ALLOWED, TLS_ALERT_ACCESS_DENIED, "the certificate is none of those that allow-client names" },
	{ X509_V_ERR_OUT_OF_MEM, TLS_ALERT_INTERNAL_ERROR, NULL },
	{ X509_V_ERR_UNSPECIFIED, TLS_ALERT_INTERNAL_ERROR, NULL },
};

static const struct failure *find_failure(int error)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		if (failures[i].error == error)
			return &failures[i];
	}
	return NULL;
}

static int alert_of(int error)
{
	const struct failure *failure = find_failure(error);

	return TLS_ERR_ALERT + (failure ? failure->alert : TLS_ALERT_BAD_CERTIFICATE);
}

static const char *sentence_of(int error)
{
	const struct failure *failure = find_failure(error);

	return failure && failure->sentence ? failure->sentence :
					      X509_verify_cert_error_string(error);
}

static bool is_mismatch(int error)
{
	return error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

/* Of a certificate that is not valid now: since when, or until when.  Empty otherwise. */
static void describe_date(X509 *x509, int error, char text[DATE_TEXT])
{
	bool ended = error == X509_V_ERR_CERT_HAS_EXPIRED;
	struct tm tm;

	text[0] = '\0';
	if (!x509 || (!ended && error != X509_V_ERR_CERT_NOT_YET_VALID))
		return;
	if (ASN1_TIME_to_tm(ended ? X509_get0_notAfter(x509) : X509_get0_notBefore(x509), &tm) == 1 &&
	    !strftime(text, DATE_TEXT, ended ? ": it ended %Y-%m-%d %H:%M UTC" :
					       ": it begins %Y-%m-%d %H:%M UTC", &tm))
		text[0] = '\0';
}

/* As much of it as there is room for behind the len bytes that are there. */
static void add_subject(const char *subject, long subject_len, char why[TLS_VERIFY_TEXT], int len)
{
	int room = TLS_VERIFY_TEXT - len - (int)sizeof("...\")");

	if (len < 0 || room <= 0)
		return;
	snprintf(why + len, (size_t)(TLS_VERIFY_TEXT - len), "%.*s%s\")",
		 subject_len < room ? (int)subject_len : room, subject,
		 subject_len > room ? "..." : "");
}

/* Of a certificate without a subject, as SPIFFE's may be: the first of its URIs and DNS names. */
static void print_alternative(BIO *bio, const X509 *x509)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	const GENERAL_NAME *name;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_URI && name->type != GEN_DNS)
			continue;
		BIO_puts(bio, name->type == GEN_URI ? "URI:" : "DNS:");
		ASN1_STRING_print_ex(bio, name->d.ia5, ASN1_STRFLGS_RFC2253);
		break;
	}
	GENERAL_NAMES_free(names);
}

/* The subject is the peer's text: printed with everything but plain ASCII escaped. */
static void print_subject(BIO *bio, const X509 *x509)
{
	const X509_NAME *subject = X509_get_subject_name(x509);

	if (X509_NAME_entry_count(subject))
		X509_NAME_print_ex(bio, subject, 0, XN_FLAG_RFC2253);
	else
		print_alternative(bio, x509);
}

static void describe(const struct tls_verify_request *req, X509_STORE_CTX *ctx, int error,
		     char why[TLS_VERIFY_TEXT])
{
	X509 *x509 = X509_STORE_CTX_get_current_cert(ctx);
	BIO *bio = x509 ? BIO_new(BIO_s_mem()) : NULL;
	char *subject = NULL;
	char date[DATE_TEXT];
	long subject_len = 0;
	int len;

	if (bio) {
		print_subject(bio, x509);
		subject_len = BIO_get_mem_data(bio, &subject);
	}
	describe_date(x509, error, date);
	len = snprintf(why, TLS_VERIFY_TEXT, "%s%s%s%s (certificate %d, subject \"",
		       sentence_of(error), date, is_mismatch(error) ? ", wanted " : "",
		       is_mismatch(error) ? req->name : "", X509_STORE_CTX_get_error_depth(ctx));
	add_subject(subject ? subject : "", subject_len, why, len);
	BIO_free(bio);
}

static void report_elements(const struct tls_verify_request *req, X509_STORE_CTX *ctx, int error)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	unsigned char *der;
	int len;

	for (int i = 0; i < sk_X509_num(path); i++) {
		der = NULL;
		len = i2d_X509(sk_X509_value(path, i), &der);
		if (len > 0)
			req->element(req->arg, (struct tls_slice){ der, (size_t)len },
				     !error ? "ok" :
				     i == depth ? sentence_of(error) : "not decided");
		OPENSSL_free(der);
	}
}

static bool set_wanted(const struct tls_verify_request *req, X509_STORE_CTX *ctx)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);
	char wildcard[TLS_MAX_SERVER_NAME + 1];

	/* Purpose and trust setting: key usage and extended key usage along the path. */
	if (X509_STORE_CTX_set_default(ctx, req->peer == TLS_SERVER ? "ssl_server" :
					    "ssl_client") != 1)
		return false;
	X509_VERIFY_PARAM_set_time(param, (time_t)req->now);
	X509_VERIFY_PARAM_set_auth_level(param, TLS_AUTH_LEVEL);
	/* An anchor is whatever was added as one, root or not. */
	if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return false;
	if (!req->name)
		return true;
	if (tls_name_is_address(req->name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, req->name) == 1;
	tls_sni_wildcard(req->name, wildcard);
	/* RFC 9525: wildcards for a whole leftmost label only, common names never. */
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
					       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	/* libcrypto's wildcards match no underscore, but the wildcard itself. */
	return X509_VERIFY_PARAM_set1_host(param, req->name, 0) == 1 &&
	       (!wildcard[0] || X509_VERIFY_PARAM_add1_host(param, wildcard, 0) == 1);
}

static bool is_offered(const struct tls_verify_request *req, X509 *x509, X509 *issuer)
{
	enum tls_key_type type;

	if (!tls_key_type_of(X509_get0_pubkey(issuer), &type))
		return false;
	for (size_t i = 0; i < req->scheme_count; i++) {
		if (tls_scheme_signed(req->schemes[i], type, x509))
			return true;
	}
	return false;
}

static void refuse_element(X509_STORE_CTX *ctx, int error, int depth)
{
	X509_STORE_CTX_set_error(ctx, error);
	X509_STORE_CTX_set_error_depth(ctx, depth);
	X509_STORE_CTX_set_current_cert(ctx, sk_X509_value(X509_STORE_CTX_get0_chain(ctx), depth));
}

/* RFC 9846 section 4.3.3: also says how chains may be signed, anchors excepted. */
static bool signed_as_offered(const struct tls_verify_request *req, X509_STORE_CTX *ctx)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);

	for (int i = 0; i + 1 < sk_X509_num(path); i++) {
		if (is_offered(req, sk_X509_value(path, i), sk_X509_value(path, i + 1)))
			continue;
		refuse_element(ctx, X509_V_ERR_APPLICATION_VERIFICATION, i);
		return false;
	}
	return true;
}

static bool is_allowed(const struct tls_verify_request *req, X509_STORE_CTX *ctx, const X509 *leaf)
{
	if (!req->allow || tls_allow_fits(req->allow, leaf))
		return true;
	refuse_element(ctx, NOT_ALLOWED, 0);
	return false;
}

static int verify(const struct tls_verify_request *req, X509_STORE_CTX *ctx, X509 *leaf,
		  STACK_OF(X509) *untrusted, bool by_crls, char why[TLS_VERIFY_TEXT])
{
	int error = X509_V_OK;

	if (X509_STORE_CTX_init(ctx, req->trust->store, leaf, untrusted) != 1 ||
	    !set_wanted(req, ctx)) {
		snprintf(why, TLS_VERIFY_TEXT, "libcrypto could not set the verification up");
		return TLS_ALERT(INTERNAL_ERROR);
	}
	if (by_crls)
		tls_crl_apply(req->trust, ctx);
	if (X509_verify_cert(ctx) != 1 || !signed_as_offered(req, ctx) || !is_allowed(req, ctx, leaf)) {
		error = X509_STORE_CTX_get_error(ctx);
		/* "Failed, but without an error" must not read as success. */
		if (error == X509_V_OK)
			error = X509_V_ERR_UNSPECIFIED;
		describe(req, ctx, error, why);
	}
	if (req->element && (error != X509_V_OK || by_crls == req->trust->has_crls))
		report_elements(req, ctx, error);
	return error == X509_V_OK ? 0 : alert_of(error);
}

int tls_path_find(STACK_OF(X509) **path, const struct tls_verify_request *req, X509 *leaf,
		  STACK_OF(X509) *untrusted, char why[TLS_VERIFY_TEXT])
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int err = ctx ? verify(req, ctx, leaf, untrusted, false, why) : TLS_ERR_NO_MEMORY;

	/*
	 * libcrypto looks at CRLs before it checks signatures, and hashes them whole each time.
	 * So the first pass, without CRLs, checks who vouches for the chain.
	 */
	if (!err && req->trust->has_crls) {
		X509_STORE_CTX_cleanup(ctx);
		err = verify(req, ctx, leaf, untrusted, true, why);
	}
	if (!err) {
		*path = X509_STORE_CTX_get1_chain(ctx);
		err = *path ? 0 : TLS_ERR_NO_MEMORY;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return err;
}
