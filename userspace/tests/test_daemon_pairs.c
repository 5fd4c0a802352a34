// SPDX-License-Identifier: MIT
/*
 * Any two settings beside each other: either they are refused with a line, or a handshake with
 * the gate succeeds.  The other end has everything the engine has, and verifies.  The settings are
 * those of the daemon's own table that a gate has; one without a value to try is a failure.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "common/log.h"
#include "common/mem.h"
#include "crypto/crypto.h"
#include "daemon/gates.h"
#include "daemon/options.h"
#include "daemon/settings.h"
#include "daemon/trial.h"
#include "pair.h"
#include "tap.h"

#define MAX_ARGS	24
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof(*(a)))

static char dir[] = "/tmp/test_daemon_pairs.XXXXXX";
static struct pki *ca, *leaves[5];
static const char *all_suites;
static FILE *lines;			/* what is logged */

static int64_t now(void *arg)
{
	(void)arg;
	return (int64_t)time(NULL);
}

/* ---- files in dir ---- */

static void put_bytes(const char *name, const void *data, size_t len)
{
	char *path = xprintf("%s/%s", dir, name);
	FILE *file = fopen(path, "w");

	if (!file || fwrite(data, 1, len, file) != len || fclose(file))
		tap_bail("cannot write %s", path);
	free(path);
}

static void put(const char *name, const char *text)
{
	put_bytes(name, text, strlen(text));
}

static struct pki *make(enum pki_key type, const char *name, const char *usage)
{
	const struct pki_options options = {
		.names = "DNS:host.test", .key_usage = usage,
		.not_before = now(NULL) - PKI_DAY, .not_after = now(NULL) + 30 * PKI_DAY,
	};
	struct pki *pki = pki_new(type, ca, &options);
	char *file = xprintf("%s.pem", name);

	put(file, pki_certificate(pki));
	free(file);
	file = xprintf("%s.key", name);
	put(file, pki_key(pki));
	free(file);
	return pki;
}

static void make_folder(const struct pki *pki)
{
	char *path = xprintf("%s/certs", dir);

	if (mkdir(path, 0700))
		tap_bail("no folder");
	free(path);
	put("certs/one.crt", pki_certificate(pki));
	put("certs/one.key", pki_key(pki));
}

static void make_files(void)
{
	const struct pki_options options = {
		.common_name = "ca", .names = "", .constraints = "critical,CA:TRUE",
		.not_before = now(NULL) - PKI_DAY, .not_after = now(NULL) + 30 * PKI_DAY,
	};

	const struct pki_crl_options list = {
		.from = now(NULL) - PKI_NOW - PKI_DAY, .until = now(NULL) - PKI_NOW + PKI_DAY,
	};
	static const uint8_t tickets[80] = { 1 };
	struct tls_slice crl;

	if (!mkdtemp(dir))
		tap_bail("no folder");
	ca = pki_new(PKI_P256, NULL, &options);
	put("ca", pki_certificate(ca));
	put("garbage", "garbage");
	crl = pki_crl(ca, &list);
	put_bytes("crl", crl.p, crl.len);
	put_bytes("tickets", tickets, sizeof(tickets));
	OPENSSL_free((void *)crl.p);
	leaves[0] = make(PKI_P256, "ec", NULL);
	leaves[1] = make(PKI_RSA2048, "rsa", NULL);
	leaves[2] = make(PKI_ED25519, "ed", NULL);
	leaves[3] = make(PKI_RSA2048, "decrypts", "keyEncipherment");
	leaves[4] = make(PKI_P521, "p521", NULL);
	make_folder(leaves[0]);
}

static void remove_files(void)
{
	char *command = xprintf("rm -r %s", dir);

	if (system(command))
		tap_bail("%s", command);
	free(command);
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		pki_free(leaves[i]);
	pki_free(ca);
}

/* ---- a handshake with what was taken ---- */

static void give(struct pair_end *end, const struct pki *pki, uint32_t id)
{
	struct tls_certificate *cert;

	if (tls_certificate_new(&cert, pki_certificate(pki), strlen(pki_certificate(pki)), NULL) ||
	    tls_private_key_new(&end->keys[id], pki_key(pki), strlen(pki_key(pki)), NULL) ||
	    tls_config_add_certificate(end->config, cert))
		tap_bail("certificate of the other end");
	tls_certificate_set_key_id(cert, id);
	tls_certificate_free(cert);
}

