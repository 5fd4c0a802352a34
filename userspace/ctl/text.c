// SPDX-License-Identifier: MIT
/* Numbers and tables for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "engine/engine.h"

#include "ctl.h"

const char *ctl_size(uint64_t bytes, char text[CTL_TEXT_MAX])
{
	static const char * const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = bytes;
	size_t unit = 0;

	if (bytes < 1000) {
		snprintf(text, CTL_TEXT_MAX, "%u B", (unsigned int)bytes);
		return text;
	}
	/* 999.95 would be written as 1000.0 */
	for (value /= 1024; value >= 999.95; value /= 1024)
		unit++;
	snprintf(text, CTL_TEXT_MAX, "%.1f %s", value, units[unit]);
	return text;
}

const char *ctl_time(uint64_t ms, char text[CTL_TEXT_MAX])
{
	uint64_t s = ms / 1000;

	if (ms < 1000)
		snprintf(text, CTL_TEXT_MAX, "%u ms", (unsigned int)ms);
	else if (s < 60)
		snprintf(text, CTL_TEXT_MAX, "%u s", (unsigned int)s);
	else if (s < 3600)
		snprintf(text, CTL_TEXT_MAX, "%um %02us", (unsigned int)(s / 60),
			 (unsigned int)(s % 60));
	else if (s < 86400)
		snprintf(text, CTL_TEXT_MAX, "%uh %02um", (unsigned int)(s / 3600),
			 (unsigned int)(s / 60 % 60));
	else
		snprintf(text, CTL_TEXT_MAX, "%llud %02uh", (unsigned long long)(s / 86400),
			 (unsigned int)(s / 3600 % 24));
	return text;
}

const char *ctl_label(const struct tlsgate_session *session, char text[CTL_LABEL_MAX])
{
	if (!session->label_len)
		return "-";
	return escape(ESCAPE_PLAIN, text, CTL_LABEL_MAX, session->label, session->label_len);
}

const char *ctl_suite(uint16_t suite, char text[CTL_TEXT_MAX])
{
	const char *name = tls_suite_name(suite);

	if (name)
		snprintf(text, CTL_TEXT_MAX, "%s", name);
	else
		snprintf(text, CTL_TEXT_MAX, "0x%04x", suite);
	return text;
}

/* ---- tables -------------------------------------------------------------------- */

struct ctl_table {
	size_t columns, cells, room;
	char **cell;		/* headings first, then row by row */
	const char * const *spare;	/* headings that may be left out, NULL at the end; or NULL */
	int *widths;		/* of the columns, while it is printed; 0: left out */
};

#define GAP		2	/* blanks between columns */
#define NARROW		8	/* no column is cut to less */

void *ctl_must(void *p)
{
	if (!p) {
		ctl_error("out of memory");
		exit(CTL_FAILED);
	}
	return p;
}

struct ctl_table *ctl_table_new(const char * const headings[], size_t columns)
{
	struct ctl_table *table = ctl_must(calloc(1, sizeof(*table)));
	size_t i;

	table->columns = columns;
	for (i = 0; i < columns; i++)
		ctl_table_add(table, headings[i]);
	return table;
}

void ctl_table_add(struct ctl_table *table, const char *cell)
{
	if (table->cells == table->room) {
		table->room = table->room ? 2 * table->room : 64;
		table->cell = ctl_must(reallocarray(table->cell, table->room,
						    sizeof(*table->cell)));
	}
	table->cell[table->cells++] = ctl_must(strdup(cell));
}

size_t ctl_table_rows(const struct ctl_table *table)
{
	return table->cells / table->columns - 1;
}

static int column_width(const struct ctl_table *table, size_t column)
{
	size_t width = 0;
	size_t i;

	for (i = column; i < table->cells; i += table->columns) {
		size_t len = strlen(table->cell[i]);

		if (i == column && *table->cell[i] == '>')
			len--;
		if (len > width)
			width = len;
	}
	return width;
}

static size_t last_column(const struct ctl_table *table)
{
	size_t i = table->columns - 1;

	while (i && !table->widths[i])
		i--;
	return i;
}

/* Of a line, without what follows the last column. */
static int line_width(const struct ctl_table *table)
{
	int width = -GAP;
	size_t i;

	for (i = 0; i < table->columns; i++)
		width += table->widths[i] ? table->widths[i] + GAP : 0;
	return width;
}

/* The widest that is no number, or columns. */
static size_t widest(const struct ctl_table *table)
{
	size_t i, found = table->columns;

	for (i = 0; i < table->columns; i++)
		if (*table->cell[i] != '>' &&
		    (found == table->columns || table->widths[i] > table->widths[found]))
			found = i;
	return found;
}

static void leave_out(struct ctl_table *table, const char *heading)
{
	size_t i;

	for (i = 0; i < table->columns; i++)
		if (strcmp(table->cell[i], heading) == 0)
			table->widths[i] = 0;
}

/* Leaves columns out, and then cuts the widest, until a line fits. */
static void fit(struct ctl_table *table, int width)
{
	const char * const *spare;
	size_t column;

	for (spare = table->spare; spare && *spare && line_width(table) > width; spare++)
		leave_out(table, *spare);
	while (line_width(table) > width) {
		column = widest(table);
		if (column == table->columns || table->widths[column] <= NARROW)
			return;
		table->widths[column]--;
	}
}

static void print_text(const char *text, int width, bool right, bool last)
{
	const int len = (int)strlen(text);

	if (len > width)
		printf("%.*s...", width - 3, text);
	else if (right)
		printf("%*s", width, text);
	else
		printf("%-*s", last ? 0 : width, text);
}

/* The last column is not filled up: no line ends in blanks. */
static void print_cell(const struct ctl_table *table, size_t i)
{
	size_t column = i % table->columns;
	bool right = *table->cell[column] == '>', last = column == last_column(table);
	const char *text = table->cell[i];

	if (!table->widths[column])
		return;
	if (i == column && right)
		text++;
	print_text(text, table->widths[column], right, last);
	fputs(last ? "" : "  ", stdout);
}

static void print_row(const struct ctl_table *table, size_t row)
{
	bool bold = !row && ctl_has_colours();
	size_t i;

	fputs(bold ? "\033[1m" : "", stdout);
	for (i = 0; i < table->columns; i++)
		print_cell(table, row * table->columns + i);
	fputs(bold ? "\033[0m\n" : "\n", stdout);
}

void ctl_table_print_rows(struct ctl_table *table, size_t rows)
{
	const int width = ctl_terminal_width();
	size_t i;

	table->widths = ctl_must(calloc(table->columns, sizeof(*table->widths)));
	for (i = 0; i < table->columns; i++)
		table->widths[i] = column_width(table, i);
	if (width)
		fit(table, width);
	for (i = 0; i <= rows && i <= ctl_table_rows(table); i++)
		print_row(table, i);
	free(table->widths);
	table->widths = NULL;
}

void ctl_table_print(struct ctl_table *table)
{
	ctl_table_print_rows(table, SIZE_MAX);
}

void ctl_table_spare(struct ctl_table *table, const char * const headings[])
{
	table->spare = headings;
}

void ctl_table_free(struct ctl_table *table)
{
	size_t i;

	for (i = 0; i < table->cells; i++)
		free(table->cell[i]);
	free(table->cell);
	free(table);
}
