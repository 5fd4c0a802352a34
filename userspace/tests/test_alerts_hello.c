// SPDX-License-Identifier: MIT
/* Hellos made by hand, and what each engine says to them. */
#include <stdio.h>
#include <string.h>

#include "engine/crypto/prf12.h"
#include "engine/extension/extension.h"
#include "engine/message/message.h"
#include "engine/record.h"
#include "pair.h"
#include "tap.h"

/* RFC 7748 section 4.1: the base point, a valid public value */
#define POINT	"0900000000000000000000000000000000000000000000000000000000000000"
#define ZEROS	"0000000000000000000000000000000000000000000000000000000000000000"
#define RANDOM	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define RETRY	"cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c"
#define SESSION	"20" RANDOM

#define VERSIONS	"002b00050403040303"
#define VERSION_13	"002b0003020304"
#define GROUPS		"000a00040002001d"
#define SCHEMES		"000d000400020403"
#define SHARE		"003300260024001d0020" POINT
#define BASE		VERSIONS GROUPS SCHEMES SHARE
#define BASE_12		"000a00040002001700" "0d000400020403"

/* After the legacy version: a message put together and fed as one record. */
static struct tls_buf message(uint8_t type, const char *const *parts, const char *extensions)
{
	struct tls_vec body, block;
	struct tls_buf record;

	tls_buf_init(&record, 0x10000);
	tls_put_bytes(&record, "\x16\x03\x01", 3);
	body = tls_put_open(&record, 2);
	tls_put_u8(&record, type);
	block = tls_put_open(&record, 3);
	for (; *parts; parts++) {
		struct tls_slice part = tap_hex(*parts);

		tls_put_bytes(&record, part.p, part.len);
	}
	if (extensions) {
		struct tls_slice part = tap_hex(extensions);
		struct tls_vec list = tls_put_open(&record, 2);

		tls_put_bytes(&record, part.p, part.len);
		tls_put_close(&record, list);
	}
	tls_put_close(&record, block);
	tls_put_close(&record, body);
	return record;
}

/* The last thing in the output is that alert, in the clear and fatal. */
static bool alert_sent(const struct tls_conn *conn, int alert)
{
	size_t len;
	const uint8_t *p = tls_conn_output(conn, &len);

	return len >= 7 && p[len - 7] == 21 && p[len - 6] == 3 && p[len - 3] == 2 &&
	       p[len - 2] == 2 && p[len - 1] == alert;
}

static void expect(struct pair_end *end, int alert, const char *who, const char *what)
{
	bool ok = alert ? end->err == TLS_ERR_ALERT + alert && alert_sent(end->conn, alert) :
			  !end->err;

	tap_ok(ok, "%s: %s: %s (%s)", who, what, alert ? tls_alert_name((uint8_t)alert) : "fine",
	       tls_strerror(end->err));
}

/* ---- to a server ---- */

struct client_hello {
	const char *what;
	int alert;			/* 0: the server goes on */
	const char *extensions;		/* NULL: no block at all */
	const char *version, *session, *suites, *compression;	/* NULL: good ones */
};

