// SPDX-License-Identifier: MIT
/* Certificates by the names in them, RFC 6066 section 3. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "sni.h"

#define FIRST_BUCKETS	16	/* a power of two, like all that follow */

/* FNV-1a. The names hashed are the operator's; nobody else can make them collide. */
static size_t hash(const char *name)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *name; name++)
		h = (h ^ (unsigned char)tolower((unsigned char)*name)) * 0x100000001b3;
	return (size_t)(h ^ h >> 32);
}

static struct tls_sni_name **bucket(const struct tls_sni *sni, const char *name)
{
	return &sni->buckets[hash(name) & (sni->bucket_count - 1)];
}

static void append(struct tls_sni *sni, struct tls_sni_name *entry)
{
	struct tls_sni_name **end = bucket(sni, entry->name);

	while (*end)
		end = &(*end)->next;
	entry->next = NULL;
	*end = entry;
}

/* Buckets in which the entries are one behind the other keep their order. */
static int grow(struct tls_sni *sni)
{
	struct tls_sni old = *sni;

	sni->bucket_count = old.bucket_count ? 2 * old.bucket_count : FIRST_BUCKETS;
	sni->buckets = calloc(sni->bucket_count, sizeof(*sni->buckets));
	if (!sni->buckets) {
		*sni = old;
		return TLS_ERR_NO_MEMORY;
	}
	for (size_t i = 0; i < old.bucket_count; i++) {
		struct tls_sni_name *entry, *next;

		for (entry = old.buckets[i]; entry; entry = next) {
			next = entry->next;
			append(sni, entry);
		}
	}
	free(old.buckets);
	return 0;
}

struct addition {
	struct tls_sni *sni;
	struct tls_certificate *cert;
};

static int add_name(void *arg, const char *name, size_t len)
{
	const struct addition *add = arg;
	struct tls_sni *sni = add->sni;
	struct tls_sni_name *entry;

	if (sni->count == sni->bucket_count && grow(sni))
		return TLS_ERR_NO_MEMORY;
	entry = malloc(sizeof(*entry) + len + 1);
	if (!entry)
		return TLS_ERR_NO_MEMORY;
	entry->cert = add->cert;
	for (size_t i = 0; i < len; i++)
		entry->name[i] = (char)tolower((unsigned char)name[i]);
	entry->name[len] = '\0';
	append(sni, entry);
	sni->count++;
	return 0;
}

int tls_sni_add(struct tls_sni *sni, struct tls_certificate *cert)
{
	struct addition add = { sni, cert };

	return tls_certificate_each_name(cert, add_name, &add);
}

void tls_sni_free(struct tls_sni *sni)
{
	for (size_t i = 0; i < sni->bucket_count; i++) {
		struct tls_sni_name *entry, *next;

		for (entry = sni->buckets[i]; entry; entry = next) {
			next = entry->next;
			free(entry);
		}
	}
	free(sni->buckets);
	*sni = (struct tls_sni){ 0 };
}

static const struct tls_sni_name *same_name(const struct tls_sni_name *at, const char *name)
{
	while (at && strcasecmp(at->name, name))
		at = at->next;
	return at;
}

const struct tls_sni_name *tls_sni_find(const struct tls_sni *sni, const char *name)
{
	return sni->count && *name ? same_name(*bucket(sni, name), name) : NULL;
}

const struct tls_sni_name *tls_sni_next(const struct tls_sni_name *at)
{
	return same_name(at->next, at->name);
}

void tls_sni_wildcard(const char *host, char wildcard[TLS_MAX_SERVER_NAME + 1])
{
	const char *rest = strchr(host, '.');

	wildcard[0] = '\0';
	if (!rest || rest == host || !strchr(rest + 1, '.') || strlen(rest) >= TLS_MAX_SERVER_NAME)
		return;
	wildcard[0] = '*';
	memcpy(wildcard + 1, rest, strlen(rest) + 1);
}

static bool has_below(const struct tls_sni *sni, const char *wildcard)
{
	char covering[TLS_MAX_SERVER_NAME + 1];
	const struct tls_sni_name *entry;

	for (size_t i = 0; i < sni->bucket_count; i++) {
		for (entry = sni->buckets[i]; entry; entry = entry->next) {
			tls_sni_wildcard(entry->name, covering);
			if (!strcasecmp(covering, wildcard))
				return true;
		}
	}
	return false;
}

bool tls_sni_covers(const struct tls_sni *sni, const char *host)
{
	char wildcard[TLS_MAX_SERVER_NAME + 1];

	tls_sni_wildcard(host, wildcard);
	if (tls_sni_find(sni, host) || tls_sni_find(sni, wildcard))
		return true;
	return host[0] == '*' && has_below(sni, host);
}
