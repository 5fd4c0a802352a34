// SPDX-License-Identifier: MIT
/* Revocation lists: read, and heeded for servers and for clients, in both versions. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/pem.h>

#include "pair.h"
#include "tap.h"

#define HOUR	3600

static const struct pki *intermediate, *leaf, *other_leaf;

/* ---- handshakes ---- */

struct crl_case {
	const char *what;
	int err;			/* of the end that verifies */
	const char *why;		/* part of the sentence */
	const struct pki_crl_options *of_ca, *of_intermediate;	/* NULL: there is none */
	const struct pki_crl_options *more;	/* a second one of the intermediate's */
	bool take_expired;
};

static bool sees(const struct pair_end *end, const struct crl_case *c)
{
	struct tls_conn_info info;

	tls_conn_info(end->conn, &info);
	return end->err == c->err &&
	       (!c->why || (info.verify_error && strstr(info.verify_error, c->why)));
}

static void one_case(const struct crl_case *c, uint16_t version, bool of_client)
{
	struct pair_options options = {
		.max = version, .server = { leaf }, .server_issuers = { intermediate },
		.take_expired_crls = c->take_expired,
	};
	const struct pki_crl_options *lists[] = { c->of_ca, c->of_intermediate, c->more };
	const struct pki *by[] = { pair_ca(), intermediate, intermediate };
	struct tls_conn_info info;
	struct pair pair;
	size_t count = 0;

	for (size_t i = 0; i < 3; i++) {
		if (lists[i])
			options.crls[count++] = pki_crl(by[i], lists[i]);
	}
	if (of_client) {
		options.client[0] = leaf;
		options.client_issuers[0] = intermediate;
		options.server_verify = TLS_VERIFY_REQUIRE;
		options.client_verifies_nothing = true;
	}
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(of_client ? pair.server.conn : pair.client.conn, &info);
	tap_ok(sees(of_client ? &pair.server : &pair.client, c) && (c->err || pair_up(&pair)),
	       "%s, %s: %s (%s)", tls_version_name(version), of_client ? "a client" : "a server",
	       c->what, info.verify_error ? info.verify_error : "believed");
	pair_free(&pair);
	for (size_t i = 0; i < count; i++)
		OPENSSL_free((void *)options.crls[i].p);
}

#define REFUSED	(TLS_ERR_ALERT + TLS_ALERT_CERTIFICATE_UNKNOWN)
#define REVOKED	(TLS_ERR_ALERT + TLS_ALERT_CERTIFICATE_REVOKED)

static void handshakes(void)
{
	const struct pki_crl_options empty = { 0 };
	const struct pki_crl_options revokes_leaf = { .revoked = leaf };
	const struct pki_crl_options revokes_ca = { .revoked = intermediate };
	const struct pki_crl_options revokes_other = { .revoked = other_leaf };
	const struct pki_crl_options expired = { .from = -2 * HOUR, .until = -HOUR };
	const struct pki_crl_options expired_revokes = {
		.from = -2 * HOUR, .until = -HOUR, .revoked = leaf,
	};
	const struct pki_crl_options future = { .from = HOUR, .until = 2 * HOUR };
	const struct pki_crl_options forged = { .signer = leaf };
	const struct pki_crl_options elsewhere = { .only_cas = true };
	const struct crl_case cases[] = {
		{ "in no list", .of_ca = &empty, .of_intermediate = &empty },
		{ "another is revoked", .of_ca = &empty, .of_intermediate = &revokes_other },
		{ "revoked", REVOKED, "revoked", .of_ca = &empty, .of_intermediate = &revokes_leaf },
		{ "its issuer is revoked", REVOKED, "revoked", .of_ca = &revokes_ca,
		  .of_intermediate = &empty },
		{ "no list of its issuer", REFUSED, "there is no CRL", .of_ca = &empty },
		{ "no list of its issuer's issuer", REFUSED, "there is no CRL",
		  .of_intermediate = &empty },
		{ "an expired list", REFUSED, "has expired", .of_ca = &empty,
		  .of_intermediate = &expired },
		{ "an expired list, which is taken", .of_ca = &empty, .of_intermediate = &expired,
		  .take_expired = true },
		{ "an expired list, which is taken and has it", REVOKED, "revoked",
		  .of_ca = &empty, .of_intermediate = &expired_revokes, .take_expired = true },
		{ "an expired list and a fresh one", .of_ca = &empty, .of_intermediate = &expired,
		  .more = &empty },
		{ "a list from the future", REFUSED, .of_ca = &empty, .of_intermediate = &future },
		{ "a list from the future, where expired ones are taken", REFUSED,
		  .of_ca = &empty, .of_intermediate = &future, .take_expired = true },
		{ "a forged list", REFUSED, "did not sign", .of_ca = &empty,
		  .of_intermediate = &forged },
		{ "a list of CAs alone", REFUSED, "does not cover", .of_ca = &empty,
		  .of_intermediate = &elsewhere },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int of_client = 0; of_client < 2; of_client++) {
			one_case(&cases[i], TLS_1_2, of_client);
			one_case(&cases[i], TLS_1_3, of_client);
		}
	}
}

