// SPDX-License-Identifier: MIT
/* daemon/tally: each event has one kind, and each kind one name. */
#include <errno.h>
#include <string.h>

#include "daemon/tally.h"
#include "tests/tap.h"

static void failures_have_kinds(void)
{
	tap_equal(tally_failure(TLS_ALERT(PROTOCOL_VERSION)), FAILURE_NO_COMMON_VERSION, "no version in common");
	tap_equal(tally_failure(TLS_ALERT(HANDSHAKE_FAILURE)), FAILURE_NO_COMMON_PARAMETERS,
		  "no suite or group in common");
	tap_equal(tally_failure(TLS_ERR_PEER + TLS_ALERT_UNKNOWN_CA), FAILURE_PEER_REJECTED_CERTIFICATE,
		  "the peer does not take our certificate");
	tap_equal(tally_failure(TLS_ALERT(CERTIFICATE_EXPIRED)), FAILURE_CERTIFICATE_EXPIRED,
		  "the peer's certificate has expired");
	tap_equal(tally_failure(TLS_ALERT(DECODE_ERROR)), FAILURE_PROTOCOL_ERROR, "an alert without a row");
	tap_equal(tally_failure(TLS_ERR_PEER + TLS_ALERT_DECODE_ERROR), FAILURE_PEER_ALERT,
		  "a peer's alert without a row");
	tap_equal(tally_failure(TLS_ERR_NO_MEMORY), FAILURE_INTERNAL, "an error of ours");
}

static void refusals_have_kinds(void)
{
	tap_equal(tally_refusal(-EDQUOT), REFUSAL_RELAY_LIMIT, "the user's limit of relays");
	tap_equal(tally_refusal(-EIO), REFUSAL_OTHER, "an error without a row");
}

static void names_differ(void)
{
	bool differ = true;
	int i, j;

	for (i = 0; i < FAILURES; i++)
		for (j = 0; j < i; j++)
			differ &= strcmp(tally_failures[i], tally_failures[j]) != 0;
	for (i = 0; i < REFUSALS; i++)
		for (j = 0; j < i; j++)
			differ &= strcmp(tally_refusals[i], tally_refusals[j]) != 0;
	tap_ok(differ, "no two kinds have one name");
}

static void times_have_buckets(void)
{
	tap_equal(tally_bucket(0), 0, "no time");
	tap_equal(tally_bucket(1000), 0, "a bound belongs to its bucket");
	tap_equal(tally_bucket(1001), 1, "what is above does not");
	tap_equal(tally_bucket(3600000000), TALLY_BUCKETS - 1, "an hour is in the last");
	tap_ok(!strcmp(tally_bound(TALLY_BUCKETS - 1), "+Inf"), "which has no bound");
}

static void handshakes_have_kinds(void)
{
	const struct tls_suite_info *suite = tls_suites();
	struct tls_conn_info info = { .group = 0x001d, .resumed = true };
	struct tally_kind kind = {0};
	bool same = true;

	for (; suite->name; suite++) {
		info.suite = suite->suite;
		same &= tally_kind_names(tally_kind(&info, true), &kind);
		same &= !strcmp(kind.suite, suite->name) && !strcmp(kind.group, "x25519") && kind.resumed &&
			kind.client_certificate && !strcmp(kind.version, suite->version == TLS_1_3 ? "1.3" : "1.2");
	}
	tap_ok(same, "every suite comes back by its name");
	tap_ok(suite - tls_suites() <= TALLY_SUITES, "all suites have room");
	info = (struct tls_conn_info){ .suite = 0x009c };
	tap_ok(tally_kind_names(tally_kind(&info, false), &kind), "RSA key exchange");
	tap_ok(!strcmp(kind.group, "none") && !kind.resumed && !kind.client_certificate, "without a group");
}

/* Workers write the counters, and one that was taken over writes what it likes. */
static void numbers_of_no_kind_have_no_names(void)
{
	unsigned int kind, suites = 0, named = 0;
	struct tally_kind names;
	bool whole = true;

	while (tls_suites()[suites].name)
		suites++;
	for (kind = 0; kind < TALLY_KINDS; kind++) {
		if (!tally_kind_names(kind, &names))
			continue;
		named++;
		whole &= names.version && names.suite && names.group;
	}
	tap_ok(whole, "what is a kind has all its names");
	tap_equal(named, suites * TALLY_GROUPS * 4, "and what has no suite is none");
}

int main(void)
{
	failures_have_kinds();
	refusals_have_kinds();
	names_differ();
	times_have_buckets();
	handshakes_have_kinds();
	numbers_of_no_kind_have_no_names();
	return tap_done();
}
