// SPDX-License-Identifier: MIT
/* ClientHello, RFC 9846 section 4.2.2: the offer, and what the server makes of it. */
#include <string.h>

#include "choose.h"
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"
#include "resume.h"

#define COMPRESSION_NULL	0

/* ---- client ---- */

/* What both hellos have in common: they may differ in little (RFC 9846 section 4.2.2). */
static int begin_handshake(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	bool has13 = tls_config_has_version(conn->config, TLS_1_3);
	int err = tls_random(hs->client_random, sizeof(hs->client_random));

	hs->client_version = TLS_1_2;
	if (has13)
		hs->group = conn->config->groups[0];
	if (err || !(has13 || hs->session.suite))
		return err;
	if (hs->session.id_len) {
		memcpy(hs->session_id, hs->session.id, hs->session.id_len);
		hs->session_id_len = hs->session.id_len;
		return 0;
	}
	/* RFC 9846 appendix E.4: for middleboxes it resumes; RFC 5077 section 3.4: really */
	hs->session_id_len = TLS_SESSION_ID_LEN;
	return tls_random(hs->session_id, TLS_SESSION_ID_LEN);
}

/* A server without the first group, if that is one with a KEM, should not cost a round trip. */
static int make_spare_share(const struct tls_config *config, struct tls_spare_share *spare)
{
	for (size_t i = 0; i < config->group_count && !spare->group; i++) {
		if (config->groups[i]->initiator_len <= sizeof(spare->share))
			spare->group = config->groups[i];
	}
	return spare->group ? tls_kex_initiate(&spare->kex, spare->group, spare->share) : 0;
}

static int make_shares(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	int err;

	if (!hs->group || hs->kex)
		return 0;
	hs->share_len = hs->group->initiator_len;
	err = tls_kex_initiate(&hs->kex, hs->group, hs->share);
	if (!err && !conn->hello_retry && hs->share_len > sizeof(hs->spare.share))
		err = make_spare_share(conn->config, &hs->spare);
	return err;
}

static void write_suites(const struct tls_conn *conn, struct tls_buf *out)
{
	struct tls_vec list = tls_put_open(out, 2);

	for (size_t i = 0; i < conn->config->suite_count; i++) {
		if (tls_config_has_version(conn->config, conn->config->suites[i]->version))
			tls_put_u16(out, conn->config->suites[i]->id);
	}
	tls_put_close(out, list);
}

static int write_hello(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_buf *out = &hs->flight;
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_CLIENT_HELLO);
	int err = 0;

	tls_put_u16(out, hs->client_version);
	tls_put_bytes(out, hs->client_random, sizeof(hs->client_random));
	tls_put_u8(out, hs->session_id_len);
	tls_put_bytes(out, hs->session_id, hs->session_id_len);
	write_suites(conn, out);
	tls_put_u8(out, 1);
	tls_put_u8(out, COMPRESSION_NULL);
	tls_ext_write(conn, TLS_IN_CLIENT_HELLO, false, out);
	if (tls_ext_sent(conn, TLS_EXT_PRE_SHARED_KEY)) {
		/* The binder covers the lengths, so they are filled in now. */
		tls_put_close(out, msg.body);
		err = tls_buf_error(out);
		if (!err)
			err = tls13_write_binder(conn, msg.start);
	}
	return err ? err : tls_message_end(conn, msg);
}

int tls_send_client_hello(struct tls_conn *conn, struct tls_reader *body)
{
	int err = conn->hello_retry ? tls_compat_ccs(conn) : begin_handshake(conn);

	(void)body;
	if (!err)
		err = make_shares(conn);
	return err ? err : write_hello(conn);
}

/* ---- server ---- */

int tls_hello_read(struct tls_hello *hello, struct tls_reader *body)
{
	struct tls_reader session_id, suites, compression;

	hello->version = tls_read_u16(body);
	hello->random = (struct tls_slice){ tls_read_bytes(body, TLS_RANDOM_LEN), TLS_RANDOM_LEN };
	tls_read_vec8(body, &session_id);
	tls_read_vec16(body, &suites);
	tls_read_vec8(body, &compression);
	if (body->failed || session_id.left > TLS_SESSION_ID_LEN || !suites.left ||
	    suites.left % 2 || !compression.left)
		return TLS_ALERT(DECODE_ERROR);
	hello->session_id = tls_read_rest(&session_id);
	hello->compression = tls_read_rest(&compression);
	hello->suites = tls_read_rest(&suites);
	/* RFC 5246 section 7.4.1.2: there may be none */
	tls_reader_init(&hello->extensions, NULL, 0);
	if (tls_read_more(body))
		tls_read_vec16(body, &hello->extensions);
	return tls_read_at_end(body) ? 0 : TLS_ALERT(DECODE_ERROR);
}

