// SPDX-License-Identifier: GPL-2.0-only
/*
 * Receiving: a record is opened once all of it is there.  It is copied out of
 * TCP's buffers into pages of the session's own and opened there in place.  The
 * buffers may be pages of a file or of a process (sendfile, splice, vmsplice), so
 * they are not written to; and they may change at any time, while an AEAD reads
 * the ciphertext twice, for the tag and for the text.  Whose they are cannot be
 * told: skb_try_coalesce() loses SKBFL_SHARED_FRAG.
 * Control records are dealt with here and never shown.  Nothing of a record is
 * readable before its tag was checked.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/splice.h>
#include <net/tcp.h>

#include "datapath.h"
#include "netlink.h"
#include "own.h"
#include "stats.h"

/* How long a row lasts: an idle peer may send one of its kind now and then, for ever. */
#define TG_ROW_TIME		(10 * HZ)
/* Longest post-handshake message: the longest ticket (RFC 9846 section 4.7.1) and its fields. */
#define TG_HANDSHAKE_MAX	(2 * 65536 + 1024)

/**
 * struct tg_rx_record - a record whose bytes are all there
 * @header: decoded
 * @stashed: it is in the stash, else at the head of TCP's queue
 */
struct tg_rx_record {
	struct tg_header header;
	bool stashed;
};

/*
 * Records opened before TCP may drop them.  Each search begins at the queue's head:
 * where records and buffers are tiny, a batch would cost the square of its length.
 */
#define TG_RX_TAKEN_MAX		32

/* Where nothing may sleep a failure is left to be found again where it can be acted upon. */
static int tg_rx_fail(struct sock *sk, struct tg_session *s, enum tlsgate_reason reason,
		      gfp_t gfp)
{
	return gfpflags_allow_blocking(gfp) ? tg_session_fail(sk, s, reason) : -EAGAIN;
}

/* In a row, that no honest peer sends. */
static const u8 tg_row_max[] = {
	[TG_ROW_EMPTY] = 32,
	[TG_ROW_KEY_UPDATE] = 32,
	[TG_ROW_WARNING] = 4,
	[TG_ROW_MESSAGE] = 32,
};

bool tg_rx_row_floods(struct tg_session *s, enum tg_row kind)
{
	if (time_after(jiffies, s->rx.row_since + TG_ROW_TIME)) {
		tg_rx_row_ends(s);
		s->rx.row_since = jiffies;
	}
	return ++s->rx.row[kind] > tg_row_max[kind];
}

u32 tg_rx_data_len(const struct tg_rx *rx)
{
	return rx->plain.bytes - (rx->held ? rx->held_len : 0);
}

void tg_rx_drop_held(struct tg_rx *rx)
{
	tg_frags_trim(&rx->plain, tg_rx_data_len(rx), NULL);
	rx->held = false;
}

static u32 tg_rx_stashed(const struct tg_rx *rx)
{
	return rx->stash_len - rx->stash_off;
}

/* Bytes in TCP's queue that are not yet opened. */
static u32 tg_rx_queued(const struct sock *sk, const struct tg_rx *rx)
{
	return tg_queue_len(sk) - rx->taken;
}

void tg_rx_settle(struct sock *sk, struct tg_session *s)
{
	if (s->rx.taken)
		tcp_read_done(sk, s->rx.taken);
	s->rx.taken = 0;
	s->rx.taken_records = 0;
	/* With the room that this has made. */
	tg_session_charge(sk, s);
}

static void tg_rx_stash_drop(struct tg_rx *rx, u32 len)
{
	rx->stash_off += len;
	if (rx->stash_off < rx->stash_len)
		return;
	kvfree(rx->stash);
	rx->stash = NULL;
	rx->stash_size = 0;
	rx->stash_off = 0;
	rx->stash_len = 0;
}

static int tg_rx_stash_grow(struct tg_rx *rx, u32 want)
{
	u32 have = tg_rx_stashed(rx);
	u8 *stash;

	if (rx->stash && want <= rx->stash_size - rx->stash_off)
		return 0;
	stash = kvmalloc(TG_RECORD_MAX, GFP_KERNEL);
	if (!stash)
		return -ENOMEM;
	if (have)
		memcpy(stash, rx->stash + rx->stash_off, have);
	kvfree(rx->stash);
	rx->stash = stash;
	rx->stash_size = TG_RECORD_MAX;
	rx->stash_off = 0;
	rx->stash_len = have;
	return 0;
}

