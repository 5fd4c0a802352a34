// SPDX-License-Identifier: MIT
/* psk_key_exchange_modes, RFC 9846 section 4.3.9: with (EC)DHE or not at all. */
#include <string.h>

#include "config.h"
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"

#define PSK_DHE_KE	1

static bool due(const struct tls_conn *conn, enum tls_ext_place place)
{
	(void)place;
	return tls_config_has_version(conn->config, TLS_1_3);
}

static void write_modes(struct tls_conn *conn, enum tls_ext_place place, struct tls_buf *out)
{
	(void)conn;
	(void)place;
	tls_put_u8(out, 1);
	tls_put_u8(out, PSK_DHE_KE);
}

static int read_modes(struct tls_conn *conn, enum tls_ext_place place, struct tls_reader *body)
{
	struct tls_reader list;
	struct tls_slice modes;

	(void)place;
	tls_read_vec8(body, &list);
	modes = tls_read_rest(&list);
	if (list.failed || !modes.len)
		return TLS_ALERT(DECODE_ERROR);
	conn->hs->offer.has_psk_modes = true;
	conn->hs->offer.psk_dhe = memchr(modes.p, PSK_DHE_KE, modes.len);
	return 0;
}

const struct tls_ext tls_ext_psk_key_exchange_modes = {
	.type = TLS_EXT_PSK_KEY_EXCHANGE_MODES,
	.places = TLS_IN_CLIENT_HELLO,
	.due = due,
	.write = write_modes,
	.read = read_modes,
};
