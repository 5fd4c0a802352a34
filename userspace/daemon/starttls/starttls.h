/* SPDX-License-Identifier: MIT */
/*
 * What is said in plain text before TLS, by protocols that begin so: bytes in,
 * bytes out.  No socket, no clock, no global state.  A talk has one of three
 * roles.  Everything that a peer can make it keep is bounded.
 *
 *	new ─▶ send the output ─▶ input ─┬─ MORE ──▶ (again)
 *	                                 ├─ DONE ──▶ send the output, then TLS
 *	                                 ├─ END ───▶ send the output, then close
 *	                                 └─ BAD ───▶ close; starttls_why()
 */
#ifndef TLSGATE_DAEMON_STARTTLS_H
#define TLSGATE_DAEMON_STARTTLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum starttls_protocol {
	STARTTLS_NONE,			/* TLS from the first byte on */
	STARTTLS_POSTGRESQL,		/* frontend/backend protocol 3, SSLRequest */
	STARTTLS_SMTP,			/* RFC 3207 */
	STARTTLS_IMAP,			/* RFC 9051, section 6.2.1 */
	STARTTLS_POP3,			/* RFC 2595, section 4 */
	STARTTLS_LDAP,			/* RFC 4511, section 4.14 */
	STARTTLS_PROTOCOLS,
};

enum starttls_role {
	STARTTLS_SERVER,		/* to a client that is to begin TLS */
	STARTTLS_CLIENT,		/* asks a server for TLS */
	STARTTLS_GREETING,		/* takes the greeting of a server to which no TLS is spoken */
	STARTTLS_ROLES,
};

enum starttls_result {
	STARTTLS_MORE,			/* input is wanted */
	STARTTLS_DONE,			/* this part is over: the peer's next byte is not plain text's */
	STARTTLS_END,			/* the peer left, or was told that it must */
	STARTTLS_BAD,			/* the peer broke the protocol, or refuses TLS */
};

#define STARTTLS_ALPN	"postgresql"	/* of those protocols only PostgreSQL has one */

struct starttls;

/* The protocol's name as the setting has it; NULL beyond the last. */
const char *starttls_name(enum starttls_protocol protocol);
/* Does the server speak first?  Its client waits for that before it sends anything. */
bool starttls_server_begins(enum starttls_protocol protocol);

/*
 * host: this machine's name, which greetings have; it must stay until
 * starttls_free().  NULL: no memory.  A greeting is taken only of a server that
 * begins (starttls_server_begins()).
 */
struct starttls *starttls_new(enum starttls_protocol protocol, enum starttls_role role,
			      const char *host);
void starttls_free(struct starttls *talk);	/* NULL is fine */

/* MORE, or how it ended. */
enum starttls_result starttls_result(const struct starttls *talk);
/*
 * Takes at most one command or message of the peer's from data, and says how many
 * bytes that were: *used, also of one that is not complete yet.  Must not be
 * called while there is output, or after the end.  What a client or a server sends behind the
 * command that begins TLS, before it was answered, is BAD, provided that data has
 * all that came; behind a greeting it is left.
 */
enum starttls_result starttls_input(struct starttls *talk, const uint8_t *data, size_t len,
				    size_t *used);
/* To be sent; *len 0: nothing. */
const uint8_t *starttls_output(const struct starttls *talk, size_t *len);
void starttls_output_done(struct starttls *talk, size_t len);

/*
 * PostgreSQL: is this a request of a client for TLS or for GSSAPI's encryption?  STARTTLS_NO
 * declines either, and the client goes on in plain text or leaves.
 */
#define STARTTLS_REQUEST	8	/* bytes, and of all that a client may begin with the least */
#define STARTTLS_NO		"N"
bool starttls_is_request(const uint8_t data[STARTTLS_REQUEST]);

/* After BAD or END: a phrase about the peer, with bytes of the peer's in it; empty: it just left. */
const char *starttls_why(const struct starttls *talk);
/* After DONE: TLS began with the first byte, without being asked for (PostgreSQL). */
bool starttls_is_direct(const struct starttls *talk);
/*
 * After DONE as STARTTLS_CLIENT: the greeting that a client of ours is owed, since
 * the server sends none anew; *len 0: its protocol has none.
 */
const uint8_t *starttls_greeting(const struct starttls *talk, size_t *len);

#endif
