// SPDX-License-Identifier: MIT
/* signature_algorithms and signature_algorithms_cert, RFC 9846 section 4.3.3. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	(void)conn;
	(void)place;
	return true;
}

/* RFC 9846 section 4.3.3: where both lists are the same, the second is left out. */
static bool due_for_cert(const struct tls_conn *conn, enum tls_ext_place place)
{
	(void)conn;
	(void)place;
	return false;
}

void tls_put_schemes(const struct tls_config *config, struct tls_buf *out)
{
	const struct tls_scheme_list *schemes = &config->schemes[TLS_TO_VERIFY];
	struct tls_vec list = tls_put_open(out, 2);

	for (size_t i = 0; i < schemes->count; i++)
		tls_put_u16(out, schemes->rows[i]->id);
	tls_put_close(out, list);
}

static void write_schemes(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	(void)place;
	tls_put_schemes(conn->config, out);
}

static struct tls_slice read_list(struct tls_reader *body)
{
	struct tls_reader list;

	tls_read_vec16(body, &list);
	if (list.left % 2 || !list.left)
		body->failed = true;
	return tls_read_rest(&list);
}

static int read_schemes(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	(void)place;
	conn->hs->offer.schemes = read_list(body);
	conn->hs->offer.has_schemes = true;
	return 0;
}

/* We have one chain per key: there is no other to choose by the chain's signatures. */
static int read_cert_schemes(struct tls_conn *conn, enum tls_ext_place place,
			     struct tls_reader *body)
{
	(void)conn;
	(void)place;
	(void)read_list(body);
	return 0;
}

const struct tls_ext tls_ext_signature_algorithms = {
	.type = TLS_EXT_SIGNATURE_ALGORITHMS,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_CERTIFICATE_REQUEST,
	.due = due,
	.write = write_schemes,
	.read = read_schemes,
};

const struct tls_ext tls_ext_signature_algorithms_cert = {
	.type = TLS_EXT_SIGNATURE_ALGORITHMS_CERT,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_CERTIFICATE_REQUEST,
	.due = due_for_cert,
	.write = write_schemes,
	.read = read_cert_schemes,
};
