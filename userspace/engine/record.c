// SPDX-License-Identifier: MIT
/* The record layer while a connection is in user space. */
#include <string.h>

#include "record.h"

#define VERSION_MAJOR		3
#define VERSION_FIRST		0x0301	/* in a first ClientHello: RFC 9846 section 5.1 */

#define EXPLICIT_NONCE_LEN	8	/* RFC 5288 section 3 */
/* Most bytes over the plaintext that a protected fragment may have. */
#define EXPANSION_TLS12		2048	/* RFC 5246 section 6.2.3 */
#define EXPANSION_TLS13		256	/* RFC 9846 section 5.2 */

#define ALERT(name)		(TLS_ERR_ALERT + TLS_ALERT_##name)

void tls_record_init(struct tls_record_dir *dir)
{
	*dir = (struct tls_record_dir){ 0 };
}

void tls_record_free(struct tls_record_dir *dir)
{
	tls_aead_free(dir->aead);
	tls_wipe(dir, sizeof(*dir));
}

int tls_record_set_keys(struct tls_record_dir *dir, const struct tls_suite *suite, bool seal,
			const struct tls_direction_keys *keys)
{
	struct tls_aead_ctx *aead;
	int err = tls_aead_new(&aead, suite->aead, keys->key, seal);

	if (err)
		return err;
	tls_aead_free(dir->aead);
	dir->aead = aead;
	dir->suite = suite;
	dir->version = suite->version;
	dir->keys = *keys;
	dir->blocks = 0;
	return 0;
}

void tls_record_get_keys(const struct tls_record_dir *dir, struct tls_direction_keys *keys)
{
	*keys = dir->keys;
}

bool tls_record_worn_out(const struct tls_record_dir *dir)
{
	if (!dir->suite)
		return false;
	/* Kept back: more numbers than one write can need; a full-size record with type and tag, a
	 * KeyUpdate and an alert. */
	return dir->keys.seq >= UINT64_MAX - UINT32_MAX ||
	       (dir->suite->aead != TLS_AEAD_CHACHA20_POLY1305 &&
		dir->blocks + TLS_RECORD_BLOCKS + 2 + 2 * 2 > TLS_RECORD_BLOCKS_MAX);
}

static size_t explicit_len(const struct tls_record_dir *dir)
{
	return dir->suite->iv_len == TLS_NONCE_LEN ? 0 : EXPLICIT_NONCE_LEN;
}

/* Bytes of inner content type. */
static size_t inner_len(const struct tls_record_dir *dir)
{
	return dir->suite->version == TLS_1_3;
}

/* Without keys, application data can only be protected 0-RTT data, for the caller to skip. */
static size_t fragment_limit(const struct tls_record_dir *dir, uint8_t type)
{
	if (!dir->suite)
		return TLS_MAX_PLAINTEXT +
		       (type == TLS_RECORD_APPLICATION_DATA ? EXPANSION_TLS13 : 0);
	return TLS_MAX_PLAINTEXT +
	       (dir->suite->version == TLS_1_3 ? EXPANSION_TLS13 : EXPANSION_TLS12);
}

/* Of a direction with keys: TLS 1.3 may have plaintext among it, of the handshake's beginning. */
static bool is_protected(const struct tls_record_dir *dir, uint8_t type)
{
	return dir->suite->version == TLS_1_2 || type == TLS_RECORD_APPLICATION_DATA;
}

size_t tls_record_overhead(const struct tls_record_dir *dir)
{
	return explicit_len(dir) + inner_len(dir) + TLS_TAG_LEN;
}

/* RFC 9846 section 5.1: ignored; without keys it tells TLS from what is something else. */
static bool version_allowed(const struct tls_record_dir *dir, uint16_t version)
{
	if (dir->version == TLS_1_2)
		return version == TLS_1_2;
	return dir->suite || version >> 8 == VERSION_MAJOR;
}

