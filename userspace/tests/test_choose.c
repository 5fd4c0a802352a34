// SPDX-License-Identifier: MIT
/* Which of several certificates a server gives: the name chooses first, then the kind. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/sni.h"
#include "pair.h"
#include "tap.h"

static const struct {
	const char *name;
	enum pki_key pki;
	const char *schemes, *groups;	/* of this kind alone; in TLS 1.2 groups tell the curve */
} kinds[] = {
	{ "RSA", PKI_RSA2048, "rsa_pss_rsae_sha256:rsa_pkcs1_sha256", NULL },
	{ "P-256", PKI_P256, "ecdsa_secp256r1_sha256", "x25519:secp256r1" },
	{ "P-384", PKI_P384, "ecdsa_secp384r1_sha384", "x25519:secp384r1" },
	{ "Ed25519", PKI_ED25519, "ed25519", NULL },
};

#define KINDS	(sizeof(kinds) / sizeof(*kinds))

enum name { A, B, A_WILD, NAMES };

static const struct pki_options names[NAMES] = {
	[A] = { .names = "DNS:a.test,DNS:x.a.test" },
	[B] = { .names = "DNS:b.test" },
	[A_WILD] = { .names = "DNS:*.a.test,DNS:*.sub.a.test" },
};

static const struct pki *leaves[NAMES][KINDS];

static void make_leaves(void)
{
	for (size_t n = 0; n < NAMES; n++) {
		for (size_t k = 0; k < KINDS; k++)
			leaves[n][k] = pair_leaf_named(kinds[k].pki, &names[n]);
	}
}

static const char *which(const struct pki *pki, char text[32])
{
	static const char *const of[] = { "a", "b", "*.a" };

	for (size_t n = 0; n < NAMES; n++) {
		for (size_t k = 0; k < KINDS; k++) {
			if (leaves[n][k] != pki)
				continue;
			snprintf(text, 32, "%s %s", of[n], kinds[k].name);
			return text;
		}
	}
	return "none";
}

static const struct pki *given(const struct pair *pair)
{
	struct tls_conn_info info;

	tls_conn_info(pair->client.conn, &info);
	for (size_t n = 0; info.peer_certificate && n < NAMES; n++) {
		for (size_t k = 0; k < KINDS; k++) {
			struct tls_slice der = pki_der(leaves[n][k]);

			if (der.len == info.peer_certificate_len &&
			    !memcmp(der.p, info.peer_certificate, der.len))
				return leaves[n][k];
		}
	}
	return NULL;
}

/* want NULL: handshake_failure. */
static void expect(struct pair_options *o, uint16_t version, const char *name,
		   const struct pki *want, const char *what)
{
	char first[32], second[32], wanted[32], got[32];
	struct pair pair;

	o->min = o->max = version;
	o->server_name = name;
	o->client_verifies_nothing = true;
	pair_init(&pair, o);
	pair_handshake(&pair);
	tap_ok(want ? pair_up(&pair) && given(&pair) == want :
		      pair.server.err == TLS_ERR_ALERT + TLS_ALERT_HANDSHAKE_FAILURE,
	       "%s, %s then %s, name '%s'%s: %s (got %s; %s)", tls_version_name(version),
	       which(o->server[0], first), which(o->server[1], second), name, what,
	       which(want, wanted), which(given(&pair), got), tls_strerror(pair.server.err));
	pair_free(&pair);
}

/* Clients that take every kind. */
static void by_name(uint16_t version)
{
	for (size_t i = 0; i < KINDS; i++) {
		for (size_t j = 0; j < KINDS; j++) {
			struct pair_options o = { .server = { leaves[A][i], leaves[B][j] } };

			expect(&o, version, "a.test", leaves[A][i], "");
			expect(&o, version, "b.test", leaves[B][j], "");
			expect(&o, version, "B.Test", leaves[B][j], "");
			expect(&o, version, "c.test", leaves[A][i], "");
			expect(&o, version, "192.0.2.1", leaves[A][i], "");
			expect(&o, version, "", leaves[A][i], "");
			o.server[1] = leaves[A][j];
			expect(&o, version, "a.test", leaves[A][i], "");
			o.server[0] = leaves[A_WILD][i];
			expect(&o, version, "x.a.test", leaves[A][j], "");
			expect(&o, version, "y.a.test", leaves[A_WILD][i], "");
			expect(&o, version, "y_z.a.test", leaves[A_WILD][i], "");
			expect(&o, version, "z.y.a.test", leaves[A_WILD][i], "");
		}
	}
}

