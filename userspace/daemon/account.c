// SPDX-License-Identifier: MIT
#include "daemon/account.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/conn.h"
#include "daemon/ledger.h"
#include "daemon/pass.h"
#include "daemon/record.h"
#include "daemon/subject.h"

static void add_client_certificate(struct record *record, const struct tls_conn_info *info)
{
	char *name;
	int len;

	if (!info->peer_certificate)
		return;
	len = subject_common_name(info->peer_certificate, info->peer_certificate_len, &name);
	if (len < 0)
		return;
	record_bytes(record, "client-cert", name, (size_t)len);
	free(name);
}

/* What the handshake came to. */
static void add_handshake(struct record *record, const struct conn *conn)
{
	struct tls_conn_info info;

	if (conn->pass)
		record_text(record, "name", pass_name(conn->pass));
	if (!conn->tls)
		return;
	tls_conn_info(conn->tls, &info);
	record_text(record, "name", info.server_name);
	record_text(record, "alpn", info.alpn);
	if (conn->gate->settings->mode == GATE_SERVE)
		add_client_certificate(record, &info);
	if (!info.version)
		return;
	record_text(record, "version", tls_version_name(info.version));
	record_text(record, "suite", tls_suite_name(info.suite));
	record_text(record, "group", info.group ? tls_group_name(info.group) : NULL);
	record_flag(record, "resumed", info.resumed);
}

static const char *path_of(const struct conn *conn, uint32_t session)
{
	if (!session)
		return conn->pass ? "pass" : "user";
	return conn->state == CONN_DELIVERING ? "delivered" : "kernel";
}

static void begin(struct record *record, const struct conn *conn, uint32_t session, bool json)
{
	char client[ADDR_TEXT_MAX];

	record_begin(record, json);
	record_text(record, "gate", conn->gate->settings->name);
	record_text(record, "client", conn_client(conn, client));
	add_handshake(record, conn);
	record_text(record, "backend", conn_backend(conn));
	record_text(record, "path", path_of(conn, session));
	if (session)
		record_number(record, "session", session);
}

void account_reason(struct conn *conn, const char *format, ...)
{
	char text[RECORD_FIELD];
	va_list args;

	if (!conn->worker->settings->connection_log || conn->reason)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	conn->reason = strdup(text);	/* without memory the line has no reason */
}

static uint64_t from_client(const struct conn *conn)
{
	return conn->gate->settings->mode == GATE_SERVE ? conn->tls_bytes : conn->plain_bytes;
}

static uint64_t from_backend(const struct conn *conn)
{
	return conn->gate->settings->mode == GATE_SERVE ? conn->plain_bytes : conn->tls_bytes;
}

static void log_now(struct record *record, const struct conn *conn, const char *reason)
{
	record_end(record, from_client(conn), from_backend(conn), clock_ms() - conn->accepted, reason);
}

/* Lines that are not logged are JSON, too. */
static bool is_json(const struct conn *conn)
{
	const struct settings *settings = conn->worker->settings;

	return !settings->connection_log || settings->log_format == LOG_FORMAT_JSON;
}

void account_end(const struct conn *conn)
{
	struct record record;

	if (!conn->worker->settings->connection_log)
		return;
	begin(&record, conn, 0, is_json(conn));
	log_now(&record, conn, conn->reason ? conn->reason : "closed");
}

void account_hand_over(const struct conn *conn, uint32_t session)
{
	struct ledger_entry entry = {
		.session = session,
		.serves = conn->gate->settings->mode == GATE_SERVE,
		.from_client = from_client(conn),
		.from_backend = from_backend(conn),
		.accepted = conn->accepted,
		.logged = conn->worker->settings->connection_log,
		.counted = conn->gate->counted,
		.client = conn->client,
		.member = conn->member->id,
	};

	if (conn->worker->ledger == -1 && !entry.logged)
		return;
	snprintf(entry.gate, sizeof(entry.gate), "%s", conn->gate->settings->name);
	begin(&entry.record, conn, session, is_json(conn));
	if (!ledger_send(conn->worker->ledger, &entry))
		return;
	worker_count(conn->worker, conn->gate, STAT_UNTOLD, entry.counted);
	if (entry.logged)
		log_now(&entry.record, conn, "handed over");
}

static const char * const states[] = {
	[CONN_PREFACE] = "preface",
	[CONN_CONNECTING] = "connecting",
	[CONN_OPENING] = "opening",
	[CONN_HANDSHAKE] = "handshake",
	[CONN_DELIVERING] = "delivering",
	[CONN_RELAY] = "relayed",
	[CONN_PASS] = "passed",
	[CONN_LINGER] = "closing",
};

void account_list(const struct conn *conn, struct record *record)
{
	begin(record, conn, 0, true);
	record_text(record, "mode", conn->gate->settings->mode == GATE_SERVE ? "serve" : "connect");
	record_text(record, "state", states[conn->state]);
	record_number(record, "from-client", from_client(conn));
	record_number(record, "from-backend", from_backend(conn));
	record_number(record, "ms", clock_ms() - conn->accepted);
	record_close(record);
}
