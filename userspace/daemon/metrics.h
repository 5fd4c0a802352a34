/* SPDX-License-Identifier: MIT */
/* The metrics: one table of them, and where the monitor has their numbers.  docs/metrics.md says what each means. */
#ifndef TLSGATE_DAEMON_METRICS_H
#define TLSGATE_DAEMON_METRICS_H

#include <stddef.h>

#include "daemon/metrics_out.h"

struct monitor;

/* All of them as a text, to be freed, with its *len; NULL: no memory. */
char *metrics_write(struct monitor *monitor, enum metrics_format format, size_t *len);
/* An array of families; the caller's.  NULL: no memory. */
struct json_object *metrics_families(struct monitor *monitor);

#endif
