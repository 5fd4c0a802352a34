// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes in TCP's receive queue.  Nothing is remembered from one call to the
 * next: the queue may have changed, by collapsing or by another reader, each
 * time the lock was not held.
 */
#include <linux/skbuff.h>
#include <linux/uio.h>
#include <net/tcp.h>

#include "datapath.h"

u32 tg_queue_len(const struct sock *sk)
{
	const struct tcp_sock *tp = tcp_sk(sk);
	u32 len = tp->rcv_nxt - tp->copied_seq;

	/* The FIN has a sequence number of its own. */
	if (len && sock_flag(sk, SOCK_DONE))
		len--;
	return len;
}

/*
 * Neighbouring buffers may overlap after a retransmission, so each one's
 * offset is found from the sequence number, here and below.
 */
void tg_queue_copy(struct sock *sk, u32 off, void *to, u32 len)
{
	u32 seq = tcp_sk(sk)->copied_seq + off;
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 skip = seq - TCP_SKB_CB(skb)->seq, part;

		if (skip >= skb->len)
			continue;
		part = min(skb->len - skip, len);
		if (!part || skb_copy_bits(skb, skip, to, part))
			break;
		to += part;
		seq += part;
		len -= part;
	}
	/* Not reached while tg_queue_len() holds; what is missing must not authenticate. */
	memset(to, 0, len);
}

bool tg_queue_fill(struct sock *sk, u32 off, const struct tg_frags *f, u32 at, u32 len)
{
	struct iov_iter to = tg_frags_iter(f, ITER_DEST, at, len);
	u32 seq = tcp_sk(sk)->copied_seq + off;
	struct sk_buff *skb;

	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 skip = seq - TCP_SKB_CB(skb)->seq, part;

		if (skip >= skb->len)
			continue;
		part = min_t(size_t, skb->len - skip, iov_iter_count(&to));
		if (!part || skb_copy_datagram_iter(skb, skip, &to, part))
			break;
		seq += part;
	}
	if (!iov_iter_count(&to))
		return true;
	/* As above. */
	iov_iter_zero(iov_iter_count(&to), &to);
	return false;
}

/*
 * A buffer may be in more pieces than there is room for: then as much of it as
 * fits, found by halving.  Entries used; *len shrinks to what they cover.
 */
static unsigned int tg_queue_skb_sg(struct sk_buff *skb, u32 off, u32 *len, struct scatterlist *sg)
{
	int used;

	if (!skb_frags_readable(skb))
		*len = 0;
	for (; *len; *len /= 2) {
		used = skb_to_sgvec_nomark(skb, sg, off, *len);
		if (used >= 0)
			return used;
	}
	return 0;
}

unsigned int tg_queue_sg(struct sock *sk, u32 off, u32 *len, struct scatterlist *sg,
			 unsigned int max)
{
	u32 seq = tcp_sk(sk)->copied_seq + off;
	u32 left = *len;
	unsigned int n = 0;
	struct sk_buff *skb;

	/* skb_to_sgvec_nomark() stops at the mark. */
	sg_mark_end(&sg[max - 1]);
	skb_queue_walk(&sk->sk_receive_queue, skb) {
		u32 skip = seq - TCP_SKB_CB(skb)->seq, want, part;

		if (skip >= skb->len)
			continue;
		want = min(skb->len - skip, left);
		part = want;
		n += tg_queue_skb_sg(skb, skip, &part, sg + n);
		seq += part;
		left -= part;
		if (part < want || !left || n == max)
			break;
	}
	sg_unmark_end(&sg[max - 1]);
	*len -= left;
	return n;
}
