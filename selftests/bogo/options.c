// SPDX-License-Identifier: MIT
/* The runner's flags, one row each; what is not here is not implemented. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "options.h"

enum kind {
	IGNORED,	/* asks for what the engine always does, or for another style of API */
	PARAM_IGNORED,
	BOOL,
	INT,
	INT_LIST,
	STRING,
};

struct flag {
	const char *name;
	enum kind kind;
	size_t offset;
};

#define FLAG(name, kind, field)	{ name, kind, offsetof(struct options, field) }

static const struct flag flags[] = {
	FLAG("-port", INT, port),
	FLAG("-shim-id", STRING, shim_id),
	FLAG("-server", BOOL, server),
	FLAG("-resume-count", INT, resume_count),
	FLAG("-resumption-delay", INT, resumption_delay),
	FLAG("-is-handshaker-supported", BOOL, handshaker_supported),
	FLAG("-async", BOOL, async),
	FLAG("-shim-writes-first", BOOL, shim_writes_first),
	FLAG("-shim-shuts-down", BOOL, shim_shuts_down),
	FLAG("-check-close-notify", BOOL, check_close_notify),
	FLAG("-key-update", BOOL, key_update),
	FLAG("-send-alert", BOOL, send_alert),
	FLAG("-read-with-unfinished-write", BOOL, read_with_unfinished_write),
	FLAG("-max-cert-list", INT, max_cert_list),
	FLAG("-max-send-fragment", INT, max_send_fragment),
	FLAG("-read-size", INT, read_size),
	FLAG("-write-different-record-sizes", BOOL, write_different_record_sizes),
	FLAG("-export-keying-material", INT, export_length),
	FLAG("-export-label", STRING, export_label),
	FLAG("-export-context", STRING, export_context),
	FLAG("-use-export-context", BOOL, use_export_context),
	FLAG("-export-traffic-secrets", BOOL, export_traffic_secrets),
	FLAG("-no-tls13", BOOL, no_tls13),
	FLAG("-no-tls12", BOOL, no_tls12),
	FLAG("-no-tls11", BOOL, no_tls11),
	FLAG("-no-tls1", BOOL, no_tls1),
	FLAG("-cipher", STRING, suites),
	FLAG("-no-ticket", BOOL, no_ticket),
	FLAG("-renew-ticket", BOOL, renew_ticket),
	FLAG("-min-version", INT, min_version),
	FLAG("-max-version", INT, max_version),
	FLAG("-curves", INT_LIST, groups),
	FLAG("-signing-prefs", INT_LIST, signing_schemes),
	FLAG("-verify-prefs", INT_LIST, verify_schemes),
	FLAG("-key-file", STRING, key_file),
	FLAG("-cert-file", STRING, cert_file),
	FLAG("-host-name", STRING, host_name),
	FLAG("-advertise-alpn", STRING, advertise_alpn),
	FLAG("-select-alpn", STRING, select_alpn),
	FLAG("-reject-alpn", BOOL, reject_alpn),
	FLAG("-enable-ocsp-stapling", BOOL, request_ocsp),
	FLAG("-use-ocsp-callback", BOOL, verify_ocsp),
	FLAG("-fail-ocsp-callback", BOOL, refuse_ocsp),
	FLAG("-enable-signed-cert-timestamps", BOOL, request_scts),
	FLAG("-signed-cert-timestamps", STRING, scts),
	FLAG("-use-client-ca-list", STRING, ca_names),
	FLAG("-ocsp-response", STRING, ocsp_response),
	FLAG("-decline-ocsp-callback", BOOL, decline_ocsp),
	FLAG("-verify-peer", BOOL, verify_peer),
	FLAG("-require-any-client-certificate", BOOL, require_certificate),
	FLAG("-verify-fail", BOOL, verify_fail),
	FLAG("-reverify-on-resume", BOOL, reverify_on_resume),
	FLAG("-fail-cert-callback", BOOL, refuse_key),
	FLAG("-use-custom-verify-callback", BOOL, custom_verify),
	FLAG("-expect-hrr", BOOL, expect_hrr),
	FLAG("-expect-no-hrr", BOOL, expect_no_hrr),
	FLAG("-expect-extended-master-secret", BOOL, expect_extended_master_secret),
	FLAG("-expect-verify-result", BOOL, expect_verify_result),
	FLAG("-expect-session-miss", BOOL, expect_session_miss),
	FLAG("-expect-no-session", BOOL, expect_no_session),
	FLAG("-expect-ticket-renewal", BOOL, expect_ticket_renewal),
	FLAG("-handshake-never-done", BOOL, handshake_never_done),
	FLAG("-expect-version", INT, expect_version),
	FLAG("-expect-cipher", INT, expect_cipher),
	FLAG("-expect-cipher-aes", INT, expect_cipher_aes),
	FLAG("-expect-curve-id", INT, expect_group),
	FLAG("-expect-peer-signature-algorithm", INT, expect_scheme),
	FLAG("-expect-peer-verify-pref", INT_LIST, expect_peer_schemes),
	FLAG("-expect-certificate-types", STRING, expect_cert_types),
	FLAG("-expect-client-ca-list", STRING, expect_ca_names),
	FLAG("-expect-signed-cert-timestamps", STRING, expect_scts),
	FLAG("-expect-msg-callback", STRING, expect_trace),
	FLAG("-expect-ocsp-response", STRING, expect_ocsp_response),
	FLAG("-expect-server-name", STRING, expect_server_name),
	FLAG("-expect-advertised-alpn", STRING, expect_advertised_alpn),
	FLAG("-expect-alpn", STRING, expect_alpn),
	FLAG("-expect-peer-cert-file", STRING, expect_peer_cert_file),

	/* IPv6's loopback is tried first, whatever is asked for. */
	{ "-ipv6", IGNORED, 0 },
	/* What would be trusted, by the verifier that the shim stands in for. */
	{ "-trust-cert", PARAM_IGNORED, 0 },
	/* Records are not split against CBC attacks where there is no CBC. */
	{ "-cbc-record-splitting", IGNORED, 0 },
	/* NPN is never offered beside ALPN. */
	{ "-advertise-npn", PARAM_IGNORED, 0 },
	/* Server preference is the only one there is; no ALPN configured declines it. */
	{ "-server-preference", IGNORED, 0 },
	{ "-decline-alpn", IGNORED, 0 },
	/* Key usage is always enforced, secure renegotiation always indicated. */
	{ "-enforce-rsa-key-usage", IGNORED, 0 },
	{ "-ignore-rsa-key-usage", IGNORED, 0 },
	{ "-expect-secure-renegotiation", IGNORED, 0 },
	/* No renegotiation is ever begun, and no HelloRequest heeded. */
	{ "-renegotiate-ignore", IGNORED, 0 },
	{ "-expect-total-renegotiations", PARAM_IGNORED, 0 },
	/* Machines without AES instructions are not what we test on; False Start is never done. */
	{ "-expect-cipher-no-aes", PARAM_IGNORED, 0 },
	{ "-false-start", IGNORED, 0 },
	/* The server's sessions are all in tickets, and none allows 0-RTT, whatever the reason. */
	{ "-expect-no-session-id", IGNORED, 0 },
	{ "-expect-early-data-reason", PARAM_IGNORED, 0 },
	/* Other ways to say the same to BoringSSL's API; the handshake must look alike. */
	{ "-implicit-handshake", IGNORED, 0 },
	{ "-no-op-extra-handshake", IGNORED, 0 },
	{ "-partial-write", IGNORED, 0 },
	{ "-use-early-callback", IGNORED, 0 },
	{ "-use-ticket-callback", IGNORED, 0 },
	{ "-install-ddos-callback", IGNORED, 0 },
	{ "-set-ocsp-in-callback", IGNORED, 0 },
	{ "-use-old-client-cert-callback", IGNORED, 0 },
};

