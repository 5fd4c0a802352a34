// SPDX-License-Identifier: MIT
/*
 * Record protection: every suite there and back, known answers made by
 * libcrypto alone, and each way a record can be wrong.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "engine/record.h"
#include "tap.h"

#define ALERT(name)	(TLS_ERR_ALERT + TLS_ALERT_##name)

struct pair {
	const struct tls_suite *suite;
	struct tls_record_dir out, in;
	struct tls_direction_keys keys;
	struct tls_buf buf;
};

static void must(int err, const char *what)
{
	if (err)
		tap_bail("%s: %s", what, tls_strerror(err));
}

static void make_keys(const struct tls_suite *suite, uint64_t seq, struct tls_direction_keys *keys)
{
	*keys = (struct tls_direction_keys){
		.key_len = (uint8_t)tls_aead_key_size(suite->aead),
		.iv_len = suite->iv_len,
		.seq = seq,
	};
	for (unsigned int i = 0; i < keys->key_len; i++)
		keys->key[i] = (uint8_t)(0x10 + i);
	for (unsigned int i = 0; i < keys->iv_len; i++)
		keys->iv[i] = (uint8_t)(0xa0 + i);
}

static void pair_new(struct pair *p, uint16_t id, uint64_t seq)
{
	*p = (struct pair){ .suite = tls_suite_find(id), .buf.limit = 1 << 18 };
	make_keys(p->suite, seq, &p->keys);
	must(tls_record_set_keys(&p->out, p->suite, true, &p->keys), "writer");
	must(tls_record_set_keys(&p->in, p->suite, false, &p->keys), "reader");
}

static void pair_free(struct pair *p)
{
	tls_record_free(&p->out);
	tls_record_free(&p->in);
	tls_record_free(&p->in);
	tls_buf_free(&p->buf);
}

/* Parses and opens the record at the front of buf; *len is its whole length. */
static int open_at(struct tls_record_dir *dir, uint8_t *data, size_t avail,
		   struct tls_record *record, size_t *len)
{
	struct tls_record_header header;
	int err = tls_record_parse(dir, data, &header);

	if (err)
		return err;
	*len = TLS_RECORD_HEADER + header.len;
	if (*len > avail)
		tap_bail("a record is shorter than its header says");
	return tls_record_open(dir, data, *len, record);
}

static int seal_open(struct pair *p, uint8_t type, const void *data, size_t n,
		     struct tls_record *record)
{
	size_t len = 0;

	tls_buf_reset(&p->buf);
	must(tls_record_seal(&p->out, type, data, n, &p->buf), "seal");
	return open_at(&p->in, p->buf.data, p->buf.len, record, &len);
}

static void test_round_trip(uint16_t id)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 17, 1000, TLS_MAX_PLAINTEXT };
	const char *name = tls_suite_name(id);
	uint8_t *data = malloc(TLS_MAX_PLAINTEXT);
	struct tls_record record;
	struct pair p;
	bool ok = data;

	pair_new(&p, id, 0);
	for (size_t i = 0; ok && i < TLS_MAX_PLAINTEXT; i++)
		data[i] = (uint8_t)(i * 31);
	for (size_t i = 0; ok && i < sizeof(sizes) / sizeof(sizes[0]); i++)
		ok = !seal_open(&p, TLS_RECORD_APPLICATION_DATA, data, sizes[i], &record) &&
		     record.type == TLS_RECORD_APPLICATION_DATA && record.len == sizes[i] &&
		     !memcmp(record.data, data, sizes[i]);
	tap_ok(ok, "%s: records of many sizes, there and back", name);
	ok = !seal_open(&p, TLS_RECORD_ALERT, "\x01", 2, &record) &&
	     record.type == TLS_RECORD_ALERT && record.len == 2;
	tap_ok(ok, "%s: the content type survives", name);
	tap_ok(p.in.keys.seq == 8 && p.out.keys.seq == 8, "%s: each record counts once", name);
	pair_free(&p);
	free(data);
}

