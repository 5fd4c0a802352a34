// SPDX-License-Identifier: GPL-2.0-only
/*
 * Relay: a TLS socket and a plain stream socket joined in the kernel.
 *
 * Two works move the data, each serialised by the workqueue:
 *	open	TLS to plain: opened pages go to the plain socket as they are
 *	seal	plain to TLS: sealed straight from the plain socket's received
 *		buffers into fresh pages
 * They are kicked by the sockets' callbacks, and when either finds no data or
 * no room it returns and the next callback kicks it again.
 *
 * Locks: seal holds the TLS socket's lock and, nested inside, the plain TCP
 * socket's.  open holds them one after the other.
 *
 * Life: one reference is the relay's own and dropped by tg_relay_finish(); one
 * is held by each queued work and by the armed timer.  The last one drops the
 * files, in whatever context: fput() and kfree_rcu() defer what may sleep.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/netlink.h>
#include <linux/sched/signal.h>
#include <linux/workqueue.h>
#include <net/af_unix.h>
#include <net/tcp.h>

#include "datapath.h"
#include "relay.h"
#include "stats.h"
#include "ulp.h"

/* Rounds of a work before others have their turn. */
#define TG_RELAY_ROUNDS		16
/* Records sealed before they are pushed; the queue is searched anew for each. */
#define TG_RELAY_SEAL_BATCH	8
/* Plaintext gathered before it is handed to the plain socket. */
#define TG_RELAY_BATCH		(64 * 1024)

enum tg_relay_flag {
	TG_RELAY_DEAD,		/* tg_relay_finish() has begun */
};

/**
 * struct tg_relay - a TLS socket joined with a plain one
 * @ref: see above
 * @rcu: callbacks of the plain socket look at it in read-side sections
 * @flags: enum tg_relay_flag
 * @session: pinned by @tls_file
 * @tls: the TLS socket
 * @plain: the plain socket
 * @net: their namespace, pinned by the sockets
 * @uid: whose limit it counts against
 * @idle_timeout: jiffies, 0 for none
 * @active: jiffies when data moved last
 * @open_work: TLS to plain
 * @seal_work: plain to TLS
 * @idle_work: looks whether @idle_timeout has passed
 * @opened: plaintext the plain socket did not take yet; open_work only
 * @open_done: close_notify was passed on as FIN; open_work writes
 * @seal_done: FIN was passed on as close_notify, and TCP has it; seal_work writes
 * @plain_error: the plain socket is broken: what it had sent is still sealed,
 *	then the relay ends
 * @data_ready: the plain socket's own callback, as are the next three
 * @write_space: see @data_ready
 * @state_change: see @data_ready
 * @error_report: see @data_ready
 */
struct tg_relay {
	refcount_t ref;
	struct rcu_head rcu;
	unsigned long flags;
	struct tg_session *session;
	struct socket *tls;
	struct socket *plain;
	struct net *net;
	kuid_t uid;
	unsigned long idle_timeout;
	unsigned long active;
	struct work_struct open_work;
	struct work_struct seal_work;
	struct delayed_work idle_work;
	struct tg_frags opened;
	bool open_done;
	bool seal_done;
	bool plain_error;
	void (*data_ready)(struct sock *sk);
	void (*write_space)(struct sock *sk);
	void (*state_change)(struct sock *sk);
	void (*error_report)(struct sock *sk);
};

static struct workqueue_struct *tg_relay_wq;

static bool tg_relay_dead(const struct tg_relay *r)
{
	return test_bit(TG_RELAY_DEAD, &r->flags);
}

static bool tg_is_tcp(const struct sock *sk)
{
	return sk->sk_family != AF_UNIX;
}

/* --- references ------------------------------------------------------------ */

static void tg_relay_put(struct tg_relay *r)
{
	if (!refcount_dec_and_test(&r->ref))
		return;
	tg_frags_purge(&r->opened);
	fput(r->plain->file);
	fput(r->tls->file);
	kfree_rcu(r, rcu);
}

/* Any context; the caller is in a read-side section or knows that the relay lives. */
static void tg_relay_kick(struct tg_relay *r, struct work_struct *work)
{
	if (tg_relay_dead(r) || !refcount_inc_not_zero(&r->ref))
		return;
	if (!queue_work(tg_relay_wq, work))
		tg_relay_put(r);
}

void tg_relay_kick_open(struct tg_relay *r)
{
	tg_relay_kick(r, &r->open_work);
}

