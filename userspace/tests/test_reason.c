// SPDX-License-Identifier: MIT
/* The sentence for what a peer sent or lacks. */
#include <string.h>

#include "engine/conn.h"
#include "pair.h"
#include "tap.h"

static void told(const struct pair_end *end, const char *want, const char *what)
{
	char text[TLS_REASON_TEXT] = "(nothing)";
	bool any = tls_conn_reason(end->conn, end->err, text);

	tap_ok(end->err && any && !strcmp(text, want), "%s: %s", what, text);
}

/* ---- what is no TLS ---- */

static const struct {
	const char *what, *bytes;	/* hex */
	const char *from_client, *from_server;
} beginnings[] = {
	{ "HTTP", "474554202f20485454502f312e310d0a0d0a", "an HTTP request: this port speaks TLS",
	  "the server sends an HTTP request: that is no TLS server" },
	{ "an HTTP answer", "485454502f312e3120343030", "an HTTP answer: this port speaks TLS",
	  "the server answers in HTTP: its port does not speak TLS" },
	{ "PROXY", "50524f585920544350", "a PROXY header, a second one or of who is not in accept-proxy", NULL },
	{ "PROXY, version 2", "0d0a0d0a000d0a515549540a", "a PROXY header, a second one or of who is not in accept-proxy",
	  NULL },
	{ "SSLRequest", "0000000804d2162f", "a PostgreSQL SSLRequest: the client has to begin with TLS "
	  "(sslnegotiation=direct)", NULL },
	{ "MySQL", "4a0000000a352e37", NULL, "a MySQL server's greeting: it wants its own protocol before TLS" },
	{ "SSL 2", "802e010002001500000010", "an SSL 2.0 hello: the client is too old", NULL },
	{ "SSH", "5353482d322e302d", "SSH: this port speaks TLS", "the server speaks SSH on this port" },
	{ "RDP", "030000130ee0000000", "RDP: the client has to begin with TLS", NULL },
	{ "SMTP", "323230206d61696c2e", NULL,
	  "a mail or FTP server's greeting: it wants STARTTLS before TLS" },
	{ "zeros", "00000000000000", "zeros: no TLS", "zeros: no TLS" },
	{ "anything", "fedcba9876543210", "what came is not TLS: this port speaks TLS",
	  "what came is not TLS: the port may speak plain text" },
};

static void not_tls(size_t i, bool to_server)
{
	const char *want = to_server ? beginnings[i].from_client : beginnings[i].from_server;
	struct tls_slice bytes = tap_hex(beginnings[i].bytes);
	const struct pair_options options = { 0 };
	struct pair pair;
	struct pair_end *end = to_server ? &pair.server : &pair.client;

	if (!want)
		return;
	pair_init(&pair, &options);
	if (!to_server && tls_conn_start(pair.client.conn))
		tap_bail("cannot start");
	pair_feed(end, bytes.p, bytes.len, 0);
	told(end, want, beginnings[i].what);
	pair_free(&pair);
}

/* ---- nothing in common ---- */

static void ends(const char *what, const struct pair_options *options, const char *client_suites,
		 const char *server, const char *client)
{
	struct pair pair;

	pair_init(&pair, options);
	if (client_suites && tls_config_set_suites(pair.client.config, client_suites, NULL))
		tap_bail("suites");
	pair_handshake(&pair);
	if (server)
		told(&pair.server, server, what);
	if (client)
		told(&pair.client, client, what);
	pair_free(&pair);
}

