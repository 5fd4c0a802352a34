/* SPDX-License-Identifier: MIT */
/*
 * The folders whose files the configuration takes anew when they change: those of cert-dir, and
 * those that the files of ticket-keys are in.  The kernel says when something changes in them
 * (inotify(7)).  It says nothing of a file to which a link in such a folder leads: who writes to
 * that in place has to reload.
 */
#ifndef TLSGATE_DAEMON_WATCH_H
#define TLSGATE_DAEMON_WATCH_H

#include <ev.h>
#include <stddef.h>

#include "daemon/settings.h"

#define WATCH_CERTS	1u		/* kinds of folders */
#define WATCH_TICKETS	2u

struct watched;

struct watch {
	struct ev_loop *loop;
	struct watched *now, *next;	/* NULL: nothing */
	ev_io io;
	ev_timer quiet;			/* so that what comes in several steps is one change */
	ev_timer later;			/* what was refused is tried again ... */
	ev_tstamp pause;		/* ... after so many seconds, the next time; 0: nothing was */
	ev_tstamp first;		/* when the first of these came */
	unsigned int kinds;		/* of what has changed */
	void (*changed)(void *arg, unsigned int kinds);
	void *arg;
};

/*
 * changed() is called some time after a change, when no more come; not where all that certdir.h takes
 * is as it was.
 */
void watch_init(struct watch *watch, struct ev_loop *loop,
		void (*changed)(void *arg, unsigned int kinds), void *arg);
/* Begins with the folders of settings, beside those of before: call it before they are read. */
void watch_prepare(struct watch *watch, struct settings *settings);
/* Those are the folders from now on / those of before stay. */
void watch_commit(struct watch *watch);
void watch_abandon(struct watch *watch);
/*
 * What they have was refused, and the settings are those of before: the folders of the next are watched
 * in place of those of before, and changed() is called again after a while, longer each time, or at
 * the next change.
 */
void watch_try_later(struct watch *watch);
/* changed() could do nothing now, and is to be called again. */
void watch_again(struct watch *watch, unsigned int kinds);
void watch_close(struct watch *watch);

#endif
