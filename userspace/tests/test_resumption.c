// SPDX-License-Identifier: MIT
/* Sessions resumed by tickets, in both versions, and all that has to stop them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/states.h"
#include "pair.h"
#include "tap.h"

static const struct tls_ticket_key keys[] = {
	{ .name = "first", .key = { 1, 2, 3 } },
	{ .name = "second", .key = { 4, 5, 6 } },
	{ .name = "first", .key = { 7, 8, 9 } },	/* the same name, another key */
};

struct session {
	uint8_t *data;
	size_t len;
};

/* What the client of an established pair may resume; data NULL: nothing. */
static struct session take_session(struct pair *pair)
{
	struct session session = { NULL, 0 };
	const uint8_t *p;

	/* TLS 1.3: the tickets come on the way to data */
	if (!pair_up(pair) || !pair_transfer(pair, &pair->server, &pair->client, 1))
		return session;
	p = tls_conn_session(pair->client.conn, &session.len);
	if (!p)
		return session;
	session.data = malloc(session.len);
	if (!session.data)
		tap_bail("out of memory");
	memcpy(session.data, p, session.len);
	return session;
}

static struct session first_session(const struct pair_options *options)
{
	struct session session;
	struct pair pair;

	pair_init(&pair, options);
	pair_handshake(&pair);
	session = take_session(&pair);
	if (!session.data)
		tap_bail("no session to begin with (%s, %s)", tls_strerror(pair.client.err),
			 tls_strerror(pair.server.err));
	pair_free(&pair);
	return session;
}

/* ---- what resumes ---- */

static bool both_resumed(const struct pair *pair)
{
	struct tls_conn_info c, s;

	tls_conn_info(pair->client.conn, &c);
	tls_conn_info(pair->server.conn, &s);
	return c.resumed && s.resumed && c.suite == s.suite && c.peer_certificate_len &&
	       c.extended_master_secret == s.extended_master_secret;
}

static const char *modes_edit;		/* what stands for psk_key_exchange_modes: dhe */

/* The hook sees messages where they are built, before their transcript and record. */
static void edit_modes(void *arg, void *conn_arg, const struct tls_event *event)
{
	struct tls_slice modes = tap_hex("002d00020101"), bytes = tap_hex(modes_edit);
	void *at;

	(void)arg;
	(void)conn_arg;
	if (event->kind != TLS_EVENT_MESSAGE_SENT || event->type != TLS_MSG_CLIENT_HELLO)
		return;
	at = memmem(event->data, event->len, modes.p, modes.len);
	if (at)
		memcpy(at, bytes.p, bytes.len);
}

/* A client that says no modes before it has a ticket (Erlang/OTP 25) is given one. */
static void modes(const char *what, const char *bytes, bool ticket)
{
	const struct pair_options options = {
		.min = TLS_1_3, .ticket_keys = keys, .ticket_key_count = 1, .event = edit_modes,
	};
	struct session session;
	struct pair pair;

	modes_edit = bytes;
	pair_init(&pair, &options);
	pair_handshake(&pair);
	session = take_session(&pair);
	tap_ok(pair_up(&pair) && !session.data == !ticket, "psk_key_exchange_modes %s: %s", what,
	       ticket ? "a ticket" : "no ticket");
	free(session.data);
	pair_free(&pair);
}

static void chain_of_sessions(const char *what, struct pair_options options)
{
	struct session session;

	options.ticket_keys = keys;
	options.ticket_key_count = 2;
	session = first_session(&options);
	for (int i = 0; i < 3; i++) {
		struct session next;
		struct tls_conn_info info;
		struct pair pair;
		bool ok;

		options.chunk = i;
		pair_init(&pair, &options);
		ok = !tls_conn_set_session(pair.client.conn, session.data, session.len);
		pair_handshake(&pair);
		next = take_session(&pair);
		tls_conn_info(pair.server.conn, &info);
		ok = ok && pair_up(&pair) && both_resumed(&pair) && pair_same_keys(&pair) &&
		     pair_transfer(&pair, &pair.client, &pair.server, 1000) &&
		     !info.peer_certificate_len == !options.client[0];
		/* TLS 1.3 gives a fresh ticket each time; TLS 1.2 goes on with the one it gave. */
		ok = ok && !next.data == (info.version == TLS_1_2);
		tap_ok(ok, "%s, resumption %d (%s, %s)", what, i + 1, tls_strerror(pair.client.err),
		       tls_strerror(pair.server.err));
		if (next.data) {
			free(session.data);
			session = next;
		}
		pair_free(&pair);
	}
	free(session.data);
}

