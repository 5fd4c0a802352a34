// SPDX-License-Identifier: MIT
/* Key exchange groups, all in the shape of a KEM. */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include "crypto_openssl.h"

enum group_kind {
	GROUP_MONTGOMERY,
	GROUP_NIST,
	GROUP_KEM,
};

struct group_row {
	struct tls_group group;		/* first: a struct tls_group * of ours is a row */
	const char *algorithm;		/* libcrypto's */
	const char *curve;
	enum group_kind kind;
};

static const struct group_row rows[TLS_GROUPS] = {
	{ { TLS_GROUP_X25519MLKEM768, "X25519MLKEM768", false, 1184 + 32, 1088 + 32, 64 },
	  "X25519MLKEM768", NULL, GROUP_KEM },
	{ { TLS_GROUP_X25519, "x25519", true, 32, 32, 32 }, "X25519", NULL, GROUP_MONTGOMERY },
	{ { TLS_GROUP_SECP256R1, "secp256r1", true, 65, 65, 32 }, "EC", "P-256", GROUP_NIST },
	{ { TLS_GROUP_SECP384R1, "secp384r1", true, 97, 97, 48 }, "EC", "P-384", GROUP_NIST },
};

#define POINT_UNCOMPRESSED	4	/* SEC 1; the only form TLS allows */

struct tls_kex {
	const struct group_row *row;
	EVP_PKEY *key;
};

static EVP_PKEY *curve_template(const char *algorithm, const char *curve)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	EVP_PKEY *params = NULL;

	if (ctx && EVP_PKEY_paramgen_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_group_name(ctx, curve) == 1 && EVP_PKEY_generate(ctx, &params) != 1)
		params = NULL;
	EVP_PKEY_CTX_free(ctx);
	return params;
}

static bool has_algorithm(const char *name)
{
	EVP_KEYMGMT *keymgmt = EVP_KEYMGMT_fetch(NULL, name, NULL);

	EVP_KEYMGMT_free(keymgmt);
	return keymgmt;
}

int tls_groups_setup(struct tls_crypto *crypto)
{
	for (size_t i = 0; i < TLS_GROUPS; i++) {
		if (rows[i].kind == GROUP_NIST) {
			crypto->params[i] = curve_template(rows[i].algorithm, rows[i].curve);
			if (!crypto->params[i])
				return TLS_ERR_LIBRARY;
		} else if (!has_algorithm(rows[i].algorithm)) {
			continue;
		}
		crypto->groups[crypto->group_count++] = &rows[i].group;
	}
	return 0;
}

const struct tls_group *const *tls_groups(size_t *count)
{
	const struct tls_crypto *crypto = tls_crypto();

	*count = crypto ? crypto->group_count : 0;
	return crypto ? crypto->groups : NULL;
}

const struct tls_group *tls_group_find(uint16_t id)
{
	size_t count;
	const struct tls_group *const *groups = tls_groups(&count);

	for (size_t i = 0; i < count; i++) {
		if (groups[i]->id == id)
			return groups[i];
	}
	return NULL;
}

static int key_generate(const struct tls_crypto *crypto, const struct group_row *row,
			EVP_PKEY **key)
{
	EVP_PKEY *params = crypto->params[row - rows];
	EVP_PKEY_CTX *ctx;
	int err = 0;

	ctx = params ? EVP_PKEY_CTX_new_from_pkey(NULL, params, NULL) :
		       EVP_PKEY_CTX_new_from_name(NULL, row->algorithm, NULL);
	if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_generate(ctx, key) != 1)
		err = tls_library_error();
	EVP_PKEY_CTX_free(ctx);
	return err;
}

static int key_share(EVP_PKEY *key, uint8_t *share, size_t want)
{
	size_t len = 0;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, share, want,
					    &len) != 1 || len != want)
		return tls_library_error();
	return 0;
}

/* NULL: no public key of this group (for the curves: not on the curve). */
static EVP_PKEY *peer_key(const struct tls_crypto *crypto, const struct group_row *row,
			  struct tls_slice peer)
{
	EVP_PKEY *key;

	if (row->kind != GROUP_NIST)
		return EVP_PKEY_new_raw_public_key_ex(NULL, row->algorithm, NULL, peer.p, peer.len);
	if (peer.p[0] != POINT_UNCOMPRESSED)
		return NULL;
	key = EVP_PKEY_dup(crypto->params[row - rows]);
	if (key && EVP_PKEY_set1_encoded_public_key(key, peer.p, peer.len) == 1)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return !any;
}

/*
 * libcrypto's own validation is left out: decoding has checked that the point
 * is on the curve, the curves' cofactor is 1, and it would cost another point
 * multiplication.
 */
