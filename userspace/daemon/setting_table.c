// SPDX-License-Identifier: MIT
#include "daemon/settings.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <syslog.h>

#include "common/addr.h"
#include "common/cidr.h"
#include "common/log.h"
#include "common/mem.h"
#include "daemon/census.h"
#include "daemon/route.h"
#include "daemon/together.h"
#include "daemon/unix_listen.h"
#include "engine/engine.h"

#define TIMEOUT_BARE			600000	/* ms; a longer handshake-timeout or connect-timeout has a unit */
#define MAX_KEEPALIVE			32767	/* of TCP */
#define CHECK_LEAST			100	/* ms */
#define MAX_KEEPALIVE_PROBES		127	/* likewise */
#define MAX_BACKLOG			1000000
#define LONGEST_NAME			32	/* of a setting that setting_like() finds */
#define WEIGHT				" weight "	/* between a backend and its weight */

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

/* No registered protocol has a blank: a list as h2, http/1.1 would mean " http/1.1". */
static int set_alpn(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	if (strpbrk(value, " \t"))
		return refuse(why, "it has a blank: write h2,http/1.1");
	return set_text(field, value, why);
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

	if (value[0] == '*')
		return refuse(why, "every address is written without a *: \":PORT\"");
	if (addr_parse_listen(value, &addr, &reason) ||
	    (unix_listen_is(&addr) && unix_listen_check(value, &reason)))
		return refuse(why, reason);
	return add_text(field, value, why);
}

static int add_cidr(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	const char *reason;
	struct cidr cidr;

	if (cidr_parse(value, &cidr, &reason))
		return refuse(why, reason);
	return add_text(field, value, why);
}

/* "ADDRESS weight N": cuts the address off, for free().  NULL: N is none. */
static char *cut_weight(const char *value, uint32_t *weight)
{
	const char *word = strstr(value, WEIGHT);
	long n = 1;
	char *end;

	*weight = 1;
	if (!word)
		return xstrdup(value);
	n = strtol(word + strlen(WEIGHT), &end, 10);
	if (*end || n < 1 || n > SETTINGS_MAX_WEIGHT)
		return NULL;
	*weight = (uint32_t)n;
	return xprintf("%.*s", (int)(word - value), value);
}

static bool list_has(const struct text_list *list, const char *text)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		if (!strcmp(list->items[i], text))
			return true;
	return false;
}

