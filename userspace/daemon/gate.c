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

#define MAX_CERT_FILE	(1u << 20)
#define MAX_CA_FILE	(16u << 20)
#define KEYLOG_LINE_MAX	512

static int64_t now(void *arg)
{
	(void)arg;
	return (int64_t)time(NULL);
}

/* O_APPEND and a single write(): lines of several workers never mix. */
static void append_keylog(void *arg, const char *line)
{
	char text[KEYLOG_LINE_MAX];
	int len = snprintf(text, sizeof(text), "%s\n", line);
	ssize_t ret;

	if (len > 0 && (size_t)len < sizeof(text)) {
		ret = write((int)(intptr_t)arg, text, (size_t)len);
		(void)ret;	/* a full disk must not end connections */
	}
	explicit_bzero(text, sizeof(text));
}

static int refuse(const struct gate *gate, const char *what, const char *value, const char *why)
{
	log_error("%s: %s '%s' refused: %s", gate->settings->name, what, value, why);
	return -1;
}

static int add_cert(struct gate *gate, size_t index, uint32_t key_id)
{
	const char *path = gate->settings->certs.items[index];
	const char *why = "it is no certificate that tlsgate can use";
	char *pem;
	size_t len;
	int ret;

	pem = file_read(path, MAX_CERT_FILE, &len);
	if (!pem)
		return refuse(gate, "certificate", path, strerror(errno));
	ret = tls_certificate_new(&gate->certs[index], pem, len, &why);
	free(pem);
	if (ret)
		return refuse(gate, "certificate", path, why);
	tls_certificate_set_key_id(gate->certs[index], key_id);
	if (tls_config_add_certificate(gate->config, gate->certs[index]))
		return refuse(gate, "certificate", path, "out of memory");
	return 0;
}

static int add_certs(struct gate *gate, uint32_t *next_key_id)
{
	size_t count = gate->settings->certs.count;
	size_t i;

	gate->first_key_id = *next_key_id;
	gate->certs = xcalloc(count, sizeof(*gate->certs));
	for (i = 0; i < count; i++)
		if (add_cert(gate, i, (*next_key_id)++))
			return -1;
	return 0;
}

