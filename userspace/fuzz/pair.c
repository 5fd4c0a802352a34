// SPDX-License-Identifier: MIT
/* Two engines back to back, quick and the same each time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/handshake.h"
#include "engine/machine.h"
#include "fuzz.h"
#include "pki.h"

#define NOW		INT64_C(1798761600)	/* 2027-01-01 */
#define ROUNDS		40	/* of the pump: more than any handshake takes */
#define MAX_MEMORY	(600 * 1024)	/* of buffers, for one connection */

/* 0 and NULL: the engine's defaults; a server with a P-256 certificate. */
struct variant {
	const char *name;
	uint16_t version;		/* 0: both */
	const char *suites, *client_groups, *server_groups, *alpn;
	enum tls_verify client_auth;
	bool tickets, resume, rsa, staples;
};

static const struct variant variants[] = {
	{ .name = "tls13", .version = TLS_1_3 },
	{ .name = "tls12", .version = TLS_1_2 },
	{ .name = "both" },
	{ .name = "tls12-rsa", .version = TLS_1_2, .suites = "TLS_RSA_WITH_AES_128_GCM_SHA256",
	  .rsa = true },
	{ .name = "tls13-retry", .version = TLS_1_3, .client_groups = "x25519:secp256r1",
	  .server_groups = "secp256r1" },
	{ .name = "tls13-client-certificate", .version = TLS_1_3,
	  .client_auth = TLS_VERIFY_REQUIRE },
	{ .name = "tls12-client-certificate", .version = TLS_1_2,
	  .client_auth = TLS_VERIFY_REQUIRE },
	{ .name = "tls13-resume", .version = TLS_1_3, .tickets = true, .resume = true },
	{ .name = "tls12-resume", .version = TLS_1_2, .tickets = true, .resume = true },
	{ .name = "tls13-tickets", .version = TLS_1_3, .tickets = true, .alpn = "h2,http/1.1",
	  .suites = "TLS_AES_256_GCM_SHA384" },
	{ .name = "tls12-tickets", .version = TLS_1_2, .tickets = true, .alpn = "h2,http/1.1",
	  .client_auth = TLS_VERIFY_REQUEST },
	{ .name = "tls13-ocsp", .version = TLS_1_3, .rsa = true, .staples = true,
	  .suites = "TLS_CHACHA20_POLY1305_SHA256" },
	{ .name = "tls12-ocsp", .version = TLS_1_2, .rsa = true, .staples = true,
	  .suites = "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" },
	{ .name = "tls13-second-share", .version = TLS_1_3, .server_groups = "x25519" },
};

#define VARIANTS	(sizeof(variants) / sizeof(*variants))

void (*fuzz_on_sent)(enum tls_role role, struct tls_slice message);

/* Made once: a configuration costs more than a connection. By enum tls_role. */
static struct tls_config *configs[VARIANTS][TLS_SERVER + 1];
/* By fuzz_transparent, too: tickets of the one kind are none of the other. */
static struct tls_buf sessions[VARIANTS][2];

size_t fuzz_variants(void)
{
	return VARIANTS;
}

const char *fuzz_variant_name(size_t variant)
{
	return variants[variant].name;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz: broken: %s\n", what);
	abort();
}

/* ---- configurations ---- */

static int64_t now(void *arg)
{
	(void)arg;
	return NOW;
}

static void on_event(void *arg, void *conn_arg, const struct tls_event *event)
{
	struct fuzz_end *end = conn_arg;

	(void)arg;
	if (event->kind == TLS_EVENT_ALERT_SENT)
		end->alert = event->type;
	if (event->kind == TLS_EVENT_MESSAGE_SENT && fuzz_on_sent)
		fuzz_on_sent(end->conn->role, (struct tls_slice){ event->data, event->len });
}

/* staples: has an OCSP response and signed certificate timestamps to go with it */
static void add_certificate(struct tls_config *config, const char *pem, bool staples)
{
	static const uint8_t scts[] = { 0, 6, 0, 4, 's', 'c', 't', 's' };
	struct tls_certificate *cert;
	int err = tls_certificate_new(&cert, pem, strlen(pem), NULL);

	must(!err, "certificate");
	if (staples)
		err |= tls_certificate_set_ocsp(cert, fuzz_pki_ocsp, sizeof(fuzz_pki_ocsp)) |
		       tls_certificate_set_scts(cert, scts, sizeof(scts));
	must(!err && !tls_config_add_certificate(config, cert), "certificate");
	tls_certificate_free(cert);
}

