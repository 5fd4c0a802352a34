// SPDX-License-Identifier: MIT
/* What is stapled to a certificate: sent where asked for, believed where it deserves it. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include "engine/engine.h"
#include "pair.h"
#include "tap.h"

static X509 *x509_of(const struct pki *pki)
{
	const unsigned char *p = pki_der(pki).p;
	X509 *x509 = d2i_X509(NULL, &p, (long)pki_der(pki).len);

	if (!x509)
		tap_bail("cannot parse a certificate");
	return x509;
}

static EVP_PKEY *key_of(const struct pki *pki)
{
	BIO *bio = BIO_new_mem_buf(pki_key(pki), -1);
	EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);

	BIO_free(bio);
	if (!key)
		tap_bail("cannot parse a key");
	return key;
}

struct answer {
	const char *what;
	int err;			/* the client's */
	const struct pki *about, *issuer, *signer;	/* NULL: the leaf, the CA, the issuer */
	int status;
	int64_t from, until;		/* from PKI_NOW; 0: an hour before it, after it */
	bool sha256;			/* in the certificate's id */
	bool sha1;			/* in the signature */
};

/* The DER is the caller's, by OPENSSL_free(). */
static struct tls_slice make_response(const struct answer *answer)
{
	const struct pki *about = answer->about ? answer->about : pair_leaf(PKI_P256);
	const struct pki *issuer = answer->issuer ? answer->issuer : pair_ca();
	const struct pki *signer = answer->signer ? answer->signer : issuer;
	X509 *leaf = x509_of(about), *ca = x509_of(issuer), *by = x509_of(signer);
	int64_t begin = answer->from ? answer->from : -3600;
	int64_t end = answer->until ? answer->until : 3600;
	ASN1_TIME *from = ASN1_TIME_set(NULL, (time_t)(PKI_NOW + begin));
	ASN1_TIME *until = ASN1_TIME_set(NULL, (time_t)(PKI_NOW + end));
	ASN1_GENERALIZEDTIME *from_g = ASN1_TIME_to_generalizedtime(from, NULL);
	ASN1_GENERALIZEDTIME *until_g = ASN1_TIME_to_generalizedtime(until, NULL);
	OCSP_CERTID *id = OCSP_cert_to_id(answer->sha256 ? EVP_sha256() : NULL, leaf, ca);
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	EVP_PKEY *key = key_of(signer);
	OCSP_RESPONSE *response;
	unsigned char *der = NULL;
	int len;

	if (!OCSP_basic_add1_status(basic, id, answer->status, 0, from_g, from_g, until_g) ||
	    OCSP_basic_sign(basic, by, key, answer->sha1 ? EVP_sha1() : EVP_sha256(), NULL, 0) != 1)
		tap_bail("cannot make an OCSP response");
	response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(response, &der);
	if (len <= 0)
		tap_bail("cannot write an OCSP response");
	OCSP_RESPONSE_free(response);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	EVP_PKEY_free(key);
	ASN1_GENERALIZEDTIME_free(from_g);
	ASN1_GENERALIZEDTIME_free(until_g);
	ASN1_TIME_free(from);
	ASN1_TIME_free(until);
	X509_free(leaf);
	X509_free(ca);
	X509_free(by);
	return (struct tls_slice){ der, (size_t)len };
}

static void one_answer(const struct answer *answer, uint16_t version)
{
	struct tls_slice der = make_response(answer);
	const struct pair_options options = {
		.max = version, .ocsp = der, .request_ocsp = true, .chunk = 100,
	};
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair.client.err == answer->err && pair_up(&pair) == !answer->err &&
	       info.ocsp_response_len == der.len && !memcmp(info.ocsp_response, der.p, der.len),
	       "%s: %s (%s)", tls_version_name(version), answer->what,
	       tls_strerror(pair.client.err));
	pair_free(&pair);
	OPENSSL_free((void *)der.p);
}

