// SPDX-License-Identifier: MIT
/* A line of the connection-log that is read again. */
#include <stdio.h>
#include <string.h>

#include "daemon/record.h"

#include "tap.h"

static void fill(struct record *record, bool json)
{
	record_begin(record, json);
	record_text(record, "gate", "serve :443");
	record_text(record, "name", "a=b");
	record_bytes(record, "client-cert", "x\"\0\xff y", 6);
	record_text(record, "alpn", "");
	record_text(record, "group", "x25519");
	record_number(record, "session", 7);
}

static bool has(struct json_object *object, const char *key, const char *text)
{
	const char *found = json_object_get_string(json_object_object_get(object, key));

	if (found && !strcmp(found, text))
		return true;
	printf("# %s is %s, not %s\n", key, found ? found : "not there", text);
	return false;
}

static void read_again(bool json)
{
	struct json_object *object;
	struct record record;

	fill(&record, json);
	object = record_object(&record);
	tap_ok(has(object, "gate", "serve :443") && has(object, "name", "a=b") &&
	       has(object, "alpn", "") && has(object, "group", "x25519") &&
	       has(object, "session", "7") && json_object_object_length(object) == 6,
	       "every field of %s", json ? "JSON" : "text");
	tap_ok(has(object, "client-cert", json ? "x\"" : "x\\x22\\x00\\xff y"),
	       "what a peer chose, of %s", json ? "JSON" : "text");
	json_object_put(object);
}

/* A worker that was taken over sends what it likes; is_sound() of ledger.c lets these pass. */
static void odd(void)
{
	static const char * const texts[] = {
		"", " ", "=", " =", " a", " a=", " a=\"", " a=\"b", "x y", "connection  a=b", "{", "[", "null", "1",
		"{\"a\":", "{\"a\":1}{",
	};
	struct json_object *object;
	struct record record;
	size_t i;

	for (i = 0; i < 2 * sizeof(texts) / sizeof(*texts); i++) {
		record.json = i % 2;
		record.len = strlen(texts[i / 2]);
		strcpy(record.text, texts[i / 2]);
		object = record_object(&record);
		tap_ok(!object || json_object_is_type(object, json_type_object), "'%s' is an object or nothing",
		       texts[i / 2]);
		json_object_put(object);
	}
}

int main(void)
{
	read_again(false);
	read_again(true);
	odd();
	return tap_done();
}