static struct tls_config *make_config(const struct variant *v, enum tls_role role)
{
	static const struct tls_ticket_key key = { .name = "fuzz" };
	const struct tls_hooks hooks = { .now = now, .event = on_event };
	struct tls_config *config = tls_config_new(role, &hooks);
	const char *groups = role == TLS_CLIENT ? v->client_groups : v->server_groups;
	int err = config ? 0 : TLS_ERR_NO_MEMORY;

	must(!err, "configuration");
	if (v->version)
		err |= tls_config_set_versions(config, v->version, v->version);
	if (v->suites)
		err |= tls_config_set_suites(config, v->suites, NULL);
	if (groups)
		err |= tls_config_set_groups(config, groups, NULL);
	if (v->alpn)
		err |= tls_config_set_alpn(config, v->alpn);
	if (role == TLS_SERVER)
		err |= tls_config_set_verify(config, v->client_auth);
	if (role == TLS_SERVER && v->tickets)
		err |= tls_config_set_ticket_keys(config, &key, 1);
	if (role == TLS_CLIENT && v->staples)
		err |= tls_config_request_ocsp(config) | tls_config_request_scts(config);
	err |= tls_config_add_ca(config, fuzz_pki_ca, strlen(fuzz_pki_ca));
	must(!err, "configuration");
	if (role == TLS_SERVER)
		add_certificate(config, v->rsa ? fuzz_pki_rsa : fuzz_pki_p256, v->staples);
	else if (v->client_auth)
		add_certificate(config, v->version == TLS_1_3 ? fuzz_pki_ed25519 : fuzz_pki_p256,
				false);
	return config;
}

/* ---- connections ---- */

static void end_init(struct fuzz_end *end, struct tls_config *config)
{
	*end = (struct fuzz_end){ .conn = tls_conn_new(config), .alert = -1 };
	must(end->conn, "connection");
	tls_conn_set_arg(end->conn, end);
}

static void pair_start(struct fuzz_pair *pair, size_t v)
{
	fuzz_random_reset();
	end_init(&pair->client, configs[v][TLS_CLIENT]);
	end_init(&pair->server, configs[v][TLS_SERVER]);
	must(!tls_conn_set_server_name(pair->client.conn, "host.test"), "server name");
}

/* A session to be resumed, by a whole handshake. */
static void get_session(size_t v, struct tls_buf *session)
{
	struct fuzz_pair pair;
	const uint8_t *p;
	size_t len;

	session->limit = TLS_MAX_SESSION;
	pair_start(&pair, v);
	fuzz_handshake(&pair);
	p = tls_conn_session(pair.client.conn, &len);
	must(p, "a session to resume");
	tls_put_bytes(session, p, len);
	fuzz_pair_free(&pair);
}

void fuzz_pair_init(struct fuzz_pair *pair, uint8_t choice)
{
	size_t v = (choice & FUZZ_VARIANT) % VARIANTS;
	struct tls_buf *session = &sessions[v][fuzz_transparent];

	if (!configs[v][TLS_CLIENT]) {
		configs[v][TLS_CLIENT] = make_config(&variants[v], TLS_CLIENT);
		configs[v][TLS_SERVER] = make_config(&variants[v], TLS_SERVER);
	}
	if (variants[v].resume && !session->len)
		get_session(v, session);
	pair_start(pair, v);
	if (session->len)
		must(!tls_conn_set_session(pair->client.conn, session->data, session->len),
		     "session");
}

/*
 * However it ended: by an alert of one side that was really sent, or by what
 * the caller did; in bounded memory; never because the engine lost its way.
 */
static void check_end(const struct fuzz_end *end)
{
	const struct tls_conn *conn = end->conn;
	size_t memory = conn->in.cap + conn->message.cap + conn->session.cap + conn->ocsp.cap +
			conn->scts.cap +
			(conn->hs ? conn->hs->flight.cap + conn->hs->cookie.cap : 0);
	int err = end->err;

	must(memory <= MAX_MEMORY, "memory is bounded");
	must(err == conn->error || TLS_ERR_CLASS(err) == TLS_ERR_LOCAL || !err,
	     "an error that is not the connection's");
	if (TLS_ERR_CLASS(err) == TLS_ERR_ALERT)
		must(end->alert == TLS_ERR_CODE(err), "the alert was sent");
	if (TLS_ERR_CLASS(err) == TLS_ERR_LOCAL && err != TLS_ERR_STATE) {
		fprintf(stderr, "fuzz: a peer made the engine say: %s\n", tls_strerror(err));
		abort();
	}
	must(!conn->established || !conn->hs, "the handshake is freed when over");
}

