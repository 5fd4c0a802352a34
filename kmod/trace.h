/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints (tlsgate:*).  They tell of sessions by id and of nonces by
 * epoch and sequence number, never by value: nothing of a key shows.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM tlsgate

#if !defined(TG_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define TG_TRACE_H

#include <linux/tracepoint.h>

#include "session.h"

/*
 * One for each run of the AEAD, whatever came of it: (id, direction, epoch)
 * is a key, seq the nonce it was used with.
 */
DECLARE_EVENT_CLASS(tlsgate_record,
	TP_PROTO(const struct tg_session *s, const struct tg_dir *d, u64 seq, u32 len, int err),
	TP_ARGS(s, d, seq, len, err),
	TP_STRUCT__entry(
		__field(u64, seq)
		__field(u32, id)
		__field(u32, epoch)
		__field(u32, len)
		__field(int, err)
		__field(bool, tx)
	),
	TP_fast_assign(
		__entry->seq = seq;
		__entry->id = s->id;
		__entry->epoch = d->epoch;
		__entry->len = len;
		__entry->err = err;
		__entry->tx = d == &s->tx.dir;
	),
	TP_printk("id=%u dir=%s epoch=%u seq=%llu len=%u err=%d",
		  __entry->id, __entry->tx ? "tx" : "rx", __entry->epoch, __entry->seq,
		  __entry->len, __entry->err)
);

#define DEFINE_RECORD_EVENT(name)							\
DEFINE_EVENT(tlsgate_record, name,							\
	TP_PROTO(const struct tg_session *s, const struct tg_dir *d, u64 seq, u32 len,	\
		 int err),								\
	TP_ARGS(s, d, seq, len, err))

DEFINE_RECORD_EVENT(tlsgate_record_sealed);
DEFINE_RECORD_EVENT(tlsgate_record_opened);
DEFINE_RECORD_EVENT(tlsgate_record_failed);

/* A direction has gone over to its next key: epoch is that one's, seq its first nonce. */
DEFINE_RECORD_EVENT(tlsgate_key_update);

DECLARE_EVENT_CLASS(tlsgate_relay,
	TP_PROTO(const struct tg_session *s, bool seal, u32 bytes),
	TP_ARGS(s, seal, bytes),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u32, bytes)
		__field(bool, seal)
	),
	TP_fast_assign(
		__entry->id = s->id;
		__entry->bytes = bytes;
		__entry->seal = seal;
	),
	TP_printk("id=%u dir=%s bytes=%u",
		  __entry->id, __entry->seal ? "seal" : "open", __entry->bytes)
);

#define DEFINE_RELAY_EVENT(name)							\
DEFINE_EVENT(tlsgate_relay, name,							\
	TP_PROTO(const struct tg_session *s, bool seal, u32 bytes),			\
	TP_ARGS(s, seal, bytes))

/* Bytes of plaintext that a round of a relay took from one side to the other. */
DEFINE_RELAY_EVENT(tlsgate_relay_moved);
/* The side that a direction writes to takes no more: so many bytes wait here for room. */
DEFINE_RELAY_EVENT(tlsgate_relay_paused);

/* @reason: enum tlsgate_reason, see docs/reasons.md. */
TRACE_EVENT(tlsgate_relay_closed,
	TP_PROTO(const struct tg_session *s, u16 reason),
	TP_ARGS(s, reason),
	TP_STRUCT__entry(
		__field(u32, id)
		__field(u16, reason)
	),
	TP_fast_assign(
		__entry->id = s->id;
		__entry->reason = reason;
	),
	TP_printk("id=%u reason=%u", __entry->id, __entry->reason)
);

#endif /* TG_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
