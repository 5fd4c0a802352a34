// SPDX-License-Identifier: MIT
/* From the runner's options to the engine's configuration. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config.h"
#include "conn.h"
#include "shim.h"

#define MAX_NAMES	1024
#define MAX_SESSION	65536

static int64_t clock_advance;

void setup_advance_clock(int seconds)
{
	clock_advance += seconds;
}

static int64_t now(void *arg)
{
	(void)arg;
	return time(NULL) + clock_advance;
}

static int unimplemented(const char *what)
{
	fprintf(stderr, "%s is not implemented\n", what);
	return EXIT_UNIMPLEMENTED;
}

static int failed(const char *what)
{
	fprintf(stderr, "the engine refuses %s\n", what);
	return EXIT_FAILURE;
}

static int set_versions(struct exchange *x)
{
	const struct options *o = x->options;
	int min = o->min_version > TLS_1_2 ? o->min_version : TLS_1_2;
	int max = o->max_version ? o->max_version : TLS_1_3;

	if (o->no_tls1 && o->no_tls11 && o->no_tls12 && o->no_tls13)
		return failed("to have no version");
	if (o->no_tls12 && min == TLS_1_2)
		min = TLS_1_3;
	if (o->no_tls13 && max == TLS_1_3)
		max = TLS_1_2;
	if (min > max)
		return unimplemented("a version other than TLS 1.2 and 1.3");
	return tls_config_set_versions(x->config, (uint16_t)min, (uint16_t)max) ?
		       failed("the versions") : 0;
}

static void add_name(char list[MAX_NAMES], const char *name)
{
	size_t len = strlen(list);

	snprintf(list + len, MAX_NAMES - len, "%s%s", len ? ":" : "", name);
}

/* Every suite of a version but those with NULL or a part of the name: RSA key exchange, too. */
static void add_suites(char list[MAX_NAMES], uint16_t version, const char *without)
{
	for (const struct tls_suite_info *info = tls_suites(); info->suite; info++) {
		if (info->version == version && !(without && strstr(info->name, without)))
			add_name(list, info->name);
	}
}

/* BoringSSL's language, as far as the tests need it: IANA's names, some alike by [a|b], or all
 * but some.  Suites that we do not have are left out. */
static void add_named_suites(char list[MAX_NAMES], const char *names)
{
	char copy[MAX_NAMES], *rest = copy, *name;

	if (!strncmp(names, "DEFAULT:!", 9)) {
		add_suites(list, TLS_1_2, names + 9);
		return;
	}
	snprintf(copy, sizeof(copy), "%s", names);
	while ((name = strsep(&rest, ":[|]"))) {
		for (const struct tls_suite_info *info = tls_suites(); info->suite; info++) {
			if (!strcmp(info->name, name))
				add_name(list, name);
		}
	}
}

static int set_suites(struct exchange *x)
{
	char list[MAX_NAMES] = "";

	add_suites(list, TLS_1_3, NULL);
	if (x->options->suites)
		add_named_suites(list, x->options->suites);
	else
		add_suites(list, TLS_1_2, NULL);
	return tls_config_set_suites(x->config, list, NULL) ? failed(list) : 0;
}

/*
 * From numbers to names with colons, without those that the engine does not
 * have, as the runner often names all there are; false if none is left of some.
 */
static bool name_all(const struct int_list *numbers, const char *(*name_of)(uint16_t number),
		     char list[MAX_NAMES])
{
	size_t len = 0;

	list[0] = '\0';
	for (size_t i = 0; i < numbers->count; i++) {
		const char *name = name_of((uint16_t)numbers->values[i]);

		if (name)
			len += (size_t)snprintf(list + len, MAX_NAMES - len, "%s%s",
						len ? ":" : "", name);
	}
	return len || !numbers->count;
}

static const char *our_group(uint16_t id)
{
	return tls_group_find(id) ? tls_group_name(id) : NULL;
}

static const char *our_scheme(uint16_t id)
{
	return tls_scheme_find(id) ? tls_scheme_name(id) : NULL;
}

