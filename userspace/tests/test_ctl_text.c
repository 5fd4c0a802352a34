// SPDX-License-Identifier: MIT
/* Numbers, ids and JSON as the control tool writes and reads them. */
#include <string.h>

#include "ctl/ctl.h"

#include "tap.h"

static void test_numbers(void)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{ 0, "0 B" }, { 999, "999 B" }, { 1000, "1.0 KiB" }, { 1536, "1.5 KiB" },
		{ 1048576, "1.0 MiB" }, { 67108864, "64.0 MiB" }, { 1023900, "999.9 KiB" },
		{ 1023999, "1.0 MiB" }, { UINT64_MAX, "16.0 EiB" },
	};
	static const struct {
		uint64_t ms;
		const char *text;
	} times[] = {
		{ 0, "0 ms" }, { 999, "999 ms" }, { 1000, "1 s" }, { 59999, "59 s" },
		{ 184000, "3m 04s" }, { 7500000, "2h 05m" }, { 356400000, "4d 03h" },
	};
	char text[CTL_TEXT_MAX];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		tap_ok(strcmp(ctl_size(sizes[i].bytes, text), sizes[i].text) == 0, "%llu bytes are %s",
		       (unsigned long long)sizes[i].bytes, text);
	for (i = 0; i < sizeof(times) / sizeof(*times); i++)
		tap_ok(strcmp(ctl_time(times[i].ms, text), times[i].text) == 0, "%llu ms are %s",
		       (unsigned long long)times[i].ms, text);
	tap_ok(strcmp(ctl_suite(0x1301, text), "TLS_AES_128_GCM_SHA256") == 0, "a suite has a name");
	tap_ok(strcmp(ctl_suite(0x0005, text), "0x0005") == 0, "an unknown one its number");
}

/* The kernel takes any bytes. */
static void test_labels(void)
{
	struct tlsgate_session session = { .label = "\0a\0\xff", .label_len = 5 };
	char text[CTL_LABEL_MAX];

	tap_ok(strcmp(ctl_label(&session, text), "\\x00a\\x00\\xff\\x00") == 0, "zeros of a label: %s", text);
	memset(session.label, 0, sizeof(session.label));
	session.label_len = TLSGATE_LABEL_MAX;
	tap_equal((long)strlen(ctl_label(&session, text)), 4 * TLSGATE_LABEL_MAX, "the longest is whole");
	session.label_len = 0;
	tap_ok(strcmp(ctl_label(&session, text), "-") == 0, "and none");
}

static void test_ids(void)
{
	static const char * const bad[] = { "", "0", "-1", "+1", " 1", "1x", "4294967296", "x" };
	size_t i;

	tap_equal(ctl_id("1"), 1, "the first id");
	tap_ok(ctl_id("4294967295") == UINT32_MAX, "the last id");
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		tap_equal(ctl_id(bad[i]), 0, "'%s' is no id", bad[i]);
}

static void test_arguments(void)
{
	char *good[] = { "show", "--json", "7" }, *twice[] = { "show", "7", "8" };
	char *option[] = { "show", "--jsn" };
	const char *operand;
	bool json;

	tap_ok(ctl_arguments(3, good, &json, &operand) == 0 && json && strcmp(operand, "7") == 0,
	       "an option and an operand");
	tap_equal(ctl_arguments(3, good, NULL, &operand), CTL_USAGE, "an option not allowed");
	tap_equal(ctl_arguments(3, good, &json, NULL), CTL_USAGE, "an operand not allowed");
	tap_equal(ctl_arguments(3, twice, &json, &operand), CTL_USAGE, "two operands");
	tap_equal(ctl_arguments(2, option, &json, &operand), CTL_USAGE, "an unknown option");
}

static bool has_text(struct json_object *object, const char *name, const char *want)
{
	struct json_object *value;

	return json_object_object_get_ex(object, name, &value) &&
	       strcmp(json_object_get_string(value), want) == 0;
}

static void test_json(void)
{
	struct tlsgate_session s = {
		.id = 7, .version = TLSGATE_TLS_1_3, .suite = 0x1302, .role = TLSGATE_ROLE_CLIENT,
		.state = TLSGATE_STATE_ESTABLISHED, .alert = -1, .tx_bytes = UINT64_MAX,
	};
	struct tlsgate_event event = { .kind = TLSGATE_CMD_NTF_REKEYED, .session = s };
	struct json_object *object = ctl_session_json(&s);

	tap_ok(has_text(object, "id", "7") && has_text(object, "version", "TLS 1.3") &&
	       has_text(object, "suite", "TLS_AES_256_GCM_SHA384") &&
	       has_text(object, "state", "established") && has_text(object, "reason", "none"),
	       "a session as JSON");
	tap_ok(has_text(object, "tx_bytes", "18446744073709551615"), "64 bits are kept");
	tap_ok(!json_object_object_get_ex(object, "alert", NULL) &&
	       !json_object_object_get_ex(object, "relay_peer", NULL), "what is not there is left out");
	tap_ok(!json_object_object_get_ex(object, "delivery", NULL), "nor how far it would be");
	json_object_put(object);
	s.server.len = sizeof(s.server.in);
	s.server.in = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(8080) };
	s.delivery = TLSGATE_DELIVERY_ACCEPTED;
	object = ctl_session_json(&s);
	tap_ok(has_text(object, "delivery", "delivered") && has_text(object, "server", "0.0.0.0:8080"),
	       "a delivered session as JSON");
	json_object_put(object);
	object = ctl_event_json(&event, 1);
	tap_ok(has_text(object, "event", "rekeyed") && has_text(object, "tx_epoch", "0") &&
	       !json_object_object_get_ex(object, "peer", NULL), "an event tells what it is about");
	json_object_put(object);
}

int main(void)
{
	test_numbers();
	test_labels();
	test_ids();
	test_arguments();
	test_json();
	return tap_done();
}
