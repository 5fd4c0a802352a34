// SPDX-License-Identifier: GPL-2.0-only
/*
 * How a TCP socket becomes a TLS socket: its struct proto, its proto_ops and
 * its callbacks are exchanged when keys are installed, and put back at close.
 */
#include <linux/module.h>
#include <linux/sockios.h>
#include <asm/ioctls.h>
#include <net/tcp.h>

#include "datapath.h"
#include "deliver.h"
#include "netlink.h"
#include "own.h"
#include "relay.h"

/* --- callbacks: socket spinlock held, or the owner's backlog ------------- */

static void tg_data_ready(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);

	if (!tg_rx_update_ready(sk, s))
		return;
	if (s->relay)
		tg_relay_ready(s->relay, sk, false);
	else
		s->family->callbacks.data_ready(sk);
}

static void tg_write_space(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);

	tg_tx_kick(sk, s);
	if (!s->relay) {
		s->family->callbacks.write_space(sk);
	} else if (sk_stream_is_writeable(sk)) {
		clear_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		tg_relay_kick(s->relay, &s->relay->seal_work);
	} else {
		/* push_work calls as well, when nobody has asked for a call yet. */
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	}
}

static void tg_state_change(struct sock *sk)
{
	struct tg_session *s = tg_session_from_sk(sk);

	if (s->relay) {
		tg_relay_kick(s->relay, &s->relay->open_work);
		tg_relay_kick(s->relay, &s->relay->seal_work);
		return;
	}
	tg_rx_update_ready(sk, s);
	s->family->callbacks.state_change(sk);
}

/*
 * An epoll that watched a relay's socket before the hand-over may still watch it.  Its waiter
 * must not be woken for what it cannot read.  Unlike the others this callback may come without
 * any lock.
 */