/* As other programs, or other settings, write it; NULL: it is not. */
static const char *find_foreign(const char *address)
{
	static const struct {
		const char *part, *why;
	} rows[] = {
		{ " weight=", "a weight is written \"ADDRESS weight 3\"" },
		{ " backup", "no backend waits until others are down, all share the clients: leave it out" },
		{ ",mode=", "mode=, user= and group= are those of listen: leave them out" },
		{ ",user=", "mode=, user= and group= are those of listen: leave them out" },
		{ ",group=", "mode=, user= and group= are those of listen: leave them out" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strstr(address, rows[i].part))
			return rows[i].why;
	return NULL;
}

static int add_address(struct backend_list *backend, const char *address, uint32_t weight,
		       char why[SETTINGS_WHY_MAX])
{
	const char *reason = find_foreign(address);

	if (address[0] == ':')
		return refuse(why, "a backend has a host: write 127.0.0.1:PORT for this machine");
	if (reason || !addr_is_valid(address, &reason))
		return refuse(why, reason);
	if (list_has(&backend->list, address))
		return refuse(why, "it is in the list twice: give it a weight instead");
	if (backend->list.count == SETTINGS_MAX_BACKENDS)
		return refuse(why, "there are more than 256 backends: give the rest to another gate");
	if (add_text(&backend->list, address, why))
		return -1;
	backend->weights = xrealloc(backend->weights, backend->list.count, sizeof(*backend->weights));
	backend->weights[backend->list.count - 1] = weight;
	return 0;
}

static int add_backend(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	uint32_t weight;
	char *address = cut_weight(value, &weight);
	int ret;

	if (!address)
		return refuse(why, "its weight must be a number from 1 to 256: \"ADDRESS weight 3\"");
	ret = add_address(field, address, weight, why);
	free(address);
	return ret;
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

static int set_proxy_protocol(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice versions[] = {
		{ "no", PROXY_NO }, { "1", PROXY_VERSION_1 }, { "2", PROXY_VERSION_2 },
		/* once it was a switch */
		{ "true", PROXY_VERSION_2 }, { "yes", PROXY_VERSION_2 }, { "on", PROXY_VERSION_2 },
		{ "false", PROXY_NO }, { "off", PROXY_NO }, { NULL, 0 },
	};
	int version;

	if (choose(versions, value, &version))
		return refuse(why, "it must be no, 1 or 2");
	*(enum proxy_protocol *)field = (enum proxy_protocol)version;
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

static int set_deliver(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice kinds[] = {
		{ "no", DELIVER_NO }, { "auto", DELIVER_AUTO }, { "always", DELIVER_ALWAYS },
		{ NULL, 0 },
	};
	int kind;

	if (choose(kinds, value, &kind))
		return refuse(why, "it must be no, auto or always");
	*(enum deliver *)field = (enum deliver)kind;
	return 0;
}

static int set_starttls(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice protocols[] = {
		{ "postgresql", STARTTLS_POSTGRESQL }, { "smtp", STARTTLS_SMTP },
		{ "imap", STARTTLS_IMAP }, { "pop3", STARTTLS_POP3 }, { "ldap", STARTTLS_LDAP },
		{ NULL, 0 },
	};
	int protocol;

	if (choose(protocols, value, &protocol))
		return refuse(why, "it must be postgresql, smtp, imap, pop3 or ldap");
	*(enum starttls_protocol *)field = (enum starttls_protocol)protocol;
	return 0;
}

static int set_balance(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice kinds[] = {
		{ "round-robin", BALANCE_ROUND_ROBIN }, { "least", BALANCE_LEAST },
		{ "hash-of-client", BALANCE_HASH }, { NULL, 0 },
	};

	if (choose(kinds, value, field))
		return refuse(why, "it must be round-robin, least or hash-of-client");
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

static int set_unknown_name(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice kinds[] = {
		{ "default", UNKNOWN_NAME_DEFAULT }, { "refuse", UNKNOWN_NAME_REFUSE }, { NULL, 0 },
	};
	int kind;

	if (choose(kinds, value, &kind))
		return refuse(why, "it must be default or refuse");
	*(enum unknown_name *)field = (enum unknown_name)kind;
	return 0;
}

static int set_crl_expired(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice kinds[] = {
		{ "refuse", CRL_EXPIRED_REFUSE }, { "warn", CRL_EXPIRED_WARN }, { NULL, 0 },
	};
	int kind;

	if (choose(kinds, value, &kind))
		return refuse(why, "it must be refuse or warn");
	*(enum crl_expired *)field = (enum crl_expired)kind;
	return 0;
}

static int set_log(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice targets[] = {
		{ "stderr", LOG_TO_STDERR }, { "syslog", LOG_TO_SYSLOG },
		{ "journal", LOG_TO_JOURNAL }, { NULL, 0 },
	};
	int target;

	if (choose(targets, value, &target))
		return refuse(why, "it must be stderr, syslog or journal");
	*(enum log_target *)field = (enum log_target)target;
	return 0;
}

static int set_log_facility(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice facilities[] = {
		{ "daemon", LOG_DAEMON }, { "user", LOG_USER }, { "auth", LOG_AUTH },
		{ "authpriv", LOG_AUTHPRIV }, { "local0", LOG_LOCAL0 }, { "local1", LOG_LOCAL1 },
		{ "local2", LOG_LOCAL2 }, { "local3", LOG_LOCAL3 }, { "local4", LOG_LOCAL4 },
		{ "local5", LOG_LOCAL5 }, { "local6", LOG_LOCAL6 }, { "local7", LOG_LOCAL7 },
		{ NULL, 0 },
	};

	if (choose(facilities, value, field))
		return refuse(why, "it must be daemon, user, auth, authpriv or local0 to local7");
	return 0;
}

static int set_log_format(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice formats[] = {
		{ "text", LOG_FORMAT_TEXT }, { "json", LOG_FORMAT_JSON }, { NULL, 0 },
	};
	int format;

	if (choose(formats, value, &format))
		return refuse(why, "it must be text or json");
	*(enum log_format *)field = (enum log_format)format;
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

static int set_pq(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	static const struct choice kinds[] = {
		{ "accept", TLS_PQ_ACCEPT }, { "prefer", TLS_PQ_PREFER },
		{ "require", TLS_PQ_REQUIRE }, { NULL, 0 },
	};

	if (choose(kinds, value, field))
		return refuse(why, "it must be accept, prefer or require");
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

/* A number from 1 to max. */
static int set_number(uint32_t *field, const char *value, long max, char why[SETTINGS_WHY_MAX])
{
	char *end;
	long n = strtol(value, &end, 10);

	if (end == value || *end || n < 1 || n > max) {
		snprintf(why, SETTINGS_WHY_MAX, "it must be a number from 1 to %ld", max);
		return -1;
	}
	*field = (uint32_t)n;
	return 0;
}

/* Likewise, of what has no limit by default. */
static int set_limited(uint32_t *field, const char *value, long max, char why[SETTINGS_WHY_MAX])
{
	if (!set_number(field, value, max, why))
		return 0;
	snprintf(why, SETTINGS_WHY_MAX, "it must be a number from 1 to %ld: leave it out for no limit", max);
	return -1;
}

static int set_limit(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	return set_limited(field, value, CENSUS_MAX, why);
}

static int set_rate(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	return set_limited(field, value, CENSUS_RATE_MAX, why);
}

static int set_handshakes(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	return set_number(field, value, CENSUS_MAX, why);
}

static int set_probes(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	return set_number(field, value, MAX_KEEPALIVE_PROBES, why);
}

static int set_backlog(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	return set_number(field, value, MAX_BACKLOG, why);
}

static int set_mark(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	char *end;
	unsigned long long n = strtoull(value, &end, 0);

	if (*value < '0' || *value > '9' || *end || !n || n > UINT32_MAX)
		return refuse(why, "it must be a number such as 1 or 0x1f, of 32 bits and not 0");
	*(uint32_t *)field = (uint32_t)n;
	return 0;
}

static int set_device(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	if (strlen(value) >= IFNAMSIZ)
		return refuse(why, "the name of a network device has at most 15 bytes");
	return set_text(field, value, why);
}

/* In ms.  0, or -1: it is none, or longer than a day. */
static int parse_duration(const char *value, uint32_t *out)
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
		return -1;
	*out = (uint32_t)(n * unit);
	return 0;
}

static int set_duration(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	if (parse_duration(value, field))
		return refuse(why, "it must be a time such as 30, 30s, 500ms, 5m or 2h, at most 24h, or 0");
	return 0;
}

/* Other programs count in ms: 5000 would be 83 minutes. */
static int set_timeout(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	if (set_duration(field, value, why))
		return -1;
	if (*(uint32_t *)field > TIMEOUT_BARE && !strpbrk(value, "smh"))
		return refuse(why, "a number without unit is in seconds: write 5s or 5000ms, or, if so long is meant, 2h");
	return 0;
}

static int set_check(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	uint32_t ms;

	if (parse_duration(value, &ms) || (ms && ms < CHECK_LEAST))
		return refuse(why, "it must be a time from 100ms to 24h such as 5s, or 0 for none");
	*(uint32_t *)field = ms;
	return 0;
}

/* TCP counts these in seconds. */
static int set_keepalive(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	uint32_t ms;

	if (parse_duration(value, &ms) || ms % 1000 || ms / 1000 > MAX_KEEPALIVE)
		return refuse(why, "it must be a time in whole seconds such as 30, 90s, 5m or 2h, at most 9h, or 0 for none");
	*(uint32_t *)field = ms / 1000;
	return 0;
}

static int set_interval(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	const uint32_t *interval = field;

	if (set_keepalive(field, value, why) || !*interval)
		return refuse(why, "it must be a time in whole seconds from 1s to 9h; keepalive = 0 sends no probes");
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

static int set_control(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	if (strcmp(value, "none") && value[0] != '/')
		return refuse(why, "it must be an absolute path, or none");
	if (strlen(value) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return refuse(why, "the path of a unix socket has at most 107 bytes: give a shorter one");
	return set_text(field, value, why);
}

static int set_metrics(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	const char *path = strncmp(value, "unix:", 5) ? NULL : value + 5, *reason;
	struct addr addr;

	if (path && (path[0] != '/' || strlen(path) >= sizeof(addr.un.sun_path)))
		return refuse(why, "it must be unix: and an absolute path of at most 107 bytes");
	if (!path && addr_parse_listen(value, &addr, &reason))
		return refuse(why, reason);
	return set_text(field, value, why);
}

static int set_mode_bits(void *field, const char *value, char why[SETTINGS_WHY_MAX])
{
	char *end;
	unsigned long bits = strtoul(value, &end, 8);

	if (*value < '0' || *value > '7' || *end || bits > 0777)
		return refuse(why, "it must be permission bits in octal, such as 0660");
	*(uint32_t *)field = (uint32_t)bits;
	return 0;
}

#define GATE(field)	offsetof(struct gate_settings, field)
#define GLOBAL(field)	offsetof(struct settings, field)

/* All of them have one. */
#define SETTING_BACKEND	(SETTING_GATE | SETTING_ROUTE | SETTING_PASS)

static const struct setting table[] = {
	{ "mode", "serve|connect", SETTING_GATE | SETTING_FILE, SETTING_GATE, NULL,
	  GATE(mode), set_mode,
	  "serve: terminate TLS; connect: originate TLS" },
	{ "listen", "LISTEN", SETTING_GATE | SETTING_FILE | SETTING_LIST, SETTING_GATE, NULL,
	  GATE(listen), add_listen,
	  "ADDR:PORT, [V6]:PORT, :PORT, unix:/path[,mode=OCTAL,user=NAME,group=NAME] or unix:@name" },
	{ "backend", "BACKEND", SETTING_BACKEND | SETTING_FILE | SETTING_LIST, SETTING_BACKEND, NULL,
	  GATE(backend), add_backend,
	  "where to connect: ADDR:PORT, [V6]:PORT, NAME:PORT, unix:/path or unix:@name; of several \"BACKEND weight 3\"" },
	{ "cert", "FILE", SETTING_GATE | SETTING_LIST, 0, "key",
	  GATE(certs), add_text,
	  "certificate chain, PEM, leaf first; several may be given" },
	{ "key", "FILE", SETTING_GATE | SETTING_LIST, 0, "cert",
	  GATE(keys), add_text,
	  "its private key, PEM, not encrypted; one for each --cert" },
	{ "cert-dir", "DIR", SETTING_SERVE | SETTING_LIST, 0, NULL,
	  GATE(cert_dirs), add_text,
	  "folder of certificates with their keys, taken anew when it changes; several may be given" },
	{ "ocsp", "FILE", SETTING_SERVE | SETTING_LIST, 0, NULL,
	  GATE(ocsp), add_text,
	  "OCSP response, DER, to staple; several may be given" },
	{ "unknown-name", "default|refuse", SETTING_SERVE, 0, NULL,
	  GATE(unknown_name), set_unknown_name,
	  "clients that ask for a name without a certificate: give the first (default), or refuse" },
	{ "client-ca", "FILE", SETTING_SERVE, 0, NULL,
	  GATE(client_ca), set_text,
	  "ask clients for a certificate that one of these CAs signed" },
	{ "verify-client", "require|request", SETTING_SERVE | SETTING_BOUND, 0, "client-ca",
	  GATE(verify_client), set_verify_client,
	  "with --client-ca: refuse clients without one (default), or not" },
	{ "ticket-keys", "FILE", SETTING_SERVE | SETTING_LIST, 0, NULL,
	  GATE(ticket_keys), add_text,
	  "keys of session tickets that outlive reloads and are shared by hosts; several may be given" },
	{ "allow-client", "RULE", SETTING_SERVE | SETTING_LIST | SETTING_BOUND, 0, "client-ca",
	  GATE(allow_client), add_text,
	  "of these clients let only those in that one fits: CN=, DNS:, URI: or SPKI-SHA256:; several may be given" },
	{ "accept-proxy", "CIDR|unix", SETTING_SERVE | SETTING_LIST, 0, NULL,
	  GATE(accept_proxy), add_cidr,
	  "clients from there, or by UNIX sockets, are proxies, and begin with a PROXY header, version 1 or 2; several may be given" },
	{ "proxy-protocol", "no|1|2", SETTING_SERVE | SETTING_SWITCH, 0, NULL,
	  GATE(proxy_protocol), set_proxy_protocol,
	  "send the backend a PROXY header of that version; 2, also without a value, has the client's certificate" },
	{ "starttls", "postgresql|smtp|imap|pop3|ldap", SETTING_GATE, 0, NULL,
	  GATE(starttls), set_starttls,
	  "TLS begins as this protocol has it, after some plain text (default: with the first byte)" },
	{ "deliver", "no|auto|always", SETTING_SERVE, 0, NULL,
	  GATE(deliver), set_deliver,
	  "let a server on this machine accept connections itself, from the clients' addresses (default: no)" },
	{ "ca", "FILE", SETTING_CONNECT, 0, NULL,
	  GATE(ca), set_text,
	  "trust these CAs instead of the system's" },
	{ "request-ocsp", NULL, SETTING_CONNECT, 0, NULL,
	  GATE(request_ocsp), set_switch,
	  "ask for a stapled OCSP response, and refuse the server if it is bad" },
	{ "legacy-server", NULL, SETTING_CONNECT, 0, NULL,
	  GATE(legacy_server), set_switch,
	  "take a TLS 1.2 server without secure renegotiation (RFC 5746), too" },
	{ "server-name", "NAME", SETTING_CONNECT, 0, NULL,
	  GATE(server_name), set_text,
	  "name to ask for and to verify (default: the host of BACKEND)" },
	{ "crl", "FILE", SETTING_GATE | SETTING_LIST, 0, NULL,
	  GATE(crls), add_text,
	  "CRLs, PEM or DER, for the certificates of peers; several may be given" },
	{ "crl-expired", "refuse|warn", SETTING_GATE, 0, "crl",
	  GATE(crl_expired), set_crl_expired,
	  "peers whose CRL has expired: refuse (default), or warn and go on by that CRL" },
	{ "data-path", "auto|kernel|user", SETTING_GATE, 0, NULL,
	  GATE(data_path), set_data_path,
	  "who seals and opens records (default: auto: the kernel after 1 s or 64 KiB)" },
	{ "min-version", "1.2|1.3", SETTING_GATE, 0, NULL,
	  GATE(min_version), set_version,
	  "oldest TLS version (default: 1.2)" },
	{ "max-version", "1.2|1.3", SETTING_GATE, 0, NULL,
	  GATE(max_version), set_version,
	  "newest TLS version (default: 1.3)" },
	{ "ciphersuites", "A:B", SETTING_GATE, 0, NULL,
	  GATE(suites), set_text,
	  "IANA names, most wanted first" },
	{ "groups", "A:B", SETTING_GATE, 0, NULL,
	  GATE(groups), set_text,
	  "key exchange groups, most wanted first" },
	{ "pq", "accept|prefer|require", SETTING_GATE, 0, NULL,
	  GATE(pq), set_pq,
	  "groups with ML-KEM: as the peer does (default), if it can, or no connection" },
	{ "alpn", "a,b", SETTING_GATE | SETTING_ROUTE, 0, NULL,
	  GATE(alpn), set_alpn,
	  "application protocols, most wanted first" },
	{ "max-connections", "N", SETTING_GATE, 0, NULL,
	  GATE(max_connections), set_limit,
	  "refuse clients beyond so many connections of the gate, 1 to 1000000 (default: no limit)" },
	{ "max-per-address", "N", SETTING_GATE, 0, NULL,
	  GATE(max_per_address), set_limit,
	  "refuse clients beyond so many of one IPv4 address or IPv6 network of 64 bits, 1 to 1000000 (default: no limit)" },
	{ "handshake-rate", "N", SETTING_GATE, 0, NULL,
	  GATE(handshake_rate), set_rate,
	  "refuse clients beyond so many new ones a second of one IPv4 address or IPv6 network of 64 bits, 1 to 4000 (default: no limit)" },
	{ "max-message", "BYTES", SETTING_GATE, 0, NULL,
	  GATE(max_message), set_max_message,
	  "longest handshake message to take, 2048 to 65536 (default: 65536)" },
	{ "handshake-timeout", "TIME", SETTING_GATE, 0, NULL,
	  GATE(handshake_timeout), set_timeout,
	  "for the whole handshake (default: 10s; 0: none)" },
	{ "connect-timeout", "TIME", SETTING_GATE, 0, NULL,
	  GATE(connect_timeout), set_timeout,
	  "for reaching the backend (default: 10s; 0: none)" },
	{ "resolve-interval", "TIME", SETTING_GATE, 0, NULL,
	  GATE(resolve_interval), set_duration,
	  "ask again where a BACKEND that is a name is (default: 30s; 0: never)" },
	{ "balance", "round-robin|least|hash-of-client", SETTING_GATE, 0, NULL,
	  GATE(balance), set_balance,
	  "which BACKEND of several takes a connection (default: round-robin)" },
	{ "check", "TIME", SETTING_GATE, 0, NULL,
	  GATE(check), set_check,
	  "look so often whether a BACKEND answers, 100ms to 24h (default: 5s with several, else 0: never)" },
	{ "idle-timeout", "TIME", SETTING_GATE, 0, NULL,
	  GATE(idle_timeout), set_duration,
	  "end connections that moved no byte for so long (default: none)" },
	{ "keepalive", "TIME", SETTING_GATE, 0, NULL,
	  GATE(keepalive), set_keepalive,
	  "probe a silent peer after so long, by TCP, 1s to 9h (default: 2m; 0: never)" },
	{ "keepalive-interval", "TIME", SETTING_GATE, 0, NULL,
	  GATE(keepalive_interval), set_interval,
	  "probe one that does not answer again after so long, 1s to 9h (default: 15s)" },
	{ "keepalive-probes", "N", SETTING_GATE, 0, NULL,
	  GATE(keepalive_probes), set_probes,
	  "give up a peer that answers none of so many probes, 1 to 127 (default: net.ipv4.tcp_keepalive_probes)" },
	{ "user-timeout", "TIME", SETTING_GATE, 0, NULL,
	  GATE(user_timeout), set_duration,
	  "give up a peer that acknowledges nothing for so long, by TCP (default: 0: when the kernel does)" },
	{ "backlog", "N", SETTING_GATE, 0, NULL,
	  GATE(backlog), set_backlog,
	  "connections that may wait to be accepted, for each worker, 1 to 1000000 (default: net.core.somaxconn)" },
	{ "fast-open", NULL, SETTING_GATE, 0, NULL,
	  GATE(fast_open), set_switch,
	  "take data in a client's SYN (TCP Fast Open)" },
	{ "freebind", NULL, SETTING_GATE, 0, NULL,
	  GATE(freebind), set_switch,
	  "listen on addresses that this machine does not have yet, too" },
	{ "bind-device", "NAME", SETTING_GATE, 0, NULL,
	  GATE(bind_device), set_device,
	  "listen on this network device only" },
	{ "mark", "N", SETTING_GATE, 0, NULL,
	  GATE(mark), set_mark,
	  "mark the packets to clients, for routing and firewall, by a number of 32 bits; needs CAP_NET_ADMIN" },
	{ "workers", "N", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(workers), set_workers,
	  "worker processes, 1 to 256 (default: one per core)" },
	{ "user", "NAME", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(user), set_text,
	  "who the workers run as when started as root: a name or an id (default: nobody)" },
	{ "key-user", "NAME", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(key_user), set_text,
	  "who the processes with the keys run as (default: as --user)" },
	{ "max-handshakes", "N", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(max_handshakes), set_handshakes,
	  "unfinished connections of all workers, 1 to 1000000; beyond, the oldest goes (default: 2048 for each worker)" },
	{ "drain-time", "TIME", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(drain_time), set_duration,
	  "end what the daemon still relays so long after a reload or SIGQUIT (default: 1h; 0: never)" },
	{ "stop-time", "TIME", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(stop_time), set_duration,
	  "end what the daemon still relays so long after SIGTERM (default: 5s; 0: at once)" },
	{ "keylog", "FILE", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(keylog), set_text,
	  "append every connection's secrets (NSS format): for debugging only" },
	{ "control", "PATH|none", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(control), set_control,
	  "socket that tlsgate(8) talks to (default with -c: /run/tlsgate/control)" },
	{ "control-mode", "OCTAL", SETTING_GLOBAL | SETTING_CONTROL, 0, NULL,
	  GLOBAL(control_mode), set_mode_bits,
	  "its permissions (default: 0660)" },
	{ "control-group", "NAME", SETTING_GLOBAL | SETTING_CONTROL, 0, NULL,
	  GLOBAL(control_group), set_text,
	  "its group, whose members may give every command" },
	{ "metrics", "LISTEN|unix:PATH", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(metrics), set_metrics,
	  "answer GET /metrics there, by HTTP without TLS, to anybody (default: nowhere)" },
	{ "log", "stderr|syslog|journal", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(log), set_log,
	  "where lines of the log go (default: stderr)" },
	{ "log-facility", "NAME", SETTING_GLOBAL, 0, NULL,
	  GLOBAL(log_facility), set_log_facility,
	  "their facility of syslog, such as local0 (default: daemon)" },
	{ "connection-log", NULL, SETTING_GLOBAL, 0, NULL,
	  GLOBAL(connection_log), set_switch,
	  "log one line at the end of each connection" },
	{ "log-format", "text|json", SETTING_GLOBAL, 0, "connection-log",
	  GLOBAL(log_format), set_log_format,
	  "form of these lines (default: text: key=value)" },
	{ "verbose", NULL, SETTING_GLOBAL, 0, NULL,
	  GLOBAL(verbose), set_switch,
	  "log details for finding faults, such as each handshake" },
	{ NULL, NULL, 0, 0, NULL, 0, NULL, NULL },
};

const struct setting *settings_table(void)
{
	return table;
}

_Static_assert(sizeof(table) / sizeof(table[0]) <= SETTINGS_MAX_ROWS, "given[] has no room");

const struct setting *setting_find(const char *name)
{
	const struct setting *row = table;

	while (row->name && strcmp(row->name, name))
		row++;
	return row->name ? row : NULL;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* How many letters differ, are missing or are too many (Levenshtein); to has at most LONGEST_NAME. */
static size_t distance(const char *from, const char *to)
{
	size_t row[LONGEST_NAME + 1], i, j, diagonal, above;

	for (j = 0; j <= strlen(to); j++)
		row[j] = j;
	for (i = 0; from[i]; i++) {
		diagonal = row[0];
		row[0] = i + 1;
		for (j = 0; to[j]; j++) {
			above = row[j + 1];
			row[j + 1] = least(diagonal + (from[i] != to[j]), least(above, row[j]) + 1);
			diagonal = above;
		}
	}
	return row[strlen(to)];
}

const char *setting_like(const char *name)
{
	size_t nearest = least(strlen(name) / 4, 2) + 1, far;
	const char *like = NULL;
	const struct setting *row;

	for (row = table; row->name; row++) {
		far = strlen(row->name) <= LONGEST_NAME ? distance(name, row->name) : nearest;
		if (far >= nearest)
			continue;
		nearest = far;
		like = row->name;
	}
	return like;
}

const char *setting_like_block(const char *name, const struct gate_settings *gate)
{
	static const char * const outside[] = { "gate", NULL }, * const inside[] = { "route", "pass", NULL };
	const char * const *block = gate ? inside : outside;

	while (*block && distance(name, *block) > least(strlen(name) / 2, 2))
		block++;
	return *block;
}
