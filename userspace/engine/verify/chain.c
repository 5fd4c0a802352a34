// SPDX-License-Identifier: MIT
/* Is the peer's chain to be believed? */
#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "crypto/openssl.h"
#include "verify/verify.h"

/* 112 bits: no RSA below 2048, no SHA-1 signature, anywhere below the anchor */
#define AUTH_LEVEL	2

/* Bytes; the vector may have 65535, which its message's other extensions share in TLS 1.3. */
#define MAX_NAMES	0xf000

struct tls_trust {
	X509_STORE *store;
	size_t names_len;		/* of the anchors' names, as vectors */
};

int tls_trust_new(struct tls_trust **out)
{
	struct tls_trust *trust = calloc(1, sizeof(*trust));

	if (!trust)
		return TLS_ERR_NO_MEMORY;
	trust->store = X509_STORE_new();
	if (!trust->store) {
		free(trust);
		return TLS_ERR_NO_MEMORY;
	}
	*out = trust;
	return 0;
}

void tls_trust_free(struct tls_trust *trust)
{
	if (!trust)
		return;
	X509_STORE_free(trust->store);
	free(trust);
}

/* How many were added, or -1. */
static int add_all(X509_STORE *store, BIO *bio)
{
	X509 *x509;
	int count = 0, ok = 1;

	while (ok == 1 && (x509 = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL))) {
		/* Caches the extensions while nobody shares it. */
		X509_check_purpose(x509, -1, 0);
		ok = X509_STORE_add_cert(store, x509);	/* takes a reference */
		X509_free(x509);
		count++;
	}
	if (ok != 1 || ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return -1;
	return count;
}

static struct tls_slice subject_of(const X509 *x509)
{
	struct tls_slice name = { NULL, 0 };

	if (X509_NAME_get0_der(X509_get_subject_name(x509), &name.p, &name.len) != 1)
		name.len = 0;
	return name;
}

static void count_names(struct tls_trust *trust)
{
	STACK_OF(X509) *all = X509_STORE_get1_all_certs(trust->store);

	trust->names_len = 0;
	for (int i = 0; i < sk_X509_num(all); i++)
		trust->names_len += 2 + subject_of(sk_X509_value(all, i)).len;
	sk_X509_pop_free(all, X509_free);
}

int tls_trust_add(struct tls_trust *trust, const void *pem, size_t len)
{
	BIO *bio = len <= INT_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	int count;

	if (!bio)
		return TLS_ERR_NO_MEMORY;
	ERR_clear_error();
	count = add_all(trust->store, bio);
	BIO_free(bio);
	ERR_clear_error();
	count_names(trust);
	return count > 0 ? 0 : TLS_ERR_ARGUMENT;
}

static const char *path_or(const char *env, const char *fallback)
{
	const char *path = secure_getenv(env);

	return path ? path : fallback;
}

/* "9d04f354.0", as openssl-rehash(1) names them; the rest of the directory says the same again. */
static bool is_hash_name(const char *name)
{
	return strspn(name, "0123456789abcdef") == 8 && name[8] == '.' && name[9] &&
	       strspn(name + 9, "0123456789") == strlen(name + 9);
}

/* All of a hashed directory at once: later the process may not be able to open files. */
static bool load_directory(X509_STORE *store, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	char file[PATH_MAX];
	bool any = false;

	while (dir && (entry = readdir(dir))) {
		int n = snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);

		if (is_hash_name(entry->d_name) && n < (int)sizeof(file))
			any |= X509_STORE_load_file(store, file) == 1;
	}
	if (dir)
		closedir(dir);
	return any;
}

int tls_trust_add_system(struct tls_trust *trust)
{
	const char *file = path_or(X509_get_default_cert_file_env(), X509_get_default_cert_file());
	const char *dir = path_or(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
	bool any = X509_STORE_load_file(trust->store, file) == 1;

	any |= load_directory(trust->store, dir);
	ERR_clear_error();
	count_names(trust);
	return any ? 0 : TLS_ERR_ARGUMENT;
}

bool tls_trust_names_fit(const struct tls_trust *trust)
{
	return trust->names_len <= MAX_NAMES;
}

static void put_name(struct tls_buf *out, const X509 *x509)
{
	struct tls_vec vec = tls_put_open(out, 2);
	struct tls_slice name = subject_of(x509);

	tls_put_bytes(out, name.p, name.len);
	tls_put_close(out, vec);
}

int tls_trust_put_names(const struct tls_trust *trust, struct tls_buf *out)
{
	STACK_OF(X509) *all;

	if (!tls_trust_names_fit(trust))
		return 0;
	all = X509_STORE_get1_all_certs(trust->store);
	if (!all)
		return TLS_ERR_NO_MEMORY;
	for (int i = 0; i < sk_X509_num(all); i++)
		put_name(out, sk_X509_value(all, i));
	sk_X509_pop_free(all, X509_free);
	return tls_buf_error(out);
}

X509 *tls_trust_issuer(const struct tls_trust *trust, const X509 *x509)
{
	STACK_OF(X509) *all = X509_STORE_get1_all_certs(trust->store);
	X509 *found = NULL;

	for (int i = 0; !found && i < sk_X509_num(all); i++) {
		X509 *anchor = sk_X509_value(all, i);

		if (X509_check_issued(anchor, (X509 *)x509) == X509_V_OK && X509_up_ref(anchor))
			found = anchor;
	}
	sk_X509_pop_free(all, X509_free);
	return found;
}

bool tls_name_is_address(const char *name)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, name, addr) == 1 || inet_pton(AF_INET6, name, addr) == 1;
}

