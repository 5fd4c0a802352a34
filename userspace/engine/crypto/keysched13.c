// SPDX-License-Identifier: MIT
/* TLS 1.3 key schedule, RFC 9846 section 7. */
#include <string.h>

#include "crypto/keysched13.h"

static const uint8_t zeros[TLS_MAX_HASH];
static const struct tls_slice none = { zeros, 0 };

int tls_keysched_init(struct tls_keysched *ks, enum tls_hash hash)
{
	*ks = (struct tls_keysched){ .hash = hash, .len = tls_hash_size(hash) };
	return tls_hmac_new(&ks->hmac, hash);
}

void tls_keysched_free(struct tls_keysched *ks)
{
	tls_hmac_free(ks->hmac);
	tls_wipe(ks, sizeof(*ks));
}

static struct tls_slice digest(const struct tls_keysched *ks, const uint8_t *p)
{
	return (struct tls_slice){ p, ks->len };
}

int tls_keysched_early(struct tls_keysched *ks, struct tls_slice psk)
{
	return tls_hkdf_extract(ks->hmac, digest(ks, zeros), psk.len ? psk : digest(ks, zeros),
				ks->secret);
}

/* From one stage to the next, which mixes in ikm. */
static int advance(struct tls_keysched *ks, struct tls_slice ikm)
{
	uint8_t salt[TLS_MAX_HASH];
	int err = tls_hkdf_expand_label(ks->hmac, ks->secret, "derived",
					digest(ks, tls_hash_empty(ks->hash)), salt, ks->len);

	if (!err)
		err = tls_hkdf_extract(ks->hmac, digest(ks, salt), ikm, ks->secret);
	tls_wipe(salt, sizeof(salt));
	return err;
}

int tls_keysched_handshake(struct tls_keysched *ks, struct tls_slice shared)
{
	return advance(ks, shared);
}

int tls_keysched_master(struct tls_keysched *ks)
{
	return advance(ks, digest(ks, zeros));
}

int tls_keysched_derive(struct tls_keysched *ks, const char *label, const uint8_t *transcript,
			uint8_t *out)
{
	return tls_hkdf_expand_label(ks->hmac, ks->secret, label, digest(ks, transcript), out,
				     ks->len);
}

int tls_keysched_finished(struct tls_keysched *ks, const uint8_t *traffic_secret,
			  const uint8_t *transcript, uint8_t *out)
{
	const struct tls_slice part = digest(ks, transcript);
	uint8_t key[TLS_MAX_HASH];
	int err = tls_hkdf_expand_label(ks->hmac, traffic_secret, "finished", none, key, ks->len);

	if (!err)
		err = tls_hmac_run(ks->hmac, digest(ks, key), &part, 1, out);
	tls_wipe(key, sizeof(key));
	return err;
}

int tls_keysched_binder(struct tls_keysched *ks, const char *label, const uint8_t *transcript,
			uint8_t *out)
{
	uint8_t key[TLS_MAX_HASH];
	int err = tls_keysched_derive(ks, label, tls_hash_empty(ks->hash), key);

	/* A binder is a Finished under the binder key (RFC 9846 section 4.3.11.2). */
	if (!err)
		err = tls_keysched_finished(ks, key, transcript, out);
	tls_wipe(key, sizeof(key));
	return err;
}

int tls_keysched_keys(struct tls_keysched *ks, const struct tls_suite *suite,
		      const uint8_t *traffic_secret, struct tls_direction_keys *keys)
{
	int err;

	*keys = (struct tls_direction_keys){
		.key_len = (uint8_t)tls_aead_key_size(suite->aead),
		.iv_len = suite->iv_len,
		.secret_len = (uint8_t)ks->len,
	};
	memcpy(keys->secret, traffic_secret, ks->len);
	err = tls_hkdf_expand_label(ks->hmac, traffic_secret, "key", none, keys->key,
				    keys->key_len);
	if (!err)
		err = tls_hkdf_expand_label(ks->hmac, traffic_secret, "iv", none, keys->iv,
					    keys->iv_len);
	if (err)
		tls_wipe(keys, sizeof(*keys));
	return err;
}

int tls_keysched_update(struct tls_keysched *ks, uint8_t *traffic_secret)
{
	return tls_hkdf_expand_label(ks->hmac, traffic_secret, "traffic upd", none, traffic_secret,
				     ks->len);
}

int tls_keysched_ticket_psk(struct tls_keysched *ks, const uint8_t *resumption,
			    struct tls_slice nonce, uint8_t *out)
{
	return tls_hkdf_expand_label(ks->hmac, resumption, "resumption", nonce, out, ks->len);
}

int tls_keysched_export(struct tls_keysched *ks, const uint8_t *exporter, const char *label,
			struct tls_slice context, uint8_t *out, size_t out_len)
{
	uint8_t secret[TLS_MAX_HASH], hash[TLS_MAX_HASH];
	int err = tls_hash(ks->hash, context.p, context.len, hash);

	if (!err)
		err = tls_hkdf_expand_label(ks->hmac, exporter, label,
					    digest(ks, tls_hash_empty(ks->hash)), secret, ks->len);
	if (!err)
		err = tls_hkdf_expand_label(ks->hmac, secret, "exporter", digest(ks, hash), out,
					    out_len);
	tls_wipe(secret, sizeof(secret));
	return err;
}