static int check_compression(const struct tls_conn *conn, struct tls_slice methods)
{
	if (!memchr(methods.p, COMPRESSION_NULL, methods.len))
		return TLS_ALERT(ILLEGAL_PARAMETER);
	/* RFC 9846 section 4.2.2: exactly that one */
	return conn->version == TLS_1_3 && methods.len != 1 ? TLS_ALERT(ILLEGAL_PARAMETER) : 0;
}

static int no_version(struct tls_conn *conn)
{
	const struct tls_offer *offer = &conn->hs->offer;
	const uint8_t legacy[] = {
		(uint8_t)(conn->hs->client_version >> 8), (uint8_t)conn->hs->client_version,
	};

	tls_refuse_offer(conn, offer->has_versions ? offer->versions :
			 (struct tls_slice){ legacy, sizeof(legacy) }, tls_version_name);
	return tls_refuse(conn, TLS_REASON_VERSION, TLS_ALERT(PROTOCOL_VERSION));
}

static int settle_version(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	uint16_t version = tls_choose_version(conn);

	if (!version)
		return no_version(conn);
	/* RFC 7507 section 3 */
	if (version == TLS_1_2 && tls_config_has_version(conn->config, TLS_1_3) &&
	    tls_offer_has_suite(&hs->offer, TLS_SUITE_FALLBACK_SCSV))
		return tls_refuse(conn, TLS_REASON_FALLBACK, TLS_ALERT(INAPPROPRIATE_FALLBACK));
	/* RFC 8422 section 5.1.2 */
	if (version == TLS_1_2 && hs->offer.compressed_points)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	conn->version = conn->rx.version = conn->tx.version = version;
	tls_apply_record_size(conn);
	hs->early_data = hs->early_data && version == TLS_1_3;
	conn->extended_master_secret = hs->offer.extended_master_secret && version == TLS_1_2;
	if (tls_offer_has_suite(&hs->offer, TLS_SUITE_RENEGOTIATION_SCSV))
		tls_ext_assume_seen(conn, TLS_EXT_RENEGOTIATION_INFO);
	return 0;
}

static void keep_hello(struct tls_handshake *hs, const struct tls_hello *hello)
{
	memcpy(hs->client_random, hello->random.p, TLS_RANDOM_LEN);
	memcpy(hs->session_id, hello->session_id.p, hello->session_id.len);
	hs->session_id_len = (uint8_t)hello->session_id.len;
}

/* All that TLS 1.3 needs of it, drawn at once, since each call of libcrypto's costs. */
static int draw13(struct tls_handshake *hs, uint8_t kex[TLS_KEX_RANDOM_LEN])
{
	struct {
		uint8_t kex[TLS_KEX_RANDOM_LEN], server[TLS_RANDOM_LEN];
		struct tls_ticket_random tickets[TLS_TICKETS];
	} random;
	int err = tls_random(&random, sizeof(random));

	if (!err) {
		memcpy(kex, random.kex, sizeof(random.kex));
		memcpy(hs->server_random, random.server, sizeof(random.server));
		memcpy(hs->ticket_random, random.tickets, sizeof(random.tickets));
	}
	tls_wipe(&random, sizeof(random));
	return err;
}

/* Our public half of the key exchange; without the client's share of the group it is asked for one. */
static int answer_share(struct tls_conn *conn)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_slice peer = tls_offer_share(&hs->offer, hs->group->id);
	uint8_t random[TLS_KEX_RANDOM_LEN];
	int err;

	if (!peer.p) {
		conn->state = TLS13_SERVER_SEND_RETRY;
		return 0;
	}
	conn->group = hs->group->id;
	hs->share_len = hs->group->responder_len;
	hs->shared_len = hs->group->secret_len;
	err = draw13(hs, random);
	if (!err)
		err = tls_kex_accept(&hs->kex, hs->group, peer, random, hs->share);
	tls_wipe(random, sizeof(random));
	return err;
}

