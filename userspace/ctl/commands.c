// SPDX-License-Identifier: MIT
/* The one table of commands and their options: for usage, help and completion. */
#include <string.h>

#include "ctl.h"

#define JSON	{ "--json", NULL, "as JSON, with all that is known", 0 }
#define END	{ NULL, NULL, NULL, 0 }

static const struct ctl_option none[] = { END };
static const struct ctl_option json[] = { JSON, END };

static const struct ctl_option show[] = {
	JSON,
	{ "--watch", "[=SECONDS]", "the table every 2 seconds, or as often as given, until it is interrupted", 0 },
	{ "--all-namespaces", NULL, "sessions of every network namespace of the machine", 0 },
	{ "--gate", "NAME", "connections of this gate", 0 },
	{ "--sort", "COLUMN", "by a heading of the table, such as in, age or gate", 0 },
	END,
};

static const struct ctl_option close_options[] = {
	{ "--all", NULL, "every session of this network namespace", 0 },
	{ "--gate", "NAME", "those of them that this gate installed", 0 },
	{ "--reset", NULL, "by RST at once, without an alert", 0 },
	END,
};

static const struct ctl_option gate[] = {
	{ "--gate", "NAME", "this gate instead of all", 0 },
	END,
};

static const struct ctl_option stats[] = {
	JSON,
	{ "--openmetrics", NULL, "all metrics, as a Prometheus server reads them", 0 },
	END,
};

const struct ctl_command ctl_commands[] = {
	{ "show", cmd_show, "[ID]", "connections, in the kernel and in tlsgated; with ID, all about one", true, show,
	  "Needs CAP_NET_ADMIN in the network namespace for what the kernel carries, and in the initial\n"
	  "user namespace for other network namespaces. What tlsgated alone knows (name, ALPN, client\n"
	  "certificate, group) it tells on its control socket." },
	{ "monitor", cmd_monitor, "", "events as they happen", false, json, "Needs CAP_NET_ADMIN." },
	{ "rekey", cmd_rekey, "ID", "send KeyUpdate and use the next key (TLS 1.3)", false, none,
	  "Needs CAP_NET_ADMIN." },
	{ "close", cmd_close, "[ID]", "end sessions by a fatal alert, or by RST", false, close_options,
	  "Wants one of ID, --all and --gate. Needs CAP_NET_ADMIN." },
	{ "ciphers", cmd_ciphers, "", "suites, and the kernel's driver for each", false, json, NULL },
	{ "handshake", cmd_handshake, "HOST:PORT", "one client handshake, each step shown", false,
	  ctl_handshake_options,
	  "Its exit status is 0 where the handshake succeeded. It needs neither module nor privilege." },
	{ "reload", cmd_reload, "", "have tlsgated read its configuration anew, and say what came of it", true, none,
	  "For root, the user of tlsgated and its control-group." },
	{ "upgrade", cmd_upgrade, "", "have tlsgated's program file, exchanged before, take over", true, none,
	  "It waits; where the file does not work, or refuses its configuration, what ran goes on.\n"
	  "For root, the user of tlsgated and its control-group." },
	{ "pause", cmd_pause, "", "have tlsgated keep new connections, so that the module can be replaced", true,
	  none, "For root, the user of tlsgated and its control-group." },
	{ "resume", cmd_resume, "", "have tlsgated hand new connections to the kernel again", true, none,
	  "For root, the user of tlsgated and its control-group." },
	{ "drain", cmd_drain, "[GATE BACKEND]", "have tlsgated accept no more; what is open goes on", true, gate,
	  "With a gate and one of its backends, that one gets no new connection, and the gate goes on.\n"
	  "For root, the user of tlsgated and its control-group." },
	{ "undrain", cmd_undrain, "[GATE BACKEND]", "have tlsgated accept again", true, gate,
	  "For root, the user of tlsgated and its control-group." },
	{ "gates", cmd_gates, "", "what tlsgated serves, and when its certificates end", true, json,
	  "Exits with 3 where a gate is drained, or has no backend." },
	{ "stats", cmd_stats, "", "what tlsgated's gates have done so far", true, stats, NULL },
	{ "ticket-key", cmd_ticket_key, "new FILE", "make keys of session tickets, or rotate those in FILE", false, none,
	  "FILE is one of tlsgated's setting ticket-keys: three keys, of which the second seals. Where FILE is there,\n"
	  "a new key comes behind, the oldest goes, and the one that was for later seals. Give the file to every host\n"
	  "before the next rotation, and wait two hours between two." },
	{ "version", cmd_version, "", "versions of program, interface, module and kernel", false, none, NULL },
	{ "help", cmd_help, "[COMMAND]", "this, or all about one command", false, none, NULL },
	{ NULL, NULL, NULL, NULL, false, NULL, NULL },
};

const struct ctl_command *ctl_find_command(const char *name)
{
	const struct ctl_command *command = ctl_commands;

	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	if (!strcmp(name, "--version"))
		name = "version";
	while (command->name && strcmp(command->name, name))
		command++;
	return command->name ? command : NULL;
}

static bool may_have_value(const struct ctl_option *option)
{
	return option->argument && option->argument[0] == '[';
}

bool ctl_takes_value(const struct ctl_option *option)
{
	return option->argument && !may_have_value(option);
}

/* "--watch=5" is "--watch". */
static bool is_called(const struct ctl_option *option, const char *word)
{
	const size_t len = strlen(option->name);

	return !strncmp(option->name, word, len) && (!word[len] || (word[len] == '=' && may_have_value(option)));
}

const struct ctl_option *ctl_find_option(const struct ctl_command *command, const char *name)
{
	const struct ctl_option *option = command->options;

	while (option->name && !is_called(option, name))
		option++;
	return option->name ? option : NULL;
}
