// SPDX-License-Identifier: MIT
/* What commands take: options, a session id; and the handle and error line they share. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

void ctl_error(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "tlsgate: ");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

/* Root of a container may lack what it takes. */
static const char *who_may(void)
{
	return geteuid() ? "run tlsgate as root, for example by sudo" :
			   "this root lacks that, as in a container: run tlsgate on the host, or grant it here";
}

void ctl_failed(const struct tlsgate *tg, int err, const char *format, ...)
{
	const char *text = tlsgate_error(tg);
	char what[CTL_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	if (err == -EPERM)	/* behind ':' is what the kernel advises programs */
		ctl_error("%s: %.*s: %s", what, (int)strcspn(text, ":"), text, who_may());
	else
		ctl_error("%s: %s", what, text);
}

struct tlsgate *ctl_open(void)
{
	struct tlsgate *tg;
	const char *why;

	if (tlsgate_open(&tg, &why)) {
		ctl_error("%s", why);
		return NULL;
	}
	return tg;
}

int ctl_arguments(int argc, char **argv, bool *json, const char **operand)
{
	const char *unwanted = NULL;
	int i;

	if (json)
		*json = false;
	if (operand)
		*operand = NULL;
	for (i = 1; i < argc && !unwanted; i++) {
		if (json && strcmp(argv[i], "--json") == 0)
			*json = true;
		else if (operand && argv[i][0] != '-' && !*operand)
			*operand = argv[i];
		else
			unwanted = argv[i];
	}
	if (!unwanted)
		return 0;
	ctl_error("%s: '%s' is not understood, or lacks its value", argv[0], unwanted);
	return CTL_USAGE;
}

bool ctl_flag(int *argc, char **argv, const char *flag)
{
	bool given = false;
	int i, kept = 1;

	for (i = 1; i < *argc; i++) {
		if (strcmp(argv[i], flag) == 0)
			given = true;
		else
			argv[kept++] = argv[i];
	}
	*argc = kept;
	return given;
}

bool ctl_flag_value(int *argc, char **argv, const char *flag, const char **value)
{
	const size_t len = strlen(flag);
	bool given = ctl_flag(argc, argv, flag);
	int i, kept = 1;

	*value = NULL;
	for (i = 1; i < *argc; i++) {
		if (!strncmp(argv[i], flag, len) && argv[i][len] == '=')
			*value = argv[i] + len + 1;
		else
			argv[kept++] = argv[i];
	}
	*argc = kept;
	return given || *value;
}

const char *ctl_option(int *argc, char **argv, const char *option)
{
	const char *value = NULL;
	int i, kept = 1;

	for (i = 1; i < *argc; i++) {
		if (!value && i + 1 < *argc && strcmp(argv[i], option) == 0)
			value = argv[++i];
		else
			argv[kept++] = argv[i];
	}
	*argc = kept;
	return value;
}

uint32_t ctl_id(const char *text)
{
	unsigned long id;
	char *end;

	errno = 0;
	id = strtoul(text, &end, 10);
	if (isdigit((unsigned char)*text) && !*end && !errno && id > 0 && id <= UINT32_MAX)
		return id;
	ctl_error("'%s' is not a session id: tlsgate show lists them", text);
	return 0;
}
