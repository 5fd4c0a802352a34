// SPDX-License-Identifier: MIT
/* Two engines back to back. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"
#include "tap.h"

#define MAX_NAMED	64

static struct pki *ca, *leaves[PKI_KEY_COUNT], *named[MAX_NAMED];
static size_t named_count;

const struct pki *pair_ca(void)
{
	if (!ca)
		ca = pki_ca(PKI_P256, "pair CA");
	return ca;
}

const struct pki *pair_leaf(enum pki_key type)
{
	const struct pki_options options = { 0 };

	if (!leaves[type])
		leaves[type] = pki_new(type, pair_ca(), &options);
	return leaves[type];
}

const struct pki *pair_issued(enum pki_key type, const struct pki *issuer,
			      const struct pki_options *options)
{
	if (named_count == MAX_NAMED)
		tap_bail("too many certificates");
	named[named_count] = pki_new(type, issuer, options);
	return named[named_count++];
}

const struct pki *pair_leaf_named(enum pki_key type, const struct pki_options *options)
{
	return pair_issued(type, pair_ca(), options);
}

void pair_free_pki(void)
{
	for (size_t i = 0; i < PKI_KEY_COUNT; i++)
		pki_free(leaves[i]);
	for (size_t i = 0; i < named_count; i++)
		pki_free(named[i]);
	pki_free(ca);
}

/* ---- set-up ---- */

static int64_t now(void *arg)
{
	const struct pair_end *end = arg;

	return end->now;
}

static void keylog(void *arg, const char *line)
{
	struct pair_end *end = arg;
	size_t len = strlen(end->keylog);

	snprintf(end->keylog + len, sizeof(end->keylog) - len, "%s\n", line);
}

/* The leaf and what is sent behind it; the caller's, by free(). */
static char *chain_of(const struct pki *leaf, const struct pki *const *issuers)
{
	char *pem = strdup(pki_certificate(leaf));

	for (size_t i = 0; pem && i < PAIR_MAX_ISSUERS && issuers[i]; i++) {
		const char *more = pki_certificate(issuers[i]);

		pem = realloc(pem, strlen(pem) + strlen(more) + 1);
		if (pem)
			strcat(pem, more);
	}
	if (!pem)
		tap_bail("out of memory");
	return pem;
}

static void add_certificate(struct pair_end *end, const struct pki *pki, uint32_t id,
			    const struct pair_options *o)
{
	bool server = end->role == TLS_SERVER;
	char *pem = chain_of(pki, server ? o->server_issuers : o->client_issuers);
	const char *key = pki_key(pki);
	struct tls_certificate *cert;

	if (tls_certificate_new(&cert, pem, strlen(pem), NULL) ||
	    tls_private_key_new(&end->keys[id], key, strlen(key), NULL) ||
	    tls_config_add_certificate(end->config, cert))
		tap_bail("cannot add a certificate");
	tls_certificate_set_key_id(cert, id);
	if (tls_certificate_set_ocsp(cert, o->ocsp.p, o->ocsp.len) ||
	    tls_certificate_set_scts(cert, o->scts.p, o->scts.len))
		tap_bail("cannot staple");
	tls_certificate_free(cert);
	free(pem);
}

static void add_crls(struct pair_end *end, const struct pair_options *o)
{
	const char *why;
	int64_t until;

	for (size_t i = 0; i < PAIR_MAX_CRLS && o->crls[i].len; i++) {
		if (tls_config_add_crl(end->config, o->crls[i].p, o->crls[i].len, &until, &why))
			tap_bail("CRL: %s", why);
	}
	if (o->take_expired_crls)
		tls_config_take_expired_crls(end->config);
}

