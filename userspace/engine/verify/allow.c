// SPDX-License-Identifier: MIT
/* Which clients may come in, of those whose chain is good: rules, of which one has to fit the leaf. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <openssl/x509v3.h>

#include "verify/path.h"

#define MAX_NAME	253		/* of DNS, without a dot at its end */
#define MAX_LABEL	63
#define DIGEST_LEN	32
#define BASE64_LEN	44		/* of a digest */
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

#define ALPHA	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS	"0123456789"

struct rule {
	const struct kind *kind;
	char *text;			/* behind the kind, and without the wildcard */
	bool wildcard;			/* something comes before (DNS) or behind (URI) */
	uint8_t digest[DIGEST_LEN];	/* SPKI-SHA256 */
};

struct tls_allow {
	struct rule *rules;
	size_t count;
};

/* A leaf, taken apart once for all rules. */
struct leaf {
	const X509 *x509;
	GENERAL_NAMES *names;		/* NULL: it has none */
};

/* ---- reading rules ---- */

static int refuse(const char **why, const char *text)
{
	*why = text;
	return TLS_ERR_ARGUMENT;
}

static int parse_common_name(struct rule *rule, const char **why)
{
	if (strchr(rule->text, '*'))
		return refuse(why, "CN= has no wildcard: give the whole name, or DNS:*.DOMAIN");
	return rule->text[0] ? 0 : refuse(why, "a name must follow CN=");
}

/* Labels as hosts have them, and the underscore that services have. */
static bool is_dns_name(const char *name)
{
	size_t len;

	if (strlen(name) > MAX_NAME)
		return false;
	for (;; name += len + 1) {
		len = strspn(name, ALPHA DIGITS "-_");
		if (!len || len > MAX_LABEL || (name[len] && name[len] != '.'))
			return false;
		if (!name[len])
			return true;
	}
}

/* text becomes ".svc.example" of "*.svc.example". */
static int parse_dns(struct rule *rule, const char **why)
{
	rule->wildcard = !strncmp(rule->text, "*.", 2);
	if (!is_dns_name(rule->text + (rule->wildcard ? 2 : 0)))
		return refuse(why, "a DNS name must follow DNS:, in ASCII; * may be its whole first label");
	if (rule->wildcard)
		memmove(rule->text, rule->text + 1, strlen(rule->text));
	return 0;
}

/* "scheme://authority/": less would also begin URIs of another authority. */
static bool has_authority(const char *uri)
{
	const char *authority = strstr(uri, "://");

	return authority && authority[3] != '/' && strchr(authority + 3, '/');
}

static int parse_uri(struct rule *rule, const char **why)
{
	size_t len = strlen(rule->text), scheme = strspn(rule->text, ALPHA DIGITS "+-.");
	size_t i;

	for (i = 0; i < len; i++)
		if (rule->text[i] <= ' ' || rule->text[i] > '~')
			return refuse(why, "a URI has printable ASCII without blanks");
	if (!scheme || rule->text[scheme] != ':')
		return refuse(why, "a URI with its scheme must follow URI:, such as spiffe://example/ns/a");
	rule->wildcard = rule->text[len - 1] == '*';
	if (rule->wildcard)
		rule->text[--len] = '\0';
	if (strchr(rule->text, '*') || (rule->wildcard && rule->text[len - 1] != '/'))
		return refuse(why, "* of a URI may only stand at its end and behind a /");
	if (rule->wildcard && !has_authority(rule->text))
		return refuse(why, "* of a URI may only stand behind scheme://authority/");
	return 0;
}

static bool is_hex(const char *text)
{
	return strlen(text) == 2 * DIGEST_LEN && strspn(text, DIGITS "abcdefABCDEF") == 2 * DIGEST_LEN;
}

static bool is_base64(const char *text)
{
	return strlen(text) == BASE64_LEN && strspn(text, ALPHA DIGITS "+/") == BASE64_LEN - 1 &&
	       text[BASE64_LEN - 1] == '=';
}

static int parse_spki(struct rule *rule, const char **why)
{
	uint8_t decoded[BASE64_LEN / 4 * 3];	/* with a byte for the '=' */
	size_t len;

	if (is_hex(rule->text) &&
	    OPENSSL_hexstr2buf_ex(rule->digest, DIGEST_LEN, &len, rule->text, '\0') == 1)
		return 0;
	if (!is_base64(rule->text) ||
	    EVP_DecodeBlock(decoded, (const uint8_t *)rule->text, BASE64_LEN) != (int)sizeof(decoded))
		return refuse(why, "a SHA-256 must follow SPKI-SHA256:, 64 hexadecimal digits or base64");
	memcpy(rule->digest, decoded, DIGEST_LEN);
	return 0;
}

/* ---- looking at a leaf ---- */

/* More than one common name is none: which one a CA meant would be a guess. */
static bool common_name_fits(const struct rule *rule, const struct leaf *leaf)
{
	const X509_NAME *subject = X509_get_subject_name(leaf->x509);
	int at = X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, -1);
	unsigned char *text = NULL;
	bool fits;
	int len;

	if (at < 0 || X509_NAME_get_index_by_NID((X509_NAME *)subject, NID_commonName, at) >= 0)
		return false;
	len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	fits = len >= 0 && (size_t)len == strlen(rule->text) && !memcmp(text, rule->text, (size_t)len);
	OPENSSL_free(text);
	return fits;
}