static const struct client_hello client_hellos[] = {
	{ "good for TLS 1.3", 0, .extensions = BASE },
	{ "good for TLS 1.2", 0, .extensions = BASE_12 },
	{ "GREASE everywhere", 0,
	 
	  .extensions = "0a0a0000" "002b0007061a1a03040303" "000a000600041a1a001d"
	  "000d000600041a1a0403"
	  "0033002b00291a1a000100001d0020" POINT "2a2a000100", .suites = "00063a3a1301c02b" },
	{ "an unknown extension", 0, .extensions = BASE "12340003010203" },
	{ "no supported_groups", TLS_ALERT_MISSING_EXTENSION,
	  .extensions = VERSIONS SCHEMES SHARE },
	{ "no key_share", TLS_ALERT_MISSING_EXTENSION, .extensions = VERSIONS GROUPS SCHEMES },
	{ "no signature_algorithms", TLS_ALERT_MISSING_EXTENSION,
	  .extensions = VERSIONS GROUPS SHARE },
	{ "empty key_share: a retry", 0, .extensions = VERSIONS GROUPS SCHEMES "003300020000" },
	{ "no suite of ours", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = BASE, .suites = "0002fefe" },
	{ "only suites of TLS 1.2 for TLS 1.3", TLS_ALERT_HANDSHAKE_FAILURE, .extensions = BASE,
	  .suites = "0002c02b" },
	{ "no group of ours", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = VERSIONS "000a00040002fefe" SCHEMES SHARE },
	{ "no scheme our key can do", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = VERSIONS GROUPS "000d000400020804" SHARE },
	{ "only versions to come", TLS_ALERT_PROTOCOL_VERSION,
	  .extensions = "002b0003020305" GROUPS SCHEMES SHARE },
	{ "legacy_version counts for nothing", 0, .extensions = BASE, .version = "0301" },
	{ "but for that of SSL 3.0", TLS_ALERT_PROTOCOL_VERSION, .extensions = BASE,
	  .version = "0300" },
	{ "and what was before it", TLS_ALERT_PROTOCOL_VERSION, .extensions = BASE,
	  .version = "0002" },
	{ "TLS 1.1", TLS_ALERT_PROTOCOL_VERSION, .extensions = BASE_12, .version = "0302" },
	{ "legacy_version beyond TLS 1.2 without the extension", 0,
	  .extensions = BASE_12, .version = "0305" },
	{ "an extension twice", TLS_ALERT_DECODE_ERROR, .extensions = BASE GROUPS },
	{ "an unknown extension twice", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "1234000012340000" },
	{ "a truncated extension", TLS_ALERT_DECODE_ERROR, .extensions = BASE "12340003" },
	{ "a truncated extension header", TLS_ALERT_DECODE_ERROR, .extensions = BASE "123400" },
	{ "compression too, for TLS 1.3", TLS_ALERT_ILLEGAL_PARAMETER, .extensions = BASE,
	  .compression = "020100" },
	{ "compression too, for TLS 1.2", 0, .extensions = BASE_12, .compression = "020100" },
	{ "compression only", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = BASE_12, .compression = "0101" },
	{ "no compression methods", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE, .compression = "00" },
	{ "a session id of 33 bytes", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE, .session = "21" RANDOM "00" },
	{ "no suites", TLS_ALERT_DECODE_ERROR, .extensions = BASE, .suites = "0000" },
	{ "an odd list of suites", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE, .suites = "0003130100" },
	{ "bytes after the extensions", TLS_ALERT_DECODE_ERROR, .extensions = NULL,
	  .compression = "0100" "0000" "00" },
	{ "nothing where an answer needs something", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = NULL },
	{ "supported_versions empty", TLS_ALERT_DECODE_ERROR,
	  .extensions = "002b000100" GROUPS SCHEMES SHARE },
	{ "supported_versions odd", TLS_ALERT_DECODE_ERROR,
	  .extensions = "002b000403030400" GROUPS SCHEMES SHARE },
	{ "supported_groups empty", TLS_ALERT_DECODE_ERROR,
	  .extensions = VERSIONS "000a00020000" SCHEMES SHARE },
	{ "supported_groups odd", TLS_ALERT_DECODE_ERROR,
	  .extensions = VERSIONS "000a00050003001d00" SCHEMES SHARE },
	{ "signature_algorithms empty", TLS_ALERT_DECODE_ERROR,
	  .extensions = VERSIONS GROUPS "000d00020000" SHARE },
	{ "signature_algorithms_cert empty", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "003200020000" },
	{ "signature_algorithms_cert odd", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "003200050003080400" },
	/* the certificate there is, if no chain suits (RFC 8446 section 4.4.2.2) */
	{ "signature_algorithms_cert without what our chain is signed by", 0,
	  .extensions = BASE "0032000400020804" },
	{ "signature_algorithms_cert does not stand in for signature_algorithms",
	  TLS_ALERT_MISSING_EXTENSION,
	  .extensions = VERSIONS GROUPS "0032000400020403" SHARE },
	{ "key_share with a group twice", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = VERSIONS GROUPS SCHEMES "0033004a0048001d0020" POINT "001d0020" POINT },
	{ "key_share with an empty share", TLS_ALERT_DECODE_ERROR,
	  .extensions = VERSIONS GROUPS SCHEMES "003300060004001d0000" },
	{ "key_share too short", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = VERSIONS GROUPS SCHEMES "003300070005001d000100" },
	{ "key_share of zeros", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = VERSIONS GROUPS SCHEMES "003300260024001d0020" ZEROS },
	{ "key_share with bytes behind", TLS_ALERT_DECODE_ERROR,
	  .extensions = VERSIONS GROUPS SCHEMES "003300270024001d0020" POINT "00" },
	{ "server_name with an empty list", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "000000020000" },
	{ "server_name empty", TLS_ALERT_DECODE_ERROR, .extensions = BASE "00000005000300" "0000" },
	{ "server_name with a zero inside", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "000000080006000003610062" },
	{ "server_name of another type", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "0000000600040100" "0161" },
	{ "two server_names", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "0000000a0008000001610000" "0162" },
	{ "ALPN with an empty list", TLS_ALERT_DECODE_ERROR, .extensions = BASE "001000020000" },
	{ "ALPN with an empty name", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE "0010000300" "0100" },
	{ "ALPN truncated", TLS_ALERT_DECODE_ERROR, .extensions = BASE "00100004000203" "68" },
	{ "ec_point_formats without uncompressed", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = BASE_12 "000b00020101" },
	{ "ec_point_formats without uncompressed, for TLS 1.3", 0,
	  .extensions = BASE "000b00020101" },
	{ "ec_point_formats empty", TLS_ALERT_DECODE_ERROR, .extensions = BASE_12 "000b000100" },
	{ "renegotiation_info of a renegotiation", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = BASE_12 "ff01000201ff" },
	{ "renegotiation_info truncated", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE_12 "ff010000" },
	{ "extended_master_secret not empty", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE_12 "0017000100" },
	{ "max_fragment_length of none", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = BASE "0001000100" },
	{ "max_fragment_length beyond", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = BASE_12 "0001000105" },
	{ "max_fragment_length empty", TLS_ALERT_DECODE_ERROR, .extensions = BASE "00010000" },
	{ "max_fragment_length too long", TLS_ALERT_DECODE_ERROR,
	  .extensions = BASE_12 "000100020101" },
	{ "cookie empty", TLS_ALERT_DECODE_ERROR, .extensions = BASE "002c00020000" },
	{ "early_data not empty", TLS_ALERT_DECODE_ERROR, .extensions = BASE "002a000100" },
	{ "early_data, which is refused in order", 0, .extensions = BASE "002a0000" },
	{ "fallback to TLS 1.2", TLS_ALERT_INAPPROPRIATE_FALLBACK, .extensions = BASE_12,
	  .suites = "0004c02b5600" },
	{ "fallback value without a fallback", 0, .extensions = BASE, .suites = "000413015600" },
	{ "a curve the key is not on, for TLS 1.2", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = GROUPS SCHEMES },
};

