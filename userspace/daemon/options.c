// SPDX-License-Identifier: MIT
#include "daemon/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "daemon/complete.h"
#include "tlsgate_version.h"

#define MAX_OPTIONS	(SETTINGS_MAX_ROWS + 8)	/* and those that are no setting */
#define HINT		"; see tlsgated --help"

enum {
	OPT_CONFIG = 'c',
	OPT_HELP = 'h',
	OPT_TEST = 't',
	OPT_VERSION = 0x100,
	OPT_FOREGROUND,
	OPT_SETTING,			/* + row of the settings table */
};

static const struct other_option others[] = {
	{ "config", OPT_CONFIG, "FILE", OPT_CONFIG, "every gate in a configuration file" },
	{ "test", OPT_TEST, NULL, OPT_TEST, "say what is wrong with the configuration file, and start nothing" },
	{ "foreground", 0, NULL, OPT_FOREGROUND, "stay in the foreground (the default)" },
	{ "help", OPT_HELP, NULL, OPT_HELP, "every setting" },
	{ "version", 0, NULL, OPT_VERSION, "print the version" },
	{ NULL, 0, NULL, 0, NULL },
};

/* What a file has besides settings. */
static const struct block {
	const char *kind, *help, *more;
} blocks[] = {
	{ "gate", "what listens, and where its clients go", "Its settings are those of a gate: see tlsgated --help" },
	{ "route", "within a gate of mode serve: clients that ask for NAME go elsewhere",
	  "NAME is a host name, *.DOMAIN, or * for all clients; the one that fits best is taken.  Its settings are\n"
	  "backend and, for clients with which one of these protocols was agreed on, alpn" },
	{ "pass", "within a gate of mode serve: TLS of clients that ask for NAME is relayed as it is",
	  "NAME is a host name, *.DOMAIN, or a protocol with a slash, as acme-tls/1; its setting is backend.\n"
	  "It cannot stand beside starttls" },
	{ NULL, NULL, NULL },
};

const struct other_option *options_others(void)
{
	return others;
}

static size_t add_option(struct option *out, size_t count, const char *name, int has_arg, int code)
{
	out[count] = (struct option){ .name = name, .has_arg = has_arg, .val = code };
	return count + 1;
}

static int argument_of(const struct setting *row)
{
	if (!row->argument)
		return no_argument;
	return row->scope & SETTING_SWITCH ? optional_argument : required_argument;
}

static void build_options(struct option out[MAX_OPTIONS])
{
	const struct setting *table = settings_table();
	const struct other_option *other;
	const struct setting *row;
	size_t count = 0;

	for (other = others; other->name; other++)
		count = add_option(out, count, other->name,
				   other->argument ? required_argument : no_argument, other->code);
	for (row = table; row->name; row++)
		if (!(row->scope & SETTING_FILE))
			count = add_option(out, count, row->name, argument_of(row),
					   OPT_SETTING + (int)(row - table));
	out[count] = (struct option){0};
}

static void print_rows(const char *title, unsigned int mask, unsigned int scope)
{
	const struct setting *row;
	const char *open, *close;
	char left[48];

	printf("\n%s\n", title);
	for (row = settings_table(); row->name; row++) {
		if (row->scope & SETTING_FILE || (row->scope & mask) != scope)
			continue;
		open = argument_of(row) == no_argument ? "" : row->scope & SETTING_SWITCH ? "[=" : "=";
		close = row->scope & SETTING_SWITCH ? "]" : "";
		snprintf(left, sizeof(left), "--%s%s%s%s", row->name, open,
			 row->argument ? row->argument : "", close);
		printf("  %-34s %s\n", left, row->help);
	}
}

static void print_blocks(void)
{
	const struct block *block;
	char left[48];

	printf("\nin a file, which has the same settings as NAME = VALUE:\n");
	for (block = blocks; block->kind; block++) {
		snprintf(left, sizeof(left), "%s NAME { ... }", block->kind);
		printf("  %-34s %s\n", left, block->help);
	}
}