static void answers(uint16_t version)
{
	static const struct pki_options delegate = { .extended_usage = "OCSPSigning" };
	static const struct pki_options by_sha1 = {
		.extended_usage = "OCSPSigning", .digest = "SHA1",
	};
	static const struct pki_options expired = {
		.extended_usage = "OCSPSigning", .not_after = PKI_NOW - PKI_DAY,
	};
	static const struct pki_options other_usage = {
		.extended_usage = "OCSPSigning", .key_usage = "keyAgreement",
	};
	static const struct pki_options strange = {
		.extended_usage = "OCSPSigning", .constraints = "critical,CA:TRUE",
		.key_usage = "critical,keyCertSign,digitalSignature", .common_name = "helper",
	};
	static const struct pki_options other = { .names = "DNS:other.test" };
	const struct pki *helper = pair_leaf_named(PKI_P256, &strange);
	const int bad = TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE_STATUS;
	const int64_t hour = 3600;
	const struct answer rows[] = {
		{ "good", .status = V_OCSP_CERTSTATUS_GOOD },
		{ "good, its id by SHA-256", .sha256 = true },
		{ "good, by a delegate", .signer = pair_leaf_named(PKI_P256, &delegate) },
		{ "revoked", TLS_ERR_ALERT + TLS_ALERT_CERTIFICATE_REVOKED,
		  .status = V_OCSP_CERTSTATUS_REVOKED },
		{ "unknown", bad, .status = V_OCSP_CERTSTATUS_UNKNOWN },
		{ "too old", bad, .from = -2 * hour, .until = -hour },
		{ "from the future", bad, .from = hour, .until = 2 * hour },
		{ "about another certificate", bad, .about = pair_leaf_named(PKI_P256, &other) },
		{ "by somebody who may not", bad, .signer = pair_leaf(PKI_P384) },
		{ "by SHA-1", bad, .sha1 = true },
		{ "by a delegate whose certificate is signed by SHA-1", bad,
		  .signer = pair_leaf_named(PKI_P256, &by_sha1) },
		{ "by a delegate with a short key", bad,
		  .signer = pair_leaf_named(PKI_RSA1024, &delegate) },
		{ "by a delegate who has expired", bad,
		  .signer = pair_leaf_named(PKI_P256, &expired) },
		{ "by a delegate whose key usage forbids signing", bad,
		  .signer = pair_leaf_named(PKI_P256, &other_usage) },
		{ "by a delegate of another CA", bad,
		  .signer = pair_issued(PKI_P256, NULL, &delegate) },
		{ "by a delegate's delegate", bad,
		  .signer = pair_issued(PKI_P256, helper, &delegate) },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		one_answer(&rows[i], version);
}

/*
 * Whoever holds a revoked leaf's key: a self-made certificate with the issuer's name and key
 * id stands before the issuer's, and signs that all is well.  It is expired, so that path
 * building passes over it.
 */
static void forged(uint16_t version)
{
	static const struct pki_options ca = {
		.common_name = "intermediate", .names = "", .constraints = "critical,CA:TRUE",
		.key_usage = "critical,keyCertSign,cRLSign", .key_id = "0102030405",
	};
	static const struct pki_options false_ca = {
		.common_name = "intermediate", .names = "", .constraints = "critical,CA:TRUE",
		.key_usage = "critical,keyCertSign,cRLSign", .key_id = "0102030405",
		.not_after = PKI_NOW - PKI_DAY,
	};
	static const struct pki_options plain = { .authority = true };
	static const struct pki_options demanding = {
		.authority = true, .feature = "status_request",
	};
	const struct pki *issuer = pair_leaf_named(PKI_P256, &ca);
	const struct pki *impostor = pair_issued(PKI_P256, NULL, &false_ca);
	const struct pki *leaf = pair_issued(PKI_P256, issuer,
					     version == TLS_1_3 ? &plain : &demanding);
	const struct answer good = { .about = leaf, .issuer = issuer };
	const struct answer forgery = { .about = leaf, .issuer = impostor };
	/* the certificate's id names the issuer's key, but the impostor signed */
	const struct answer disguised = { .about = leaf, .issuer = issuer, .signer = impostor };
	const struct {
		const char *what;
		const struct answer *answer;
		int err;
	} rows[] = {
		{ "by the issuer", &good, 0 },
		{ "forged by an impostor in the chain", &forgery,
		  TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE_STATUS },
		{ "forged, about the issuer's certificate", &disguised,
		  TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE_STATUS },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct tls_slice der = make_response(rows[i].answer);
		const struct pair_options options = {
			.max = version, .ocsp = der, .request_ocsp = true, .server = { leaf },
			.server_issuers = { impostor, issuer },
		};
		struct pair pair;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tap_ok(pair.client.err == rows[i].err && pair_up(&pair) == !rows[i].err,
		       "%s: a response %s (%s)", tls_version_name(version), rows[i].what,
		       tls_strerror(pair.client.err));
		pair_free(&pair);
		OPENSSL_free((void *)der.p);
	}
}

/* A delegate may be revoked itself, unless the issuer says that nobody need ask (RFC 6960). */
static void revoked_delegate(uint16_t version)
{
	static const struct pki_options plain = { .extended_usage = "OCSPSigning" };
	static const struct pki_options unchecked = {
		.extended_usage = "OCSPSigning", .no_check = true,
	};
	const struct pki_options *kinds[] = { &plain, &unchecked };

	for (int i = 0; i < 2; i++) {
		const struct answer good = { .signer = pair_leaf_named(PKI_P256, kinds[i]) };
		const struct pki_crl_options revokes = { .revoked = good.signer };
		struct tls_slice der = make_response(&good), crl = pki_crl(pair_ca(), &revokes);
		const struct pair_options options = {
			.max = version, .ocsp = der, .request_ocsp = true, .crls = { crl },
		};
		struct pair pair;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tap_equal(pair.client.err,
			  i ? 0 : TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE_STATUS,
			  "%s: a delegate in the CRL%s", tls_version_name(version),
			  i ? ", which nobody need ask" : "");
		pair_free(&pair);
		OPENSSL_free((void *)der.p);
		OPENSSL_free((void *)crl.p);
	}
}

static int lists_verified;

int X509_CRL_verify(X509_CRL *crl, EVP_PKEY *key)
{
	int (*real)(X509_CRL *crl, EVP_PKEY *key);

	*(void **)&real = dlsym(RTLD_NEXT, "X509_CRL_verify");
	lists_verified++;
	return real(crl, key);
}

/* A CRL may be long: who forges a delegate makes nobody look into it. */
static void forged_delegate(uint16_t version)
{
	static const struct pki_options delegate = { .extended_usage = "OCSPSigning" };
	const struct pki_crl_options empty = { 0 };
	struct pki *namesake = pki_ca(PKI_P256, "pair CA");
	const struct pki *signers[] = {
		pair_leaf_named(PKI_P256, &delegate), pair_issued(PKI_P256, namesake, &delegate),
	};
	struct tls_slice crl = pki_crl(pair_ca(), &empty);
	int verified[2];

	for (int i = 0; i < 2; i++) {
		const struct answer good = { .signer = signers[i] };
		struct tls_slice der = make_response(&good);
		const struct pair_options options = {
			.max = version, .ocsp = der, .request_ocsp = true, .crls = { crl },
		};
		struct pair pair;

		pair_init(&pair, &options);
		lists_verified = 0;
		pair_handshake(&pair);
		verified[i] = lists_verified;
		pair_free(&pair);
		OPENSSL_free((void *)der.p);
	}
	/* the leaf was looked up both times */
	if (verified[0] <= 1)
		tap_skip("libcrypto's own calls cannot be counted here",
			 "%s: a forged delegate is looked up in no CRL", tls_version_name(version));
	else
		tap_ok(verified[1] < verified[0], "%s: a forged delegate is looked up in no CRL (%d, %d)",
		       tls_version_name(version), verified[0], verified[1]);
	pki_free(namesake);
	OPENSSL_free((void *)crl.p);
}

/* ---- sessions: they go on as long as the status that they began with ---- */

static bool resumes(const struct pair_options *options, const uint8_t *session, size_t len)
{
	struct tls_conn_info info;
	struct pair pair;
	bool taken;

	pair_init(&pair, options);
	taken = !tls_conn_set_session(pair.client.conn, session, len);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	if (!pair_up(&pair) || info.resumed != taken)
		tap_bail("neither resumed nor not: %s", tls_strerror(pair.client.err));
	pair_free(&pair);
	return taken;
}

static void sessions(uint16_t version)
{
	static const struct tls_ticket_key key = { .name = "key" };
	const struct answer good = { .until = 3600 }, later = { .until = 3 * 3600 };
	struct tls_slice der = make_response(&good), fresh = make_response(&later);
	struct pair_options options = {
		.max = version, .ocsp = der, .request_ocsp = true,
		.ticket_keys = &key, .ticket_key_count = 1, .now = PKI_NOW,
	};
	const char *name = tls_version_name(version);
	const uint8_t *session;
	struct pair pair;
	size_t len;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	if (!pair_up(&pair) || !pair_transfer(&pair, &pair.server, &pair.client, 1))
		tap_bail("%s", tls_strerror(pair.client.err));
	session = tls_conn_session(pair.client.conn, &len);
	options.ocsp = fresh;
	options.now = PKI_NOW + 1800;
	tap_ok(resumes(&options, session, len), "%s: a session whose status is fresh", name);
	options.now = PKI_NOW + 3600 + 301;
	tap_ok(!resumes(&options, session, len), "%s: a session whose status has expired", name);
	options.request_ocsp = false;
	tap_ok(resumes(&options, session, len), "%s: where nobody asks for it", name);
	pair_free(&pair);
	OPENSSL_free((void *)der.p);
	OPENSSL_free((void *)fresh.p);
}

static void rest(uint16_t version)
{
	const struct tls_slice garbage = { (const uint8_t *)"garbage", 7 };
	struct pair_options options = { .max = version, .ocsp = garbage };
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair_up(&pair) && !info.ocsp_response, "%s: none where none was asked for",
	       tls_version_name(version));
	pair_free(&pair);

	options.request_ocsp = true;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair.client.err == TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE_STATUS &&
	       pair.server.err == TLS_ERR_PEER + TLS_ALERT_BAD_CERTIFICATE_STATUS,
	       "%s: garbage is none", tls_version_name(version));
	pair_free(&pair);

	options.ocsp.len = 0;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair_up(&pair), "%s: asked for, and there is none", tls_version_name(version));
	pair_free(&pair);

	options.suites = "TLS_RSA_WITH_AES_128_GCM_SHA256";
	options.server[0] = pair_leaf(PKI_RSA2048);
	options.client_verifies_nothing = true;
	options.ocsp = garbage;
	if (version == TLS_1_3)
		return;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair_up(&pair) && info.ocsp_response_len == garbage.len,
	       "with RSA key exchange, by a client that verifies nothing");
	pair_free(&pair);
}