void tg_relay_kick_seal(struct tg_relay *r)
{
	tg_relay_kick(r, &r->seal_work);
}

/* --- the plain socket's callbacks: any context -------------------------------- */

static struct tg_relay *tg_plain_relay(const struct sock *sk)
{
	return rcu_dereference_sk_user_data(sk);
}

static void tg_plain_data_ready(struct sock *sk)
{
	struct tg_relay *r;

	rcu_read_lock();
	r = tg_plain_relay(sk);
	if (r)
		tg_relay_kick_seal(r);
	rcu_read_unlock();
}

static void tg_plain_write_space(struct sock *sk)
{
	struct tg_relay *r;

	rcu_read_lock();
	r = tg_plain_relay(sk);
	if (r && tg_is_tcp(sk) && sk_stream_is_writeable(sk))
		clear_bit(SOCK_NOSPACE, &r->plain->flags);
	if (r)
		tg_relay_kick_open(r);
	rcu_read_unlock();
}

static void tg_plain_state_change(struct sock *sk)
{
	struct tg_relay *r;

	rcu_read_lock();
	r = tg_plain_relay(sk);
	if (r) {
		tg_relay_kick_seal(r);
		tg_relay_kick_open(r);
	}
	rcu_read_unlock();
}

static void tg_plain_attach(struct tg_relay *r, struct sock *sk)
{
	write_lock_bh(&sk->sk_callback_lock);
	r->data_ready = sk->sk_data_ready;
	r->write_space = sk->sk_write_space;
	r->state_change = sk->sk_state_change;
	r->error_report = sk->sk_error_report;
	rcu_assign_sk_user_data(sk, r);
	sk->sk_data_ready = tg_plain_data_ready;
	sk->sk_write_space = tg_plain_write_space;
	sk->sk_state_change = tg_plain_state_change;
	sk->sk_error_report = tg_plain_state_change;
	write_unlock_bh(&sk->sk_callback_lock);
}

