// SPDX-License-Identifier: MIT
/* Handshakes between two engines: every version, suite, key type and group, and what is agreed. */
#include <stdio.h>
#include <string.h>

#include "engine/choose.h"
#include "engine/config.h"
#include "engine/crypto/crypto.h"
#include "engine/suites.h"
#include "pair.h"
#include "tap.h"

static const struct {
	const char *name;
	enum pki_key pki;
	enum tls_key_type type;
	bool tls13_only;
} key_types[] = {
	{ "P-256", PKI_P256, TLS_KEY_ECDSA_P256, false },
	{ "P-384", PKI_P384, TLS_KEY_ECDSA_P384, false },
	{ "Ed25519", PKI_ED25519, TLS_KEY_ED25519, false },
	{ "RSA", PKI_RSA2048, TLS_KEY_RSA, false },
	{ "P-521", PKI_P521, TLS_KEY_ECDSA_P521, false },
	{ "Ed448", PKI_ED448, TLS_KEY_ED448, false },
	{ "RSA-PSS", PKI_RSA_PSS, TLS_KEY_RSA_PSS, false },
	{ "ML-DSA-44", PKI_MLDSA44, TLS_KEY_MLDSA44, true },
	{ "ML-DSA-65", PKI_MLDSA65, TLS_KEY_MLDSA65, true },
	{ "ML-DSA-87", PKI_MLDSA87, TLS_KEY_MLDSA87, true },
};

#define KEY_TYPE_COUNT	(sizeof(key_types) / sizeof(*key_types))

static bool close_both(struct pair *pair)
{
	uint8_t byte;
	size_t len = 1, none = 1;
	bool ok = !tls_conn_close(pair->client.conn) && !tls_conn_close(pair->server.conn);

	pair_pump(pair);
	ok &= tls_conn_read(pair->server.conn, &byte, &len) == TLS_ERR_CLOSED;
	ok &= tls_conn_read(pair->client.conn, &byte, &none) == TLS_ERR_CLOSED;
	ok &= tls_conn_write(pair->client.conn, &byte, 1) == TLS_ERR_STATE;
	return ok && !tls_conn_input_eof(pair->client.conn);
}

static bool agree(struct pair *pair, const struct tls_suite *suite, const char *group)
{
	struct tls_conn_info c, s;

	tls_conn_info(pair->client.conn, &c);
	tls_conn_info(pair->server.conn, &s);
	return c.version == suite->version && s.version == suite->version &&
	       c.suite == suite->id && s.suite == suite->id && c.group == s.group &&
	       c.scheme == s.scheme && c.extended_master_secret == s.extended_master_secret &&
	       c.extended_master_secret == (suite->version == TLS_1_2) &&
	       (suite->kx == TLS_KX_RSA ? !c.group && !c.scheme :
					  c.scheme && !strcmp(tls_group_name(c.group), group)) &&
	       !strcmp(s.server_name, "host.test") && c.peer_certificate_len > 0 &&
	       !strcmp(pair->client.keylog, pair->server.keylog) && *pair->client.keylog;
}

static void one_handshake(const struct tls_suite_info *info, size_t key, const char *group,
			  size_t chunk)
{
	const struct tls_suite *suite = tls_suite_find(info->suite);
	const struct pair_options options = {
		.suites = info->name, .groups = group, .chunk = chunk,
		.server = { pair_leaf(key_types[key].pki) },
	};
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair_up(&pair) && agree(&pair, suite, group) && pair_same_keys(&pair) &&
	       pair_transfer(&pair, &pair.client, &pair.server, 1000) &&
	       pair_transfer(&pair, &pair.server, &pair.client, chunk == 1 ? 500 : 100000) &&
	       pair_same_keys(&pair) && close_both(&pair),
	       "%s, %s certificate, %s, %s (client: %s, server: %s)", info->name,
	       key_types[key].name, group, chunk == 1 ? "byte by byte" : "at once",
	       tls_strerror(pair.client.err), tls_strerror(pair.server.err));
	pair_free(&pair);
}

