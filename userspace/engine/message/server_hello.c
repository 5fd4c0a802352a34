// SPDX-License-Identifier: MIT
/* ServerHello and HelloRetryRequest, RFC 9846 sections 4.2.3 and 4.2.4. */
#include <string.h>

#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

/* SHA-256 of "HelloRetryRequest" */
static const uint8_t retry_random[TLS_RANDOM_LEN] = {
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8,
	0x91, 0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8,
	0x33, 0x9c,
};

/* The end of the random of a server that could have done better. */
#define SENTINEL_LEN	8
static const uint8_t sentinel12[SENTINEL_LEN] = { 'D', 'O', 'W', 'N', 'G', 'R', 'D', 1 };
static const uint8_t sentinel11[SENTINEL_LEN] = { 'D', 'O', 'W', 'N', 'G', 'R', 'D', 0 };

/* ---- server ---- */

static int write_hello(struct tls_conn *conn, const uint8_t *random, enum tls_ext_place place)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_buf *out = &hs->flight;
	/* TLS 1.2 resumes a session by echoing its id */
	uint8_t id_len = conn->version == TLS_1_3 || conn->resumed ? hs->session_id_len : 0;
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_SERVER_HELLO);

	tls_put_u16(out, TLS_1_2);
	tls_put_bytes(out, random, TLS_RANDOM_LEN);
	tls_put_u8(out, id_len);
	tls_put_bytes(out, hs->session_id, id_len);
	tls_put_u16(out, conn->suite->id);
	tls_put_u8(out, 0);
	tls_ext_write(conn, place, place == TLS_IN_SERVER_HELLO12, out);
	return tls_message_end(conn, msg);
}

int tls13_send_hello_retry(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_transcript *transcript = &conn->hs->transcript;
	int err;

	(void)body;
	conn->hello_retry = true;
	err = tls_transcript_choose(transcript, conn->suite->hash, false);
	if (!err)
		err = tls_transcript_hello_retry(transcript);
	if (!err)
		err = write_hello(conn, retry_random, TLS_IN_HELLO_RETRY);
	if (!err)
		err = tls_flight_flush(conn);
	return err ? err : tls_compat_ccs(conn);
}

int tls13_send_server_hello(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	int err = tls_transcript_choose(&hs->transcript, conn->suite->hash, false);

	(void)body;
	if (!err)
		err = write_hello(conn, hs->server_random, TLS_IN_SERVER_HELLO);
	hs->hello_len = hs->flight.len;
	return err ? err : tls_transcript_digest(&hs->transcript, hs->hello_digest);
}

int tls12_send_server_hello(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	int err = tls_random(hs->server_random, TLS_RANDOM_LEN);

	(void)body;
	if (tls_config_has_version(conn->config, TLS_1_3))
		memcpy(hs->server_random + TLS_RANDOM_LEN - SENTINEL_LEN, sentinel12, SENTINEL_LEN);
	if (!err)
		err = tls_transcript_choose(&hs->transcript, conn->suite->hash, hs->cert_requested);
	if (conn->resumed)
		conn->state = TLS12_SERVER_RESUME;
	return err ? err : write_hello(conn, hs->server_random, TLS_IN_SERVER_HELLO12);
}

/* ---- client ---- */

struct hello {
	uint16_t legacy_version, suite;
	uint8_t compression;
	const uint8_t *random;
	struct tls_slice session_id;
	struct tls_reader extensions;
};

static int parse_hello(struct tls_reader *body, struct hello *hello)
{
	struct tls_reader session_id;

	hello->legacy_version = tls_read_u16(body);
	hello->random = tls_read_bytes(body, TLS_RANDOM_LEN);
	tls_read_vec8(body, &session_id);
	hello->suite = tls_read_u16(body);
	hello->compression = tls_read_u8(body);
	if (body->failed || session_id.left > TLS_SESSION_ID_LEN)
		return TLS_ALERT(DECODE_ERROR);
	hello->session_id = tls_read_rest(&session_id);
	tls_reader_init(&hello->extensions, NULL, 0);
	if (tls_read_more(body))
		tls_read_vec16(body, &hello->extensions);
	return tls_read_at_end(body) ? 0 : TLS_ALERT(DECODE_ERROR);
}

/* RFC 9846 section 4.3.1: the extension decides, and cannot choose less than TLS 1.3. */
static int settle_version(struct tls_conn *conn, const struct hello *hello)
{
	uint16_t version = TLS_1_2;
	struct tls_reader ext;

	/* fixed in TLS 1.3 (RFC 9846 section 4.2.3), and the only other version that we have */
	if (hello->legacy_version != TLS_1_2)
		return tls_refuse(conn, TLS_REASON_VERSION, TLS_ALERT(PROTOCOL_VERSION));
	if (tls_ext_find(hello->extensions, TLS_EXT_SUPPORTED_VERSIONS, &ext)) {
		if (!tls_config_has_version(conn->config, TLS_1_3))
			return TLS_ALERT(UNSUPPORTED_EXTENSION);
		version = tls_read_u16(&ext);
		if (!tls_read_at_end(&ext))
			return TLS_ALERT(DECODE_ERROR);
		if (version != TLS_1_3)
			return TLS_ALERT(ILLEGAL_PARAMETER);
		/* fixed, too; the alert is BoringSSL's */
		if (hello->compression != 0)
			return TLS_ALERT(DECODE_ERROR);
	} else if (!tls_config_has_version(conn->config, TLS_1_2)) {
		return tls_refuse(conn, TLS_REASON_VERSION, TLS_ALERT(PROTOCOL_VERSION));
	}
	if (conn->version && conn->version != version)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	conn->version = conn->rx.version = conn->tx.version = version;
	return 0;
}

