// SPDX-License-Identifier: MIT
/* Client certificates: asked for, chosen, signed with, looked at. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "tap.h"

static const struct {
	const char *name;
	enum pki_key pki;
} key_types[] = {
	{ "P-256", PKI_P256 },
	{ "P-384", PKI_P384 },
	{ "Ed25519", PKI_ED25519 },
	{ "RSA", PKI_RSA2048 },
};

#define KEY_TYPE_COUNT	(sizeof(key_types) / sizeof(*key_types))

static void every_key_type(uint16_t version)
{
	const int refused = TLS_ERR_ALERT + (version == TLS_1_2 ? TLS_ALERT_HANDSHAKE_FAILURE :
								  TLS_ALERT_CERTIFICATE_REQUIRED);
	static const enum tls_verify verifies[] = { TLS_VERIFY_REQUEST, TLS_VERIFY_REQUIRE };

	for (size_t k = 0; k <= KEY_TYPE_COUNT; k++) {
		bool without = k == KEY_TYPE_COUNT;
		const struct pki *pki = k < KEY_TYPE_COUNT ? pair_leaf(key_types[k].pki) : NULL;

		for (size_t v = 0; v < 2; v++) {
			const struct pair_options options = {
				.max = version, .server_verify = verifies[v], .chunk = 7,
				.client = { pki },
			};
			bool refuse = without && verifies[v] == TLS_VERIFY_REQUIRE;
			struct tls_conn_info info;
			struct pair pair;
			bool ok;

			pair_init(&pair, &options);
			pair_handshake(&pair);
			tls_conn_info(pair.server.conn, &info);
			if (refuse)
				ok = pair.server.err == refused;
			else
				ok = pair_up(&pair) && !info.peer_certificate == without &&
				     pair_same_keys(&pair) &&
				     pair_transfer(&pair, &pair.client, &pair.server, 100);
			tap_ok(ok, "%s client certificate: %s, %s", tls_version_name(version),
			       without ? "none" : key_types[k].name,
			       v ? "required" : "requested");
			pair_free(&pair);
		}
	}
}

/* TLS 1.2 has Ed25519 sign all messages, which have to fit into one request for the key. */
static void too_much_to_sign(void)
{
	const struct pair_options options = {
		.max = TLS_1_2, .server_verify = TLS_VERIFY_REQUEST,
		.client = { pair_leaf(PKI_ED25519), pair_leaf(PKI_P256) },
	};
	struct tls_conn_info info;
	char alpn[62 * 256];
	struct pair pair;

	memset(alpn, 'a', sizeof(alpn));
	for (size_t i = 255; i < sizeof(alpn); i += 256)
		alpn[i] = ',';
	alpn[sizeof(alpn) - 1] = '\0';
	for (int with_alpn = 0; with_alpn < 2; with_alpn++) {
		struct pair_options o = options;

		o.client_alpn = with_alpn ? alpn : NULL;
		pair_init(&pair, &o);
		pair_handshake(&pair);
		tls_conn_info(pair.server.conn, &info);
		tap_ok(pair_up(&pair) && info.peer_certificate &&
		       (info.peer_certificate_len == pki_der(options.client[with_alpn]).len),
		       "TLS 1.2 client certificate: %s", with_alpn ?
		       "another than Ed25519 where the messages are too long to sign" :
		       "the first that fits");
		pair_free(&pair);
	}
}

/* The first whose issuer the server named goes before the first of all. */
static void chosen_by_issuer(uint16_t version)
{
	struct pki *strange_ca = pki_ca(PKI_P256, "Another CA");
	const struct pki_options leaf = { .names = "DNS:host.test" };
	struct pki *strange = pki_new(PKI_P256, strange_ca, &leaf);
	const struct pki *rows[][2] = {
		{ strange, pair_leaf(PKI_P384) },
		{ pair_leaf(PKI_P384), strange },
		{ strange, NULL },
	};

	for (size_t i = 0; i < 3; i++) {
		const struct pair_options options = {
			.max = version, .server_verify = TLS_VERIFY_REQUIRE,
			.client = { rows[i][0], rows[i][1] },
		};
		struct pair pair;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		if (rows[i][1])
			tap_ok(pair_up(&pair), "%s: the one by a CA that was named, %s",
			       tls_version_name(version), i ? "the first" : "the second");
		else
			tap_equal(pair.server.err, TLS_ERR_ALERT + TLS_ALERT_UNKNOWN_CA,
				  "%s: by another where there is none",
				  tls_version_name(version));
		pair_free(&pair);
	}
	pki_free(strange);
	pki_free(strange_ca);
}

/* A certificate whose key must not sign is not shown (RFC 5280 section 4.2.1.3). */
static void only_what_may_sign(uint16_t version)
{
	const struct pki_options no_signing = { .key_usage = "keyEncipherment" };
	const struct pki *silent = pair_leaf_named(PKI_RSA2048, &no_signing);
	const struct pair_options options = {
		.max = version, .server_verify = TLS_VERIFY_REQUEST,
		.client = { silent, pair_leaf(PKI_P256) },
	};
	const struct pair_options alone = {
		.max = version, .server_verify = TLS_VERIFY_REQUEST, .client = { silent },
	};
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.server.conn, &info);
	tap_ok(pair_up(&pair) && info.peer_certificate_len == pki_der(options.client[1]).len,
	       "%s: one that may sign is shown instead", tls_version_name(version));
	pair_free(&pair);
	pair_init(&pair, &alone);
	pair_handshake(&pair);
	tls_conn_info(pair.server.conn, &info);
	tap_ok(pair_up(&pair) && !info.peer_certificate, "%s: or none", tls_version_name(version));
	pair_free(&pair);
}

/* PEM of so many CAs with long names. */
static char *many_cas(int count)
{
	char name[65], *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct pki *ca;

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%064d", i);
		ca = pki_ca(PKI_P256, name);
		fputs(pki_certificate(ca), out);
		pki_free(ca);
	}
	fclose(out);
	return text;
}

/* More CAs than a CertificateRequest can name: clients choose without their names. */
static void more_names_than_fit(uint16_t version, const char *cas)
{
	const struct pair_options options = {
		.max = version, .server_verify = TLS_VERIFY_REQUIRE,
		.client = { pair_leaf(PKI_P256) },
	};
	struct pair pair;

	pair_init(&pair, &options);
	tap_ok(tls_config_shows_ca(pair.server.config), "one CA is named");
	tap_equal(tls_config_add_ca(pair.server.config, cas, strlen(cas)), 0, "many more");
	tap_ok(!tls_config_shows_ca(pair.server.config), "too many are not");
	pair_handshake(&pair);
	tap_ok(pair_up(&pair), "%s: and a client still shows its certificate",
	       tls_version_name(version));
	pair_free(&pair);
}

int main(void)
{
	char *cas = many_cas(800);

	every_key_type(TLS_1_2);
	every_key_type(TLS_1_3);
	too_much_to_sign();
	chosen_by_issuer(TLS_1_2);
	chosen_by_issuer(TLS_1_3);
	only_what_may_sign(TLS_1_2);
	only_what_may_sign(TLS_1_3);
	more_names_than_fit(TLS_1_2, cas);
	more_names_than_fit(TLS_1_3, cas);
	free(cas);
	pair_free_pki();
	return tap_done();
}
