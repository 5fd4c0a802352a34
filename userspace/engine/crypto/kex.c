// SPDX-License-Identifier: MIT
/* Key exchange groups, all in the shape of a KEM. */
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <sodium.h>

#include "crypto/openssl.h"

enum group_kind {
	GROUP_X25519,
	GROUP_NIST,
	GROUP_X448,
	GROUP_KEM,
};

struct group_row {
	struct tls_group group;		/* first: a struct tls_group * of ours is a row */
	const char *algorithm;		/* libcrypto's; NULL: libsodium has it */
	const char *curve;
	enum group_kind kind;
	bool point;			/* a share begins with a point of a NIST curve */
};

static const struct group_row rows[TLS_GROUPS] = {
	{ { TLS_GROUP_X25519MLKEM768, false, true, 1184 + 32, 1088 + 32, 64 },
	  "X25519MLKEM768", NULL, GROUP_KEM, false },
	{ { TLS_GROUP_SECP256R1MLKEM768, false, true, 65 + 1184, 65 + 1088, 64 },
	  "SecP256r1MLKEM768", NULL, GROUP_KEM, true },
	{ { TLS_GROUP_X25519, true, false, 32, 32, 32 }, NULL, NULL, GROUP_X25519, false },
	{ { TLS_GROUP_SECP256R1, true, false, 65, 65, 32 }, "EC", "P-256", GROUP_NIST, true },
	{ { TLS_GROUP_SECP384R1, true, false, 97, 97, 48 }, "EC", "P-384", GROUP_NIST, true },
	{ { TLS_GROUP_SECP521R1, true, false, 133, 133, 66 }, "EC", "P-521", GROUP_NIST, true },
	{ { TLS_GROUP_X448, true, false, 56, 56, 56 }, "X448", NULL, GROUP_X448, false },
};

#define POINT_UNCOMPRESSED	4	/* SEC 1; the only form TLS allows (RFC 9846 section 4.3.8.2) */
#define X25519_LEN		crypto_scalarmult_curve25519_BYTES
#define X25519_STACK		4096u	/* more than libsodium uses: 2.3 KB */
#define MAX_HELD		133	/* a point of P-521; > TLS_MAX_SHARED_SECRET */

_Static_assert(TLS_KEX_RANDOM_LEN == X25519_LEN, "a private key is all of it");

