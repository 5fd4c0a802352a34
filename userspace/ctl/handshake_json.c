// SPDX-License-Identifier: MIT
/* tlsgate handshake --json. */
#include <stdio.h>
#include <string.h>

#include "common/escape.h"
#include "ctl/ctl.h"
#include "ctl/handshake_report.h"

#define JSON_TEXT	(12 * REPORT_TEXT + 3)	/* twice REPORT_TEXT, each byte of it escaped */

static void add(struct json_object *to, const char *key, struct json_object *value)
{
	json_object_object_add(to, key, ctl_must(value));
}

/* json-c takes bytes as they are; what a peer chose need not be UTF-8. */
static struct json_object *string(const char *value)
{
	char text[JSON_TEXT];

	return ctl_must(json_tokener_parse(escape(ESCAPE_JSON, text, sizeof(text), value,
						  strlen(value))));
}

static void add_text(struct json_object *to, const char *key, const char *value)
{
	if (value && value[0])
		add(to, key, string(value));
}

static void add_hex(struct json_object *to, const char *key, const uint8_t *bytes, size_t len)
{
	char text[2 * 64 + 1] = "";
	size_t i;

	for (i = 0; i < len && i < 64; i++)
		sprintf(text + 2 * i, "%02x", bytes[i]);
	add_text(to, key, text);
	tls_wipe(text, sizeof(text));
}

static void add_list(struct json_object *to, const char *key, const struct hello_list *list,
		     const char *(*name)(uint16_t number))
{
	struct json_object *array = ctl_must(json_object_new_array());
	char number[16];
	const char *text;
	size_t i;

	for (i = 0; i < list->count; i++) {
		text = name(list->items[i]);
		snprintf(number, sizeof(number), "0x%04x", list->items[i]);
		if (!text)
			text = number;
		json_object_array_add(array, ctl_must(json_object_new_string(text)));
	}
	add(to, key, array);
}

static struct json_object *hello_json(const struct hello *hello)
{
	struct json_object *object = ctl_must(json_object_new_object());
	struct json_object *array = ctl_must(json_object_new_array());
	size_t i;

	add_list(object, "versions", &hello->versions, tls_version_name);
	add_list(object, "suites", &hello->suites, tls_suite_name);
	add_list(object, "groups", &hello->groups, tls_group_name);
	add_list(object, "schemes", &hello->schemes, tls_scheme_name);
	add_list(object, "extensions", &hello->extensions, tls_extension_name);
	for (i = 0; i < hello->share_count; i++) {
		struct json_object *share = ctl_must(json_object_new_object());

		add_text(share, "group", tls_group_name(hello->shares[i].group));
		add(share, "bytes", json_object_new_int64((int64_t)hello->shares[i].len));
		json_object_array_add(array, share);
	}
	add(object, "key_shares", array);
	add_hex(object, "random", hello->random, sizeof(hello->random));
	add_text(object, "server_name", hello->server_name);
	add_text(object, "alpn", hello->alpn);
	return object;
}

static struct json_object *names_json(const struct report_cert *cert)
{
	struct json_object *array = ctl_must(json_object_new_array());
	size_t at;

	for (at = 0; at < cert->names_len; at += strlen(cert->names + at) + 1)
		json_object_array_add(array, string(cert->names + at));
	return array;
}

static struct json_object *certificates_json(const struct report *report)
{
	struct json_object *array = ctl_must(json_object_new_array());
	const struct report_cert *cert;
	size_t i;