/* RFC 7633: the certificate itself says that a response has to be stapled. */
static void must_staple(struct pair_options options, const char *suite)
{
	static const struct pki_options demanding = { .feature = "status_request" };
	const struct answer good = {
		.about = pair_leaf_named(options.suites ? PKI_RSA2048 : PKI_P256, &demanding),
	};
	struct tls_slice der = make_response(&good);
	struct pair pair;

	options.suites = suite;
	options.server[0] = good.about;
	for (int ask = 0; ask < 2; ask++) {
		options.request_ocsp = ask;
		pair_init(&pair, &options);
		pair_handshake(&pair);
		tap_equal(pair.client.err,
			  ask ? TLS_ERR_ALERT + TLS_ALERT_BAD_CERTIFICATE_STATUS : 0,
			  "%s, %s: a certificate demands a response, there is none, %s",
			  tls_version_name(options.max), suite ? suite : "any suite",
			  ask ? "and it is asked for" : "and nobody asks");
		pair_free(&pair);
	}
	options.ocsp = der;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair_up(&pair), "%s: there is one", tls_version_name(options.max));
	pair_free(&pair);
	OPENSSL_free((void *)der.p);
}

/* Told, not refused: by a client that only wants to know. */
static void reported(uint16_t version)
{
	static const struct pki_options demanding = { .feature = "status_request" };
	struct pair_options options = {
		.max = version, .client_reports = true, .client_trusts_nobody = true,
	};
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair_up(&pair) && info.verify_error, "%s: a chain by nobody known (%s)",
	       tls_version_name(version), info.verify_error ? info.verify_error : "no error");
	pair_free(&pair);
	options.client_trusts_nobody = false;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair_up(&pair) && !info.verify_error, "%s: nothing wrong, nothing told",
	       tls_version_name(version));
	pair_free(&pair);
	options.server[0] = pair_leaf_named(PKI_P256, &demanding);
	options.request_ocsp = true;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	tap_ok(pair_up(&pair) && info.verify_error, "%s: no response stapled (%s)",
	       tls_version_name(version), info.verify_error ? info.verify_error : "no error");
	pair_free(&pair);
}

