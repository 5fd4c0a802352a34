// SPDX-License-Identifier: MIT
/* Which clients tls_config_allow_client() lets in, in a handshake and again when a session goes on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "pair.h"
#include "tap.h"

#define ALERT(name)	(TLS_ERR_ALERT + TLS_ALERT_##name)
#define LABEL_63	"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"
#define NAME_255	LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63
#define HEX_64		"000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"
#define BASE64_44	"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

/* ---- what is a rule ---- */

static void test_rules(void)
{
	static const char * const good[] = {
		"CN=a", "CN=Zo\u00eb, Ltd.", "DNS:a", "DNS:a_b.example", "DNS:*.example", "DNS:" LABEL_63,
		"URI:spiffe://example/ns/a", "URI:spiffe://example/*", "URI:urn:a:b", "URI:x:",
		"SPKI-SHA256:" HEX_64, "SPKI-SHA256:" BASE64_44,
	};
	static const char * const bad[] = {
		"", "a", "CN", "CN=", "CN=*", "CN=*.example", "cn=a", "CN:a", "IP:192.0.2.1", "DNS:", "DNS=a", "DNS:*", "DNS:*.", "DNS:.a",
		"DNS:a.", "DNS:a..b", "DNS:*a.b", "DNS:a.*.b", "DNS:a.*", "DNS:**.a", "DNS:b\u00fccher.example",
		"DNS:a b", "DNS:" LABEL_63 "x", "DNS:" NAME_255, "URI:", "URI:a", "URI:/a", "URI::a", "URI:a b:c",
		"URI:spiffe://example/*/a", "URI:spiffe://example/a*", "URI:spiffe://example*", "URI:spiffe://*",
		"URI:spiffe:///*", "URI:urn:*", "URI:*", "URI:x:/*", "URI:spiffe://b\u00fccher/a",
		"SPKI-SHA256:", "SPKI-SHA256:00", "SPKI-SHA256:" HEX_64 "00", "SPKI-SHA256:" BASE64_44 "=",
		"SPKI-SHA256:x" BASE64_44, "SPKI-SHA1:" HEX_64,
	};
	const struct tls_hooks hooks = { .now = NULL };
	struct tls_config *server = tls_config_new(TLS_SERVER, &hooks);
	struct tls_config *client = tls_config_new(TLS_CLIENT, &hooks);
	const char *why;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(*good); i++)
		tap_equal(tls_config_allow_client(server, good[i], &why), 0, "a rule: %s", good[i]);
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		why = "";
		tap_ok(tls_config_allow_client(server, bad[i], &why) == TLS_ERR_ARGUMENT && *why,
		       "none: '%s': %s", bad[i], why);
	}
	tap_equal(tls_config_allow_client(client, "CN=a", &why), TLS_ERR_ARGUMENT, "not for a client");
	tls_config_unref(server);
	tls_config_unref(client);
}

/* ---- whom it fits ---- */

static struct pair_options shows(const struct pki *leaf, const char *rule)
{
	return (struct pair_options){
		.server_verify = TLS_VERIFY_REQUIRE, .client = { leaf }, .server_allows = { rule },
	};
}

static void fits(const char *rule, const struct pki *leaf, bool wanted, const char *what)
{
	const struct pair_options options = shows(leaf, rule);
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	if (wanted)
		tap_ok(pair_up(&pair), "%s fits %s", rule, what);
	else
		tap_equal(pair.server.err, ALERT(ACCESS_DENIED), "%s does not fit %s", rule, what);
	pair_free(&pair);
}

