/* SPDX-License-Identifier: MIT */
/*
 * A line of the log on its way: log_goes_to() (log.h) says what it looks like in
 * the pipe to the log process; here it becomes what its target wants.
 */
#ifndef TLSGATE_DAEMON_LOGLINE_H
#define TLSGATE_DAEMON_LOGLINE_H

#include <stddef.h>
#include <stdint.h>

#define LOGLINE_MAX	9216		/* bytes, of any form: one in the pipe has PIPE_BUF at most */

struct logline {
	int priority;			/* LOG_ERR... of syslog(3) */
	int64_t time_ms;		/* since the epoch */
	long process;			/* 0: not known */
	const char *text;		/* printable ASCII, not terminated */
	int len;
};

/*
 * Reads the len bytes of a packet, which stay the line's, and makes them printable.  Text
 * that does not begin as a line of log.c, such as libc's own words, is a line of priority
 * LOG_ERR, of now and of no known process.
 */
void logline_parse(struct logline *line, char *packet, size_t len);

/* Into out; returns the bytes. */
size_t logline_syslog(const struct logline *line, int facility, char out[LOGLINE_MAX]);
/*
 * The same for the journal's own socket.  A line of the connection-log, as
 * key=value, has each as a field, too: TLSGATE_GATE for gate.
 */
size_t logline_journal(const struct logline *line, int facility, char out[LOGLINE_MAX]);

#endif
