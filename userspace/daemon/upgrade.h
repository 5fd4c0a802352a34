/* SPDX-License-Identifier: MIT */
/*
 * Another program file takes over: the monitor starts it beside itself, with its listening sockets,
 * its control socket and that of metrics.  Nothing changes before the next daemon serves.  The two
 * speak by a socket pair, which must stay the same between releases: one packet from the next daemon
 * says that it serves; then the monitor of before lets go and closes its end.  The next daemon is init's
 * child, not ours: systemd watches the main process of a service only if that is its own child.  Who
 * waits for the outcome has log_copy_to() set: what the next daemon finds wrong is written there, too.
 */
#ifndef TLSGATE_DAEMON_UPGRADE_H
#define TLSGATE_DAEMON_UPGRADE_H

#include <ev.h>
#include <stdbool.h>
#include <sys/types.h>

#include "daemon/listener.h"

/* ---- the monitor that is replaced ---- */

struct upgrade {
	bool under_way;			/* until over(), and the end of that call */
	pid_t pid;			/* of the next one; 0: not known yet */
	int peer;			/* to it, -1: none */
	ev_io messages;
	ev_timer limit;
	/* It serves, or it will not and a line was logged. */
	void (*over)(void *arg, bool serves);
	void *arg;
};

struct upgrade_plan {
	char **argv;			/* its command line; argv[0] is looked for as a shell does */
	const struct listeners *listeners;
	int control, metrics;		/* the sockets of these settings, -1: none */
	int own_log;			/* what it gets as standard error, -1: ours */
	double seconds;			/* to get ready in */
};

void upgrade_init(struct upgrade *upgrade, void (*over)(void *arg, bool serves), void *arg);
/* 0: over() follows.  -1: a line was logged. */
int upgrade_start(struct upgrade *upgrade, const struct upgrade_plan *plan);
/* While it gets ready: it is ended, and over() does not come.  Else: lets go of the next one. */
void upgrade_close(struct upgrade *upgrade);

/* ---- the monitor that takes over ---- */

struct takeover {
	int peer;			/* to the monitor of before; -1: there is none, or no more */
	ev_io end;
	bool served;			/* takeover_serve() */
	/* The monitor of before has let go, or, before takeover_serve(), died: served is false. */
	void (*over)(void *arg, bool served);
	void *arg;
};

/* peer: as passed, PASSED_PEER. */
void takeover_init(struct takeover *takeover, int peer, void (*over)(void *arg, bool served), void *arg);
/* Tells the monitor of before. */
void takeover_serve(struct takeover *takeover);

#endif
