// SPDX-License-Identifier: MIT
/* What connections have in common: built once, then only read. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config.h"
#include "message/message.h"

static void default_suites(struct tls_config *config)
{
	for (const struct tls_suite_info *info = tls_suites(); info->suite; info++) {
		if (info->by_default && config->suite_count < TLS_MAX_SUITES)
			config->suites[config->suite_count++] = tls_suite_find(info->suite);
	}
}

static void default_groups(struct tls_config *config)
{
	size_t count;
	const struct tls_group *const *groups = tls_groups(&count);

	for (size_t i = 0; i < count && i < TLS_MAX_GROUPS; i++)
		config->groups[config->group_count++] = groups[i];
}

static void default_schemes(struct tls_scheme_list *list)
{
	const struct tls_scheme *all = tls_schemes(&list->count);

	for (size_t i = 0; i < list->count; i++)
		list->rows[i] = &all[i];
}

struct tls_config *tls_config_new(enum tls_role role, const struct tls_hooks *hooks)
{
	struct tls_config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	atomic_init(&config->refs, 1);
	config->role = role;
	config->hooks = *hooks;
	config->min_version = TLS_1_2;
	config->max_version = TLS_1_3;
	config->max_message = TLS_MAX_MESSAGE;
	config->verify = role == TLS_CLIENT ? TLS_VERIFY_REQUIRE : TLS_VERIFY_NONE;
	tls_buf_init(&config->alpn, 0xffff);
	if (tls_crypto_init() || tls_trust_new(&config->trust)) {
		tls_config_unref(config);
		return NULL;
	}
	default_suites(config);
	default_groups(config);
	default_schemes(&config->schemes[TLS_TO_SIGN]);
	default_schemes(&config->schemes[TLS_TO_VERIFY]);
	return config;
}

struct tls_config *tls_config_ref(struct tls_config *config)
{
	atomic_fetch_add_explicit(&config->refs, 1, memory_order_relaxed);
	return config;
}

void tls_config_unref(struct tls_config *config)
{
	if (!config || atomic_fetch_sub_explicit(&config->refs, 1, memory_order_acq_rel) != 1)
		return;
	tls_sni_free(&config->sni);
	for (size_t i = 0; i < config->cert_count; i++)
		tls_certificate_free(config->certs[i]);
	free(config->certs);
	tls_trust_free(config->trust);
	tls_allow_free(config->allow);
	tls_buf_free(&config->alpn);
	free(config);
}

int tls_config_set_versions(struct tls_config *config, uint16_t min, uint16_t max)
{
	if (min < TLS_1_2 || max > TLS_1_3 || min > max)
		return TLS_ERR_ARGUMENT;
	config->min_version = min;
	config->max_version = max;
	return 0;
}

/* ---- lists of names ---- */

/* One name of a list, not terminated. */
struct name {
	const char *p;
	size_t len;
};

static struct name next_name(const char **list, char separator)
{
	struct name name = { *list, 0 };
	const char *end = strchr(*list, separator);

	name.len = end ? (size_t)(end - *list) : strlen(*list);
	*list = end ? end + 1 : NULL;
	return name;
}

static bool name_is(struct name name, const char *other)
{
	return strlen(other) == name.len && !strncasecmp(name.p, other, name.len);
}

static const void *suite_by_name(struct name name)
{
	const struct tls_suite_info *info = tls_suites();

	while (info->suite && !name_is(name, info->name))
		info++;
	return info->suite ? tls_suite_find(info->suite) : NULL;
}

/* NIST's names, which people know, for IANA's. */
static const struct {
	const char *nist, *iana;
} group_aliases[] = {
	{ "P-256", "secp256r1" },
	{ "P-384", "secp384r1" },
	{ "P-521", "secp521r1" },
};

static const void *group_by_name(struct name name)
{
	size_t count;
	const struct tls_group *const *groups = tls_groups(&count);

	for (size_t i = 0; i < sizeof(group_aliases) / sizeof(*group_aliases); i++) {
		if (name_is(name, group_aliases[i].nist))
			name = (struct name){ group_aliases[i].iana,
					      strlen(group_aliases[i].iana) };
	}
	for (size_t i = 0; i < count; i++) {
		if (name_is(name, tls_group_name(groups[i]->id)))
			return groups[i];
	}
	return NULL;
}

/* Looks every name of list up; each may be there once. */
static int parse_names(const char *list, const char **bad, const void *(*find)(struct name name),
		       const void **out, size_t max, size_t *count)
{
	*count = 0;
	while (list) {
		struct name name = next_name(&list, ':');
		const void *item = find(name);

		for (size_t i = 0; i < *count; i++) {
			if (out[i] == item)
				item = NULL;
		}
		if (!item || *count == max) {
			if (bad)
				*bad = name.p;
			return TLS_ERR_ARGUMENT;
		}
		out[(*count)++] = item;
	}
	return 0;
}

