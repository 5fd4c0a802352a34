// SPDX-License-Identifier: MIT
/*
 * Going on with a session: TLS 1.3 by a PSK with (EC)DHE (RFC 9846 section
 * 2.2), TLS 1.2 by a ticket (RFC 5077), or, as a client, by a session id.  A
 * session keeps the peer's chain, which is verified again each time: trust may
 * have ended meanwhile.
 */
#include <string.h>

#include "choose.h"
#include "config.h"
#include "conn.h"
#include "handshake.h"
#include "message/message.h"
#include "resume.h"

#define MAX_TRIES	4	/* identities looked at */

static int64_t now(const struct tls_conn *conn)
{
	return conn->config->hooks.now(conn->config->hooks.arg);
}

void tls_session_of(const struct tls_conn *conn, struct tls_session *session)
{
	int64_t at = now(conn), begun = conn->begun ? conn->begun : at;
	int64_t left = begun + TLS_SESSION_LIFETIME - at;

	*session = (struct tls_session){
		.suite = conn->suite,
		.extended_master_secret = conn->extended_master_secret,
		.begun = begun,
		.issued = at,
		.lifetime = left > TLS_TICKET_LIFETIME ? TLS_TICKET_LIFETIME :
			    left > 0 ? (uint32_t)left : 0,
		.group = conn->group,
		.peer = conn->peer ? tls_peer_kept(conn->peer) : (struct tls_slice){ 0 },
		.ticket = { .limit = 0xffff },
	};
	memcpy(session->server_name, conn->server_name, sizeof(session->server_name));
}

/* ---- client ---- */

static void drop_session_peer(struct tls_handshake *hs)
{
	tls_peer_free(hs->session_peer);
	hs->session_peer = NULL;
}

/* Judges the session's peer anew, into hs->session_peer. */
static bool peer_believed(struct tls_conn *conn, const struct tls_session *session)
{
	const struct tls_verify_request req = tls_verify_request(conn);
	struct tls_peer *peer;
	int err = tls_peer_resume(&peer, &req, session->peer, conn->verify_error);

	if (req.verify != TLS_VERIFY_REPORT)
		conn->verify_error[0] = '\0';
	if (err)
		return false;
	drop_session_peer(conn->hs);
	conn->hs->session_peer = peer;
	return true;
}

/* Would it be the same as asking the server anew? */
static bool session_usable(struct tls_conn *conn, const struct tls_session *session)
{
	const struct tls_config *config = conn->config;

	if (!(session->ticket.len || session->id_len) || !tls_session_fresh(session, now(conn)) ||
	    !tls_config_has_suite(config, session->suite) ||
	    !tls_config_has_version(config, session->suite->version) ||
	    strcmp(session->server_name, conn->server_name))
		return false;
	return peer_believed(conn, session);
}

int tls_conn_set_session(struct tls_conn *conn, const uint8_t *session, size_t len)
{
	struct tls_session found;
	int err;

	if (conn->role != TLS_CLIENT || conn->started || conn->error)
		return TLS_ERR_STATE;
	err = tls_session_read(&found, (struct tls_slice){ session, len });
	if (err)
		return err;
	if (!session_usable(conn, &found)) {
		tls_session_free(&found);
		return TLS_ERR_ARGUMENT;
	}
	tls_session_free(&conn->hs->session);
	found.peer = (struct tls_slice){ 0 };
	conn->hs->session = found;
	return 0;
}

const uint8_t *tls_conn_session(const struct tls_conn *conn, size_t *len)
{
	*len = conn->established ? conn->session.len : 0;
	return *len ? conn->session.data : NULL;
}

/* A schedule at its early stage, for the session's binders. */
static int early_schedule(struct tls_conn *conn, const struct tls_session *session)
{
	int err;

	tls_keysched_free(&conn->keysched);
	err = tls_keysched_init(&conn->keysched, session->suite->hash);
	if (err)
		return err;
	return tls_keysched_early(&conn->keysched,
				  (struct tls_slice){ session->secret, session->secret_len });
}

static int make_binder(struct tls_conn *conn, const struct tls_session *session,
		       struct tls_slice truncated, uint8_t *out)
{
	uint8_t digest[TLS_MAX_HASH];
	int err = tls_transcript_digest_with(&conn->hs->transcript, session->suite->hash,
					     truncated, digest);

	if (!err)
		err = early_schedule(conn, session);
	if (!err)
		err = tls_keysched_binder(&conn->keysched, TLS_LABEL_RESUMPTION_BINDER, digest,
					  out);
	return err;
}

int tls13_write_binder(struct tls_conn *conn, size_t start)
{
	const struct tls_session *session = &conn->hs->session;
	struct tls_buf *flight = &conn->hs->flight;
	size_t len = tls_hash_size(session->suite->hash);
	/* the list's length and the binder's come before it */
	size_t end = flight->len - len - 3;
	struct tls_slice truncated = { flight->data + start, end - start };

	return make_binder(conn, session, truncated, flight->data + end + 3);
}

/* ---- server ---- */

/* state: for the session to stay in, the caller's to free. */
static bool open_ticket(struct tls_conn *conn, struct tls_slice ticket, struct tls_buf *state,
			struct tls_session *session)
{
	const struct tls_config *config = conn->config;
	size_t key;
	int err;