/* Resumes *session; true if that worked.  *renewed: *session is the one that comes next. */
static bool resume(struct session *session, const struct pair_options *options, bool *renewed)
{
	struct session next;
	struct pair pair;
	bool ok;

	pair_init(&pair, options);
	(void)tls_conn_set_session(pair.client.conn, session->data, session->len);
	pair_handshake(&pair);
	ok = both_resumed(&pair);
	next = take_session(&pair);
	pair_free(&pair);
	*renewed = next.data;
	if (next.data) {
		free(session->data);
		*session = next;
	}
	return ok;
}

/* TLS 1.2: the key that sealed it is on its way out; the session ends when it would have. */
static void renewal(void)
{
	static const struct tls_ticket_key rotated[] = {
		{ .name = "second", .key = { 4, 5, 6 } },
		{ .name = "first", .key = { 1, 2, 3 } },
	};
	struct pair_options options = {
		.max = TLS_1_2, .ticket_keys = keys, .ticket_key_count = 1, .now = PKI_NOW,
	};
	struct session session = first_session(&options);
	bool renewed;

	options.ticket_keys = rotated;
	options.ticket_key_count = 2;
	options.now += TLS_TICKET_LIFETIME / 2;
	tap_ok(resume(&session, &options, &renewed) && renewed,
	       "a ticket by an old key is renewed");
	options.ticket_key_count = 1;
	options.now = PKI_NOW + TLS_TICKET_LIFETIME - 1;
	tap_ok(resume(&session, &options, &renewed) && !renewed,
	       "the new ticket is good without the old key, and needs no renewal");
	options.now = PKI_NOW + TLS_TICKET_LIFETIME;
	tap_ok(!resume(&session, &options, &renewed), "and has not made the session longer");
	free(session.data);
}

/* However often it is resumed, a session ends a week after the full handshake. */
static void a_week(void)
{
	struct pair_options options = {
		.ticket_keys = keys, .ticket_key_count = 1, .now = PKI_NOW,
	};
	struct session session = first_session(&options);
	unsigned int times = 0;
	bool renewed;

	do
		options.now += TLS_TICKET_LIFETIME - 1;
	while (resume(&session, &options, &renewed) && ++times < 100);
	tap_equal((int)times, TLS_SESSION_LIFETIME / (TLS_TICKET_LIFETIME - 1),
		  "resumptions in a row until a session is too old");
	free(session.data);
}

/* The host that resumes is another one, whose clock is behind. */
static void other_clock(uint16_t version, int64_t behind, bool resumes)
{
	const struct pair_options options = {
		.max = version, .ticket_keys = keys, .ticket_key_count = 1, .now = PKI_NOW,
	};
	struct session session = first_session(&options);
	struct pair pair;

	pair_init(&pair, &options);
	pair.server.now = PKI_NOW - behind;
	if (tls_conn_set_session(pair.client.conn, session.data, session.len))
		tap_bail("the client does not offer its session");
	pair_handshake(&pair);
	tap_ok(pair_up(&pair) && both_resumed(&pair) == resumes,
	       "by the server's clock the ticket is sealed in %lld s: %s", (long long)behind,
	       resumes ? "resumed" : "a full handshake");
	pair_free(&pair);
	free(session.data);
}

/* ---- what does not ---- */

struct refusal {
	const char *what;
	struct pair_options first, second;
	bool client_refuses;		/* tls_conn_set_session() already */
};

