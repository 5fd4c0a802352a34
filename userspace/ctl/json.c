// SPDX-License-Identifier: MIT
/* The same for programs: names as in the netlink ABI, with the unit where there is one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "engine/engine.h"

#include "ctl.h"

static void add(struct json_object *object, const char *name, struct json_object *value)
{
	if (json_object_object_add(object, name, ctl_must(value)))
		ctl_must(NULL);
}

static void add_text(struct json_object *object, const char *name, const char *text)
{
	add(object, name, json_object_new_string(text));
}

static void add_number(struct json_object *object, const char *name, uint64_t number)
{
	add(object, name, json_object_new_uint64(number));
}

static void add_address(struct json_object *object, const char *name,
			const struct tlsgate_address *address)
{
	char text[TLSGATE_ADDRESS_TEXT_MAX];

	if (address->len)
		add_text(object, name, tlsgate_address_text(address, text));
}

/* json-c would pass on bytes that are no UTF-8. */
static void add_label(struct json_object *object, const struct tlsgate_session *session)
{
	char text[12 * TLSGATE_LABEL_MAX + 3];

	add(object, "label", json_tokener_parse(escape(ESCAPE_JSON, text, sizeof(text), session->label,
						       session->label_len)));
}

static void add_counters(struct json_object *object, const struct tlsgate_session *session)
{
	add_number(object, "tx_bytes", session->tx_bytes);
	add_number(object, "rx_bytes", session->rx_bytes);
	add_number(object, "tx_records", session->tx_records);
	add_number(object, "rx_records", session->rx_records);
	add_number(object, "tx_epoch", session->tx_epoch);
	add_number(object, "rx_epoch", session->rx_epoch);
	add_number(object, "tx_past_limit", session->tx_past_limit);
	add_number(object, "age_ms", session->age);
	add_number(object, "idle_ms", session->idle);
}

static void add_session(struct json_object *object, const struct tlsgate_session *session)
{
	char suite[CTL_TEXT_MAX];

	add_label(object, session);
	add_address(object, "local", &session->local);
	add_address(object, "peer", &session->peer);
	add_address(object, "relay_local", &session->relay_local);
	add_address(object, "relay_peer", &session->relay_peer);
	add_address(object, "server", &session->server);
	if (session->server.len)
		add_text(object, "delivery", tlsgate_delivery_name(session->delivery));
	add_text(object, "role", tlsgate_role_name(session->role));
	add_text(object, "version", tlsgate_version_name(session->version));
	add_text(object, "suite", ctl_suite(session->suite, suite));
	add_text(object, "state", tlsgate_state_name(session->state));
	add_text(object, "reason", tlsgate_reason_name(session->reason));
	if (session->alert >= 0)
		add_text(object, "alert", tls_alert_name(session->alert));
	add_counters(object, session);
	add_number(object, "idle_timeout_ms", session->idle_timeout);
	add_number(object, "record_size", session->record_size);
	add_number(object, "padding", session->padding);
	add_number(object, "uid", session->uid);
	add_number(object, "cookie", session->cookie);
	add_number(object, "netns", session->netns);
}

struct json_object *ctl_session_json(const struct tlsgate_session *session)
{
	struct json_object *object = ctl_must(json_object_new_object());

	add_number(object, "id", session->id);
	add_session(object, session);
	return object;
}

struct json_object *ctl_event_json(const struct tlsgate_event *event, int64_t now_ms)
{
	struct json_object *object = ctl_must(json_object_new_object());
	const uint8_t *message = event->message;

	add(object, "time_ms", json_object_new_int64(now_ms));
	add_text(object, "event", tlsgate_event_name(event->kind));
	add_number(object, "id", event->session.id);
	switch ((int)event->kind) {
	case TLSGATE_CMD_NTF_SESSION_OPENED:
	case TLSGATE_CMD_NTF_SESSION_CLOSED:
		add_session(object, &event->session);
		break;
	case TLSGATE_CMD_NTF_REKEYED:
		add_number(object, "tx_epoch", event->session.tx_epoch);
		add_number(object, "rx_epoch", event->session.rx_epoch);
		break;
	case TLSGATE_CMD_NTF_AUTH_FAILED:
		add_number(object, "record", event->session.rx_records);
		break;
	case TLSGATE_CMD_NTF_MESSAGE:
		if (event->message_len)
			add_number(object, "type", message[0]);
		add_number(object, "length", event->message_len);
		break;
	}
	return object;
}

struct json_object *ctl_cipher_json(uint16_t version, const char *name, const char *driver)
{
	struct json_object *object = ctl_must(json_object_new_object());

	add_text(object, "version", tlsgate_version_name(version));
	add_text(object, "suite", name);
	if (driver)
		add_text(object, "driver", driver);
	return object;
}

/* Bytes of text that no terminal acts on. */
static size_t plain_length(const char *text)
{
	size_t len = 0;

	while (text[len] == '\n' || (text[len] >= ' ' && text[len] <= '~'))
		len++;
	return len;
}

/* JSON has escapes, with which what stands in a string means the same.  Returns how much of text that was. */
static size_t put_escaped(const char *text)
{
	size_t len = 0, size;
	char *escaped;

	while (text[len] && !plain_length(text + len))
		len++;
	size = 6 * len + sizeof("\"\"");
	escaped = escape(ESCAPE_JSON, ctl_must(malloc(size)), size, text, len);
	printf("%.*s", (int)strlen(escaped) - 2, escaped + 1);
	free(escaped);
	return len;
}

/* json-c leaves as they are what is no ASCII, and DEL: U+009B, for one, moves a terminal's cursor. */
static int put_ascii(const char *text)
{
	size_t len;

	for (; *text; text += put_escaped(text)) {
		len = plain_length(text);
		(void)fwrite(text, 1, len, stdout);
		text += len;
	}
	return ferror(stdout) ? EOF : fputc('\n', stdout);
}

int ctl_json_print(struct json_object *object, int flags)
{
	int written = put_ascii(ctl_must((void *)json_object_to_json_string_ext(object, flags)));

	json_object_put(object);
	if (written >= 0)
		return CTL_DONE;
	ctl_error("cannot write the output: disk full or pipe closed?");
	return CTL_FAILED;
}
