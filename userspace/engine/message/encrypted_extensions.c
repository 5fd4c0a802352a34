// SPDX-License-Identifier: MIT
/* EncryptedExtensions, RFC 9846 section 4.4.1. */
#include "conn.h"
#include "extension/extension.h"
#include "handshake.h"
#include "machine.h"
#include "message/message.h"

int tls_send_encrypted_extensions(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_outgoing msg = tls_message_begin(conn, TLS_MSG_ENCRYPTED_EXTENSIONS);

	(void)body;
	if (conn->resumed)
		conn->state = TLS13_SERVER_HANDSHAKE_KEYS;
	tls_ext_write(conn, TLS_IN_ENCRYPTED_EXTENSIONS, false, &conn->hs->flight);
	return tls_message_end(conn, msg);
}

int tls_recv_encrypted_extensions(struct tls_conn *conn, struct tls_reader *body)
{
	struct tls_reader extensions;

	if (conn->resumed)
		conn->state = TLS13_CLIENT_WAIT_FINISHED;
	tls_read_vec16(body, &extensions);
	if (extensions.failed)
		return TLS_ALERT(DECODE_ERROR);
	return tls_ext_read(conn, TLS_IN_ENCRYPTED_EXTENSIONS, &extensions);
}
