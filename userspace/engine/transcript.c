// SPDX-License-Identifier: MIT
/* The running hash over all handshake messages. */
#include "transcript.h"

#define MESSAGE_HASH	254
/* Above all that machine.c takes and sends until a CertificateVerify: less than eight messages of
 * 64 KiB. */
#define MAX_MESSAGES	(1 << 19)

static const struct tls_slice none;

void tls_transcript_init(struct tls_transcript *t)
{
	*t = (struct tls_transcript){ .hash = TLS_HASH_COUNT };
	tls_buf_init(&t->messages, MAX_MESSAGES);
}

void tls_transcript_free(struct tls_transcript *t)
{
	tls_hash_free(t->run);
	t->run = NULL;
	tls_buf_free(&t->messages);
}

int tls_transcript_add(struct tls_transcript *t, const void *data, size_t len)
{
	if (!t->run || t->keep)
		tls_put_bytes(&t->messages, data, len);
	if (t->messages.failed)
		return tls_buf_error(&t->messages);
	return t->run ? tls_hash_update(t->run, data, len) : 0;
}

int tls_transcript_choose(struct tls_transcript *t, enum tls_hash hash, bool keep)
{
	int err;

	if (t->run)
		return t->hash == hash ? 0 : TLS_ERR_STATE;
	err = tls_hash_new(&t->run, hash);
	if (!err)
		err = tls_hash_update(t->run, t->messages.data, t->messages.len);
	if (err)
		return err;
	t->hash = hash;
	t->keep = keep;
	if (!keep)
		tls_transcript_drop(t);
	return 0;
}

struct tls_slice tls_transcript_messages(const struct tls_transcript *t)
{
	return (struct tls_slice){ t->messages.data, t->messages.len };
}

void tls_transcript_drop(struct tls_transcript *t)
{
	t->keep = false;
	tls_buf_free(&t->messages);
}

int tls_transcript_digest_with(const struct tls_transcript *t, enum tls_hash hash,
			       struct tls_slice extra, uint8_t *out)
{
	if (t->run)
		return t->hash == hash ? tls_hash_peek(t->run, extra, out) : TLS_ERR_STATE;
	if (hash >= TLS_HASH_COUNT || t->messages.len)
		return TLS_ERR_STATE;
	return tls_hash(hash, extra.p, extra.len, out);
}

int tls_transcript_digest(const struct tls_transcript *t, uint8_t *out)
{
	return tls_transcript_digest_with(t, t->hash, none, out);
}

int tls_transcript_hello_retry(struct tls_transcript *t)
{
	uint8_t len = (uint8_t)tls_hash_size(t->hash), digest[TLS_MAX_HASH];
	uint8_t header[] = { MESSAGE_HASH, 0, 0, len };
	int err = tls_transcript_digest(t, digest);

	if (!err)
		err = tls_hash_restart(t->run);
	if (!err)
		err = tls_hash_update(t->run, header, sizeof(header));
	return err ? err : tls_hash_update(t->run, digest, len);
}
