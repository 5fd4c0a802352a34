// SPDX-License-Identifier: GPL-2.0-only
/* TLS record format: pure functions. */
#include "compat.h"
#include "record.h"

enum tlsgate_reason tg_record_parse(const struct tg_cipher *c, const u8 *p, struct tg_header *h)
{
	bool tls13 = c->version == TLSGATE_TLS_1_3;

	h->type = p[0];
	h->len = get_unaligned_be16(p + 3);

	if (get_unaligned_be16(p + 1) != TG_WIRE_VERSION)
		return TLSGATE_REASON_BAD_VERSION;
	/* RFC 9846 section 5.2: protected records are application_data outside. */
	if (tls13 && h->type != TG_APPLICATION_DATA)
		return TLSGATE_REASON_UNEXPECTED_MESSAGE;
	if (h->type < TG_ALERT || h->type > TG_APPLICATION_DATA)
		return TLSGATE_REASON_UNEXPECTED_MESSAGE;
	if (h->len > TG_PLAINTEXT_MAX + (tls13 ? TG_EXPANSION_1_3 : TG_EXPANSION_1_2))
		return TLSGATE_REASON_RECORD_OVERFLOW;
	/* Too short to hold what every record holds: cannot authenticate. */
	if (h->len < tg_record_overhead(c))
		return TLSGATE_REASON_BAD_RECORD_MAC;
	return TLSGATE_REASON_NONE;
}

void tg_record_header(u8 *p, u8 type, u16 len)
{
	p[0] = type;
	put_unaligned_be16(TG_WIRE_VERSION, p + 1);
	put_unaligned_be16(len, p + 3);
}

u32 tg_record_aad(const struct tg_cipher *c, u8 *aad, u64 seq, u8 type, u16 len)
{
	u32 n = 0;

	if (c->version == TLSGATE_TLS_1_2) {
		put_unaligned_be64(seq, aad);
		n = sizeof(seq);
	}
	tg_record_header(aad + n, type, len);
	return n + TG_HEADER_LEN;
}
