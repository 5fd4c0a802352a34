// SPDX-License-Identifier: GPL-2.0-only
/* TLS record format: pure functions. */
#include "record.h"

enum tlsgate_reason tg_record_parse(const struct tg_cipher *c, const u8 *p, struct tg_header *h)
{
	bool tls13 = c->version == TLSGATE_TLS_1_3;

	h->type = p[0];
	h->version = get_unaligned_be16(p + 1);
	h->len = get_unaligned_be16(p + 3);

	/* RFC 5246 section 6, RFC 9846 section 5: an unexpected type comes before all else. */
	if (h->type < TG_ALERT || h->type > TG_APPLICATION_DATA)
		return TLSGATE_REASON_UNEXPECTED_MESSAGE;
	/* RFC 9846 section 5.2: protected records are application_data outside. */
	if (tls13 && h->type != TG_APPLICATION_DATA)
		return TLSGATE_REASON_UNEXPECTED_MESSAGE;
	/* RFC 9846 section 5.1: TLS 1.3 ignores the version for all purposes. */
	if (!tls13 && h->version != TG_WIRE_VERSION)
		return TLSGATE_REASON_BAD_VERSION;
	if (h->len > TG_PLAINTEXT_MAX + (tls13 ? TG_EXPANSION_1_3 : TG_EXPANSION_1_2))
		return TLSGATE_REASON_RECORD_OVERFLOW;
	/* Too short to hold what every record holds: cannot authenticate. */
	if (h->len < tg_record_overhead(c))
		return TLSGATE_REASON_BAD_RECORD_MAC;
	return TLSGATE_REASON_NONE;
}

void tg_record_write(u8 *p, const struct tg_header *h)
{
	p[0] = h->type;
	put_unaligned_be16(h->version, p + 1);
	put_unaligned_be16(h->len, p + 3);
}

u32 tg_record_aad(const struct tg_cipher *c, u8 *aad, u64 seq, const struct tg_header *h)
{
	u32 n = 0;

	if (c->version == TLSGATE_TLS_1_2) {
		put_unaligned_be64(seq, aad);
		n = sizeof(seq);
	}
	tg_record_write(aad + n, h);
	return n + TG_HEADER_LEN;
}
