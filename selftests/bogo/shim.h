/* SPDX-License-Identifier: MIT */
/* What the files of the BoGo shim share. */
#ifndef BOGO_SHIM_H
#define BOGO_SHIM_H

#include "extension/extension.h"
#include "options.h"

#define MAX_SEEN	1024

struct seen {
	uint8_t bytes[MAX_SEEN];
	size_t len;
};

/* What the engine told by events. */
struct observed {
	char scheme[64];		/* of the peer's signature */
	bool certificate;		/* the peer sent a chain */
	uint8_t last_message;		/* received */
	char trace[1024];		/* messages and alerts, a line each */
	/* as on the wire: what the client offers by ALPN, what the peer verifies... */
	struct seen alpn, peer_schemes;
	struct seen cert_types, ca_names;	/* ...and a CertificateRequest asks for */
};

/* One connection of a test. */
struct exchange {
	const struct options *options;
	struct tls_config *config;
	struct tls_private_key *key;
	struct tls_conn *conn;
	struct observed observed;
	int fd;
	bool peer_closed;		/* the peer's FIN was read */
	bool hold_output;		/* a write is not finished: send nothing */
};

/* malloc.c: counts allocations from now on, where one of them is to fail. */
void malloc_set_up(void);
/* malloc.c: what to exit with, instead of status. */
int malloc_exit_status(int status);
/* observe.c: the event hook; the connection's argument is the exchange. */
void observe(void *arg, void *conn_arg, const struct tls_event *event);
/* verdict.c: whose verdicts are given from now on. */
void verdict_set_up(const struct options *of_connection);
/* setup.c: later connections of this process see a later time. */
void setup_advance_clock(int seconds);
/* setup.c: the configuration and the key. 0, or an exit status with the reason on stderr. */
int setup_config(struct exchange *x, bool resumption);
/* setup.c: the connection over config; a client's resumes the session kept last, if resume. */
int setup_connection(struct exchange *x, bool resume);
/* setup.c: keeps the client's session for the next connection. */
void setup_keep_session(const struct exchange *x);
/* transport.c: to the runner, which wants shim_id first (NULL: nothing). -1, and errno, if it
 * cannot be reached. */
int transport_connect(int port, const char *shim_id);
/* transport.c: lets the runner read all, then closes. */
void transport_close(int fd);
/* transport.c: sends all that the engine has to send, unless output is held. */
void transport_flush(struct exchange *x);
/* transport.c: sends one byte of it and holds the rest. */
void transport_send_one(struct exchange *x);
/* transport.c: one receive call into the engine (TLS_ERR_TRUNCATED at a bare FIN). */
int transport_receive(struct exchange *x);
/* exchange.c: handshake and data. 0, or an exit status with the reason on stderr. */
int exchange_run(struct exchange *x, bool resumption);
/* expect.c: is the handshake what it should be?  If not, the reason is on stderr. */
bool expect_handshake(const struct exchange *x, bool resumption);
/* expect.c: did the client get a session, or none, as it should? */
bool expect_session(const struct exchange *x);
/* expect.c: did the messages go to and fro that should have? */
bool expect_trace(const struct exchange *x);
/* file.c: hexadecimal names between commas, as vectors of two bytes' length; 0: too long. */
size_t hex_names(const char *text, uint8_t *out, size_t max);
/* file.c: decodes into out and gives the length; 0: it is too long, empty or no base64. */
size_t base64_decode(const char *text, uint8_t *out, size_t max);
/* file.c: a whole file, terminated; NULL, and the reason on stderr, if it cannot be read. */
char *file_read(const char *path, size_t *len);

#endif /* BOGO_SHIM_H */
