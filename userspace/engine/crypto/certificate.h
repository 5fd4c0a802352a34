/* SPDX-License-Identifier: MIT */
/*
 * Our certificate chains, and leaves of peers, as the engine's messages need them.
 * What is public about them is in engine.h.
 */
#ifndef TLSGATE_CERTIFICATE_H
#define TLSGATE_CERTIFICATE_H

#include "crypto/crypto.h"

#define TLS_MAX_CHAIN	16	/* elements */

struct tls_certificate *tls_certificate_ref(struct tls_certificate *cert);

/*
 * A peer's leaf, alone.  TLS_ERR_ALERT + bad_certificate: no certificate; +
 * unsupported_certificate: a key of a type we do not have.
 */
TLS_MUST_CHECK int tls_certificate_from_der(struct tls_certificate **out, struct tls_slice der);

size_t tls_certificate_count(const struct tls_certificate *cert);
/* Element i; valid while cert is. */
struct tls_slice tls_certificate_der(const struct tls_certificate *cert, size_t i);
enum tls_key_type tls_certificate_key_type(const struct tls_certificate *cert);
/* What tls_certificate_set_ocsp() was given. */
struct tls_slice tls_certificate_ocsp(const struct tls_certificate *cert);
/* What tls_certificate_set_scts() was given. */
struct tls_slice tls_certificate_scts(const struct tls_certificate *cert);
/* Is one of the chain issued by a CA of this name (DER, compared byte by byte)? */
bool tls_certificate_issued_by(const struct tls_certificate *cert, struct tls_slice name);
uint32_t tls_certificate_key_id(const struct tls_certificate *cert);
/*
 * The leaf's names of hosts, as they are written there: its dNSNames, or, if it
 * has none, its common names.  Ends at the first take() that does not give 0,
 * and returns what that gave.
 */
int tls_certificate_each_name(const struct tls_certificate *cert,
			      int (*take)(void *arg, const char *name, size_t len), void *arg);
/* Does the leaf's key usage, if it has one, permit signing, or decryption of premasters? */
bool tls_certificate_may(const struct tls_certificate *cert, enum tls_key_op op);
/* tls_scheme_fits() with this certificate's key, and the RSA key is long enough for the scheme. */
bool tls_certificate_can(const struct tls_certificate *cert, const struct tls_scheme *scheme,
			 uint16_t version);

/*
 * The peer's signature over data.  TLS_ERR_ALERT + decrypt_error when it is
 * wrong.  That the scheme was offered and fits (tls_certificate_can()) is the
 * caller's check.
 */
TLS_MUST_CHECK int tls_certificate_check_signature(const struct tls_certificate *cert,
						   const struct tls_scheme *scheme,
						   struct tls_slice data, struct tls_slice sig);

/* RSA PKCS#1 v1.5 encryption to the leaf's key (TLS 1.2 RSA key exchange); out has
 * TLS_MAX_RSA bytes. TLS_ERR_ARGUMENT: no RSA key. */
TLS_MUST_CHECK int tls_certificate_encrypt(const struct tls_certificate *cert,
					   struct tls_slice in, uint8_t *out, size_t *out_len);

#endif /* TLSGATE_CERTIFICATE_H */