static void make_other(struct pair_end *end, enum tls_role role)
{
	const struct tls_hooks hooks = { .now = now };

	end->config = tls_config_new(role, &hooks);
	if (!end->config || tls_config_set_suites(end->config, all_suites, NULL) ||
	    tls_config_add_ca(end->config, pki_certificate(ca), strlen(pki_certificate(ca))) ||
	    tls_config_set_alpn(end->config, "h2,http/1.1,postgresql") ||
	    (role == TLS_SERVER && tls_config_set_verify(end->config, TLS_VERIFY_REQUEST)))
		tap_bail("the other end");
	give(end, leaves[0], 0);
	give(end, leaves[1], 1);
	end->conn = tls_conn_new(end->config);
	if (role == TLS_CLIENT && tls_conn_set_server_name(end->conn, "host.test"))
		tap_bail("name");
}

static bool handshake(const struct gate *gate, struct tls_private_key **keys)
{
	bool serve = gate->settings->mode == GATE_SERVE;
	struct pair pair = { .chunk = 0 };
	struct pair_end *ours = serve ? &pair.server : &pair.client;
	struct pair_end *other = serve ? &pair.client : &pair.server;
	bool up;

	make_other(other, serve ? TLS_CLIENT : TLS_SERVER);
	ours->config = tls_config_ref(gate->config);
	ours->conn = tls_conn_new(gate->config);
	if (!serve && tls_conn_set_server_name(ours->conn, gate->pools->members->server_name))
		tap_bail("name");
	for (size_t i = 0; i < gate->files.count; i++)
		ours->keys[i] = keys[i];
	pair_handshake(&pair);
	up = pair_up(&pair);
	memset(ours->keys, 0, sizeof(ours->keys));
	pair_free(&pair);
	return up;
}

/* ---- two settings ---- */

static struct tls_private_key *read_key(const char *path)
{
	struct tls_private_key *key = NULL;
	size_t len;
	char *pem = file_read(path, 1 << 16, &len);

	if (pem && tls_private_key_new(&key, pem, len, NULL))
		key = NULL;
	free(pem);
	return key;
}

/* As keyd does it, which has its own test.  False: refused. */
static bool read_keys(const struct gate *gate, struct tls_private_key **keys)
{
	bool ok = true;

	for (size_t i = 0; i < gate->files.count; i++) {
		keys[i] = read_key(gate->files.items[i].key);
		if (keys[i] && !tls_private_key_find(keys[i], gate->certs[i]))
			continue;
		log_error("not the pair");
		ok = false;
	}
	return ok;
}

enum result { REFUSED, WORKS, BROKEN };

static enum result build_and_try(const struct settings *settings)
{
	struct tls_private_key *keys[PAIR_MAX_CERTS] = { NULL };
	struct gate gate;
	enum result result = REFUSED;

	memset(&gate, 0, sizeof(gate));
	if (!gates_build(&gate, settings, -1) && read_keys(&gate, keys) &&
	    !trial_gates(&gate, 1, keys))
		result = handshake(&gate, keys) ? WORKS : BROKEN;
	gate_clear(&gate);
	for (size_t i = 0; i < PAIR_MAX_CERTS; i++)
		tls_private_key_free(keys[i]);
	return result;
}

static enum result try_line(const char *line)
{
	char *argv[MAX_ARGS + 1] = { (char *)"tlsgated" };
	enum result result = REFUSED;
	char *copy = xstrdup(line), *word, *save = NULL;
	struct options options;
	int argc = 1;

	for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
		argv[argc++] = word;
	optind = 0;
	if (options_parse(argc, argv, &options) == OPTIONS_RUN)
		result = build_and_try(options.settings);
	settings_free(options.settings);
	free(copy);
	return result;
}

static bool was_logged(void)
{
	struct stat st;

	return !fstat(fileno(lines), &st) && st.st_size;
}

/* What went wrong, or NULL; *works counts those that do. */
static const char *check_pair(const char *base, const char *a, const char *b, int *works)
{
	char *line = xprintf("%s %s %s", base, a, b);
	const char *wrong = NULL;
	enum result result;

	if (ftruncate(fileno(lines), 0))
		tap_bail("no log");
	result = try_line(line);
	free(line);
	if (result == BROKEN)
		wrong = "taken, and no handshake succeeds";
	else if (result == REFUSED && !was_logged())
		wrong = "refused without a line";
	*works += result == WORKS;
	return wrong;
}

/* ---- all settings ---- */

#define MAX_TRIED	96

static char *tried[MAX_TRIED];		/* as on the command line */
static size_t tried_count;

static void add_tried(char *text)
{
	if (tried_count == MAX_TRIED)
		tap_bail("MAX_TRIED is too small");
	tried[tried_count++] = text;
}

