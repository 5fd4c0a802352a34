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

struct report_cert {
	char subject[REPORT_TEXT], issuer[REPORT_TEXT], names[REPORT_TEXT];
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

struct report {
	/* set by the caller */
	const char *target;		/* HOST:PORT as given */
	char server_name[ADDR_HOST_MAX];
	char peer[ADDR_TEXT_MAX];
	bool insecure, show_secrets;

	/* by report_event() */
	struct hello client, retry, server;
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

	/* set by the caller at the end */
	int err;			/* engine result; 0 */
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
/* The connection is over: takes its outcome, puts the certificates in order. */
void report_finish(struct report *report, const struct tls_conn *conn);
/* What probably is the matter, or NULL. */
const char *report_cause(const struct report *report);
/* The one sentence that says why it failed. */
const char *report_failure(const struct report *report, char text[2 * REPORT_TEXT]);

/* The short form, the explanation, and JSON, on standard output. */
void report_print(const struct report *report);
void report_explain(const struct report *report);
void report_json(const struct report *report);

#endif
