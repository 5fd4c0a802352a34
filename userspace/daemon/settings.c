// SPDX-License-Identifier: MIT
#include "daemon/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/addr.h"
#include "common/mem.h"
#include "engine/engine.h"

#define DEFAULT_HANDSHAKE_TIMEOUT	10000
#define DEFAULT_CONNECT_TIMEOUT		10000

static int refuse(char why[SETTINGS_WHY_MAX], const char *text)
{
	snprintf(why, SETTINGS_WHY_MAX, "%s", text);
	return -1;
}

static int set_text(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	char **text = field;

	if (!value[0])
		return refuse(why, "it must not be empty");
	free(*text);
	*text = xstrdup(value);
	return 0;
}

static int add_text(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	struct text_list *list = field;

	if (!value[0])
		return refuse(why, "it must not be empty");
	list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = xstrdup(value);
	return 0;
}

static int add_listen(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	const char *reason;
	struct addr addr;

	if (addr_parse_listen(value, &addr, &reason))
		return refuse(why, reason);
	return add_text(field, value, why);
}

static int set_backend(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	const char *reason;

	if (!addr_is_valid(value, &reason))
		return refuse(why, reason);
	return set_text(field, value, why);
}

/* One row of a choice; the list ends with text NULL. */
struct choice {
	const char *text;
	int value;
};

static int choose(const struct choice *choices, const char *value, int *out)
{
	for (; choices->text; choices++) {
		if (!strcmp(choices->text, value)) {
			*out = choices->value;
			return 0;
		}
	}
	return -1;
}

static int set_mode(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice modes[] = {
		{ "serve", GATE_SERVE }, { "connect", GATE_CONNECT }, { NULL, 0 },
	};
	int mode;

	if (choose(modes, value, &mode))
		return refuse(why, "it must be serve or connect");
	*(enum gate_mode *)field = (enum gate_mode)mode;
	return 0;
}

static int set_data_path(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice paths[] = {
		{ "auto", DATA_PATH_AUTO }, { "kernel", DATA_PATH_KERNEL },
		{ "user", DATA_PATH_USER }, { NULL, 0 },
	};
	int path;

	if (choose(paths, value, &path))
		return refuse(why, "it must be auto, kernel or user");
	*(enum data_path *)field = (enum data_path)path;
	return 0;
}

static int set_verify_client(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice kinds[] = {
		{ "require", VERIFY_CLIENT_REQUIRE }, { "request", VERIFY_CLIENT_REQUEST },
		{ NULL, 0 },
	};
	int kind;

	if (choose(kinds, value, &kind))
		return refuse(why, "it must be require or request");
	*(enum verify_client *)field = (enum verify_client)kind;
	return 0;
}

static int set_version(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice versions[] = {
		{ "1.2", TLS_1_2 }, { "1.3", TLS_1_3 }, { NULL, 0 },
	};
	int version;

	if (choose(versions, value, &version))
		return refuse(why, "it must be 1.2 or 1.3");
	*(uint16_t *)field = (uint16_t)version;
	return 0;
}

static int set_workers(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	char *end;
	long n = strtol(value, &end, 10);

	if (end == value || *end || n < 1 || n > SETTINGS_MAX_WORKERS)
		return refuse(why, "it must be a number from 1 to 256");
	*(uint32_t *)field = (uint32_t)n;
	return 0;
}

static int set_max_message(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	char *end;
	long n = strtol(value, &end, 10);

	if (end == value || *end || n < TLS_LEAST_MAX_MESSAGE || n > 65536)
		return refuse(why, "it must be a number from 2048 to 65536");
	*(uint32_t *)field = (uint32_t)n;
	return 0;
}

static int set_duration(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice units[] = {
		{ "", 1000 }, { "s", 1000 }, { "ms", 1 }, { "m", 60000 }, { "h", 3600000 },
		{ NULL, 0 },
	};
	const long long day = 24LL * 3600 * 1000;
	long long n;
	char *end;
	int unit;

	n = strtoll(value, &end, 10);
	if (end == value || n < 0 || n > day || choose(units, end, &unit) || n * unit > day)
		return refuse(why, "it must be a time such as 30, 30s, 500ms, 5m or 2h, at most 24h");
	*(uint32_t *)field = (uint32_t)(n * unit);
	return 0;
}

