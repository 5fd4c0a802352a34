// SPDX-License-Identifier: GPL-2.0-only
/*
 * The relay's data path in bulk: two works, each serialised by the workqueue.
 *	open	TLS to plain: opened pages go to the plain socket as they are
 *	seal	plain to TLS: sealed straight from the plain socket's received
 *		buffers into fresh pages
 * They are kicked by the sockets' callbacks, and when either finds no data or
 * no room it returns and the next callback kicks it again.
 *
 * Locks: seal holds the TLS socket's lock and, nested inside, the plain
 * socket's.  open holds them one after the other.
 */
#include <linux/sched/mm.h>
#include <net/tcp.h>

#include "datapath.h"
#include "relay.h"
#include "trace.h"

/* Rounds of a work before others have their turn. */
#define TG_RELAY_ROUNDS		16
/* Records sealed before they are pushed; the queue is searched anew for each. */
#define TG_RELAY_SEAL_BATCH	8
/* Plaintext gathered before it is handed to the plain socket. */
#define TG_RELAY_BATCH		(64 * 1024)

/*
 * Runs rounds of a work until there is nothing to do at once, or others have their turn.
 * What goes into a UNIX socket's queue is charged as it is allocated, and to nobody later:
 * to the owner of the TLS socket.
 */
static void tg_relay_work(struct tg_relay *r, bool (*round)(struct tg_relay *r),
			  struct work_struct *work)
{
	struct mem_cgroup *old = set_active_memcg(tg_memcg(r->tls->sk));
	unsigned int n = TG_RELAY_ROUNDS;

	while (!tg_relay_dead(r) && round(r)) {
		if (!--n) {
			tg_relay_kick(r, work);
			break;
		}
		cond_resched();
	}
	set_active_memcg(old);
	tg_relay_put(r);
}

/*
 * Each work sets its own and reads the other's, without a barrier: both may miss what was set at
 * the same time. open_work then kicks seal_work, and queueing a work is one.
 */
static void tg_relay_finish_if_done(struct tg_relay *r)
{
	if (READ_ONCE(r->open_done) && READ_ONCE(r->seal_done))
		tg_relay_finish(r, TLSGATE_REASON_FINISHED);
}

/* No callback will tell when it is over: memory is short, or somebody holds a lock (before 6.7). */
static bool tg_relay_passes(int err)
{
	return err == -ENOMEM || err == -ENOBUFS || err == -EBUSY;
}

/* --- TLS to plain -------------------------------------------------------------- */

/* Opens a batch.  1: there is some; 0: close_notify; -EAGAIN; tg_relay_passes(); or it failed. */
static int tg_relay_open_batch(struct tg_relay *r)
{
	struct tg_session *s = r->session;
	struct sock *sk = r->tls->sk;
	/* A full cgroup has it wait, as a full queue does, and kills nobody. */
	gfp_t gfp = tg_is_tcp(r->plain->sk) ? GFP_KERNEL : GFP_KERNEL_ACCOUNT | __GFP_NORETRY;
	int ret;

	if (!tg_own_lock_soon(sk, 0))
		return -EBUSY;
	do {
		ret = tg_rx_next(sk, s, gfp);
	} while (ret > 0 && s->rx.plain.bytes < TG_RELAY_BATCH &&
		 tg_frags_room(&s->rx.plain) >= TG_RECORD_FRAGS && tg_session_charge(sk, s));
	/* What came before an end or an error is delivered first. */
	if (tg_rx_data_len(&s->rx)) {
		tg_frags_move(&r->opened, &s->rx.plain);
		/* The clock reads it without the lock. */
		WRITE_ONCE(r->delivering, true);
		r->sealed_last = false;
		r->moved_last = r->opened.bytes;
		ret = 1;
	}
	tg_rx_settle(sk, s);
	release_sock(sk);
	return ret;
}

/* Either past the socket's calls, which refuse.  Bytes taken or -errno. */
static ssize_t tg_relay_send_tcp(struct sock *plain, struct tg_frags *f)
{
	/* Of ICMP, which its holder asked for (IP_RECVERR): TCP goes on, untold. */
	if (plain->sk_state != TCP_CLOSE)
		sock_error(plain);
	return tg_tcp_send_bvecs(plain, &f->bv[f->head], f->tail - f->head, f->bytes,
				 MSG_DONTWAIT | MSG_NOSIGNAL);
}

static ssize_t tg_relay_send_unix(const struct tg_relay *r, struct tg_frags *f)
{
	/* Without MSG_SPLICE_PAGES, that is before 6.5, it copies. */
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | MSG_SPLICE_PAGES };
	const struct cred *own;
	ssize_t ret;

	msg.msg_iter = tg_frags_iter(f, ITER_SOURCE, 0, f->bytes);
	/* SO_PASSCRED tells the far end who sends: not root's kernel thread. */
	own = override_creds(r->cred);
	ret = r->family->base_ops->sendmsg(r->plain, &msg, f->bytes);
	revert_creds(own);
	return ret;
}