/* Moves bytes from TCP's queue until the stash holds @want, if there are so many. */
static int tg_rx_stash_fill(struct sock *sk, struct tg_session *s, u32 want)
{
	struct tg_rx *rx = &s->rx;
	u32 have = tg_rx_stashed(rx), len;
	int err;

	if (have < want) {
		err = tg_rx_stash_grow(rx, want);
		if (err)
			return err;
		len = min(want - have, tg_rx_queued(sk, rx));
		tg_queue_copy(sk, rx->taken, rx->stash + rx->stash_len, len);
		rx->taken += len;
		rx->stash_len += len;
	}
	return tg_rx_stashed(rx) < want ? -EAGAIN : 0;
}

static bool tg_rx_header(struct sock *sk, struct tg_session *s, u8 *header)
{
	if (tg_rx_stashed(&s->rx) >= TG_HEADER_LEN)
		memcpy(header, s->rx.stash + s->rx.stash_off, TG_HEADER_LEN);
	else if (!tg_rx_stashed(&s->rx) && tg_rx_queued(sk, &s->rx) >= TG_HEADER_LEN)
		tg_queue_copy(sk, s->rx.taken, header, TG_HEADER_LEN);
	else
		return false;
	return true;
}

/* TCP will not take much more until somebody reads: a record may never fit its queue. */
static bool tg_rx_pressed(const struct sock *sk)
{
	return tcp_epollin_ready(sk, INT_MAX);
}

/* Finds the next record.  0, -EAGAIN: not all there, -ENOMEM, or the session failed. */
static int tg_rx_locate(struct sock *sk, struct tg_session *s, struct tg_rx_record *r, gfp_t gfp)
{
	struct tg_rx *rx = &s->rx;
	u8 header[TG_HEADER_LEN];
	enum tlsgate_reason reason;
	u32 full;
	int err;

	if (tg_rx_stashed(rx)) {
		err = tg_rx_stash_fill(sk, s, TG_HEADER_LEN);
		if (err)
			return err;
	}
	if (!tg_rx_header(sk, s, header))
		return -EAGAIN;
	reason = tg_record_parse(s->cipher, header, &r->header);
	if (reason)
		return tg_rx_fail(sk, s, reason, gfp);
	full = TG_HEADER_LEN + r->header.len;

	r->stashed = tg_rx_stashed(rx);
	if (!r->stashed) {
		if (tg_rx_queued(sk, rx) >= full)
			return 0;
		tg_rx_settle(sk, s);
		/* More than the queue will hold is put together outside it. */
		if (!gfpflags_allow_blocking(gfp) || !tg_rx_pressed(sk))
			return -EAGAIN;
		r->stashed = true;
		tg_stat_inc(sock_net(sk), TG_STAT_RX_STASHED);
	}
	return tg_rx_stash_fill(sk, s, full);
}

/*
 * Copies a located record to @start of rx.plain, but for its header, which is not
 * read a second time, and its explicit nonce.
 */
static void tg_rx_copy_in(struct sock *sk, struct tg_session *s, const struct tg_rx_record *r,
			  u32 start, u8 *explicit)
{
	u32 nonce_len = s->cipher->explicit_len, skip = TG_HEADER_LEN + nonce_len;
	u32 body = r->header.len - nonce_len;
	struct tg_rx *rx = &s->rx;

	if (r->stashed) {
		const u8 *p = rx->stash + rx->stash_off;

		memcpy(explicit, p + TG_HEADER_LEN, nonce_len);
		tg_frags_write(&rx->plain, start, p + skip, body);
	} else {
		if (nonce_len)
			tg_queue_copy(sk, rx->taken + TG_HEADER_LEN, explicit, nonce_len);
		tg_queue_fill(sk, rx->taken + skip, &rx->plain, start, body);
	}
}

