// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a TCP socket becomes a TLS socket: its struct proto, its proto_ops and
 * its callbacks are exchanged when keys are installed, and put back at close.
 */
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <asm/ioctls.h>
#include <net/inet_common.h>
#include <net/tcp.h>

#include "datapath.h"
#include "netlink.h"
#include "relay.h"
#include "stats.h"
#include "ulp.h"

static struct tcp_ulp_ops tg_ulp_ops;

/**
 * struct tg_family - what replaces an address family's calls
 * @base: the family's own struct proto; NULL until first seen
 * @base_ops: the family's own struct proto_ops
 * @proto: @base with ours in place
 * @ops: @base_ops with ours in place
 */
struct tg_family {
	struct proto *base;
	const struct proto_ops *base_ops;
	struct proto proto;
	struct proto_ops ops;
};

static struct tg_family tg_families[2];
static DEFINE_MUTEX(tg_families_lock);	/* writing tg_families[]; inside lock_sock() */

/* --- callbacks: socket spinlock held, or the owner's backlog ------------- */

static void tg_data_ready(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);

	if (!tg_rx_update_ready(sk, s))
		return;
	if (s->relay)
		tg_relay_record_ready(s->relay, sk);
	else
		s->data_ready(sk);
}

static void tg_write_space(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);

	if (!tg_frags_empty(&s->tx.pending))
		tg_tx_kick(s);
	if (!s->relay) {
		s->write_space(sk);
	} else if (sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		tg_relay_kick_seal(s->relay);
	} else {
		/* push_work calls as well, when nobody has asked for a call yet. */
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	}
}

static void tg_state_change(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);

	if (s->relay) {
		tg_relay_kick_open(s->relay);
		tg_relay_kick_seal(s->relay);
		return;
	}
	tg_rx_update_ready(sk, s);
	s->state_change(sk);
}

/*
 * A relay's sockets have no fd, but an epoll that watched one still holds it:
 * its owner must not be woken for what it can neither read nor unwatch.
 * Unlike the others this one may be called without any lock.
 */
static void tg_error_report(struct sock *sk)
{
	struct tg_session *s;
	struct tg_relay *r;

	rcu_read_lock();
	s = tg_session_from_sk(sk);
	r = s ? READ_ONCE(s->relay) : NULL;
	if (r) {
		tg_relay_kick_open(r);
		tg_relay_kick_seal(r);
	} else if (s) {
		s->error_report(sk);
	}
	rcu_read_unlock();
}

/* --- calls ---------------------------------------------------------------- */

/* TCP tells of bytes of records, and of urgent data, which nobody can read. */
static __poll_t tg_poll(struct file *file, struct socket *sock, struct poll_table_struct *wait)
{
	__poll_t mask = tcp_poll(file, sock, wait) & ~(EPOLLIN | EPOLLRDNORM | EPOLLPRI);
	struct tg_session *s;

	rcu_read_lock();
	s = tg_session_from_sk(sock->sk);
	if (s && READ_ONCE(s->rx.ready))
		mask |= EPOLLIN | EPOLLRDNORM;
	rcu_read_unlock();
	return mask;
}

/* TCP would tell of bytes of records. */
static int tg_ioctl(struct sock *sk, int cmd, TG_IOCTL_ARG)
{
	struct tg_session *s = tg_session_from_sk(sk);
	u32 len = 0;

	if (cmd != SIOCINQ)
		return s->base->ioctl(sk, cmd, arg);
	lock_sock(sk);
	if (!s->relay)
		len = tg_rx_readable(sk, s);
	release_sock(sk);
	return tg_ioctl_answer(len, arg);
}

/* CVE-2025-37756: a TLS socket that connects anew would be a plain one. */
static int tg_disconnect(struct sock *sk, int flags)
{
	return -EOPNOTSUPP;
}

static struct proto *tg_base(const struct sock *sk)
{
	return tg_families[sk->sk_family == AF_INET6].base;
}

/* Repair mode shows TCP's queues and fills them, past every key. */
static int tg_setsockopt(struct sock *sk, int level, int optname, sockptr_t optval,
			 unsigned int optlen)
{
	if (level == SOL_TCP && optname == TCP_REPAIR)
		return -EOPNOTSUPP;
	return tg_base(sk)->setsockopt(sk, level, optname, optval, optlen);
}

/* So does zero-copy receive, which would take the wire out of them. */
static int tg_getsockopt(struct sock *sk, int level, int optname, char __user *optval,
			 int __user *optlen)
{
	if (level == SOL_TCP && optname == TCP_ZEROCOPY_RECEIVE)
		return -EOPNOTSUPP;
	return tg_base(sk)->getsockopt(sk, level, optname, optval, optlen);
}