static const struct flag *find_flag(const char *name)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (!strcmp(flags[i].name, name))
			return &flags[i];
	}
	return NULL;
}

static bool parse_int(const char *text, int *out)
{
	char *end;
	long value = strtol(text, &end, 10);

	*out = (int)value;
	return *text && !*end && value == *out;
}

static bool add_int(struct int_list *list, const char *text)
{
	return list->count < MAX_LIST && parse_int(text, &list->values[list->count++]);
}

static bool store(const struct flag *flag, struct options *options, const char *param)
{
	void *field = (char *)options + flag->offset;

	switch (flag->kind) {
	case BOOL:
		*(bool *)field = true;
		return true;
	case INT:
		return parse_int(param, field);
	case INT_LIST:
		return add_int(field, param);
	case STRING:
		*(const char **)field = param;
		return true;
	case IGNORED:
	case PARAM_IGNORED:
		return true;
	}
	return false;
}

/* Takes "-on-NAME" off "-on-NAME-flag". */
static bool take_prefix(const char **name, const char *prefix)
{
	size_t len = strlen(prefix);

	if (strncmp(*name, prefix, len) || (*name)[len] != '-')
		return false;
	*name += len;
	return true;
}

/* Without a prefix, a flag is for every connection. */
static bool store_in(const struct flag *flag, struct option_sets *sets, struct options *one,
		     const char *param)
{
	if (one)
		return store(flag, one, param);
	return store(flag, &sets->initial, param) && store(flag, &sets->resume, param) &&
	       store(flag, &sets->retry, param);
}

int options_parse(struct option_sets *sets, int argc, char **argv)
{
	memset(sets, 0, sizeof(*sets));
	for (int i = 1; i < argc; i++) {
		const char *name = argv[i], *param = NULL;
		struct options *one = NULL;
		const struct flag *flag;

		take_prefix(&name, "-on-shim");
		if (take_prefix(&name, "-on-initial"))
			one = &sets->initial;
		else if (take_prefix(&name, "-on-resume"))
			one = &sets->resume;
		else if (take_prefix(&name, "-on-retry"))
			one = &sets->retry;
		flag = find_flag(name);
		if (!flag) {
			fprintf(stderr, "%s is not implemented\n", argv[i]);
			return EXIT_UNIMPLEMENTED;
		}
		if (flag->kind != BOOL && flag->kind != IGNORED)
			param = ++i < argc ? argv[i] : "";
		if (!store_in(flag, sets, one, param)) {
			fprintf(stderr, "%s does not take '%s'\n", argv[i - 1], param);
			return EXIT_FAILURE;
		}
	}
	return 0;
}
