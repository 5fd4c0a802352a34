// SPDX-License-Identifier: GPL-2.0-only
/*
 * The relay's data path for requests and answers: a single message is moved in the softirq that
 * brought it, from the receiving socket's data_ready.  No work is woken, which for a small
 * message costs as much as all of TCP.
 *
 * Locks: TCP holds the receiving socket's spinlock.  The other socket's is only tried, since its
 * softirq may be trying ours.  Neither socket may be owned; then both spinlocks are as good as
 * lock_sock().  Nothing sleeps.  What needs memory that may not be there, what fails, and
 * everything but data is left to the works, which find it again.
 */
#include <net/tcp.h>

#include "datapath.h"
#include "relay.h"
#include "stats.h"
#include "trace.h"

/* More is for the works: they copy nothing, and let others have their turn. */
#define TG_DIRECT_MAX		TG_PLAINTEXT_MAX
/* Either a request or its answer is: where both directions have longer ones, both stream. */
#define TG_DIRECT_SHORT		4096U
/* Tells all that is called here that nothing may sleep. */
#define TG_DIRECT_GFP		(GFP_ATOMIC | __GFP_NOWARN)

/*
 * True: the other direction moved last, as with requests and answers, or nothing moved for a
 * while; and all that was sent to either peer has arrived.  Streams are cheaper in the works'
 * batches.
 */
static bool tg_direct_alone(const struct tg_relay *r, const struct sock *from, bool seal)
{
	bool turn = r->sealed_last != seal &&
		    min(tg_queue_len(from), r->moved_last) <= TG_DIRECT_SHORT;

	return (turn || time_after(jiffies, READ_ONCE(r->active) + 1)) &&
	       tcp_rtx_and_write_queues_empty(r->tls->sk) &&
	       tcp_rtx_and_write_queues_empty(r->plain->sk);
}

static void tg_direct_moved(struct tg_relay *r, bool seal, u32 len)
{
	r->sealed_last = seal;
	r->moved_last = len;
	WRITE_ONCE(r->active, jiffies);
	tg_stat_inc(sock_net(r->tls->sk), TG_STAT_RELAY_DIRECT);
	trace_tlsgate_relay_moved(r->session, seal, len);
}

/* Without scatter-gather TCP copies, by way of the fragment of the task that is interrupted. */
static bool tg_direct_takes(const struct sock *to)
{
	return to->sk_route_caps & NETIF_F_SG && sk_stream_memory_free(to);
}

/* --- TLS to plain ------------------------------------------------------------ */

static bool tg_direct_can_open(const struct tg_relay *r, const struct sock *sk)
{
	const struct tg_session *s = r->session;

	/* Before it, what open_work has gathered: pairs with tg_relay_deliver(). */
	return !smp_load_acquire(&r->delivering) && tg_frags_empty(&s->rx.plain) &&
	       !s->rx.closed && !s->rx.stash && !READ_ONCE(r->plain_error) &&
	       tg_queue_len(sk) <= TG_RECORD_MAX && tg_dir_atomic(&s->rx.dir);
}

/* Gives the plain socket the data that was opened; what it does not take stays in rx.plain. */
static void tg_direct_deliver(struct tg_relay *r, struct sock *plain)
{
	struct tg_session *s = r->session;
	struct tg_frags *f = &s->rx.plain;
	u32 len = tg_rx_data_len(&s->rx);
	ssize_t ret;

	if (!len)
		return;
	ret = tg_tcp_send_bvecs(plain, &f->bv[f->head], f->tail - f->head, len,
				MSG_DONTWAIT | MSG_NOSIGNAL);
	if (ret <= 0)
		return;
	tg_frags_consume(f, ret);
	tg_direct_moved(r, false, ret);
}

static bool tg_direct_open(struct tg_relay *r, struct sock *sk, struct sock *plain)
{
	struct tg_session *s = r->session;

	while (tg_frags_room(&s->rx.plain) >= TG_RECORD_FRAGS &&
	       tg_rx_next(sk, s, TG_DIRECT_GFP) > 0)
		;
	tg_direct_deliver(r, plain);
	tg_rx_settle(sk, s);
	return !tg_rx_update_ready(sk, s);
}

