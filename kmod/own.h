/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets that are the module's: the calls that replace a family's own, how two
 * sockets are locked to be taken, and what is exchanged on one that is taken.
 *
 * A socket is taken while nobody else has it: no call that was entered before can
 * come to it, or go on, afterwards.
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
 * @queued: @keyed with ours for one in an accept queue, see deliver.h
 * @keyed_ops: @base_ops likewise
 * @owned: @base with the calls refused that io_uring makes past those of a socket; closing is
 *	the base's still: see tg_relay_release() and tg_deliver_release().  Unused for AF_UNIX,
 *	which has none of them
 * @owned_ops: all refused but close and what tells its addresses
 * @callbacks: the family's own
 *
 * Written at module init only.
 */
struct tg_family {
	int family;
	struct proto *base;
	const struct proto_ops *base_ops;
	struct proto keyed;
	struct proto queued;
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
 * Process context; waits for a bounded time only, as a holder of the lock may stay
 * as long as it likes.
 *
 * Return: 0, or %-EBUSY: somebody holds a lock.
 */
int tg_own_lock(struct sock *tls, struct sock *plain, struct tg_refusal *no);
void tg_own_unlock(struct sock *tls, struct sock *plain);

/**
 * tg_own_exclude() - be the only one who has one socket, or two
 * @tls: locked, with its family's own calls or a keyed socket's
 * @plain: locked, with its family's own calls; or NULL
 * @fds: where the caller has them
 * @no: receives why not
 *
 * Each must be in the table of the calling process, once, and have no reference but
 * that entry's and the caller's.  A call of another thread holds one, as do dup(), a
 * forked child, a descriptor on its way, select(), poll() and io_uring; epoll holds
 * none.  Nor does the call of a process with one thread, but in this table that call is
 * the caller's.
 *
 * On success every call on them is refused from then on, and none is under way;
 * calls are let in again by tg_own_admit().  Waits for a bounded time, since whoever
 * looks into /proc holds a reference, too.
 *
 * Return: 0, or %-EBUSY; then both have the calls that they had.
 */
int tg_own_exclude(struct socket *tls, struct socket *plain, const struct tg_fds *fds,
		   struct tg_refusal *no);
/*
 * 0, or %-EBUSY: the socket, locked, has a filter.  It cuts what TCP receives, and TCP takes a
 * FIN behind what is missing for the end.
 */
int tg_own_check_filter(const struct sock *sk, struct tg_refusal *no, u8 attr);
/* Time stamps of any kind are on.  The socket may be locked or not. */
bool tg_own_stamps(const struct sock *sk);

/* Gives an excluded socket, locked, these calls. */
void tg_own_admit(struct socket *sock, const struct proto_ops *ops);

/*
 * Claims a socket, locked, against sockmap and KCM by its sk_user_data, by which
 * our callbacks on a plain socket find @data.  False: somebody else has it.
 */
bool tg_own_claim(struct sock *sk, void *data);
void tg_own_disclaim(struct sock *sk);

/*
 * Makes an excluded socket, locked, call @callbacks, and one of TCP have our ULP, so that no
 * other gets in.  Its calls hold the module until it is closed.
 */
void tg_own_attach(struct sock *sk, const struct tg_callbacks *callbacks);
/* The reverse, calls and claim included: it is closing.  Locked. */
void tg_own_detach(struct sock *sk, const struct tg_family *f);
/* The same of a sock that has no struct socket.  Under the spinlock. */
void tg_own_restore(struct sock *sk, const struct tg_family *f);

/**
 * tg_own_take() - leave an attached socket excluded for good
 * @sk: the sock, locked
 * @own: a socket of @r's own without a sock: gets it, too, and the calls of an owned one, which
 *	hold the module until sock_release()
 * @r: the relay, which the calls find by sk_user_data
 *
 * Puts right the options that it may have been left with, which nobody can do any more: see
 * docs/socket-api.md.
 */
void tg_own_take(struct sock *sk, struct socket *own, struct tg_relay *r);

/**
 * tg_own_graft() - make a sock the relay's own socket's alone, in the release of the user's
 * @sk: the sock; takes lock_sock(), the spinlock of either family, and sk_callback_lock inside
 * @own: what tg_own_take() was given
 *
 * From then on its namespace may end without it, but waits in its end until it is closed.
 */
void tg_own_graft(struct sock *sk, struct socket *own);

/**
 * tg_own_regain() - have its namespace again, before it is closed
 * @sk: a grafted sock; takes lock_sock()
 *
 * A socket without its namespace sends nothing again once it is closed.
 *
 * Return: NULL, or the namespace if it has come to its end: for tg_own_gone(),
 * when the socket is closed.
 */
struct net *tg_own_regain(struct sock *sk);
void tg_own_gone(struct net *ending);

/*
 * lock_sock() for who must not wait on a holder, who may stay as long as it likes: at
 * once, or within a bounded time.  False: it is held, or belongs to no struct socket: then
 * it may be in an accept queue, where nobody may own it (inet_csk_listen_stop()).
 *
 * A keyed socket's holder may sleep on its own memory there.  A relay's socket is locked
 * by the module, and by sock_diag, for short; but before 6.7 no socket refuses
 * setsockopt(SOL_SOCKET), so that who still has a descriptor may sleep there as well.
 * The relay's works then try again by the clock, and leave the worker to others.
 */
bool tg_own_trylock(struct sock *sk, int subclass);
bool tg_own_lock_soon(struct sock *sk, int subclass);

/* --- ulp.c: how a TCP socket becomes a TLS socket, and stops being one ------------ */

/* Registered by module init, so that its name is taken. */
extern struct tcp_ulp_ops tg_ulp_ops;

/* Module init: the calls of a keyed socket, by those of its family. */
void tg_ulp_fill(struct tg_family *f);

/**
 * tg_ulp_install() - put keys on a connected TCP socket, and join it with another
 * @in: checked request, whose sockets the caller holds; the caller wipes it
 * @no: receives why not
 * @out: receives the session with a reference
 *
 * Process context.  All is one step under the locks of both sockets, of which
 * nobody else has either: tg_own_exclude().
 *
 * Return: 0, %-EOPNOTSUPP: not TCP; %-ENOTCONN: not ESTABLISHED or CLOSE_WAIT;
 * %-EEXIST: has a ULP; %-EBUSY: somebody else has it, or in use by sockmap or
 * another; %-ENODEV: the module is being unloaded; or what tg_relay_prepare(),
 * tg_relay_claim() or tg_session_new() return.  On error both sockets are as before.
 */
int tg_ulp_install(const struct tg_install *in, struct tg_refusal *no, struct tg_session **out);

/* The session of a socket of any kind, or NULL: locked, or in a read-side section. */
struct tg_session *tg_session_of(const struct sock *sk);

/* struct proto.close of a keyed socket, in a relay or not. */
void tg_close(struct sock *sk, long timeout);

#endif /* TG_OWN_H */
