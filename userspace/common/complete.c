// SPDX-License-Identifier: MIT
#include "common/complete.h"

#include <stdio.h>
#include <string.h>

#define CHOICE_MAX	64

void complete_word(const char *typed, const char *before, const char *word, const char *what)
{
	const size_t len = strlen(before);

	if (strncmp(typed, before, len) || strncmp(word, typed + len, strlen(typed + len)))
		return;
	printf("%s%s\t%s\n", before, word, what);
}

void complete_values(const char *typed, const char *before, const char *argument)
{
	const bool is_list = strchr(argument, '|');
	char choice[CHOICE_MAX];
	size_t len;

	for (; *argument; argument += len + (argument[len] == '|')) {
		len = strcspn(argument, "|");
		snprintf(choice, sizeof(choice), "%.*s", (int)len, argument);
		if (!strcmp(choice, "FILE") || !strcmp(choice, "DIR") || !strcmp(choice, "PATH"))
			puts(":files");
		else if (is_list && !strpbrk(choice, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
			complete_word(typed, before, choice, "");
	}
}

int complete_is_value(const char *typed, const char *name)
{
	const size_t len = strlen(name);

	return !strncmp(typed, name, len) && typed[len] == '=' ? (int)len + 1 : 0;
}