static int ecdh(const struct group_row *row, EVP_PKEY *own, EVP_PKEY *peer, uint8_t *secret)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	size_t len = row->group.secret_len;
	int err = TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;

	if (!ctx || EVP_PKEY_derive_init(ctx) != 1)
		err = TLS_ERR_LIBRARY;
	else if (EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
		 EVP_PKEY_derive(ctx, secret, &len) == 1 && len == row->group.secret_len &&
		 !all_zero(secret, len))	/* RFC 7748 section 6.1 */
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	if (err)
		tls_library_error();
	return err;
}

static int encapsulate(const struct group_row *row, EVP_PKEY *peer, uint8_t *answer,
		       uint8_t *secret)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, peer, NULL);
	size_t answer_len = row->group.responder_len, len = row->group.secret_len;
	int err = TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;

	if (!ctx || EVP_PKEY_encapsulate_init(ctx, NULL) != 1)
		err = TLS_ERR_LIBRARY;
	else if (EVP_PKEY_encapsulate(ctx, answer, &answer_len, secret, &len) == 1 &&
		 answer_len == row->group.responder_len && len == row->group.secret_len)
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	if (err)
		tls_library_error();
	return err;
}

static int decapsulate(const struct group_row *row, EVP_PKEY *own, struct tls_slice answer,
		       uint8_t *secret)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	size_t len = row->group.secret_len;
	int err = TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;

	if (!ctx || EVP_PKEY_decapsulate_init(ctx, NULL) != 1)
		err = TLS_ERR_LIBRARY;
	else if (EVP_PKEY_decapsulate(ctx, secret, &len, answer.p, answer.len) == 1 &&
		 len == row->group.secret_len)
		err = 0;
	EVP_PKEY_CTX_free(ctx);
	if (err)
		tls_library_error();
	return err;
}

void tls_kex_free(struct tls_kex *kex)
{
	if (!kex)
		return;
	EVP_PKEY_free(kex->key);	/* cleanses the private part */
	free(kex);
}

int tls_kex_initiate(struct tls_kex **out, const struct tls_group *group, uint8_t *share)
{
	const struct tls_crypto *crypto = tls_crypto();
	struct tls_kex *kex;
	int err;

	if (!crypto)
		return TLS_ERR_LIBRARY;
	kex = calloc(1, sizeof(*kex));
	if (!kex)
		return TLS_ERR_NO_MEMORY;
	kex->row = (const struct group_row *)group;
	err = key_generate(crypto, kex->row, &kex->key);
	if (!err)
		err = key_share(kex->key, share, group->initiator_len);
	if (err)
		tls_kex_free(kex);
	else
		*out = kex;
	return err;
}

static int ecdh_respond(const struct tls_crypto *crypto, const struct group_row *row,
			EVP_PKEY *peer, uint8_t *answer, uint8_t *secret)
{
	EVP_PKEY *own = NULL;
	int err = key_generate(crypto, row, &own);

	if (!err)
		err = key_share(own, answer, row->group.responder_len);
	if (!err)
		err = ecdh(row, own, peer, secret);
	EVP_PKEY_free(own);
	return err;
}

int tls_kex_respond(const struct tls_group *group, struct tls_slice peer, uint8_t *answer,
		    uint8_t *secret)
{
	const struct group_row *row = (const struct group_row *)group;
	const struct tls_crypto *crypto = tls_crypto();
	EVP_PKEY *key;
	int err;

	if (!crypto)
		return TLS_ERR_LIBRARY;
	key = peer.len == group->initiator_len ? peer_key(crypto, row, peer) : NULL;
	if (!key)
		err = TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;
	else if (row->kind == GROUP_KEM)
		err = encapsulate(row, key, answer, secret);
	else
		err = ecdh_respond(crypto, row, key, answer, secret);
	EVP_PKEY_free(key);
	if (err) {
		tls_library_error();
		tls_wipe(secret, group->secret_len);
	}
	return err;
}

int tls_kex_finish(struct tls_kex *kex, struct tls_slice answer, uint8_t *secret)
{
	const struct tls_group *group = &kex->row->group;
	const struct tls_crypto *crypto = tls_crypto();
	EVP_PKEY *peer = NULL;
	int err = TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;

	if (!crypto)
		return TLS_ERR_LIBRARY;
	if (answer.len != group->responder_len)
		return err;
	if (kex->row->kind == GROUP_KEM) {
		err = decapsulate(kex->row, kex->key, answer, secret);
	} else {
		peer = peer_key(crypto, kex->row, answer);
		if (peer)
			err = ecdh(kex->row, kex->key, peer, secret);
	}
	EVP_PKEY_free(peer);
	if (err) {
		tls_library_error();
		tls_wipe(secret, group->secret_len);
	}
	return err;
}
