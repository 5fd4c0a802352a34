/* SPDX-License-Identifier: MIT */
/*
 * The settings max-connections, max-per-address, handshake-rate and max-handshakes: may there be
 * one more?  By census.h they hold over all workers, those of before a reload included, and
 * over what the kernel carries.  What is established is never touched.
 */
#ifndef TLSGATE_DAEMON_LIMITS_H
#define TLSGATE_DAEMON_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/stats.h"

struct census;
struct conn;
struct gate;
struct ledger;
struct ledger_entry;
struct settings;
struct worker;

/* ---- in the monitor ---- */

/* Is any of these set? */
bool limits_wanted(const struct gate *gates, size_t count, const struct settings *settings);
/* Has gates counted that have limits.  0, or -1 and a line was logged; limits_release() is due in both cases. */
int limits_prepare(struct census *census, struct gate *gates, size_t count,
		   const struct settings *settings);
void limits_release(struct census *census, struct gate *gates, size_t count);
/* As ledger_changed: the kernel carries it now, or no more. */
void limits_carried(struct census *census, const struct ledger_entry *entry, bool begins);
/* Other gates may have limits now: counts anew what the kernel carries. */
void limits_recount(struct census *census, struct ledger *ledger);

/* ---- in a worker ---- */

/* A connection was accepted.  False: max-connections refused it, and conn is gone. */
bool limits_begin(struct conn *conn);
/*
 * It is known who the client is, by conn->client: after limits_begin(), or once a PROXY header said it.
 * False: max-per-address or handshake-rate refused it, and conn is gone.
 */
bool limits_admit(struct conn *conn);
/* conn goes away, or the kernel has it. */
void limits_end(struct conn *conn);
/*
 * Resets the client's connection, counts that, and frees conn.  No line of its own is logged: there
 * are too many (shed.h).
 */
void limits_refuse(struct conn *conn, enum counter counter);

/* There are so many more, or less, unfinished connections. */
void limits_handshakes(const struct worker *worker, int32_t number);
/* Are there too many of them? */
bool limits_is_full(const struct worker *worker);

#endif
