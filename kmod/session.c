// SPDX-License-Identifier: GPL-2.0-only
/* A session's life, its end, and its namespace. */
#include <linux/module.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "access.h"
#include "datapath.h"
#include "deliver.h"
#include "netlink.h"
#include "own.h"
#include "relay.h"
#include "stats.h"

unsigned int tg_net_id;

/* Live sessions of all namespaces by id, so that the machine's administrator reaches each. */
static DEFINE_XARRAY_ALLOC1(tg_ids);
static u32 tg_next_id;		/* where the search for a free one begins; under its xa_lock */

/* Of their own size: the next larger kmalloc() would double what an idle one costs. */
static struct kmem_cache *tg_sessions;

static uint sessions_max = 1 << 20;
module_param(sessions_max, uint, 0644);
MODULE_PARM_DESC(sessions_max, "most sessions in one network namespace");

/* Transforms and request, which the crypto layer does not account: about what they take. */
#define TG_SESSION_COST		3072

struct tg_session *tg_session_from_sk(const struct sock *sk)
{
	/* Locked, or in a read-side section: both keep it. */
	return rcu_dereference_check(inet_csk(sk)->icsk_ulp_data, true);
}

static void tg_session_free_rcu(struct rcu_head *rcu)
{
	kmem_cache_free(tg_sessions, container_of(rcu, struct tg_session, rcu));
}

static void tg_session_free(struct tg_session *s)
{
	/* What was on its way went with the socket: tg_session_empty(). */
	kvfree(s->rx.stash);
	kfree_sensitive(s->rx.message);
	kfree(s->deliver);
	tg_dir_free(&s->tx.dir);
	tg_dir_free(&s->rx.dir);
	memzero_explicit(s->nonce, sizeof(s->nonce));
	call_rcu(&s->rcu, tg_session_free_rcu);
}

void tg_session_put(struct tg_session *s)
{
	if (refcount_dec_and_test(&s->ref))
		tg_session_free(s);
}

void tg_session_later(struct tg_session *s, struct delayed_work *work, unsigned long delay)
{
	refcount_inc(&s->ref);
	if (!queue_delayed_work(system_percpu_wq, work, delay))
		refcount_dec(&s->ref);
}

static int tg_session_take_pending(struct tg_rx *rx, const struct tg_install *in)
{
	u32 len = in->rx_pending ? nla_len(in->rx_pending) : 0;

	if (!len)
		return 0;
	rx->stash = kvmalloc(len, GFP_KERNEL);
	if (!rx->stash)
		return -ENOMEM;
	memcpy(rx->stash, nla_data(in->rx_pending), len);
	rx->stash_size = len;
	rx->stash_len = len;
	return 0;
}

/* Takes an id, under which there is nothing to be found yet. */
static int tg_session_number(struct tg_session *s)
{
	int err = xa_alloc_cyclic(&tg_ids, &s->id, NULL, XA_LIMIT(1, INT_MAX), &tg_next_id,
				  GFP_KERNEL);

	return err < 0 ? -ENOMEM : 0;
}

struct tg_session *tg_session_new(const struct tg_install *in, struct net *net,
				  struct tg_refusal *no)
{
	struct tg_net *tn = tg_net(net);
	struct tg_session *s;
	int err;

	if (atomic_inc_return(&tn->count) > READ_ONCE(sessions_max)) {
		err = tg_refuse(no, TLSGATE_REASON_REFUSED_LIMIT, 0, -ENOSPC,
				"this namespace has reached the limit of sessions: raise sessions_max");
		goto err_count;
	}
	err = tg_refuse(no, TLSGATE_REASON_NO_MEMORY, 0, -ENOMEM, "no memory for a session");
	s = kmem_cache_zalloc(tg_sessions, GFP_KERNEL);
	if (!s)
		goto err_count;
	refcount_set(&s->ref, 1);
	spin_lock_init(&s->sk_lock);
	INIT_DELAYED_WORK(&s->push_work, tg_tx_push_work);
	INIT_DELAYED_WORK(&s->page_work, tg_frags_page_work);
	s->cipher = in->cipher;
	s->netns = net->ns.inum;
	s->role = in->role;
	if (in->label)
		s->label_len = nla_memcpy(s->label, in->label, sizeof(s->label));
	s->uid = current_uid();
	s->created = get_jiffies_64();
	s->active = s->created;
	s->alert = TG_NO_ALERT;
	s->tx.record_size = in->record_size ?: TLSGATE_RECORD_SIZE_MAX;
	s->tx.padding = in->padding;

