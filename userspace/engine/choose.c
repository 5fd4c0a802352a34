// SPDX-License-Identifier: MIT
/* What we take of what the peer offers. */
#include <string.h>

#include "choose.h"
#include "config.h"
#include "conn.h"
#include "handshake.h"
#include "message/message.h"
#include "resume.h"

/* certificates compared with the CAs that a client names */
#define TLS_MAX_BY_CA	16

#define SSL_3_0	0x0300

/* Is the value in a list of 16-bit values as on the wire? */
static bool list_has(struct tls_slice list, uint16_t value)
{
	for (size_t i = 0; i + 1 < list.len; i += 2) {
		if ((list.p[i] << 8 | list.p[i + 1]) == value)
			return true;
	}
	return false;
}

bool tls_offer_has_suite(const struct tls_offer *offer, uint16_t suite)
{
	return list_has(offer->suites, suite);
}

uint16_t tls_choose_version(const struct tls_conn *conn)
{
	const struct tls_config *config = conn->config;
	const struct tls_offer *offer = &conn->hs->offer;

	/* RFC 9846 appendix E.5 */
	if (conn->hs->client_version <= SSL_3_0)
		return 0;
	/* RFC 9846 section 4.3.1: otherwise legacy_version counts only without the extension. */
	if (!offer->has_versions && conn->hs->client_version < TLS_1_2)
		return 0;
	if (!offer->has_versions)
		return tls_config_has_version(config, TLS_1_2) ? TLS_1_2 : 0;
	for (uint16_t v = TLS_1_3; v >= TLS_1_2; v--) {
		if (tls_config_has_version(config, v) && list_has(offer->versions, v))
			return v;
	}
	return 0;
}

/* ---- certificates ---- */

/* Those of ECDSA keys. */
static const uint16_t curves[] = {
	TLS_GROUP_SECP256R1, TLS_GROUP_SECP384R1, TLS_GROUP_SECP521R1,
};

#define CURVES	(sizeof(curves) / sizeof(*curves))

/*
 * Which of our suites, schemes and curves the peer offers: a bit for the row of each.  Its
 * lists may have 32767 entries, so they are gone through once, not for each certificate.
 */
static void compare(struct tls_conn *conn)
{
	const struct tls_scheme_list *schemes = &conn->config->schemes[TLS_TO_SIGN];
	const struct tls_config *config = conn->config;
	struct tls_offer *offer = &conn->hs->offer;

	offer->our_suites = offer->our_schemes = offer->our_curves = 0;
	for (size_t i = 0; i < config->suite_count; i++)
		offer->our_suites |=
			(uint32_t)tls_offer_has_suite(offer, config->suites[i]->id) << i;
	for (size_t i = 0; i < schemes->count; i++)
		offer->our_schemes |=
			(uint32_t)list_has(offer->schemes, schemes->rows[i]->id) << i;
	for (size_t i = 0; i < CURVES; i++)
		offer->our_curves |= (uint32_t)list_has(offer->groups, curves[i]) << i;
}

/* The first of ours that is offered and that the key can do by the rules of version. */
static const struct tls_scheme *find_scheme(const struct tls_conn *conn,
					    const struct tls_certificate *cert, uint16_t version)
{
	const struct tls_scheme_list *ours = &conn->config->schemes[TLS_TO_SIGN];

	for (size_t i = 0; i < ours->count; i++) {
		const struct tls_scheme *scheme = ours->rows[i];

		if (conn->hs->offer.our_schemes & 1u << i &&
		    tls_certificate_can(cert, scheme, version))
			return scheme;
	}
	return NULL;
}

/* Better one that TLS 1.3 takes (a P-384 key with SHA-384) than any that TLS 1.2 does. */
static const struct tls_scheme *choose_scheme(const struct tls_conn *conn,
					      const struct tls_certificate *cert)
{
	const struct tls_scheme *scheme = find_scheme(conn, cert, TLS_1_3);

	return scheme ? scheme : find_scheme(conn, cert, conn->version);
}

uint16_t tls_key_curve(enum tls_key_type type)
{
	switch (type) {
	case TLS_KEY_ECDSA_P256:
		return TLS_GROUP_SECP256R1;
	case TLS_KEY_ECDSA_P384:
		return TLS_GROUP_SECP384R1;
	case TLS_KEY_ECDSA_P521:
		return TLS_GROUP_SECP521R1;
	default:
		return 0;
	}
}

