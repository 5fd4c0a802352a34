// SPDX-License-Identifier: MIT
/* certificate_authorities, RFC 9846 section 4.3.4: whom a server trusts to name clients. */
#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	return place == TLS_IN_CERTIFICATE_REQUEST && conn->config->has_ca &&
	       tls_trust_names_fit(conn->config->trust);
}

static void write_names(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	struct tls_vec list = tls_put_open(out, 2);

	(void)place;
	if (tls_trust_put_names(conn->config->trust, out))
		out->failed = true;
	tls_put_close(out, list);
}

bool tls_names_well_formed(struct tls_slice names)
{
	struct tls_reader list, name;

	tls_reader_init(&list, names.p, names.len);
	while (tls_read_more(&list)) {
		tls_read_vec16(&list, &name);
		if (!name.left)
			return false;
	}
	return !list.failed;
}

static int read_names(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader list;
	struct tls_slice names;

	(void)place;
	tls_read_vec16(body, &list);
	names = tls_read_rest(&list);
	if (!names.len || !tls_names_well_formed(names))
		return TLS_ALERT(DECODE_ERROR);
	conn->hs->offer.ca_names = names;
	return 0;
}

const struct tls_ext tls_ext_certificate_authorities = {
	.type = TLS_EXT_CERTIFICATE_AUTHORITIES,
	.places = TLS_IN_CLIENT_HELLO | TLS_IN_CERTIFICATE_REQUEST,
	.due = due,
	.write = write_names,
	.read = read_names,
};
