// SPDX-License-Identifier: MIT
/* Chains, names, validity, purposes and strength, each good and each wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/verify/verify.h"
#include "pki.h"
#include "tap.h"

#define ALERT(name)	(TLS_ERR_ALERT + TLS_ALERT_##name)

static struct pki *root, *intermediate, *stranger;
static struct tls_trust *trust;

/* What is different from the good case. */
struct test_case {
	const char *what;
	int want;
	const char *why;			/* part of the sentence */
	struct pki_options leaf;
	enum pki_key type;
	const char *name;			/* "host.test" */
	bool client, no_intermediate, by_stranger, any_name;
	int64_t now;
};

static const struct test_case cases[] = {
	{ .what = "a good chain", .want = 0 },
	{ .what = "no name asked for", .want = 0, .any_name = true },
	{ .what = "P-384", .want = 0, .type = PKI_P384 },
	{ .what = "Ed25519", .want = 0, .type = PKI_ED25519 },
	{ .what = "RSA", .want = 0, .type = PKI_RSA2048 },
	{ .what = "RSA of 1024 bits", .want = ALERT(BAD_CERTIFICATE), .why = "too weak",
	  .type = PKI_RSA1024 },
	{ .what = "signed by SHA-1", .want = ALERT(BAD_CERTIFICATE), .why = "too weak",
	  .leaf.digest = "SHA1" },
	{ .what = "expired", .want = ALERT(CERTIFICATE_EXPIRED), .why = "expired",
	  .now = PKI_NOW + 31 * PKI_DAY },
	{ .what = "not yet valid", .want = ALERT(CERTIFICATE_EXPIRED), .why = "not yet valid",
	  .leaf.not_before = PKI_NOW + PKI_DAY },
	{ .what = "another name", .want = ALERT(BAD_CERTIFICATE), .why = "wanted other.test",
	  .name = "other.test" },
	{ .what = "the name is a suffix", .want = ALERT(BAD_CERTIFICATE),
	  .why = "ostname mismatch",
	  .name = "a.host.test" },
	{ .what = "a wildcard", .want = 0, .leaf.names = "DNS:*.host.test",
	  .name = "a.host.test" },
	{ .what = "a wildcard is one label", .want = ALERT(BAD_CERTIFICATE),
	  .why = "ostname mismatch",
	  .leaf.names = "DNS:*.host.test", .name = "a.b.host.test" },
	{ .what = "a wildcard is a whole label", .want = ALERT(BAD_CERTIFICATE),
	  .why = "ostname mismatch",
	  .leaf.names = "DNS:a*.host.test", .name = "ab.host.test" },
	{ .what = "a wildcard is not the domain", .want = ALERT(BAD_CERTIFICATE),
	  .why = "ostname mismatch",
	  .leaf.names = "DNS:*.host.test", .name = "host.test" },
	{ .what = "case does not matter", .want = 0, .name = "HOST.Test" },
	{ .what = "the common name does not count", .want = ALERT(BAD_CERTIFICATE),
	  .why = "ostname mismatch",
	  .leaf.names = "" },
	{ .what = "an address", .want = 0, .leaf.names = "IP:192.0.2.1", .name = "192.0.2.1" },
	{ .what = "an IPv6 address", .want = 0, .leaf.names = "IP:2001:db8::1",
	  .name = "2001:DB8:0::1" },
	{ .what = "another address", .want = ALERT(BAD_CERTIFICATE),
	  .why = "IP address mismatch",
	  .leaf.names = "IP:192.0.2.1", .name = "192.0.2.2" },
	{ .what = "an address as DNS name", .want = ALERT(BAD_CERTIFICATE),
	  .why = "IP address mismatch",
	  .leaf.names = "DNS:192.0.2.1", .name = "192.0.2.1" },
	{ .what = "of an unknown CA", .want = ALERT(UNKNOWN_CA), .why = "issuer",
	  .by_stranger = true },
	{ .what = "without its intermediate", .want = ALERT(UNKNOWN_CA), .why = "issuer",
	  .no_intermediate = true },
	{ .what = "server usage", .want = 0, .leaf.extended_usage = "serverAuth" },
	{ .what = "client usage in a server", .want = ALERT(UNSUPPORTED_CERTIFICATE),
	  .why = "purpose",
	  .leaf.extended_usage = "clientAuth" },
	{ .what = "client usage in a client", .want = 0, .leaf.extended_usage = "clientAuth",
	  .client = true,
	  .any_name = true },
	{ .what = "server usage in a client", .want = ALERT(UNSUPPORTED_CERTIFICATE),
	  .why = "purpose",
	  .leaf.extended_usage = "serverAuth", .client = true, .any_name = true },
	{ .what = "a key that may only certify", .want = ALERT(UNSUPPORTED_CERTIFICATE),
	  .why = "purpose",
	  .leaf.key_usage = "keyCertSign" },
};

