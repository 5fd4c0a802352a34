// SPDX-License-Identifier: GPL-2.0-only
/*
 * Sending: application data and control records are sealed into fresh pages
 * at the end of tg_tx.pending, which is then given to TCP.  A sealed record is
 * never sealed again: what TCP does not take stays and is offered later.
 * What is written with more to follow waits as plaintext in tg_tx.held, until its record is
 * full or nothing more is to be waited for.  No record passes it.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "datapath.h"
#include "netlink.h"
#include "own.h"
#include "stats.h"

/* Records given to TCP in one go. */
#define TG_TX_BATCH		4
static bool aead_limit_end;
module_param(aead_limit_end, bool, 0644);
MODULE_PARM_DESC(aead_limit_end, "end a TLS 1.2 session whose key reaches its limit, which TLS 1.2 cannot change; 0 = go on, and count it");

/* Without a segment in flight no ACK will tell of room: ask again by the clock. */
#define TG_TX_RETRY		(HZ / 20)

/* How long data waits for more: as long as TCP holds a segment back. */
#define TG_TX_HOLD		TCP_RTO_MIN

static u32 tg_tx_tail(const struct tg_session *s, u8 type, u32 len)
{
	u32 padded;

	if (s->cipher->version != TLSGATE_TLS_1_3)
		return 0;
	if (!s->tx.padding || type != TG_APPLICATION_DATA)
		return 1;
	padded = min_t(u32, roundup(len, s->tx.padding), s->tx.record_size);
	/* An order may have made records shorter than what was held for one. */
	return 1 + max(padded, len) - len;
}

static void tg_tx_write_tail(struct tg_session *s, const struct tg_tx_record *r, u8 type)
{
	static const u8 zeros[TLSGATE_PADDING_MAX];
	u32 at = r->text + r->len;

	if (!r->tail)
		return;
	tg_frags_write(&s->tx.pending, at, &type, 1);
	tg_frags_write(&s->tx.pending, at + 1, zeros, r->tail - 1);
}

int tg_tx_begin(struct sock *sk, struct tg_session *s, u8 type, u32 len, unsigned int nents,
		struct tg_tx_record *r, gfp_t gfp)
{
	const struct tg_cipher *c = s->cipher;
	u8 header[TG_HEADER_LEN + sizeof(__be64)];
	u32 body;
	int err;

	r->start = s->tx.pending.bytes;
	r->text = r->start + TG_HEADER_LEN + c->explicit_len;
	r->len = len;
	r->tail = tg_tx_tail(s, type, len);
	r->type = r->tail ? TG_APPLICATION_DATA : type;
	r->data = type == TG_APPLICATION_DATA;
	body = c->explicit_len + len + r->tail + TG_TAG_LEN;
	err = tg_frags_reserve(sk, s, &s->tx.pending, r->text - r->start,
			       TG_HEADER_LEN + body, s->sg_src + 1, nents, gfp);
	if (err)
		return err;

	tg_record_write(header, &(struct tg_header){ r->type, TG_WIRE_VERSION, body });
	/* RFC 5288 section 3: the sequence number is an explicit nonce that never repeats. */
	put_unaligned_be64(s->tx.dir.seq, header + TG_HEADER_LEN);
	tg_frags_write(&s->tx.pending, r->start, header, r->text - r->start);
	tg_tx_write_tail(s, r, type);
	return 0;
}

int tg_tx_seal(struct sock *sk, struct tg_session *s, struct tg_tx_record *r, unsigned int nents,
	       gfp_t gfp)
{
	struct tg_frags *f = &s->tx.pending;
	struct tg_dir *d = &s->tx.dir;
	u32 sealed = r->len + r->tail + TG_TAG_LEN;
	struct tg_header h = { .type = r->type, .version = TG_WIRE_VERSION };
	u8 explicit[sizeof(__be64)];
	int err;

	put_unaligned_be64(d->seq, explicit);
	h.len = s->cipher->version == TLSGATE_TLS_1_3 ? sealed : r->len;
	s->sg_dst_last = tg_frags_sg(f, r->text, sealed, s->sg_dst + 1);
	s->sg_src_last = 0;
	if (nents)
		s->sg_src_last = nents + tg_frags_sg(f, r->text + r->len, r->tail,
						     s->sg_src + 1 + nents);
	err = tg_cipher_crypt(s, d, explicit, &h, r->len + r->tail, true, gfp);
	if (err) {
		tg_frags_trim(f, r->start, &sk->sk_frag);
		/* What was written of it went nowhere: another record may have its nonce. */
		if (err == -ENOMEM) {
			d->seq--;
			return err;
		}
		s->tx.closed = true;
		return tg_session_fail(sk, s, TLSGATE_REASON_CRYPTO_ERROR);
	}
	d->records++;
	d->blocks += DIV_ROUND_UP(r->len + r->tail, TG_BLOCK_LEN) + 1;
	tg_stat_inc(sock_net(sk), TG_STAT_TX_RECORDS);
	if (r->data) {
		tg_rx_row_ends(s);
		d->bytes += r->len;
		tg_stat_add(sock_net(sk), TG_STAT_TX_BYTES, r->len);
	}
	return 0;
}

