// SPDX-License-Identifier: MIT
/* tlsgate show: the kernel's sessions and relays, and the connections of tlsgated's workers. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

#include "columns.h"
#include "ctl.h"

#define PRETTY		(JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)
#define WATCH_SECONDS	2	/* the default */
#define WATCH_MAX	3600
#define AROUND_TABLE	2	/* lines: its headings, and where the cursor stays */

struct request {
	bool json, anywhere;
	int watch;			/* seconds between two tables; 0: one is all */
	const char *gate;		/* NULL: all */
	int sort;			/* column; -1: as they come */
	uint32_t id;			/* 0: all */
};

struct list {
	struct tlsgate_session *sessions;
	size_t session_count;
	struct json_object *answer;	/* tlsgated's; NULL: none */
	bool hidden;			/* the kernel tells us nothing */
	struct ctl_row *rows;
	size_t count;
};

static int keep_session(void *arg, const struct tlsgate_session *session)
{
	struct list *list = arg;

	list->sessions = ctl_must(reallocarray(list->sessions, list->session_count + 1,
					       sizeof(*list->sessions)));
	list->sessions[list->session_count++] = *session;
	return 0;
}

static int dump(struct tlsgate *tg, const struct request *request, struct list *list)
{
	struct tlsgate_session session;
	int err;

	if (request->anywhere)
		return tlsgate_session_dump_netns(tg, TLSGATE_ALL_NETNS, keep_session, list);
	if (!request->id)
		return tlsgate_session_dump(tg, keep_session, list);
	err = tlsgate_session_get(tg, tlsgate_by_id(request->id), &session);
	return err ? err : keep_session(list, &session);
}

/* Where tlsgated answers, and all are asked for, its own connections can be shown without the kernel. */
static int read_kernel(const struct request *request, struct list *list)
{
	bool needed = !list->answer || request->id || request->anywhere;
	struct tlsgate *tg;
	const char *why;
	int err = 0;

	if (tlsgate_open(&tg, &why)) {
		if (needed)
			ctl_error("%s", why);
		return needed ? CTL_FAILED : CTL_DONE;
	}
	err = dump(tg, request, list);
	list->hidden = err == -EPERM && !needed;
	if (list->hidden)
		ctl_error("show: what the kernel carries is told to root alone: run tlsgate as root, for example by sudo");
	else if (err && request->id)
		ctl_failed(tg, err, "show: session %u", request->id);
	else if (err)
		ctl_failed(tg, err, "show");
	tlsgate_close(tg);
	return err && !list->hidden ? CTL_FAILED : CTL_DONE;
}

/* ---- rows ------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
	const struct tlsgate_session *left = a, *right = b;

	return (left->id > right->id) - (left->id < right->id);
}

static struct json_object *connections(const struct list *list)
{
	struct json_object *array = json_object_object_get(list->answer, "connections");

	return json_object_is_type(array, json_type_array) ? array : NULL;
}

/* Ids begin anew with each module: is it the same one's?  Either text may be cut or escaped. */
static bool is_label(const struct tlsgate_session *session, const char *gate)
{
	char label[CTL_LABEL_MAX];

	(void)ctl_label(session, label);
	return !strncmp(label, gate, strlen(label) < TLSGATE_LABEL_MAX ? strlen(gate) + 1 : TLSGATE_LABEL_MAX);
}

/* The kernel's session of a connection; NULL: a worker carries it, or it ended meanwhile. */
static struct tlsgate_session *session_of(const struct list *list, struct json_object *known)
{
	const struct tlsgate_session key = {
		.id = (uint32_t)json_object_get_int64(json_object_object_get(known, "session")),
	};

	struct tlsgate_session *session;

	if (!list->session_count)
		return NULL;
	session = bsearch(&key, list->sessions, list->session_count, sizeof(key), by_id);
	return session && is_label(session, ctl_member(known, "gate")) ? session : NULL;
}

/* In the order of ids, and then the workers'. */
static void join_rows(const struct request *request, struct list *list)
{
	struct json_object *array = connections(list), *known;
	size_t i, length = array ? json_object_array_length(array) : 0;
	struct tlsgate_session *session;

	if (list->session_count)
		qsort(list->sessions, list->session_count, sizeof(*list->sessions), by_id);
	list->rows = ctl_must(calloc(list->session_count + length + 1, sizeof(*list->rows)));
	for (i = 0; i < list->session_count; i++)
		list->rows[list->count++].session = &list->sessions[i];
	for (i = 0; i < length; i++) {
		known = json_object_array_get_idx(array, i);
		session = session_of(list, known);
		if (session)
			list->rows[session - list->sessions].known = known;
		else if (!request->id && json_object_is_type(known, json_type_object) &&
			 (list->hidden || ctl_worker_has(known)))
			list->rows[list->count++].known = known;
	}
}

