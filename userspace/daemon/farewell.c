// SPDX-License-Identifier: MIT
#include "daemon/farewell.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/log.h"
#include "lib/libtlsgate.h"

#define TEXT_MAX	160

static int count_session(void *arg, const struct tlsgate_session *session)
{
	uint64_t *count = arg;

	*count += session->state != TLSGATE_STATE_CLOSED;
	return 0;
}

static const char *describe_kernel(char text[TEXT_MAX])
{
	struct tlsgate *tlsgate;
	uint64_t count = 0;

	if (tlsgate_open(&tlsgate, NULL))
		return "the kernel carries no connection";
	if (tlsgate_session_dump(tlsgate, count_session, &count))
		snprintf(text, TEXT_MAX, "connections of the kernel go on, uncounted: %s", tlsgate_error(tlsgate));
	else
		snprintf(text, TEXT_MAX, "connections that go on in the kernel: %" PRIu64 "%s", count,
			 count ? " (tlsgate show lists them)" : "");
	tlsgate_close(tlsgate);
	return text;
}

/* 0: of none. */
static uint64_t count_workers(const struct generation *generations, uint64_t *connections)
{
	const struct generation *generation;
	uint64_t workers = 0;
	size_t i;

	*connections = 0;
	for (generation = generations; generation; generation = generation->next) {
		for (i = 0; i < generation->worker_count; i++) {
			if (!generation->workers[i].pid)
				continue;
			workers++;
			*connections += stats_of_worker(&generation->stats, i, STAT_OPEN);
		}
	}
	return workers;
}

void farewell_log(const struct generation *generations)
{
	char text[TEXT_MAX];
	uint64_t connections, workers = count_workers(generations, &connections);

	if (workers)
		log_info("ended; %s; in workers, until drain-time: %" PRIu64 " (processes: %" PRIu64 ")",
			 describe_kernel(text), connections, workers);
	else
		log_info("ended; %s", describe_kernel(text));
}
