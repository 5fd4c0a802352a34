// SPDX-License-Identifier: MIT
/* TLS 1.2 key exchange: RFC 8422 section 5.4, 5.7, RFC 5246 section 7.4.7.1. */
#include <string.h>

#include "config.h"
#include "conn.h"
#include "handshake.h"
#include "keys.h"
#include "machine.h"
#include "message/message.h"

#define NAMED_CURVE	3
#define MAX_PARAMS	(1 + 2 + 1 + 255)

/* The randoms that come before the parameters in what is signed. */
static size_t put_randoms(const struct tls_handshake *hs, uint8_t *out)
{
	memcpy(out, hs->client_random, TLS_RANDOM_LEN);
	memcpy(out + TLS_RANDOM_LEN, hs->server_random, TLS_RANDOM_LEN);
	return 2 * TLS_RANDOM_LEN;
}

static size_t put_params(const struct tls_handshake *hs, uint8_t *out)
{
	out[0] = NAMED_CURVE;
	out[1] = (uint8_t)(hs->group->id >> 8);
	out[2] = (uint8_t)hs->group->id;
	out[3] = (uint8_t)hs->share_len;
	memcpy(out + 4, hs->share, hs->share_len);
	return 4 + hs->share_len;
}

int tls12_server_sign(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	size_t len;
	int err;

	(void)body;
	if (conn->suite->kx != TLS_KX_ECDHE)
		return 0;
	hs->share_len = hs->group->initiator_len;
	err = tls_kex_initiate(&hs->kex, hs->group, hs->share);
	if (err)
		return err;
	len = put_randoms(hs, hs->key_data);
	len += put_params(hs, hs->key_data + len);
	tls_ask_key(conn, TLS_KEY_SIGN, (struct tls_slice){ hs->key_data, len });
	return 0;
}

int tls12_send_server_key_exchange(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	uint8_t params[MAX_PARAMS];
	struct tls_outgoing msg;
	struct tls_vec signature;

	(void)body;
	if (conn->suite->kx != TLS_KX_ECDHE)
		return 0;
	msg = tls_message_begin(conn, TLS_MSG_SERVER_KEY_EXCHANGE);
	tls_put_bytes(&hs->flight, params, put_params(hs, params));
	tls_put_u16(&hs->flight, hs->scheme->id);
	signature = tls_put_open(&hs->flight, 2);
	tls_put_bytes(&hs->flight, hs->key_reply.p, hs->key_reply.len);
	tls_put_close(&hs->flight, signature);
	return tls_message_end(conn, msg);
}

/* The parameters, and all of them as signed. */
struct params {
	uint8_t curve_type;
	uint16_t group;
	struct tls_slice point, whole;
};

static void read_params(struct tls_reader *body, struct params *params)
{
	const uint8_t *start = body->p;
	struct tls_reader point;

	params->curve_type = tls_read_u8(body);
	params->group = tls_read_u16(body);
	tls_read_vec8(body, &point);
	params->point = tls_read_rest(&point);
	params->whole = (struct tls_slice){ start, (size_t)(body->p - start) };
}

static int check_params(struct tls_conn *conn, const struct tls_scheme *scheme,
			const struct params *params, struct tls_slice signature)
{
	uint8_t data[2 * TLS_RANDOM_LEN + MAX_PARAMS];
	size_t len = put_randoms(conn->hs, data);
	int err;

	memcpy(data + len, params->whole.p, params->whole.len);
	len += params->whole.len;
	err = tls_certificate_check_signature(tls_peer_leaf(conn->peer), scheme, (struct tls_slice){ data, len },
					      signature);
	if (err)
		return err;
	conn->scheme = scheme->id;
	tls_engine_event(conn, TLS_EVENT_SIGNATURE_CHECKED, 0, signature,
			 tls_scheme_name(scheme->id));
	return 0;
}

static int take_point(struct tls_conn *conn, const struct params *params)
{
	struct tls_handshake *hs = conn->hs;

	conn->group = params->group;
	hs->share_len = hs->group->responder_len;
	hs->shared_len = hs->group->secret_len;
	return tls_kex_respond(hs->group, params->point, hs->share, hs->shared);
}

