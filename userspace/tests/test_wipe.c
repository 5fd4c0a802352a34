// SPDX-License-Identifier: MIT
/*
 * No secret stays in memory: what the engine derived is looked for in all that
 * the process can write to, heap (freed, too) and stack, after the handshake
 * and after the end of the connection.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/conn.h"
#include "engine/handshake.h"
#include "pair.h"
#include "tap.h"

#define MASK		0x5a	/* our own copies are kept so that they are not found */
#define MAX_SECRETS	16
#define NEEDLE		16	/* bytes of a secret that are looked for */
#define MAX_REGION	(UINT64_C(1) << 30)	/* larger ones are a sanitizer's shadow */

/*
 * Fake stacks, on by default since gcc 13, would keep the frames of functions that returned, for
 * as long as the process lives.
 */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_stack_use_after_return=0";
}

struct secret {
	char name[48];
	uint8_t masked[NEEDLE];
};

static struct secret secrets[MAX_SECRETS];
static size_t secret_count;

static void remember(const char *name, const uint8_t *p)
{
	struct secret *secret = &secrets[secret_count];

	if (secret_count == MAX_SECRETS)
		tap_bail("too many secrets");
	snprintf(secret->name, sizeof(secret->name), "%s", name);
	for (size_t i = 0; i < NEEDLE; i++)
		secret->masked[i] = p[i] ^ MASK;
	secret_count++;
}

/* Of one side: both have the same, of every direction, and both are looked through. */
static void take_secret(void *arg, void *conn_arg, const struct tls_event *event)
{
	(void)conn_arg;
	if (event->kind == TLS_EVENT_SECRET_DERIVED && ((struct pair_end *)arg)->keys[0])
		remember(event->text, event->data);
}

/* In place, so that no copy is made that would be found. */
__attribute__((no_sanitize("address", "undefined")))
static size_t scan_region(const volatile uint8_t *p, size_t len, const struct secret *secret)
{
	const uint8_t first = secret->masked[0] ^ MASK;
	size_t found = 0;

	for (size_t i = 0; i + NEEDLE <= len; i++) {
		size_t j = 0;

		if (p[i] != first)
			continue;
		while (j < NEEDLE && (p[i + j] ^ MASK) == secret->masked[j])
			j++;
		found += j == NEEDLE;
	}
	return found;
}

/* How often a secret is in what we can write to. */
static size_t scan(const struct secret *secret)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512], perms[8];
	unsigned long from, to;
	size_t found = 0;

	if (!maps)
		tap_bail("no /proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perms) != 3 ||
		    strncmp(perms, "rw", 2) || to - from > MAX_REGION)
			continue;
		found += scan_region((const volatile uint8_t *)from, to - from, secret);
	}
	fclose(maps);
	return found;
}

static void expect_gone(const char *when, bool handshake_only)
{
	for (size_t i = 0; i < secret_count; i++) {
		bool handshake = strstr(secrets[i].name, "handshake");

		if (!handshake_only || handshake)
			tap_equal((long)scan(&secrets[i]), 0, "%s: %s", when, secrets[i].name);
	}
}

/* Makes the client go on with a session, whose secret is a secret of this connection, too. */
static void resume(struct pair *pair, const struct pair_options *options)
{
	struct pair first;
	const uint8_t *p;
	size_t len;

	pair_init(&first, options);
	pair_handshake(&first);
	/* TLS 1.3: tickets are read with data */
	if (!pair_up(&first) || !pair_transfer(&first, &first.server, &first.client, 1))
		tap_bail("no first connection");
	p = tls_conn_session(first.client.conn, &len);
	if (!p || tls_conn_set_session(pair->client.conn, p, len))
		tap_bail("no session to resume");
	pair_free(&first);
	secret_count = 0;		/* those were the first connection's */
	remember("the session's secret", pair->client.conn->hs->session.secret);
}

static void one_connection(const char *what, const struct pair_options *options)
{
	struct tls_session_keys keys;
	struct pair pair;
	char when[80];

	secret_count = 0;
	pair_init(&pair, options);
	if (options->ticket_key_count)
		resume(&pair, options);
	pair_handshake(&pair);
	if (!pair_up(&pair) || !pair_transfer(&pair, &pair.client, &pair.server, 100) ||
	    !!options->ticket_key_count != pair.client.conn->resumed)
		tap_bail("no connection");
	if (pair.client.conn->version == TLS_1_3)
		remember("the resumption secret", pair.client.conn->resumption);
	if (tls_conn_export_keys(pair.server.conn, &keys))
		tap_bail("no keys");
	remember("the sending key", keys.tx.key);
	remember("the receiving key", keys.rx.key);
	tls_wipe(&keys, sizeof(keys));
	tap_ok(scan(&secrets[secret_count - 1]) > 0, "%s: the scan finds what is there", what);
	snprintf(when, sizeof(when), "%s, after the handshake", what);
	expect_gone(when, true);
	pair_free(&pair);
	snprintf(when, sizeof(when), "%s, after the connection", what);
	expect_gone(when, false);
}

