// SPDX-License-Identifier: MIT
/* Key exchange groups, all in the shape of a KEM. */
#include <pthread.h>
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
#define X25519_LEN		32
#define MAX_HELD		97	/* a point of P-384; > TLS_MAX_SHARED_SECRET */

_Static_assert(TLS_KEX_RANDOM_LEN == X25519_LEN, "a private key is all of it");

struct tls_kex {
	const struct group_row *row;
	EVP_PKEY *key;
	EVP_PKEY_CTX *derivation;	/* of key; NULL: a KEM */
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

static bool has_algorithm(const char *name)
{
	EVP_KEYMGMT *keymgmt = EVP_KEYMGMT_fetch(NULL, name, NULL);

	EVP_KEYMGMT_free(keymgmt);
	return keymgmt;
}

/*
 * What a thread keeps for X25519, since libcrypto takes longer to find out
 * what an EVP_PKEY is than to fill it in: how keys are imported, and one that
 * takes the public value of each peer in turn.  Neither holds a secret.
 */
struct montgomery {
	EVP_PKEY_CTX *import;
	EVP_PKEY *peer;
};

static pthread_key_t montgomery_key;

static void montgomery_free(void *p)
{
	struct montgomery *m = p;

	EVP_PKEY_CTX_free(m->import);
	EVP_PKEY_free(m->peer);
	free(m);
}

/* The base point as a peer's share: RFC 7748 section 4.1, u = 9. */
static EVP_PKEY *montgomery_base(const char *algorithm)
{
	static const uint8_t nine[X25519_LEN] = { 9 };

	return EVP_PKEY_new_raw_public_key_ex(NULL, algorithm, NULL, nine, sizeof(nine));
}

static struct montgomery *montgomery_new(const char *algorithm)
{
	struct montgomery *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->import = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	m->peer = montgomery_base(algorithm);
	if (m->import && m->peer && EVP_PKEY_fromdata_init(m->import) == 1 &&
	    !pthread_setspecific(montgomery_key, m))
		return m;
	montgomery_free(m);
	return NULL;
}

/* This thread's; NULL: out of memory. */
static struct montgomery *montgomery(const struct group_row *row)
{
	struct montgomery *m = pthread_getspecific(montgomery_key);

	return m ? m : montgomery_new(row->algorithm);
}

static int setup_group(struct tls_crypto *crypto, size_t i)
{
	const struct group_row *row = &rows[i];

	if (row->kind == GROUP_KEM && !has_algorithm(row->algorithm))
		return 0;
	if (row->kind != GROUP_KEM) {
		crypto->params[i] = row->kind == GROUP_NIST ?
				    curve_template(row->algorithm, row->curve) :
				    montgomery_base(row->algorithm);
		if (!crypto->params[i])
			return TLS_ERR_LIBRARY;
	}
	crypto->groups[crypto->group_count++] = &row->group;
	return 0;
}

int tls_groups_setup(struct tls_crypto *crypto)
{
	int err = pthread_key_create(&montgomery_key, montgomery_free) ? TLS_ERR_LIBRARY : 0;

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
	return crypto->params[row - rows];
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

/*
 * A private key of which libcrypto does not know the public one: it would
 * multiply the base point in portable code, which takes longer than the ladder
 * in assembly that ecdh() uses.  So key_share() has the ladder do it;
 * what is given here for the public key is used by nobody.  random: NULL, or
 * what the key is to be.
 */
static EVP_PKEY *generate_montgomery(const struct group_row *row, const uint8_t *random)
{
	uint8_t private[X25519_LEN], public[X25519_LEN] = { 0 };
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, private,
						  sizeof(private)),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, public, sizeof(public)),
		OSSL_PARAM_construct_end(),
	};
	struct montgomery *m = montgomery(row);
	EVP_PKEY *key = NULL;
	int err = 0;

	if (random)
		memcpy(private, random, sizeof(private));
	else
		err = tls_random(private, sizeof(private));
	if (!m || err || EVP_PKEY_fromdata(m->import, &key, EVP_PKEY_KEYPAIR, params) != 1)
		key = NULL;
	tls_wipe(private, sizeof(private));
	return key;
}

static int key_generate(const struct tls_crypto *crypto, const struct group_row *row,
			const uint8_t *random, EVP_PKEY **key)
{
	*key = row->kind == GROUP_MONTGOMERY ? generate_montgomery(row, random) :
					       generate(crypto, row);
	return *key ? 0 : tls_library_error();
}

