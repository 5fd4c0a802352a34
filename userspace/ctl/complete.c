// SPDX-License-Identifier: MIT
/*
 * tlsgate complete WORD...: what a shell is to offer for the last of these words, which is
 * being typed.  For the scripts in packaging/completion/, by common/complete.h.
 */
#include <stdio.h>
#include <string.h>

#include "common/complete.h"

#include "columns.h"
#include "ctl.h"

static void offer_gates(const char *typed)
{
	struct json_object *answer = ctl_gates(), *gates = json_object_object_get(answer, "gates"), *gate;
	size_t i;

	for (i = 0; json_object_is_type(gates, json_type_array) && i < json_object_array_length(gates); i++) {
		gate = json_object_array_get_idx(gates, i);
		complete_word(typed, "", ctl_member(gate, "name"), ctl_member(gate, "backend"));
	}
	json_object_put(answer);
}

/* Of the gate of that name. */
static void offer_backends(const char *typed, const char *name)
{
	struct json_object *answer = ctl_gates(), *gates = json_object_object_get(answer, "gates"), *gate, *list;
	size_t i, j;

	for (i = 0; json_object_is_type(gates, json_type_array) && i < json_object_array_length(gates); i++) {
		gate = json_object_array_get_idx(gates, i);
		list = json_object_object_get(gate, "backends");
		if (strcmp(ctl_member(gate, "name"), name) || !json_object_is_type(list, json_type_array))
			continue;
		for (j = 0; j < json_object_array_length(list); j++)
			complete_word(typed, "", ctl_member(json_object_array_get_idx(list, j), "backend"), "");
	}
	json_object_put(answer);
}

static void offer_columns(const char *typed)
{
	const char *name;
	int i;

	for (i = 0; (name = ctl_column_name(i)); i++)
		complete_word(typed, "", name, "");
}

static void offer_commands(const char *typed)
{
	const struct ctl_command *command;

	for (command = ctl_commands; command->name; command++)
		complete_word(typed, "", command->name, command->what);
}

static int offer_id(void *arg, const struct tlsgate_session *session)
{
	char id[CTL_TEXT_MAX], peer[TLSGATE_ADDRESS_TEXT_MAX];

	snprintf(id, sizeof(id), "%u", session->id);
	complete_word(arg, "", id, tlsgate_address_text(&session->peer, peer));
	return 0;
}

/* Of who may see them. */
static void offer_ids(const char *typed)
{
	struct tlsgate *tg;
	const char *why;

	if (tlsgate_open(&tg, &why))
		return;
	(void)tlsgate_session_dump(tg, offer_id, (void *)typed);
	tlsgate_close(tg);
}

/* By what help writes for it. */
static void offer_argument(const char *typed, const char *before, const char *argument)
{
	if (strstr(argument, "COMMAND"))
		offer_commands(typed);
	else if (strstr(argument, "COLUMN"))
		offer_columns(typed);
	else if (strstr(argument, "ID"))
		offer_ids(typed);
	else
		complete_values(typed, before, argument);
}

/* Of several words the one of that number; all but the last are to be typed as they are. */
static void offer_operand(const char *typed, const char *operand, int number)
{
	char word[CTL_TEXT_MAX];

	for (; number > 0 && strchr(operand, ' '); number--)
		operand = strchr(operand, ' ') + 1;
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(operand, " "), operand);
	if (strchr(operand, ' '))
		complete_word(typed, "", word, "");
	else
		offer_argument(typed, "", word);
}

static void offer_option_value(const char *typed, const struct ctl_option *option)
{
	if (!strcmp(option->name, "--gate"))
		offer_gates(typed);
	else
		offer_argument(typed, "", option->argument);
}

static void offer_options(const char *typed, const struct ctl_command *command)
{
	const struct ctl_option *option;
	char before[CTL_TEXT_MAX];
	int len;

	for (option = command->options; option->name; option++) {
		len = complete_is_value(typed, option->name);
		if (len && ctl_takes_value(option)) {
			snprintf(before, sizeof(before), "%.*s", len, typed);
			complete_values(typed, before, option->argument);
		}
		complete_word(typed, "", option->name, option->what);
	}
	if (command->asks_daemon)
		complete_word(typed, "", "-S", "the control socket of tlsgated");
}

/* The gate, or one of its backends where the words before name a gate already. */
static void offer_gate_or_backend(const char *typed, const struct ctl_command *command, int count, char **words)
{
	const struct ctl_option *option;
	const char *gate = NULL;
	int i;

	for (i = 0; i < count; i++) {
		option = ctl_find_option(command, words[i]);
		if ((option && option->argument) || !strcmp(words[i], "-S"))
			i++;
		else if (*words[i] != '-')
			gate = words[i];
	}
	if (gate)
		offer_backends(typed, gate);
	else
		offer_gates(typed);
}

/* words: those behind the command, the last of which is being typed. */
static void complete_command(const struct ctl_command *command, int count, char **words)
{
	const char *typed = words[count - 1], *last = count > 1 ? words[count - 2] : "";
	const struct ctl_option *option = ctl_find_option(command, last);

	if (option && ctl_takes_value(option))
		offer_option_value(typed, option);
	else if (command->asks_daemon && !strcmp(last, "-S"))
		puts(":files");
	else if (*typed == '-')
		offer_options(typed, command);
	else if (strstr(command->operand, "GATE"))
		offer_gate_or_backend(typed, command, count - 1, words);
	else if (*command->operand)
		offer_operand(typed, command->operand, count - 1);
	else
		offer_options(typed, command);
}

/* -S PATH behind the command, all of it. */
static void find_control(int count, char **words)
{
	int i;

	for (i = 0; i + 1 < count; i++)
		if (!strcmp(words[i], "-S"))
			ctl_control = words[i + 1];
}

int cmd_complete(int argc, char **argv)
{
	const struct ctl_command *command;
	int first = 1;

	/* a shell has no use for complaints */
	if (!freopen("/dev/null", "w", stderr))
		return CTL_FAILED;
	if (argc > first + 2 && !strcmp(argv[first], "-S")) {
		ctl_control = argv[first + 1];
		first += 2;
	}
	command = argc > first + 1 ? ctl_find_command(argv[first]) : NULL;
	if (command) {
		find_control(argc - first - 1, argv + first);
		complete_command(command, argc - first - 1, argv + first + 1);
	} else if (argc == first + 1) {
		offer_commands(argv[first]);
		complete_word(argv[first], "", "-S", "the control socket of tlsgated");
	} else if (argc == first + 2 && !strcmp(argv[first], "-S")) {
		puts(":files");
	}
	return CTL_DONE;
}
