/* SPDX-License-Identifier: MIT */
/*
 * The monitor process: binds, builds, starts keyd and the workers, replaces
 * those that die, reloads on SIGHUP, ends on SIGTERM.  It serves no peer.
 */
#ifndef TLSGATE_DAEMON_MONITOR_H
#define TLSGATE_DAEMON_MONITOR_H

#include "daemon/options.h"

/*
 * Runs until told to end.  Takes over options->settings.  The exit status of
 * the program: 0, 1 failed at run time (a line was logged), 2 the
 * configuration file's content was refused.
 */
int monitor_run(struct options *options);

#endif