/*
 * TCP takes what it has room for.  Past its limit it takes the end alone, as it does its own
 * FIN: what waits, and an alert, behind which nothing comes.  close() has to leave all of
 * this to TCP.
 */
static ssize_t tg_tx_give(struct sock *sk, struct tg_session *s, int flags)
{
	struct tg_frags *f = &s->tx.pending;
	int sndbuf = sk->sk_sndbuf;
	ssize_t ret;

	if (s->tx.closed)
		WRITE_ONCE(sk->sk_sndbuf, INT_MAX / 2);
	ret = tg_tcp_send_bvecs(sk, &f->bv[f->head], f->tail - f->head, f->bytes,
				flags | MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sk->sk_sndbuf == INT_MAX / 2)
		WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	return ret;
}

static int tg_tx_push_all(struct sock *sk, struct tg_session *s, int flags)
{
	struct tg_frags *f = &s->tx.pending;
	ssize_t ret;

	while (!tg_frags_empty(f)) {
		ret = tg_tx_give(sk, s, flags);
		if (!ret || ret == -EAGAIN || ret == -ENOMEM || ret == -ENOBUFS) {
			if (tcp_rtx_and_write_queues_empty(sk))
				tg_session_later(s, &s->push_work, TG_TX_RETRY);
			return -EAGAIN;
		}
		if (ret < 0) {
			/* The connection is gone: what is sealed cannot be sent any more. */
			tg_frags_trim(f, 0, &sk->sk_frag);
			s->tx.closed = true;
			return tg_session_fail(sk, s, TLSGATE_REASON_PEER_RESET);
		}
		tg_frags_consume(f, ret);
	}
	s->tx.key_update_queued = false;
	s->active = get_jiffies_64();
	if (s->tx.shutdown) {
		s->tx.shutdown = false;
		WRITE_ONCE(sk->sk_shutdown, sk->sk_shutdown | SEND_SHUTDOWN);
		s->family->base->shutdown(sk, SEND_SHUTDOWN);
	}
	return 0;
}

/*
 * sk_err of a connection that lives is for the socket's holder: an ICMP error (IP_RECVERR), or
 * why the session failed.  With sk_err set, TCP would return it to us and send nothing.
 */
int tg_tx_push(struct sock *sk, struct tg_session *s, int flags)
{
	int told = sk->sk_state == TCP_CLOSE ? 0 : sock_error(sk);
	int ret = tg_tx_push_all(sk, s, flags);

	if (told && !sk->sk_err)
		WRITE_ONCE(sk->sk_err, -told);
	tg_session_charge(sk, s);
	return ret;
}

u32 tg_tx_unsent(const struct sock *sk, const struct tg_session *s, bool acked)
{
	const struct tcp_sock *tp = tcp_sk(sk);

	return READ_ONCE(tp->write_seq) - READ_ONCE(*(acked ? &tp->snd_una : &tp->snd_nxt)) +
	       READ_ONCE(s->tx.pending.bytes) + READ_ONCE(s->tx.held_len);
}

/* Seals what is held.  0, -ENOMEM: it is held still, or the session has failed. */
static int tg_tx_seal_held(struct sock *sk, struct tg_session *s)
{
	struct tg_tx_record r;
	int err;

	if (!s->tx.held_len)
		return 0;
	sg_set_buf(&s->sg_src[1], s->tx.held, s->tx.held_len);
	err = tg_tx_begin(sk, s, TG_APPLICATION_DATA, s->tx.held_len, 1, &r, GFP_KERNEL) ?:
	      tg_tx_seal(sk, s, &r, 1, GFP_KERNEL);
	if (!err)
		s->tx.held_len = 0;
	return err;
}

int tg_tx_flush(struct sock *sk, struct tg_session *s)
{
	return tg_tx_seal_held(sk, s) ?: tg_tx_push(sk, s, 0);
}