int tls_record_parse(const struct tls_record_dir *dir, const uint8_t header[TLS_RECORD_HEADER],
		     struct tls_record_header *out)
{
	out->type = header[0];
	out->version = (uint16_t)(header[1] << 8 | header[2]);
	out->len = (uint16_t)(header[3] << 8 | header[4]);
	if (out->type < TLS_RECORD_CHANGE_CIPHER_SPEC || out->type > TLS_RECORD_APPLICATION_DATA)
		return ALERT(UNEXPECTED_MESSAGE);
	/* RFC 5246 section 7.1: what follows one is protected, and no second one is. */
	if (dir->suite && dir->version == TLS_1_2 && out->type == TLS_RECORD_CHANGE_CIPHER_SPEC)
		return ALERT(UNEXPECTED_MESSAGE);
	if (!version_allowed(dir, out->version))
		return ALERT(PROTOCOL_VERSION);
	return out->len > fragment_limit(dir, out->type) ? ALERT(RECORD_OVERFLOW) : 0;
}

static void store64(uint8_t *to, uint64_t v)
{
	for (int i = 7; i >= 0; i--) {
		to[i] = (uint8_t)v;
		v >>= 8;
	}
}

/* explicit_nonce: as read from, or written to, the record; NULL where there is none. */
static void make_nonce(const struct tls_record_dir *dir, const uint8_t *explicit_nonce,
		       uint8_t nonce[TLS_NONCE_LEN])
{
	uint8_t seq[8];

	memcpy(nonce, dir->keys.iv, dir->keys.iv_len);
	if (explicit_nonce) {
		memcpy(nonce + dir->keys.iv_len, explicit_nonce, EXPLICIT_NONCE_LEN);
		return;
	}
	store64(seq, dir->keys.seq);
	for (size_t i = 0; i < sizeof(seq); i++)
		nonce[TLS_NONCE_LEN - sizeof(seq) + i] ^= seq[i];
}

#define AD_MAX	13
#define BLOCK_LEN	16

/* Associated data: the header as sent in TLS 1.3; RFC 5246 section 6.2.3.3 before. */
static struct tls_slice make_ad(const struct tls_record_dir *dir, const uint8_t *header,
				size_t plain_len, uint8_t ad[AD_MAX])
{
	if (dir->suite->version == TLS_1_3)
		return (struct tls_slice){ header, TLS_RECORD_HEADER };
	store64(ad, dir->keys.seq);
	memcpy(ad + 8, header, 3);
	ad[11] = (uint8_t)(plain_len >> 8);
	ad[12] = (uint8_t)plain_len;
	return (struct tls_slice){ ad, AD_MAX };
}

/*
 * Strips the padding and takes the inner type off the end.  The scan's length
 * shows the padding's, as RFC 9846 section 5.4 permits.
 */
static int strip_inner(struct tls_record *out)
{
	if (out->len > TLS_MAX_PLAINTEXT + 1)
		return ALERT(RECORD_OVERFLOW);
	while (out->len && !out->data[out->len - 1])
		out->len--;
	if (!out->len)
		return ALERT(UNEXPECTED_MESSAGE);
	out->type = out->data[--out->len];
	return 0;
}

static int open_protected(struct tls_record_dir *dir, uint8_t *record, struct tls_record *out)
{
	size_t skip = explicit_len(dir);
	uint8_t nonce[TLS_NONCE_LEN], ad[AD_MAX];
	int err;

	if (!is_protected(dir, out->type))
		return ALERT(UNEXPECTED_MESSAGE);
	if (out->len < tls_record_overhead(dir))
		return ALERT(BAD_RECORD_MAC);
	if (dir->keys.seq == UINT64_MAX)
		return TLS_ERR_EXHAUSTED;
	make_nonce(dir, skip ? out->data : NULL, nonce);
	out->data += skip;
	out->len -= skip;
	err = tls_aead_open(dir->aead, nonce,
			    make_ad(dir, record, out->len - TLS_TAG_LEN, ad), out->data, out->len,
			    out->data);
	if (err)
		return err;
	dir->keys.seq++;
	out->len -= TLS_TAG_LEN;
	if (dir->suite->version == TLS_1_3)
		return strip_inner(out);
	return out->len > TLS_MAX_PLAINTEXT ? ALERT(RECORD_OVERFLOW) : 0;
}

