// SPDX-License-Identifier: MIT
#include "daemon/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "common/log.h"
#include "common/mem.h"

__attribute__((format(printf, 2, 3)))
static void append(struct record *record, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(record->text + record->len, sizeof(record->text) - record->len, format, args);
	va_end(args);
	if (n > 0)
		record->len += (size_t)n;
	if (record->len >= sizeof(record->text))
		record->len = sizeof(record->text) - 1;
}

/* value: printable, and quoted where it has to be. */
static void add(struct record *record, const char *key, const char *value)
{
	if (record->json)
		append(record, ",\"%s\":%s", key, value);
	else
		append(record, " %s=%s", key, value);
}

void record_begin(struct record *record, bool json)
{
	record->json = json;
	record->len = 0;
	append(record, "%s", json ? "{\"event\":\"connection\"" : "connection");
}

void record_bytes(struct record *record, const char *key, const char *bytes, size_t len)
{
	char value[RECORD_FIELD];

	add(record, key, escape(record->json ? ESCAPE_JSON : ESCAPE_VALUE, value, sizeof(value),
				bytes, len));
}

void record_text(struct record *record, const char *key, const char *text)
{
	if (text)
		record_bytes(record, key, text, strlen(text));
}

void record_number(struct record *record, const char *key, uint64_t number)
{
	char value[32];

	snprintf(value, sizeof(value), "%llu", (unsigned long long)number);
	add(record, key, value);
}

void record_flag(struct record *record, const char *key, bool flag)
{
	add(record, key, flag ? "true" : "false");
}

void record_close(struct record *record)
{
	append(record, "%s", record->json ? "}" : "");
}

void record_end(struct record *record, uint64_t from_client, uint64_t from_backend, uint64_t ms,
		const char *reason)
{
	char value[32];

	if (record->json) {		/* an object must do without what stands before it */
		log_time(value);
		record_text(record, "time", value);
	}
	record_number(record, "from-client", from_client);
	record_number(record, "from-backend", from_backend);
	snprintf(value, sizeof(value), "%.3f", (double)ms / 1000);
	add(record, "seconds", value);
	record_text(record, "reason", reason);
	record_close(record);
	log_info("%s", record->text);
}

/* The member of a field " key=value" at text; returns where the next one begins, NULL: there is none. */
static const char *add_member(struct json_object *object, const char *text)
{
	const char *equals = strchr(text, '='), *value, *end;
	char name[32];

	if (*text != ' ' || !equals)
		return NULL;
	snprintf(name, sizeof(name), "%.*s", (int)(equals - text - 1), text + 1);
	value = equals + 1;
	if (*value == '"')		/* inside it is \x22 */
		end = value + 1 + strcspn(value + 1, "\"");
	else
		end = value + strcspn(value, " ");
	if (*value == '"')
		value++;
	/* without memory it lacks something */
	(void)json_object_object_add(object, name, json_object_new_string_len(value, (int)(end - value)));
	return *end == '"' ? end + 1 : end;
}

/* NULL: it is no object. */
static struct json_object *parse(const struct record *record)
{
	char *text = xprintf("%s}", record->text);
	struct json_object *object = json_tokener_parse(text);

	free(text);
	if (json_object_is_type(object, json_type_object)) {
		json_object_object_del(object, "event");
		return object;
	}
	json_object_put(object);
	return NULL;
}

struct json_object *record_object(const struct record *record)
{
	struct json_object *object;
	const char *at = record->text + strcspn(record->text, " ");

	if (record->json)
		return parse(record);
	object = json_object_new_object();
	while (object && at)
		at = add_member(object, at);
	return object;
}
