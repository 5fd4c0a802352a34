// SPDX-License-Identifier: MIT
#include "daemon/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/pem.h"
#include "daemon/crl.h"
#include "daemon/delivery.h"
#include "daemon/dry_listen.h"
#include "daemon/together.h"

#define MAX_CERT_FILE	(1u << 20)
#define MAX_CA_FILE	(16u << 20)
#define WARN_SECONDS	(14 * 24 * 3600)	/* before a certificate ends */
#define TFO_SERVER	2		/* of net.ipv4.tcp_fastopen */
#define KEYLOG_LINE_MAX	512

static int64_t now(void *arg)
{
	(void)arg;
	return (int64_t)time(NULL);
}

/* Once, until it is written again; a full disk must not end connections. */
static void note_keylog(bool written)
{
	static bool lost;

	if (!written && !lost)
		log_error("keylog: lines are lost: %s: make room, or drop keylog", strerror(errno));
	lost = !written;
}

/* O_APPEND and a single write(): lines of several workers never mix. */
static void append_keylog(void *arg, const char *line)
{
	char text[KEYLOG_LINE_MAX];
	int len = snprintf(text, sizeof(text), "%s\n", line);

	if (len > 0 && (size_t)len < sizeof(text))
		note_keylog(write((int)(intptr_t)arg, text, (size_t)len) == len);
	explicit_bzero(text, sizeof(text));
}

static int refuse(const struct gate *gate, const char *setting, const char *value, const char *why)
{
	return gate_refuse(gate->settings, setting, value, why);
}

/* NULL: it was refused. */
static char *read_pem(const struct gate *gate, const char *setting, const char *path, size_t max,
		      size_t *len)
{
	char *pem = file_read(path, max, len);

	if (!pem)
		(void)refuse(gate, setting, path, file_strerror(errno));
	return pem;
}

