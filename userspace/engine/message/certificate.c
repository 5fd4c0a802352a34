// SPDX-License-Identifier: MIT
/* Certificate, RFC 9846 section 4.5.1 and RFC 5246 sections 7.4.2, 7.4.6. */
#include "choose.h"
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

/* ---- sending ---- */

/* NULL: an empty list, "I have none". */
static void write_chain(struct tls_conn *conn, const struct tls_certificate *cert)
{
	struct tls_buf *out = &conn->hs->flight;
	struct tls_vec list = tls_put_open(out, 3);

	for (size_t i = 0; cert && i < tls_certificate_count(cert); i++) {
		struct tls_slice der = tls_certificate_der(cert, i);
		struct tls_vec element = tls_put_open(out, 3);

		tls_put_bytes(out, der.p, der.len);
		tls_put_close(out, element);
		if (conn->version == TLS_1_3 && i == 0)
			tls_ext_write(conn, TLS_IN_CERTIFICATE, false, out);
		else if (conn->version == TLS_1_3)
			tls_put_u16(out, 0);	/* no extensions */
	}
	tls_put_close(out, list);
}

int tls13_send_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_CERTIFICATE);

	(void)body;
	tls_put_u8(&conn->hs->flight, 0);	/* certificate_request_context */
	write_chain(conn, conn->hs->cert);
	return tls_message_end(conn, msg);
}

int tls12_send_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_CERTIFICATE);

	(void)body;
	write_chain(conn, conn->hs->cert);
	return tls_message_end(conn, msg);
}

int tls13_send_client_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	return conn->hs->cert_requested ? tls13_send_certificate(conn, body) : 0;
}

int tls12_send_client_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	return conn->hs->cert_requested ? tls12_send_certificate(conn, body) : 0;
}

/* ---- receiving ---- */

/* The list's elements, as slices into the message; *count 0: an empty list. */
static int read_chain(struct tls_conn *conn, struct tls_reader *body,
		      struct tls_slice chain[TLS_MAX_CHAIN], size_t *count)
{
	struct tls_reader list, der, extensions;
	int err = 0;

	*count = 0;
	tls_read_vec24(body, &list);
	while (!err && tls_read_more(&list)) {
		tls_read_vec24(&list, &der);
		if (conn->version == TLS_1_3)
			tls_read_vec16(&list, &extensions);
		if (list.failed || !der.left)
			return TLS_ALERT(DECODE_ERROR);
		if (*count == TLS_MAX_CHAIN)
			return tls_refuse(conn, TLS_REASON_CHAIN_LEN, TLS_ALERT(BAD_CERTIFICATE));
		if (conn->version == TLS_1_3)
			err = tls_ext_read(conn, TLS_IN_CERTIFICATE, &extensions);
		conn->hs->past_leaf = conn->version == TLS_1_3;
		chain[(*count)++] = tls_read_rest(&der);
	}
	if (err)
		return err;
	return list.failed || !tls_read_at_end(body) ? TLS_ALERT(DECODE_ERROR) : 0;
}

static int read_chain13(struct tls_conn *conn, struct tls_reader *body,
			struct tls_slice chain[TLS_MAX_CHAIN], size_t *count)
{
	struct tls_reader context;

	tls_read_vec8(body, &context);
	/* RFC 9846 section 4.5.1: empty in a handshake */
	if (context.failed || context.left)
		return TLS_ALERT(DECODE_ERROR);
	return read_chain(conn, body, chain, count);
}

static void show_element(void *arg, struct tls_slice der, const char *verdict)
{
	tls_engine_event(arg, TLS_EVENT_CERTIFICATE, 0, der, verdict);
}

struct tls_verify_request tls_verify_request(struct tls_conn *conn)
{
	const struct tls_config *config = conn->config;
	bool client = conn->role == TLS_CLIENT;
	bool rsa_kx = client && conn->suite && conn->suite->kx == TLS_KX_RSA;

	return (struct tls_verify_request){
		.trust = config->trust,
		.verify = config->verify,
		.peer = client ? TLS_SERVER : TLS_CLIENT,
		.op = rsa_kx ? TLS_KEY_DECRYPT : TLS_KEY_SIGN,
		.name = client && conn->server_name[0] ? conn->server_name : NULL,
		.allow = config->allow,
		.schemes = config->schemes[TLS_TO_VERIFY].rows,
		.scheme_count = config->schemes[TLS_TO_VERIFY].count,
		.status = config->request_ocsp,
		.now = config->hooks.now(config->hooks.arg),
		.element = config->hooks.event ? show_element : NULL,
		.arg = conn,
	};
}

static int take_chain(struct tls_conn *conn, const struct tls_slice *chain, size_t count)
{
	const struct tls_verify_request req = tls_verify_request(conn);

	return tls_peer_verify(&conn->peer, &req, chain, count, conn->verify_error);
}

/* RFC 9846 section 4.5.1.1: a server has to have one. */
static int take_server_chain(struct tls_conn *conn, const struct tls_slice *chain, size_t count)
{
	return count ? take_chain(conn, chain, count) : TLS_ALERT(DECODE_ERROR);
}

int tls13_recv_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_slice chain[TLS_MAX_CHAIN];
	size_t count;
	int err = read_chain13(conn, body, chain, &count);

	if (!err)
		err = take_server_chain(conn, chain, count);
	return err ? err : tls_verify_status(conn);
}

/* RFC 8422 section 5.3: the key's curve is one that we offered. */
static bool curve_allowed(const struct tls_conn *conn)
{
	uint16_t curve = tls_key_curve(tls_certificate_key_type(tls_peer_leaf(conn->peer)));

	return !curve || tls_config_group(conn->config, curve);
}

int tls12_recv_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_slice chain[TLS_MAX_CHAIN];
	size_t count;
	int err = read_chain(conn, body, chain, &count);

	if (!err)
		err = take_server_chain(conn, chain, count);
	if (err)
		return err;
	if (!tls_suite_takes_key(conn->suite,
				 tls_certificate_key_type(tls_peer_leaf(conn->peer))) ||
	    !curve_allowed(conn))
		return TLS_ALERT(ILLEGAL_PARAMETER);
	if (conn->suite->kx == TLS_KX_RSA)
		conn->state = conn->hs->status_due ? TLS12_CLIENT_WAIT_STATUS_RSA :
						     TLS12_CLIENT_WAIT_REQUEST_OR_DONE;
	else if (conn->hs->status_due)
		conn->state = TLS12_CLIENT_WAIT_STATUS;
	return 0;
}

int tls13_recv_client_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_slice chain[TLS_MAX_CHAIN];
	size_t count;
	int err = read_chain13(conn, body, chain, &count);

	if (err || count)
		return err ? err : take_chain(conn, chain, count);
	conn->state = TLS13_SERVER_WAIT_FINISHED;
	if (conn->config->verify != TLS_VERIFY_REQUIRE)
		return 0;
	return tls_refuse(conn, TLS_REASON_CLIENT_CERTIFICATE, TLS_ALERT(CERTIFICATE_REQUIRED));
}

int tls12_recv_client_certificate(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_slice chain[TLS_MAX_CHAIN];
	size_t count;
	int err = read_chain(conn, body, chain, &count);

	if (err || count)
		return err ? err : take_chain(conn, chain, count);
	if (conn->config->verify != TLS_VERIFY_REQUIRE)
		return 0;
	/* RFC 5246 section 7.4.6 */
	return tls_refuse(conn, TLS_REASON_CLIENT_CERTIFICATE, TLS_ALERT(HANDSHAKE_FAILURE));
}
