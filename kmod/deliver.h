/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Delivery: a keyed socket goes into the accept queue of a server's listening socket, and an
 * unmodified server accepts it.  First what others call, then what grant.c (who may), listener.c
 * (to whom), inherit.c (what an accepted socket has of its listener) and deliver.c share.
 *
 *	waiting		SESSION_NEW has put keys on the socket and left it excluded, as a
 *			relay's: it can be closed, and nothing else
 *	queued		its last descriptor is closed, and it is in the queue.  It belongs to no
 *			struct socket, and nobody may own it: inet_csk_listen_stop() does not
 *			expect it.  So tg_own_trylock() refuses, and whoever locks otherwise
 *			needs a descriptor
 *	accepted	it is the server's, as any keyed socket is its holder's
 */
#ifndef TG_DELIVER_H
#define TG_DELIVER_H

#include <linux/in6.h>
#include <linux/workqueue.h>

#include "own.h"

/**
 * struct tg_end - an end of a TCP connection
 * @addr: an IPv4 address as a v4-mapped one
 * @port: its port
 */
struct tg_end {
	struct in6_addr addr;
	__be16 port;
};

/**
 * struct tg_grant - which connections may go to which server: what a delivery handle stands for
 * @netns: cookie of the network namespace of all of them
 * @gate: where they were accepted; the address may be the unspecified one
 * @server: where the server listens
 *
 * Does not change.  Whoever holds the handle may deliver.
 */
struct tg_grant {
	u64 netns;
	struct tg_end gate;
	struct tg_end server;
};

/**
 * struct tg_delivery - a session that is delivered, for as long as it lives
 * @server: where to
 * @local: the connection's ends, which TCP forgets when the server never accepts it
 * @peer: likewise
 * @state: enum tlsgate_delivery; under lock_sock(), read by anyone
 * @charged: the cgroup that accept() chose has been charged whole, see inherit.c
 * @backlog_rcv: the socket's own, while ours is in its place
 * @session: for @forget_work, with a reference
 * @sk: likewise
 * @forget_work: ends the session of a socket that was never accepted
 */
struct tg_delivery {
	struct tg_end server;
	struct tg_end local;
	struct tg_end peer;
	u8 state;
	bool charged;
	int (*backlog_rcv)(struct sock *sk, struct sk_buff *skb);
	struct tg_session *session;
	struct sock *sk;
	struct work_struct forget_work;
};

int tg_deliver_init(void);
/* No session is left but those that were never accepted. */
void tg_deliver_exit(void);

/* Module init: the calls of a queued socket, by those of a keyed one. */
void tg_deliver_fill(struct tg_family *f);

/**
 * tg_deliver_claim() - may the session's socket be delivered, and note where to
 * @in: request with a grant; its socket is locked and has its family's own calls
 * @s: session, not yet published; has a delivery from then on
 * @no: receives why not
 *
 * The listening socket that will be there when the descriptor is closed may be another: it
 * is looked at again then.
 *
 * Return: 0; %-EXDEV: the grant is of another namespace; %-EACCES: it is not for this socket;
 * %-EBUSY: the socket has a filter or time stamps, or has sent what it is to be told of;
 * %-EAGAIN: the server's backlog is full; %-ENOMEM; or what tg_listener_get() returns.
 */
int tg_deliver_claim(const struct tg_install *in, struct tg_session *s, struct tg_refusal *no);

/* Nobody has it yet but the module: it is waiting, or queued. */
bool tg_deliver_pending(const struct tg_session *s);

/* proto_ops.release of a waiting socket: it is delivered, or reset. */
int tg_deliver_release(struct socket *sock, struct tg_session *s);

/* tcp_ulp_ops.release: TCP forgets a socket that was never accepted; its spinlock is held. */
void tg_deliver_forget(struct sock *sk);

/* --- what its own files share ------------------------------------------------------ */

/* grant.c */

/* The ends of a socket, which is connected. */
struct tg_end tg_end_local(const struct sock *sk);
struct tg_end tg_end_peer(const struct sock *sk);

/**
 * tg_grant_file() - make a handle
 * @grant: what it stands for, copied
 *
 * Return: a file, or ERR_PTR: %-ENOMEM, or what anon_inode_getfile() returns.
 */
struct file *tg_grant_file(const struct tg_grant *grant);
/* What a handle stands for, while the caller holds the file; NULL: it is no handle. */
const struct tg_grant *tg_grant_of(const struct file *file);

/* listener.c */

/**
 * tg_listener_get() - the socket that listens at an address, if it can take a connection
 * @sk: the TLS socket: its peer chooses from a SO_REUSEPORT group
 * @f: its family
 * @server: the address
 * @no: receives why not
 *
 * Any context that may take spinlocks with softirqs off.
 *
 * Return: the listening socket with a reference, or ERR_PTR.  REFUSED_LISTENER, what its
 * configuration decides: %-EADDRNOTAVAIL: the address is not of this namespace;
 * %-EOPNOTSUPP.  REFUSED_SERVER, what may be otherwise soon: %-ECONNREFUSED: nobody listens.
 */
struct sock *tg_listener_get(struct sock *sk, const struct tg_family *f,
			     const struct tg_end *server, struct tg_refusal *no);

/* inherit.c: the socket is locked; the listening socket is not, as when TCP itself clones it. */

/* Takes lock_sock(), unlike the others. */
void tg_inherit_congestion(struct sock *sk, const struct tg_family *f, const struct sock *listener);
void tg_inherit(struct sock *sk, struct sock *listener);
/* Uncharges its cgroup, and belongs to none until it is accepted. */
void tg_inherit_leave_memcg(struct sock *sk, const struct tg_session *s);
/* After accept() has charged part of it: the rest.  Under the spinlock. */
void tg_inherit_enter_memcg(struct sock *sk, const struct tg_session *s);

#endif /* TG_DELIVER_H */