	for (i = 0; i < report->cert_count; i++) {
		struct json_object *object = ctl_must(json_object_new_object());

		cert = &report->certs[i];
		add_text(object, "subject", cert->subject);
		add_text(object, "issuer", cert->issuer);
		add(object, "names", names_json(cert));
		add_text(object, "not_before", cert->not_before);
		add_text(object, "not_after", cert->not_after);
		add_text(object, "key", cert->key);
		add_text(object, "verdict", report_verdict(report, i));
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *secrets_json(const struct report *report)
{
	struct json_object *array = ctl_must(json_object_new_array());
	const struct report_secret *secret;
	size_t i;

	for (i = 0; i < report->secret_count; i++) {
		struct json_object *object = ctl_must(json_object_new_object());

		secret = &report->secrets[i];
		add_text(object, "name", secret->name);
		add(object, "bytes", json_object_new_int64((int64_t)secret->len));
		add_text(object, "from", report_origin(report, secret->name));
		if (report->show_secrets)
			add_hex(object, "value", secret->value, secret->len);
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *steps_json(const struct report *report)
{
	struct json_object *array = ctl_must(json_object_new_array());
	enum step step;

	for (step = STEP_CLIENT_HELLO; step < STEPS; step++) {
		struct json_object *object = ctl_must(json_object_new_object());

		add_text(object, "name", step_names[step]);
		add(object, "reached", json_object_new_boolean(report->reached[step]));
		add(object, "ms", json_object_new_double(report->step_ms[step]));
		if (report->step_trip[step])
			add(object, "round_trip", json_object_new_int64(report->step_trip[step]));
		json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *kex_json(const struct report *report)
{
	struct json_object *object = ctl_must(json_object_new_object());
	struct report_kex kex;

	report_kex(report, &kex);
	if (kex.encrypted_len) {
		add_text(object, "method", "RSA");
		add(object, "encrypted_premaster_bytes",
		    json_object_new_int64((int64_t)kex.encrypted_len));
	} else if (kex.group) {
		add_text(object, "method", "ephemeral Diffie-Hellman");
		add_text(object, "group", tls_group_name(kex.group));
		add(object, "client_bytes", json_object_new_int64((int64_t)kex.client_len));
		add(object, "server_bytes", json_object_new_int64((int64_t)kex.server_len));
	}
	return object;
}

static void add_outcome(struct json_object *object, const struct report *report)
{
	const struct tls_conn_info *info = &report->info;
	char text[2 * REPORT_TEXT];

	if (report->established) {
		add_text(object, "version", tls_version_name(info->version));
		add_text(object, "suite", tls_suite_name(info->suite));
		add_text(object, "group", info->group ? tls_group_name(info->group) : "RSA");
		add_text(object, "alpn", info->alpn);
		add(object, "extended_master_secret",
		    json_object_new_boolean(info->extended_master_secret));
	} else {
		add_text(object, "failed_step", step_names[report->step]);
		add_text(object, "error", report_failure(report, text));
		add_text(object, "likely_cause", report_cause(report));
	}
	add_text(object, "scheme", report->scheme);
	add_text(object, "chain_and_name", report_proof(report));
	add(object, "client_certificate_asked", json_object_new_boolean(report->certificate_asked));
	add(object, "verified", json_object_new_boolean(report->established && !info->verify_error));
	add_text(object, "verify_error", info->verify_error);
	add(object, "ocsp_stapled", json_object_new_boolean(info->ocsp_response != NULL));
	add(object, "scts", json_object_new_int64((int64_t)report_scts(report)));
	if (report->alert_sent >= 0)
		add_text(object, "alert_sent", tls_alert_name((uint8_t)report->alert_sent));
	if (report->alert_received >= 0)
		add_text(object, "alert_received", tls_alert_name((uint8_t)report->alert_received));
}

void report_json(const struct report *report)
{
	struct json_object *object = ctl_must(json_object_new_object());

	add_text(object, "target", report->target);
	add_text(object, "peer", report->peer);
	add_text(object, "server_name", report->server_name);
	add(object, "ok", json_object_new_boolean(report->established));
	add_outcome(object, report);
	if (report->client.present)
		add(object, "client_hello", hello_json(&report->client));
	if (report->retry.present)
		add(object, "hello_retry_request", hello_json(&report->retry));
	if (report->again.present)
		add(object, "client_hello_again", hello_json(&report->again));
	if (report->server.present)
		add(object, "server_hello", hello_json(&report->server));
	add(object, "steps", steps_json(report));
	add(object, "certificates", certificates_json(report));
	add(object, "key_exchange", kex_json(report));
	add(object, "secrets", secrets_json(report));
	add(object, "finished_sent", json_object_new_boolean(report->finished_sent));
	add(object, "finished_checked", json_object_new_boolean(report->finished_checked));
	add(object, "round_trips", json_object_new_int64(report->round_trips));
	add(object, "bytes_out", json_object_new_int64((int64_t)report->bytes_out));
	add(object, "bytes_in", json_object_new_int64((int64_t)report->bytes_in));
	add(object, "connect_ms", json_object_new_double(report->connect_ms));
	add(object, "handshake_ms", json_object_new_double(report->handshake_ms));
	(void)ctl_json_print(object, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
}
