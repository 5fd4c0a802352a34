// SPDX-License-Identifier: MIT
/* The running hash over all handshake messages. */
#include "transcript.h"

#define MESSAGE_HASH	254

static const struct tls_slice none;

void tls_transcript_free(struct tls_transcript *t)
{
	for (int i = 0; i < TLS_HASH_COUNT; i++) {
		tls_hash_free(t->run[i]);
		t->run[i] = NULL;
	}
}

int tls_transcript_init(struct tls_transcript *t)
{
	int err = 0;

	*t = (struct tls_transcript){ .hash = TLS_HASH_COUNT };
	for (int i = 0; !err && i < TLS_HASH_COUNT; i++)
		err = tls_hash_new(&t->run[i], i);
	if (err)
		tls_transcript_free(t);
	return err;
}

int tls_transcript_add(struct tls_transcript *t, const void *data, size_t len)
{
	int err = 0;

	for (int i = 0; !err && i < TLS_HASH_COUNT; i++) {
		if (t->run[i])
			err = tls_hash_update(t->run[i], data, len);
	}
	return err;
}

void tls_transcript_choose(struct tls_transcript *t, enum tls_hash hash, bool keep_others)
{
	t->hash = hash;
	for (int i = 0; !keep_others && i < TLS_HASH_COUNT; i++) {
		if (i == (int)hash)
			continue;
		tls_hash_free(t->run[i]);
		t->run[i] = NULL;
	}
}

int tls_transcript_digest_with(const struct tls_transcript *t, enum tls_hash hash,
			       struct tls_slice extra, uint8_t *out)
{
	if (hash >= TLS_HASH_COUNT || !t->run[hash])
		return TLS_ERR_STATE;
	return tls_hash_peek(t->run[hash], extra, out);
}

int tls_transcript_digest(const struct tls_transcript *t, uint8_t *out)
{
	return tls_transcript_digest_with(t, t->hash, none, out);
}

static int to_message_hash(struct tls_hash_ctx *run, enum tls_hash hash)
{
	uint8_t len = (uint8_t)tls_hash_size(hash), digest[TLS_MAX_HASH];
	uint8_t header[] = { MESSAGE_HASH, 0, 0, len };
	int err = tls_hash_peek(run, none, digest);

	if (!err)
		err = tls_hash_restart(run);
	if (!err)
		err = tls_hash_update(run, header, sizeof(header));
	if (!err)
		err = tls_hash_update(run, digest, len);
	return err;
}

int tls_transcript_hello_retry(struct tls_transcript *t)
{
	int err = 0;

	for (int i = 0; !err && i < TLS_HASH_COUNT; i++) {
		if (t->run[i])
			err = to_message_hash(t->run[i], i);
	}
	return err;
}
