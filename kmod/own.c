// SPDX-License-Identifier: GPL-2.0-only
/* Sockets that are the module's: families, locking, and the calls that refuse. */
#include <linux/delay.h>
#include <linux/fdtable.h>
#include <linux/wait_bit.h>
#include <net/tcp.h>

#include "datapath.h"
#include "deliver.h"
#include "own.h"
#include "relay.h"

/* For a lock that somebody holds: our own works let go sooner. */
#define TG_LOCK_WAIT	(HZ / 20)
/* Looks whether nobody else has a socket, a millisecond apart: who reads /proc lets go sooner. */
#define TG_ALONE_TRIES	5

static struct tg_family tg_families[] = {
	{ .family = AF_INET },
	{ .family = AF_INET6 },
	{ .family = AF_UNIX },
};

/* --- what an owned socket's holder is told ----------------------------------- */

#define DEFINE_REFUSED(name, ...)		\
static int tg_owned_##name(__VA_ARGS__)		\
{						\
	return -EBUSY;				\
}

DEFINE_REFUSED(bind, struct socket *sock, TG_SOCKADDR *addr, int len)
DEFINE_REFUSED(connect, struct socket *sock, TG_SOCKADDR *addr, int len, int flags)
DEFINE_REFUSED(accept, TG_ACCEPT_ARGS)
DEFINE_REFUSED(ioctl, struct socket *sock, unsigned int cmd, unsigned long arg)
DEFINE_REFUSED(listen, struct socket *sock, int backlog)
DEFINE_REFUSED(shutdown, struct socket *sock, int how)
DEFINE_REFUSED(setsockopt, struct socket *sock, int level, int optname, sockptr_t optval,
	       unsigned int optlen)
DEFINE_REFUSED(getsockopt, struct socket *sock, int level, int optname, char __user *optval,
	       int __user *optlen)
DEFINE_REFUSED(sendmsg, struct socket *sock, struct msghdr *msg, size_t len)
DEFINE_REFUSED(recvmsg, struct socket *sock, struct msghdr *msg, size_t len, int flags)
DEFINE_REFUSED(rcvlowat, struct sock *sk, int val)
/* Those of a struct proto, to which io_uring comes past the socket's. */
DEFINE_REFUSED(proto_sendmsg, struct sock *sk, struct msghdr *msg, size_t len)
DEFINE_REFUSED(proto_recvmsg, TG_RECVMSG_ARGS)
DEFINE_REFUSED(proto_ioctl, struct sock *sk, int cmd, TG_IOCTL_ARG)

static ssize_t tg_owned_splice_read(struct socket *sock, loff_t *ppos,
				    struct pipe_inode_info *pipe, size_t len, unsigned int flags)
{
	return -EBUSY;
}

/* Never ready: an event loop that watches it still must hear nothing. */
static __poll_t tg_owned_poll(struct file *file, struct socket *sock,
			      struct poll_table_struct *wait)
{
	return 0;
}

/* Without a sock: accept() made it with our calls before it was refused. */
static int tg_owned_release(struct socket *sock)
{
	struct tg_session *s;

	if (!sock->sk)
		return 0;
	s = tg_session_of(sock->sk);
	return s && tg_deliver_pending(s) ? tg_deliver_release(sock, s) : tg_relay_release(sock);
}

static const struct proto_ops tg_owned_ops = {
	.owner		= THIS_MODULE,
	.release	= tg_owned_release,
	.bind		= tg_owned_bind,
	.connect	= tg_owned_connect,
	.socketpair	= sock_no_socketpair,
	.accept		= tg_owned_accept,
	.poll		= tg_owned_poll,
	.ioctl		= tg_owned_ioctl,
	.listen		= tg_owned_listen,
	.shutdown	= tg_owned_shutdown,
	.setsockopt	= tg_owned_setsockopt,
	.getsockopt	= tg_owned_getsockopt,
	.sendmsg	= tg_owned_sendmsg,
	.recvmsg	= tg_owned_recvmsg,
	.mmap		= sock_no_mmap,
	.splice_read	= tg_owned_splice_read,
	TG_OWNED_SENDPAGE
	.set_rcvlowat	= tg_owned_rcvlowat,
};

/* --- families: module init ----------------------------------------------------- */

