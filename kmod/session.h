/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Per-socket TLS state: struct tg_session, its life and its namespace.
 *
 * Locks, outermost first:
 *	tg_alg_lock (mutex)		choosing a driver; nothing is locked inside
 *	tg_queues_lock (mutex)		a user's queue of works; only its xa_lock inside
 *	lock_sock() of two sockets	to be joined: in the order of their addresses,
 *					each for a bounded time (own.c)
 *	lock_sock() of the TLS socket	everything in struct tg_session that does
 *					not say otherwise
 *	lock_sock() of the plain socket	nested inside the former, relay only
 *	spinlock of either		in a softirq, in the place of its lock_sock() while
 *					it has no owner; the second one is only tried
 *					(direct.c)
 *	iolock, state lock of AF_UNIX	taken by its calls in move.c and plain.c, inside
 *					the TLS socket's lock when they receive; by tg_own_graft()
 *	files_struct.file_lock		whether nobody else has a socket; inside lock_sock()
 *	sk_callback_lock		callbacks and sk_user_data; inside lock_sock(); a
 *					listening socket's too, to look whose it is
 *	rskq_lock (spin)		a listening socket's accept queue (deliver.c); softirqs
 *					off, nothing inside
 *	tg_session.sk_lock (spin)	the pointers to the socket and to the relay
 *	xa_lock of ids, users, queues	inside all others
 *
 * A relay's works wait for lock_sock() for a bounded time: see tg_own_lock_soon().
 * close_work waits until it has it, when no descriptor of the socket is left.
 * It holds no lock of ours when it closes a file, which takes those of epoll.
 *
 * Callbacks that TCP makes (data_ready, write_space, state_change) run with the
 * socket's spinlock held and no owner, or from the owner's backlog, and so
 * exclude lock_sock() holders; but for those that the owner makes in a call of its
 * own, as setsockopt(SO_SNDBUF) does.  sk_error_report may come without any lock.
 * AF_UNIX calls all of them without a lock of the socket's own, in the context of
 * the sender.
 */
#ifndef TG_SESSION_H
#define TG_SESSION_H

#include <linux/bvec.h>
#include <linux/refcount.h>
#include <linux/uidgid.h>
#include <linux/uio.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/sock.h>

#include "cipher.h"
#include "record.h"
#include "uapi/tlsgate.h"

struct tg_delivery;
struct tg_family;
struct tg_grant;
struct tg_refusal;
struct tg_relay;
struct tg_settings;
struct tg_stats;

/**
 * struct tg_keys - one direction's keys as userspace installs them
 * @key: AEAD key, as long as the cipher's key_len
 * @iv: static IV, or the salt, as long as the cipher's iv_len
 * @secret: TLS 1.3 traffic secret, as long as the cipher's secret_len
 * @seq: sequence number of the next record
 */
struct tg_keys {
	u8 key[TLSGATE_KEY_MAX];
	u8 iv[TLSGATE_IV_MAX];
	u8 secret[TLSGATE_SECRET_MAX];
	u64 seq;
};

/**
 * struct tg_fds - where the calling process has the sockets that it names
 * @tls: descriptor of the TLS socket
 * @plain: descriptor of the plain socket
 */
struct tg_fds {
	u32 tls;
	u32 plain;
};

/**
 * struct tg_install - a checked SESSION_NEW request; the first four also a RELAY_NEW request
 * @tls: the socket
 * @plain: to be joined with it; NULL: nothing is
 * @fds: their descriptors
 * @idle_timeout: of the relay: ms without a byte in either direction; 0 for none
 * @grant: by which it is to be delivered; NULL: it is not
 * @cipher: row of the cipher table for the version and suite asked for
 * @tx: what we seal with
 * @rx: what we open with
 * @rx_pending: TLS bytes that were read from the socket already; NULL: none
 * @label: the session's name; NULL: none
 * @record_size: most plaintext bytes in a record; 0 for the protocol's maximum
 * @padding: pad TLS 1.3 records to a multiple of this; 0 for none
 * @role: enum tlsgate_role
 */
