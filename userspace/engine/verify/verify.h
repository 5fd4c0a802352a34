/* SPDX-License-Identifier: MIT */
/*
 * Is the peer's chain to be believed?  RFC 5280 path validation by libcrypto's
 * X509_STORE; names by RFC 9525.
 */
#ifndef TLSGATE_VERIFY_H
#define TLSGATE_VERIFY_H

#include "crypto/certificate.h"

/* Trust anchors; immutable once shared. */
struct tls_trust;

TLS_MUST_CHECK int tls_trust_new(struct tls_trust **out);
void tls_trust_free(struct tls_trust *trust);		/* NULL is fine */
/* Every certificate of a PEM text. TLS_ERR_ARGUMENT: none in it, or one that cannot be parsed. */
TLS_MUST_CHECK int tls_trust_add(struct tls_trust *trust, const void *pem, size_t len);
/* The machine's own store, all of it now: OpenSSL's default file and directory, or what
 * SSL_CERT_FILE and SSL_CERT_DIR name.  TLS_ERR_ARGUMENT: nothing is there. */
TLS_MUST_CHECK int tls_trust_add_system(struct tls_trust *trust);
/*
 * Whether the anchors' names fit into a CertificateRequest.  Where they do not, it has none:
 * RFC 9846 section 4.3.4 leaves the extension to the server, and RFC 5246 section 7.4.4 lets
 * the list be empty.  Clients then choose without that help.
 */
bool tls_trust_names_fit(const struct tls_trust *trust);
/* The anchors' subjects as DistinguishedName vectors, for a CertificateRequest, if they fit. */
TLS_MUST_CHECK int tls_trust_put_names(const struct tls_trust *trust, struct tls_buf *out);

#define TLS_VERIFY_TEXT	256

struct tls_verify_request {
	const struct tls_trust *trust;	/* not NULL; empty: nothing is believed */
	const struct tls_certificate *chain;
	enum tls_role peer;		/* TLS_SERVER: serverAuth is wanted, else clientAuth */
	const char *name;		/* DNS name or IP literal; NULL: any */
	int64_t now;
	/*
	 * NULL, or called per element of the path found, anchor first.  The
	 * verdict is "ok"; or what is wrong with this one, and "not decided"
	 * for the others then.
	 */
	void (*element)(void *arg, struct tls_slice der, const char *verdict);
	void *arg;
};

/*
 * 0, or TLS_ERR_ALERT + the alert RFC 9846 section 6.2 has for it, and then
 * why is a sentence with the reason, and which certificate of the path it is about.
 */
TLS_MUST_CHECK int tls_verify_chain(const struct tls_verify_request *req,
				    char why[TLS_VERIFY_TEXT]);

/*
 * A stapled OCSP response for the leaf of a chain that has been verified; an
 * empty one: there is none.  TLS_ERR_ALERT + certificate_revoked; +
 * bad_certificate_status_response: it is malformed, not for this leaf, not by
 * its issuer, too old, or says nothing, or is missing where the leaf has to
 * come with one (RFC 7633).
 */
TLS_MUST_CHECK int tls_verify_ocsp(const struct tls_trust *trust,
				   const struct tls_certificate *chain,
				   struct tls_slice response, int64_t now);

/* An IPv4 or IPv6 literal, which no SNI may carry (RFC 6066 section 3)? */
bool tls_name_is_address(const char *name);

#endif /* TLSGATE_VERIFY_H */