/* The anchor itself needs no list, even where it is the whole path. */
static void anchored(void)
{
	const struct pki_crl_options empty = { 0 };
	struct pair_options options = { .crls[0] = pki_crl(pair_ca(), &empty) };
	struct pair pair;

	options.server[0] = pair_leaf(PKI_P256);
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair_up(&pair), "a path of leaf and anchor, and the anchor's list");
	pair_free(&pair);
	OPENSSL_free((void *)options.crls[0].p);
}

/* ---- how often ---- */

static int verified;		/* signatures of lists with entries */
static int looked_up;		/* certificates, in any list */

int X509_CRL_verify(X509_CRL *crl, EVP_PKEY *key)
{
	int (*real)(X509_CRL *crl, EVP_PKEY *key);

	*(void **)&real = dlsym(RTLD_NEXT, "X509_CRL_verify");
	verified += sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)) > 0;
	return real(crl, key);
}

int X509_CRL_get0_by_serial(X509_CRL *crl, X509_REVOKED **entry, const ASN1_INTEGER *serial)
{
	int (*real)(X509_CRL *crl, X509_REVOKED **entry, const ASN1_INTEGER *serial);

	*(void **)&real = dlsym(RTLD_NEXT, "X509_CRL_get0_by_serial");
	looked_up++;
	return real(crl, entry, serial);
}

/* Another handshake with the same configurations: its CPU time. */
static double again(struct pair *pair)
{
	struct pair_end *ends[] = { &pair->client, &pair->server };
	clock_t start;

	for (size_t i = 0; i < 2; i++) {
		tls_conn_free(ends[i]->conn);
		ends[i]->conn = tls_conn_new(ends[i]->config);
		if (!ends[i]->conn)
			tap_bail("no connection");
		tls_conn_set_arg(ends[i]->conn, ends[i]);
	}
	if (tls_conn_set_server_name(pair->client.conn, "host.test"))
		tap_bail("a server name");
	start = clock();
	pair_handshake(pair);
	return (double)(clock() - start) / CLOCKS_PER_SEC;
}

/* The second handshake should take as long as one without a list. */
static void long_list(void)
{
	const struct pki_crl_options listed = { .more = 200000 };
	struct pair_options options = { .crls[0] = pki_crl(pair_ca(), &listed) };
	struct tls_slice list = options.crls[0];
	double first, second, without;
	struct pair pair;

	pair_init(&pair, &options);
	verified = 0;
	first = again(&pair);
	second = again(&pair);
	tap_ok(pair_up(&pair) && verified == 1, "a list's signature is checked once, not %d times",
	       verified);
	pair_free(&pair);
	options.crls[0] = (struct tls_slice){ NULL, 0 };
	pair_init(&pair, &options);
	without = again(&pair);
	pair_free(&pair);
	printf("# a list of %zu bytes: %.6f s of CPU for the first handshake, %.6f s for the second; "
	       "%.6f s without\n", list.len, first, second, without);
	OPENSSL_free((void *)list.p);
}

static const struct pki_options ca_options = {
	.common_name = "intermediate", .names = "", .constraints = "critical,CA:TRUE",
	.key_usage = "critical,keyCertSign,cRLSign",
};

