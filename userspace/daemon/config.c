// SPDX-License-Identifier: MIT
#include "daemon/config.h"

#include <confuse.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

#define MAX_OPTS	40
#define MAX_FILE	(1u << 20)

/*
 * libconfuse takes the end of the file for a closing brace, so that half a
 * gate would pass for a whole one.  This key is put behind the text: it is
 * known outside of a gate only, and its name is the error message.
 */
#define END_MARK	"closing-brace-is-missing-above"

static const struct setting *find_row(const char *name)
{
	const struct setting *row = settings_table();

	while (row->name && strcmp(row->name, name))
		row++;
	return row->name ? row : NULL;
}

/* libconfuse refuses an empty name without a word. */
static bool reported;

static void report(cfg_t *cfg, const char *format, va_list args)
{
	char text[512];

	reported = true;
	vsnprintf(text, sizeof(text), format, args);
	log_error("%s:%d: refused: %s", cfg->filename ? cfg->filename : "configuration", cfg->line,
		  text);
}

/* Called while the parser stands on the line, so that the message can name it. */
static int check_value(cfg_t *cfg, cfg_opt_t *opt)
{
	const struct setting *row = find_row(cfg_opt_name(opt));
	char why[SETTINGS_WHY_MAX] = "";
	const char *value;
	unsigned int i;

	for (i = 0; i < cfg_opt_size(opt); i++) {
		value = cfg_opt_getnstr(opt, i);
		if (row && !setting_check(row, value, why))
			continue;
		cfg_error(cfg, "%s = '%s': %s", cfg_opt_name(opt), value, why);
		return -1;
	}
	return 0;
}

static void build_opts(cfg_opt_t out[MAX_OPTS], unsigned int scope)
{
	const struct setting *row;
	size_t count = 0;

	for (row = settings_table(); row->name; row++) {
		if (!(row->scope & scope))
			continue;
		/* by assignment through a constant: CFG_STR() is an initializer */
		if (row->scope & SETTING_LIST) {
			const cfg_opt_t opt = CFG_STR_LIST((char *)(uintptr_t)row->name, NULL,
							   CFGF_NODEFAULT);
			out[count] = opt;
		} else {
			const cfg_opt_t opt = CFG_STR((char *)(uintptr_t)row->name, NULL,
						      CFGF_NODEFAULT);
			out[count] = opt;
		}
		out[count++].validcb = check_value;
	}
	out[count] = (cfg_opt_t)CFG_END();
}

static int apply_section(cfg_t *section, unsigned int scope, struct settings *settings,
			 struct gate_settings *gate)
{
	char why[SETTINGS_WHY_MAX] = "";
	const struct setting *row;
	unsigned int i;

	for (row = settings_table(); row->name; row++) {
		if (!(row->scope & scope))
			continue;
		for (i = 0; i < cfg_size(section, row->name); i++) {
			const char *value = cfg_getnstr(section, row->name, i);

			if (value && setting_apply(row, settings, gate, value, why))
				return -1;
		}
	}
	return 0;
}

static int apply_gate(const char *path, cfg_t *section, struct settings *settings)
{
	struct gate_settings *gate = settings_add_gate(settings, cfg_title(section));
	char why[SETTINGS_WHY_MAX] = "";

	if (apply_section(section, SETTING_GATE, settings, gate) ||
	    gate_settings_check(gate, why)) {
		log_error("%s:%d: refused: gate '%s': %s", path, section->line, gate->name, why);
		return -1;
	}
	return 0;
}

static int apply_file(const char *path, cfg_t *cfg, struct settings *settings)
{
	unsigned int gates = cfg_size(cfg, "gate");
	unsigned int i;

	if (!gates || gates > SETTINGS_MAX_GATES) {
		log_error("%s: refused: %u gates, wanted are 1 to %d: write gate NAME { ... }", path,
			  gates, SETTINGS_MAX_GATES);
		return -1;
	}
	if (apply_section(cfg, SETTING_GLOBAL, settings, NULL))
		return -1;
	for (i = 0; i < gates; i++)
		if (apply_gate(path, cfg_getnsec(cfg, "gate", i), settings))
			return -1;
	return 0;
}

/* 0, or -1 and one line was logged. */
static int parse_text(const char *path, cfg_t *cfg, const char *text)
{
	char *whole = xprintf("%s\n" END_MARK " = x\n", text);
	FILE *stream = fmemopen(whole, strlen(whole), "r");
	int ret;

	reported = false;
	ret = stream ? cfg_parse_fp(cfg, stream) : CFG_FILE_ERROR;
	if (stream)
		fclose(stream);
	free(whole);
	if (ret != CFG_SUCCESS && !reported)
		log_error("%s:%d: refused: it cannot be parsed: write NAME = VALUE or gate NAME { ... }",
			  path, cfg->line);
	/* else the mark was part of a comment, and a gate before it perhaps a half */
	else if (ret == CFG_SUCCESS && !cfg_getstr(cfg, END_MARK))
		log_error("%s: refused: a comment is not closed: write */ at its end", path);
	return ret == CFG_SUCCESS && cfg_getstr(cfg, END_MARK) ? 0 : -1;
}

static enum config_result parse(const char *path, cfg_t *cfg, struct settings **out)
{
	struct settings *settings;
	size_t len;
	char *text;
	int ret = -1;

	text = file_read(path, MAX_FILE, &len);
	if (!text) {
		log_error("configuration %s cannot be read: %s", path, strerror(errno));
		return CONFIG_UNREADABLE;
	}
	cfg->filename = xstrdup(path);	/* cfg_free() frees it */
	if (strlen(text) == len)
		ret = parse_text(path, cfg, text);
	else
		log_error("%s: refused: there is a NUL byte in it: write plain text", path);
	free(text);
	if (ret)
		return CONFIG_BAD;

	settings = settings_new();
	if (apply_file(path, cfg, settings)) {
		settings_free(settings);
		return CONFIG_BAD;
	}
	*out = settings;
	return CONFIG_OK;
}

enum config_result config_read(const char *path, struct settings **out)
{
	enum config_result result = CONFIG_UNREADABLE;
	cfg_opt_t gate_opts[MAX_OPTS];
	cfg_opt_t opts[MAX_OPTS];
	size_t count = 0;
	cfg_t *cfg;

	*out = NULL;
	build_opts(gate_opts, SETTING_GATE);
	build_opts(opts, SETTING_GLOBAL);
	while (opts[count].name)
		count++;
	opts[count++] = (cfg_opt_t)CFG_SEC("gate", gate_opts,
					   CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
	opts[count++] = (cfg_opt_t)CFG_STR(END_MARK, NULL, CFGF_NONE);
	opts[count] = (cfg_opt_t)CFG_END();

	cfg = cfg_init(opts, CFGF_NONE);
	if (!cfg) {
		log_error("configuration %s cannot be read: out of memory", path);
		return result;
	}
	(void)cfg_set_error_function(cfg, report);
	result = parse(path, cfg, out);
	cfg_free(cfg);
	return result;
}
