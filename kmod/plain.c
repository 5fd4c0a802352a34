// SPDX-License-Identifier: GPL-2.0-only
/* The plain socket of a relay: what it must be, its callbacks, its end. */
#include <net/tcp.h>

#include "datapath.h"
#include "deliver.h"
#include "relay.h"

/* Whether TCP socket @from is connected to the address of TCP socket @to. */
static bool tg_plain_leads_to(const struct sock *from, const struct sock *to)
{
	struct tg_end peer = tg_end_peer(from), local = tg_end_local(to);

	return peer.port == local.port && ipv6_addr_equal(&peer.addr, &local.addr);
}

static bool tg_plain_is_stream(const struct sock *sk)
{
	return sk->sk_type == SOCK_STREAM &&
	       (sk->sk_family == AF_UNIX || (sk_is_inet(sk) && sk->sk_protocol == IPPROTO_TCP));
}

int tg_plain_check(const struct socket *tls, const struct socket *plain, struct tg_refusal *no)
{
	const struct sock *sk = plain->sk;
	int state = READ_ONCE(sk->sk_state);

	if (plain == tls || !tg_plain_is_stream(sk))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_FD, TLSGATE_A_RELAY_FD, -EOPNOTSUPP,
				 "relay fd is not a plain TCP or UNIX stream socket: give a connected one");
	if (state != TCP_ESTABLISHED && !(tg_is_tcp(sk) && state == TCP_CLOSE_WAIT))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_STATE, TLSGATE_A_RELAY_FD, -ENOTCONN,
				 "relay socket is not connected: connect it first");
	if (!net_eq(sock_net(sk), sock_net(tls->sk)))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_NETNS, TLSGATE_A_RELAY_FD, -EXDEV,
				 "relay socket is of another network namespace: use one of the TLS socket's");
	if (READ_ONCE(sk->sk_user_data) || !tg_family_of(plain) ||
	    (tg_is_tcp(sk) && (inet_csk(sk)->icsk_ulp_ops || tcp_sk(sk)->repair)))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_RELAY_FD, -EBUSY,
				 "relay socket has a ULP or is in a relay already: give a plain one");
	/* The two sockets are the ends of one connection: relayed data would loop forever. */
	if (tg_is_tcp(sk) && tg_plain_leads_to(sk, tls->sk) && tg_plain_leads_to(tls->sk, sk))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_FD, TLSGATE_A_RELAY_FD, -ELOOP,
				 "relay socket is the other end of the TLS socket's connection: give one that leads elsewhere");
	return 0;
}

bool tg_plain_waits(const struct sock *sk)
{
	return !tg_is_tcp(sk) || tg_queue_len(sk) || (sk->sk_shutdown & RCV_SHUTDOWN);
}

long tg_plain_unread(struct sock *sk)
{
	struct sock *peer = tg_is_tcp(sk) ? NULL : unix_peer_get(sk);
	long unread = -1;

	if (peer) {
		if (sock_flag(peer, SOCK_DEAD))
			unread = unix_inq_len(peer);
		sock_put(peer);
	}
	return unread;
}

/*
 * --- callbacks: any context; for TCP the socket is locked, but for error_report ----
 *
 * Once the relay is dead a kick does nothing: the socket stays the module's, and
 * whoever watches it is not to be woken for what it cannot do.
 */

static void tg_plain_data_ready(struct sock *sk)
{
	struct tg_relay *r;

	/* Before 6.7 SO_OOBINLINE may be off again: TCP skips no byte that it does not know. */
	if (tg_is_tcp(sk))
		tcp_sk(sk)->urg_data = 0;
	rcu_read_lock();
	r = rcu_dereference_sk_user_data(sk);
	if (r)
		tg_relay_ready(r, sk, true);
	rcu_read_unlock();
}

static void tg_plain_write_space(struct sock *sk)
{
	struct tg_relay *r;

	rcu_read_lock();
	r = rcu_dereference_sk_user_data(sk);
	if (r && tg_is_tcp(sk) && sk_stream_is_writeable(sk))
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	if (r)
		tg_relay_kick(r, &r->open_work);
	rcu_read_unlock();
}

static void tg_plain_changed(struct sock *sk, bool broken)
{
	struct tg_relay *r;

	rcu_read_lock();
	r = rcu_dereference_sk_user_data(sk);
	if (r && broken)
		WRITE_ONCE(r->plain_error, true);
	if (r) {
		tg_relay_kick(r, &r->seal_work);
		tg_relay_kick(r, &r->open_work);
	}
	rcu_read_unlock();
}

static void tg_plain_state_change(struct sock *sk)
{
	tg_plain_changed(sk, tg_plain_unread(sk) > 0);
}

/* TCP's may be of ICMP, and it goes on.  To AF_UNIX's stream sockets it is tg_plain_reset(). */
static void tg_plain_error_report(struct sock *sk)
{
	tg_plain_changed(sk, !tg_is_tcp(sk));
}

const struct tg_callbacks tg_plain_callbacks = {
	.data_ready	= tg_plain_data_ready,
	.write_space	= tg_plain_write_space,
	.state_change	= tg_plain_state_change,
	.error_report	= tg_plain_error_report,
};

/* --- the end ---------------------------------------------------------------- */

bool tg_plain_shutdown(struct tg_relay *r)
{
	struct sock *sk = r->plain->sk;

	if (!tg_is_tcp(sk)) {
		r->family->base_ops->shutdown(r->plain, SHUT_WR);
		return true;
	}
	if (!tg_own_lock_soon(sk, 0))
		return false;
	if (sk->sk_state != TCP_CLOSE) {
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | SEND_SHUTDOWN);
		r->family->base->shutdown(sk, SEND_SHUTDOWN);
	}
	release_sock(sk);
	return true;
}

bool tg_plain_reset(struct tg_relay *r)
{
	struct sock *sk = r->plain->sk, *peer;

	if (tg_is_tcp(sk)) {
		if (!tg_own_lock_soon(sk, 0))
			return false;
		r->family->base->disconnect(sk, 0);
		release_sock(sk);
		return true;
	}
	/* AF_UNIX knows no RST: do to the peer what closing with unread data does. */
	peer = test_and_set_bit(TG_RELAY_PEER_RESET, &r->flags) ? NULL : unix_peer_get(sk);
	if (peer) {
		WRITE_ONCE(peer->sk_err, ECONNRESET);
		sk_error_report(peer);
		sock_put(peer);
	}
	return true;
}