static void forged_chain(const struct pki *end, const struct pki *issuer, const char *what)
{
	const struct pki_crl_options listed = { .more = 3 };
	struct pair_options options = {
		.server = { end }, .server_issuers = { issuer },
		.crls = { pki_crl(pair_ca(), &listed), pki_crl(intermediate, &listed) },
	};
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &options);
	verified = looked_up = 0;
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair.client.err == TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE && info.verify_error &&
	       strstr(info.verify_error, "signature") && !verified && !looked_up,
	       "%s costs no look at a list (%d verified, %d searched; %s)", what, verified, looked_up,
	       info.verify_error ? info.verify_error : "believed");
	pair_free(&pair);
	OPENSSL_free((void *)options.crls[0].p);
	OPENSSL_free((void *)options.crls[1].p);
}

/* A CRL may be long: only a path whose every signature is good has it looked at. */
static void forged(void)
{
	const struct pki_options plain = { 0 };
	struct pki *namesake = pki_ca(PKI_P256, "pair CA");
	const struct pki *impostor = pair_issued(PKI_P256, namesake, &ca_options);

	forged_chain(pair_issued(PKI_P256, namesake, &plain), NULL, "a forged leaf");
	forged_chain(pair_issued(PKI_P256, impostor, &plain), intermediate,
		     "a forged leaf below a good intermediate");
	forged_chain(pair_issued(PKI_P256, impostor, &plain), impostor,
		     "a good leaf below a forged intermediate");
	pki_free(namesake);
}

/* That its issuer has signed the list does not make it a list of that issuer's namesake. */
static void namesakes(void)
{
	const struct pki_options plain = { 0 };
	const struct pki_crl_options empty = { 0 };
	const struct pki *namesake = pair_leaf_named(PKI_P256, &ca_options);
	struct pair_options options = {
		.server = { leaf }, .server_issuers = { intermediate },
		.crls = { pki_crl(pair_ca(), &empty), pki_crl(intermediate, &empty) },
	};
	struct tls_conn_info info;
	struct pair_end client;
	struct pair own, other;

	pair_init(&own, &options);
	again(&own);
	tap_ok(pair_up(&own), "a list that its issuer has signed");
	options.server[0] = pair_issued(PKI_P256, namesake, &plain);
	options.server_issuers[0] = namesake;
	pair_init(&other, &options);
	client = own.client;
	own.client = other.client;
	other.client = client;
	again(&other);
	tls_conn_info(other.client.conn, &info);
	tap_ok(other.client.err == REFUSED && info.verify_error &&
	       strstr(info.verify_error, "did not sign"), "is none of the issuer's namesake (%s)",
	       info.verify_error ? info.verify_error : "believed");
	pair_free(&own);
	pair_free(&other);
	OPENSSL_free((void *)options.crls[0].p);
	OPENSSL_free((void *)options.crls[1].p);
}

/* ---- sessions ---- */

static void sessions(uint16_t version)
{
	static const struct tls_ticket_key key = { .name = "key" };
	const struct pki_crl_options revokes = { .revoked = pair_leaf(PKI_P256) };
	struct pair_options options = {
		.max = version, .server = { pair_leaf(PKI_P256) }, .ticket_keys = &key,
		.ticket_key_count = 1,
	};
	const uint8_t *session;
	struct pair pair, next;
	size_t len;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	if (!pair_up(&pair) || !pair_transfer(&pair, &pair.server, &pair.client, 1))
		tap_bail("%s", tls_strerror(pair.client.err));
	session = tls_conn_session(pair.client.conn, &len);
	pair_init(&next, &options);
	tap_equal(tls_conn_set_session(next.client.conn, session, len), 0, "%s: a session",
		  tls_version_name(version));
	pair_free(&next);
	options.crls[0] = pki_crl(pair_ca(), &revokes);
	pair_init(&next, &options);
	tap_equal(tls_conn_set_session(next.client.conn, session, len), TLS_ERR_ARGUMENT,
		  "%s: a session with a server that is revoked meanwhile", tls_version_name(version));
	pair_free(&next);
	pair_free(&pair);
	OPENSSL_free((void *)options.crls[0].p);
}

