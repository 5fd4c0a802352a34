/* SPDX-License-Identifier: MIT */
/* TLS 1.2 derivations: RFC 5246 sections 5, 6.3, 8.1, RFC 7627, RFC 5705. */
#ifndef TLSGATE_PRF12_H
#define TLSGATE_PRF12_H

#include "suites.h"

#define TLS_RANDOM_LEN		32
#define TLS12_MASTER_LEN	48
#define TLS12_VERIFY_LEN	12

/* PRF(secret, label, seed); the seed is the count (at most 4) parts in their order. */
TLS_MUST_CHECK int tls_prf12(enum tls_hash hash, struct tls_slice secret, const char *label,
			     const struct tls_slice *seed, size_t count,
			     uint8_t *out, size_t out_len);
TLS_MUST_CHECK int tls_prf12_master(enum tls_hash hash, struct tls_slice premaster,
				    const uint8_t client_random[TLS_RANDOM_LEN],
				    const uint8_t server_random[TLS_RANDOM_LEN],
				    uint8_t master[TLS12_MASTER_LEN]);
/* RFC 7627; session_hash is the transcript digest up to and with ClientKeyExchange. */
TLS_MUST_CHECK int tls_prf12_extended_master(enum tls_hash hash, struct tls_slice premaster,
					     const uint8_t *session_hash,
					     uint8_t master[TLS12_MASTER_LEN]);
/* The key block, cut up: client is what the client seals with. seq 0, no secret. */
TLS_MUST_CHECK int tls_prf12_keys(const struct tls_suite *suite,
				  const uint8_t master[TLS12_MASTER_LEN],
				  const uint8_t client_random[TLS_RANDOM_LEN],
				  const uint8_t server_random[TLS_RANDOM_LEN],
				  struct tls_direction_keys *client,
				  struct tls_direction_keys *server);
TLS_MUST_CHECK int tls_prf12_finished(enum tls_hash hash, const uint8_t master[TLS12_MASTER_LEN],
				      enum tls_role sender, const uint8_t *transcript,
				      uint8_t out[TLS12_VERIFY_LEN]);

#endif /* TLSGATE_PRF12_H */
