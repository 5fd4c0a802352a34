// SPDX-License-Identifier: MIT
#include "columns.h"

#include <ctype.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"

#define CELL_MAX	1024	/* a text of tlsgated, escaped, has up to 320 bytes */

/* ---- what is known -------------------------------------------------------------- */

static bool serves(const struct ctl_row *row)
{
	if (row->session)
		return row->session->role == TLSGATE_ROLE_SERVER;
	return !strcmp(ctl_member(row->known, "mode"), "serve");
}

static uint64_t known_number(const struct ctl_row *row, const char *key)
{
	return json_object_get_uint64(json_object_object_get(row->known, key));
}

/* From the TLS peer, and to it, since the connection was accepted. */
static uint64_t bytes_in(const struct ctl_row *row)
{
	return known_number(row, serves(row) ? "from-client" : "from-backend") +
	       (row->session ? row->session->rx_bytes : 0);
}

static uint64_t bytes_out(const struct ctl_row *row)
{
	return known_number(row, serves(row) ? "from-backend" : "from-client") +
	       (row->session ? row->session->tx_bytes : 0);
}

static uint64_t age(const struct ctl_row *row)
{
	return row->known ? known_number(row, "ms") : row->session->age;
}

static uint64_t id(const struct ctl_row *row)
{
	return row->session ? row->session->id : known_number(row, "session");
}

static uint64_t records(const struct ctl_row *row)
{
	return row->session ? row->session->rx_records + row->session->tx_records : 0;
}

static uint64_t rekeys(const struct ctl_row *row)
{
	return row->session ? (uint64_t)row->session->rx_epoch + row->session->tx_epoch : 0;
}

static uint64_t netns(const struct ctl_row *row)
{
	return row->session ? row->session->netns : 0;
}

bool ctl_worker_has(struct json_object *known)
{
	const char *path = ctl_member(known, "path");

	return !strcmp(path, "user") || !strcmp(path, "pass");
}

/* The kernel has it, and who asks may not see what. */
static bool is_hidden(const struct ctl_row *row)
{
	return !row->session && !ctl_worker_has(row->known);
}

/* ---- cells ---------------------------------------------------------------------- */

static void known_text(const struct ctl_row *row, const char *key, char out[CELL_MAX])
{
	const char *text = ctl_member(row->known, key);

	snprintf(out, CELL_MAX, "%s", *text ? text : "-");
}

const char *ctl_row_gate(const struct ctl_row *row, char text[CTL_LABEL_MAX])
{
	const char *gate = ctl_member(row->known, "gate");

	if (!*gate && row->session)
		return ctl_label(row->session, text);
	snprintf(text, CTL_LABEL_MAX, "%s", gate);
	return text;
}

static void gate_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	char label[CTL_LABEL_MAX];

	snprintf(out, CELL_MAX, "%s", ctl_row_gate(row, label));
}

static void address_cell(const struct tlsgate_address *address, char out[CELL_MAX])
{
	char text[TLSGATE_ADDRESS_TEXT_MAX];

	snprintf(out, CELL_MAX, "%s", tlsgate_address_text(address, text));
}

/* A client's as tlsgated knows it: the kernel has that of a proxy which speaks for the client. */
static void peer_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	if (row->session && !(row->known && serves(row)))
		address_cell(&row->session->peer, out);
	else
		known_text(row, serves(row) ? "client" : "backend", out);
}

static void relay_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	const struct tlsgate_session *s = row->session;

	if (s)
		address_cell(s->server.len ? &s->server : &s->relay_peer, out);
	else
		known_text(row, serves(row) ? "backend" : "client", out);
}

static void name_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	known_text(row, "name", out);
}

static void alpn_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	known_text(row, "alpn", out);
}

static void client_cert_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	known_text(row, "client-cert", out);
}

static void group_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	known_text(row, "group", out);
}

/* Who installed it: without the kernel, nobody did. */
static void user_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	const struct passwd *user = row->session ? getpwuid(row->session->uid) : NULL;

	if (user)
		snprintf(out, CELL_MAX, "%s", user->pw_name);
	else if (row->session)
		snprintf(out, CELL_MAX, "%" PRIu32, row->session->uid);
	else
		snprintf(out, CELL_MAX, "-");
}

static void path_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	if (row->known)
		known_text(row, "path", out);
	else
		snprintf(out, CELL_MAX, "%s", row->session->server.len ? "delivered" : "kernel");
}

static void role_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	snprintf(out, CELL_MAX, "%s", serves(row) ? "server" : "client");
}

static void version_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	if (row->session)
		snprintf(out, CELL_MAX, "%s", tlsgate_version_name(row->session->version));
	else
		known_text(row, "version", out);
}

static void suite_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	char text[CTL_TEXT_MAX];

	if (row->session)
		snprintf(out, CELL_MAX, "%s", ctl_suite(row->session->suite, text));
	else
		known_text(row, "suite", out);
}

/* How far it is on its way to a server says more than that it is established. */
static void state_cell(const struct ctl_row *row, char out[CELL_MAX])
{
	const struct tlsgate_session *s = row->session;

	if (!s)
		known_text(row, "state", out);
	else if (s->reason)
		snprintf(out, CELL_MAX, "%s", tlsgate_reason_name(s->reason));
	else if (s->server.len && s->state == TLSGATE_STATE_ESTABLISHED)
		snprintf(out, CELL_MAX, "%s", tlsgate_delivery_name(s->delivery));
	else
		snprintf(out, CELL_MAX, "%s", tlsgate_state_name(s->state));
}