/* RFC 4343: case does not count.  A wildcard in a certificate is the name of no client. */
static bool dns_is(const struct rule *rule, const char *name, size_t len)
{
	const size_t tail = strlen(rule->text);

	if (len < tail || memchr(name, '*', len) || memchr(name, '\0', len) ||
	    strncasecmp(name + len - tail, rule->text, tail))
		return false;
	return rule->wildcard ? len > tail && !memchr(name, '.', len - tail) : len == tail;
}

/* Who resolved it, as a server of files does, would be elsewhere. */
static bool has_dot_segment(const char *path, size_t len)
{
	const char *end = path + len, *next;
	size_t segment;

	for (; path < end; path = next + 1) {
		next = memchr(path, '/', (size_t)(end - path));
		next = next ? next : end;
		segment = (size_t)(next - path);
		if (segment && segment <= 2 && !memcmp(path, "..", segment))
			return true;
	}
	return false;
}

/* Byte for byte (RFC 3986 section 6.2.1). */
static bool uri_is(const struct rule *rule, const char *uri, size_t len)
{
	const size_t head = strlen(rule->text);

	if (len < head || memcmp(uri, rule->text, head))
		return false;
	return rule->wildcard ? len > head && !has_dot_segment(uri + head, len - head) : len == head;
}

static bool alternative_fits(const struct rule *rule, const struct leaf *leaf, int type,
			     bool (*is)(const struct rule *rule, const char *name, size_t len))
{
	const GENERAL_NAME *name;
	int i;

	for (i = 0; i < sk_GENERAL_NAME_num(leaf->names); i++) {
		name = sk_GENERAL_NAME_value(leaf->names, i);
		if (name->type == type && is(rule, (const char *)ASN1_STRING_get0_data(name->d.ia5),
					     (size_t)ASN1_STRING_length(name->d.ia5)))
			return true;
	}
	return false;
}

static bool dns_fits(const struct rule *rule, const struct leaf *leaf)
{
	return alternative_fits(rule, leaf, GEN_DNS, dns_is);
}

static bool uri_fits(const struct rule *rule, const struct leaf *leaf)
{
	return alternative_fits(rule, leaf, GEN_URI, uri_is);
}

/* As RFC 7469 section 2.4 pins a key. */
static bool spki_fits(const struct rule *rule, const struct leaf *leaf)
{
	uint8_t digest[DIGEST_LEN];
	unsigned char *der = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf->x509), &der);
	bool fits = len > 0 && !tls_hash(TLS_HASH_SHA256, der, (size_t)len, digest) &&
		    !memcmp(digest, rule->digest, sizeof(digest));

	OPENSSL_free(der);
	return fits;
}

static const struct kind {
	const char *begin;
	int (*parse)(struct rule *rule, const char **why);
	bool (*fits)(const struct rule *rule, const struct leaf *leaf);
} kinds[] = {
	{ "CN=", parse_common_name, common_name_fits },
	{ "DNS:", parse_dns, dns_fits },
	{ "URI:", parse_uri, uri_fits },
	{ "SPKI-SHA256:", parse_spki, spki_fits },
};

/* ---- the list ---- */

static int parse_rule(struct rule *rule, const char *text, const char **why)
{
	size_t i, len;

	for (i = 0; i < COUNT(kinds); i++) {
		len = strlen(kinds[i].begin);
		if (strncmp(text, kinds[i].begin, len))
			continue;
		rule->kind = &kinds[i];
		rule->text = strdup(text + len);
		return rule->text ? kinds[i].parse(rule, why) : TLS_ERR_NO_MEMORY;
	}
	return refuse(why, "it must begin with CN=, DNS:, URI: or SPKI-SHA256:");
}

int tls_allow_add(struct tls_allow **allow, const char *text, const char **why)
{
	struct rule rule = { .text = NULL }, *rules;
	int err;

	*why = "out of memory";
	if (!*allow)
		*allow = calloc(1, sizeof(**allow));
	if (!*allow)
		return TLS_ERR_NO_MEMORY;
	rules = reallocarray((*allow)->rules, (*allow)->count + 1, sizeof(*rules));
	if (!rules)
		return TLS_ERR_NO_MEMORY;
	(*allow)->rules = rules;
	err = parse_rule(&rule, text, why);
	if (err)
		free(rule.text);
	else
		rules[(*allow)->count++] = rule;
	return err;
}

void tls_allow_free(struct tls_allow *allow)
{
	if (!allow)
		return;
	for (size_t i = 0; i < allow->count; i++)
		free(allow->rules[i].text);
	free(allow->rules);
	free(allow);
}

bool tls_allow_fits(const struct tls_allow *allow, const X509 *x509)
{
	struct leaf leaf = { .x509 = x509 };
	bool fits = false;

	/* NULL also where there are two such extensions */
	leaf.names = X509_get_ext_d2i(x509, NID_subject_alt_name, NULL, NULL);
	for (size_t i = 0; i < allow->count && !fits; i++)
		fits = allow->rules[i].kind->fits(&allow->rules[i], &leaf);
	GENERAL_NAMES_free(leaf.names);
	return fits;
}
