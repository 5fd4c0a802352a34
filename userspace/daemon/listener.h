/* SPDX-License-Identifier: MIT */
/*
 * Listening sockets.  The monitor opens them and keeps them, so that neither
 * the death of a worker nor a reload resets what waits in an accept queue.
 * One address has one SO_REUSEPORT socket per worker.  Of a UNIX socket, and of one
 * that a socket unit passed, there is one alone, which the workers share.
 */
#ifndef TLSGATE_DAEMON_LISTENER_H
#define TLSGATE_DAEMON_LISTENER_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/addr.h"
#include "daemon/settings.h"
#include "daemon/unix_listen.h"

struct listener {
	struct listener *next;
	struct addr addr;
	char device[IFNAMSIZ];		/* "": any */
	struct unix_file file;		/* of a UNIX socket */
	bool owns_file;			/* which goes with it */
	struct unix_rights has, wants;	/* its rights, and those that the next listener_serve() gives it */
	unsigned int users;		/* gates of live generations */
	bool activated;			/* of a socket unit: one socket, which all workers share */
	bool passed;			/* there before us: stays until listeners_drop_unused() */
	bool drained;			/* listener_drain() */
	int *fds;
	size_t count;			/* sockets open, bound */
	size_t listening;		/* the first of them that listen() was called on */
	size_t served;			/* the first of them that a generation got ready for */
};

struct listeners {
	struct listener *first;
};

/*
 * Takes over a socket that the process was started with; activated: it is a socket unit's.
 * One that is no listener of TCP or UNIX is closed, and a line is logged.
 */
void listeners_take(struct listeners *all, int fd, bool activated);
/*
 * Says of gate set that it cannot listen on text (NULL: on whatever it has), by error, an errno: a line of
 * gate_refuse(), which names the setting to correct.  -1.
 */
int listener_refuse(const struct gate_settings *set, const char *text, int error);
/*
 * Are the options of its sockets that can be refused all right, for those that a reload keeps, too?
 * Before listener_get().  0, or -1 and a line was logged.
 */
int listener_try_options(const struct gate_settings *set);
/*
 * The listener of an address, and of the device that set wants, with at least want sockets, bound but
 * not yet listening where they are new, so that giving up leaves no trace.  A UNIX socket is
 * one, with the rights that text, the address as the settings have it, asks for.  NULL: a
 * line was logged.  Each success is one listener_put().
 */
struct listener *listener_get(struct listeners *all, const struct addr *addr, const char *text,
			      size_t want, const struct gate_settings *set);
/*
 * Starts to listen on what is bound and does not yet, with the options that set
 * wants for what is accepted.  0, or -1 and a line was logged.
 */
int listener_start(struct listener *listener, const struct gate_settings *set);
/*
 * Prepares sockets that are served for another worker.  The last worker may have set other
 * options than set wants, or have ended the sockets by connect() to no address, which no
 * filter sees.
 */
void listener_mend(const struct listener *listener, const struct gate_settings *set);
/* The workers are ready: these options for all its sockets, which listeners_trim() keeps. */
void listener_serve(struct listener *listener, const struct gate_settings *set);
/* NULL: it can be drained; else why it goes on listening. */
const char *listener_why_kept(const struct listener *listener);
/*
 * No more connections here, in no process that has the sockets: the address refuses them.
 * What waits to be accepted is reset.  A reload leaves it so.
 */
void listener_drain(struct listener *listener);
/* Undoes that, with the options that set wants.  0, or -1 and a line was logged. */
int listener_undrain(struct listener *listener, const struct gate_settings *set);
/* Closes the sockets with their last user, but none that was passed. */
void listener_put(struct listeners *all, struct listener *listener);
/* This daemon serves: the files of UNIX sockets of before are its own as well. */
void listeners_own(struct listeners *all);
/* The next daemon serves: these files stay. */
void listeners_bequeath(struct listeners *all);
/* Closes what listener_serve() was never called for: after a reload that was given up. */
void listeners_trim(struct listeners *all);
/* The daemon ends: closes what no gate has any more. */
void listeners_close(struct listeners *all);
/* A generation serves: closes what was passed and no gate has, with a line for each. */
void listeners_drop_unused(struct listeners *all);

/* Does worker (0..workers-1) serve socket index? */
bool listener_is_for(const struct listener *listener, size_t index, size_t worker, size_t workers);

#endif