int tls_record_open(struct tls_record_dir *dir, uint8_t *record, size_t len, struct tls_record *out)
{
	*out = (struct tls_record){
		.type = record[0],
		.data = record + TLS_RECORD_HEADER,
		.len = len - TLS_RECORD_HEADER,
	};
	return dir->suite ? open_protected(dir, record, out) : 0;
}

static void put_header(const struct tls_record_dir *dir, uint8_t *to, uint8_t type, size_t len)
{
	uint16_t version = dir->version ? TLS_1_2 : VERSION_FIRST;

	to[0] = dir->suite && dir->suite->version == TLS_1_3 ? TLS_RECORD_APPLICATION_DATA : type;
	to[1] = (uint8_t)(version >> 8);
	to[2] = (uint8_t)version;
	to[3] = (uint8_t)(len >> 8);
	to[4] = (uint8_t)len;
}

/* to has room for header and fragment. */
static int seal_protected(struct tls_record_dir *dir, uint8_t type, const uint8_t *data,
			  size_t len, uint8_t *to)
{
	size_t skip = explicit_len(dir), inner = inner_len(dir);
	uint8_t *text = to + TLS_RECORD_HEADER + skip;
	uint8_t nonce[TLS_NONCE_LEN], ad[AD_MAX];
	int err;

	put_header(dir, to, type, skip + len + inner + TLS_TAG_LEN);
	if (skip)
		store64(to + TLS_RECORD_HEADER, dir->keys.seq);
	make_nonce(dir, skip ? to + TLS_RECORD_HEADER : NULL, nonce);
	/* In one pass from where the caller has it, unless the inner type must follow it. */
	if (inner) {
		if (len)
			memcpy(text, data, len);
		text[len] = type;
		data = text;
	}
	err = tls_aead_seal(dir->aead, nonce, make_ad(dir, to, len, ad), data, len + inner, text);
	if (err)
		return err;
	dir->keys.seq++;
	dir->blocks += (len + inner + BLOCK_LEN - 1) / BLOCK_LEN + 1;
	return 0;
}

static size_t sealed_len(const struct tls_record_dir *dir, size_t len)
{
	if (!dir->suite)
		return TLS_RECORD_HEADER + len;
	return TLS_RECORD_HEADER + explicit_len(dir) + len + inner_len(dir) + TLS_TAG_LEN;
}

static int seal_one(struct tls_record_dir *dir, uint8_t type, const uint8_t *data, size_t len,
		    uint8_t *to)
{
	if (dir->suite)
		return seal_protected(dir, type, data, len, to);
	put_header(dir, to, type, len);
	if (len)
		memcpy(to + TLS_RECORD_HEADER, data, len);
	return 0;
}

int tls_record_seal(struct tls_record_dir *dir, uint8_t type, const uint8_t *data, size_t len,
		    struct tls_buf *out)
{
	size_t max = dir->limit && (dir->suite || dir->limits_plaintext) ? dir->limit :
		     TLS_MAX_PLAINTEXT;
	size_t full = len / max, tail = len % max;
	size_t records = full + (tail || !len), before = out->len, need, n;
	uint8_t *to;
	int err = 0;

	/* RFC 9846 section 5.3: never wrap.  The last number is left unused, the one before it is
	 * for the alert that says so. */
	if (dir->suite && records > UINT64_MAX - (type != TLS_RECORD_ALERT) - dir->keys.seq)
		return TLS_ERR_EXHAUSTED;
	need = full * sealed_len(dir, max) +
	       (records > full ? sealed_len(dir, tail) : 0);
	/* Asked first, for a write beyond the limit would stick to out. */
	if (!out->failed && need > out->limit - out->len)
		return TLS_ERR_SPACE;
	to = tls_put_space(out, need);
	if (!to)
		return tls_buf_error(out);
	for (; !err && records; records--) {
		n = len < max ? len : max;
		err = seal_one(dir, type, data, n, to);
		to += sealed_len(dir, n);
		data = n ? data + n : data;
		len -= n;
	}
	if (err)
		tls_buf_truncate(out, before);
	return err;
}