static void test_fragments(uint16_t id)
{
	const size_t total = 2 * TLS_MAX_PLAINTEXT + 1;
	uint8_t *data = calloc(1, total);
	size_t at = 0, got = 0, len = 0, records = 0;
	struct tls_record record;
	struct pair p;

	pair_new(&p, id, 0);
	must(tls_record_seal(&p.out, TLS_RECORD_HANDSHAKE, data, total, &p.buf), "seal");
	while (at < p.buf.len) {
		must(open_at(&p.in, p.buf.data + at, p.buf.len - at, &record, &len), "open");
		at += len;
		got += record.len;
		records++;
	}
	tap_ok(got == total && records == 3, "%s: 32769 bytes become three records",
	       tls_suite_name(id));
	pair_free(&p);
	free(data);
}

/* The record by libcrypto alone, nonce and associated data spelled out. */
static void known_answer(const EVP_CIPHER *cipher, const uint8_t *key, const char *nonce,
			 const char *ad, const char *text, uint8_t *out)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	struct tls_slice aad = tap_hex(ad), in = tap_hex(text);
	int n;

	if (EVP_EncryptInit_ex(ctx, cipher, NULL, key, tap_hex(nonce).p) != 1 ||
	    EVP_EncryptUpdate(ctx, NULL, &n, aad.p, (int)aad.len) != 1 ||
	    EVP_EncryptUpdate(ctx, out, &n, in.p, (int)in.len) != 1 ||
	    EVP_EncryptFinal_ex(ctx, out + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16, out + in.len) != 1)
		tap_bail("libcrypto");
	EVP_CIPHER_CTX_free(ctx);
}

static void check_known(uint16_t id, const EVP_CIPHER *cipher, const char *header,
			const char *nonce, const char *ad, const char *text)
{
	struct tls_slice head = tap_hex(header);
	size_t len = tap_hex(text).len;
	uint8_t want[64];
	struct pair p;

	pair_new(&p, id, 0x0102030405060708);
	must(tls_record_seal(&p.out, TLS_RECORD_APPLICATION_DATA, (const uint8_t *)"hello", 5,
			     &p.buf), "seal");
	known_answer(cipher, p.keys.key, nonce, ad, text, want);
	tap_ok(p.buf.len == head.len + len + 16 && !memcmp(p.buf.data, head.p, head.len) &&
	       !memcmp(p.buf.data + head.len, want, len + 16), "%s: known answer",
	       tls_suite_name(id));
	pair_free(&p);
}

static void test_known_answers(void)
{
	/* 5 bytes, the explicit nonce is the sequence number */
	check_known(0xc02f, EVP_aes_128_gcm(), "170303001d 0102030405060708",
		    "a0a1a2a3 0102030405060708", "0102030405060708 170303 0005", "68656c6c6f");
	check_known(0xc030, EVP_aes_256_gcm(), "170303001d 0102030405060708",
		    "a0a1a2a3 0102030405060708", "0102030405060708 170303 0005", "68656c6c6f");
	/* RFC 7905: IV xor sequence number, nothing explicit */
	check_known(0xcca8, EVP_chacha20_poly1305(), "1703030015",
		    "a0a1a2a3 a5a7a5a3adafada3", "0102030405060708 170303 0005", "68656c6c6f");
	/* TLS 1.3: inner type 23, the header is the associated data */
	check_known(0x1301, EVP_aes_128_gcm(), "1703030016", "a0a1a2a3 a5a7a5a3adafada3",
		    "1703030016", "68656c6c6f17");
	check_known(0x1302, EVP_aes_256_gcm(), "1703030016", "a0a1a2a3 a5a7a5a3adafada3",
		    "1703030016", "68656c6c6f17");
	check_known(0x1303, EVP_chacha20_poly1305(), "1703030016", "a0a1a2a3 a5a7a5a3adafada3",
		    "1703030016", "68656c6c6f17");
}