static void tg_plain_detach(struct tg_relay *r, struct sock *sk)
{
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = r->data_ready;
	sk->sk_write_space = r->write_space;
	sk->sk_state_change = r->state_change;
	sk->sk_error_report = r->error_report;
	rcu_assign_sk_user_data(sk, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
}

/* --- the end ---------------------------------------------------------------- */

/* A reset is the only honest end of a stream that lacks its tail. */
static void tg_plain_reset(struct sock *sk)
{
	struct sock *peer;

	if (tg_is_tcp(sk)) {
		lock_sock(sk);
		sk->sk_prot->disconnect(sk, 0);
		release_sock(sk);
		return;
	}
	/* AF_UNIX knows no RST: do to the peer what closing with unread data does. */
	peer = unix_peer_get(sk);
	if (peer) {
		WRITE_ONCE(peer->sk_err, ECONNRESET);
		sk_error_report(peer);
		sock_put(peer);
	}
}

/* TLS socket locked.  True if the plain side must not see a clean end. */
static bool tg_relay_end_tls(struct tg_relay *r, struct sock *sk, enum tlsgate_reason reason)
{
	struct tg_session *s = r->session;
	bool failed = s->error;

	if (reason == TLSGATE_REASON_FINISHED) {
		if (!s->reason)
			s->reason = reason;
		return false;
	}
	if (reason == TLSGATE_REASON_ADMIN_CLOSE) {
		tg_session_fail(sk, s, reason);
		return false;
	}
	if (!failed)
		tg_session_reset(sk, s, reason);
	return true;
}

/*
 * Relays of a user in a namespace: changes the number by one unless it is at
 * @max already.  Process context.
 */
static bool tg_relay_count(struct tg_net *tn, kuid_t uid, int change, unsigned long max)
{
	void *old, *seen, *new;
	unsigned long n;

	seen = xa_load(&tn->relay_users, __kuid_val(uid));
	do {
		old = seen;
		n = old ? xa_to_value(old) : 0;
		if (change > 0 && n >= max)
			return false;
		new = n + change ? xa_mk_value(n + change) : NULL;
		seen = xa_cmpxchg(&tn->relay_users, __kuid_val(uid), old, new, GFP_KERNEL);
		if (xa_is_err(seen))
			return false;
	} while (seen != old);
	return true;
}

/* Process context, no lock held.  The first caller's reason counts. */
static void tg_relay_finish(struct tg_relay *r, enum tlsgate_reason reason)
{
	struct sock *tls = r->tls->sk, *plain = r->plain->sk;
	struct tg_session *s = r->session;
	bool reset;

	if (test_and_set_bit(TG_RELAY_DEAD, &r->flags))
		return;
	lock_sock(tls);
	reset = tg_relay_end_tls(r, tls, reason);
	/* While it can still be told who was joined with whom. */
	tg_session_unpublish(s, tls);
	spin_lock_bh(&s->sk_lock);
	s->relay = NULL;
	spin_unlock_bh(&s->sk_lock);
	release_sock(tls);

	tg_plain_detach(r, plain);
	if (reset)
		tg_plain_reset(plain);
	tg_relay_count(tg_net(r->net), r->uid, -1, 0);
	tg_stat_inc(r->net, TG_STAT_RELAYS_CLOSED);
	if (cancel_delayed_work(&r->idle_work))
		tg_relay_put(r);
	tg_relay_put(r);
}

static void tg_relay_finish_if_done(struct tg_relay *r)
{
	if (READ_ONCE(r->open_done) && READ_ONCE(r->seal_done))
		tg_relay_finish(r, TLSGATE_REASON_FINISHED);
}

/* --- TLS to plain -------------------------------------------------------------- */

/* Opens a batch.  1: there is some; 0: close_notify; -EAGAIN; or the session failed. */
static int tg_relay_open_batch(struct tg_relay *r)
{
	struct tg_session *s = r->session;
	struct sock *sk = r->tls->sk;
	int ret;

	lock_sock(sk);
	do {
		ret = tg_rx_next(sk, s);
	} while (ret > 0 && s->rx.plain.bytes < TG_RELAY_BATCH &&
		 tg_frags_room(&s->rx.plain) >= TG_RECORD_FRAGS);
	/* What came before an end or an error is delivered first. */
	if (!tg_frags_empty(&s->rx.plain)) {
		tg_frags_move(&r->opened, &s->rx.plain);
		ret = 1;
	}
	release_sock(sk);
	return ret;
}

/* 0: all of it was taken; -EAGAIN; or the plain socket is broken. */
static int tg_relay_deliver(struct tg_relay *r)
{
	struct tg_frags *f = &r->opened;
	ssize_t ret;

	while (!tg_frags_empty(f)) {
		ret = tg_sock_send_bvecs(r->plain, &f->bv[f->head], f->tail - f->head, f->bytes,
					 MSG_DONTWAIT | MSG_NOSIGNAL);
		if (ret <= 0)
			return ret ?: -EAGAIN;
		tg_frags_consume(f, ret);
		WRITE_ONCE(r->active, jiffies);
	}
	return 0;
}

/* One round.  True: there may be more to do at once. */
static bool tg_relay_open_round(struct tg_relay *r)
{
	int ret = tg_relay_deliver(r);

	if (ret == -EAGAIN)
		return false;
	if (ret) {
		/* Let seal_work find it when it has sealed what was received before. */
		WRITE_ONCE(r->plain_error, true);
		tg_relay_kick_seal(r);
		return false;
	}
	ret = tg_relay_open_batch(r);
	if (ret > 0)
		return true;
	if (ret == -EAGAIN)
		return false;
	if (ret == -ENOMEM || ret == -ENOBUFS) {
		tg_relay_kick_open(r);
		return false;
	}
	if (ret < 0) {
		tg_relay_finish(r, r->session->reason);
		return false;
	}
	if (!r->open_done) {
		kernel_sock_shutdown(r->plain, SHUT_WR);
		WRITE_ONCE(r->open_done, true);
		WRITE_ONCE(r->active, jiffies);
		tg_relay_finish_if_done(r);
	}
	return false;
}

static void tg_relay_open_work(struct work_struct *work)
{
	struct tg_relay *r = container_of(work, struct tg_relay, open_work);
	unsigned int n = TG_RELAY_ROUNDS;

	while (!tg_relay_dead(r) && !READ_ONCE(r->plain_error) && tg_relay_open_round(r)) {
		if (!--n) {
			tg_relay_kick_open(r);
			break;
		}
		cond_resched();
	}
	tg_relay_put(r);
}

/* --- plain to TLS ---------------------------------------------------------------- */

/*
 * Both sockets locked.  Seals one record of what follows the first @off bytes.
 * Bytes sealed, 0: no data, or -errno.
 */
static int tg_relay_seal_tcp(struct tg_session *s, struct sock *sk, struct sock *plain, u32 off)
{
	u32 len = min_t(u32, tg_queue_len(plain) - off, s->tx.record_size);
	struct tg_tx_record rec;
	unsigned int nents;
	int err;

	if (!len)
		return 0;
	err = tg_tx_ready(sk, s);
	if (err)
		return err;
	/* Room for the inner type and padding behind the data. */
	sg_init_table(s->sg_src, TG_SG_SRC);
	nents = tg_queue_sg(plain, off, &len, s->sg_src + 1, TG_SG_SRC - 1 - TG_RECORD_FRAGS);
	if (!nents)
		return 0;
	err = tg_tx_begin(sk, s, TG_APPLICATION_DATA, len, &rec);
	if (err)
		return err;
	return tg_tx_seal(sk, s, &rec, nents) ?: len;
}

/* TLS socket locked.  The same from a UNIX socket, whose buffers cannot be looked into. */
static int tg_relay_seal_unix(struct tg_session *s, struct sock *sk, struct socket *plain)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct tg_frags *f = &s->tx.pending;
	struct tg_tx_record rec;
	struct bio_vec bv[TG_RECORD_FRAGS];
	unsigned int n = 0;
	long avail = unix_inq_len(plain->sk);
	u32 len, left, at;
	int ret;

	if (avail <= 0)
		return 0;
	ret = tg_tx_ready(sk, s);
	if (ret)
		return ret;
	len = min_t(long, avail, s->tx.record_size);
	ret = tg_tx_begin(sk, s, TG_APPLICATION_DATA, len, &rec);
	if (ret)
		return ret;
	for (left = len; left; left -= bv[n++].bv_len) {
		at = rec.start + TG_HEADER_LEN + s->cipher->explicit_len + len - left;
		bv[n].bv_len = left;
		bv[n].bv_page = tg_frags_page(f, &at, &bv[n].bv_len);
		bv[n].bv_offset = at;
	}
	iov_iter_bvec(&msg.msg_iter, ITER_DEST, bv, n, len);
	ret = sock_recvmsg(plain, &msg, MSG_DONTWAIT | MSG_WAITALL);
	/* Somebody else who holds the socket has read from it as well. */
	if (ret != len) {
		tg_tx_abandon(s, &rec);
		return ret < 0 ? ret : -EIO;
	}
	ret = tg_tx_seal(sk, s, &rec, 0);
	return ret ?: len;
}

