/* SPDX-License-Identifier: MIT */
/*
 * The plain-text part of a protocol that begins without TLS (the setting
 * starttls), over a connection's sockets.  What is said is starttls/'s.
 *
 *	mode serve	a stage of the preface: the client is brought to begin TLS;
 *			then the backend's greeting is taken from it, if it has one
 *	mode connect	the server is asked for TLS; the client gets the greeting
 *			that the server gave, once TLS is up
 */
#ifndef TLSGATE_DAEMON_OPENING_H
#define TLSGATE_DAEMON_OPENING_H

#include <ev.h>
#include <stdbool.h>

#include "daemon/preface.h"

struct conn;

/* The stage of preface.c. */
bool opening_wanted(const struct conn *conn);
enum preface_result opening_run(struct conn *conn);
/*
 * The handshake is over: who began TLS without being asked must have said by ALPN
 * what protocol is meant.  False: that is not so, and conn is gone.
 */
bool opening_agrees(struct conn *conn);

/* The backend is connected: is there something to be said before it goes on? */
bool opening_backend_wanted(const struct conn *conn);
/*
 * Says it, within connect-timeout.  Each function: true: it is over; false: something is
 * waited for, or conn is gone.
 */
bool opening_backend_start(struct conn *conn);
bool opening_backend_continue(struct conn *conn, ev_io *io);
/* It had its time: conn is gone. */
void opening_backend_timer(struct conn *conn);
/* TLS is up in mode connect: sends the client the greeting.  False: conn is gone. */
bool opening_greet(struct conn *conn);

#endif