static void keep_gate(struct list *list, const char *gate)
{
	char text[CTL_LABEL_MAX];
	size_t i, kept = 0;

	for (i = 0; i < list->count; i++)
		if (!strcmp(ctl_row_gate(&list->rows[i], text), gate))
			list->rows[kept++] = list->rows[i];
	list->count = kept;
}

static int compare_rows(const void *a, const void *b, void *column)
{
	return ctl_compare(a, b, *(int *)column);
}

static void free_list(struct list *list)
{
	free(list->rows);
	free(list->sessions);
	json_object_put(list->answer);
}

static int read_list(const struct request *request, struct list *list)
{
	int status, column = request->sort;

	*list = (struct list){ .answer = ctl_connections(request->json) };
	status = read_kernel(request, list);
	if (status != CTL_DONE)
		return status;
	join_rows(request, list);
	if (request->gate)
		keep_gate(list, request->gate);
	if (column >= 0 && list->count)
		qsort_r(list->rows, list->count, sizeof(*list->rows), compare_rows, &column);
	return CTL_DONE;
}

/* ---- all of them ------------------------------------------------------------------ */

/* What only the kernel or only tlsgated knows is not there. */
static struct json_object *row_json(const struct ctl_row *row)
{
	struct json_object *object = row->session ? ctl_session_json(row->session) :
						    ctl_must(json_object_new_object());

	if (row->known &&
	    json_object_object_add(object, "connection", json_object_get(row->known)))
		ctl_must(NULL);
	return object;
}

static int print_json(const struct list *list)
{
	struct json_object *array = ctl_must(json_object_new_array());
	size_t i;

	for (i = 0; i < list->count; i++)
		if (json_object_array_add(array, row_json(&list->rows[i])))
			ctl_must(NULL);
	return ctl_json_print(array, PRETTY);
}

static void print_silent(const struct list *list)
{
	const int silent = json_object_get_int(json_object_object_get(list->answer, "silent"));

	if (silent > 0)
		ctl_error("show: %d of tlsgated's workers did not answer in time: their connections are not here",
			  silent);
}

static void print_none(const struct request *request, const struct list *list)
{
	if (request->gate)
		printf("no connection of gate '%s'; tlsgate gates lists the gates\n", request->gate);
	else if (request->anywhere)
		puts("no session");
	else
		puts(list->answer ? "no connection" : "no session in this network namespace");
}

static void print_table(const struct request *request, const struct list *list, size_t rows)
{
	struct ctl_table *table = ctl_row_table(list->rows, list->count, request->anywhere);

	if (!list->count)
		print_none(request, list);
	else
		ctl_table_print_rows(table, rows);
	ctl_table_free(table);
}

static int show_all(const struct request *request)
{
	struct list list;
	int status = read_list(request, &list);

	if (status == CTL_DONE && request->json)
		status = print_json(&list);
	else if (status == CTL_DONE)
		print_table(request, &list, SIZE_MAX);
	if (status == CTL_DONE)
		print_silent(&list);
	free_list(&list);
	return status;
}

/* A terminal is cleared each time, and shows as many rows as it has lines. */
static int watch(const struct request *request)
{
	const bool terminal = ctl_is_terminal();
	const char *clear = "";
	struct list list;
	int height, status;

	while ((status = read_list(request, &list)) == CTL_DONE) {
		height = terminal ? ctl_terminal_height() : 0;
		fputs(terminal ? "\033[H\033[2J" : clear, stdout);
		print_table(request, &list, height > AROUND_TABLE ? (size_t)(height - AROUND_TABLE) : SIZE_MAX);
		free_list(&list);
		if (fflush(stdout))
			return CTL_FAILED;
		clear = "\n";
		(void)poll(NULL, 0, 1000 * request->watch);
	}
	free_list(&list);
	return status;
}

/* ---- one session ------------------------------------------------------------------ */

static void line(const char *name, const char *value)
{
	printf("%-14s %s\n", name, value);
}

static void print_addresses(const struct tlsgate_session *s)
{
	char text[TLSGATE_ADDRESS_TEXT_MAX];

	line("peer", tlsgate_address_text(&s->peer, text));
	line("local", tlsgate_address_text(&s->local, text));
	if (s->server.len)
		line("server", tlsgate_address_text(&s->server, text));
	if (!s->relay_local.len && !s->relay_peer.len)
		return;
	line("relay peer", tlsgate_address_text(&s->relay_peer, text));
	line("relay local", tlsgate_address_text(&s->relay_local, text));
}

static void print_state(const struct tlsgate_session *s)
{
	char text[CTL_TEXT_MAX];

	line("role", tlsgate_role_name(s->role));
	line("version", tlsgate_version_name(s->version));
	line("suite", ctl_suite(s->suite, text));
	line("state", tlsgate_state_name(s->state));
	if (s->server.len)
		line("delivery", tlsgate_delivery_name(s->delivery));
	if (s->reason)
		printf("%-14s %s: %s\n", "reason", tlsgate_reason_name(s->reason),
		       tlsgate_reason_text(s->reason));
	if (s->alert >= 0)
		line("last alert", tls_alert_name(s->alert));
}

