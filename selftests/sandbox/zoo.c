// SPDX-License-Identifier: MIT
/*
 * Odd certificates and names under a filter of the daemon's: what sorts, counts
 * and copies in libc and libcrypto changes its ways at certain sizes, powers of
 * two above all, and may then make a system call that nobody has seen before.
 * Each certificate is shown by a client and by a server to an engine that
 * verifies; how the handshakes end is of no interest.  CA files of each size up
 * to 300 do what gates do with theirs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <openssl/conf.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "engine/engine.h"
#include "enter.h"
#include "tests/pki.h"
#include "tests/tap.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define MAX_ODD		4096
#define MAX_CAS		300
#define TEXT_MAX	(1u << 18)

/* What is in a certificate, n times or n bytes long. */
struct kind {
	const char *what;
	size_t every, max;		/* each n up to every, then those around powers of two */
	void (*add)(X509 *x509, const struct kind *kind, size_t n);
	int nid;
	const char *first, *item;	/* of an extension's text: item has a number in it */
};

struct odd {
	const struct kind *kind;
	size_t n;
	char *pem;
};

static struct odd odds[MAX_ODD];
static size_t odd_count;
static EVP_PKEY *key;			/* of all of them */
static char *key_pem;
static char *cas[MAX_CAS];
static struct pki *leaf;		/* of the end that is not odd */
static char text[TEXT_MAX];
static CONF *no_conf;			/* which libcrypto wants to see for some extensions */

/* ---- making them ---- */

static void add_text(X509 *x509, int nid, const char *value, size_t len, int set)
{
	if (X509_NAME_add_entry_by_NID(X509_get_subject_name(x509), nid, MBSTRING_UTF8,
				       (const unsigned char *)value, (int)len, -1, set) != 1)
		tap_bail("a name");
}

/* One RDN of n attributes, a SET OF that is sorted. */
static void add_set(X509 *x509, const struct kind *kind, size_t n)
{
	char value[16];
	size_t i;

	for (i = 0; i < n; i++)
		add_text(x509, kind->nid, value, (size_t)snprintf(value, sizeof(value), "x%zu", i),
			 i ? -1 : 0);
}

static void add_rdns(X509 *x509, const struct kind *kind, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		add_text(x509, kind->nid, "x", 1, 0);
}

static void add_long_name(X509 *x509, const struct kind *kind, size_t n)
{
	memset(text, 'x', n);
	add_text(x509, kind->nid, text, n, 0);
}

/* As openssl.cnf has it, with n items. */
static void add_extension(X509 *x509, const struct kind *kind, size_t n)
{
	X509_EXTENSION *extension;
	X509V3_CTX ctx;
	size_t len, i;

	len = (size_t)snprintf(text, TEXT_MAX, "%s", kind->first);
	for (i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s", i ? "," : "");
		len += (size_t)snprintf(text + len, TEXT_MAX - len, kind->item, i);
	}
	X509V3_set_ctx(&ctx, x509, x509, NULL, NULL, 0);
	X509V3_set_nconf(&ctx, no_conf);
	extension = X509V3_EXT_conf_nid(NULL, &ctx, kind->nid, text);
	if (!extension || X509_add_ext(x509, extension, -1) != 1)
		tap_bail("%s: %zu", kind->what, n);
	X509_EXTENSION_free(extension);
}

static void add_unknown(X509 *x509, const char *id, const void *data, size_t len)
{
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *object = OBJ_txt2obj(id, 1);
	X509_EXTENSION *extension;

	if (!value || !object || ASN1_OCTET_STRING_set(value, data, (int)len) != 1)
		tap_bail("extension %s", id);
	extension = X509_EXTENSION_create_by_OBJ(NULL, object, 0, value);
	if (!extension || X509_add_ext(x509, extension, -1) != 1)
		tap_bail("extension %s", id);
	X509_EXTENSION_free(extension);
	ASN1_OBJECT_free(object);
	ASN1_OCTET_STRING_free(value);
}

static void add_extensions(X509 *x509, const struct kind *kind, size_t n)
{
	char id[32];
	size_t i;

	(void)kind;
	for (i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "1.2.3.4.%zu", i);
		add_unknown(x509, id, "x", 1);
	}
}

static void add_long_extension(X509 *x509, const struct kind *kind, size_t n)
{
	(void)kind;
	memset(text, 0x30, n);
	add_unknown(x509, "1.2.3.4", text, n);
}