static void to_server(const struct client_hello *hello)
{
	const char *parts[] = {
		hello->version ? hello->version : "0303", RANDOM,
		hello->session ? hello->session : "00",
		hello->suites ? hello->suites : "00041301c02b",
		hello->compression ? hello->compression : "0100", NULL,
	};
	const struct pair_options options = { .server_alpn = "h2" };
	struct tls_buf record = message(TLS_MSG_CLIENT_HELLO, parts, hello->extensions);
	struct pair pair;

	pair_init(&pair, &options);
	pair_feed(&pair.server, record.data, record.len, 0);
	/* zeros are found with the secret, which is worked out while the key is asked */
	if (!pair.server.err)
		pair.server.err = tls_conn_work_ahead(pair.server.conn);
	expect(&pair.server, hello->alert, "ClientHello", hello->what);
	pair_free(&pair);
	tls_buf_free(&record);
}

#define HOST_TEST	"0000000e000c000009" "686f73742e74657374"
/* certificate_authorities: an empty name, and CN=pair CA */
#define AUTHORITIES	"002f001c001a" "00023000" "00143012" "3110300e0603550403" "0c0770616972204341"

/* RFC 9846 section 4.3.4: a server with chains of several CAs is told which will do. */
static void authorities(uint16_t version, bool named)
{
	static const struct pki_options plain = { 0 };
	const char *parts[] = { "0303", RANDOM, "00", "00041301c02b", "0100", NULL };
	struct pki *foreign = pki_ca(PKI_P256, "foreign CA");
	struct pki *leaf = pki_new(PKI_P256, foreign, &plain);
	const struct pair_options options = { .server = { leaf, pair_leaf(PKI_P256) } };
	const char *base = version == TLS_1_3 ? BASE : BASE_12;

	for (uint32_t known = 0; known < 2; known++) {
		const struct tls_key_request *req;
		char extensions[1024];
		struct tls_buf record;
		struct pair pair;

		snprintf(extensions, sizeof(extensions), "%s%s%s", base, named ? HOST_TEST : "",
			 known ? AUTHORITIES : "");
		record = message(TLS_MSG_CLIENT_HELLO, parts, extensions);
		pair_init(&pair, &options);
		pair_feed(&pair.server, record.data, record.len, 0);
		req = tls_conn_key_request(pair.server.conn);
		tap_ok(req && req->key_id == known, "%s: %s name, %s",
		       tls_version_name(version), named ? "a" : "no",
		       known ? "the chain of the CA named" : "the first chain");
		pair_free(&pair);
		tls_buf_free(&record);
	}
	pki_free(leaf);
	pki_free(foreign);
}

