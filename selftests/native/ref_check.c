// SPDX-License-Identifier: MIT
/*
 * Holds the kselftests' reference record layer (lib/ref.c) against libssl:
 * for each suite two libssl ends shake hands in memory; the reference then
 * opens what one of them seals and seals what the other must open, over
 * KeyUpdates in TLS 1.3.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "lib/ref.h"

struct row {
	uint16_t version, suite;
	const char *list;		/* as libssl names it */
	const char *prf;		/* TLS 1.2 */
	bool ecdsa;
};

static const struct row rows[] = {
	{ 0x0303, 0xc02b, "ECDHE-ECDSA-AES128-GCM-SHA256", "SHA256", true },
	{ 0x0303, 0xc02c, "ECDHE-ECDSA-AES256-GCM-SHA384", "SHA384", true },
	{ 0x0303, 0xcca9, "ECDHE-ECDSA-CHACHA20-POLY1305", "SHA256", true },
	{ 0x0303, 0xc02f, "ECDHE-RSA-AES128-GCM-SHA256", "SHA256", false },
	{ 0x0303, 0xc030, "ECDHE-RSA-AES256-GCM-SHA384", "SHA384", false },
	{ 0x0303, 0xcca8, "ECDHE-RSA-CHACHA20-POLY1305", "SHA256", false },
	{ 0x0304, 0x1301, "TLS_AES_128_GCM_SHA256", NULL, true },
	{ 0x0304, 0x1302, "TLS_AES_256_GCM_SHA384", NULL, true },
	{ 0x0304, 0x1303, "TLS_CHACHA20_POLY1305_SHA256", NULL, true },
};

#define ROWS	(sizeof(rows) / sizeof(*rows))

/* The client's two directions as the key log gave them. */
static uint8_t client_secret[48], server_secret[48];

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	printf("Bail out! %s\n", what);
	exit(1);
}

static void log_secret(const char *line, const char *label, uint8_t *out)
{
	const char *hex = strrchr(line, ' ') + 1;

	if (strncmp(line, label, strlen(label)))
		return;
	for (size_t i = 0; hex[2 * i] && i < 48; i++)
		sscanf(hex + 2 * i, "%2hhx", &out[i]);
}

static void on_keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	log_secret(line, "CLIENT_TRAFFIC_SECRET_0 ", client_secret);
	log_secret(line, "SERVER_TRAFFIC_SECRET_0 ", server_secret);
}

static void add_certificate(SSL_CTX *ctx, bool ecdsa)
{
	EVP_PKEY *key = ecdsa ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
	X509 *cert = X509_new();
	X509_NAME *name = X509_get_subject_name(cert);

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (void *)"check", -1, -1, 0);
	X509_set_issuer_name(cert, name);
	X509_set_pubkey(cert, key);
	must(X509_sign(cert, key, EVP_sha256()) && SSL_CTX_use_certificate(ctx, cert) == 1 &&
	     SSL_CTX_use_PrivateKey(ctx, key) == 1, "certificate");
	X509_free(cert);
	EVP_PKEY_free(key);
}

static SSL *make_end(const struct row *row, bool server)
{
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	SSL *ssl;

	SSL_CTX_set_min_proto_version(ctx, row->version);
	SSL_CTX_set_max_proto_version(ctx, row->version);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	must((row->version == 0x0304 ? SSL_CTX_set_ciphersuites(ctx, row->list) :
	      SSL_CTX_set_cipher_list(ctx, row->list)) == 1, row->list);
	if (server)
		add_certificate(ctx, row->ecdsa);
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

/* What one end wrote, to the other end. */
static void carry(SSL *from, SSL *to)
{
	uint8_t buf[32768];
	int n;

	while ((n = BIO_read(SSL_get_wbio(from), buf, sizeof(buf))) > 0)
		BIO_write(SSL_get_rbio(to), buf, n);
}

static bool shake_hands(SSL *client, SSL *server)
{
	for (int i = 0; i < 8 && !(SSL_is_init_finished(client) && SSL_is_init_finished(server));
	     i++) {
		SSL_do_handshake(client);
		carry(client, server);
		SSL_do_handshake(server);
		carry(server, client);
	}
	return SSL_is_init_finished(client) && SSL_is_init_finished(server);
}

/* RFC 5246 section 6.3: keys, then IVs; the MAC keys are empty with an AEAD. */
static void keys_12(const struct row *row, SSL *ssl, struct ref_keys *client,
		    struct ref_keys *server)
{
	const struct ref_suite *s = ref_suite(row->version, row->suite);
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS1-PRF", NULL);
	EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
	uint8_t master[48], seed[13 + 64], block[2 * (32 + 12)];
	uint8_t *key = block, *iv = block + 2 * s->key_len;

	must(SSL_SESSION_get_master_key(SSL_get_session(ssl), master, 48) == 48, "master secret");
	memcpy(seed, "key expansion", 13);
	SSL_get_server_random(ssl, seed + 13, 32);
	SSL_get_client_random(ssl, seed + 45, 32);

	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)row->prf, 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master, 48),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed, sizeof(seed)),
		OSSL_PARAM_construct_end(),
	};
	must(EVP_KDF_derive(ctx, block, 2 * (s->key_len + s->iv_len), params) == 1, "PRF");
	ref_keys_set(client, s, key, iv);
	ref_keys_set(server, s, key + s->key_len, iv + s->iv_len);
	client->seq = 1;		/* Finished was number 0 */
	server->seq = 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
}