/**
 * struct tg_seal_state - how a round of sealing ended
 * @err: 0: no data left; else what tg_tx_ready() or sealing returned
 * @fin: the plain side's FIN came, and all data before it is sealed
 * @broken: the plain side's connection is broken, and the same
 */
struct tg_seal_state {
	int err;
	bool fin;
	bool broken;
};

/* TLS socket locked. */
static void tg_relay_seal_batch(struct tg_relay *r, struct tg_seal_state *st)
{
	struct sock *sk = r->tls->sk, *plain = r->plain->sk;
	bool tcp = tg_is_tcp(plain);
	unsigned int n = 0;
	u32 sealed = 0;
	int ret;

	if (tcp)
		lock_sock_nested(plain, SINGLE_DEPTH_NESTING);
	/* Before the data is looked at: what comes later kicks again. */
	st->fin = plain->sk_shutdown & RCV_SHUTDOWN;
	st->broken = plain->sk_err || READ_ONCE(r->plain_error);
	do {
		ret = tcp ? tg_relay_seal_tcp(r->session, sk, plain, sealed)
			  : tg_relay_seal_unix(r->session, sk, r->plain);
		if (ret > 0)
			sealed += ret;
	} while (ret > 0 && ++n < TG_RELAY_SEAL_BATCH);
	if (sealed)
		WRITE_ONCE(r->active, jiffies);
	if (tcp) {
		/* Once for all, since each time may send a window update. */
		if (sealed)
			tcp_read_done(plain, sealed);
		release_sock(plain);
	}
	st->err = ret > 0 ? -EAGAIN : ret;
}