/* RFC 6066 section 4: every record that the server sends, from its first; it says so. */
static void max_fragment(uint16_t version, const struct pki *leaf, const char *extension,
			 size_t limit, bool answered)
{
	const char *parts[] = { "0303", RANDOM, "00", "00041301c02b", "0100", NULL };
	const struct pair_options options = { .server = { leaf } };
	size_t len, longest = 0, overhead = version == TLS_1_3 ? 17 : 0;
	struct tls_conn_info info;
	char extensions[1024];
	struct tls_buf record;
	const uint8_t *out;
	struct pair pair;

	snprintf(extensions, sizeof(extensions), "%s%s", version == TLS_1_3 ? BASE : BASE_12,
		 extension);
	record = message(TLS_MSG_CLIENT_HELLO, parts, extensions);
	pair_init(&pair, &options);
	pair_feed(&pair.server, record.data, record.len, 0);
	pair_answer_key(&pair.server);
	tls_conn_info(pair.server.conn, &info);
	out = tls_conn_output(pair.server.conn, &len);
	/* in TLS 1.3 the answer is encrypted */
	if (version == TLS_1_2)
		tap_ok(!memmem(out, len, tap_hex(extension).p, 5) == !answered,
		       "max_fragment_length is%s answered", answered ? "" : " not");
	for (size_t at = 0; at + 5 <= len; at += 5 + (out[at + 3] << 8 | out[at + 4])) {
		size_t size = (size_t)(out[at + 3] << 8 | out[at + 4]);

		longest = size > longest ? size : longest;
	}
	tap_ok(!pair.server.err && info.record_size == limit &&
	       (limit > 1024 || longest == limit + overhead),
	       "%s: records of %zu bytes at most (%u; %zu)", tls_version_name(version), limit,
	       info.record_size, longest);
	pair_free(&pair);
	tls_buf_free(&record);
}

static void max_fragments(uint16_t version)
{
	char names[1500] = "DNS:host.test";
	const struct pki_options long_names = { .names = names };
	uint16_t type = version == TLS_1_3;	/* counted by RFC 8449 */
	const struct pki *leaf;

	for (int i = 0; i < 100; i++)
		strcat(names, ",DNS:a.test");
	leaf = pair_leaf_named(PKI_P256, &long_names);
	max_fragment(version, leaf, "0001000101", 512, true);
	max_fragment(version, leaf, "0001000102", 1024, true);
	max_fragment(version, leaf, "0001000103", 2048, true);
	max_fragment(version, leaf, "0001000104", 4096, true);
	/* RFC 8449 section 5 */
	max_fragment(version, leaf, "0001000101" "001c00020800", 2048 - type, false);
}

/* ---- to a client ---- */

#define SH_VERSION	"002b00020304"
#define SH_SHARE	"00330024001d0020" POINT
#define SH_BASE		SH_VERSION SH_SHARE
#define SH_RETRY	SH_VERSION "003300020017"
#define SECURE		"ff01000100"	/* renegotiation_info */

struct server_hello {
	const char *what;
	int alert;
	const char *extensions;
	const char *version, *random, *session, *suite, *compression;
	uint16_t min, max;		/* of the client */
	bool legacy;			/* it takes servers without renegotiation_info */
	const char *reply;		/* NULL, or what has to be in its output */
};

