// SPDX-License-Identifier: MIT
/* CertificateRequest, RFC 9846 section 4.4.2 and RFC 5246 section 7.4.4. */
#include "ext.h"

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

/* Those whose signature can be checked against a digest that we keep. */
static void write_schemes12(const struct tls_config *config, struct tls_buf *out)
{
	const struct tls_scheme_list *schemes = &config->schemes[TLS_TO_VERIFY];
	struct tls_vec list = tls_put_open(out, 2);

	for (size_t i = 0; i < schemes->count; i++) {
		if (schemes->rows[i]->digest != TLS_HASH_COUNT)
			tls_put_u16(out, schemes->rows[i]->id);
	}
	tls_put_close(out, list);
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
	write_schemes12(conn->config, out);
	names = tls_put_open(out, 2);
	err = tls_trust_put_names(conn->config->trust, out);
	tls_put_close(out, names);
	return err ? err : tls_message_end(conn, msg);
}

static void take_request(struct tls_conn *conn)
{
	conn->hs->cert_requested = true;
	tls_choose_client_certificate(conn);
	conn->hs->offer = (struct tls_offer){ 0 };
}

int tls13_recv_certificate_request(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_reader context, extensions;
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
	take_request(conn);
	return 0;
}

static bool names_well_formed(struct tls_reader names)
{
	struct tls_reader name;

	while (tls_read_more(&names)) {
		tls_read_vec16(&names, &name);
		if (!name.left)
			return false;
	}
	return !names.failed;
}

int tls12_recv_certificate_request(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_offer *offer = &conn->hs->offer;
	struct tls_reader types, schemes, names;

	tls_read_vec8(body, &types);
	tls_read_vec16(body, &schemes);
	tls_read_vec16(body, &names);
	if (!tls_read_at_end(body) || !types.left || !schemes.left || schemes.left % 2 ||
	    !names_well_formed(names))
		return TLS_ALERT(DECODE_ERROR);
	offer->cert_types = tls_read_rest(&types);
	offer->schemes = tls_read_rest(&schemes);
	take_request(conn);
	return 0;
}