/* Clients that take one kind. */
static void by_kind(uint16_t version)
{
	for (size_t i = 0; i < KINDS; i++) {
		for (size_t j = 0; j < KINDS; j++) {
			struct pair_options o = {
				.server = { leaves[A][i], leaves[A][j] },
				.client_takes = kinds[j].schemes,
				.client_groups = kinds[j].groups,
			};
			char what[64];

			snprintf(what, sizeof(what), ", client takes %s", kinds[j].name);
			expect(&o, version, "a.test", leaves[A][j], what);
			o.server[1] = leaves[B][j];
			/* Another name's certificate helps nobody who asked for this one. */
			expect(&o, version, "a.test", i == j ? leaves[A][i] : NULL, what);
			expect(&o, version, "c.test", i == j ? leaves[A][i] : leaves[B][j], what);
			expect(&o, version, "", i == j ? leaves[A][i] : leaves[B][j], what);
			o.server[0] = leaves[A][i];
			o.server[1] = leaves[A_WILD][j];
			expect(&o, version, "x.a.test", i == j ? leaves[A][i] : leaves[A_WILD][j],
			       what);
		}
	}
}

/* More certificates than buckets; the second under a name is behind the first. */
static void many_names(void)
{
	const char *pem = pki_certificate(leaves[A][0]), *other = pki_certificate(leaves[B][0]);
	struct tls_certificate *a, *b;
	struct tls_sni sni = { 0 };
	const struct tls_sni_name *at;
	size_t count = 0;
	int err = 0;

	if (tls_certificate_new(&a, pem, strlen(pem), NULL) ||
	    tls_certificate_new(&b, other, strlen(other), NULL))
		tap_bail("certificates");
	err |= tls_sni_add(&sni, b);
	for (int i = 0; i < 100; i++)
		err |= tls_sni_add(&sni, a);
	err |= tls_sni_add(&sni, b);
	for (at = tls_sni_find(&sni, "X.a.test"); at && at->cert == a; at = tls_sni_next(at))
		count++;
	tap_ok(!err && !at && count == 100, "a hundred certificates under one name");
	at = tls_sni_find(&sni, "b.test");
	tap_ok(at && at->cert == b && tls_sni_next(at) && !tls_sni_next(tls_sni_next(at)),
	       "two under another, added before and after");
	tap_ok(!tls_sni_find(&sni, "c.test") && !tls_sni_find(&sni, ""), "none under a third");
	tls_sni_free(&sni);
	tls_certificate_free(a);
	tls_certificate_free(b);
}

static void wildcards(void)
{
	static const struct {
		const char *host, *wildcard;
	} rows[] = {
		{ "a.b.test", "*.b.test" }, { "a_b.b.test", "*.b.test" },
		{ "a.b.c.test", "*.b.c.test" }, { "b.test", "" }, { "test", "" }, { "", "" },
	};
	char wildcard[TLS_MAX_SERVER_NAME + 1];

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		tls_sni_wildcard(rows[i].host, wildcard);
		tap_ok(!strcmp(wildcard, rows[i].wildcard), "'%s' is covered by '%s' (%s)",
		       rows[i].host, rows[i].wildcard, wildcard);
	}
}

/* ---- hostile lists ---- */

#define LONGEST_LIST	31000		/* entries; a hello has 64 KiB for all */
#define CERTIFICATES	1000

enum list { SUITES, GROUPS, SCHEMES, LISTS };

static const struct {
	const char *name;
	uint16_t ours;			/* behind the others */
} lists[LISTS] = {
	[SUITES] = { "suites", 0xc02b },	/* of TLS 1.2 */
	[GROUPS] = { "groups", 0x001d },	/* but no curve of a key */
	[SCHEMES] = { "schemes", 0x0403 },	/* of P-256 keys */
};

static void put_list(struct tls_buf *out, enum list list, enum list longest)
{
	struct tls_vec vec = tls_put_open(out, 2);

	for (int i = 0; list == longest && i < LONGEST_LIST; i++)
		tls_put_u16(out, 0xeaea);
	/* none of many schemes is ours: the suites and curves of one that is were looked at, too */
	if (list != longest || list != SCHEMES)
		tls_put_u16(out, lists[list].ours);
	tls_put_close(out, vec);
}

static void put_extension(struct tls_buf *out, uint16_t type, enum list list, enum list longest)
{
	struct tls_vec vec;

	tls_put_u16(out, type);
	vec = tls_put_open(out, 2);
	put_list(out, list, longest);
	tls_put_close(out, vec);
}

/* The body of a TLS 1.2 hello that no P-256 certificate will do for. */
static void put_hello(struct tls_buf *out, enum list longest)
{
	static const uint8_t random[32], version[] = { 3, 3 }, no_compression[] = { 1, 0 };
	struct tls_vec vec;

	tls_put_bytes(out, version, sizeof(version));
	tls_put_bytes(out, random, sizeof(random));
	tls_put_u8(out, 0);
	put_list(out, SUITES, longest);
	tls_put_bytes(out, no_compression, sizeof(no_compression));
	vec = tls_put_open(out, 2);
	put_extension(out, 10, GROUPS, longest);
	put_extension(out, 13, SCHEMES, longest);
	tls_put_close(out, vec);
}

