// SPDX-License-Identifier: MIT
/* Chains, names, validity, purposes and strength, each good and each wrong. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/verify/verify.h"
#include "pki.h"
#include "tap.h"

#define ALERT(name)	(TLS_ERR_ALERT + TLS_ALERT_##name)

#define TEN		"\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9"
#define LONG_NAME	"host.test " TEN TEN TEN TEN TEN	/* escaped, 310 bytes */

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
	bool before_path;			/* refused for what the leaf says */
	int64_t now;
};

static const struct test_case cases[] = {
	{ .what = "a good chain", .want = 0 },
	{ .what = "no name asked for", .want = 0, .any_name = true },
	{ .what = "P-384", .want = 0, .type = PKI_P384 },
	{ .what = "P-521", .want = 0, .type = PKI_P521 },
	{ .what = "Ed25519", .want = 0, .type = PKI_ED25519 },
	{ .what = "Ed448", .want = 0, .type = PKI_ED448 },
	{ .what = "RSA-PSS", .want = 0, .type = PKI_RSA_PSS },
	{ .what = "RSA", .want = 0, .type = PKI_RSA2048 },
	{ .what = "RSA of 1024 bits", .want = ALERT(BAD_CERTIFICATE), .why = "too weak",
	  .type = PKI_RSA1024 },
	{ .what = "signed by SHA-1", .want = ALERT(BAD_CERTIFICATE), .why = "too weak",
	  .leaf.digest = "SHA1" },
	{ .what = "expired", .want = ALERT(CERTIFICATE_EXPIRED), .why = "expired",
	  .now = PKI_NOW + 31 * PKI_DAY },
	{ .what = "expired, by a long name", .want = ALERT(CERTIFICATE_EXPIRED),
	  .why = "subject \"CN=host.test \\C3\\A9\\C3", .leaf.common_name = LONG_NAME,
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
	{ .what = "a wildcard is any label", .want = 0, .leaf.names = "DNS:*.host.test",
	  .name = "a_b.host.test" },
	{ .what = "a name with an underscore", .want = 0, .leaf.names = "DNS:a_b.host.test",
	  .name = "a_b.host.test" },
	{ .what = "a wildcard of another domain", .want = ALERT(BAD_CERTIFICATE),
	  .why = "ostname mismatch",
	  .leaf.names = "DNS:*.other.host.test", .name = "a_b.host.test" },
	{ .what = "a wildcard right below the root", .want = ALERT(BAD_CERTIFICATE),
	  .why = "ostname mismatch",
	  .leaf.names = "DNS:*.test", .name = "a_b.test" },
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
	  .why = "serverAuth",
	  .leaf.extended_usage = "clientAuth" },
	{ .what = "client usage in a client", .want = 0, .leaf.extended_usage = "clientAuth",
	  .client = true,
	  .any_name = true },
	{ .what = "server usage in a client", .want = ALERT(UNSUPPORTED_CERTIFICATE),
	  .why = "clientAuth",
	  .leaf.extended_usage = "serverAuth", .client = true, .any_name = true },
	{ .what = "a key that may only certify", .want = ALERT(ILLEGAL_PARAMETER),
	  .why = "forbids signing", .leaf.key_usage = "keyCertSign", .before_path = true },
	{ .what = "a key of an unusable type", .want = ALERT(UNSUPPORTED_CERTIFICATE),
	  .why = "not supported", .type = PKI_BRAINPOOL, .before_path = true },
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

static const struct tls_scheme *schemes[32];
static size_t scheme_count;

static void list_schemes(void)
{
	const struct tls_scheme *all = tls_schemes(&scheme_count);

	for (size_t i = 0; i < scheme_count; i++)
		schemes[i] = &all[i];
}

static struct tls_verify_request request(const struct test_case *c)
{
	return (struct tls_verify_request){
		.schemes = schemes,
		.scheme_count = scheme_count,
		.trust = trust,
		.verify = TLS_VERIFY_REQUIRE,
		.peer = c->client ? TLS_CLIENT : TLS_SERVER,
		.op = TLS_KEY_SIGN,
		.name = c->any_name ? NULL : c->name ? c->name : "host.test",
		.now = c->now ? c->now : PKI_NOW,
	};
}

static bool same(struct tls_slice a, struct tls_slice b)
{
	return a.len == b.len && !memcmp(a.p, b.p, a.len);
}

static void run_case(const struct test_case *c, const struct pki *leaf)
{
	const struct tls_slice chain[] = { pki_der(leaf), pki_der(intermediate) };
	struct tls_verify_request req = request(c);
	char why[TLS_VERIFY_TEXT] = "?";
	struct tls_peer *peer = NULL;
	struct elements seen = { 0 };
	int err;

	req.element = on_element;
	req.arg = &seen;
	err = tls_peer_verify(&peer, &req, chain, c->no_intermediate ? 1 : 2, why);
	tap_equal(err, c->want, "%s (%s)", c->what, why);
	tap_ok(!peer == !!err &&
	       (!peer || same(tls_certificate_der(tls_peer_leaf(peer), 0), pki_der(leaf))),
	       "%s: a peer only who is believed", c->what);
	if (c->why)
		tap_ok(strstr(why, c->why), "%s: the sentence says so", c->what);
	if (c->before_path)
		tap_ok(!seen.count, "%s: no path is looked for", c->what);
	else
		tap_ok(c->want ? seen.bad == 1 && !seen.good && strstr(why, seen.bad_text) &&
				 strstr(why, "host.test") : seen.count == 3 && seen.good == 3,
		       "%s: verdict per element", c->what);
	tls_peer_free(peer);
}

static void test_case(const struct test_case *c)
{
	const struct pki *issuer = c->by_stranger ? stranger : intermediate;
	struct pki *leaf = pki_new(c->type, issuer, &c->leaf);

	run_case(c, leaf);
	pki_free(leaf);
}

/* ---- how chains are signed: what is offered is taken, and nothing else ---- */

struct signing {
	const char *what;
	enum pki_key ca;
	struct pki_options leaf;
	uint16_t scheme;			/* 0: of none */
};

static void check_signing(const struct signing *s, const struct pki *ca, const struct pki *leaf,
			  bool leave_out, int want)
{
	const struct test_case good = { .what = s->what };
	struct tls_verify_request req = request(&good);
	const struct tls_scheme *some[32];
	const struct tls_slice der = pki_der(leaf);
	struct tls_peer *peer = NULL;
	char why[TLS_VERIFY_TEXT];

	req.schemes = some;
	req.scheme_count = 0;
	for (size_t i = 0; i < scheme_count; i++) {
		if (!leave_out || schemes[i]->id != s->scheme)
			some[req.scheme_count++] = schemes[i];
	}
	if (tls_trust_new((struct tls_trust **)&req.trust) ||
	    tls_trust_add((struct tls_trust *)req.trust, pki_certificate(ca),
			  strlen(pki_certificate(ca))))
		tap_bail("trust");
	tap_equal(tls_peer_verify(&peer, &req, &der, 1, why), want, "a chain signed by %s%s (%s)",
		  s->what, leave_out ? ", which is not offered" : "", why);
	tls_peer_free(peer);
	tls_trust_free((struct tls_trust *)req.trust);
}

static void test_signing(void)
{
	static const struct signing signings[] = {
		{ "P-256 with SHA-256", PKI_P256, { 0 }, 0x0403 },
		{ "P-384 with SHA-256", PKI_P384, { 0 }, 0x0403 },
		{ "P-384 with SHA-384", PKI_P384, { .digest = "SHA384" }, 0x0503 },
		{ "P-521 with SHA-512", PKI_P521, { .digest = "SHA512" }, 0x0603 },
		{ "Ed25519", PKI_ED25519, { 0 }, 0x0807 },
		{ "Ed448", PKI_ED448, { 0 }, 0x0808 },
		{ "RSA with SHA-256", PKI_RSA2048, { 0 }, 0x0401 },
		{ "RSA with SHA-512", PKI_RSA2048, { .digest = "SHA512" }, 0x0601 },
		{ "RSA, PSS with SHA-256", PKI_RSA2048, { .pss = true }, 0x0804 },
		{ "an RSA-PSS key with SHA-384", PKI_RSA_PSS, { .digest = "SHA384" }, 0x080a },
		{ "ML-DSA-44", PKI_MLDSA44, { 0 }, 0x0904 },
		{ "ML-DSA-65", PKI_MLDSA65, { 0 }, 0x0905 },
		{ "ML-DSA-87", PKI_MLDSA87, { 0 }, 0x0906 },
		{ "P-256 with SHA-224", PKI_P256, { .digest = "SHA224" }, 0 },
		{ "RSA with SHA-224", PKI_RSA2048, { .digest = "SHA224" }, 0 },
		{ "a Brainpool key with SHA-256", PKI_BRAINPOOL, { 0 }, 0 },
	};

	for (size_t i = 0; i < sizeof(signings) / sizeof(signings[0]); i++) {
		const struct signing *s = &signings[i];
		struct pki *ca, *leaf;

		if (!pki_has(s->ca)) {
			tap_skip("this libcrypto has no ML-DSA", "a chain signed by %s", s->what);
			continue;
		}
		ca = pki_ca(s->ca, "signing CA");
		leaf = pki_new(PKI_P256, ca, &s->leaf);
		check_signing(s, ca, leaf, false, s->scheme ? 0 : ALERT(UNSUPPORTED_CERTIFICATE));
		if (s->scheme)
			check_signing(s, ca, leaf, true, ALERT(UNSUPPORTED_CERTIFICATE));
		pki_free(leaf);
		pki_free(ca);
	}
}

/* ---- what is not believed ---- */

static void test_modes(void)
{
	const struct test_case good = { .what = "modes" };
	struct pki *leaf = pki_new(PKI_P256, stranger, &good.leaf);
	const struct tls_slice garbage = { (const uint8_t *)"garbage", 7 };
	const struct tls_slice chain[] = { pki_der(leaf), garbage };
	struct tls_verify_request req = request(&good);
	char why[TLS_VERIFY_TEXT];
	struct elements seen = { 0 };
	struct tls_peer *peer;

	tap_equal(tls_peer_verify(&peer, &req, chain, 2, why), ALERT(BAD_CERTIFICATE),
		  "garbage behind the leaf (%s)", why);
	tap_equal(tls_peer_verify(&peer, &req, chain + 1, 1, why), ALERT(BAD_CERTIFICATE),
		  "garbage for a leaf (%s)", why);
	req.verify = TLS_VERIFY_REPORT;
	tap_ok(!tls_peer_verify(&peer, &req, chain, 1, why) && strstr(why, "issuer"),
	       "a stranger is only reported (%s)", why);
	req.status = true;
	tap_ok(!tls_peer_verify_status(peer, &req, garbage, why) && strstr(why, "issuer"),
	       "and no status is looked at");
	tls_peer_free(peer);
	req.verify = TLS_VERIFY_NONE;
	req.element = on_element;
	req.arg = &seen;
	tap_ok(!tls_peer_verify(&peer, &req, chain, 1, why) && !why[0] && seen.bad == 1 &&
	       !strcmp(seen.bad_text, "not verified"), "a stranger is taken where nothing is asked");
	tls_peer_free(peer);
	pki_free(leaf);
}

static void test_resume(void)
{
	const struct test_case good = { .what = "resume" };
	struct pki *leaf = pki_new(PKI_P256, intermediate, &good.leaf);
	const struct tls_slice chain[] = { pki_der(leaf), pki_der(intermediate) };
	struct tls_verify_request req = request(&good);
	struct tls_slice kept;
	char why[TLS_VERIFY_TEXT];
	struct tls_peer *peer, *again;

	if (tls_peer_verify(&peer, &req, chain, 2, why))
		tap_bail("%s", why);
	kept = tls_peer_kept(peer);
	tap_equal(tls_peer_resume(&again, &req, kept, why), 0, "a session's peer");
	tap_ok(same(tls_peer_kept(again), kept), "is kept as it was");
	tls_peer_free(again);
	for (size_t len = 0; len < kept.len; len += kept.len / 7)
		tap_equal(tls_peer_resume(&again, &req, (struct tls_slice){ kept.p, len }, why),
			  TLS_ERR_ARGUMENT, "%zu bytes of it", len);
	req.now += 31 * PKI_DAY;
	tap_equal(tls_peer_resume(&again, &req, kept, why), ALERT(CERTIFICATE_EXPIRED),
		  "is judged anew (%s)", why);
	tls_peer_free(peer);
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
	const struct test_case good = { .what = what };
	struct tls_verify_request req = request(&good);
	char why[TLS_VERIFY_TEXT];
	struct tls_peer *peer = NULL;
	struct tls_trust *t;

	if (tls_trust_new(&t) ||
	    (anchor && tls_trust_add(t, pki_certificate(anchor), strlen(pki_certificate(anchor)))))
		tap_bail("%s", what);
	req.trust = t;
	tap_equal(tls_peer_verify(&peer, &req, &der, 1, why), want, "%s (%s)", what, why);
	tls_peer_free(peer);
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

	list_schemes();
	root = pki_ca(PKI_P256, "test root");
	stranger = pki_ca(PKI_P256, "test stranger");
	intermediate = pki_new(PKI_P256, root, &ca);
	if (tls_trust_new(&trust) ||
	    tls_trust_add(trust, pki_certificate(root), strlen(pki_certificate(root))))
		tap_bail("trust");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		test_case(&cases[i]);
	test_signing();
	test_modes();
	test_resume();
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