const char *gate_date(int64_t when, char text[GATE_DATE_MAX])
{
	time_t seconds = (time_t)when;
	struct tm tm;

	if (!gmtime_r(&seconds, &tm) || !strftime(text, GATE_DATE_MAX, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(text, GATE_DATE_MAX, "an impossible date");
	return text;
}

/* "certificate 1 in it has ended on DATE: renew it and reload"; false: nothing is to be said. */
static bool describe_dates(int64_t from, int64_t until, size_t number, char why[SETTINGS_WHY_MAX])
{
	const char *verb = "has ended on", *advice = "renew it and reload";
	int64_t today = now(NULL);
	char text[GATE_DATE_MAX];

	if (from > today) {
		verb = "is not valid before";
		advice = "see this machine's clock";
	} else if (until > today) {
		verb = "ends on";
	}
	snprintf(why, SETTINGS_WHY_MAX, "certificate %zu in it %s %s: %s", number, verb,
		 gate_date(from > today ? from : until, text), advice);
	return from > today || until - today < WARN_SECONDS;
}

/* No refusal: clients that do not look, or whose clock is wrong, go on as before. */
static void warn_of_dates(const struct gate *gate, const struct cert_file *file,
			  const struct tls_certificate *cert)
{
	char why[SETTINGS_WHY_MAX];
	int64_t from, until;
	size_t i;

	for (i = 0; !tls_certificate_validity(cert, i, &from, &until); i++)
		if (describe_dates(from, until, i + 1, why))
			gate_warn(gate->settings, file->cert_setting, file->cert, why);
}

static int add_cert(struct gate *gate, size_t index, uint32_t key_id)
{
	const struct cert_file *file = &gate->files.items[index];
	const char *setting = file->cert_setting, *path = file->cert;
	const char *why = "it is no certificate that tlsgate can use";
	const char *advice;
	size_t len;
	char *pem;
	int ret;

	pem = read_pem(gate, setting, path, MAX_CERT_FILE, &len);
	if (!pem)
		return -1;
	ret = tls_certificate_new(&gate->certs[index], pem, len, &why);
	advice = ret ? pem_advice(pem, len) : NULL;
	if (ret && !advice)
		advice = cert_file_advice(file, pem, len);
	file_wipe(pem, len);	/* a whole file has its key in it */
	if (ret)
		return refuse(gate, setting, path, advice ? advice : why);
	warn_of_dates(gate, file, gate->certs[index]);
	tls_certificate_set_key_id(gate->certs[index], key_id);
	if (tls_config_add_certificate(gate->config, gate->certs[index]))
		return refuse(gate, setting, path, "out of memory");
	return 0;
}

static int add_certs(struct gate *gate, uint32_t *next_key_id)
{
	int ret = cert_files_find(&gate->files, gate->settings);
	size_t count = gate->files.count;
	size_t i;

	gate->first_key_id = *next_key_id;
	gate->certs = xcalloc(count, sizeof(*gate->certs));
	for (i = 0; i < count; i++)
		ret |= add_cert(gate, i, (*next_key_id)++);
	return ret;
}

/* 0: done; 1: it is about another certificate; -1: *why says what is wrong. */
static int staple_to(struct gate *gate, size_t index, const char *path, const void *response,
		     size_t len, const char **why)
{
	int64_t until;

	if (tls_certificate_check_ocsp(gate->certs[index], response, len, &until, why))
		return until < 0 ? 1 : -1;
	if (until <= now(NULL)) {
		gate_warn(gate->settings, "ocsp", path,
			  "it is out of date and is not stapled: get a new one and reload");
		return 0;
	}
	*why = "out of memory";
	if (tls_certificate_set_ocsp(gate->certs[index], response, len))
		return -1;
	gate->staple_until[index] = until;
	return 0;
}

static int add_staple(struct gate *gate, const char *path)
{
	const char *why = "";
	char *response;
	int ret = 1;
	size_t len, i;

	response = file_read(path, MAX_CERT_FILE, &len);
	if (!response)
		return refuse(gate, "ocsp", path, file_strerror(errno));
	for (i = 0; ret == 1 && i < gate->files.count; i++)
		ret = staple_to(gate, i, path, response, len, &why);
	free(response);
	return ret ? refuse(gate, "ocsp", path, why) : 0;
}

static int add_staples(struct gate *gate)
{
	int ret = 0;
	size_t i;

	gate->staple_until = xcalloc(gate->files.count, sizeof(*gate->staple_until));
	for (i = 0; i < gate->settings->ocsp.count; i++)
		ret |= add_staple(gate, gate->settings->ocsp.items[i]);
	return ret;
}

/* A response that has ended is worse than none. */
static void drop_old_staples(struct gate *gate)
{
	size_t i;

	for (i = 0; i < gate->files.count; i++) {
		if (!gate->staple_until[i] || gate->staple_until[i] > now(NULL))
			continue;
		(void)tls_certificate_set_ocsp(gate->certs[i], NULL, 0);	/* cannot fail */
		gate->staple_until[i] = 0;
		log_warn("%s: the OCSP response for certificate '%s' has ended and is no longer stapled: get a new one and reload",
			 gate->settings->name, gate->files.items[i].cert);
	}
}

static int add_ca(struct gate *gate, const char *setting, const char *path)
{
	const char *advice;
	size_t len;
	char *pem;
	int ret;

	pem = read_pem(gate, setting, path, MAX_CA_FILE, &len);
	if (!pem)
		return -1;
	ret = tls_config_add_ca(gate->config, pem, len);
	binding_add(&gate->binding, setting, pem, len);
	advice = ret ? pem_advice(pem, len) : NULL;
	free(pem);
	if (ret)
		return refuse(gate, setting, path, advice ? advice : "it holds no PEM certificate");
	return 0;
}

static int add_allowed(struct gate *gate)
{
	const struct text_list *list = &gate->settings->allow_client;
	const char *why;
	int ret = 0;
	size_t i;

	for (i = 0; i < list->count; i++)
		if (tls_config_allow_client(gate->config, list->items[i], &why))
			ret = refuse(gate, "allow-client", list->items[i], why);
	return ret;
}

static int set_trust(struct gate *gate)
{
	const struct gate_settings *set = gate->settings;

	if ((set->unknown_name == UNKNOWN_NAME_REFUSE || gate_only_passes(set)) && tls_config_refuse_unknown_name(gate->config))
		return refuse(gate, "unknown-name", NULL, "the engine is no server");
	if (set->request_ocsp && tls_config_request_ocsp(gate->config))
		return refuse(gate, "request-ocsp", NULL, "the engine does not ask");
	if (set->legacy_server && tls_config_allow_legacy_server(gate->config))
		return refuse(gate, "legacy-server", NULL, "the engine is no client");
	if (set->mode == GATE_CONNECT && set->ca)
		return add_ca(gate, "ca", set->ca);
	if (set->mode == GATE_CONNECT) {
		if (!tls_config_use_system_ca(gate->config))
			return 0;
		return refuse(gate, NULL, NULL,
			      "the system's CAs cannot be read: install ca-certificates or give ca");
	}
	if (!set->client_ca)
		return 0;
	if (tls_config_set_verify(gate->config, set->verify_client == VERIFY_CLIENT_REQUEST ?
				  TLS_VERIFY_REQUEST : TLS_VERIFY_REQUIRE))
		return refuse(gate, "client-ca", set->client_ca,
			      "the engine cannot ask for certificates");
	if (add_ca(gate, "client-ca", set->client_ca) || add_allowed(gate))
		return -1;
	if (!tls_config_has_ca(gate->config))
		gate_warn(set, "client-ca", set->client_ca,
			  "it has no CA's certificate: only who shows one of its own passes: give that of the CA which signs your clients'");
	if (!tls_config_shows_ca(gate->config))
		gate_warn(set, "client-ca", set->client_ca,
			  "its names are more than TLS can carry: clients are not told which CAs are trusted");
	return 0;
}

typedef int set_names(struct tls_config *config, const char *list, const char **bad);

static int set_list(const struct gate_settings *settings, struct tls_config *config,
		    const char *setting, const char *list, set_names *set, const char *unknown)
{
	const char *bad = NULL;
	char name[SETTINGS_WHY_MAX / 2], why[SETTINGS_WHY_MAX];

	if (!list || !set(config, list, &bad))
		return 0;
	if (!bad)
		return gate_refuse(settings, setting, list,
				   "it is not a list of IANA names with ':' between");
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(bad, ":"), bad);
	/* alone it is taken: config is not used any more */
	snprintf(why, sizeof(why), "'%s' %s", name, set(config, name, NULL) ?
		 unknown : "is in it twice");
	return gate_refuse(settings, setting, list, why);
}

static int check_offer(const struct gate_settings *set, const struct tls_config *config)
{
	if (!tls_config_leaves_suite(config))
		return gate_refuse(set, "ciphersuites", set->suites,
				   "none is of a version from min-version to max-version; see tlsgate ciphers");
	if (!tls_config_leaves_group(config))
		return gate_refuse(set, "groups", set->groups,
				   "none is of TLS 1.2, and there is no suite of another version");
	return 0;
}

/* The choices that setting_table.c has for it. */
static const char *pq_text(int pq)
{
	return pq == TLS_PQ_ACCEPT ? "accept" : pq == TLS_PQ_PREFER ? "prefer" : "require";
}

static int set_pq(const struct gate_settings *set, struct tls_config *config)
{
	const char *why;

	if (!tls_config_set_pq(config, (enum tls_pq)set->pq, &why))
		return 0;
	return gate_refuse(set, "pq", pq_text(set->pq), why);
}

/* NULL: none. */
static const char *alpn_of(const struct gate_settings *set)
{
	return !set->alpn && set->starttls == STARTTLS_POSTGRESQL ? STARTTLS_ALPN : set->alpn;
}

int gate_set_protocol(const struct gate_settings *set, struct tls_config *config)
{
	const char *alpn = alpn_of(set);
	int ret = 0;

	if (tls_config_set_versions(config, set->min_version ? set->min_version : TLS_1_2,
				    set->max_version ? set->max_version : TLS_1_3))
		ret = gate_refuse(set, "min-version", NULL, "it leaves no version up to max-version: lower it, or raise max-version");
	if (set->max_message && tls_config_set_max_message(config, set->max_message))
		ret = gate_refuse(set, "max-message", NULL, "the engine does not take it");
	ret |= set_list(set, config, "ciphersuites", set->suites, tls_config_set_suites,
			"is not known: give IANA names, as tlsgate ciphers lists them");
	ret |= set_list(set, config, "groups", set->groups, tls_config_set_groups,
			"is not known; see groups in tlsgated.conf(5)");
	if (!ret)
		ret = check_offer(set, config);
	if (!ret)
		ret = set_pq(set, config);
	if (alpn && tls_config_set_alpn(config, alpn))
		ret = gate_refuse(set, "alpn", set->alpn,
				  "it is not a list of names with ',' between");
	return ret;
}

static void set_listens(struct gate *gate)
{
	const struct text_list *list = &gate->settings->listen;
	const char *why;
	size_t i;

	gate->listens = xcalloc(list->count, sizeof(*gate->listens));
	/* cannot fail: settings hold only what was parsed once */
	for (i = 0; i < list->count; i++)
		(void)together_listen(gate->settings, list->items[i], &gate->listens[i], &why);
}

static void set_proxies(struct gate *gate)
{
	const struct text_list *list = &gate->settings->accept_proxy;
	const char *why;

	gate->proxies = xcalloc(list->count, sizeof(*gate->proxies));
	/* cannot fail: settings hold only what was parsed once */
	for (; gate->proxy_count < list->count; gate->proxy_count++)
		(void)cidr_parse(list->items[gate->proxy_count], &gate->proxies[gate->proxy_count], &why);
}

static int set_pools(struct gate *gate)
{
	const struct gate_settings *set = gate->settings;
	int ret = 0;
	size_t i;

	gate->pools = xcalloc(1 + set->block_count, sizeof(*gate->pools));
	for (i = 0; i < 1 + set->block_count; i++) {
		gate->pool_count++;
		ret |= pool_build(&gate->pools[i], i ? &set->blocks[i - 1] : set);
		pool_set_balance(&gate->pools[i], set);
		gate->passes |= gate->pools[i].settings->mode == GATE_PASS;
	}
	gate->counted |= !gate_only_member(gate);
	return ret;
}

/* Its clients would see another name's certificate. */
static int check_routes(const struct gate *gate)
{
	const struct gate_settings *set = gate->settings, *block;
	int ret = 0;

	for (block = set->blocks; block < set->blocks + set->block_count; block++)
		if (block->mode == GATE_ROUTE && strcmp(block->name, "*") &&
		    !tls_config_has_name(gate->config, block->name))
			ret = gate_refuse(block, NULL, NULL,
					  "no certificate of the gate is for this name: add it to cert and key");
	return ret;
}

struct member *gate_only_member(const struct gate *gate)
{
	return gate->pool_count == 1 && gate->pools->count == 1 ? gate->pools->members : NULL;
}

static bool is_ascii(const char *text)
{
	while (*text && !(*text & 0x80))
		text++;
	return !*text;
}

/* A name that the engine refuses would fail every connection: find out now. */
static int check_server_name(const struct gate *gate, const struct member *member)
{
	const char *given = gate->settings->server_name;
	struct tls_conn *conn;
	int ret;

	conn = tls_conn_new(gate->config);
	ret = conn ? tls_conn_set_server_name(conn, member->server_name) : TLS_ERR_NO_MEMORY;
	tls_conn_free(conn);
	if (!ret)
		return 0;
	return refuse(gate, given ? "server-name" : "backend", given ? given : member->text,
		      is_ascii(member->server_name) ?
		      "it is no DNS name and no address: give server-name" :
		      "TLS has this name in its form of ASCII only: give server-name = xn--..., as idn2 prints it");
}

static int check_server_names(const struct gate *gate)
{
	const struct pool *pool = gate->pools;
	int ret = 0;
	size_t i;

	if (gate->settings->mode != GATE_CONNECT)
		return 0;
	for (i = 0; i < pool->count && !ret; i++)
		ret = check_server_name(gate, &pool->members[i]);
	return ret;
}

static void use_tickets(struct gate *gate)
{
	const struct tls_ticket_key *keys;
	size_t count;

	keys = tickets_keys(gate->tickets, &count);
	/* cannot fail: a server's configuration, and no more keys than it takes */
	(void)tls_config_set_ticket_keys(gate->config, keys, count);
}

static int set_tickets(struct gate *gate)
{
	if (gate->settings->mode != GATE_SERVE)
		return 0;
	gate->tickets = tickets_new(gate->settings, &gate->binding);
	if (!gate->tickets)
		return -1;
	use_tickets(gate);
	return 0;
}

static void rotate_tickets(struct gate *gate)
{
	if (gate->tickets && tickets_refresh(gate->tickets))
		use_tickets(gate);
}

void gate_read_tickets(struct gate *gate)
{
	size_t count;
	int ret;

	if (!gate->settings->ticket_keys.count)
		return;
	ret = tickets_read(gate->tickets);
	rotate_tickets(gate);
	if (ret < 0)
		log_error("%s: the session ticket keys of before stay", gate->settings->name);
	(void)tickets_keys(gate->tickets, &count);
	if (ret > 0)
		log_info("%s: session ticket keys have changed: there are %zu", gate->settings->name,
			 count);
}

void gate_forget(struct gate *gate)
{
	tickets_forget(gate->tickets);
	tls_config_unref(gate->config);
	gate->config = NULL;
}

void gate_refresh(struct gate *gate)
{
	rotate_tickets(gate);
	drop_old_staples(gate);
	crl_refresh(gate, now(NULL));
}

/* By the letters of host names, whatever somebody has called this machine. */
static void set_host(struct gate *gate)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";

	if (gethostname(gate->host, sizeof(gate->host) - 1) || !gate->host[0] ||
	    gate->host[strspn(gate->host, letters)])
		snprintf(gate->host, sizeof(gate->host), "localhost");
}