static void tg_family_fill(struct tg_family *f)
{
	f->owned_ops = tg_owned_ops;
	f->owned_ops.family = f->family;
	f->owned_ops.getname = f->base_ops->getname;
	if (f->family == AF_UNIX)
		return;
	f->owned = *f->base;
	f->owned.sendmsg = tg_owned_proto_sendmsg;
	f->owned.recvmsg = tg_owned_proto_recvmsg;
	f->owned.ioctl = tg_owned_proto_ioctl;
	TG_NO_SENDPAGE(&f->owned);
	f->keyed = *f->base;
	f->keyed.close = tg_close;
	f->keyed.splice_eof = NULL;
	f->keyed.sock_is_readable = NULL;
	TG_NO_SENDPAGE(&f->keyed);
#ifdef CONFIG_BPF_SYSCALL
	/* Without it sockmap refuses the socket. */
	f->keyed.psock_update_sk_prot = NULL;
#endif
	tg_ulp_fill(f);
	tg_deliver_fill(f);
}

int __init tg_own_init(void)
{
	struct tg_family *f;
	struct socket *sock;
	struct sock *sk;
	int err;

	for (f = tg_families; f < tg_families + ARRAY_SIZE(tg_families); f++) {
		err = sock_create_kern(&init_net, f->family, SOCK_STREAM, 0, &sock);
		/* IPv6 may be absent. */
		if (err == -EAFNOSUPPORT)
			continue;
		if (err)
			return err;
		sk = sock->sk;
		f->base = sk->sk_prot;
		f->base_ops = sock->ops;
		f->callbacks = (struct tg_callbacks) {
			sk->sk_data_ready, sk->sk_write_space, sk->sk_state_change,
			sk->sk_error_report,
		};
		tg_family_fill(f);
		sock_release(sock);
	}
	return 0;
}

static struct tg_family *tg_family_find(int family)
{
	struct tg_family *f;

	for (f = tg_families; f < tg_families + ARRAY_SIZE(tg_families); f++)
		if (f->family == family)
			return f;
	return NULL;
}

const struct tg_family *tg_family_of(const struct socket *sock)
{
	const struct tg_family *f = tg_family_find(sock->sk->sk_family);

	return f && f->base == READ_ONCE(sock->sk->sk_prot) &&
	       f->base_ops == READ_ONCE(sock->ops) ? f : NULL;
}

/* --- locking --------------------------------------------------------------------- */

bool tg_own_trylock(struct sock *sk, int subclass)
{
	bool mine;

	spin_lock_bh(&sk->sk_lock.slock);
	mine = !sk->sk_lock.owned && sk->sk_socket;
	if (mine)
		sk->sk_lock.owned = 1;
	spin_unlock_bh(&sk->sk_lock.slock);
	if (mine)
		mutex_acquire(&sk->sk_lock.dep_map, subclass, 1, _RET_IP_);
	return mine;
}

bool tg_own_lock_soon(struct sock *sk, int subclass)
{
	return wait_event_timeout(sk->sk_lock.wq, tg_own_trylock(sk, subclass), TG_LOCK_WAIT);
}

static int tg_own_busy(struct tg_refusal *no, u8 attr)
{
	return tg_refuse(no, TLSGATE_REASON_REFUSED_BUSY, attr, -EBUSY,
			 "another descriptor, or a call of another thread, has the socket: hand over its only descriptor while nobody is in a call on it");
}

int tg_own_lock(struct sock *tls, struct sock *plain, struct tg_refusal *no)
{
	struct sock *first = plain && plain < tls ? plain : tls;
	struct sock *second = first == tls ? plain : tls;

	if (!tg_own_lock_soon(first, 0))
		return tg_own_busy(no, first == tls ? TLSGATE_A_FD : TLSGATE_A_RELAY_FD);
	if (!second || tg_own_lock_soon(second, SINGLE_DEPTH_NESTING))
		return 0;
	release_sock(first);
	return tg_own_busy(no, second == tls ? TLSGATE_A_FD : TLSGATE_A_RELAY_FD);
}

void tg_own_unlock(struct sock *tls, struct sock *plain)
{
	if (plain)
		release_sock(plain);
	release_sock(tls);
}

