/* SPDX-License-Identifier: MIT */
/* Keys and certificates made at run time, for tests that need a PKI. */
#ifndef TLSGATE_TESTS_PKI_H
#define TLSGATE_TESTS_PKI_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/wire.h"

/* Midnight UTC, 2026-01-01: what tests take for now. */
#define PKI_NOW		INT64_C(1767225600)
#define PKI_DAY		INT64_C(86400)

enum pki_key {
	PKI_P256,
	PKI_P384,
	PKI_P521,
	PKI_ED25519,
	PKI_ED448,
	PKI_RSA2048,
	PKI_RSA_PSS,
	PKI_RSA_PSS_SHA384,		/* bound to that digest */
	PKI_MLDSA44,			/* see pki_has() */
	PKI_MLDSA65,
	PKI_MLDSA87,
	PKI_RSA1024,
	PKI_BRAINPOOL,			/* of a type the engine must refuse */
	PKI_KEY_COUNT
};

/* Has this libcrypto keys of that type? */
bool pki_has(enum pki_key type);

struct pki;				/* a key and its certificate */

/* All zero: a leaf for "host.test" by the issuer, valid around PKI_NOW, SHA-256. */
struct pki_options {
	const char *common_name;	/* "host.test"; "": an empty subject */
	const char *names;		/* subjectAltName as in openssl.cnf; "" for none */
	const char *key_usage;		/* as in openssl.cnf; NULL: no such extension */
	const char *extended_usage;	/* the same */
	const char *constraints;	/* basicConstraints; NULL: none */
	const char *feature;		/* tlsfeature (RFC 7633) as in openssl.cnf; NULL: none */
	bool no_check;			/* of an OCSP delegate: RFC 6960 section 4.2.2.2.1 */
	const char *digest;		/* "SHA256" */
	bool pss;			/* by an RSA issuer: RSASSA-PSS, not PKCS #1 v1.5 */
	const char *key_id;		/* subjectKeyIdentifier as in openssl.cnf; NULL: none */
	bool authority;			/* an authorityKeyIdentifier with the issuer's key id */
	int64_t not_before, not_after;	/* PKI_NOW -/+ 30 days */
};

/* issuer NULL: self-signed.  Ends the test program when it cannot be made. */
struct pki *pki_new(enum pki_key type, const struct pki *issuer, const struct pki_options *options);
/* A self-signed CA. */
struct pki *pki_ca(enum pki_key type, const char *common_name);
void pki_free(struct pki *pki);

/* PEM text, until pki_free(). */
const char *pki_certificate(const struct pki *pki);
const char *pki_key(const struct pki *pki);

/* The certificate alone, in DER, until pki_free(). */
struct tls_slice pki_der(const struct pki *pki);

/* All zero: an empty list, good for an hour before and after PKI_NOW. */
struct pki_crl_options {
	const struct pki *signer;	/* NULL: the one that it is by */
	const struct pki *revoked;
	unsigned int more;		/* how many others are revoked */
	int64_t from, until;		/* from PKI_NOW; 0: an hour */
	bool only_cas;			/* issuingDistributionPoint: CA certificates alone */
	bool delta;
};

/* A revocation list in DER. The caller's, by OPENSSL_free(). */
struct tls_slice pki_crl(const struct pki *by, const struct pki_crl_options *options);

#endif /* TLSGATE_TESTS_PKI_H */