/* 0: all of it was taken; -EAGAIN; tg_relay_passes(); or the plain socket is broken. */
static int tg_relay_deliver(struct tg_relay *r)
{
	struct sock *plain = r->plain->sk;
	struct tg_frags *f = &r->opened;
	ssize_t ret;

	while (!tg_frags_empty(f)) {
		/* AF_UNIX, too, looks at sk_socket, which tg_own_graft() changes under it. */
		if (!tg_own_lock_soon(plain, 0))
			return -EBUSY;
		ret = tg_is_tcp(plain) ? tg_relay_send_tcp(plain, f) : tg_relay_send_unix(r, f);
		release_sock(plain);
		if (ret <= 0)
			return ret ?: -EAGAIN;
		tg_frags_consume(f, ret);
		WRITE_ONCE(r->active, jiffies);
		trace_tlsgate_relay_moved(r->session, false, ret);
	}
	/* Pairs with tg_direct_can_open(): the plain socket has it all before it is given more. */
	smp_store_release(&r->delivering, false);
	return 0;
}

/* One round.  True: there may be more to do at once. */
static bool tg_relay_open_round(struct tg_relay *r)
{
	struct sock *plain = r->plain->sk;
	int ret;

	if (READ_ONCE(r->plain_error))
		return false;
	ret = tg_relay_deliver(r);
	if (ret == -EAGAIN || tg_relay_passes(ret)) {
		trace_tlsgate_relay_paused(r->session, false, r->opened.bytes);
		/* With nothing on its way no ACK, and no reader, will tell of room. */
		if (ret != -EAGAIN || (tg_is_tcp(plain) && tcp_rtx_and_write_queues_empty(plain)))
			tg_relay_retry(r);
		return false;
	}
	if (ret) {
		/* Let seal_work find it when it has sealed what was received before. */
		WRITE_ONCE(r->plain_error, true);
		tg_relay_kick(r, &r->seal_work);
		return false;
	}
	ret = tg_relay_open_batch(r);
	if (tg_relay_passes(ret) || (!ret && !r->open_done && !tg_plain_shutdown(r))) {
		tg_relay_retry(r);
	} else if (ret < 0 && ret != -EAGAIN) {
		tg_relay_finish(r, r->session->reason);
	} else if (!ret && !r->open_done) {
		WRITE_ONCE(r->open_done, true);
		WRITE_ONCE(r->active, jiffies);
		tg_relay_finish_if_done(r);
		/* From now on it is the one who finds that TLS's TCP is gone. */
		tg_relay_kick(r, &r->seal_work);
	}
	return ret > 0;
}

void tg_relay_open_work(struct work_struct *work)
{
	struct tg_relay *r = container_of(work, struct tg_relay, open_work);

	tg_relay_work(r, tg_relay_open_round, work);
}

/* --- plain to TLS ---------------------------------------------------------------- */

/*
 * Ends a record where a block ends in the source's page.  In the next record no block then
 * straddles two pages, which the AEADs would copy.  Returns the bytes cut off.
 */
static u32 tg_relay_cut(struct scatterlist *last, u32 block_len)
{
	u32 cut = (last->offset + last->length) % block_len;

	if (last->length <= cut)
		return 0;
	last->length -= cut;
	return cut;
}

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
	err = tg_tx_ready(sk, s, GFP_KERNEL);
	if (err)
		return err;
	/* Room for the inner type and padding behind the data. */
	nents = tg_queue_sg(plain, off, &len, s->sg_src + 1, TG_SG_SRC - 1 - TG_RECORD_FRAGS);
	if (!nents)
		return -EIO;
	if (len == s->tx.record_size)
		len -= tg_relay_cut(&s->sg_src[nents], s->cipher->block_len);
	err = tg_tx_begin(sk, s, TG_APPLICATION_DATA, len, nents, &rec, GFP_KERNEL);
	if (err)
		return err;
	return tg_tx_seal(sk, s, &rec, nents, GFP_KERNEL) ?: len;
}