/* TLS 1.2's session goes on as it was: it gets a new ticket only for one by a key that will go. */
static bool wants_ticket(const struct tls_conn *conn)
{
	const struct tls_offer *offer = &conn->hs->offer;

	/*
	 * RFC 9846 section 4.3.9: not (SHOULD) where the modes do not fit.  Some clients show
	 * modes only beside a ticket; without one they would never have any.
	 */
	if (conn->version == TLS_1_3)
		return offer->psk_dhe || !offer->has_psk_modes;
	return (!conn->resumed || conn->hs->ticket_renew) &&
	       tls_ext_seen(conn, TLS_EXT_SESSION_TICKET);
}

static int take_first_hello(struct tls_conn *conn, const struct tls_hello *hello)
{
	struct tls_handshake *hs = conn->hs;
	int err = settle_version(conn);

	keep_hello(hs, hello);
	if (!err)
		err = check_compression(conn, hello->compression);
	if (!err)
		err = tls_choose_parameters(conn);
	if (!err)
		err = tls_choose_alpn(conn);
	if (err)
		return err;
	hs->cert_requested = conn->config->verify != TLS_VERIFY_NONE && !conn->resumed;
	hs->status_due = hs->offer.wants_status && hs->cert && tls_certificate_ocsp(hs->cert).len;
	hs->ticket_due = conn->config->ticket_key_count > 0 && wants_ticket(conn);
	if (conn->version == TLS_1_3)
		return answer_share(conn);
	conn->state = TLS12_SERVER_SEND_HELLO;
	return 0;
}

/* RFC 9846 section 4.2.2: the same again, but for the share we asked for. */
static int take_second_hello(struct tls_conn *conn, const struct tls_hello *hello)
{
	struct tls_handshake *hs = conn->hs;
	const struct tls_group *group = hs->group;
	bool resumed = conn->resumed;
	int err;

	hs->early_data = false;
	if (memcmp(hello->random.p, hs->client_random, TLS_RANDOM_LEN) ||
	    hello->session_id.len != hs->session_id_len ||
	    memcmp(hello->session_id.p, hs->session_id, hs->session_id_len) ||
	    tls_choose_version(conn) != TLS_1_3)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	err = check_compression(conn, hello->compression);
	if (!err)
		err = tls_choose_parameters(conn);
	if (err)
		return err;
	if (hs->group != group || (resumed && !conn->resumed) ||
	    !tls_offer_share(&hs->offer, group->id).p)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	return answer_share(conn);
}

/* RFC 6066 section 3.  The name of a host, as read, has nothing that a terminal minds. */
static int check_name(struct tls_conn *conn)
{
	if (!conn->config->refuse_unknown_name || !tls_ext_seen(conn, TLS_EXT_SERVER_NAME) ||
	    tls_sni_covers(&conn->config->sni, conn->server_name))
		return 0;
	if (conn->server_name[0])
		tls_refuse_detail(conn, "%.128s", conn->server_name);
	return tls_refuse(conn, TLS_REASON_NAME, TLS_ALERT(UNRECOGNIZED_NAME));
}

static int receive_hello(struct tls_conn *conn, struct tls_reader *body,
			 int (*take)(struct tls_conn *conn, const struct tls_hello *hello))
{
	struct tls_hello hello;
	int err;

	conn->hs->offer.hello = body->p - TLS_HANDSHAKE_HEADER;
	err = tls_hello_read(&hello, body);
	conn->hs->client_version = hello.version;
	conn->hs->offer.suites = hello.suites;
	if (!err)
		err = tls_ext_read(conn, TLS_IN_CLIENT_HELLO, &hello.extensions);
	if (!err)
		err = check_name(conn);
	if (!err)
		err = take(conn, &hello);
	conn->hs->offer = (struct tls_offer){ 0 };
	return err;
}

int tls_recv_client_hello(struct tls_conn *conn, struct tls_reader *body)
{
	return receive_hello(conn, body, take_first_hello);
}

int tls13_recv_second_client_hello(struct tls_conn *conn, struct tls_reader *body)
{
	return receive_hello(conn, body, take_second_hello);
}
