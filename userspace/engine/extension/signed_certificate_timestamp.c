// SPDX-License-Identifier: MIT
/* signed_certificate_timestamp, RFC 6962 section 3.3.1: carried, and not judged, by us. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

bool tls_scts_well_formed(struct tls_slice list)
{
	struct tls_reader in, scts, sct;

	tls_reader_init(&in, list.p, list.len);
	tls_read_vec16(&in, &scts);
	if (!tls_read_at_end(&in) || !scts.left)
		return false;
	while (tls_read_more(&scts)) {
		tls_read_vec16(&scts, &sct);
		if (!sct.left)
			return false;
	}
	return !scts.failed;
}

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	if (place == TLS_IN_CLIENT_HELLO)
		return conn->config->request_scts;
	/* In a CertificateRequest we ask clients for none. */
	return place != TLS_IN_CERTIFICATE_REQUEST && conn->role == TLS_SERVER && conn->hs->cert &&
	       tls_certificate_scts(conn->hs->cert).len;
}

static void write_scts(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	struct tls_slice scts;

	if (place == TLS_IN_CLIENT_HELLO)
		return;
	scts = tls_certificate_scts(conn->hs->cert);
	tls_put_bytes(out, scts.p, scts.len);
}

static int read_scts(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_slice scts;

	if (place == TLS_IN_CLIENT_HELLO || place == TLS_IN_CERTIFICATE_REQUEST)
		return 0;
	scts = tls_read_rest(body);
	if (!tls_scts_well_formed(scts))
		return TLS_ALERT(DECODE_ERROR);
	/* Of the leaf; and in a resumed TLS 1.2 session there is no certificate to have them. */
	if (conn->hs->past_leaf || conn->resumed)
		return 0;
	tls_put_bytes(&conn->scts, scts.p, scts.len);
	return tls_buf_error(&conn->scts);
}

const struct tls_ext tls_ext_signed_certificate_timestamp = {
	.type = TLS_EXT_SIGNED_CERTIFICATE_TIMESTAMP,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_SERVER_HELLO12 | TLS_IN_CERTIFICATE |
		  TLS_IN_CERTIFICATE_REQUEST,
	.due = due,
	.write = write_scts,
	.read = read_scts,
};