	tls_buf_init(state, TLS_MAX_TICKET);
	err = tls_ticket_open(config->ticket_keys, config->ticket_key_count, ticket, state, &key);
	conn->hs->ticket_renew = key > 0;
	if (!err)
		err = tls_session_read(session, (struct tls_slice){ state->data, state->len });
	if (err)
		tls_buf_free(state);
	return !err;
}

/* The client's certificate, where we want one, is to be as good as on the first day. */
static bool client_still_trusted(struct tls_conn *conn, const struct tls_session *session)
{
	drop_session_peer(conn->hs);
	if (conn->config->verify == TLS_VERIFY_NONE)
		return true;
	if (!session->peer.len)
		return conn->config->verify == TLS_VERIFY_REQUEST;
	return peer_believed(conn, session);
}

/* Another host's clock, by which the ticket was sealed, may be ahead of ours. */
static bool still_fresh(const struct tls_conn *conn, const struct tls_session *session)
{
	int64_t at = now(conn);

	if (session->issued > at && session->issued - at <= TLS_TICKET_SKEW)
		at = session->issued;
	return tls_session_fresh(session, at);
}

static bool may_resume(struct tls_conn *conn, const struct tls_session *session)
{
	return session->suite->version == conn->version && still_fresh(conn, session) &&
	       !strcmp(session->server_name, conn->server_name) &&
	       client_still_trusted(conn, session);
}

static void resume(struct tls_conn *conn, struct tls_session *session)
{
	struct tls_handshake *hs = conn->hs;

	hs->session = *session;
	*session = (struct tls_session){ 0 };
	hs->session.peer = (struct tls_slice){ 0 };
	conn->peer = hs->session_peer;
	hs->session_peer = NULL;
	conn->resumed = true;
	conn->begun = hs->session.begun;
	conn->group = hs->session.group;
	hs->cert = NULL;
	hs->scheme = NULL;
	hs->cert_requested = false;
	conn->scheme = 0;
}

/* What an earlier hello of this handshake had resumed. */
static void start_over(struct tls_conn *conn)
{
	tls_session_free(&conn->hs->session);
	tls_peer_free(conn->peer);
	conn->peer = NULL;
	conn->resumed = false;
	conn->begun = 0;
}

static int check_binder(struct tls_conn *conn, const struct tls_session *session,
			struct tls_slice binder)
{
	const struct tls_offer *offer = &conn->hs->offer;
	struct tls_slice truncated = { offer->hello, (size_t)(offer->binders_at - offer->hello) };
	uint8_t expected[TLS_MAX_HASH];
	int err = make_binder(conn, session, truncated, expected);

	if (!err && (binder.len != conn->keysched.len ||
		     !tls_equal(binder.p, expected, binder.len)))
		err = TLS_ALERT(DECRYPT_ERROR);
	tls_wipe(expected, sizeof(expected));
	return err;
}

static int try_identity(struct tls_conn *conn, struct tls_slice identity, struct tls_slice binder)
{
	struct tls_session session;
	struct tls_buf state;
	int err = 0;

	if (!open_ticket(conn, identity, &state, &session))
		return 0;
	if (session.suite->hash == conn->suite->hash && may_resume(conn, &session)) {
		err = check_binder(conn, &session, binder);
		if (!err)
			resume(conn, &session);
	}
	tls_session_free(&session);
	tls_buf_free(&state);
	return err;
}

int tls13_choose_psk(struct tls_conn *conn)
{
	const struct tls_offer *offer = &conn->hs->offer;
	struct tls_reader identities, binders, identity, binder;
	int err = 0;

	start_over(conn);
	/* RFC 9846 section 4.3.9 */
	if (offer->has_psk && !offer->has_psk_modes)
		return TLS_ALERT(MISSING_EXTENSION);
	if (!offer->has_psk || !offer->psk_dhe)
		return 0;
	tls_reader_init(&identities, offer->identities.p, offer->identities.len);
	tls_reader_init(&binders, offer->binders.p, offer->binders.len);
	for (uint16_t i = 0; !err && !conn->resumed && i < MAX_TRIES; i++) {
		if (!tls_read_more(&identities))
			break;
		tls_read_vec16(&identities, &identity);
		(void)tls_read_u32(&identities);	/* its age is for 0-RTT only */
		tls_read_vec8(&binders, &binder);
		conn->hs->psk_index = i;
		err = try_identity(conn, tls_read_rest(&identity), tls_read_rest(&binder));
	}
	return err;
}

static int try_ticket12(struct tls_conn *conn, struct tls_session *session)
{
	const struct tls_offer *offer = &conn->hs->offer;

	if (!may_resume(conn, session) || !tls_config_has_suite(conn->config, session->suite) ||
	    !tls_offer_has_suite(offer, session->suite->id))
		return 0;
	/* RFC 7627 section 5.3 */
	if (session->extended_master_secret && !offer->extended_master_secret)
		return TLS_ALERT(HANDSHAKE_FAILURE);
	if (session->extended_master_secret == offer->extended_master_secret) {
		conn->suite = session->suite;
		resume(conn, session);
	}
	return 0;
}

int tls12_choose_ticket(struct tls_conn *conn)
{
	const struct tls_offer *offer = &conn->hs->offer;
	struct tls_session session;
	struct tls_buf state;
	int err;

	/* The session id is echoed, even an empty one: RFC 5077 section 3.4. */
	if (!offer->ticket.len || !open_ticket(conn, offer->ticket, &state, &session))
		return 0;
	err = try_ticket12(conn, &session);
	tls_session_free(&session);
	tls_buf_free(&state);
	return err;
}
