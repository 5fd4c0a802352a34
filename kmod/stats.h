/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters of a network namespace, in /proc/net/tlsgate_stat.
 *
 * Per CPU and never reset; "name value" lines, in the order below.  Each
 * TG_STAT_X is shown as "x", each TLSGATE_REASON_X as "reason_x".
 */
#ifndef TG_STATS_H
#define TG_STATS_H

#include <linux/percpu.h>

#include "session.h"

enum tg_stat {
	TG_STAT_SESSIONS_OPENED,
	TG_STAT_SESSIONS_CLOSED,
	TG_STAT_RELAYS_OPENED,
	TG_STAT_RELAYS_CLOSED,
	TG_STAT_RECORDS_SEALED,
	TG_STAT_RECORDS_OPENED,
	TG_STAT_BYTES_SEALED,		/* plaintext */
	TG_STAT_BYTES_OPENED,		/* plaintext */
	TG_STAT_KEY_UPDATES_SENT,
	TG_STAT_KEY_UPDATES_RECEIVED,
	TG_STAT_ALERTS_SENT,
	TG_STAT_ALERTS_RECEIVED,
	TG_STAT_MESSAGES_RECEIVED,	/* post-handshake, KeyUpdate not counted */
	TG_STAT_EVENTS_LOST,		/* no memory for one, or a listener's queue full */

	__TG_STAT_MAX,
};

/**
 * struct tg_stats - one CPU's counters
 * @count: by enum tg_stat
 * @reason: by enum tlsgate_reason: sessions that ended so, requests refused so
 */
struct tg_stats {
	unsigned long count[__TG_STAT_MAX];
	unsigned long reason[__TLSGATE_REASON_MAX];
};

/* Any context. */
static inline void tg_stat_add(const struct net *net, enum tg_stat stat, unsigned long n)
{
	this_cpu_add(tg_net(net)->stats->count[stat], n);
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
 * @net: namespace; its struct tg_net is zeroed
 *
 * Called from the pernet operations, before anything can count.
 *
 * Return: 0 or %-ENOMEM; then nothing is left to undo.
 */
int tg_stats_net_init(struct net *net);

/**
 * tg_stats_net_exit() - the reverse
 * @net: namespace; nothing counts in it any more
 */
void tg_stats_net_exit(struct net *net);

#endif /* TG_STATS_H */