struct tg_install {
	struct socket *tls;
	struct socket *plain;
	struct tg_fds fds;
	u32 idle_timeout;
	const struct tg_grant *grant;
	const struct tg_cipher *cipher;
	struct tg_keys tx;
	struct tg_keys rx;
	const struct nlattr *rx_pending;
	const struct nlattr *label;
	int record_size;
	int padding;
	u8 role;
};

/* Pages on their way: sealed records to TCP, plaintext to a reader or a relay. */
#define TG_FRAGS_MAX	24
/* Most of them one record needs: single pages, of which the first and last are shared. */
#define TG_RECORD_FRAGS	6
/* And a control record of our own, which is shorter than a page. */
#define TG_CONTROL_FRAGS	2

/**
 * struct tg_frags - a queue of page fragments, each holding a page reference
 * @bv: the fragments; @bv[@head] is the first
 * @head: index of the first fragment
 * @tail: index behind the last fragment
 * @bytes: sum of the fragments' lengths
 */
struct tg_frags {
	struct bio_vec bv[TG_FRAGS_MAX];
	u8 head;
	u8 tail;
	u32 bytes;
};

/**
 * struct tg_tx - sending half of a session; all under lock_sock()
 * @dir: keys and counters
 * @pending: sealed records that TCP did not take yet
 * @held: memory for plaintext that waits for more to fill its record; NULL: none
 * @held_len: bytes that wait; then push_work is on its way
 * @held_at: jiffies when the first of them came
 * @record_size: most plaintext bytes in a record
 * @padding: pad TLS 1.3 records to a multiple of this
 * @closed: close_notify or a fatal alert was sealed: nothing may follow it
 * @key_update_queued: a KeyUpdate of ours is still in @pending
 * @key_update_owed: the peer asked for one, which goes when there is room and
 *	before the next data
 * @past_limit: a TLS 1.2 key sealed more than its limit
 * @shutdown: FIN is to follow once @pending is empty
 */
struct tg_tx {
	struct tg_dir dir;
	struct tg_frags pending;
	u8 *held;
	u32 held_len;
	unsigned long held_at;
	u16 record_size;
	u16 padding;
	bool closed;
	bool key_update_queued;
	bool key_update_owed;
	bool past_limit;
	bool shutdown;
};

/* Kinds of what carries no data: many in a row are a flood. */
enum tg_row {
	TG_ROW_EMPTY,		/* records without content */
	TG_ROW_KEY_UPDATE,
	TG_ROW_WARNING,		/* alerts that end nothing */
	TG_ROW_MESSAGE,		/* other post-handshake messages */

	__TG_ROW_MAX,
};

/**
 * struct tg_rx - receiving half of a session; all under lock_sock()
 * @dir: keys and counters
 * @plain: opened application data that nobody read yet
 * @stash: TLS bytes that come before those in TCP's queue: what userspace had
 *	read at install, or what was copied out of a queue too small for a record
 * @stash_size: bytes @stash can hold
 * @stash_off: bytes of @stash consumed
 * @stash_len: bytes of @stash filled
 * @message: a post-handshake message being put together, header included
 * @message_len: bytes of it seen so far
 * @taken: bytes at the head of TCP's queue that were opened and are to be
 *	dropped, once a batch; 0 whenever the lock is not held
 * @taken_records: how many they were
 * @hello: a ClientHello waits for its answer, until the end of its record
 * @held: the end of @plain is a record that was opened but not yet dealt with;
 *	only between a softirq and the work that it kicked, and not in a failed session
 * @held_type: its content type; 0 if it had none
 * @held_len: its bytes, padding taken off
 * @row: how many of a kind came in a row: without data in between, in either
 *	direction, and within TG_ROW_TIME
 * @row_since: jiffies when @row was begun
 * @closed: close_notify was received
 * @ready: a reader would not block; written under lock_sock(), read by poll
 */
struct tg_rx {
	struct tg_dir dir;
	struct tg_frags plain;
	u8 *stash;
	u32 stash_size;
	u32 stash_off;
	u32 stash_len;
	u8 *message;
	u32 message_len;
	u32 taken;
	u8 taken_records;
	bool held;
	bool hello;
	u8 held_type;
	u32 held_len;
	u8 row[__TG_ROW_MAX];
	unsigned long row_since;
	bool closed;
	bool ready;
};