/* A client whose certificate has been revoked since: its ticket is no way in. */
static void tickets(uint16_t version)
{
	static const struct tls_ticket_key key = { .name = "key" };
	const struct pki_crl_options revokes = { .revoked = pair_leaf(PKI_P256) };
	struct pair_options options = {
		.max = version, .client = { pair_leaf(PKI_P256) }, .ticket_keys = &key,
		.ticket_key_count = 1, .server_verify = TLS_VERIFY_REQUIRE,
		.client_verifies_nothing = true,
	};
	struct tls_conn_info info;
	const uint8_t *session;
	struct pair pair, next;
	size_t len;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	if (!pair_up(&pair) || !pair_transfer(&pair, &pair.server, &pair.client, 1))
		tap_bail("%s", tls_strerror(pair.client.err));
	session = tls_conn_session(pair.client.conn, &len);
	for (int revoked = 0; revoked < 2; revoked++) {
		if (revoked)
			options.crls[0] = pki_crl(pair_ca(), &revokes);
		pair_init(&next, &options);
		(void)tls_conn_set_session(next.client.conn, session, len);
		pair_handshake(&next);
		tls_conn_info(next.server.conn, &info);
		tap_ok(info.resumed == !revoked && next.server.err == (revoked ? REVOKED : 0),
		       "%s: a ticket of a client that is %s", tls_version_name(version),
		       revoked ? "revoked meanwhile" : "as good as before");
		pair_free(&next);
	}
	pair_free(&pair);
	OPENSSL_free((void *)options.crls[0].p);
}

/* ---- files ---- */

static int read_file(const void *data, size_t len, int64_t *until, const char **why)
{
	static const struct tls_hooks hooks;
	struct tls_config *config = tls_config_new(TLS_CLIENT, &hooks);
	int err = tls_config_add_crl(config, data, len, until, why);

	tls_config_unref(config);
	return err;
}

static void check_refused(const void *data, size_t len, const char *part, const char *what)
{
	const char *why = "";
	int64_t until;

	tap_ok(read_file(data, len, &until, &why) == TLS_ERR_ARGUMENT && strstr(why, part),
	       "%s (%s)", what, why);
}

static void files(void)
{
	const struct pki_crl_options early = { .until = HOUR / 2 }, late = { 0 };
	const struct pki_crl_options delta = { .delta = true };
	struct tls_slice der = pki_crl(pair_ca(), &late), part = pki_crl(pair_ca(), &delta);
	struct tls_slice second = pki_crl(intermediate, &early);
	BIO *bio = BIO_new(BIO_s_mem());
	const char *why = "";
	int64_t until;
	char *pem;
	long len;

	if (!PEM_write_bio(bio, "X509 CRL", "", der.p, (long)der.len) ||
	    !PEM_write_bio(bio, "X509 CRL", "", second.p, (long)second.len))
		tap_bail("PEM");
	len = BIO_get_mem_data(bio, &pem);
	tap_ok(!read_file(pem, (size_t)len, &until, &why) && until == PKI_NOW + HOUR / 2,
	       "PEM with two lists: when the first expires");
	tap_ok(!read_file(der.p, der.len, &until, &why) && until == PKI_NOW + HOUR, "DER");
	check_refused("", 0, "no CRL", "an empty file");
	check_refused("garbage", 7, "no CRL", "garbage");
	check_refused(der.p, der.len - 1, "no CRL", "cut DER");
	check_refused(pem, (size_t)len - 40, "damaged", "cut PEM");
	check_refused(pki_certificate(pair_ca()), strlen(pki_certificate(pair_ca())), "no CRL",
		      "a certificate");
	check_refused(part.p, part.len, "delta", "a delta CRL");
	BIO_free(bio);
	OPENSSL_free((void *)second.p);
	OPENSSL_free((void *)der.p);
	OPENSSL_free((void *)part.p);
}

int main(void)
{
	static const struct pki_options plain = { 0 };

	intermediate = pair_leaf_named(PKI_P256, &ca_options);
	leaf = pair_issued(PKI_P256, intermediate, &plain);
	other_leaf = pair_issued(PKI_P256, intermediate, &plain);
	handshakes();
	anchored();
	long_list();
	forged();
	namesakes();
	sessions(TLS_1_2);
	sessions(TLS_1_3);
	tickets(TLS_1_2);
	tickets(TLS_1_3);
	files();
	pair_free_pki();
	return tap_done();
}
