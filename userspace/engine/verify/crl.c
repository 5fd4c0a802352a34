// SPDX-License-Identifier: MIT
/*
 * Revocation lists (RFC 5280 section 5).  With lists, each certificate of a path but the anchor
 * must be covered by a list that its issuer in this path signed.  libcrypto checks that.
 *
 * libcrypto would also verify a list's signature, and so hash all of it, each time that it looks
 * a certificate up.  So it gets a front: a copy without entries, whose X509_CRL_METHOD asks the
 * whole list, and verifies its signature only once.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/pem.h>

#include "verify/path.h"

/* ---- fronts ---- */

struct whole {
	X509_CRL *crl;
	_Atomic(EVP_PKEY *) by;		/* whose signature it has; NULL: not known yet */
};

static int free_whole(X509_CRL *front)
{
	struct whole *whole = X509_CRL_get_meth_data(front);

	if (whole) {
		X509_CRL_free(whole->crl);
		EVP_PKEY_free(atomic_load(&whole->by));
	}
	free(whole);
	return 1;
}

static int look_up(X509_CRL *front, X509_REVOKED **entry, const ASN1_INTEGER *serial,
		   const X509_NAME *issuer)
{
	const struct whole *whole = X509_CRL_get_meth_data(front);

	(void)issuer;	/* matters in indirect CRLs, which libcrypto takes only where asked to */
	return X509_CRL_get0_by_serial(whole->crl, entry, serial);
}

/* Any number of threads may come here at once. */
static int verify(X509_CRL *front, EVP_PKEY *key)
{
	struct whole *whole = X509_CRL_get_meth_data(front);
	EVP_PKEY *by = atomic_load(&whole->by);
	int ret;

	if (by && EVP_PKEY_eq(by, key) == 1)
		return 1;
	ret = X509_CRL_verify(whole->crl, key);
	if (ret == 1 && !by && EVP_PKEY_up_ref(key) == 1 &&
	    !atomic_compare_exchange_strong(&whole->by, &by, key))
		EVP_PKEY_free(key);
	return ret;
}

/* A CRL's method is the default of when it is made. */
static X509_CRL *copy_with_method(const X509_CRL_METHOD *method, const X509_CRL *crl)
{
	X509_CRL *copy;

	X509_CRL_set_default_method(method);
	copy = X509_CRL_dup(crl);
	X509_CRL_set_default_method(NULL);
	return copy;
}

static void drop_entries(X509_CRL *crl)
{
	STACK_OF(X509_REVOKED) *entries = X509_CRL_get_REVOKED(crl);

	while (sk_X509_REVOKED_num(entries) > 0)
		X509_REVOKED_free(sk_X509_REVOKED_pop(entries));
}

/* NULL: out of memory. */
static X509_CRL *front_of(const struct tls_trust *trust, X509_CRL *crl)
{
	struct whole *whole = calloc(1, sizeof(*whole));
	X509_CRL *front = whole ? copy_with_method(trust->crl_method, crl) : NULL;

	if (!front || X509_CRL_up_ref(crl) != 1) {
		X509_CRL_free(front);
		free(whole);
		return NULL;
	}
	drop_entries(front);
	whole->crl = crl;
	X509_CRL_set_meth_data(front, whole);
	return front;
}

/* The first look-up sorts: once, and in memory that processes forked later share. */
static void sort(X509_CRL *crl)
{
	ASN1_INTEGER *any = ASN1_INTEGER_new();
	X509_REVOKED *entry;

	if (any)
		X509_CRL_get0_by_serial(crl, &entry, any);
	ASN1_INTEGER_free(any);
}

static bool add_front(struct tls_trust *trust, X509_CRL *crl)
{
	X509_CRL *front;
	bool added;

	if (!trust->crl_method)
		trust->crl_method = X509_CRL_METHOD_new(NULL, free_whole, look_up, verify);
	front = trust->crl_method ? front_of(trust, crl) : NULL;
	added = front && X509_STORE_add_crl(trust->store, front) == 1;	/* takes a reference */
	X509_CRL_free(front);
	sort(crl);
	return added;
}

/* ---- reading ---- */

/* Takes over crl. NULL, or a sentence saying what is wrong with it. */
static const char *add(struct tls_trust *trust, X509_CRL *crl, int64_t *until)
{
	const char *why = "out of memory";
	int64_t next;

	if (X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) >= 0)
		why = "it is a delta CRL; give the complete one";
	else if (add_front(trust, crl))
		why = NULL;
	if (!why && tls_asn1_time(X509_CRL_get0_nextUpdate(crl), &next) && next < *until)
		*until = next;
	X509_CRL_free(crl);
	return why;
}

/* *count: how many there were. */
static const char *add_pem(struct tls_trust *trust, BIO *bio, int64_t *until, int *count)
{
	const char *why = NULL;
	X509_CRL *crl;

	*count = 0;
	while (!why && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		why = add(trust, crl, until);
		(*count)++;
	}
	if (!why && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		why = "a CRL in it cannot be parsed; it is damaged";
	return why;
}

static const char *add_der(struct tls_trust *trust, const unsigned char *p, size_t len,
			   int64_t *until)
{
	const unsigned char *end = p + len;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)len);

	if (crl && p == end)
		return add(trust, crl, until);
	X509_CRL_free(crl);
	return "there is no CRL in it, neither PEM nor DER";
}

int tls_trust_add_crl(struct tls_trust *trust, const void *data, size_t len, int64_t *until,
		      const char **why)
{
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(data, (int)len) : NULL;
	int count;

	if (!bio)
		return TLS_ERR_NO_MEMORY;
	*until = INT64_MAX;
	ERR_clear_error();
	*why = add_pem(trust, bio, until, &count);
	if (!*why && !count)
		*why = add_der(trust, data, len, until);
	trust->has_crls |= !*why;
	BIO_free(bio);
	ERR_clear_error();
	return *why ? TLS_ERR_ARGUMENT : 0;
}

void tls_trust_take_expired_crls(struct tls_trust *trust)
{
	trust->takes_expired_crls = true;
}

/* ---- checking ---- */

static bool is_anchor(X509_STORE_CTX *ctx)
{
	return X509_STORE_CTX_get_error_depth(ctx) ==
	       sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) - 1;
}

static int on_verdict(int ok, X509_STORE_CTX *ctx)
{
	const struct tls_trust *trust = X509_STORE_CTX_get_app_data(ctx);
	int error = X509_STORE_CTX_get_error(ctx);

	if (ok)
		return 1;
	if ((error == X509_V_ERR_UNABLE_TO_GET_CRL && is_anchor(ctx)) ||
	    (error == X509_V_ERR_CRL_HAS_EXPIRED && trust->takes_expired_crls)) {
		X509_STORE_CTX_set_error(ctx, X509_V_OK);
		return 1;
	}
	return 0;
}

void tls_crl_apply(const struct tls_trust *trust, X509_STORE_CTX *ctx)
{
	if (!trust->has_crls)
		return;
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	X509_STORE_CTX_set_app_data(ctx, (void *)trust);
	X509_STORE_CTX_set_verify_cb(ctx, on_verdict);
}
