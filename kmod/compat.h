/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Differences between the kernels we build on, newest first.  The only file
 * that looks at LINUX_VERSION_CODE; the sources read as if for the newest.
 */
#ifndef TG_COMPAT_H
#define TG_COMPAT_H

#include <linux/version.h>
#include <linux/highmem.h>
#include <linux/net.h>
#include <linux/uio.h>
#include <net/tcp.h>

#ifndef CONFIG_64BIT
#error "tlsgate is for 64-bit kernels: counters and nonces are read and written whole"
#endif

/* 7.2: proto.recvmsg has no addr_len any more. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 2, 0)
#define TG_RECVMSG_ARGS struct sock *sk, struct msghdr *msg, size_t len, int flags
#define TG_RECVMSG_PASS sk, msg, len, flags
#else
#define TG_RECVMSG_ARGS struct sock *sk, struct msghdr *msg, size_t len, int flags, int *addr_len
#define TG_RECVMSG_PASS sk, msg, len, flags, addr_len
#endif

/* 6.19: addresses of a socket's calls are of no known size. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define TG_SOCKADDR struct sockaddr_unsized
#else
#define TG_SOCKADDR struct sockaddr
#endif

/* 6.19: a socket may be left out of tcp_mem. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 19, 0)
#define tg_counts_prot_mem(sk) (!(sk)->sk_bypass_prot_mem)
#else
#define tg_counts_prot_mem(sk) true
#endif

/* Exported still, but newer kernels keep these declarations to themselves. */
struct sock *unix_peer_get(struct sock *sk);
long unix_inq_len(struct sock *sk);

/* What a ULP tells of a socket may be told without CAP_NET_ADMIN.  Kbuild looks for it. */
#ifdef TG_INFO_FOR_ALL
#define TG_INFO_ARGS struct sock *sk, struct sk_buff *skb, bool net_admin
#define TG_INFO_SIZE_ARGS const struct sock *sk, bool net_admin
#else
#define TG_INFO_ARGS struct sock *sk, struct sk_buff *skb
#define TG_INFO_SIZE_ARGS const struct sock *sk
#endif

/* 6.18: workqueues are asked for by CPU, not by default. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define WQ_PERCPU 0
#define system_percpu_wq system_wq
#endif

/* 6.18: there is one table of connections; before, a namespace may have its own. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)
#define TG_HASHINFO(net)
#else
#define TG_HASHINFO(net) (net)->ipv4.tcp_death_row.hashinfo,
#endif

/* 6.12: linux/unaligned.h; what TCP receives may lie in a device's memory. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#define skb_frags_readable(skb) true
#endif

/* 6.12.117, looked at: accept() of MPTCP gives TCP's calls to a socket before it unlocks it. */
#define TG_MPTCP_HANDS_OVER (LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 117))

/* 6.11: handlers get a table that is const. */
#include <linux/sysctl.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define TG_CTL_TABLE const struct ctl_table
#else
#define TG_CTL_TABLE struct ctl_table
#endif

/* 6.10: accept's arguments are one. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define TG_ACCEPT_ARGS struct socket *sock, struct socket *newsock, struct proto_accept_arg *arg
#else
#define TG_ACCEPT_ARGS struct socket *sock, struct socket *newsock, int flags, bool kern
#endif

/* 6.7: a socket's own calls may see to SOL_SOCKET. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define tg_own_sol_socket(sock, on) assign_bit(SOCK_CUSTOM_SOCKOPT, &(sock)->flags, on)
#else
#define tg_own_sol_socket(sock, on) do { } while (0)
#endif

/* 6.7: options of IP that are on or off are bits of one word. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
#define tg_inherit_recverr(sk, from) inet_assign_bit(RECVERR, sk, inet_test_bit(RECVERR, from))
#define tg_inherit_recverr6(sk, from) inet_assign_bit(RECVERR6, sk, inet_test_bit(RECVERR6, from))
#else
#define tg_inherit_recverr(sk, from) (inet_sk(sk)->recverr = inet_sk(from)->recverr)
#define tg_inherit_recverr6(sk, from) (inet6_sk(sk)->recverr = inet6_sk(from)->recverr)
#endif

/* 6.6: tables of sysctls are counted; before, an empty row ends them. */
#include <net/net_namespace.h>
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
#define register_net_sysctl_sz(net, path, table, size) register_net_sysctl(net, path, table)
#endif

