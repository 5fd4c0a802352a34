// SPDX-License-Identifier: MIT
/* What settings must be together, once all of them were given. */
#include <stdio.h>
#include <string.h>

#include "common/addr.h"
#include "daemon/route.h"
#include "daemon/settings.h"
#include "daemon/together.h"
#include "engine/engine.h"

static bool is_given(const struct gate_settings *gate, const struct setting *row)
{
	return setting_given(row, gate->all, gate)->yes;
}

static bool has(const struct gate_settings *gate, const char *name)
{
	return is_given(gate, setting_find(name));
}

static int check_row(const struct gate_settings *gate, const struct setting *row)
{
	const bool given = is_given(gate, row);
	char why[SETTINGS_WHY_MAX];

	if (!given && row->required & gate->mode && !(row->required & SETTING_PASS && gate_only_passes(gate))) {
		snprintf(why, sizeof(why), "%s is missing: %s", row->name, row->help);
		return gate_refuse(gate, NULL, NULL, why);
	}
	/* what would be ignored is refused */
	if (given && !(row->scope & gate->mode))
		return gate_refuse(gate, row->name, NULL, gate->mode == GATE_SERVE ?
				   "it is not for mode serve: leave it out" :
				   "it is not for mode connect: leave it out");
	if (given && row->needs && !is_given(gate, setting_find(row->needs))) {
		snprintf(why, sizeof(why), "it needs %s: give that, too%s", row->needs,
			 strcmp(row->needs, "key") ? "" : "; a file that has the key in it is named in both");
		return gate_refuse(gate, row->name, NULL, why);
	}
	return 0;
}

/* Of a server that is not named, the name to verify is that of its host. */
static int check_hosts(const struct gate_settings *gate)
{
	const struct text_list *list = &gate->backend.list;
	int ret = 0;
	size_t i;

	if (gate->mode != GATE_CONNECT || gate->server_name)
		return 0;
	for (i = 0; i < list->count; i++)
		if (!strncmp(list->items[i], "unix:", 5))
			ret = gate_refuse(gate, "backend", list->items[i],
					  "a unix backend has no host name to verify: give server-name");
	return ret;
}

/* list: names with ',' between. */
static bool has_alpn(const char *list, const char *name)
{
	const size_t len = strlen(name);

	while (strncmp(list, name, len) || (list[len] && list[len] != ',')) {
		list += strcspn(list, ",");
		if (!*list++)
			return false;
	}
	return true;
}

static int check_rows(const struct gate_settings *gate)
{
	const struct setting *row;
	int ret = 0;

	for (row = settings_table(); row->name; row++)
		if (!(row->scope & SETTING_GLOBAL))
			ret |= check_row(gate, row);
	return ret;
}

static int check_blocks(const struct gate_settings *gate)
{
	int ret = 0;
	size_t i;

	if (gate->block_count && gate->mode != GATE_SERVE)
		return gate_refuse(&gate->blocks[0], NULL, NULL,
				   "it is not for mode connect: leave it out");
	for (i = 0; i < gate->block_count; i++)
		ret |= check_rows(&gate->blocks[i]);
	return ret ? ret : route_check(gate);
}

/* What a gate that terminates no TLS would ignore. */
static int check_unused(const struct gate_settings *gate)
{
	static const char *const names[] = {
		"ocsp", "crl", "client-ca", "ticket-keys", "unknown-name", "alpn", "proxy-protocol", "deliver",
		"min-version", "max-version", "ciphersuites", "groups", "pq",
	};
	int ret = 0;
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (has(gate, names[i]))
			ret = gate_refuse(gate, names[i], NULL,
					  "the gate only passes TLS: leave it out, or give cert and backend, too");
	return ret;
}