static void print_help(void)
{
	const unsigned int mask = SETTING_GATE | SETTING_GLOBAL;

	printf("usage: tlsgated serve   LISTEN BACKEND --cert FILE --key FILE [options]\n"
	       "       tlsgated connect LISTEN BACKEND [--ca FILE] [--server-name NAME] [options]\n"
	       "       tlsgated -c FILE [--verbose]\n"
	       "       tlsgated -t [-c FILE]\n"
	       "       tlsgated help [SETTING]\n"
	       "\n"
	       "serve terminates TLS in front of a plain BACKEND; connect originates TLS to BACKEND.\n"
	       "LISTEN is ADDR:PORT, [V6]:PORT, :PORT (IPv6 and IPv4), unix:/path or unix:@name;\n"
	       "BACKEND also NAME:PORT.\n");
	print_rows("serve:", mask, SETTING_SERVE);
	print_rows("connect:", mask, SETTING_CONNECT);
	print_rows("both:", mask, SETTING_GATE);
	print_blocks();
	print_rows("process:", mask, SETTING_GLOBAL);
	printf("  %-34s %s\n", "--foreground", "stay in the foreground (the default)");
	printf("  %-34s %s\n", "-c, --config=FILE", "every gate in a configuration file");
	printf("  %-34s %s\n", "-t, --test", "say what is wrong with FILE, by default");
	printf("  %-34s %s\n", "", OPTIONS_CONFIG_FILE ", and start nothing");
	printf("  %-34s %s\n", "--version, --help", "print the version; this text");
	printf("\nSIGHUP reads certificates and configuration anew without dropping a connection;\n"
	       "SIGTERM gives open connections stop-time, SIGQUIT gives them drain-time, and ends then.\n"
	       "Exit status: 0 done, 1 failed at run time, 2 bad usage;\n"
	       "of -t: 0 nothing is wrong, 1 it is refused, 2 there are warnings alone, or bad usage.\n");
}

static const char *place_of(const struct setting *row)
{
	if (row->scope & SETTING_GLOBAL)
		return "the process";
	return (row->scope & SETTING_GATE) == SETTING_SERVE ? "a gate of mode serve" :
	       (row->scope & SETTING_GATE) == SETTING_CONNECT ? "a gate of mode connect" : "a gate";
}

static bool explain_block(const char *name)
{
	const struct block *block = blocks;

	while (block->kind && strcmp(block->kind, name))
		block++;
	if (block->kind)
		printf("%s NAME { ... }\n\n%s\n\n%s.\ntlsgated.conf(5) has more.\n", block->kind, block->help, block->more);
	return block->kind;
}

static enum options_result explain(const char *name)
{
	const struct setting *row = setting_find(name + (strncmp(name, "--", 2) ? 0 : 2));

	if (!row && explain_block(name))
		return OPTIONS_DONE;
	if (!row) {
		log_error("help '%s' refused: no setting is called so" HINT, name);
		return OPTIONS_BAD;
	}
	printf("%s = %s\n\n%s\n\n", row->name, row->argument ? row->argument : "true|false", row->help);
	printf("A setting of %s%s%s%s.\n", place_of(row), row->needs ? ", together with " : "",
	       row->needs ? row->needs : "",
	       row->scope & SETTING_FILE ? "; on the command line it has no name" : "");
	if (row->scope & SETTING_LIST)
		printf("In a file several are a list: %s = { A, B }.\n", row->name);
	if (row->argument && !strcmp(row->argument, "TIME"))
		puts("TIME is 500ms, 30s, 5m or 2h, at most 24h; 30 alone is in seconds.");
	puts("tlsgated.conf(5) has more.");
	return OPTIONS_DONE;
}

/* Where the options go while it is not known yet whether -c was given. */
struct parse {
	struct options *options;
	struct settings *settings;
	const char *settings_option;	/* one that -c cannot stand beside */
};

static enum options_result apply_setting(struct parse *parse, const struct setting *row,
					 const char *value)
{
	char why[SETTINGS_WHY_MAX] = "";

	if (!strcmp(row->name, "verbose"))
		parse->options->verbose = true;
	else
		parse->settings_option = row->name;
	if (setting_apply(row, parse->settings, &parse->settings->gates[0],
			  value ? value : "true", (struct position){0}, why)) {
		log_error("--%s '%s' refused: %s" HINT, row->name, value ? value : "true", why);
		return OPTIONS_BAD;
	}
	return OPTIONS_RUN;
}