/* Values of settings whose table does not tell them; where the name is given again, both count. */
static const struct {
	const char *name;
	const char *value;
} values[] = {
	{ "ciphersuites", "TLS_AES_128_GCM_SHA256" },
	{ "ciphersuites", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" },
	{ "ciphersuites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" },
	{ "ciphersuites", "TLS_RSA_WITH_AES_128_GCM_SHA256" },
	{ "ciphersuites", "TLS_RSA_WITH_AES_128_GCM_SHA256:TLS_AES_128_GCM_SHA256" },
	{ "alpn", "h2" },
	{ "max-message", "2048" },
	{ "keepalive-probes", "3" }, { "backlog", "10" }, { "mark", "1" }, { "bind-device", "lo" },
	{ "max-connections", "100" }, { "max-per-address", "100" }, { "handshake-rate", "100" },
	{ "cert", "rsa.pem --key rsa.key" }, { "cert", "ed.pem --key ed.key" },
	{ "cert", "decrypts.pem --key decrypts.key" }, { "cert", "p521.pem --key p521.key" },
	{ "cert", "rsa.pem --key ec.key" }, { "cert", "rsa.pem" },
	{ "key", "rsa.key" },
	{ "client-ca", "ca" }, { "client-ca", "garbage" },
	{ "ocsp", "garbage" },
	{ "cert-dir", "." }, { "cert-dir", "certs" },
	{ "ticket-keys", "tickets" }, { "ticket-keys", "garbage" },
	{ "crl", "garbage" }, { "crl", "crl" },
	{ "accept-proxy", "127.0.0.0/8" },
	{ "allow-client", "CN=host.test" }, { "allow-client", "garbage" },
	{ "ca", "ca" }, { "ca", "garbage" },
	{ "server-name", "host.test" },
};

static bool add_listed(const struct setting *row)
{
	size_t before = tried_count;

	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		if (!strcmp(values[i].name, row->name))
			add_tried(xprintf("--%s %s", row->name, values[i].value));
	}
	return tried_count != before;
}

/* A switch, one of a few words, or a time. */
static bool add_by_table(const struct setting *row)
{
	char *copy, *word, *save = NULL;

	if (!row->argument) {
		add_tried(xprintf("--%s", row->name));
		return true;
	}
	if (!strcmp(row->argument, "TIME")) {
		add_tried(xprintf("--%s 1s", row->name));
		return true;
	}
	if (!strchr(row->argument, '|'))
		return false;
	copy = xstrdup(row->argument);
	for (word = strtok_r(copy, "|", &save); word; word = strtok_r(NULL, "|", &save))
		add_tried(xprintf("--%s=%s", row->name, word));
	free(copy);
	return true;
}

/* Each that there is with this libcrypto, and one that may be missing. */
static bool add_groups(const struct setting *row)
{
	const struct tls_group *const *groups;
	size_t count;

	if (strcmp(row->name, "groups"))
		return false;
	groups = tls_groups(&count);
	for (size_t i = 0; i < count; i++)
		add_tried(xprintf("--groups %s", tls_group_name(groups[i]->id)));
	if (!tls_group_find(TLS_GROUP_X25519MLKEM768))
		add_tried(xstrdup("--groups X25519MLKEM768"));
	return true;
}

static void add_settings(void)
{
	int forgotten = 0;

	add_tried(xstrdup(""));
	for (const struct setting *row = settings_table(); row->name; row++) {
		if (!(row->scope & SETTING_GATE) || row->scope & SETTING_FILE ||
		    add_listed(row) || add_groups(row) || add_by_table(row))
			continue;
		forgotten++;
		printf("# --%s %s: no value to try; add one to values[]\n", row->name, row->argument);
	}
	tap_ok(!forgotten, "every setting of a gate is tried, by %zu values", tried_count);
}

static void every_pair(const char *what, const char *base)
{
	int works = 0, wrong = 0, pairs = 0;
	const char *why;

	for (size_t i = 0; i < tried_count; i++) {
		for (size_t j = i; j < tried_count; j++) {
			why = check_pair(base, tried[i], tried[j], &works);
			pairs++;
			if (!why)
				continue;
			wrong++;
			printf("# %s %s %s: %s\n", base, tried[i], tried[j], why);
		}
	}
	tap_ok(!wrong && works, "%s: of %d pairs %d work, and the others are refused with a line", what,
	       pairs, works);
}

int main(void)
{
	char suites[2048] = "";

	for (const struct tls_suite_info *info = tls_suites(); info->suite; info++)
		snprintf(suites + strlen(suites), sizeof(suites) - strlen(suites), "%s%s",
			 *suites ? ":" : "", info->name);
	all_suites = suites;
	umask(077);		/* for the ticket keys */
	make_files();
	lines = tmpfile();
	if (!lines || chdir(dir) || dup2(fileno(lines), STDERR_FILENO) < 0)
		tap_bail("no log");
	add_settings();
	every_pair("serve", "serve 127.0.0.1:2 127.0.0.1:1 --cert ec.pem --key ec.key");
	every_pair("connect", "connect 127.0.0.1:2 127.0.0.1:1 --server-name host.test --ca ca");
	remove_files();
	while (tried_count)
		free(tried[--tried_count]);
	return tap_done();
}
