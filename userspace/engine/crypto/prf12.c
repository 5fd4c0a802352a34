// SPDX-License-Identifier: MIT
/* TLS 1.2 derivations. */
#include <string.h>

#include "crypto/prf12.h"

#define PRF_MAX_SEED	4	/* parts, the label not counted */

/* P_hash of RFC 5246 section 5; parts[0] is left free for A(i). */
static int p_hash(struct tls_hmac *hmac, struct tls_slice secret, struct tls_slice *parts,
		  size_t count, uint8_t *out, size_t out_len)
{
	size_t size = tls_hash_size(tls_hmac_hash(hmac)), n;
	uint8_t a[TLS_MAX_HASH], block[TLS_MAX_HASH];
	int err = tls_hmac_run(hmac, secret, parts + 1, count - 1, a);

	parts[0] = (struct tls_slice){ a, size };
	while (!err && out_len) {
		n = out_len < size ? out_len : size;
		err = tls_hmac_run(hmac, secret, parts, count, block);
		if (err)
			break;
		memcpy(out, block, n);
		out += n;
		out_len -= n;
		err = tls_hmac_run(hmac, secret, parts, 1, a);
	}
	tls_wipe(a, sizeof(a));
	tls_wipe(block, sizeof(block));
	return err;
}

int tls_prf12(enum tls_hash hash, struct tls_slice secret, const char *label,
	      const struct tls_slice *seed, size_t count, uint8_t *out, size_t out_len)
{
	struct tls_slice parts[2 + PRF_MAX_SEED];
	struct tls_hmac *hmac;
	int err;

	if (count > PRF_MAX_SEED)
		return TLS_ERR_ARGUMENT;
	err = tls_hmac_new(&hmac, hash);
	if (err)
		return err;
	parts[1] = (struct tls_slice){ (const uint8_t *)label, strlen(label) };
	memcpy(parts + 2, seed, count * sizeof(*seed));
	err = p_hash(hmac, secret, parts, 2 + count, out, out_len);
	tls_hmac_free(hmac);
	return err;
}

int tls_prf12_master(enum tls_hash hash, struct tls_slice premaster,
		     const uint8_t client_random[TLS_RANDOM_LEN],
		     const uint8_t server_random[TLS_RANDOM_LEN], uint8_t master[TLS12_MASTER_LEN])
{
	const struct tls_slice seed[] = {
		{ client_random, TLS_RANDOM_LEN },
		{ server_random, TLS_RANDOM_LEN },
	};

	return tls_prf12(hash, premaster, "master secret", seed, 2, master, TLS12_MASTER_LEN);
}

int tls_prf12_extended_master(enum tls_hash hash, struct tls_slice premaster,
			      const uint8_t *session_hash, uint8_t master[TLS12_MASTER_LEN])
{
	const struct tls_slice seed = { session_hash, tls_hash_size(hash) };

	return tls_prf12(hash, premaster, "extended master secret", &seed, 1, master,
			 TLS12_MASTER_LEN);
}

static const uint8_t *cut(const uint8_t *block, uint8_t *out, size_t len)
{
	memcpy(out, block, len);
	return block + len;
}

int tls_prf12_keys(const struct tls_suite *suite, const uint8_t master[TLS12_MASTER_LEN],
		   const uint8_t client_random[TLS_RANDOM_LEN],
		   const uint8_t server_random[TLS_RANDOM_LEN],
		   struct tls_direction_keys *client, struct tls_direction_keys *server)
{
	const struct tls_direction_keys blank = {
		.key_len = (uint8_t)tls_aead_key_size(suite->aead),
		.iv_len = suite->iv_len,
	};
	/* RFC 5246 section 6.3: here the server's random is first */
	const struct tls_slice seed[] = {
		{ server_random, TLS_RANDOM_LEN },
		{ client_random, TLS_RANDOM_LEN },
	};
	uint8_t block[2 * (TLS_MAX_KEY + TLS_MAX_IV)];
	const uint8_t *p = block;
	int err = tls_prf12(suite->hash, (struct tls_slice){ master, TLS12_MASTER_LEN },
			    "key expansion", seed, 2, block, 2u * (blank.key_len + blank.iv_len));

	*client = *server = blank;
	if (!err) {
		p = cut(p, client->key, blank.key_len);
		p = cut(p, server->key, blank.key_len);
		p = cut(p, client->iv, blank.iv_len);
		cut(p, server->iv, blank.iv_len);
	}
	tls_wipe(block, sizeof(block));
	return err;
}

int tls_prf12_finished(enum tls_hash hash, const uint8_t master[TLS12_MASTER_LEN],
		       enum tls_role sender, const uint8_t *transcript,
		       uint8_t out[TLS12_VERIFY_LEN])
{
	const struct tls_slice seed = { transcript, tls_hash_size(hash) };

	return tls_prf12(hash, (struct tls_slice){ master, TLS12_MASTER_LEN },
			 sender == TLS_CLIENT ? "client finished" : "server finished", &seed, 1,
			 out, TLS12_VERIFY_LEN);
}
