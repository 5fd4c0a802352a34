// SPDX-License-Identifier: MIT
/*
 * Nothing that the engine does depends on a secret's value: for valgrind's
 * memcheck, as ctgrind does it.  Secrets are marked as undefined where they
 * come into being, and memcheck then complains of every branch and every
 * address that is computed from them.  The linker (--wrap, see secrets.mk) puts
 * the functions at the end of this file around the engine's, which is the one
 * that ships.
 *
 *	secret		(EC)DHE secret; RSA-decrypted premaster with its padding; PSK
 *			and master secret from a ticket, and all derived from them
 *	public		what is sent; the outcome of a comparison; keys and IVs of the
 *			records, for libcrypto's AEADs are not examined here
 *
 * Controls break this on purpose, and must be complained of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <valgrind/memcheck.h>

#include "engine/config.h"
#include "engine/conn.h"
#include "engine/session.h"
#include "tests/pair.h"
#include "tests/tap.h"

enum fault {
	NO_FAULT,
	FIRST_BYTE_WRONG,		/* of what the peer sent to be compared */
	LAST_BYTE_WRONG,
	BAD_PADDING,			/* of the premaster secret */
	LEAK_COMPARISON,		/* compares byte by byte and stops early */
	LEAK_PADDING,			/* looks at the padding with a branch */
};

static enum fault fault;
static unsigned int secret_comparisons;

static const struct tls_ticket_key ticket_key = { .name = "key", .key = { 1 } };

struct row {
	const char *name;
	struct pair_options options;
	unsigned int comparisons;	/* of secrets, at both ends together */
	bool resume;
	enum fault fault;
};

/* Without keylog: it prints secrets. */
static void start(struct pair *pair, const struct pair_options *options)
{
	pair_init(pair, options);
	pair->client.config->hooks.keylog = NULL;
	pair->server.config->hooks.keylog = NULL;
}

static void set_session(struct pair *pair, const struct pair_options *options)
{
	struct pair first;
	const uint8_t *p;
	size_t len;

	start(&first, options);
	pair_handshake(&first);
	/* TLS 1.3 tickets are read with data */
	tls_conn_read(first.client.conn, (uint8_t[1]){ 0 }, &(size_t){ 1 });
	p = tls_conn_session(first.client.conn, &len);
	if (!p || tls_conn_set_session(pair->client.conn, p, len))
		tap_bail("no session to resume");
	pair_free(&first);
}

/* The number of complaints; the handshake is to come to the end that it must. */
static unsigned int complaints(const struct row *row)
{
	bool wrong = row->fault >= FIRST_BYTE_WRONG && row->fault <= BAD_PADDING;
	unsigned int before = VALGRIND_COUNT_ERRORS;
	struct pair pair;

	start(&pair, &row->options);
	if (row->resume)
		set_session(&pair, &row->options);
	secret_comparisons = 0;
	fault = row->fault;
	pair_handshake(&pair);
	fault = NO_FAULT;
	if (pair_up(&pair) == wrong)
		tap_bail("%s: client %s, server %s", row->name, tls_strerror(pair.client.err),
			 tls_strerror(pair.server.err));
	pair_free(&pair);
	return VALGRIND_COUNT_ERRORS - before;
}

static void run(const struct row *row)
{
	bool control = row->fault == LEAK_COMPARISON || row->fault == LEAK_PADDING;
	unsigned int count = complaints(row);

	tap_ok(control ? count > 0 : count == 0, "%s%s: %u complaints", control ? "control, " : "",
	       row->name, count);
	tap_ok(secret_comparisons >= row->comparisons, "%s: %u comparisons of secrets", row->name,
	       secret_comparisons);
}

int main(void)
{
	const struct pair_options tls13 = { .min = TLS_1_3 };
	const struct pair_options sha384 = {
		.suites = "TLS_AES_256_GCM_SHA384", .groups = "secp384r1",
	};
	const struct pair_options tls12 = { .max = TLS_1_2 };
	const struct pair_options rsa = {
		.suites = "TLS_RSA_WITH_AES_128_GCM_SHA256", .server = { pair_leaf(PKI_RSA2048) },
	};
	const struct pair_options tickets13 = {
		.min = TLS_1_3, .ticket_keys = &ticket_key, .ticket_key_count = 1,
	};
	const struct pair_options tickets12 = {
		.max = TLS_1_2, .ticket_keys = &ticket_key, .ticket_key_count = 1,
	};
	const struct row rows[] = {
		{ "TLS 1.3", tls13, 2, false, NO_FAULT },
		{ "TLS 1.3, SHA-384", sha384, 2, false, NO_FAULT },
		{ "TLS 1.3, binder and PSK", tickets13, 3, true, NO_FAULT },
		{ "TLS 1.2, ECDHE", tls12, 2, false, NO_FAULT },
		{ "TLS 1.2, ticket", tickets12, 2, true, NO_FAULT },
		{ "TLS 1.2, RSA premaster and its padding", rsa, 1, false, NO_FAULT },
		{ "TLS 1.2, RSA premaster with bad padding", rsa, 0, false, BAD_PADDING },
		{ "TLS 1.3 Finished, first byte wrong", tls13, 1, false, FIRST_BYTE_WRONG },
		{ "TLS 1.3 Finished, last byte wrong", tls13, 1, false, LAST_BYTE_WRONG },
		{ "binder, first byte wrong", tickets13, 1, true, FIRST_BYTE_WRONG },
		{ "binder, last byte wrong", tickets13, 1, true, LAST_BYTE_WRONG },
		{ "TLS 1.2 Finished, first byte wrong", tls12, 1, false, FIRST_BYTE_WRONG },
		{ "TLS 1.2 Finished, last byte wrong", tls12, 1, false, LAST_BYTE_WRONG },
		{ "a Finished compared with a branch", tls13, 1, false, LEAK_COMPARISON },
		{ "a binder compared with a branch", tickets13, 1, true, LEAK_COMPARISON },
		{ "padding read with a branch", rsa, 1, false, LEAK_PADDING },
	};

	if (!RUNNING_ON_VALGRIND)
		tap_bail("run it by selftests/secrets.sh: it shows nothing without valgrind");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		run(&rows[i]);
	pair_free_pki();
	return tap_done();
}