/* inet_shutdown() holds the lock and has set sk_shutdown already. */
static void tg_shutdown(struct sock *sk, int how)
{
	struct tg_session *s = tg_session_from_sk(sk);
	int err;

	if (!(how & SEND_SHUTDOWN) || s->error) {
		s->base->shutdown(sk, how);
		return;
	}
	/* TCP would not take close_notify; tg_tx_push() sets it again with the FIN. */
	WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown & ~SEND_SHUTDOWN);
	err = tg_tx_close_notify(sk, s, true);
	if (err && err != -EAGAIN)
		tg_session_fail(sk, s, TLSGATE_REASON_NO_MEMORY);
}

/* Control records that nobody will read must not make TCP answer close with RST. */
static bool tg_close_unread(struct sock *sk, struct tg_session *s)
{
	if (tg_frags_empty(&s->rx.plain) && !s->error)
		tg_rx_next(sk, s);
	tg_rx_settle(sk, s);
	return !tg_frags_empty(&s->rx.plain);
}

/* An owner who wants RST gets it, with no close_notify before: this is no end in order. */
static bool tg_close_aborts(const struct sock *sk)
{
	return sock_flag(sk, SOCK_LINGER) && !sk->sk_lingertime;
}

static void tg_detach(struct sock *sk, struct tg_session *s)
{
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	WRITE_ONCE(sk->sk_prot, s->base);
	sk->sk_data_ready = s->data_ready;
	sk->sk_write_space = s->write_space;
	sk->sk_state_change = s->state_change;
	sk->sk_error_report = s->error_report;
	write_unlock_bh(&sk->sk_callback_lock);
	if (sk->sk_socket)
		WRITE_ONCE(sk->sk_socket->ops, s->base_ops);
}

static void tg_close(struct sock *sk, long timeout)
{
	struct tg_session *s;
	struct proto *base;
	bool reset;

	lock_sock(sk);
	s = tg_session_from_sk(sk);
	base = s->base;
	reset = tg_close_unread(sk, s) || tg_close_aborts(sk);
	if (!s->error && !tg_close_aborts(sk) && tg_tx_close_notify(sk, s, false))
		reset = true;
	/* What could not be handed over is lost: that must not look like an end. */
	if (!tg_frags_empty(&s->tx.pending))
		reset = true;
	if (!s->reason)
		s->reason = s->rx.closed && s->tx.closed ? TLSGATE_REASON_FINISHED
							 : TLSGATE_REASON_LOCAL_CLOSE;
	tg_detach(sk, s);
	if (reset && sk->sk_state != TCP_CLOSE)
		base->disconnect(sk, 0);
	release_sock(sk);

	if (cancel_delayed_work_sync(&s->push_work))
		tg_session_put(s);
	tg_session_unpublish(s, sk);
	base->close(sk, timeout);
	tg_session_put(s);
}

/* --- attaching ------------------------------------------------------------- */

static void tg_family_build(struct tg_family *f, struct sock *sk)
{
	f->proto = *sk->sk_prot;
	f->proto.sendmsg = tg_tx_sendmsg;
	f->proto.recvmsg = tg_rx_recvmsg;
	f->proto.close = tg_close;
	f->proto.ioctl = tg_ioctl;
	f->proto.shutdown = tg_shutdown;
	f->proto.disconnect = tg_disconnect;
	f->proto.setsockopt = tg_setsockopt;
	f->proto.getsockopt = tg_getsockopt;
	f->proto.splice_eof = NULL;
	f->proto.sock_is_readable = NULL;
	TG_NO_SENDPAGE(&f->proto);
#ifdef CONFIG_BPF_SYSCALL
	/* Without it sockmap refuses the socket. */
	f->proto.psock_update_sk_prot = NULL;
#endif

	f->base_ops = sk->sk_socket->ops;
	f->ops = *f->base_ops;
	f->ops.poll = tg_poll;
	f->ops.splice_read = tg_rx_splice_read;
	/* These reach into TCP's queues; without them all goes through sendmsg and recvmsg. */
	f->ops.splice_eof = NULL;
	f->ops.read_sock = NULL;
	f->ops.read_skb = NULL;
	f->ops.sendmsg_locked = NULL;
	f->ops.peek_len = NULL;
	f->ops.mmap = sock_no_mmap;
	/* We keep no place to peek from: better none than one that is not heeded. */
	f->ops.set_peek_off = NULL;
	/* Pairs with tg_family_of(): who sees base sees the rest. */
	smp_store_release(&f->base, sk->sk_prot);
}

/* The family's row, or NULL if the socket's calls are not the family's own. */
static struct tg_family *tg_family_of(struct sock *sk)
{
	struct tg_family *f = &tg_families[sk->sk_family == AF_INET6];

	/* Pairs with tg_family_build(). */
	if (!smp_load_acquire(&f->base)) {
		mutex_lock(&tg_families_lock);
		if (!f->base)
			tg_family_build(f, sk);
		mutex_unlock(&tg_families_lock);
	}
	return f->base == sk->sk_prot && f->base_ops == sk->sk_socket->ops ? f : NULL;
}

