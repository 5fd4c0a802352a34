// SPDX-License-Identifier: MIT
#include "daemon/complete.h"

#include <stdio.h>
#include <string.h>

#include "common/complete.h"
#include "daemon/options.h"
#include "daemon/settings.h"

#define OPTION_MAX	64

/* "--name" of a setting, or of what is none. */
static void name_option(char out[OPTION_MAX], const char *name)
{
	snprintf(out, OPTION_MAX, "--%s", name);
}

/* One option that is typed, or its value behind '='. */
static void offer(const char *typed, const char *name, const char *argument, const char *what)
{
	char option[OPTION_MAX], before[OPTION_MAX + 1];
	int len;

	name_option(option, name);
	len = complete_is_value(typed, option);
	if (len && argument) {
		snprintf(before, sizeof(before), "%.*s", len, typed);
		complete_values(typed, before, argument);
	}
	complete_word(typed, "", option, what);
}

static void offer_options(const char *typed)
{
	const struct setting *row;
	const struct other_option *other;

	for (row = settings_table(); row->name; row++)
		if (!(row->scope & SETTING_FILE))
			offer(typed, row->name, row->argument, row->help);
	for (other = options_others(); other->name; other++)
		offer(typed, other->name, other->argument, other->help);
}

/* As help writes it; NULL: word is no option that wants one as the next word. */
static const char *argument_of(const char *word)
{
	const struct other_option *other;
	const struct setting *row;
	char option[OPTION_MAX];

	for (row = settings_table(); row->name; row++) {
		name_option(option, row->name);
		if (!(row->scope & SETTING_FILE) && !strcmp(option, word))
			return row->scope & SETTING_SWITCH ? NULL : row->argument;
	}
	for (other = options_others(); other->name; other++) {
		name_option(option, other->name);
		if (!strcmp(option, word) || (other->letter && word[0] == '-' && word[1] == other->letter && !word[2]))
			return other->argument;
	}
	return NULL;
}

static void offer_settings(const char *typed)
{
	static const char * const kinds[] = { "gate", "route", "pass", NULL };
	const char * const *kind;
	const struct setting *row;

	for (row = settings_table(); row->name; row++)
		complete_word(typed, "", row->name, row->help);
	for (kind = kinds; *kind; kind++)
		complete_word(typed, "", *kind, "what a file has it for");
}

static void offer_first(const char *typed)
{
	complete_word(typed, "", "serve", "terminate TLS in front of a plain backend");
	complete_word(typed, "", "connect", "originate TLS to a backend");
	complete_word(typed, "", "help", "every setting, or one");
}

void complete_run(int count, char **words)
{
	const char *typed = count ? words[count - 1] : "";
	const char *argument = count > 1 ? argument_of(words[count - 2]) : NULL;

	if (argument)
		complete_values(typed, "", argument);
	else if (*typed == '-')
		offer_options(typed);
	else if (count == 1)
		offer_first(typed);
	else if (count == 2 && !strcmp(words[0], "help"))
		offer_settings(typed);
}
