/* SPDX-License-Identifier: MIT */
/* What one handshake did, collected from the engine's events, to be shown. */
#ifndef TLSGATE_CTL_HANDSHAKE_REPORT_H
#define TLSGATE_CTL_HANDSHAKE_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "ctl/handshake_decode.h"
#include "engine/engine.h"

#define REPORT_TEXT	256
#define REPORT_CERTS	16
#define REPORT_SECRETS	16

/* The six steps of docs/design.md. */
enum step {
	STEP_CLIENT_HELLO,
	STEP_SERVER_HELLO,
	STEP_AUTHENTICATION,
	STEP_KEY_EXCHANGE,
	STEP_SESSION_KEYS,
	STEP_FINISHED,
	STEPS,
};

/* Handshake messages by their types on the wire. */
enum {
	MSG_CLIENT_HELLO = 1,
	MSG_SERVER_HELLO = 2,
	MSG_NEW_SESSION_TICKET = 4,
	MSG_ENCRYPTED_EXTENSIONS = 8,
	MSG_CERTIFICATE = 11,
	MSG_SERVER_KEY_EXCHANGE = 12,
	MSG_CERTIFICATE_REQUEST = 13,
	MSG_SERVER_HELLO_DONE = 14,
	MSG_CERTIFICATE_VERIFY = 15,
	MSG_CLIENT_KEY_EXCHANGE = 16,
	MSG_FINISHED = 20,
	MSG_CERTIFICATE_STATUS = 22,
};

struct report_cert {
	char subject[REPORT_TEXT], issuer[REPORT_TEXT];
	char names[REPORT_TEXT];	/* one after the other, each with a NUL, as many as fit */
	size_t names_len;
	char not_before[32], not_after[32];
	char key[64];
	char verdict[REPORT_TEXT];
	uint8_t digest[32];		/* SHA-256 of the DER */
};

struct report_secret {
	char name[64];
	uint8_t value[64];
	size_t len;
};

/* group 0: RSA, or not yet known; then encrypted_len tells which. */
struct report_kex {
	uint16_t group;
	size_t client_len, server_len;	/* of the public values */
	size_t encrypted_len;		/* of the premaster secret, encrypted to the server's key */
};

struct report {
	/* set by the caller */
	const char *target;		/* HOST:PORT as given */
	char server_name[ADDR_HOST_MAX];
	char peer[ADDR_TEXT_MAX];
	bool insecure, show_secrets, has_certificate;
	double until_ms;		/* by report_now_ms(): then it is given up */

	/* by report_event() */
	struct hello client, retry, again, server;	/* again: the ClientHello after a retry */
	struct report_cert certs[REPORT_CERTS];	/* leaf first after report_finish() */
	size_t cert_count;
	char scheme[64];		/* of the signature checked; "": none */
	bool certificate_asked;
	struct hello_share kex12;	/* TLS 1.2 ECDHE */
	size_t kex12_client_len;	/* ClientKeyExchange without its header */
	struct report_secret secrets[REPORT_SECRETS];
	size_t secret_count;
	bool finished_sent, finished_checked;
	int alert_sent, alert_received;	/* -1: none */
	enum step step;			/* the one being performed */
	unsigned int round_trips;	/* TCP's own not counted */
	bool awaits;			/* a message was sent that none answered yet */
	bool reached[STEPS];
	double step_ms[STEPS];		/* waiting for the server included */
	unsigned int step_trip[STEPS];	/* the round trip that brought its messages; 0: none */
	double last_ms;			/* of the last event; 0: none yet */

	/* set by the caller at the end */
	int err;			/* engine result; 0 */
	char cause[TLS_REASON_TEXT];	/* of it; empty: not known */
	const char *io_error;		/* or why the socket failed; NULL */
	bool established;
	struct tls_conn_info info;
	size_t bytes_out, bytes_in;
	double connect_ms, handshake_ms;
};

extern const char *const step_names[STEPS];

void report_init(struct report *report);
/* Wipes the secrets. */
void report_clear(struct report *report);
/* As hook in struct tls_hooks, with conn_arg the report. */
void report_event(void *arg, void *conn_arg, const struct tls_event *event);
/* How many signed certificate timestamps the server gave beside its certificate. */
size_t report_scts(const struct report *report);
/* The connection is over: takes its outcome, puts the certificates in order. */
void report_finish(struct report *report, const struct tls_conn *conn);
/* An event's step. */
enum step report_step_of(const struct report *report, const struct tls_event *event);
/* The time since it was called last, or last_ms was set, went into this step. */
void report_took(struct report *report, enum step step);
double report_now_ms(void);
void report_kex(const struct report *report, struct report_kex *kex);
/* What a secret was derived from; "" for one that is not known.  Static. */
const char *report_origin(const struct report *report, const char *name);
/* On certificate index, with the reason. */
const char *report_verdict(const struct report *report, size_t index);
/* Chain and name: "verified", "refused"... */
const char *report_proof(const struct report *report);
/* What probably is the matter, or NULL. */
const char *report_cause(const struct report *report);
/* The one sentence that says why it failed. */
const char *report_failure(const struct report *report, char text[2 * REPORT_TEXT]);

/* The short form, the explanation, and JSON, on standard output. */
void report_print(const struct report *report);
void report_explain(const struct report *report);
void report_json(const struct report *report);

#endif