static void every_combination(void)
{
	size_t groups;
	const struct tls_group *const *group = tls_groups(&groups);

	for (const struct tls_suite_info *info = tls_suites(); info->suite; info++) {
		const struct tls_suite *suite = tls_suite_find(info->suite);

		for (size_t k = 0; k < KEY_TYPE_COUNT; k++) {
			if (!tls_suite_takes_key(suite, key_types[k].type) ||
			    !pki_has(key_types[k].pki) ||
			    (key_types[k].tls13_only && suite->version == TLS_1_2))
				continue;
			for (size_t g = 0; g < groups; g++) {
				if (suite->version == TLS_1_2 && !group[g]->tls12)
					continue;
				/* RFC 8422 section 5.3: the client has to know the key's curve */
				if (suite->version == TLS_1_2 && suite->kx == TLS_KX_ECDHE &&
				    tls_key_curve(key_types[k].type) &&
				    tls_key_curve(key_types[k].type) != group[g]->id)
					continue;
				one_handshake(info, k, tls_group_name(group[g]->id), 0);
				one_handshake(info, k, tls_group_name(group[g]->id), 1);
			}
		}
	}
}

static void versions(void)
{
	static const struct {
		uint16_t client_max, server_max, result;
	} rows[] = {
		{ TLS_1_3, TLS_1_3, TLS_1_3 },
		{ TLS_1_2, TLS_1_3, TLS_1_2 },
		{ TLS_1_3, TLS_1_2, TLS_1_2 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pair_options options = {
			.max = rows[i].server_max, .client_max = rows[i].client_max,
		};
		struct tls_conn_info info;
		struct pair pair;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tls_conn_info(pair.client.conn, &info);
		tap_ok(pair_up(&pair) && info.version == rows[i].result,
		       "client up to %s and server up to %s agree on %s",
		       tls_version_name(rows[i].client_max), tls_version_name(rows[i].server_max),
		       tls_version_name(rows[i].result));
		pair_free(&pair);
	}
}

static void alpn(uint16_t version)
{
	static const struct {
		const char *client, *server, *result;
		int server_err;
	} rows[] = {
		{ "h2,http/1.1", "http/1.1,h2", "http/1.1", 0 },
		{ "h2", "acme,h2", "h2", 0 },
		{ NULL, "h2", NULL, 0 },
		{ "h2", NULL, NULL, 0 },
		{ "h2", "h3", NULL, TLS_ERR_ALERT + TLS_ALERT_NO_APPLICATION_PROTOCOL },
		{ "h2", "h", NULL, TLS_ERR_ALERT + TLS_ALERT_NO_APPLICATION_PROTOCOL },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pair_options options = {
			.max = version, .client_alpn = rows[i].client,
				.server_alpn = rows[i].server,
		};
		struct tls_conn_info c, s;
		struct pair pair;
		bool ok;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tls_conn_info(pair.client.conn, &c);
		tls_conn_info(pair.server.conn, &s);
		ok = pair.server.err == rows[i].server_err && !s.alpn == !rows[i].result &&
		     !c.alpn == !rows[i].result;
		if (rows[i].result)
			ok = ok && !strcmp(c.alpn, rows[i].result) &&
			     !strcmp(s.alpn, rows[i].result);
		if (rows[i].server_err)
			ok = ok && pair.client.err == rows[i].server_err - TLS_ERR_ALERT +
						      TLS_ERR_PEER;
		tap_ok(ok, "%s ALPN: client %s, server %s", tls_version_name(version),
		       rows[i].client ? rows[i].client : "none",
		       rows[i].server ? rows[i].server : "none");
		pair_free(&pair);
	}
}

static bool got_certificate(const struct pair *pair, const struct pki *pki)
{
	struct tls_conn_info info;
	struct tls_slice der = pki_der(pki);

	tls_conn_info(pair->client.conn, &info);
	return info.peer_certificate_len == der.len &&
	       !memcmp(info.peer_certificate, der.p, der.len);
}

static void choice_of_certificate(uint16_t version)
{
	static const struct pki_options a = { .names = "DNS:a.test,DNS:*.a.test" };
	static const struct pki_options b = { .names = "DNS:b.test" };
	const struct pki *first = pair_leaf_named(PKI_P256, &a);
	const struct pki *second = pair_leaf_named(PKI_ED25519, &b);
	const struct {
		const char *name;
		const struct pki *result;
	} rows[] = {
		{ "a.test", first }, { "x.a.test", first }, { "b.test", second }, { "c.test",
		  first },
		{ "192.0.2.1", first }, { "", first },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pair_options options = {
			.max = version, .server = { first, second },
			.server_name = rows[i].name, .client_verifies_nothing = true,
		};
		struct tls_conn_info info;
		struct pair pair;
		bool address = i == 4, none = i == 5;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tls_conn_info(pair.server.conn, &info);
		tap_ok(pair_up(&pair) && got_certificate(&pair, rows[i].result) &&
		       (address || none ? !info.server_name :
					  !strcmp(info.server_name, rows[i].name)),
		       "%s chooses the certificate for name '%s'", tls_version_name(version),
		       rows[i].name);
		pair_free(&pair);
	}
}

/* An RSA certificate serves RSA suites even where an ECDSA one comes first. */
#define RSA_PSS_RSAE_SHA384	0x0805

static void choice_of_scheme(uint16_t version)
{
	struct pair_options o = {
		.max = version, .server[0] = pair_leaf(PKI_RSA2048),
		.client_takes = "rsa_pss_rsae_sha384:ecdsa_secp256r1_sha256",
	};
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &o);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair_up(&pair) && info.scheme == RSA_PSS_RSAE_SHA384,
	       "%s: signed as the client wants it", tls_version_name(version));
	pair_free(&pair);
	o.server_signs = "rsa_pss_rsae_sha256";
	pair_init(&pair, &o);
	pair_handshake(&pair);
	tap_equal(pair.server.err, TLS_ERR_ALERT + TLS_ALERT_HANDSHAKE_FAILURE,
		  "%s: no scheme in common", tls_version_name(version));
	pair_free(&pair);
}

