/* SPDX-License-Identifier: MIT */
/* The module's counters of this network namespace, from /proc/net/tlsgate_stat. */
#ifndef TLSGATE_DAEMON_MODSTATS_H
#define TLSGATE_DAEMON_MODSTATS_H

#include <stdbool.h>
#include <stdint.h>

#include "tlsgate.h"

enum modstat {
	MODSTAT_SESSIONS_OPENED,
	MODSTAT_SESSIONS_CLOSED,
	MODSTAT_RELAYS_OPENED,
	MODSTAT_RELAYS_CLOSED,
	MODSTAT_DELIVERIES_QUEUED,
	MODSTAT_DELIVERIES_ACCEPTED,
	MODSTAT_TX_RECORDS,
	MODSTAT_TX_BYTES,
	MODSTAT_RX_RECORDS,
	MODSTAT_RX_BYTES,
	MODSTAT_TX_REKEYS,
	MODSTAT_RX_REKEYS,
	MODSTAT_TX_PAST_LIMIT,
	MODSTAT_RELAY_DIRECT,
	MODSTAT_RX_STASHED,
	MODSTAT_EVENTS_LOST,
	MODSTATS,
};

struct modstats {
	bool known;			/* false: no module, or CAP_NET_ADMIN is missing */
	uint64_t numbers[MODSTATS];
	uint64_t reasons[TLSGATE_REASON_MAX + 1];
};

void modstats_read(struct modstats *stats);

#endif
