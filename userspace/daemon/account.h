/* SPDX-License-Identifier: MIT */
/* What is known of a connection: for the connection-log, a line at its end, and for tlsgate show. */
#ifndef TLSGATE_DAEMON_ACCOUNT_H
#define TLSGATE_DAEMON_ACCOUNT_H

#include <stdint.h>

struct conn;
struct record;

/*
 * Why conn ends, for its line; the first reason that is given counts.  Does nothing where
 * there is no connection-log.
 */
void account_reason(struct conn *conn, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* conn, which the worker carried, ends: its line, where there is a connection-log. */
void account_end(const struct conn *conn);
/* The kernel has conn: its line is the monitor's (ledger.h), where that is told of ends. */
void account_hand_over(const struct conn *conn, uint32_t session);
/* What conn, which the worker carries, is and does now: a JSON object. */
void account_list(const struct conn *conn, struct record *record);

#endif
