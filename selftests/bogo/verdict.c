// SPDX-License-Identifier: MIT
/*
 * In the verifier's place (by the linker's --wrap): the runner's certificates
 * have no names and no anchor, its OCSP responses are a few arbitrary bytes,
 * and what it tests is what TLS does with the verdict.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"
#include "shim.h"
#include "verify/path.h"

static const struct options *options;

void verdict_set_up(const struct options *of_connection)
{
	options = of_connection;
}

/*
 * The engine asks about a resumed session's chain, too.  -verify-fail is the
 * verdict on chains that are sent; on those of sessions only where the runner
 * says that it is to be given again, or kept.
 */
static bool is_refused(const struct exchange *x)
{
	return options->verify_fail &&
	       (x->observed.certificate || options->reverify_on_resume ||
		options->expect_verify_result);
}

int __wrap_tls_path_find(STACK_OF(X509) **path, const struct tls_verify_request *req, X509 *leaf,
			 STACK_OF(X509) *untrusted, char why[TLS_VERIFY_TEXT]);
int __wrap_tls_path_find(STACK_OF(X509) **path, const struct tls_verify_request *req, X509 *leaf,
			 STACK_OF(X509) *untrusted, char why[TLS_VERIFY_TEXT])
{
	const struct tls_conn *conn = req->arg;

	(void)untrusted;
	if (!is_refused(conn->arg)) {
		*path = sk_X509_new_null();
		return *path && X509_up_ref(leaf) && sk_X509_push(*path, leaf) > 0 ?
		       0 : TLS_ERR_NO_MEMORY;
	}
	snprintf(why, TLS_VERIFY_TEXT, "certificate refused by the test");
	return TLS_ERR_ALERT + (options->custom_verify ? TLS_ALERT_CERTIFICATE_UNKNOWN :
							 TLS_ALERT_HANDSHAKE_FAILURE);
}

int __wrap_tls_ocsp_check(const struct tls_verify_request *req, STACK_OF(X509) *path,
			  struct tls_slice response, int64_t *until, const char **why);
int __wrap_tls_ocsp_check(const struct tls_verify_request *req, STACK_OF(X509) *path,
			  struct tls_slice response, int64_t *until, const char **why)
{
	(void)path;
	(void)response;
	*until = req->now + 1000000;
	*why = "OCSP response refused by the test";
	return options->refuse_ocsp ? TLS_ALERT(BAD_CERTIFICATE_STATUS) : 0;
}

/* A runner that has a missing response refused stands for a certificate that demands one. */
bool __wrap_tls_ocsp_demanded(const X509 *leaf);
bool __wrap_tls_ocsp_demanded(const X509 *leaf)
{
	(void)leaf;
	return options->refuse_ocsp;
}

/* The names of the CAs that the verifier is said to know. */
int __wrap_tls_trust_put_names(const struct tls_trust *trust, struct tls_buf *out);
int __wrap_tls_trust_put_names(const struct tls_trust *trust, struct tls_buf *out)
{
	uint8_t names[MAX_SEEN];
	size_t len = options->ca_names ? hex_names(options->ca_names, names, sizeof(names)) : 0;

	(void)trust;
	tls_put_bytes(out, names, len);
	return 0;
}