static void choice_by_suite(void)
{
	const struct pair_options options = {
		.suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
		.server = { pair_leaf(PKI_P256), pair_leaf(PKI_RSA2048) },
	};
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair_up(&pair) && got_certificate(&pair, pair_leaf(PKI_RSA2048)),
	       "the suite chooses the certificate");
	pair_free(&pair);
}

static void refused_certificates(uint16_t version)
{
	static const struct pki_options expired = { .not_after = PKI_NOW - PKI_DAY };
	static const struct pki_options early = { .not_before = PKI_NOW + PKI_DAY };
	static const struct pki_options other = { .names = "DNS:other.test" };
	static const struct pki_options no_signing = { .key_usage = "keyAgreement" };
	const struct {
		const char *what;
		const struct pki *cert;
		int alert;
		bool trusts_nobody;
		const char *says;
	} rows[] = {
		{ "expired", pair_leaf_named(PKI_P256, &expired),
		  TLS_ALERT_CERTIFICATE_EXPIRED, false, "has expired: it ended 20" },
		{ "not yet valid", pair_leaf_named(PKI_P256, &early),
		  TLS_ALERT_CERTIFICATE_EXPIRED, false, "not yet valid: it begins 20" },
		{ "for another name", pair_leaf_named(PKI_P256, &other),
		  TLS_ALERT_BAD_CERTIFICATE, false, "wanted " },
		{ "of an unknown CA", pair_leaf(PKI_P256), TLS_ALERT_UNKNOWN_CA, true, "issuer" },
	};
	const struct pair_options unfit = {
		.max = version, .server = { pair_leaf_named(PKI_P256, &no_signing) },
	};
	struct pair pair;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pair_options options = {
			.max = version, .server = { rows[i].cert },
			.client_trusts_nobody = rows[i].trusts_nobody,
		};
		struct tls_conn_info info;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tls_conn_info(pair.client.conn, &info);
		tap_ok(pair.client.err == TLS_ERR_ALERT + rows[i].alert &&
		       pair.server.err == TLS_ERR_PEER + rows[i].alert && info.verify_error &&
		       strstr(info.verify_error, rows[i].says),
		       "%s refuses a certificate %s (%s)", tls_version_name(version), rows[i].what,
		       tls_strerror(pair.client.err));
		pair_free(&pair);
	}
	pair_init(&pair, &unfit);
	pair_handshake(&pair);
	tap_equal(pair.server.err, TLS_ERR_ALERT + TLS_ALERT_HANDSHAKE_FAILURE,
		  "%s server uses no certificate whose key may not sign",
		  tls_version_name(version));
	pair_free(&pair);
}