/* One that libcrypto has a parser for, with n bytes that are none. */
static void add_bad_extension(X509 *x509, const struct kind *kind, size_t n)
{
	memset(text, 0x30, n);
	add_unknown(x509, kind->first, text, n);
}

static void set_serial(X509 *x509, const struct kind *kind, size_t n)
{
	(void)kind;
	memset(text, 0x7f, n);
	if (ASN1_STRING_set(X509_get_serialNumber(x509), text, (int)n) != 1)
		tap_bail("serial number");
}

static void set_date(X509 *x509, const struct kind *kind, size_t n)
{
	static const char *const dates[] = {
		"19500101000000Z", "20491231235959Z", "20500101000000Z", "99991231235959Z",
		"700101000000Z", "491231235959Z", "500101000000Z", "00010101000000Z",
	};

	(void)kind;
	if (ASN1_TIME_set_string(X509_getm_notAfter(x509), dates[n % COUNT(dates)]) != 1)
		tap_bail("date %zu", n % COUNT(dates));
}

static const struct kind kinds[] = {
	{ "attributes in one RDN", 200, 256, add_set, NID_organizationalUnitName, NULL, NULL },
	{ "RDNs", 64, 1024, add_rdns, NID_organizationalUnitName, NULL, NULL },
	{ "bytes of a name", 32, 32768, add_long_name, NID_pkcs9_unstructuredName, NULL, NULL },
	{ "DNS names", 200, 1024, add_extension, NID_subject_alt_name, "", "DNS:h%zu.test" },
	{ "wildcards", 8, 256, add_extension, NID_subject_alt_name, "", "DNS:*.h%zu.test" },
	{ "addresses", 64, 256, add_extension, NID_subject_alt_name, "", "IP:::%zu" },
	{ "mail addresses", 16, 512, add_extension, NID_subject_alt_name, "", "email:a%zu@host.test" },
	{ "URIs", 16, 512, add_extension, NID_subject_alt_name, "", "URI:http://h%zu.test/" },
	{ "registered ids", 16, 256, add_extension, NID_subject_alt_name, "", "RID:1.2.3.%zu" },
	{ "policies", 200, 512, add_extension, NID_certificate_policies, "", "1.2.3.%zu" },
	{ "purposes", 64, 512, add_extension, NID_ext_key_usage, "clientAuth,serverAuth,", "1.2.3.%zu" },
	{ "constraints", 64, 512, add_extension, NID_name_constraints, "",
	  "permitted;DNS:h%zu.test" },
	{ "CRL places", 16, 256, add_extension, NID_crl_distribution_points, "", "URI:http://h%zu.test/" },
	{ "issuer places", 16, 256, add_extension, NID_info_access, "",
	  "caIssuers;URI:http://h%zu.test/" },
	{ "extensions", 130, 512, add_extensions, 0, NULL, NULL },
	{ "bytes of an extension", 16, 32768, add_long_extension, 0, NULL, NULL },
	{ "bytes of bad names", 16, 4096, add_bad_extension, 0, "2.5.29.17", NULL },
	{ "bytes of bad constraints", 16, 4096, add_bad_extension, 0, "2.5.29.30", NULL },
	{ "bytes of a bad key id", 16, 4096, add_bad_extension, 0, "2.5.29.35", NULL },
	{ "bytes of a serial number", 64, 4096, set_serial, 0, NULL, NULL },
	{ "as date", 8, 8, set_date, 0, NULL, NULL },
};

static char *to_pem(X509 *x509)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *pem;
	long len;

	if (!bio || PEM_write_bio_X509(bio, x509) != 1)
		tap_bail("PEM");
	len = BIO_get_mem_data(bio, &data);
	pem = strndup(data, (size_t)len);
	BIO_free(bio);
	return pem;
}

/* Self-signed, with the subject that it has by then. */
static char *finish(X509 *x509)
{
	char *pem;

	if (X509_set_version(x509, 2) != 1 || X509_set_pubkey(x509, key) != 1 ||
	    X509_set_issuer_name(x509, X509_get_subject_name(x509)) != 1 ||
	    !X509_sign(x509, key, EVP_sha256()))
		tap_bail("a certificate cannot be made");
	pem = to_pem(x509);
	X509_free(x509);
	return pem;
}

