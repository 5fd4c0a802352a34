/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A TLS socket joined with a plain one inside the kernel: first what others call, then what
 * relay.c (its life), move.c and direct.c (its data path), plain.c (its plain socket) and
 * limit.c (whom it counts for) share.
 */
#ifndef TG_RELAY_H
#define TG_RELAY_H

#include <linux/workqueue.h>

#include "own.h"

/**
 * struct tg_queue - where the relays of a user, or of a container, have their works
 * @key: in tg_queues, see tg_queue_key()
 * @refs: one for each relay that has it, one for a queued @free_work
 * @wq: the queue
 * @free_work: frees it if nobody has taken it meanwhile
 */
struct tg_queue {
	unsigned long key;
	refcount_t refs;
	struct workqueue_struct *wq;
	struct work_struct free_work;
};

/**
 * struct tg_payer - whom a relay counts for
 * @ns: the user namespace it was made in, with a reference
 * @uid: the user who made it
 */
struct tg_payer {
	struct user_namespace *ns;
	kuid_t uid;
};

enum tg_relay_flag {
	TG_RELAY_DEAD,		/* tg_relay_finish() is done */
	TG_RELAY_RETRY,		/* the clock is to kick the works */
	TG_RELAY_TLS_LEFT,	/* by the user or by the relay, see tg_relay_leave() */
	TG_RELAY_PLAIN_LEFT,
	TG_RELAY_PEER_RESET,	/* a UNIX far end was told, by whoever came first to the end */
};

/**
 * struct tg_relay - a TLS socket joined with a plain one
 * @ref: its life: see relay.c
 * @mem: its memory: one for its life, one for each socket, until it is closed
 * @rcu: callbacks of the plain socket look at it in read-side sections
 * @flags: enum tg_relay_flag
 * @session: pinned by @tls
 * @tls: a socket of the relay's own, which has the TLS sock and no file: see relay.c
 * @plain: the same with the plain sock, as AF_UNIX's calls want it
 * @file: of the user's AF_UNIX socket, or NULL: see tg_relay_drop_file(); clock_work and
 *	close_work, one after the other
 * @family: the plain socket's own calls
 * @payer: whose limits it counts against
 * @cred: whose it is: what a UNIX far end with SO_PASSCRED is told, see move.c
 * @queue: where its works run
 * @order: why the clock is to end it, enum tlsgate_reason: an operator's order, or
 *	what was put off; NONE: it is not
 * @idle_timeout: jiffies, 0 for none
 * @active: jiffies when data moved last
 * @open_work: TLS to plain
 * @seal_work: plain to TLS
 * @clock_work: looks whether @idle_timeout has passed, and who holds @file
 * @close_work: lets go of both sockets; queued with the last reference
 * @opened: plaintext the plain socket did not take yet; open_work, and in the end close_work
 * @delivering: there may be some, and nothing may overtake it; open_work writes,
 *	true under lock_sock() of the TLS socket
 * @sealed_last: plain to TLS was the direction that moved last; under the TLS
 *	socket's lock
 * @moved_last: how many bytes at once; the same lock
 * @open_done: close_notify was passed on as FIN; open_work writes
 * @seal_done: FIN was passed on as close_notify, and TCP has it; seal_work writes
 * @reset: the plain side is owed a reset; tg_relay_finish() alone
 * @plain_error: the plain socket is broken: what it had sent is still sealed,
 *	then the relay ends.  Set once, by open_work or a callback
 */
struct tg_relay {
	refcount_t ref;
	refcount_t mem;
	struct rcu_head rcu;
	unsigned long flags;
	struct tg_session *session;
	struct socket *tls;
	struct socket *plain;
	struct file *file;
	const struct tg_family *family;
	struct tg_payer payer;
	const struct cred *cred;
	struct tg_queue *queue;
	enum tlsgate_reason order;
	unsigned long idle_timeout;
	unsigned long active;
	struct work_struct open_work;
	struct work_struct seal_work;
	struct delayed_work clock_work;
	struct work_struct close_work;
	struct tg_frags opened;
	bool delivering;
	bool sealed_last;
	u32 moved_last;
	bool open_done;
	bool seal_done;
	bool reset;
	bool plain_error;
};

int tg_relay_init(void);
void tg_relay_exit(void);

/**
 * tg_relay_prepare() - check and charge a relay that is to be started
 * @in: request, whose TCP socket has a session or is about to get one; plain is to be a
 *	connected TCP or UNIX stream socket, same namespace
 * @no: receives why not
 *
 * Process context.
 *
 * Return: the relay, for tg_relay_claim() and tg_relay_join(), or for tg_relay_discard(),
 * or ERR_PTR: %-EOPNOTSUPP: kind of socket; %-ENOTCONN: not connected; %-EXDEV:
 * namespace; %-EBUSY: in a relay or otherwise in use; %-ELOOP: the other end of
 * the TCP socket; %-EDQUOT: the user's limit; %-ENOMEM.
 */
struct tg_relay *tg_relay_prepare(const struct tg_install *in, struct tg_refusal *no);
void tg_relay_discard(struct tg_relay *r);

/*
 * The two halves of joining, both sockets locked by tg_own_lock().  The first
 * claims the plain socket and makes both ours alone, tg_own_exclude(), or says why not.
 * The second cannot fail: takes both.
 */
int tg_relay_claim(struct tg_relay *r, const struct tg_install *in, struct tg_refusal *no);
void tg_relay_join(struct tg_relay *r, const struct tg_install *in, struct tg_session *s);

