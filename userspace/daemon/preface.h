/* SPDX-License-Identifier: MIT */
/*
 * What a client may have to send before TLS, or in mode connect before the backend is connected.  It is a row of stages (preface.c),
 * each in a file of its own; a gate that wants none for a client pays nothing.  handshake-timeout
 * counts for the stages and the handshake together, and conn is among worker->handshaking
 * meanwhile.
 */
#ifndef TLSGATE_DAEMON_PREFACE_H
#define TLSGATE_DAEMON_PREFACE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/tally.h"

struct conn;

/* A connection's, while there is one: conn->preface. */
struct preface {
	size_t stage;			/* that runs */
	uint8_t *held;			/* what that one took and cannot use yet */
	size_t held_len;
	uint8_t *hello;			/* of TLS: read already, and the handshake's */
	size_t hello_len, hello_need;	/* so much has to be there for another look at it */
	bool by_proxy;			/* it comes from a network of accept-proxy */
	bool begun;			/* something of TLS has come */
	bool proxied;			/* a PROXY header said who the client is: */
	struct sockaddr_in6 proxy;	/* who sent it; or sockaddr_in */
	bool direct;			/* TLS began without the words for it: opening.h */
	struct sockaddr_in6 server;	/* whom the client connected to, by that header */
	unsigned int declined;		/* requests for encryption that were told no: decline.c */
};

/* As those of handshake.h.  True: the handshake is next, in mode connect the backend. */
bool preface_start(struct conn *conn);
bool preface_continue(struct conn *conn);
/* It had its time: fails. */
void preface_timer(struct conn *conn);
/*
 * The client closed, or was lost.  True: conn is gone, without a failure: a proxy that sends nothing
 * of TLS only looks whether somebody is there.
 */
bool preface_was_check(struct conn *conn);
/* NULL is fine. */
void preface_free(struct preface *preface);

/* ---- for stages ---- */

enum preface_result {
	PREFACE_DONE,			/* the next stage's turn */
	PREFACE_WAIT,			/* its socket is watched */
	PREFACE_GONE,			/* conn is gone */
};

/*
 * Looks at what has come, without taking it: up to size bytes.  Returns how many; 0: none now,
 * and the socket is watched; -1: conn is gone, for the client closed or was lost.
 */
ssize_t preface_peek(struct conn *conn, void *buf, size_t size);
/* Takes len bytes that preface_peek() showed, into buf.  False: conn is gone. */
bool preface_take(struct conn *conn, void *buf, size_t len);
/* Ends conn, as conn_fail(), and counts the failure. */
enum preface_result preface_fail(struct conn *conn, enum failure failure, const char *what,
				 const char *why);

#endif