	err = tg_dir_init(&s->tx.dir, s->cipher, &in->tx) ?:
	      tg_dir_init(&s->rx.dir, s->cipher, &in->rx) ?:
	      tg_session_take_pending(&s->rx, in) ?:
	      tg_session_number(s);
	if (err) {
		if (err != -ENOMEM)
			tg_refuse(no, TLSGATE_REASON_REFUSED_SUITE, TLSGATE_A_SUITE, 0,
				  "no crypto driver serves the suite: load one");
		tg_session_free(s);
		goto err_count;
	}
	return s;

err_count:
	atomic_dec(&tn->count);
	return ERR_PTR(err);
}

void tg_session_discard(struct tg_session *s, struct net *net)
{
	xa_erase(&tg_ids, s->id);
	atomic_dec(&tg_net(net)->count);
	tg_session_put(s);
}

void tg_session_publish(struct tg_session *s, struct sock *sk)
{
	/* Before it can be found: finders go through it to the socket. */
	s->sk = sk;
	/* In the place that its id has: this takes no memory. */
	xa_store(&tg_ids, s->id, s, GFP_KERNEL);
	tg_stat_inc(sock_net(sk), TG_STAT_SESSIONS_OPENED);
}

void tg_session_unpublish(struct tg_session *s, struct sock *sk)
{
	struct net *net = sock_net(sk);

	/* A relay's end comes before its sockets are closed. */
	if (!s->sk)
		return;
	/* Erased first: who hears of the end finds it no more. */
	xa_erase(&tg_ids, s->id);
	tg_event_session(s, TLSGATE_CMD_NTF_SESSION_CLOSED);
	spin_lock_bh(&s->sk_lock);
	s->sk = NULL;
	spin_unlock_bh(&s->sk_lock);
	atomic_dec(&tg_net(net)->count);
	tg_stat_inc(net, TG_STAT_SESSIONS_CLOSED);
	tg_stat_reason(net, s->reason);
}

/* Socket locked.  open_work takes from what its relay holds at the same time. */
static u32 tg_session_held(const struct sock *sk, const struct tg_session *s)
{
	u32 held = TG_SESSION_COST + s->rx.plain.bytes + s->rx.stash_size + s->tx.pending.bytes;

	/* The page that the next records will be in. */
	if (sk->sk_frag.page)
		held += sk->sk_frag.size;
	if (s->tx.held)
		held += TLSGATE_RECORD_SIZE_MAX;
	if (s->rx.message)
		held += TLSGATE_MESSAGE_MAX;
	return s->relay ? held + READ_ONCE(s->relay->opened.bytes) : held;
}

bool tg_session_charge(struct sock *sk, struct tg_session *s)
{
	u32 held = tg_session_held(sk, s);

	if (held > s->charged && !tg_mem_schedule(sk, held - s->charged))
		return false;
	if (held > s->charged)
		sk_mem_charge(sk, held - s->charged);
	else
		sk_mem_uncharge(sk, s->charged - held);
	s->charged = held;
	return true;
}

void tg_session_empty(struct sock *sk, struct tg_session *s)
{
	tg_frags_trim(&s->tx.pending, 0, NULL);
	tg_frags_trim(&s->rx.plain, 0, NULL);
	kfree(s->tx.held);
	s->tx.held = NULL;
	s->tx.held_len = 0;
	kvfree(s->rx.stash);
	s->rx.stash = NULL;
	s->rx.stash_size = 0;
	if (sk->sk_frag.page)
		put_page(sk->sk_frag.page);
	sk->sk_frag.page = NULL;
	sk_mem_uncharge(sk, s->charged);
	s->charged = 0;
}