int tls_config_set_suites(struct tls_config *config, const char *list, const char **bad)
{
	const void *found[TLS_MAX_SUITES];
	size_t count;
	int err = parse_names(list, bad, suite_by_name, found, TLS_MAX_SUITES, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		config->suites[i] = found[i];
	config->suite_count = count;
	return 0;
}

int tls_config_set_groups(struct tls_config *config, const char *list, const char **bad)
{
	const void *found[TLS_MAX_GROUPS];
	size_t count;
	int err = parse_names(list, bad, group_by_name, found, TLS_MAX_GROUPS, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		config->groups[i] = found[i];
	config->group_count = count;
	return 0;
}

static const void *scheme_by_name(struct name name)
{
	size_t count;
	const struct tls_scheme *schemes = tls_schemes(&count);

	for (size_t i = 0; i < count; i++) {
		if (name_is(name, tls_scheme_name(schemes[i].id)))
			return &schemes[i];
	}
	return NULL;
}

int tls_config_set_schemes(struct tls_config *config, enum tls_scheme_use use, const char *list,
			   const char **bad)
{
	const void *found[TLS_MAX_SCHEMES];
	size_t count;
	int err = parse_names(list, bad, scheme_by_name, found, TLS_MAX_SCHEMES, &count);

	if (err)
		return err;
	for (size_t i = 0; i < count; i++)
		config->schemes[use].rows[i] = found[i];
	config->schemes[use].count = count;
	return 0;
}

int tls_config_set_alpn(struct tls_config *config, const char *list)
{
	struct tls_buf alpn;
	int err;

	tls_buf_init(&alpn, 0xffff);
	while (list) {
		struct name name = next_name(&list, ',');

		if (name.len == 0 || name.len > TLS_MAX_ALPN) {
			tls_buf_free(&alpn);
			return TLS_ERR_ARGUMENT;
		}
		tls_put_u8(&alpn, (uint8_t)name.len);
		tls_put_bytes(&alpn, name.p, name.len);
	}
	err = tls_buf_error(&alpn);
	if (err) {
		tls_buf_free(&alpn);
		return err == TLS_ERR_SPACE ? TLS_ERR_ARGUMENT : err;
	}
	tls_buf_free(&config->alpn);
	config->alpn = alpn;
	return 0;
}

/* ---- certificates ---- */

int tls_config_add_certificate(struct tls_config *config, struct tls_certificate *cert)
{
	struct tls_certificate **more = reallocarray(config->certs, config->cert_count + 1,
						     sizeof(*more));

	if (!more)
		return TLS_ERR_NO_MEMORY;
	config->certs = more;
	config->certs[config->cert_count++] = tls_certificate_ref(cert);
	return config->role == TLS_SERVER ? tls_sni_add(&config->sni, cert) : 0;
}

bool tls_config_has_name(const struct tls_config *config, const char *name)
{
	return tls_sni_covers(&config->sni, name);
}

int tls_config_refuse_unknown_name(struct tls_config *config)
{
	if (config->role != TLS_SERVER)
		return TLS_ERR_ARGUMENT;
	config->refuse_unknown_name = true;
	return 0;
}

int tls_config_add_ca(struct tls_config *config, const void *pem, size_t len)
{
	int err = tls_trust_add(config->trust, pem, len);

	config->has_ca |= !err;
	return err;
}

int tls_config_use_system_ca(struct tls_config *config)
{
	int err = tls_trust_add_system(config->trust);

	config->has_ca |= !err;
	return err;
}

bool tls_config_shows_ca(const struct tls_config *config)
{
	return config->has_ca && tls_trust_names_fit(config->trust);
}

bool tls_config_has_ca(const struct tls_config *config)
{
	return tls_trust_has_ca(config->trust);
}

int tls_config_add_crl(struct tls_config *config, const void *crls, size_t len, int64_t *until,
		       const char **why)
{
	return tls_trust_add_crl(config->trust, crls, len, until, why);
}

void tls_config_take_expired_crls(struct tls_config *config)
{
	tls_trust_take_expired_crls(config->trust);
}

int tls_config_allow_client(struct tls_config *config, const char *rule, const char **why)
{
	int err;

	*why = "a client of TLS has no clients";
	if (config->role != TLS_SERVER)
		return TLS_ERR_ARGUMENT;
	err = tls_allow_add(&config->allow, rule, why);
	if (!err)
		config->verify = TLS_VERIFY_REQUIRE;
	return err;
}

int tls_config_set_verify(struct tls_config *config, enum tls_verify verify)
{
	if (verify == (config->role == TLS_CLIENT ? TLS_VERIFY_REQUEST : TLS_VERIFY_REPORT))
		return TLS_ERR_ARGUMENT;
	config->verify = verify;
	return 0;
}

int tls_config_request_ocsp(struct tls_config *config)
{
	if (config->role != TLS_CLIENT)
		return TLS_ERR_ARGUMENT;
	config->request_ocsp = true;
	return 0;
}

int tls_config_allow_legacy_server(struct tls_config *config)
{
	if (config->role != TLS_CLIENT)
		return TLS_ERR_ARGUMENT;
	config->legacy_server = true;
	return 0;
}

int tls_config_set_max_message(struct tls_config *config, size_t bytes)
{
	if (bytes < TLS_LEAST_MAX_MESSAGE || bytes > TLS_MAX_MESSAGE)
		return TLS_ERR_ARGUMENT;
	config->max_message = (uint32_t)bytes;
	return 0;
}

int tls_config_request_scts(struct tls_config *config)
{
	if (config->role != TLS_CLIENT)
		return TLS_ERR_ARGUMENT;
	config->request_scts = true;
	return 0;
}

int tls_config_set_ticket_keys(struct tls_config *config, const struct tls_ticket_key *keys,
			       size_t count)
{
	if (config->role != TLS_SERVER || count > TLS_MAX_TICKET_KEYS)
		return TLS_ERR_ARGUMENT;
	config->ticket_keys = keys;
	config->ticket_key_count = count;
	return 0;
}

/* ---- what settings leave ---- */

static bool is_allowed(const struct tls_config *config, uint16_t version)
{
	return version >= config->min_version && version <= config->max_version;
}

static bool has_group(const struct tls_config *config, uint16_t version)
{
	for (size_t i = 0; i < config->group_count; i++) {
		if (version == TLS_1_3 || config->groups[i]->tls12)
			return true;
	}
	return false;
}

bool tls_config_leaves_suite(const struct tls_config *config)
{
	return tls_config_has_version(config, TLS_1_2) || tls_config_has_version(config, TLS_1_3);
}

bool tls_config_leaves_group(const struct tls_config *config)
{
	for (size_t i = 0; i < config->suite_count; i++) {
		const struct tls_suite *suite = config->suites[i];

		if (is_allowed(config, suite->version) &&
		    (suite->kx == TLS_KX_RSA || has_group(config, suite->version)))
			return true;
	}
	return false;
}

/* ---- ML-KEM ---- */

static size_t count_pq(const struct tls_group *const *groups, size_t count)
{
	size_t pq = 0;

	for (size_t i = 0; i < count; i++)
		pq += groups[i]->pq;
	return pq;
}

/* NULL: there is a group with ML-KEM, and the version that has them. */
static const char *why_no_pq(const struct tls_config *config)
{
	size_t count;
	const struct tls_group *const *groups = tls_groups(&count);

	if (!count_pq(groups, count))
		return "libcrypto has no ML-KEM: use OpenSSL 3.5 or newer, or give accept";
	if (!count_pq(config->groups, config->group_count))
		return "groups has none with ML-KEM: add X25519MLKEM768";
	if (!tls_config_has_version(config, TLS_1_3))
		return "only TLS 1.3 has ML-KEM, and max-version or ciphersuites leave it out";
	return NULL;
}

/* Those with ML-KEM come first, each kind in the order that it had. */
static void put_pq_first(struct tls_config *config)
{
	const struct tls_group *others[TLS_MAX_GROUPS];
	size_t count = 0, other_count = 0;

	for (size_t i = 0; i < config->group_count; i++) {
		if (config->groups[i]->pq)
			config->groups[count++] = config->groups[i];
		else
			others[other_count++] = config->groups[i];
	}
	for (size_t i = 0; i < other_count; i++)
		config->groups[count + i] = others[i];
}

int tls_config_set_pq(struct tls_config *config, enum tls_pq pq, const char **why)
{
	if (pq == TLS_PQ_ACCEPT)
		return 0;
	*why = why_no_pq(config);
	if (*why)
		return TLS_ERR_ARGUMENT;
	put_pq_first(config);
	config->pq = pq;
	if (pq == TLS_PQ_REQUIRE) {
		config->group_count = count_pq(config->groups, config->group_count);
		config->min_version = TLS_1_3;
	}
	return 0;
}

/* ---- what connections ask ---- */

bool tls_config_has_version(const struct tls_config *config, uint16_t version)
{
	if (!is_allowed(config, version))
		return false;
	for (size_t i = 0; i < config->suite_count; i++) {
		if (config->suites[i]->version == version)
			return true;
	}
	return false;
}

bool tls_config_has_suite(const struct tls_config *config, const struct tls_suite *suite)
{
	for (size_t i = 0; i < config->suite_count; i++) {
		if (config->suites[i] == suite)
			return true;
	}
	return false;
}

const struct tls_group *tls_config_group(const struct tls_config *config, uint16_t id)
{
	for (size_t i = 0; i < config->group_count; i++) {
		if (config->groups[i]->id == id)
			return config->groups[i];
	}
	return NULL;
}

const struct tls_scheme *tls_config_scheme(const struct tls_config *config, uint16_t id)
{
	const struct tls_scheme_list *list = &config->schemes[TLS_TO_VERIFY];

	for (size_t i = 0; i < list->count; i++) {
		if (list->rows[i]->id == id)
			return list->rows[i];
	}
	return NULL;
}