struct elements {
	unsigned int count, good, bad;
	char bad_text[128];
};

static void on_element(void *arg, struct tls_slice der, const char *verdict)
{
	struct elements *e = arg;

	e->count += der.len > 0;
	if (!strcmp(verdict, "ok")) {
		e->good++;
	} else if (strcmp(verdict, "not decided")) {
		e->bad++;
		snprintf(e->bad_text, sizeof(e->bad_text), "%s", verdict);
	}
}

static struct tls_certificate *make_chain(const struct test_case *c, const struct pki *leaf)
{
	const struct tls_slice der[] = { pki_der(leaf), pki_der(intermediate) };
	struct tls_certificate *chain;

	if (tls_certificate_from_der(&chain, der, c->no_intermediate ? 1 : 2))
		tap_bail("%s: chain", c->what);
	return chain;
}

static void run_case(const struct test_case *c, const struct tls_certificate *chain)
{
	struct elements seen = { 0 };
	const struct tls_verify_request req = {
		.trust = trust,
		.chain = chain,
		.peer = c->client ? TLS_CLIENT : TLS_SERVER,
		.name = c->any_name ? NULL : c->name ? c->name : "host.test",
		.now = c->now ? c->now : PKI_NOW,
		.element = on_element,
		.arg = &seen,
	};
	char why[TLS_VERIFY_TEXT] = "?";
	int err = tls_verify_chain(&req, why);

	tap_equal(err, c->want, "%s (%s)", c->what, why);
	if (c->why)
		tap_ok(strstr(why, c->why) && strstr(why, "host.test"),
		       "%s: the sentence says so", c->what);
	tap_ok(c->want ? seen.bad == 1 && !seen.good && strstr(why, seen.bad_text) :
			 seen.count == 3 && seen.good == 3, "%s: verdict per element", c->what);
}

static void test_case(const struct test_case *c)
{
	const struct pki *issuer = c->by_stranger ? stranger : intermediate;
	struct pki *leaf = pki_new(c->type, issuer, &c->leaf);
	struct tls_certificate *chain = make_chain(c, leaf);

	run_case(c, chain);
	tls_certificate_free(chain);
	pki_free(leaf);
}

