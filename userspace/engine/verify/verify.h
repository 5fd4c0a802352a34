/* SPDX-License-Identifier: MIT */
/*
 * Whether a peer is believed: chain, name, validity, usage, revocation, status.  RFC 5280
 * path validation is libcrypto's; names by RFC 9525, OCSP by RFC 6960.
 *
 * What a peer sends is an argument here, and nothing else ever: what may be used
 * of it afterwards is a struct tls_peer, which only this module makes.
 */
#ifndef TLSGATE_VERIFY_H
#define TLSGATE_VERIFY_H

#include "crypto/certificate.h"

/* Trust anchors and revocation lists; immutable once shared. */
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
/* Is an anchor a CA's, or self-signed?  Else each is believed for itself alone. */
bool tls_trust_has_ca(const struct tls_trust *trust);
/*
 * Certificate revocation lists: every one of a PEM text, or one in DER.  *until:
 * when the first of them expires, in seconds since the epoch; INT64_MAX: none
 * does.  TLS_ERR_ARGUMENT: *why is a static sentence.
 */
TLS_MUST_CHECK int tls_trust_add_crl(struct tls_trust *trust, const void *data, size_t len,
				     int64_t *until, const char **why);
void tls_trust_take_expired_crls(struct tls_trust *trust);
/* The anchors' subjects as DistinguishedName vectors, for a CertificateRequest, if they fit. */
TLS_MUST_CHECK int tls_trust_put_names(const struct tls_trust *trust, struct tls_buf *out);

/* Rules for the leaf of a peer, one of which has to fit. */
struct tls_allow;

/*
 * Adds a rule as tls_config_allow_client() has them; *allow NULL: to a new list.
 * TLS_ERR_ARGUMENT, TLS_ERR_NO_MEMORY: the list is as before, and *why is a static sentence.
 */
TLS_MUST_CHECK int tls_allow_add(struct tls_allow **allow, const char *rule, const char **why);
void tls_allow_free(struct tls_allow *allow);		/* NULL is fine */

#define TLS_VERIFY_TEXT	256

/* What is asked of a peer. */
struct tls_verify_request {
	const struct tls_trust *trust;	/* not NULL; empty: nothing is believed */
	enum tls_verify verify;		/* NONE: all is taken; REPORT: all, and why says the truth */
	enum tls_role peer;		/* TLS_SERVER: serverAuth is wanted, else clientAuth */
	enum tls_key_op op;		/* what its key is for */
	const char *name;		/* DNS name or IP literal; NULL: any */
	const struct tls_allow *allow;	/* NULL: every leaf that the rest leaves */
	const struct tls_scheme *const *schemes;	/* offered: the path is signed by these */
	size_t scheme_count;
	bool status;			/* it was asked for an OCSP response */
	int64_t now;
	/*
	 * NULL, or called per element of the path found, leaf first.  The
	 * verdict is "ok"; or what is wrong with this one, and "not decided"
	 * for the others then.  NONE: per element sent, "not verified".
	 */
	void (*element)(void *arg, struct tls_slice der, const char *verdict);
	void *arg;
};

/* A peer that was judged as the request wanted it. */
struct tls_peer;

/*
 * Judges the chain that a peer sent: 1 to TLS_MAX_CHAIN certificates in DER, leaf first.
 * 0, and *out is the peer; or, and then why is a sentence with the reason and
 * which certificate it is about:
 *	TLS_ERR_ALERT + bad_certificate		one cannot be parsed
 *	TLS_ERR_ALERT + unsupported_certificate	the leaf's key is of a type we do not have
 *	TLS_ERR_ALERT + illegal_parameter	its key usage forbids op (RFC 9846 section
 *						4.5.1.2, RFC 5246 section 7.4.2)
 *	TLS_ERR_ALERT + the alert RFC 9846 section 6.2 has for what is wrong
 * Empty otherwise, but for REPORT, which gives 0 in the last case.
 */
TLS_MUST_CHECK int tls_peer_verify(struct tls_peer **out, const struct tls_verify_request *req,
				   const struct tls_slice *chain, size_t count,
				   char why[TLS_VERIFY_TEXT]);
void tls_peer_free(struct tls_peer *peer);		/* NULL is fine */
/* The leaf alone: its key, its usage, its DER. */
const struct tls_certificate *tls_peer_leaf(const struct tls_peer *peer);

/*
 * The OCSP response that the peer stapled; an empty one: there is none.  Looks
 * at it only where the request asked for one and the peer is believed.
 * TLS_ERR_ALERT + certificate_revoked; + bad_certificate_status_response: it is
 * malformed, not for this leaf, not by its issuer or whom that let respond, too
 * old, or says nothing, or is missing where the leaf has to come with one (RFC
 * 7633).  why as above.
 */
TLS_MUST_CHECK int tls_peer_verify_status(struct tls_peer *peer,
					  const struct tls_verify_request *req,
					  struct tls_slice response, char why[TLS_VERIFY_TEXT]);

/* For a session to keep: bytes from which tls_peer_resume() judges anew. Valid while peer is. */
struct tls_slice tls_peer_kept(const struct tls_peer *peer);
/*
 * Judges the peer of a session, as tls_peer_verify() does but for op; and, where
 * the request asks for a status, that the one it had is still fresh.
 * TLS_ERR_ARGUMENT: kept was made by somebody else.
 */
TLS_MUST_CHECK int tls_peer_resume(struct tls_peer **out, const struct tls_verify_request *req,
				   struct tls_slice kept, char why[TLS_VERIFY_TEXT]);

/* An IPv4 or IPv6 literal, which no SNI may carry (RFC 6066 section 3)? */
bool tls_name_is_address(const char *name);

#endif /* TLSGATE_VERIFY_H */
