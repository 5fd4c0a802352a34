// SPDX-License-Identifier: MIT
/* Whom we trust: anchors, from PEM or from the system's store. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "verify/path.h"

/* Bytes; the vector may have 65535, which its message's other extensions share in TLS 1.3. */
#define MAX_NAMES	0xf000

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
	X509_CRL_METHOD_free(trust->crl_method);
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

bool tls_trust_has_ca(const struct tls_trust *trust)
{
	STACK_OF(X509) *all = X509_STORE_get1_all_certs(trust->store);
	bool found = false;

	for (int i = 0; i < sk_X509_num(all) && !found; i++)
		found = X509_check_ca(sk_X509_value(all, i)) || X509_self_signed(sk_X509_value(all, i), 0) == 1;
	sk_X509_pop_free(all, X509_free);
	return found;
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