/* 0: done; 1: it is about another certificate; -1: *why says what is wrong. */
static int staple_to(struct gate *gate, size_t index, const char *path, const void *response,
		     size_t len, const char **why)
{
	int64_t until;

	if (tls_certificate_check_ocsp(gate->certs[index], response, len, &until, why))
		return until < 0 ? 1 : -1;
	if (until <= now(NULL)) {
		log_warn("%s: ocsp '%s' is out of date and is not stapled: get a new one and reload",
			 gate->settings->name, path);
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
		return refuse(gate, "ocsp", path, strerror(errno));
	for (i = 0; ret == 1 && i < gate->settings->certs.count; i++)
		ret = staple_to(gate, i, path, response, len, &why);
	free(response);
	return ret ? refuse(gate, "ocsp", path, why) : 0;
}

static int add_staples(struct gate *gate)
{
	size_t i;

	gate->staple_until = xcalloc(gate->settings->certs.count, sizeof(*gate->staple_until));
	for (i = 0; i < gate->settings->ocsp.count; i++)
		if (add_staple(gate, gate->settings->ocsp.items[i]))
			return -1;
	return 0;
}

/* A response that has ended is worse than none. */
static void drop_old_staples(struct gate *gate)
{
	size_t i;

	for (i = 0; i < gate->settings->certs.count; i++) {
		if (!gate->staple_until[i] || gate->staple_until[i] > now(NULL))
			continue;
		(void)tls_certificate_set_ocsp(gate->certs[i], NULL, 0);	/* cannot fail */
		gate->staple_until[i] = 0;
		log_warn("%s: the OCSP response for certificate '%s' has ended and is no longer stapled: get a new one and reload",
			 gate->settings->name, gate->settings->certs.items[i]);
	}
}

static int add_ca(struct gate *gate, const char *path)
{
	char *pem;
	size_t len;
	int ret;

	pem = file_read(path, MAX_CA_FILE, &len);
	if (!pem)
		return refuse(gate, "CA", path, strerror(errno));
	ret = tls_config_add_ca(gate->config, pem, len);
	free(pem);
	return ret ? refuse(gate, "CA", path, "it holds no PEM certificate") : 0;
}

static int set_trust(struct gate *gate)
{
	const struct gate_settings *set = gate->settings;

	if (set->request_ocsp && tls_config_request_ocsp(gate->config)) {
		log_error("%s: request-ocsp refused: the engine does not ask", set->name);
		return -1;
	}
	if (set->legacy_server && tls_config_allow_legacy_server(gate->config))
		return refuse(gate, "legacy-server", "yes", "the engine is no client");
	if (set->mode == GATE_CONNECT && set->ca)
		return add_ca(gate, set->ca);
	if (set->mode == GATE_CONNECT) {
		if (!tls_config_use_system_ca(gate->config))
			return 0;
		return refuse(gate, "CA", "system",
			      "the system's store cannot be read: install ca-certificates or give --ca");
	}
	if (!set->client_ca)
		return 0;
	if (tls_config_set_verify(gate->config, set->verify_client == VERIFY_CLIENT_REQUEST ?
				  TLS_VERIFY_REQUEST : TLS_VERIFY_REQUIRE))
		return refuse(gate, "client CA", set->client_ca, "the engine cannot ask for certificates");
	return add_ca(gate, set->client_ca);
}

static int set_list(struct gate *gate, const char *what, const char *list,
		    int (*set)(struct tls_config *config, const char *list, const char **bad))
{
	const char *bad = NULL;
	char why[SETTINGS_WHY_MAX];

	if (!list || !set(gate->config, list, &bad))
		return 0;
	if (!bad)
		return refuse(gate, what, list, "it is not a list of IANA names with ':' between");
	snprintf(why, sizeof(why), "'%.*s' is not known; see tlsgate ciphers", (int)strcspn(bad, ":"), bad);
	return refuse(gate, what, list, why);
}

static int set_protocol(struct gate *gate)
{
	const struct gate_settings *set = gate->settings;

	if (tls_config_set_versions(gate->config, set->min_version ? set->min_version : TLS_1_2,
				    set->max_version ? set->max_version : TLS_1_3)) {
		log_error("%s: min-version and max-version leave no version", set->name);
		return -1;
	}
	if (set->max_message && tls_config_set_max_message(gate->config, set->max_message)) {
		log_error("%s: max-message refused: the engine does not take it", set->name);
		return -1;
	}
	if (set_list(gate, "ciphersuites", set->suites, tls_config_set_suites) ||
	    set_list(gate, "groups", set->groups, tls_config_set_groups))
		return -1;
	if (set->alpn && tls_config_set_alpn(gate->config, set->alpn))
		return refuse(gate, "alpn", set->alpn, "it is not a list of names with ',' between");
	return 0;
}

static int set_backend(struct gate *gate)
{
	const struct gate_settings *set = gate->settings;
	const char *why = "";
	const char *port;
	int count;

	count = addr_resolve(set->backend, gate->backends, &why);
	if (count < 1)
		return refuse(gate, "backend", set->backend, count ? why : "no address");
	gate->backend_count = (size_t)count;
	if (set->mode != GATE_CONNECT)
		return 0;
	if (set->server_name)
		snprintf(gate->server_name, sizeof(gate->server_name), "%s", set->server_name);
	else if (addr_split(set->backend, gate->server_name, &port, &why))
		return refuse(gate, "backend", set->backend, why);
	return 0;
}

/* A name that the engine refuses would fail every connection: find out now. */
static int check_server_name(struct gate *gate)
{
	struct tls_conn *conn;
	int ret;

	if (gate->settings->mode != GATE_CONNECT)
		return 0;
	conn = tls_conn_new(gate->config);
	ret = conn ? tls_conn_set_server_name(conn, gate->server_name) : TLS_ERR_NO_MEMORY;
	tls_conn_free(conn);
	if (ret)
		return refuse(gate, "server name", gate->server_name,
			      "it is no DNS name and no address: give --server-name");
	return 0;
}

static int set_tickets(struct gate *gate)
{
	if (gate->settings->mode != GATE_SERVE)
		return 0;
	if (!ticket_chain_init(&gate->tickets, now(NULL)) &&
	    !tls_config_set_ticket_keys(gate->config, gate->tickets.keys, gate->tickets.count))
		return 0;
	log_error("%s: no session ticket keys: no randomness or no memory", gate->settings->name);
	return -1;
}

static void rotate_tickets(struct gate *gate)
{
	if (gate->settings->mode != GATE_SERVE || !ticket_chain_advance(&gate->tickets, now(NULL)))
		return;
	if (tls_config_set_ticket_keys(gate->config, gate->tickets.keys, gate->tickets.count))
		log_warn("%s: session ticket keys stay the old ones: no memory",
			 gate->settings->name);
}

void gate_refresh(struct gate *gate)
{
	rotate_tickets(gate);
	drop_old_staples(gate);
}

int gate_build(struct gate *gate, const struct gate_settings *settings, int keylog_fd,
	       uint32_t *next_key_id)
{
	const struct tls_hooks hooks = {
		.now = now,
		.keylog = keylog_fd == -1 ? NULL : append_keylog,
		.arg = (void *)(intptr_t)keylog_fd,
	};

	memset(gate, 0, sizeof(*gate));
	gate->settings = settings;
	gate->config = tls_config_new(settings->mode == GATE_SERVE ? TLS_SERVER : TLS_CLIENT,
				      &hooks);
	if (!gate->config) {
		log_error("%s: no engine configuration: out of memory", settings->name);
		return -1;
	}
	if (settings->mode == GATE_CONNECT)
		gate->sessions = xcalloc(1, sizeof(*gate->sessions));
	if (add_certs(gate, next_key_id) || add_staples(gate) || set_protocol(gate) || set_trust(gate) ||
	    set_tickets(gate) || set_backend(gate) || check_server_name(gate))
		return -1;
	return 0;
}

static bool has_listener(const struct gate *gate, const struct listener *listener)
{
	size_t i;

	for (i = 0; i < gate->settings->listen.count; i++)
		if (gate->listeners[i] == listener)
			return true;
	return false;
}

int gate_bind(struct gate *gate, struct listeners *all, size_t workers)
{
	const struct gate_settings *set = gate->settings;
	struct listener *listener;
	const char *why = "";
	struct addr addr;
	size_t i;

	gate->listeners = xcalloc(set->listen.count, sizeof(struct listener *));
	for (i = 0; i < set->listen.count; i++) {
		if (addr_parse_listen(set->listen.items[i], &addr, &why))
			return refuse(gate, "listen", set->listen.items[i], why);
		listener = listener_get(all, &addr, workers, set->mode == GATE_SERVE);
		if (!listener)
			return -1;
		if (has_listener(gate, listener)) {
			listener_put(all, listener);
			return refuse(gate, "listen", set->listen.items[i], "it is given twice");
		}
		gate->listeners[i] = listener;
	}
	return 0;
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

	for (i = 0; gate->certs && i < gate->settings->certs.count; i++)
		tls_certificate_free(gate->certs[i]);
	free(gate->certs);
	free(gate->staple_until);
	ticket_chain_wipe(&gate->tickets);
	if (gate->sessions)
		sessions_wipe(gate->sessions);
	free(gate->sessions);
	tls_config_unref(gate->config);
}