/* --- plain to TLS -------------------------------------------------------------- */

static bool tg_direct_can_seal(const struct tg_relay *r, const struct sock *plain)
{
	const struct tg_session *s = r->session;

	return !s->tx.closed && tg_frags_empty(&s->tx.pending) &&
	       !(plain->sk_shutdown & RCV_SHUTDOWN) && !plain->sk_err &&
	       tg_queue_len(plain) <= TG_DIRECT_MAX && tg_dir_atomic(&s->tx.dir);
}

/* Seals all that is there.  Bytes sealed; 0: not now, -errno: the session failed. */
static int tg_direct_seal_queue(struct tg_session *s, struct sock *sk, struct sock *plain)
{
	u32 all = tg_queue_len(plain), off, len;
	struct tg_tx_record rec;
	int err;

	for (off = 0; off < all; off += len) {
		len = min_t(u32, all - off, s->tx.record_size);
		if (tg_tx_ready(sk, s, TG_DIRECT_GFP) ||
		    tg_tx_begin(sk, s, TG_APPLICATION_DATA, len, 0, &rec, TG_DIRECT_GFP))
			break;
		/* Sealed in its place, it needs no memory besides. */
		if (!tg_queue_fill(plain, off, &s->tx.pending, rec.text, len)) {
			tg_frags_trim(&s->tx.pending, rec.start, &sk->sk_frag);
			break;
		}
		err = tg_tx_seal(sk, s, &rec, 0, TG_DIRECT_GFP);
		if (err == -ENOMEM)
			break;
		if (err)
			return err;
	}
	return off;
}

static bool tg_direct_seal(struct tg_relay *r, struct sock *sk, struct sock *plain)
{
	struct tg_session *s = r->session;
	int sealed = tg_direct_seal_queue(s, sk, plain);

	if (sealed > 0) {
		tg_direct_moved(r, true, sealed);
		tcp_read_done(plain, sealed);
	}
	return sealed >= 0 && !tg_tx_push(sk, s, 0) && !tg_queue_len(plain);
}

/* --- either -------------------------------------------------------------------- */

/* Both locked.  True: all that was there is moved. */
static bool tg_direct_move(struct tg_relay *r, bool seal)
{
	struct sock *sk = r->tls->sk, *plain = r->plain->sk, *to = seal ? sk : plain;
	gfp_t before = to->sk_allocation;
	bool done;

	if (sock_owned_by_user(to) || r->session->relay != r || r->session->error ||
	    !tg_direct_takes(to) || !tg_direct_alone(r, seal ? plain : sk, seal) ||
	    !(seal ? tg_direct_can_seal(r, plain) : tg_direct_can_open(r, sk)))
		return false;
	/* From here on it takes data without sleeping. */
	to->sk_allocation = TG_DIRECT_GFP;
	done = seal ? tg_direct_seal(r, sk, plain) : tg_direct_open(r, sk, plain);
	to->sk_allocation = before;
	return done;
}

static bool tg_direct(struct tg_relay *r, bool seal)
{
	struct sock *to = seal ? r->tls->sk : r->plain->sk;
	bool done;

	if (!tg_is_tcp(to) || !spin_trylock(&to->sk_lock.slock))
		return false;
	done = tg_direct_move(r, seal);
	spin_unlock(&to->sk_lock.slock);
	return done;
}

void tg_relay_ready(struct tg_relay *r, struct sock *from, bool seal)
{
	bool done = false;

	/*
	 * An owner's backlog comes here, too: a work's, or of one who will kick it.
	 * The callback may come while the relay ends.
	 */
	if (tg_is_tcp(from) && !sock_owned_by_user(from) && !tg_relay_dead(r) &&
	    refcount_inc_not_zero(&r->ref)) {
		done = tg_direct(r, seal);
		tg_relay_put(r);
	}
	if (!done)
		tg_relay_kick(r, seal ? &r->seal_work : &r->open_work);
}
