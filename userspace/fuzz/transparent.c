// SPDX-License-Identifier: MIT
/*
 * Cryptography that keeps nothing out.  The linker puts these functions in the
 * place of the engine's (--wrap, for the names in fuzz.mk), in fuzz targets
 * alone: the engine has no switch for it.
 *
 *	AEAD		the text in the clear, and a tag of zeros
 *	signatures	any is right
 *	Finished, binders	any is right
 *	key exchange	every share is the same, and so is the secret
 *	random bytes	a fixed sequence
 *
 * except where what came begins with FUZZ_BAD.  Without fuzz_transparent the
 * first and the third are the engine's own, and nothing that was changed on
 * the wire may pass.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "engine/verify/path.h"

#define BAD_SHARE	(TLS_ERR_ALERT + TLS_ALERT_ILLEGAL_PARAMETER)
#define BAD_SIGNATURE	(TLS_ERR_ALERT + TLS_ALERT_DECRYPT_ERROR)
#define BAD_TAG		(TLS_ERR_ALERT + TLS_ALERT_BAD_RECORD_MAC)

/* Of the type that the one which is replaced is declared with. */
#define OWN(name)	extern __typeof__(name) __wrap_##name
#define THEIRS(name)	extern __typeof__(name) __real_##name

static bool is_bad(const uint8_t *p, size_t len)
{
	return len >= FUZZ_BAD_LEN && !memcmp(p, FUZZ_BAD, FUZZ_BAD_LEN);
}

bool fuzz_transparent = true;

/* ---- random bytes and comparison ---- */

static uint64_t random_state;

void fuzz_random_reset(void)
{
	random_state = 1;
}

OWN(tls_random);
int __wrap_tls_random(void *out, size_t len)
{
	uint8_t *p = out;

	while (len--) {
		random_state = random_state * UINT64_C(6364136223846793005) + 1;
		*p++ = (uint8_t)(random_state >> 56);
	}
	return 0;
}

OWN(tls_equal);
THEIRS(tls_equal);
bool __wrap_tls_equal(const void *a, const void *b, size_t len)
{
	if (!fuzz_transparent)
		return __real_tls_equal(a, b, len);
	return !memcmp(a, b, len) || !is_bad(a, len);
}

/* ---- AEAD ---- */

struct tls_aead_ctx {
	bool seal;
	struct tls_aead_ctx *real;	/* NULL: transparent */
};

OWN(tls_aead_free);
THEIRS(tls_aead_free);
void __wrap_tls_aead_free(struct tls_aead_ctx *ctx)
{
	if (!ctx)
		return;
	__real_tls_aead_free(ctx->real);
	free(ctx);
}

OWN(tls_aead_new);
THEIRS(tls_aead_new);
int __wrap_tls_aead_new(struct tls_aead_ctx **out, enum tls_aead aead, const uint8_t *key,
			bool seal)
{
	struct tls_aead_ctx *ctx = calloc(1, sizeof(*ctx));
	int err = ctx ? 0 : TLS_ERR_NO_MEMORY;

	if (!err && !fuzz_transparent)
		err = __real_tls_aead_new(&ctx->real, aead, key, seal);
	if (err) {
		free(ctx);
		return err;
	}
	ctx->seal = seal;
	*out = ctx;
	return 0;
}

OWN(tls_aead_seal);
THEIRS(tls_aead_seal);
int __wrap_tls_aead_seal(struct tls_aead_ctx *ctx, const uint8_t nonce[TLS_NONCE_LEN],
			 struct tls_slice ad, const uint8_t *in, size_t len, uint8_t *out)
{
	if (!ctx->seal)
		abort();
	if (ctx->real)
		return __real_tls_aead_seal(ctx->real, nonce, ad, in, len, out);
	if (len)
		memmove(out, in, len);
	memset(out + len, 0, TLS_TAG_LEN);
	return 0;
}

OWN(tls_aead_open);
THEIRS(tls_aead_open);
int __wrap_tls_aead_open(struct tls_aead_ctx *ctx, const uint8_t nonce[TLS_NONCE_LEN],
			 struct tls_slice ad, const uint8_t *in, size_t len, uint8_t *out)
{
	if (ctx->seal || len < TLS_TAG_LEN)
		abort();
	if (ctx->real)
		return __real_tls_aead_open(ctx->real, nonce, ad, in, len, out);
	len -= TLS_TAG_LEN;
	if (is_bad(in + len, TLS_TAG_LEN)) {
		memset(out, 0, len);
		return BAD_TAG;
	}
	if (len)
		memmove(out, in, len);
	return 0;
}

/* ---- key exchange ---- */

struct tls_kex {
	const struct tls_group *group;
};

/* Not on every machine's libcrypto, but its long shares are worth reading. */
static const struct tls_group hybrid = {
	TLS_GROUP_X25519MLKEM768, false, true, 1184 + 32, 1088 + 32, 64,
};
static const struct tls_group *groups[8] = { &hybrid };
static size_t group_count;

THEIRS(tls_groups);
OWN(tls_groups);
const struct tls_group *const *__wrap_tls_groups(size_t *count)
{
	size_t all;
	const struct tls_group *const *real = __real_tls_groups(&all);

	if (!group_count) {
		group_count = 1;
		for (size_t i = 0; i < all; i++) {
			if (real[i]->id != hybrid.id)
				groups[group_count++] = real[i];
		}
	}
	*count = group_count;
	return groups;
}