static void key_updates(size_t chunk)
{
	const struct pair_options options = { .chunk = chunk };
	struct tls_session_keys keys;
	struct pair pair;
	uint8_t byte;
	size_t len = 1;
	bool ok;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	ok = pair_up(&pair);
	for (int i = 0; i < 40 && ok; i++) {
		ok = !tls_conn_rekey(pair.client.conn, i % 2) &&
		     pair_transfer(&pair, &pair.client, &pair.server, 300);
		ok = ok && pair_transfer(&pair, &pair.server, &pair.client, 300);
	}
	ok = ok && !tls_conn_rekey(pair.server.conn, true);
	pair_move(&pair, &pair.server, &pair.client);
	ok = ok && tls_conn_read(pair.client.conn, &byte, &len) == TLS_ERR_AGAIN;
	/* It is answered at once, and the keys are not for others before that has left. */
	ok = ok && tls_conn_wants(pair.client.conn) == TLS_WANTS_OUTPUT &&
	     tls_conn_export_keys(pair.client.conn, &keys) == TLS_ERR_STATE;
	pair_move(&pair, &pair.client, &pair.server);
	len = 1;
	ok = ok && tls_conn_read(pair.server.conn, &byte, &len) == TLS_ERR_AGAIN;
	tap_ok(ok && pair_same_keys(&pair), "KeyUpdates both ways%s",
	       chunk ? ", byte by byte" : "");
	pair_free(&pair);
}

static void refused_key(void)
{
	const struct pair_options options = { 0 };
	struct pair pair;

	pair_init(&pair, &options);
	pair.server.refuse_key = true;
	pair_handshake(&pair);
	tap_ok(pair.server.err == TLS_ERR_KEY_REFUSED &&
	       pair.client.err == TLS_ERR_PEER + TLS_ALERT_INTERNAL_ERROR,
	       "a refused private key ends in internal_error");
	pair_free(&pair);
}

/* NSS key log: label, client random, secret; nothing cut off. */
static void key_log(uint16_t version, const char *const *labels, size_t count)
{
	const struct pair_options options = { .max = version };
	char label[64], random[80], secret[112], *line, *rest;
	size_t found = 0;
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	for (line = strtok_r(pair.server.keylog, "\n", &rest); line && found < count;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (sscanf(line, "%63s %79[0-9a-f] %111[0-9a-f]", label, random, secret) != 3 ||
		    strcmp(label, labels[found]) || strlen(random) != 64 ||
		    strlen(secret) != (version == TLS_1_3 ? 64 : 96) ||
		    strlen(line) != strlen(label) + strlen(random) + strlen(secret) + 2)
			break;
		found++;
	}
	tap_ok(found == count && !line, "%s key log", tls_version_name(version));
	pair_free(&pair);
}

static void key_logs(void)
{
	static const char *const labels12[] = { "CLIENT_RANDOM" };
	static const char *const labels13[] = {
		"CLIENT_HANDSHAKE_TRAFFIC_SECRET", "SERVER_HANDSHAKE_TRAFFIC_SECRET",
		"CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0", "EXPORTER_SECRET",
	};

	key_log(TLS_1_2, labels12, 1);
	key_log(TLS_1_3, labels13, 5);
}

static void exporters(uint16_t version)
{
	const struct pair_options options = { .max = version };
	const uint8_t *context = (const uint8_t *)"context";
	uint8_t c[6][40], s[40];
	struct pair pair;
	bool ok;

	pair_init(&pair, &options);
	ok = tls_conn_export_keying_material(pair.client.conn, "EXPERIMENTAL a", NULL, 0, c[0],
		40) ==
	     TLS_ERR_STATE;
	pair_handshake(&pair);
	ok = ok && !tls_conn_export_keying_material(pair.client.conn, "EXPERIMENTAL a", NULL, 0,
						    c[0], 40) &&
	     !tls_conn_export_keying_material(pair.client.conn, "EXPERIMENTAL b", NULL, 0,
					      c[1], 40) &&
	     !tls_conn_export_keying_material(pair.client.conn, "EXPERIMENTAL a", context, 0,
					      c[2], 40) &&
	     !tls_conn_export_keying_material(pair.client.conn, "EXPERIMENTAL a", context, 7,
					      c[3], 40) &&
	     !tls_conn_export_keying_material(pair.server.conn, "EXPERIMENTAL a", context, 7,
					      s, 40);
	tap_ok(ok && !memcmp(c[3], s, 40) && memcmp(c[0], c[1], 40) && memcmp(c[0], c[3], 40) &&
	       !memcmp(c[0], c[2], 40) == (version == TLS_1_3), "%s keying material",
	       tls_version_name(version));
	pair_free(&pair);
}

