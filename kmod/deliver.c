// SPDX-License-Identifier: GPL-2.0-only
/*
 * Delivery: a keyed socket put into the accept queue of a listening socket, when its last
 * descriptor is closed, and made a keyed socket of the server's when it is accepted.
 *
 * Module references.  A waiting socket has two, as every socket that is the module's: its
 * calls' and its ULP's (tg_own_attach()).  __sock_release() gives the first back when
 * tg_deliver_release() has returned; a queued one has the second; the hook takes one for the
 * calls of the socket that accept() made.  So no function of ours runs without one, but for
 * forget_work, for which tg_deliver_exit() waits.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "deliver.h"
#include "stats.h"

static struct workqueue_struct *tg_forget_wq;

bool tg_deliver_pending(const struct tg_session *s)
{
	return s->deliver && READ_ONCE(s->deliver->state) != TLSGATE_DELIVERY_ACCEPTED;
}

/* --- accepted, and forgotten ----------------------------------------------------------- */

/* In accept(), right after it has set the cgroup, if there is anything in the backlog. */
static int tg_deliver_backlog_rcv(struct sock *sk, struct sk_buff *skb)
{
	struct tg_session *s = tg_session_from_sk(sk);

	tg_inherit_enter_memcg(sk, s);
	return s->deliver->backlog_rcv(sk, skb);
}

/*
 * struct proto.release_cb of a queued socket: the spinlock is held, and the lock still owned,
 * by accept().  When it has given the sock a struct socket it is the server's.  No call can
 * come to it before: its descriptor does not exist yet.
 */
static void tg_deliver_release_cb(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);
	struct socket *sock = sk->sk_socket;

	tg_inherit_enter_memcg(sk, s);
	s->family->base->release_cb(sk);
	if (!sock)
		return;
	sk->sk_backlog_rcv = s->deliver->backlog_rcv;
	WRITE_ONCE(sk->sk_prot, (struct proto *)&s->family->keyed);
	__module_get(THIS_MODULE);
	clear_bit(SOCK_SUPPORT_ZC, &sock->flags);
	WRITE_ONCE(sock->ops, &s->family->keyed_ops);
	WRITE_ONCE(s->deliver->state, TLSGATE_DELIVERY_ACCEPTED);
	tg_stat_inc(sock_net(sk), TG_STAT_DELIVERIES_ACCEPTED);
}

static void tg_deliver_forget_work(struct work_struct *work)
{
	struct tg_delivery *d = container_of(work, struct tg_delivery, forget_work);
	struct tg_session *s = d->session;
	struct sock *sk = d->sk;

	tg_session_unpublish(s, sk);
	tg_session_put(s);
	sock_put(sk);
}

/*
 * From inet_child_forget(), behind tcp_disconnect(): a closed listening socket, or one of a
 * SO_REUSEPORT group to whose next none could go.  tg_close() leaves no session.  None of the
 * session's own works is on its way: nothing was sealed or opened yet.
 */
void tg_deliver_forget(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);

	if (!s)
		return;
	sk->sk_backlog_rcv = s->deliver->backlog_rcv;
	if (!s->reason)
		s->reason = TLSGATE_REASON_LISTENER_CLOSED;
	tg_session_empty(sk, s);
	tg_own_restore(sk, s->family);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	/* The socket's reference on the session passes to the work. */
	s->deliver->session = s;
	s->deliver->sk = sk;
	sock_hold(sk);
	queue_work(tg_forget_wq, &s->deliver->forget_work);
}

/* --- into the queue ---------------------------------------------------------------------- */

/*
 * A request socket, by which accept() finds the new socket: made as by inet_reqsk_alloc(), which
 * not every kernel exports.  The part that it has in common with a socket is not zeroed: a
 * lookup without a lock may still stand on what was here before, and follows its links.  Without
 * ports no lookup takes it for a match.
 */
static struct request_sock *tg_request_alloc(const struct sock *l)
{
	const struct request_sock_ops *ops = l->sk_prot->rsk_prot;
	struct request_sock *req = kmem_cache_alloc(ops->slab, GFP_KERNEL | __GFP_NOWARN);
	struct inet_request_sock *ireq = inet_rsk(req);

	if (!req)
		return NULL;
	memset_startat(tcp_rsk(req), 0, req.req.dl_next);
	req->rsk_ops = ops;
	req->rsk_listener = NULL;
	req_to_sk(req)->sk_prot = l->sk_prot;
	sk_node_init(&req_to_sk(req)->sk_node);
	sk_tx_queue_clear(req_to_sk(req));
	req_to_sk(req)->sk_addrpair = 0;
	req_to_sk(req)->sk_portpair = 0;
#if IS_ENABLED(CONFIG_IPV6)
	ireq->ir_v6_rmt_addr = in6addr_any;
	ireq->ir_v6_loc_addr = in6addr_any;
#endif
	atomic64_set(&ireq->ir_cookie, 0);
	ireq->ireq_state = TCP_NEW_SYN_RECV;
	write_pnet(&ireq->ireq_net, sock_net(l));
	ireq->ireq_family = l->sk_family;
	/* Pairs with refcount_inc_not_zero() of whoever stands there. */
	smp_wmb();
	refcount_set(&req->rsk_refcnt, 1);
	return req;
}