int tls12_recv_server_key_exchange(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	const struct tls_scheme *scheme;
	struct tls_reader signature;
	struct params params;
	int err;

	read_params(body, &params);
	scheme = tls_config_scheme(conn->config, tls_read_u16(body));
	tls_read_vec16(body, &signature);
	if (!tls_read_at_end(body) || !params.point.len)
		return TLS_ALERT(DECODE_ERROR);
	hs->group = tls_config_group(conn->config, params.group);
	if (params.curve_type != NAMED_CURVE || !hs->group || !hs->group->tls12 || !scheme ||
	    !tls_certificate_can(tls_peer_leaf(conn->peer), scheme, TLS_1_2))
		return TLS_ALERT(ILLEGAL_PARAMETER);
	err = check_params(conn, scheme, &params, tls_read_rest(&signature));
	return err ? err : take_point(conn, &params);
}

int tls12_send_server_hello_done(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_SERVER_HELLO_DONE);

	(void)body;
	if (conn->hs->cert_requested)
		conn->state = TLS12_SERVER_WAIT_CERT;
	return tls_message_end(conn, msg);
}

int tls12_recv_server_hello_done(struct tls_conn *conn, struct tls_reader *body)
{
	(void)body;		/* empty: the caller sees to it */
	return tls_verify_status(conn);
}

static int write_point(struct tls_conn *conn, struct tls_buf *out)
{
	tls_put_u8(out, (uint8_t)conn->hs->share_len);
	tls_put_bytes(out, conn->hs->share, conn->hs->share_len);
	return 0;
}

static int write_premaster(struct tls_conn *conn, struct tls_buf *out)
{
	struct tls_handshake *hs = conn->hs;
	uint8_t encrypted[TLS_MAX_RSA];
	struct tls_vec vec;
	size_t len;
	int err = tls_random(hs->shared, TLS12_MASTER_LEN);

	hs->shared_len = TLS12_MASTER_LEN;
	hs->shared[0] = (uint8_t)(hs->client_version >> 8);
	hs->shared[1] = (uint8_t)hs->client_version;
	if (!err)
		err = tls_certificate_encrypt(tls_peer_leaf(conn->peer),
					      (struct tls_slice){ hs->shared, hs->shared_len },
					      encrypted, &len);
	if (err)
		return err;
	vec = tls_put_open(out, 2);
	tls_put_bytes(out, encrypted, len);
	tls_put_close(out, vec);
	return 0;
}

int tls12_send_client_key_exchange(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_CLIENT_KEY_EXCHANGE);
	struct tls_buf *out = &conn->hs->flight;
	int err = conn->suite->kx == TLS_KX_RSA ? write_premaster(conn, out) :
						  write_point(conn, out);

	(void)body;
	return err ? err : tls_message_end(conn, msg);
}

static int recv_point(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_reader point;

	tls_read_vec8(body, &point);
	if (!tls_read_at_end(body) || !point.left)
		return TLS_ALERT(DECODE_ERROR);
	hs->shared_len = hs->group->secret_len;
	return tls_kex_finish(hs->kex, tls_read_rest(&point), hs->shared);
}

static int recv_premaster(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_handshake *hs = conn->hs;
	struct tls_reader encrypted;
	size_t len;

	tls_read_vec16(body, &encrypted);
	len = encrypted.left;
	if (!tls_read_at_end(body) || len > sizeof(hs->key_data))
		return TLS_ALERT(DECODE_ERROR);
	tls_read_copy(&encrypted, hs->key_data, len);
	tls_ask_key(conn, TLS_KEY_DECRYPT, (struct tls_slice){ hs->key_data, len });
	return 0;
}

int tls12_recv_client_key_exchange(struct tls_conn *conn, struct tls_reader *body)
{
	return conn->suite->kx == TLS_KX_RSA ? recv_premaster(conn, body) :
					       recv_point(conn, body);
}
