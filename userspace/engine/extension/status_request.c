// SPDX-License-Identifier: MIT
/* status_request, RFC 6066 section 8 and RFC 9846 section 4.5.1.1: a stapled OCSP response. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"
#include "message/message.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	if (place == TLS_IN_CLIENT_HELLO)
		return conn->config->request_ocsp;
	/* In a CertificateRequest we ask clients for none. */
	return place != TLS_IN_CERTIFICATE_REQUEST && conn->role == TLS_SERVER &&
	       conn->hs->status_due;
}

static void write_status(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	if (place == TLS_IN_CERTIFICATE) {
		tls_put_status(conn, out);
	} else if (place == TLS_IN_CLIENT_HELLO) {
		tls_put_u8(out, TLS_STATUS_OCSP);
		tls_put_u16(out, 0);	/* no particular responder */
		tls_put_u16(out, 0);	/* no extensions */
	}
}

static int read_request(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_reader responders, extensions;

	/* Of other types we do not even know the form. */
	if (tls_read_u8(body) != TLS_STATUS_OCSP) {
		(void)tls_read_rest(body);
		return 0;
	}
	tls_read_vec16(body, &responders);
	tls_read_vec16(body, &extensions);
	conn->hs->offer.wants_status = true;
	return 0;
}

static int read_status(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	if (place == TLS_IN_CLIENT_HELLO)
		return read_request(conn, body);
	if (place == TLS_IN_CERTIFICATE)
		return tls_take_status(conn, body);
	/* Servers that ask the client for one go without it: RFC 9846 section 4.5.1.1. */
	if (place == TLS_IN_SERVER_HELLO12)
		conn->hs->status_due = true;
	return 0;
}

const struct tls_ext tls_ext_status_request = {
	.type = TLS_EXT_STATUS_REQUEST,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_CERTIFICATE |
		  TLS_IN_CERTIFICATE_REQUEST,
	.due = due,
	.write = write_status,
	.read = read_status,
};