/* In records of 16000 bytes. */
static void feed_hello(struct pair_end *server, enum list longest)
{
	struct tls_buf hello = { .limit = 70000 };
	struct tls_vec vec;

	tls_put_u8(&hello, 1);
	vec = tls_put_open(&hello, 3);
	put_hello(&hello, longest);
	tls_put_close(&hello, vec);
	if (tls_buf_error(&hello))
		tap_bail("a hello");
	for (size_t at = 0, n; at < hello.len; at += n) {
		uint8_t header[] = { 22, 3, 1, 0, 0 };

		n = hello.len - at < 16000 ? hello.len - at : 16000;
		header[3] = (uint8_t)(n >> 8);
		header[4] = (uint8_t)n;
		pair_feed(server, header, sizeof(header), 0);
		pair_feed(server, hello.data + at, n, 0);
	}
	tls_buf_free(&hello);
}

/* CPU time until it is refused by a server with so many certificates. */
static double time_of(enum list longest, size_t certificates)
{
	const char *pem = pki_certificate(leaves[A][1]);
	struct pair_options o = { .server = { leaves[A][1] } };
	struct tls_certificate *cert;
	struct pair pair;
	clock_t start;
	int err = 0;

	pair_init(&pair, &o);
	if (tls_certificate_new(&cert, pem, strlen(pem), NULL))
		tap_bail("a certificate");
	for (size_t i = 1; !err && i < certificates; i++)
		err = tls_config_add_certificate(pair.server.config, cert);
	if (err)
		tap_bail("certificates");
	start = clock();
	feed_hello(&pair.server, longest);
	start = clock() - start;
	tap_ok(pair.server.err == TLS_ERR_ALERT + TLS_ALERT_HANDSHAKE_FAILURE,
	       "many %s, %zu certificates, none fits: %s", lists[longest].name, certificates,
	       tls_strerror(pair.server.err));
	tls_certificate_free(cert);
	pair_free(&pair);
	return (double)start / CLOCKS_PER_SEC;
}

/* The two should be alike: a list is gone through once, not for each certificate. */
static void long_lists(void)
{
	for (enum list list = 0; list < LISTS; list++) {
		double one = time_of(list, 1), many = time_of(list, CERTIFICATES);

		printf("# many %s: %.6f s of CPU with one certificate, %.6f s with %d\n",
		       lists[list].name, one, many, CERTIFICATES);
	}
}

static void covered(void)
{
	static const struct {
		const char *name;
		bool covered;
	} rows[] = {
		{ "a.test", true }, { "A.Test", true }, { "x.a.test", true }, { "b.test", false },
		{ "y.a.test", false }, { "*.a.test", true }, { "*.A.test", true }, { "*.b.test", false },
		{ "*.test", false }, { "q.w.test", true }, { "*.w.test", true }, { "*.x.w.test", false },
		{ "w.test", false }, { "*", false }, { "", false },
	};
	static const struct pki_options wild = { .names = "DNS:*.w.test" };
	struct pair_options o = { .server = { leaves[A][1], pair_leaf_named(PKI_P256, &wild) } };
	struct pair pair;

	pair_init(&pair, &o);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		tap_ok(tls_config_has_name(pair.server.config, rows[i].name) == rows[i].covered,
		       "a certificate %s for '%s'", rows[i].covered ? "is" : "is not", rows[i].name);
	tap_ok(tls_config_refuse_unknown_name(pair.client.config) == TLS_ERR_ARGUMENT,
	       "a client refuses no server_name");
	pair_free(&pair);
}

/* RFC 6066 section 3: 112, fatal; nothing else of the handshake changes. */
static void unknown_names(uint16_t version)
{
	static const struct {
		const char *name;
		bool refused;
	} rows[] = {
		{ "a.test", false }, { "A.TEST", false }, { "z.a.test", false }, { "z.z.a.test", true },
		{ "b.test", true }, { "test", true },
		{ "", false }, { "192.0.2.1", false },		/* none is sent */
	};
	struct pair_options o = {
		.server = { leaves[A][1], leaves[A_WILD][1] }, .min = version, .max = version,
		.client_verifies_nothing = true, .refuse_unknown_name = true,
	};
	char text[TLS_REASON_TEXT], want[128];
	struct pair pair;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		o.server_name = rows[i].name;
		pair_init(&pair, &o);
		pair_handshake(&pair);
		snprintf(want, sizeof(want), "the client asks for a name that no certificate of ours has (%s)",
			 rows[i].name);
		tap_ok(rows[i].refused ?
		       pair.server.err == TLS_ALERT(UNRECOGNIZED_NAME) &&
		       pair.client.err == TLS_ERR_PEER + TLS_ALERT_UNRECOGNIZED_NAME &&
		       tls_conn_reason(pair.server.conn, pair.server.err, text) && !strcmp(text, want) :
		       pair_up(&pair), "%s, name '%s' %s", tls_version_name(version), rows[i].name,
		       rows[i].refused ? "is refused" : "is served");
		pair_free(&pair);
	}
}

int main(void)
{
	make_leaves();
	long_lists();
	wildcards();
	many_names();
	by_name(TLS_1_2);
	by_name(TLS_1_3);
	by_kind(TLS_1_2);
	by_kind(TLS_1_3);
	covered();
	unknown_names(TLS_1_2);
	unknown_names(TLS_1_3);
	pair_free_pki();
	return tap_done();
}