static int set_switch(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice words[] = {
		{ "true", 1 }, { "yes", 1 }, { "on", 1 },
		{ "false", 0 }, { "no", 0 }, { "off", 0 }, { NULL, 0 },
	};
	int on;

	if (choose(words, value, &on))
		return refuse(why, "it must be true or false");
	*(bool *)field = on;
	return 0;
}

#define GATE(field)	offsetof(struct gate_settings, field)
#define GLOBAL(field)	offsetof(struct settings, field)

static const struct setting table[] = {
	{ "mode", "serve|connect", SETTING_GATE | SETTING_FILE, GATE(mode), set_mode,
	  "serve: terminate TLS; connect: originate TLS" },
	{ "listen", "LISTEN", SETTING_GATE | SETTING_FILE | SETTING_LIST, GATE(listen), add_listen,
	  "ADDR:PORT, [V6]:PORT or :PORT" },
	{ "backend", "BACKEND", SETTING_GATE | SETTING_FILE, GATE(backend), set_backend,
	  "where to connect: as LISTEN, or NAME:PORT, or unix:/path" },
	{ "cert", "FILE", SETTING_GATE | SETTING_LIST, GATE(certs), add_text,
	  "certificate chain, PEM, leaf first; several may be given" },
	{ "key", "FILE", SETTING_GATE | SETTING_LIST, GATE(keys), add_text,
	  "its private key, PEM, not encrypted; one for each --cert" },
	{ "ocsp", "FILE", SETTING_SERVE | SETTING_LIST, GATE(ocsp), add_text,
	  "OCSP response, DER, to staple; several may be given" },
	{ "client-ca", "FILE", SETTING_SERVE, GATE(client_ca), set_text,
	  "ask clients for a certificate that one of these CAs signed" },
	{ "verify-client", "require|request", SETTING_SERVE, GATE(verify_client), set_verify_client,
	  "with --client-ca: refuse clients without one (default), or not" },
	{ "proxy-protocol", NULL, SETTING_SERVE, GATE(proxy_protocol), set_switch,
	  "send the backend a PROXY header, version 2, with the client's certificate" },
	{ "ca", "FILE", SETTING_CONNECT, GATE(ca), set_text,
	  "trust these CAs instead of the system's" },
	{ "request-ocsp", NULL, SETTING_CONNECT, GATE(request_ocsp), set_switch,
	  "ask for a stapled OCSP response, and refuse the server if it is bad" },
	{ "server-name", "NAME", SETTING_CONNECT, GATE(server_name), set_text,
	  "name to ask for and to verify (default: the host of BACKEND)" },
	{ "data-path", "auto|kernel|user", SETTING_GATE, GATE(data_path), set_data_path,
	  "who seals and opens records (default: auto: the kernel, once it pays)" },
	{ "min-version", "1.2|1.3", SETTING_GATE, GATE(min_version), set_version,
	  "oldest TLS version (default: 1.2)" },
	{ "max-version", "1.2|1.3", SETTING_GATE, GATE(max_version), set_version,
	  "newest TLS version (default: 1.3)" },
	{ "ciphersuites", "A:B", SETTING_GATE, GATE(suites), set_text,
	  "IANA names, most wanted first" },
	{ "groups", "A:B", SETTING_GATE, GATE(groups), set_text,
	  "key exchange groups, most wanted first" },
	{ "alpn", "a,b", SETTING_GATE, GATE(alpn), set_text,
	  "application protocols, most wanted first" },
	{ "max-message", "BYTES", SETTING_GATE, GATE(max_message), set_max_message,
	  "longest handshake message to take (default: 65536)" },
	{ "handshake-timeout", "TIME", SETTING_GATE, GATE(handshake_timeout), set_duration,
	  "for the whole handshake (default: 10s; 0: none)" },
	{ "connect-timeout", "TIME", SETTING_GATE, GATE(connect_timeout), set_duration,
	  "for reaching the backend (default: 10s; 0: none)" },
	{ "idle-timeout", "TIME", SETTING_GATE, GATE(idle_timeout), set_duration,
	  "end connections that moved no byte for so long (default: none)" },
	{ "workers", "N", SETTING_GLOBAL, GLOBAL(workers), set_workers,
	  "worker processes (default: one per core)" },
	{ "user", "NAME", SETTING_GLOBAL, GLOBAL(user), set_text,
	  "who the workers run as when started as root (default: nobody)" },
	{ "keylog", "FILE", SETTING_GLOBAL, GLOBAL(keylog), set_text,
	  "append every connection's secrets (NSS format): for debugging only" },
	{ "verbose", NULL, SETTING_GLOBAL, GLOBAL(verbose), set_switch,
	  "log one line per connection" },
	{ NULL, NULL, 0, 0, NULL, NULL },
};