static int tg_ulp_check_kind(struct sock *sk, struct netlink_ext_ack *extack,
			     enum tlsgate_reason *reason)
{
	if ((sk->sk_family != AF_INET && sk->sk_family != AF_INET6) ||
	    sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP)
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_FD, -EOPNOTSUPP,
				 "fd is not a TCP socket: give a connected TCP socket");
	return 0;
}

/* Socket locked. */
static int tg_ulp_check(struct sock *sk, struct netlink_ext_ack *extack,
			enum tlsgate_reason *reason)
{
	if (inet_csk(sk)->icsk_ulp_ops)
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_ULP, -EEXIST,
				 "socket has a ULP already: install keys once, on a fresh connection");
	if (!((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) ||
	    (sk->sk_shutdown & SEND_SHUTDOWN))
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_STATE, -ENOTCONN,
				 "socket is not connected: install keys after the handshake, before shutdown");
	if (sk->sk_user_data || tcp_sk(sk)->repair)
		return tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_ULP, -EBUSY,
				 "socket is used by another kernel user: take it out of sockmap or repair first");
	return 0;
}

static void tg_attach(struct sock *sk, struct tg_session *s, struct tg_family *f)
{
	struct inet_connection_sock *icsk = inet_csk(sk);

	s->base = f->base;
	s->base_ops = f->base_ops;
	s->data_ready = sk->sk_data_ready;
	s->write_space = sk->sk_write_space;
	s->state_change = sk->sk_state_change;
	s->error_report = sk->sk_error_report;

	/* The socket's reference on us: tcp_cleanup_ulp() gives it back. */
	__module_get(THIS_MODULE);
	clear_bit(SOCK_SUPPORT_ZC, &sk->sk_socket->flags);
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_pointer(icsk->icsk_ulp_data, s);
	icsk->icsk_ulp_ops = &tg_ulp_ops;
	sk->sk_data_ready = tg_data_ready;
	sk->sk_write_space = tg_write_space;
	sk->sk_state_change = tg_state_change;
	sk->sk_error_report = tg_error_report;
	WRITE_ONCE(sk->sk_prot, &f->proto);
	write_unlock_bh(&sk->sk_callback_lock);
	WRITE_ONCE(sk->sk_socket->ops, &f->ops);
	/* Data that came before us announces itself to nobody else. */
	tg_rx_update_ready(sk, s);
}

int tg_ulp_install(struct socket *sock, const struct tg_install *in,
		   struct netlink_ext_ack *extack, enum tlsgate_reason *reason,
		   struct tg_session **out)
{
	struct sock *sk = sock->sk;
	struct tg_session *s;
	struct tg_family *f;
	int err;

	err = tg_ulp_check_kind(sk, extack, reason);
	if (err)
		return err;
	s = tg_session_new(in, sock_net(sk), reason);
	if (IS_ERR(s))
		return tg_refuse(extack, reason, *reason, PTR_ERR(s),
				 *reason == TLSGATE_REASON_REFUSED_LIMIT ?
				 "namespace has its fill of sessions: raise sessions_max" :
				 "no memory for a session, or no crypto driver for the suite");

	lock_sock(sk);
	err = tg_ulp_check(sk, extack, reason);
	if (err)
		goto err_unlock;
	f = tg_family_of(sk);
	if (!f) {
		err = tg_refuse(extack, reason, TLSGATE_REASON_REFUSED_ULP, -EBUSY,
				"socket is used by another kernel user: take it out of sockmap or repair first");
		goto err_unlock;
	}
	*reason = TLSGATE_REASON_NO_MEMORY;
	err = tg_session_publish(s, sk);
	if (err)
		goto err_unlock;
	refcount_inc(&s->ref);
	tg_attach(sk, s, f);
	if (!in->relay_follows)
		tg_session_announce(s);
	release_sock(sk);
	*out = s;
	return 0;

err_unlock:
	release_sock(sk);
	tg_session_discard(s, sock_net(sk));
	return err;
}

int tg_ulp_set(struct tg_session *s, int record_size, int padding)
{
	struct sock *sk = tg_session_hold_sk(s);

	if (!sk)
		return -ENOTCONN;
	lock_sock(sk);
	if (record_size >= 0)
		s->tx.record_size = record_size ?: TLSGATE_RECORD_SIZE_MAX;
	if (padding >= 0)
		s->tx.padding = padding;
	release_sock(sk);
	sock_put(sk);
	return 0;
}

/* setsockopt(TCP_ULP, "tlsgate"): a socket without keys would be a promise unkept. */
static int tg_ulp_attach_refused(struct sock *sk)
{
	return -EOPNOTSUPP;
}

static struct tcp_ulp_ops tg_ulp_ops __read_mostly = {
	.name = "tlsgate",
	.owner = THIS_MODULE,
	.init = tg_ulp_attach_refused,
};

int __init tg_ulp_init(void)
{
	return tcp_register_ulp(&tg_ulp_ops);
}

void tg_ulp_exit(void)
{
	tcp_unregister_ulp(&tg_ulp_ops);
}
