// SPDX-License-Identifier: MIT
/* TLS 1.2 (RFC 5246 section 7.3), after the version is chosen. */
#include "keys.h"
#include "message/message.h"

static const struct tls_transition transitions[] = {
	/* client */
	/* sets TLS12_CLIENT_WAIT_REQUEST_OR_DONE for RSA key exchange, ..._WAIT_STATUS(_RSA) */
	{ TLS12_CLIENT_WAIT_CERT, TLS_MSG_CERTIFICATE,
	  tls12_recv_certificate, TLS12_CLIENT_WAIT_KEY_EXCHANGE },
	/* RFC 6066 section 8: announced, and yet it may be missing */
	{ TLS12_CLIENT_WAIT_STATUS, TLS_MSG_CERTIFICATE_STATUS,
	  tls12_recv_certificate_status, TLS12_CLIENT_WAIT_KEY_EXCHANGE },
	{ TLS12_CLIENT_WAIT_STATUS, TLS_MSG_SERVER_KEY_EXCHANGE,
	  tls12_recv_server_key_exchange, TLS12_CLIENT_WAIT_REQUEST_OR_DONE },
	{ TLS12_CLIENT_WAIT_STATUS_RSA, TLS_MSG_CERTIFICATE_STATUS,
	  tls12_recv_certificate_status, TLS12_CLIENT_WAIT_REQUEST_OR_DONE },
	{ TLS12_CLIENT_WAIT_STATUS_RSA, TLS_MSG_CERTIFICATE_REQUEST,
	  tls12_recv_certificate_request, TLS12_CLIENT_WAIT_DONE },
	{ TLS12_CLIENT_WAIT_STATUS_RSA, TLS_MSG_SERVER_HELLO_DONE,
	  tls12_recv_server_hello_done, TLS12_CLIENT_SEND_CERT },
	{ TLS12_CLIENT_WAIT_KEY_EXCHANGE, TLS_MSG_SERVER_KEY_EXCHANGE,
	  tls12_recv_server_key_exchange, TLS12_CLIENT_WAIT_REQUEST_OR_DONE },
	{ TLS12_CLIENT_WAIT_REQUEST_OR_DONE, TLS_MSG_CERTIFICATE_REQUEST,
	  tls12_recv_certificate_request, TLS12_CLIENT_WAIT_DONE },
	{ TLS12_CLIENT_WAIT_REQUEST_OR_DONE, TLS_MSG_SERVER_HELLO_DONE,
	  tls12_recv_server_hello_done, TLS12_CLIENT_SEND_CERT },
	{ TLS12_CLIENT_WAIT_DONE, TLS_MSG_SERVER_HELLO_DONE,
	  tls12_recv_server_hello_done, TLS12_CLIENT_SEND_CERT },
	{ TLS12_CLIENT_SEND_CERT, TLS_STEP,
	  tls12_send_client_certificate, TLS12_CLIENT_SEND_KEY_EXCHANGE },
	{ TLS12_CLIENT_SEND_KEY_EXCHANGE, TLS_STEP,
	  tls12_send_client_key_exchange, TLS12_CLIENT_KEYS },
	{ TLS12_CLIENT_KEYS, TLS_STEP,
	  tls12_derive_keys, TLS12_CLIENT_SIGN },
	{ TLS12_CLIENT_SIGN, TLS_STEP,
	  tls12_client_sign, TLS12_CLIENT_SEND_VERIFY },
	{ TLS12_CLIENT_SEND_VERIFY, TLS_STEP,
	  tls_send_certificate_verify, TLS12_CLIENT_SEND_FINISHED },
	/* sets TLS12_CLIENT_WAIT_TICKET where one is announced */
	{ TLS12_CLIENT_SEND_FINISHED, TLS_STEP,
	  tls12_send_finished, TLS12_CLIENT_WAIT_CCS },
	{ TLS12_CLIENT_WAIT_TICKET, TLS_MSG_NEW_SESSION_TICKET,
	  tls12_recv_new_session_ticket, TLS12_CLIENT_WAIT_CCS },
	/* sets TLS12_CLIENT_WAIT_TICKET where one is announced */
	{ TLS12_CLIENT_RESUME, TLS_STEP,
	  tls12_resume_keys, TLS12_CLIENT_WAIT_CCS },
	{ TLS12_CLIENT_WAIT_CCS, TLS_CCS,
	  tls12_recv_ccs, TLS12_CLIENT_WAIT_FINISHED },
	/* sets TLS12_CLIENT_RESUME_FINISHED where a session is resumed */
	{ TLS12_CLIENT_WAIT_FINISHED, TLS_MSG_FINISHED,
	  tls12_recv_finished, TLS12_CLIENT_KEEP_SESSION },
	{ TLS12_CLIENT_KEEP_SESSION, TLS_STEP,
	  tls12_keep_session_id, TLS12_CLIENT_ESTABLISHED },
	{ TLS12_CLIENT_RESUME_FINISHED, TLS_STEP,
	  tls12_send_finished, TLS12_CLIENT_ESTABLISHED },
	{ TLS12_CLIENT_ESTABLISHED, TLS_MSG_HELLO_REQUEST,
	  tls12_ignore_hello_request, TLS12_CLIENT_ESTABLISHED },

	/* server */
	/* sets TLS12_SERVER_RESUME where a session is resumed */
	{ TLS12_SERVER_SEND_HELLO, TLS_STEP,
	  tls12_send_server_hello, TLS12_SERVER_SEND_CERT },
	{ TLS12_SERVER_SEND_CERT, TLS_STEP,
	  tls12_send_certificate, TLS12_SERVER_SEND_STATUS },
	{ TLS12_SERVER_SEND_STATUS, TLS_STEP,
	  tls12_send_certificate_status, TLS12_SERVER_SIGN },
	{ TLS12_SERVER_SIGN, TLS_STEP,
	  tls12_server_sign, TLS12_SERVER_SEND_KEY_EXCHANGE },
	{ TLS12_SERVER_SEND_KEY_EXCHANGE, TLS_STEP,
	  tls12_send_server_key_exchange, TLS12_SERVER_SEND_REQUEST },
	{ TLS12_SERVER_SEND_REQUEST, TLS_STEP,
	  tls12_send_certificate_request, TLS12_SERVER_SEND_DONE },
	/* sets TLS12_SERVER_WAIT_CERT where one was requested */
	{ TLS12_SERVER_SEND_DONE, TLS_STEP,
	  tls12_send_server_hello_done, TLS12_SERVER_WAIT_KEY_EXCHANGE },
	{ TLS12_SERVER_WAIT_CERT, TLS_MSG_CERTIFICATE,
	  tls12_recv_client_certificate, TLS12_SERVER_WAIT_KEY_EXCHANGE },
	{ TLS12_SERVER_WAIT_KEY_EXCHANGE, TLS_MSG_CLIENT_KEY_EXCHANGE,
	  tls12_recv_client_key_exchange, TLS12_SERVER_KEYS },
	/* sets TLS12_SERVER_WAIT_VERIFY where the client sent a certificate */
	{ TLS12_SERVER_KEYS, TLS_STEP,
	  tls12_server_keys, TLS12_SERVER_WAIT_CCS },
	{ TLS12_SERVER_WAIT_VERIFY, TLS_MSG_CERTIFICATE_VERIFY,
	  tls12_recv_certificate_verify, TLS12_SERVER_WAIT_CCS },
	{ TLS12_SERVER_WAIT_CCS, TLS_CCS,
	  tls12_recv_ccs, TLS12_SERVER_WAIT_FINISHED },
	/* sets TLS12_SERVER_ESTABLISHED where a session is resumed */
	{ TLS12_SERVER_WAIT_FINISHED, TLS_MSG_FINISHED,
	  tls12_recv_finished, TLS12_SERVER_SEND_TICKET },
	{ TLS12_SERVER_RESUME, TLS_STEP,
	  tls12_resume_keys, TLS12_SERVER_RESUME_TICKET },
	{ TLS12_SERVER_RESUME_TICKET, TLS_STEP,
	  tls12_send_ticket, TLS12_SERVER_RESUME_FINISHED },
	{ TLS12_SERVER_RESUME_FINISHED, TLS_STEP,
	  tls12_send_finished, TLS12_SERVER_WAIT_CCS },
	{ TLS12_SERVER_SEND_TICKET, TLS_STEP,
	  tls12_send_ticket, TLS12_SERVER_SEND_FINISHED },
	{ TLS12_SERVER_SEND_FINISHED, TLS_STEP,
	  tls12_send_finished, TLS12_SERVER_ESTABLISHED },
	{ TLS12_SERVER_ESTABLISHED, TLS_MSG_CLIENT_HELLO,
	  tls12_refuse_renegotiation, TLS12_SERVER_ESTABLISHED },
};

const struct tls_transition *tls_states12_find(enum tls_state state, enum tls_message message)
{
	for (size_t i = 0; i < sizeof(transitions) / sizeof(*transitions); i++) {
		if (transitions[i].state == state && transitions[i].message == message)
			return &transitions[i];
	}
	return NULL;
}
