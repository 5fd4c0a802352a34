/* SPDX-License-Identifier: MIT */
/*
 * Where the daemon's lines go: stderr as the daemon was started with it, or a
 * pipe to the log process (logd.h), which this starts, and again when it dies.
 * Part of the monitor.  Children have either as their stderr, from their fork on.
 */
#ifndef TLSGATE_DAEMON_LOGGER_H
#define TLSGATE_DAEMON_LOGGER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/logd.h"
#include "daemon/settings.h"

struct logger {
	struct logd_plan plan;		/* of the process; its target is stderr: there never was one */
	struct logd_plan next;		/* logger_prepare(): of the process to be */
	enum log_target before;		/* logger_prepare(): target, should it be dropped */
	int out;			/* the pipe's; -1: there is none */
	int control;			/* of the process; -1: there is none now */
	enum log_target target;		/* of this process now; another than stderr: by the pipe */
	bool started;			/* logger_started() */
	bool copied;			/* log_copy() is that of an upgrade, for who waits for it */
	ev_child exit;
	ev_child leaving;		/* the one before, which was told to end; */
	ev_timer leaving_limit;		/* then it is killed */
	ev_timer restart, catch_up;
	uint64_t since;			/* of clock_ms(): the process runs */
};

/* forget() is called in the process: it wipes what the monitor has that is secret. */
void logger_init(struct logger *logger, void (*forget)(void *arg), void *arg);
/*
 * Lines of this process, and of those forked from now on, go where settings say.  But
 * a log process that runs is as it was: all lines in the pipe are its own.  0, or -1
 * and a line was logged.  Then either another takes its place, if settings want
 * that, and the pipe with it, or lines go where they went.
 */
int logger_prepare(struct logger *logger, const struct settings *settings);
void logger_commit(struct logger *logger);
void logger_abandon(struct logger *logger);
/*
 * Until now, what is wrong was written to stderr, too, for who started the daemon.
 */
void logger_started(struct logger *logger);
/*
 * What is in the pipe is written, for which there is a second; then lines go to
 * stderr again.
 */
void logger_stop(struct logger *logger);

#endif