static const struct server_hello server_hellos[] = {
	{ "good for TLS 1.3", 0, .extensions = SH_BASE },
	{ "another session id", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_BASE, .session = "00" },
	{ "a suite that was not offered", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_BASE, .suite = "1304" },
	{ "a suite of TLS 1.2", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_BASE, .suite = "c02b" },
	{ "an unknown suite", TLS_ALERT_ILLEGAL_PARAMETER, .extensions = SH_BASE, .suite = "fefe" },
	{ "compression", TLS_ALERT_DECODE_ERROR, .extensions = SH_BASE, .compression = "01" },
	{ "a legacy_version of TLS 1.3", TLS_ALERT_PROTOCOL_VERSION,
	  .extensions = SH_BASE, .version = "0304" },
	{ "TLS 1.2 by extension", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = "002b00020303" SH_SHARE },
	{ "an unknown version by extension", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = "002b00020305" SH_SHARE },
	{ "a long version extension", TLS_ALERT_DECODE_ERROR,
	  .extensions = "002b0003030400" SH_SHARE },
	{ "no key_share", TLS_ALERT_MISSING_EXTENSION, .extensions = SH_VERSION },
	{ "key_share of another group", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_VERSION "0033002400170020" POINT },
	{ "key_share too short", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_VERSION "00330005001d000100" },
	{ "key_share empty", TLS_ALERT_DECODE_ERROR, .extensions = SH_VERSION "00330004001d0000" },
	{ "key_share of zeros", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_VERSION "00330024001d0020" ZEROS },
	{ "key_share twice", TLS_ALERT_ILLEGAL_PARAMETER, .extensions = SH_BASE SH_SHARE },
	{ "an extension nobody asked for", TLS_ALERT_UNSUPPORTED_EXTENSION,
	  .extensions = SH_BASE "12340000" },
	{ "an extension of another message", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_BASE "00000000" },
	{ "a session id of 33 bytes", TLS_ALERT_DECODE_ERROR,
	  .extensions = SH_BASE, .session = "21" RANDOM "00" },
	{ "bytes after the extensions", TLS_ALERT_DECODE_ERROR,
	  .extensions = NULL, .compression = "00" "0000" "00" },
	{ "truncated", TLS_ALERT_DECODE_ERROR, .extensions = NULL, .compression = "" },
	{ "a retry with another group", 0, .extensions = SH_RETRY, .random = RETRY,
	  .reply = "0033" "0047" "0045" "0017" "0041" "04" },
	{ "a retry with a cookie", 0,
	  .extensions = SH_VERSION "002c0005000301" "0203", .random = RETRY,
	  .reply = "002c00050003010203" },
	{ "a retry with an empty cookie", TLS_ALERT_DECODE_ERROR,
	  .extensions = SH_VERSION "002c00020000",
	  .random = RETRY },
	{ "a retry for nothing", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_VERSION, .random = RETRY },
	{ "a retry with the same group", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_VERSION "00330002001d",
	  .random = RETRY },
	{ "a retry with an unknown group", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_VERSION "00330002fefe",
	  .random = RETRY },
	{ "a retry with an extension nobody asked for", TLS_ALERT_UNSUPPORTED_EXTENSION,
	  .extensions = SH_RETRY "12340000", .random = RETRY },
	{ "a retry with an extension of another message", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_RETRY "00000000", .random = RETRY },
	{ "a retry with an unknown suite", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_RETRY, .random = RETRY,
	  .suite = "fefe" },
	{ "good for TLS 1.2", 0, .extensions = SECURE, .suite = "c02b", .session = "00" },
	{ "TLS 1.2 without extensions", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = NULL, .suite = "c02b", .session = "00" },
	{ "TLS 1.2 without renegotiation_info", TLS_ALERT_HANDSHAKE_FAILURE,
	  .extensions = "00170000", .suite = "c02b", .session = "00" },
	{ "TLS 1.2 without renegotiation_info, where that is fine", 0,
	  .extensions = NULL, .suite = "c02b", .session = "00", .legacy = true },
	{ "TLS 1.2 with a new session id", 0,
	  .extensions = SECURE, .suite = "c02b", .session = "0101" },
	{ "TLS 1.2 resuming a session that never was", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = "",
	  .suite = "c02b" },
	{ "TLS 1.2 with a suite of TLS 1.3", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = "", .session = "00" },
	{ "TLS 1.2 and the sentinel of it", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = "", .suite = "c02b",
	  .session = "00",
	  .random = "000102030405060708090a0b0c0d0e0f1011121314151617444f574e47524401" },
	{ "TLS 1.2 and the sentinel of TLS 1.1", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = "", .suite = "c02b",
	  .session = "00",
	  .random = "000102030405060708090a0b0c0d0e0f1011121314151617444f574e47524400" },
	{ "TLS 1.2 and its sentinel, where that is all we want", 0,
	  .extensions = SECURE, .suite = "c02b",
	  .session = "00", .max = TLS_1_2,
	  .random = "000102030405060708090a0b0c0d0e0f1011121314151617444f574e47524401" },
	{ "TLS 1.2 where TLS 1.3 is the least", TLS_ALERT_PROTOCOL_VERSION,
	  .extensions = "", .suite = "c02b",
	  .session = "00", .min = TLS_1_3 },
	{ "TLS 1.1", TLS_ALERT_PROTOCOL_VERSION,
	  .extensions = "", .version = "0302", .suite = "c02b",
	  .session = "00" },
	{ "TLS 1.3 where TLS 1.2 was the most", TLS_ALERT_UNSUPPORTED_EXTENSION,
	  .extensions = SH_BASE,
	  .max = TLS_1_2 },
	{ "TLS 1.2 and a renegotiation", TLS_ALERT_HANDSHAKE_FAILURE, .extensions = "ff01000201ff",
	  .suite = "c02b", .session = "00" },
	{ "TLS 1.2 and a long extended_master_secret", TLS_ALERT_DECODE_ERROR,
	  .extensions = "0017000100",
	  .suite = "c02b", .session = "00" },
	{ "TLS 1.2 and an extension nobody asked for", TLS_ALERT_UNSUPPORTED_EXTENSION,
	  .extensions = "12340000",
	  .suite = "c02b", .session = "00" },
	{ "TLS 1.2 and ALPN that was not offered", TLS_ALERT_UNSUPPORTED_EXTENSION,
	  .extensions = "00100005000302" "6832", .suite = "c02b", .session = "00" },
	{ "TLS 1.2 with compression", TLS_ALERT_ILLEGAL_PARAMETER, .extensions = "",
	  .suite = "c02b", .session = "00", .compression = "01" },
	{ "TLS 1.2 and an unknown extension twice", TLS_ALERT_DECODE_ERROR,
	  .extensions = "1234000012340000", .suite = "c02b", .session = "00" },
	{ "TLS 1.2 and a key_share", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = SH_SHARE, .suite = "c02b",
	  .session = "00" },
	{ "TLS 1.2 and compressed points only", TLS_ALERT_ILLEGAL_PARAMETER,
	  .extensions = "000b00020101",
	  .suite = "c02b", .session = "00" },
};

