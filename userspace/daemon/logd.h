/* SPDX-License-Identifier: MIT */
/*
 * The log process: takes the lines of all others from a pipe and gives them to
 * syslog or the journal.  It alone waits when its target is slow or gone: the
 * pipe is full then, and whoever has a line for it counts that as lost (log.h).
 */
#ifndef TLSGATE_DAEMON_LOGD_H
#define TLSGATE_DAEMON_LOGD_H

#include <sys/types.h>

#include "daemon/sandbox.h"
#include "daemon/settings.h"

struct logd_plan {
	enum log_target target;		/* not LOG_TO_STDERR */
	int facility;			/* LOG_DAEMON... */
	struct identity who;		/* it is */
	int in;				/* the pipe's end, O_NONBLOCK; packets */
	int own_log;			/* its stderr */
	void (*forget)(void *arg);	/* in the process: wipes the monitor's secrets */
	void *arg;
};

/*
 * Starts it.  On *control it says IPC_READY.  IPC_DRAIN has it take no more lines and end;
 * IPC_STOP has it end with the pipe's last line.  For either it has a second.  Without an
 * order it ends once nobody can write to the pipe.  The process, or -1 and a line was
 * logged.
 */
pid_t logd_start(const struct logd_plan *plan, int *control);

/* A connected socket, or -errno. */
int logd_open(enum log_target target);
/* Where that is. */
const char *logd_path(enum log_target target);

#endif