/* Opens a located record to the end of rx.plain and drops it from where it was. */
static int tg_rx_open(struct sock *sk, struct tg_session *s, const struct tg_rx_record *r,
		      gfp_t gfp)
{
	const struct tg_cipher *c = s->cipher;
	struct tg_frags *f = &s->rx.plain;
	struct tg_dir *d = &s->rx.dir;
	u32 start = f->bytes;
	u32 body = r->header.len - c->explicit_len;
	u8 explicit[sizeof(__be64)] = { };
	struct tg_header h = r->header;
	int err;

	if (d->seq == U64_MAX)
		return tg_rx_fail(sk, s, TLSGATE_REASON_SEQ_EXHAUSTED, gfp);
	err = tg_frags_reserve(sk, s, f, 0, body, NULL, 0, gfp);
	if (err)
		return err;

	tg_rx_copy_in(sk, s, r, start, explicit);
	if (c->version == TLSGATE_TLS_1_2)
		h.len = body - TG_TAG_LEN;
	s->sg_dst_last = tg_frags_sg(f, start, body, s->sg_dst + 1);
	s->sg_src_last = 0;

	err = tg_cipher_crypt(s, d, explicit, &h, body, false, gfp);
	if (err) {
		tg_frags_trim(f, start, &sk->sk_frag);
		/* Opening twice under one nonce gives nothing away, unlike sealing. */
		if (err == -ENOMEM || !gfpflags_allow_blocking(gfp)) {
			d->seq--;
			return gfpflags_allow_blocking(gfp) ? err : -EAGAIN;
		}
		if (err == -EBADMSG)
			tg_event_auth_failed(s);
		return tg_session_fail(sk, s, err == -EBADMSG ? TLSGATE_REASON_BAD_RECORD_MAC
							      : TLSGATE_REASON_CRYPTO_ERROR);
	}
	tg_frags_trim(f, start + body - TG_TAG_LEN, &sk->sk_frag);
	if (r->stashed)
		tg_rx_stash_drop(&s->rx, TG_HEADER_LEN + r->header.len);
	else
		s->rx.taken += TG_HEADER_LEN + r->header.len;
	if (++s->rx.taken_records == TG_RX_TAKEN_MAX)
		tg_rx_settle(sk, s);
	d->records++;
	tg_stat_inc(sock_net(sk), TG_STAT_RX_RECORDS);
	return 0;
}

/*
 * RFC 9846 section 5.4: the inner type is the last byte that is not zero.
 * Strips it and the padding; 0 if there is none.
 */
static u8 tg_rx_inner_type(struct sock *sk, struct tg_frags *f, u32 start)
{
	u8 chunk[64];

	while (f->bytes > start) {
		u32 n = min_t(u32, sizeof(chunk), f->bytes - start);

		tg_frags_read(f, f->bytes - n, chunk, n);
		while (n) {
			u8 type = chunk[--n];

			tg_frags_trim(f, f->bytes - 1, &sk->sk_frag);
			if (type)
				return type;
		}
	}
	return 0;
}

static enum tlsgate_reason tg_rx_alert(struct tg_session *s, u32 start, u32 len)
{
	u8 alert[2];

	/* RFC 9846 section 5.4; RFC 5246 section 6.2.1 forbids it as well, and names no alert. */
	if (!len)
		return TLSGATE_REASON_UNEXPECTED_MESSAGE;
	/* RFC 9846 section 5.1: one alert, whole, in each record. */
	if (len != sizeof(alert))
		return TLSGATE_REASON_BAD_RECORD;
	tg_frags_read(&s->rx.plain, start, alert, sizeof(alert));
	if (alert[1] == TG_ALERT_CLOSE_NOTIFY) {
		s->rx.closed = true;
		return TLSGATE_REASON_NONE;
	}
	s->alert = alert[1];
	/* RFC 9846 section 6: the level says nothing, only two alerts are no errors. */
	if (s->cipher->version == TLSGATE_TLS_1_3 ? alert[1] == TG_ALERT_USER_CANCELED
						  : alert[0] == TG_ALERT_WARNING) {
		return tg_rx_row_floods(s, TG_ROW_WARNING) ? TLSGATE_REASON_ALERT_FLOOD
							   : TLSGATE_REASON_NONE;
	}
	return TLSGATE_REASON_PEER_ALERT;
}

/* RFC 5246 section 7.2.2: the client may go on.  One that reads nothing is told nothing. */
static enum tlsgate_reason tg_rx_refuse_renegotiation(struct sock *sk, struct tg_session *s)
{
	static const u8 warning[] = { TG_ALERT_WARNING, TG_ALERT_NO_RENEGOTIATION };

