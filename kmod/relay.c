// SPDX-License-Identifier: GPL-2.0-only
/*
 * Relay: a TLS socket and a plain stream socket joined in the kernel.  Here is its life; the
 * data path is in move.c, the plain socket's side in plain.c.
 *
 * One reference is the relay's own and dropped by tg_relay_finish().  Each queued work holds
 * one, and so does the armed timer.  Whoever drops the last one, in whatever context, queues
 * close_work.
 *
 * A relay holds no file, so that no close of a program waits for the relay, nor the relay for
 * somebody's epoll.  Each of its socks has two owners: the user's struct socket, until the last
 * descriptor is closed, and one of the relay's own, to which the sock is then grafted.  The
 * later of the two closes it.  The relay's memory stays until both socks are closed, since their
 * calls and callbacks look at it.
 */
#include <linux/cred.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/wait_bit.h>
#include <net/tcp.h>

#include "datapath.h"
#include "deliver.h"
#include "relay.h"
#include "stats.h"
#include "trace.h"

/* How long an operator waits for the end. */
#define TG_RELAY_END_TRIES	100	/* milliseconds, about */
/* Memory was short, or somebody held a lock (before 6.7): try again. */
#define TG_RELAY_RETRY_DELAY	(HZ / 20)
/* How often a UNIX socket is looked at: who else holds it, what waits in it. */
#define TG_RELAY_LOOK		HZ
/* How long descriptors may wait in a UNIX socket of which nothing moves. */
#define TG_RELAY_FDS_TIMEOUT	(10 * HZ)

/* Of their own size, as sessions are. */
static struct kmem_cache *tg_relays;
/* Relays with memory: one may still drop its last reference when its sockets are gone. */
static atomic_t tg_relays_left;

/* --- references ------------------------------------------------------------ */

static void tg_relay_dealloc(struct tg_relay *r)
{
	put_cred(r->cred);
	kmem_cache_free(tg_relays, r);
}

static void tg_relay_free_rcu(struct rcu_head *rcu)
{
	struct tg_relay *r = container_of(rcu, struct tg_relay, rcu);

	tg_queue_put(r->queue);
	tg_relay_dealloc(r);
	if (atomic_dec_and_test(&tg_relays_left))
		wake_up_var(&tg_relays_left);
}

static void tg_relay_free(struct tg_relay *r)
{
	if (refcount_dec_and_test(&r->mem))
		call_rcu(&r->rcu, tg_relay_free_rcu);
}

/* The user's struct socket is gone, or the relay is at its end: whichever is later closes. */
static void tg_relay_leave(struct tg_relay *r, enum tg_relay_flag left, struct socket *own)
{
	if (test_and_set_bit(left, &r->flags))
		sock_release(own);
}

int tg_relay_release(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct tg_session *s = tg_session_of(sk);
	struct net *ending;
	struct socket *own;
	struct tg_relay *r;
	int err;

	rcu_read_lock();
	r = rcu_dereference_sk_user_data(sk);
	rcu_read_unlock();
	own = s ? r->tls : r->plain;
	if (sock != own) {
		tg_own_graft(sk, own);
		tg_relay_leave(r, s ? TG_RELAY_TLS_LEFT : TG_RELAY_PLAIN_LEFT, own);
		return 0;
	}
	ending = tg_own_regain(sk);
	lock_sock(sk);
	if (s)	/* for tg_close() */
		WRITE_ONCE(sk->sk_prot, (struct proto *)&s->family->keyed);
	else
		tg_own_detach(sk, r->family);
	release_sock(sk);
	err = (s ? s->family : r->family)->base_ops->release(own);
	tg_own_gone(ending);
	tg_relay_free(r);
	return err;
}

