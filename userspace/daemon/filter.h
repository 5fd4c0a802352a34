/* SPDX-License-Identifier: MIT */
/*
 * The system calls that a child process may make (seccomp).  There are three
 * kinds of calls: those that the process needs are made; those that only a
 * process that was taken over would make end it, after one line in the log
 * that names the call; all others fail with ENOSYS, since a library that tries
 * one can do without it.
 */
#ifndef TLSGATE_DAEMON_FILTER_H
#define TLSGATE_DAEMON_FILTER_H

#include <stdbool.h>

enum filter_role {
	FILTER_WORKER,			/* sockets, no files */
	FILTER_KEYD,			/* takes pipes, forks answerers */
	FILTER_ANSWERER,		/* two ends of pipes, nothing else */
	FILTER_NAMES,			/* reads files, sends datagrams, forks askers */
	FILTER_LOG,			/* a pipe, and UNIX datagram sockets */
	FILTER_METRICS,			/* a listener, what it accepts, a channel to the monitor */
	FILTER_ASKER,			/* one process of names: reads files, talks to name servers */
};

/*
 * Loads the filter of the role, irrevocably; needs no_new_privs.  unix_sockets:
 * a worker may make AF_UNIX sockets, too.  0, or -1 and a line was logged.
 * What a forbidden call does to the process: SIGSYS, as its parent sees it.
 */
int filter_load(enum filter_role role, bool unix_sockets);

#endif
