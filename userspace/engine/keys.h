/* SPDX-License-Identifier: MIT */
/* The keys of each stage of a handshake, and what asks for the private one. */
#ifndef TLSGATE_KEYS_H
#define TLSGATE_KEYS_H

#include "states.h"

/* Stops until the key of hs->cert has done op (by hs->scheme) to data, which stays there. */
void tls_ask_key(struct tls_conn *conn, enum tls_key_op op, struct tls_slice data);
/* One NSS key log line. */
void tls_keylog(struct tls_conn *conn, const char *label, const uint8_t *secret, size_t len);
/* Receive or send from now on under this TLS 1.3 traffic secret. */
TLS_MUST_CHECK int tls13_set_traffic_secret(struct tls_conn *conn, bool send,
					    const uint8_t *secret);
/* Ratchets one direction (KeyUpdate). */
TLS_MUST_CHECK int tls13_next_traffic_secret(struct tls_conn *conn, bool send);

tls_handler tls13_client_handshake_keys, tls13_server_handshake_keys;
tls_handler tls13_derive_master, tls13_server_master;
tls_handler tls13_client_application_keys, tls13_server_application_keys;
tls_handler tls12_derive_keys, tls12_server_keys, tls12_resume_keys;

#endif /* TLSGATE_KEYS_H */
