/* SPDX-License-Identifier: MIT */
/* What outlives a connection, so that the next one can go on with it; and its sealed form. */
#ifndef TLSGATE_SESSION_H
#define TLSGATE_SESSION_H

#include "crypto/certificate.h"
#include "suites.h"

#define TLS_MAX_TICKET		8192	/* bytes: of ours, and of others that we keep */
#define TLS_MAX_SESSION		65536	/* bytes, serialised */
#define TLS_SESSION_ID_LEN	32

struct tls_session {
	const struct tls_suite *suite;		/* NULL: no session */
	bool extended_master_secret;
	int64_t begun;				/* when it was no resumption */
	int64_t issued;				/* when the ticket was sent or came */
	uint32_t lifetime, age_add;
	uint8_t secret[TLS_MAX_HASH];		/* TLS 1.3: the PSK; TLS 1.2: the master secret */
	uint8_t secret_len;
	uint16_t group;				/* of the key exchange that it began with */
	char server_name[TLS_MAX_SERVER_NAME + 1];
	struct tls_slice peer;			/* tls_peer_kept(), somebody else's; len 0: none */
	struct tls_buf ticket;			/* client */
	uint8_t id[TLS_SESSION_ID_LEN];		/* client, TLS 1.2, and only without a ticket */
	uint8_t id_len;
};

/* Wipes it. All-zero and twice freed ones are fine. */
void tls_session_free(struct tls_session *session);
/* Appends it to out; see tls_buf_error(). */
void tls_session_write(const struct tls_session *session, struct tls_buf *out);
/* TLS_ERR_ARGUMENT: not of our making, or of another release.  session is to be freed if 0;
 * its peer is in the memory of in. */
TLS_MUST_CHECK int tls_session_read(struct tls_session *session, struct tls_slice in);
/* now is within its lifetime. */
bool tls_session_fresh(const struct tls_session *session, int64_t now);
/* Seconds of it that are left; 0: none. */
uint32_t tls_session_left(const struct tls_session *session, int64_t now);

/* Appends state, sealed under key with a random nonce. Errors: out's, tls_aead_new()'s. */
TLS_MUST_CHECK int tls_ticket_seal(const struct tls_ticket_key *key,
				   const uint8_t nonce[TLS_NONCE_LEN], struct tls_slice state,
				   struct tls_buf *out);
/* Opens a ticket that one of the count keys sealed, and says which.  TLS_ERR_ARGUMENT: none did. */
TLS_MUST_CHECK int tls_ticket_open(const struct tls_ticket_key *keys, size_t count,
				   struct tls_slice ticket, struct tls_buf *state, size_t *key);

#endif /* TLSGATE_SESSION_H */