static int check_values(const struct gate_settings *gate)
{
	int ret = 0;

	if (gate->mode == GATE_SERVE && !has(gate, "cert") && !has(gate, "cert-dir") && !gate_only_passes(gate))
		ret = gate_refuse(gate, NULL, NULL,
				  "cert is missing: give cert and key, or cert-dir");
	if (gate_only_passes(gate))
		ret |= check_unused(gate);
	if (gate->certs.count && gate->keys.count && gate->certs.count != gate->keys.count)
		ret = gate_refuse(gate, "key", NULL, "there must be one key for each cert");
	if (gate->min_version && gate->max_version && gate->min_version > gate->max_version)
		ret = gate_refuse(gate, "min-version", NULL,
				  "it is newer than max-version: lower it, or raise max-version");
	if (gate->allow_client.count && gate->verify_client == VERIFY_CLIENT_REQUEST)
		ret = gate_refuse(gate, "verify-client", NULL,
				  "with allow-client a client must show a certificate: leave it out");
	if (gate->pq == TLS_PQ_REQUIRE && gate->min_version == TLS_1_2)
		ret = gate_refuse(gate, "min-version", NULL,
				  "with pq = require it is 1.3: leave it out, or give that");
	if (gate->starttls == STARTTLS_POSTGRESQL && gate->alpn && !has_alpn(gate->alpn, STARTTLS_ALPN))
		ret = gate_refuse(gate, "alpn", gate->alpn,
				  "with starttls = postgresql clients ask for postgresql: leave it out, or add that");
	return ret + check_hosts(gate) + together_check(gate);
}

int gate_settings_check(const struct gate_settings *gate)
{
	if (!has(gate, "mode"))
		return gate_refuse(gate, NULL, NULL, "mode is missing: serve or connect");
	if (!gate->mode)
		return -1;	/* what was given for it was refused */
	return check_rows(gate) | check_values(gate) | check_blocks(gate);
}

static int check_process_row(const struct settings *settings, const struct setting *row)
{
	char why[SETTINGS_WHY_MAX];

	if (!setting_given(row, settings, NULL)->yes)
		return 0;
	if (row->scope & SETTING_CONTROL && !settings_has_control(settings))
		return settings_refuse(settings, row->name, NULL,
				       "there is no control socket: give control = PATH");
	if (row->needs && !setting_given(setting_find(row->needs), settings, NULL)->yes) {
		snprintf(why, sizeof(why), "it needs %s: give that, too", row->needs);
		return settings_refuse(settings, row->name, NULL, why);
	}
	return 0;
}

/* NULL: the gate does not listen on metrics, nor on what covers it. */
static const char *listen_there(const struct gate_settings *gate, const struct addr *metrics)
{
	const char *why;
	struct addr addr;
	size_t i;

	for (i = 0; i < gate->listen.count; i++)
		if (!together_listen(gate, gate->listen.items[i], &addr, &why) &&
		    (addr_covers(&addr, metrics) || addr_covers(metrics, &addr)))
			return gate->listen.items[i];
	return NULL;
}

static int check_metrics(const struct settings *settings)
{
	const struct gate_settings *gate, *end = settings->gates + settings->gate_count;
	char why[SETTINGS_WHY_MAX];
	const char *text = NULL;
	struct addr metrics;

	if (!settings->metrics || addr_parse_listen(settings->metrics, &metrics, &text))
		return 0;		/* none, or unix:/path */
	for (gate = settings->gates; gate < end; gate++) {
		text = listen_there(gate, &metrics);
		if (!text)
			continue;
		snprintf(why, sizeof(why), "gate '%s' listens on '%s': give another address", gate->name, text);
		return settings_refuse(settings, "metrics", settings->metrics, why);
	}
	return 0;
}

static int check_process_values(const struct settings *settings)
{
	const struct setting *facility = setting_find("log-facility");

	if (settings->log == LOG_TO_STDERR && setting_given(facility, settings, NULL)->yes)
		return settings_refuse(settings, facility->name, NULL, "stderr has none: give log = syslog or journal");
	return check_metrics(settings);
}

int settings_check(const struct settings *settings)
{
	const struct setting *row;
	int ret = 0;

	for (row = settings_table(); row->name; row++)
		if (row->scope & SETTING_GLOBAL && check_process_row(settings, row))
			ret = -1;
	return ret ? ret : check_process_values(settings);
}