/* RFC 8422 section 5.3: in TLS 1.2 the curve of the key has to be one that the client has. */
static bool curve_offered(const struct tls_conn *conn, const struct tls_certificate *cert)
{
	const struct tls_offer *offer = &conn->hs->offer;
	uint16_t curve = tls_key_curve(tls_certificate_key_type(cert));

	if (conn->version != TLS_1_2 || !offer->has_groups || !curve)
		return true;
	for (size_t i = 0; i < CURVES; i++) {
		if (curves[i] == curve)
			return offer->our_curves & 1u << i;
	}
	return false;
}

/* Can it go with this suite? Then it is hs->cert. */
static bool suits(struct tls_conn *conn, const struct tls_suite *suite,
		  struct tls_certificate *cert)
{
	struct tls_handshake *hs = conn->hs;
	const struct tls_scheme *scheme = NULL;
	bool rsa_kx = suite->kx == TLS_KX_RSA;

	if (!tls_suite_takes_key(suite, tls_certificate_key_type(cert)) ||
	    !tls_certificate_may(cert, rsa_kx ? TLS_KEY_DECRYPT : TLS_KEY_SIGN))
		return false;
	if (!rsa_kx) {
		scheme = choose_scheme(conn, cert);
		if (!scheme || !curve_offered(conn, cert))
			return false;
	}
	hs->cert = cert;
	hs->scheme = scheme;
	return true;
}

/* TLS 1.2: the suite has to fit the key, so it is chosen here. */
static bool take_certificate(struct tls_conn *conn, struct tls_certificate *cert)
{
	const struct tls_config *config = conn->config;
	const struct tls_handshake *hs = conn->hs;

	if (conn->version == TLS_1_3)
		return suits(conn, conn->suite, cert);
	for (size_t i = 0; i < config->suite_count; i++) {
		const struct tls_suite *suite = config->suites[i];

		if (suite->version != TLS_1_2 || !(hs->offer.our_suites & 1u << i) ||
		    (suite->kx == TLS_KX_ECDHE && !hs->group) || !suits(conn, suite, cert))
			continue;
		conn->suite = suite;
		return true;
	}
	return false;
}

/* RFC 9846 section 4.3.4, RFC 5246 section 7.4.6: by a CA that the peer named, if any. */
static bool issuer_named(const struct tls_conn *conn, const struct tls_certificate *cert)
{
	struct tls_slice names = conn->hs->offer.ca_names;
	struct tls_reader list, name;

	tls_reader_init(&list, names.p, names.len);
	while (tls_read_more(&list)) {
		tls_read_vec16(&list, &name);
		if (tls_certificate_issued_by(cert, tls_read_rest(&name)))
			return true;
	}
	return false;
}

/* Of those under a name. by_ca: only what issuer_named() says of. */
static bool take_named(struct tls_conn *conn, const char *name, bool by_ca)
{
	const struct tls_sni_name *at = tls_sni_find(&conn->config->sni, name);
	size_t looked_at = 0;

	for (; at; at = tls_sni_next(at)) {
		if (by_ca && (++looked_at > TLS_MAX_BY_CA || !issuer_named(conn, at->cert)))
			continue;
		if (take_certificate(conn, at->cert))
			return true;
	}
	return false;
}

static bool take_any(struct tls_conn *conn, bool by_ca)
{
	const struct tls_config *config = conn->config;

	for (size_t i = 0; i < config->cert_count; i++) {
		if (by_ca && (i >= TLS_MAX_BY_CA || !issuer_named(conn, config->certs[i])))
			continue;
		if (take_certificate(conn, config->certs[i]))
			return true;
	}
	return false;
}

/*
 * RFC 6066 section 3: the name chooses.  Where it is one of ours, no other
 * name's certificate will do; the whole name is better than a wildcard.  Where
 * it is not, or there is none, any will do, the first is the default.  Then
 * the CAs choose that the client names, then the configuration's order.
 */
static bool choose_certificate(struct tls_conn *conn)
{
	const struct tls_sni *sni = &conn->config->sni;
	const char *name = conn->server_name;
	char wildcard[TLS_MAX_SERVER_NAME + 1];
	bool by_ca = conn->hs->offer.ca_names.len;

	compare(conn);
	tls_sni_wildcard(name, wildcard);
	conn->hs->server_name_known = tls_sni_find(sni, name) || tls_sni_find(sni, wildcard);
	for (;; by_ca = false) {
		bool found = conn->hs->server_name_known ?
			     take_named(conn, name, by_ca) || take_named(conn, wildcard, by_ca) :
			     take_any(conn, by_ca);

		if (found || !by_ca)
			return found;
	}
}