/* The session id of a ClientHello in a record, as hexadecimal with its length. */
static const char *echo_of(const uint8_t *record, char hex[2 * 33 + 1])
{
	const uint8_t *id = record + TLS_RECORD_HEADER + TLS_HANDSHAKE_HEADER + 2 + TLS_RANDOM_LEN;

	for (size_t i = 0; i <= id[0]; i++)
		snprintf(hex + 2 * i, 3, "%02x", id[i]);
	return hex;
}

static struct tls_buf answer(const struct server_hello *hello, const char *echo)
{
	const char *parts[] = {
		hello->version ? hello->version : "0303", hello->random ? hello->random : RANDOM,
		hello->session ? hello->session : echo, hello->suite ? hello->suite : "1301",
		hello->compression ? hello->compression : "00", NULL,
	};

	return message(TLS_MSG_SERVER_HELLO, parts, hello->extensions);
}

static bool output_has(const struct tls_conn *conn, struct tls_slice what)
{
	size_t len;
	const uint8_t *p = tls_conn_output(conn, &len);

	return memmem(p, len, what.p, what.len);
}

/* Feeds count hellos, one after another. */
static void to_client(const char *what, const struct server_hello *hello, size_t count, int alert)
{
	const struct pair_options options = {
		.min = hello->min, .max = hello->max, .legacy_server = hello->legacy,
		.suites = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
			  "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
	};
	struct pair pair;
	char hex[2 * 33 + 1];
	const char *echo;
	size_t len;

	pair_init(&pair, &options);
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	echo = echo_of(tls_conn_output(pair.client.conn, &len), hex);
	for (size_t i = 0; i < count; i++) {
		struct tls_buf record = answer(&hello[i], echo);

		pair_feed(&pair.client, record.data, record.len, 0);
		tls_buf_free(&record);
	}
	expect(&pair.client, alert, "ServerHello", what);
	if (hello->reply)
		tap_ok(output_has(pair.client.conn, tap_hex(hello->reply)),
		       "ServerHello: %s: it is answered", what);
	pair_free(&pair);
}