/* Each byte of a record is covered: a change anywhere must not open. */
static void test_tampering(uint16_t id)
{
	const char *name = tls_suite_name(id);
	struct tls_record record;
	unsigned int refused = 0, tried = 0;
	uint8_t copy[64];
	struct pair p;

	pair_new(&p, id, 5);
	must(tls_record_seal(&p.out, TLS_RECORD_HANDSHAKE, (const uint8_t *)"data", 4, &p.buf),
	     "seal");
	for (size_t i = TLS_RECORD_HEADER; i < p.buf.len; i++, tried++) {
		memcpy(copy, p.buf.data, p.buf.len);
		copy[i] ^= 0x80;
		refused += tls_record_open(&p.in, copy, p.buf.len, &record) ==
			   ALERT(BAD_RECORD_MAC);
	}
	tap_ok(refused == tried && tried >= 20, "%s: a flipped bit in any byte is bad_record_mac",
	       name);
	tap_ok(p.in.keys.seq == 5, "%s: refused records do not count", name);
	memcpy(copy, p.buf.data, p.buf.len);
	copy[2] ^= 1;
	tap_equal(tls_record_open(&p.in, copy, p.buf.len, &record), ALERT(BAD_RECORD_MAC),
		  "%s: the header is authenticated", name);
	p.in.keys.seq = 6;
	memcpy(copy, p.buf.data, p.buf.len);
	tap_equal(tls_record_open(&p.in, copy, p.buf.len, &record), ALERT(BAD_RECORD_MAC),
		  "%s: a record out of sequence is bad_record_mac", name);
	p.in.keys.seq = 5;
	for (size_t n = 0; n < TLS_TAG_LEN; n++) {
		memcpy(copy, p.buf.data, p.buf.len);
		refused -= tls_record_open(&p.in, copy, TLS_RECORD_HEADER + n, &record) ==
			   ALERT(BAD_RECORD_MAC);
	}
	tap_equal((long)refused, (long)tried - TLS_TAG_LEN, "%s: no room for a tag", name);
	tap_equal(tls_record_open(&p.in, p.buf.data, p.buf.len, &record), 0,
		  "%s: untouched, it opens", name);
	pair_free(&p);
}

static void check_header(const struct tls_record_dir *dir, const char *hex, int want,
			 const char *what)
{
	struct tls_record_header header;

	tap_equal(tls_record_parse(dir, tap_hex(hex).p, &header), want, "header: %s", what);
}

static void test_headers(void)
{
	struct tls_record_dir fresh = { 0 };
	struct pair p12, p13;

	pair_new(&p12, 0xc02f, 0);
	pair_new(&p13, 0x1301, 0);
	check_header(&fresh, "1603010005", 0, "3.1 before negotiation");
	check_header(&fresh, "1603040005", 0, "3.4 before negotiation");
	check_header(&fresh, "1602000005", ALERT(PROTOCOL_VERSION), "2.0");
	check_header(&fresh, "474554202f", ALERT(UNEXPECTED_MESSAGE), "HTTP is no TLS");
	check_header(&fresh, "1303030005", ALERT(UNEXPECTED_MESSAGE), "content type 19");
	check_header(&fresh, "1803030005", ALERT(UNEXPECTED_MESSAGE), "heartbeat");
	check_header(&fresh, "1603034000", 0, "2^14 bytes of plaintext");
	check_header(&fresh, "1603034001", ALERT(RECORD_OVERFLOW), "2^14 + 1");
	check_header(&p12.in, "1703034800", 0, "TLS 1.2: 2^14 + 2048");
	check_header(&p12.in, "1703034801", ALERT(RECORD_OVERFLOW), "TLS 1.2: 2^14 + 2049");
	check_header(&p12.in, "1703010010", ALERT(PROTOCOL_VERSION), "TLS 1.2: version 3.1");
	check_header(&p13.in, "1703034100", 0, "TLS 1.3: 2^14 + 256");
	check_header(&p13.in, "1703034101", ALERT(RECORD_OVERFLOW), "TLS 1.3: 2^14 + 257");
	check_header(&p13.in, "1703010011", 0, "TLS 1.3 ignores the version");
	check_header(&p13.in, "1702000011", 0, "TLS 1.3 ignores it all");
	check_header(&p12.in, "1403030001", ALERT(UNEXPECTED_MESSAGE), "a second CCS");
	tap_equal((long)tls_record_overhead(&p12.in), 24, "TLS 1.2: nonce and tag");
	tap_equal((long)tls_record_overhead(&p13.in), 17, "TLS 1.3: type and tag");
	pair_free(&p12);
	pair_free(&p13);
}