/* Scatterlist entries for one record: additional data, and what is read or written. */
#define TG_SG_SRC	40
#define TG_SG_DST	(1 + TG_RECORD_FRAGS)

/**
 * struct tg_session - a TCP socket with keys
 * @ref: one for the socket, one for each finder
 * @rcu: frees after a grace period; icsk_ulp_data readers and finders rely on it
 * @sk_lock: guards @sk and, with lock_sock(), writing @relay
 * @sk: the socket; NULL once it is closed
 * @id: number, unique on the machine; never 0
 * @netns: inode number of its network namespace, which need not be there any more
 * @cipher: version and suite
 * @role: enum tlsgate_role
 * @label: whatever @uid calls it by; we only report it
 * @label_len: its bytes
 * @uid: who installed it
 * @created: jiffies_64 at install
 * @active: jiffies_64 when data moved last; racy readers are fine
 * @reason: enum tlsgate_reason, why it ended; NONE while it lives
 * @error: what every later call on the socket returns, negative; 0 while it lives
 * @alert: last alert sent or received; TG_NO_ALERT if none
 * @charged: bytes charged to the socket for what the session holds
 * @tx: sending half
 * @rx: receiving half
 * @sg_src: scatterlist of what is read; shared by both halves, under the lock
 * @sg_dst: scatterlist of what is written
 * @sg_src_last: index of the last entry of @sg_src for the record at hand; 0: the AEAD
 *	works in place, on @sg_dst
 * @sg_dst_last: the same of @sg_dst
 * @aad: additional data of the record at hand
 * @nonce: nonce of the record at hand
 * @relay: joined with a plain socket; NULL if not.  Callbacks read it as well
 * @deliver: for a server's accept queue, see deliver.h; NULL if not
 * @push_work: gives @tx.pending to TCP when it has room again, and seals @tx.held in the end
 * @page_work: gives back the page that records were in, and @tx.held; armed while the socket
 *	has a page
 * @family: the socket's own calls and callbacks
 */
struct tg_session {
	refcount_t ref;
	struct rcu_head rcu;
	spinlock_t sk_lock;	/* guards sk; and, with lock_sock(), writing relay */
	struct sock *sk;
	u32 id;
	u32 netns;
	const struct tg_cipher *cipher;
	u8 role;
	u8 label_len;
	u8 label[TLSGATE_LABEL_MAX];
	kuid_t uid;
	u64 created;
	u64 active;
	u16 reason;
	int error;
	int alert;
	u32 charged;

	struct tg_tx tx;
	struct tg_rx rx;
	struct scatterlist sg_src[TG_SG_SRC];
	struct scatterlist sg_dst[TG_SG_DST];
	u8 sg_src_last;
	u8 sg_dst_last;
	u8 aad[TG_AAD_MAX];
	u8 nonce[TG_NONCE_LEN];

	struct tg_relay *relay;
	struct tg_delivery *deliver;
	struct delayed_work push_work;
	struct delayed_work page_work;

	const struct tg_family *family;
};

#define TG_NO_ALERT	(-1)

/**
 * struct tg_reason - what is told of an enum tlsgate_reason
 * @name: by the counters, behind "reason_"
 * @error: errno for calls on the socket, positive; 0 for an end in order, or a refusal
 * @alert: what the peer gets; TG_NO_ALERT if nothing
 */
struct tg_reason {
	const char *name;
	int error;
	int alert;
};

extern const struct tg_reason tg_reasons[__TLSGATE_REASON_MAX];

/**
 * struct tg_net - what a network namespace holds
 * @count: live sessions
 * @let_go: sockets in it that do not hold it, see own.h
 * @stats: counters, see stats.h
 * @settings: who may install, see access.h
 */
struct tg_net {
	atomic_t count;
	atomic_t let_go;
	struct tg_stats __percpu *stats;
	struct tg_settings *settings;
};

extern unsigned int tg_net_id;

static inline struct tg_net *tg_net(const struct net *net)
{
	return net_generic(net, tg_net_id);
}

int tg_session_init(void);
void tg_session_exit(void);

