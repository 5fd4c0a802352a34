// SPDX-License-Identifier: MIT
/* The short form of tlsgate handshake, and its explanation step by step. */
#include <stdio.h>
#include <string.h>

#include "common/escape.h"
#include "ctl/ctl.h"
#include "ctl/handshake_report.h"

#define LABEL	"    %-22s "

#define SAFE_MAX	(8 * REPORT_TEXT + 1)	/* twice REPORT_TEXT, each byte of it escaped */

/* The peer may have chosen it. */
static const char *safe(const char *text, char out[SAFE_MAX])
{
	return escape(ESCAPE_PLAIN, out, SAFE_MAX, text, strlen(text));
}

static void field(const char *label, const char *value)
{
	char text[SAFE_MAX];

	if (value && value[0])
		printf(LABEL "%s\n", label, safe(value, text));
}

static const char *or_number(const char *name, uint16_t number, char text[CTL_TEXT_MAX])
{
	if (name)
		return name;
	/* RFC 8701: values that mean nothing, sent so that peers stay tolerant */
	if ((number & 0x0f0f) == 0x0a0a && number >> 8 == (number & 0xff))
		return "GREASE";
	snprintf(text, CTL_TEXT_MAX, "0x%04x", number);
	return text;
}

static const char *version_text(uint16_t number, char text[CTL_TEXT_MAX])
{
	return or_number(tls_version_name(number), number, text);
}

static const char *group_text(uint16_t number, char text[CTL_TEXT_MAX])
{
	return or_number(tls_group_name(number), number, text);
}

static const char *scheme_text(uint16_t number, char text[CTL_TEXT_MAX])
{
	return or_number(tls_scheme_name(number), number, text);
}

static const char *extension_text(uint16_t number, char text[CTL_TEXT_MAX])
{
	return or_number(tls_extension_name(number), number, text);
}

/* Items after the label, broken into lines. */
static void list(const char *label, const struct hello_list *items,
		 const char *(*name)(uint16_t number, char text[CTL_TEXT_MAX]))
{
	const size_t start = 27, width = 100;
	size_t column = start;
	char text[CTL_TEXT_MAX];
	size_t i;

	if (!items->count)
		return;
	printf(LABEL, label);
	for (i = 0; i < items->count; i++) {
		const char *item = name(items->items[i], text);

		if (i && column + strlen(item) + 2 > width) {
			printf(",\n%*s", (int)start, "");
			column = start;
		} else if (i) {
			printf(", ");
		}
		printf("%s", item);
		column += strlen(item) + 2;
	}
	putchar('\n');
}

