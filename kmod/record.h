/* SPDX-License-Identifier: GPL-2.0-only */
/* TLS record format: constants and pure functions (RFC 9846 section 5, RFC 5246 section 6.2). */
#ifndef TG_RECORD_H
#define TG_RECORD_H

#include <linux/types.h>

#include "cipher.h"

#define TG_HEADER_LEN		5
#define TG_PLAINTEXT_MAX	16384
#define TG_EXPANSION_1_3	256	/* RFC 9846 section 5.2 */
#define TG_EXPANSION_1_2	2048	/* RFC 5246 section 6.2.3 */
#define TG_RECORD_MAX		(TG_HEADER_LEN + TG_PLAINTEXT_MAX + TG_EXPANSION_1_2)
#define TG_WIRE_VERSION		0x0303

enum tg_content_type {
	TG_ALERT = 21,
	TG_HANDSHAKE = 22,
	TG_APPLICATION_DATA = 23,
};

enum tg_alert_level {
	TG_ALERT_WARNING = 1,
	TG_ALERT_FATAL = 2,
};

enum tg_alert {
	TG_ALERT_CLOSE_NOTIFY = 0,
	TG_ALERT_UNEXPECTED_MESSAGE = 10,
	TG_ALERT_BAD_RECORD_MAC = 20,
	TG_ALERT_RECORD_OVERFLOW = 22,
	TG_ALERT_ILLEGAL_PARAMETER = 47,
	TG_ALERT_DECODE_ERROR = 50,
	TG_ALERT_PROTOCOL_VERSION = 70,
	TG_ALERT_INTERNAL_ERROR = 80,
	TG_ALERT_USER_CANCELED = 90,
	TG_ALERT_NO_RENEGOTIATION = 100,
};

enum tg_handshake_type {
	TG_HELLO_REQUEST = 0,
	TG_CLIENT_HELLO = 1,
	TG_NEW_SESSION_TICKET = 4,
	TG_KEY_UPDATE = 24,
};

#define TG_HANDSHAKE_HEADER_LEN	4
#define TG_KEY_UPDATE_LEN	(TG_HANDSHAKE_HEADER_LEN + 1)

/**
 * struct tg_header - a record header, decoded
 * @type: outer content type
 * @version: as it is on the wire; TLS 1.3 only authenticates it
 * @len: bytes that follow the header
 */
struct tg_header {
	u8 type;
	u16 version;
	u16 len;
};

/**
 * tg_record_parse() - decode and check a record header
 * @c: cipher, for the version's rules
 * @p: TG_HEADER_LEN bytes
 * @h: receives the header
 *
 * Return: TLSGATE_REASON_NONE, or why the record is refused.
 */
enum tlsgate_reason tg_record_parse(const struct tg_cipher *c, const u8 *p, struct tg_header *h);

/* The reverse. */
void tg_record_write(u8 *p, const struct tg_header *h);

/**
 * tg_record_aad() - additional data of a record
 * @c: cipher
 * @aad: TG_AAD_MAX bytes
 * @seq: sequence number; TLS 1.2 only
 * @h: header; in TLS 1.2 with the bytes of plaintext in the place of its length
 *
 * Return: bytes written.
 */
u32 tg_record_aad(const struct tg_cipher *c, u8 *aad, u64 seq, const struct tg_header *h);

/* Bytes a record has beyond its plaintext and header: nonce, inner type, tag. */
static inline u32 tg_record_overhead(const struct tg_cipher *c)
{
	return c->explicit_len + (c->version == TLSGATE_TLS_1_3) + TG_TAG_LEN;
}

#endif /* TG_RECORD_H */
