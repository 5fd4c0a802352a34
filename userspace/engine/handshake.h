/* SPDX-License-Identifier: MIT */
/* What only a handshake needs, and the peer's offer while it is read. */
#ifndef TLSGATE_HANDSHAKE_H
#define TLSGATE_HANDSHAKE_H

#include "crypto/prf12.h"
#include "reason.h"
#include "session.h"
#include "transcript.h"

#define TLS_KEY_DATA		1024	/* what the private key is asked about, but: messages */
#define TLS_MAX_CURVE_SHARE	133	/* P-521's; what is longer has a KEM in it */

/*
 * What the peer's hello (or CertificateRequest) offers, while it is being
 * read: slices into the message, gone when its handler returns.
 */
struct tls_offer {
	struct tls_slice suites, versions, groups, shares, schemes, alpn, cert_types, ca_names;
	bool has_versions, has_groups, has_shares, has_schemes, has_alpn, extended_master_secret;
	bool has_psk_modes, psk_dhe, has_psk;
	uint32_t our_suites, our_schemes, our_curves;	/* see compare() in choose.c */
	bool compressed_points;		/* ec_point_formats has these only */
	uint16_t record_size;		/* record_size_limit; 0: none */
	bool wants_status;
	const uint8_t *hello;		/* of the whole message */
	const uint8_t *binders_at;	/* where its binders begin */
	struct tls_slice identities, binders;	/* pre_shared_key's lists */
	struct tls_slice ticket;	/* TLS 1.2 */
};

/* A second share, beside one of a group that many servers do not have yet; group NULL: none. */
struct tls_spare_share {
	const struct tls_group *group;
	struct tls_kex *kex;
	uint8_t share[TLS_MAX_CURVE_SHARE];
};

#define TLS_TICKETS	2	/* for a browser that opens several connections at once */

struct tls_ticket_random {
	uint8_t nonce[TLS_NONCE_LEN];
	uint32_t age_add;
};

/* What only a handshake needs; freed, wiped, when it is over. */
struct tls_handshake {
	struct tls_transcript transcript;
	struct tls_buf flight;		/* messages not yet sealed, see tls_flight_flush() */
	struct tls_kex *kex;
	uint8_t client_random[TLS_RANDOM_LEN], server_random[TLS_RANDOM_LEN];
	uint16_t client_version;	/* the hello's, also in the RSA premaster secret */
	uint8_t session_id[TLS_SESSION_ID_LEN];
	uint8_t session_id_len;
	uint8_t max_fragment;		/* server: RFC 6066's code, to be answered; 0: none */
	uint8_t server_id[TLS_SESSION_ID_LEN];	/* client, TLS 1.2: of the new session, if any */
	uint8_t server_id_len;
	bool ccs_sent;			/* TLS 1.3: the compatibility one, at most one */
	bool early_data;		/* offered: records that we cannot open are skipped */
	bool server_name_known;		/* a certificate of ours has the name asked for */
	bool cert_requested;		/* the server asked the client for a certificate */
	uint32_t early_data_skipped;
	uint32_t ext_sent, ext_seen;	/* bits: rows of the registry; seen: in the last message */
	struct tls_offer offer;
	struct tls_buf cookie;		/* HelloRetryRequest's, to be echoed */
	struct tls_session session;	/* client: offered, if it has a suite; server: resumed */
	struct tls_peer *session_peer;	/* that session's, judged anew; NULL: it has none */
	bool ticket_renew;		/* server: that one's ticket is sealed by an old key */
	uint16_t psk_index;		/* of the identity that the server took */
	bool past_leaf;			/* client, TLS 1.3: the chain's first element is read */
	bool status_due;		/* server: to be stapled; client, TLS 1.2: announced */
	bool ticket_due;		/* server: one is to be sent; client, TLS 1.2: announced */
	struct tls_ticket_random ticket_random[TLS_TICKETS];	/* server, TLS 1.3 */
	const struct tls_group *group;	/* of the key exchange; client TLS 1.3: of its share */
	uint8_t share[TLS_MAX_SHARE];	/* our public value, share_len bytes */
	uint16_t share_len;
	struct tls_spare_share spare;	/* client, first hello of TLS 1.3 */
	uint8_t shared[TLS_MAX_SHARED_SECRET];	/* (EC)DHE secret, or TLS 1.2 premaster secret */
	uint16_t shared_len;
	uint8_t hello_digest[TLS_MAX_HASH];	/* server, TLS 1.3: up to its ServerHello */
	size_t hello_len;		/* of that in the flight, which goes on under other keys */
	struct tls_certificate *cert;	/* ours, chosen; the configuration's, not counted */
	const struct tls_scheme *scheme;	/* to sign with it */
	uint8_t client_secret[TLS_MAX_HASH], server_secret[TLS_MAX_HASH];
	uint8_t client_app[TLS_MAX_HASH], server_app[TLS_MAX_HASH];
	uint8_t master[TLS12_MASTER_LEN];
	struct tls_direction_keys next_rx, next_tx;	/* TLS 1.2, until change_cipher_spec */

	enum tls_reason reason;		/* why it failed */
	char reason_detail[TLS_REASON_DETAIL];

	bool key_wanted;
	struct tls_key_request key_request;
	uint8_t key_data[TLS_KEY_DATA];
	struct tls_slice key_reply;	/* the caller's; during tls_conn_key_reply() only */
};

struct tls_handshake *tls_handshake_new(void);		/* NULL: out of memory */
void tls_handshake_free(struct tls_handshake *hs);	/* wiped; NULL is fine */
/* The client's secrets for every share that it has sent are no use any more. */
void tls_drop_shares(struct tls_handshake *hs);

#endif /* TLSGATE_HANDSHAKE_H */