/* Nor does it stay when a handshake fails that has come to secrets. */
static void one_failure(const char *what, const struct pair_options *options)
{
	struct pair pair;
	char when[80];

	secret_count = 0;
	pair_init(&pair, options);
	pair.client.refuse_key = true;
	pair_handshake(&pair);
	if (pair_up(&pair) || !pair.client.err)
		tap_bail("it did not fail");
	tap_ok(secret_count > 0, "%s: %zu secrets", what, secret_count);
	pair_free(&pair);
	snprintf(when, sizeof(when), "%s, after the connection", what);
	expect_gone(when, false);
}

/* An X25519 key, which the library that multiplies with it works on as it is, and a secret. */
static void key_exchange(const char *what, bool refused)
{
	/* of small order: no secret comes of it (RFC 7748 section 6.1) */
	static const uint8_t zero[32];
	const struct tls_group *x25519 = tls_group_find(TLS_GROUP_X25519);
	uint8_t share[TLS_MAX_SHARE], answer[TLS_MAX_SHARE], secret[TLS_MAX_SHARED_SECRET];
	uint8_t random[TLS_KEX_RANDOM_LEN];
	struct tls_kex *peer, *kex;
	char when[80];

	secret_count = 0;
	if (tls_kex_initiate(&peer, x25519, share) || tls_random(random, sizeof(random)))
		tap_bail("no key");
	/* from where no bit is set or cleared */
	remember("the private key", random + 8);
	if (tls_kex_accept(&kex, x25519, (struct tls_slice){ refused ? zero : share, 32 }, random,
			   answer))
		tap_bail("no answer");
	tls_wipe(random, sizeof(random));
	tap_ok(scan(&secrets[0]) > 0, "%s: the scan finds the key", what);
	if (!!tls_kex_agree(kex, secret) != refused)
		tap_bail("agreement");
	if (!refused)
		remember("the secret", secret);
	tls_wipe(secret, sizeof(secret));
	tls_kex_free(kex);
	snprintf(when, sizeof(when), "%s, after it", what);
	expect_gone(when, false);
	tls_kex_free(peer);
}

int main(void)
{
	static const struct pair_options tls13 = { .event = take_secret };
	static const struct pair_options chacha = {
		.event = take_secret, .suites = "TLS_CHACHA20_POLY1305_SHA256",
	};
	static const struct pair_options tls12 = { .event = take_secret, .max = TLS_1_2 };
	static const struct tls_ticket_key key = { .name = "key", .key = { 1 } };
	static const struct pair_options resumed13 = {
		.event = take_secret, .min = TLS_1_3, .ticket_keys = &key, .ticket_key_count = 1,
	};
	static const struct pair_options resumed12 = {
		.event = take_secret, .max = TLS_1_2, .ticket_keys = &key, .ticket_key_count = 1,
	};
	static const struct pair_options untrusted = {
		.event = take_secret, .min = TLS_1_3, .client_trusts_nobody = true,
	};
	const struct pair_options unsigned13 = {
		.event = take_secret, .min = TLS_1_3, .server_verify = TLS_VERIFY_REQUIRE,
		.client = { pair_leaf(PKI_P384) },
	};
	const struct pair_options unsigned12 = {
		.event = take_secret, .max = TLS_1_2, .server_verify = TLS_VERIFY_REQUIRE,
		.client = { pair_leaf(PKI_P384) },
	};
	const struct pair_options rsa = {
		.event = take_secret, .suites = "TLS_RSA_WITH_AES_256_GCM_SHA384",
		.server = { pair_leaf(PKI_RSA2048) },
	};

	one_connection("TLS 1.3", &tls13);
	one_connection("TLS 1.3 with ChaCha20", &chacha);
	one_connection("TLS 1.2", &tls12);
	one_connection("TLS 1.2 with RSA key exchange", &rsa);
	one_connection("TLS 1.3, resumed", &resumed13);
	one_connection("TLS 1.2, resumed", &resumed12);
	key_exchange("X25519", false);
	key_exchange("X25519, share refused", true);
	one_failure("TLS 1.3, certificate refused", &untrusted);
	one_failure("TLS 1.3, client's key refused", &unsigned13);
	one_failure("TLS 1.2, client's key refused", &unsigned12);
	pair_free_pki();
	return tap_done();
}