static const struct {
	const char *rule, *common_name, *names;
	bool fits;
} leaves[] = {
	{ "CN=host.test", NULL, "", true },
	{ "CN=Host.test", NULL, "", false },
	{ "CN=host.tes", NULL, "", false },
	{ "CN=host.testx", NULL, "", false },
	{ "CN=Zo\u00eb", "Zo\u00eb", "", true },
	{ "CN=a.test", NULL, "DNS:a.test", false },
	{ "DNS:host.test", NULL, "", false },
	{ "DNS:a.test", NULL, "DNS:b.test,DNS:a.test", true },
	{ "DNS:A.Test", NULL, "DNS:a.tEST", true },
	{ "DNS:a.test", NULL, "DNS:a.testx", false },
	{ "DNS:a.test", NULL, "DNS:xa.test", false },
	{ "DNS:a.test", NULL, "DNS:*.test", false },
	{ "DNS:a.test", NULL, "URI:a.test", false },
	{ "DNS:a.test", NULL, "email:a@a.test", false },
	{ "DNS:*.svc.test", NULL, "DNS:a.svc.test", true },
	{ "DNS:*.svc.test", NULL, "DNS:a.SVC.test", true },
	{ "DNS:*.svc.test", NULL, "DNS:a.b.svc.test", false },
	{ "DNS:*.svc.test", NULL, "DNS:svc.test", false },
	{ "DNS:*.svc.test", NULL, "DNS:.svc.test", false },
	{ "DNS:*.svc.test", NULL, "DNS:*.svc.test", false },
	{ "DNS:*.svc.test", NULL, "DNS:asvc.test", false },
	{ "URI:spiffe://a.test/ns/b", NULL, "URI:spiffe://a.test/ns/b", true },
	{ "URI:spiffe://a.test/ns/b", NULL, "URI:spiffe://A.test/ns/b", false },
	{ "URI:spiffe://a.test/ns/b", NULL, "URI:spiffe://a.test/ns/b/c", false },
	{ "URI:spiffe://a.test/ns/b", NULL, "DNS:spiffe://a.test/ns/b", false },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/ns/b/c", true },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/ns/b.c", true },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/ns/...", true },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/ns/", false },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/nsx/b", false },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/ns/../b", false },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/ns/b/..", false },
	{ "URI:spiffe://a.test/ns/*", NULL, "URI:spiffe://a.test/ns/./b", false },
	{ "URI:spiffe://a.test/*", NULL, "URI:spiffe://a.test.evil/b", false },
};

static void test_leaves(void)
{
	char what[128];

	for (size_t i = 0; i < sizeof(leaves) / sizeof(*leaves); i++) {
		const struct pki_options options = {
			.common_name = leaves[i].common_name, .names = leaves[i].names,
		};

		snprintf(what, sizeof(what), "CN=%s,%s",
			 leaves[i].common_name ? leaves[i].common_name : "host.test", leaves[i].names);
		fits(leaves[i].rule, pair_leaf_named(PKI_P256, &options), leaves[i].fits, what);
	}
}

/* By libcrypto's own way to the key's bytes. */
static void pin_of(const struct pki *leaf, char hex[80], char base64[80])
{
	struct tls_slice der = pki_der(leaf);
	const unsigned char *p = der.p;
	X509 *x509 = d2i_X509(NULL, &p, (long)der.len);
	uint8_t digest[32];
	unsigned char *spki = NULL;
	int len = x509 ? i2d_PUBKEY(X509_get0_pubkey(x509), &spki) : -1;

	if (len < 0 || EVP_Digest(spki, (size_t)len, digest, NULL, EVP_sha256(), NULL) != 1)
		tap_bail("no digest");
	strcpy(base64, "SPKI-SHA256:");
	EVP_EncodeBlock((unsigned char *)base64 + strlen(base64), digest, sizeof(digest));
	strcpy(hex, "SPKI-SHA256:");
	for (size_t i = 0; i < sizeof(digest); i++)
		sprintf(hex + strlen(hex), "%02x", digest[i]);
	OPENSSL_free(spki);
	X509_free(x509);
}

static void test_keys(void)
{
	const struct pki *leaf = pair_leaf(PKI_P256), *other = pair_leaf(PKI_ED25519);
	char hex[80], base64[80];

	pin_of(leaf, hex, base64);
	fits(hex, leaf, true, "its key");
	fits(base64, leaf, true, "its key");
	fits(hex, other, false, "another key");
	fits(base64, other, false, "another key");
}

/* ---- handshakes and sessions ---- */

static const struct tls_ticket_key key = { .name = "one", .key = { 1 } };

/* A client of TLS 1.3 is done before the server has seen its certificate. */
static int client_error(struct pair *pair)
{
	uint8_t byte;
	size_t len = 1;

	if (pair->client.err || !tls_conn_established(pair->client.conn))
		return pair->client.err;
	return tls_conn_read(pair->client.conn, &byte, &len);
}

