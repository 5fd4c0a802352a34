/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The map of the data path.  Unless said otherwise everything here is called
 * in process context with lock_sock() of the TLS socket held.  direct.c calls
 * tg_queue_len(), tg_queue_fill(), tg_rx_next(), tg_rx_data_len(), tg_rx_update_ready(),
 * tg_rx_settle(), tg_tx_ready(), tg_tx_begin(), tg_tx_seal(), tg_tx_push() and tg_frags_*()
 * in a softirq, with the spinlock of a socket that nobody owns.  Those that may sleep
 * elsewhere have a @gfp: where it does not allow blocking nothing sleeps, and what needs
 * more is left to the works (-EAGAIN).
 * tg_tx_push() has none, since TCP allocates as sk_allocation says: direct.c sets that.
 * tg_session_fail() is called there only where no alert can follow: by tg_tx_seal(),
 * which has closed the sending half, and by tg_tx_push() for a connection that is gone.
 */
#ifndef TG_DATAPATH_H
#define TG_DATAPATH_H

#include "session.h"

/* queue.c: bytes in TCP's receive queue, where they are. @sk is locked. */

/* In-order bytes not yet consumed, a FIN not counted.  Also under the spinlock. */
u32 tg_queue_len(const struct sock *sk);
/* Copies @len bytes at @off, which are there.  Also under the spinlock. */
void tg_queue_copy(struct sock *sk, u32 off, void *to, u32 len);
/* The same to where byte @at of @f is.  False: some cannot be read, and are zeros there. */
bool tg_queue_fill(struct sock *sk, u32 off, const struct tg_frags *f, u32 at, u32 len);
/*
 * Scatterlist of *@len bytes at @off, at most @max entries: entries used, none
 * marked as the end.  *@len shrinks to what they cover.  0: what comes next lies in
 * a device's memory (devmem TCP), which nobody can read.
 */
unsigned int tg_queue_sg(struct sock *sk, u32 off, u32 *len, struct scatterlist *sg,
			 unsigned int max);

/* tx.c: application data and control records out. */

int tg_tx_sendmsg(struct sock *sk, struct msghdr *msg, size_t size);	/* takes lock_sock() */
/* sendfile() came to the file's end before its count: nothing is held back any more. */
void tg_tx_splice_eof(struct socket *sock);				/* takes lock_sock() */

/* Another record may be sealed: TCP passes its limit by one at most. */
bool tg_tx_room(const struct sock *sk, const struct tg_session *s);
/*
 * 0: another data record may be sealed; -EAGAIN: no room; -ENOMEM; else why not,
 * ever.  A KeyUpdate that is owed or due goes before it.
 */
int tg_tx_ready(struct sock *sk, struct tg_session *s, gfp_t gfp);

/**
 * struct tg_tx_record - a record at the end of tg_tx.pending, not yet sealed
 * @start: offset of its header
 * @text: offset of its plaintext, which what is sealed takes the place of
 * @len: plaintext bytes
 * @tail: bytes between plaintext and tag: TLS 1.3 inner type and padding
 * @type: content type in the header
 * @data: the plaintext is application data
 */
struct tg_tx_record {
	u32 start;
	u32 text;
	u32 len;
	u32 tail;
	u8 type;
	bool data;
};

/*
 * Reserves a record for @len bytes, which are in @nents entries of sg_src behind
 * the first, or, with 0, will be written to their place; writes all else.  0, or
 * -errno: none is there.  One that will not be sealed is trimmed off again.
 */
int tg_tx_begin(struct sock *sk, struct tg_session *s, u8 type, u32 len, unsigned int nents,
		struct tg_tx_record *r, gfp_t gfp);
/*
 * Seals it, with the same @nents.  0; -ENOMEM: it is dropped, and what was written to its
 * place is lost; on any other error the session has failed.
 */
int tg_tx_seal(struct sock *sk, struct tg_session *s, struct tg_tx_record *r, unsigned int nents,
	       gfp_t gfp);

/* Seals a small record of our own making.  0 or -errno; not yet given to TCP. */
int tg_tx_control(struct sock *sk, struct tg_session *s, u8 type, const u8 *data, u32 len);