/* On the user's own queue, where nobody else's closes wait. */
static void tg_relay_close_work(struct work_struct *work)
{
	struct tg_relay *r = container_of(work, struct tg_relay, close_work);
	struct file *file = r->file;

	tg_frags_trim(&r->opened, 0, NULL);
	tg_relay_leave(r, TG_RELAY_PLAIN_LEFT, r->plain);
	tg_relay_leave(r, TG_RELAY_TLS_LEFT, r->tls);
	tg_relay_free(r);
	/* Last, since it may wait for an epoll of the holder's. */
	if (file)
		__fput_sync(file);
}

void tg_relay_put(struct tg_relay *r)
{
	if (refcount_dec_and_test(&r->ref))
		queue_work(r->queue->wq, &r->close_work);
}

void tg_relay_kick(struct tg_relay *r, struct work_struct *work)
{
	if (tg_relay_dead(r) || !refcount_inc_not_zero(&r->ref))
		return;
	if (!queue_work(r->queue->wq, work))
		tg_relay_put(r);
}

/*
 * Arms the clock, with a reference of its own.  The caller holds one.  @anew: even if it
 * is armed already, as it may be when it runs, by somebody who has just asked for something.
 */
static void tg_relay_arm(struct tg_relay *r, unsigned long delay, bool anew)
{
	refcount_inc(&r->ref);
	if (anew ? mod_delayed_work(r->queue->wq, &r->clock_work, delay)
		 : !queue_delayed_work(r->queue->wq, &r->clock_work, delay))
		tg_relay_put(r);
	/* tg_relay_finish() may have looked for it just before. */
	if (tg_relay_dead(r) && cancel_delayed_work(&r->clock_work))
		tg_relay_put(r);
}

void tg_relay_retry(struct tg_relay *r)
{
	set_bit(TG_RELAY_RETRY, &r->flags);
	tg_relay_arm(r, TG_RELAY_RETRY_DELAY, true);
}

/* --- the end ---------------------------------------------------------------- */

/* TLS socket locked.  True if the plain side must not see a clean end. */
static bool tg_relay_end_tls(struct tg_relay *r, struct sock *sk, enum tlsgate_reason reason)
{
	struct tg_session *s = r->session;

	/* Both sides have had their ends. */
	if (!tg_reasons[reason].error) {
		if (!s->reason)
			s->reason = reason;
		return false;
	}
	if (reason == TLSGATE_REASON_ADMIN_CLOSE)
		tg_session_fail(sk, s, reason);
	else if (!s->error)
		tg_session_reset(sk, s, reason);
	return true;
}

/* Once; whoever comes later finds it done.  False: not now. */
static bool tg_relay_finish_tls(struct tg_relay *r, enum tlsgate_reason reason)
{
	struct tg_session *s = r->session;
	struct sock *tls = r->tls->sk;

	if (!tg_own_lock_soon(tls, 0))
		return false;
	if (s->relay) {
		r->reset = tg_relay_end_tls(r, tls, reason);
		/* While it can still be told who was joined with whom. */
		tg_session_unpublish(s, tls);
		spin_lock_bh(&s->sk_lock);
		s->relay = NULL;
		spin_unlock_bh(&s->sk_lock);
		tg_session_charge(tls, s);
	}
	release_sock(tls);
	return true;
}

void tg_relay_finish(struct tg_relay *r, enum tlsgate_reason reason)
{
	if (!tg_relay_finish_tls(r, reason) || (r->reset && !tg_plain_reset(r))) {
		cmpxchg(&r->order, TLSGATE_REASON_NONE, reason);
		tg_relay_arm(r, TG_RELAY_RETRY_DELAY, true);
		return;
	}
	if (test_and_set_bit(TG_RELAY_DEAD, &r->flags))
		return;
	tg_relay_uncharge(&r->payer);
	tg_stat_inc(sock_net(r->tls->sk), TG_STAT_RELAYS_CLOSED);
	trace_tlsgate_relay_closed(r->session, r->session->reason);
	if (cancel_delayed_work(&r->clock_work))
		tg_relay_put(r);
	tg_relay_put(r);
}

/* --- the clock: idle time-out, and who else holds a UNIX socket -------------------- */