/* ---- around the engine's ---- */

/* Of the type that the one which is replaced is declared with. */
#define AROUND(name)	extern __typeof__(name) __wrap_##name, __real_##name

static void make_secret(const void *p, size_t len)
{
	(void)VALGRIND_MAKE_MEM_UNDEFINED(p, len);
}

static void make_public(const void *p, size_t len)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(p, len);
}

static bool is_secret(const uint8_t *p, size_t len)
{
	uint8_t bits;

	for (size_t i = 0; i < len; i++) {
		if (VALGRIND_GET_VBITS(p + i, &bits, 1) == 1 && bits)
			return true;
	}
	return false;
}

AROUND(tls_kex_respond);
int __wrap_tls_kex_respond(const struct tls_group *group, struct tls_slice peer, uint8_t *answer,
			   uint8_t *secret)
{
	int err = __real_tls_kex_respond(group, peer, answer, secret);

	make_secret(secret, group->secret_len);
	return err;
}

/* No group's secret has less than this. */
#define MIN_SECRET	32

AROUND(tls_kex_agree);
int __wrap_tls_kex_agree(struct tls_kex *kex, uint8_t *secret)
{
	int err = __real_tls_kex_agree(kex, secret);

	make_secret(secret, MIN_SECRET);
	return err;
}

AROUND(tls_kex_finish);
int __wrap_tls_kex_finish(struct tls_kex *kex, struct tls_slice answer, uint8_t *secret)
{
	int err = __real_tls_kex_finish(kex, answer, secret);

	make_secret(secret, MIN_SECRET);
	return err;
}

static volatile unsigned int looked_at;

AROUND(EVP_PKEY_decrypt);
int __wrap_EVP_PKEY_decrypt(EVP_PKEY_CTX *ctx, unsigned char *out, size_t *len,
			    const unsigned char *in, size_t in_len)
{
	int ok = __real_EVP_PKEY_decrypt(ctx, out, len, in, in_len);

	if (fault == BAD_PADDING)
		out[1] ^= 1;
	make_secret(out, *len);
	if (fault == LEAK_PADDING && out[1] == 2)
		looked_at++;
	return ok;
}

AROUND(tls_session_read);
int __wrap_tls_session_read(struct tls_session *session, struct tls_slice in)
{
	int err = __real_tls_session_read(session, in);

	if (!err)
		make_secret(session->secret, session->secret_len);
	return err;
}

AROUND(tls_record_set_keys);
int __wrap_tls_record_set_keys(struct tls_record_dir *dir, const struct tls_suite *suite,
			       bool seal, const struct tls_direction_keys *keys)
{
	struct tls_direction_keys copy = *keys;

	make_public(copy.key, sizeof(copy.key));
	make_public(copy.iv, sizeof(copy.iv));
	return __real_tls_record_set_keys(dir, suite, seal, &copy);
}

AROUND(tls_conn_output);
const uint8_t *__wrap_tls_conn_output(const struct tls_conn *conn, size_t *len)
{
	const uint8_t *p = __real_tls_conn_output(conn, len);

	if (*len)
		make_public(p, *len);
	return p;
}

static bool leaky_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (a[i] != b[i])
			return false;
	}
	return true;
}

AROUND(tls_equal);
bool __wrap_tls_equal(const void *a, const void *b, size_t len)
{
	uint8_t copy[TLS_MAX_HASH];
	bool same;

	secret_comparisons += is_secret(b, len);
	memcpy(copy, a, len);
	if (fault == FIRST_BYTE_WRONG)
		copy[0] ^= 0x80;
	if (fault == LAST_BYTE_WRONG)
		copy[len - 1] ^= 1;
	same = fault == LEAK_COMPARISON ? leaky_equal(copy, b, len) :
					  __real_tls_equal(copy, b, len);
	make_public(&same, sizeof(same));
	return same;
}
