/* SPDX-License-Identifier: MIT */
/*
 * The state machine: which message may come in which state.
 *
 * How it works: machine.c opens records and collects handshake messages; for
 * each it looks up {state, message} in states12.c or states13.c, which name
 * the function that reads it and the state that follows.  States in which it
 * is our turn have one row with TLS_STEP instead of a message.  A step may
 * stop the machine by asking for the private key; the answer resumes it.
 */
#ifndef TLSGATE_STATES_H
#define TLSGATE_STATES_H

#include "engine.h"
#include "wire.h"

/* Handshake message types (RFC 9846 section 4, RFC 5246 section 7.4). */
enum tls_message {
	TLS_MSG_HELLO_REQUEST = 0,
	TLS_MSG_CLIENT_HELLO = 1,
	TLS_MSG_SERVER_HELLO = 2,
	TLS_MSG_NEW_SESSION_TICKET = 4,
	TLS_MSG_ENCRYPTED_EXTENSIONS = 8,
	TLS_MSG_CERTIFICATE = 11,
	TLS_MSG_SERVER_KEY_EXCHANGE = 12,
	TLS_MSG_CERTIFICATE_REQUEST = 13,
	TLS_MSG_SERVER_HELLO_DONE = 14,
	TLS_MSG_CERTIFICATE_VERIFY = 15,
	TLS_MSG_CLIENT_KEY_EXCHANGE = 16,
	TLS_MSG_FINISHED = 20,
	TLS_MSG_CERTIFICATE_STATUS = 22,
	TLS_MSG_KEY_UPDATE = 24,
	/* no handshake messages, but rows of the state tables */
	TLS_CCS = 0x100,		/* TLS 1.2: change_cipher_spec came */
	TLS_STEP,			/* our turn */
};

enum tls_state {
	/* version not known yet */
	TLS_CLIENT_START,
	TLS_CLIENT_WAIT_SERVER_HELLO,
	TLS_SERVER_WAIT_CLIENT_HELLO,

	TLS13_CLIENT_SEND_SECOND_HELLO,
	TLS13_CLIENT_WAIT_SECOND_HELLO,
	TLS13_CLIENT_HANDSHAKE_KEYS,
	TLS13_CLIENT_WAIT_EXTENSIONS,
	TLS13_CLIENT_WAIT_CERT_OR_REQUEST,
	TLS13_CLIENT_WAIT_CERT,
	TLS13_CLIENT_WAIT_VERIFY,
	TLS13_CLIENT_WAIT_FINISHED,
	TLS13_CLIENT_MASTER,
	TLS13_CLIENT_SEND_CERT,
	TLS13_CLIENT_SIGN,
	TLS13_CLIENT_SEND_VERIFY,
	TLS13_CLIENT_SEND_FINISHED,
	TLS13_CLIENT_APPLICATION_KEYS,
	TLS13_CLIENT_ESTABLISHED,

	TLS13_SERVER_SEND_RETRY,
	TLS13_SERVER_WAIT_SECOND_HELLO,
	TLS13_SERVER_SEND_HELLO,
	TLS13_SERVER_SEND_EXTENSIONS,
	TLS13_SERVER_SEND_REQUEST,
	TLS13_SERVER_SEND_CERT,
	TLS13_SERVER_SIGN,
	TLS13_SERVER_HANDSHAKE_KEYS,
	TLS13_SERVER_SEND_VERIFY,
	TLS13_SERVER_SEND_FINISHED,
	TLS13_SERVER_MASTER,
	TLS13_SERVER_WAIT_CERT,
	TLS13_SERVER_WAIT_VERIFY,
	TLS13_SERVER_WAIT_FINISHED,
	TLS13_SERVER_APPLICATION_KEYS,
	TLS13_SERVER_SEND_TICKETS,
	TLS13_SERVER_ESTABLISHED,

	TLS12_CLIENT_WAIT_CERT,
	TLS12_CLIENT_WAIT_STATUS,
	TLS12_CLIENT_WAIT_STATUS_RSA,
	TLS12_CLIENT_WAIT_KEY_EXCHANGE,
	TLS12_CLIENT_WAIT_REQUEST_OR_DONE,
	TLS12_CLIENT_WAIT_DONE,
	TLS12_CLIENT_SEND_CERT,
	TLS12_CLIENT_SEND_KEY_EXCHANGE,
	TLS12_CLIENT_KEYS,
	TLS12_CLIENT_SIGN,
	TLS12_CLIENT_SEND_VERIFY,
	TLS12_CLIENT_SEND_FINISHED,
	TLS12_CLIENT_WAIT_TICKET,
	TLS12_CLIENT_RESUME,
	TLS12_CLIENT_RESUME_FINISHED,
	TLS12_CLIENT_WAIT_CCS,
	TLS12_CLIENT_WAIT_FINISHED,
	TLS12_CLIENT_KEEP_SESSION,
	TLS12_CLIENT_ESTABLISHED,

	TLS12_SERVER_SEND_HELLO,
	TLS12_SERVER_SEND_CERT,
	TLS12_SERVER_SEND_STATUS,
	TLS12_SERVER_SIGN,
	TLS12_SERVER_SEND_KEY_EXCHANGE,
	TLS12_SERVER_SEND_REQUEST,
	TLS12_SERVER_SEND_DONE,
	TLS12_SERVER_WAIT_CERT,
	TLS12_SERVER_WAIT_KEY_EXCHANGE,
	TLS12_SERVER_KEYS,
	TLS12_SERVER_WAIT_VERIFY,
	TLS12_SERVER_WAIT_CCS,
	TLS12_SERVER_WAIT_FINISHED,
	TLS12_SERVER_RESUME,
	TLS12_SERVER_RESUME_TICKET,
	TLS12_SERVER_RESUME_FINISHED,
	TLS12_SERVER_SEND_TICKET,
	TLS12_SERVER_SEND_FINISHED,
	TLS12_SERVER_ESTABLISHED,
};

struct tls_conn;

/* Reads a message's body to its end, or (TLS_STEP, TLS_CCS: body is NULL) does what is due. */
typedef int tls_handler(struct tls_conn *conn, struct tls_reader *body);

struct tls_transition {
	enum tls_state state;
	enum tls_message message;
	tls_handler *handler;
	enum tls_state next;		/* set before the handler runs, which may set another */
};

/* NULL: no such row, the message is unexpected.  13 also has the states before
 * the version is known. */
const struct tls_transition *tls_states12_find(enum tls_state state, enum tls_message message);
const struct tls_transition *tls_states13_find(enum tls_state state, enum tls_message message);

#endif /* TLSGATE_STATES_H */
