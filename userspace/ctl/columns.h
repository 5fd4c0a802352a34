/* SPDX-License-Identifier: MIT */
/* The table of tlsgate show: what each column says of a connection, and how it is sorted by. */
#ifndef TLSGATE_CTL_COLUMNS_H
#define TLSGATE_CTL_COLUMNS_H

#include "ctl.h"

/* A session of the kernel, what tlsgated knows of a connection, or both of one. */
struct ctl_row {
	const struct tlsgate_session *session;	/* NULL: a worker carries it, or it cannot be seen */
	struct json_object *known;		/* its texts can be printed; NULL: only the kernel has it */
};

/* A worker carries this connection of tlsgated's, not the kernel. */
bool ctl_worker_has(struct json_object *known);
/* The gate, or the label that another program gave. */
const char *ctl_row_gate(const struct ctl_row *row, char text[CTL_LABEL_MAX]);

/* "in"; NULL: there are fewer columns.  Valid until the next call. */
const char *ctl_column_name(int column);
/* The column of that name in any case ("in"), or -1. */
int ctl_column(const char *name);
/* As for qsort(): text from a to z, numbers from the greatest, ids from the least. */
int ctl_compare(const struct ctl_row *a, const struct ctl_row *b, int column);
/* The rows as a table; anywhere: with the namespaces. */
struct ctl_table *ctl_row_table(const struct ctl_row *rows, size_t count, bool anywhere);

#endif