/*
 * AF_UNIX's garbage collector takes a socket for unreachable when all references to its file
 * wait in sockets, and then empties its queue under a reader that has no reference.  So the
 * relay has a reference until nobody else has one or watches the file: after that none can come
 * any more.
 */
static void tg_relay_drop_file(struct tg_relay *r)
{
	if (!r->file || file_count(r->file) > 1 || tg_file_watched(r->file))
		return;
	__fput_sync(r->file);
	r->file = NULL;
}

/*
 * A UNIX socket that does not move may hold descriptors of the relay's own far end and of the
 * TLS peer's: nobody else would end such a relay.
 */
static bool tg_relay_holds_itself(const struct tg_relay *r, unsigned long idle)
{
	return !tg_is_tcp(r->plain->sk) && idle >= TG_RELAY_FDS_TIMEOUT &&
	       tg_unix_fds(r->plain->sk);
}

/* Arms the clock for when there is something to look at again, if ever. */
static void tg_relay_look_later(struct tg_relay *r, unsigned long idle)
{
	unsigned long timeout = READ_ONCE(r->idle_timeout);
	unsigned long next = timeout ? timeout - min(idle, timeout - 1) : 0;

	if (!tg_is_tcp(r->plain->sk))
		next = min_not_zero(next, (unsigned long)TG_RELAY_LOOK);
	if (next)
		tg_relay_arm(r, next, false);
}

static void tg_relay_clock_work(struct work_struct *work)
{
	struct tg_relay *r = container_of(to_delayed_work(work), struct tg_relay, clock_work);
	enum tlsgate_reason order = READ_ONCE(r->order);
	unsigned long timeout = READ_ONCE(r->idle_timeout);
	unsigned long idle = jiffies - READ_ONCE(r->active);

	if (tg_relay_dead(r)) {
		tg_relay_put(r);
		return;
	}
	if (test_and_clear_bit(TG_RELAY_RETRY, &r->flags)) {
		tg_relay_kick(r, &r->open_work);
		tg_relay_kick(r, &r->seal_work);
	}
	if (order) {
		tg_relay_finish(r, order);
	} else if (timeout && idle >= timeout) {
		tg_relay_finish(r, TLSGATE_REASON_IDLE_TIMEOUT);
	} else if (tg_relay_holds_itself(r, idle)) {
		tg_relay_finish(r, TLSGATE_REASON_PLAIN_ERROR);
	} else if (READ_ONCE(r->seal_done) && !READ_ONCE(r->delivering) &&
		   !tg_plain_unread(r->plain->sk) && !READ_ONCE(r->plain_error)) {
		/*
		 * The far end of a UNIX socket is closed, in order (seal_work passes a reset
		 * on), and TLS has all that came from it: the relay now only holds the
		 * namespace.  TCP ends the TLS connection as for a program that closes it: the
		 * tail arrives, and a peer that goes on sending gets a reset.
		 */
		tg_relay_finish(r, TLSGATE_REASON_LOCAL_CLOSE);
	} else {
		tg_relay_drop_file(r);
		tg_relay_look_later(r, idle);
	}
	tg_relay_put(r);
}

static struct tg_relay *tg_relay_get(struct tg_session *s)
{
	struct tg_relay *r;

	spin_lock_bh(&s->sk_lock);
	r = s->relay;
	if (r && !refcount_inc_not_zero(&r->ref))
		r = NULL;
	spin_unlock_bh(&s->sk_lock);
	return r;
}

int tg_relay_set_timeout(struct tg_session *s, u32 idle_timeout)
{
	struct tg_relay *r = tg_relay_get(s);

	if (!r)
		return -ENOENT;
	WRITE_ONCE(r->idle_timeout, msecs_to_jiffies(idle_timeout));
	tg_relay_arm(r, 0, true);
	tg_relay_put(r);
	return 0;
}

struct sock *tg_relay_info(struct tg_session *s, u32 *idle_timeout)
{
	struct tg_relay *r = tg_relay_get(s);
	struct sock *plain;

