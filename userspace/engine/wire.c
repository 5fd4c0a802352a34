// SPDX-License-Identifier: MIT
/* Bounds-checked reading and writing of TLS presentation language. */
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "wire.h"

#define BUF_MIN_CAPACITY	256

/* Valid to point at, never read from. */
static const uint8_t nothing[1];

void tls_reader_init(struct tls_reader *r, const void *p, size_t len)
{
	*r = (struct tls_reader){ .p = len ? p : nothing, .left = len };
}

const uint8_t *tls_read_bytes(struct tls_reader *r, size_t len)
{
	const uint8_t *p = r->p;

	if (r->failed || len > r->left) {
		r->failed = true;
		return NULL;
	}
	r->p += len;
	r->left -= len;
	return p;
}

static uint32_t read_uint(struct tls_reader *r, unsigned int width)
{
	const uint8_t *p = tls_read_bytes(r, width);
	uint32_t v = 0;

	for (unsigned int i = 0; p && i < width; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t tls_read_u8(struct tls_reader *r)
{
	return (uint8_t)read_uint(r, 1);
}

uint16_t tls_read_u16(struct tls_reader *r)
{
	return (uint16_t)read_uint(r, 2);
}

uint32_t tls_read_u24(struct tls_reader *r)
{
	return read_uint(r, 3);
}

uint32_t tls_read_u32(struct tls_reader *r)
{
	return read_uint(r, 4);
}

void tls_read_copy(struct tls_reader *r, void *out, size_t len)
{
	const uint8_t *p = tls_read_bytes(r, len);

	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

struct tls_slice tls_read_rest(struct tls_reader *r)
{
	size_t len = r->failed ? 0 : r->left;

	return (struct tls_slice){ tls_read_bytes(r, len), len };
}

static void read_vec(struct tls_reader *r, struct tls_reader *sub, unsigned int width)
{
	uint32_t len = read_uint(r, width);
	const uint8_t *p = tls_read_bytes(r, len);

	tls_reader_init(sub, p, p ? len : 0);
	sub->failed = !p;
}

void tls_read_vec8(struct tls_reader *r, struct tls_reader *sub)
{
	read_vec(r, sub, 1);
}

void tls_read_vec16(struct tls_reader *r, struct tls_reader *sub)
{
	read_vec(r, sub, 2);
}

void tls_read_vec24(struct tls_reader *r, struct tls_reader *sub)
{
	read_vec(r, sub, 3);
}

bool tls_read_more(const struct tls_reader *r)
{
	return !r->failed && r->left;
}

bool tls_read_at_end(const struct tls_reader *r)
{
	return !r->failed && !r->left;
}

void tls_buf_init(struct tls_buf *b, size_t limit)
{
	*b = (struct tls_buf){ .limit = limit };
}

void tls_buf_free(struct tls_buf *b)
{
	if (b->data)
		tls_wipe(b->data, b->cap);
	free(b->data);
	tls_buf_init(b, b->limit);
}

void tls_buf_truncate(struct tls_buf *b, size_t len)
{
	if (len >= b->len)
		return;
	tls_wipe(b->data + len, b->len - len);
	b->len = len;
}

void tls_buf_reset(struct tls_buf *b)
{
	tls_buf_truncate(b, 0);
	b->failed = b->no_memory = false;
}

void tls_buf_consume(struct tls_buf *b, size_t len)
{
	size_t rest;

	if (!len)
		return;
	rest = len < b->len ? b->len - len : 0;
	memmove(b->data, b->data + (b->len - rest), rest);
	tls_buf_truncate(b, rest);
}

int tls_buf_error(const struct tls_buf *b)
{
	if (!b->failed)
		return 0;
	return b->no_memory ? TLS_ERR_NO_MEMORY : TLS_ERR_SPACE;
}

/* Not realloc(): it would leave an unwiped copy behind. */
static bool buf_grow(struct tls_buf *b, size_t need)
{
	size_t cap = b->cap ? b->cap : BUF_MIN_CAPACITY;
	uint8_t *data;

	while (cap < need)
		cap *= 2;
	if (cap > b->limit)
		cap = b->limit;
	data = malloc(cap);
	if (!data)
		return false;
	if (b->data) {
		memcpy(data, b->data, b->len);
		tls_wipe(b->data, b->cap);
	}
	free(b->data);
	b->data = data;
	b->cap = cap;
	return true;
}

uint8_t *tls_put_space(struct tls_buf *b, size_t len)
{
	uint8_t *p;

	if (b->failed)
		return NULL;
	if (b->len > b->limit || len > b->limit - b->len) {
		b->failed = true;
		return NULL;
	}
	if ((!b->data || len > b->cap - b->len) && !buf_grow(b, b->len + len)) {
		b->failed = b->no_memory = true;
		return NULL;
	}
	p = b->data + b->len;
	b->len += len;
	return p;
}

void tls_put_bytes(struct tls_buf *b, const void *p, size_t len)
{
	uint8_t *to = tls_put_space(b, len);

	if (to && len)
		memcpy(to, p, len);
}

static void store_uint(uint8_t *to, uint32_t v, unsigned int width)
{
	while (width--) {
		to[width] = (uint8_t)v;
		v >>= 8;
	}
}

static void put_uint(struct tls_buf *b, uint32_t v, unsigned int width)
{
	uint8_t *to = tls_put_space(b, width);

	if (to)
		store_uint(to, v, width);
}

void tls_put_u8(struct tls_buf *b, uint8_t v)
{
	put_uint(b, v, 1);
}

void tls_put_u16(struct tls_buf *b, uint16_t v)
{
	put_uint(b, v, 2);
}

void tls_put_u24(struct tls_buf *b, uint32_t v)
{
	put_uint(b, v, 3);
}

void tls_put_u32(struct tls_buf *b, uint32_t v)
{
	put_uint(b, v, 4);
}

struct tls_vec tls_put_open(struct tls_buf *b, unsigned int width)
{
	put_uint(b, 0, width);
	return (struct tls_vec){ .start = b->len, .width = width };
}

void tls_put_close(struct tls_buf *b, struct tls_vec vec)
{
	size_t len;

	if (b->failed)
		return;
	len = b->len - vec.start;
	if (len >> (8 * vec.width)) {
		b->failed = true;
		return;
	}
	store_uint(b->data + vec.start - vec.width, (uint32_t)len, vec.width);
}
