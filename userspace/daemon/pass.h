/* SPDX-License-Identifier: MIT */
/*
 * Clients whose TLS is somebody else's: by what their ClientHello asks for they fall under a block
 * "pass" of the gate, and all bytes, that one included, go between them and its backend as they
 * are.  The first part is a stage of preface.h.  It reads up to the end of the ClientHello; whoever
 * is not passed is terminated with these bytes (conn->preface->hello).
 */
#ifndef TLSGATE_DAEMON_PASS_H
#define TLSGATE_DAEMON_PASS_H

#include <ev.h>
#include <stdbool.h>

#include "daemon/preface.h"

struct conn;
struct pass;

bool pass_wanted(const struct conn *conn);
/* Done: conn->pass is there for a client that is passed, and conn->pool is its pool. */
enum preface_result pass_run(struct conn *conn);

/* The backend is reached.  Each of these may free conn. */
void pass_start(struct conn *conn);
/* A side is ready for what was watched. */
void pass_continue(struct conn *conn, const ev_io *io, int events);
/* It may have been idle for too long. */
void pass_timer(struct conn *conn);

/* The server name that the client asks for; NULL: none. */
const char *pass_name(const struct pass *pass);
/* NULL is fine. */
void pass_free(struct pass *pass);

#endif
