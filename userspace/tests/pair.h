/* SPDX-License-Identifier: MIT */
/* Two engines back to back, in one process and without sockets. */
#ifndef TLSGATE_TESTS_PAIR_H
#define TLSGATE_TESTS_PAIR_H

#include "engine/engine.h"
#include "pki.h"

#define PAIR_MAX_CERTS		4
#define PAIR_MAX_ISSUERS	3
#define PAIR_MAX_CRLS		3
#define PAIR_MAX_RULES		2

/* All zero: both versions, default suites and groups, a P-256 server for "host.test". */
struct pair_options {
	uint16_t min, max;			/* of both; 0: default */
	uint16_t client_max;			/* 0: as max */
	const char *suites, *groups;		/* of both; NULL: default */
	const char *client_groups, *server_groups;
	enum tls_pq client_pq, server_pq;
	const char *client_alpn, *server_alpn;
	const char *client_takes, *server_signs;	/* signature schemes; NULL: default */
	const char *server_name;		/* NULL: "host.test"; "": none is set */
	const struct pki *server[PAIR_MAX_CERTS];	/* all NULL: pair_leaf(PKI_P256) */
	const struct pki *client[PAIR_MAX_CERTS];
	/* sent behind each leaf */
	const struct pki *server_issuers[PAIR_MAX_ISSUERS], *client_issuers[PAIR_MAX_ISSUERS];
	enum tls_verify server_verify;		/* of client certificates */
	const char *server_allows[PAIR_MAX_RULES];	/* clients; NULL: all */
	bool client_trusts_nobody, client_verifies_nothing, client_reports;
	size_t chunk;				/* bytes fed at a time; 0: all there is */
	struct tls_slice crls[PAIR_MAX_CRLS];	/* for both ends */
	bool take_expired_crls;
	struct tls_slice ocsp, scts;		/* of every certificate, client's too */
	bool request_ocsp, request_scts, legacy_server, refuse_unknown_name;
	const struct tls_ticket_key *ticket_keys;
	size_t ticket_key_count;
	int64_t now;				/* 0: PKI_NOW */
	void (*event)(void *arg, void *conn_arg, const struct tls_event *event);
};

struct pair_end {
	enum tls_role role;
	struct tls_config *config;
	struct tls_conn *conn;
	int64_t now;
	struct tls_private_key *keys[PAIR_MAX_CERTS];	/* by key id */
	int err;				/* the first that a call gave */
	bool refuse_key;			/* answers key requests with a refusal */
	bool hold_key;				/* does not answer them */
	char keylog[2048];
	uint8_t secret[TLS_MAX_SECRET];		/* for an event hook to keep one in */
};

struct pair {
	struct pair_end client, server;
	size_t chunk;
};

/* The one CA of the program and leaves by it, made when first asked for. */
const struct pki *pair_ca(void);
const struct pki *pair_leaf(enum pki_key type);
/* A leaf with these names (subjectAltName as in openssl.cnf). Freed with the rest. */
const struct pki *pair_leaf_named(enum pki_key type, const struct pki_options *options);
/* The same by another issuer; NULL: self-signed. */
const struct pki *pair_issued(enum pki_key type, const struct pki *issuer,
			      const struct pki_options *options);
void pair_free_pki(void);

/* Conn args of the event hook are the two ends. Ends the program if set-up fails. */
void pair_init(struct pair *pair, const struct pair_options *options);
void pair_free(struct pair *pair);

/* Starts both, and pumps. */
void pair_handshake(struct pair *pair);
/* Answers key requests and moves output to the other side until nothing moves any more. */
void pair_pump(struct pair *pair);
/* One end's pending output, moved to the other. */
void pair_move(struct pair *pair, struct pair_end *from, struct pair_end *to);
/* Gives an end bytes, chunk by chunk. */
void pair_feed(struct pair_end *end, const void *data, size_t len, size_t chunk);
/* Signs what the end asks for, if it does; true: it did. */
bool pair_answer_key(struct pair_end *end);

/* Both established, and nobody saw an error. */
bool pair_up(const struct pair *pair);
/* len bytes through from write() on one end to read() on the other, compared. */
bool pair_transfer(struct pair *pair, struct pair_end *from, struct pair_end *to, size_t len);
/* What one end would seal with is what the other would open with. */
bool pair_same_keys(struct pair *pair);

#endif /* TLSGATE_TESTS_PAIR_H */