const struct setting *settings_table(void)
{
	return table;
}

struct settings *settings_new(void)
{
	return xcalloc(1, sizeof(struct settings));
}

static void list_free(struct text_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
}

static void gate_settings_clear(struct gate_settings *gate)
{
	list_free(&gate->listen);
	list_free(&gate->certs);
	list_free(&gate->keys);
	list_free(&gate->ocsp);
	free(gate->name);
	free(gate->backend);
	free(gate->ca);
	free(gate->client_ca);
	free(gate->server_name);
	free(gate->suites);
	free(gate->groups);
	free(gate->alpn);
}

void settings_free(struct settings *settings)
{
	size_t i;

	if (!settings)
		return;
	for (i = 0; i < settings->gate_count; i++)
		gate_settings_clear(&settings->gates[i]);
	free(settings->gates);
	free(settings->user);
	free(settings->keylog);
	free(settings);
}

struct gate_settings *settings_add_gate(struct settings *settings, const char *name)
{
	struct gate_settings *gate;

	settings->gates = xrealloc(settings->gates, settings->gate_count + 1,
				   sizeof(*settings->gates));
	gate = &settings->gates[settings->gate_count++];
	memset(gate, 0, sizeof(*gate));
	gate->name = xstrdup(name);
	gate->handshake_timeout = DEFAULT_HANDSHAKE_TIMEOUT;
	gate->connect_timeout = DEFAULT_CONNECT_TIMEOUT;
	return gate;
}

int setting_apply(const struct setting *row, struct settings *settings, struct gate_settings *gate,
		  const char *value, char why[SETTINGS_WHY_MAX])
{
	char *object = row->scope & SETTING_GLOBAL ? (char *)settings : (char *)gate;

	return row->set(object + row->offset, value, why);
}

int setting_check(const struct setting *row, const char *value, char why[SETTINGS_WHY_MAX])
{
	struct settings *scratch = settings_new();
	int ret;

	ret = setting_apply(row, scratch, settings_add_gate(scratch, "scratch"), value, why);
	settings_free(scratch);
	return ret;
}

static bool is_set(const struct setting *row, const struct gate_settings *gate)
{
	const char *field = (const char *)gate + row->offset;

	if (row->set == add_text)
		return ((const struct text_list *)field)->count;
	if (row->set == set_switch)
		return *(const bool *)field;
	return row->set == set_text && *(char *const *)field;
}

/* A setting for the other mode would be ignored: refuse it instead. */
static int check_scopes(const struct gate_settings *gate, char why[SETTINGS_WHY_MAX])
{
	const struct setting *row;

	for (row = table; row->name; row++) {
		if (row->scope & (SETTING_GLOBAL | gate->mode) || !is_set(row, gate))
			continue;
		snprintf(why, SETTINGS_WHY_MAX, "%s is not for mode %s", row->name,
			 gate->mode == GATE_SERVE ? "serve" : "connect");
		return -1;
	}
	return 0;
}

int gate_settings_check(const struct gate_settings *gate, char why[SETTINGS_WHY_MAX])
{
	if (!gate->mode)
		return refuse(why, "mode is missing: serve or connect");
	if (!gate->listen.count)
		return refuse(why, "listen is missing: the address to accept connections on");
	if (!gate->backend)
		return refuse(why, "backend is missing: the address to connect to");
	if (check_scopes(gate, why))
		return -1;
	if (gate->mode == GATE_SERVE && (!gate->certs.count || !gate->keys.count))
		return refuse(why, "mode serve needs cert and key: PEM files");
	if (gate->certs.count != gate->keys.count)
		return refuse(why, "there must be one key for each cert");
	if (gate->min_version && gate->max_version && gate->min_version > gate->max_version)
		return refuse(why, "min-version is newer than max-version");
	if (gate->verify_client == VERIFY_CLIENT_REQUEST && !gate->client_ca)
		return refuse(why, "verify-client needs client-ca");
	if (gate->mode == GATE_CONNECT && !gate->server_name && !strncmp(gate->backend, "unix:", 5))
		return refuse(why, "a unix backend has no host name to verify: give server-name");
	return 0;
}
