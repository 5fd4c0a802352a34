// SPDX-License-Identifier: MIT
/* common/escape: hostile text comes out harmless, and whole where it fits. */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/escape.h"
#include "tests/tap.h"

struct row {
	enum escape how;
	const char *text, *wanted;
};

static const struct row rows[] = {
	{ ESCAPE_PLAIN, "example.org", "example.org" },
	{ ESCAPE_PLAIN, "a\033[2Jb", "a\\x1b[2Jb" },
	{ ESCAPE_PLAIN, "a\nforged: line", "a\\x0aforged: line" },
	{ ESCAPE_PLAIN, "back\\slash", "back\\x5cslash" },
	{ ESCAPE_PLAIN, "\303\274", "\\xc3\\xbc" },
	{ ESCAPE_PLAIN, "", "" },
	{ ESCAPE_VALUE, "h2", "h2" },
	{ ESCAPE_VALUE, "", "\"\"" },
	{ ESCAPE_VALUE, "x gate=other", "\"x gate=other\"" },
	{ ESCAPE_VALUE, "x\" gate=other", "\"x\\x22 gate=other\"" },
	{ ESCAPE_VALUE, "a=b", "\"a=b\"" },
	{ ESCAPE_VALUE, "\r\n", "\\x0d\\x0a" },
	{ ESCAPE_JSON, "a\"b\\c", "\"a\\\"b\\\\c\"" },
	{ ESCAPE_JSON, "\n\177", "\"\\u000a\\u007f\"" },
	{ ESCAPE_JSON, "b\303\274cher", "\"b\\u00fccher\"" },
	{ ESCAPE_JSON, "\342\202\254", "\"\\u20ac\"" },
	{ ESCAPE_JSON, "\360\237\230\200", "\"\\ud83d\\ude00\"" },
	/* no UTF-8: alone, overlong, a surrogate, beyond the last one, cut off */
	{ ESCAPE_JSON, "\200x", "\"\\ufffdx\"" },
	{ ESCAPE_JSON, "\300\257", "\"\\ufffd\\ufffd\"" },
	{ ESCAPE_JSON, "\340\200\257", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ ESCAPE_JSON, "\355\240\200", "\"\\ufffd\\ufffd\\ufffd\"" },
	{ ESCAPE_JSON, "\364\220\200\200", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
	{ ESCAPE_JSON, "\377", "\"\\ufffd\"" },
	{ ESCAPE_JSON, "a\342\202", "\"a\\ufffd\\ufffd\"" },
};

static void test_rows(void)
{
	char out[128];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		escape(rows[i].how, out, sizeof(out), rows[i].text, strlen(rows[i].text));
		tap_ok(!strcmp(out, rows[i].wanted), "%s, wanted is %s", out, rows[i].wanted);
	}
}

static bool is_harmless(const char *text)
{
	for (; *text; text++)
		if (*text < 0x20 || *text > 0x7e)
			return false;
	return true;
}

/* Every size, and bytes of all kinds: it never ends in half of something. */
static void test_sizes(enum escape how)
{
	char text[40], out[300];
	bool harmless = true, sound = true;
	size_t i, size;
	int round;

	for (round = 0; round < 200; round++) {
		for (i = 0; i < sizeof(text); i++)
			text[i] = (char)rand();
		for (size = 16; size <= sizeof(out); size++) {
			memset(out, '!', sizeof(out));
			escape(how, out, size, text, sizeof(text));
			harmless = harmless && memchr(out, 0, size) && is_harmless(out);
			if (how != ESCAPE_JSON)
				continue;

			struct json_object *object = json_tokener_parse(out);

			sound = sound && object && json_object_is_type(object, json_type_string);
			json_object_put(object);
		}
	}
	tap_ok(harmless, "form %d: printable, ended, within its size", how);
	tap_ok(sound, "form %d: sound at every size", how);
}

int main(void)
{
	char out[16];

	test_rows();
	tap_ok(!strcmp(escape(ESCAPE_PLAIN, out, sizeof(out), "0123456789abcdef", 16), "0123456789ab..."),
	       "what does not fit is marked: %s", out);
	tap_ok(!strcmp(escape(ESCAPE_PLAIN, out, sizeof(out), "0123456789abcde", 15), "0123456789abcde"),
	       "what fits just so is whole: %s", out);
	tap_ok(!strcmp(escape(ESCAPE_PLAIN, out, sizeof(out), "ab\0cd", 5), "ab\\x00cd"), "a NUL: %s", out);
	tap_ok(!strcmp(escape(ESCAPE_VALUE, out, sizeof(out), "ab\0cd", 5), "ab\\x00cd"), "a NUL: %s", out);
	tap_ok(!strcmp(escape(ESCAPE_JSON, out, sizeof(out), "ab\0cd", 5), "\"ab\\u0000cd\""), "a NUL: %s", out);
	test_sizes(ESCAPE_PLAIN);
	test_sizes(ESCAPE_VALUE);
	test_sizes(ESCAPE_JSON);
	return tap_done();
}
