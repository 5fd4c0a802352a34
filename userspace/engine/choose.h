/* SPDX-License-Identifier: MIT */
/* What the server takes of an offer, the client of a request. */
#ifndef TLSGATE_CHOOSE_H
#define TLSGATE_CHOOSE_H

#include "crypto/crypto.h"

struct tls_conn;
struct tls_handshake;
struct tls_offer;

bool tls_offer_has_suite(const struct tls_offer *offer, uint16_t suite);
/* The client's share of this group; p NULL: none. */
struct tls_slice tls_offer_share(const struct tls_offer *offer, uint16_t group);
/* The highest version both have; 0: none. */
uint16_t tls_choose_version(const struct tls_conn *conn);
/* Suite, group, certificate and scheme, into conn and conn->hs; the version is known. */
TLS_MUST_CHECK int tls_choose_parameters(struct tls_conn *conn);
/* The client's certificate and scheme for a CertificateRequest of that many bytes; none is no
 * error. */
void tls_choose_client_certificate(struct tls_conn *conn, size_t request_len);
/* Server: sends what the client takes in a record, if it said so. The version is known. */
void tls_apply_record_size(struct tls_conn *conn);
/* The client's max_fragment_length in bytes; 0: none. */
uint16_t tls_max_fragment(const struct tls_handshake *hs);
/* The group that an ECDSA key is on; 0: it is no ECDSA key. */
uint16_t tls_key_curve(enum tls_key_type type);
/* The first protocol of ours that the client offers, if both have any. */
TLS_MUST_CHECK int tls_choose_alpn(struct tls_conn *conn);

#endif /* TLSGATE_CHOOSE_H */