static void print_direction(const char *name, uint64_t bytes, uint64_t records, uint32_t epoch)
{
	char text[CTL_TEXT_MAX];

	printf("%-14s %s, bytes %" PRIu64 ", records %" PRIu64 ", rekeys %" PRIu32 "\n", name,
	       ctl_size(bytes, text), bytes, records, epoch);
}

/* What tlsgated knows of it. */
static void print_known(struct json_object *known)
{
	static const struct {
		const char *name, *key;
	} lines[] = {
		{ "gate", "gate" }, { "client", "client" }, { "backend", "backend" }, { "server name", "name" },
		{ "alpn", "alpn" }, { "client cert", "client-cert" }, { "group", "group" },
		{ "resumed", "resumed" },
	};
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (*ctl_member(known, lines[i].key))
			line(lines[i].name, ctl_member(known, lines[i].key));
}

static void print_session(const struct tlsgate_session *s)
{
	char text[CTL_TEXT_MAX], label[CTL_LABEL_MAX];

	printf("%-14s %" PRIu32 "\n", "session", s->id);
	line("label", ctl_label(s, label));
	print_addresses(s);
	print_state(s);
	print_direction("in", s->rx_bytes, s->rx_records, s->rx_epoch);
	print_direction("out", s->tx_bytes, s->tx_records, s->tx_epoch);
	if (s->tx_past_limit)
		line("send key", "past its limit: TLS 1.2 has no other");
	line("age", ctl_time(s->age, text));
	line("idle for", ctl_time(s->idle, text));
	line("idle timeout", s->idle_timeout ? ctl_time(s->idle_timeout, text) : "none");
	printf("%-14s %u bytes\n", "record size", s->record_size);
	if (s->padding)
		printf("%-14s multiples of %u bytes\n", "padding", s->padding);
	printf("%-14s %" PRIu32 "\n", "installed by", s->uid);
	printf("%-14s %" PRIu64 "\n", "socket cookie", s->cookie);
	printf("%-14s %" PRIu32 "\n", "namespace", s->netns);
}

static int show_one(const struct request *request)
{
	struct list list;
	int status = read_list(request, &list);

	if (status == CTL_DONE && request->json) {
		status = ctl_json_print(row_json(&list.rows[0]), PRETTY);
	} else if (status == CTL_DONE) {
		print_session(list.rows[0].session);
		print_known(list.rows[0].known);
	}
	free_list(&list);
	return status;
}

/* ---- the command ------------------------------------------------------------------ */

/* What an ID and a table do not go with.  0, or CTL_USAGE after an error line. */
static int check(const struct request *request, const char *sort)
{
	if (request->id && (request->anywhere || request->gate || sort || request->watch))
		ctl_error("show: an ID is one of all namespaces and gates: leave --all-namespaces, --gate, --sort and --watch out");
	else if (request->watch && request->json)
		ctl_error("show: --watch shows a table: leave --json out");
	else if (sort && request->sort < 0)
		ctl_error("show: --sort '%s' refused: it is no heading of the table, such as in, age or gate", sort);
	else if (request->gate && !*request->gate)
		ctl_error("show: --gate '' refused: no gate has an empty name: tlsgate gates lists them");
	else
		return CTL_DONE;
	return CTL_USAGE;
}

/* 0 or CTL_USAGE after an error line. */
static int read_watch(const char *text, int *seconds)
{
	char *end;
	long n = text ? strtol(text, &end, 10) : WATCH_SECONDS;

	*seconds = (int)n;
	if (!text || (*text >= '0' && *text <= '9' && !*end && n >= 1 && n <= WATCH_MAX))
		return CTL_DONE;
	ctl_error("show: --watch '%s' refused: it must be a number of seconds from 1 to %d", text, WATCH_MAX);
	return CTL_USAGE;
}

int cmd_show(int argc, char **argv)
{
	struct request request = {
		.anywhere = ctl_flag(&argc, argv, "--all-namespaces"),
		.gate = ctl_option(&argc, argv, "--gate"),
	};
	const char *sort = ctl_option(&argc, argv, "--sort"), *operand, *seconds;

	if (ctl_flag_value(&argc, argv, "--watch", &seconds) && read_watch(seconds, &request.watch))
		return CTL_USAGE;
	request.sort = sort ? ctl_column(sort) : -1;
	if (ctl_arguments(argc, argv, &request.json, &operand))
		return CTL_USAGE;
	if (operand)
		request.id = ctl_id(operand);
	if ((operand && !request.id) || check(&request, sort))
		return CTL_USAGE;
	if (request.id)
		return show_one(&request);
	return request.watch ? watch(&request) : show_all(&request);
}