static bool opens(struct ref_keys *k, SSL *from, uint8_t want_type, const uint8_t *want, int len)
{
	static uint8_t wire[REF_RECORD_MAX], plain[REF_RECORD_MAX];
	uint8_t type;
	int n = BIO_read(SSL_get_wbio(from), wire, sizeof(wire));

	return n > 0 && ref_open(k, wire, n, &type, plain) == len && type == want_type &&
	       !memcmp(plain, want, len);
}

static bool check_open(struct ref_keys *k, SSL *from)
{
	static const int sizes[] = { 1, 15, 16, 17, 1000, 16384 };
	static uint8_t data[16384];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		memset(data, 'a' + i, sizeof(data));
		if (SSL_write(from, data, sizes[i]) != sizes[i] ||
		    !opens(k, from, REF_DATA, data, sizes[i]))
			return false;
	}
	return true;
}

static bool check_seal(struct ref_keys *k, SSL *to)
{
	static const int sizes[] = { 1, 15, 16, 17, 1000, 16384 };
	static uint8_t data[16384], got[16384], wire[REF_RECORD_MAX];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t pad = sizes[i] == 16384 ? 0 : 5 * i;
		size_t n;

		memset(data, 'A' + i, sizeof(data));
		n = ref_seal(k, REF_DATA, data, sizes[i], pad, wire);
		BIO_write(SSL_get_rbio(to), wire, n);
		if (SSL_read(to, got, sizeof(got)) != sizes[i] || memcmp(data, got, sizes[i]))
			return false;
	}
	return true;
}

static bool check_update(struct ref_keys *k, SSL *from)
{
	static const uint8_t update[] = { 24, 0, 0, 1, 0 };

	if (SSL_key_update(from, SSL_KEY_UPDATE_NOT_REQUESTED) != 1 || SSL_do_handshake(from) != 1 ||
	    !opens(k, from, REF_HANDSHAKE, update, sizeof(update)))
		return false;
	ref_ratchet(k);
	return check_open(k, from);
}

/* Every bit of a record counts. */
static bool check_refusal(struct ref_keys *k, SSL *from)
{
	uint8_t wire[256], plain[256], type;
	int n;

	SSL_write(from, "x", 1);
	n = BIO_read(SSL_get_wbio(from), wire, sizeof(wire));
	for (int bit = 0; bit < n * 8; bit++) {
		wire[bit / 8] ^= 1 << bit % 8;
		if (ref_open(k, wire, n, &type, plain) >= 0)
			return false;
		wire[bit / 8] ^= 1 << bit % 8;
	}
	return ref_open(k, wire, n, &type, plain) == 1 && plain[0] == 'x';
}

static bool check_row(const struct row *row)
{
	const struct ref_suite *s = ref_suite(row->version, row->suite);
	SSL *client = make_end(row, false), *server = make_end(row, true);
	struct ref_keys c = { 0 }, v = { 0 };
	bool ok = s && shake_hands(client, server);

	if (ok && s->secret_len) {
		ref_keys_from_secret(&c, s, client_secret);
		ref_keys_from_secret(&v, s, server_secret);
	} else if (ok) {
		keys_12(row, client, &c, &v);
	}
	ok = ok && check_open(&c, client) && check_refusal(&c, client) && check_seal(&v, client);
	if (ok && s->secret_len)
		ok = check_update(&c, client) && check_update(&c, client);
	ref_keys_free(&c);
	ref_keys_free(&v);
	SSL_free(client);
	SSL_free(server);
	return ok;
}

int main(void)
{
	bool all = true;

	printf("1..%zu\n", ROWS);
	for (size_t i = 0; i < ROWS; i++) {
		bool ok = check_row(&rows[i]);

		printf("%s %zu - reference agrees with libssl: %s\n", ok ? "ok" : "not ok", i + 1,
		       rows[i].list);
		all &= ok;
	}
	return !all;
}