static void test_trust(void)
{
	static const char bad[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
	struct tls_buf names = { .limit = 4096 };
	struct tls_trust *t;

	if (tls_trust_new(&t))
		tap_bail("out of memory");
	tap_equal(tls_trust_add(t, "", 0), TLS_ERR_ARGUMENT, "no certificate in an empty text");
	tap_equal(tls_trust_add(t, bad, strlen(bad)), TLS_ERR_ARGUMENT, "a damaged certificate");
	tap_equal(tls_trust_add(t, pki_certificate(root), strlen(pki_certificate(root))), 0,
		  "a good one");
	tap_equal(tls_trust_put_names(t, &names), 0, "names of anchors");
	tap_bytes(names.data, names.len, "0016 3014 3112 3010 06035504030c09 74657374 20 726f6f74",
		  "are DistinguishedNames");
	tls_buf_free(&names);
	tls_trust_free(t);
}

/* What is added is an anchor, root or not: a leaf by itself, an intermediate. */
static void check_anchor(const struct pki *anchor, const struct pki *leaf, int want,
			 const char *what)
{
	const struct tls_slice der = pki_der(leaf);
	struct tls_verify_request req = { .peer = TLS_SERVER, .name = "host.test", .now = PKI_NOW };
	char why[TLS_VERIFY_TEXT];
	struct tls_certificate *chain;
	struct tls_trust *t;

	if (tls_trust_new(&t) || tls_certificate_from_der(&chain, &der, 1) ||
	    (anchor && tls_trust_add(t, pki_certificate(anchor), strlen(pki_certificate(anchor)))))
		tap_bail("%s", what);
	req.trust = t;
	req.chain = chain;
	tap_equal(tls_verify_chain(&req, why), want, "%s (%s)", what, why);
	tls_certificate_free(chain);
	tls_trust_free(t);
}

static void test_anchors(void)
{
	static const struct pki_options plain = { 0 };
	struct pki *alone = pki_new(PKI_P256, NULL, &plain);
	struct pki *twin = pki_new(PKI_P256, NULL, &plain);
	struct pki *leaf = pki_new(PKI_P256, intermediate, &plain);

	check_anchor(alone, alone, 0, "a self-signed certificate that is its own anchor");
	check_anchor(NULL, alone, ALERT(UNKNOWN_CA), "one that is not");
	check_anchor(twin, alone, ALERT(UNKNOWN_CA), "an anchor of the same name, another key");
	check_anchor(intermediate, leaf, 0, "an intermediate as anchor");
	pki_free(alone);
	pki_free(twin);
	pki_free(leaf);
}

static void test_system(void)
{
	char dir[] = "/tmp/tlsgate-test-XXXXXX", path[64];
	struct tls_trust *t;
	FILE *f;

	if (!mkdtemp(dir) || tls_trust_new(&t))
		tap_bail("temporary directory");
	setenv("SSL_CERT_DIR", dir, 1);
	setenv("SSL_CERT_FILE", "/nonexistent", 1);
	tap_equal(tls_trust_add_system(t), TLS_ERR_ARGUMENT, "a system without certificates");
	snprintf(path, sizeof(path), "%s/0123abcd.0", dir);
	f = fopen(path, "w");
	if (!f || fputs(pki_certificate(root), f) < 0 || fclose(f))
		tap_bail("%s", path);
	tap_equal(tls_trust_add_system(t), 0, "a hashed directory is read at once");
	remove(path);
	remove(dir);
	unsetenv("SSL_CERT_DIR");
	unsetenv("SSL_CERT_FILE");
	tls_trust_free(t);
}

int main(void)
{
	static const struct pki_options ca = {
		.common_name = "test intermediate host.test",
		.names = "",
		.constraints = "critical,CA:TRUE",
		.key_usage = "critical,keyCertSign",
		.not_after = PKI_NOW + 3650 * PKI_DAY,
	};

	root = pki_ca(PKI_P256, "test root");
	stranger = pki_ca(PKI_P256, "test stranger");
	intermediate = pki_new(PKI_P256, root, &ca);
	if (tls_trust_new(&trust) ||
	    tls_trust_add(trust, pki_certificate(root), strlen(pki_certificate(root))))
		tap_bail("trust");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	test_trust();
	test_anchors();
	test_system();
	tap_ok(tls_name_is_address("127.0.0.1") && tls_name_is_address("::1") &&
	       !tls_name_is_address("1.2.3") && !tls_name_is_address("host.test"), "addresses");
	tls_trust_free(trust);
	pki_free(root);
	pki_free(intermediate);
	pki_free(stranger);
	return tap_done();
}