int gate_build(struct gate *gate, const struct gate_settings *settings, int keylog_fd,
	       uint32_t *next_key_id)
{
	const struct tls_hooks hooks = {
		.now = now,
		.keylog = keylog_fd == -1 ? NULL : append_keylog,
		.arg = (void *)(intptr_t)keylog_fd,
	};
	int ret;

	memset(gate, 0, sizeof(*gate));
	gate->settings = settings;
	binding_init(&gate->binding, settings);
	set_listens(gate);
	set_host(gate);
	set_proxies(gate);
	gate->config = tls_config_new(settings->mode == GATE_SERVE ? TLS_SERVER : TLS_CLIENT,
				      &hooks);
	if (!gate->config) {
		log_error("%s: no engine configuration: out of memory", settings->name);
		return -1;
	}
	/* each says what is wrong with it, so that all is known at once */
	ret = add_certs(gate, next_key_id) || add_staples(gate) || check_routes(gate) ? -1 : 0;
	ret |= gate_set_protocol(settings, gate->config);
	ret |= set_trust(gate);
	ret |= crl_load(gate, now(NULL));
	ret |= set_tickets(gate);
	ret |= set_pools(gate) || check_server_names(gate) ? -1 : 0;
	gate->sound = !ret;
	return ret;
}

/* -1: the system does not say. */
static long read_sysctl(const char *path)
{
	FILE *file = fopen(path, "re");
	long number = -1;

	if (file && fscanf(file, "%ld", &number) != 1)
		number = -1;
	if (file)
		fclose(file);
	return number;
}

