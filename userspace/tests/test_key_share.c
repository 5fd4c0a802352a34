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
	groups_of_version(TLS_1_2, "000a00040002001d");
	groups_of_version(TLS_1_3, "000a00060004001d11ec");
	pair_free_pki();
	return tap_done();
}
