// SPDX-License-Identifier: MIT
/* CertificateVerify, RFC 9846 section 4.5.2 and RFC 5246 section 7.4.8. */
#include <string.h>

#include "config.h"
#include "conn.h"
#include "handshake.h"
#include "key_request.h"
#include "keys.h"
#include "machine.h"
#include "message/message.h"

#define MAX_CONTENT	(TLS13_CONTEXT_LEN + TLS_MAX_HASH)

/* What a TLS 1.3 signature covers. */
static int write_content(struct tls_conn *conn, enum tls_role signer, uint8_t *out, size_t *len)
{
	tls13_put_context(signer, out);
	*len = TLS13_CONTEXT_LEN + tls_hash_size(conn->suite->hash);
	return tls_transcript_digest(&conn->hs->transcript, out + TLS13_CONTEXT_LEN);
}

int tls13_sign(struct tls_conn *conn, struct tls_reader *body)
{
	size_t len;
	int err;

	(void)body;
	if (!conn->hs->cert)
		return 0;
	err = write_content(conn, conn->role, conn->hs->key_data, &len);
	if (!err)
		tls_ask_key(conn, TLS_KEY_SIGN, (struct tls_slice){ conn->hs->key_data, len });
	return err;
}

int tls12_client_sign(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_slice messages = tls_transcript_messages(&hs->transcript);
	size_t len;
	int err;

	(void)body;
	if (!hs->cert)
		return 0;
	if (hs->scheme->whole) {
		tls_ask_key(conn, TLS_KEY_SIGN, messages);
		return 0;
	}
	err = tls_scheme_digest(hs->scheme, messages, hs->key_data, &len);
	if (!err)
		tls_ask_key(conn, TLS_KEY_SIGN_DIGEST, (struct tls_slice){ hs->key_data, len });
	return err;
}

int tls_send_certificate_verify(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_outgoing msg;
	struct tls_vec signature;

	(void)body;
	if (!hs->cert)
		return 0;
	tls_transcript_drop(&hs->transcript);
	msg = tls_message_begin(conn, TLS_MSG_CERTIFICATE_VERIFY);
	tls_put_u16(&hs->flight, hs->scheme->id);
	signature = tls_put_open(&hs->flight, 2);
	tls_put_bytes(&hs->flight, hs->key_reply.p, hs->key_reply.len);
	tls_put_close(&hs->flight, signature);
	return tls_message_end(conn, msg);
}

/* RFC 9846 section 4.5.2: one that we offered and the key can do. */
static int read_signature(struct tls_conn *conn, struct tls_reader *body,
			  const struct tls_scheme **scheme, struct tls_slice *signature)
{
	struct tls_reader bytes;

	*scheme = tls_config_scheme(conn->config, tls_read_u16(body));
	tls_read_vec16(body, &bytes);
	*signature = tls_read_rest(&bytes);
	if (!tls_read_at_end(body))
		return TLS_ALERT(DECODE_ERROR);
	if (!*scheme || !tls_certificate_can(tls_peer_leaf(conn->peer), *scheme, conn->version))
		return TLS_ALERT(ILLEGAL_PARAMETER);
	return 0;
}

int tls13_recv_certificate_verify(struct tls_conn *conn, struct tls_reader *body)
{
	enum tls_role signer = conn->role == TLS_CLIENT ? TLS_SERVER : TLS_CLIENT;
	const struct tls_scheme *scheme;
	uint8_t content[MAX_CONTENT];
	struct tls_slice signature;
	size_t len;
	int err = read_signature(conn, body, &scheme, &signature);

	if (!err)
		err = write_content(conn, signer, content, &len);
	if (err)
		return err;
	err = tls_certificate_check_signature(tls_peer_leaf(conn->peer), scheme,
					      (struct tls_slice){ content, len }, signature);
	if (err)
		return err;
	if (conn->role == TLS_CLIENT)
		conn->scheme = scheme->id;
	tls_engine_event(conn, TLS_EVENT_SIGNATURE_CHECKED, 0, signature,
			 tls_scheme_name(scheme->id));
	return 0;
}

int tls12_recv_certificate_verify(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_transcript *transcript = &conn->hs->transcript;
	const struct tls_scheme *scheme;
	struct tls_slice signature;
	int err = read_signature(conn, body, &scheme, &signature);

	if (!err)
		err = tls_certificate_check_signature(tls_peer_leaf(conn->peer), scheme,
						      tls_transcript_messages(transcript),
						      signature);
	if (err)
		return err;
	tls_transcript_drop(transcript);
	tls_engine_event(conn, TLS_EVENT_SIGNATURE_CHECKED, 0, signature,
			 tls_scheme_name(scheme->id));
	return 0;
}