/* Settings of which the system makes less, without an error. */
static void warn_of_sysctls(const struct gate_settings *set)
{
	const long fast_open = set->fast_open ? read_sysctl("/proc/sys/net/ipv4/tcp_fastopen") : -1;
	const long somaxconn = set->backlog ? read_sysctl("/proc/sys/net/core/somaxconn") : -1;

	if (fast_open >= 0 && !(fast_open & TFO_SERVER))
		gate_warn(set, "fast-open", NULL,
			  "nothing comes of it: sysctl -w net.ipv4.tcp_fastopen=3 has servers take it");
	if (somaxconn >= 0 && set->backlog > somaxconn)
		gate_warn(set, "backlog", NULL,
			  "net.core.somaxconn is less, and counts: raise that");
}

int gate_bind(struct gate *gate, struct listeners *all, size_t workers)
{
	const struct gate_settings *set = gate->settings;
	int ret = 0;
	size_t i;

	gate->listeners = xcalloc(set->listen.count, sizeof(struct listener *));
	if (listener_try_options(set))
		return -1;
	warn_of_sysctls(set);
	/* each says what is wrong with it, so that all is known at once */
	for (i = 0; i < set->listen.count; i++) {
		gate->listeners[i] = listener_get(all, &gate->listens[i], set->listen.items[i], workers, set);
		if (!gate->listeners[i])
			ret = -1;
	}
	return ret;
}

int gate_try_bind(const struct gate *gate)
{
	const struct gate_settings *set = gate->settings;
	int ret = 0;
	size_t i;

	warn_of_sysctls(set);
	for (i = 0; i < set->listen.count; i++)
		ret |= dry_listen(&gate->listens[i], set->listen.items[i], set);
	return ret;
}

void gate_unbind(struct gate *gate, struct listeners *all)
{
	size_t i;

	for (i = 0; gate->listeners && i < gate->settings->listen.count; i++)
		if (gate->listeners[i])
			listener_put(all, gate->listeners[i]);
	free(gate->listeners);
	gate->listeners = NULL;
}

void gate_clear(struct gate *gate)
{
	size_t i;

	for (i = 0; gate->certs && i < gate->files.count; i++)
		tls_certificate_free(gate->certs[i]);
	free(gate->certs);
	cert_files_free(&gate->files);
	free(gate->staple_until);
	free(gate->listens);
	free(gate->proxies);
	for (i = 0; i < gate->pool_count; i++)
		pool_clear(&gate->pools[i]);
	free(gate->pools);
	delivery_close(gate);
	free(gate->crl_until);
	tls_config_unref(gate->config);
	tickets_free(gate->tickets);
}
