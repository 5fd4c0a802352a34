/* SPDX-License-Identifier: MIT */
/* What connections have in common, from the inside; built once, then only read. */
#ifndef TLSGATE_CONFIG_H
#define TLSGATE_CONFIG_H

#include <stdatomic.h>

#include "crypto/certificate.h"
#include "sni.h"
#include "suites.h"
#include "verify/verify.h"

#define TLS_MAX_SUITES		16
#define TLS_MAX_GROUPS		8
#define TLS_MAX_SCHEMES		20

struct tls_scheme_list {
	const struct tls_scheme *rows[TLS_MAX_SCHEMES];
	size_t count;
};

struct tls_config {
	atomic_uint refs;
	enum tls_role role;
	struct tls_hooks hooks;
	uint16_t min_version, max_version;
	uint32_t max_message;		/* bytes of a handshake message's body, any type */
	const struct tls_suite *suites[TLS_MAX_SUITES];
	size_t suite_count;
	const struct tls_group *groups[TLS_MAX_GROUPS];
	size_t group_count;
	enum tls_pq pq;
	struct tls_scheme_list schemes[TLS_TO_VERIFY + 1];	/* by enum tls_scheme_use */
	struct tls_buf alpn;		/* ProtocolName list as on the wire, without its length */
	struct tls_certificate **certs;
	size_t cert_count;
	struct tls_sni sni;		/* certs by name */
	const struct tls_ticket_key *ticket_keys;	/* the caller's */
	size_t ticket_key_count;
	struct tls_trust *trust;
	struct tls_allow *allow;	/* server; NULL: every client that trust leaves */
	bool has_ca;			/* trust is not empty */
	bool request_ocsp, request_scts;
	bool refuse_unknown_name;	/* server: instead of any certificate */
	bool legacy_server;		/* client: one without renegotiation_info will do */
	enum tls_verify verify;
};

/* Allowed, and there is a suite for it? */
bool tls_config_has_version(const struct tls_config *config, uint16_t version);
bool tls_config_has_suite(const struct tls_config *config, const struct tls_suite *suite);
const struct tls_group *tls_config_group(const struct tls_config *config, uint16_t id);
/* One that we offer to verify; NULL: no, or not known. */
const struct tls_scheme *tls_config_scheme(const struct tls_config *config, uint16_t id);

#endif /* TLSGATE_CONFIG_H */