/* Signed certificate timestamps go the same ways, and are not judged. */
static void timestamps(uint16_t version)
{
	static const uint8_t list[] = { 0, 6, 0, 4, 5, 6, 7, 8 }, empty[] = { 0, 2, 0, 0 };
	const struct pair_options options = {
		.max = version, .scts = { list, sizeof(list) },
		.server_verify = TLS_VERIFY_REQUIRE, .client = { pair_leaf(PKI_P256) },
	};
	struct tls_certificate *cert;
	struct tls_conn_info info;
	struct pair pair;

	for (int ask = 0; ask < 2; ask++) {
		struct pair_options o = options;

		o.request_scts = ask;
		pair_init(&pair, &o);
		pair_handshake(&pair);
		tls_conn_info(pair.client.conn, &info);
		tap_ok(pair_up(&pair) && info.scts_len == (ask ? sizeof(list) : 0) &&
		       !memcmp(ask ? info.scts : list, list, info.scts_len),
		       "%s: timestamps %s", tls_version_name(version),
		       ask ? "asked for" : "not asked for");
		tls_conn_info(pair.server.conn, &info);
		tap_ok(!info.scts, "%s: a client sends none", tls_version_name(version));
		pair_free(&pair);
	}
	if (tls_certificate_new(&cert, pki_certificate(pair_leaf(PKI_P256)),
				strlen(pki_certificate(pair_leaf(PKI_P256))), NULL))
		tap_bail("cannot parse a certificate");
	for (size_t len = 1; len < sizeof(list); len++)
		tap_equal(tls_certificate_set_scts(cert, list, len), TLS_ERR_ARGUMENT,
			  "%zu bytes of a list", len);
	tap_equal(tls_certificate_set_scts(cert, empty, sizeof(empty)), TLS_ERR_ARGUMENT,
		  "an empty timestamp");
	tls_certificate_free(cert);
}

int main(void)
{
	answers(TLS_1_2);
	answers(TLS_1_3);
	forged(TLS_1_2);
	forged(TLS_1_3);
	revoked_delegate(TLS_1_2);
	revoked_delegate(TLS_1_3);
	forged_delegate(TLS_1_2);
	forged_delegate(TLS_1_3);
	sessions(TLS_1_2);
	sessions(TLS_1_3);
	rest(TLS_1_2);
	rest(TLS_1_3);
	must_staple((struct pair_options){ .max = TLS_1_2 }, NULL);
	must_staple((struct pair_options){ .max = TLS_1_2, .suites = "" },
		    "TLS_RSA_WITH_AES_128_GCM_SHA256");
	must_staple((struct pair_options){ .max = TLS_1_3 }, NULL);
	reported(TLS_1_2);
	reported(TLS_1_3);
	timestamps(TLS_1_2);
	timestamps(TLS_1_3);
	pair_free_pki();
	return tap_done();
}
