/* SPDX-License-Identifier: MIT */
/*
 * The monitor process: binds, builds, starts keyd and the workers, replaces
 * those that die, reloads on SIGHUP, ends on SIGTERM and the like.  It serves no peer, and
 * waits for no process but in its loop.
 */
#ifndef TLSGATE_DAEMON_MONITOR_H
#define TLSGATE_DAEMON_MONITOR_H

#include <ev.h>

#include "daemon/carried.h"
#include "daemon/control.h"
#include "daemon/elsewhere.h"
#include "daemon/exporter.h"
#include "daemon/gather.h"
#include "daemon/generation.h"
#include "daemon/logger.h"
#include "daemon/options.h"
#include "daemon/upgrade.h"
#include "daemon/watch.h"

struct monitor {
	struct ev_loop *loop;
	const char *config_file;	/* NULL: settings are those of the command line */
	struct settings *settings;	/* of the command line */
	bool verbose;			/* --verbose, whatever the file says */
	char **argv;
	struct listeners listeners;
	struct resolver resolver;
	struct ledger ledger;
	struct elsewhere elsewhere;
	struct carried carried;
	struct watch watch;
	struct exporter exporter;
	struct logger logger;
	struct pause *pause;
	struct census census;
	struct generation *generations;	/* newest first; the first is the live one */
	struct generation *starting;	/* to be the first of them; NULL: none */
	struct control control;
	struct gather gather;
	int64_t since;			/* it counts */
	ev_signal hangup, terminate, interrupt, quit, leave, usr2;
	struct upgrade upgrade;		/* SIGUSR2 */
	void (*upgrade_told)(struct monitor *monitor, bool done);	/* who waits for it; or NULL */
	struct takeover takeover;	/* ... of the monitor of before */
	ev_timer retry;
	bool reloading;			/* from monitor_reload() until its outcome is known: */
	bool by_itself;			/* nobody asked for it: with the settings that run */
	void (*told)(struct monitor *monitor, bool done);	/* who waits for it; or NULL */
	bool again;			/* SIGHUP came meanwhile */
	uint64_t reloads[2];		/* refused, done */
	int64_t refused;		/* when the last one was, in seconds since the epoch; 0: it was done, or none was */
	bool stopping;
	bool leaving;			/* it stops, and its workers go on without it */
	bool failed;			/* it stops, and nobody told it to */
};

/*
 * Reads everything anew, unless monitor->reloading.  false: it is refused, a line was
 * logged, and what ran before goes on.  true: so far it is not, and told() comes, unless
 * it is NULL.
 */
bool monitor_reload(struct monitor *monitor, void (*told)(struct monitor *monitor, bool done));

/*
 * Has the program file take over, unless monitor_is_busy().  false: it is refused, a line was logged.
 * true: told() comes, unless it is NULL; after it, with done, this monitor has no control socket.
 */
bool monitor_upgrade(struct monitor *monitor, void (*told)(struct monitor *monitor, bool done));

/* Why nothing may change now: a reload, an upgrade or a stop is under way.  NULL: all may. */
const char *monitor_is_busy(const struct monitor *monitor);

/*
 * Runs until told to end.  Takes over options->settings.  The exit status of
 * the program: 0, 1 failed at run time (a line was logged), 2 the
 * configuration file's content was refused.
 */
int monitor_run(struct options *options);

#endif