static void one_refusal(const struct refusal *row)
{
	struct session session = first_session(&row->first);
	struct tls_conn_info info;
	struct pair pair;
	int err;

	pair_init(&pair, &row->second);
	err = tls_conn_set_session(pair.client.conn, session.data, session.len);
	pair_handshake(&pair);
	tls_conn_info(pair.client.conn, &info);
	/* Data first: TLS 1.3 tickets are read with it. */
	tap_ok(pair_up(&pair) && !info.resumed && !err == !row->client_refuses && info.scheme &&
	       pair_transfer(&pair, &pair.server, &pair.client, 10) && pair_same_keys(&pair),
	       "no resumption, but a full handshake: %s (%s, %s)", row->what,
	       tls_strerror(pair.client.err), tls_strerror(pair.server.err));
	pair_free(&pair);
	free(session.data);
}

#define KEYS	.ticket_keys = keys, .ticket_key_count = 1

static void refusals(uint16_t version)
{
	const struct refusal rows[] = {
		{ "the server has no keys", { .max = version, KEYS }, { .max = version }, false },
		{ "the server has other keys", { .max = version, KEYS },
		  { .max = version, .ticket_keys = &keys[1], .ticket_key_count = 1 }, false },
		{ "the server has another key of that name", { .max = version, KEYS },
		  { .max = version, .ticket_keys = &keys[2], .ticket_key_count = 1 }, false },
		{ "the ticket is too old", { .max = version, KEYS },
		  { .max = version, KEYS, .now = PKI_NOW + TLS_TICKET_LIFETIME }, true },
		{ "the ticket is from the future", { .max = version, KEYS },
		  { .max = version, KEYS, .now = PKI_NOW - 10 }, true },
		{ "it is of another server", { .max = version, KEYS },
		  { .max = version, KEYS, .server_name = "", .client_verifies_nothing = true },
		  true },
		{ "a client certificate is required now", { .max = version, KEYS },
		  { .max = version, KEYS, .server_verify = TLS_VERIFY_REQUIRE,
		    .client = { pair_leaf(PKI_P256) } }, false },
		{ "the other version", { .max = version, KEYS },
		  { .min = version ^ TLS_1_2 ^ TLS_1_3, .max = version ^ TLS_1_2 ^ TLS_1_3, KEYS },
		  true },
		{ "a suite with another hash",
		  { .max = version, KEYS, .suites = "TLS_AES_256_GCM_SHA384:"
		    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" },
		  { .max = version, KEYS, .suites = "TLS_AES_128_GCM_SHA256:"
		    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" }, true },
		{ "the server prefers a suite with another hash",
		  { .max = TLS_1_3, KEYS, .suites = "TLS_AES_256_GCM_SHA384" },
		  { .max = TLS_1_3, KEYS,
		    .suites = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384" }, false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		one_refusal(&rows[i]);
}

/* The certificate that was fine for the session has expired since. */
static void expired_meanwhile(void)
{
	static const struct pki_options soon = { .not_after = PKI_NOW + 60 };
	const struct pair_options options = {
		KEYS, .server = { pair_leaf_named(PKI_P256, &soon) },
	};
	const struct pair_options later = { KEYS, .now = PKI_NOW + 120 };
	struct session session = first_session(&options);
	struct pair pair;

	pair_init(&pair, &later);
	tap_equal(tls_conn_set_session(pair.client.conn, session.data, session.len),
		  TLS_ERR_ARGUMENT, "no session with a server whose certificate has expired");
	pair_free(&pair);
	free(session.data);
}

/* A client's certificate in a ticket: of no use to a server that judges none. */
static void not_asked_for(uint16_t version)
{
	const struct pair_options asking = {
		.max = version, KEYS, .server_verify = TLS_VERIFY_REQUIRE,
		.client = { pair_leaf(PKI_P256) },
	};
	const struct pair_options not_asking = { .max = version, KEYS };
	struct session session = first_session(&asking);
	struct tls_conn_info info;
	struct pair pair;

	pair_init(&pair, &not_asking);
	(void)tls_conn_set_session(pair.client.conn, session.data, session.len);
	pair_handshake(&pair);
	tls_conn_info(pair.server.conn, &info);
	tap_ok(pair_up(&pair) && info.resumed && !info.peer_certificate,
	       "%s: nobody's certificate where none is asked for", tls_version_name(version));
	pair_free(&pair);
	free(session.data);
}

/* ---- hostile ---- */

static size_t spoil_at;		/* from the ClientHello's end */

static void spoil(void *arg, void *conn_arg, const struct tls_event *event)
{
	(void)arg;
	(void)conn_arg;
	if (event->kind == TLS_EVENT_MESSAGE_SENT && event->type == TLS_MSG_CLIENT_HELLO)
		((uint8_t *)event->data)[event->len - spoil_at] ^= 1;
}

static void spoilt_offers(void)
{
	static const struct {
		const char *what;
		size_t at;
		int server;
	} rows[] = {
		{ "a wrong binder", 1, TLS_ERR_ALERT + TLS_ALERT_DECRYPT_ERROR },
		{ "a binder that is too short", 33, TLS_ERR_ALERT + TLS_ALERT_DECODE_ERROR },
		/* the ticket's last byte, before its age: then it is just not a ticket of ours */
		{ "a changed ticket", 35 + 4 + 1, 0 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct pair_options options = { .min = TLS_1_3, KEYS }, spoiling = {
			.min = TLS_1_3, KEYS, .event = spoil,
		};
		struct session session = first_session(&options);
		struct tls_conn_info info;
		struct pair pair;

		spoil_at = rows[i].at;
		pair_init(&pair, &spoiling);
		if (tls_conn_set_session(pair.client.conn, session.data, session.len))
			tap_bail("cannot set the session");
		pair_handshake(&pair);
		tls_conn_info(pair.server.conn, &info);
		tap_ok(pair.server.err == rows[i].server && !info.resumed,
		       "%s (%s)", rows[i].what, tls_strerror(pair.server.err));
		pair_free(&pair);
		free(session.data);
	}
}

/* Stored bytes may be anything: each prefix, and each with a byte changed. */
static void stored_sessions(void)
{
	const struct pair_options options = { KEYS };
	struct session session = first_session(&options);
	struct pair pair;
	unsigned int taken = 0;

	pair_init(&pair, &options);
	for (size_t len = 0; len < session.len; len++) {
		uint8_t *copy = malloc(len + 1);

		if (!copy)
			tap_bail("out of memory");
		memcpy(copy, session.data, len);
		taken += !tls_conn_set_session(pair.client.conn, copy, len);
		free(copy);
	}
	tap_equal(taken, 0, "no part of a session is one");
	tap_ok(!tls_conn_set_session(pair.client.conn, session.data, session.len),
	       "the whole of it is");
	pair_free(&pair);
	free(session.data);
}

int main(void)
{
	chain_of_sessions("TLS 1.3", (struct pair_options){ .max = TLS_1_3 });
	chain_of_sessions("TLS 1.3 after a HelloRetryRequest", (struct pair_options){
		.client_groups = "x25519:secp256r1", .server_groups = "secp256r1" });
	chain_of_sessions("TLS 1.3 with SHA-384", (struct pair_options){
		.suites = "TLS_AES_256_GCM_SHA384", .server = { pair_leaf(PKI_RSA2048) } });
	chain_of_sessions("TLS 1.3 with client certificates", (struct pair_options){
		.server_verify = TLS_VERIFY_REQUIRE, .client = { pair_leaf(PKI_ED25519) } });
	chain_of_sessions("TLS 1.2", (struct pair_options){ .max = TLS_1_2 });
	chain_of_sessions("TLS 1.2 with RSA key exchange", (struct pair_options){
		.suites = "TLS_RSA_WITH_AES_256_GCM_SHA384",
			.server = { pair_leaf(PKI_RSA2048) } });
	chain_of_sessions("TLS 1.2 with client certificates", (struct pair_options){
		.max = TLS_1_2, .server_verify = TLS_VERIFY_REQUIRE,
		.client = { pair_leaf(PKI_P384) } });
	modes("psk_dhe_ke", "002d00020101", true);
	modes("psk_ke", "002d00020100", false);
	modes("left out", "fe2d00020101", true);
	renewal();
	a_week();
	for (uint16_t version = TLS_1_2; version <= TLS_1_3; version++) {
		other_clock(version, TLS_TICKET_SKEW, true);
		other_clock(version, TLS_TICKET_SKEW + 1, false);
		refusals(version);
	}
	expired_meanwhile();
	not_asked_for(TLS_1_2);
	not_asked_for(TLS_1_3);
	spoilt_offers();
	stored_sessions();
	pair_free_pki();
	return tap_done();
}