/* TLS 1.2's certificate_types (RFC 5246 section 7.4.4, RFC 8422 section 5.5). */
static bool type_requested(const struct tls_conn *conn, const struct tls_certificate *cert)
{
	const struct tls_slice types = conn->hs->offer.cert_types;
	uint8_t type = tls_key_is_rsa(tls_certificate_key_type(cert)) ? TLS_CERT_TYPE_RSA :
									TLS_CERT_TYPE_ECDSA;

	return conn->version != TLS_1_2 || memchr(types.p, type, types.len);
}

/*
 * TLS 1.2: Ed25519 signs the messages themselves, which the key is given whole.
 * To come before that: ServerHelloDone, our chain, ClientKeyExchange.
 */
static bool fits_key_request(const struct tls_conn *conn, const struct tls_certificate *cert,
			     size_t request_len)
{
	size_t len = tls_transcript_messages(&conn->hs->transcript).len + request_len +
		     3 * TLS_HANDSHAKE_HEADER + TLS_MAX_RSA;

	for (size_t i = 0; i < tls_certificate_count(cert); i++)
		len += 3 + tls_certificate_der(cert, i).len;
	return len <= TLS_MAX_KEY_REQUEST;
}

static bool take_client_certificate(struct tls_conn *conn, struct tls_certificate *cert,
				    size_t request_len)
{
	const struct tls_scheme *scheme;

	if (!type_requested(conn, cert) || !tls_certificate_may(cert, TLS_KEY_SIGN))
		return false;
	scheme = choose_scheme(conn, cert);
	if (!scheme || (conn->version == TLS_1_2 && scheme->whole &&
			!fits_key_request(conn, cert, request_len)))
		return false;
	conn->hs->cert = cert;
	conn->hs->scheme = scheme;
	return true;
}

void tls_choose_client_certificate(struct tls_conn *conn, size_t request_len)
{
	const struct tls_config *config = conn->config;

	compare(conn);
	for (size_t i = 0; config->cert_count > 1 && i < config->cert_count; i++) {
		if (issuer_named(conn, config->certs[i]) &&
		    take_client_certificate(conn, config->certs[i], request_len))
			return;
	}
	/* Servers name CAs and mean others, too: let it judge. */
	for (size_t i = 0; i < config->cert_count; i++) {
		if (take_client_certificate(conn, config->certs[i], request_len))
			return;
	}
}

/* ---- what there is not ---- */

static int no_suite(struct tls_conn *conn)
{
	tls_refuse_offer(conn, conn->hs->offer.suites, tls_suite_name);
	return tls_refuse(conn, TLS_REASON_SUITE, TLS_ALERT(HANDSHAKE_FAILURE));
}

static int no_group(struct tls_conn *conn)
{
	tls_refuse_offer(conn, conn->hs->offer.groups, tls_group_name);
	return tls_refuse(conn, conn->config->pq == TLS_PQ_REQUIRE ? TLS_REASON_PQ : TLS_REASON_GROUP,
			  TLS_ALERT(HANDSHAKE_FAILURE));
}

/* TLS 1.2: a suite in common that one of our keys can do? */
static bool suite_for_key(const struct tls_conn *conn)
{
	const struct tls_config *config = conn->config;

	for (size_t i = 0; i < config->suite_count * config->cert_count; i++) {
		const struct tls_suite *suite = config->suites[i / config->cert_count];
		const struct tls_certificate *cert = config->certs[i % config->cert_count];

		if (suite->version == TLS_1_2 &&
		    conn->hs->offer.our_suites & 1u << (i / config->cert_count) &&
		    tls_suite_takes_key(suite, tls_certificate_key_type(cert)))
			return true;
	}
	return false;
}

static int no_certificate(struct tls_conn *conn)
{
	if (conn->version == TLS_1_2 && !suite_for_key(conn))
		tls_refuse_offer(conn, conn->hs->offer.suites, tls_suite_name);
	else
		tls_refuse_offer(conn, conn->hs->offer.schemes, tls_scheme_name);
	return tls_refuse(conn, conn->hs->server_name_known ? TLS_REASON_CERTIFICATE_OF_NAME :
			  TLS_REASON_CERTIFICATE, TLS_ALERT(HANDSHAKE_FAILURE));
}

/* ---- TLS 1.3 ---- */

struct tls_slice tls_offer_share(const struct tls_offer *offer, uint16_t group)
{
	struct tls_reader list, share;