static void hex(const char *label, const uint8_t *bytes, size_t len)
{
	size_t i;

	printf(LABEL, label);
	for (i = 0; i < len; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

static void shares(const char *label, const struct hello *hello)
{
	char text[CTL_TEXT_MAX];
	size_t i;

	if (!hello->share_count)
		return;
	printf(LABEL, label);
	for (i = 0; i < hello->share_count; i++)
		printf("%s%s (%zu bytes)", i ? ", " : "", group_text(hello->shares[i].group, text),
		       hello->shares[i].len);
	putchar('\n');
}

static void explain_client_hello(const struct report *report)
{
	const struct hello *hello = &report->client;

	if (!hello->present)
		return;
	if (hello->versions.count)
		list("versions offered", &hello->versions, version_text);
	else
		printf(LABEL "TLS 1.2\n", "versions offered");
	list("cipher suites offered", &hello->suites, ctl_suite);
	list("groups offered", &hello->groups, group_text);
	list("signature schemes", &hello->schemes, scheme_text);
	field("server name (SNI)", hello->server_name);
	field("protocols (ALPN)", hello->alpn);
	shares("key shares sent", hello);
	hex("client random", hello->random, sizeof(hello->random));
	list("extensions", &hello->extensions, extension_text);
}

static void explain_server_hello(const struct report *report)
{
	const struct hello *hello = &report->server;
	char text[CTL_TEXT_MAX];

	if (report->retry.present)
		list("HelloRetryRequest", &report->retry.groups, group_text);
	shares("key shares sent then", &report->again);
	if (!hello->present)
		return;
	field("version chosen", version_text(hello->versions.count ? hello->versions.items[0] :
					     hello->legacy_version, text));
	list("cipher suite chosen", &hello->suites, ctl_suite);
	hex("server random", hello->random, sizeof(hello->random));
	field("protocol chosen (ALPN)", report->info.alpn);
	list("extensions", &hello->extensions, extension_text);
}

static void print_names(const struct report_cert *cert)
{
	char text[SAFE_MAX];
	size_t at;

	if (!cert->names_len)
		return;
	printf(LABEL, "  names");
	for (at = 0; at < cert->names_len; at += strlen(cert->names + at) + 1)
		printf("%s%s", at ? ", " : "", safe(cert->names + at, text));
	putchar('\n');
}

static void explain_certificate(const struct report *report, size_t index)
{
	const struct report_cert *cert = &report->certs[index];
	char label[32];

	snprintf(label, sizeof(label), "issuer %zu", index);
	field(index ? label : "server certificate", cert->subject);
	field("  issued by", cert->issuer);
	print_names(cert);
	printf(LABEL "%s to %s\n", "  valid", cert->not_before, cert->not_after);
	field("  key", cert->key);
	field("  verdict", report_verdict(report, index));
}

static void explain_authentication(const struct report *report)
{
	const bool checked = report->scheme[0];
	char text[SAFE_MAX];
	size_t i;

	for (i = 0; i < report->cert_count; i++)
		explain_certificate(report, i);
	if (report->certificate_asked)
		field("client certificate", report->has_certificate ?
		      "asked for by the server, and sent" : "asked for by the server; none was sent");
	if (checked)
		printf(LABEL "%s, checked with the server certificate's key: good\n", "signature",
		       report->scheme);
	else if (report->established && !report->info.resumed)
		field("signature", "none: with RSA key exchange, being able to decrypt is the proof");
	if (report->cert_count && report->step > STEP_SERVER_HELLO && !report->info.resumed)
		field("OCSP response", report->info.ocsp_response ? "stapled by the server" :
		      "asked for; the server staples none");
	if (report->info.scts)
		printf(LABEL "%zu, from the server; their logs' signatures are not checked\n",
		       "timestamps (SCT)", report_scts(report));
	if (report->info.verify_error && report->insecure) {
		printf(LABEL "NOT TRUSTED: %s;\n", "chain and name",
		       safe(report->info.verify_error, text));
		field("", "gone on with (--insecure): anybody could be the peer");
	} else if (report->info.verify_error) {
		printf(LABEL "REFUSED: %s\n", "chain and name",
		       safe(report->info.verify_error, text));
	} else if (report->cert_count) {
		printf(LABEL "verified for %s\n", "chain and name", report->server_name);
	}
}

static void explain_key_exchange(const struct report *report)
{
	struct report_kex kex;
	char text[CTL_TEXT_MAX];

	report_kex(report, &kex);
	if (kex.encrypted_len) {
		field("method", "RSA: the client chose the premaster secret and sent it encrypted to the");
		field("", "server certificate's public key; whoever gets that key later can read this");
		printf(LABEL "%zu bytes, to the server's key (%s)\n", "encrypted premaster",
		       kex.encrypted_len, report->cert_count ? report->certs[0].key : "unknown");
		return;
	}
	if (!kex.group)
		return;
	printf(LABEL "ephemeral Diffie-Hellman (forward secrecy)\n", "method");
	field("group", group_text(kex.group, text));
	printf(LABEL "client %zu bytes, server %zu bytes\n", "public values", kex.client_len,
	       kex.server_len);
	field("shared secret", "computed at both ends, never sent");
}

static void explain_session_keys(const struct report *report)
{
	const struct report_secret *secret;
	size_t i;

	for (i = 0; i < report->secret_count; i++) {
		secret = &report->secrets[i];
		printf("    %s\n", secret->name);
		printf("      %zu bytes, from %s\n", secret->len, report_origin(report, secret->name));
		if (report->show_secrets)
			hex("  value", secret->value, secret->len);
	}
	if (report->secret_count)
		field("record keys and IVs", "from these, one pair for each direction");
	if (report->secret_count && !report->show_secrets)
		field("values", "shown with --secrets");
}

static void explain_finished(const struct report *report)
{
	field("server's Finished", report->finished_checked ?
	      "received; its MAC over the whole handshake is right" : NULL);
	field("client's Finished", report->finished_sent ?
	      "sent; the server checks it before it trusts a byte" : NULL);
}

static void (*const explain[STEPS])(const struct report *report) = {
	[STEP_CLIENT_HELLO] = explain_client_hello,
	[STEP_SERVER_HELLO] = explain_server_hello,
	[STEP_AUTHENTICATION] = explain_authentication,
	[STEP_KEY_EXCHANGE] = explain_key_exchange,
	[STEP_SESSION_KEYS] = explain_session_keys,
	[STEP_FINISHED] = explain_finished,
};

static const char *step_state(const struct report *report, enum step step)
{
	if (!report->established && step == report->step)
		return "  << failed here";
	return report->reached[step] ? "" : "  (not reached)";
}

static void print_step_cost(const struct report *report, enum step step)
{
	if (!report->reached[step])
		return;
	printf("  (%.1f ms", report->step_ms[step]);
	if (report->step_trip[step])
		printf(", round trip %u", report->step_trip[step]);
	putchar(')');
}

static void print_failure(const struct report *report)
{
	char text[2 * REPORT_TEXT], shown[SAFE_MAX];
	const char *cause = report_cause(report);

	printf("FAILED at %s: %s\n", step_names[report->step],
	       safe(report_failure(report, text), shown));
	if (cause)
		printf("likely cause: %s\n", cause);
}

static void print_cost(const struct report *report)
{
	printf("%u round trip%s, %zu bytes out, %zu in; TCP connect %.1f ms, handshake %.1f ms\n",
	       report->round_trips, report->round_trips == 1 ? "" : "s", report->bytes_out,
	       report->bytes_in, report->connect_ms, report->handshake_ms);
}

void report_explain(const struct report *report)
{
	enum step step;

	printf("TLS handshake with %s (%s)\n\n", report->target, report->peer);
	for (step = STEP_CLIENT_HELLO; step < STEPS; step++) {
		printf("%d. %s", (int)step + 1, step_names[step]);
		print_step_cost(report, step);
		printf("%s\n", step_state(report, step));
		explain[step](report);
	}
	putchar('\n');
	if (!report->established)
		print_failure(report);
	print_cost(report);
}

void report_print(const struct report *report)
{
	const struct tls_conn_info *info = &report->info;
	char text[CTL_TEXT_MAX], shown[SAFE_MAX];

	if (!report->established) {
		print_failure(report);
		return;
	}
	printf("%s (%s)\n", report->target, report->peer);
	field("version", version_text(info->version, text));
	field("cipher suite", ctl_suite(info->suite, text));
	field("key exchange", info->group ? group_text(info->group, text) : "RSA");
	field("signature", report->scheme[0] ? report->scheme : "none (RSA key exchange)");
	field("certificate", report->cert_count ? report->certs[0].subject : NULL);
	if (info->verify_error)
		printf(LABEL "NO (--insecure): %s\n", "verified", safe(info->verify_error, shown));
	else
		printf(LABEL "yes, for %s\n", "verified", report->server_name);
	field("protocol (ALPN)", info->alpn);
	print_cost(report);
}