/**
 * tg_session_new() - allocate a session and its ciphers
 * @in: a checked request
 * @net: namespace of the socket
 * @no: receives why not
 *
 * Process context, may sleep.  The session is not yet visible to anyone.
 *
 * Return: the session with one reference, or ERR_PTR:
 * %-ENOMEM, %-ENOSPC: the namespace has sessions_max of them,
 * %-ENOENT: no crypto driver, or an error of the crypto layer.
 */
struct tg_session *tg_session_new(const struct tg_install *in, struct net *net,
				  struct tg_refusal *no);

/* Undoes tg_session_new() for a session that was never published. */
void tg_session_discard(struct tg_session *s, struct net *net);

/**
 * tg_session_publish() - let it be found by its id
 * @s: session
 * @sk: its socket, locked
 */
void tg_session_publish(struct tg_session *s, struct sock *sk);

/**
 * tg_session_unpublish() - let it be found no more
 * @s: session
 * @sk: its socket, locked or closing
 *
 * From then on nobody can reach the socket through it.  Announces the end.  Does
 * nothing the second time.
 */
void tg_session_unpublish(struct tg_session *s, struct sock *sk);

/*
 * What a session or its relay holds is charged to the TLS socket, which is locked: to
 * tcp_mem, and to the memory cgroup of the socket.  TCP charges what it holds itself.  What
 * a UNIX socket will hold is charged to that cgroup page by page as it is opened; until it
 * is passed on, it is charged twice.
 *
 * tg_session_charge() charges what was added, or gives back: before the lock is released, in
 * any case.  False: the limit is reached, hold no more; one record more than is charged may
 * have to be opened for any to pass.
 */
bool tg_session_charge(struct sock *sk, struct tg_session *s);
/* Frees what is on its way, and gives all that was charged back: it is closing. */
void tg_session_empty(struct sock *sk, struct tg_session *s);

/**
 * tg_session_find() - look up by id
 * @id: number
 *
 * Whether the caller may know of it is the caller's to ask: see @netns.
 *
 * Return: the session with a reference, to be put; NULL if there is none.
 */
struct tg_session *tg_session_find(u32 id);

/**
 * tg_session_next() - iterate for a dump
 * @netns: inode number of a namespace; 0 for all
 * @id: in: where to start; out: id of the session found
 *
 * Process context, may sleep.
 *
 * Return: the next session with a reference, or NULL at the end.
 */
struct tg_session *tg_session_next(u32 netns, u32 *id);

/**
 * tg_session_hold_sk() - get at a session's socket
 * @s: session
 *
 * Return: the socket, for tg_session_drop_sk(), with references on it and on its
 * namespace, which a relay's does not keep itself; NULL once either ends.
 */
struct sock *tg_session_hold_sk(struct tg_session *s);
void tg_session_drop_sk(struct sock *sk);

/* Process context: the last reference frees. */
void tg_session_put(struct tg_session *s);

/* Lets one of its works run after @delay, unless it is to run already.  Any context. */
void tg_session_later(struct tg_session *s, struct delayed_work *work, unsigned long delay);

/**
 * tg_session_from_sk() - the session of a socket
 * @sk: a socket; locked, or the caller is in a read-side critical section
 *
 * Return: the session, without a reference; NULL if the socket has none.
 */
struct tg_session *tg_session_from_sk(const struct sock *sk);

/**
 * tg_session_state() - where it is in its life
 * @s: session; a racy answer if the socket is not locked
 *
 * Return: enum tlsgate_state
 */
u8 tg_session_state(const struct tg_session *s);

/**
 * tg_session_fail() - end a session because something is wrong
 * @sk: its socket, locked
 * @s: session
 * @reason: what is wrong; its row in the table of reasons gives errno and alert
 *
 * The first failure counts, later ones change nothing.  Sends the alert the
 * reason calls for if keys still allow, then FIN; wakes whoever waits.
 *
 * Return: the errno of the session's first failure, negative.
 */
int tg_session_fail(struct sock *sk, struct tg_session *s, enum tlsgate_reason reason);

/**
 * tg_session_reset() - end a session with RST
 * @sk: its socket, locked
 * @s: session
 * @reason: why
 */
void tg_session_reset(struct sock *sk, struct tg_session *s, enum tlsgate_reason reason);