static void nothing_in_common(void)
{
	static const struct pki_options named = { .names = "DNS:a.test" };
	const char *ours_13 = "TLS_AES_128_GCM_SHA256", *ecdsa = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256";
	const char *alert = "no cipher suite, group or signature scheme in common, or the server "
			    "wants a client certificate";
	struct pair_options o = { .suites = "TLS_AES_256_GCM_SHA384" };

	ends("suites", &o, ours_13, "the client has no cipher suite in common with us "
	     "(it offers TLS_AES_128_GCM_SHA256)", alert);
	o = (struct pair_options){ .max = TLS_1_2 };
	o.server[0] = pair_leaf(PKI_RSA2048);
	ends("a suite for another key", &o, ecdsa, "the client takes the key of no certificate that "
	     "we have for the name it asks for (it offers TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256)",
	     NULL);
	o = (struct pair_options){ .client_groups = "x25519", .server_groups = "secp384r1" };
	ends("groups", &o, NULL, "the client has no key exchange group in common with us "
	     "(it offers x25519)", alert);
	o.max = TLS_1_2;
	ends("groups in TLS 1.2", &o, NULL, "the client has no key exchange group in common with us "
	     "(it offers x25519)", NULL);
	o = (struct pair_options){ .client_takes = "ed25519", .server_name = "" };
	ends("schemes", &o, NULL,
	     "the client takes the key of none of our certificates (it offers ed25519)", NULL);
	o.server_name = "a.test";
	o.server[0] = pair_leaf_named(PKI_P256, &named);
	o.server[1] = pair_leaf(PKI_ED25519);
	ends("schemes of a name", &o, NULL, "the client takes the key of no certificate that we have "
	     "for the name it asks for (it offers ed25519)", NULL);
	o = (struct pair_options){ .client_alpn = "h2,x y\n", .server_alpn = "h3" };
	ends("protocols", &o, NULL, "the client has no application protocol in common with us "
	     "(it offers h2, x?y?)", "the server speaks none of the protocols offered: see alpn");
	o = (struct pair_options){ .server_verify = TLS_VERIFY_REQUIRE };
	ends("no client certificate", &o, NULL, "the client shows no certificate", NULL);
	o = (struct pair_options){ .client_trusts_nobody = true };
	ends("an unknown CA", &o, NULL, "the client does not trust the CA of our certificate",
	     "its chain does not end in a CA that is trusted: give --ca, or have the server send "
	     "its intermediates");
}

static void versions(void)
{
	const struct pair_options old = { .min = TLS_1_2, .max = TLS_1_2 };
	struct pair pair;

	pair_init(&pair, &old);
	if (tls_config_set_versions(pair.server.config, TLS_1_3, TLS_1_3))
		tap_bail("versions");
	pair_handshake(&pair);
	told(&pair.server, "the client has no version in common with us (it offers TLS 1.2)",
	     "versions");
	told(&pair.client, "the server speaks none of the versions offered: see min-version and "
	     "max-version", "versions");
	pair_free(&pair);
}

static void lengths(void)
{
	static const uint8_t long_hello[] = { 22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff };
	const struct pair_options options = { 0 };
	struct pair pair;

	pair_init(&pair, &options);
	pair_feed(&pair.server, long_hello, sizeof(long_hello), 0);
	told(&pair.server, "the client's message is too long: see max-message "
	     "(client_hello of 16777215 bytes)", "a long message");
	pair_free(&pair);
}

/* What is not known is not told; what the caller knows of the stream, it says. */
static void truncated(void)
{
	const struct pair_options options = { 0 };
	char text[TLS_REASON_TEXT];
	struct pair pair;

	pair_init(&pair, &options);
	pair.server.err = tls_conn_input_eof(pair.server.conn);
	told(&pair.server, "the client closed without a word", "an early end");
	pair_feed(&pair.server, "\x16", 1, 0);
	told(&pair.server, "the client closed within its ClientHello", "an end in a hello");
	pair_handshake(&pair);
	tap_ok(!tls_conn_reason(pair.client.conn, TLS_ERR_NO_MEMORY, text), "nothing known");
	pair_free(&pair);
	pair_init(&pair, &options);
	pair_handshake(&pair);
	tap_ok(pair_up(&pair) && !tls_conn_reason(pair.server.conn, TLS_ERR_TRUNCATED, text),
	       "nothing after the handshake");
	pair_free(&pair);
}

int main(void)
{
	for (size_t i = 0; i < sizeof(beginnings) / sizeof(*beginnings); i++) {
		not_tls(i, true);
		not_tls(i, false);
	}
	nothing_in_common();
	versions();
	lengths();
	truncated();
	pair_free_pki();
	return tap_done();
}
