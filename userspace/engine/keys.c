// SPDX-License-Identifier: MIT
/* When which secret is derived, logged, and put to work. */
#include <stdio.h>
#include <string.h>

#include "config.h"
#include "conn.h"
#include "handshake.h"
#include "keys.h"
#include "machine.h"

#define LABEL_MAX	40	/* of a key log line, the blank after it included */

void tls_keylog(struct tls_conn *conn, const char *label, const uint8_t *secret, size_t len)
{
	const struct tls_hooks *hooks = &conn->config->hooks;
	char line[LABEL_MAX + 2 * TLS_RANDOM_LEN + 1 + 2 * TLS_MAX_HASH + 1];
	char *p = line;

	if (!hooks->keylog)
		return;
	p += snprintf(p, LABEL_MAX, "%s ", label);
	for (size_t i = 0; i < TLS_RANDOM_LEN; i++)
		p += snprintf(p, 3, "%02x", conn->hs->client_random[i]);
	*p++ = ' ';
	for (size_t i = 0; i < len; i++)
		p += snprintf(p, 3, "%02x", secret[i]);
	hooks->keylog(hooks->arg, line);
	tls_wipe(line, sizeof(line));
}

void tls_ask_key(struct tls_conn *conn, enum tls_key_op op, struct tls_slice data)
{
	struct tls_handshake *hs = conn->hs;

	hs->key_wanted = true;
	hs->key_request = (struct tls_key_request){
		.op = op, .key_id = tls_certificate_key_id(hs->cert),
		.scheme = hs->scheme ? hs->scheme->id : 0, .data = data.p, .len = data.len,
	};
}

/* ---- TLS 1.3 ---------------------------------------------------------------- */

/* One secret of the schedule: its label, where it is kept, what it is called outside. */
struct secret {
	const char *label;
	uint8_t *out;
	const char *keylog;
	const char *event;
};

/* digest: of the transcript. */
static int derive_secrets(struct tls_conn *conn, const uint8_t *digest,
			  const struct secret *secrets, size_t count)
{
	int err = 0;

	for (size_t i = 0; !err && i < count; i++) {
		const struct secret *s = &secrets[i];
		struct tls_slice value = { s->out, conn->keysched.len };

		err = tls_keysched_derive(&conn->keysched, s->label, digest, s->out);
		if (err)
			break;
		tls_keylog(conn, s->keylog, value.p, value.len);
		tls_engine_event(conn, TLS_EVENT_SECRET_DERIVED, 0, value, s->event);
	}
	return err;
}

static int set_keys(struct tls_conn *conn, bool send, const uint8_t *secret)
{
	struct tls_direction_keys keys;
	int err = tls_keysched_keys(&conn->keysched, conn->suite, secret, &keys);
	if (!err)
		err = tls_record_set_keys(send ? &conn->tx : &conn->rx, conn->suite, send, &keys);
	tls_wipe(&keys, sizeof(keys));
	return err;
}

int tls13_set_traffic_secret(struct tls_conn *conn, bool send, const uint8_t *secret)
{
	int err;

	/* RFC 9846 section 5.1: messages must not span key changes, in either direction. */
	if (send)
		err = conn->hs ? tls_flight_flush(conn) : 0;
	else
		err = tls_check_key_boundary(conn);
	return err ? err : set_keys(conn, send, secret);
}

int tls13_next_traffic_secret(struct tls_conn *conn, bool send)
{
	struct tls_direction_keys keys;
	int err;

	tls_record_get_keys(send ? &conn->tx : &conn->rx, &keys);
	err = tls_keysched_update(&conn->keysched, keys.secret);
	if (!err)
		err = tls13_set_traffic_secret(conn, send, keys.secret);
	tls_wipe(&keys, sizeof(keys));
	if (!err)
		tls_engine_event(conn, TLS_EVENT_REKEYED, 0, (struct tls_slice){ NULL, 0 },
				 send ? "send" : "receive");
	return err;
}

static int derive_handshake(struct tls_conn *conn, const uint8_t *digest)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_keysched *ks = &conn->keysched;
	struct tls_slice psk = { hs->session.secret, conn->resumed ? hs->session.secret_len : 0 };
	const struct secret secrets[] = {
		{ TLS_LABEL_CLIENT_HANDSHAKE, hs->client_secret,
		  "CLIENT_HANDSHAKE_TRAFFIC_SECRET", "client_handshake_traffic_secret" },
		{ TLS_LABEL_SERVER_HANDSHAKE, hs->server_secret,
		  "SERVER_HANDSHAKE_TRAFFIC_SECRET", "server_handshake_traffic_secret" },
	};
	int err;

	tls_keysched_free(ks);		/* it may have been made for a binder */
	err = tls_keysched_init(ks, conn->suite->hash);
	if (!err)
		err = tls_keysched_early(ks, psk);
	if (!err)
		err = tls_keysched_handshake(ks, (struct tls_slice){ hs->shared, hs->shared_len });
	if (!err)
		err = derive_secrets(conn, digest, secrets, 2);
	tls_wipe(hs->shared, sizeof(hs->shared));
	return err;
}

int tls13_client_handshake_keys(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t digest[TLS_MAX_HASH];
	int err = tls_transcript_digest(&conn->hs->transcript, digest);

	(void)body;
	if (!err)
		err = derive_handshake(conn, digest);
	if (!err)
		err = tls13_set_traffic_secret(conn, false, conn->hs->server_secret);
	/* Now, not with our next message: an alert in between is encrypted already. */
	if (!err)
		err = tls_compat_ccs(conn);
	return err ? err : tls13_set_traffic_secret(conn, true, conn->hs->client_secret);
}

