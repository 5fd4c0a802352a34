// SPDX-License-Identifier: MIT
#include "daemon/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "common/log.h"
#include "common/mem.h"

#define DEFAULT_HANDSHAKE_TIMEOUT	10000
#define DEFAULT_CONNECT_TIMEOUT		10000
#define DEFAULT_RESOLVE_INTERVAL	30000
#define DEFAULT_KEEPALIVE		120
#define DEFAULT_KEEPALIVE_INTERVAL	15
#define DEFAULT_DRAIN_TIME		3600000
#define DEFAULT_STOP_TIME		5000

struct settings *settings_new(const char *file)
{
	struct settings *settings = xcalloc(1, sizeof(*settings));

	settings->file = file ? xstrdup(file) : NULL;
	settings->drain_time = DEFAULT_DRAIN_TIME;
	settings->stop_time = DEFAULT_STOP_TIME;
	settings->log_facility = LOG_DAEMON;
	return settings;
}

static void list_free(struct text_list *list)
{
	size_t i;

	for (i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	free(list->places);
}

static void gate_settings_clear(struct gate_settings *gate)
{
	while (gate->block_count)
		gate_settings_clear(&gate->blocks[--gate->block_count]);
	free(gate->blocks);
	free(gate->of);
	list_free(&gate->listen);
	list_free(&gate->certs);
	list_free(&gate->keys);
	list_free(&gate->cert_dirs);
	list_free(&gate->ticket_keys);
	list_free(&gate->bound);
	list_free(&gate->ocsp);
	list_free(&gate->crls);
	list_free(&gate->allow_client);
	list_free(&gate->accept_proxy);
	free(gate->name);
	list_free(&gate->backend.list);
	free(gate->backend.weights);
	free(gate->ca);
	free(gate->client_ca);
	free(gate->server_name);
	free(gate->suites);
	free(gate->groups);
	free(gate->alpn);
	free(gate->bind_device);
}

struct settings *settings_share(struct settings *settings)
{
	settings->sharers++;
	return settings;
}

void settings_free(struct settings *settings)
{
	size_t i;

	if (!settings || settings->sharers--)
		return;
	for (i = 0; i < settings->gate_count; i++)
		gate_settings_clear(&settings->gates[i]);
	free(settings->gates);
	free(settings->file);
	free(settings->user);
	free(settings->key_user);
	free(settings->keylog);
	free(settings->control);
	free(settings->control_group);
	free(settings->metrics);
	free(settings);
}

struct gate_settings *settings_add_gate(struct settings *settings, const char *name,
					struct position place)
{
	struct gate_settings *gate;

	settings->gates = xrealloc(settings->gates, settings->gate_count + 1,
				   sizeof(*settings->gates));
	gate = &settings->gates[settings->gate_count++];
	memset(gate, 0, sizeof(*gate));
	gate->name = xstrdup(name);
	gate->all = settings;
	gate->place = place;
	gate->handshake_timeout = DEFAULT_HANDSHAKE_TIMEOUT;
	gate->connect_timeout = DEFAULT_CONNECT_TIMEOUT;
	gate->resolve_interval = DEFAULT_RESOLVE_INTERVAL;
	gate->check = CHECK_BY_COUNT;
	gate->keepalive = DEFAULT_KEEPALIVE;
	gate->keepalive_interval = DEFAULT_KEEPALIVE_INTERVAL;
	return gate;
}

struct gate_settings *settings_add_block(struct gate_settings *gate, enum gate_mode kind,
					 const char *name, struct position place)
{
	struct gate_settings *block;

	gate->blocks = xrealloc(gate->blocks, gate->block_count + 1, sizeof(*gate->blocks));
	block = &gate->blocks[gate->block_count++];
	*block = (struct gate_settings){
		.name = xstrdup(name), .of = xstrdup(gate->name), .all = gate->all,
		.place = place, .mode = kind,
	};
	return block;
}

const char *gate_kind(const struct gate_settings *gate)
{
	return gate->mode == GATE_ROUTE ? "route" : gate->mode == GATE_PASS ? "pass" : "gate";
}

static bool has(const struct gate_settings *gate, const char *name)
{
	return setting_given(setting_find(name), gate->all, gate)->yes;
}

bool gate_only_passes(const struct gate_settings *gate)
{
	size_t i;

	for (i = 0; i < gate->block_count; i++)
		if (gate->blocks[i].mode != GATE_PASS)
			return false;
	return gate->block_count && !has(gate, "cert") && !has(gate, "cert-dir") && !has(gate, "backend");
}

const struct given *setting_given(const struct setting *row, const struct settings *settings,
				  const struct gate_settings *gate)
{
	const size_t number = (size_t)(row - settings_table());

	return row->scope & SETTING_GLOBAL ? &settings->given[number] : &gate->given[number];
}

static void add_bound(struct gate_settings *gate, const char *name, const char *value)
{
	struct text_list *list = &gate->bound;

	list->items = xrealloc(list->items, list->count + 1, sizeof(*list->items));
	list->items[list->count++] = xprintf("%s=%s", name, value);
}

int setting_apply(const struct setting *row, struct settings *settings, struct gate_settings *gate,
		  const char *value, struct position place, char why[SETTINGS_WHY_MAX])
{
	bool global = row->scope & SETTING_GLOBAL;
	char *field = (global ? (char *)settings : (char *)gate) + row->offset;
	struct given *given = (global ? settings->given : gate->given) + (row - settings_table());
	struct text_list *list;

	if (given->yes && !(row->scope & SETTING_LIST)) {
		snprintf(why, SETTINGS_WHY_MAX, "it is given twice");
		return -1;
	}
	*given = (struct given){ true, place };
	if (row->set(field, value, why))
		return -1;
	if (row->scope & SETTING_BOUND)
		add_bound(gate, row->name, value);
	if (row->scope & SETTING_LIST) {
		list = (struct text_list *)field;
		list->places = xrealloc(list->places, list->count, sizeof(*list->places));
		list->places[list->count - 1] = place;
	}
	return 0;
}

/* Of the value, where the setting is a list that has it; else of the setting, or of the gate. */
static struct position place_of(const struct gate_settings *gate, const struct setting *row,
			     const char *value)
{
	const struct text_list *list;
	size_t i;

	if (!row || !setting_given(row, gate->all, gate)->yes)
		return gate->place;
	list = (const struct text_list *)((const char *)gate + row->offset);
	for (i = 0; value && row->scope & SETTING_LIST && i < list->count; i++)
		if (!strcmp(list->items[i], value))
			return list->places[i];
	return setting_given(row, gate->all, gate)->place;
}

typedef void log_function(const char *format, ...);

static void report(log_function *log, bool refused, const struct gate_settings *gate,
		   const char *setting, const char *value, const char *why)
{
	const char *quote = setting && value ? "'" : "";
	struct position place = place_of(gate, setting ? setting_find(setting) : NULL, value);
	/* "route 'NAME': cert 'FILE'", "verify-client", "" */
	char *block = gate->of ? xprintf("%s '%s'%s", gate_kind(gate), gate->name, setting ? ": " : "") :
				 xstrdup("");
	char *what = xprintf("%s%s%s%s%s%s", block, setting ? setting : "", *quote ? " " : "", quote,
			     *quote ? value : "", quote);

	if (gate->all->file)
		log("%s:%u:%u: %sgate '%s': %s%s%s", gate->all->file, place.line, place.column,
		    refused ? "refused: " : "", gate->of ? gate->of : gate->name, what, *what ? ": " : "", why);
	else
		log("%s%s%s%s: %s", gate->name, *what ? ": " : "", what, refused ? " refused" : "",
		    why);
	free(what);
	free(block);
}

bool settings_may_refuse(struct settings *settings)
{
	settings->refusals++;
	if (settings->refusals == SETTINGS_MAX_REFUSALS + 1)
		log_error("%s: refused: there are more errors: correct these first",
			  settings->file ? settings->file : "command line");
	return settings->refusals <= SETTINGS_MAX_REFUSALS;
}

int gate_refuse(const struct gate_settings *gate, const char *setting, const char *value,
		const char *why)
{
	if (settings_may_refuse(gate->all))
		report(log_error, true, gate, setting, value, why);
	return -1;
}

void gate_warn(const struct gate_settings *gate, const char *setting, const char *value,
	       const char *why)
{
	report(log_warn, false, gate, setting, value, why);
}

static void report_process(log_function *log, bool refused, const struct settings *settings,
			   const char *setting, const char *value, const char *why)
{
	const struct given *given = setting_given(setting_find(setting), settings, NULL);
	char *what = value ? xprintf("%s '%s'", setting, value) : xstrdup(setting);

	if (settings->file && given->yes)
		log("%s:%u:%u: %s%s: %s", settings->file, given->place.line, given->place.column,
		    refused ? "refused: " : "", what, why);
	else
		log("%s%s: %s", what, refused ? " refused" : "", why);
	free(what);
}

int settings_refuse(const struct settings *settings, const char *setting, const char *value,
		    const char *why)
{
	report_process(log_error, true, settings, setting, value, why);
	return -1;
}

void settings_warn(const struct settings *settings, const char *setting, const char *value,
		   const char *why)
{
	report_process(log_warn, false, settings, setting, value, why);
}

char *gate_backends(const struct gate_settings *gate)
{
	const struct text_list *list = &gate->backend.list;
	char *text = xstrdup(""), *longer;
	size_t i;

	for (i = 0; i < list->count; i++) {
		longer = xprintf("%s%s%s", text, i ? ", " : "", list->items[i]);
		free(text);
		text = longer;
	}
	return text;
}

bool settings_has_control(const struct settings *settings)
{
	return settings->control ? strcmp(settings->control, "none") : settings->file != NULL;
}