/* TLS socket locked.  The same from a UNIX socket, whose buffers cannot be looked into. */
static int tg_relay_seal_unix(const struct tg_relay *r, struct sock *sk)
{
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };
	struct tg_session *s = r->session;
	struct tg_tx_record rec;
	long avail = unix_inq_len(r->plain->sk);
	u32 len;
	int ret;

	if (avail <= 0)
		return 0;
	ret = tg_tx_ready(sk, s, GFP_KERNEL);
	if (ret)
		return ret;
	len = min_t(long, avail, s->tx.record_size);
	ret = tg_tx_begin(sk, s, TG_APPLICATION_DATA, len, 0, &rec, GFP_KERNEL);
	if (ret)
		return ret;
	msg.msg_iter = tg_frags_iter(&s->tx.pending, ITER_DEST, rec.text, len);
	/* Before 6.7 its holder may have turned it off. */
	sock_set_flag(r->plain->sk, SOCK_URGINLINE);
	/* A call stops behind descriptors, which are closed, and at an urgent byte. */
	do {
		ret = r->family->base_ops->recvmsg(r->plain, &msg, msg_data_left(&msg),
						   MSG_DONTWAIT);
	} while (ret > 0 && msg_data_left(&msg));
	/* Nobody else reads from it: its queue is not what it said. */
	if (ret <= 0) {
		tg_frags_trim(&s->tx.pending, rec.start, &sk->sk_frag);
		return -EIO;
	}
	ret = tg_tx_seal(sk, s, &rec, 0, GFP_KERNEL);
	/* It cannot go back to where it came from. */
	if (ret == -ENOMEM)
		ret = tg_session_fail(sk, s, TLSGATE_REASON_NO_MEMORY);
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

/* sendmsg() clears sk_err.  Whether the peer's FIN arrived is still known from SOCK_DONE. */
static bool tg_relay_plain_broken(const struct tg_relay *r, struct sock *plain)
{
	/* The far end's queue first: before it is emptied, tg_plain_state_change() has seen it. */
	if (tg_plain_unread(plain) > 0 || READ_ONCE(r->plain_error))
		return true;
	if (!tg_is_tcp(plain))
		return READ_ONCE(plain->sk_err);
	return (plain->sk_err && plain->sk_state == TCP_CLOSE) ||
	       ((plain->sk_shutdown & RCV_SHUTDOWN) && !sock_flag(plain, SOCK_DONE));
}

/* TLS socket locked. */
static void tg_relay_seal_batch(struct tg_relay *r, struct tg_seal_state *st)
{
	struct sock *sk = r->tls->sk, *plain = r->plain->sk;
	bool tcp = tg_is_tcp(plain);
	unsigned int n = 0;
	u32 sealed = 0;
	int ret;

	if (!tg_own_lock_soon(plain, SINGLE_DEPTH_NESTING)) {
		st->err = -EBUSY;
		return;
	}
	/* Before the data is looked at: what comes later kicks again. */
	st->fin = READ_ONCE(plain->sk_shutdown) & RCV_SHUTDOWN;
	st->broken = tg_relay_plain_broken(r, plain);
	do {
		ret = tcp ? tg_relay_seal_tcp(r->session, sk, plain, sealed)
			  : tg_relay_seal_unix(r, sk);
		if (ret > 0)
			sealed += ret;
	} while (ret > 0 && ++n < TG_RELAY_SEAL_BATCH);
	if (sealed) {
		r->sealed_last = true;
		r->moved_last = sealed;
		WRITE_ONCE(r->active, jiffies);
		trace_tlsgate_relay_moved(r->session, true, sealed);
	}
	/* Once for all, since each time may send a window update. */
	if (tcp && sealed)
		tcp_read_done(plain, sealed);
	release_sock(plain);
	st->err = ret > 0 ? -EAGAIN : ret;
}

/* True: there may be more to do at once. */
static bool tg_relay_seal_round(struct tg_relay *r)
{
	struct tg_session *s = r->session;
	struct tg_seal_state st = { };
	struct sock *sk = r->tls->sk;
	bool gone;
	int push;

	if (!tg_own_lock_soon(sk, 0)) {
		tg_relay_retry(r);
		return false;
	}
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
		trace_tlsgate_relay_paused(s, true, s->tx.pending.bytes);
	}
	gone = !s->tx.closed && sk->sk_state == TCP_CLOSE;
	release_sock(sk);

	if (s->error)
		tg_relay_finish(r, s->reason);
	/* Before that, open_work has what came to deliver, and finds the error itself. */
	else if (gone && READ_ONCE(r->open_done))
		tg_relay_finish(r, TLSGATE_REASON_PEER_RESET);
	else if (st.err == -EAGAIN)
		return false;
	else if (tg_relay_passes(st.err))
		tg_relay_retry(r);
	else if (st.broken || (st.err < 0 && st.err != -EPIPE))
		tg_relay_finish(r, TLSGATE_REASON_PLAIN_RESET);
	else
		tg_relay_finish_if_done(r);
	return false;
}

void tg_relay_seal_work(struct work_struct *work)
{
	struct tg_relay *r = container_of(work, struct tg_relay, seal_work);

	tg_relay_work(r, tg_relay_seal_round, work);
}
