/* SPDX-License-Identifier: MIT */
/*
 * TLS 1.3 key schedule, RFC 9846 section 7.
 *
 *	init -> early(psk) -> handshake(ecdhe) -> master
 *
 * derive() takes what belongs to the stage it is at.  All secrets and hashes
 * have ks->len bytes.  Every transcript argument is a digest by ks->hash.
 */
#ifndef TLSGATE_KEYSCHED13_H
#define TLSGATE_KEYSCHED13_H

#include "suites.h"

struct tls_keysched {
	struct tls_hmac *hmac;
	enum tls_hash hash;
	size_t len;
	uint8_t secret[TLS_MAX_HASH];		/* early, handshake or master secret */
};

TLS_MUST_CHECK int tls_keysched_init(struct tls_keysched *ks, enum tls_hash hash);
/* Wipes it. All-zero and twice freed ones are fine. */
void tls_keysched_free(struct tls_keysched *ks);

/* psk.len 0: no PSK, zeros instead.  May be called again to start over (PSK refused). */
TLS_MUST_CHECK int tls_keysched_early(struct tls_keysched *ks, struct tls_slice psk);
TLS_MUST_CHECK int tls_keysched_handshake(struct tls_keysched *ks, struct tls_slice shared);
TLS_MUST_CHECK int tls_keysched_master(struct tls_keysched *ks);

/* Derive-Secret with these labels, each at its stage: */
#define TLS_LABEL_CLIENT_HANDSHAKE	"c hs traffic"
#define TLS_LABEL_SERVER_HANDSHAKE	"s hs traffic"
#define TLS_LABEL_CLIENT_TRAFFIC	"c ap traffic"
#define TLS_LABEL_SERVER_TRAFFIC	"s ap traffic"
#define TLS_LABEL_EXPORTER		"exp master"
#define TLS_LABEL_RESUMPTION		"res master"
TLS_MUST_CHECK int tls_keysched_derive(struct tls_keysched *ks, const char *label,
				       const uint8_t *transcript, uint8_t *out);

#define TLS_LABEL_RESUMPTION_BINDER	"res binder"
#define TLS_LABEL_EXTERNAL_BINDER	"ext binder"
/* The binder of the PSK given to early(), over the truncated ClientHello's transcript. */
TLS_MUST_CHECK int tls_keysched_binder(struct tls_keysched *ks, const char *label,
				       const uint8_t *transcript, uint8_t *out);

/* The rest needs no stage, only the hash. */

/* verify_data of a Finished under this traffic secret. */
TLS_MUST_CHECK int tls_keysched_finished(struct tls_keysched *ks, const uint8_t *traffic_secret,
					 const uint8_t *transcript, uint8_t *out);
/* Key and IV of a traffic secret; keys->secret is that secret and keys->seq 0. */
TLS_MUST_CHECK int tls_keysched_keys(struct tls_keysched *ks, const struct tls_suite *suite,
				     const uint8_t *traffic_secret,
				     struct tls_direction_keys *keys);
/* The next generation of a traffic secret (KeyUpdate), in place. */
TLS_MUST_CHECK int tls_keysched_update(struct tls_keysched *ks, uint8_t *traffic_secret);
/* The PSK of a ticket, from the resumption master secret. */
TLS_MUST_CHECK int tls_keysched_ticket_psk(struct tls_keysched *ks, const uint8_t *resumption,
					   struct tls_slice nonce, uint8_t *out);
/* RFC 9846 section 7.5, from the exporter master secret. */
TLS_MUST_CHECK int tls_keysched_export(struct tls_keysched *ks, const uint8_t *exporter,
				       const char *label, struct tls_slice context,
				       uint8_t *out, size_t out_len);

#endif /* TLSGATE_KEYSCHED13_H */