/* ---- columns -------------------------------------------------------------------- */

static void number_text(uint64_t number, char out[CTL_TEXT_MAX])
{
	snprintf(out, CTL_TEXT_MAX, "%" PRIu64, number);
}

static void size_text(uint64_t number, char out[CTL_TEXT_MAX])
{
	(void)ctl_size(number, out);
}

static void time_text(uint64_t number, char out[CTL_TEXT_MAX])
{
	(void)ctl_time(number, out);
}

/* Either a text, or a number with how it is written. */
static const struct column {
	const char *heading;
	void (*text)(const struct ctl_row *row, char out[CELL_MAX]);
	uint64_t (*number)(const struct ctl_row *row);
	void (*write)(uint64_t number, char out[CTL_TEXT_MAX]);
	bool of_kernel;			/* nobody else counts that */
	bool ascends;
} columns[] = {
	{ ">NETNS", NULL, netns, number_text, true, true },
	{ ">ID", NULL, id, number_text, false, true },
	{ "GATE", gate_cell, NULL, NULL, false, true },
	{ "PEER", peer_cell, NULL, NULL, false, true },
	{ "NAME", name_cell, NULL, NULL, false, true },
	{ "ALPN", alpn_cell, NULL, NULL, false, true },
	{ "CLIENT-CERT", client_cert_cell, NULL, NULL, false, true },
	{ "USER", user_cell, NULL, NULL, false, true },
	{ "PATH", path_cell, NULL, NULL, false, true },
	{ "ROLE", role_cell, NULL, NULL, false, true },
	{ "VERSION", version_cell, NULL, NULL, false, true },
	{ "SUITE", suite_cell, NULL, NULL, false, true },
	{ "GROUP", group_cell, NULL, NULL, false, true },
	{ "STATE", state_cell, NULL, NULL, false, true },
	{ ">IN", NULL, bytes_in, size_text, false, false },
	{ ">OUT", NULL, bytes_out, size_text, false, false },
	{ ">RECORDS", NULL, records, number_text, true, false },
	{ ">REKEYS", NULL, rekeys, number_text, true, false },
	{ ">AGE", NULL, age, time_text, false, false },
	{ "RELAY", relay_cell, NULL, NULL, false, true },
};

#define COLUMNS		((int)(sizeof(columns) / sizeof(*columns)))

/* What a narrow terminal does without, first to last. */
static const char * const spare[] = {
	">REKEYS", ">RECORDS", "USER", "ROLE", "SUITE", "RELAY", "GROUP", "ALPN", "VERSION", "CLIENT-CERT", "NAME",
	">AGE", "PATH", NULL,
};

static const char *name_of(int column)
{
	return columns[column].heading + (*columns[column].heading == '>');
}

const char *ctl_column_name(int column)
{
	static char name[16];
	size_t i;

	if (column >= COLUMNS)
		return NULL;
	snprintf(name, sizeof(name), "%s", name_of(column));
	for (i = 0; name[i]; i++)
		name[i] = (char)tolower((unsigned char)name[i]);
	return name;
}

int ctl_column(const char *name)
{
	int i;

	for (i = 0; i < COLUMNS; i++)
		if (!strcasecmp(name_of(i), name))
			return i;
	return -1;
}

static int compare_texts(const struct ctl_row *a, const struct ctl_row *b, const struct column *column)
{
	char left[CELL_MAX], right[CELL_MAX];

	column->text(a, left);
	column->text(b, right);
	return strcmp(left, right);
}

int ctl_compare(const struct ctl_row *a, const struct ctl_row *b, int index)
{
	const struct column *column = &columns[index];
	uint64_t left, right;
	int order;

	if (!column->number)
		return compare_texts(a, b, column);
	left = column->number(a);
	right = column->number(b);
	order = (left > right) - (left < right);
	return column->ascends ? order : -order;
}

/* A worker's connection has no id, and counts no records. */
static bool is_empty(const struct ctl_row *row, const struct column *column)
{
	if (column->number == id)
		return !id(row);
	if (column->of_kernel)
		return !row->session;
	return column->write == size_text && is_hidden(row);
}

static void add_cell(struct ctl_table *table, const struct ctl_row *row, const struct column *column)
{
	char text[CELL_MAX] = "-";

	if (!column->number)
		column->text(row, text);
	else if (!is_empty(row, column))
		column->write(column->number(row), text);
	ctl_table_add(table, *text ? text : "-");
}

struct ctl_table *ctl_row_table(const struct ctl_row *rows, size_t count, bool anywhere)
{
	const char *headings[COLUMNS];
	struct ctl_table *table;
	const int first = !anywhere;
	size_t i;
	int j;

	for (j = first; j < COLUMNS; j++)
		headings[j] = columns[j].heading;
	table = ctl_table_new(headings + first, (size_t)(COLUMNS - first));
	for (i = 0; i < count; i++)
		for (j = first; j < COLUMNS; j++)
			add_cell(table, &rows[i], &columns[j]);
	ctl_table_spare(table, spare);
	return table;
}
