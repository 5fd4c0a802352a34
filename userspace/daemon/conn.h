/* SPDX-License-Identifier: MIT */
/*
 * One connection: a TLS side and a plain side.  In a gate of mode serve the
 * client is the TLS side and the backend the plain one; in mode connect it is
 * the other way round.
 *
 * Functions that say "may free conn" are the last thing their caller does
 * with it.
 */
#ifndef TLSGATE_DAEMON_CONN_H
#define TLSGATE_DAEMON_CONN_H

#include <ev.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/worker.h"

enum conn_state {
	CONN_PREFACE,			/* what comes before TLS: preface.h */
	CONN_CONNECTING,		/* to the backend */
	CONN_OPENING,			/* with the backend, in plain text: opening.h */
	CONN_HANDSHAKE,
	CONN_DELIVERING,		/* waits for room at the server */
	CONN_RELAY,			/* user data path */
	CONN_PASS,			/* likewise, of somebody else's TLS */
	CONN_LINGER,			/* last bytes sent: waits for the peer's FIN */
};

struct conn {
	struct worker *worker;
	const struct gate *gate;
	struct conn *next, **link;	/* worker->conns */
	TAILQ_ENTRY(conn) handshaking;
	struct tls_conn *tls;		/* NULL before the handshake */
	struct preface *preface;	/* NULL: nothing had to come before it */
	struct pass *pass;		/* its TLS is somebody else's; NULL: it is not */
	struct starttls *talk;		/* in plain text, or a greeting that is owed; NULL: none */
	ev_io tls_io, plain_io;		/* fd -1: not open */
	ev_timer timer;			/* deadline of the state, or idle */
	enum conn_state state;
	bool unix_client;		/* it came to a UNIX socket, whomever it speaks for */
	int handle;			/* its listener's; -1: it is relayed */
	struct pool *pool;		/* of its backend; NULL: not known yet */
	struct member *member;		/* that has it or is tried, or the only one; NULL: not known yet */
	uint8_t address;		/* of the member: the next one that is tried */
	uint16_t passed_count;		/* members that were tried: */
	struct member_set passed;
	bool loads;			/* it counts among the connections to its member */
	bool again;			/* one of them may take it in a moment */
	uint64_t tried;			/* since: clock_ms() */
	bool key_waiting;		/* keyclient has key_number for us */
	bool in_handshake;		/* in worker->handshaking */
	bool plain_eof, plain_shut;	/* FIN read, FIN sent */
	bool tls_eof, tls_shut;		/* close_notify read, close_notify and FIN sent */
	bool hands_over;		/* relayed here for now: the kernel is to take it */
	bool waits;			/* ... once the server sent a session to resume */
	bool on_trial;			/* ... once it has proved to be worth that */
	bool session_kept;		/* the gate has one of this connection */
	bool handed_over;		/* the kernel has it */
	bool shed;			/* a limit refused it: no line of its own */
	bool in_census, address_in_census;	/* it counts: for its gate, for: */
	uint64_t client_hash;		/* of census_hash() */
	uint32_t key_number;
	uint8_t *held;			/* plaintext that the plain socket did not take yet */
	uint32_t held_len, held_done;
	uint64_t tls_bytes, plain_bytes;	/* of plaintext, received from that side */
	uint32_t pieces;		/* in which they came */
	uint64_t begun;			/* clock_us(): the handshake, or to reach the backend */
	uint64_t accepted, active;	/* clock_ms() then; when a byte last moved */
	char *reason;			/* why it ends, for the connection-log */
	struct sockaddr_in6 client;	/* or sockaddr_in, or AF_UNIX alone: who connected to us, or whom a proxy speaks for */
};

typedef void conn_io_callback(struct ev_loop *loop, ev_io *io, int events);
typedef void conn_timer_callback(struct ev_loop *loop, ev_timer *timer, int events);

/*
 * A connection without a socket yet, in its handshake; io->data and timer->data
 * are conn.  NULL: no memory.
 */
struct conn *conn_new(struct worker *worker, const struct gate *gate, conn_io_callback *on_io,
		      conn_timer_callback *on_timer);

/* The address of its backend as configured; NULL: which one is not known yet. */
const char *conn_backend(const struct conn *conn);
/* It goes to this member of its pool from now on, and counts among the connections there. */
void conn_take_member(struct conn *conn, struct member *member);
/* It counts there no more; allowed twice. */
void conn_release_member(struct conn *conn);
/* The client, as text. */
const char *conn_client(const struct conn *conn, char buf[ADDR_TEXT_MAX]);

/*
 * Watches for events (EV_READ | EV_WRITE, 0: none) on one of the sides.  Each
 * change costs a system call: better to leave a watch that is not wanted for
 * the moment, and to end it when it reports something.
 */
void conn_watch(struct conn *conn, ev_io *io, int events);
/* Calls the timer after ms from now; 0: never. */
void conn_deadline(struct conn *conn, uint32_t ms);

/* Sends the engine's output.  0: all; 1: the socket is full; -1: errno says. */
int conn_flush(struct conn *conn);
/* Likewise, where a FIN follows at once and is to take it along. */
int conn_flush_with_next(struct conn *conn);

/*
 * Keeps the session that the server gave to resume later, if there is one now;
 * one of each connection.
 */
void conn_keep_session(struct conn *conn);

/* It counts among worker->handshaking no more. */
void conn_leave_handshake(struct conn *conn);
/* The user data path carries it: counted, and logged. */
void conn_stays(struct conn *conn);
/* Which data path carries it, and all that the handshake agreed on: for --verbose. */
void conn_log_path(const struct conn *conn, const char *path);

/* As recv() without flags; conn_receive_error() says why it failed. */
const char *conn_receive_error(void);
ssize_t conn_receive(const struct conn *conn, const ev_io *io, void *buf, size_t len);
/* Is the other end of this side a UNIX socket?  What it passes along must not have the worker wait. */
bool conn_is_unix(const struct conn *conn, const ev_io *io);
/* Closes one side, if it is open. */
void conn_close_side(struct conn *conn, ev_io *io);
/* Closes the plain side with a reset, as far as it has one (tcp_reset()): its peer must not take what it got for the whole. */
void conn_reset_plain(struct conn *conn);

/* One line about a failure (limited). */
void conn_log_failure(const struct conn *conn, const char *what, const char *why);
/*
 * Ends in failure: pending output (an alert) is sent, the plain side reset if
 * bytes had passed, one line logged (limited).  May free conn.
 */
void conn_fail(struct conn *conn, const char *what, const char *why);
/* As conn_fail() for an engine result, with its words.  May free conn. */
void conn_fail_engine(struct conn *conn, const char *what, int err);
/*
 * Ends what is not at its end: an alert instead of close_notify, the plain side
 * reset, since neither may take what it got for the whole.  May free conn.
 */
void conn_abort(struct conn *conn);
/* Ends what is over before TLS: the peer gets what was sent, then a FIN.  May free conn. */
void conn_part(struct conn *conn);
/* Of an end by these: the TLS side is readable.  May free conn. */
void conn_linger_continue(struct conn *conn);
/* Closes what is open and frees. */
void conn_free(struct conn *conn);

#endif
