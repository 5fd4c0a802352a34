// SPDX-License-Identifier: MIT
/* Which group it is in TLS 1.3, and what that costs. */
#include <string.h>

#include "engine/config.h"
#include "engine/conn.h"
#include "pair.h"
#include "tap.h"

static void hello_retry(size_t chunk)
{
	const struct pair_options options = {
		.client_groups = "x25519:secp384r1:secp256r1",
			.server_groups = "secp256r1:secp384r1",
		.min = TLS_1_3, .chunk = chunk,
	};
	struct tls_conn_info c, s;
	struct pair pair;

	pair_init(&pair, &options);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &c);
	tls_conn_info(pair.server.conn, &s);
	tap_ok(pair_up(&pair) && c.hello_retry && s.hello_retry && c.group == TLS_GROUP_SECP256R1 &&
	       s.group == c.group && pair_same_keys(&pair) &&
	       pair_transfer(&pair, &pair.client, &pair.server, 1000),
	       "HelloRetryRequest changes the group%s", chunk ? ", byte by byte" : "");
	pair_free(&pair);
}

/* A KEM has a group without one beside it, so that a server of yesterday costs no round trip. */
static void spare_share(void)
{
	static const struct {
		const char *server_groups;
		uint16_t group;
		bool hello_retry;
	} rows[] = {
		{ NULL, TLS_GROUP_X25519MLKEM768, false },
		{ "x25519", TLS_GROUP_X25519, false },
		{ "secp256r1", TLS_GROUP_SECP256R1, true },
	};

	if (!tls_group_find(TLS_GROUP_X25519MLKEM768)) {
		tap_skip("libcrypto has no ML-KEM", "a second share beside a KEM's");
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pair_options options = {
			.server_groups = rows[i].server_groups,
			.client_groups = "X25519MLKEM768:x25519:secp256r1", .min = TLS_1_3,
		};
		struct tls_conn_info info;
		struct pair pair;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tls_conn_info(pair.client.conn, &info);
		tap_ok(pair_up(&pair) && info.group == rows[i].group &&
		       info.hello_retry == rows[i].hello_retry && pair_same_keys(&pair),
		       "a KEM's share and another, for a server with %s",
		       rows[i].server_groups ? rows[i].server_groups : "all groups");
		pair_free(&pair);
	}
}

/* The first of the client's groups has a share, and one that is no KEM's has one beside a KEM's. */
static void ml_kem(void)
{
	static const struct {
		const char *client_groups, *server_groups;
		enum tls_pq client, server;
		uint16_t group;			/* 0: refused */
		bool hello_retry;
		const char *what;
	} rows[] = {
		{ "x25519:X25519MLKEM768", NULL, TLS_PQ_ACCEPT, TLS_PQ_ACCEPT, TLS_GROUP_X25519, false,
		  "accept takes the share that there is" },
		{ "x25519:X25519MLKEM768", NULL, TLS_PQ_ACCEPT, TLS_PQ_PREFER,
		  TLS_GROUP_X25519MLKEM768, true, "prefer asks for ML-KEM that is offered" },
		{ "x25519:X25519MLKEM768", "x25519:X25519MLKEM768", TLS_PQ_ACCEPT, TLS_PQ_PREFER,
		  TLS_GROUP_X25519MLKEM768, true, "prefer does so whatever the order of groups" },
		{ "X25519MLKEM768:x25519", "x25519:X25519MLKEM768", TLS_PQ_ACCEPT, TLS_PQ_PREFER,
		  TLS_GROUP_X25519MLKEM768, false, "prefer takes a share of ML-KEM" },
		{ "X25519MLKEM768:x25519", "SecP256r1MLKEM768:X25519MLKEM768", TLS_PQ_ACCEPT,
		  TLS_PQ_PREFER, TLS_GROUP_X25519MLKEM768, false,
		  "prefer asks for no other kind of ML-KEM" },
		{ "x25519:secp256r1", NULL, TLS_PQ_ACCEPT, TLS_PQ_PREFER, TLS_GROUP_X25519, false,
		  "prefer takes a client without ML-KEM" },
		{ "x25519:X25519MLKEM768", NULL, TLS_PQ_ACCEPT, TLS_PQ_REQUIRE,
		  TLS_GROUP_X25519MLKEM768, true, "require asks for ML-KEM that is offered" },
		{ "x25519:secp256r1", NULL, TLS_PQ_ACCEPT, TLS_PQ_REQUIRE, 0, false,
		  "require refuses a client without ML-KEM" },
		{ "x25519:X25519MLKEM768", "x25519:X25519MLKEM768", TLS_PQ_PREFER, TLS_PQ_ACCEPT,
		  TLS_GROUP_X25519, false, "a client's prefer shows both shares: the choice is the server's" },
		{ "x25519:X25519MLKEM768", NULL, TLS_PQ_PREFER, TLS_PQ_ACCEPT,
		  TLS_GROUP_X25519MLKEM768, false, "a client's prefer needs no retry" },
		{ "x25519:X25519MLKEM768", "x25519:secp256r1", TLS_PQ_PREFER, TLS_PQ_ACCEPT,
		  TLS_GROUP_X25519, false, "a client's prefer takes a server without ML-KEM" },
		{ "x25519:X25519MLKEM768", "x25519:secp256r1", TLS_PQ_REQUIRE, TLS_PQ_ACCEPT, 0, false,
		  "a client's require offers nothing else" },
		{ NULL, NULL, TLS_PQ_REQUIRE, TLS_PQ_REQUIRE, TLS_GROUP_X25519MLKEM768, false,
		  "require on both sides" },
	};

	if (!tls_group_find(TLS_GROUP_X25519MLKEM768)) {
		tap_skip("libcrypto has no ML-KEM", "ML-KEM is accepted, preferred, required");
		return;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pair_options options = {
			.client_groups = rows[i].client_groups, .server_groups = rows[i].server_groups,
			.client_pq = rows[i].client, .server_pq = rows[i].server,
		};
		struct tls_conn_info info;
		struct pair pair;

		pair_init(&pair, &options);
		pair_handshake(&pair);
		tls_conn_info(pair.client.conn, &info);
		tap_ok(rows[i].group ? pair_up(&pair) && info.group == rows[i].group &&
				       info.version == TLS_1_3 && info.hello_retry == rows[i].hello_retry :
		       pair.server.err == TLS_ALERT(HANDSHAKE_FAILURE), "%s", rows[i].what);
		pair_free(&pair);
	}
}

