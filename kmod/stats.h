/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of a network namespace, in /proc/net/tlsgate_stat.
 *
 * Read by who has CAP_NET_ADMIN over the namespace, asked when it is opened.
 * Per CPU and never reset; "name value" lines, in the order below.  Each
 * TG_STAT_X is shown as "x", each TLSGATE_REASON_X as "reason_x".
 */
#ifndef TG_STATS_H
#define TG_STATS_H

#include <linux/percpu.h>

#include "session.h"

/*
 * Each with its name.  tx_past_limit counts keys that sealed more than their limit,
 * relay_direct how often a relay moved a message, rx_stashed records copied out of TCP's
 * queue to be opened, events_lost those for which there was no memory, or no room in a
 * listener's queue.
 */
#define TG_STATS(X)							\
	X(SESSIONS_OPENED, "sessions_opened")				\
	X(SESSIONS_CLOSED, "sessions_closed")				\
	X(RELAYS_OPENED, "relays_opened")				\
	X(RELAYS_CLOSED, "relays_closed")				\
	X(DELIVERIES_QUEUED, "deliveries_queued")			\
	X(DELIVERIES_ACCEPTED, "deliveries_accepted")			\
	X(TX_RECORDS, "tx_records")					\
	X(TX_BYTES, "tx_bytes")			/* plaintext */		\
	X(RX_RECORDS, "rx_records")					\
	X(RX_BYTES, "rx_bytes")			/* plaintext */		\
	X(TX_REKEYS, "tx_rekeys")					\
	X(RX_REKEYS, "rx_rekeys")					\
	X(TX_PAST_LIMIT, "tx_past_limit")	/* TLS 1.2 keys */	\
	X(RELAY_DIRECT, "relay_direct")		/* in a softirq */	\
	X(RX_STASHED, "rx_stashed")		/* see tg_rx.stash */	\
	X(EVENTS_LOST, "events_lost")

enum tg_stat {
#define X(_stat, _name) TG_STAT_##_stat,
	TG_STATS(X)
#undef X
	__TG_STAT_MAX,
};

/**
 * struct tg_stats - one CPU's counters
 * @stat: by enum tg_stat
 * @reason: by enum tlsgate_reason: sessions that ended so, requests refused so
 */
struct tg_stats {
	u64 stat[__TG_STAT_MAX];
	u64 reason[__TLSGATE_REASON_MAX];
};

/* Any context. */
static inline void tg_stat_add(const struct net *net, enum tg_stat stat, u64 n)
{
	this_cpu_add(tg_net(net)->stats->stat[stat], n);
}

static inline void tg_stat_inc(const struct net *net, enum tg_stat stat)
{
	tg_stat_add(net, stat, 1);
}

/* Once for each session that ends and each request that is refused. */
static inline void tg_stat_reason(const struct net *net, enum tlsgate_reason reason)
{
	this_cpu_inc(tg_net(net)->stats->reason[reason]);
}

/**
 * tg_stats_net_init() - counters and proc file of a new namespace
 * @net: namespace
 * @tn: what the module holds in it, zeroed
 *
 * Called from the pernet operations, before anything can count.
 *
 * Return: 0 or %-ENOMEM; then nothing is left to undo.
 */
int tg_stats_net_init(struct net *net, struct tg_net *tn);

/**
 * tg_stats_net_exit() - the reverse
 * @net: namespace; nothing counts in it any more
 * @tn: what the module holds in it
 */
void tg_stats_net_exit(struct net *net, struct tg_net *tn);

#endif /* TG_STATS_H */