struct tg_session *tg_session_find(u32 id)
{
	struct tg_session *s;

	rcu_read_lock();
	s = xa_load(&tg_ids, id);
	if (s && !refcount_inc_not_zero(&s->ref))
		s = NULL;
	rcu_read_unlock();
	return s;
}

struct tg_session *tg_session_next(u32 netns, u32 *id)
{
	unsigned long index = *id;
	struct tg_session *s;
	bool taken;

	for (;; index++) {
		rcu_read_lock();
		s = xa_find(&tg_ids, &index, INT_MAX, XA_PRESENT);
		taken = s && (!netns || s->netns == netns) && refcount_inc_not_zero(&s->ref);
		rcu_read_unlock();
		*id = index;
		if (taken || !s)
			return s;
		/* There may be many of other namespaces. */
		cond_resched();
	}
}

struct sock *tg_session_hold_sk(struct tg_session *s)
{
	struct sock *sk;

	spin_lock_bh(&s->sk_lock);
	sk = s->sk;
	if (sk && !maybe_get_net(sock_net(sk)))
		sk = NULL;
	if (sk)
		sock_hold(sk);
	spin_unlock_bh(&s->sk_lock);
	return sk;
}

void tg_session_drop_sk(struct sock *sk)
{
	struct net *net = sock_net(sk);

	sock_put(sk);
	put_net(net);
}

/* For an order about it: its socket, locked, or ERR_PTR: -ENOTCONN, -EBUSY, -EINPROGRESS. */
static struct sock *tg_session_lock(struct tg_session *s)
{
	struct sock *sk = tg_session_hold_sk(s);
	int err = -EBUSY;

	if (!sk)
		return ERR_PTR(-ENOTCONN);
	if (tg_deliver_pending(s)) {
		tg_session_drop_sk(sk);
		return ERR_PTR(-EINPROGRESS);
	}
	if (tg_own_lock_soon(sk, 0)) {
		if (tg_session_from_sk(sk) == s)
			return sk;
		release_sock(sk);
		err = -ENOTCONN;
	}
	tg_session_drop_sk(sk);
	return ERR_PTR(err);
}

static void tg_session_unlock(struct sock *sk)
{
	release_sock(sk);
	tg_session_drop_sk(sk);
}

u8 tg_session_state(const struct tg_session *s)
{
	if (READ_ONCE(s->error) || (s->tx.closed && s->rx.closed))
		return TLSGATE_STATE_CLOSED;
	if (s->tx.closed)
		return TLSGATE_STATE_TX_CLOSED;
	return s->rx.closed ? TLSGATE_STATE_RX_CLOSED : TLSGATE_STATE_ESTABLISHED;
}

int tg_session_fail(struct sock *sk, struct tg_session *s, enum tlsgate_reason reason)
{
	const struct tg_reason *f = &tg_reasons[reason];

	if (s->error)
		return s->error;
	/* An operator's order came first and is why the rest happened. */
	if (!s->reason)
		s->reason = reason;
	WRITE_ONCE(s->error, -f->error);
	tg_rx_drop_held(&s->rx);
	/* TCP may know better than "reset": a time-out, an unreachable host. */
	if (reason == TLSGATE_REASON_PEER_RESET && sk->sk_err)
		WRITE_ONCE(s->error, -sk->sk_err);

	if (f->alert != TG_NO_ALERT && !s->tx.closed)
		tg_tx_alert(sk, s, TG_ALERT_FATAL, f->alert);
	s->tx.held_len = 0;
	s->tx.closed = true;
	s->tx.shutdown = true;
	tg_tx_push(sk, s, 0);

	WRITE_ONCE(sk->sk_err, -s->error);
	WRITE_ONCE(s->rx.ready, true);
	sk_error_report(sk);
	return s->error;
}