/* One of two rules is enough; and who shows nothing fits none, whatever was set before. */
static void test_handshake(uint16_t version)
{
	struct pair_options options = shows(pair_leaf(PKI_P256), "CN=nobody");
	struct tls_conn_info info;
	struct pair pair;

	options.max = version;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.server.conn, &info);
	tap_ok(pair.server.err == ALERT(ACCESS_DENIED) &&
	       client_error(&pair) == TLS_ERR_PEER + TLS_ALERT_ACCESS_DENIED && info.verify_error &&
	       strstr(info.verify_error, "subject \"CN=host.test\""), "%s: refused: %s",
	       tls_version_name(version), info.verify_error);
	pair_free(&pair);
	options.server_allows[1] = "CN=host.test";
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair_up(&pair), "%s: by the second rule", tls_version_name(version));
	pair_free(&pair);
	options.client[0] = NULL;
	options.server_verify = TLS_VERIFY_REQUEST;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_equal(pair.server.err, version == TLS_1_3 ? ALERT(CERTIFICATE_REQUIRED) : ALERT(HANDSHAKE_FAILURE),
		  "%s: without a certificate", tls_version_name(version));
	pair_free(&pair);
}

/* SPIFFE's may have none. */
static void test_no_subject(void)
{
	const struct pki_options spiffe = { .common_name = "", .names = "email:a@b.test,URI:spiffe://a.test/b,DNS:c.test" };
	const struct pair_options options = shows(pair_leaf_named(PKI_P256, &spiffe), "URI:spiffe://a.test/c");
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.server.conn, &info);
	tap_ok(info.verify_error && strstr(info.verify_error, "subject \"URI:spiffe://a.test/b\""),
	       "without a subject: %s", info.verify_error);
	pair_free(&pair);
}

struct later {
	const char *what, *rule;
	int64_t seconds;
	struct tls_slice crl;
	int want;			/* 0: it goes on */
};

/* The session is tried, and the handshake that follows refuses the client. */
static void go_on(uint16_t version, const struct pki *leaf, const struct later *later)
{
	struct pair_options options = shows(leaf, "CN=host.test");
	const uint8_t *session;
	struct tls_conn_info info;
	struct pair first, second;
	size_t len;

	options.max = version;
	options.ticket_keys = &key;
	options.ticket_key_count = 1;
	pair_init(&first, &options);
	pair_handshake(&first);
	if (!pair_up(&first) || !pair_transfer(&first, &first.server, &first.client, 1))
		tap_bail("no first handshake");
	session = tls_conn_session(first.client.conn, &len);
	options.server_allows[0] = later->rule;
	options.server_verify = TLS_VERIFY_REQUIRE;
	pair_init(&second, &options);
	if (later->crl.len) {
		const char *why;
		int64_t until;

		if (tls_config_add_crl(second.server.config, later->crl.p, later->crl.len, &until, &why))
			tap_bail("CRL: %s", why);
	}
	second.server.now = PKI_NOW + later->seconds;
	if (!session || tls_conn_set_session(second.client.conn, session, len))
		tap_bail("no session");
	pair_handshake(&second);
	tls_conn_info(second.server.conn, &info);
	tap_ok(second.server.err == later->want && info.resumed == !later->want, "%s: %s: %s (%s)",
	       tls_version_name(version), later->what, info.resumed ? "goes on" : tls_strerror(second.server.err),
	       info.verify_error ? info.verify_error : "");
	pair_free(&first);
	pair_free(&second);
}

static void test_sessions(uint16_t version)
{
	static const struct pki_options soon = { .not_after = PKI_NOW + 60 };
	const struct pki *leaf = pair_leaf_named(PKI_P256, &soon);
	const struct pki_crl_options revoking = { .revoked = leaf }, empty = { .revoked = NULL };
	const struct later rows[] = {
		{ .what = "as before", .rule = "CN=host.test" },
		{ .what = "by another rule", .rule = "DNS:host.test" },
		{ .what = "by a rule no more", .rule = "CN=nobody", .want = ALERT(ACCESS_DENIED) },
		{ .what = "expired since", .rule = "CN=host.test", .seconds = 120,
		  .want = ALERT(CERTIFICATE_EXPIRED) },
		{ .what = "not revoked", .rule = "CN=host.test", .crl = pki_crl(pair_ca(), &empty) },
		{ .what = "revoked since", .rule = "CN=host.test", .crl = pki_crl(pair_ca(), &revoking),
		  .want = ALERT(CERTIFICATE_REVOKED) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		go_on(version, leaf, &rows[i]);
		OPENSSL_free((void *)rows[i].crl.p);
	}
}

int main(void)
{
	test_rules();
	test_leaves();
	test_keys();
	test_handshake(TLS_1_2);
	test_handshake(TLS_1_3);
	test_no_subject();
	test_sessions(TLS_1_2);
	test_sessions(TLS_1_3);
	pair_free_pki();
	return tap_done();
}
