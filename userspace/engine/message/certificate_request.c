// SPDX-License-Identifier: MIT
/* CertificateRequest, RFC 9846 section 4.4.2 and RFC 5246 section 7.4.4. */
#include "choose.h"
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

int tls13_send_certificate_request(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_buf *out = &conn->hs->flight;
	struct tls_outgoing msg;

	(void)body;
	if (!conn->hs->cert_requested)
		return 0;
	msg = tls_message_begin(conn, TLS_MSG_CERTIFICATE_REQUEST);
	tls_put_u8(out, 0);		/* certificate_request_context */
	tls_ext_write(conn, TLS_IN_CERTIFICATE_REQUEST, false, out);
	return tls_message_end(conn, msg);
}

int tls12_send_certificate_request(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_buf *out = &conn->hs->flight;
	struct tls_outgoing msg;
	struct tls_vec names;
	int err;

	(void)body;
	if (!conn->hs->cert_requested)
		return 0;
	msg = tls_message_begin(conn, TLS_MSG_CERTIFICATE_REQUEST);
	tls_put_u8(out, 2);
	tls_put_u8(out, TLS_CERT_TYPE_ECDSA);
	tls_put_u8(out, TLS_CERT_TYPE_RSA);
	tls_put_schemes(conn->config, out);
	names = tls_put_open(out, 2);
	err = tls_trust_put_names(conn->config->trust, out);
	tls_put_close(out, names);
	return err ? err : tls_message_end(conn, msg);
}

static void take_request(struct tls_conn *conn, size_t len)
{
	conn->hs->cert_requested = true;
	tls_choose_client_certificate(conn, len);
	conn->hs->offer = (struct tls_offer){ 0 };
}

int tls13_recv_certificate_request(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_reader context, extensions;
	size_t len = body->left;
	int err;

	tls_read_vec8(body, &context);
	tls_read_vec16(body, &extensions);
	if (!tls_read_at_end(body) || context.left)
		return TLS_ALERT(DECODE_ERROR);
	err = tls_ext_read(conn, TLS_IN_CERTIFICATE_REQUEST, &extensions);
	if (err)
		return err;
	/* RFC 9846 section 4.4.2 */
	if (!conn->hs->offer.has_schemes)
		return TLS_ALERT(MISSING_EXTENSION);
	take_request(conn, len);
	return 0;
}

int tls12_recv_certificate_request(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_offer *offer = &conn->hs->offer;
	struct tls_reader types, schemes, names;
	size_t len = body->left;

	tls_read_vec8(body, &types);
	tls_read_vec16(body, &schemes);
	tls_read_vec16(body, &names);
	offer->ca_names = tls_read_rest(&names);
	if (!tls_read_at_end(body) || !types.left || !schemes.left || schemes.left % 2 ||
	    !tls_names_well_formed(offer->ca_names))
		return TLS_ALERT(DECODE_ERROR);
	offer->cert_types = tls_read_rest(&types);
	offer->schemes = tls_read_rest(&schemes);
	take_request(conn, len);
	return 0;
}