void fuzz_pair_free(struct fuzz_pair *pair)
{
	check_end(&pair->client);
	check_end(&pair->server);
	tls_conn_free(pair->client.conn);
	tls_conn_free(pair->server.conn);
}

/* ---- moving bytes ---- */

void fuzz_note(struct fuzz_end *end, int err)
{
	if (!end->err && err != TLS_ERR_AGAIN && err != TLS_ERR_CLOSED)
		end->err = err;
}

bool fuzz_answer_key(struct fuzz_end *end)
{
	const struct tls_key_request *req = tls_conn_key_request(end->conn);
	uint8_t reply[TLS12_MASTER_LEN] = { 0 };

	if (!req)
		return false;
	/* decryption, as transparent.c encrypts: never a complaint about what came */
	if (req->op == TLS_KEY_DECRYPT)
		memcpy(reply, req->data, req->len < sizeof(reply) ? req->len : sizeof(reply));
	fuzz_note(end, tls_conn_key_reply(end->conn, reply, sizeof(reply)));
	return true;
}

/* Byte number n of what an end writes. */
static uint8_t data_byte(size_t n)
{
	return (uint8_t)(n * 7 + n / 251);
}

void fuzz_write(struct fuzz_end *end, size_t len)
{
	uint8_t *data = malloc(len);

	must(data, "memory");
	for (size_t i = 0; i < len; i++)
		data[i] = data_byte(end->written + i);
	if (tls_conn_established(end->conn) && !tls_conn_write(end->conn, data, len))
		end->written += len;
	free(data);
}

void fuzz_close(struct fuzz_end *end)
{
	end->closed = true;
	(void)!tls_conn_close(end->conn);
}

static void check_data(struct fuzz_end *end, const uint8_t *data, size_t len)
{
	if (!end->peer)
		return;
	must(len <= end->peer->written - end->read, "data that nobody wrote");
	for (size_t i = 0; i < len; i++)
		must(data[i] == data_byte(end->read + i), "data as it was written");
	end->read += len;
}

void fuzz_drain(struct fuzz_end *end)
{
	uint8_t buf[512];
	size_t len;
	int err;

	if (!tls_conn_established(end->conn))
		return;
	do {
		len = sizeof(buf);
		err = tls_conn_read(end->conn, buf, &len);
		must(err || len, "a read gives something");
		check_data(end, buf, len);
	} while (!err);
	if (err == TLS_ERR_CLOSED && end->peer)
		must(end->peer->closed && end->read == end->peer->written, "an end that is one");
	fuzz_note(end, err);
}

void fuzz_feed(struct fuzz_end *end, const uint8_t *data, size_t len)
{
	while (len && !end->conn->error) {
		size_t part = tls_conn_input_space(end->conn);
		uint8_t *copy;

		if (part > len)
			part = len;
		if (!part)
			return;		/* it waits for its key, or is closed */
		copy = malloc(part);
		must(copy, "memory");
		memcpy(copy, data, part);
		fuzz_note(end, tls_conn_input(end->conn, copy, part));
		free(copy);
		fuzz_drain(end);
		data += part;
		len -= part;
	}
}

static bool move(struct fuzz_end *from, struct fuzz_end *to)
{
	bool moved = fuzz_answer_key(from);
	struct tls_buf copy = { .limit = SIZE_MAX };
	const uint8_t *p;
	size_t len;

	if (!(tls_conn_wants(from->conn) & TLS_WANTS_OUTPUT))
		return moved;
	p = tls_conn_output(from->conn, &len);
	tls_put_bytes(&copy, p, len);
	tls_conn_output_done(from->conn, len);
	fuzz_feed(to, copy.data, copy.len);
	tls_buf_free(&copy);
	return true;
}

void fuzz_pump(struct fuzz_pair *pair)
{
	unsigned int rounds = 0;
	bool moved;

	do {
		moved = move(&pair->client, &pair->server);
		moved |= move(&pair->server, &pair->client);
	} while (moved && ++rounds < ROUNDS);
	must(!moved, "the two come to rest");
}

void fuzz_handshake(struct fuzz_pair *pair)
{
	fuzz_note(&pair->client, tls_conn_start(pair->client.conn));
	fuzz_pump(pair);
}

void fuzz_seal(struct fuzz_end *end, uint8_t type, const uint8_t *data, size_t len)
{
	if (!end->conn->error && tls_engine_seal(end->conn, type, data, len))
		abort();
}