static void tg_error_report(struct sock *sk)
{
	struct tg_session *s;
	struct tg_relay *r;

	rcu_read_lock();
	s = tg_session_from_sk(sk);
	r = s ? READ_ONCE(s->relay) : NULL;
	if (r) {
		tg_relay_kick(r, &r->open_work);
		tg_relay_kick(r, &r->seal_work);
	} else if (s) {
		s->family->callbacks.error_report(sk);
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

/* TCP would tell of bytes of records in its queue, and not of those it has no room for. */
static int tg_ioctl(struct sock *sk, int cmd, TG_IOCTL_ARG)
{
	struct tg_session *s = tg_session_from_sk(sk);
	u32 len;

	if (cmd == SIOCOUTQ || cmd == SIOCOUTQNSD)
		return tg_ioctl_answer(tg_tx_unsent(sk, s, cmd == SIOCOUTQ), arg);
	if (cmd != SIOCINQ)
		return s->family->base->ioctl(sk, cmd, arg);
	lock_sock(sk);
	len = tg_rx_readable(sk, s);
	release_sock(sk);
	return tg_ioctl_answer(len, arg);
}

/* CVE-2025-37756: a TLS socket that connects anew would be a plain one. */
static int tg_disconnect(struct sock *sk, int flags)
{
	return -EOPNOTSUPP;
}

/* Repair mode shows TCP's queues and fills them, past every key. */
static int tg_setsockopt(struct sock *sk, int level, int optname, sockptr_t optval,
			 unsigned int optlen)
{
	struct tg_session *s = tg_session_from_sk(sk);

	if (level == SOL_TCP && optname == TCP_REPAIR)
		return -EOPNOTSUPP;
	/* By which TCP sends what it holds back.  Before that, so that all goes in one segment. */
	if (level == SOL_TCP && (optname == TCP_CORK || optname == TCP_NODELAY) &&
	    READ_ONCE(s->tx.held_len)) {
		lock_sock(sk);
		tg_tx_flush(sk, s);
		release_sock(sk);
	}
	return s->family->base->setsockopt(sk, level, optname, optval, optlen);
}

/* So does zero-copy receive, which would take the wire out of them. */
static int tg_getsockopt(struct sock *sk, int level, int optname, char __user *optval,
			 int __user *optlen)
{
	if (level == SOL_TCP && optname == TCP_ZEROCOPY_RECEIVE)
		return -EOPNOTSUPP;
	return tg_session_from_sk(sk)->family->base->getsockopt(sk, level, optname, optval, optlen);
}

/* inet_shutdown() holds the lock and has set sk_shutdown already. */
static void tg_shutdown(struct sock *sk, int how)
{
	struct tg_session *s = tg_session_from_sk(sk);
	int err;

	if (!(how & SEND_SHUTDOWN) || s->error) {
		s->family->base->shutdown(sk, how);
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
		tg_rx_next(sk, s, GFP_KERNEL);
	tg_rx_settle(sk, s);
	return !tg_frags_empty(&s->rx.plain);
}

/* A holder who wants RST gets it, with no close_notify before: this is no end in order. */
static bool tg_close_aborts(const struct sock *sk)
{
	return sock_flag(sk, SOCK_LINGER) && !sk->sk_lingertime;
}

/* Whom a signal kills did not mean to end here.  What was sent arrives, with no close_notify. */
static bool tg_close_killed(void)
{
	return (current->flags & PF_EXITING) && (current->signal->group_exit_code & 0x7f);
}

/* As tg_tx_push(). */
static int tg_close_stream(struct sock *sk, struct tg_session *s)
{
	if (!tg_close_killed())
		return tg_tx_close_notify(sk, s, false);
	/* Whatever the peer has said, this side has not finished. */
	if (!s->tx.closed && !s->reason)
		s->reason = TLSGATE_REASON_LOCAL_CLOSE;
	return tg_tx_cut(sk, s);
}

void tg_close(struct sock *sk, long timeout)
{
	struct tg_session *s;
	struct proto *base;
	bool reset;

	lock_sock(sk);
	s = tg_session_from_sk(sk);
	base = s->family->base;
	reset = tg_close_unread(sk, s) || tg_close_aborts(sk);
	if (!s->error && !tg_close_aborts(sk) && tg_close_stream(sk, s))
		reset = true;
	/* What could not be handed over is lost: that must not look like an end. */
	reset |= !tg_frags_empty(&s->tx.pending);
	if (!s->reason)
		s->reason = s->rx.closed && s->tx.closed ? TLSGATE_REASON_FINISHED
							 : TLSGATE_REASON_LOCAL_CLOSE;
	tg_session_empty(sk, s);
	tg_own_detach(sk, s->family);
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, NULL);
	/* Before it forgets the addresses. */
	tg_session_unpublish(s, sk);
	if (reset && sk->sk_state != TCP_CLOSE)
		base->disconnect(sk, 0);
	release_sock(sk);

	if (cancel_delayed_work_sync(&s->push_work))
		tg_session_put(s);
	if (cancel_delayed_work_sync(&s->page_work))
		tg_session_put(s);
	base->close(sk, timeout);
	tg_session_put(s);
}

/* --- attaching ------------------------------------------------------------- */

void __init tg_ulp_fill(struct tg_family *f)
{
	f->keyed.sendmsg = tg_tx_sendmsg;
	f->keyed.recvmsg = tg_rx_recvmsg;
	f->keyed.ioctl = tg_ioctl;
	f->keyed.shutdown = tg_shutdown;
	f->keyed.disconnect = tg_disconnect;
	f->keyed.setsockopt = tg_setsockopt;
	f->keyed.getsockopt = tg_getsockopt;

	f->keyed_ops = *f->base_ops;
	f->keyed_ops.owner = THIS_MODULE;
	f->keyed_ops.poll = tg_poll;
	f->keyed_ops.splice_read = tg_rx_splice_read;
	f->keyed_ops.splice_eof = tg_tx_splice_eof;
	/* These reach into TCP's queues; without them all goes through sendmsg and recvmsg. */
	f->keyed_ops.read_sock = NULL;
	f->keyed_ops.read_skb = NULL;
	f->keyed_ops.sendmsg_locked = NULL;
	f->keyed_ops.peek_len = NULL;
	f->keyed_ops.mmap = sock_no_mmap;
	/* We keep no place to peek from: better none than one that is not heeded. */
	f->keyed_ops.set_peek_off = NULL;
}

/* Socket locked. */
static int tg_ulp_check(struct socket *sock, struct tg_refusal *no)
{
	struct sock *sk = sock->sk;

	if (inet_csk(sk)->icsk_ulp_ops)
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_FD, -EEXIST,
				 "socket has a ULP already: install keys once, on a fresh connection");
	if (!((1 << sk->sk_state) & (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT)) ||
	    (sk->sk_shutdown & SEND_SHUTDOWN))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_STATE, TLSGATE_A_FD, -ENOTCONN,
				 "socket is not connected: install keys after the handshake, before shutdown");
	if (!tg_family_of(sock) || tcp_sk(sk)->repair)
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_FD, -EBUSY,
				 "socket is used by another kernel user: take it out of sockmap or repair first");
	return 0;
}

static const struct tg_callbacks tg_keyed_callbacks = {
	.data_ready	= tg_data_ready,
	.write_space	= tg_write_space,
	.state_change	= tg_state_change,
	.error_report	= tg_error_report,
};

