// SPDX-License-Identifier: MIT
#include "daemon/tally.h"

#include <errno.h>

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define SENT(alert)	(TLS_ERR_ALERT + TLS_ALERT_##alert)
#define GOT(alert)	(TLS_ERR_PEER + TLS_ALERT_##alert)

/* ---- why a handshake failed ---- */

const char * const tally_failures[FAILURES] = {
	[FAILURE_TIMEOUT] = "timeout",
	[FAILURE_TOO_MANY] = "too_many",
	[FAILURE_PEER_CLOSED] = "peer_closed",
	[FAILURE_NETWORK] = "network",
	[FAILURE_PROTOCOL_ERROR] = "protocol_error",
	[FAILURE_NO_COMMON_VERSION] = "no_common_version",
	[FAILURE_NO_COMMON_PARAMETERS] = "no_common_parameters",
	[FAILURE_NO_COMMON_ALPN] = "no_common_alpn",
	[FAILURE_UNKNOWN_NAME] = "unknown_name",
	[FAILURE_INTEGRITY] = "integrity",
	[FAILURE_CERTIFICATE_MISSING] = "certificate_missing",
	[FAILURE_CERTIFICATE_EXPIRED] = "certificate_expired",
	[FAILURE_CERTIFICATE_REVOKED] = "certificate_revoked",
	[FAILURE_CERTIFICATE_UNKNOWN_CA] = "certificate_unknown_ca",
	[FAILURE_CERTIFICATE_BAD] = "certificate_bad",
	[FAILURE_CERTIFICATE_NOT_ALLOWED] = "certificate_not_allowed",
	[FAILURE_PEER_REJECTED_CERTIFICATE] = "peer_rejected_certificate",
	[FAILURE_PEER_NO_COMMON_PARAMETERS] = "peer_no_common_parameters",
	[FAILURE_PEER_ALERT] = "peer_alert",
	[FAILURE_KEY] = "key",
	[FAILURE_PROXY_HEADER] = "proxy_header",
	[FAILURE_INTERNAL] = "internal",
};

static const struct {
	int err;
	enum failure failure;
} errors[] = {
	{ SENT(PROTOCOL_VERSION), FAILURE_NO_COMMON_VERSION },
	{ SENT(INAPPROPRIATE_FALLBACK), FAILURE_NO_COMMON_VERSION },
	{ SENT(HANDSHAKE_FAILURE), FAILURE_NO_COMMON_PARAMETERS },
	{ SENT(INSUFFICIENT_SECURITY), FAILURE_NO_COMMON_PARAMETERS },
	{ SENT(NO_APPLICATION_PROTOCOL), FAILURE_NO_COMMON_ALPN },
	{ SENT(UNRECOGNIZED_NAME), FAILURE_UNKNOWN_NAME },
	{ SENT(DECRYPT_ERROR), FAILURE_INTEGRITY },
	{ SENT(BAD_RECORD_MAC), FAILURE_INTEGRITY },
	{ SENT(CERTIFICATE_REQUIRED), FAILURE_CERTIFICATE_MISSING },
	{ SENT(CERTIFICATE_EXPIRED), FAILURE_CERTIFICATE_EXPIRED },
	{ SENT(CERTIFICATE_REVOKED), FAILURE_CERTIFICATE_REVOKED },
	{ SENT(UNKNOWN_CA), FAILURE_CERTIFICATE_UNKNOWN_CA },
	{ SENT(BAD_CERTIFICATE), FAILURE_CERTIFICATE_BAD },
	{ SENT(UNSUPPORTED_CERTIFICATE), FAILURE_CERTIFICATE_BAD },
	{ SENT(CERTIFICATE_UNKNOWN), FAILURE_CERTIFICATE_BAD },
	{ SENT(BAD_CERTIFICATE_STATUS), FAILURE_CERTIFICATE_BAD },
	{ SENT(ACCESS_DENIED), FAILURE_CERTIFICATE_NOT_ALLOWED },
	{ SENT(INTERNAL_ERROR), FAILURE_INTERNAL },
	{ GOT(BAD_CERTIFICATE), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(UNSUPPORTED_CERTIFICATE), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(CERTIFICATE_REVOKED), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(CERTIFICATE_EXPIRED), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(CERTIFICATE_UNKNOWN), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(BAD_CERTIFICATE_STATUS), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(UNKNOWN_CA), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(CERTIFICATE_REQUIRED), FAILURE_PEER_REJECTED_CERTIFICATE },
	{ GOT(HANDSHAKE_FAILURE), FAILURE_PEER_NO_COMMON_PARAMETERS },
	{ GOT(PROTOCOL_VERSION), FAILURE_PEER_NO_COMMON_PARAMETERS },
	{ GOT(INSUFFICIENT_SECURITY), FAILURE_PEER_NO_COMMON_PARAMETERS },
	{ GOT(NO_APPLICATION_PROTOCOL), FAILURE_PEER_NO_COMMON_PARAMETERS },
	{ TLS_ERR_TRUNCATED, FAILURE_PEER_CLOSED },
	{ TLS_ERR_KEY_REFUSED, FAILURE_KEY },
};

enum failure tally_failure(int err)
{
	size_t i;

	for (i = 0; i < COUNT(errors); i++)
		if (errors[i].err == err)
			return errors[i].failure;
	switch (TLS_ERR_CLASS(err)) {
	case TLS_ERR_ALERT:
		return FAILURE_PROTOCOL_ERROR;
	case TLS_ERR_PEER:
		return FAILURE_PEER_ALERT;
	default:
		return FAILURE_INTERNAL;
	}
}

/* ---- why the kernel refused a session ---- */

const char * const tally_refusals[REFUSALS] = {
	[REFUSAL_NO_MODULE] = "no_module",
	[REFUSAL_PERMISSION] = "permission",
	[REFUSAL_SESSION_LIMIT] = "session_limit",
	[REFUSAL_RELAY_LIMIT] = "relay_limit",
	[REFUSAL_MEMORY] = "memory",
	[REFUSAL_BUSY] = "busy",
	[REFUSAL_NOT_CONNECTED] = "not_connected",
	[REFUSAL_SUITE] = "suite",
	[REFUSAL_SERVER_SOCKET] = "server_socket",
	[REFUSAL_SERVER_DOWN] = "server_down",
	[REFUSAL_HANDLE] = "handle",
	[REFUSAL_OTHER] = "other",
};

enum refusal tally_refusal(int err)
{
	static const struct {
		int err;
		enum refusal refusal;
	} rows[] = {
		{ -ENODEV, REFUSAL_NO_MODULE },
		{ -EPERM, REFUSAL_PERMISSION },
		{ -ENOSPC, REFUSAL_SESSION_LIMIT },
		{ -EDQUOT, REFUSAL_RELAY_LIMIT },
		{ -ENOMEM, REFUSAL_MEMORY },
		{ -ENOBUFS, REFUSAL_MEMORY },
		{ -EBUSY, REFUSAL_BUSY },
		{ -EEXIST, REFUSAL_BUSY },
		{ -ENOTCONN, REFUSAL_NOT_CONNECTED },
		{ -EOPNOTSUPP, REFUSAL_SUITE },
		{ -EADDRNOTAVAIL, REFUSAL_SERVER_SOCKET },
		{ -ESOCKTNOSUPPORT, REFUSAL_SERVER_SOCKET },
		{ -ECONNREFUSED, REFUSAL_SERVER_DOWN },
		{ -EAGAIN, REFUSAL_SERVER_DOWN },
		{ -EBADF, REFUSAL_HANDLE },
		{ -EXDEV, REFUSAL_HANDLE },
		{ -EACCES, REFUSAL_HANDLE },
	};
	size_t i;

	for (i = 0; i < COUNT(rows); i++)
		if (rows[i].err == err)
			return rows[i].refusal;
	return REFUSAL_OTHER;
}

/* ---- how long something took ---- */

static const struct {
	uint64_t us;
	const char *text;
} bounds[TALLY_BUCKETS] = {
	{ 1000, "0.001" }, { 2500, "0.0025" }, { 5000, "0.005" }, { 10000, "0.01" },
	{ 25000, "0.025" }, { 50000, "0.05" }, { 100000, "0.1" }, { 250000, "0.25" },
	{ 500000, "0.5" }, { 1000000, "1.0" }, { 2500000, "2.5" }, { 5000000, "5.0" },
	{ 10000000, "10.0" }, { UINT64_MAX, "+Inf" },
};

unsigned int tally_bucket(uint64_t us)
{
	unsigned int bucket = 0;

	while (us > bounds[bucket].us)
		bucket++;
	return bucket;
}

const char *tally_bound(unsigned int bucket)
{
	return bounds[bucket].text;
}

/* ---- what a handshake agreed on ---- */

/* IANA's numbers of those that the engine has; the first is also for one that is not known here. */
static const uint16_t groups[TALLY_GROUPS] = {
	0, 0x11ec, 0x11eb, 0x001d, 0x0017, 0x0018, 0x0019, 0x001e,
};

static unsigned int find_group(uint16_t group)
{
	unsigned int i;

	for (i = 0; i < TALLY_GROUPS; i++)
		if (groups[i] == group)
			return i;
	return 0;
}

/* The engine chose it from that table. */
static unsigned int find_suite(uint16_t suite)
{
	const struct tls_suite_info *suites = tls_suites();
	unsigned int i = 0;

	while (i < TALLY_SUITES - 1 && suites[i].name && suites[i].suite != suite)
		i++;
	return i;
}

unsigned int tally_kind(const struct tls_conn_info *info, bool client_certificate)
{
	return ((find_suite(info->suite) * TALLY_GROUPS + find_group(info->group)) * 2 + info->resumed) * 2 +
	       client_certificate;
}

/* There is room for more suites than there are. */
static const struct tls_suite_info *suite_at(unsigned int index)
{
	const struct tls_suite_info *suite = tls_suites();

	while (suite->name && index) {
		suite++;
		index--;
	}
	return suite->name ? suite : NULL;
}

bool tally_kind_names(unsigned int kind, struct tally_kind *out)
{
	const struct tls_suite_info *suite = suite_at(kind / 4 / TALLY_GROUPS);
	const uint16_t group = groups[kind / 4 % TALLY_GROUPS];

	if (!suite)
		return false;
	*out = (struct tally_kind){
		.version = suite->version == TLS_1_3 ? "1.3" : "1.2",
		.suite = suite->name,
		.group = group ? tls_group_name(group) : "none",
		.resumed = kind / 2 % 2,
		.client_certificate = kind % 2,
	};
	return true;
}
