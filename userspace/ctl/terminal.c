// SPDX-License-Identifier: MIT
/* What standard output is. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ctl.h"

#define COLUMNS_MAX	10000

bool ctl_is_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

static struct winsize size(void)
{
	struct winsize size = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		memset(&size, 0, sizeof(size));
	return size;
}

int ctl_terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	long width = columns ? strtol(columns, NULL, 10) : 0;

	if (ctl_is_terminal())
		return size().ws_col;
	return width > 0 && width < COLUMNS_MAX ? (int)width : 0;
}

int ctl_terminal_height(void)
{
	return size().ws_row;
}

bool ctl_has_colours(void)
{
	const char *terminal = getenv("TERM"), *none = getenv("NO_COLOR");

	return ctl_is_terminal() && !(none && *none) && terminal && strcmp(terminal, "dumb");
}