int tg_tx_cut(struct sock *sk, struct tg_session *s)
{
	int err = tg_tx_seal_held(sk, s);

	/* Nothing follows: TCP takes all that waits. */
	s->tx.closed = true;
	return err ?: tg_tx_push(sk, s, 0);
}

/* Socket locked. */
static void tg_tx_push_late(struct sock *sk, struct tg_session *s)
{
	long left = s->tx.held_at + TG_TX_HOLD - jiffies;

	/* What waits goes first: before that an answer may find no room. */
	if ((s->tx.key_update_owed || !tg_frags_empty(&s->tx.pending)) &&
	    !tg_tx_push(sk, s, 0) && !tg_key_update_answer(sk, s, GFP_KERNEL) &&
	    !tg_tx_push(sk, s, 0))
		sk->sk_write_space(sk);
	if (s->tx.held_len && left <= 0) {
		tg_tx_flush(sk, s);
		left = TG_TX_RETRY;
	}
	if (s->tx.held_len)
		tg_session_later(s, &s->push_work, left);
}

void tg_tx_push_work(struct work_struct *work)
{
	struct tg_session *s = container_of(to_delayed_work(work), struct tg_session, push_work);
	struct sock *sk = tg_session_hold_sk(s);

	if (sk && !tg_own_trylock(sk, 0)) {
		/* In a call of its holder's, which may push itself, or stay for long. */
		tg_session_later(s, &s->push_work, TG_TX_RETRY);
	} else if (sk) {
		if (tg_session_from_sk(sk) == s)
			tg_tx_push_late(sk, s);
		release_sock(sk);
	}
	if (sk)
		tg_session_drop_sk(sk);
	tg_session_put(s);
}

/* Where TCP wakes its own writers: not for each acknowledged segment. */
void tg_tx_kick(const struct sock *sk, struct tg_session *s)
{
	if ((tg_frags_empty(&s->tx.pending) && !s->tx.key_update_owed) ||
	    !sk_stream_is_writeable(sk))
		return;
	refcount_inc(&s->ref);
	if (mod_delayed_work(system_percpu_wq, &s->push_work, 0))
		refcount_dec(&s->ref);
}

int tg_tx_control(struct sock *sk, struct tg_session *s, u8 type, const u8 *data, u32 len)
{
	struct tg_tx_record r;
	int err = tg_tx_seal_held(sk, s) ?: tg_tx_begin(sk, s, type, len, 0, &r, GFP_KERNEL);

	if (err)
		return err;
	tg_frags_write(&s->tx.pending, r.text, data, len);
	return tg_tx_seal(sk, s, &r, 0, GFP_KERNEL);
}

int tg_tx_alert(struct sock *sk, struct tg_session *s, u8 level, u8 alert)
{
	u8 data[] = { level, alert };
	int err;

	if (s->tx.closed)
		return -EPIPE;
	if (s->tx.dir.seq == U64_MAX)
		err = -EOVERFLOW;
	else
		err = tg_tx_control(sk, s, TG_ALERT, data, sizeof(data));
	s->tx.closed = true;
	if (alert != TG_ALERT_CLOSE_NOTIFY)
		s->alert = alert;
	return err;
}

int tg_tx_close_notify(struct sock *sk, struct tg_session *s, bool fin)
{
	int err = 0;

	if (!s->tx.closed)
		err = tg_tx_alert(sk, s, TG_ALERT_WARNING, TG_ALERT_CLOSE_NOTIFY);
	/* Without it a FIN would be truncation: leave the connection to be reset. */
	if (err)
		return err;
	if (fin)
		s->tx.shutdown = true;
	/* A FIN that follows at once takes it along: one segment less. */
	return tg_tx_push(sk, s, fin ? MSG_MORE : 0);
}

/*
 * RFC 9846 section 5.5: rekey before the limit.  TLS 1.2 cannot; whichever way it
 * ends here, the peer must not take it for the end of the data.
 */
