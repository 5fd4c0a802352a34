// SPDX-License-Identifier: MIT
/* TLS 1.3 (RFC 9846 appendix A), and what precedes the choice of a version. */
#include "keys.h"
#include "message/message.h"

static const struct tls_transition transitions[] = {
	/* client */
	{ TLS_CLIENT_START, TLS_STEP,
	  tls_send_client_hello, TLS_CLIENT_WAIT_SERVER_HELLO },
	/* sets TLS13_CLIENT_SEND_SECOND_HELLO, TLS12_CLIENT_WAIT_CERT or TLS12_CLIENT_RESUME */
	{ TLS_CLIENT_WAIT_SERVER_HELLO, TLS_MSG_SERVER_HELLO,
	  tls_recv_server_hello, TLS13_CLIENT_HANDSHAKE_KEYS },
	{ TLS13_CLIENT_SEND_SECOND_HELLO, TLS_STEP,
	  tls_send_client_hello, TLS13_CLIENT_WAIT_SECOND_HELLO },
	{ TLS13_CLIENT_WAIT_SECOND_HELLO, TLS_MSG_SERVER_HELLO,
	  tls_recv_server_hello, TLS13_CLIENT_HANDSHAKE_KEYS },
	{ TLS13_CLIENT_HANDSHAKE_KEYS, TLS_STEP,
	  tls13_client_handshake_keys, TLS13_CLIENT_WAIT_EXTENSIONS },
	/* sets TLS13_CLIENT_WAIT_FINISHED where a session is resumed */
	{ TLS13_CLIENT_WAIT_EXTENSIONS, TLS_MSG_ENCRYPTED_EXTENSIONS,
	  tls_recv_encrypted_extensions, TLS13_CLIENT_WAIT_CERT_OR_REQUEST },
	{ TLS13_CLIENT_WAIT_CERT_OR_REQUEST, TLS_MSG_CERTIFICATE_REQUEST,
	  tls13_recv_certificate_request, TLS13_CLIENT_WAIT_CERT },
	{ TLS13_CLIENT_WAIT_CERT_OR_REQUEST, TLS_MSG_CERTIFICATE,
	  tls13_recv_certificate, TLS13_CLIENT_WAIT_VERIFY },
	{ TLS13_CLIENT_WAIT_CERT, TLS_MSG_CERTIFICATE,
	  tls13_recv_certificate, TLS13_CLIENT_WAIT_VERIFY },
	{ TLS13_CLIENT_WAIT_VERIFY, TLS_MSG_CERTIFICATE_VERIFY,
	  tls13_recv_certificate_verify, TLS13_CLIENT_WAIT_FINISHED },
	{ TLS13_CLIENT_WAIT_FINISHED, TLS_MSG_FINISHED,
	  tls13_recv_finished, TLS13_CLIENT_MASTER },
	{ TLS13_CLIENT_MASTER, TLS_STEP,
	  tls13_derive_master, TLS13_CLIENT_SEND_CERT },
	{ TLS13_CLIENT_SEND_CERT, TLS_STEP,
	  tls13_send_client_certificate, TLS13_CLIENT_SIGN },
	{ TLS13_CLIENT_SIGN, TLS_STEP,
	  tls13_sign, TLS13_CLIENT_SEND_VERIFY },
	{ TLS13_CLIENT_SEND_VERIFY, TLS_STEP,
	  tls_send_certificate_verify, TLS13_CLIENT_SEND_FINISHED },
	{ TLS13_CLIENT_SEND_FINISHED, TLS_STEP,
	  tls13_send_finished, TLS13_CLIENT_APPLICATION_KEYS },
	{ TLS13_CLIENT_APPLICATION_KEYS, TLS_STEP,
	  tls13_client_application_keys, TLS13_CLIENT_ESTABLISHED },
	{ TLS13_CLIENT_ESTABLISHED, TLS_MSG_NEW_SESSION_TICKET,
	  tls13_recv_new_session_ticket, TLS13_CLIENT_ESTABLISHED },
	{ TLS13_CLIENT_ESTABLISHED, TLS_MSG_KEY_UPDATE,
	  tls13_recv_key_update, TLS13_CLIENT_ESTABLISHED },

	/* server */
	/* sets TLS13_SERVER_SEND_RETRY or TLS12_SERVER_SEND_HELLO where that is next */
	{ TLS_SERVER_WAIT_CLIENT_HELLO, TLS_MSG_CLIENT_HELLO,
	  tls_recv_client_hello, TLS13_SERVER_SEND_HELLO },
	{ TLS13_SERVER_SEND_RETRY, TLS_STEP,
	  tls13_send_hello_retry, TLS13_SERVER_WAIT_SECOND_HELLO },
	{ TLS13_SERVER_WAIT_SECOND_HELLO, TLS_MSG_CLIENT_HELLO,
	  tls13_recv_second_client_hello, TLS13_SERVER_SEND_HELLO },
	{ TLS13_SERVER_SEND_HELLO, TLS_STEP,
	  tls13_send_server_hello, TLS13_SERVER_SEND_EXTENSIONS },
	/* sets TLS13_SERVER_HANDSHAKE_KEYS where a session is resumed */
	{ TLS13_SERVER_SEND_EXTENSIONS, TLS_STEP,
	  tls_send_encrypted_extensions, TLS13_SERVER_SEND_REQUEST },
	{ TLS13_SERVER_SEND_REQUEST, TLS_STEP,
	  tls13_send_certificate_request, TLS13_SERVER_SEND_CERT },
	{ TLS13_SERVER_SEND_CERT, TLS_STEP,
	  tls13_send_certificate, TLS13_SERVER_SIGN },
	{ TLS13_SERVER_SIGN, TLS_STEP,
	  tls13_sign, TLS13_SERVER_HANDSHAKE_KEYS },
	/* the flight waits for them; done ahead while the private key is at work */
	{ TLS13_SERVER_HANDSHAKE_KEYS, TLS_STEP,
	  tls13_server_handshake_keys, TLS13_SERVER_SEND_VERIFY },
	{ TLS13_SERVER_SEND_VERIFY, TLS_STEP,
	  tls_send_certificate_verify, TLS13_SERVER_SEND_FINISHED },
	{ TLS13_SERVER_SEND_FINISHED, TLS_STEP,
	  tls13_send_finished, TLS13_SERVER_MASTER },
	/* sets TLS13_SERVER_WAIT_CERT where one was requested */
	{ TLS13_SERVER_MASTER, TLS_STEP,
	  tls13_server_master, TLS13_SERVER_WAIT_FINISHED },
	/* sets TLS13_SERVER_WAIT_FINISHED where the client has none */
	{ TLS13_SERVER_WAIT_CERT, TLS_MSG_CERTIFICATE,
	  tls13_recv_client_certificate, TLS13_SERVER_WAIT_VERIFY },
	{ TLS13_SERVER_WAIT_VERIFY, TLS_MSG_CERTIFICATE_VERIFY,
	  tls13_recv_certificate_verify, TLS13_SERVER_WAIT_FINISHED },
	{ TLS13_SERVER_WAIT_FINISHED, TLS_MSG_FINISHED,
	  tls13_recv_finished, TLS13_SERVER_APPLICATION_KEYS },
	{ TLS13_SERVER_APPLICATION_KEYS, TLS_STEP,
	  tls13_server_application_keys, TLS13_SERVER_SEND_TICKETS },
	{ TLS13_SERVER_SEND_TICKETS, TLS_STEP,
	  tls13_send_tickets, TLS13_SERVER_ESTABLISHED },
	{ TLS13_SERVER_ESTABLISHED, TLS_MSG_KEY_UPDATE,
	  tls13_recv_key_update, TLS13_SERVER_ESTABLISHED },
};

const struct tls_transition *tls_states13_find(enum tls_state state, enum tls_message message)
{
	for (size_t i = 0; i < sizeof(transitions) / sizeof(*transitions); i++) {
		if (transitions[i].state == state && transitions[i].message == message)
			return &transitions[i];
	}
	return NULL;
}