/* 6.5: pages go to sockets by MSG_SPLICE_PAGES, sendpage is gone, proto.ioctl has changed. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 5, 0)

#define TG_IOCTL_ARG int *arg
#define tg_ioctl_answer(n, arg) ({ *(arg) = (n); 0; })

#define MSG_SENDPAGE_NOTLAST 0
#define TG_NO_SENDPAGE(proto) do { } while (0)
#define TG_OWNED_SENDPAGE

static inline ssize_t tg_tcp_send_bvecs(struct sock *sk, struct bio_vec *bv, unsigned int nr,
					size_t len, int flags)
{
	struct msghdr msg = { .msg_flags = flags | MSG_SPLICE_PAGES };

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bv, nr, len);
	return tcp_sendmsg_locked(sk, &msg, len);
}

#define tg_copy_page_to_iter copy_page_to_iter
#define tg_splice_by_copy copy_splice_read

#else

/* The answer went to the caller's memory here, and not by way of sk_ioctl(). */
#define TG_IOCTL_ARG unsigned long arg
#define tg_ioctl_answer(n, arg) put_user(n, (int __user *)(arg))

#ifndef MSG_SPLICE_PAGES
#define MSG_SPLICE_PAGES 0
#endif

#define TG_NO_SENDPAGE(proto) ((proto)->sendpage = NULL)
/* Which goes to sendmsg: kernel_sendpage() may look twice whether there is one. */
#define TG_OWNED_SENDPAGE .sendpage = sock_no_sendpage,
#define tg_splice_by_copy generic_file_splice_read

/* A pipe would take our page as one of a page cache's, and find it not up to date. */
static inline size_t tg_copy_page_to_iter(struct page *page, size_t off, size_t len,
					  struct iov_iter *to)
{
	void *p = kmap_local_page(page + (off >> PAGE_SHIFT)) + offset_in_page(off);

	len = copy_to_iter(p, min_t(size_t, len, PAGE_SIZE - offset_in_page(off)), to);
	kunmap_local(p);
	return len;
}

static inline ssize_t tg_tcp_send_bvecs(struct sock *sk, struct bio_vec *bv, unsigned int nr,
					size_t len, int flags)
{
	ssize_t sent = 0, ret;

	for (; sent < len; bv++) {
		size_t part = min_t(size_t, bv->bv_len, len - sent);

		ret = do_tcp_sendpages(sk, bv->bv_page, bv->bv_offset, part,
				       sent + part < len ? flags | MSG_MORE | MSG_SENDPAGE_NOTLAST
							 : flags);
		if (ret < 0)
			return sent ?: ret;
		sent += ret;
		if (ret < part)
			break;
	}
	return sent;
}

#endif

/* 6.2: sockets that do not hold their namespace are tracked, too. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define __netns_tracker_free(net, tracker, held) \
	do { if (held) netns_tracker_free(net, tracker); } while (0)
#define __netns_tracker_alloc(net, tracker, held, gfp) do { } while (0)
#endif

/* They hold its memory: taken over by stable kernels, so that Kbuild looks for it. */
#ifdef TG_NET_PASSIVE

#define tg_net_passive_inc net_passive_inc
#define tg_net_refcnt_upgrade sk_net_refcnt_upgrade

#else

#define tg_net_passive_inc(net) do { } while (0)

static inline void tg_net_refcnt_upgrade(struct sock *sk)
{
	struct net *net = sock_net(sk);

	__netns_tracker_free(net, &sk->ns_tracker, false);
	sk->sk_net_refcnt = 1;
	get_net_track(net, &sk->ns_tracker, GFP_KERNEL);
	sock_inuse_add(net, 1);
}

#endif

/* sk_rmem_schedule() without a buffer, whose arguments differ. */
static inline bool tg_mem_schedule(struct sock *sk, int size)
{
	return size <= sk->sk_forward_alloc ||
	       __sk_mem_schedule(sk, size - sk->sk_forward_alloc, SK_MEM_RECV);
}

/* Whether an epoll instance watches it. */
#ifdef CONFIG_EPOLL
#define tg_file_watched(file) (!!READ_ONCE((file)->f_ep))
#else
#define tg_file_watched(file) false
#endif

/* The memory cgroup that a TCP socket is charged to. */
#ifdef CONFIG_MEMCG
#define tg_memcg(sk) ((sk)->sk_memcg)
#else
#define tg_memcg(sk) NULL
#endif

/* Descriptors that wait in a UNIX socket's queue. */
#include <net/af_unix.h>
#define tg_unix_fds(sk) atomic_read(&unix_sk(sk)->scm_stat.nr_fds)

#endif /* TG_COMPAT_H */