/* RFC 9846 section 4.3.1: a version that is not there has an alert of its own. */
static void ml_kem_of_tls12(void)
{
	const struct pair_options options = { .server_pq = TLS_PQ_REQUIRE, .client_max = TLS_1_2 };
	struct pair pair;

	if (!tls_group_find(TLS_GROUP_X25519MLKEM768)) {
		tap_skip("libcrypto has no ML-KEM", "require implies TLS 1.3");
		return;
	}
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair.server.err == TLS_ALERT(PROTOCOL_VERSION), "require implies TLS 1.3");
	pair_free(&pair);
}

/* What leaves no group with ML-KEM is found before the first connection. */
static void no_ml_kem(void)
{
	const struct tls_hooks hooks = { .now = NULL };
	bool there = tls_group_find(TLS_GROUP_X25519MLKEM768);
	const char *why;

	for (enum tls_pq pq = TLS_PQ_PREFER; pq <= TLS_PQ_REQUIRE; pq++) {
		struct tls_config *config = tls_config_new(TLS_SERVER, &hooks);

		tap_ok(!tls_config_set_pq(config, TLS_PQ_ACCEPT, &why) &&
		       !tls_config_set_pq(config, pq, &why) == there &&
		       (there || strstr(why, "libcrypto")), "ML-KEM is %s of libcrypto",
		       there ? "a part" : "no part");
		tap_ok(!tls_config_set_groups(config, "x25519:secp256r1", NULL) &&
		       tls_config_set_pq(config, pq, &why) == TLS_ERR_ARGUMENT &&
		       (!there || strstr(why, "groups")), "groups without ML-KEM");
		tls_config_unref(config);
		config = tls_config_new(TLS_SERVER, &hooks);
		tap_ok(!tls_config_set_versions(config, TLS_1_2, TLS_1_2) &&
		       tls_config_set_pq(config, pq, &why) == TLS_ERR_ARGUMENT &&
		       (!there || strstr(why, "TLS 1.3")), "versions without ML-KEM");
		tls_config_unref(config);
	}
}

/* supported_groups of a first hello; the groups are set behind the configuration's back. */
static void groups_of_version(uint16_t max, const char *want)
{
	static const struct tls_group kem = { .id = TLS_GROUP_X25519MLKEM768 };
	const struct pair_options options = { .max = max, .groups = "x25519:secp256r1" };
	struct tls_slice list = tap_hex(want);
	const uint8_t *hello;
	struct pair pair;
	size_t len;

	pair_init(&pair, &options);
	pair.client.config->groups[1] = &kem;
	if (tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	hello = tls_conn_output(pair.client.conn, &len);
	tap_ok(memmem(hello, len, list.p, list.len), "a client up to %s offers groups of it",
	       tls_version_name(max));
	pair_free(&pair);
}

int main(void)
{
	hello_retry(0);
	hello_retry(1);
	spare_share();
	ml_kem();
	ml_kem_of_tls12();
	no_ml_kem();
	groups_of_version(TLS_1_2, "000a00040002001d");
	groups_of_version(TLS_1_3, "000a00060004001d11ec");
	pair_free_pki();
	return tap_done();
}
