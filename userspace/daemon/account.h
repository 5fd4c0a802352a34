/* SPDX-License-Identifier: MIT */
/* connection-log: one line at the end of each connection. */
#ifndef TLSGATE_DAEMON_ACCOUNT_H
#define TLSGATE_DAEMON_ACCOUNT_H

#include <stdint.h>

struct conn;

/*
 * Why conn ends, for its line: the first that is told stays.  Does nothing
 * where there is no connection-log, as all of these.
 */
void account_reason(struct conn *conn, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* conn, which the worker carried, ends: its line. */
void account_end(const struct conn *conn);
/* The kernel has conn: its line is the monitor's (ledger.h), where that is told of ends. */
void account_hand_over(const struct conn *conn, uint32_t session);

#endif