/* --- what it must not have ----------------------------------------------------------- */

int tg_own_check_filter(const struct sock *sk, struct tg_refusal *no, u8 attr)
{
	if (!rcu_access_pointer(sk->sk_filter))
		return 0;
	return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, attr, -EBUSY,
			 "socket has a filter, which may cut the stream: detach it first");
}

bool tg_own_stamps(const struct sock *sk)
{
	return sock_flag(sk, SOCK_TIMESTAMP) || sock_flag(sk, SOCK_TIMESTAMPING_RX_SOFTWARE) ||
	       READ_ONCE(sk->sk_tsflags);
}

/* --- nobody else --------------------------------------------------------------------- */

/* Under the lock of the table, so that its entry stays: 2 are the entry's and the caller's. */
static int tg_own_count(const void *file, struct file *entry, unsigned int fd)
{
	return entry == file && file_count(entry) == 2;
}

static bool tg_own_alone(const struct socket *sock, unsigned int fd)
{
	unsigned int n;

	for (n = 0; n < TG_ALONE_TRIES; n++) {
		if (iterate_fd(current->files, fd, tg_own_count, sock->file))
			return true;
		usleep_range(500, 1000);
	}
	return false;
}

void tg_own_admit(struct socket *sock, const struct proto_ops *ops)
{
	tg_own_sol_socket(sock, false);
	WRITE_ONCE(sock->ops, ops);
	/* Who watched it meanwhile saw nothing. */
	sock->sk->sk_state_change(sock->sk);
}

/* Locked. */
static int tg_own_exclude_one(struct socket *sock, unsigned int fd, struct tg_refusal *no, u8 attr)
{
	const struct proto_ops *before = sock->ops;

	tg_own_sol_socket(sock, true);
	WRITE_ONCE(sock->ops, &tg_family_find(sock->sk->sk_family)->owned_ops);
	/*
	 * Pairs with fget(), which adds its reference, fully ordered, before the call is looked
	 * up: either the reference is counted here or the call finds that it is refused.
	 */
	smp_mb();
	if (tg_own_alone(sock, fd))
		return 0;
	tg_own_admit(sock, before);
	return tg_own_busy(no, attr);
}

int tg_own_exclude(struct socket *tls, struct socket *plain, const struct tg_fds *fds,
		   struct tg_refusal *no)
{
	const struct proto_ops *before = tls->ops;
	int err = tg_own_exclude_one(tls, fds->tls, no, TLSGATE_A_FD);

	if (err || !plain)
		return err;
	err = tg_own_exclude_one(plain, fds->plain, no, TLSGATE_A_RELAY_FD);
	if (err)
		tg_own_admit(tls, before);
	return err;
}

/* --- taking ------------------------------------------------------------------------ */

bool tg_own_claim(struct sock *sk, void *data)
{
	bool free;

	write_lock_bh(&sk->sk_callback_lock);
	free = !sk->sk_user_data;
	if (free)
		__rcu_assign_sk_user_data_with_flags(sk, data, SK_USER_DATA_NOCOPY);
	write_unlock_bh(&sk->sk_callback_lock);
	return free;
}