static int tg_tx_check_limit(struct sock *sk, struct tg_session *s, gfp_t gfp)
{
	const struct tg_dir *d = &s->tx.dir;
	bool exhausted = tg_dir_exhausted(d);

	if (!exhausted && !tg_dir_worn(d, s->cipher))
		return 0;
	if (s->cipher->version == TLSGATE_TLS_1_2 && !exhausted && !READ_ONCE(aead_limit_end)) {
		/* Told once: it goes on, as it would with every other implementation. */
		if (!s->tx.past_limit)
			tg_stat_inc(sock_net(sk), TG_STAT_TX_PAST_LIMIT);
		WRITE_ONCE(s->tx.past_limit, true);
		return 0;
	}
	/* What follows may sleep. */
	if (!gfpflags_allow_blocking(gfp))
		return -EAGAIN;
	if (s->cipher->version == TLSGATE_TLS_1_3)
		return tg_key_update_send(sk, s);
	return tg_session_fail(sk, s, exhausted ? TLSGATE_REASON_SEQ_EXHAUSTED
						: TLSGATE_REASON_AEAD_LIMIT);
}

bool tg_tx_room(const struct sock *sk, const struct tg_session *s)
{
	/* Behind a data record, a KeyUpdate and an alert must find theirs. */
	return tg_frags_room(&s->tx.pending) >= TG_RECORD_FRAGS + 2 * TG_CONTROL_FRAGS &&
	       sk->sk_wmem_queued + s->tx.pending.bytes < sk->sk_sndbuf &&
	       sk_stream_memory_free(sk);
}

int tg_tx_ready(struct sock *sk, struct tg_session *s, gfp_t gfp)
{
	int err;

	if (s->error)
		return s->error;
	if (s->tx.closed || (sk->sk_shutdown & SEND_SHUTDOWN))
		return -EPIPE;
	if (!tg_tx_room(sk, s))
		return -EAGAIN;
	err = tg_key_update_answer(sk, s, gfp);
	return err ?: tg_tx_check_limit(sk, s, gfp);
}

/* Copies a record's plaintext to its place.  0, or -EFAULT: part of it was taken. */
static int tg_tx_fill(struct tg_session *s, const struct tg_tx_record *r, struct iov_iter *from)
{
	u32 left, at, part;

	for (left = r->len; left; left -= part) {
		struct page *page;

		at = r->text + r->len - left;
		part = left;
		page = tg_frags_page(&s->tx.pending, &at, &part);
		if (copy_page_from_iter(page, at, part, from) != part)
			return -EFAULT;
	}
	return 0;
}

static int tg_tx_seal_iter(struct sock *sk, struct tg_session *s, struct iov_iter *from)
{
	size_t before = iov_iter_count(from);
	struct tg_tx_record r;
	int err = tg_tx_begin(sk, s, TG_APPLICATION_DATA,
			      min_t(size_t, before, s->tx.record_size), 0, &r, GFP_KERNEL);

	if (err)
		return err;
	err = tg_tx_fill(s, &r, from);
	if (err)
		tg_frags_trim(&s->tx.pending, r.start, &sk->sk_frag);
	else
		err = tg_tx_seal(sk, s, &r, 0, GFP_KERNEL);
	/* Only what is sealed was taken, as the caller counts it. */
	if (err)
		iov_iter_revert(from, before - iov_iter_count(from));
	return err;
}

/* Memory for what waits, kept as the page is.  False: there is none, so that nothing waits. */
static bool tg_tx_can_hold(struct sock *sk, struct tg_session *s)
{
	if (s->tx.held)
		return true;
	s->tx.held = kmalloc(TLSGATE_RECORD_SIZE_MAX, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN);
	if (!s->tx.held || tg_session_charge(sk, s))
		return s->tx.held;
	kfree(s->tx.held);
	s->tx.held = NULL;
	return false;
}

/* Where nothing came to wait: without a record, no page_work gives it back. */
static void tg_tx_hold_nothing(struct sock *sk, struct tg_session *s)
{
	kfree(s->tx.held);
	s->tx.held = NULL;
	tg_session_charge(sk, s);
}

/* Takes what fits in a record, and seals it unless @more is to fill that.  0 or -errno. */
static int tg_tx_take(struct sock *sk, struct tg_session *s, struct iov_iter *from, bool more)
{
	u32 held = s->tx.held_len;
	/* An order may have made records shorter than what is held. */
	u32 room = s->tx.record_size - min_t(u32, held, s->tx.record_size);
	u32 len = min_t(size_t, iov_iter_count(from), room);

	more = more && len < room;
	if (!held && !(more && tg_tx_can_hold(sk, s)))
		return tg_tx_seal_iter(sk, s, from);
	if (!copy_from_iter_full(s->tx.held + held, len, from)) {
		if (!held)
			tg_tx_hold_nothing(sk, s);
		return -EFAULT;
	}
	s->tx.held_len += len;
	if (!held) {
		s->tx.held_at = jiffies;
		tg_session_later(s, &s->push_work, TG_TX_HOLD);
	}
	return more ? 0 : tg_tx_seal_held(sk, s);
}