/* A TLS 1.3 record whose inner plaintext (type and padding included) is text. */
static int open_inner(struct pair *p, const uint8_t *text, size_t len, struct tls_record *record)
{
	struct tls_aead_ctx *aead;
	uint8_t nonce[TLS_NONCE_LEN];
	uint8_t *to;

	tls_buf_reset(&p->buf);
	tls_put_u8(&p->buf, TLS_RECORD_APPLICATION_DATA);
	tls_put_u16(&p->buf, TLS_1_2);
	tls_put_u16(&p->buf, (uint16_t)(len + TLS_TAG_LEN));
	to = tls_put_space(&p->buf, len + TLS_TAG_LEN);
	memcpy(nonce, p->keys.iv, TLS_NONCE_LEN);
	nonce[TLS_NONCE_LEN - 1] ^= (uint8_t)p->in.keys.seq;
	must(tls_aead_new(&aead, p->suite->aead, p->keys.key, true), "aead");
	must(tls_aead_seal(aead, nonce, (struct tls_slice){ p->buf.data, TLS_RECORD_HEADER }, text,
			   len, to), "seal");
	tls_aead_free(aead);
	return tls_record_open(&p->in, p->buf.data, p->buf.len, record);
}

static void test_inner(void)
{
	uint8_t *big = calloc(1, TLS_MAX_PLAINTEXT + 200);
	struct tls_record record;
	struct pair p;

	pair_new(&p, 0x1301, 0);
	tap_equal(open_inner(&p, tap_hex("6162631700000000").p, 8, &record), 0, "padding");
	tap_ok(record.type == 23 && record.len == 3 && !memcmp(record.data, "abc", 3),
	       "is taken off");
	tap_equal(open_inner(&p, tap_hex("15").p, 1, &record), 0, "a type alone");
	tap_ok(record.type == 21 && !record.len, "is an empty record");
	tap_equal(open_inner(&p, tap_hex("00000000").p, 4, &record), ALERT(UNEXPECTED_MESSAGE),
		  "zeros alone have no type");
	tap_equal(open_inner(&p, big, 0, &record), ALERT(BAD_RECORD_MAC),
		  "and nothing is no record");
	big[TLS_MAX_PLAINTEXT] = 23;
	tap_equal(open_inner(&p, big, TLS_MAX_PLAINTEXT + 1, &record), 0, "2^14 and a type");
	tap_equal((long)record.len, TLS_MAX_PLAINTEXT, "are all content");
	tap_equal(open_inner(&p, big, TLS_MAX_PLAINTEXT + 2, &record), ALERT(RECORD_OVERFLOW),
		  "one byte of padding more is too much");
	must(tls_record_seal(&p.out, 23, big, 10, &p.buf), "seal");
	p.buf.data[0] = TLS_RECORD_HANDSHAKE;
	tap_equal(tls_record_open(&p.in, p.buf.data, p.buf.len, &record),
		  ALERT(UNEXPECTED_MESSAGE), "the outer type must be application_data");
	pair_free(&p);
	free(big);
}

static void test_plaintext(void)
{
	struct tls_record_dir dir = { 0 };
	struct tls_buf buf = { .limit = 100 };
	struct tls_record record;

	must(tls_record_seal(&dir, TLS_RECORD_HANDSHAKE, (const uint8_t *)"abc", 3, &buf), "seal");
	tap_bytes(buf.data, buf.len, "1603010003616263", "a first record says 3.1");
	tap_equal(tls_record_open(&dir, buf.data, buf.len, &record), 0, "plaintext opens");
	tap_ok(record.type == 22 && record.len == 3 && !memcmp(record.data, "abc", 3), "as it is");
	dir.version = TLS_1_3;
	tls_buf_reset(&buf);
	must(tls_record_seal(&dir, TLS_RECORD_CHANGE_CIPHER_SPEC, (const uint8_t *)"\1", 1, &buf),
	     "seal");
	tap_bytes(buf.data, buf.len, "140303000101", "once negotiated, 3.3");
	tap_equal(tls_record_seal(&dir, TLS_RECORD_HANDSHAKE, buf.data, 95, &buf), TLS_ERR_SPACE,
		  "beyond the buffer's limit");
	tap_ok(buf.len == 6 && !tls_buf_error(&buf), "the buffer is as before");
	tls_buf_free(&buf);
}