	tls_reader_init(&list, offer->shares.p, offer->shares.len);
	while (tls_read_more(&list)) {
		uint16_t id = tls_read_u16(&list);

		tls_read_vec16(&list, &share);
		if (id == group)
			return tls_read_rest(&share);
	}
	return (struct tls_slice){ NULL, 0 };
}

/* Is a round trip worth it for this group, rather than to take the other, of which there is a share? */
static bool worth_retry(const struct tls_config *config, const struct tls_group *group,
			const struct tls_group *other)
{
	return config->pq == TLS_PQ_PREFER && group && group->pq && !other->pq;
}

/* One with a share, since a HelloRetryRequest costs a round trip; else any that both have. */
static const struct tls_group *choose_group13(const struct tls_conn *conn)
{
	const struct tls_config *config = conn->config;
	const struct tls_offer *offer = &conn->hs->offer;
	const struct tls_group *fallback = NULL;

	for (size_t i = 0; i < config->group_count; i++) {
		const struct tls_group *group = config->groups[i];

		if (!list_has(offer->groups, group->id))
			continue;
		if (tls_offer_share(offer, group->id).p)
			return worth_retry(config, fallback, group) ? fallback : group;
		if (!fallback)
			fallback = group;
	}
	return fallback;
}

static const struct tls_suite *choose_suite13(const struct tls_conn *conn)
{
	const struct tls_config *config = conn->config;

	for (size_t i = 0; i < config->suite_count; i++) {
		if (config->suites[i]->version == TLS_1_3 &&
		    tls_offer_has_suite(&conn->hs->offer, config->suites[i]->id))
			return config->suites[i];
	}
	return NULL;
}

static int choose13(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	const struct tls_offer *offer = &hs->offer;
	const struct tls_suite *suite = choose_suite13(conn);
	int err;

	/* RFC 9846 section 9.2 */
	if (!offer->has_groups || !offer->has_shares)
		return TLS_ALERT(MISSING_EXTENSION);
	/* RFC 9846 section 4.2.2: the second hello offers the same */
	if (conn->hello_retry && suite != conn->suite)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	conn->suite = suite;
	hs->group = choose_group13(conn);
	if (!conn->suite)
		return no_suite(conn);
	if (!hs->group)
		return no_group(conn);
	err = tls13_choose_psk(conn);
	if (err || conn->resumed)
		return err;
	if (!offer->has_schemes)
		return TLS_ALERT(MISSING_EXTENSION);
	return choose_certificate(conn) ? 0 : no_certificate(conn);
}

/* ---- TLS 1.2 ---- */

static const struct tls_group *choose_group12(const struct tls_conn *conn)
{
	const struct tls_config *config = conn->config;
	const struct tls_offer *offer = &conn->hs->offer;

	/* RFC 8422 section 4: without the extension the choice is ours; everyone has this one. */
	if (!offer->has_groups)
		return tls_config_group(config, TLS_GROUP_SECP256R1);
	for (size_t i = 0; i < config->group_count; i++) {
		if (config->groups[i]->tls12 && list_has(offer->groups, config->groups[i]->id))
			return config->groups[i];
	}
	return NULL;
}

/* Do we have a suite in common that goes by this key exchange? */
static bool shares_suite12(const struct tls_conn *conn, enum tls_kx kx)
{
	const struct tls_config *config = conn->config;

	for (size_t i = 0; i < config->suite_count; i++) {
		if (config->suites[i]->version == TLS_1_2 && config->suites[i]->kx == kx &&
		    tls_offer_has_suite(&conn->hs->offer, config->suites[i]->id))
			return true;
	}
	return false;
}

/* No certificate could be taken: what does it lack? */
static int refuse12(struct tls_conn *conn)
{
	bool ecdhe = shares_suite12(conn, TLS_KX_ECDHE), rsa = shares_suite12(conn, TLS_KX_RSA);

	if (!ecdhe && !rsa)
		return no_suite(conn);
	return !rsa && !conn->hs->group ? no_group(conn) : no_certificate(conn);
}

static int choose12(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	int err = tls12_choose_ticket(conn);

	if (err || conn->resumed)
		return err;
	hs->group = choose_group12(conn);
	if (!choose_certificate(conn))
		return refuse12(conn);
	conn->group = conn->suite->kx == TLS_KX_ECDHE ? hs->group->id : 0;
	return 0;
}

int tls_choose_parameters(struct tls_conn *conn)
{
	int err = conn->version == TLS_1_3 ? choose13(conn) : choose12(conn);

	if (!err && conn->hs->scheme)
		conn->scheme = conn->hs->scheme->id;
	return err;
}