	if (!r)
		return NULL;
	*idle_timeout = jiffies_to_msecs(READ_ONCE(r->idle_timeout));
	plain = r->plain->sk;
	sock_hold(plain);
	tg_relay_put(r);
	return plain;
}

int tg_relay_end(struct tg_session *s, enum tlsgate_reason reason)
{
	struct tg_relay *r = tg_relay_get(s);
	unsigned int n = 0;

	if (!r)
		return -ENOENT;
	WRITE_ONCE(r->order, reason);
	tg_relay_arm(r, 0, true);
	tg_relay_put(r);
	/* It unpublishes the session. */
	while (READ_ONCE(s->sk) && n++ < TG_RELAY_END_TRIES)
		usleep_range(500, 1000);
	return 0;
}

/* --- start --------------------------------------------------------------------------- */

/* It never had a sock. */
static void tg_relay_undo(struct tg_relay *r)
{
	if (r->tls)
		sock_release(r->tls);
	if (r->plain)
		sock_release(r->plain);
	tg_relay_dealloc(r);
}

static struct tg_relay *tg_relay_alloc(const struct tg_install *in)
{
	struct tg_relay *r = kmem_cache_zalloc(tg_relays, GFP_KERNEL);

	if (!r)
		return NULL;
	refcount_set(&r->ref, 1);
	refcount_set(&r->mem, 1);
	r->cred = get_current_cred();
	r->idle_timeout = msecs_to_jiffies(in->idle_timeout);
	r->active = jiffies;
	INIT_WORK(&r->open_work, tg_relay_open_work);
	INIT_WORK(&r->seal_work, tg_relay_seal_work);
	INIT_WORK(&r->close_work, tg_relay_close_work);
	INIT_DELAYED_WORK(&r->clock_work, tg_relay_clock_work);
	if (!sock_create_lite(in->tls->sk->sk_family, SOCK_STREAM, 0, &r->tls) &&
	    !sock_create_lite(in->plain->sk->sk_family, SOCK_STREAM, 0, &r->plain))
		return r;
	tg_relay_undo(r);
	return NULL;
}

void tg_relay_discard(struct tg_relay *r)
{
	tg_relay_uncharge(&r->payer);
	tg_queue_put(r->queue);
	tg_relay_undo(r);
}

struct tg_relay *tg_relay_prepare(const struct tg_install *in, struct tg_refusal *no)
{
	int err = tg_plain_check(in->tls, in->plain, no);
	struct tg_relay *r;

	if (err)
		return ERR_PTR(err);
	err = tg_refuse(no, TLSGATE_REASON_NO_MEMORY, 0, -ENOMEM, "no memory for a relay");
	r = tg_relay_alloc(in);
	if (!r)
		return ERR_PTR(err);
	if (!tg_relay_charge(&r->payer)) {
		err = tg_refuse(no, TLSGATE_REASON_REFUSED_USER_LIMIT, TLSGATE_A_RELAY_FD, -EDQUOT,
				"the user has all its relays: raise RLIMIT_NOFILE");
		goto err_free;
	}
	r->queue = tg_queue_get(&r->payer);
	if (r->queue)
		return r;
	tg_relay_uncharge(&r->payer);
err_free:
	tg_relay_undo(r);
	return ERR_PTR(err);
}

int tg_relay_claim(struct tg_relay *r, const struct tg_install *in, struct tg_refusal *no)
{
	struct sock *plain = in->plain->sk;
	int err = tg_plain_check(in->tls, in->plain, no) ?:
		  tg_own_check_filter(in->tls->sk, no, TLSGATE_A_FD) ?:
		  tg_own_check_filter(plain, no, TLSGATE_A_RELAY_FD);

	if (err)
		return err;
	r->family = tg_family_of(in->plain);
	if (!tg_own_claim(plain, r))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_RELAY_FD, -EBUSY,
				 "relay socket is used by another kernel user: give a plain one");
	err = tg_own_exclude(in->tls, in->plain, &in->fds, no);
	if (err)
		tg_own_disclaim(plain);
	return err;
}