/* True: there may be more to do at once. */
static bool tg_relay_seal_round(struct tg_relay *r)
{
	struct tg_session *s = r->session;
	struct tg_seal_state st = { };
	struct sock *sk = r->tls->sk;
	int push;

	lock_sock(sk);
	tg_relay_seal_batch(r, &st);
	push = tg_tx_push(sk, s, 0);
	if (!st.err && st.fin && !st.broken && !s->error && !s->tx.closed)
		push = tg_tx_close_notify(sk, s, true);
	if (s->tx.closed && tg_frags_empty(&s->tx.pending))
		WRITE_ONCE(r->seal_done, true);
	if (st.err == -EAGAIN && !push) {
		/* Room may have come with the push; if not, write_space kicks. */
		if (!s->tx.closed && sk_stream_memory_free(sk)) {
			release_sock(sk);
			return true;
		}
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	}
	release_sock(sk);

	if (s->error)
		tg_relay_finish(r, s->reason);
	else if (st.err == -EAGAIN)
		return false;
	else if (st.err == -ENOMEM || st.err == -ENOBUFS)
		tg_relay_kick_seal(r);
	else if (st.broken || (st.err < 0 && st.err != -EPIPE))
		tg_relay_finish(r, TLSGATE_REASON_PLAIN_RESET);
	else
		tg_relay_finish_if_done(r);
	return false;
}

static void tg_relay_seal_work(struct work_struct *work)
{
	struct tg_relay *r = container_of(work, struct tg_relay, seal_work);
	unsigned int n = TG_RELAY_ROUNDS;

	while (!tg_relay_dead(r) && tg_relay_seal_round(r)) {
		if (!--n) {
			tg_relay_kick_seal(r);
			break;
		}
		cond_resched();
	}
	tg_relay_put(r);
}

/* --- idle time-out ----------------------------------------------------------------- */

/* The caller holds a reference for the timer; it stays with it or is dropped. */
static void tg_relay_arm(struct tg_relay *r, unsigned long delay)
{
	if (!queue_delayed_work(tg_relay_wq, &r->idle_work, delay))
		tg_relay_put(r);
}

static void tg_relay_idle_work(struct work_struct *work)
{
	struct tg_relay *r = container_of(to_delayed_work(work), struct tg_relay, idle_work);
	unsigned long timeout = READ_ONCE(r->idle_timeout);
	unsigned long idle = jiffies - READ_ONCE(r->active);

	if (tg_relay_dead(r) || !timeout) {
		tg_relay_put(r);
	} else if (idle < timeout) {
		tg_relay_arm(r, timeout - idle);
	} else {
		tg_relay_finish(r, TLSGATE_REASON_IDLE_TIMEOUT);
		tg_relay_put(r);
	}
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
	/* The reference is the timer's if it was not armed, and ours if it was. */
	if (!idle_timeout || mod_delayed_work(tg_relay_wq, &r->idle_work, r->idle_timeout))
		tg_relay_put(r);
	return 0;
}

bool tg_relay_info(struct tg_session *s, struct tg_relay_info *info)
{
	struct tg_relay *r = tg_relay_get(s);

	if (!r)
		return false;
	info->idle_timeout = jiffies_to_msecs(READ_ONCE(r->idle_timeout));
	info->plain = r->plain->sk;
	sock_hold(info->plain);
	tg_relay_put(r);
	return true;
}

void tg_relay_end(struct tg_session *s, enum tlsgate_reason reason)
{
	struct tg_relay *r = tg_relay_get(s);

	if (!r)
		return;
	tg_relay_finish(r, reason);
	tg_relay_put(r);
}

/* --- start --------------------------------------------------------------------------- */

/* As AF_UNIX limits fds in flight: what outlives the fds is bounded by their limit. */
static unsigned long tg_relay_limit(void)
{
	return capable(CAP_SYS_RESOURCE) || capable(CAP_SYS_ADMIN) ? LONG_MAX
								     : rlimit(RLIMIT_NOFILE);
}

static int tg_plain_check(struct socket *tls, struct socket *plain,
			  struct netlink_ext_ack *extack, enum tlsgate_reason *reason)
{
	struct sock *sk = plain->sk;
	bool tcp = (sk->sk_family == AF_INET || sk->sk_family == AF_INET6) &&
		   sk->sk_protocol == IPPROTO_TCP;

	if (plain == tls || sk->sk_type != SOCK_STREAM || !(tcp || sk->sk_family == AF_UNIX))
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_FD, -EOPNOTSUPP,
				 "relay fd is not a plain TCP or UNIX stream socket: give a connected one");
	if (tcp ? !((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT))
		: sk->sk_state != TCP_ESTABLISHED)
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_STATE, -ENOTCONN,
				 "relay socket is not connected: connect it first");
	if (!net_eq(sock_net(sk), sock_net(tls->sk)))
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_NETNS, -EXDEV,
				 "relay socket is of another network namespace: use one of the TLS socket's");
	if (sk->sk_user_data || (tcp && inet_csk(sk)->icsk_ulp_ops))
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_ULP, -EBUSY,
				 "relay socket has a ULP or is in a relay already: give a plain one");
	return 0;
}