	if (!s->tx.closed && !tg_dir_exhausted(&s->tx.dir) && tg_tx_room(sk, s) &&
	    !tg_tx_control(sk, s, TG_ALERT, warning, sizeof(warning)))
		tg_tx_push(sk, s, 0);
	return s->error ? s->reason : TLSGATE_REASON_NONE;
}

/* Known by its first byte, before the rest is waited for. */
static bool tg_rx_expects(const struct tg_session *s, u8 message)
{
	bool client = s->role == TLSGATE_ROLE_CLIENT;

	if (s->cipher->version == TLSGATE_TLS_1_3)
		return message == TG_KEY_UPDATE || (client && message == TG_NEW_SESSION_TICKET);
	return message == (client ? TG_HELLO_REQUEST : TG_CLIENT_HELLO);
}

static enum tlsgate_reason tg_rx_message(struct sock *sk, struct tg_session *s, u32 len, bool last)
{
	const u8 *m = s->rx.message;

	if (m[0] == TG_KEY_UPDATE) {
		if (len != TG_KEY_UPDATE_LEN)
			return TLSGATE_REASON_BAD_RECORD;
		/* RFC 9846 section 5.1: a message before a key change ends its record. */
		if (!last)
			return TLSGATE_REASON_UNEXPECTED_MESSAGE;
		return tg_key_update_receive(sk, s, m[TG_HANDSHAKE_HEADER_LEN]);
	}
	if (tg_rx_row_floods(s, TG_ROW_MESSAGE))
		return TLSGATE_REASON_MESSAGE_FLOOD;
	if (m[0] == TG_CLIENT_HELLO)
		s->rx.hello = true;
	if (m[0] == TG_NEW_SESSION_TICKET && len <= TLSGATE_MESSAGE_MAX)
		tg_event_message(s, m, len);
	/* RFC 5246 section 7.4.1.1: a client may ignore it. */
	if (m[0] == TG_HELLO_REQUEST && len != TG_HANDSHAKE_HEADER_LEN)
		return TLSGATE_REASON_BAD_RECORD;
	return TLSGATE_REASON_NONE;
}

/* Feeds a handshake record to the message being put together; only its start is kept. */
static enum tlsgate_reason tg_rx_handshake(struct sock *sk, struct tg_session *s, u32 off, u32 len)
{
	struct tg_rx *rx = &s->rx;
	enum tlsgate_reason reason;

	if (!len)
		return TLSGATE_REASON_UNEXPECTED_MESSAGE;
	while (len) {
		u32 want = TG_HANDSHAKE_HEADER_LEN, part;

		if (!rx->message)
			rx->message = kmalloc(TLSGATE_MESSAGE_MAX, GFP_KERNEL);
		if (!rx->message)
			return TLSGATE_REASON_NO_MEMORY;
		if (rx->message_len >= TG_HANDSHAKE_HEADER_LEN)
			want += get_unaligned_be24(rx->message + 1);
		part = min(len, want - rx->message_len);
		if (rx->message_len < TLSGATE_MESSAGE_MAX)
			tg_frags_read(&rx->plain, off, rx->message + rx->message_len,
				      min(part, TLSGATE_MESSAGE_MAX - rx->message_len));
		rx->message_len += part;
		off += part;
		len -= part;
		if (rx->message_len < TG_HANDSHAKE_HEADER_LEN)
			continue;
		if (!tg_rx_expects(s, rx->message[0]))
			return TLSGATE_REASON_UNEXPECTED_MESSAGE;
		want = TG_HANDSHAKE_HEADER_LEN + get_unaligned_be24(rx->message + 1);
		if (want > TG_HANDSHAKE_MAX)
			return TLSGATE_REASON_BAD_RECORD;
		if (rx->message_len < want)
			continue;
		reason = tg_rx_message(sk, s, want, !len);
		kfree_sensitive(rx->message);
		rx->message = NULL;
		rx->message_len = 0;
		if (reason)
			return reason;
	}
	return TLSGATE_REASON_NONE;
}

