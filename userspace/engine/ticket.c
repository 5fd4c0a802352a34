// SPDX-License-Identifier: MIT
/*
 * Tickets: key name, nonce, and the session's bytes sealed by AES-256-GCM; the name is
 * authenticated with them.  Nonces are random, which is good for 2^32 tickets a key.  No key
 * lives long enough to seal so many.
 */
#include <string.h>

#include "session.h"

#define NAME_LEN	sizeof(((struct tls_ticket_key *)0)->name)
#define OVERHEAD	(NAME_LEN + TLS_NONCE_LEN + TLS_TAG_LEN)

int tls_ticket_seal(const struct tls_ticket_key *key, const uint8_t nonce[TLS_NONCE_LEN],
		    struct tls_slice state, struct tls_buf *out)
{
	const struct tls_slice name = { key->name, NAME_LEN };
	uint8_t *p = tls_put_space(out, OVERHEAD + state.len);
	struct tls_aead_ctx *aead = NULL;
	int err = tls_buf_error(out);

	if (err)
		return err;
	memcpy(p, key->name, NAME_LEN);
	p += NAME_LEN;
	memcpy(p, nonce, TLS_NONCE_LEN);
	err = tls_aead_new(&aead, TLS_AEAD_AES_256_GCM, key->key, true);
	if (!err)
		err = tls_aead_seal(aead, nonce, name, state.p, state.len, p + TLS_NONCE_LEN);
	tls_aead_free(aead);
	return err;
}

static int open_with(const struct tls_ticket_key *key, struct tls_slice ticket,
		     struct tls_buf *state)
{
	const uint8_t *nonce = ticket.p + NAME_LEN;
	size_t len = ticket.len - NAME_LEN - TLS_NONCE_LEN;
	uint8_t *out = tls_put_space(state, len - TLS_TAG_LEN);
	struct tls_aead_ctx *aead = NULL;
	int err = tls_buf_error(state);

	if (!err)
		err = tls_aead_new(&aead, TLS_AEAD_AES_256_GCM, key->key, false);
	if (!err)
		err = tls_aead_open(aead, nonce, (struct tls_slice){ ticket.p, NAME_LEN },
				    nonce + TLS_NONCE_LEN, len, out);
	tls_aead_free(aead);
	return TLS_ERR_CLASS(err) == TLS_ERR_ALERT ? TLS_ERR_ARGUMENT : err;
}

int tls_ticket_open(const struct tls_ticket_key *keys, size_t count, struct tls_slice ticket,
		    struct tls_buf *state, size_t *key)
{
	*key = 0;
	if (ticket.len <= OVERHEAD || ticket.len > TLS_MAX_TICKET)
		return TLS_ERR_ARGUMENT;
	for (; *key < count; ++*key) {
		if (!memcmp(keys[*key].name, ticket.p, NAME_LEN))
			return open_with(&keys[*key], ticket, state);
	}
	return TLS_ERR_ARGUMENT;
}
