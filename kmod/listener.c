// SPDX-License-Identifier: GPL-2.0-only
/* The listening socket that a connection is to go to, and what it must be. */
#include <net/addrconf.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/route.h>
#include <net/tcp.h>

#include "deliver.h"

/* A wildcard socket would be found by any address, of another machine, too. */
static bool tg_listener_address_is_local(struct net *net, const struct in6_addr *addr)
{
	if (ipv6_addr_v4mapped(addr))
		return inet_addr_type(net, addr->s6_addr32[3]) == RTN_LOCAL;
#if IS_ENABLED(CONFIG_IPV6)
	return ipv6_chk_addr(net, addr, NULL, 0);
#else
	return false;
#endif
}

/* In a read-side section.  As if the peer had connected to it over loopback. */
static struct sock *tg_listener_lookup(struct sock *sk, const struct tg_end *server)
{
	struct net *net = sock_net(sk);
	struct tg_end peer = tg_end_peer(sk);

	if (ipv6_addr_v4mapped(&server->addr))
		return inet_lookup_listener(net, TG_HASHINFO(net) NULL, 0,
					    peer.addr.s6_addr32[3], peer.port,
					    server->addr.s6_addr32[3], server->port,
					    LOOPBACK_IFINDEX, 0);
#if IS_ENABLED(CONFIG_IPV6)
	return inet6_lookup_listener(net, TG_HASHINFO(net) NULL, 0, &peer.addr, peer.port,
				     &server->addr, ntohs(server->port), LOOPBACK_IFINDEX, 0);
#else
	return NULL;
#endif
}

/* --- what it must not be ------------------------------------------------------------- */

/* accept() gives the new socket the calls of the listening one's family. */
static bool tg_listener_other_family(const struct sock *l, const struct sock *sk)
{
	bool v4 = ipv6_addr_v4mapped(&sk->sk_v6_daddr);

	if (l->sk_family != sk->sk_family)
		return true;
	return l->sk_family == AF_INET6 &&
	       (v4 ? ipv6_only_sock(l) : ipv6_addr_v4mapped(&l->sk_v6_rcv_saddr));
}

/* A socket of the kernel's own has no file, though it may look like a user's otherwise. */
static bool tg_listener_has_file(struct sock *l)
{
	bool has;

	read_lock_bh(&l->sk_callback_lock);
	has = l->sk_socket && l->sk_socket->file;
	read_unlock_bh(&l->sk_callback_lock);
	return has;
}

/*
 * The kernel's servers give the accepted socket its family's calls, which go past the keys.
 * MPTCP has a socket of its own for each listening one, under the same file, and hands what is
 * accepted there and is not MPTCP to TCP: too late before some version.
 */
static bool tg_listener_is_kernels(struct sock *l, const struct tg_family *f)
{
	const struct tcp_ulp_ops *ulp;
	bool mptcp;

	/* Its module may be on its way out, with a listening socket that is closed meanwhile. */
	rcu_read_lock();
	ulp = READ_ONCE(inet_csk(l)->icsk_ulp_ops);
	mptcp = ulp && !strcmp(ulp->name, "mptcp");
	rcu_read_unlock();
	if (!tg_listener_has_file(l))
		return true;
	if (mptcp)
		return !TG_MPTCP_HANDS_OVER;
	return ulp || l->sk_kern_sock || READ_ONCE(l->sk_user_data) ||
	       READ_ONCE(l->sk_prot) != f->base ||
	       READ_ONCE(l->sk_data_ready) != f->callbacks.data_ready;
}

/* It trusts segments that are signed, or IPsec's policy for them. */
static bool tg_listener_authenticates(const struct sock *l)
{
	bool keys = false;

#ifdef CONFIG_TCP_MD5SIG
	keys = rcu_access_pointer(tcp_sk(l)->md5sig_info);
#endif
#ifdef CONFIG_TCP_AO
	keys |= !!rcu_access_pointer(tcp_sk(l)->ao_info);
#endif
#ifdef CONFIG_XFRM
	keys |= rcu_access_pointer(l->sk_policy[0]) || rcu_access_pointer(l->sk_policy[1]);
#endif
	return keys;
}

static int tg_listener_unfit(struct tg_refusal *no, const char *text)
{
	return tg_refuse(no, TLSGATE_REASON_REFUSED_LISTENER, TLSGATE_A_DELIVER_FD,
			 -ESOCKTNOSUPPORT, text);
}

static int tg_listener_check(struct sock *l, const struct sock *sk, const struct tg_family *f,
			     struct tg_refusal *no)
{
	if (tg_listener_other_family(l, sk))
		return tg_listener_unfit(no,
			"the server's socket is of another address family than the TLS socket: let gate and server listen by the same");
	if (tg_listener_is_kernels(l, f))
		return tg_listener_unfit(no,
			"the server's socket belongs to the kernel, to sockmap or, before Linux 6.12.117, to MPTCP: deliver to a program's TCP socket");
	if (READ_ONCE(l->sk_bound_dev_if))
		return tg_listener_unfit(no,
			"the server's socket is bound to a device: listen by address");
	/* What it looks for is not in the records of TLS, or has passed before. */
	if (rcu_access_pointer(l->sk_filter))
		return tg_listener_unfit(no, "the server's socket has a filter: detach it");
	if (tg_listener_authenticates(l))
		return tg_listener_unfit(no,
			"the server's socket has TCP-MD5 or TCP-AO keys, or an IPsec policy: the TLS socket would pass them by");
	/* The machine stamps packets for as long as such a socket lives, and counts them. */
	if (tg_own_stamps(l))
		return tg_listener_unfit(no,
			"the server's socket has time stamps on: switch them off");
	return 0;
}

struct sock *tg_listener_get(struct sock *sk, const struct tg_family *f,
			     const struct tg_end *server, struct tg_refusal *no)
{
	struct sock *l;
	int err;

	if (!tg_listener_address_is_local(sock_net(sk), &server->addr)) {
		err = tg_refuse(no, TLSGATE_REASON_REFUSED_LISTENER, TLSGATE_A_DELIVER_FD,
				-EADDRNOTAVAIL,
				"the server's address is not of this machine, or of another network namespace");
		return ERR_PTR(err);
	}
	rcu_read_lock();
	l = tg_listener_lookup(sk, server);
	if (l && !refcount_inc_not_zero(&l->sk_refcnt))
		l = NULL;
	rcu_read_unlock();
	err = l ? tg_listener_check(l, sk, f, no) : 0;
	if (l && !err)
		return l;
	/* One that is being closed has lost its file, say: it is as one that is gone. */
	if (!l || READ_ONCE(l->sk_state) != TCP_LISTEN)
		err = tg_refuse(no, TLSGATE_REASON_REFUSED_SERVER, TLSGATE_A_DELIVER_FD,
				-ECONNREFUSED,
				"nobody listens at the server's address: start it, and try again");
	if (l)
		sock_put(l);
	return ERR_PTR(err);
}