/* Makes the client's record_size_limit 64. */
static void ask_small_records(void *arg, void *conn_arg, const struct tls_event *event)
{
	static const uint8_t extension[] = { 0, 28, 0, 2, 0x40 };
	uint8_t *p;

	(void)arg;
	(void)conn_arg;
	if (event->kind != TLS_EVENT_MESSAGE_SENT || event->type != 1)
		return;
	p = memmem(event->data, event->len, extension, sizeof(extension));
	if (!p)
		tap_bail("no record_size_limit in a ClientHello");
	p[4] = 0;
	p[5] = 64;
}

static void record_sizes(uint16_t version)
{
	const struct pair_options options = { .max = version, .event = ask_small_records };
	size_t limit = version == TLS_1_3 ? 63 : 64, len, most = 0;
	struct tls_conn_info info;
	struct pair pair;
	const uint8_t *p;
	bool ok;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.server.conn, &info);
	ok = pair_up(&pair) && info.record_size == limit &&
	     pair_transfer(&pair, &pair.server, &pair.client, 10000) &&
	     pair_transfer(&pair, &pair.client, &pair.server, 10000) &&
	     !tls_conn_write(pair.server.conn, (const uint8_t *)pair.server.keylog, 1000);
	p = tls_conn_output(pair.server.conn, &len);
	for (size_t i = 0; ok && i + 5 <= len; i += 5 + (p[i + 3] << 8 | p[i + 4])) {
		size_t record = p[i + 3] << 8 | p[i + 4];

		if (record > most)
			most = record;
	}
	/* TLS 1.3: content type and tag; TLS 1.2: explicit nonce and tag */
	tap_ok(ok && most == limit + (version == TLS_1_3 ? 1 + 16 : 8 + 16),
	       "%s records as small as the peer wants them", tls_version_name(version));
	tls_conn_info(pair.client.conn, &info);
	tap_equal(info.record_size, TLS_MAX_PLAINTEXT, "and as large as it takes them");
	pair_free(&pair);
}

/* Records that came with the Finished are the kernel's, or read()'s. */
static void early_records(void)
{
	const struct pair_options options = { 0 };
	struct pair pair;
	uint8_t buf[8];
	size_t len = sizeof(buf), pending;

	pair_init(&pair, &options);
	pair.client.hold_key = false;
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	pair_move(&pair, &pair.client, &pair.server);
	pair_answer_key(&pair.server);
	pair_move(&pair, &pair.server, &pair.client);
	tap_ok(tls_conn_established(pair.client.conn) &&
	       !tls_conn_write(pair.client.conn, (const uint8_t *)"early", 5),
	       "a client may write right after its Finished");
	pair_move(&pair, &pair.client, &pair.server);
	(void)tls_conn_pending(pair.server.conn, &pending);
	tap_equal((long)pending, 5 + 5 + 1 + 16, "it waits as a whole record");
	tap_ok(!tls_conn_read(pair.server.conn, buf, &len) && len == 5 && !memcmp(buf, "early", 5),
	       "and read() gives it");
	pair_free(&pair);
}

/* Keys can be taken between two records only. */
static void at_rest(void)
{
	const struct pair_options options = { 0 };
	struct pair pair;
	uint8_t byte;
	size_t len = 1;

	pair_init(&pair, &options);
	tap_ok(!tls_conn_at_rest(pair.server.conn), "not at rest before the handshake");
	pair_handshake(&pair);
	tap_ok(tls_conn_at_rest(pair.server.conn), "at rest after it");
	if (tls_conn_write(pair.client.conn, (const uint8_t *)"ab", 2))
		tap_bail("cannot write");
	pair_move(&pair, &pair.client, &pair.server);
	tap_ok(tls_conn_at_rest(pair.server.conn), "and with a record that is not opened");
	tap_ok(!tls_conn_read(pair.server.conn, &byte, &len) && len == 1 &&
	       !tls_conn_at_rest(pair.server.conn), "not with half of it read");
	tap_ok(!tls_conn_read(pair.server.conn, &byte, &len) && len == 1 &&
	       tls_conn_at_rest(pair.server.conn), "but with all of it");
	tap_ok(!tls_conn_close(pair.server.conn) && !tls_conn_at_rest(pair.server.conn),
	       "nor once a direction is closed");
	pair_free(&pair);
}

