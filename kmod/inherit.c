// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an accepted socket has of its listening one: TCP makes the new socket as a copy of it.
 * A delivered one comes from elsewhere, so that options, cgroups and security label are copied.
 *
 * Memory: of a socket that is not accepted yet a cgroup is charged nothing, and accept() then
 * charges sk_forward_alloc and what was received.  A delivered one has more: the handshake's
 * last records may not be acknowledged, and what the session holds is charged to it.  All of
 * these together are the pages that are counted in tcp_mem.  So the rest is charged right
 * after accept() has set the cgroup, before anything can change what it saw.
 */
#include <linux/cgroup.h>
#include <linux/memcontrol.h>
#include <linux/security.h>
#include <net/tcp.h>

#include "deliver.h"

/* --- options ------------------------------------------------------------------------ */

#define TG_INHERIT_LOCKS	(SOCK_SNDBUF_LOCK | SOCK_RCVBUF_LOCK)

/* The listening socket's holder may set it meanwhile, and others read the new one's. */
#define TG_INHERIT(to, from, field)	WRITE_ONCE((to)->field, READ_ONCE((from)->field))

/* What SOL_SOCKET sets. */
static void tg_inherit_socket(struct sock *sk, const struct sock *l)
{
	static const enum sock_flags flags[] = {
		SOCK_LINGER, SOCK_URGINLINE, SOCK_LOCALROUTE, SOCK_RXQ_OVFL,
		SOCK_SELECT_ERR_QUEUE, SOCK_ZEROCOPY, SOCK_FILTER_LOCKED,
	};
	unsigned int locks = l->sk_userlocks & TG_INHERIT_LOCKS, i;

	for (i = 0; i < ARRAY_SIZE(flags); i++)
		sock_valbool_flag(sk, flags[i], sock_flag(l, flags[i]));
	TG_INHERIT(sk, l, sk_lingertime);
	TG_INHERIT(sk, l, sk_rcvtimeo);
	TG_INHERIT(sk, l, sk_sndtimeo);
	TG_INHERIT(sk, l, sk_rcvlowat);
	sk->sk_userlocks = (sk->sk_userlocks & ~TG_INHERIT_LOCKS) | locks;
	if (locks & SOCK_SNDBUF_LOCK)
		TG_INHERIT(sk, l, sk_sndbuf);
	if (locks & SOCK_RCVBUF_LOCK)
		TG_INHERIT(sk, l, sk_rcvbuf);
	/* TCP copies neither.  The gate's cgroup has paid for what the gate reserved. */
	sk->sk_priority = 0;
	sk->sk_reserved_mem = 0;
	sk_mem_reclaim(sk);
	TG_INHERIT(sk, l, sk_max_pacing_rate);
	if (sk->sk_max_pacing_rate != ~0UL)
		cmpxchg(&sk->sk_pacing_status, SK_PACING_NONE, SK_PACING_NEEDED);
#ifdef CONFIG_NET_RX_BUSY_POLL
	TG_INHERIT(sk, l, sk_ll_usec);
	TG_INHERIT(sk, l, sk_prefer_busy_poll);
	TG_INHERIT(sk, l, sk_busy_poll_budget);
#endif
}

/* By which packets are routed; TCP has made it that of the connection's first packet if so set. */
static void tg_inherit_mark(struct sock *sk, const struct sock *l)
{
	u32 mark = READ_ONCE(l->sk_mark);

	if ((!mark && READ_ONCE(sock_net(l)->ipv4.sysctl_tcp_fwmark_accept)) ||
	    mark == sk->sk_mark)
		return;
	WRITE_ONCE(sk->sk_mark, mark);
	sk_dst_reset(sk);
}

/* What SOL_IP and SOL_IPV6 set. */
static void tg_inherit_ip(struct sock *sk, const struct sock *l)
{
	const struct inet_sock *from = inet_sk(l);
	struct inet_sock *inet = inet_sk(sk);

	if (inet->tos != READ_ONCE(from->tos))
		sk_dst_reset(sk);
	TG_INHERIT(inet, from, tos);
	TG_INHERIT(inet, from, uc_ttl);
	TG_INHERIT(inet, from, min_ttl);
	TG_INHERIT(inet, from, pmtudisc);
	tg_inherit_recverr(sk, l);
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		TG_INHERIT(inet6_sk(sk), inet6_sk(l), tclass);
		TG_INHERIT(inet6_sk(sk), inet6_sk(l), min_hopcount);
		TG_INHERIT(inet6_sk(sk), inet6_sk(l), rxopt.all);
		inet6_sk(sk)->hop_limit = inet6_sk(l)->hop_limit;
		tg_inherit_recverr6(sk, l);
	}
#endif
}

/* What SOL_TCP sets. */
static void tg_inherit_tcp(struct sock *sk, const struct sock *l)
{
	const struct tcp_sock *from = tcp_sk(l);
	struct tcp_sock *tp = tcp_sk(sk);

	tp->nonagle = from->nonagle & (TCP_NAGLE_OFF | TCP_NAGLE_CORK);
	tp->thin_lto = from->thin_lto;
	tp->recvmsg_inq = from->recvmsg_inq;
	TG_INHERIT(tp, from, linger2);
	TG_INHERIT(tp, from, tcp_tx_delay);
	TG_INHERIT(tp, from, notsent_lowat);
	TG_INHERIT(tp, from, keepalive_time);
	TG_INHERIT(tp, from, keepalive_intvl);
	TG_INHERIT(tp, from, keepalive_probes);
	TG_INHERIT(inet_csk(sk), inet_csk(l), icsk_user_timeout);
}

