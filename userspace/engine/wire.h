/* SPDX-License-Identifier: MIT */
/*
 * Bounds-checked reading and writing of TLS presentation language.
 *
 * Both sides keep a sticky error: a message is read or written field after
 * field without a check, and the outcome is looked at once, at its end.
 */
#ifndef TLSGATE_WIRE_H
#define TLSGATE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TLS_MUST_CHECK	__attribute__((warn_unused_result))

/* Bytes that somebody else owns. */
struct tls_slice {
	const uint8_t *p;
	size_t len;
};

/* ---- reader ------------------------------------------------------------ */

/* Over memory that outlives it; needs no end call. */
struct tls_reader {
	const uint8_t *p;
	size_t left;
	bool failed;
};

void tls_reader_init(struct tls_reader *r, const void *p, size_t len);

/* After a read beyond the end, all of these give 0 (or NULL) and consume nothing. */
uint8_t tls_read_u8(struct tls_reader *r);
uint16_t tls_read_u16(struct tls_reader *r);
uint32_t tls_read_u24(struct tls_reader *r);
uint32_t tls_read_u32(struct tls_reader *r);
/* NULL on failure, and never NULL otherwise, even for len 0. */
const uint8_t *tls_read_bytes(struct tls_reader *r, size_t len);
/* Copies len bytes into out; zeroes out on failure. */
void tls_read_copy(struct tls_reader *r, void *out, size_t len);
/* What is left, all of it. */
struct tls_slice tls_read_rest(struct tls_reader *r);

/*
 * A vector with a length of 1, 2 or 3 bytes before it: sub reads its inside.
 * When r fails, sub is failed and empty too.  An error in sub does not reach
 * r by itself: ask both.
 */
void tls_read_vec8(struct tls_reader *r, struct tls_reader *sub);
void tls_read_vec16(struct tls_reader *r, struct tls_reader *sub);
void tls_read_vec24(struct tls_reader *r, struct tls_reader *sub);

/* There are bytes left and nothing failed: the condition of a loop over items. */
bool tls_read_more(const struct tls_reader *r);
/* Nothing failed and all was consumed: the condition of a well-formed whole. */
bool tls_read_at_end(const struct tls_reader *r);

/* ---- writer ------------------------------------------------------------ */

/*
 * A growing buffer.  A write beyond its limit or without memory makes it
 * failed: what was written before stays, later writes do nothing.  Growing
 * and freeing wipe the memory left behind.  { .limit = n } is a valid empty
 * buffer.
 */
struct tls_buf {
	uint8_t *data;
	size_t len, cap, limit;
	bool failed;
	bool no_memory;			/* and that is why */
};

void tls_buf_init(struct tls_buf *b, size_t limit);
void tls_buf_free(struct tls_buf *b);		/* wiped; b is empty and usable afterwards */
/* Empties and wipes what was used, clears the error, keeps the memory. */
void tls_buf_reset(struct tls_buf *b);
/* Drops len bytes (at most b->len) from the front. */
void tls_buf_consume(struct tls_buf *b, size_t len);
/* Cuts the buffer back to len bytes (at most b->len) and wipes what was behind. */
void tls_buf_truncate(struct tls_buf *b, size_t len);
/* 0, TLS_ERR_SPACE (limit) or TLS_ERR_NO_MEMORY: why b->failed is set. */
TLS_MUST_CHECK int tls_buf_error(const struct tls_buf *b);

void tls_put_u8(struct tls_buf *b, uint8_t v);
void tls_put_u16(struct tls_buf *b, uint16_t v);
void tls_put_u24(struct tls_buf *b, uint32_t v);
void tls_put_u32(struct tls_buf *b, uint32_t v);
void tls_put_bytes(struct tls_buf *b, const void *p, size_t len);
/*
 * Room for len bytes at the end, counted as written, for the caller to fill
 * before the next call; NULL once failed.
 */
uint8_t *tls_put_space(struct tls_buf *b, size_t len);

/* A vector begun and not yet ended. */
struct tls_vec {
	size_t start;			/* offset of the first byte inside */
	unsigned int width;		/* bytes of its length */
};

/* Begins a vector with a length of width (1, 2 or 3) bytes. They nest. */
struct tls_vec tls_put_open(struct tls_buf *b, unsigned int width);
/* Ends it and fills its length in; too long for its width makes b failed. */
void tls_put_close(struct tls_buf *b, struct tls_vec vec);

#endif /* TLSGATE_WIRE_H */
