// SPDX-License-Identifier: MIT
/* tlsgate show: sessions and relays. */
#include <inttypes.h>
#include <stdio.h>

#include "engine/engine.h"

#include "ctl.h"

#define PRETTY	(JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)

/* The first is left out where all sessions are of the caller's network namespace. */
static const char * const headings[] = {
	">NETNS", ">ID", "LABEL", "PEER", "ROLE", "VERSION", "SUITE", "STATE", ">IN", ">OUT", ">RECORDS",
	">REKEYS", ">AGE", "RELAY",
};

#define HEADINGS	(sizeof(headings) / sizeof(*headings))

static void add_number(struct ctl_table *table, uint64_t number)
{
	char text[CTL_TEXT_MAX];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	ctl_table_add(table, text);
}

/* How far it is on its way to a server says more than that it is established. */
static const char *state_text(const struct tlsgate_session *s)
{
	if (s->reason)
		return tlsgate_reason_name(s->reason);
	if (s->server.len && s->state == TLSGATE_STATE_ESTABLISHED)
		return tlsgate_delivery_name(s->delivery);
	return tlsgate_state_name(s->state);
}

static int add_row(void *arg, const struct tlsgate_session *s)
{
	char text[CTL_TEXT_MAX], address[TLSGATE_ADDRESS_TEXT_MAX], label[CTL_LABEL_MAX];
	struct ctl_table *table = arg;

	add_number(table, s->id);
	ctl_table_add(table, ctl_label(s, label));
	ctl_table_add(table, tlsgate_address_text(&s->peer, address));
	ctl_table_add(table, tlsgate_role_name(s->role));
	ctl_table_add(table, tlsgate_version_name(s->version));
	ctl_table_add(table, ctl_suite(s->suite, text));
	ctl_table_add(table, state_text(s));
	ctl_table_add(table, ctl_size(s->rx_bytes, text));
	ctl_table_add(table, ctl_size(s->tx_bytes, text));
	add_number(table, s->rx_records + s->tx_records);
	add_number(table, (uint64_t)s->rx_epoch + s->tx_epoch);
	ctl_table_add(table, ctl_time(s->age, text));
	ctl_table_add(table, tlsgate_address_text(s->server.len ? &s->server : &s->relay_peer,
						  address));
	return 0;
}

static int add_row_of_any(void *arg, const struct tlsgate_session *s)
{
	add_number(arg, s->netns);
	return add_row(arg, s);
}

static int add_object(void *arg, const struct tlsgate_session *s)
{
	if (json_object_array_add(arg, ctl_session_json(s)))
		ctl_must(NULL);
	return 0;
}

static int dump(struct tlsgate *tg, bool anywhere,
		int (*each)(void *arg, const struct tlsgate_session *session), void *arg)
{
	if (anywhere)
		return tlsgate_session_dump_netns(tg, TLSGATE_ALL_NETNS, each, arg);
	return tlsgate_session_dump(tg, each, arg);
}

static int show_all(struct tlsgate *tg, bool anywhere)
{
	struct ctl_table *table = ctl_table_new(headings + !anywhere, HEADINGS - !anywhere);
	int err = dump(tg, anywhere, anywhere ? add_row_of_any : add_row, table);

	if (err)
		ctl_failed(tg, err, "show");
	else if (!ctl_table_rows(table))
		puts(anywhere ? "no session" : "no session in this network namespace");
	else
		ctl_table_print(table);
	ctl_table_free(table);
	return err ? CTL_FAILED : CTL_DONE;
}

static int show_all_json(struct tlsgate *tg, bool anywhere)
{
	struct json_object *array = ctl_must(json_object_new_array());
	int err = dump(tg, anywhere, add_object, array);

	if (err) {
		ctl_failed(tg, err, "show");
		json_object_put(array);
		return CTL_FAILED;
	}
	return ctl_json_print(array, PRETTY);
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

static int show_one(struct tlsgate *tg, uint32_t id, bool json)
{
	struct tlsgate_session session;
	int err = tlsgate_session_get(tg, tlsgate_by_id(id), &session);

	if (err) {
		ctl_failed(tg, err, "show: session %u", id);
		return CTL_FAILED;
	}
	if (json)
		return ctl_json_print(ctl_session_json(&session), PRETTY);
	print_session(&session);
	return CTL_DONE;
}

int cmd_show(int argc, char **argv)
{
	bool anywhere = ctl_flag(&argc, argv, "--all-namespaces");
	const char *operand;
	struct tlsgate *tg;
	uint32_t id = 0;
	bool json;
	int status;

	if (ctl_arguments(argc, argv, &json, &operand))
		return CTL_USAGE;
	if (operand)
		id = ctl_id(operand);
	if (operand && !id)
		return CTL_USAGE;
	if (id && anywhere) {
		ctl_error("show: an ID is one of all namespaces: leave --all-namespaces out");
		return CTL_USAGE;
	}
	tg = ctl_open();
	if (!tg)
		return CTL_FAILED;
	if (id)
		status = show_one(tg, id, json);
	else
		status = json ? show_all_json(tg, anywhere) : show_all(tg, anywhere);
	tlsgate_close(tg);
	return status;
}
