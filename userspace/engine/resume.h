/* SPDX-License-Identifier: MIT */
/* Sessions that go on. */
#ifndef TLSGATE_RESUME_H
#define TLSGATE_RESUME_H

#include "session.h"

struct tls_conn;

/*
 * Server: takes one of the client's TLS 1.3 PSKs or its TLS 1.2 ticket where it
 * can (conn->resumed); not being able to is no error.  decrypt_error: a binder
 * that does not fit; illegal_parameter, missing_extension: an offer that is none.
 */
TLS_MUST_CHECK int tls13_choose_psk(struct tls_conn *conn);
TLS_MUST_CHECK int tls12_choose_ticket(struct tls_conn *conn);
/* Client: the binder of hs->session over the hello that begins at start of the flight. */
TLS_MUST_CHECK int tls13_write_binder(struct tls_conn *conn, size_t start);
/* The session of this connection, without ticket and TLS 1.3 secret.  peer is borrowed. */
void tls_session_of(const struct tls_conn *conn, struct tls_session *session);

#endif /* TLSGATE_RESUME_H */
