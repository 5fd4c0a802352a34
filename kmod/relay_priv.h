/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What relay.c (its life), move.c and direct.c (its data path) and plain.c (its
 * plain socket) share.
 */
#ifndef TG_RELAY_PRIV_H
#define TG_RELAY_PRIV_H

#include <linux/net.h>
#include <linux/workqueue.h>

#include "limit.h"
#include "own.h"
#include "relay.h"

enum tg_relay_flag {
	TG_RELAY_DEAD,		/* tg_relay_finish() is done */
	TG_RELAY_RETRY,		/* the clock is to kick the works */
};

/**
 * struct tg_relay - a TLS socket joined with a plain one
 * @ref: its life: see relay.c
 * @mem: its memory: one for its life, one for the plain socket, which is closed last
 * @rcu: callbacks of the plain socket look at it in read-side sections
 * @flags: enum tg_relay_flag
 * @session: pinned by @tls
 * @tls: the TLS socket; its file is held
 * @plain: the plain socket; its file is held
 * @family: the plain socket's own calls
 * @payer: whose limits it counts against
 * @queue: where its works run
 * @order: why the clock is to end it, enum tlsgate_reason: an operator's order, or
 *	what was put off; NONE: it is not
 * @idle_timeout: jiffies, 0 for none
 * @active: jiffies when data moved last
 * @open_work: TLS to plain
 * @seal_work: plain to TLS
 * @clock_work: looks whether @idle_timeout has passed, and who holds the sockets
 * @opened: plaintext the plain socket did not take yet; open_work only
 * @delivering: there may be some, and nothing may overtake it; open_work writes,
 *	true under lock_sock() of the TLS socket
 * @sealed_last: plain to TLS was the direction that moved last; under the TLS
 *	socket's lock
 * @moved_last: how many bytes at once; the same lock
 * @open_done: close_notify was passed on as FIN; open_work writes
 * @seal_done: FIN was passed on as close_notify, and TCP has it; seal_work writes
 * @reset: the plain side is owed a reset; tg_relay_finish() alone
 * @plain_error: the plain socket is broken: what it had sent is still sealed,
 *	then the relay ends
 */
struct tg_relay {
	refcount_t ref;
	refcount_t mem;
	struct rcu_head rcu;
	unsigned long flags;
	struct tg_session *session;
	struct socket *tls;
	struct socket *plain;
	const struct tg_family *family;
	struct tg_payer payer;
	struct tg_queue *queue;
	enum tlsgate_reason order;
	unsigned long idle_timeout;
	unsigned long active;
	struct work_struct open_work;
	struct work_struct seal_work;
	struct delayed_work clock_work;
	struct tg_frags opened;
	bool delivering;
	bool sealed_last;
	u32 moved_last;
	bool open_done;
	bool seal_done;
	bool reset;
	bool plain_error;
};

static inline bool tg_relay_dead(const struct tg_relay *r)
{
	return test_bit(TG_RELAY_DEAD, &r->flags);
}

/**
 * tg_relay_finish() - the end, whatever it comes of
 * @r: relay; the caller holds a reference, which stays the caller's
 * @reason: why; the first caller's counts
 *
 * Process context, no lock held.  What a call that was entered before the hand-over
 * keeps from being done, since it holds a socket's lock, the clock does later.
 */
void tg_relay_finish(struct tg_relay *r, enum tlsgate_reason reason);
void tg_relay_put(struct tg_relay *r);
/* The same at the end of a work. */
void tg_relay_put_work(struct tg_relay *r);
/* Drops a reference on its memory alone. */
void tg_relay_free(struct tg_relay *r);

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
/* Takes the plain socket, claimed and locked, for good; see own.h. */
void tg_plain_attach(struct tg_relay *r, struct sock *sk);
/* FIN.  Takes lock_sock(), as the next does.  False: not now, see tg_own_lock_work(). */
bool tg_plain_shutdown(struct tg_relay *r);
/* A reset is the only honest end of a stream that lacks its tail. */
bool tg_plain_reset(struct tg_relay *r);

#endif /* TG_RELAY_PRIV_H */
