/* SPDX-License-Identifier: MIT */
/*
 * The setting metrics: the address that scrapers connect to, and the metrics process (metricsd.h),
 * which this starts, again when it dies, and tells what it asks for.  Part of the monitor.
 */
#ifndef TLSGATE_DAEMON_EXPORTER_H
#define TLSGATE_DAEMON_EXPORTER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/metrics_out.h"
#include "daemon/metricsd.h"
#include "daemon/settings.h"

/* Where scrapers connect; address NULL: nowhere. */
struct exporter_socket {
	char *address;			/* as it was given */
	int fd;
	bool adopted;			/* and not ours yet */
	struct identity who;		/* the process is */
};

/* What it needs of the monitor. */
struct exporter_owner {
	/* All metrics, to be freed; NULL: no memory. */
	char *(*write)(void *arg, enum metrics_format format, size_t *len);
	void (*forget)(void *arg);	/* in the process: wipes what is secret */
	void *arg;
};

struct exporter {
	struct exporter_owner owner;
	struct exporter_socket now, next;	/* next: prepared, not in use yet */
	int adopted;			/* exporter_adopt(); -1: none, or no more */
	int control;			/* of the process; -1: there is none */
	uint64_t since;			/* of clock_ms(): it runs */
	ev_child exit;
	ev_io questions;
	ev_timer restart, pace;
};

void exporter_init(struct exporter *exporter, const struct exporter_owner *owner);
/*
 * Listens where the settings say, beside the address in use.  0, or -1 and a line was logged.  Then
 * either takes it in use or drops it.
 */
int exporter_prepare(struct exporter *exporter, const struct settings *settings);
void exporter_commit(struct exporter *exporter);
void exporter_abandon(struct exporter *exporter);
/* Ends the process, and listens no more. */
void exporter_close(struct exporter *exporter);

/*
 * The socket at fd, of the daemon that we are to replace, for exporter_prepare() with its
 * address.  exporter_commit() removes it where it is not that.
 */
void exporter_adopt(struct exporter *exporter, int fd);
/* Ends the process; the socket is the next daemon's. */
void exporter_bequeath(struct exporter *exporter);

#endif