void tg_relay_join(struct tg_relay *r, const struct tg_install *in, struct tg_session *s)
{
	struct sock *tls = in->tls->sk, *plain = in->plain->sk;

	r->session = s;
	if (!tg_is_tcp(plain))
		r->file = get_file(in->plain->file);
	atomic_inc(&tg_relays_left);
	/* Dropped by tg_relay_release(). */
	refcount_add(2, &r->mem);
	tg_own_attach(plain, &tg_plain_callbacks);
	tg_own_take(plain, r->plain, r);
	tg_own_take(tls, r->tls, r);
	spin_lock_bh(&s->sk_lock);
	s->relay = r;
	spin_unlock_bh(&s->sk_lock);
	tg_stat_inc(sock_net(tls), TG_STAT_RELAYS_OPENED);
	tg_relay_look_later(r, 0);
	/* What came before us announces itself to nobody else. */
	if (tg_rx_update_ready(tls, s))
		tg_relay_kick(r, &r->open_work);
	if (tg_plain_waits(plain))
		tg_relay_kick(r, &r->seal_work);
}

/* Both locked. */
static int tg_relay_check_session(struct sock *tls, struct tg_session *s, struct tg_refusal *no)
{
	if (!s || s->error || s->tx.closed)
		return tg_refuse(no, TLSGATE_REASON_REFUSED_STATE, TLSGATE_A_FD, -ENOTCONN,
				 "session has ended: relay only an established one");
	if (s->relay || tg_deliver_pending(s))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_FD, -EBUSY,
				 "session has a relay already, or is to be delivered: use a session for one");
	/* What was written before comes before what the plain socket sends. */
	if (tg_tx_flush(tls, s) && s->tx.held_len)
		return tg_refuse(no, TLSGATE_REASON_NO_MEMORY, 0, -ENOMEM,
				 "no memory for what the session has still to send: try again");
	return 0;
}

int tg_relay_start(const struct tg_install *in, struct tg_refusal *no)
{
	struct sock *tls = in->tls->sk, *plain = in->plain->sk;
	struct tg_session *s;
	struct tg_relay *r;
	int err;

	/* Another thread may have put anything in the descriptor's place meanwhile. */
	if (!tg_session_of(tls))
		return tg_relay_check_session(tls, NULL, no);
	r = tg_relay_prepare(in, no);
	if (IS_ERR(r))
		return PTR_ERR(r);
	err = tg_own_lock(tls, plain, no);
	if (!err) {
		s = tg_session_of(tls);
		err = tg_relay_check_session(tls, s, no) ?: tg_relay_claim(r, in, no);
		if (!err)
			tg_relay_join(r, in, s);
		tg_own_unlock(tls, plain);
	}
	if (err)
		tg_relay_discard(r);
	return err;
}

/*
 * Nobody but relays holds it: everyone else who reaches a session's socket
 * holds its namespace as well.
 */
void tg_relay_net_exit(struct net *net)
{
	atomic_t *let_go = &tg_net(net)->let_go;
	struct tg_session *s;
	u32 id = 0;

	if (!atomic_read(let_go))
		return;
	while ((s = tg_session_next(net->ns.inum, &id))) {
		tg_relay_end(s, TLSGATE_REASON_NETNS_END);
		tg_session_put(s);
		id++;
	}
	wait_var_event(let_go, !atomic_read(let_go));
}

int __init tg_relay_init(void)
{
	tg_relays = KMEM_CACHE(tg_relay, SLAB_ACCOUNT);
	if (tg_relays && !tg_limit_init())
		return 0;
	kmem_cache_destroy(tg_relays);
	return -ENOMEM;
}

void tg_relay_exit(void)
{
	/* Their sockets keep the module; who has just closed the last one may not be through. */
	wait_var_event(&tg_relays_left, !atomic_read(&tg_relays_left));
	rcu_barrier();
	tg_limit_exit();
	kmem_cache_destroy(tg_relays);
}