/* A key of this group to put a peer's share into. */
static EVP_PKEY *blank_peer(const struct tls_crypto *crypto, const struct group_row *row)
{
	struct montgomery *m;

	if (row->kind == GROUP_NIST)
		return EVP_PKEY_dup(template_of(crypto, row));
	m = montgomery(row);
	return m && EVP_PKEY_up_ref(m->peer) == 1 ? m->peer : NULL;
}

/*
 * A reference, good until the next one of this thread is made.  NULL: no public
 * key of this group (for the curves: not on the curve).
 */
static EVP_PKEY *peer_key(const struct tls_crypto *crypto, const struct group_row *row,
			  struct tls_slice peer)
{
	EVP_PKEY *key;

	if (row->kind == GROUP_KEM)
		return EVP_PKEY_new_raw_public_key_ex(NULL, row->algorithm, NULL, peer.p, peer.len);
	if (row->kind == GROUP_NIST && peer.p[0] != POINT_UNCOMPRESSED)
		return NULL;
	key = blank_peer(crypto, row);
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

static EVP_PKEY_CTX *derivation(EVP_PKEY *own)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);

	if (ctx && EVP_PKEY_derive_init(ctx) == 1)
		return ctx;
	EVP_PKEY_CTX_free(ctx);
	return NULL;
}

/*
 * libcrypto's own validation is left out: decoding has checked that the point
 * is on the curve, the curves' cofactor is 1, and it would cost another point
 * multiplication.
 */
static bool derive(EVP_PKEY_CTX *ctx, EVP_PKEY *peer, uint8_t *out, size_t want)
{
	size_t len = want;

	return EVP_PKEY_derive_set_peer_ex(ctx, peer, 0) == 1 &&
	       EVP_PKEY_derive(ctx, out, &len) == 1 && len == want;
}

static int ecdh(const struct group_row *row, EVP_PKEY_CTX *own, EVP_PKEY *peer, uint8_t *secret)
{
	if (!derive(own, peer, secret, row->group.secret_len) ||
	    all_zero(secret, row->group.secret_len))	/* RFC 7748 section 6.1 */
		return TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;
	return 0;
}

/* Our public value; ctx is key's derivation(), NULL for a KEM's. */
static int key_share(const struct tls_crypto *crypto, const struct group_row *row, EVP_PKEY *key,
		     EVP_PKEY_CTX *ctx, uint8_t *share, size_t want)
{
	size_t len = want;
	bool ok;

	if (row->kind == GROUP_MONTGOMERY)
		ok = derive(ctx, template_of(crypto, row), share, want);
	else
		ok = EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY,
						     share, want, &len) == 1;
	return ok && len == want ? 0 : TLS_ERR_LIBRARY;
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
	EVP_PKEY_CTX_free(kex->derivation);
	EVP_PKEY_free(kex->key);	/* cleanses the private part */
	tls_wipe(kex->held, sizeof(kex->held));
	free(kex);
}

/* Everything of kex but its row; share gets len bytes. */
static int kex_generate(struct tls_kex *kex, const uint8_t *random, uint8_t *share, size_t len)
{
	const struct tls_crypto *crypto = tls_crypto();
	int err = crypto ? key_generate(crypto, kex->row, random, &kex->key) : TLS_ERR_LIBRARY;

	if (err)
		return err;
	if (kex->row->kind != GROUP_KEM) {
		kex->derivation = derivation(kex->key);
		if (!kex->derivation)
			return tls_library_error();
	}
	err = key_share(crypto, kex->row, kex->key, kex->derivation, share, len);
	return err ? tls_library_error() : 0;
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
	const struct tls_crypto *crypto = tls_crypto();
	EVP_PKEY *peer = crypto ? peer_key(crypto, kex->row, share) : NULL;
	int err = TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;

	if (peer)
		err = ecdh(kex->row, kex->derivation, peer, secret);
	EVP_PKEY_free(peer);
	return err;
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

	if (peer.len != group->initiator_len)
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

	if (answer.len != group->responder_len)
		return TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER;
	return agreed(group, secret, kex->row->kind == GROUP_KEM ?
				     decapsulate(kex->row, kex->key, answer, secret) :
				     ecdh_agree(kex, answer, secret));
}