static enum tlsgate_reason tg_rx_data(struct sock *sk, struct tg_session *s, u32 len)
{
	if (!len)
		return tg_rx_row_floods(s, TG_ROW_EMPTY) ? TLSGATE_REASON_EMPTY_RECORD_FLOOD
							 : TLSGATE_REASON_NONE;
	tg_rx_row_ends(s);
	s->rx.dir.bytes += len;
	s->active = get_jiffies_64();
	tg_stat_add(sock_net(sk), TG_STAT_RX_BYTES, len);
	return TLSGATE_REASON_NONE;
}

/* Holds what was opened, from @start to the end of rx.plain, to be dealt with. */
static void tg_rx_hold(struct sock *sk, struct tg_session *s, u8 type, u32 start)
{
	struct tg_frags *f = &s->rx.plain;

	/* One that is too long even for its padding is left as it is, to be refused. */
	if (s->cipher->version == TLSGATE_TLS_1_3 && f->bytes - start <= TG_PLAINTEXT_MAX + 1)
		type = tg_rx_inner_type(sk, f, start);
	s->rx.held = true;
	s->rx.held_type = type;
	s->rx.held_len = f->bytes - start;
}

/* Data that goes on from where it is: the rest may have to sleep. */
static bool tg_rx_is_data(const struct tg_rx *rx)
{
	return rx->held_type == TG_APPLICATION_DATA && rx->held_len &&
	       rx->held_len <= TG_PLAINTEXT_MAX && !rx->message;
}

/* Deals with the record that is held: only data stays in rx.plain. */
static enum tlsgate_reason tg_rx_dispatch(struct sock *sk, struct tg_session *s)
{
	struct tg_frags *f = &s->rx.plain;
	u32 len = s->rx.held_len, start = f->bytes - len;
	u8 type = s->rx.held_type;
	enum tlsgate_reason reason;

	s->rx.held = false;
	if (len > TG_PLAINTEXT_MAX)
		return TLSGATE_REASON_RECORD_OVERFLOW;
	/* RFC 9846 section 5.1: nothing may come between the pieces of a message. */
	if (s->rx.message && type != TG_HANDSHAKE)
		return TLSGATE_REASON_UNEXPECTED_MESSAGE;
	switch (type) {
	case TG_APPLICATION_DATA:
		return tg_rx_data(sk, s, len);
	case TG_ALERT:
		reason = tg_rx_alert(s, start, len);
		break;
	case TG_HANDSHAKE:
		reason = tg_rx_handshake(sk, s, start, len);
		break;
	default:
		reason = TLSGATE_REASON_UNEXPECTED_MESSAGE;
	}
	tg_frags_trim(f, start, &sk->sk_frag);
	/* Not before, since the answer would keep the hello's memory from being used again. */
	if (s->rx.hello && !reason)
		reason = tg_rx_refuse_renegotiation(sk, s);
	s->rx.hello = false;
	return reason;
}

/* Nothing more can be opened: is that an end, a wait, or an error? */
static int tg_rx_drained(struct sock *sk, struct tg_session *s)
{
	if (sk->sk_err && sk->sk_state == TCP_CLOSE)
		return tg_session_fail(sk, s, TLSGATE_REASON_PEER_RESET);
	/* The peer's FIN, and no close_notify before it (RFC 9846 section 6.1). */
	if (sock_flag(sk, SOCK_DONE))
		return tg_session_fail(sk, s, TLSGATE_REASON_TRUNCATED);
	if (sk->sk_state == TCP_CLOSE)
		return tg_session_fail(sk, s, TLSGATE_REASON_PEER_RESET);
	/* The reader's own shutdown(SHUT_RD); a relay's reader has not asked for that. */
	if (sk->sk_shutdown & RCV_SHUTDOWN)
		return s->relay ? tg_session_fail(sk, s, TLSGATE_REASON_TRUNCATED) : 0;
	return -EAGAIN;
}

/* Opens the next record, to be held.  0, -EAGAIN, -ENOMEM, -ENOBUFS, or the session failed. */
static int tg_rx_fetch(struct sock *sk, struct tg_session *s, gfp_t gfp)
{
	struct tg_rx_record r = { };
	u32 start = s->rx.plain.bytes;
	int err = tg_rx_locate(sk, s, &r, gfp) ?: tg_rx_open(sk, s, &r, gfp);

	if (!err)
		tg_rx_hold(sk, s, r.header.type, start);
	return err;
}

