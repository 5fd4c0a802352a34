// SPDX-License-Identifier: MIT
#include "daemon/account.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "daemon/conn.h"
#include "daemon/subject.h"

#define LINE_MAX	4000
#define FIELD_MAX	320	/* of text, escaped: eleven of them fit */

struct line {
	bool json;
	size_t len;
	char text[LINE_MAX];
};

__attribute__((format(printf, 2, 3)))
static void append(struct line *line, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line->text + line->len, sizeof(line->text) - line->len, format, args);
	va_end(args);
	if (n > 0)
		line->len += (size_t)n;
	if (line->len >= sizeof(line->text))
		line->len = sizeof(line->text) - 1;
}

/* value: printable, and quoted where it has to be. */
static void add(struct line *line, const char *key, const char *value)
{
	if (line->json)
		append(line, ",\"%s\":%s", key, value);
	else
		append(line, " %s=%s", key, value);
}

/* NULL: the field is left out. */
static void add_text(struct line *line, const char *key, const char *text)
{
	char value[FIELD_MAX];

	if (text)
		add(line, key, escape(line->json ? ESCAPE_JSON : ESCAPE_VALUE, value, sizeof(value),
				      text, strlen(text)));
}

static void add_number(struct line *line, const char *key, uint64_t number)
{
	char value[32];

	snprintf(value, sizeof(value), "%llu", (unsigned long long)number);
	add(line, key, value);
}

static void add_client_certificate(struct line *line, const struct tls_conn_info *info)
{
	char *name;

	if (!info->peer_certificate ||
	    subject_common_name(info->peer_certificate, info->peer_certificate_len, &name) < 0)
		return;
	add_text(line, "client-cert", name);
	free(name);
}

/* What the handshake came to. */
static void add_handshake(struct line *line, const struct conn *conn)
{
	struct tls_conn_info info;

	if (!conn->tls)
		return;
	tls_conn_info(conn->tls, &info);
	add_text(line, "name", info.server_name);
	add_text(line, "alpn", info.alpn);
	if (conn->gate->settings->mode == GATE_SERVE)
		add_client_certificate(line, &info);
	if (!tls_conn_established(conn->tls))
		return;
	add_text(line, "version", tls_version_name(info.version));
	add_text(line, "suite", tls_suite_name(info.suite));
	add_text(line, "group", info.group ? tls_group_name(info.group) : NULL);
	add(line, "resumed", info.resumed ? "true" : "false");
}

static void add_path(struct line *line, uint32_t session)
{
	add_text(line, "path", session ? "kernel" : "user");
	if (session)
		add_number(line, "session", session);
}

static void add_traffic(struct line *line, const struct conn *conn)
{
	const bool serves = conn->gate->settings->mode == GATE_SERVE;
	char value[32];

	add_number(line, "from-client", serves ? conn->tls_bytes : conn->plain_bytes);
	add_number(line, "from-backend", serves ? conn->plain_bytes : conn->tls_bytes);
	snprintf(value, sizeof(value), "%.3f", ev_now(conn->worker->loop) - conn->accepted);
	add(line, "seconds", value);
}

void account_reason(struct conn *conn, const char *format, ...)
{
	char text[FIELD_MAX];
	va_list args;

	if (!conn->worker->settings->connection_log || conn->reason)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	conn->reason = strdup(text);	/* without memory the line has no reason */
}

void account_log(const struct conn *conn, uint32_t session)
{
	struct line line = { .json = conn->worker->settings->log_format == LOG_FORMAT_JSON };
	char client[ADDR_TEXT_MAX];

	if (!conn->worker->settings->connection_log)
		return;
	append(&line, "%s", line.json ? "{\"event\":\"connection\"" : "connection");
	add_text(&line, "gate", conn->gate->settings->name);
	add_text(&line, "client", conn_client(conn, client));
	add_handshake(&line, conn);
	add_text(&line, "backend", conn->gate->settings->backend);
	add_path(&line, session);
	add_traffic(&line, conn);
	add_text(&line, "reason", conn->reason ? conn->reason : "closed");
	append(&line, "%s", line.json ? "}" : "");
	log_info("%s", line.text);
}