static void after_retry(void)
{
	static const struct server_hello twice[] = {
		{ .extensions = SH_RETRY, .random = RETRY },
		{ .extensions = SH_VERSION "003300020018", .random = RETRY },
	};
	static const struct server_hello suite[] = {
		{
	  .extensions = SH_RETRY, .random = RETRY }, {
	  .extensions = SH_BASE, .suite = "1303" },
	};
	static const struct server_hello group[] = {
		{ .extensions = SH_RETRY, .random = RETRY }, { .extensions = SH_BASE },
	};
	static const struct server_hello version[] = {
		{ .extensions = SH_RETRY, .random = RETRY },
		{ .extensions = "", .suite = "c02b", .session = "00" },
	};

	to_client("a second retry", twice, 2, TLS_ALERT_UNEXPECTED_MESSAGE);
	to_client("another suite after a retry", suite, 2, TLS_ALERT_ILLEGAL_PARAMETER);
	to_client("another group after a retry", group, 2, TLS_ALERT_ILLEGAL_PARAMETER);
	to_client("another version after a retry", version, 2, TLS_ALERT_ILLEGAL_PARAMETER);
}

/* ---- to a server, after its HelloRetryRequest ---- */

static void second_hello(const char *what, int alert, const char *random, const char *suites,
			 const char *extensions)
{
	const char *first[] = { "0303", RANDOM, "00", "000413011303", "0100", NULL };
	const char *second[] = { "0303", random, "00", suites, "0100", NULL };
	const struct pair_options options = { 0 };
	struct tls_buf one = message(TLS_MSG_CLIENT_HELLO, first,
				     VERSION_13 GROUPS SCHEMES "003300020000");
	struct tls_buf two = message(TLS_MSG_CLIENT_HELLO, second, extensions);
	struct pair pair;

	pair_init(&pair, &options);
	pair_feed(&pair.server, one.data, one.len, 0);
	pair_feed(&pair.server, two.data, two.len, 0);
	expect(&pair.server, alert, "second ClientHello", what);
	pair_free(&pair);
	tls_buf_free(&one);
	tls_buf_free(&two);
}

static void second_hellos(void)
{
	const char *good = VERSION_13 GROUPS SCHEMES SHARE;

	second_hello("as it should be", 0, RANDOM, "000413011303", good);
	second_hello("another random", TLS_ALERT_ILLEGAL_PARAMETER, ZEROS, "000413011303", good);
	second_hello("other suites", TLS_ALERT_ILLEGAL_PARAMETER, RANDOM, "00021303", good);
	second_hello("still no share", TLS_ALERT_ILLEGAL_PARAMETER, RANDOM, "000413011303",
		     VERSION_13 GROUPS SCHEMES "003300020000");
	second_hello("another version", TLS_ALERT_ILLEGAL_PARAMETER, RANDOM, "000413011303",
		     "002b0003020303" GROUPS SCHEMES SHARE);
	second_hello("early data", TLS_ALERT_ILLEGAL_PARAMETER, RANDOM, "000413011303",
		     VERSION_13 GROUPS SCHEMES SHARE "002a0000");
}

/* As GnuTLS sends it: a CertificateRequest that asks for an OCSP response, too. */
static void certificate_request(void)
{
	const struct tls_slice block = tap_hex(SCHEMES "00050000" "00120000" "2a2a0000");
	const struct pair_options options = { 0 };
	struct tls_reader r;
	struct pair pair;

	pair_init(&pair, &options);
	tls_reader_init(&r, block.p, block.len);
	tap_equal(tls_ext_read(pair.client.conn, TLS_IN_CERTIFICATE_REQUEST, &r), 0,
		  "CertificateRequest: status_request and what we do not know");
	pair_free(&pair);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(client_hellos) / sizeof(*client_hellos); i++)
		to_server(&client_hellos[i]);
	for (size_t i = 0; i < sizeof(server_hellos) / sizeof(*server_hellos); i++)
		to_client(server_hellos[i].what, &server_hellos[i], 1, server_hellos[i].alert);
	for (uint16_t version = TLS_1_2; version <= TLS_1_3; version++) {
		authorities(version, false);
		authorities(version, true);
		max_fragments(version);
	}
	after_retry();
	second_hellos();
	certificate_request();
	pair_free_pki();
	return tap_done();
}