/**
 * tg_session_close() - end a session on an operator's order
 * @s: session; the caller holds a reference
 * @how: enum tlsgate_close_how
 *
 * Process context, waits for lock_sock() for a bounded time.  A relay ends on its
 * own queue, see tg_relay_end().
 *
 * Return: 0; for a relay the order is given, and is carried out once nobody holds a
 * lock for long.  %-ENOTCONN: it has ended already.  %-EBUSY, without a relay:
 * somebody does not leave the lock, or a relay has just been made.  %-EINPROGRESS: it is
 * delivered, and not accepted yet.
 */
int tg_session_close(struct tg_session *s, u8 how);

/**
 * tg_session_rekey() - send KeyUpdate and ratchet the send key
 * @s: session; the caller holds a reference
 *
 * Process context, waits for lock_sock() for a bounded time.
 *
 * Return: 0, %-EOPNOTSUPP (TLS 1.2), %-ENOTCONN (ended or sending half closed),
 * %-EAGAIN (no room, or an earlier one is still unsent), %-EBUSY (its holder does
 * not leave the lock), %-EINPROGRESS (not accepted yet), or what sealing returns.
 */
int tg_session_rekey(struct tg_session *s);

/**
 * tg_session_set() - change options of a session
 * @s: session; the caller holds a reference
 * @record_size: as in struct tg_install, or -1 to leave it
 * @padding: likewise
 *
 * Process context, waits for lock_sock() for a bounded time.
 *
 * Return: 0, %-ENOTCONN if the socket is closed, %-EBUSY: its holder does not
 * leave the lock, or %-EINPROGRESS: not accepted yet.
 */
int tg_session_set(struct tg_session *s, int record_size, int padding);

static inline bool tg_frags_empty(const struct tg_frags *f)
{
	return f->head == f->tail;
}

static inline unsigned int tg_frags_room(const struct tg_frags *f)
{
	return TG_FRAGS_MAX - (f->tail - f->head);
}

/* Drops @len bytes from the front, and the pages they filled. */
void tg_frags_consume(struct tg_frags *f, u32 len);
/*
 * Drops bytes from the end until @len are left.  @pf, if not NULL: where they came from;
 * their memory goes back to it if none was taken since, so that what is left of a record, a
 * byte with its padding trimmed off, say, does not keep the memory of all of it.
 */
void tg_frags_trim(struct tg_frags *f, u32 len, struct page_frag *pf);
/* [@off, @off + @len) of the queue, which is not to change meanwhile; as is what follows. */
struct iov_iter tg_frags_iter(const struct tg_frags *f, unsigned int direction, u32 off, u32 len);
/* Copies into, or out of, the queue; [@off, @off + @len) is inside it. */
void tg_frags_write(const struct tg_frags *f, u32 off, const void *from, u32 len);
void tg_frags_read(const struct tg_frags *f, u32 off, void *to, u32 len);
/*
 * Page that holds byte *@off.  *@off becomes the offset in it, *@len shrinks to
 * what lies in the fragment; the page may be a compound one.
 */
struct page *tg_frags_page(const struct tg_frags *f, u32 *off, u32 *len);
/* Scatterlist of [@off, @off + @len): entries used, none marked as the end. */
unsigned int tg_frags_sg(const struct tg_frags *f, u32 off, u32 len, struct scatterlist *sg);
/* Moves all of @from to @to, which is empty. */
void tg_frags_move(struct tg_frags *to, struct tg_frags *from);

/**
 * tg_frags_reserve() - add memory at the end of the queue
 * @sk: TLS socket, locked
 * @s: its session
 * @f: queue
 * @head: bytes before what an AEAD works on, which is then aligned for it
 * @len: bytes, @head included
 * @from: where the AEAD reads from
 * @nents: entries of @from; 0: it works in place
 * @gfp: how to allocate
 *
 * The memory is not initialised.
 *
 * Return: 0, %-ENOMEM, or %-ENOBUFS if the queue has no room; then nothing changed.
 */
int tg_frags_reserve(struct sock *sk, struct tg_session *s, struct tg_frags *f, u32 head, u32 len,
		     const struct scatterlist *from, unsigned int nents, gfp_t gfp);
void tg_frags_page_work(struct work_struct *work);		/* takes the socket's spinlock */

#endif /* TG_SESSION_H */
