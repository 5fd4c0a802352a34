// SPDX-License-Identifier: GPL-2.0-only
/* The plain socket of a relay: what it must be, its callbacks, its reset. */
#include <linux/netlink.h>
#include <net/af_unix.h>
#include <net/tcp.h>

#include "datapath.h"
#include "relay_priv.h"
#include "ulp.h"

static bool tg_plain_is_v6(const struct sock *sk)
{
#if IS_ENABLED(CONFIG_IPV6)
	return sk->sk_family == AF_INET6 && !ipv6_addr_v4mapped(&sk->sk_v6_daddr);
#else
	return false;
#endif
}

/* Whether TCP socket @from is connected to the address of TCP socket @to. */
static bool tg_plain_leads_to(const struct sock *from, const struct sock *to)
{
	bool v6 = tg_plain_is_v6(from);

	if (inet_sk(from)->inet_dport != inet_sk(to)->inet_sport || v6 != tg_plain_is_v6(to))
		return false;
#if IS_ENABLED(CONFIG_IPV6)
	if (v6)
		return ipv6_addr_equal(&from->sk_v6_daddr, &to->sk_v6_rcv_saddr);
#endif
	return from->sk_daddr == to->sk_rcv_saddr;
}

int tg_plain_check(struct socket *tls, struct socket *plain,
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
	/* Its bytes would go round, with nobody at either end to stop them. */
	if (tcp && tg_plain_leads_to(sk, tls->sk) && tg_plain_leads_to(tls->sk, sk))
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_FD, -ELOOP,
				 "relay socket is the other end of the TLS socket's connection: give one that leads elsewhere");
	return 0;
}

bool tg_plain_waits(const struct sock *sk)
{
	return !tg_is_tcp(sk) || tg_queue_len(sk) || (sk->sk_shutdown & RCV_SHUTDOWN);
}

/* --- callbacks: any context ------------------------------------------------ */

static struct tg_relay *tg_plain_relay(const struct sock *sk)
{
	return rcu_dereference_sk_user_data(sk);
}

static void tg_plain_data_ready(struct sock *sk)
{
	struct tg_relay *r;

	rcu_read_lock();
	r = tg_plain_relay(sk);
	if (r && !(tg_is_tcp(sk) && tg_direct_seal(r, sk)))
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

void tg_plain_attach(struct tg_relay *r, struct sock *sk)
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

void tg_plain_detach(struct tg_relay *r, struct sock *sk)
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

void tg_plain_reset(struct sock *sk)
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