static int set_groups(struct exchange *x)
{
	char list[MAX_NAMES];

	if (!name_all(&x->options->groups, our_group, list))
		return unimplemented("any of the groups");
	return *list && tls_config_set_groups(x->config, list, NULL) ? failed(list) : 0;
}

static int set_schemes_for(struct exchange *x, enum tls_scheme_use use,
			   const struct int_list *schemes)
{
	char list[MAX_NAMES];

	if (!name_all(schemes, our_scheme, list))
		return unimplemented("any of the signature schemes");
	return *list && tls_config_set_schemes(x->config, use, list, NULL) ? failed(list) : 0;
}

static int set_schemes(struct exchange *x)
{
	int status = set_schemes_for(x, TLS_TO_SIGN, &x->options->signing_schemes);

	return status ? status :
			set_schemes_for(x, TLS_TO_VERIFY, &x->options->verify_schemes);
}

/* From the wire's form to a list with commas. */
static int set_advertised_alpn(struct exchange *x)
{
	const char *wire = x->options->advertise_alpn;
	char list[MAX_NAMES] = "";

	for (size_t at = 0, n; wire[at]; at += n) {
		n = (unsigned char)wire[at++];
		if (at > 1)
			strncat(list, ",", 2);
		strncat(list, wire + at, n);
	}
	return tls_config_set_alpn(x->config, list) ? failed(list) : 0;
}

/* A server refuses when none of its protocols is offered; these are the tests' own names. */
static int set_alpn(struct exchange *x)
{
	const struct options *o = x->options;

	if (!o->server)
		return o->advertise_alpn ? set_advertised_alpn(x) : 0;
	if (o->reject_alpn)
		return tls_config_set_alpn(x->config, "none-of-the-runner's") ?
			       failed("ALPN") : 0;
	return o->select_alpn && tls_config_set_alpn(x->config, o->select_alpn) ?
		       failed(o->select_alpn) : 0;
}

static bool staple(const struct options *o, struct tls_certificate *cert)
{
	uint8_t response[MAX_NAMES];
	size_t len;

	if (!o->ocsp_response || o->decline_ocsp)
		return true;
	len = base64_decode(o->ocsp_response, response, sizeof(response));
	return len && !tls_certificate_set_ocsp(cert, response, len);
}

static int set_max_message(struct exchange *x)
{
	int max = x->options->max_cert_list;

	return max && tls_config_set_max_message(x->config, (size_t)max) ?
	       failed("the limit to messages") : 0;
}

static int set_requests(struct exchange *x)
{
	const struct options *o = x->options;

	if (o->server)
		return o->refuse_ocsp ? unimplemented("a server that does not get its staple") : 0;
	/* The runner's TLS 1.2 servers may lack renegotiation_info, as BoringSSL permits. */
	if (tls_config_allow_legacy_server(x->config))
		return failed("to take legacy servers");
	if (o->request_ocsp && tls_config_request_ocsp(x->config))
		return failed("to ask for OCSP");
	return o->request_scts && tls_config_request_scts(x->config) ? failed("to ask for SCTs") :
								       0;
}

static bool add_scts(const struct options *o, struct tls_certificate *cert)
{
	uint8_t scts[MAX_NAMES];
	size_t len;

	if (!o->scts)
		return true;
	len = base64_decode(o->scts, scts, sizeof(scts));
	return len && !tls_certificate_set_scts(cert, scts, len);
}

static int add_certificate(struct exchange *x, const char *pem, size_t len)
{
	struct tls_certificate *cert;
	const char *why = NULL;
	int err = tls_certificate_new(&cert, pem, len, &why);

	if (err) {
		fprintf(stderr, "%s: %s\n", x->options->cert_file, why);
		return EXIT_FAILURE;
	}
	if (!staple(x->options, cert) || !add_scts(x->options, cert)) {
		tls_certificate_free(cert);
		return failed("the OCSP response or the SCTs");
	}
	err = tls_config_add_certificate(x->config, cert);
	tls_certificate_free(cert);
	return err ? failed("the certificate") : 0;
}

