// SPDX-License-Identifier: MIT
/* Which requests to a private key have the form of TLS, and which a configuration makes. */
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "pair.h"
#include "tap.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define EVERYTHING	(TLS_KEY_FOR_SERVER13 | TLS_KEY_FOR_CLIENT13 | TLS_KEY_FOR_SERVER12 |	\
			 TLS_KEY_FOR_CLIENT12 | TLS_KEY_FOR_PREMASTER)

#define BLANKS16	"20202020202020202020202020202020"
#define BLANKS		BLANKS16 BLANKS16 BLANKS16 BLANKS16
#define ZEROS32		"0000000000000000000000000000000000000000000000000000000000000000"
#define SERVER		"544c5320312e332c207365727665722043657274696669636174655665726966790"
#define CLIENT		"544c5320312e332c20636c69656e742043657274696669636174655665726966790"

static const struct row {
	const char *what;
	enum tls_key_op op;
	const char *data;
	unsigned int uses;		/* those that it fits */
} rows[] = {
	{ "a server's TLS 1.3 signature with SHA-256", TLS_KEY_SIGN, BLANKS SERVER "0" ZEROS32,
	  TLS_KEY_FOR_SERVER13 },
	{ "... with SHA-384", TLS_KEY_SIGN, BLANKS SERVER "0" ZEROS32 "00000000000000000000000000000000",
	  TLS_KEY_FOR_SERVER13 },
	{ "a client's TLS 1.3 signature", TLS_KEY_SIGN, BLANKS CLIENT "0" ZEROS32,
	  TLS_KEY_FOR_CLIENT13 },
	{ "... with one byte more", TLS_KEY_SIGN, BLANKS CLIENT "0" ZEROS32 "00", 0 },
	{ "... with one byte less of the hash", TLS_KEY_SIGN, BLANKS CLIENT "0" "00000000", 0 },
	{ "... with 63 blanks", TLS_KEY_SIGN,
	  BLANKS16 BLANKS16 BLANKS16 "202020202020202020202020202020" CLIENT "0" ZEROS32, 0 },
	{ "... without its zero", TLS_KEY_SIGN, BLANKS CLIENT "1" ZEROS32, 0 },
	{ "the context alone", TLS_KEY_SIGN, BLANKS SERVER "0", 0 },
	{ "randoms and parameters", TLS_KEY_SIGN, ZEROS32 ZEROS32 "03001704aabbccdd",
	  TLS_KEY_FOR_SERVER12 },
	{ "... of an unknown group", TLS_KEY_SIGN, ZEROS32 ZEROS32 "03feff04aabbccdd", 0 },
	{ "... of no named group", TLS_KEY_SIGN, ZEROS32 ZEROS32 "01001704aabbccdd", 0 },
	{ "... without a point", TLS_KEY_SIGN, ZEROS32 ZEROS32 "03001700", 0 },
	{ "... with a byte more", TLS_KEY_SIGN, ZEROS32 ZEROS32 "03001704aabbccdd00", 0 },
	{ "... without parameters", TLS_KEY_SIGN, ZEROS32 ZEROS32, 0 },
	{ "handshake messages", TLS_KEY_SIGN, "01000002abcd" "02000001ef" "0b000000",
	  TLS_KEY_FOR_CLIENT12 },
	{ "... that do not begin with hellos", TLS_KEY_SIGN, "02000001ef" "01000002abcd" "0b000000", 0 },
	{ "... that are cut", TLS_KEY_SIGN, "01000002abcd" "02000001ef" "0b000001", 0 },
	{ "... of which there are two", TLS_KEY_SIGN, "01000002abcd" "02000001ef", 0 },
	{ "a bare digest", TLS_KEY_SIGN_DIGEST, ZEROS32, TLS_KEY_FOR_CLIENT12 },
	{ "a ciphertext", TLS_KEY_DECRYPT, ZEROS32, TLS_KEY_FOR_PREMASTER },
	{ "a text", TLS_KEY_SIGN, "7353482d322e30", 0 },
	{ "nothing", TLS_KEY_SIGN, "", 0 },
	{ "a kind that there is not", (enum tls_key_op)7, ZEROS32, 0 },
};