/* RFC 9846 section 6.2; what is not here is bad_certificate. */
static const struct {
	int error;
	uint8_t alert;
} alerts[] = {
	{ X509_V_ERR_CERT_HAS_EXPIRED, TLS_ALERT_CERTIFICATE_EXPIRED },
	{ X509_V_ERR_CERT_NOT_YET_VALID, TLS_ALERT_CERTIFICATE_EXPIRED },
	{ X509_V_ERR_CERT_REVOKED, TLS_ALERT_CERTIFICATE_REVOKED },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_CERT_CHAIN_TOO_LONG, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_PATH_LENGTH_EXCEEDED, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_INVALID_CA, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_CERT_UNTRUSTED, TLS_ALERT_UNKNOWN_CA },
	{ X509_V_ERR_INVALID_PURPOSE, TLS_ALERT_UNSUPPORTED_CERTIFICATE },
	{ X509_V_ERR_OUT_OF_MEM, TLS_ALERT_INTERNAL_ERROR },
	{ X509_V_ERR_UNSPECIFIED, TLS_ALERT_INTERNAL_ERROR },
};

static int alert_of(int error)
{
	for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++) {
		if (alerts[i].error == error)
			return TLS_ERR_ALERT + alerts[i].alert;
	}
	return TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE;
}

static bool is_mismatch(int error)
{
	return error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH;
}

/* The subject is the peer's text: printed with everything but plain ASCII escaped. */
static void describe(const struct tls_verify_request *req, X509_STORE_CTX *ctx, int error,
		     char why[TLS_VERIFY_TEXT])
{
	X509 *x509 = X509_STORE_CTX_get_current_cert(ctx);
	BIO *bio = x509 ? BIO_new(BIO_s_mem()) : NULL;
	char *subject = NULL;
	long len = 0;

	if (bio) {
		X509_NAME_print_ex(bio, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253);
		len = BIO_get_mem_data(bio, &subject);
	}
	snprintf(why, TLS_VERIFY_TEXT, "%s%s%s (certificate %d, subject \"%.*s\")",
		 X509_verify_cert_error_string(error), is_mismatch(error) ? ", wanted " : "",
		 is_mismatch(error) ? req->name : "", X509_STORE_CTX_get_error_depth(ctx),
		 (int)(len > 0 && len < TLS_VERIFY_TEXT ? len : 0), subject ? subject : "");
	BIO_free(bio);
}

static void report_elements(const struct tls_verify_request *req, X509_STORE_CTX *ctx, int error)
{
	STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(ctx);
	int depth = X509_STORE_CTX_get_error_depth(ctx);
	unsigned char *der;
	int len;

	for (int i = sk_X509_num(path) - 1; i >= 0; i--) {
		der = NULL;
		len = i2d_X509(sk_X509_value(path, i), &der);
		if (len > 0)
			req->element(req->arg, (struct tls_slice){ der, (size_t)len },
				     !error ? "ok" : i == depth ?
				     X509_verify_cert_error_string(error) : "not decided");
		OPENSSL_free(der);
	}
}

static bool set_wanted(const struct tls_verify_request *req, X509_STORE_CTX *ctx)
{
	X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(ctx);

	/* Purpose and trust setting: key usage and extended key usage along the path. */
	if (X509_STORE_CTX_set_default(ctx, req->peer == TLS_SERVER ? "ssl_server" :
					    "ssl_client") != 1)
		return false;
	X509_VERIFY_PARAM_set_time(param, (time_t)req->now);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	/* An anchor is whatever was added as one, root or not. */
	if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN) != 1)
		return false;
	if (!req->name)
		return true;
	if (tls_name_is_address(req->name))
		return X509_VERIFY_PARAM_set1_ip_asc(param, req->name) == 1;
	/* RFC 9525: wildcards for a whole leftmost label only, common names never. */
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
					       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	return X509_VERIFY_PARAM_set1_host(param, req->name, 0) == 1;
}

static int verify(const struct tls_verify_request *req, X509_STORE_CTX *ctx,
		  STACK_OF(X509) *untrusted, char why[TLS_VERIFY_TEXT])
{
	int error = X509_V_OK;

	if (X509_STORE_CTX_init(ctx, req->trust->store, req->chain->x509[0], untrusted) != 1 ||
	    !set_wanted(req, ctx)) {
		snprintf(why, TLS_VERIFY_TEXT, "libcrypto could not set the verification up");
		return TLS_ERR_ALERT + TLS_ALERT_INTERNAL_ERROR;
	}
	if (X509_verify_cert(ctx) != 1) {
		error = X509_STORE_CTX_get_error(ctx);
		/* "Failed, but without an error" must not read as success. */
		if (error == X509_V_OK)
			error = X509_V_ERR_UNSPECIFIED;
		describe(req, ctx, error, why);
	}
	if (req->element)
		report_elements(req, ctx, error);
	return error == X509_V_OK ? 0 : alert_of(error);
}

int tls_verify_chain(const struct tls_verify_request *req, char why[TLS_VERIFY_TEXT])
{
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int err = TLS_ERR_NO_MEMORY;
	bool ok = ctx && untrusted;

	for (size_t i = 1; ok && i < req->chain->count; i++)
		ok = sk_X509_push(untrusted, req->chain->x509[i]) > 0;
	why[0] = '\0';
	if (ok)
		err = verify(req, ctx, untrusted, why);
	else
		snprintf(why, TLS_VERIFY_TEXT, "out of memory");
	X509_STORE_CTX_free(ctx);
	sk_X509_free(untrusted);
	ERR_clear_error();
	return err;
}