struct tls_kex {
	const struct group_row *row;
	EVP_PKEY *key;			/* NULL: X25519 */
	uint8_t private[X25519_LEN];	/* of X25519 only */
	/* responder: the peer's share; of a KEM, the secret */
	uint8_t held[MAX_HELD];
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

static int setup_group(struct tls_crypto *crypto, size_t i)
{
	const struct group_row *row = &rows[i];

	if (row->algorithm && !tls_has_algorithm(row->algorithm))
		return row->kind == GROUP_NIST ? TLS_ERR_LIBRARY : 0;
	if (row->kind == GROUP_NIST) {
		crypto->curves[i] = curve_template(row->algorithm, row->curve);
		if (!crypto->curves[i])
			return TLS_ERR_LIBRARY;
	}
	crypto->groups[crypto->group_count++] = &row->group;
	return 0;
}

int tls_groups_setup(struct tls_crypto *crypto)
{
	int err = sodium_init() < 0 ? TLS_ERR_LIBRARY : 0;	/* chooses what suits the CPU */

	for (size_t i = 0; !err && i < TLS_GROUPS; i++)
		err = setup_group(crypto, i);
	return err;
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

static EVP_PKEY *template_of(const struct tls_crypto *crypto, const struct group_row *row)
{
	return crypto->curves[row - rows];
}

static EVP_PKEY *generate(const struct tls_crypto *crypto, const struct group_row *row)
{
	EVP_PKEY *params = template_of(crypto, row), *key = NULL;
	EVP_PKEY_CTX *ctx;

	ctx = params ? EVP_PKEY_CTX_new_from_pkey(NULL, params, NULL) :
		       EVP_PKEY_CTX_new_from_name(NULL, row->algorithm, NULL);
	if (!ctx || EVP_PKEY_keygen_init(ctx) != 1 || EVP_PKEY_generate(ctx, &key) != 1)
		key = NULL;
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* NULL: no public key of this group (for the curves: not on the curve). */
static EVP_PKEY *peer_key(const struct tls_crypto *crypto, const struct group_row *row,
			  struct tls_slice peer)
{
	EVP_PKEY *key;

	if (row->kind != GROUP_NIST)
		return EVP_PKEY_new_raw_public_key_ex(NULL, row->algorithm, NULL, peer.p, peer.len);
	key = EVP_PKEY_dup(template_of(crypto, row));
	if (key && EVP_PKEY_set1_encoded_public_key(key, peer.p, peer.len) == 1)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

/*
 * libcrypto's own validation is left out: decoding has checked that the point
 * is on the curve, the NIST curves' cofactor is 1, and it would cost another point
 * multiplication.  For X448 it refuses a secret of zeros (RFC 7748 section 6.2).
 */
static bool derive(EVP_PKEY *own, EVP_PKEY *peer, uint8_t *secret, size_t want)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	size_t len = want;
	bool ok;

	ok = ctx && EVP_PKEY_derive_init(ctx) == 1 &&
	     EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
	     EVP_PKEY_derive(ctx, secret, &len) == 1 && len == want;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* A new key, and its public value. */
static int pkey_generate(struct tls_kex *kex, uint8_t *share, size_t want)
{
	const struct tls_crypto *crypto = tls_crypto();
	size_t len = want;

	kex->key = crypto ? generate(crypto, kex->row) : NULL;
	if (kex->key && EVP_PKEY_get_octet_string_param(kex->key,
			OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, share, want, &len) == 1 && len == want)
		return 0;
	return tls_library_error();
}

static bool pkey_agree(const struct tls_kex *kex, struct tls_slice share, uint8_t *secret)
{
	const struct tls_crypto *crypto = tls_crypto();
	EVP_PKEY *peer = crypto ? peer_key(crypto, kex->row, share) : NULL;
	bool ok = peer && derive(kex->key, peer, secret, kex->row->group.secret_len);

	EVP_PKEY_free(peer);
	return ok;
}

/*
 * libsodium's.  libcrypto multiplies as fast, but makes and frees a key object around it, which
 * takes a third of the time again.
 */
static int x25519_generate(struct tls_kex *kex, const uint8_t *random, uint8_t *share)
{
	int err = 0;

	if (random)
		memcpy(kex->private, random, sizeof(kex->private));
	else
		err = tls_random(kex->private, sizeof(kex->private));
	if (!err && crypto_scalarmult_curve25519_base(share, kex->private))
		err = TLS_ERR_LIBRARY;
	sodium_stackzero(X25519_STACK);
	return err;
}

/* False: the secret would be all zero (RFC 7748 section 6.1). */
static bool x25519_agree(const struct tls_kex *kex, struct tls_slice share, uint8_t *secret)
{
	bool ok = !crypto_scalarmult_curve25519(secret, kex->private, share.p);

	sodium_stackzero(X25519_STACK);
	return ok;
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
	tls_wipe(kex->private, sizeof(kex->private));
	tls_wipe(kex->held, sizeof(kex->held));
	free(kex);
}

/* The length and, where it begins with a point, the point's form; libcrypto takes all forms. */
static bool well_formed(const struct group_row *row, struct tls_slice share, size_t len)
{
	return share.len == len && (!row->point || share.p[0] == POINT_UNCOMPRESSED);
}

/* random: NULL, or what an X25519 key is to be; share gets len bytes. */
static int kex_generate(struct tls_kex *kex, const uint8_t *random, uint8_t *share, size_t len)
{
	return kex->row->kind == GROUP_X25519 ? x25519_generate(kex, random, share) :
						pkey_generate(kex, share, len);
}

int tls_kex_initiate(struct tls_kex **out, const struct tls_group *group, uint8_t *share)
{
	struct tls_kex *kex = calloc(1, sizeof(*kex));
	int err;

	if (!kex)
		return TLS_ERR_NO_MEMORY;
	kex->row = (const struct group_row *)group;
	err = kex_generate(kex, NULL, share, group->initiator_len);
	if (err)
		tls_kex_free(kex);
	else
		*out = kex;
	return err;
}

/* As tls_kex_agree(), with this peer. */
static int ecdh_agree(const struct tls_kex *kex, struct tls_slice share, uint8_t *secret)
{
	bool ok = kex->row->kind == GROUP_X25519 ? x25519_agree(kex, share, secret) :
						   pkey_agree(kex, share, secret);

	return ok ? 0 : TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;
}

static int kem_accept(struct tls_kex *kex, struct tls_slice share, uint8_t *answer)
{
	const struct tls_crypto *crypto = tls_crypto();
	EVP_PKEY *peer = crypto ? peer_key(crypto, kex->row, share) : NULL;
	int err = TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;

	if (peer)
		err = encapsulate(kex->row, peer, answer, kex->held);
	EVP_PKEY_free(peer);
	return err;
}

int tls_kex_accept(struct tls_kex **out, const struct tls_group *group, struct tls_slice peer,
		   const uint8_t *random, uint8_t *answer)
{
	struct tls_kex *kex;
	int err;

	if (!well_formed((const struct group_row *)group, peer, group->initiator_len))
		return TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;
	kex = calloc(1, sizeof(*kex));
	if (!kex)
		return TLS_ERR_NO_MEMORY;
	kex->row = (const struct group_row *)group;
	if (kex->row->kind == GROUP_KEM) {
		err = kem_accept(kex, peer, answer);
	} else {
		memcpy(kex->held, peer.p, peer.len);
		err = kex_generate(kex, random, answer, group->responder_len);
	}
	if (err) {
		tls_library_error();
		tls_kex_free(kex);
	} else {
		*out = kex;
	}
	return err;
}

/* What tls_kex_agree() and tls_kex_finish() give: on an error, nothing. */
static int agreed(const struct tls_group *group, uint8_t *secret, int err)
{
	if (err) {
		tls_library_error();
		tls_wipe(secret, group->secret_len);
	}
	return err;
}

int tls_kex_agree(struct tls_kex *kex, uint8_t *secret)
{
	const struct tls_group *group = &kex->row->group;

	if (kex->row->kind != GROUP_KEM)
		return agreed(group, secret, ecdh_agree(kex, (struct tls_slice){ kex->held,
								group->initiator_len }, secret));
	memcpy(secret, kex->held, group->secret_len);
	return 0;
}

int tls_kex_respond(const struct tls_group *group, struct tls_slice peer, uint8_t *answer,
		    uint8_t *secret)
{
	struct tls_kex *kex;
	int err = tls_kex_accept(&kex, group, peer, NULL, answer);

	if (err)
		return agreed(group, secret, err);
	err = tls_kex_agree(kex, secret);
	tls_kex_free(kex);
	return err;
}

int tls_kex_finish(struct tls_kex *kex, struct tls_slice answer, uint8_t *secret)
{
	const struct tls_group *group = &kex->row->group;

	if (!well_formed(kex->row, answer, group->responder_len))
		return TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;
	return agreed(group, secret, kex->row->kind == GROUP_KEM ?
				     decapsulate(kex->row, kex->key, answer, secret) :
				     ecdh_agree(kex, answer, secret));
}