static void configure(struct pair_end *end, enum tls_role role, const struct pair_options *o)
{
	const struct tls_hooks hooks = {
		.now = now, .keylog = keylog, .event = o->event, .arg = end,
	};
	const struct pki *const *certs = role == TLS_CLIENT ? o->client : o->server;
	const char *groups = role == TLS_CLIENT ? o->client_groups : o->server_groups;
	const char *alpn = role == TLS_CLIENT ? o->client_alpn : o->server_alpn;
	enum tls_pq pq = role == TLS_CLIENT ? o->client_pq : o->server_pq;
	const char *why, *trusted = pki_certificate(pair_ca());
	uint16_t max = o->max ? o->max : TLS_1_3;
	int err = 0;

	end->role = role;
	end->now = o->now ? o->now : PKI_NOW;
	end->config = tls_config_new(role, &hooks);
	if (!end->config)
		tap_bail("no configuration");
	if (role == TLS_CLIENT && o->client_max)
		max = o->client_max;
	err |= tls_config_set_versions(end->config, o->min ? o->min : TLS_1_2, max);
	if (o->suites)
		err |= tls_config_set_suites(end->config, o->suites, NULL);
	if (o->groups || groups)
		err |= tls_config_set_groups(end->config, groups ? groups : o->groups, NULL);
	err |= tls_config_set_pq(end->config, pq, &why);
	if (role == TLS_CLIENT && o->client_takes)
		err |= tls_config_set_schemes(end->config, TLS_TO_VERIFY, o->client_takes, NULL);
	if (role == TLS_SERVER && o->server_signs)
		err |= tls_config_set_schemes(end->config, TLS_TO_SIGN, o->server_signs, NULL);
	if (alpn)
		err |= tls_config_set_alpn(end->config, alpn);
	if (!(role == TLS_CLIENT && o->client_trusts_nobody))
		err |= tls_config_add_ca(end->config, trusted, strlen(trusted));
	add_crls(end, o);
	if (role == TLS_SERVER && o->ticket_key_count)
		err |= tls_config_set_ticket_keys(end->config, o->ticket_keys,
						  o->ticket_key_count);
	if (role == TLS_SERVER)
		err |= tls_config_set_verify(end->config, o->server_verify);
	else if (o->client_verifies_nothing)
		err |= tls_config_set_verify(end->config, TLS_VERIFY_NONE);
	else if (o->client_reports)
		err |= tls_config_set_verify(end->config, TLS_VERIFY_REPORT);
	for (size_t i = 0; role == TLS_SERVER && i < PAIR_MAX_RULES && o->server_allows[i]; i++)
		err |= tls_config_allow_client(end->config, o->server_allows[i], &why);
	if (err)
		tap_bail("cannot configure: %s", tls_strerror(err));
	if (role == TLS_CLIENT && o->request_ocsp && tls_config_request_ocsp(end->config))
		tap_bail("cannot ask for OCSP");
	if (role == TLS_CLIENT && o->request_scts && tls_config_request_scts(end->config))
		tap_bail("cannot ask for SCTs");
	if (role == TLS_CLIENT && o->legacy_server && tls_config_allow_legacy_server(end->config))
		tap_bail("cannot take legacy servers");
	if (role == TLS_SERVER && o->refuse_unknown_name && tls_config_refuse_unknown_name(end->config))
		tap_bail("cannot refuse unknown names");
	for (uint32_t i = 0; i < PAIR_MAX_CERTS && certs[i]; i++)
		add_certificate(end, certs[i], i, o);
	if (role == TLS_SERVER && !certs[0])
		add_certificate(end, pair_leaf(PKI_P256), 0, o);
	end->conn = tls_conn_new(end->config);
	if (!end->conn)
		tap_bail("no connection");
	tls_conn_set_arg(end->conn, end);
}

void pair_init(struct pair *pair, const struct pair_options *options)
{
	const char *name = options->server_name ? options->server_name : "host.test";

	memset(pair, 0, sizeof(*pair));
	pair->chunk = options->chunk;
	configure(&pair->client, TLS_CLIENT, options);
	configure(&pair->server, TLS_SERVER, options);
	if (*name && tls_conn_set_server_name(pair->client.conn, name))
		tap_bail("server name %s", name);
}

static void end_free(struct pair_end *end)
{
	tls_conn_free(end->conn);
	tls_config_unref(end->config);
	for (size_t i = 0; i < PAIR_MAX_CERTS; i++)
		tls_private_key_free(end->keys[i]);
}

void pair_free(struct pair *pair)
{
	end_free(&pair->client);
	end_free(&pair->server);
}

/* ---- moving bytes ---- */

static void note(struct pair_end *end, int err)
{
	if (!end->err)
		end->err = err;
}

void pair_feed(struct pair_end *end, const void *data, size_t len, size_t chunk)
{
	const uint8_t *p = data;

	if (!chunk)
		chunk = TLS_MAX_INPUT / 2;
	while (len) {
		size_t part = len < chunk ? len : chunk;
		size_t space = tls_conn_input_space(end->conn);
		/* An exact copy, so that a read beyond it is seen. */
		uint8_t *copy;

		if (part > space)
			part = space;
		if (!part)
			tap_bail("no input space left");
		copy = malloc(part);
		if (!copy)
			tap_bail("out of memory");
		memcpy(copy, p, part);
		note(end, tls_conn_input(end->conn, copy, part));
		free(copy);
		p += part;
		len -= part;
	}
}