static void test_sequence(void)
{
	struct tls_direction_keys keys;
	struct tls_record record;
	struct pair p;

	pair_new(&p, 0x1301, UINT64_MAX - 2);
	tap_equal(seal_open(&p, 23, "x", 1, &record), 0, "the last sequence number but two");
	tls_buf_reset(&p.buf);
	tap_equal(tls_record_seal(&p.out, 23, (const uint8_t *)"x", 1, &p.buf),
		  TLS_ERR_EXHAUSTED, "is the last for data");
	tap_equal((long)p.buf.len, 0, "nothing is written then");
	tap_equal(seal_open(&p, 21, "xy", 2, &record), 0, "the one after it is an alert's");
	tls_buf_reset(&p.buf);
	tap_equal(tls_record_seal(&p.out, 21, (const uint8_t *)"xy", 2, &p.buf),
		  TLS_ERR_EXHAUSTED, "is the last");
	tap_equal((long)p.buf.len, 0, "nothing is written then");
	p.out.keys.seq--;
	must(tls_record_seal(&p.out, 21, (const uint8_t *)"xy", 2, &p.buf), "seal");
	tap_equal(tls_record_open(&p.in, p.buf.data, p.buf.len, &record), TLS_ERR_EXHAUSTED,
		  "nor read");
	tls_record_get_keys(&p.in, &keys);
	tap_ok(keys.seq == UINT64_MAX && !memcmp(keys.key, p.keys.key, 16) &&
	       !memcmp(keys.iv, p.keys.iv, 12), "export gives keys and the next number");
	pair_free(&p);
	pair_new(&p, 0x1301, 1 << 25);
	tap_ok(!tls_record_worn_out(&p.out), "many small records are within AES-GCM's limit");
	/* A byte and its type are one block, the tag another. */
	tap_ok(!seal_open(&p, 23, "x", 1, &record) && p.out.blocks == 2, "blocks are counted");
	p.out.blocks = TLS_RECORD_BLOCKS_MAX - TLS_RECORD_BLOCKS - 6;
	tap_ok(!tls_record_worn_out(&p.out), "one more record of full size fits");
	p.out.blocks++;
	tap_ok(tls_record_worn_out(&p.out), "then none is sure to");
	pair_free(&p);
	pair_new(&p, 0x1303, UINT64_MAX / 2);
	p.out.blocks = TLS_RECORD_BLOCKS_MAX;
	tap_ok(!tls_record_worn_out(&p.out), "ChaCha20 has no such limit");
	p.out.keys.seq = UINT64_MAX - 2;
	tap_ok(tls_record_worn_out(&p.out), "but the sequence number's end");
	pair_free(&p);
}

static void test_switch(void)
{
	struct tls_direction_keys keys;
	struct tls_record record;
	struct pair p;

	pair_new(&p, 0x1301, 7);
	make_keys(tls_suite_find(0x1303), 0, &keys);
	must(tls_record_set_keys(&p.out, tls_suite_find(0x1303), true, &keys), "writer");
	tap_equal(seal_open(&p, 23, "x", 1, &record), ALERT(BAD_RECORD_MAC),
		  "new keys on one side only do not fit");
	must(tls_record_set_keys(&p.in, tls_suite_find(0x1303), false, &keys), "reader");
	p.out.keys.seq = 0;
	tap_equal(seal_open(&p, 23, "x", 1, &record), 0, "on both sides they do");
	pair_free(&p);
}

int main(void)
{
	for (const struct tls_suite_info *s = tls_suites(); s->suite; s++) {
		test_round_trip(s->suite);
		test_fragments(s->suite);
		test_tampering(s->suite);
	}
	test_known_answers();
	test_headers();
	test_inner();
	test_plaintext();
	test_sequence();
	test_switch();
	return tap_done();
}
