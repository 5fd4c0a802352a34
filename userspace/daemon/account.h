/* SPDX-License-Identifier: MIT */
/* connection-log: one line at the end of each connection. */
#ifndef TLSGATE_DAEMON_ACCOUNT_H
#define TLSGATE_DAEMON_ACCOUNT_H

#include <stdint.h>

struct conn;

/*
 * Why conn ends, for its line: the first that is told stays.  Does nothing
 * where there is no connection-log.
 */
void account_reason(struct conn *conn, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The line, where there is a connection-log; session: the kernel's, 0: the worker carried it. */
void account_log(const struct conn *conn, uint32_t session);

#endif
