/* SPDX-License-Identifier: MIT */
/*
 * Which of our certificates name a host: a hash over their names, made as they
 * are added and only read from then on.
 */
#ifndef TLSGATE_SNI_H
#define TLSGATE_SNI_H

#include "crypto/certificate.h"

struct tls_sni_name;

/* All zero: none. */
struct tls_sni {
	struct tls_sni_name **buckets;
	size_t bucket_count, count;
};

/* A certificate under one of its names. */
struct tls_sni_name {
	struct tls_sni_name *next;	/* of the bucket, in the order of addition */
	struct tls_certificate *cert;	/* the caller's, not counted */
	char name[];			/* lower case; "*.domain" for a wildcard */
};

/* Every name of cert. TLS_ERR_NO_MEMORY: some of them may be there. */
TLS_MUST_CHECK int tls_sni_add(struct tls_sni *sni, struct tls_certificate *cert);
void tls_sni_free(struct tls_sni *sni);

/* The first certificate under exactly this name, in any case, and the ones after it; or NULL. */
const struct tls_sni_name *tls_sni_find(const struct tls_sni *sni, const char *name);
const struct tls_sni_name *tls_sni_next(const struct tls_sni_name *at);

/*
 * Is there a certificate for host: under its name or the wildcard that covers it?  Of a wildcard:
 * under it, or under a name that it covers; this goes through all names.
 */
bool tls_sni_covers(const struct tls_sni *sni, const char *host);

/*
 * The one wildcard that covers host (RFC 9525 section 6.3: the whole of the
 * leftmost label, nothing else), and none right below the root; "" if there
 * can be none.  Any label will do, one with underscores, too.
 */
void tls_sni_wildcard(const char *host, char wildcard[TLS_MAX_SERVER_NAME + 1]);

#endif /* TLSGATE_SNI_H */