/* Its sender says that more follows what it sends, and not that this ends a record. */
static bool tg_tx_more(const struct sock *sk, const struct msghdr *msg)
{
	if (tcp_sk(sk)->nonagle & TCP_NAGLE_CORK)
		return true;
	return msg->msg_flags & (MSG_MORE | MSG_SENDPAGE_NOTLAST) && !(msg->msg_flags & MSG_EOR);
}

/* Seals a few records and gives them to TCP.  Bytes taken from the message, or -errno. */
static int tg_tx_batch(struct sock *sk, struct tg_session *s, struct msghdr *msg)
{
	bool more = tg_tx_more(sk, msg);
	size_t before = msg_data_left(msg);
	unsigned int n;
	int err = 0, push = 0;

	/* What TCP had no room for, since it may have some now. */
	if (!tg_frags_empty(&s->tx.pending))
		push = tg_tx_push(sk, s, 0);
	if (push && push != -EAGAIN)
		return push;
	for (n = 0; n < TG_TX_BATCH && msg_data_left(msg); n++) {
		err = tg_tx_ready(sk, s, GFP_KERNEL) ?: tg_tx_take(sk, s, &msg->msg_iter, more);
		if (err)
			break;
	}
	push = tg_tx_push(sk, s, more || msg_data_left(msg) ? MSG_MORE : 0);
	if (push && push != -EAGAIN)
		return push;
	return before - msg_data_left(msg) ?: err;
}

/* Flags that mean on TLS what they mean on TCP; of MSG_WAITALL and MSG_BATCH, nothing. */
#define TG_SEND_FLAGS (MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_CMSG_COMPAT | MSG_EOR | \
		       MSG_SPLICE_PAGES | MSG_SENDPAGE_NOTLAST | MSG_SENDPAGE_NOPOLICY | \
		       MSG_WAITALL | MSG_BATCH)

/*
 * A program cannot choose a record's type: one that does takes the socket for kTLS's, and its
 * bytes are no data.  All else is as on TCP, but for time stamps that the call asks for, which
 * would be those of some record's segment.
 */
static int tg_tx_check_control(struct sock *sk, struct msghdr *msg)
{
	struct sockcm_cookie sockc;
	struct cmsghdr *cmsg;

	sockcm_init(&sockc, sk);
	if (sock_cmsg_send(sk, msg, &sockc))
		return -EINVAL;
	for_each_cmsghdr(cmsg, msg)
		if (cmsg->cmsg_level == SOL_TLS)
			return -EOPNOTSUPP;
	return sockc.tsflags == READ_ONCE(sk->sk_tsflags) ? 0 : -EOPNOTSUPP;
}

int tg_tx_sendmsg(struct sock *sk, struct msghdr *msg, size_t size)
{
	/* The caller has its file, so that it is not closed. */
	struct tg_session *s = tg_session_from_sk(sk);
	size_t sent = 0;
	long timeo;
	int ret;

	if (msg->msg_flags & ~TG_SEND_FLAGS)
		return -EOPNOTSUPP;

	ret = msg->msg_controllen ? tg_tx_check_control(sk, msg) : 0;
	if (ret)
		return ret;

	lock_sock(sk);
	timeo = sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT);
	while (msg_data_left(msg)) {
		if (sk->sk_err && sk->sk_state != TCP_CLOSE && !s->error) {
			ret = sent ? 0 : sock_error(sk);
			break;
		}
		ret = tg_tx_batch(sk, s, msg);
		if (ret > 0) {
			sent += ret;
			continue;
		}
		if (ret != -EAGAIN && ret != -ENOMEM && ret != -ENOBUFS)
			break;
		set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
		ret = sk_stream_wait_memory(sk, &timeo);
		if (ret)
			break;
	}
	if (sent)
		ret = sent;
	else if (ret == -EPIPE)
		ret = sk_stream_error(sk, msg->msg_flags, ret);
	release_sock(sk);
	return ret;
}

void tg_tx_splice_eof(struct socket *sock)
{
	struct sock *sk = sock->sk;
	struct tg_session *s = tg_session_from_sk(sk);

	lock_sock(sk);
	tg_tx_flush(sk, s);
	release_sock(sk);
	/* What TCP has already is held back by TCP. */
	if (s->family->base->splice_eof)
		s->family->base->splice_eof(sock);
}
