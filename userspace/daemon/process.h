/* SPDX-License-Identifier: MIT */
/* How the monitor starts a process of its own. */
#ifndef TLSGATE_DAEMON_PROCESS_H
#define TLSGATE_DAEMON_PROCESS_H

#include <sys/types.h>

/*
 * fork(), with a socket pair (common/ipc.h) between the two: *control becomes the
 * end of whoever it returns in.  what: names the process in the line that is logged
 * where it returns -1; *control is not set then.
 */
pid_t process_fork(const char *what, int *control);

#define PROCESS_END_MAX	64

/* How it ended, for a line: status is of waitpid(). */
const char *process_end(int status, char text[PROCESS_END_MAX]);

#endif