/* The timer begins anew, as its time may be another. */
static void tg_inherit_keepalive(struct sock *sk, const struct sock *l)
{
	bool on = sock_flag(l, SOCK_KEEPOPEN);

	sock_reset_flag(sk, SOCK_KEEPOPEN);
	sk->sk_prot->keepalive(sk, 0);
	sk->sk_prot->keepalive(sk, on);
	sock_valbool_flag(sk, SOCK_KEEPOPEN, on);
}

/* By the caller's right: one that it may not choose stays what it is. */
void tg_inherit_congestion(struct sock *sk, const struct tg_family *f, const struct sock *listener)
{
	char name[TCP_CA_NAME_MAX];
	bool same;

	rcu_read_lock();
	strscpy(name, READ_ONCE(inet_csk(listener)->icsk_ca_ops)->name, sizeof(name));
	rcu_read_unlock();
	same = !strcmp(name, READ_ONCE(inet_csk(sk)->icsk_ca_ops)->name);
	if (!same)
		f->base->setsockopt(sk, SOL_TCP, TCP_CONGESTION, KERNEL_SOCKPTR(name),
				    strlen(name));
}

/* --- cgroups and label ---------------------------------------------------------------- */

/* For programs and rules of the server's unit. */
static void tg_inherit_cgroup(struct sock *sk, struct sock *l)
{
#ifdef CONFIG_SOCK_CGROUP_DATA
	struct cgroup *old = sock_cgroup_ptr(&sk->sk_cgrp_data);
	struct cgroup *new = sock_cgroup_ptr(&l->sk_cgrp_data);

	cgroup_get(new);
	cgroup_bpf_get(new);
	sk->sk_cgrp_data = l->sk_cgrp_data;
	cgroup_bpf_put(old);
	cgroup_put(old);
#endif
}

void tg_inherit(struct sock *sk, struct sock *listener)
{
	tg_inherit_socket(sk, listener);
	tg_inherit_mark(sk, listener);
	tg_inherit_ip(sk, listener);
	tg_inherit_tcp(sk, listener);
	tg_inherit_keepalive(sk, listener);
	tg_inherit_cgroup(sk, listener);
	security_sk_clone(listener, sk);
	/* It counts as received, and was never taken from sk_forward_alloc. */
	skb_queue_purge(&sk->sk_error_queue);
}

#ifdef CONFIG_MEMCG

/* Bytes, a multiple of a page: what tcp_mem counts of it. */
static int tg_inherit_held(const struct sock *sk, const struct tg_session *s)
{
	return sk->sk_forward_alloc + atomic_read(&sk->sk_rmem_alloc) + sk->sk_wmem_queued +
	       s->charged;
}

static void tg_inherit_count(struct sock *sk, int pages)
{
	if (tg_counts_prot_mem(sk))
		atomic_long_add(pages, sk->sk_prot->memory_allocated);
	sk_forward_alloc_add(sk, pages << PAGE_SHIFT);
}

void tg_inherit_leave_memcg(struct sock *sk, const struct tg_session *s)
{
	struct mem_cgroup *memcg = sk->sk_memcg;
	int pages = sk_mem_pages(tg_inherit_held(sk, s));

	if (!memcg)
		return;
	/* The one function that uncharges, and its other effects undone. */
	__sk_mem_reclaim(sk, pages << PAGE_SHIFT);
	sk->sk_memcg = NULL;
	tg_inherit_count(sk, pages);
	css_put(&memcg->css);
}

/*
 * It must not fail: what is freed later is uncharged.  A sender over its limit is charged in
 * any case, as it has the memory already.
 */
static void tg_inherit_charge(struct sock *sk, int pages)
{
	u8 locks = sk->sk_userlocks;
	int sndbuf = sk->sk_sndbuf;

	sk->sk_userlocks |= SOCK_SNDBUF_LOCK;
	WRITE_ONCE(sk->sk_sndbuf, 0);
	__sk_mem_schedule(sk, pages << PAGE_SHIFT, SK_MEM_SEND);
	WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	sk->sk_userlocks = locks;
	tg_inherit_count(sk, -pages);
}

void tg_inherit_enter_memcg(struct sock *sk, const struct tg_session *s)
{
	int seen = sk->sk_forward_alloc + atomic_read(&sk->sk_rmem_alloc);
	int pages = sk_mem_pages(tg_inherit_held(sk, s)) - sk_mem_pages(seen);

	if (!sk->sk_memcg || s->deliver->charged)
		return;
	s->deliver->charged = true;
	if (pages > 0)
		tg_inherit_charge(sk, pages);
}

#else

void tg_inherit_leave_memcg(struct sock *sk, const struct tg_session *s)
{
}

void tg_inherit_enter_memcg(struct sock *sk, const struct tg_session *s)
{
}

#endif