int tg_rx_next(struct sock *sk, struct tg_session *s, gfp_t gfp)
{
	enum tlsgate_reason reason;
	u32 start;
	int err;

	while (!s->error) {
		if (s->rx.closed) {
			/* RFC 9846 section 6.1: what follows close_notify is ignored. */
			s->rx.taken = tg_queue_len(sk);
			return 0;
		}
		if (!s->rx.held) {
			err = tg_rx_fetch(sk, s, gfp);
			if (err == -EAGAIN && gfpflags_allow_blocking(gfp))
				return tg_rx_drained(sk, s);
			if (err)
				return err;
		}
		if (!gfpflags_allow_blocking(gfp) && !tg_rx_is_data(&s->rx))
			return -EAGAIN;
		start = s->rx.plain.bytes - s->rx.held_len;
		reason = tg_rx_dispatch(sk, s);
		if (reason) {
			tg_frags_trim(&s->rx.plain, start, &sk->sk_frag);
			return tg_session_fail(sk, s, reason);
		}
		if (s->rx.plain.bytes > start)
			return 1;
		cond_resched();
	}
	return s->error;
}

bool tg_rx_update_ready(struct sock *sk, struct tg_session *s)
{
	struct tg_header h;
	u8 header[TG_HEADER_LEN];
	bool ready;

	/* What is held may be empty and still the end. */
	if (!tg_frags_empty(&s->rx.plain) || s->rx.held || s->error || s->rx.closed ||
	    sk->sk_state == TCP_CLOSE || (sk->sk_shutdown & RCV_SHUTDOWN))
		ready = true;
	else if (!tg_rx_header(sk, s, header))
		ready = tg_rx_stashed(&s->rx) && tg_rx_queued(sk, &s->rx);
	else
		ready = tg_record_parse(s->cipher, header, &h) ||
			tg_rx_stashed(&s->rx) + tg_rx_queued(sk, &s->rx) >=
			TG_HEADER_LEN + h.len ||
			tg_rx_pressed(sk);
	WRITE_ONCE(s->rx.ready, ready);
	return ready;
}

/*
 * Bytes of data in the whole records behind what was opened, as their headers tell.  Padding and
 * control records count, too, and behind a batch of records so does whatever is queued, and the
 * beginning of a record that does not fit into the queue.
 */
static u32 tg_rx_behind(struct sock *sk, struct tg_session *s)
{
	u32 stashed = tg_rx_stashed(&s->rx), left = stashed + tg_rx_queued(sk, &s->rx);
	u32 at = s->rx.taken - stashed, len = 0, full;
	u8 header[TG_HEADER_LEN];
	struct tg_header h;
	int n = 0;

	if (left >= TG_HEADER_LEN && !tg_rx_header(sk, s, header))
		return len;
	while (left >= TG_HEADER_LEN) {
		if (tg_record_parse(s->cipher, header, &h))
			return len;
		full = TG_HEADER_LEN + h.len;
		if (left < full)
			break;
		len += h.len - tg_record_overhead(s->cipher);
		left -= full;
		at += full;
		if (++n == TG_RX_TAKEN_MAX)
			return len + left;
		tg_queue_copy(sk, at, header, sizeof(header));
	}
	return left && tg_rx_pressed(sk) ? len + left : len;
}

u32 tg_rx_readable(struct sock *sk, struct tg_session *s)
{
	u32 len;

	if (!tg_rx_data_len(&s->rx))
		tg_rx_next(sk, s, GFP_KERNEL);
	tg_rx_settle(sk, s);
	tg_rx_update_ready(sk, s);
	len = tg_rx_data_len(&s->rx);
	return len && !s->rx.closed && !s->error ? len + tg_rx_behind(sk, s) : len;
}

/* Copies opened data out, from byte @skip on.  Bytes copied, or -EFAULT if not one was. */
static int tg_rx_copy(struct tg_session *s, struct msghdr *msg, u32 skip, size_t len, int flags)
{
	struct tg_frags *f = &s->rx.plain;
	u32 want = min_t(size_t, len, tg_rx_data_len(&s->rx) - skip), done = 0;

	while (done < want) {
		u32 at = skip + done, part = want - done;
		struct page *page = tg_frags_page(f, &at, &part);

		if (!(flags & MSG_TRUNC))
			part = tg_copy_page_to_iter(page, at, part, &msg->msg_iter);
		if (!part)
			break;
		done += part;
	}
	if (!(flags & MSG_PEEK))
		tg_frags_consume(f, done);
	return done ?: -EFAULT;
}