/* Never linked, it has nothing else to free; __reqsk_free() is not for modules everywhere. */
static void tg_request_free(struct request_sock *req)
{
	kmem_cache_free(req->rsk_ops->slab, req);
}

/*
 * True: it is in the queue, and may be anybody's by now.  One read-side section, as TCP's, from
 * finding that it listens to waking: what MPTCP wakes by is freed behind it.
 */
static bool tg_deliver_link(struct sock *l, struct request_sock *req, struct sock *sk)
{
	struct request_sock_queue *q = &inet_csk(l)->icsk_accept_queue;
	void (*data_ready)(struct sock *sk);
	bool open;

	local_bh_disable();
	rcu_read_lock();
	spin_lock(&q->rskq_lock);
	/*
	 * The queue may pass its backlog by connections that were under way when it became full:
	 * see tg_deliver_claim().  An unhashed listening socket is in listen(), which may still
	 * fail and then empties no queue.
	 */
	open = l->sk_state == TCP_LISTEN && sk_hashed(l) &&
	       l->sk_ack_backlog / 2 <= l->sk_max_ack_backlog;
	if (open) {
		req->sk = sk;
		if (q->rskq_accept_head)
			q->rskq_accept_tail->dl_next = req;
		else
			WRITE_ONCE(q->rskq_accept_head, req);
		q->rskq_accept_tail = req;
		sk_acceptq_added(l);
	}
	spin_unlock(&q->rskq_lock);
	data_ready = READ_ONCE(l->sk_data_ready);
	if (open)
		data_ready(l);
	rcu_read_unlock();
	local_bh_enable();
	return open;
}

static void tg_deliver_set_socket(struct sock *sk, struct socket *sock)
{
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(sk->sk_wq, sock ? &sock->wq : NULL);
	sk_set_socket(sk, sock);
	write_unlock_bh(&sk->sk_callback_lock);
}

/* From here on nobody owns it. */
static void tg_deliver_enqueue(struct sock *sk, struct tg_session *s, struct sock *l)
{
	struct tg_delivery *d = s->deliver;

	tg_inherit_congestion(sk, s->family, l);
	lock_sock(sk);
	tg_inherit(sk, l);
	tg_inherit_leave_memcg(sk, s);
	d->backlog_rcv = sk->sk_backlog_rcv;
	sk->sk_backlog_rcv = tg_deliver_backlog_rcv;
	WRITE_ONCE(sk->sk_prot, (struct proto *)&s->family->queued);
	WRITE_ONCE(d->state, TLSGATE_DELIVERY_QUEUED);
	tg_deliver_set_socket(sk, NULL);
	release_sock(sk);
}

/* It was not taken. */
static void tg_deliver_dequeue(struct sock *sk, struct tg_session *s, struct socket *sock)
{
	lock_sock(sk);
	sk->sk_backlog_rcv = s->deliver->backlog_rcv;
	WRITE_ONCE(sk->sk_prot, (struct proto *)&s->family->owned);
	tg_deliver_set_socket(sk, sock);
	release_sock(sk);
}

static bool tg_deliver_to(struct socket *sock, struct tg_session *s, struct sock *l)
{
	const struct tg_family *f = s->family;
	struct request_sock *req = tg_request_alloc(l);
	struct sock *sk = sock->sk;

	if (!req)
		return false;
	tg_deliver_enqueue(sk, s, l);
	if (!tg_deliver_link(l, req, sk)) {
		tg_request_free(req);
		tg_deliver_dequeue(sk, s, sock);
		return false;
	}
	/* Neither the sock nor the session is ours any more. */
	sock->sk = NULL;
	/* What __sock_release() gives back is ours; the family's own is still held. */
	module_put(f->base_ops->owner);
	tg_stat_inc(sock_net(l), TG_STAT_DELIVERIES_QUEUED);
	return true;
}

int tg_deliver_release(struct socket *sock, struct tg_session *s)
{
	struct tg_refusal no;
	struct sock *l = tg_listener_get(sock->sk, s->family, &s->deliver->server, &no);
	bool taken;

	if (!IS_ERR(l)) {
		taken = tg_deliver_to(sock, s, l);
		sock_put(l);
		if (taken)
			return 0;
	}
	/* Nobody has seen what the peer has sent: that must not look like an end in order. */
	lock_sock(sock->sk);
	/* For tg_close(). */
	WRITE_ONCE(sock->sk->sk_prot, (struct proto *)&s->family->keyed);
	tg_session_reset(sock->sk, s, TLSGATE_REASON_NOT_DELIVERED);
	release_sock(sock->sk);
	return s->family->base_ops->release(sock);
}