/* What is done ahead of the signature changes nothing of what the client gets. */
static void work_ahead(void)
{
	const struct pair_options options = { 0 };
	struct pair pair;
	size_t before, after;

	pair_init(&pair, &options);
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	tap_ok(!tls_conn_work_ahead(pair.server.conn), "ahead of anything, there is no work");
	pair_move(&pair, &pair.client, &pair.server);
	(void)tls_conn_output(pair.server.conn, &before);
	tap_ok(!tls_conn_work_ahead(pair.server.conn) &&
	       tls_conn_wants(pair.server.conn) == TLS_WANTS_PRIVATE_KEY,
	       "a server works ahead, and still wants its key");
	(void)tls_conn_output(pair.server.conn, &after);
	tap_ok(!before && after, "the ServerHello is made meanwhile");
	tap_ok(!tls_conn_work_ahead(pair.server.conn) &&
	       tls_conn_output(pair.server.conn, &before) && before == after, "once");
	pair_pump(&pair);
	tap_ok(pair_up(&pair) && pair_same_keys(&pair) &&
	       pair_transfer(&pair, &pair.server, &pair.client, 1000),
	       "and the handshake goes on as ever");
	tap_ok(!tls_conn_work_ahead(pair.server.conn), "after it, there is no work");
	pair_free(&pair);
}

static void refused_ahead(void)
{
	const struct pair_options options = { 0 };
	struct pair pair;

	pair_init(&pair, &options);
	pair.server.refuse_key = true;
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	pair_move(&pair, &pair.client, &pair.server);
	if (tls_conn_work_ahead(pair.server.conn))
		tap_bail("cannot work ahead");
	pair_pump(&pair);
	tap_equal(pair.server.err, TLS_ERR_KEY_REFUSED, "a key refused after work ahead");
	tap_equal(pair.client.err, TLS_ERR_PEER + TLS_ALERT_INTERNAL_ERROR,
		  "the client is told, under the keys made ahead");
	pair_free(&pair);
}

static void calls_out_of_order(void)
{
	const struct pair_options options = { 0 };
	struct tls_session_keys keys;
	struct pair pair;
	uint8_t byte = 0;
	size_t len = 1;

	pair_init(&pair, &options);
	tap_ok(tls_conn_write(pair.client.conn, &byte, 1) == TLS_ERR_STATE &&
	       tls_conn_read(pair.client.conn, &byte, &len) == TLS_ERR_STATE &&
	       tls_conn_rekey(pair.client.conn, false) == TLS_ERR_STATE &&
	       tls_conn_export_keys(pair.client.conn, &keys) == TLS_ERR_STATE &&
	       tls_conn_key_reply(pair.client.conn, &byte, 1) == TLS_ERR_STATE &&
	       !tls_conn_key_request(pair.client.conn), "nothing but the handshake before its end");
	tap_ok(tls_conn_set_server_name(pair.client.conn, "no name") == TLS_ERR_ARGUMENT &&
	       tls_conn_set_server_name(pair.client.conn, "") == TLS_ERR_ARGUMENT &&
	       tls_conn_set_server_name(pair.client.conn, "a..b") == TLS_ERR_ARGUMENT &&
	       !tls_conn_set_server_name(pair.client.conn, "2001:db8::1") &&
	       !tls_conn_set_server_name(pair.client.conn, "host.test."),
	       "server names are checked");
	pair_handshake(&pair);
	tap_ok(pair_up(&pair) && tls_conn_start(pair.client.conn) == TLS_ERR_STATE &&
	       tls_conn_set_server_name(pair.client.conn, "a.test") == TLS_ERR_STATE,
	       "no second start");
	tap_equal(tls_conn_input_eof(pair.client.conn), TLS_ERR_TRUNCATED,
		  "an end without close_notify is a truncation");
	pair_free(&pair);
}