static enum options_result one_option(struct parse *parse, int code, char **argv)
{
	switch (code) {
	case OPT_CONFIG:
		parse->options->config_file = optarg;
		return OPTIONS_RUN;
	case OPT_TEST:
		parse->options->test = true;
		return OPTIONS_RUN;
	case OPT_FOREGROUND:
		return OPTIONS_RUN;
	case OPT_HELP:
		print_help();
		return OPTIONS_DONE;
	case OPT_VERSION:
		puts("tlsgated " TLSGATE_VERSION);
		return OPTIONS_DONE;
	case ':':
		log_error("%s needs a value" HINT, argv[optind - 1]);
		return OPTIONS_BAD;
	case '?':
		log_error("option '%s' is not known, or takes no value" HINT, argv[optind - 1]);
		return OPTIONS_BAD;
	default:
		return apply_setting(parse, settings_table() + (code - OPT_SETTING), optarg);
	}
}

static enum options_result set_word(struct parse *parse, const char *name, const char *value)
{
	const struct setting *row = setting_find(name);
	char why[SETTINGS_WHY_MAX] = "";

	if (!setting_apply(row, parse->settings, &parse->settings->gates[0], value,
			   (struct position){0}, why))
		return OPTIONS_RUN;
	log_error("%s '%s' refused: %s" HINT, row->argument, value, why);
	return OPTIONS_BAD;
}

static enum options_result finish_gate(struct parse *parse, int argc, char **argv)
{
	struct gate_settings *gate = &parse->settings->gates[0];
	if (argc < 1) {
		log_error("what to do is missing: serve, connect or -c FILE" HINT);
		return OPTIONS_BAD;
	}
	if (strcmp(argv[0], "serve") && strcmp(argv[0], "connect")) {
		log_error("command '%s' is not known: use serve, connect or -c FILE" HINT, argv[0]);
		return OPTIONS_BAD;
	}
	if (argc != 3) {
		log_error("%s needs exactly LISTEN and BACKEND, %d given" HINT, argv[0], argc - 1);
		return OPTIONS_BAD;
	}
	free(gate->name);
	gate->name = xprintf("%s %s", argv[0], argv[1]);
	if (set_word(parse, "mode", argv[0]) != OPTIONS_RUN ||
	    set_word(parse, "listen", argv[1]) != OPTIONS_RUN ||
	    set_word(parse, "backend", argv[2]) != OPTIONS_RUN || gate_settings_check(gate) ||
	    settings_check(parse->settings))
		return OPTIONS_BAD;
	return OPTIONS_RUN;
}

static enum options_result finish_config(struct parse *parse, int argc, char **argv)
{
	if (argc) {
		log_error("%s stands alone, but '%s' was given too" HINT,
			  parse->options->test ? "-t [-c FILE]" : "-c FILE", argv[0]);
		return OPTIONS_BAD;
	}
	if (parse->settings_option) {
		log_error("--%s cannot stand beside -c FILE or -t: write it into the file",
			  parse->settings_option);
		return OPTIONS_BAD;
	}
	return OPTIONS_RUN;
}

enum options_result options_parse(int argc, char **argv, struct options *options)
{
	struct parse parse = { .options = options };
	enum options_result result = OPTIONS_RUN;
	struct option list[MAX_OPTIONS];
	int code;

	*options = (struct options){ .argv = argv };
	if (argc > 1 && !strcmp(argv[1], "complete")) {
		complete_run(argc - 2, argv + 2);
		return OPTIONS_DONE;
	}
	if (argc == 3 && !strcmp(argv[1], "help"))
		return explain(argv[2]);
	if (argc == 2 && !strcmp(argv[1], "help")) {
		print_help();
		return OPTIONS_DONE;
	}
	parse.settings = settings_new(NULL);
	(void)settings_add_gate(parse.settings, "command line", (struct position){0});
	build_options(list);
	opterr = 0;
	while (result == OPTIONS_RUN && (code = getopt_long(argc, argv, ":c:ht", list, NULL)) != -1)
		result = one_option(&parse, code, argv);
	if (options->test && !options->config_file)
		options->config_file = OPTIONS_CONFIG_FILE;
	if (result == OPTIONS_RUN)
		result = options->config_file ?
			 finish_config(&parse, argc - optind, argv + optind) :
			 finish_gate(&parse, argc - optind, argv + optind);
	if (result == OPTIONS_RUN && !options->config_file)
		options->settings = parse.settings;
	else
		settings_free(parse.settings);
	return result;
}