void tg_session_reset(struct sock *sk, struct tg_session *s, enum tlsgate_reason reason)
{
	__be16 port = inet_sk(sk)->inet_dport;

	/* Closed first, so that failing sends nothing before the RST. */
	s->tx.closed = true;
	tg_frags_trim(&s->tx.pending, 0, NULL);
	/* The event of the end says whose it was: both addresses stay. */
	sk->sk_userlocks |= SOCK_BINDADDR_LOCK;
	s->family->base->disconnect(sk, 0);
	inet_sk(sk)->inet_dport = port;
	tg_session_fail(sk, s, reason);
}

int tg_session_close(struct tg_session *s, u8 how)
{
	bool alert = how == TLSGATE_CLOSE_ALERT;
	struct sock *sk;
	int err = tg_relay_end(s, alert ? TLSGATE_REASON_ADMIN_CLOSE : TLSGATE_REASON_ADMIN_RESET);

	if (err != -ENOENT)
		return err;
	sk = tg_session_lock(s);
	if (IS_ERR(sk))
		return PTR_ERR(sk);
	err = 0;
	/* Its holder is not asked, so that this may be in mid-stream: no end in order. */
	if (s->error || (s->tx.closed && alert))
		err = -ENOTCONN;
	else if (s->relay)	/* joined a moment ago */
		err = -EBUSY;
	else if (alert)
		tg_session_fail(sk, s, TLSGATE_REASON_ADMIN_CLOSE);
	else
		tg_session_reset(sk, s, TLSGATE_REASON_ADMIN_RESET);
	tg_session_unlock(sk);
	return err;
}

int tg_session_rekey(struct tg_session *s)
{
	struct sock *sk = tg_session_lock(s);
	int err = -ENOTCONN;

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	if (s->cipher->version != TLSGATE_TLS_1_3)
		err = -EOPNOTSUPP;
	else if (!s->error && !s->tx.closed)
		err = tg_key_update_send(sk, s);
	if (!err)
		tg_tx_push(sk, s, 0);
	tg_session_unlock(sk);
	return err;
}

int tg_session_set(struct tg_session *s, int record_size, int padding)
{
	struct sock *sk = tg_session_lock(s);

	if (IS_ERR(sk))
		return PTR_ERR(sk);
	if (record_size >= 0)
		s->tx.record_size = record_size ?: TLSGATE_RECORD_SIZE_MAX;
	if (padding >= 0)
		s->tx.padding = padding;
	tg_session_unlock(sk);
	return 0;
}

static int __net_init tg_net_init(struct net *net)
{
	struct tg_net *tn = tg_net(net);
	int err = tg_stats_net_init(net, tn);

	if (err)
		return err;
	err = tg_access_net_init(net, tn);
	if (err)
		tg_stats_net_exit(net, tn);
	return err;
}

/* Sockets that are not a relay's hold their namespace, so no session is left by now. */
static void __net_exit tg_net_exit(struct net *net)
{
	struct tg_net *tn = tg_net(net);

	tg_access_net_exit(tn);
	tg_stats_net_exit(net, tn);
}

static struct pernet_operations tg_net_ops = {
	.init = tg_net_init,
	/* While its devices are there: peers elsewhere get their RST. */
	.pre_exit = tg_relay_net_exit,
	.exit = tg_net_exit,
	.id = &tg_net_id,
	.size = sizeof(struct tg_net),
};

int __init tg_session_init(void)
{
	int err;

	tg_sessions = KMEM_CACHE(tg_session, SLAB_ACCOUNT);
	if (!tg_sessions)
		return -ENOMEM;
	err = register_pernet_subsys(&tg_net_ops);
	if (err)
		kmem_cache_destroy(tg_sessions);
	return err;
}

void tg_session_exit(void)
{
	unregister_pernet_subsys(&tg_net_ops);
	/* Freed sessions may still wait for their grace period. */
	rcu_barrier();
	kmem_cache_destroy(tg_sessions);
}
