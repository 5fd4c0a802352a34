/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that this process was started with (sd_listen_fds(3)), and those that the next one
 * is to be started with: listening sockets wait in systemd's descriptor store from one
 * process to the next, so that a restart refuses nobody.
 */
#ifndef TLSGATE_DAEMON_PASSED_H
#define TLSGATE_DAEMON_PASSED_H

#include "daemon/listener.h"

/* What a descriptor is, by its name.  By any other: a socket of a socket unit. */
#define PASSED_LISTENER	"tlsgate-listener"	/* one of ours, of before */
/* in an upgrade alone */
#define PASSED_UNIT	"tlsgate-unit"		/* of a socket unit, as before */
#define PASSED_CONTROL	"tlsgate-control"	/* the control socket */
#define PASSED_METRICS	"tlsgate-metrics"	/* where scrapers connect */
#define PASSED_PEER	"tlsgate-peer"		/* to the monitor of before (upgrade.h) */
#define PASSED_COPY	"tlsgate-copy"		/* where errors and warnings are written, too: log_copy_to() */

/* Calls take() once for each, which owns fd then.  Once in the life of a process. */
void passed_read(void (*take)(void *arg, int fd, const char *name), void *arg);

/*
 * Makes systemd's store hold the sockets that are ours, and no other.  Does nothing where
 * systemd did not start the process, or keeps nothing for it (FileDescriptorStoreMax=).
 */
void passed_keep(const struct listeners *listeners);

/* For a program that is started with them: */
struct passing {
	int *fds;
	const char **names;
	size_t count;
};

/* name: PASSED_... */
void passing_add(struct passing *passing, int fd, const char *name);
/* In a process of its own: becomes argv.  Returns where that fails, with errno: what was passed has other numbers then. */
void passing_exec(const struct passing *passing, char **argv);

#endif