void pair_move(struct pair *pair, struct pair_end *from, struct pair_end *to)
{
	size_t len;
	const uint8_t *p = tls_conn_output(from->conn, &len);

	pair_feed(to, p, len, pair->chunk);
	tls_conn_output_done(from->conn, len);
}

bool pair_answer_key(struct pair_end *end)
{
	const struct tls_key_request *req = tls_conn_key_request(end->conn);
	uint8_t reply[TLS_MAX_KEY_REPLY];
	size_t len = sizeof(reply);

	if (!req || end->hold_key)
		return false;
	if (end->refuse_key)
		note(end, tls_conn_key_reply(end->conn, NULL, 0));
	else if (!tls_key_request_fits(req, tls_config_key_uses(end->config)))
		tap_bail("a request that no answerer would answer");
	else if (tls_private_key_perform(end->keys[req->key_id], req, reply, &len))
		tap_bail("cannot sign with scheme 0x%04x", req->scheme);
	else
		note(end, tls_conn_key_reply(end->conn, reply, len));
	return true;
}

static bool pump_one(struct pair *pair, struct pair_end *from, struct pair_end *to)
{
	bool moved = pair_answer_key(from);

	if (!(tls_conn_wants(from->conn) & TLS_WANTS_OUTPUT))
		return moved;
	pair_move(pair, from, to);
	return true;
}

void pair_pump(struct pair *pair)
{
	bool moved;

	do {
		moved = pump_one(pair, &pair->client, &pair->server);
		moved |= pump_one(pair, &pair->server, &pair->client);
	} while (moved);
}

void pair_handshake(struct pair *pair)
{
	note(&pair->server, tls_conn_start(pair->server.conn));
	note(&pair->client, tls_conn_start(pair->client.conn));
	pair_pump(pair);
}

/* ---- looking ---- */

bool pair_up(const struct pair *pair)
{
	return tls_conn_established(pair->client.conn) && tls_conn_established(pair->server.conn) &&
	       !pair->client.err && !pair->server.err;
}

bool pair_transfer(struct pair *pair, struct pair_end *from, struct pair_end *to, size_t len)
{
	uint8_t *sent = malloc(len), *got = malloc(len);
	size_t have = 0, off = 0;
	const uint8_t *p;
	size_t left;
	bool same;

	if (!sent || !got)
		tap_bail("out of memory");
	for (size_t i = 0; i < len; i++)
		sent[i] = (uint8_t)(i * 31 + i / 251);
	note(from, tls_conn_write(from->conn, sent, len));
	p = tls_conn_output(from->conn, &left);
	while (off < left && !to->err) {
		size_t part = pair->chunk && pair->chunk < left - off ? pair->chunk : left - off;
		size_t n;
		int err;

		if (part > tls_conn_input_space(to->conn))
			part = tls_conn_input_space(to->conn);
		pair_feed(to, p + off, part, pair->chunk);
		off += part;
		do {
			n = len - have;
			err = tls_conn_read(to->conn, got + have, &n);
			have += n;
		} while (!err && have < len);
		if (err != TLS_ERR_AGAIN && err)
			note(to, err);
	}
	tls_conn_output_done(from->conn, left);
	same = have == len && !memcmp(sent, got, len);
	free(sent);
	free(got);
	return same;
}

static bool same_direction(const struct tls_direction_keys *a, const struct tls_direction_keys *b)
{
	return a->key_len == b->key_len && a->iv_len == b->iv_len &&
	       a->secret_len == b->secret_len && a->seq == b->seq && a->key_len &&
	       !memcmp(a->key, b->key, a->key_len) && !memcmp(a->iv, b->iv, a->iv_len) &&
	       !memcmp(a->secret, b->secret, a->secret_len);
}

bool pair_same_keys(struct pair *pair)
{
	struct tls_session_keys c, s;

	if (tls_conn_export_keys(pair->client.conn, &c) ||
	    tls_conn_export_keys(pair->server.conn, &s))
		return false;
	return c.version == s.version && c.suite == s.suite && c.role == TLS_CLIENT &&
	       s.role == TLS_SERVER && same_direction(&c.tx, &s.rx) &&
	       same_direction(&c.rx, &s.tx);
}