static void configuration(void)
{
	const struct tls_hooks hooks = { 0 };
	struct tls_config *config = tls_config_new(TLS_CLIENT, &hooks);
	static const char list[] = "TLS_AES_128_GCM_SHA256:TLS_NO_SUCH";
	const char *bad = NULL;

	if (!config)
		tap_bail("no configuration");
	tap_ok(tls_config_set_suites(config, list, &bad) == TLS_ERR_ARGUMENT && bad == list + 23,
	       "an unknown suite is pointed at");
	tap_ok(tls_config_set_groups(config, "x25519:x25519", &bad) == TLS_ERR_ARGUMENT,
	       "no group twice");
	tap_ok(!tls_config_set_groups(config, "P-384:X25519:secp256r1", &bad), "NIST's names");
	tap_ok(tls_config_set_groups(config, "P-256:secp256r1", &bad) == TLS_ERR_ARGUMENT,
	       "no group twice, by another name");
	tap_ok(tls_config_set_groups(config, "", &bad) == TLS_ERR_ARGUMENT, "no empty list");
	tap_ok(tls_config_set_schemes(config, TLS_TO_SIGN, "ed25519:rsa_pkcs1_md5", &bad) ==
	       TLS_ERR_ARGUMENT && !strcmp(bad, "rsa_pkcs1_md5"), "no unknown scheme");
	tap_ok(tls_config_set_alpn(config, "h2,,h3") == TLS_ERR_ARGUMENT, "no empty protocol");
	tap_ok(tls_config_set_versions(config, TLS_1_3, TLS_1_2) == TLS_ERR_ARGUMENT &&
	       tls_config_set_versions(config, 0x0302, TLS_1_2) == TLS_ERR_ARGUMENT,
	       "no impossible versions");
	tap_ok(tls_config_set_verify(config, TLS_VERIFY_REQUEST) == TLS_ERR_ARGUMENT,
	       "a client cannot merely request");
	tls_config_unref(config);
}

static void leaves(const char *suites, uint16_t min, uint16_t max, bool suite, bool group)
{
	const struct tls_hooks hooks = { 0 };
	struct tls_config *config = tls_config_new(TLS_CLIENT, &hooks);

	if (!config || tls_config_set_suites(config, suites, NULL) ||
	    tls_config_set_versions(config, min, max))
		tap_bail("no configuration");
	tap_ok(tls_config_leaves_suite(config) == suite && tls_config_leaves_group(config) == group,
	       "%s up to %s, %s: %s", tls_version_name(min), tls_version_name(max), suites,
	       suite ? "something is left" : "nothing is left");
	tls_config_unref(config);
}

/* A group of TLS 1.3 alone, whose name only some libcryptos know, for the only one there is. */
static void leaves_group(const char *suites, bool group)
{
	static const struct tls_group kem = { .id = TLS_GROUP_X25519MLKEM768 };
	const struct tls_hooks hooks = { 0 };
	struct tls_config *config = tls_config_new(TLS_CLIENT, &hooks);

	if (!config || tls_config_set_suites(config, suites, NULL))
		tap_bail("no configuration");
	config->groups[0] = &kem;
	config->group_count = 1;
	tap_ok(tls_config_leaves_suite(config) && tls_config_leaves_group(config) == group,
	       "a group of TLS 1.3 alone, %s: %s", suites, group ? "something is left" : "nothing is left");
	tls_config_unref(config);
}

static void what_settings_leave(void)
{
	const char *of12 = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", *of13 = "TLS_AES_128_GCM_SHA256";
	const char *both = "TLS_AES_128_GCM_SHA256:TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";

	leaves(of12, TLS_1_2, TLS_1_3, true, true);
	leaves(of12, TLS_1_2, TLS_1_2, true, true);
	leaves(of12, TLS_1_3, TLS_1_3, false, false);
	leaves(of13, TLS_1_2, TLS_1_2, false, false);
	leaves(of13, TLS_1_3, TLS_1_3, true, true);
	leaves(both, TLS_1_3, TLS_1_3, true, true);
	leaves_group(of12, false);
	leaves_group("TLS_RSA_WITH_AES_128_GCM_SHA256", true);
	leaves_group(both, true);
}

int main(void)
{
	static const uint16_t both[] = { TLS_1_2, TLS_1_3 };

	every_combination();
	versions();
	for (size_t i = 0; i < 2; i++) {
		alpn(both[i]);
		choice_of_certificate(both[i]);
		choice_of_scheme(both[i]);
		refused_certificates(both[i]);
		exporters(both[i]);
		record_sizes(both[i]);
	}
	choice_by_suite();
	key_updates(0);
	key_updates(1);
	refused_key();
	key_logs();
	early_records();
	at_rest();
	work_ahead();
	refused_ahead();
	calls_out_of_order();
	configuration();
	what_settings_leave();
	pair_free_pki();
	return tap_done();
}
