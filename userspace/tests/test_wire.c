// SPDX-License-Identifier: MIT
/* Reader and writer: round trips, bounds, sticky errors, limits. */
#include <string.h>

#include "engine/engine.h"
#include "engine/wire.h"
#include "tap.h"

static void test_reader(void)
{
	struct tls_slice in = tap_hex("01 0203 040506 0708090a 0b0c");
	struct tls_reader r;
	uint8_t copy[2];

	tls_reader_init(&r, in.p, in.len);
	tap_equal(tls_read_u8(&r), 0x01, "u8");
	tap_equal(tls_read_u16(&r), 0x0203, "u16");
	tap_equal(tls_read_u24(&r), 0x040506, "u24");
	tap_equal(tls_read_u32(&r), 0x0708090a, "u32");
	tap_ok(tls_read_more(&r) && !tls_read_at_end(&r), "two bytes are left");
	tls_read_copy(&r, copy, 2);
	tap_bytes(copy, 2, "0b0c", "copy");
	tap_ok(tls_read_at_end(&r) && !tls_read_more(&r), "the end is seen");
	tap_equal(tls_read_u8(&r), 0, "a read beyond the end gives 0");
	tap_ok(r.failed && !tls_read_at_end(&r), "and is an error");
}

static void test_reader_sticks(void)
{
	struct tls_slice in = tap_hex("0102030405");
	struct tls_reader r;
	uint8_t copy[3] = { 1, 2, 3 };

	tls_reader_init(&r, in.p, in.len);
	tap_ok(!tls_read_bytes(&r, 6), "6 of 5 bytes are refused");
	tap_equal(tls_read_u8(&r), 0, "after an error even what is there is not read");
	tls_read_copy(&r, copy, 3);
	tap_bytes(copy, 3, "000000", "and copies are zeros");
	tap_equal((long)tls_read_rest(&r).len, 0, "and the rest is empty");
	tls_reader_init(&r, NULL, 0);
	tap_ok(tls_read_bytes(&r, 0) && tls_read_at_end(&r), "no bytes of nothing is fine");
	tls_reader_init(&r, in.p, in.len);
	tap_ok(!tls_read_bytes(&r, SIZE_MAX), "a huge length is refused");
}

static void test_reader_vectors(void)
{
	struct tls_slice in = tap_hex("02 aabb 0001 cc 000002 ddee 00 05 01");
	struct tls_reader r, sub;

	tls_reader_init(&r, in.p, in.len);
	tls_read_vec8(&r, &sub);
	tap_equal(tls_read_u16(&sub), 0xaabb, "vec8");
	tap_ok(tls_read_at_end(&sub), "vec8 ends where its length says");
	tls_read_vec16(&r, &sub);
	tap_equal(tls_read_u16(&sub), 0, "a sub-reader does not read beyond its vector");
	tap_ok(sub.failed && !r.failed, "and its error is its own");
	tls_read_vec24(&r, &sub);
	tap_equal((long)tls_read_rest(&sub).len, 2, "vec24");
	tls_read_vec8(&r, &sub);
	tap_ok(tls_read_at_end(&sub), "empty vector");
	tls_read_vec8(&r, &sub);
	tap_ok(sub.failed && r.failed, "a vector longer than what holds it fails both");
}

static void test_writer(void)
{
	struct tls_buf b = { .limit = 64 };
	struct tls_vec outer, inner;

	tls_put_u8(&b, 1);
	tls_put_u16(&b, 0x0203);
	tls_put_u24(&b, 0x040506);
	tls_put_u32(&b, 0x0708090a);
	outer = tls_put_open(&b, 3);
	inner = tls_put_open(&b, 2);
	tls_put_bytes(&b, "xyz", 3);
	tls_put_close(&b, inner);
	inner = tls_put_open(&b, 1);
	tls_put_close(&b, inner);
	tls_put_close(&b, outer);
	tap_equal(tls_buf_error(&b), 0, "no error");
	tap_bytes(b.data, b.len, "01 0203 040506 0708090a 000006 0003 78797a 00", "nested vectors");
	tls_buf_consume(&b, 10);
	tap_bytes(b.data, b.len, "000006 0003 78797a 00", "consume drops from the front");
	tls_buf_truncate(&b, 3);
	tap_bytes(b.data, b.len, "000006", "truncate cuts the end");
	tls_buf_consume(&b, 3);
	tap_equal((long)b.len, 0, "all consumed");
	tls_buf_free(&b);
	tap_ok(!b.data && b.limit == 64, "freed, and still usable");
}

static void test_writer_grows(void)
{
	struct tls_buf b = { .limit = 70000 };
	bool same = true;

	for (unsigned int i = 0; i < 70000; i++)
		tls_put_u8(&b, (uint8_t)(i * 7));
	for (unsigned int i = 0; i < b.len; i++)
		same &= b.data[i] == (uint8_t)(i * 7);
	tap_ok(!tls_buf_error(&b) && b.len == 70000 && same, "growth keeps the contents");
	tap_equal((long)b.cap, 70000, "and stops at the limit");
	tls_put_u8(&b, 0);
	tap_equal(tls_buf_error(&b), TLS_ERR_SPACE, "one byte beyond the limit is an error");
	tap_equal((long)b.len, 70000, "that writes nothing");
	tls_buf_truncate(&b, 0);
	tls_put_u8(&b, 0);
	tap_ok(tls_buf_error(&b) && !b.len, "and sticks");
	tls_buf_reset(&b);
	tls_put_u8(&b, 0);
	tap_ok(!tls_buf_error(&b) && b.len == 1, "until the buffer is reset");
	tls_buf_free(&b);
}

static void test_writer_overlong_vector(void)
{
	struct tls_buf b = { .limit = 1000 };
	struct tls_vec vec = tls_put_open(&b, 1);

	for (int i = 0; i < 255; i++)
		tls_put_u8(&b, 0);
	tls_put_close(&b, vec);
	tap_ok(!tls_buf_error(&b) && b.data[0] == 255, "255 bytes fit a length of one byte");
	tls_buf_reset(&b);
	vec = tls_put_open(&b, 1);
	tls_put_space(&b, 256);
	tls_put_close(&b, vec);
	tap_equal(tls_buf_error(&b), TLS_ERR_SPACE, "256 do not");
	tls_buf_free(&b);
}

int main(void)
{
	test_reader();
	test_reader_sticks();
	test_reader_vectors();
	test_writer();
	test_writer_grows();
	test_writer_overlong_vector();
	return tap_done();
}