/* Both sockets locked and checked: keys the one, and joins it with the other. */
static void tg_attach(const struct tg_install *in, struct tg_session *s, struct tg_relay *r)
{
	struct sock *sk = in->tls->sk;

	clear_bit(SOCK_SUPPORT_ZC, &in->tls->flags);
	/* Before the callbacks, which look for it. */
	rcu_assign_pointer(inet_csk(sk)->icsk_ulp_data, s);
	tg_own_attach(sk, &tg_keyed_callbacks);
	/* One that is to be delivered stays excluded. */
	WRITE_ONCE(sk->sk_prot,
		   (struct proto *)(in->grant ? &s->family->owned : &s->family->keyed));
	refcount_inc(&s->ref);
	tg_session_publish(s, sk);
	/* Data that came before us announces itself to nobody else. */
	tg_rx_update_ready(sk, s);
	if (r)
		tg_relay_join(r, in, s);
	else if (!in->grant)
		tg_own_admit(in->tls, &s->family->keyed_ops);
	/* Its end comes after, since that needs the lock. */
	tg_event_session(s, TLSGATE_CMD_NTF_SESSION_OPENED);
}

/* Both sockets locked.  All that can fail, and then undone. */
static int tg_ulp_claim(const struct tg_install *in, struct tg_session *s, struct tg_relay *r,
			struct tg_refusal *no)
{
	struct socket *sock = in->tls;
	int err = tg_ulp_check(sock, no);

	if (err)
		return err;
	s->family = tg_family_of(sock);
	err = in->grant ? tg_deliver_claim(in, s, no) : 0;
	if (err)
		return err;
	if (!tg_own_claim(sock->sk, s))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_ULP, TLSGATE_A_FD, -EBUSY,
				 "socket is used by another kernel user: take it out of sockmap or KCM first");
	err = tg_refuse(no, TLSGATE_REASON_NO_MEMORY, 0, -ENOMEM,
			"no memory: the limit of the socket's memory cgroup or of tcp_mem is reached");
	if (tg_session_charge(sock->sk, s))
		err = r ? tg_relay_claim(r, in, no)
			: tg_own_exclude(sock, NULL, &in->fds, no);
	if (!err)
		return 0;
	tg_session_empty(sock->sk, s);
	tg_own_disclaim(sock->sk);
	return err;
}

int tg_ulp_install(const struct tg_install *in, struct tg_refusal *no, struct tg_session **out)
{
	struct sock *sk = in->tls->sk, *plain = in->plain ? in->plain->sk : NULL;
	struct tg_session *s;
	struct tg_relay *r;
	int err;

	if (!sk_is_inet(sk) || sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP)
		return tg_refuse(no, TLSGATE_REASON_REFUSED_FD, TLSGATE_A_FD, -EOPNOTSUPP,
				 "fd is not a TCP socket: give a connected TCP socket");
	if (!try_module_get(THIS_MODULE))
		return tg_refuse(no, TLSGATE_REASON_REFUSED_STATE, TLSGATE_A_FD, -ENODEV,
				 "the module is being unloaded");
	r = plain ? tg_relay_prepare(in, no) : NULL;
	err = PTR_ERR_OR_ZERO(r);
	if (err)
		goto out_module;
	s = tg_session_new(in, sock_net(sk), no);
	err = PTR_ERR_OR_ZERO(s);
	if (err)
		goto out_relay;
	err = tg_own_lock(sk, plain, no);
	if (!err) {
		err = tg_ulp_claim(in, s, r, no);
		if (!err)
			tg_attach(in, s, r);
		tg_own_unlock(sk, plain);
	}
	if (err)
		tg_session_discard(s, sock_net(sk));
	else
		*out = s;
out_relay:
	if (err && r)
		tg_relay_discard(r);
out_module:
	module_put(THIS_MODULE);
	return err;
}

struct tg_session *tg_session_of(const struct sock *sk)
{
	bool ours = sk_is_tcp(sk) && READ_ONCE(inet_csk(sk)->icsk_ulp_ops) == &tg_ulp_ops;

	return ours ? tg_session_from_sk(sk) : NULL;
}

/* setsockopt(TCP_ULP, "tlsgate"): a socket without keys would be a promise unkept. */
static int tg_ulp_attach_refused(struct sock *sk)
{
	return -EOPNOTSUPP;
}

/*
 * Without .clone: nothing of it passes to a child.  A relay's plain socket has it, too.  With a
 * session there is something to release only where tg_close() was not called.
 */
struct tcp_ulp_ops tg_ulp_ops __read_mostly = {
	.name = "tlsgate",
	.owner = THIS_MODULE,
	.init = tg_ulp_attach_refused,
	.release = tg_deliver_forget,
	.get_info = tg_report_info,
	.get_info_size = tg_report_info_size,
};
