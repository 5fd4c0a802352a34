/* SPDX-License-Identifier: MIT */
/* What the files of the BoGo shim share. */
#ifndef BOGO_SHIM_H
#define BOGO_SHIM_H

#include "engine.h"
#include "options.h"

/* What the engine told by events. */
struct observed {
	char scheme[64];		/* of the peer's signature */
	char alpn[256];			/* offered by the client, as on the wire */
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
};

/* setup.c: later connections of this process see a later time. */
void setup_advance_clock(int seconds);
/* setup.c: the configuration and the key. 0, or an exit status with the reason on stderr. */
int setup_config(struct exchange *x);
/* setup.c: the connection over config; a client's resumes the session kept last, if resume. */
int setup_connection(struct exchange *x, bool resume);
/* setup.c: keeps the client's session for the next connection. */
void setup_keep_session(const struct exchange *x);
/* transport.c: to the runner. -1, and errno, if it cannot be reached. */
int transport_connect(int port);
/* transport.c: lets the runner read all, then closes. */
void transport_close(int fd);
/* transport.c: sends all that the engine has to send. */
void transport_flush(struct exchange *x);
/* transport.c: one receive call into the engine (TLS_ERR_TRUNCATED at a bare FIN). */
int transport_receive(struct exchange *x);
/* exchange.c: handshake and data. 0, or an exit status with the reason on stderr. */
int exchange_run(struct exchange *x, bool resumption);
/* expect.c: is the handshake what it should be?  If not, the reason is on stderr. */
bool expect_handshake(const struct exchange *x, bool resumption);
/* expect.c: did the client get a session, or none, as it should? */
bool expect_session(const struct exchange *x);
/* file.c: decodes into out and gives the length; 0: it is too long, empty or no base64. */
size_t base64_decode(const char *text, uint8_t *out, size_t max);
/* file.c: a whole file, terminated; NULL, and the reason on stderr, if it cannot be read. */
char *file_read(const char *path, size_t *len);

#endif /* BOGO_SHIM_H */