void tg_own_disclaim(struct sock *sk)
{
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_sk_user_data(sk, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
}

static void tg_own_set_callbacks(struct sock *sk, const struct tg_callbacks *callbacks)
{
	write_lock_bh(&sk->sk_callback_lock);
	sk->sk_data_ready = callbacks->data_ready;
	sk->sk_write_space = callbacks->write_space;
	sk->sk_state_change = callbacks->state_change;
	sk->sk_error_report = callbacks->error_report;
	write_unlock_bh(&sk->sk_callback_lock);
}

void tg_own_attach(struct sock *sk, const struct tg_callbacks *callbacks)
{
	/* Given back by __sock_release(), for the calls, and by tcp_cleanup_ulp(). */
	__module_get(THIS_MODULE);
	if (tg_is_tcp(sk)) {
		__module_get(THIS_MODULE);
		inet_csk(sk)->icsk_ulp_ops = &tg_ulp_ops;
	}
	tg_own_set_callbacks(sk, callbacks);
}

void tg_own_restore(struct sock *sk, const struct tg_family *f)
{
	/* First, since the far end of a UNIX socket may call them for as long as it likes. */
	tg_own_set_callbacks(sk, &f->callbacks);
	tg_own_disclaim(sk);
	if (tg_is_tcp(sk))
		WRITE_ONCE(sk->sk_prot, f->base);
}

void tg_own_detach(struct sock *sk, const struct tg_family *f)
{
	tg_own_restore(sk, f);
	/* What __sock_release() gives back is ours; the family's own is still held. */
	module_put(f->base_ops->owner);
}

void tg_own_take(struct sock *sk, struct socket *own, struct tg_relay *r)
{
	struct tg_family *f = tg_family_find(sk->sk_family);

	__module_get(THIS_MODULE);
	own->ops = &f->owned_ops;
	own->sk = sk;
	write_lock_bh(&sk->sk_callback_lock);
	__rcu_assign_sk_user_data_with_flags(sk, r, SK_USER_DATA_NOCOPY);
	write_unlock_bh(&sk->sk_callback_lock);
	/* A short message must pass, and an end be one. */
	sock_set_flag(sk, SOCK_FILTER_LOCKED);
	WRITE_ONCE(sk->sk_rcvlowat, 1);
	sock_reset_flag(sk, SOCK_LINGER);
	/* Urgent bytes stay in the stream; TCP skips one when the next comes before it is read. */
	sock_set_flag(sk, SOCK_URGINLINE);
	if (tg_is_tcp(sk)) {
		WRITE_ONCE(sk->sk_prot, &f->owned);
		tcp_sk(sk)->nonagle &= ~TCP_NAGLE_CORK;
		tcp_sk(sk)->nonagle |= TCP_NAGLE_OFF | TCP_NAGLE_PUSH;
		/* Known already, and skipped if SO_OOBINLINE is turned off again (before 6.7). */
		tcp_sk(sk)->urg_data = 0;
		/* Nobody can read what would fill the error queue, and with it SO_RCVBUF. */
		WRITE_ONCE(sk->sk_tsflags, 0);
		skb_queue_purge(&sk->sk_error_queue);
	} else {
		/* AF_UNIX tells who asks the label of the struct socket that sends. */
		security_sock_graft(sk, own);
	}
}

/* --- leaving, and the namespace ---------------------------------------------------- */

void tg_own_graft(struct sock *sk, struct socket *own)
{
	/* Who sends an urgent byte looks under it at the file, for whose owner to tell. */
	spinlock_t *lock = tg_is_tcp(sk) ? &sk->sk_lock.slock : &unix_sk(sk)->lock;
	struct net *net = sock_net(sk);

	lock_sock(sk);
	/* Nobody waits for its close; before 6.7 it may have been set anew. */
	sock_reset_flag(sk, SOCK_LINGER);
	/* TCP may have asked the other one for a call when there is room. */
	set_bit(SOCK_NOSPACE, &own->flags);
	SOCK_INODE(own)->i_uid = SOCK_INODE(sk->sk_socket)->i_uid;
	spin_lock_bh(lock);
	write_lock(&sk->sk_callback_lock);
	rcu_assign_pointer(sk->sk_wq, &own->wq);
	sk_set_socket(sk, own);
	write_unlock(&sk->sk_callback_lock);
	spin_unlock_bh(lock);
	atomic_inc(&tg_net(net)->let_go);
	__netns_tracker_free(net, &sk->ns_tracker, true);
	sk->sk_net_refcnt = 0;
	sock_inuse_add(net, -1);
	tg_net_passive_inc(net);
	__netns_tracker_alloc(net, &sk->ns_tracker, false, GFP_KERNEL);
	release_sock(sk);
	put_net(net);
}

struct net *tg_own_regain(struct sock *sk)
{
	struct net *net = sock_net(sk);

	if (!maybe_get_net(net))
		return net;
	lock_sock(sk);
	tg_net_refcnt_upgrade(sk);
	release_sock(sk);
	tg_own_gone(net);
	put_net(net);
	return NULL;
}

void tg_own_gone(struct net *ending)
{
	atomic_t *let_go = ending ? &tg_net(ending)->let_go : NULL;

	/* The namespace may go from here on: it is woken by the address alone. */
	if (let_go && atomic_dec_and_test(let_go))
		wake_up_var(let_go);
}
