/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets that are the module's: the calls that replace a family's own, how two
 * sockets are locked to be taken, and what is exchanged on one that is taken.
 *
 * A keyed socket is its holder's: it is read and written through ulp.c.  An
 * owned one, either side of a relay, is nobody's but the relay's: whoever still
 * holds a descriptor of it can close it and nothing else.  It is never given
 * back: it stays owned after the relay's end, until it is closed.
 */
#ifndef TG_OWN_H
#define TG_OWN_H

#include <linux/net.h>

#include "session.h"

/* What a socket calls when something has happened. */
struct tg_callbacks {
	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*error_report)(struct sock *sk);
};

/**
 * struct tg_family - what replaces an address family's calls
 * @family: AF_INET, AF_INET6 or AF_UNIX
 * @base: the family's own struct proto for stream sockets; NULL: there is no such family
 * @base_ops: the family's own struct proto_ops
 * @keyed: @base with ours for a keyed socket; unused for AF_UNIX, as is @keyed_ops
 * @keyed_ops: @base_ops likewise
 * @owned: @base with all refused; unused for AF_UNIX, whose calls look at it
 * @owned_ops: all refused but close
 * @callbacks: the family's own
 *
 * Written at module init only.
 */
struct tg_family {
	int family;
	struct proto *base;
	const struct proto_ops *base_ops;
	struct proto keyed;
	struct proto_ops keyed_ops;
	struct proto owned;
	struct proto_ops owned_ops;
	struct tg_callbacks callbacks;
};

/**
 * struct tg_refusal - why a request is refused
 * @text: the sentence; it lives as long as the module
 * @reason: what is counted
 * @attr: the attribute it is about, enum tlsgate_attr; 0 for none
 */
struct tg_refusal {
	const char *text;
	enum tlsgate_reason reason;
	u8 attr;
};

/* Returns @err. */
static inline int tg_refuse(struct tg_refusal *no, enum tlsgate_reason reason, u8 attr, int err,
			    const char *text)
{
	*no = (struct tg_refusal){ text, reason, attr };
	return err;
}

static inline bool tg_is_tcp(const struct sock *sk)
{
	return sk->sk_family != AF_UNIX;
}

/*
 * Looks at each family's calls on a socket of our own.  0 or a negative errno.
 * Before anything else can be called.
 */
int tg_own_init(void);

/* The row of a stream socket whose calls are its family's own; NULL: they are not. */
const struct tg_family *tg_family_of(const struct socket *sock);

/**
 * tg_own_lock() - lock one socket, or two in the order of their addresses
 * @tls: what is to be, or is, a TLS socket
 * @plain: the plain socket to join it with, or NULL
 * @no: receives why not
 *
 * Nobody may be inside a call on either: a writer would go on in plaintext, and
 * a reader take records.  Process context; waits for a bounded time only, as a
 * holder of the lock may stay as long as it likes.
 *
 * Return: 0, or %-EBUSY: somebody is in a call.
 */
int tg_own_lock(struct sock *tls, struct sock *plain, struct tg_refusal *no);
void tg_own_unlock(struct sock *tls, struct sock *plain);

/*
 * Claims a socket, locked, against sockmap and KCM by its sk_user_data, by which
 * our callbacks on a plain socket find @data.  False: somebody else has it.
 */
bool tg_own_claim(struct sock *sk, void *data);
void tg_own_disclaim(struct sock *sk);

/*
 * Makes a claimed socket, locked, call @callbacks, and one of TCP have our ULP, so that no
 * other gets in.  Its calls, which the caller exchanges next, hold the module until it is closed.
 */
void tg_own_attach(struct sock *sk, const struct tg_callbacks *callbacks);
/* The reverse, calls and claim included: it is closing.  Locked. */
void tg_own_detach(struct sock *sk, const struct tg_family *f);

/*
 * Exchanges the calls of an attached socket, locked, for the refusing ones, and puts
 * right the options that it may have been left with, which nobody can do any more:
 * see docs/socket-api.md.
 */
void tg_own_take(struct sock *sk, const struct tg_family *f);

/**
 * tg_own_let_go() - let a socket's namespace end without it
 * @sk: a relay's, of which nobody else has a descriptor; takes lock_sock()
 *
 * The namespace waits in its end until the relay has closed it.
 */
void tg_own_let_go(struct sock *sk);

/**
 * tg_own_regain() - the reverse, before the socket is closed
 * @sk: socket; takes lock_sock()
 *
 * A socket without its namespace sends nothing again once it is closed.
 *
 * Return: NULL, or the namespace if it has come to its end: for tg_own_gone(),
 * when the socket is closed.
 */
struct net *tg_own_regain(struct sock *sk);
void tg_own_gone(struct net *ending);

/*
 * lock_sock() for who must not wait on a holder, who may stay as long as it likes:
 * at once, or within a bounded time.  False: it is held.
 */
bool tg_own_trylock(struct sock *sk, int subclass);
bool tg_own_lock_soon(struct sock *sk, int subclass);

/*
 * The same for a relay's works, which hold it against each other: woken when it is
 * free.  False: a call that was entered before the hand-over stays in it; try again by
 * the clock, and leave the worker to others.
 */
bool tg_own_lock_work(struct sock *sk, int subclass);

/* --- ulp.c: how a TCP socket becomes a TLS socket, and stops being one ------------ */

/* Registered by module init, so that its name is taken. */
extern struct tcp_ulp_ops tg_ulp_ops;

/* Module init: the calls of a keyed socket, by those of its family. */
void tg_ulp_fill(struct tg_family *f);

/**
 * tg_ulp_install() - put keys on a connected TCP socket, and join it with another
 * @in: checked request, whose sockets the caller holds; the caller wipes it
 * @r: prepared relay, which is the session's on success; NULL: none
 * @no: receives why not
 * @out: receives the session with a reference
 *
 * Process context.  All is one step under the locks of both sockets, with
 * nobody inside a call on either.  Who has entered a call but not come to the
 * lock yet is not seen: a sender must know that nobody sends while it installs.
 *
 * Return: 0, %-EOPNOTSUPP: not TCP; %-ENOTCONN: not ESTABLISHED or CLOSE_WAIT;
 * %-EEXIST: has a ULP; %-EBUSY: somebody is in a call, or in use by sockmap or
 * another; %-ENODEV: the module is being unloaded; what tg_relay_prepare()
 * returns, if the plain socket has changed since; or what tg_session_new() does.
 * On error both sockets are as before.
 */
int tg_ulp_install(const struct tg_install *in, struct tg_relay *r, struct tg_refusal *no,
		   struct tg_session **out);

/* The session of a TCP socket that may have any ULP: locked, or in a read-side section. */
struct tg_session *tg_session_of(const struct sock *sk);

/* struct proto.close of a keyed socket, in a relay or not. */
void tg_close(struct sock *sk, long timeout);

#endif /* TG_OWN_H */