/*
 * 1: there is data behind byte @skip; else as tg_rx_next(), or 0 for a peek from whose
 * start another reader took data while it slept.
 */
static int tg_rx_more(struct sock *sk, struct tg_session *s, u32 skip)
{
	int ret;

	while (tg_rx_data_len(&s->rx) <= skip) {
		/* A peek sees no further than opened data may be kept. */
		if (skip && (tg_rx_data_len(&s->rx) < skip ||
			     tg_frags_room(&s->rx.plain) < TG_RECORD_FRAGS ||
			     !tg_session_charge(sk, s)))
			return 0;
		ret = tg_rx_next(sk, s, GFP_KERNEL);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

/* Sleeps until there may be a record.  0: look again, or -errno. */
static int tg_rx_wait(struct sock *sk, struct tg_session *s, long *timeo)
{
	/* Of ICMP, which its holder asked for (IP_RECVERR): told once, and TCP goes on. */
	if (sk->sk_err)
		return sock_error(sk);
	if (!*timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(*timeo);
	tg_rx_settle(sk, s);
	tg_rx_update_ready(sk, s);
	sk_wait_data(sk, timeo, skb_peek_tail(&sk->sk_receive_queue));
	return 0;
}

int tg_rx_recvmsg(TG_RECVMSG_ARGS)
{
	/* The caller has its file, so that it is not closed. */
	struct tg_session *s = tg_session_from_sk(sk);
	size_t copied = 0, target;
	u32 skip;
	long timeo;
	int ret = 0, inq = -1;

	/* The errors are TCP's, and it gives nothing else then. */
	if (flags & MSG_ERRQUEUE)
		return s->family->base->recvmsg(TG_RECVMSG_PASS);
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;

	lock_sock(sk);
	target = sock_rcvlowat(sk, flags & MSG_WAITALL, len);
	timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	while (copied < len) {
		skip = flags & MSG_PEEK ? copied : 0;
		ret = tg_rx_more(sk, s, skip);
		if (ret > 0) {
			ret = tg_rx_copy(s, msg, skip, len - copied, flags);
			if (ret < 0)
				break;
			copied += ret;
			continue;
		}
		if (ret != -EAGAIN || copied >= target || (copied && sk->sk_err))
			break;
		ret = tg_rx_wait(sk, s, &timeo);
		if (ret)
			break;
	}
	/* As SIOCINQ, and not 0 where a read would tell of an end. */
	if (tcp_sk(sk)->recvmsg_inq)
		inq = tg_rx_readable(sk, s) ?: s->rx.ready;
	tg_rx_settle(sk, s);
	/* Who uses EPOLLET takes fewer bytes for the last there are, and waits for an edge. */
	if (copied && ret <= 0 && ret != -EAGAIN)
		sk->sk_data_ready(sk);
	else
		tg_rx_update_ready(sk, s);
	release_sock(sk);
	if (inq >= 0 && (copied || !ret))
		put_cmsg(msg, SOL_TCP, TCP_CM_INQ, sizeof(inq), &inq);
	return copied ?: ret;
}

/*
 * Goes by way of recvmsg(), which heeds the file's O_NONBLOCK only, and allocates pages for all
 * bytes that it is asked for.  So first this waits for bytes, and counts them.  If another
 * reader is quicker, this one may still sleep, as splice(2) allows.
 */
ssize_t tg_rx_splice_read(struct socket *sock, loff_t *ppos, struct pipe_inode_info *pipe,
			  size_t len, unsigned int flags)
{
	bool nonblock = flags & SPLICE_F_NONBLOCK || sock->file->f_flags & O_NONBLOCK;
	int count = MSG_PEEK | MSG_TRUNC | (nonblock ? MSG_DONTWAIT : 0);
	struct msghdr msg = { };
	int ret = kernel_recvmsg(sock, &msg, NULL, 0, len, count);

	if (ret <= 0)
		return ret;
	return tg_splice_by_copy(sock->file, ppos, pipe, min_t(size_t, len, ret), flags);
}