static int load_key(struct exchange *x, const char *pem, size_t len)
{
	const char *why = NULL;

	if (!tls_private_key_new(&x->key, pem, len, &why))
		return 0;
	fprintf(stderr, "%s: %s\n", x->options->key_file, why);
	return EXIT_FAILURE;
}

static int with_file(struct exchange *x, const char *path,
		     int (*use)(struct exchange *x, const char *pem, size_t len))
{
	size_t len;
	char *text;
	int status;

	if (!path)
		return 0;
	text = file_read(path, &len);
	if (!text)
		return EXIT_FAILURE;
	status = use(x, text, len);
	free(text);
	return status;
}

static int set_verify(struct exchange *x)
{
	const struct options *o = x->options;
	enum tls_verify verify = TLS_VERIFY_NONE;

	if (o->server && o->verify_peer)
		verify = TLS_VERIFY_REQUEST;
	else if (o->verify_peer || o->require_certificate || (!o->server && o->verify_ocsp))
		verify = TLS_VERIFY_REQUIRE;
	else if (o->verify_fail)
		verify = TLS_VERIFY_REPORT;
	x->config->has_ca = o->ca_names && *o->ca_names != '<';
	return tls_config_set_verify(x->config, verify) ? failed("the verification") : 0;
}

/* One key for all connections of this process, so that each takes the others' tickets. */
static int set_tickets(struct exchange *x, bool resumption)
{
	static const struct tls_ticket_key keys[] = {
		{ .name = "newer", .key = { 2 } },
		{ .name = "of the BoGo shim", .key = { 1 } },
	};
	/* To be renewed, a ticket has to be by a key that is not the first any more. */
	size_t first = resumption && x->options->renew_ticket ? 0 : 1;

	if (!x->options->server || x->options->no_ticket)
		return 0;
	return tls_config_set_ticket_keys(x->config, keys + first, 2 - first) ?
	       failed("the ticket key") : 0;
}

int setup_config(struct exchange *x, bool resumption)
{
	static const struct tls_hooks hooks = { .now = now, .event = observe };
	static int (*const steps[])(struct exchange *x) = {
		set_versions, set_suites, set_groups, set_schemes, set_alpn, set_verify,
		set_requests, set_max_message,
	};
	int status = 0;

	verdict_set_up(x->options);
	x->config = tls_config_new(x->options->server ? TLS_SERVER : TLS_CLIENT, &hooks);
	if (!x->config)
		return failed("a configuration");
	for (size_t i = 0; !status && i < sizeof(steps) / sizeof(*steps); i++)
		status = steps[i](x);
	if (!status)
		status = set_tickets(x, resumption);
	if (!status)
		status = with_file(x, x->options->cert_file, add_certificate);
	return status ? status : with_file(x, x->options->key_file, load_key);
}

static uint8_t kept[MAX_SESSION];
static size_t kept_len;

void setup_keep_session(const struct exchange *x)
{
	const uint8_t *session = tls_conn_session(x->conn, &kept_len);

	if (!session || kept_len > sizeof(kept))
		kept_len = 0;
	else
		memcpy(kept, session, kept_len);
}

static int offer_session(struct exchange *x)
{
	if (!kept_len) {
		fprintf(stderr, "there is no session to offer\n");
		return EXIT_FAILURE;
	}
	/* One that it refuses is no error: whether it should have is for expect_handshake(). */
	switch (tls_conn_set_session(x->conn, kept, kept_len)) {
	case 0:
	case TLS_ERR_ARGUMENT:
		return 0;
	default:
		return failed("the session");
	}
}

int setup_connection(struct exchange *x, bool resume)
{
	const char *name = x->options->host_name;

	x->conn = tls_conn_new(x->config);
	if (!x->conn)
		return failed("a connection");
	tls_conn_set_arg(x->conn, x);
	if (name && tls_conn_set_server_name(x->conn, name))
		return failed(name);
	x->conn->tx.limit = (uint16_t)x->options->max_send_fragment;
	return resume && !x->options->server ? offer_session(x) : 0;
}