static X509 *begin(void)
{
	X509 *x509 = X509_new();

	if (!x509 || ASN1_INTEGER_set(X509_get_serialNumber(x509), 1) != 1 ||
	    !ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)(PKI_NOW - PKI_DAY)) ||
	    !ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)(PKI_NOW + PKI_DAY)))
		tap_bail("out of memory");
	return x509;
}

static char *make_odd(const struct kind *kind, size_t n)
{
	X509 *x509 = begin();

	kind->add(x509, kind, n);
	return finish(x509);
}

/* Each up to every, then one less, as many and one more than each power of two. */
static size_t next_size(const struct kind *kind, size_t n)
{
	size_t power = 1;

	if (n < kind->every)
		return n + 1;
	while (power + 1 <= n)
		power *= 2;
	if (n + 1 < power)
		return power - 1;
	return n + 1;
}

static char *make_ca(size_t number)
{
	static const struct kind constraints = {
		.nid = NID_basic_constraints, .first = "", .item = "CA:TRUE,pathlen:%zu",
	};
	X509 *x509 = begin();
	char name[32];

	add_text(x509, NID_commonName, name,
		 (size_t)snprintf(name, sizeof(name), "zoo CA %zu", number), 0);
	add_extension(x509, &constraints, 1);
	return finish(x509);
}

static void make_key(void)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data;
	long len;

	key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	if (!key || !bio || PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1)
		tap_bail("key");
	len = BIO_get_mem_data(bio, &data);
	key_pem = strndup(data, (size_t)len);
	BIO_free(bio);
}

/* With its last byte, by which the reader knows where it ends. */
static void write_text(FILE *file, const char *pem)
{
	if (fwrite(pem, strlen(pem) + 1, 1, file) != 1)
		tap_bail("a certificate cannot be written");
}

static char *read_text(FILE *file)
{
	char *pem = NULL;
	size_t room = 0;

	if (getdelim(&pem, &room, '\0', file) <= 1)
		tap_bail("a certificate cannot be read");
	return pem;
}

static void make_all(FILE *file)
{
	const struct kind *kind;
	size_t n, i;

	no_conf = NCONF_new(NULL);
	for (kind = kinds; kind < kinds + COUNT(kinds); kind++)
		for (n = 1; n <= kind->max; n = next_size(kind, n))
			write_text(file, make_odd(kind, n));
	for (i = 0; i < MAX_CAS; i++)
		write_text(file, make_ca(i));
	if (fclose(file))
		tap_bail("certificates cannot be written");
}

static void read_all(FILE *file)
{
	const struct kind *kind;
	size_t n, i;

	for (kind = kinds; kind < kinds + COUNT(kinds); kind++) {
		for (n = 1; n <= kind->max; n = next_size(kind, n)) {
			if (odd_count == MAX_ODD)
				tap_bail("too many certificates");
			odds[odd_count++] = (struct odd){ kind, n, read_text(file) };
		}
	}
	for (i = 0; i < MAX_CAS; i++)
		cas[i] = read_text(file);
	fclose(file);
}

/* Made by a child, or libc and libcrypto would have seen them all before the filter comes. */
static void make_elsewhere(void)
{
	FILE *file = tmpfile();
	int status;
	pid_t pid;

	if (!file)
		tap_bail("a temporary file");
	pid = fork();
	if (!pid) {
		make_all(file);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		tap_bail("certificates cannot be made");
	rewind(file);
	read_all(file);
}

/* ---- using them ---- */

struct end {
	struct tls_config *config;
	struct tls_conn *conn;
	struct tls_private_key *key;
	int err;
};

static int64_t now(void *arg)
{
	(void)arg;
	return PKI_NOW;
}

/* False: the engine does not take the certificate for its own. */
static bool set_up(struct end *end, enum tls_role role, uint16_t version, const char *chain,
		   const char *private_key, const char *trusted)
{
	const struct tls_hooks hooks = { .now = now };
	struct tls_certificate *cert = NULL;
	bool ok;

	end->config = tls_config_new(role, &hooks);
	ok = end->config && !tls_certificate_new(&cert, chain, strlen(chain), NULL) &&
	     !tls_private_key_new(&end->key, private_key, strlen(private_key), NULL) &&
	     !tls_config_add_certificate(end->config, cert) &&
	     !tls_config_set_versions(end->config, version, version) &&
	     !tls_config_add_ca(end->config, trusted, strlen(trusted)) &&
	     (role == TLS_CLIENT || !tls_config_set_verify(end->config, TLS_VERIFY_REQUEST));
	tls_certificate_free(cert);
	end->conn = ok ? tls_conn_new(end->config) : NULL;
	return end->conn;
}

static void tear_down(struct end *end)
{
	tls_conn_free(end->conn);
	tls_config_unref(end->config);
	tls_private_key_free(end->key);
}

static void answer_key(struct end *end)
{
	const struct tls_key_request *request = tls_conn_key_request(end->conn);
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);

	if (request && !tls_private_key_perform(end->key, request, reply, &len))
		end->err = tls_conn_key_reply(end->conn, reply, len);
	else if (request)
		end->err = tls_conn_key_reply(end->conn, NULL, 0);
}