int tls13_server_handshake_keys(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	int err = tls_kex_agree(hs->kex, hs->shared);

	(void)body;
	tls_kex_free(hs->kex);
	hs->kex = NULL;
	if (!err)
		err = derive_handshake(conn, hs->hello_digest);
	if (!err)
		err = tls_flight_flush_first(conn, hs->hello_len);
	if (!err)
		err = tls_compat_ccs(conn);
	/* What else the flight has is under these, so it is not flushed before. */
	if (!err)
		err = set_keys(conn, true, hs->server_secret);
	return err ? err : tls13_set_traffic_secret(conn, false, hs->client_secret);
}

int tls13_derive_master(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	const struct secret secrets[] = {
		{ TLS_LABEL_CLIENT_TRAFFIC, hs->client_app,
		  "CLIENT_TRAFFIC_SECRET_0", "client_application_traffic_secret_0" },
		{ TLS_LABEL_SERVER_TRAFFIC, hs->server_app,
		  "SERVER_TRAFFIC_SECRET_0", "server_application_traffic_secret_0" },
		{ TLS_LABEL_EXPORTER, conn->exporter,
		  "EXPORTER_SECRET", "exporter_master_secret" },
	};
	uint8_t digest[TLS_MAX_HASH];
	int err = tls_transcript_digest(&hs->transcript, digest);

	(void)body;
	if (!err)
		err = tls_keysched_master(&conn->keysched);
	return err ? err : derive_secrets(conn, digest, secrets, 3);
}

int tls13_server_master(struct tls_conn *conn, struct tls_reader *body)
{
	int err = tls13_derive_master(conn, body);

	if (conn->hs->cert_requested)
		conn->state = TLS13_SERVER_WAIT_CERT;
	return err ? err : tls13_set_traffic_secret(conn, true, conn->hs->server_app);
}

int tls13_client_application_keys(struct tls_conn *conn, struct tls_reader *body)
{
	uint8_t digest[TLS_MAX_HASH];
	int err = tls_transcript_digest(&conn->hs->transcript, digest);

	(void)body;
	if (!err)
		err = tls_keysched_derive(&conn->keysched, TLS_LABEL_RESUMPTION, digest,
					  conn->resumption);
	if (!err)
		err = tls13_set_traffic_secret(conn, true, conn->hs->client_app);
	return err ? err : tls13_set_traffic_secret(conn, false, conn->hs->server_app);
}

int tls13_server_application_keys(struct tls_conn *conn, struct tls_reader *body)
{
	(void)body;
	return tls13_set_traffic_secret(conn, false, conn->hs->client_app);
}

/* ---- TLS 1.2 ---------------------------------------------------------------- */

static int derive_master12(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	enum tls_hash hash = conn->suite->hash;
	struct tls_slice premaster = { hs->shared, hs->shared_len };
	uint8_t digest[TLS_MAX_HASH];
	int err;

	if (!conn->extended_master_secret)
		return tls_prf12_master(hash, premaster, hs->client_random, hs->server_random,
					hs->master);
	err = tls_transcript_digest(&hs->transcript, digest);
	return err ? err : tls_prf12_extended_master(hash, premaster, digest, hs->master);
}

static int expand_master12(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	bool client = conn->role == TLS_CLIENT;

	memcpy(conn->exporter, hs->master, TLS12_MASTER_LEN);
	memcpy(conn->randoms, hs->client_random, TLS_RANDOM_LEN);
	memcpy(conn->randoms + TLS_RANDOM_LEN, hs->server_random, TLS_RANDOM_LEN);
	tls_keylog(conn, "CLIENT_RANDOM", hs->master, sizeof(hs->master));
	tls_engine_event(conn, TLS_EVENT_SECRET_DERIVED, 0,
			 (struct tls_slice){ hs->master, sizeof(hs->master) }, "master_secret");
	return tls_prf12_keys(conn->suite, hs->master, hs->client_random, hs->server_random,
			      client ? &hs->next_tx : &hs->next_rx,
			      client ? &hs->next_rx : &hs->next_tx);
}

int tls12_derive_keys(struct tls_conn *conn, struct tls_reader *body)
{
	int err = derive_master12(conn);

	(void)body;
	tls_wipe(conn->hs->shared, sizeof(conn->hs->shared));
	return err ? err : expand_master12(conn);
}

int tls12_resume_keys(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;

	(void)body;
	if (hs->session.secret_len != TLS12_MASTER_LEN)
		return TLS_ERR_LIBRARY;
	memcpy(hs->master, hs->session.secret, TLS12_MASTER_LEN);
	if (conn->role == TLS_CLIENT && hs->ticket_due)
		conn->state = TLS12_CLIENT_WAIT_TICKET;
	return expand_master12(conn);
}

/*
 * The keyholder gave 48 bytes whatever the ciphertext was.  RFC 5246 section
 * 7.4.7.1: the version in them is ours to set, so that a wrong one is just
 * another wrong secret.
 */
static int take_premaster(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;

	if (hs->key_reply.len != TLS12_MASTER_LEN)
		return TLS_ERR_LIBRARY;
	memcpy(hs->shared, hs->key_reply.p, TLS12_MASTER_LEN);
	hs->shared[0] = (uint8_t)(hs->client_version >> 8);
	hs->shared[1] = (uint8_t)hs->client_version;
	hs->shared_len = TLS12_MASTER_LEN;
	return 0;
}

int tls12_server_keys(struct tls_conn *conn, struct tls_reader *body)
{
	int err = conn->suite->kx == TLS_KX_RSA ? take_premaster(conn) : 0;

	if (conn->peer)
		conn->state = TLS12_SERVER_WAIT_VERIFY;
	return err ? err : tls12_derive_keys(conn, body);
}