/**
 * tg_relay_start() - join a session's socket with a plain one
 * @in: request; the caller holds its sockets, and so the session
 * @no: receives why not
 *
 * Process context.
 *
 * Return: 0; %-ENOTCONN: the session has ended; %-EBUSY: it has a relay; or what
 * tg_relay_prepare(), tg_own_lock() and tg_relay_claim() return.  Then both sockets are as
 * before.
 */
int tg_relay_start(const struct tg_install *in, struct tg_refusal *no);

/*
 * The plain socket, with a reference to sock_put(), and the time-out in ms, 0 for none;
 * NULL if @s has no relay.  Its socket may be locked or not.
 */
struct sock *tg_relay_info(struct tg_session *s, u32 *idle_timeout);
/* 0, or -ENOENT if @s has no relay. Process context. */
int tg_relay_set_timeout(struct tg_session *s, u32 idle_timeout);

/*
 * There is work for a direction, @work: &r->open_work or &r->seal_work.  Any context; the
 * caller is in a read-side section or knows that the relay lives.
 */
void tg_relay_kick(struct tg_relay *r, struct work_struct *work);
/*
 * The same, of data_ready: moves what has come in on @from here and now, if it can
 * (direct.c).  @seal: that is the plain socket.
 */
void tg_relay_ready(struct tg_relay *r, struct sock *from, bool seal);

/**
 * tg_relay_end() - tear a relay down on an operator's order
 * @s: session; the caller holds a reference
 * @reason: why; ADMIN_RESET resets both sides
 *
 * Process context.  The relay's own queue does it, since a socket's lock may be held
 * for long (tg_own_lock_soon()); this waits for it for a bounded time, and the relay
 * ends in any case.
 *
 * Return: 0, or %-ENOENT: @s has no relay.
 */
int tg_relay_end(struct tg_session *s, enum tlsgate_reason reason);

/* Ends every relay of a namespace that ends, and waits until their sockets are gone. */
void tg_relay_net_exit(struct net *net);

/*
 * The release of an owned socket: of the user's, when its last descriptor is closed, whose sock
 * then belongs to the relay's own; and of that one, which closes the sock.
 */
int tg_relay_release(struct socket *sock);

/* --- what its own files share ------------------------------------------------------ */

/*
 * limit.c.  How many relays a user may have, and whose workers move them.  A relay counts
 * for the user that made it and for the owner of each user namespace which that
 * user is in, up to the initial one, on the whole machine: neither namespaces nor
 * subordinate ids multiply the limit.
 */

/**
 * tg_relay_charge() - count one relay more for the calling user
 * @payer: filled, for tg_relay_uncharge()
 *
 * The limit is the caller's RLIMIT_NOFILE, as for descriptors in flight over
 * AF_UNIX: what outlives the descriptors is bounded by their limit.  Who has
 * CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the initial user namespace has none,
 * and the machine's root owns namespaces without one.  Process context.
 *
 * Return: false if a limit is reached, or memory is short; then nothing counts.
 */
bool tg_relay_charge(struct tg_payer *payer);
/* The reverse, once.  Process context. */
void tg_relay_uncharge(struct tg_payer *payer);

/**
 * tg_queue_get() - the queue for the works of a relay that is charged
 * @payer: whom it is charged to
 *
 * Each user has one, and each container that the machine's root has made, so
 * that nobody waits for another's works.  Process context.
 *
 * Return: the queue, for tg_queue_put(), or NULL: no memory.
 */
struct tg_queue *tg_queue_get(const struct tg_payer *payer);
/* None of its works is queued; the last one may still be closing a file.  Any context. */
void tg_queue_put(struct tg_queue *q);

/* No relay is left. */
int tg_limit_init(void);
void tg_limit_exit(void);

static inline bool tg_relay_dead(const struct tg_relay *r)
{
	return test_bit(TG_RELAY_DEAD, &r->flags);
}

/**
 * tg_relay_finish() - the end, whatever it comes of
 * @r: relay; the caller holds a reference, which stays the caller's
 * @reason: why; the first caller's counts
 *
 * Process context, no lock held.  What cannot be done now, since a socket's lock is
 * held for long, the clock does later.
 */
void tg_relay_finish(struct tg_relay *r, enum tlsgate_reason reason);
/* Any context. */
void tg_relay_put(struct tg_relay *r);

/* Nothing else will kick its works: the clock is to, in a while. */
void tg_relay_retry(struct tg_relay *r);

/* move.c.  Each has a reference, which it drops. */
void tg_relay_open_work(struct work_struct *work);
void tg_relay_seal_work(struct work_struct *work);

/* plain.c */

/* 0, or what tg_relay_prepare() returns for the plain socket.  May be locked or not. */
int tg_plain_check(const struct socket *tls, const struct socket *plain, struct tg_refusal *no);
/* Has data, or its end has come; always for AF_UNIX, whose senders lock otherwise.  Locked. */
bool tg_plain_waits(const struct sock *sk);
/*
 * What the far end of a UNIX socket had not read when it was closed, as long as that is in
 * its queue.  If there was something, the end is a reset, as in TCP; state_change sees it
 * before the queue is emptied.  sk_err tells of it as well, but a holder of a descriptor can
 * take that by SO_ERROR, which cannot be refused.  0: nothing, or no more; -1: the far end
 * is open, or this is TCP.  Takes AF_UNIX's locks; process context, but any context for TCP.
 */
long tg_plain_unread(struct sock *sk);
/* For tg_own_attach(): they kick the relay that has claimed the socket. */
extern const struct tg_callbacks tg_plain_callbacks;
/* FIN.  Takes lock_sock(), as the next does.  False: not now, see tg_own_lock_soon(). */
bool tg_plain_shutdown(struct tg_relay *r);
/* A reset is the only honest end of a stream that lacks its tail. */
bool tg_plain_reset(struct tg_relay *r);

#endif /* TG_RELAY_H */