OWN(tls_group_find);
const struct tls_group *__wrap_tls_group_find(uint16_t id)
{
	size_t count;
	const struct tls_group *const *all = __wrap_tls_groups(&count);

	for (size_t i = 0; i < count; i++) {
		if (all[i]->id == id)
			return all[i];
	}
	return NULL;
}

OWN(tls_kex_initiate);
int __wrap_tls_kex_initiate(struct tls_kex **out, const struct tls_group *group, uint8_t *share)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return TLS_ERR_NO_MEMORY;
	(*out)->group = group;
	memset(share, 4, group->initiator_len);
	return 0;
}

OWN(tls_kex_respond);
int __wrap_tls_kex_respond(const struct tls_group *group, struct tls_slice peer, uint8_t *answer,
			   uint8_t *secret)
{
	if (peer.len != group->initiator_len || is_bad(peer.p, peer.len))
		return BAD_SHARE;
	memset(answer, 4, group->responder_len);
	memset(secret, 5, group->secret_len);
	return 0;
}

OWN(tls_kex_accept);
int __wrap_tls_kex_accept(struct tls_kex **out, const struct tls_group *group,
			  struct tls_slice peer, const uint8_t *random, uint8_t *answer)
{
	(void)random;
	if (peer.len != group->initiator_len || is_bad(peer.p, peer.len))
		return BAD_SHARE;
	memset(answer, 4, group->responder_len);
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return TLS_ERR_NO_MEMORY;
	(*out)->group = group;
	return 0;
}

OWN(tls_kex_agree);
int __wrap_tls_kex_agree(struct tls_kex *kex, uint8_t *secret)
{
	memset(secret, 5, kex->group->secret_len);
	return 0;
}

OWN(tls_kex_finish);
int __wrap_tls_kex_finish(struct tls_kex *kex, struct tls_slice answer, uint8_t *secret)
{
	if (answer.len != kex->group->responder_len || is_bad(answer.p, answer.len))
		return BAD_SHARE;
	memset(secret, 5, kex->group->secret_len);
	return 0;
}

OWN(tls_kex_free);
void __wrap_tls_kex_free(struct tls_kex *kex)
{
	free(kex);
}

/* ---- certificates ---- */

/* Leaves that came before: parsing them is most of a handshake's time. */
static struct tls_certificate *parsed[8];
static size_t parsed_count;

static struct tls_certificate *find_parsed(struct tls_slice der)
{
	for (size_t i = 0; i < parsed_count; i++) {
		struct tls_slice known = tls_certificate_der(parsed[i], 0);

		if (known.len == der.len && !memcmp(known.p, der.p, der.len))
			return parsed[i];
	}
	return NULL;
}

OWN(tls_certificate_from_der);
THEIRS(tls_certificate_from_der);
int __wrap_tls_certificate_from_der(struct tls_certificate **out, struct tls_slice der)
{
	struct tls_certificate *known = find_parsed(der);
	int err;

	if (known) {
		*out = tls_certificate_ref(known);
		return 0;
	}
	err = __real_tls_certificate_from_der(out, der);
	if (!err && parsed_count < sizeof(parsed) / sizeof(*parsed))
		parsed[parsed_count++] = tls_certificate_ref(*out);
	return err;
}

bool fuzz_verify_chains;

THEIRS(tls_path_find);
OWN(tls_path_find);
int __wrap_tls_path_find(STACK_OF(X509) **path, const struct tls_verify_request *req, X509 *leaf,
			 STACK_OF(X509) *untrusted, char why[TLS_VERIFY_TEXT])
{
	if (fuzz_verify_chains)
		return __real_tls_path_find(path, req, leaf, untrusted, why);
	*path = sk_X509_new_null();
	if (!*path || !X509_up_ref(leaf) || sk_X509_push(*path, leaf) <= 0)
		abort();
	return 0;
}

OWN(tls_ocsp_check);
THEIRS(tls_ocsp_check);
int __wrap_tls_ocsp_check(const struct tls_verify_request *req, STACK_OF(X509) *path,
			  struct tls_slice response, int64_t *until, const char **why)
{
	if (fuzz_verify_chains)
		return __real_tls_ocsp_check(req, path, response, until, why);
	*until = INT64_MAX;
	*why = "bad";
	return is_bad(response.p, response.len) ? BAD_SIGNATURE : 0;
}

OWN(tls_certificate_check_signature);
int __wrap_tls_certificate_check_signature(const struct tls_certificate *cert,
					   const struct tls_scheme *scheme, struct tls_slice data,
					   struct tls_slice sig)
{
	(void)cert;
	(void)scheme;
	(void)data;
	return is_bad(sig.p, sig.len) ? BAD_SIGNATURE : 0;
}

OWN(tls_certificate_encrypt);
int __wrap_tls_certificate_encrypt(const struct tls_certificate *cert, struct tls_slice in,
				   uint8_t *out, size_t *out_len)
{
	(void)cert;
	memcpy(out, in.p, in.len);
	*out_len = in.len;
	return 0;
}