static struct tg_relay *tg_relay_alloc(struct socket *tls, struct socket *plain, u32 idle_timeout)
{
	struct tg_relay *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);

	if (!r)
		return NULL;
	refcount_set(&r->ref, 1);
	r->tls = tls;
	r->plain = plain;
	r->net = sock_net(tls->sk);
	r->uid = current_uid();
	r->idle_timeout = msecs_to_jiffies(idle_timeout);
	r->active = jiffies;
	INIT_WORK(&r->open_work, tg_relay_open_work);
	INIT_WORK(&r->seal_work, tg_relay_seal_work);
	INIT_DELAYED_WORK(&r->idle_work, tg_relay_idle_work);
	return r;
}

/* TLS socket locked. */
static int tg_relay_join(struct tg_relay *r, struct netlink_ext_ack *extack,
			 enum tlsgate_reason *reason)
{
	struct sock *plain = r->plain->sk;
	struct tg_session *s;
	int err;

	s = inet_csk(r->tls->sk)->icsk_ulp_ops ? tg_session_from_sk(r->tls->sk) : NULL;
	if (!s || s->error || s->tx.closed)
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_STATE, -ENOTCONN,
				 "session has ended: relay only an established one");
	if (s->relay)
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_ULP, -EBUSY,
				 "session has a relay already: use a session for one relay");
	lock_sock_nested(plain, SINGLE_DEPTH_NESTING);
	err = tg_plain_check(r->tls, r->plain, extack, reason);
	if (!err) {
		get_file(r->tls->file);
		get_file(r->plain->file);
		r->session = s;
		tg_plain_attach(r, plain);
		spin_lock_bh(&s->sk_lock);
		s->relay = r;
		spin_unlock_bh(&s->sk_lock);
	}
	release_sock(plain);
	return err;
}

void tg_relay_discard(struct tg_relay *r)
{
	tg_relay_count(tg_net(r->net), r->uid, -1, 0);
	kfree(r);
}

struct tg_relay *tg_relay_prepare(struct socket *tls, struct socket *plain, u32 idle_timeout,
				  struct netlink_ext_ack *extack, enum tlsgate_reason *reason)
{
	struct tg_net *tn = tg_net(sock_net(tls->sk));
	struct tg_relay *r;
	int err;

	err = tg_plain_check(tls, plain, extack, reason);
	if (err)
		return ERR_PTR(err);
	if (!tg_relay_count(tn, current_uid(), 1, tg_relay_limit()))
		return ERR_PTR(tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_USER_LIMIT, -EDQUOT,
					 "user has its fill of relays: raise RLIMIT_NOFILE"));
	r = tg_relay_alloc(tls, plain, idle_timeout);
	if (!r) {
		tg_relay_count(tn, current_uid(), -1, 0);
		*reason = TLSGATE_REASON_NO_MEMORY;
		return ERR_PTR(-ENOMEM);
	}
	return r;
}

int tg_relay_start(struct tg_relay *r, struct netlink_ext_ack *extack,
		   enum tlsgate_reason *reason)
{
	struct sock *sk = r->tls->sk;
	int err;

	lock_sock(sk);
	err = tg_relay_join(r, extack, reason);
	if (!err) {
		tg_session_announce(r->session);
		/* For us: once unlocked, the relay may come to its end. */
		refcount_inc(&r->ref);
	}
	release_sock(sk);
	if (err) {
		tg_relay_discard(r);
		return err;
	}
	tg_stat_inc(r->net, TG_STAT_RELAYS_OPENED);
	if (r->idle_timeout) {
		refcount_inc(&r->ref);
		tg_relay_arm(r, r->idle_timeout);
	}
	tg_relay_kick_open(r);
	tg_relay_kick_seal(r);
	tg_relay_put(r);
	return 0;
}

int __init tg_relay_init(void)
{
	tg_relay_wq = alloc_workqueue("tlsgate", WQ_MEM_RECLAIM, 0);
	return tg_relay_wq ? 0 : -ENOMEM;
}

void tg_relay_exit(void)
{
	destroy_workqueue(tg_relay_wq);
	/* Freed relays may still wait for their grace period. */
	rcu_barrier();
}