static int settle_suite(struct tls_conn *conn, const struct hello *hello)
{
	const struct tls_suite *suite = tls_suite_find(hello->suite);

	if (!suite || suite->version != conn->version ||
	    !tls_config_has_suite(conn->config, suite) || (conn->suite && conn->suite != suite) ||
	    hello->compression != 0)
		return TLS_ALERT(ILLEGAL_PARAMETER);
	conn->suite = suite;
	return 0;
}

/* TLS 1.3 echoes it; in TLS 1.2 an echo resumes a session, if we offered that one. */
static int check_session_id(struct tls_conn *conn, struct tls_slice id)
{
	struct tls_handshake *hs = conn->hs;
	bool same = id.len == hs->session_id_len && !memcmp(id.p, hs->session_id, id.len);

	if (conn->version == TLS_1_3)
		return same ? 0 : TLS_ALERT(ILLEGAL_PARAMETER);
	conn->resumed = same && id.len;
	memcpy(hs->server_id, id.p, id.len);
	hs->server_id_len = (uint8_t)id.len;
	return conn->resumed && hs->session.suite != conn->suite ? TLS_ALERT(ILLEGAL_PARAMETER) : 0;
}

static bool is_downgrade(const struct tls_conn *conn)
{
	const uint8_t *end = conn->hs->server_random + TLS_RANDOM_LEN - SENTINEL_LEN;

	return tls_config_has_version(conn->config, TLS_1_3) &&
	       (!memcmp(end, sentinel12, SENTINEL_LEN) || !memcmp(end, sentinel11, SENTINEL_LEN));
}

/* The server goes on with our session: its chain is still the peer's. */
static void take_session(struct tls_conn *conn)
{
	struct tls_session *session = &conn->hs->session;

	if (!conn->resumed)
		return;
	conn->peer = conn->hs->session_peer;
	conn->hs->session_peer = NULL;
	conn->begun = session->begun;
	if (conn->version == TLS_1_2)
		conn->group = session->group;
}

static int take_hello12(struct tls_conn *conn, struct hello *hello)
{
	struct tls_handshake *hs = conn->hs;
	bool may_sign = conn->config->cert_count > 0 && !conn->resumed;
	int err;

	if (is_downgrade(conn))
		return tls_refuse(conn, TLS_REASON_DOWNGRADE, TLS_ALERT(ILLEGAL_PARAMETER));
	tls_drop_shares(hs);
	hs->group = NULL;
	conn->state = conn->resumed ? TLS12_CLIENT_RESUME : TLS12_CLIENT_WAIT_CERT;
	err = tls_transcript_choose(&hs->transcript, conn->suite->hash, may_sign);
	if (!err)
		err = tls_ext_read(conn, TLS_IN_SERVER_HELLO12, &hello->extensions);
	/* RFC 5746 section 4.1: what we sent may else follow what somebody else sent before */
	if (!err && !conn->config->legacy_server && !tls_ext_seen(conn, TLS_EXT_RENEGOTIATION_INFO))
		err = tls_refuse(conn, TLS_REASON_RENEGOTIATION_INFO,
				 TLS_ALERT(HANDSHAKE_FAILURE));
	/* RFC 7627 section 5.3 */
	if (!err && conn->resumed &&
	    conn->extended_master_secret != hs->session.extended_master_secret)
		err = TLS_ALERT(HANDSHAKE_FAILURE);
	if (!err)
		take_session(conn);
	return err;
}

static int take_hello13(struct tls_conn *conn, struct hello *hello)
{
	int err = tls_ext_read(conn, TLS_IN_SERVER_HELLO, &hello->extensions);

	if (!err)
		err = tls_transcript_choose(&conn->hs->transcript, conn->suite->hash, false);
	if (!err && !tls_ext_seen(conn, TLS_EXT_KEY_SHARE))
		return TLS_ALERT(MISSING_EXTENSION);
	if (!err)
		take_session(conn);
	return err;
}

static int take_retry(struct tls_conn *conn, struct hello *hello)
{
	struct tls_transcript *transcript = &conn->hs->transcript;
	struct tls_session *session = &conn->hs->session;
	int err;

	if (conn->hello_retry)
		return TLS_ALERT(UNEXPECTED_MESSAGE);
	conn->hello_retry = true;
	conn->state = TLS13_CLIENT_SEND_SECOND_HELLO;
	/* RFC 9846 section 4.2.4: a PSK that cannot be any more is not offered again */
	if (session->suite && session->suite->hash != conn->suite->hash)
		tls_session_free(session);
	err = tls_transcript_choose(transcript, conn->suite->hash, false);
	if (!err)
		err = tls_transcript_hello_retry(transcript);
	if (!err)
		err = tls_ext_read(conn, TLS_IN_HELLO_RETRY, &hello->extensions);
	/* RFC 9846 section 4.2.4: it has to change something */
	if (!err && !tls_ext_seen(conn, TLS_EXT_COOKIE) && !tls_ext_seen(conn, TLS_EXT_KEY_SHARE))
		return TLS_ALERT(ILLEGAL_PARAMETER);
	return err;
}

int tls_recv_server_hello(struct tls_conn *conn, struct tls_reader *body)
{
	struct hello hello;
	int err = parse_hello(body, &hello);

	if (!err)
		err = settle_version(conn, &hello);
	if (!err)
		err = settle_suite(conn, &hello);
	if (!err)
		err = check_session_id(conn, hello.session_id);
	if (err)
		return err;
	memcpy(conn->hs->server_random, hello.random, TLS_RANDOM_LEN);
	if (conn->version == TLS_1_2)
		return take_hello12(conn, &hello);
	if (!memcmp(hello.random, retry_random, TLS_RANDOM_LEN))
		return take_retry(conn, &hello);
	return take_hello13(conn, &hello);
}
