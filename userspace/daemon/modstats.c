// SPDX-License-Identifier: MIT
#include "daemon/modstats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/libtlsgate.h"

#define FILE_NAME	"/proc/self/net/tlsgate_stat"
#define REASON		"reason_"

/* As the module names them. */
static const char * const names[MODSTATS] = {
	[MODSTAT_SESSIONS_OPENED] = "sessions_opened",
	[MODSTAT_SESSIONS_CLOSED] = "sessions_closed",
	[MODSTAT_RELAYS_OPENED] = "relays_opened",
	[MODSTAT_RELAYS_CLOSED] = "relays_closed",
	[MODSTAT_DELIVERIES_QUEUED] = "deliveries_queued",
	[MODSTAT_DELIVERIES_ACCEPTED] = "deliveries_accepted",
	[MODSTAT_TX_RECORDS] = "tx_records",
	[MODSTAT_TX_BYTES] = "tx_bytes",
	[MODSTAT_RX_RECORDS] = "rx_records",
	[MODSTAT_RX_BYTES] = "rx_bytes",
	[MODSTAT_TX_REKEYS] = "tx_rekeys",
	[MODSTAT_RX_REKEYS] = "rx_rekeys",
	[MODSTAT_TX_PAST_LIMIT] = "tx_past_limit",
	[MODSTAT_RELAY_DIRECT] = "relay_direct",
	[MODSTAT_RX_STASHED] = "rx_stashed",
	[MODSTAT_EVENTS_LOST] = "events_lost",
};

/* NULL: this program does not know the name. */
static uint64_t *find(struct modstats *stats, const char *name)
{
	const struct tlsgate_reason_info *info = tlsgate_reasons();
	enum modstat i;

	for (i = 0; i < MODSTATS; i++)
		if (!strcmp(names[i], name))
			return &stats->numbers[i];
	if (strncmp(name, REASON, strlen(REASON)))
		return NULL;
	while (info->name && strcmp(info->name, name + strlen(REASON)))
		info++;
	return info->name ? &stats->reasons[info->reason] : NULL;
}

void modstats_read(struct modstats *stats)
{
	FILE *file = fopen(FILE_NAME, "re");
	uint64_t number, *to;
	char name[64];

	*stats = (struct modstats){ .known = file != NULL };
	if (!file)
		return;
	while (fscanf(file, "%63s %" SCNu64, name, &number) == 2) {
		to = find(stats, name);
		if (to)
			*to = number;
	}
	(void)fclose(file);
}