/* --- at SESSION_NEW ------------------------------------------------------------------------ */

/*
 * Accepted, and there.  A socket that was connected has its port by bind(), or one that no
 * listening socket had then: one of ip_local_port_range.
 */
static bool tg_deliver_came_by(const struct sock *sk, const struct tg_end *gate)
{
	struct tg_end local = tg_end_local(sk);
	const struct in6_addr *any = &in6addr_any;

	if (sk->sk_userlocks & SOCK_BINDPORT_LOCK || local.port != gate->port)
		return false;
	return ipv6_addr_equal(&gate->addr, any) || ipv6_addr_equal(&gate->addr, &local.addr) ||
	       (ipv6_addr_v4mapped(&gate->addr) && !gate->addr.s6_addr32[3] &&
		ipv6_addr_v4mapped(&local.addr));
}

/* Whoever has the socket when it is acknowledged is told. */
static bool tg_deliver_tells(struct sk_buff *skb)
{
	return skb_zcopy(skb) || TCP_SKB_CB(skb)->txstamp_ack ||
	       skb_shinfo(skb)->tx_flags & SKBTX_ANY_TSTAMP;
}

/*
 * Has it sent what it is told of later?  Pages sent without a copy are part of sk_wmem_queued
 * and charged to nobody.  What comes to the error queue is charged by accept() alone.
 */
static bool tg_deliver_is_told(struct sock *sk)
{
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_write_queue, skb)
		if (tg_deliver_tells(skb))
			return true;
	skb_rbtree_walk(skb, &sk->tcp_rtx_queue)
		if (tg_deliver_tells(skb))
			return true;
	return false;
}

static int tg_deliver_check(const struct tg_install *in, struct tg_refusal *no)
{
	struct sock *sk = in->tls->sk;

	if (in->grant->netns != sock_net(sk)->net_cookie)
		return tg_refuse(no, TLSGATE_REASON_REFUSED_NETNS, TLSGATE_A_DELIVER_FD, -EXDEV,
				 "the delivery handle is of another network namespace: make one in this");
	if (in->role != TLSGATE_ROLE_SERVER)
		return tg_refuse(no, TLSGATE_REASON_REFUSED_PERM, TLSGATE_A_ROLE, -EACCES,
				 "a delivery handle is for the server's side of TLS");
	if (!tg_deliver_came_by(sk, &in->grant->gate))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_PERM, TLSGATE_A_FD, -EACCES,
				 "the socket was not accepted at the address and port of the delivery handle");
	if (tg_own_stamps(sk))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_FD, -EBUSY,
				 "socket has time stamps on: switch them off");
	if (tg_deliver_is_told(sk))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_FD, -EBUSY,
				 "socket has sent by MSG_ZEROCOPY, or with time stamps, what is not acknowledged yet: wait for it, or send without");
	return tg_own_check_filter(sk, no, TLSGATE_A_FD);
}

int tg_deliver_claim(const struct tg_install *in, struct tg_session *s, struct tg_refusal *no)
{
	struct sock *sk = in->tls->sk, *l;
	int err = tg_deliver_check(in, no);
	bool full;

	if (err)
		return err;
	l = tg_listener_get(sk, s->family, &in->grant->server, no);
	if (IS_ERR(l))
		return PTR_ERR(l);
	full = sk_acceptq_is_full(l);
	sock_put(l);
	if (full)
		return tg_refuse(no, TLSGATE_REASON_REFUSED_SERVER, TLSGATE_A_DELIVER_FD, -EAGAIN,
				 "the server's backlog is full: try again");
	s->deliver = kzalloc(sizeof(*s->deliver), GFP_KERNEL_ACCOUNT);
	if (!s->deliver)
		return tg_refuse(no, TLSGATE_REASON_NO_MEMORY, 0, -ENOMEM,
				 "no memory for a session");
	s->deliver->server = in->grant->server;
	s->deliver->local = tg_end_local(sk);
	s->deliver->peer = tg_end_peer(sk);
	s->deliver->state = TLSGATE_DELIVERY_WAITING;
	INIT_WORK(&s->deliver->forget_work, tg_deliver_forget_work);
	return 0;
}

/* --- module ---------------------------------------------------------------------------------- */

void __init tg_deliver_fill(struct tg_family *f)
{
	f->queued = f->keyed;
	f->queued.release_cb = tg_deliver_release_cb;
}

int __init tg_deliver_init(void)
{
	tg_forget_wq = alloc_workqueue("tlsgate-forget", WQ_PERCPU, 0);
	return tg_forget_wq ? 0 : -ENOMEM;
}

void tg_deliver_exit(void)
{
	destroy_workqueue(tg_forget_wq);
}
