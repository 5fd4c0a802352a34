/* SPDX-License-Identifier: MIT */
/* What the files of verify/ share: anchors, CRLs, the path found.  Nobody else but a fuzz target includes this. */
#ifndef TLSGATE_PATH_H
#define TLSGATE_PATH_H

#include <openssl/x509_vfy.h>

#include "crypto/openssl.h"
#include "verify/verify.h"

/* 112 bits: no RSA below 2048, no SHA-1 signature, anywhere below the anchor */
#define TLS_AUTH_LEVEL	2

struct tls_trust {
	X509_STORE *store;
	X509_CRL_METHOD *crl_method;	/* of the CRLs in it; NULL: there are none */
	size_t names_len;		/* of the anchors' names, as vectors */
	bool has_crls, takes_expired_crls;
};

/*
 * The path from leaf to an anchor, both included, as the request wants it;
 * untrusted are certificates that may be parts of it.  The path is the caller's,
 * with references to its certificates.  Errors, and why, as for tls_peer_verify().
 */
TLS_MUST_CHECK int tls_path_find(STACK_OF(X509) **path, const struct tls_verify_request *req,
				 X509 *leaf, STACK_OF(X509) *untrusted,
				 char why[TLS_VERIFY_TEXT]);

/* Has the certificates of ctx's path looked up in the CRLs, if there are any; for after init. */
void tls_crl_apply(const struct tls_trust *trust, X509_STORE_CTX *ctx);

/*
 * Is the OCSP response about the first certificate of the path, by the next one
 * or its delegate, fresh, and good?  *until: when it ends to be fresh.  Errors
 * as for tls_peer_verify_status().
 */
TLS_MUST_CHECK int tls_ocsp_check(const struct tls_verify_request *req,
				  STACK_OF(X509) *path, struct tls_slice response,
				  int64_t *until, const char **why);
/* RFC 7633: does the certificate promise that its server staples, or cannot that be known? */
bool tls_ocsp_demanded(const X509 *leaf);
/* Does one of the rules fit the leaf? */
bool tls_allow_fits(const struct tls_allow *allow, const X509 *leaf);
/* Seconds since the epoch; false: NULL, or no time. */
bool tls_asn1_time(const ASN1_TIME *time, int64_t *out);

#endif /* TLSGATE_PATH_H */