/* True: something moved. */
static bool move(struct end *from, struct end *to)
{
	const uint8_t *out;
	size_t len, room;

	answer_key(from);
	out = tls_conn_output(from->conn, &len);
	room = to->err ? len : tls_conn_input_space(to->conn);
	if (len > room)
		len = room;
	if (!len)
		return false;
	if (!to->err)
		to->err = tls_conn_input(to->conn, out, len);
	tls_conn_output_done(from->conn, len);
	return true;
}

/* Client and server show their chains, and each trusts what it is told to. */
static bool shake_hands(uint16_t version, const char *client_chain, const char *client_key,
			const char *server_chain, const char *server_key, const char *client_trusts,
			const char *server_trusts)
{
	struct end client = {0}, server = {0};
	bool up = false;

	if (set_up(&client, TLS_CLIENT, version, client_chain, client_key, client_trusts) &&
	    set_up(&server, TLS_SERVER, version, server_chain, server_key, server_trusts) &&
	    !tls_conn_set_server_name(client.conn, "host.test") &&
	    !tls_conn_start(server.conn) && !tls_conn_start(client.conn)) {
		while (move(&client, &server) | move(&server, &client))
			;
		up = tls_conn_established(client.conn) && tls_conn_established(server.conn);
	}
	tear_down(&client);
	tear_down(&server);
	return up;
}

static void show(const struct odd *odd)
{
	static const uint16_t versions[] = { TLS_1_3, TLS_1_2 };
	const char *plain = pki_certificate(leaf), *plain_key = pki_key(leaf);
	uint16_t version = versions[odd->n % 2];

	/* what it dies of is in the log; of what certificate, here */
	printf("# %zu %s\n", odd->n, odd->kind->what);
	fflush(stdout);
	(void)shake_hands(version, odd->pem, key_pem, plain, plain_key, plain, odd->pem);
	(void)shake_hands(version, plain, plain_key, odd->pem, key_pem, odd->pem, plain);
}

static void show_all(void)
{
	size_t i;

	for (i = 0; i < odd_count; i++)
		show(&odds[i]);
	tap_ok(odd_count >= 1000, "%zu odd certificates are shown to both ends", odd_count);
}

/* Server and client in turns trust one more CA, the leaf among them: it is believed. */
static void trust_many(void)
{
	const char *plain = pki_certificate(leaf), *plain_key = pki_key(leaf);
	size_t len = (size_t)snprintf(text, TEXT_MAX, "%s", plain);
	size_t up = 0, n;

	for (n = 1; n <= MAX_CAS; n++) {
		printf("# %zu CAs\n", n);
		fflush(stdout);
		up += shake_hands(n % 4 < 2 ? TLS_1_3 : TLS_1_2, plain, plain_key, plain, plain_key,
				  n % 2 ? text : plain, n % 2 ? plain : text);
		len += (size_t)snprintf(text + len, TEXT_MAX - len, "%s", cas[n - 1]);
	}
	tap_ok(up == MAX_CAS, "CA files of 1 to %d certificates: %zu handshakes", MAX_CAS, up);
}

int main(void)
{
	const struct pki_options options = { 0 };
	size_t i;

	leaf = pki_new(PKI_P256, NULL, &options);
	make_key();
	make_elsewhere();
	sandbox_enter();
	show_all();
	trust_many();
	for (i = 0; i < odd_count; i++)
		free(odds[i].pem);
	for (i = 0; i < MAX_CAS; i++)
		free(cas[i]);
	free(key_pem);
	EVP_PKEY_free(key);
	pki_free(leaf);
	return tap_done();
}