/* Gives pending records to TCP.  0, -EAGAIN: some are left and will follow, or -errno. */
int tg_tx_push(struct sock *sk, struct tg_session *s, int flags);

/* Seals what waits for more, and pushes it.  As tg_tx_push(); -ENOMEM: it waits still. */
int tg_tx_flush(struct sock *sk, struct tg_session *s);

/* As tg_tx_flush(), and nothing follows, no close_notify either: the stream is cut. */
int tg_tx_cut(struct sock *sk, struct tg_session *s);

/* An alert; the sending half is closed behind a fatal one and close_notify. */
int tg_tx_alert(struct sock *sk, struct tg_session *s, u8 level, u8 alert);
/* close_notify, once, and FIN behind it if @fin. */
int tg_tx_close_notify(struct sock *sk, struct tg_session *s, bool fin);

/*
 * Bytes of records, and to be in some, that TCP has not sent, or, if @acked, that are not
 * acknowledged.
 * The socket may be locked or not.
 */
u32 tg_tx_unsent(const struct sock *sk, const struct tg_session *s, bool acked);

void tg_tx_push_work(struct work_struct *work);				/* takes lock_sock() */
/* TCP may have room again: lets push_work run if that waits.  Under the socket's spinlock. */
void tg_tx_kick(const struct sock *sk, struct tg_session *s);

/* rx.c: records in. */

int tg_rx_recvmsg(TG_RECVMSG_ARGS);					/* takes lock_sock() */
ssize_t tg_rx_splice_read(struct socket *sock, loff_t *ppos, struct pipe_inode_info *pipe,
			  size_t len, unsigned int flags);		/* takes lock_sock() */

/*
 * Opens records until one with data is added to tg_rx.plain.  1: there is
 * data; 0: close_notify, or the reader's own shutdown(SHUT_RD); -EAGAIN: no whole record
 * yet; -ENOMEM, -ENOBUFS: call again; else the session failed.
 * Where @gfp does not allow to sleep it is -EAGAIN for all but data; call again elsewhere.
 */
int tg_rx_next(struct sock *sk, struct tg_session *s, gfp_t gfp);
/* Application data in rx.plain: what is held behind it may be anything, and is never given away. */
u32 tg_rx_data_len(const struct tg_rx *rx);
/* Drops what is held: the session has failed, and nobody will deal with it. */
void tg_rx_drop_held(struct tg_rx *rx);
/*
 * Lets TCP have the room of what was opened.  Once for a batch, since each time
 * may send a window update; before the lock is released, in any case.
 */
void tg_rx_settle(struct sock *sk, struct tg_session *s);
/*
 * For SIOCINQ: at least what a reader gets without waiting, since users of EPOLLET that have
 * read so much wait to be woken.  It is more by records that turn out to carry no data, or
 * less of it, which only opening them shows.  If need be one record is opened, so that 0 is
 * exact.
 */
u32 tg_rx_readable(struct sock *sk, struct tg_session *s);
/* Sets tg_rx.ready anew and returns it.  Also under the spinlock. */
bool tg_rx_update_ready(struct sock *sk, struct tg_session *s);

/* Counts one of a kind that carries no data.  True: that is a flood. */
bool tg_rx_row_floods(struct tg_session *s, enum tg_row kind);
/* Data moved, in either direction: rows begin anew. */
static inline void tg_rx_row_ends(struct tg_session *s)
{
	memset(s->rx.row, 0, sizeof(s->rx.row));
}

/* keyupdate.c: RFC 9846 section 4.7.3. */

/*
 * Seals KeyUpdate, ratchets the send key; tg_tx_push() it.  0, -EAGAIN: one is
 * under way or there is no room, -ENOMEM, or the session failed.
 */
int tg_key_update_send(struct sock *sk, struct tg_session *s);
/* The same if one is owed; what cannot go now is tried again when it can. */
int tg_key_update_answer(struct sock *sk, struct tg_session *s, gfp_t gfp);
/* Takes the peer's, @request being its only byte.  NONE, or why it is refused. */
enum tlsgate_reason tg_key_update_receive(struct sock *sk, struct tg_session *s, u8 request);

#endif /* TG_DATAPATH_H */