static void test_forms(void)
{
	const struct row *row;
	unsigned int use, fits;

	for (row = rows; row < rows + COUNT(rows); row++) {
		const struct tls_slice data = tap_hex(row->data);
		const struct tls_key_request request = {
			.op = row->op, .data = data.p, .len = data.len,
		};

		for (fits = 0, use = 1; use & EVERYTHING; use <<= 1)
			fits |= tls_key_request_fits(&request, use) ? use : 0;
		tap_equal((long)fits, (long)row->uses, "%s", row->what);
		tap_ok(tls_key_request_fits(&request, EVERYTHING) == !!row->uses, "%s, of all", row->what);
	}
}

static const struct uses {
	const char *what;
	enum tls_role role;
	uint16_t min, max;
	const char *suites;
	unsigned int uses;
} configurations[] = {
	{ "a server by default", TLS_SERVER, TLS_1_2, TLS_1_3, NULL,
	  TLS_KEY_FOR_SERVER13 | TLS_KEY_FOR_SERVER12 },
	{ "a client by default", TLS_CLIENT, TLS_1_2, TLS_1_3, NULL,
	  TLS_KEY_FOR_CLIENT13 | TLS_KEY_FOR_CLIENT12 },
	{ "a server of TLS 1.3", TLS_SERVER, TLS_1_3, TLS_1_3, NULL, TLS_KEY_FOR_SERVER13 },
	{ "a client of TLS 1.3", TLS_CLIENT, TLS_1_3, TLS_1_3, NULL, TLS_KEY_FOR_CLIENT13 },
	{ "a server of TLS 1.2", TLS_SERVER, TLS_1_2, TLS_1_2, NULL, TLS_KEY_FOR_SERVER12 },
	{ "a server with RSA key exchange alone", TLS_SERVER, TLS_1_2, TLS_1_2,
	  "TLS_RSA_WITH_AES_128_GCM_SHA256", TLS_KEY_FOR_PREMASTER },
	{ "a server with both", TLS_SERVER, TLS_1_2, TLS_1_2,
	  "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256:TLS_RSA_WITH_AES_128_GCM_SHA256",
	  TLS_KEY_FOR_SERVER12 | TLS_KEY_FOR_PREMASTER },
	{ "a client with RSA key exchange", TLS_CLIENT, TLS_1_2, TLS_1_2,
	  "TLS_RSA_WITH_AES_128_GCM_SHA256", TLS_KEY_FOR_CLIENT12 },
};

static void test_uses(void)
{
	const struct tls_hooks hooks = { 0 };
	const struct uses *row;

	for (row = configurations; row < configurations + COUNT(configurations); row++) {
		struct tls_config *config = tls_config_new(row->role, &hooks);

		if (!config || tls_config_set_versions(config, row->min, row->max) ||
		    (row->suites && tls_config_set_suites(config, row->suites, NULL)))
			tap_bail("%s", row->what);
		tap_equal((long)tls_config_key_uses(config), (long)row->uses, "%s", row->what);
		tls_config_unref(config);
	}
}

/* Every request that our own engine makes has the form that its configuration says. */
static void test_engine(void)
{
	static const enum pki_key types[] = {
		PKI_P256, PKI_P384, PKI_P521, PKI_ED25519, PKI_ED448, PKI_RSA2048,
	};
	static const char *const suites[] = {
		NULL, "TLS_RSA_WITH_AES_128_GCM_SHA256:TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
	};
	size_t version, type, suite;

	for (version = 0; version < 3; version++)
		for (type = 0; type < COUNT(types); type++) {
			struct pair_options options = {
				.min = version == 1 ? TLS_1_3 : TLS_1_2,
				.max = version == 1 ? TLS_1_3 : TLS_1_2,
				.server = { pair_leaf(types[type]) }, .client = { pair_leaf(types[type]) },
				.server_verify = TLS_VERIFY_REQUIRE,
			};
			struct pair pair;

			suite = version == 2;
			options.suites = suites[suite];
			pair_init(&pair, &options);
			pair_handshake(&pair);
			tap_ok(pair_up(&pair), "TLS 1.%d, key %zu%s: every request fits",
			       version == 1 ? 3 : 2, type, suite ? ", RSA key exchange" : "");
			pair_free(&pair);
		}
}

int main(void)
{
	test_forms();
	test_uses();
	test_engine();
	pair_free_pki();
	return tap_done();
}
